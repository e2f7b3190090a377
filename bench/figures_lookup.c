/* SPDX-License-Identifier: MIT */
/* Finding a device by its address, holding it, letting go: one thread, 16 hot devices. */
#include "bench/figures.h"
#include "bench/subject.h"

enum {
    SIZE_FEW,
    SIZE_ALL,
    SIZE_COUNT,
};

static const unsigned sizes[SIZE_COUNT] = {
    [SIZE_FEW] = BENCH_HOT,
    [SIZE_ALL] = BENCH_FUNCTIONS,
};

#define CASES_MAX (DISCIPLINE_COUNT * SIZE_COUNT)

struct lookups {
    unsigned count;
    struct subject subject[CASES_MAX]; /* per discipline one of each size */
    struct bench_case cases[CASES_MAX];
};

static void lookups_init(struct lookups *lookups, unsigned discipline_count)
{
    *lookups = (struct lookups){.count = discipline_count * SIZE_COUNT};
    for (unsigned i = 0; i < lookups->count; i++) {
        lookups->subject[i].discipline = disciplines[i / SIZE_COUNT];
        lookups->subject[i].devices = sizes[i % SIZE_COUNT];
        lookups->cases[i].run = subject_lookup;
        lookups->cases[i].context = &lookups->subject[i];
    }
}

static int lookups_measure(struct bench *bench, struct lookups *lookups)
{
    int error = 0;

    for (unsigned i = 0; i < lookups->count && !error; i++) {
        bench_progress(bench, "lookup: filling registries", i, lookups->count);
        error = subject_create(&lookups->subject[i]);
    }
    if (!error)
        error = bench_interleave(bench, "lookup", lookups->cases, lookups->count);
    for (unsigned i = 0; i < lookups->count; i++)
        subject_destroy(&lookups->subject[i]);
    return error;
}

static void lookups_report(struct bench *bench, const struct lookups *lookups)
{
    const struct bench_case *core = lookups->cases; /* the first discipline's */
    struct series flatness = series_ratio(&core[SIZE_ALL].ns, &core[SIZE_FEW].ns);

    for (unsigned i = 0; i < SIZE_COUNT; i++)
        bench_report(bench, "lookup_get_put_ns", json_pack("{s:i}", "devices", (int)sizes[i]),
                     &core[i].ns);
    bench_report(bench, "lookup_flatness", json_object(), &flatness);
    for (unsigned i = 0; i < lookups->count; i++)
        bench_report(bench, "discipline_lookup_get_put_ns",
                     subject_params(&lookups->subject[i], lookups->subject[i].devices),
                     &lookups->cases[i].ns);
}

int figures_lookup(struct bench *bench)
{
    bool compare = bench_wants(bench, "discipline_lookup_get_put_ns");
    struct lookups lookups;
    int error;

    lookups_init(&lookups, compare ? DISCIPLINE_COUNT : 1);
    error = lookups_measure(bench, &lookups);
    if (!error)
        lookups_report(bench, &lookups);
    return error;
}
