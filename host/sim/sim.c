/* SPDX-License-Identifier: MIT */
/*
 * The machine as a whole: making it, walking it, counting what happened in it.
 */
#include <stdlib.h>

#include <berth/errno.h>

#include "host/sim/sim_internal.h"

#define MS UINT64_C(1000000)

static void set_default(uint64_t *option, uint64_t value)
{
    if (!*option)
        *option = value;
}

/* PCIe 6.6.1, 6.6.2, SR-IOV 3.3.3.1: 100 ms; PCI PM 1.2, 5.6.1: 10 ms. */
static void set_options(struct sim *sim, const struct sim_options *options)
{
    if (options)
        sim->options = *options;
    set_default(&sim->options.flr_ns, 100 * MS);
    set_default(&sim->options.bus_reset_ns, 100 * MS);
    set_default(&sim->options.pm_reset_ns, 10 * MS);
    set_default(&sim->options.vf_enable_ns, 100 * MS);
}

int sim_create(const struct capture *capture, const struct sim_options *options, struct sim **sim,
               struct capture_error *error)
{
    struct sim *s = calloc(1, sizeof(*s));
    int result;

    if (!s)
        return -ENOMEM;
    pthread_mutex_init(&s->hotplug, NULL);
    pthread_mutex_init(&s->iommu_lock, NULL);
    set_options(s, options);
    result = sim_build(s, capture, error);
    if (!result)
        result = sim_iommu_create(s);
    if (!result)
        result = sim_remap_create(s);
    if (result) {
        sim_destroy(s);
        return result;
    }
    *sim = s;
    return 0;
}

void sim_destroy(struct sim *sim)
{
    if (!sim)
        return;
    sim_remap_destroy(sim);
    sim_iommu_destroy(sim);
    sim_build_free(sim);
    pthread_mutex_destroy(&sim->iommu_lock);
    pthread_mutex_destroy(&sim->hotplug);
    free(sim);
}

/* ---- what is there ---- */

int sim_enumerate(struct sim *sim, int (*visit)(void *context, struct sbdf sbdf), void *context)
{
    int result = 0;

    for (uint32_t i = 0; i < sim->count && !result; i++) {
        const struct sim_function *f = &sim->functions[sim->order[i]];

        if (sim_answer(f) == SIM_ANSWER_YES)
            result = visit(context, f->sbdf);
    }
    return result;
}

bool sim_present(struct sim *sim, struct sbdf sbdf)
{
    const struct sim_function *f = sim_find(sim, sbdf);

    return f && sim_plugged(f);
}

/* ---- counters ---- */

static void add_tally(struct sim_counters *c, const struct sim_tally *t)
{
    c->config_reads += atomic_load(&t->reads);
    c->config_writes += atomic_load(&t->writes);
    c->bar_reads += atomic_load(&t->bar_reads);
    c->bar_writes += atomic_load(&t->bar_writes);
    c->touches_after_release += atomic_load(&t->after_release);
    c->touches_vanished += atomic_load(&t->vanished);
    c->touches_resetting += atomic_load(&t->resetting);
    c->bar_decode_off += atomic_load(&t->decode_off);
}

void sim_counters(struct sim *sim, struct sim_counters *counters)
{
    *counters = (struct sim_counters){
        .dma_faults = atomic_load(&sim->dma_faults),
        .dma_stale = atomic_load(&sim->dma_stale),
        .interrupts_delivered = atomic_load(&sim->interrupts_delivered),
        .interrupts_blocked = atomic_load(&sim->interrupts_blocked),
        .interrupts_forged = atomic_load(&sim->interrupts_forged),
        .bindings = atomic_load(&sim->binding_count),
        .bindings_misused = atomic_load(&sim->bindings_misused),
        .contexts = atomic_load(&sim->context_count),
        .spaces = atomic_load(&sim->space_count),
        .mappings = atomic_load(&sim->mapping_count),
        .claims = atomic_load(&sim->claim_count),
        .ats_enabled = atomic_load(&sim->ats_enabled),
        .attach_gaps = atomic_load(&sim->attach_gaps),
        .spaces_freed_in_use = atomic_load(&sim->spaces_freed_in_use),
    };
    add_tally(counters, &sim->strays);
    for (uint32_t i = 0; i < sim->count; i++)
        add_tally(counters, &sim->functions[i].tally);
}

void sim_function_counters(struct sim *sim, struct sbdf sbdf, struct sim_counters *counters)
{
    const struct sim_function *f = sim_find(sim, sbdf);

    *counters = (struct sim_counters){0};
    if (f)
        add_tally(counters, &f->tally);
}
