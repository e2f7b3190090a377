/* SPDX-License-Identifier: MIT */
/*
 * Accesses of a guest to BARs that are trapped: in parts of 1, 2, 4 and 8 bytes, aligned, so that
 * each of them is of one BAR, and is what a host takes.
 *
 * From an address to hardware: the ranges of the guest's own bus in a read-side section (V1), then
 * an access section of the device, which keeps the view that was found: a view goes in transitions
 * only, and they drain.
 */
#include "src/vpci/vpci.h"

#define WIDEST_MEMORY 8u
#define WIDEST_PORT 4u

struct trapped {
    const struct berth_domain *domain;
    bool io, write;
};

bool vpci_bars_answer(const struct vpci *v)
{
    return !atomic_load_explicit(&v->power, memory_order_acquire);
}

static bool range_answers(const struct vpci_range *range)
{
    return atomic_load_explicit(&range->v->answering, memory_order_acquire) >> range->bar & 1;
}

/* What is there, if it is decoded, and the device's section, if it can be entered now. */
static bool range_enter(const struct trapped *t, uint64_t address, struct vpci_range *range,
                        struct pcidev_section *section)
{
    const struct vbus *bus = atomic_load_explicit(&t->domain->vbus, memory_order_acquire);
    bool found;

    section->record = NULL;
    port_read_lock();
    found = bus && vpci_range_find(bus, t->io, address, range) && range_answers(range);
    if (found &&
        access_open(range->v->dev, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, t->domain,
                    "BAR access", section) &&
        atomic_load_explicit(&range->v->dev->vpci, memory_order_acquire) != range->v)
        access_close(section);
    port_read_unlock();
    return found;
}

/* The power state changes with the lock. */
static void table_access(const struct trapped *t, const struct vpci_range *range, uint64_t offset,
                         unsigned length, uint64_t *value)
{
    struct vpci *v = range->v;

    lock_take(&v->lock);
    if (vpci_bars_answer(v) && t->write)
        vpci_msix_mmio_write(v, range->bar, offset, length, *value);
    else if (vpci_bars_answer(v))
        *value = vpci_msix_mmio_read(v, range->bar, offset, length);
    lock_drop(&v->lock);
}

/*
 * M14: in D3 nothing answers, or worse; a BAR that is off may be of another size by now. Whoever
 * changes that does so first and waits for those with this tag then, and an access says what it is
 * first and looks then: at least one of them sees the other. Those who wait for .lock have another
 * tag.
 */
static const char tag_at_hardware[] = "BAR touch";

int vpci_bars_drain(struct vpci *v)
{
    return access_drain_tagged(v->dev, tag_at_hardware, port_now_ns() + VPCI_DRAIN_NS);
}

/* Whether the BAR is still where it was found. */
static bool range_holds(const struct trapped *t, const struct vpci_range *range)
{
    const struct vbus *bus = atomic_load_explicit(&t->domain->vbus, memory_order_acquire);
    struct vpci_range now;
    bool same;

    port_read_lock();
    same = vpci_range_find(bus, t->io, range->start, &now) && now.v == range->v &&
           now.bar == range->bar && now.length == range->length && range_answers(&now);
    port_read_unlock();
    return same && vpci_bars_answer(range->v);
}

/* The section is tagged by now (vpci_bars_drain()). */
static void device_access(const struct trapped *t, const struct vpci_range *range, uint64_t offset,
                          unsigned length, uint64_t *value)
{
    struct pcidev *dev = range->v->dev;
    bool there = range_holds(t, range);

    if (there && !t->write)
        (void)seam_bar_read(dev, range->bar, offset, length, value); /* ones where it fails */
    else if (there && range->bar != BERTH_BAR_ROM)
        (void)seam_bar_write(dev, range->bar, offset, length, *value);
}

/* False: no BAR is there. @value is all ones at first where it is read. */
static bool part_access(const struct trapped *t, uint64_t address, unsigned length, uint64_t *value)
{
    struct pcidev_section section;
    struct vpci_range range;

    if (!range_enter(t, address, &range, &section))
        return false;
    if (section.record) {
        uint64_t offset = address - range.start;

        if (vpci_msix_covers(range.v, range.bar, offset, length)) {
            table_access(t, &range, offset, length, value);
        } else {
            access_retag(&section, tag_at_hardware);
            device_access(t, &range, offset, length, value);
        }
        access_close(&section);
    }
    return true;
}

/* The largest aligned part that begins here. */
static unsigned part_length(const struct trapped *t, uint64_t address, unsigned left)
{
    unsigned length = t->io ? WIDEST_PORT : WIDEST_MEMORY;

    while (length > left || address % length)
        length /= 2;
    return length;
}

/* No BAR is at the end of the address space, nor at its beginning: an access that wraps ends. */
static int trapped_access(const struct trapped *t, uint64_t address, unsigned length,
                          uint64_t *value)
{
    uint64_t seen = 0;
    bool found = false;

    if (length != 1 && length != 2 && length != 4 && length != 8)
        return -EINVAL;
    for (unsigned done = 0, step; done < length; done += step) {
        uint64_t part;

        step = part_length(t, address + done, length - done);
        part = t->write ? *value >> 8 * done & vpci_ones(step) : vpci_ones(step);
        found |= part_access(t, address + done, step, &part);
        seen |= part << 8 * done;
    }
    if (!t->write)
        *value = seen;
    return found ? 0 : -ENOENT;
}

int berth_domain_mmio_read(struct berth_domain *domain, uint64_t address, unsigned length,
                           uint64_t *value)
{
    return trapped_access(&(struct trapped){.domain = domain}, address, length, value);
}

int berth_domain_mmio_write(struct berth_domain *domain, uint64_t address, unsigned length,
                            uint64_t value)
{
    return trapped_access(&(struct trapped){.domain = domain, .write = true}, address, length,
                          &value);
}

int berth_domain_port_read(struct berth_domain *domain, uint16_t port, unsigned length,
                           uint64_t *value)
{
    return trapped_access(&(struct trapped){.domain = domain, .io = true}, port, length, value);
}

int berth_domain_port_write(struct berth_domain *domain, uint16_t port, unsigned length,
                            uint64_t value)
{
    return trapped_access(&(struct trapped){.domain = domain, .io = true, .write = true}, port,
                          length, &value);
}
