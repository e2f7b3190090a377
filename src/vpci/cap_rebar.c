/* SPDX-License-Identifier: MIT */
/*
 * Resizable BARs (PCIe 7.8.6). A guest chooses among the sizes that the device has, up to the one
 * that the host has made room for. The hardware follows, so that the device knows what is reachable
 * of it. Only with the guest's own decode off (7.8.6.3): nothing of a BAR is mapped then (F87).
 */
#include "src/vpci/caps.h"

#include "src/core/rebar.h"
#include "src/core/registers.h"

#define REBAR_SIZES 0xfffffff0u
#define REBAR_SIZES_SHIFT 4
#define REBAR_LARGEST 27u /* 128 TiB: the last one in the capability register */
#define REBAR_FIRST_RO (PCI_REBAR_INDEX | 7u << PCI_REBAR_COUNT_SHIFT)

static unsigned size_of(uint32_t control)
{
    return (control & PCI_REBAR_SIZE) >> PCI_REBAR_SIZE_SHIFT;
}

static uint64_t bytes_of(unsigned size)
{
    return UINT64_C(1) << (PCI_REBAR_SHIFT + size);
}

static bool is_offered(const struct vpci *v, unsigned reg, unsigned size)
{
    uint32_t sizes = vpci_stored(v, reg - PCI_REBAR_CONTROL + PCI_REBAR_CAP, 4);

    return size <= REBAR_LARGEST && sizes >> (size + REBAR_SIZES_SHIFT) & 1;
}

/* Anything else than the size of a BAR that nobody can reach now is ignored. */
static uint32_t control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;
    unsigned size = size_of(value), index = stored & PCI_REBAR_INDEX;
    int error;

    lock_held(&v->lock);
    (void)cleared;
    if (size == size_of(stored) || !is_offered(v, reg, size) || v->bar[index].decoded ||
        (v->wished | vpci_command(v)) & PCI_COMMAND_MEMORY || atomic_load(&v->power))
        return stored;
    error = vpci_bars_drain(v); /* of those who found it decoded: decode goes off meanwhile */
    if (error) {
        vpci_complain(v, "BAR size", error);
        return stored;
    }
    error = rebar_set(v->dev, reg, size);
    if (error) {
        vpci_complain(v, "BAR size", error);
        (void)rebar_set(v->dev, reg, size_of(stored));
        (void)vpci_host_decode(v);
        return stored;
    }
    vpci_bar_resized(v, index, bytes_of(size));
    return value;
}

static const struct berth_register sizes_register = {.size = 4, .ro = REBAR_SIZES};
static const struct berth_register control_register = {
    .size = 4, .ro = REBAR_FIRST_RO, .rw = PCI_REBAR_SIZE, .write = control_write};

static unsigned count_of(const struct vpci *v, unsigned at)
{
    return vpci_stored(v, at + PCI_REBAR_CONTROL, 4) >> PCI_REBAR_COUNT_SHIFT & 7;
}

/* The BAR that an entry is about, in the size that the host has latched; else the list lies. */
static bool is_true(const struct vpci *v, uint32_t control)
{
    unsigned index = control & PCI_REBAR_INDEX;
    const struct vpci_bar *b = &v->bar[index];

    return index < BERTH_BAR_ROM && b->size && !b->io && size_of(control) <= REBAR_LARGEST &&
           b->size == bytes_of(size_of(control));
}

static int add_entry(struct vpci *v, unsigned cap, unsigned at, uint32_t *seen)
{
    uint32_t sizes = 0, control;
    int error = seam_read(v->dev, at + PCI_REBAR_CONTROL, 4, &control);

    if (!error)
        error = seam_read(v->dev, at + PCI_REBAR_CAP, 4, &sizes);
    if (error)
        return error;
    if (!is_true(v, control) || *seen >> (control & PCI_REBAR_INDEX) & 1)
        return -EINVAL;
    *seen |= 1u << (control & PCI_REBAR_INDEX);
    sizes &= (uint32_t)((UINT64_C(2) << (size_of(control) + REBAR_SIZES_SHIFT)) - 1);
    error = vpci_add(v, cap, at + PCI_REBAR_CAP, &sizes_register, sizes);
    if (!error)
        error = vpci_add(v, cap, at + PCI_REBAR_CONTROL, &control_register, control);
    return error;
}

static int rebar_init(struct vpci *v, unsigned cap, unsigned at) REQUIRES(v->lock)
{
    unsigned count = v->dev->traits.rebar_count;
    uint32_t seen = 0;
    int error = 0;

    if (at != v->dev->traits.cap[CAP_REBAR] || !count ||
        at + PCI_REBAR_CAP + count * PCI_REBAR_STRIDE > vpci_cap_room(v, at))
        return -EINVAL;
    for (unsigned i = 0; i < count && !error; i++)
        error = add_entry(v, cap, at + i * PCI_REBAR_STRIDE, &seen);
    if (!error && count_of(v, at) != count)
        error = -EIO; /* it has changed its mind since it was added (F07) */
    return error;
}

static void rebar_reset(struct vpci *v, unsigned at) REQUIRES(v->lock)
{
    for (unsigned i = 0; i < count_of(v, at); i++) {
        uint32_t control = vpci_stored(v, at + i * PCI_REBAR_STRIDE + PCI_REBAR_CONTROL, 4);

        vpci_bar_resized(v, control & PCI_REBAR_INDEX, bytes_of(size_of(control)));
    }
}

static int rebar_follow(struct vpci *v, unsigned at)
{
    unsigned reg = at + PCI_REBAR_CONTROL, size = size_of(vpci_stored(v, reg, 4));
    uint32_t control;
    int error = seam_read(v->dev, reg, 4, &control);

    if (error || control == 0xffffffff || size_of(control) == size)
        return error;
    return rebar_set(v->dev, reg, size);
}

static int rebar_restore_guest(struct vpci *v, unsigned at)
{
    int error = 0;

    for (unsigned i = 0; i < count_of(v, at) && !error; i++)
        error = rebar_follow(v, at + i * PCI_REBAR_STRIDE);
    return error;
}

const struct vpci_cap vpci_cap_rebar = {
    .name = "resizable BAR capability",
    .id = 0x0015,
    .extended = true,
    .length = 12,
    .init = rebar_init,
    .reset = rebar_reset,
    .restore = rebar_restore_guest,
};
