/* SPDX-License-Identifier: MIT */
#include "tests/unit/sim_help.h"

#include <berth_port.h>
#include <linux/pci_regs.h>

static void hear(void *context, const struct berth_irq *irq, unsigned vector)
{
    struct heard *h = context;

    h->irq = *irq;
    h->vector = vector;
    h->count++;
    h->sum += irq->first + vector;
}

void simrig_start(struct simrig *rig, const struct sim_options *options)
{
    struct capture_error error;

    port_posix_warp(true);
    if (sim_create(mb_capture(&rig->b), options, &rig->sim, &error))
        fail_msg("%s", error.text);
    rig->heard = (struct heard){.count = 0};
    sim_on_interrupt(rig->sim, hear, &rig->heard);
}

void simrig_stop(struct simrig *rig)
{
    sim_destroy(rig->sim);
    mb_free(&rig->b);
}

void simrig_wait(uint64_t ns)
{
    port_sleep_ns(ns);
}

uint32_t simrig_read(struct simrig *rig, struct sbdf sbdf, unsigned reg, unsigned length)
{
    berth_claim claim;
    uint32_t value;

    assert_int_equal(sim_host_ops.claim(rig->sim, sbdf, &claim), 0);
    assert_int_equal(sim_host_ops.config_read(rig->sim, claim, reg, length, &value), 0);
    sim_host_ops.release(rig->sim, claim);
    return value;
}

void simrig_write(struct simrig *rig, struct sbdf sbdf, unsigned reg, unsigned length,
                  uint32_t value)
{
    berth_claim claim;

    assert_int_equal(sim_host_ops.claim(rig->sim, sbdf, &claim), 0);
    assert_int_equal(sim_host_ops.config_write(rig->sim, claim, reg, length, value), 0);
    sim_host_ops.release(rig->sim, claim);
}

void simrig_update(struct simrig *rig, struct sbdf sbdf, unsigned reg, uint32_t clear, uint32_t set)
{
    simrig_write(rig, sbdf, reg, 2, (simrig_read(rig, sbdf, reg, 2) & ~clear) | set);
}

bool simrig_silent(struct simrig *rig, struct sbdf sbdf)
{
    return simrig_read(rig, sbdf, PCI_COMMAND, 4) == ONES;
}

static const struct capture_function *find(struct simrig *rig, struct sbdf sbdf)
{
    const struct capture *capture = mb_capture(&rig->b);

    for (size_t i = 0; i < capture->count; i++)
        if (sbdf_equal(capture->functions[i].sbdf, sbdf))
            return &capture->functions[i];
    fail_msg("no such function in the machine");
    return NULL;
}

unsigned simrig_cap(struct simrig *rig, struct sbdf sbdf, uint8_t id)
{
    unsigned reg = mb_find_cap(find(rig, sbdf), id);

    assert_int_not_equal(reg, 0);
    return reg;
}

unsigned simrig_ext_cap(struct simrig *rig, struct sbdf sbdf, uint16_t id)
{
    unsigned reg = mb_find_ext_cap(find(rig, sbdf), id);

    assert_int_not_equal(reg, 0);
    return reg;
}

struct berth_message simrig_bind(struct simrig *rig, const struct berth_irq *irq)
{
    struct berth_message message = {0};

    assert_int_equal(sim_irq_ops.bind(rig->sim, irq, &message), 0);
    return message;
}

enum sim_irq_result simrig_raise(struct simrig *rig, struct sbdf sbdf, unsigned vector)
{
    enum sim_irq_result result;

    assert_int_equal(sim_raise(rig->sim, sbdf, vector, &result), 0);
    return result;
}

struct sim_counters simrig_counters(struct simrig *rig)
{
    struct sim_counters counters;

    sim_counters(rig->sim, &counters);
    return counters;
}
