/* SPDX-License-Identifier: MIT */
/*
 * What firmware does: hands out addresses bus by bus, and opens every bridge's windows as far as
 * what is behind it needs.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/pci_regs.h>

#include "tests/unit/machines.h"

enum space {
    SPACE_MEM,
    SPACE_PREFETCH,
    SPACE_IO,
    SPACES,
};

static const uint64_t space_start[SPACES] = {
    [SPACE_MEM] = 0x80000000,
    [SPACE_PREFETCH] = 0x10000000000,
    [SPACE_IO] = 0x1000,
};

/* PCI-to-PCI Bridge 3.2.5: windows are multiples of 1 MiB, for I/O of 4 KiB. */
static const uint64_t window_granule[SPACES] = {
    [SPACE_MEM] = 0x100000,
    [SPACE_PREFETCH] = 0x100000,
    [SPACE_IO] = 0x1000,
};

struct placer {
    struct capture *capture;
    uint8_t *placed; /* one per function */
    uint64_t next[SPACES];
};

static uint64_t align_up(uint64_t value, uint64_t granule)
{
    return (value + granule - 1) & ~(granule - 1);
}

static uint64_t take(struct placer *p, enum space space, uint64_t size, uint64_t align)
{
    uint64_t start = align_up(p->next[space], align);

    p->next[space] = start + size;
    return start;
}

/* Returns how many registers the BAR at @reg takes. */
static unsigned place_bar(struct placer *p, struct capture_function *f, unsigned reg, uint64_t size,
                          unsigned copies)
{
    uint32_t bits = mb_get(f, reg, 4);
    bool io = bits & PCI_BASE_ADDRESS_SPACE_IO;
    bool wide = !io && (bits & PCI_BASE_ADDRESS_MEM_TYPE_64);
    bool prefetch = !io && (bits & PCI_BASE_ADDRESS_MEM_PREFETCH);
    bool fixed = (io ? bits & ~3u : bits & ~15u) || (wide && mb_get(f, reg + 4, 4));
    uint64_t page = io ? 4 : 4096, start;

    if (size && !fixed) {
        start = take(p,
                     io         ? SPACE_IO
                     : prefetch ? SPACE_PREFETCH
                                : SPACE_MEM,
                     align_up(size * copies, page), size > page ? size : page);
        mb_put(f, reg, 4, bits | (uint32_t)start);
        if (wide)
            mb_put(f, reg + 4, 4, (uint32_t)(start >> 32));
    }
    return wide ? 2 : 1;
}

static void place_bars(struct placer *p, struct capture_function *f)
{
    bool bridge = (f->config[PCI_HEADER_TYPE] & 0x7f) == PCI_HEADER_TYPE_BRIDGE;
    unsigned sriov = f->size == 4096 ? mb_find_ext_cap(f, PCI_EXT_CAP_ID_SRIOV) : 0;
    unsigned rom = bridge ? PCI_ROM_ADDRESS1 : PCI_ROM_ADDRESS;
    unsigned bars = bridge ? 2 : 6;

    for (unsigned i = 0; i < bars;)
        i += place_bar(p, f, PCI_BASE_ADDRESS_0 + 4 * i, f->extra.size[i], 1);
    if (f->extra.size[CAPTURE_ROM] && !mb_get(f, rom, 4))
        mb_put(f, rom, 4,
               (uint32_t)take(p, SPACE_MEM, align_up(f->extra.size[CAPTURE_ROM], 4096),
                              f->extra.size[CAPTURE_ROM]));
    for (unsigned i = 0; sriov && i < 6;)
        i += place_bar(p, f, sriov + PCI_SRIOV_BAR + 4 * i, f->extra.vf_bar_size[i],
                       mb_get(f, sriov + PCI_SRIOV_TOTAL_VF, 2));
}

/* A window of which base is above limit is closed. */
static void set_windows(struct capture_function *f, const uint64_t start[SPACES],
                        const uint64_t end[SPACES])
{
    uint64_t base[SPACES], last[SPACES];

    for (int s = 0; s < SPACES; s++) {
        base[s] = start[s] == end[s] ? 0xfff00000 : start[s];
        last[s] = start[s] == end[s] ? 0 : end[s] - 1;
    }
    if (!mb_get(f, PCI_MEMORY_BASE, 4))
        mb_put(f, PCI_MEMORY_BASE, 4,
               (uint32_t)(base[SPACE_MEM] >> 16 & 0xfff0) | (last[SPACE_MEM] & 0xfff00000));
    if (!(mb_get(f, PCI_PREF_MEMORY_BASE, 4) & 0xfff0fff0)) {
        mb_put(f, PCI_PREF_MEMORY_BASE, 4,
               (uint32_t)(base[SPACE_PREFETCH] >> 16 & 0xfff0) | PCI_PREF_RANGE_TYPE_64 |
                   (last[SPACE_PREFETCH] & 0xfff00000) | PCI_PREF_RANGE_TYPE_64 << 16);
        mb_put(f, PCI_PREF_BASE_UPPER32, 4, (uint32_t)(base[SPACE_PREFETCH] >> 32));
        mb_put(f, PCI_PREF_LIMIT_UPPER32, 4, (uint32_t)(last[SPACE_PREFETCH] >> 32));
    }
    if (!mb_get(f, PCI_IO_BASE, 2))
        mb_put(f, PCI_IO_BASE, 2,
               (uint32_t)((start[SPACE_IO] == end[SPACE_IO] ? 0xf0 : base[SPACE_IO] >> 8 & 0xf0) |
                          (last[SPACE_IO] & 0xf000)));
}

static void place_function(struct placer *p, size_t index);

static void place_behind(struct placer *p, struct capture_function *bridge)
{
    unsigned bus = bridge->config[PCI_SECONDARY_BUS];
    uint64_t start[SPACES];

    for (int s = 0; s < SPACES; s++)
        start[s] = p->next[s] = align_up(p->next[s], window_granule[s]);
    for (size_t i = 0; bus > bridge->sbdf.bus && i < p->capture->count; i++) {
        struct sbdf sbdf = p->capture->functions[i].sbdf;

        if (sbdf.segment == bridge->sbdf.segment && sbdf.bus == bus)
            place_function(p, i);
    }
    for (int s = 0; s < SPACES; s++)
        p->next[s] = align_up(p->next[s], window_granule[s]);
    set_windows(bridge, start, p->next);
}

static void place_function(struct placer *p, size_t index)
{
    struct capture_function *f = &p->capture->functions[index];

    if (p->placed[index])
        return;
    p->placed[index] = 1;
    if ((f->config[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_CARDBUS)
        place_bars(p, f);
    if ((f->config[PCI_HEADER_TYPE] & 0x7f) == PCI_HEADER_TYPE_BRIDGE)
        place_behind(p, f);
}

static int compare(const void *a, const void *b)
{
    const struct capture_function *x = a, *y = b;

    return (sbdf_key(x->sbdf) > sbdf_key(y->sbdf)) - (sbdf_key(x->sbdf) < sbdf_key(y->sbdf));
}

const struct capture *mb_capture(struct machine_builder *b)
{
    struct placer p = {.capture = &b->capture};

    if (b->finished)
        return &b->capture;
    b->finished = true;
    memcpy(p.next, space_start, sizeof(p.next));
    p.placed = calloc(b->capture.count + 1, 1);
    if (!p.placed)
        abort();
    qsort(b->capture.functions, b->capture.count, sizeof(*b->capture.functions), compare);
    /* A bridge has a lower address than what is behind it, so whatever is left is on a root bus. */
    for (size_t i = 0; i < b->capture.count; i++)
        place_function(&p, i);
    free(p.placed);
    return &b->capture;
}
