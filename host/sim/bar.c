/* SPDX-License-Identifier: MIT */
/*
 * BARs: how large they are, where they are now, and what a CPU finds behind them.
 */
#include <berth/errno.h>
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define MEM_BITS (~(uint32_t)0xf)
#define IO_BITS (~(uint32_t)0x3)

/* Where nobody knows a size, the address it was captured with is a multiple of it; an address that
 * is a multiple of much more says little. */
#define GUESS_MEM_SHIFT 20
#define GUESS_IO_SHIFT 8
#define UNASSIGNED_MEM_SHIFT 12
#define UNASSIGNED_IO_SHIFT 4

static bool is_io(uint32_t bar)
{
    return bar & PCI_BASE_ADDRESS_SPACE_IO;
}

static bool is_wide(uint32_t bar)
{
    return !is_io(bar) && (bar & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
}

static unsigned bar_count(const struct sim_function *f)
{
    switch (sim_header_type(f)) {
    case PCI_HEADER_TYPE_NORMAL:
        return CAPTURE_BARS;
    case PCI_HEADER_TYPE_BRIDGE:
        return 2;
    case PCI_HEADER_TYPE_CARDBUS:
        return 1;
    default:
        return 0;
    }
}

/* 0: there is no ROM register. */
static unsigned rom_reg(const struct sim_function *f)
{
    switch (sim_header_type(f)) {
    case PCI_HEADER_TYPE_NORMAL:
        return PCI_ROM_ADDRESS;
    case PCI_HEADER_TYPE_BRIDGE:
        return PCI_ROM_ADDRESS1;
    default:
        return 0;
    }
}

/* ---- sizes ---- */

static uint8_t round_shift(uint64_t size, uint8_t least, uint8_t most)
{
    uint8_t shift = least;

    while (shift < most && UINT64_C(1) << shift < size)
        shift++;
    return shift;
}

static uint8_t guess_shift(uint64_t address, uint8_t most, uint8_t unassigned)
{
    uint8_t shift = 0;

    if (!address)
        return unassigned;
    while (shift < most && !(address >> shift & 1))
        shift++;
    return shift;
}

/* PCI 3.0, 6.2.5.1: at least 16 bytes of memory or 4 of I/O; a register of zeroes is no BAR. */
static uint8_t bar_shift(uint32_t low, uint32_t high, uint64_t known)
{
    uint64_t address = (low & MEM_BITS) | (is_wide(low) ? (uint64_t)high << 32 : 0);

    if (!low && !address && !known)
        return 0;
    if (is_io(low))
        return known ? round_shift(known, 2, 16)
                     : guess_shift(low & IO_BITS, GUESS_IO_SHIFT, UNASSIGNED_IO_SHIFT);
    return known ? round_shift(known, 4, is_wide(low) ? 62 : 31)
                 : guess_shift(address, GUESS_MEM_SHIFT, UNASSIGNED_MEM_SHIFT);
}

/* The bits of register @half (0, 1) that a BAR of this kind and size lets be written. */
static uint32_t bar_mask(uint32_t low, uint8_t shift, unsigned half)
{
    uint64_t mask = ~((UINT64_C(1) << shift) - 1);

    if (!shift)
        return 0;
    if (half)
        return (uint32_t)(mask >> 32);
    return (uint32_t)mask & (is_io(low) ? IO_BITS : MEM_BITS);
}

/* Sizes @count registers from @first on, and cuts address bits off that such a BAR cannot have. */
static void size_bars(struct sim_function *f, unsigned first, unsigned count,
                      const uint64_t known[CAPTURE_BARS], uint8_t shift[CAPTURE_BARS])
{
    for (unsigned i = 0; i < count; i++) {
        unsigned reg = first + 4 * i;
        uint32_t low = sim_word(f, reg), high = i + 1 < count ? sim_word(f, reg + 4) : 0;
        uint32_t flags = is_io(low) ? ~IO_BITS : ~MEM_BITS;

        shift[i] = bar_shift(low, high, known[i]);
        if (shift[i])
            sim_set_word(f, reg, low & (bar_mask(low, shift[i], 0) | flags));
        if (is_wide(low) && i + 1 < count)
            shift[++i] = 0;
    }
}

void sim_bars_build(struct sim_function *f, const struct capture_extra *extra)
{
    unsigned rom = rom_reg(f);
    uint32_t address = rom ? sim_word(f, rom) & PCI_ROM_ADDRESS_MASK : 0;

    size_bars(f, PCI_BASE_ADDRESS_0, bar_count(f), extra->size, f->shift);
    if (rom && extra->size[CAPTURE_ROM])
        f->shift[CAPTURE_ROM] = round_shift(extra->size[CAPTURE_ROM], 11, 31);
    else if (address)
        f->shift[CAPTURE_ROM] = guess_shift(address, GUESS_MEM_SHIFT, 0);
}

void sim_vf_bars_build(struct sim_function *f, const struct capture_extra *extra)
{
    size_bars(f, f->at[SIM_CAP_SRIOV] + (unsigned)PCI_SRIOV_BAR, CAPTURE_BARS, extra->vf_bar_size,
              f->sriov->vf_shift);
}

/* The mask of BAR register @index among those from @first on. */
static uint32_t mask_at(const struct sim_function *f, unsigned first, const uint8_t *shift,
                        unsigned index)
{
    uint32_t low = sim_word(f, first + 4 * index);

    if (shift[index])
        return bar_mask(low, shift[index], 0);
    if (index > 0 && shift[index - 1]) {
        low = sim_word(f, first + 4 * (index - 1));
        return is_wide(low) ? bar_mask(low, shift[index - 1], 1) : 0;
    }
    return 0;
}

uint32_t sim_bar_mask(const struct sim_function *f, unsigned reg)
{
    if (reg == rom_reg(f))
        return f->shift[CAPTURE_ROM]
                   ? bar_mask(0, f->shift[CAPTURE_ROM], 0) | PCI_ROM_ADDRESS_ENABLE
                   : 0;
    return mask_at(f, PCI_BASE_ADDRESS_0, f->shift, (reg - PCI_BASE_ADDRESS_0) / 4);
}

uint32_t sim_vf_bar_mask(const struct sim_function *pf, unsigned index)
{
    return mask_at(pf, pf->at[SIM_CAP_SRIOV] + (unsigned)PCI_SRIOV_BAR, pf->sriov->vf_shift, index);
}

bool sim_has_bar(const struct sim_function *f, bool io)
{
    for (unsigned i = 0; i < bar_count(f); i++)
        if (f->shift[i] && is_io(sim_word(f, PCI_BASE_ADDRESS_0 + 4 * i)) == io)
            return true;
    return !io && f->shift[CAPTURE_ROM];
}

/* ---- where a BAR is now ---- */

struct range {
    uint64_t start, size;
    bool io, prefetch, decoded;
};

static struct range range_at(const struct sim_function *f, unsigned reg, uint8_t shift)
{
    uint32_t low = sim_word(f, reg);
    struct range r = {.start = low & MEM_BITS, .size = UINT64_C(1) << shift};

    r.io = is_io(low);
    r.prefetch = !r.io && (low & PCI_BASE_ADDRESS_MEM_PREFETCH);
    if (r.io)
        r.start = low & IO_BITS;
    if (is_wide(low))
        r.start |= (uint64_t)sim_word(f, reg + 4) << 32;
    return r;
}

/* SR-IOV 1.1, 3.3.14: the VFs' BARs follow each other, and the PF decodes for all of them. */
static int vf_range(const struct sim_function *f, unsigned index, struct range *r)
{
    unsigned at = f->pf->at[SIM_CAP_SRIOV];

    if (index >= CAPTURE_BARS || !f->pf->sriov->vf_shift[index])
        return -ENOENT;
    *r = range_at(f->pf, at + PCI_SRIOV_BAR + 4 * index, f->pf->sriov->vf_shift[index]);
    r->start += r->size * f->vf_index;
    r->decoded = sim_word(f->pf, at + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_MSE;
    return 0;
}

static int find_range(const struct sim_function *f, unsigned index, struct range *r)
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
        uint32_t rom = sim_word(f, rom_reg(f));

        *r = (struct range){rom & PCI_ROM_ADDRESS_MASK, UINT64_C(1) << f->shift[index]};
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
    struct range r;
    int error;

    if (!f || sim_answer(f) != SIM_ANSWER_YES)
        return -ENODEV;
    error = find_range(f, index, &r);
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

static bool forwards(const struct sim_function *b, const struct range *r, uint64_t address)
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

static bool reaches(const struct sim_function *f, const struct range *r, uint64_t address)
{
    for (const struct sim_function *b = f->parent; b; b = b->parent)
        if (!forwards(b, r, address))
            return false;
    return true;
}

/* ---- access ---- */

static bool bar_answers(struct sim_function *f, const struct range *r, uint64_t address)
{
    switch (sim_answer(f)) {
    case SIM_ANSWER_YES:
        break;
    case SIM_ANSWER_RESETTING:
        sim_count(&f->tally.resetting);
        return false;
    default:
        sim_count(&f->tally.vanished);
        return false;
    }
    /* Neither decodes in D1 to D3: PCI PM 1.2, 5.4. */
    if (!r->decoded || sim_power_state(f)) {
        sim_count(&f->tally.decode_off);
        return false;
    }
    return reaches(f, r, address);
}

static void cell_access(struct sim_function *f, uint64_t cell, bool write, uint32_t *value)
{
    pthread_mutex_lock(&f->lock);
    if (write)
        sim_memory_write(&f->bar_memory, cell, *value);
    else
        *value = (uint32_t)sim_memory_read(&f->bar_memory, cell);
    pthread_mutex_unlock(&f->lock);
}

int sim_bar_access(struct sim *sim, struct sbdf sbdf, unsigned bar, uint64_t offset, bool write,
                   uint32_t *value)
{
    struct sim_function *f = sim_find(sim, sbdf);
    struct range r = {0};
    int error;

    if (!f)
        return -ENODEV;
    error = find_range(f, bar, &r);
    if (error)
        return error;
    if (offset % 4 || offset >= r.size)
        return -EINVAL;
    if (!bar_answers(f, &r, r.start + offset)) {
        if (!write)
            *value = UINT32_MAX;
        return 0;
    }
    /* Registers belong to the BAR, wherever it is moved. */
    if (bar != CAPTURE_ROM || !write)
        cell_access(f, offset | (uint64_t)bar << 61, write, value);
    return 0;
}
