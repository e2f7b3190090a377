/* SPDX-License-Identifier: MIT */
/* A guest's accesses to config space, from its own address of a device on. */
#include <errno.h>

#include "bench/figures.h"
#include "bench/scaling.h"
#include "bench/vpci_rig.h"

/* ---- one virtual CPU, few devices and many ---- */

static const unsigned sizes[] = {1, 32, 256, 4096};

#define SIZE_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static int read_run(void *context, uint64_t count)
{
    struct vpci_rig *rig = context;

    return vpci_reads(rig, rig->at[0], count) == count ? 0 : -EIO;
}

/* The figures themselves, the slowest against the fastest: in one round alone the four of them are
 * as far apart as whatever else the machine does. */
static struct series spread_of(const struct bench_case *cases)
{
    double least = series_median(&cases[0].ns), most = least;
    struct series spread = {.count = 0};

    for (unsigned i = 1; i < SIZE_COUNT; i++) {
        double value = series_median(&cases[i].ns);

        least = value < least ? value : least;
        most = value > most ? value : most;
    }
    if (least > 0)
        series_add(&spread, most / least);
    return spread;
}

static void reads_report(struct bench *bench, const struct bench_case *cases)
{
    struct series spread = spread_of(cases);

    for (unsigned i = 0; i < SIZE_COUNT; i++)
        bench_report(bench, "config_read_ns", json_pack("{s:i}", "devices", (int)sizes[i]),
                     &cases[i].ns);
    bench_report(bench, "config_read_spread", json_object(), &spread);
}

int figures_vpci_read(struct bench *bench)
{
    struct vpci_rig rigs[SIZE_COUNT] = {{0}};
    struct bench_case cases[SIZE_COUNT] = {{0}};
    int error = 0;

    for (unsigned i = 0; i < SIZE_COUNT && !error; i++) {
        bench_progress(bench, "config reads: lending", i, SIZE_COUNT);
        cases[i] = (struct bench_case){.run = read_run, .context = &rigs[i]};
        error = vpci_rig_create(&rigs[i], sizes[i]);
    }
    if (!error)
        error = bench_interleave(bench, "config reads", cases, SIZE_COUNT);
    if (!error)
        reads_report(bench, cases);
    for (unsigned i = 0; i < SIZE_COUNT; i++)
        vpci_rig_destroy(&rigs[i]);
    return error;
}

/* ---- two virtual CPUs of one guest ---- */

typedef uint64_t access_fn(struct vpci_rig *rig, const struct sbdf at[VPCI_HOT], uint64_t count);

static const struct {
    const char *figure;
    const char *access;
    access_fn *run;
    bool same; /* both at one device */
} pairs[] = {
    {"config_read_mops_2t", "read", vpci_reads, false},
    {"config_write_mops_2t", "write", vpci_writes, false},
    {"config_read_same_device_2t", "read-same-device", vpci_reads, true},
};

#define PAIR_COUNT (sizeof(pairs) / sizeof(pairs[0]))

struct vcpu {
    struct vpci_rig *rig;
    access_fn *run;
    struct sbdf at[VPCI_HOT];
};

static uint64_t vcpu_run(void *context, uint64_t count)
{
    struct vcpu *vcpu = context;

    return vcpu->run(vcpu->rig, vcpu->at, count);
}

struct pair_series {
    struct series ratio, alone, together; /* the rates in millions per second */
};

static int pair_round(const struct bench *bench, struct vpci_rig *rig, unsigned pair,
                      struct pair_series *series)
{
    struct vcpu vcpus[SCALING_THREADS];
    struct scaling_work work[SCALING_THREADS];
    struct scaling_rates rates;
    int error;

    for (unsigned i = 0; i < SCALING_THREADS; i++) {
        vcpus[i] = (struct vcpu){.rig = rig, .run = pairs[pair].run};
        for (unsigned k = 0; k < VPCI_HOT; k++)
            vcpus[i].at[k] = pairs[pair].same ? rig->at[0][0] : rig->at[i][k];
        work[i] = (struct scaling_work){.run = vcpu_run, .context = &vcpus[i]};
    }
    error = scaling_round(bench, work, &rates);
    if (error)
        return error;
    series_add(&series->ratio, rates.together / rates.alone);
    series_add(&series->alone, rates.alone * 1000);
    series_add(&series->together, rates.together * 1000);
    return 0;
}

static int pairs_measure(const struct bench *bench, struct vpci_rig *rig,
                         struct pair_series series[PAIR_COUNT])
{
    int error = 0;

    for (unsigned round = 0; round < bench->rounds && !error; round++) {
        bench_progress(bench, "two virtual CPUs", round, bench->rounds);
        for (unsigned i = 0; i < PAIR_COUNT && !error; i++)
            error = pair_round(bench, rig, i, &series[i]);
    }
    return error;
}

static void pairs_report(struct bench *bench, const struct pair_series series[PAIR_COUNT])
{
    bool possible = bench->cpu_count >= SCALING_THREADS;

    for (unsigned i = 0; i < PAIR_COUNT; i++)
        bench_report(bench, pairs[i].figure, json_object(), possible ? &series[i].ratio : NULL);
    for (unsigned i = 0; i < PAIR_COUNT; i++) {
        bench_report(bench, "config_mops",
                     json_pack("{s:s, s:i}", "access", pairs[i].access, "vcpus", 1),
                     possible ? &series[i].alone : NULL);
        bench_report(bench, "config_mops",
                     json_pack("{s:s, s:i}", "access", pairs[i].access, "vcpus", 2),
                     possible ? &series[i].together : NULL);
    }
}

int figures_vpci_scaling(struct bench *bench)
{
    struct pair_series series[PAIR_COUNT] = {0};
    struct vpci_rig rig = {0};
    int error = vpci_rig_create(&rig, VPCI_CPUS * VPCI_HOT);

    if (!error && bench->cpu_count >= SCALING_THREADS)
        error = pairs_measure(bench, &rig, series);
    if (!error)
        pairs_report(bench, series);
    vpci_rig_destroy(&rig);
    return error;
}

/* ---- memory ---- */

#define MEMORY_DEVICES 256u

int figures_vpci_memory(struct bench *bench)
{
    struct series bytes = {.count = 0};
    struct vpci_rig rig = {0};
    int error = vpci_rig_create(&rig, MEMORY_DEVICES);
    double all = error ? 0 : vpci_view_bytes(&rig);

    if (rig.heap_bytes > all) /* a sanitizer's allocator keeps no account */
        all = rig.heap_bytes;
    series_add(&bytes, all / MEMORY_DEVICES);
    if (!error)
        bench_report(bench, "vpci_bytes_per_device", json_pack("{s:i}", "vectors", BENCH_VECTORS),
                     &bytes);
    vpci_rig_destroy(&rig);
    return error;
}
