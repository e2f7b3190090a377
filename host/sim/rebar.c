/* SPDX-License-Identifier: MIT */
/*
 * Resizable BARs: software picks one of the sizes that the function offers. PCIe 7.8.6.
 */
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

#define SIZE_SHIFT 8
#define SIZE_MASK 0x3fu
#define SMALLEST_SHIFT 20       /* a size field of 0: 1 MiB */
#define CONTROL_SIZES_FIRST 28u /* sizes from here on are named in the control register */
#define WIDEST_32 31            /* log2 of what a 32-bit BAR can have */

static unsigned control_reg(const struct sim_function *f, unsigned i)
{
    return f->at[SIM_CAP_REBAR] + (unsigned)PCI_REBAR_CTRL + 8 * i;
}

static unsigned size_field(uint32_t control)
{
    return control >> SIZE_SHIFT & SIZE_MASK;
}

unsigned sim_rebar_count(const struct sim_function *f)
{
    uint32_t control = sim_word(f, control_reg(f, 0));
    unsigned count = (control & PCI_REBAR_CTRL_NBAR_MASK) >> PCI_REBAR_CTRL_NBAR_SHIFT;

    if (count > CAPTURE_BARS)
        count = CAPTURE_BARS;
    while (count && control_reg(f, count - 1) >= f->size)
        count--;
    return count;
}

/* The BAR that control register @reg is for; false: one that the function does not have. */
static bool bar_of(const struct sim_function *f, unsigned reg, unsigned *bar)
{
    *bar = sim_word(f, reg) & PCI_REBAR_CTRL_BAR_IDX;
    return *bar < CAPTURE_BARS && f->shift[*bar] &&
           !sim_bar_is_io(sim_word(f, PCI_BASE_ADDRESS_0 + 4 * *bar));
}

static bool offers(const struct sim_function *f, unsigned reg, unsigned size)
{
    if (size < CONTROL_SIZES_FIRST)
        return sim_word(f, reg - 4) >> 4 >> size & 1;
    size -= CONTROL_SIZES_FIRST;
    return size < 16 && sim_word(f, reg) >> 16 >> size & 1;
}

static void set_size(struct sim_function *f, unsigned reg, unsigned bar, unsigned shift)
{
    unsigned field = shift < SMALLEST_SHIFT ? 0 : shift - SMALLEST_SHIFT;
    uint32_t others = sim_word(f, reg) & ~(SIZE_MASK << SIZE_SHIFT);

    f->shift[bar] = (uint8_t)shift;
    sim_set_word(f, reg, others | field << SIZE_SHIFT);
}

/* Address bits below the size read zero: 7.8.6.3. */
static void cut_address(struct sim_function *f, unsigned bar)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + 4 * bar;
    uint32_t low = sim_word(f, reg);

    sim_set_word(f, reg, low & (sim_bar_mask(f, reg) | ~SIM_BAR_MEM_BITS));
    if (sim_bar_is_wide(low) && bar + 1 < CAPTURE_BARS)
        sim_set_word(f, reg + 4, sim_word(f, reg + 4) & sim_bar_mask(f, reg + 4));
}

void sim_rebar_written(struct sim_function *f, unsigned reg, uint32_t old)
{
    unsigned size = size_field(sim_word(f, reg)), bar, shift = SMALLEST_SHIFT + size;

    /* Software has to turn decoding off first: 7.8.6. */
    if (!bar_of(f, reg, &bar) || !offers(f, reg, size) ||
        sim_word(f, PCI_COMMAND) & PCI_COMMAND_MEMORY ||
        (shift > WIDEST_32 && !sim_bar_is_wide(sim_word(f, PCI_BASE_ADDRESS_0 + 4 * bar)))) {
        sim_set_word(f, reg, old);
        return;
    }
    set_size(f, reg, bar, shift);
    cut_address(f, bar);
}

/* What is known of the sizes goes before what the capability says. */
void sim_rebar_build(struct sim_function *f, const struct capture_extra *extra)
{
    unsigned count = f->at[SIM_CAP_REBAR] ? sim_rebar_count(f) : 0, bar;

    for (unsigned i = 0; i < count; i++) {
        unsigned reg = control_reg(f, i), shift = SMALLEST_SHIFT + size_field(sim_word(f, reg));

        if (!bar_of(f, reg, &bar))
            continue;
        set_size(f, reg, bar, extra->size[bar] ? f->shift[bar] : shift);
        cut_address(f, bar);
    }
    for (unsigned i = 0; i < CAPTURE_BARS; i++)
        f->first_shift[i] = f->shift[i];
}

void sim_rebar_reset(struct sim_function *f)
{
    unsigned count = f->at[SIM_CAP_REBAR] && !f->pf ? sim_rebar_count(f) : 0, bar;

    for (unsigned i = 0; i < count; i++)
        if (bar_of(f, control_reg(f, i), &bar))
            set_size(f, control_reg(f, i), bar, f->first_shift[bar]);
}
