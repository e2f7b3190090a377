/* SPDX-License-Identifier: MIT */
#include "src/core/group.h"

#include "src/core/machine_priv.h"

static const char tag_group[] = "group";

/* ---- taking part ---- */

static void entry_free(struct port_deferred *deferred)
{
    struct group_entry *entry = (struct group_entry *)deferred; /* the first member */

    lock_destroy(&entry->turn);
    lock_destroy(&entry->lock);
    port_free(entry);
}

static struct group_entry *entry_make(uint32_t id)
{
    struct group_entry *entry = port_alloc(sizeof(*entry));

    if (!entry)
        return NULL;
    entry->id = id;
    lock_init(&entry->turn, LOCK_TURN);
    lock_init(&entry->lock, LOCK_GROUP);
    return entry;
}

/* With the machine's lock: the entry that is there, or @fresh as the entry. */
static int entry_join(struct berth_machine *machine, struct group_entry *fresh,
                      struct map_spare *spare, struct group_entry **entry)
{
    int error = 0;

    *entry = sbdf_map_find(&machine->groups, fresh->id);
    if (!*entry) {
        error = sbdf_map_insert(&machine->groups, fresh->id, fresh, spare);
        *entry = error ? NULL : fresh;
    }
    if (*entry)
        (*entry)->stakes++;
    return error;
}

int group_join(struct pcidev *dev)
{
    struct berth_machine *machine = dev->machine;
    struct map_spare spare = {.count = 0};
    struct group_entry *fresh;
    uint32_t id;
    int error = pcidev_group(dev, &id);

    dev->group.error = error == -EOPNOTSUPP ? 0 : error; /* no groups: each is one of its own */
    if (error)
        return 0;
    fresh = entry_make(id);
    if (!fresh)
        return -ENOMEM;
    do {
        error = sbdf_map_prepare(&machine->groups, id, &spare);
        if (error)
            break;
        lock_take(&machine->lock);
        error = entry_join(machine, fresh, &spare, &dev->group.entry);
        lock_drop(&machine->lock);
    } while (error == -EAGAIN);
    sbdf_map_spare_free(&spare);
    if (error || dev->group.entry != fresh)
        entry_free(&fresh->deferred);
    return error;
}

void group_part(struct pcidev *dev)
{
    struct group_entry *entry = dev->group.entry;
    bool last;

    if (!entry)
        return;
    lock_take(&dev->machine->lock);
    last = --entry->stakes == 0;
    if (last)
        sbdf_map_remove(&dev->machine->groups, entry->id);
    lock_drop(&dev->machine->lock);
    if (last)
        port_defer(&entry->deferred, entry_free);
}

void group_destroy(struct berth_machine *machine)
{
    struct group_entry *entry;

    for (uint32_t key = 0; (entry = sbdf_map_next(&machine->groups, &key));) {
        sbdf_map_remove(&machine->groups, key);
        entry_free(&entry->deferred);
    }
}

/* ---- who may own it ---- */

static bool counts(const struct berth_domain *domain)
{
    return domain && domain_is_real(domain);
}

/* For the refusal: a device of the group that @owner has. */
static struct pcidev *group_other(struct pcidev *dev, const struct berth_domain *owner)
{
    struct pcidev *other = pcidev_next(dev->machine, NULL, tag_group);

    while (other) {
        const struct sbdf at = other->sbdf;

        if (other != dev && other->group.entry == dev->group.entry && device_owner(other) == owner)
            return other;
        pcidev_put(other, tag_group);
        other = pcidev_next(dev->machine, &at, tag_group);
    }
    return NULL;
}

static int group_refuse(struct pcidev *dev, const struct berth_domain *owner,
                        struct berth_refusal *why)
{
    struct pcidev *other;

    if (!why)
        return -EBUSY;
    other = group_other(dev, owner);
    if (other)
        refuse_other(why, -EBUSY, BERTH_REASON_NONE, other->sbdf);
    port_read_lock(); /* its owner may be on its way out */
    refuse_domain(why, -EBUSY, BERTH_REASON_NONE, other ? device_owner(other) : NULL);
    port_read_unlock();
    pcidev_put(other, tag_group);
    return refuse_number(why, -EBUSY, BERTH_REASON_SHARED_GROUP, dev->group.entry->id);
}

static bool group_clashes(struct pcidev *dev, const struct berth_domain *to)
{
    const struct group_entry *entry = dev->group.entry;
    uint32_t others = entry->users - counts(dev->group.domain);

    /* the hardware domain and the hypervisor trust one another */
    return counts(to) && others && entry->owner != to && (entry->guest || domain_is_guest(to)) &&
           !dev->machine->config.policy.shared_groups;
}

int group_check(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why)
{
    const struct berth_domain *owner;
    bool clash;

    if (dev->group.error && domain_is_guest(to))
        return refuse(why, dev->group.error, BERTH_REASON_IOMMU_FAILED);
    if (!dev->group.entry)
        return 0;
    lock_take(&dev->group.entry->lock);
    clash = group_clashes(dev, to);
    owner = dev->group.entry->owner;
    lock_drop(&dev->group.entry->lock);
    return clash ? group_refuse(dev, owner, why) : 0;
}

int group_count(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why)
{
    struct group_entry *entry = dev->group.entry;
    const struct berth_domain *owner;
    bool clash;

    if (!entry)
        return 0;
    lock_take(&entry->lock);
    clash = group_clashes(dev, to);
    owner = entry->owner;
    if (!clash) {
        entry->users += (uint32_t)counts(to) - (uint32_t)counts(dev->group.domain);
        if (counts(to)) {
            entry->owner = to;
            entry->guest = domain_is_guest(to);
        }
        dev->group.domain = to;
    }
    lock_drop(&entry->lock);
    return clash ? group_refuse(dev, owner, why) : 0;
}

int group_take_turn(struct pcidev *dev, uint64_t deadline_ns, struct berth_refusal *why)
{
    if (!dev->group.entry || lock_take_until(&dev->group.entry->turn, deadline_ns))
        return 0;
    return refuse_other(why, -ETIMEDOUT, BERTH_REASON_TRANSITION, dev->sbdf);
}

void group_drop_turn(struct pcidev *dev)
{
    if (dev->group.entry)
        lock_drop(&dev->group.entry->turn);
}
