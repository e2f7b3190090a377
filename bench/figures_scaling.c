/* SPDX-License-Identifier: MIT */
/* Two threads on different devices, against one thread. */
#include "bench/figures.h"
#include "bench/scaling.h"
#include "bench/subject.h"

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

/* One thread, on a set of hot devices of its own. */
struct lane {
    const struct subject *subject;
    enum work work;
    unsigned set;
};

static uint64_t lane_run(void *context, uint64_t count)
{
    const struct lane *lane = context;
    const struct discipline *d = lane->subject->discipline;
    const struct sbdf *hot = lane->subject->hot[lane->set];

    return lane->work == WORK_LOOKUP ? d->lookup(lane->subject->registry, hot, count)
                                     : d->access(lane->subject->registry, hot, count);
}

static int subject_round(const struct bench *bench, const struct subject *subject, enum work kind,
                         struct series *series)
{
    struct lane lanes[SCALING_THREADS];
    struct scaling_work work[SCALING_THREADS];
    struct scaling_rates rates;
    int error;

    for (unsigned i = 0; i < SCALING_THREADS; i++) {
        lanes[i] = (struct lane){.subject = subject, .work = kind, .set = i};
        work[i] = (struct scaling_work){.run = lane_run, .context = &lanes[i]};
    }
    error = scaling_round(bench, work, &rates);
    if (!error)
        series_add(series, rates.together / rates.alone);
    return error;
}

static int scaling_measure(const struct bench *bench, const struct subject *subjects,
                           unsigned count, enum work work, struct series *series)
{
    int error = 0;

    for (unsigned round = 0; round < bench->rounds && !error; round++) {
        bench_progress(bench, names[work].compare, round, bench->rounds);
        for (unsigned i = 0; i < count && !error; i++)
            error = subject_round(bench, &subjects[i], work, &series[i]);
    }
    return error;
}

static void scaling_report(struct bench *bench, const struct subject *subjects, unsigned count,
                           enum work work, const struct series *series)
{
    bool possible = bench->cpu_count >= SCALING_THREADS;

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
    if (bench->cpu_count >= SCALING_THREADS)
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
