/* SPDX-License-Identifier: MIT */
/*
 * SR-IOV (SR-IOV 1.1, chapter 3) of a PF that is lent as a whole. The registers are the guest's
 * own: where its VFs are on its bus, and where it wants their BARs. The VFs themselves are made by
 * the core (vfs.c here, vfs.c there), and are lent to the same guest one by one.
 */
#include "src/vpci/cap_sriov.h"

#define SRIOV_INITIAL_VFS 0x0c
#define SRIOV_LINK 0x12
#define SRIOV_PAGE_SIZES 0x1c
#define SRIOV_PAGE_SIZE PCI_SRIOV_PAGE_SIZE
#define SRIOV_LENGTH 0x40

#define SRIOV_SWITCHES (PCI_SRIOV_CONTROL_VFE | PCI_SRIOV_CONTROL_MSE)
#define PAGE_SIZES 0x00000553u /* those that every PF has, 3.3.12: 4 and 8 KiB to 4 MiB */
#define BAR_FLAGS 0xfu
#define BAR_FLAG_WIDE 0x4u
#define BAR_FLAG_PREFETCH 0x8u

static bool has_vfs(const struct vpci *v)
{
    return atomic_load(&v->dev->enabled_vfs) != 0;
}

/* ---- the layout of the VFs ---- */

uint64_t sriov_aperture(const struct vpci *v, unsigned at, unsigned index)
{
    uint64_t page = (uint64_t)vpci_stored(v, at + SRIOV_PAGE_SIZE, 4) << 12;
    uint64_t size = v->vfs->size[index];

    return size && size < page ? page : size;
}

uint64_t sriov_base(const struct vpci *v, unsigned at, unsigned index)
{
    unsigned reg = at + PCI_SRIOV_BAR0 + 4 * index;
    uint64_t base = vpci_stored(v, reg, 4) & ~(uint64_t)BAR_FLAGS;

    if (v->vfs->wide[index])
        base |= (uint64_t)vpci_stored(v, reg + 4, 4) << 32;
    return base;
}

/* ---- hooks ---- */

/* The bit says how it is: the VFs may have been taken from the guest, or stayed. */
static uint32_t control_read(void *context, unsigned reg, uint32_t stored)
{
    (void)reg;
    stored &= ~PCI_SRIOV_CONTROL_VFE;
    return has_vfs(context) ? stored | PCI_SRIOV_CONTROL_VFE : stored;
}

static uint32_t control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;

    lock_held(&v->lock);
    (void)cleared;
    if (!vpci_stored(v, reg - PCI_SRIOV_CONTROL + PCI_SRIOV_NUM_VFS, 2))
        value &= ~PCI_SRIOV_CONTROL_VFE;
    if ((value ^ stored) & SRIOV_SWITCHES)
        v->wants |= VPCI_WANT_VFS;
    return value;
}

/* 3.3.7, 3.3.13, 3.3.14: what the VFs are like is settled while there are none. */
static uint32_t number_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                             uint32_t cleared)
{
    const struct vpci *v = context;
    uint32_t total = vpci_stored(v, reg - PCI_SRIOV_NUM_VFS + PCI_SRIOV_TOTAL_VFS, 2);

    (void)cleared;
    return has_vfs(v) || value > total ? stored : value;
}

static uint32_t page_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                           uint32_t cleared)
{
    (void)reg;
    (void)cleared;
    return has_vfs(context) || !value || value & (value - 1) ? stored : value;
}

static uint32_t bar_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                          uint32_t cleared)
{
    const struct vpci *v = context;
    unsigned at = vpci_cap_at(v, &vpci_cap_sriov), index = (reg - at - PCI_SRIOV_BAR0) / 4;
    bool upper = !v->vfs->size[index];
    uint64_t bits = ~(sriov_aperture(v, at, upper ? index - 1 : index) - 1);

    (void)cleared;
    if (has_vfs(v))
        return stored;
    return value & (upper ? (uint32_t)(bits >> 32) : (uint32_t)bits | BAR_FLAGS);
}

/* ---- registers ---- */

static const struct berth_register sriov_registers[] = {
    {.offset = PCI_SRIOV_CONTROL,
     .size = 2,
     .rw = SRIOV_SWITCHES,
     .read = control_read,
     .write = control_write},
    {.offset = PCI_SRIOV_NUM_VFS, .size = 2, .rw = 0xffff, .write = number_write},
    {.offset = SRIOV_PAGE_SIZES, .size = 4, .ro = PAGE_SIZES, .reset = PAGE_SIZES},
    {.offset = SRIOV_PAGE_SIZE, .size = 4, .rw = PAGE_SIZES, .reset = 1, .write = page_write},
};

static const struct berth_register byte_ro = {.size = 1, .ro = 0xff};
static const struct berth_register word_ro = {.size = 2, .ro = 0xffff};
static const struct berth_register lower_bar = {
    .size = 4, .ro = BAR_FLAGS, .rw = ~BAR_FLAGS, .write = bar_write};
static const struct berth_register upper_bar = {.size = 4, .rw = 0xffffffff, .write = bar_write};

static int add_bar(struct vpci *v, unsigned cap, unsigned at, unsigned index)
{
    const struct bar_set *bars = v->dev->vf_bars;
    unsigned reg = at + PCI_SRIOV_BAR0 + 4 * index;
    uint32_t flags = 0;
    int error;

    if (!bars->shift[index])
        return 0;
    v->vfs->size[index] = UINT64_C(1) << bars->shift[index];
    v->vfs->wide[index] = (bars->flags[index] & BAR_SET_WIDE) != 0;
    if (v->vfs->wide[index])
        flags |= BAR_FLAG_WIDE;
    if (bars->flags[index] & BAR_SET_PREFETCH)
        flags |= BAR_FLAG_PREFETCH;
    error = vpci_add(v, cap, reg, &lower_bar, flags);
    if (!error && v->vfs->wide[index])
        error = vpci_add(v, cap, reg + 4, &upper_bar, 0);
    return error;
}

/*
 * All VFs are on the bus of their PF: laid out as on the host where that fits, else in the slots
 * behind the PF. A port without ARI forwarding has one device on its bus (PCIe 6.13).
 */
static struct vf_layout find_layout(const struct vpci *v)
{
    unsigned last = v->bus->port ? v->devfn | 7u : 255u, count = 0;
    struct vf_layout l = {.offset = atomic_load(&v->dev->vf_offset) % 256u,
                          .stride = atomic_load(&v->dev->vf_stride)};

    if (v->bus->port)
        l = (struct vf_layout){.offset = 1, .stride = 1};
    if (!l.offset || v->devfn + l.offset > last)
        l.offset = 8;
    if (!l.stride || l.stride > last)
        l.stride = 1;
    if (v->devfn + l.offset <= last)
        count = (last - v->devfn - l.offset) / l.stride + 1;
    if (count > v->dev->traits.total_vfs)
        count = v->dev->traits.total_vfs;
    l.count = (uint16_t)count;
    return l;
}

static int add_numbers(struct vpci *v, unsigned cap, unsigned at)
{
    const struct vf_layout l = find_layout(v);
    const struct {
        uint16_t offset;
        const struct berth_register *desc;
        uint32_t value;
    } numbers[] = {
        {SRIOV_INITIAL_VFS, &word_ro, l.count},
        {PCI_SRIOV_TOTAL_VFS, &word_ro, l.count},
        {SRIOV_LINK, &byte_ro, v->devfn & 7u},
        {PCI_SRIOV_VF_OFFSET, &word_ro, l.offset},
        {PCI_SRIOV_VF_STRIDE, &word_ro, l.stride},
        {PCI_SRIOV_VF_DEVICE, &word_ro, v->dev->traits.vf_device},
    };
    int error = l.count ? 0 : -ENOSPC;

    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !error; i++)
        error = vpci_add(v, cap, at + numbers[i].offset, numbers[i].desc, numbers[i].value);
    return error;
}

static int sriov_init(struct vpci *v, unsigned cap, unsigned at)
{
    const struct pcidev *dev = v->dev;
    int error;

    if (dev->pf || at != dev->traits.cap[CAP_SRIOV] || !dev->vf_bars || has_vfs(v))
        return -ENODEV;
    v->vfs = vpci_memory(v, sizeof(*v->vfs));
    if (!v->vfs)
        return -ENOMEM;
    error = add_numbers(v, cap, at);
    if (!error)
        error = vpci_add_table(v, cap, at, sriov_registers,
                               sizeof(sriov_registers) / sizeof(sriov_registers[0]));
    for (unsigned i = 0; i < BERTH_BAR_ROM && !error; i++)
        error = add_bar(v, cap, at, i);
    if (error) { /* what is hidden has no say over BARs of VFs (bar.c) */
        port_free(v->vfs);
        v->vfs = NULL;
        v->bytes -= sizeof(*v->vfs);
    }
    return error;
}

/* A transition that was undone may have given the VFs back. */
static int sriov_restore(struct vpci *v, unsigned at)
{
    uint32_t control = vpci_stored(v, at + PCI_SRIOV_CONTROL, 2);

    if (!has_vfs(v))
        vpci_store(v, at + PCI_SRIOV_CONTROL, 2, control & ~PCI_SRIOV_CONTROL_VFE);
    return 0;
}

const struct vpci_cap vpci_cap_sriov = {
    .name = "SR-IOV capability",
    .id = 0x0010,
    .extended = true,
    .length = SRIOV_LENGTH,
    .init = sriov_init,
    .restore = sriov_restore,
};
