/* SPDX-License-Identifier: MIT */
#include "src/core/space.h"

#include "src/core/machine_priv.h"
#include "src/core/seam.h"

int space_create(struct berth_machine *machine, enum berth_space_kind kind, uint32_t id,
                 struct space **space)
{
    struct space *s;
    int error;

    *space = NULL;
    if (!machine->config.iommu)
        return 0;
    s = port_alloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->kind = kind;
    lock_init(&s->lock, LOCK_SPACE);
    error =
        machine->config.iommu->space_create(machine->config.iommu_context, kind, id, &s->handle);
    if (error) {
        lock_destroy(&s->lock);
        port_free(s);
        return error;
    }
    *space = s;
    return 0;
}

int space_destroy(struct berth_machine *machine, struct space *space)
{
    if (!space)
        return 0;
    if (atomic_load(&space->contexts))
        return -EBUSY;
    lock_unshared(&space->lock);
    while (space->regions) { /* left over where an unmap failed (X10) */
        struct region *region = space->regions;

        space->regions = region->next;
        lock_destroy(&region->lock);
        port_free(region);
    }
    machine->config.iommu->space_destroy(machine->config.iommu_context, space->handle);
    lock_destroy(&space->lock);
    port_free(space);
    return 0;
}

int device_free_quarantine(struct pcidev *dev)
{
    int error = space_destroy(dev->machine, dev->quarantine);

    if (!error)
        dev->quarantine = NULL;
    return error;
}

/* ---- reserved regions ---- */

static bool region_equal(const struct berth_reserved *a, const struct berth_reserved *b)
{
    return a->start == b->start && a->length == b->length && !a->writable == !b->writable;
}

static bool region_overlaps(const struct berth_reserved *a, const struct berth_reserved *b)
{
    return a->start < b->start + b->length && b->start < a->start + a->length;
}

/* With .lock: the same region, or NULL; *@clash where another one overlaps it. */
static struct region *region_find(struct space *space, const struct berth_reserved *reserved,
                                  bool *clash) REQUIRES(space->lock)
{
    *clash = false;
    for (struct region *r = space->regions; r; r = r->next) {
        if (region_equal(&r->reserved, reserved))
            return r;
        if (region_overlaps(&r->reserved, reserved))
            *clash = true;
    }
    return NULL;
}

/* Finds or makes the record of a region, and counts its new user. */
static int region_join(struct space *space, const struct berth_reserved *reserved,
                       struct region **region)
{
    struct region *fresh = port_alloc(sizeof(*fresh));
    bool clash;

    if (!fresh)
        return -ENOMEM;
    fresh->reserved = *reserved;
    lock_init(&fresh->lock, LOCK_REGION);
    lock_take(&space->lock);
    *region = region_find(space, reserved, &clash);
    if (!*region && !clash) {
        fresh->next = space->regions;
        space->regions = fresh;
        *region = fresh;
        fresh = NULL;
    }
    if (*region)
        (*region)->users++;
    lock_drop(&space->lock);
    if (fresh) {
        lock_destroy(&fresh->lock);
        port_free(fresh);
    }
    return *region ? 0 : -EEXIST;
}

/* With the region's lock, which it drops. The record goes with its last user, once it is unmapped.
 */
static void region_leave(struct space *space, struct region *region) RELEASES(region->lock)
{
    struct region **link = &space->regions;
    bool gone;

    lock_take(&space->lock);
    gone = --region->users == 0 && !region->mapped;
    while (gone && *link != region)
        link = &(*link)->next;
    if (gone)
        *link = region->next;
    lock_drop(&space->lock);
    lock_drop(&region->lock);
    if (gone) {
        lock_destroy(&region->lock);
        port_free(region);
    }
}

static int region_map(struct pcidev *dev, struct space *space,
                      const struct berth_reserved *reserved)
{
    struct region *region;
    int error = region_join(space, reserved, &region);

    if (error)
        return error;
    lock_take(&region->lock);
    if (!region->mapped)
        error = seam_map(dev, space, reserved);
    if (error) {
        region_leave(space, region);
        return error;
    }
    region->mapped = true;
    lock_drop(&region->lock);
    return 0;
}

static int region_unmap(struct pcidev *dev, struct space *space,
                        const struct berth_reserved *reserved)
{
    struct region *region;
    bool clash, last;
    int error = 0;

    lock_take(&space->lock);
    region = region_find(space, reserved, &clash);
    lock_drop(&space->lock);
    if (!region)
        return 0; /* X07: never mapped, and nothing to stop for */
    lock_take(&region->lock);
    lock_take(&space->lock);
    last = region->users == 1;
    lock_drop(&space->lock);
    if (last && region->mapped)
        error = seam_unmap(dev, space, reserved);
    if (error == -ENOENT)
        error = 0;
    if (error) {
        lock_drop(&region->lock);
        return error;
    }
    if (last)
        region->mapped = false;
    region_leave(space, region);
    return 0;
}

static int reserved_refuse(struct berth_refusal *why, int error)
{
    if (error == -ENOMEM)
        return refuse(why, error, BERTH_REASON_NO_MEMORY);
    if (error == -EEXIST)
        return refuse(why, -EXDEV, BERTH_REASON_RESERVED_CLASH);
    return refuse(why, error, BERTH_REASON_IOMMU_FAILED);
}

int space_map_reserved(struct pcidev *dev, struct space *space, struct berth_refusal *why)
{
    struct berth_reserved list[BERTH_RESERVED_MAX];
    int count = space ? seam_reserved(dev, list) : 0;
    int error = 0, done = 0;

    if (count < 0)
        return refuse(why, count, BERTH_REASON_HOST_FAILED);
    while (done < count && !error)
        error = region_map(dev, space, &list[done++]);
    if (!error)
        return 0;
    for (done--; done-- > 0;)
        region_unmap(dev, space, &list[done]); /* a record stays where this fails (X10) */
    return reserved_refuse(why, error);
}

int space_unmap_reserved(struct pcidev *dev, struct space *space, struct berth_refusal *why,
                         bool *lost)
{
    struct berth_reserved list[BERTH_RESERVED_MAX];
    int count = space ? seam_reserved(dev, list) : 0;
    int error = 0, done = 0;

    if (count < 0)
        return refuse(why, count, BERTH_REASON_HOST_FAILED);
    while (done < count && !error)
        error = region_unmap(dev, space, &list[done++]);
    if (!error)
        return 0;
    for (done--; done-- > 0;)
        if (region_map(dev, space, &list[done]))
            *lost = true;
    return reserved_refuse(why, error);
}
