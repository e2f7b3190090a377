/* SPDX-License-Identifier: MIT */
/*
 * Functions have errors: what they and the ports above note of it, and what no longer works then.
 * PCIe 6.2.
 */
#include <berth/errno.h>
#include <berth_port.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define DPC_REASON_FATAL 0x0004u

/* What each kind leaves in device status, in AER and in the AER of the root port. */
static const struct {
    uint16_t device;
    uint16_t aer_reg;
    uint32_t aer_bit;
    uint32_t root;
} traces[] = {
    [SIM_ERROR_CORRECTABLE] = {PCI_EXP_DEVSTA_CED, PCI_ERR_COR_STATUS, PCI_ERR_COR_BAD_TLP,
                               PCI_ERR_ROOT_COR_RCV},
    [SIM_ERROR_NONFATAL] = {PCI_EXP_DEVSTA_NFED, PCI_ERR_UNCOR_STATUS, PCI_ERR_UNC_COMP_TIME,
                            PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV},
    [SIM_ERROR_FATAL] = {PCI_EXP_DEVSTA_FED, PCI_ERR_UNCOR_STATUS, PCI_ERR_UNC_MALF_TLP,
                         PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_FIRST_FATAL |
                             PCI_ERR_ROOT_FATAL_RCV},
    [SIM_ERROR_DPC] = {PCI_EXP_DEVSTA_FED, PCI_ERR_UNCOR_STATUS, PCI_ERR_UNC_MALF_TLP, 0},
};

static void set_bits(struct sim_function *f, unsigned reg, uint32_t bits)
{
    sim_set_word(f, reg, sim_word(f, reg) | bits);
}

static void note_at_function(struct sim_function *f, enum sim_error_kind kind)
{
    pthread_mutex_lock(&f->lock);
    if (kind == SIM_ERROR_NONFATAL && !f->pf) /* nobody completed its request, and it said so */
        set_bits(f, PCI_COMMAND,
                 sim_high(PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR));
    if (f->at[SIM_CAP_PCIE])
        set_bits(f, f->at[SIM_CAP_PCIE] + (unsigned)PCI_EXP_DEVCTL, sim_high(traces[kind].device));
    if (f->at[SIM_CAP_AER])
        set_bits(f, f->at[SIM_CAP_AER] + (unsigned)traces[kind].aer_reg, traces[kind].aer_bit);
    if (kind == SIM_ERROR_FATAL)
        atomic_store(&f->failed, true);
    pthread_mutex_unlock(&f->lock);
}

/* ---- the ports above ---- */

static struct sim_function *root_port(const struct sim_function *f)
{
    struct sim_function *b = f->parent;

    while (b && sim_pcie_type(b) != PCI_EXP_TYPE_ROOT_PORT)
        b = b->parent;
    return b;
}

/* PCIe 7.8.4.10: a second message sets the "multiple" bit, which is next to the first one's, and
 * only the first one's sender is kept. */
static void note_at_root(const struct sim_function *f, enum sim_error_kind kind)
{
    struct sim_function *root = root_port(f);
    uint32_t first = traces[kind].root & (PCI_ERR_ROOT_COR_RCV | PCI_ERR_ROOT_UNCOR_RCV);
    uint32_t rid = sbdf_key(sim_rid_of(f)) & 0xffff, seen;
    unsigned at = root ? root->at[SIM_CAP_AER] : 0, source = at + PCI_ERR_ROOT_ERR_SRC;

    if (!at || !first || source + 4 > root->size)
        return;
    pthread_mutex_lock(&root->lock);
    seen = sim_word(root, at + PCI_ERR_ROOT_STATUS) & first;
    if (!seen && first == PCI_ERR_ROOT_COR_RCV)
        sim_set_word(root, source, (sim_word(root, source) & 0xffff0000) | rid);
    else if (!seen)
        sim_set_word(root, source, (sim_word(root, source) & 0xffff) | sim_high(rid));
    set_bits(root, at + PCI_ERR_ROOT_STATUS, traces[kind].root | (seen ? first << 1 : 0));
    pthread_mutex_unlock(&root->lock);
}

struct sim_function *sim_port_above(const struct sim_function *f)
{
    for (struct sim_function *b = f->parent; b; b = b->parent) {
        int type = sim_pcie_type(b);

        if (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM)
            return b;
    }
    return NULL;
}

/* ---- containment: PCIe 6.2.11 ---- */

static void contain(struct sim *sim, struct sim_function *port, const struct sim_function *f)
{
    unsigned at = port->at[SIM_CAP_DPC];
    uint64_t now = port_now_ns();

    pthread_mutex_lock(&port->lock);
    if (!atomic_exchange(&port->contained, true)) {
        if (at) /* the sender of the message that triggered is in the upper half */
            sim_set_word(port, at + PCI_EXP_DPC_STATUS,
                         sim_high(sbdf_key(sim_rid_of(f)) & 0xffff) | PCI_EXP_DPC_STATUS_TRIGGER |
                             PCI_EXP_DPC_STATUS_INTERRUPT | DPC_REASON_FATAL);
        sim_bus_reset(sim, port, true, now);
    }
    pthread_mutex_unlock(&port->lock);
}

void sim_contain_end(struct sim *sim, struct sim_function *port, uint64_t now)
{
    unsigned status = port->at[SIM_CAP_DPC] + (unsigned)PCI_EXP_DPC_STATUS;

    if (!atomic_exchange(&port->contained, false))
        return;
    if (port->at[SIM_CAP_DPC])
        sim_set_word(port, status, sim_word(port, status) & ~(uint32_t)PCI_EXP_DPC_STATUS_TRIGGER);
    sim_bus_reset(sim, port, false, now);
}

int sim_dpc_release(struct sim *sim, struct sbdf port)
{
    struct sim_function *f = sim_find(sim, port);
    uint64_t now = port_now_ns();
    bool contained;

    if (!f)
        return -ENODEV;
    pthread_mutex_lock(&f->lock);
    contained = atomic_load(&f->contained);
    sim_contain_end(sim, f, now);
    pthread_mutex_unlock(&f->lock);
    return contained ? 0 : -EINVAL;
}

/* ---- the error ---- */

void sim_on_error(struct sim *sim,
                  void (*trouble)(void *context, struct sbdf sbdf, enum sim_error_kind kind),
                  void *context)
{
    sim->trouble_context = context;
    sim->trouble = trouble;
}

int sim_error(struct sim *sim, struct sbdf sbdf, enum sim_error_kind kind)
{
    struct sim_function *f = sim_find(sim, sbdf);
    struct sim_function *port = f ? sim_port_above(f) : NULL;

    if (!f || sim_answer(f) != SIM_ANSWER_YES)
        return -ENODEV;
    if (kind == SIM_ERROR_DPC && !port)
        return -ENOTTY;
    note_at_function(f, kind);
    note_at_root(f, kind);
    if (kind == SIM_ERROR_DPC)
        contain(sim, port, f);
    if (sim->trouble)
        sim->trouble(sim->trouble_context, sbdf, kind);
    return 0;
}
