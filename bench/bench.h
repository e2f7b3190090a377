/* SPDX-License-Identifier: MIT */
/*
 * `berth bench`: what the core costs, beside the disciplines that others use.
 *
 * A figure is the median of several rounds. What is compared is measured in turn within each
 * round, so that a machine which others use too slows down both sides, and ratios hold.
 */
#ifndef BERTH_BENCH_H
#define BERTH_BENCH_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/stats.h"

struct bench;

/** The subcommand. Returns the exit code. */
int cmd_bench(int argc, char **argv);

/* ---- figures ---- */

enum bench_goal {
    BENCH_NO_GOAL,
    BENCH_AT_MOST,
    BENCH_AT_LEAST,
};

/** One line of the table of figures. */
struct bench_figure {
    const char *name; /* stable: programs compare it between versions */
    const char *unit;
    enum bench_goal goal;
    double target;
    int (*measure)(struct bench *bench); /* figures next to each other may share one */
};

/** Ends with a figure without a name. */
extern const struct bench_figure bench_figures[];

const struct bench_figure *bench_figure_find(const char *name);

struct bench {
    const struct bench_figure *only; /* NULL: all */
    unsigned rounds;
    unsigned slow_rounds; /* of what takes long */
    uint64_t sample_ns;   /* how long one sample takes at least */
    unsigned removals;    /* per round */
    bool progress;        /* somebody watches standard error */
    unsigned cpu_count;
    int cpus[CPU_SETSIZE]; /* those that this process may use */
    json_t *figures;
};

/** Whether anybody will look at the figure. */
bool bench_wants(const struct bench *bench, const char *name);

/**
 * Records the median of @series; NULL: could not be measured here.
 * @params  an object, consumed
 */
void bench_report(struct bench *bench, const char *name, json_t *params,
                  const struct series *series);

/** For people that wait. */
void bench_progress(const struct bench *bench, const char *what, unsigned done, unsigned all);

/** The table for people. */
void bench_print(const struct bench *bench);

/* ---- threads ---- */

/** One thread of several that start together. */
struct bench_lane {
    int cpu; /* where it stays; -1: anywhere */
    int (*work)(void *context);
    void *context;
    uint64_t begin_ns, end_ns; /* filled in */
    int error;                 /* what work() returned */
};

/** Runs all lanes at once and waits for them. Returns 0 or the first error. */
int bench_lanes_run(struct bench_lane *lanes, unsigned count);

/** The CPUs that this process may use; never none. */
void bench_find_cpus(struct bench *bench);

uint64_t bench_now_ns(void);

/* ---- timing ---- */

/** One of several alternatives that are measured in turn. */
struct bench_case {
    int (*run)(void *context, uint64_t count); /* does the work @count times */
    void *context;
    uint64_t count;   /* per sample; found out by bench_interleave() */
    struct series ns; /* per time that the work was done, one value per round */
};

/** Measures the cases A B C A B C ..., each in a thread of the first CPU. */
int bench_interleave(const struct bench *bench, const char *what, struct bench_case *cases,
                     unsigned count);

#endif
