/* SPDX-License-Identifier: MIT */
/*
 * Removal by force of a device that a guest owns, while a thread on every other CPU reads its
 * config space without a pause. It is put back each time, which does not count.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "bench/figures.h"
#include "bench/subject.h"

#define BATCH 16u
#define CACHE_LINE 64

struct fire;

/* One of the threads that read. */
struct shooter {
    _Alignas(CACHE_LINE) _Atomic uint64_t answered;
    struct fire *fire;
};

struct fire {
    struct subject subject;
    unsigned removals;
    double *us; /* of each of them */
    struct bench_lane *lanes;
    unsigned shooter_count;
    struct shooter *shooters;
    _Atomic bool over;
    struct series p50, p99, max;
};

static int shooter_work(void *context)
{
    struct shooter *shooter = context;
    const struct subject *s = &shooter->fire->subject;
    uint64_t answered = 0;

    while (!atomic_load_explicit(&shooter->fire->over, memory_order_relaxed)) {
        answered += s->discipline->access(s->registry, s->hot[0], BATCH);
        atomic_store_explicit(&shooter->answered, answered, memory_order_relaxed);
    }
    return 0;
}

/* Each of them has hit the device since it was put back: otherwise nobody would be in the way. */
static void await_fire(const struct fire *fire)
{
    for (unsigned i = 0; i < fire->shooter_count; i++) {
        uint64_t before = atomic_load_explicit(&fire->shooters[i].answered, memory_order_relaxed);

        while (atomic_load_explicit(&fire->shooters[i].answered, memory_order_relaxed) == before)
            sched_yield();
    }
}

static int fire_remove(void *context)
{
    struct fire *fire = context;
    const struct subject *s = &fire->subject;
    int error = 0;

    for (unsigned i = 0; i < fire->removals && !error; i++) {
        uint64_t begin;

        await_fire(fire);
        begin = bench_now_ns();
        error = s->discipline->remove(s->registry, s->hot[0][0]);
        fire->us[i] = (double)(bench_now_ns() - begin) / 1000;
        if (!error)
            error = s->discipline->add(s->registry, s->hot[0][0]);
    }
    atomic_store(&fire->over, true);
    return error;
}

static int fire_round(const struct bench *bench, struct fire *fire)
{
    int error;

    fire->lanes[0] =
        (struct bench_lane){.cpu = bench->cpus[0], .work = fire_remove, .context = fire};
    for (unsigned i = 0; i < fire->shooter_count; i++) {
        atomic_init(&fire->shooters[i].answered, 0);
        fire->shooters[i].fire = fire;
        fire->lanes[i + 1] = (struct bench_lane){
            .cpu = bench->cpus[i + 1], .work = shooter_work, .context = &fire->shooters[i]};
    }
    atomic_store(&fire->over, false);
    error = bench_lanes_run(fire->lanes, fire->shooter_count + 1);
    if (error)
        return error;
    values_sort(fire->us, fire->removals);
    series_add(&fire->p50, percentile(fire->us, fire->removals, 50));
    series_add(&fire->p99, percentile(fire->us, fire->removals, 99));
    series_add(&fire->max, percentile(fire->us, fire->removals, 100));
    return 0;
}

static int fire_create(const struct bench *bench, struct fire *fire,
                       const struct discipline *discipline)
{
    fire->subject.discipline = discipline;
    fire->subject.devices = BENCH_HOT;
    fire->removals = bench->removals;
    fire->us = calloc(bench->removals, sizeof(*fire->us));
    fire->lanes = calloc(bench->cpu_count, sizeof(*fire->lanes));
    fire->shooter_count = bench->cpu_count - 1;
    fire->shooters = aligned_alloc(CACHE_LINE, bench->cpu_count * sizeof(*fire->shooters));
    if (!fire->us || !fire->lanes || !fire->shooters)
        return -ENOMEM;
    return subject_create(&fire->subject);
}

/* All threads at one device; and once around before anything is pinned, as what the core starts in
 * the background stays where it was started. */
static int fire_aim(struct fire *fire)
{
    struct subject *s = &fire->subject;
    int error = s->discipline->remove(s->registry, s->hot[0][0]);

    for (unsigned i = 1; i < BENCH_HOT; i++)
        s->hot[0][i] = s->hot[0][0];
    return error ? error : s->discipline->add(s->registry, s->hot[0][0]);
}

static void fire_destroy(struct fire *fire)
{
    subject_destroy(&fire->subject);
    free(fire->shooters);
    free(fire->lanes);
    free(fire->us);
}

static int fires_measure(const struct bench *bench, struct fire *fires, unsigned count)
{
    int error = 0;

    for (unsigned i = 0; i < count && !error; i++)
        error = fire_create(bench, &fires[i], disciplines[i]);
    for (unsigned i = 0; i < count && !error; i++)
        error = fire_aim(&fires[i]);
    if (bench->cpu_count < 2)
        return error;
    for (unsigned round = 0; round < bench->slow_rounds && !error; round++) {
        bench_progress(bench, "removal under fire", round, bench->slow_rounds);
        for (unsigned i = 0; i < count && !error; i++)
            error = fire_round(bench, &fires[i]);
    }
    return error;
}

static void fires_report(struct bench *bench, const struct fire *fires, unsigned count)
{
    bool possible = bench->cpu_count >= 2;
    const struct {
        const char *name;
        const struct series *series;
    } core[] = {
        {"remove_under_fire_p50_us", &fires->p50},
        {"remove_under_fire_p99_us", &fires->p99},
        {"remove_under_fire_max_us", &fires->max},
    };

    for (unsigned i = 0; i < sizeof(core) / sizeof(core[0]); i++)
        bench_report(bench, core[i].name, json_pack("{s:i}", "removals", (int)bench->removals),
                     possible ? core[i].series : NULL);
    for (unsigned i = 0; i < count; i++)
        bench_report(bench, "discipline_remove_under_fire_p50_us",
                     subject_params(&fires[i].subject, 0), possible ? &fires[i].p50 : NULL);
    for (unsigned i = 0; i < count; i++)
        bench_report(bench, "discipline_remove_under_fire_p99_us",
                     subject_params(&fires[i].subject, 0), possible ? &fires[i].p99 : NULL);
}

int figures_removal(struct bench *bench)
{
    struct fire fires[DISCIPLINE_COUNT] = {0};
    bool compare = bench_wants(bench, "discipline_remove_under_fire_p50_us") ||
                   bench_wants(bench, "discipline_remove_under_fire_p99_us");
    unsigned count = compare ? DISCIPLINE_COUNT : 1;
    int error = fires_measure(bench, fires, count);

    if (!error)
        fires_report(bench, fires, count);
    for (unsigned i = 0; i < count; i++)
        fire_destroy(&fires[i]);
    return error;
}
