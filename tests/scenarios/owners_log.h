/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of its back ends for one function, in the order in which it does: between the
 * core and the simulator.
 *
 *     owners_log_begin(rig_nvme);
 *     rig_up(&rig, owners_log_configure);
 *     ... owners_log_find(0, LOGGED_DETACH) ...
 */
#ifndef BERTH_TESTS_OWNERS_LOG_H
#define BERTH_TESTS_OWNERS_LOG_H

#include "tests/unit/rig.h"

#define OWNERS_LOG_MAX 4096

enum logged {
    LOGGED_CLAIM,
    LOGGED_RELEASE,
    LOGGED_WRITE,     /* of config space */
    LOGGED_BAR_WRITE, /* .reg is the offset in the BAR */
    LOGGED_BIND,
    LOGGED_UNBIND,
    LOGGED_ATTACH, /* this one and those below: of any requester id */
    LOGGED_DETACH,
    LOGGED_FLUSH,
};

struct log_entry {
    enum logged what;
    unsigned reg, length;
    uint32_t value;
    struct sbdf rid;
};

struct owners_log {
    struct sbdf watched;
    berth_claim claim;
    bool claimed;
    bool no_ecam; /* what is behind the first 256 bytes of the function is out of reach */
    unsigned count;
    struct log_entry entry[OWNERS_LOG_MAX];
};

extern struct owners_log owners_log;

/** Empties the log; from now on it is about this function. */
void owners_log_begin(struct sbdf watched);
/** For rig_up(). */
void owners_log_configure(struct berth_machine_config *config);
/** Forgets what was logged, and nothing else. */
void owners_log_clear(void);
/** The first or the last such entry; -1: none. */
int owners_log_first(enum logged what);
int owners_log_last(enum logged what);
unsigned owners_log_count(enum logged what);

#endif
