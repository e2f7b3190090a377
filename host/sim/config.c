/* SPDX-License-Identifier: MIT */
/*
 * What a write to config space does: bits merge by the rules, and some of them make things happen.
 */
#include <linux/pci_regs.h>

#include "host/sim/registers.h"
#include "host/sim/sim_internal.h"

struct write {
    struct sim *sim;
    uint64_t now;
    uint32_t old, merged; /* the dword before and after */
    uint32_t mask;        /* the bytes that were written */
};

/* ---- effects: they run with the function locked, after the bits have merged ---- */

static void pm_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    unsigned capable = sim_word(f, f->at[SIM_CAP_PM]) >> 16;
    unsigned before = w->old & PCI_PM_CTRL_STATE_MASK;
    unsigned after = w->merged & PCI_PM_CTRL_STATE_MASK;
    bool unsupported =
        (after == 1 && !(capable & PCI_PM_CAP_D1)) || (after == 2 && !(capable & PCI_PM_CAP_D2));

    /* PCI PM 1.2, 3.2.4: a state that is not supported is discarded, so is a rise from D3 to D1. */
    if (unsupported || (after && after < before)) {
        sim_set_word(f, reg, (w->merged & ~(uint32_t)PCI_PM_CTRL_STATE_MASK) | before);
        return;
    }
    if (before == 3 && after == 0 && !(w->merged & PCI_PM_CTRL_NO_SOFT_RESET))
        sim_reset_function(f, w->now, w->sim->options.pm_reset_ns);
}

static void pcie_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    if (reg != f->at[SIM_CAP_PCIE] + (unsigned)PCI_EXP_DEVCTL ||
        !(w->merged & PCI_EXP_DEVCTL_BCR_FLR))
        return;
    sim_set_word(f, reg, w->merged & ~(uint32_t)PCI_EXP_DEVCTL_BCR_FLR); /* reads zero */
    sim_reset_function(f, w->now, w->sim->options.flr_ns);
}

static void af_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    if (!(w->merged & PCI_AF_CTRL_FLR))
        return;
    sim_set_word(f, reg, w->merged & ~(uint32_t)PCI_AF_CTRL_FLR);
    sim_reset_function(f, w->now, w->sim->options.flr_ns);
}

static void header_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    uint32_t changed = w->old ^ w->merged;

    if (reg != PCI_INTERRUPT_LINE || !sim_is_bridge(f) ||
        !(changed >> 16 & PCI_BRIDGE_CTL_BUS_RESET))
        return;
    atomic_store(&f->contained, false); /* software has the link in its own hands now */
    sim_bus_reset(w->sim, f, w->merged >> 16 & PCI_BRIDGE_CTL_BUS_RESET, w->now);
}

static void sriov_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    if (reg == f->at[SIM_CAP_SRIOV] + (unsigned)PCI_SRIOV_CTRL)
        sim_vfs_update(w->sim, f, w->now);
}

/* PCIe 7.9.14.4: the port is contained for as long as the bit is set. */
static void dpc_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    if (reg == f->at[SIM_CAP_DPC] + (unsigned)PCI_EXP_DPC_STATUS &&
        w->old & ~w->merged & PCI_EXP_DPC_STATUS_TRIGGER)
        sim_contain_end(w->sim, f, w->now);
}

static void vpd_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    if (reg == f->at[SIM_CAP_VPD] && w->mask & sim_high(PCI_VPD_ADDR_F))
        sim_vpd_transfer(f);
}

static void rebar_written(struct sim_function *f, unsigned reg, const struct write *w)
{
    if (w->old != w->merged)
        sim_rebar_written(f, reg, w->old);
}

typedef void written_fn(struct sim_function *f, unsigned reg, const struct write *w);

static written_fn *const written[SIM_CAPS] = {
    [SIM_CAP_HEADER] = header_written, [SIM_CAP_PM] = pm_written,
    [SIM_CAP_PCIE] = pcie_written,     [SIM_CAP_AF] = af_written,
    [SIM_CAP_SRIOV] = sriov_written,   [SIM_CAP_VPD] = vpd_written,
    [SIM_CAP_REBAR] = rebar_written,   [SIM_CAP_DPC] = dpc_written,
};

/* ---- the engine ---- */

static const struct sim_rule *find_rule(const struct sim_function *f, unsigned reg,
                                        enum sim_cap *cap)
{
    for (unsigned c = 0; c < SIM_CAPS; c++) {
        struct sim_rules r = sim_rules_of(f, (enum sim_cap)c);

        for (unsigned i = 0; i < r.count; i++)
            if (f->at[c] + (unsigned)r.rules[i].offset == reg) {
                *cap = (enum sim_cap)c;
                return &r.rules[i];
            }
    }
    return NULL;
}

void sim_registers_write(struct sim *sim, struct sim_function *f, unsigned reg, uint32_t value,
                         uint32_t mask, uint64_t now)
{
    enum sim_cap cap = SIM_CAP_HEADER;
    const struct sim_rule *rule = find_rule(f, reg, &cap);
    struct write w = {.sim = sim, .now = now, .mask = mask};
    uint32_t rw;

    if (!rule)
        return;
    rw = sim_rule_limit(f, cap, rule) & mask;
    w.old = sim_word(f, reg);
    w.merged = ((w.old & ~rw) | (value & rw)) & ~(value & mask & rule->w1c);
    sim_set_word(f, reg, w.merged);
    if (written[cap])
        written[cap](f, reg, &w);
}

void sim_registers_settle(struct sim_function *f)
{
    for (unsigned c = 0; c < SIM_CAPS; c++) {
        struct sim_rules r = sim_rules_of(f, (enum sim_cap)c);

        for (unsigned i = 0; i < r.count; i++) {
            unsigned reg = f->at[c] + (unsigned)r.rules[i].offset;

            if (r.rules[i].live && reg < f->size)
                sim_set_word(f, reg, sim_word(f, reg) & ~r.rules[i].live);
        }
    }
}

static void reset_rule(struct sim_function *f, enum sim_cap cap, const struct sim_rule *rule,
                       enum sim_depth depth)
{
    unsigned reg = f->at[cap] + (unsigned)rule->offset;
    uint32_t bits = sim_rule_limit(f, cap, rule) | rule->w1c | rule->live;

    if (reg >= f->size)
        return;
    if (depth != SIM_DEPTH_COLD)
        bits &= ~rule->sticky;
    if (depth == SIM_DEPTH_FUNCTION)
        bits &= ~rule->link;
    sim_set_word(f, reg, (sim_word(f, reg) & ~bits) | (rule->initial & bits));
}

void sim_registers_reset(struct sim_function *f, enum sim_depth depth)
{
    for (unsigned c = 0; c < SIM_CAPS; c++) {
        struct sim_rules r = sim_rules_of(f, (enum sim_cap)c);

        for (unsigned i = 0; i < r.count; i++)
            reset_rule(f, (enum sim_cap)c, &r.rules[i], depth);
    }
    if (f->sriov)
        atomic_store_explicit(&f->sriov->enabled, 0, memory_order_release);
    atomic_store(&f->failed, false);
    sim_rebar_reset(f);
    sim_memory_clear(&f->bar_memory);
    sim_interrupts_reset(f);
}
