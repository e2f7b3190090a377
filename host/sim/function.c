/* SPDX-License-Identifier: MIT */
/*
 * Finding functions, and whether they answer.
 */
#include <berth_port.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

struct sim_function *sim_find(const struct sim *sim, struct sbdf sbdf)
{
    uint32_t key = sbdf_key(sbdf);
    uint32_t i = key * 0x9e3779b1u & sim->hash_mask;

    for (; sim->hash[i]; i = (i + 1) & sim->hash_mask)
        if (sbdf_key(sim->functions[sim->hash[i] - 1].sbdf) == key)
            return &sim->functions[sim->hash[i] - 1];
    return NULL;
}

void sim_for_range(struct sim *sim, uint32_t first, uint32_t last, sim_visit_fn *visit,
                   uint64_t now)
{
    uint32_t low = 0, high = sim->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (sbdf_key(sim->functions[sim->order[middle]].sbdf) < first)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < sim->count; low++) {
        struct sim_function *f = &sim->functions[sim->order[low]];

        if (sbdf_key(f->sbdf) > last)
            return;
        visit(sim, f, now);
    }
}

void sim_for_behind(struct sim *sim, const struct sim_function *bridge, sim_visit_fn *visit,
                    uint64_t now)
{
    uint32_t buses = bridge->captured[PCI_PRIMARY_BUS / 4];
    uint32_t segment = (uint32_t)bridge->sbdf.segment << 16;
    uint32_t secondary = buses >> 8 & 0xff, subordinate = buses >> 16 & 0xff;

    /* Firmware numbers buses downwards (PCI-to-PCI Bridge 1.2, 12.1.2.2); a capture that says
     * otherwise must not lead back up, where locks are held. */
    if (secondary > bridge->sbdf.bus && subordinate >= secondary)
        sim_for_range(sim, segment | secondary << 8, segment | subordinate << 8 | 0xff, visit, now);
}

uint8_t sim_header_type(const struct sim_function *f)
{
    return sim_word(f, PCI_CACHE_LINE_SIZE) >> 16 & 0x7f;
}

bool sim_is_bridge(const struct sim_function *f)
{
    uint8_t type = sim_header_type(f);

    return !f->pf && (type == PCI_HEADER_TYPE_BRIDGE || type == PCI_HEADER_TYPE_CARDBUS);
}

int sim_pcie_type(const struct sim_function *f)
{
    if (!f->at[SIM_CAP_PCIE])
        return -1;
    return (int)(sim_word(f, f->at[SIM_CAP_PCIE]) >> 20 & 0xf);
}

unsigned sim_power_state(const struct sim_function *f)
{
    if (!f->at[SIM_CAP_PM])
        return 0;
    return sim_word(f, f->at[SIM_CAP_PM] + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK;
}

bool sim_can_master(const struct sim_function *f)
{
    for (; f; f = f->parent)
        if (sim_power_state(f) || !(sim_word(f, PCI_COMMAND) & PCI_COMMAND_MASTER))
            return false;
    return true;
}

/* ---- does it answer? ---- */

/* VFs are plugged in with their PF. */
static bool is_in(const struct sim_function *f)
{
    return atomic_load(&f->present) && (!f->pf || atomic_load(&f->pf->present));
}

bool sim_vf_enabled(const struct sim_function *f)
{
    /* Pairs with the store in sim_vfs_update(). */
    return !f->pf ||
           f->vf_index < atomic_load_explicit(&f->pf->sriov->enabled, memory_order_acquire);
}

bool sim_plugged(const struct sim_function *f)
{
    if (!sim_vf_enabled(f))
        return false;
    for (; f; f = f->parent)
        if (!is_in(f))
            return false;
    return true;
}

static bool resetting(const struct sim_function *f)
{
    uint64_t at = atomic_load(&f->answers_at);

    return at && (at == SIM_NEVER || port_now_ns() < at);
}

/* Whether a bridge lets configuration requests for @bus through, by the numbers in it now. A
 * bridge in D3hot forwards none: PCI PM 1.2, 4.7.1. */
static bool routes(const struct sim_function *bridge, uint8_t bus, bool directly)
{
    uint32_t buses = sim_word(bridge, PCI_PRIMARY_BUS);
    uint8_t secondary = (uint8_t)(buses >> 8), subordinate = (uint8_t)(buses >> 16);

    if (sim_power_state(bridge) == 3)
        return false;
    if (directly)
        return bus == secondary;
    return bus >= secondary && bus <= subordinate;
}

static enum sim_answer own_answer(const struct sim_function *f)
{
    if (!is_in(f))
        return SIM_ANSWER_GONE;
    if (!sim_vf_enabled(f))
        return SIM_ANSWER_OFF;
    return resetting(f) ? SIM_ANSWER_RESETTING : SIM_ANSWER_YES;
}

enum sim_answer sim_answer(const struct sim_function *f)
{
    enum sim_answer answer = own_answer(f);
    bool directly = !f->pf; /* VFs may have spilled over to higher buses */

    for (const struct sim_function *b = f->parent; b && answer == SIM_ANSWER_YES; b = b->parent) {
        answer = own_answer(b);
        if (answer == SIM_ANSWER_YES && !routes(b, f->sbdf.bus, directly))
            answer = SIM_ANSWER_OFF;
        directly = false;
    }
    return answer;
}
