/* SPDX-License-Identifier: MIT */
#include "src/core/access.h"

#include <berth/errno.h>

#include "src/core/device.h"

static void slot_clear(struct access_slot *slot)
{
    /* release: what was done to the hardware is done before removal sees the slot empty */
    atomic_store_explicit(&slot->dev, NULL, memory_order_release);
}

static bool slot_is_taken(const struct access_slot *slot)
{
    return atomic_load_explicit(&slot->dev, memory_order_relaxed) != NULL;
}

bool access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                 const char *tag, struct pcidev_section *section)
{
    struct access_record *record = port_record();
    unsigned usable = blocked & GATE_TRANSITION ? PCIDEV_SECTIONS_MAX : ACCESS_SLOTS;
    unsigned i = 0;

    while (__builtin_expect(slot_is_taken(&record->slot[i]), 0)) { /* sections rarely nest */
        if (++i == usable) {
            section->record = NULL;
            return false;
        }
    }
    atomic_store_explicit(&record->slot[i].tag, tag, memory_order_relaxed);
    atomic_store_explicit(&record->slot[i].dev, dev, memory_order_relaxed);
    port_fence_light(); /* pairs with the heavy one in access_drain() */
    /* acquire: pairs with the release when a gate opens; whatever the transition changed is seen */
    if (__builtin_expect(atomic_load_explicit(&dev->gate, memory_order_acquire) & blocked, 0) ||
        (owner && atomic_load_explicit(&dev->owner, memory_order_relaxed) != owner)) {
        slot_clear(&record->slot[i]);
        section->record = NULL;
        return false;
    }
    section->record = record;
    section->slot = i;
    return true;
}

void access_close(struct pcidev_section *section)
{
    struct access_record *record = section->record;

    slot_clear(&record->slot[section->slot]);
    section->record = NULL;
}

bool pcidev_enter(struct pcidev *dev, const char *tag, struct pcidev_section *section)
{
    return access_open(dev, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, NULL, tag, section);
}

void pcidev_exit(struct pcidev_section *section)
{
    access_close(section);
}

static bool slot_matches(struct access_record *record, unsigned slot, const struct pcidev *dev,
                         const struct pcidev_section *except)
{
    if (except && except->record == record && except->slot == slot)
        return false;
    return atomic_load_explicit(&record->slot[slot].dev, memory_order_acquire) == dev;
}

bool access_inside(const struct pcidev *dev, const struct pcidev_section *except)
{
    struct access_record *record = port_record();

    for (unsigned slot = 0; slot < ACCESS_SLOTS; slot++)
        if (slot_matches(record, slot, dev, except))
            return true;
    return false;
}

static bool anybody_inside(const struct pcidev *dev, const struct pcidev_section *except)
{
    for (struct access_record *r = port_record_next(NULL); r; r = port_record_next(r))
        for (unsigned slot = 0; slot < ACCESS_SLOTS; slot++)
            if (slot_matches(r, slot, dev, except))
                return true;
    return false;
}

void access_retag(const struct pcidev_section *section, const char *tag)
{
    struct access_record *record = section->record;

    atomic_store_explicit(&record->slot[section->slot].tag, tag, memory_order_relaxed);
    port_fence_light(); /* pairs with the heavy one in access_drain_tagged() */
}

static bool anybody_tagged(const struct pcidev *dev, const char *tag)
{
    for (struct access_record *r = port_record_next(NULL); r; r = port_record_next(r))
        for (unsigned slot = 0; slot < ACCESS_SLOTS; slot++)
            if (slot_matches(r, slot, dev, NULL) &&
                atomic_load_explicit(&r->slot[slot].tag, memory_order_relaxed) == tag)
                return true;
    return false;
}

int access_drain_tagged(const struct pcidev *dev, const char *tag, uint64_t deadline_ns)
{
    port_fence_heavy(); /* pairs with the light one in access_retag() */
    for (unsigned attempt = 0; anybody_tagged(dev, tag); attempt++) {
        if (port_now_ns() >= deadline_ns)
            return -ETIMEDOUT;
        port_relax(attempt);
    }
    return 0;
}

static unsigned holder_add(struct berth_holder *list, unsigned count, unsigned max, const char *tag)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].tag == tag) {
            list[i].count++;
            return count;
        }
    }
    if (count < max)
        list[count++] = (struct berth_holder){.tag = tag, .count = 1};
    return count;
}

unsigned access_holders(const struct pcidev *dev, const struct pcidev_section *except,
                        struct berth_holder *list, unsigned count, unsigned max)
{
    for (struct access_record *r = port_record_next(NULL); r; r = port_record_next(r))
        for (unsigned slot = 0; slot < ACCESS_SLOTS; slot++)
            if (slot_matches(r, slot, dev, except))
                count = holder_add(list, count, max,
                                   atomic_load_explicit(&r->slot[slot].tag, memory_order_relaxed));
    return count;
}

unsigned pcidev_sections(const struct pcidev *dev, struct berth_holder *list, unsigned max)
{
    return access_holders(dev, NULL, list, 0, max);
}

int access_drain(const struct pcidev *dev, const struct pcidev_section *own, uint64_t deadline_ns,
                 struct berth_refusal *why)
{
    port_fence_heavy(); /* pairs with the light one in access_open() */
    if (access_inside(dev, own))
        return refuse(why, -EDEADLK, BERTH_REASON_OWN_SECTION);
    for (unsigned attempt = 0; anybody_inside(dev, own); attempt++) {
        if (port_now_ns() >= deadline_ns) {
            why->holder_count = access_holders(dev, own, why->holders, 0, BERTH_HOLDERS_MAX);
            return refuse(why, -ETIMEDOUT, BERTH_REASON_SECTION_OPEN);
        }
        port_relax(attempt);
    }
    return 0;
}
