/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine as the core's host: claims, config space, reserved regions.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>
#include <berth_port.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

/* A claim is the function's index above the generation that it was claimed in. */
#define CLAIM_INDEX_SHIFT 32
#define CLAIMED 1u

static berth_claim make_claim(const struct sim_function *f, uint64_t state)
{
    return (uint64_t)f->index << CLAIM_INDEX_SHIFT | (uint32_t)(state >> 1);
}

static struct sim_function *claim_function(struct sim *sim, berth_claim claim)
{
    uint64_t index = claim >> CLAIM_INDEX_SHIFT;

    return index < sim->count ? &sim->functions[index] : NULL;
}

static bool claim_is_out(const struct sim_function *f, berth_claim claim)
{
    uint64_t state = atomic_load(&f->claim);

    return (state & CLAIMED) && make_claim(f, state) == claim;
}

static void count_stale(struct sim *sim, berth_claim claim)
{
    struct sim_function *f = claim_function(sim, claim);

    sim_count(f ? &f->tally.after_release : &sim->strays.after_release);
}

struct sim_function *sim_claimed(struct sim *sim, berth_claim claim)
{
    struct sim_function *f = claim_function(sim, claim);

    if (f && claim_is_out(f, claim))
        return f;
    count_stale(sim, claim);
    return NULL;
}

static int op_claim(void *host, struct sbdf sbdf, berth_claim *claim)
{
    struct sim *sim = host;
    struct sim_function *f = sim_find(sim, sbdf);
    int error = sim_planned(sim, SIM_OP_CLAIM);
    uint64_t state, next;

    if (error)
        return error;
    if (!f || !sim_plugged(f))
        return -ENODEV;
    state = atomic_load(&f->claim);
    do {
        if (state & CLAIMED)
            return -EBUSY;
        next = (uint64_t)(uint32_t)(state / 2 + 1) * 2 | CLAIMED;
    } while (!atomic_compare_exchange_weak(&f->claim, &state, next));
    sim_count(&sim->claim_count);
    *claim = make_claim(f, next);
    return 0;
}

static void op_release(void *host, berth_claim claim)
{
    struct sim *sim = host;
    struct sim_function *f = sim_claimed(sim, claim);
    uint64_t state = (claim & UINT32_MAX) << 1 | CLAIMED;

    if (!f)
        return;
    if (atomic_compare_exchange_strong(&f->claim, &state, state & ~(uint64_t)CLAIMED))
        atomic_fetch_sub(&sim->claim_count, 1);
    else
        count_stale(sim, claim);
}

/* ---- config space ---- */

static void take_time(const struct sim *sim)
{
    uint64_t end;

    if (!sim->options.config_ns)
        return;
    end = port_now_ns() + sim->options.config_ns;
    while (port_now_ns() < end)
        port_relax(0);
}

static bool is_access(unsigned reg, unsigned length)
{
    return (length == 1 || length == 2 || length == 4) && reg % length == 0 && reg + length <= 4096;
}

/* Polling means reading ids or command and status: a VF has no vendor id that could be polled. */
static bool config_answers(struct sim_function *f, bool polling)
{
    switch (sim_answer(f)) {
    case SIM_ANSWER_YES:
        return true;
    case SIM_ANSWER_GONE:
        sim_count(&f->tally.vanished);
        return false;
    case SIM_ANSWER_RESETTING:
        if (!polling)
            sim_count(&f->tally.resetting);
        return false;
    default:
        return false;
    }
}

/* Conventional config space reads zero where nothing is, and nothing answers above it: PCI Local
 * Bus 3.0, 6.1, and PCIe 7.2. */
static uint32_t backed_word(const struct sim_function *f, unsigned reg)
{
    if (f->aliased)
        reg &= 0xff;
    if (reg < f->size)
        return sim_word(f, reg & ~3u);
    return reg < 256 ? 0 : UINT32_MAX;
}

static int op_config_read(void *host, berth_claim claim, unsigned reg, unsigned length,
                          uint32_t *value)
{
    struct sim *sim = host;
    struct sim_function *f = sim_claimed(sim, claim);
    uint32_t ones;
    int error;

    if (!is_access(reg, length))
        return -EINVAL;
    ones = UINT32_MAX >> (32 - 8 * length);
    *value = ones;
    error = sim_planned(sim, SIM_OP_CONFIG_READ);
    sim_count(f ? &f->tally.reads : &sim->strays.reads);
    if (error || !f)
        return error;
    take_time(sim);
    sim_vanish_tick(sim, f);
    if (config_answers(f, reg < 8))
        *value = backed_word(f, reg) >> 8 * (reg & 3) & ones;
    return 0;
}

static int op_config_write(void *host, berth_claim claim, unsigned reg, unsigned length,
                           uint32_t value)
{
    struct sim *sim = host;
    struct sim_function *f = sim_claimed(sim, claim);
    unsigned shift = 8 * (reg & 3);
    uint64_t now;
    int error;

    if (!is_access(reg, length))
        return -EINVAL;
    error = sim_planned(sim, SIM_OP_CONFIG_WRITE);
    sim_count(f ? &f->tally.writes : &sim->strays.writes);
    if (error || !f)
        return error;
    take_time(sim);
    sim_vanish_tick(sim, f);
    if (!config_answers(f, false))
        return 0;
    if (f->aliased)
        reg &= 0xff;
    if (reg >= f->size)
        return 0;
    now = port_now_ns();
    pthread_mutex_lock(&f->lock);
    sim_registers_write(sim, f, reg & ~3u, value << shift, UINT32_MAX >> (32 - 8 * length) << shift,
                        now);
    pthread_mutex_unlock(&f->lock);
    sim_interrupts_flush(sim, f);
    return 0;
}

/* ---- what firmware says ---- */

int sim_set_reserved(struct sim *sim, struct sbdf sbdf, const struct berth_reserved *list,
                     unsigned count)
{
    struct sim_function *f = sim_find(sim, sbdf);
    struct berth_reserved *copy;

    if (!f)
        return -ENODEV;
    if (count > BERTH_RESERVED_MAX)
        return -EINVAL;
    copy = calloc(BERTH_RESERVED_MAX, sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    memcpy(copy, list, count * sizeof(*list));
    pthread_mutex_lock(&f->lock);
    free(f->reserved);
    f->reserved = copy;
    f->reserved_count = count;
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int op_reserved(void *host, berth_claim claim, struct berth_reserved *list)
{
    struct sim *sim = host;
    struct sim_function *f = sim_claimed(sim, claim);
    int error = sim_planned(sim, SIM_OP_RESERVED);
    unsigned count;

    if (error)
        return error;
    if (!f)
        return -EIO;
    pthread_mutex_lock(&f->lock);
    count = f->reserved_count;
    if (count)
        memcpy(list, f->reserved, count * sizeof(*list));
    pthread_mutex_unlock(&f->lock);
    return (int)count;
}

/* What firmware wired, not what somebody has written into the register since. */
static int captured_line(const struct sim_function *f)
{
    uint32_t word = f->captured[PCI_INTERRUPT_LINE / 4];
    uint32_t line = word & 0xff;

    return word >> 8 & 0xff && line && line != 0xff ? (int)line : -1;
}

static void op_describe(void *host, berth_claim claim, struct berth_function_facts *facts)
{
    struct sim *sim = host;
    struct sim_function *f = sim_claimed(sim, claim);

    if (!f)
        return;
    facts->numa_node = f->numa_node;
    facts->interrupt_line = captured_line(f);
    facts->has_reset = sim_has_reset(f);
    if (f->pf) {
        facts->is_vf = true;
        facts->pf = f->pf->sbdf;
    }
}

const struct berth_host_ops sim_host_ops = {
    .claim = op_claim,
    .release = op_release,
    .config_read = op_config_read,
    .config_write = op_config_write,
    .reset = sim_op_reset,
    .reserved = op_reserved,
    .describe = op_describe,
};
