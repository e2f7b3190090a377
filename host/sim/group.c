/* SPDX-License-Identifier: MIT */
/*
 * Isolation groups: functions which can reach each other without passing the IOMMU have the same.
 *
 * The group is the capture's where it has one. Otherwise every group has a leader, found by going
 * up from the function; whoever has the same leader shares the group. The leader moves
 *
 *   - to the lowest function of the device, where the device has several that are no VFs, and this
 *     one has no ACS to keep it from its neighbours (PCIe 6.12.1.2);
 *   - to a root or downstream port without ACS: what is behind it can be reached around it;
 *   - to a bridge to conventional PCI, a bus on which everybody hears everybody.
 */
#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define ACS_FUNCTION (PCI_ACS_RR | PCI_ACS_CR)
#define ACS_PORT (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

/* ACS counts when it is enabled, not when it could be. */
static bool has_acs(const struct sim_function *f, unsigned bits)
{
    unsigned at = f->at[SIM_CAP_ACS];

    return at && (sim_word(f, at + PCI_ACS_CAP) >> 16 & bits) == bits;
}

static const struct sim_function *slot_leader(const struct sim *sim, const struct sim_function *f)
{
    struct sbdf s = f->sbdf;

    if (f->pf || has_acs(f, ACS_FUNCTION))
        return f;
    for (s.devfn &= ~7u; s.devfn != f->sbdf.devfn; s.devfn++) {
        const struct sim_function *other = sim_find(sim, s);

        if (other && !other->pf)
            return other;
    }
    return f;
}

static bool leaks(const struct sim_function *bridge)
{
    switch (sim_pcie_type(bridge)) {
    case PCI_EXP_TYPE_ROOT_PORT:
    case PCI_EXP_TYPE_DOWNSTREAM:
        return !has_acs(bridge, ACS_PORT);
    case PCI_EXP_TYPE_UPSTREAM:
    case PCI_EXP_TYPE_PCIE_BRIDGE:
        return false;
    default:
        return true;
    }
}

static const struct sim_function *leader(const struct sim *sim, const struct sim_function *f)
{
    const struct sim_function *top = slot_leader(sim, f);

    for (const struct sim_function *b = f->parent; b; b = b->parent)
        if (leaks(b))
            top = slot_leader(sim, b);
    return top;
}

int sim_op_group(void *iommu, struct sbdf rid, uint32_t *group)
{
    struct sim *sim = iommu;
    const struct sim_function *f = sim_function_of_rid(sim, rid);

    if (!f || !sim_vf_enabled(f))
        return -ENODEV;
    if (f->captured_group < 0)
        f = leader(sim, f);
    *group =
        f->captured_group >= 0 ? (uint32_t)f->captured_group : sim->first_free_group + f->index;
    return 0;
}
