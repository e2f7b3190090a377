/* SPDX-License-Identifier: MIT */
#include "bench/scaling.h"

#include <errno.h>

/* How many times the work is done between two looks at the clock. */
#define BATCH 256u
/* A rate needs the time of so many samples, and the best of so many counts: see timing.c. */
#define SAMPLES_LONG 2
#define TRIES 8

struct runner {
    const struct scaling_work *work;
    uint64_t duration_ns;
    double per_ns; /* filled in */
};

static int runner_work(void *context)
{
    struct runner *runner = context;
    const struct scaling_work *work = runner->work;
    uint64_t begin = bench_now_ns(), now = begin, count = 0, done = 0;

    while (now - begin < runner->duration_ns) {
        done += work->run(work->context, BATCH);
        count += BATCH;
        now = bench_now_ns();
    }
    runner->per_ns = (double)count / (double)(now - begin);
    return done == count ? 0 : -EIO;
}

/* The runners from @first on, at once; adds up what they reach. */
static int rate_once(const struct bench *bench, struct runner *runners, unsigned first,
                     unsigned count, double *per_ns)
{
    struct bench_lane lanes[SCALING_THREADS];
    int error;

    for (unsigned i = 0; i < count; i++)
        lanes[i] = (struct bench_lane){
            .cpu = bench->cpus[first + i], .work = runner_work, .context = &runners[first + i]};
    error = bench_lanes_run(lanes, count);
    *per_ns = 0;
    for (unsigned i = first; i < first + count; i++)
        *per_ns += runners[i].per_ns;
    return error;
}

static int rate(const struct bench *bench, struct runner *runners, unsigned first, unsigned count,
                double *per_ns)
{
    double once;
    int error = 0;

    *per_ns = 0;
    for (unsigned i = 0; i < TRIES && !error; i++) {
        error = rate_once(bench, runners, first, count, &once);
        *per_ns = once > *per_ns ? once : *per_ns;
    }
    return error;
}

int scaling_round(const struct bench *bench, const struct scaling_work work[SCALING_THREADS],
                  struct scaling_rates *rates)
{
    struct runner runners[SCALING_THREADS];
    double alone;
    int error = 0;

    rates->alone = 0;
    for (unsigned i = 0; i < SCALING_THREADS; i++)
        runners[i] =
            (struct runner){.work = &work[i], .duration_ns = SAMPLES_LONG * bench->sample_ns};
    for (unsigned i = 0; i < SCALING_THREADS && !error; i++) {
        error = rate(bench, runners, i, 1, &alone);
        rates->alone += alone / SCALING_THREADS;
    }
    return error ? error : rate(bench, runners, 0, SCALING_THREADS, &rates->together);
}
