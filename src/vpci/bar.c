/* SPDX-License-Identifier: MIT */
/*
 * BARs as a guest has them (M41): registers that belong to it alone. The hardware's BARs are the
 * host's, and are not written while a device is lent (V7); but for the bit that enables the ROM.
 */
#include "src/vpci/bar.h"

#include "src/core/bars.h"

/* PCI 3.0, 6.2.5.1 and 6.2.5.2 */
#define MEMORY_FLAGS 0xfu
#define IO_FLAGS 0x3u
#define FLAG_IO 0x1u
#define FLAG_WIDE 0x4u
#define FLAG_PREFETCH 0x8u
#define ROM_ADDRESS 0xfffff800u

static unsigned bar_register(unsigned index)
{
    return index == BERTH_BAR_ROM ? PCI_ROM : PCI_BAR0 + 4 * index;
}

static uint32_t flag_bits(const struct vpci_bar *b)
{
    return b->io ? IO_FLAGS : MEMORY_FLAGS;
}

static uint32_t bar_flags(const struct vpci_bar *b)
{
    if (b->io)
        return FLAG_IO;
    return (b->wide ? FLAG_WIDE : 0) | (b->prefetchable ? FLAG_PREFETCH : 0);
}

/* ---- which there are ---- */

/* A guest that has the PF, and its SR-IOV capability, finds the VFs' BARs there. */
static bool placed_by_pf(const struct vpci *v)
{
    const struct vpci *pf;
    bool placed;

    if (!v->dev->pf)
        return false;
    port_read_lock();
    pf = atomic_load_explicit(&v->dev->pf->vpci, memory_order_acquire);
    placed = pf && pf->domain == v->domain && pf->vfs;
    port_read_unlock();
    return placed;
}

void vpci_bars_init(struct vpci *v)
{
    v->pf_places = placed_by_pf(v);
    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++) {
        struct berth_bar bar;

        if (!device_bar(v->dev, i, &bar) || !bar.address) /* nothing is behind it: no BAR (F82) */
            continue;
        v->bar[i] = (struct vpci_bar){
            .size = bar.size,
            .host = bar.address,
            .io = bar.io,
            .wide = bar.wide,
            .prefetchable = bar.prefetchable,
            .enabled = !v->pf_places,
        };
    }
}

uint16_t bar_decode_bits(const struct vpci *v)
{
    uint16_t bits = 0;

    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        bits |= bar_kind(v, i);
    return bits;
}

/* ---- registers ---- */

/* The bits of an address that a BAR of this size has, in the lower or upper half. */
static uint32_t address_bits(const struct vpci_bar *b, bool upper)
{
    uint64_t bits = ~(b->size - 1);

    return (uint32_t)(upper ? bits >> 32 : bits);
}

/*
 * A BAR that is decoded, or about to be, does not move: that would be a mapping that the guest has
 * not waited for. Drivers size and place with decode off (PCI 3.0, 6.2.5.1).
 */
static uint32_t address_write(struct vpci *v, const struct vpci_bar *b, uint32_t stored,
                              uint32_t value) REQUIRES(v->lock)
{
    if (value == stored || !b->decoded)
        return value;
    vpci_complain(v, "BAR written with decode on", -EBUSY);
    return stored;
}

static uint32_t lower_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                            uint32_t cleared)
{
    struct vpci *v = context;
    const struct vpci_bar *b = &v->bar[(reg - PCI_BAR0) / 4];

    lock_held(&v->lock);
    (void)cleared;
    return address_write(v, b, stored, value & (address_bits(b, false) | flag_bits(b)));
}

static uint32_t upper_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                            uint32_t cleared)
{
    struct vpci *v = context;
    const struct vpci_bar *b = &v->bar[(reg - PCI_BAR0) / 4 - 1];

    lock_held(&v->lock);
    (void)cleared;
    return address_write(v, b, stored, value & address_bits(b, true));
}

/* The ROM has a decode bit of its own, and may be moved by the write that clears it. */
static uint32_t rom_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                          uint32_t cleared)
{
    struct vpci *v = context;
    const struct vpci_bar *b = &v->bar[BERTH_BAR_ROM];

    lock_held(&v->lock);
    (void)reg;
    (void)cleared;
    value &= (address_bits(b, false) & ROM_ADDRESS) | ROM_ENABLE;
    if (value & ROM_ENABLE)
        value = address_write(v, b, stored, value);
    if (value != stored && (b->decoded || v->wished & PCI_COMMAND_MEMORY))
        v->wants |= VPCI_WANT_DECODE;
    return value;
}

static const struct berth_register memory_bar = {
    .size = 4,
    .ro = MEMORY_FLAGS,
    .rw = ~MEMORY_FLAGS,
    .write = lower_write,
};
static const struct berth_register io_bar = {
    .size = 4,
    .ro = IO_FLAGS,
    .rw = ~IO_FLAGS,
    .write = lower_write,
};
static const struct berth_register upper_half = {
    .size = 4,
    .rw = 0xffffffff,
    .write = upper_write,
};
static const struct berth_register rom_bar = {
    .size = 4,
    .rw = ROM_ADDRESS | ROM_ENABLE,
    .write = rom_write,
};

static int add_one(struct vpci *v, unsigned index)
{
    const struct vpci_bar *b = &v->bar[index];
    unsigned reg = bar_register(index);
    int error;

    if (index == BERTH_BAR_ROM)
        return vpci_add(v, VPCI_CAP_HEADER, reg, &rom_bar, 0);
    error = vpci_add(v, VPCI_CAP_HEADER, reg, b->io ? &io_bar : &memory_bar, bar_flags(b));
    if (!error && b->wide)
        error = vpci_add(v, VPCI_CAP_HEADER, reg + 4, &upper_half, 0);
    return error;
}

int bar_add_registers(struct vpci *v)
{
    int error = 0;

    for (unsigned i = 0; i < BERTH_BAR_COUNT && !error; i++)
        if (v->bar[i].size && !v->pf_places)
            error = add_one(v, i);
    return error;
}

uint64_t bar_programmed(const struct vpci *v, unsigned index)
{
    const struct vpci_bar *b = &v->bar[index];
    unsigned reg = bar_register(index);
    uint64_t address = vpci_stored(v, reg, 4);

    if (v->pf_places)
        return b->guest;
    if (index == BERTH_BAR_ROM)
        return address & ROM_ADDRESS;
    if (b->wide)
        address |= (uint64_t)vpci_stored(v, reg + 4, 4) << 32;
    return address & ~(uint64_t)flag_bits(b);
}

void vpci_bar_resized(struct vpci *v, unsigned index, uint64_t size)
{
    struct vpci_bar *b = &v->bar[index];
    unsigned reg = bar_register(index);

    if (!b->size || b->decoded)
        return;
    b->size = size;
    if (v->pf_places)
        return;
    vpci_store(v, reg, 4, vpci_stored(v, reg, 4) & (address_bits(b, false) | flag_bits(b)));
    if (b->wide)
        vpci_store(v, reg + 4, 4, vpci_stored(v, reg + 4, 4) & address_bits(b, true));
}
