/* SPDX-License-Identifier: MIT */
/*
 * The same work under several disciplines: a registry of functions that all belong to one guest.
 *
 * What is measured loops inside, so that each discipline is compiled as it would be in a program
 * of its own. The others are done as well as such designs are: intrusive lists, no work under a
 * lock that could be outside of it. They do less than the core for each removal (no
 * trace, no way back, no private quarantine), which is to their advantage.
 */
#ifndef BERTH_BENCH_DISCIPLINE_H
#define BERTH_BENCH_DISCIPLINE_H

#include <stdint.h>

#include "bench/host.h"

/** The devices that are in use. */
#define BENCH_HOT 16

struct discipline {
    const char *name;

    /** 0 with *@registry, or -errno. */
    int (*create)(struct bench_host *host, void **registry);
    /** Devices are removed first. */
    void (*destroy)(void *registry);

    /** Adds a function that is not there yet, and gives it to the guest. */
    int (*add)(void *registry, struct sbdf sbdf);
    /** Removes it by force: bus mastering off, context cleared and flushed, given back. */
    int (*remove)(void *registry, struct sbdf sbdf);

    /** Finds hot devices, one after the other, makes sure that each stays, and lets go. Returns how
     * many were there. */
    uint64_t (*lookup)(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count);
    /** A guest reads register 0 of hot devices. Returns how many answered. */
    uint64_t (*access)(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count);
};

extern const struct discipline discipline_berth;
extern const struct discipline discipline_global_lock;
extern const struct discipline discipline_domain_rwlock;
extern const struct discipline discipline_locked_refs;

#endif
