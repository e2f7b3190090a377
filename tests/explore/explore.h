/* SPDX-License-Identifier: MIT */
/*
 * What a scenario is: a small machine, two or three actors, and what must be true afterwards in
 * every order of their steps.
 */
#ifndef TESTS_EXPLORE_EXPLORE_H
#define TESTS_EXPLORE_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPLORE_ACTORS 3u

struct world;

struct explore_actor {
    const char *name; /* NULL: not used */
    void (*run)(struct world *world);
};

struct explore_scenario {
    const char *name;                   /* of [a-z0-9-] */
    const char *shows;                  /* one line, with the rules */
    void (*setup)(struct world *world); /* once: every schedule begins with a copy of it */
    struct explore_actor actor[EXPLORE_ACTORS];
    void (*check)(struct world *world); /* after each schedule; no other thread runs */
    const char *fails; /* it has to, with one of these words (by '|') in the message */
    bool time_passes;  /* somebody is meant to wait until a deadline */
    bool buffers;      /* stores are delayed in buffers: what a CPU may do */
    bool heavy;        /* too large to be gone through: bounded */
};

/** Ends the schedule as a failure of the scenario. */
void explore_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define expect(condition)                                                      \
    do {                                                                       \
        if (!(condition))                                                      \
            explore_fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
    } while (0)

/** Memory of the scenario that is put back for each schedule. */
void *explore_memory(size_t size);

/* A scenario's own events, for what stands for hardware: seen by the scheduler, always atomic. */
void explore_touch(const void *address, bool write);
/* After a touch: what was done before the last one of these happens before what comes now. */
void explore_hand_over(const void *address);
/* Its own plain accesses: two that nothing orders, one of them a write, are a failure. */
void explore_use(const void *address, size_t size, bool write, const char *what);

#endif
