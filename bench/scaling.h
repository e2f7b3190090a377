/* SPDX-License-Identifier: MIT */
/* What two threads together get done, against one alone. */
#ifndef BERTH_BENCH_SCALING_H
#define BERTH_BENCH_SCALING_H

#include "bench/bench.h"

#define SCALING_THREADS 2

/** The work of one thread. */
struct scaling_work {
    /** Does it @count times; returns how often it succeeded, which has to be always. */
    uint64_t (*run)(void *context, uint64_t count);
    void *context;
};

/** One round of measurements. */
struct scaling_rates {
    double alone;    /* per ns; the mean of both threads, each where it will run */
    double together; /* per ns; the sum */
};

/** Each thread alone, then both: unequal CPUs do not look like bad scaling. 0 or -errno. */
int scaling_round(const struct bench *bench, const struct scaling_work work[SCALING_THREADS],
                  struct scaling_rates *rates);

#endif
