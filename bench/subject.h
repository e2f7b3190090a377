/* SPDX-License-Identifier: MIT */
/* A registry full of devices under one discipline, and the work that is measured on it. */
#ifndef BERTH_BENCH_SUBJECT_H
#define BERTH_BENCH_SUBJECT_H

#include <jansson.h>

#include "bench/disciplines/discipline.h"

/** Two sets of hot devices, for two threads that do not meet. */
#define SUBJECT_HOT_SETS 2

struct subject {
    const struct discipline *discipline;
    unsigned devices; /* a power of two, BENCH_HOT per set that is used at least */
    void *registry;
    struct bench_host *host;
    struct sbdf hot[SUBJECT_HOT_SETS][BENCH_HOT];
};

/** All of them; the core is the first. */
#define DISCIPLINE_COUNT 4
extern const struct discipline *const disciplines[DISCIPLINE_COUNT];

/** Fills a registry; @subject->discipline and .devices are set. 0 or -errno; destroyed either way.
 */
int subject_create(struct subject *subject);
void subject_destroy(struct subject *subject);

/** The work for struct bench_case, on the first set; @subject is a struct subject. */
int subject_lookup(void *subject, uint64_t count);
int subject_access(void *subject, uint64_t count);

/** {"discipline": ...} and, unless it is 0, {"devices": ...}. */
json_t *subject_params(const struct subject *subject, unsigned devices);

#endif
