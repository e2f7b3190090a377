/* SPDX-License-Identifier: MIT */
/*
 * BAR memory, and in it the MSI-X table and the pending bits. PCIe 7.7.2.
 *
 * Memory that was never written is zero, but a table entry is masked at power-on: the mask bits are
 * kept inverted.
 */
#include <linux/pci_regs.h>

#include "host/sim/sim_internal.h"

enum area {
    AREA_MEMORY,
    AREA_TABLE,
    AREA_PENDING,
};

/* Of one dword, which part it is of. */
struct place {
    enum area area;
    unsigned word; /* of its entry: 0 and 1 address, 2 data, 3 vector control */
};

static uint64_t key(unsigned bar, uint64_t offset)
{
    return offset | (uint64_t)bar << 61;
}

static uint32_t location(const struct sim_function *f, unsigned reg)
{
    return sim_word(f, f->at[SIM_CAP_MSIX] + reg);
}

unsigned sim_msix_size(const struct sim_function *f)
{
    return f->at[SIM_CAP_MSIX] ? (location(f, 0) >> 16 & PCI_MSIX_FLAGS_QSIZE) + 1 : 0;
}

static bool is_in(uint32_t location, unsigned bar, uint64_t offset, uint64_t size)
{
    uint64_t start = location & PCI_MSIX_TABLE_OFFSET;

    return bar == (location & PCI_MSIX_TABLE_BIR) && offset >= start && offset - start < size;
}

static struct place place_of(const struct sim_function *f, unsigned bar, uint64_t offset)
{
    unsigned size = sim_msix_size(f);

    if (!size)
        return (struct place){AREA_MEMORY, 0};
    if (is_in(location(f, PCI_MSIX_TABLE), bar, offset, (uint64_t)size * PCI_MSIX_ENTRY_SIZE))
        return (struct place){AREA_TABLE, offset / 4 % 4};
    if (is_in(location(f, PCI_MSIX_PBA), bar, offset, (size + 63) / 64 * UINT64_C(8)))
        return (struct place){AREA_PENDING, 0};
    return (struct place){AREA_MEMORY, 0};
}

static bool is_control(struct place p)
{
    return p.area == AREA_TABLE && p.word == PCI_MSIX_ENTRY_VECTOR_CTRL / 4;
}

uint32_t sim_bar_word(const struct sim_function *f, unsigned bar, uint64_t offset)
{
    uint32_t value = (uint32_t)sim_memory_read(&f->bar_memory, key(bar, offset));

    return is_control(place_of(f, bar, offset)) ? value ^ PCI_MSIX_ENTRY_CTRL_MASKBIT : value;
}

/* Reserved bits of an entry read zero, and messages are aligned to dwords. */
static uint32_t writable(struct place p, unsigned bar)
{
    if (p.area == AREA_PENDING || bar == CAPTURE_ROM)
        return 0;
    if (is_control(p))
        return PCI_MSIX_ENTRY_CTRL_MASKBIT;
    return p.area == AREA_TABLE && p.word == 0 ? ~3u : UINT32_MAX;
}

void sim_bar_set_word(struct sim_function *f, unsigned bar, uint64_t offset, uint32_t value,
                      uint32_t mask)
{
    struct place p = place_of(f, bar, offset);
    uint32_t old = sim_bar_word(f, bar, offset);

    mask &= writable(p, bar);
    if (!mask)
        return;
    value = (old & ~mask) | (value & mask);
    sim_memory_write(&f->bar_memory, key(bar, offset),
                     is_control(p) ? value ^ PCI_MSIX_ENTRY_CTRL_MASKBIT : value);
}

/* ---- the function's side ---- */

static uint32_t table_word(const struct sim_function *f, unsigned vector, unsigned reg)
{
    uint32_t at = location(f, PCI_MSIX_TABLE);

    return sim_bar_word(f, at & PCI_MSIX_TABLE_BIR,
                        (at & PCI_MSIX_TABLE_OFFSET) + PCI_MSIX_ENTRY_SIZE * (uint64_t)vector +
                            reg);
}

struct sim_msix_entry sim_msix_entry_of(const struct sim_function *f, unsigned vector)
{
    return (struct sim_msix_entry){
        .address = table_word(f, vector, PCI_MSIX_ENTRY_LOWER_ADDR) |
                   (uint64_t)table_word(f, vector, PCI_MSIX_ENTRY_UPPER_ADDR) << 32,
        .data = table_word(f, vector, PCI_MSIX_ENTRY_DATA),
        .control = table_word(f, vector, PCI_MSIX_ENTRY_VECTOR_CTRL),
    };
}

static uint64_t pending_key(const struct sim_function *f, unsigned vector)
{
    uint32_t at = location(f, PCI_MSIX_PBA);

    return key(at & PCI_MSIX_PBA_BIR, (at & PCI_MSIX_PBA_OFFSET) + vector / 32 * UINT64_C(4));
}

bool sim_msix_is_pending(const struct sim_function *f, unsigned vector)
{
    return sim_memory_read(&f->bar_memory, pending_key(f, vector)) >> vector % 32 & 1;
}

void sim_msix_set_pending(struct sim_function *f, unsigned vector, bool on)
{
    uint64_t bit = UINT64_C(1) << vector % 32, at = pending_key(f, vector);
    uint64_t word = sim_memory_read(&f->bar_memory, at) & ~bit;

    sim_memory_write(&f->bar_memory, at, on ? word | bit : word);
}

bool sim_msix_due(const struct sim_function *f, unsigned *vector)
{
    unsigned size = sim_msix_size(f);

    for (unsigned v = 0; v < size; v++) {
        if (v % 32 == 0 && !sim_memory_read(&f->bar_memory, pending_key(f, v))) {
            v += 31;
            continue;
        }
        if (sim_msix_is_pending(f, v) &&
            !(table_word(f, v, PCI_MSIX_ENTRY_VECTOR_CTRL) & PCI_MSIX_ENTRY_CTRL_MASKBIT)) {
            *vector = v;
            return true;
        }
    }
    return false;
}
