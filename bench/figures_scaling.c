/* SPDX-License-Identifier: MIT */
/* Two threads on different devices, against one thread. */
#include <errno.h>

#include "bench/figures.h"
#include "bench/subject.h"

#define THREADS 2
/* How many times the work is done between two looks at the clock. */
#define BATCH 256u
/* A rate needs the time of so many samples, and the best of so many counts: see timing.c. */
#define SAMPLES_LONG 2
#define TRIES 8

enum work {
    WORK_LOOKUP,
    WORK_ACCESS,
    WORK_COUNT,
};

static const struct {
    const char *figure;  /* of the core */
    const char *compare; /* of all */
} names[WORK_COUNT] = {
    [WORK_LOOKUP] = {"lookup_scaling_2t", "discipline_lookup_scaling_2t"},
    [WORK_ACCESS] = {NULL, "discipline_access_scaling_2t"},
};

struct runner {
    const struct subject *subject;
    enum work work;
    unsigned set; /* of hot devices */
    uint64_t duration_ns;
    double per_ns; /* filled in */
};

static int runner_work(void *context)
{
    struct runner *runner = context;
    const struct discipline *d = runner->subject->discipline;
    const struct sbdf *hot = runner->subject->hot[runner->set];
    uint64_t begin = bench_now_ns(), now = begin, count = 0, done = 0;

    while (now - begin < runner->duration_ns) {
        done += runner->work == WORK_LOOKUP ? d->lookup(runner->subject->registry, hot, BATCH)
                                            : d->access(runner->subject->registry, hot, BATCH);
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
    struct bench_lane lanes[THREADS];
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

/* Each thread alone where it will run, then both: unequal CPUs do not look like bad scaling. */
static int scaling_round(const struct bench *bench, const struct subject *subject, enum work work,
                         struct series *series)
{
    struct runner runners[THREADS];
    double alone[THREADS], together;
    int error = 0;

    for (unsigned i = 0; i < THREADS; i++)
        runners[i] = (struct runner){.subject = subject,
                                     .work = work,
                                     .set = i,
                                     .duration_ns = SAMPLES_LONG * bench->sample_ns};
    for (unsigned i = 0; i < THREADS && !error; i++)
        error = rate(bench, runners, i, 1, &alone[i]);
    if (!error)
        error = rate(bench, runners, 0, THREADS, &together);
    if (!error)
        series_add(series, together / ((alone[0] + alone[1]) / THREADS));
    return error;
}

static int scaling_measure(const struct bench *bench, const struct subject *subjects,
                           unsigned count, enum work work, struct series *series)
{
    int error = 0;

    for (unsigned round = 0; round < bench->rounds && !error; round++) {
        bench_progress(bench, names[work].compare, round, bench->rounds);
        for (unsigned i = 0; i < count && !error; i++)
            error = scaling_round(bench, &subjects[i], work, &series[i]);
    }
    return error;
}

static void scaling_report(struct bench *bench, const struct subject *subjects, unsigned count,
                           enum work work, const struct series *series)
{
    bool possible = bench->cpu_count >= THREADS;

    if (names[work].figure)
        bench_report(bench, names[work].figure, json_object(), possible ? series : NULL);
    for (unsigned i = 0; i < count; i++)
        bench_report(bench, names[work].compare, subject_params(&subjects[i], 0),
                     possible ? &series[i] : NULL);
}

static int scaling_of(struct bench *bench, const struct subject *subjects, enum work work)
{
    struct series series[DISCIPLINE_COUNT] = {0};
    bool compare = bench_wants(bench, names[work].compare);
    unsigned count = compare ? DISCIPLINE_COUNT : 1;
    int error = 0;

    if (!compare && !(names[work].figure && bench_wants(bench, names[work].figure)))
        return 0;
    if (bench->cpu_count >= THREADS)
        error = scaling_measure(bench, subjects, count, work, series);
    if (!error)
        scaling_report(bench, subjects, count, work, series);
    return error;
}

int figures_scaling(struct bench *bench)
{
    struct subject subjects[DISCIPLINE_COUNT] = {0};
    int error = 0;

    for (unsigned i = 0; i < DISCIPLINE_COUNT && !error; i++) {
        subjects[i].discipline = disciplines[i];
        subjects[i].devices = SUBJECT_HOT_SETS * BENCH_HOT;
        error = subject_create(&subjects[i]);
    }
    for (unsigned work = 0; work < WORK_COUNT && !error; work++)
        error = scaling_of(bench, subjects, (enum work)work);
    for (unsigned i = 0; i < DISCIPLINE_COUNT; i++)
        subject_destroy(&subjects[i]);
    return error;
}
