/* SPDX-License-Identifier: MIT */
/*
 * Where BARs are now, which bridges forward what, and what a CPU finds behind them.
 */
#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

/* ---- where a BAR is now ---- */

static struct sim_range range_at(const struct sim_function *f, unsigned reg, uint8_t shift)
{
    uint32_t low = sim_word(f, reg);
    struct sim_range r = {.start = low & SIM_BAR_MEM_BITS, .size = UINT64_C(1) << shift};

    r.io = sim_bar_is_io(low);
    r.prefetch = !r.io && (low & PCI_BASE_ADDRESS_MEM_PREFETCH);
    if (r.io)
        r.start = low & SIM_BAR_IO_BITS;
    r.wide = sim_bar_is_wide(low);
    if (r.wide)
        r.start |= (uint64_t)sim_word(f, reg + 4) << 32;
    return r;
}

/* SR-IOV 1.1, 3.3.14: the VFs' BARs follow each other, and the PF decodes for all of them. */
static int vf_range(const struct sim_function *f, unsigned index, struct sim_range *r)
{
    unsigned at = f->pf->at[SIM_CAP_SRIOV];

    if (index >= CAPTURE_BARS || !f->pf->sriov->vf_shift[index])
        return -ENOENT;
    *r = range_at(f->pf, at + PCI_SRIOV_BAR + 4 * index, f->pf->sriov->vf_shift[index]);
    r->start += r->size * f->vf_index;
    r->decoded = sim_word(f->pf, at + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_MSE;
    return 0;
}

int sim_range_find(const struct sim_function *f, unsigned index, struct sim_range *r)
{
    uint32_t command;

    if (index > CAPTURE_ROM)
        return -EINVAL;
    if (f->pf)
        return vf_range(f, index, r);
    if (!f->shift[index])
        return -ENOENT;
    command = sim_word(f, PCI_COMMAND);
    if (index == CAPTURE_ROM) {
        uint32_t rom = sim_word(f, sim_rom_reg(f));

        *r = (struct sim_range){rom & PCI_ROM_ADDRESS_MASK, UINT64_C(1) << f->shift[index]};
        r->decoded = (rom & PCI_ROM_ADDRESS_ENABLE) && (command & PCI_COMMAND_MEMORY);
        return 0;
    }
    *r = range_at(f, PCI_BASE_ADDRESS_0 + 4 * index, f->shift[index]);
    r->decoded = command & (r->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
    return 0;
}

int sim_bar(struct sim *sim, struct sbdf sbdf, unsigned index, uint64_t *start, uint64_t *size)
{
    struct sim_function *f = sim_find(sim, sbdf);
    struct sim_range r;
    int error;

    if (!f || sim_answer(f) != SIM_ANSWER_YES)
        return -ENODEV;
    error = sim_range_find(f, index, &r);
    if (error)
        return error;
    *start = r.start;
    *size = r.size;
    return 0;
}

/* ---- forwarding ---- */

static bool inside(uint64_t address, uint64_t base, uint64_t limit)
{
    return base <= limit && address >= base && address <= limit;
}

/* PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.10; CardBus bridges have windows of another form, of
 * which the first two are memory and the others I/O. */
static bool io_window(const struct sim_function *b, uint64_t address)
{
    uint32_t low = sim_word(b, PCI_IO_BASE), high = sim_word(b, PCI_IO_BASE_UPPER16);
    bool wide = (low & PCI_IO_RANGE_TYPE_MASK) == PCI_IO_RANGE_TYPE_32;
    uint64_t base = (low & 0xf0) << 8, limit = (low & 0xf000) | 0xfff;

    if (wide) {
        base |= (uint64_t)(high & 0xffff) << 16;
        limit |= high & 0xffff0000;
    }
    return inside(address, base, limit);
}

static bool memory_window(const struct sim_function *b, uint64_t address)
{
    uint32_t w = sim_word(b, PCI_MEMORY_BASE);

    return inside(address, (uint64_t)(w & 0xfff0) << 16, (w & 0xfff00000) | 0xfffff);
}

static bool prefetch_window(const struct sim_function *b, uint64_t address)
{
    uint32_t w = sim_word(b, PCI_PREF_MEMORY_BASE);
    uint64_t base = (uint64_t)(w & 0xfff0) << 16, limit = (w & 0xfff00000) | 0xfffff;

    if (w & PCI_PREF_RANGE_TYPE_64) {
        base |= (uint64_t)sim_word(b, PCI_PREF_BASE_UPPER32) << 32;
        limit |= (uint64_t)sim_word(b, PCI_PREF_LIMIT_UPPER32) << 32;
    }
    return inside(address, base, limit);
}

static bool cardbus_window(const struct sim_function *b, uint64_t address, bool io)
{
    unsigned reg = io ? PCI_CB_IO_BASE_0 : PCI_CB_MEMORY_BASE_0;
    uint32_t granule = io ? 0x3 : 0xfff;

    for (unsigned i = 0; i < 2; i++, reg += 8) {
        uint32_t base = sim_word(b, reg) & ~granule, limit = sim_word(b, reg + 4) | granule;

        if (limit > granule && inside(address, base, limit))
            return true;
    }
    return false;
}

static bool forwards(const struct sim_function *b, const struct sim_range *r, uint64_t address)
{
    uint32_t command = sim_word(b, PCI_COMMAND);

    if (!(command & (r->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) || sim_power_state(b))
        return false;
    if (sim_header_type(b) == PCI_HEADER_TYPE_CARDBUS)
        return cardbus_window(b, address, r->io);
    if (r->io)
        return io_window(b, address);
    return memory_window(b, address) || prefetch_window(b, address);
}

bool sim_range_reached(const struct sim_function *f, const struct sim_range *r, uint64_t address)
{
    for (const struct sim_function *b = f->parent; b; b = b->parent)
        if (!forwards(b, r, address))
            return false;
    return true;
}
