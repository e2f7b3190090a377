/* SPDX-License-Identifier: MIT */
/*
 * VFs, which appear and disappear as their PF says. SR-IOV 1.1, sections 2.1.2, 3.3 and 3.4.
 *
 * Every VF that a PF could have is in the table of functions from the start. Its registers come
 * from the capture, or are made up when it is enabled for the first time.
 */
#include <stdlib.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define VF_CONFIG_SIZE 4096
#define VF_PCIE_AT 0x40
#define VF_MSIX_AT 0x80

bool sim_vf_sbdf(const struct sim_function *pf, unsigned index, struct sbdf *sbdf)
{
    unsigned at = pf->at[SIM_CAP_SRIOV];
    uint32_t where = sim_word(pf, at + PCI_SRIOV_VF_OFFSET);
    uint64_t rid =
        (sbdf_key(pf->sbdf) & 0xffff) + (where & 0xffff) + (uint64_t)(where >> 16) * index;

    if (rid > 0xffff)
        return false;
    *sbdf = sbdf_from_key((uint32_t)pf->sbdf.segment << 16 | (uint32_t)rid);
    return true;
}

/* ---- registers of a VF that the capture does not show ---- */

static void make_vf(const struct sim_function *pf, struct sim_function *vf)
{
    unsigned pcie = pf->at[SIM_CAP_PCIE], msix = pf->at[SIM_CAP_MSIX];

    sim_set_word(vf, PCI_VENDOR_ID, UINT32_MAX); /* 3.4.1.1: the PF's, by other means */
    sim_set_word(vf, PCI_COMMAND, sim_high(PCI_STATUS_CAP_LIST));
    sim_set_word(vf, PCI_CLASS_REVISION, sim_word(pf, PCI_CLASS_REVISION));
    sim_set_word(vf, PCI_SUBSYSTEM_VENDOR_ID, sim_word(pf, PCI_SUBSYSTEM_VENDOR_ID));
    sim_set_word(vf, PCI_CAPABILITY_LIST, VF_PCIE_AT);
    sim_set_word(vf, VF_PCIE_AT,
                 sim_high(2 | PCI_EXP_TYPE_ENDPOINT << 4) | (msix ? VF_MSIX_AT << 8 : 0) |
                     PCI_CAP_ID_EXP);
    /* 2.2.2: every VF has FLR. */
    sim_set_word(vf, VF_PCIE_AT + PCI_EXP_DEVCAP,
                 (pcie ? sim_word(pf, pcie + PCI_EXP_DEVCAP) & ~PCI_EXP_DEVCAP_PHANTOM : 0) |
                     PCI_EXP_DEVCAP_FLR);
    if (!msix)
        return;
    sim_set_word(vf, VF_MSIX_AT,
                 (sim_word(pf, msix) & sim_high(PCI_MSIX_FLAGS_QSIZE)) | PCI_CAP_ID_MSIX);
    sim_set_word(vf, VF_MSIX_AT + PCI_MSIX_TABLE, sim_word(pf, msix + PCI_MSIX_TABLE));
    sim_set_word(vf, VF_MSIX_AT + PCI_MSIX_PBA, sim_word(pf, msix + PCI_MSIX_PBA));
}

/* A VF like its captured sibling @like, or like nothing but its PF. */
static int give_words(const struct sim_function *pf, struct sim_function *vf,
                      const struct sim_function *like)
{
    uint16_t size = like ? like->size : VF_CONFIG_SIZE;
    _Atomic uint32_t *words = calloc(size / 4, sizeof(*words));

    if (!words)
        return -ENOMEM;
    vf->words = words;
    vf->size = size;
    if (like) {
        for (unsigned reg = 0; reg < size; reg += 4)
            sim_set_word(vf, reg, sim_word(like, reg));
        for (unsigned c = 0; c < SIM_CAPS; c++)
            vf->at[c] = like->at[c];
        return 0;
    }
    vf->at[SIM_CAP_PCIE] = VF_PCIE_AT;
    vf->at[SIM_CAP_MSIX] = pf->at[SIM_CAP_MSIX] ? VF_MSIX_AT : 0;
    make_vf(pf, vf);
    return 0;
}

static const struct sim_function *captured_vf(const struct sim *sim, const struct sim_pf *s)
{
    for (unsigned i = 0; i < s->total; i++)
        if (s->vfs[i] && s->vfs[i]->index < sim->captured_count)
            return s->vfs[i];
    return NULL;
}

/* ---- enabling ---- */

static uint32_t wanted(const struct sim_function *pf)
{
    unsigned at = pf->at[SIM_CAP_SRIOV];
    uint32_t number = sim_word(pf, at + PCI_SRIOV_NUM_VF) & 0xffff;

    if (!(sim_word(pf, at + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE))
        return 0;
    /* 3.3.7 leaves more than TotalVFs undefined. */
    return number < pf->sriov->total ? number : pf->sriov->total;
}

static int provide_words(const struct sim *sim, struct sim_function *pf, uint32_t count)
{
    const struct sim_function *like = captured_vf(sim, pf->sriov);
    int error = 0;

    for (uint32_t i = 0; i < count && !error; i++)
        if (pf->sriov->vfs[i] && !pf->sriov->vfs[i]->words)
            error = give_words(pf, pf->sriov->vfs[i], like);
    return error;
}

void sim_vf_wake(struct sim_function *vf, uint64_t answers_at)
{
    pthread_mutex_lock(&vf->lock);
    sim_registers_reset(vf, SIM_DEPTH_COLD);
    atomic_store(&vf->answers_at, answers_at);
    atomic_store(&vf->present, true);
    pthread_mutex_unlock(&vf->lock);
}

void sim_vfs_update(struct sim *sim, struct sim_function *pf, uint64_t now)
{
    unsigned control = pf->at[SIM_CAP_SRIOV] + (unsigned)PCI_SRIOV_CTRL;
    uint32_t count, before;

    if (!pf->sriov)
        return;
    count = wanted(pf);
    before = atomic_load(&pf->sriov->enabled);
    if (count == before)
        return;
    if (provide_words(sim, pf, count)) { /* without memory they stay off */
        sim_set_word(pf, control, sim_word(pf, control) & ~(uint32_t)PCI_SRIOV_CTRL_VFE);
        count = 0;
    }
    for (uint32_t i = before; i < count; i++)
        if (pf->sriov->vfs[i])
            sim_vf_wake(pf->sriov->vfs[i], now + sim->options.vf_enable_ns);
    /* Pairs with the load in sim_answer(): whoever finds a VF enabled finds its registers. */
    atomic_store_explicit(&pf->sriov->enabled, count, memory_order_release);
}

int sim_vfs_build(struct sim *sim, struct sim_function *pf)
{
    uint32_t count = wanted(pf);
    int error = provide_words(sim, pf, count);

    for (uint32_t i = 0; i < pf->sriov->total; i++)
        if (pf->sriov->vfs[i])
            atomic_store(&pf->sriov->vfs[i]->present, true);
    atomic_store_explicit(&pf->sriov->enabled, error ? 0 : count, memory_order_release);
    return error;
}
