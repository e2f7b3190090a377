/* SPDX-License-Identifier: MIT */
/* Adding all functions of a segment. */
#include <errno.h>

#include <berth/pcidev.h>

#include "bench/figures.h"
#include "bench/host.h"

#define DEVICES_FEW 4096u

static int time_to_add(unsigned devices, double *seconds)
{
    struct bench_host *host = bench_host_create();
    struct berth_machine *machine = NULL;
    int error = host ? bench_machine_create(host, &machine) : -ENOMEM;
    uint64_t begin = bench_now_ns();

    for (uint32_t key = 0; key < devices && !error; key++)
        error = pcidev_add(machine, sbdf_from_key(key), NULL, NULL);
    *seconds = (double)(bench_now_ns() - begin) / 1e9;
    if (!error && berth_machine_count(machine) != devices)
        error = -EIO;
    berth_machine_destroy(machine);
    bench_host_destroy(host);
    return error;
}

int figures_add(struct bench *bench)
{
    struct series few = {.count = 0}, all = {.count = 0}, ratio;
    double seconds;
    int error = 0;

    for (unsigned round = 0; round < bench->slow_rounds && !error; round++) {
        bench_progress(bench, "add", round, bench->slow_rounds);
        error = time_to_add(DEVICES_FEW, &seconds);
        series_add(&few, seconds);
        if (!error)
            error = time_to_add(BENCH_FUNCTIONS, &seconds);
        series_add(&all, seconds);
    }
    if (error)
        return error;
    ratio = series_ratio(&all, &few);
    bench_report(bench, "add_65536_s", json_object(), &all);
    bench_report(bench, "add_linearity", json_object(), &ratio);
    return 0;
}
