/* SPDX-License-Identifier: MIT */
#include "bench/bench.h"

/* Lists of the hot devices are walked around: a multiple of their length. */
#define COUNT_FIRST 16u
/* A round's value is its fastest sample: whatever disturbs one only ever makes it slower. */
#define SAMPLES 5

struct timer {
    struct bench_case *item;
    uint64_t fastest_ns;
};

static int timer_work(void *context)
{
    struct timer *timer = context;
    const struct bench_case *item = timer->item;
    int error = item->run(item->context, COUNT_FIRST); /* the thread's first steps */

    timer->fastest_ns = UINT64_MAX;
    for (unsigned i = 0; i < SAMPLES && !error; i++) {
        uint64_t begin = bench_now_ns(), ns;

        error = item->run(item->context, item->count);
        ns = bench_now_ns() - begin;
        timer->fastest_ns = ns < timer->fastest_ns ? ns : timer->fastest_ns;
    }
    return error;
}

static int case_time(const struct bench *bench, struct bench_case *item, uint64_t *ns)
{
    struct timer timer = {.item = item};
    struct bench_lane lane = {.cpu = bench->cpus[0], .work = timer_work, .context = &timer};
    int error = bench_lanes_run(&lane, 1);

    *ns = timer.fastest_ns;
    return error;
}

/* Finds out how often the work has to be done for one sample. */
static int case_calibrate(const struct bench *bench, struct bench_case *item)
{
    uint64_t ns;
    int error;

    item->ns.count = 0;
    for (item->count = COUNT_FIRST;; item->count *= 2) {
        error = case_time(bench, item, &ns);
        if (error || ns >= bench->sample_ns)
            return error;
    }
}

int bench_interleave(const struct bench *bench, const char *what, struct bench_case *cases,
                     unsigned count)
{
    uint64_t ns;
    int error = 0;

    for (unsigned i = 0; i < count && !error; i++)
        error = case_calibrate(bench, &cases[i]);
    for (unsigned round = 0; round < bench->rounds && !error; round++) {
        bench_progress(bench, what, round, bench->rounds);
        for (unsigned i = 0; i < count && !error; i++) {
            error = case_time(bench, &cases[i], &ns);
            series_add(&cases[i].ns, (double)ns / (double)cases[i].count);
        }
    }
    return error;
}
