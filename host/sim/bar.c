/* SPDX-License-Identifier: MIT */
/*
 * BARs: how large they are, and which of their bits can be written.
 */
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

/* Where nobody knows a size, the address it was captured with is a multiple of it; an address that
 * is a multiple of much more says little. */
#define GUESS_MEM_SHIFT 20
#define GUESS_IO_SHIFT 8
#define UNASSIGNED_MEM_SHIFT 12
#define UNASSIGNED_IO_SHIFT 4

bool sim_bar_is_wide(uint32_t bar)
{
    return !sim_bar_is_io(bar) &&
           (bar & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
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

unsigned sim_rom_reg(const struct sim_function *f)
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
    uint64_t address = (low & SIM_BAR_MEM_BITS) | (sim_bar_is_wide(low) ? (uint64_t)high << 32 : 0);

    if (!low && !address && !known)
        return 0;
    if (sim_bar_is_io(low))
        return known ? round_shift(known, 2, 16)
                     : guess_shift(low & SIM_BAR_IO_BITS, GUESS_IO_SHIFT, UNASSIGNED_IO_SHIFT);
    return known ? round_shift(known, 4, sim_bar_is_wide(low) ? 62 : 31)
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
    return (uint32_t)mask & (sim_bar_is_io(low) ? SIM_BAR_IO_BITS : SIM_BAR_MEM_BITS);
}

/* Sizes @count registers from @first on, and cuts address bits off that such a BAR cannot have. */
static void size_bars(struct sim_function *f, unsigned first, unsigned count,
                      const uint64_t known[CAPTURE_BARS], _Atomic uint8_t shift[CAPTURE_BARS])
{
    for (unsigned i = 0; i < count; i++) {
        unsigned reg = first + 4 * i;
        uint32_t low = sim_word(f, reg), high = i + 1 < count ? sim_word(f, reg + 4) : 0;
        uint32_t flags = sim_bar_is_io(low) ? ~SIM_BAR_IO_BITS : ~SIM_BAR_MEM_BITS;

        shift[i] = bar_shift(low, high, known[i]);
        if (shift[i])
            sim_set_word(f, reg, low & (bar_mask(low, shift[i], 0) | flags));
        if (sim_bar_is_wide(low) && i + 1 < count)
            shift[++i] = 0;
    }
}

void sim_bars_build(struct sim_function *f, const struct capture_extra *extra)
{
    unsigned rom = sim_rom_reg(f);
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
static uint32_t mask_at(const struct sim_function *f, unsigned first, const _Atomic uint8_t *shift,
                        unsigned index)
{
    uint32_t low = sim_word(f, first + 4 * index);

    if (shift[index])
        return bar_mask(low, shift[index], 0);
    if (index > 0 && shift[index - 1]) {
        low = sim_word(f, first + 4 * (index - 1));
        return sim_bar_is_wide(low) ? bar_mask(low, shift[index - 1], 1) : 0;
    }
    return 0;
}

uint32_t sim_bar_mask(const struct sim_function *f, unsigned reg)
{
    if (reg == sim_rom_reg(f))
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
        if (f->shift[i] && sim_bar_is_io(sim_word(f, PCI_BASE_ADDRESS_0 + 4 * i)) == io)
            return true;
    return !io && f->shift[CAPTURE_ROM];
}
