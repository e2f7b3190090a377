/* SPDX-License-Identifier: MIT */
/* Eight devices of the simulated machine that take 100 ms to reset, assigned at once. */
#include <errno.h>
#include <stdlib.h>

#include <berth/pcidev.h>

#include "bench/figures.h"
#include "host/sim/sim.h"

#define DEVICES 8u
#define CONFIG_SIZE 256u
#define CAP_PCIE 0x40u
#define FLR_NS 100000000u

static const char tag[] = "bench";

/* ---- the machine ---- */

static void put32(struct capture_function *function, unsigned reg, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        function->config[reg + i] = (uint8_t)(value >> 8 * i);
}

/* An endpoint of the root complex with nothing but a PCIe capability that has FLR. */
static void endpoint_make(struct capture_function *function, unsigned index)
{
    *function = (struct capture_function){.sbdf = sbdf_make(0, 0, index, 0),
                                          .size = CONFIG_SIZE,
                                          .extra.numa_node = -1,
                                          .extra.iommu_group = (int)index};
    put32(function, 0x00, 0x00051b36);       /* ids */
    put32(function, 0x04, 0x00100000);       /* status: there are capabilities */
    put32(function, 0x08, 0x00ff0001);       /* class, revision */
    put32(function, 0x34, CAP_PCIE);         /* the first capability */
    put32(function, CAP_PCIE, 0x00920010);   /* PCIe, version 2, root complex endpoint */
    put32(function, CAP_PCIE + 4, 1u << 28); /* DevCap: FLR */
}

struct rig {
    struct sim *sim;
    struct berth_machine *machine;
    struct berth_domain *guest;
    struct pcidev *dev[DEVICES];
};

static int sim_make(struct sim **sim)
{
    const struct sim_options options = {.flr_ns = FLR_NS};
    struct capture_function *functions = calloc(DEVICES, sizeof(*functions));
    const struct capture capture = {.functions = functions, .count = DEVICES};
    struct capture_error why;
    int error;

    if (!functions)
        return -ENOMEM;
    for (unsigned i = 0; i < DEVICES; i++)
        endpoint_make(&functions[i], i);
    error = sim_create(&capture, &options, sim, &why);
    free(functions);
    return error;
}

static int rig_fill(struct rig *rig)
{
    int error = berth_domain_create(rig->machine, "guest", NULL, NULL, &rig->guest);

    for (unsigned i = 0; i < DEVICES && !error; i++) {
        const struct sbdf sbdf = sbdf_make(0, 0, i, 0);

        error = pcidev_add(rig->machine, sbdf, NULL, NULL);
        if (!error)
            rig->dev[i] = pcidev_find(rig->machine, sbdf, tag);
    }
    return error;
}

static int rig_create(struct rig *rig)
{
    struct berth_machine_config config = {.host = &sim_host_ops, .iommu = &sim_iommu_ops};
    int error;

    *rig = (struct rig){.sim = NULL};
    error = sim_make(&rig->sim);
    if (error)
        return error;
    config.host_context = rig->sim;
    config.iommu_context = rig->sim;
    error = berth_machine_create(&config, &rig->machine);
    return error ? error : rig_fill(rig);
}

static void rig_destroy(struct rig *rig)
{
    for (unsigned i = 0; i < DEVICES; i++)
        pcidev_put(rig->dev[i], tag);
    berth_domain_put(rig->guest);
    berth_machine_destroy(rig->machine);
    sim_destroy(rig->sim);
}

/* ---- the work ---- */

struct move {
    struct pcidev *dev;
    struct berth_domain *guest;
};

static int move_in(void *context)
{
    const struct move *move = context;

    return pcidev_assign(move->dev, move->guest, NULL);
}

static int move_out(void *context)
{
    const struct move *move = context;

    return pcidev_deassign(move->dev, move->guest, NULL);
}

/* All devices at once, from a thread each. */
static int move_all(struct rig *rig, int (*work)(void *context), double *ms)
{
    struct move moves[DEVICES];
    struct bench_lane lanes[DEVICES];
    uint64_t begin = UINT64_MAX, end = 0;
    int error;

    for (unsigned i = 0; i < DEVICES; i++) {
        moves[i] = (struct move){.dev = rig->dev[i], .guest = rig->guest};
        lanes[i] = (struct bench_lane){.cpu = -1, .work = work, .context = &moves[i]};
    }
    error = bench_lanes_run(lanes, DEVICES);
    for (unsigned i = 0; i < DEVICES; i++) {
        begin = lanes[i].begin_ns < begin ? lanes[i].begin_ns : begin;
        end = lanes[i].end_ns > end ? lanes[i].end_ns : end;
    }
    *ms = (double)(end - begin) / 1e6;
    return error;
}

static int move_one_by_one(struct rig *rig, double *ms)
{
    uint64_t begin = bench_now_ns();
    int error = 0;

    for (unsigned i = 0; i < DEVICES && !error; i++)
        error = pcidev_assign(rig->dev[i], rig->guest, NULL);
    *ms = (double)(bench_now_ns() - begin) / 1e6;
    return error;
}

static int assign_round(const struct bench *bench, struct rig *rig, struct series *parallel,
                        struct series *serial)
{
    double ms, ignored;
    int error = move_all(rig, move_in, &ms);

    series_add(parallel, ms);
    if (!error)
        error = move_all(rig, move_out, &ignored);
    if (error || !bench_wants(bench, "serial_assign_ms"))
        return error;
    error = move_one_by_one(rig, &ms);
    series_add(serial, ms);
    return error ? error : move_all(rig, move_out, &ignored);
}

int figures_assign(struct bench *bench)
{
    struct series parallel = {.count = 0}, serial = {.count = 0};
    struct rig rig;
    int error = rig_create(&rig);

    for (unsigned round = 0; round < bench->slow_rounds && !error; round++) {
        bench_progress(bench, "assign", round, bench->slow_rounds);
        error = assign_round(bench, &rig, &parallel, &serial);
    }
    if (!error) {
        bench_report(bench, "parallel_assign_ms", json_pack("{s:i}", "devices", (int)DEVICES),
                     &parallel);
        bench_report(bench, "serial_assign_ms", json_pack("{s:i}", "devices", (int)DEVICES),
                     &serial);
    }
    rig_destroy(&rig);
    return error;
}
