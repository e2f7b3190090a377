/* SPDX-License-Identifier: MIT */
/* What a device takes: the object, and all that the core allocates for it. */
#include <errno.h>
#include <malloc.h>

#include <berth/pcidev.h>

#include "bench/figures.h"
#include "bench/host.h"

#define DEVICES 4096u

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* The host allocates nothing after its creation: what the heap gains is the core's. */
static int heap_per_device(double *bytes)
{
    struct bench_host *host = bench_host_create();
    struct berth_machine *machine = NULL;
    int error = host ? bench_machine_create(host, &machine) : -ENOMEM;
    size_t before = heap_bytes();

    for (uint32_t key = 0; key < DEVICES && !error; key++)
        error = pcidev_add(machine, sbdf_from_key(key), NULL, NULL);
    *bytes = (double)(heap_bytes() - before) / DEVICES;
    berth_machine_destroy(machine);
    bench_host_destroy(host);
    return error;
}

int figures_memory(struct bench *bench)
{
    struct series object = {.count = 0}, heap = {.count = 0};
    double bytes;
    int error = 0;

    series_add(&object, (double)pcidev_object_size());
    bench_report(bench, "bytes_per_device", json_object(), &object);
    for (unsigned round = 0; round < bench->slow_rounds && !error; round++) {
        error = heap_per_device(&bytes);
        series_add(&heap, bytes);
    }
    /* 0: a sanitizer's allocator, which keeps no such account */
    if (!error)
        bench_report(bench, "heap_bytes_per_device", json_pack("{s:i}", "devices", (int)DEVICES),
                     series_min(&heap) > 0 ? &heap : NULL);
    return error;
}
