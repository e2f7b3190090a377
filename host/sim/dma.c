/* SPDX-License-Identifier: MIT */
/*
 * Who is behind a requester id, and the DMA requests that devices issue.
 */
#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

/* ---- whose requester id is it? ---- */

/* The distance of phantom functions, 0: there are none. PCIe 7.5.3.3. */
static unsigned phantom_stride(const struct sim_function *f)
{
    static const uint8_t strides[4] = {0, 4, 2, 1};
    unsigned at = f->at[SIM_CAP_PCIE];

    if (!at || f->pf)
        return 0;
    return strides[(sim_word(f, at + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_PHANTOM) >> 3];
}

static struct sim_function *function_in_slot(const struct sim *sim, struct sbdf rid)
{
    struct sbdf s = rid;
    struct sim_function *f;

    for (unsigned stride = 4; stride; stride /= 2) {
        s.devfn = (uint8_t)((rid.devfn & ~7u) | (rid.devfn & (stride - 1)));
        f = sim_find(sim, s);
        if (f && phantom_stride(f) == stride)
            return f;
    }
    /* Without a word in DevCap it is an erratum, and then function 0 is the one that has it. */
    s.devfn = rid.devfn & ~7u;
    return sim_find(sim, s);
}

static bool is_pcie_to_pci(const struct sim_function *f)
{
    return sim_is_bridge(f) && sim_pcie_type(f) == PCI_EXP_TYPE_PCI_BRIDGE;
}

static uint8_t captured_secondary(const struct sim_function *f)
{
    return (uint8_t)(f->captured[PCI_PRIMARY_BUS / 4] >> 8);
}

/* PCIe-to-PCI bridges put their secondary bus and device 0 on requests that they take over: PCI
 * Express to PCI/PCI-X Bridge 1.0, 2.3. */
static struct sim_function *bridge_of_alias(const struct sim *sim, struct sbdf rid)
{
    if (rid.devfn)
        return NULL;
    for (uint32_t i = 0; i < sim->captured_count; i++) {
        struct sim_function *f = &sim->functions[i];

        if (f->sbdf.segment == rid.segment && is_pcie_to_pci(f) && captured_secondary(f) == rid.bus)
            return f;
    }
    return NULL;
}

struct sim_function *sim_function_of_rid(const struct sim *sim, struct sbdf rid)
{
    struct sim_function *f = sim_find(sim, rid);

    if (!f)
        f = function_in_slot(sim, rid);
    return f ? f : bridge_of_alias(sim, rid);
}

/* Conventional PCI has no requester ids: what comes up through such a bridge is the bridge's. */
static bool gives_its_own_id(const struct sim_function *b)
{
    return sim_pcie_type(b) < 0 || sim_pcie_type(b) == PCI_EXP_TYPE_PCIE_BRIDGE;
}

struct sbdf sim_rid_of(const struct sim_function *f)
{
    struct sbdf rid = f->sbdf;

    for (const struct sim_function *b = f->parent; b; b = b->parent) {
        if (is_pcie_to_pci(b)) {
            rid.bus = captured_secondary(b);
            rid.devfn = 0;
        } else if (gives_its_own_id(b)) {
            rid = b->sbdf;
        }
    }
    return rid;
}

/* ---- DMA ---- */

void sim_on_fault(struct sim *sim, void (*fault)(void *context, struct sbdf rid), void *context)
{
    pthread_mutex_lock(&sim->iommu_lock);
    sim->fault = fault;
    sim->fault_context = context;
    pthread_mutex_unlock(&sim->iommu_lock);
}

static void report_fault(struct sim *sim, struct sbdf rid)
{
    void (*fault)(void *context, struct sbdf rid);
    void *context;

    sim_count(&sim->dma_faults);
    pthread_mutex_lock(&sim->iommu_lock);
    fault = sim->fault;
    context = sim->fault_context;
    pthread_mutex_unlock(&sim->iommu_lock);
    if (fault)
        fault(context, rid);
}

int sim_dma(struct sim *sim, struct sbdf rid, uint64_t address, bool write, uint64_t data,
            struct sim_dma *result)
{
    const struct sim_function *f = sim_function_of_rid(sim, rid);
    struct sim_context *context;

    *result = (struct sim_dma){.result = SIM_DMA_SILENT, .data = data};
    if (!f)
        return -ENODEV;
    if (sim_answer(f) != SIM_ANSWER_YES || !sim_can_master(f))
        return 0;
    result->result = SIM_DMA_FAULT;
    context = sim_context_find(sim, rid);
    if (context)
        sim_context_access(sim, context, address, write, result);
    if (result->result == SIM_DMA_FAULT)
        report_fault(sim, rid);
    if (result->stale)
        sim_count(&sim->dma_stale);
    return 0;
}
