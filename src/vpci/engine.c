/* SPDX-License-Identifier: MIT */
/*
 * Reads and writes of a view (M40): the fast way over stored values, and the merge of an access
 * with the registers that it overlaps.
 */
#include "src/vpci/caps.h"

uint64_t vpci_ones(unsigned length)
{
    return length >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * length) - 1;
}

/* ---- stored values ---- */

static const struct vpci_page *page_at(const struct vpci *v, unsigned reg)
{
    if (reg < VPCI_PAGE)
        return &v->first;
    return atomic_load_explicit(&v->page[reg / VPCI_PAGE], memory_order_acquire);
}

static uint32_t dword_stored(const struct vpci *v, unsigned reg)
{
    const struct vpci_page *page = page_at(v, reg);

    return page ? atomic_load_explicit(&page->value[reg % VPCI_PAGE / 4], memory_order_relaxed) : 0;
}

uint32_t vpci_stored(const struct vpci *v, unsigned at, unsigned size)
{
    return (uint32_t)(dword_stored(v, at) >> at % 4 * 8 & vpci_ones(size));
}

/* The other bytes of the dword may belong to somebody else's register: bus.c sets a header bit. */
void vpci_store(struct vpci *v, unsigned at, unsigned size, uint32_t value)
{
    struct vpci_page *page = atomic_load_explicit(&v->page[at / VPCI_PAGE], memory_order_relaxed);
    unsigned shift = at % 4 * 8;
    uint32_t mask = (uint32_t)vpci_ones(size) << shift, old, new;
    _Atomic uint32_t *dword;

    if (!page)
        return;
    dword = &page->value[at % VPCI_PAGE / 4];
    old = atomic_load_explicit(dword, memory_order_relaxed);
    do {
        new = (old & ~mask) | (value << shift & mask);
    } while (old != new && !atomic_compare_exchange_weak_explicit(
                               dword, &old, new, memory_order_relaxed, memory_order_relaxed));
}

/* ---- one access, in pieces ---- */

/* A part of an access that one register covers, or none. */
struct part {
    unsigned reg, length;
    const struct vpci_register *r; /* NULL: a gap */
};

bool vpci_misses(const struct vpci *v, unsigned reg, unsigned length)
{
    const struct vpci_table *table = atomic_load_explicit(&v->table, memory_order_acquire);
    unsigned index = vpci_table_find(table, reg);

    return index == table->count || table->reg[index].at >= reg + length;
}

/* The next part of what begins at @reg and ends before @end; *@index walks along the table. */
static struct part part_next(const struct vpci_table *table, unsigned *index, unsigned reg,
                             unsigned end)
{
    struct part part = {.reg = reg, .length = end - reg};
    const struct vpci_register *r;

    while (*index < table->count && table->reg[*index].at + table->reg[*index].size <= reg)
        (*index)++;
    if (*index == table->count)
        return part;
    r = &table->reg[*index];
    if (r->at > reg) {
        if (r->at < end)
            part.length = r->at - reg;
        return part;
    }
    part.r = r;
    if (r->at + r->size < end)
        part.length = r->at + r->size - reg;
    return part;
}

/* The largest naturally aligned access that begins at @reg. */
static unsigned aligned_length(unsigned reg, unsigned length)
{
    if (length >= 4 && reg % 4 == 0)
        return 4;
    return length >= 2 && reg % 2 == 0 ? 2 : 1;
}

/* ---- read ---- */

uint64_t vpci_pass_read(struct pcidev *dev, unsigned reg, unsigned length)
{
    uint64_t value = 0;

    for (unsigned done = 0, step; done < length; done += step) {
        uint32_t bits;

        step = aligned_length(reg + done, length - done);
        bits = (uint32_t)vpci_ones(step);
        if (reg + done < dev->traits.config_size)
            (void)seam_read(dev, reg + done, step, &bits); /* ones where the host fails */
        value |= (uint64_t)bits << 8 * done;
    }
    return value;
}

/* What is the hardware's, byte by byte: gaps of the hardware domain, and what a rule has opened. */
static bool passes(const struct vpci *v, const struct part *part)
{
    return part->r ? part->r->desc->write == vpci_written_through : v->passes;
}

static uint64_t part_read(struct vpci *v, const struct part *part)
{
    const struct vpci_register *r = part->r;
    uint32_t value;

    if (passes(v, part))
        return vpci_pass_read(v->dev, part->reg, part->length);
    if (!r)
        return 0;
    value = vpci_stored(v, r->at, r->size);
    if (r->desc->read)
        value = r->desc->read(r->context, r->at, value);
    return value >> 8 * (part->reg - r->at) & vpci_ones(part->length);
}

uint64_t vpci_read_inside(struct vpci *v, unsigned reg, unsigned length)
{
    const struct vpci_table *table = atomic_load_explicit(&v->table, memory_order_acquire);
    unsigned index = vpci_table_find(table, reg), end = reg + length;
    uint64_t value = 0;

    for (unsigned at = reg; at < end;) {
        struct part part = part_next(table, &index, at, end);

        value |= part_read(v, &part) << 8 * (at - reg);
        at += part.length;
    }
    return value;
}

static const char tag_read[] = "config read";

int vpci_reads_drain(struct vpci *v)
{
    return access_drain_tagged(v->dev, tag_read, port_now_ns() + VPCI_DRAIN_NS);
}

static uint64_t read_in_section(struct vpci *v, unsigned reg, unsigned length)
{
    struct pcidev_section section;
    uint64_t value = vpci_ones(length);

    if (!v->dev)
        return vpci_read_inside(v, reg, length);
    if (!access_open(v->dev, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, v->domain, tag_read,
                     &section))
        return value;
    /* the same guest may have got the device anew since the lookup: then this view has ended (V3)
     */
    if (atomic_load_explicit(&v->dev->vpci, memory_order_acquire) == v &&
        !atomic_load(&v->settling))
        value = vpci_read_inside(v, reg, length);
    access_close(&section);
    return value;
}

uint64_t vpci_read_slowly(struct vpci *v, unsigned reg, unsigned length)
{
    const struct vpci_page *page = page_at(v, reg);

    if (!vpci_is_there(v))
        return vpci_ones(length);
    if (reg % 4 + length > 4)
        return read_in_section(v, reg, length);
    if (!page)
        return 0;
    if (atomic_load_explicit(&page->hooked, memory_order_relaxed) >> reg % VPCI_PAGE / 4 & 1)
        return read_in_section(v, reg, length);
    return vpci_stored(v, reg, length);
}

/* ---- write ---- */

void vpci_pass_write(struct pcidev *dev, unsigned reg, unsigned length, uint64_t value)
{
    for (unsigned done = 0, step; done < length; done += step) {
        step = aligned_length(reg + done, length - done);
        if (reg + done < dev->traits.config_size)
            (void)seam_write(dev, reg + done, step, (uint32_t)(value >> 8 * done));
    }
}

/* @value: the bytes of the part, in its lowest bits. */
static void register_write(struct vpci *v, const struct part *part, uint32_t value)
{
    const struct vpci_register *r = part->r;
    const struct berth_register *desc = r->desc;
    unsigned shift = 8 * (part->reg - r->at);
    uint32_t window = (uint32_t)vpci_ones(part->length) << shift, stored, new, cleared;

    value = value << shift & window;
    stored = vpci_stored(v, r->at, r->size);
    cleared = value & desc->rw1c; /* bytes outside of the access clear nothing */
    new = (stored & ~(desc->rw & window)) | (value & desc->rw);
    new &= ~cleared;
    if (desc->write)
        new = desc->write(r->context, r->at, stored, new, cleared);
    if (new != stored)
        vpci_store(v, r->at, r->size, new);
}

void vpci_write(struct vpci *v, unsigned reg, unsigned length, uint64_t value)
{
    const struct vpci_table *table = atomic_load_explicit(&v->table, memory_order_acquire);
    unsigned index = vpci_table_find(table, reg), end = reg + length;

    for (unsigned at = reg; at < end;) {
        struct part part = part_next(table, &index, at, end);
        uint64_t bits = value >> 8 * (at - reg) & vpci_ones(part.length);

        if (passes(v, &part))
            vpci_pass_write(v->dev, part.reg, part.length, bits);
        else if (part.r)
            register_write(v, &part, (uint32_t)bits);
        at += part.length;
    }
}
