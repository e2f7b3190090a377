/* SPDX-License-Identifier: MIT */
#include "src/core/device.h"

#include <berth/vpci.h>

#include "src/core/machine_priv.h"
#include "src/core/memory.h"
#include "src/core/recover.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/tags.h"
#include "src/core/topology.h"
#include "src/core/view.h"

#define SNAPSHOT_PATIENCE_NS 1000000u

static const char *const hold_names[HOLD_KINDS] = {
    [HOLD_REGISTRY] = "registry",   [HOLD_OWNER] = "owner", [HOLD_VF] = "vf",
    [HOLD_HANDLE] = "handle",       [HOLD_ATS] = "ats",     [HOLD_VECTOR] = "vector",
    [HOLD_OPERATION] = "operation",
};

const char untracked_name[] = "untracked";

const char *hold_name(enum hold kind)
{
    return hold_names[kind];
}

/* ---- life and death of the object ---- */

/* Of the machine: an object that comes back after a removal is not what it was before either. */
static uint32_t next_generation(struct berth_machine *machine)
{
    return atomic_fetch_add(&machine->generation, 1) + 1;
}

void device_new_generation(struct pcidev *dev)
{
    atomic_store(&dev->generation, next_generation(dev->machine));
}

struct pcidev *device_alloc(struct berth_machine *machine, struct sbdf sbdf, const char *tag)
{
    struct pcidev *dev = port_alloc_lines(sizeof(*dev));

    if (!dev)
        return NULL;
    dev->machine = machine;
    dev->sbdf = sbdf;
    atomic_init(&dev->gate, GATE_TRANSITION); /* opens when the add commits */
    atomic_init(&dev->state, PCIDEV_ADDING);
    atomic_init(&dev->generation, next_generation(machine));
    refcount_init(&dev->refs, 1);
    lock_init(&dev->lock, LOCK_DEVICE);
    tags_init(dev);
    tags_add(dev, tag);
    machine_enlist(machine, dev);
    return dev;
}

static void device_free(struct port_deferred *deferred)
{
    struct pcidev *dev = (struct pcidev *)deferred; /* the first member */

    share_part(dev);
    machine_delist(dev);
    lock_destroy(&dev->lock);
    tags_destroy(dev);
    port_free(dev->vf_bars);
    port_free(atomic_load(&dev->recovery));
    port_free(dev);
}

/* Runs with the last put, wherever that is: sleeps nowhere, takes no lock. */
static void device_release(struct pcidev *dev)
{
    berth_domain_put(device_owner(dev));
    if (dev->pf)
        device_unhold(dev->pf, HOLD_VF);
    /* a lookup that lost the race for the last reference may still look at .refs (C3) */
    port_defer(&dev->deferred, device_free);
}

static void device_drop(struct pcidev *dev)
{
    switch (refcount_put(&dev->refs)) {
    case REFCOUNT_ALIVE:
        break;
    case REFCOUNT_LAST:
        device_release(dev);
        break;
    case REFCOUNT_UNDERFLOW:
        event_device(dev, BERTH_EVENT_MISUSE, "reference underflow", -EINVAL);
        break;
    }
}

static void device_take(struct pcidev *dev)
{
    if (!refcount_get(&dev->refs))
        event_device(dev, BERTH_EVENT_MISUSE, "reference overflow", -ERANGE);
}

/* ---- references ---- */

struct pcidev *device_try_get(struct pcidev *dev, const char *tag)
{
    if (!dev || !refcount_try_get(&dev->refs))
        return NULL;
    tags_add(dev, tag);
    return dev;
}

struct pcidev *device_peek(struct berth_machine *machine, struct sbdf sbdf)
{
    return sbdf_map_find(&machine->devices, sbdf_key(sbdf));
}

struct pcidev *pcidev_find(struct berth_machine *machine, struct sbdf sbdf, const char *tag)
{
    struct pcidev *dev;

    port_read_lock();
    dev = device_try_get(device_peek(machine, sbdf), tag);
    port_read_unlock();
    return dev;
}

/* The first entry behind @after that can still be referenced. */
static struct pcidev *map_walk(struct sbdf_map *map, const struct sbdf *after, const char *tag)
{
    struct pcidev *dev = NULL, *found;
    uint64_t cursor = after ? (uint64_t)sbdf_key(*after) + 1 : 0;

    port_read_lock();
    while (!dev && (found = sbdf_map_step(map, &cursor)))
        dev = device_try_get(found, tag);
    port_read_unlock();
    return dev;
}

struct pcidev *pcidev_next(struct berth_machine *machine, const struct sbdf *after, const char *tag)
{
    return map_walk(&machine->devices, after, tag);
}

struct pcidev *berth_domain_next_device(struct berth_domain *domain, const struct sbdf *after,
                                        const char *tag)
{
    return map_walk(&domain->devices, after, tag);
}

struct pcidev *pcidev_get(struct pcidev *dev, const char *tag)
{
    device_take(dev);
    tags_add(dev, tag);
    return dev;
}

void pcidev_put(struct pcidev *dev, const char *tag)
{
    if (!dev)
        return;
    tags_drop(dev, tag);
    device_drop(dev);
}

void device_hold(struct pcidev *dev, enum hold kind)
{
    device_take(dev);
    atomic_fetch_add_explicit(&dev->held[kind], 1, memory_order_relaxed);
}

void device_unhold(struct pcidev *dev, enum hold kind)
{
    atomic_fetch_sub_explicit(&dev->held[kind], 1, memory_order_relaxed);
    device_drop(dev);
}

struct pcidev *pcidev_handle_open(struct pcidev *dev)
{
    device_hold(dev, HOLD_HANDLE);
    return dev;
}

void pcidev_handle_close(struct pcidev *dev)
{
    device_unhold(dev, HOLD_HANDLE);
}

unsigned pcidev_holders(struct pcidev *dev, struct berth_holder *list, unsigned max)
{
    uint32_t all = refcount_read(&dev->refs);
    uint32_t known = 0;
    unsigned count = 0;

    for (unsigned kind = 0; kind < HOLD_KINDS; kind++) {
        uint32_t held = atomic_load_explicit(&dev->held[kind], memory_order_relaxed);

        known += held;
        if (held && count < max)
            list[count++] = (struct berth_holder){.tag = hold_names[kind], .count = held};
    }
#if BERTH_CHECKS
    count = tags_list(dev, list, count, max);
    (void)all;
    (void)known;
#else
    if (all > known && count < max)
        list[count++] = (struct berth_holder){.tag = untracked_name, .count = all - known};
#endif
    return count;
}

/* ---- looking at it ---- */

struct sbdf pcidev_sbdf(const struct pcidev *dev)
{
    return dev->sbdf;
}

uint32_t pcidev_generation(const struct pcidev *dev)
{
    return atomic_load_explicit(&dev->generation, memory_order_acquire);
}

size_t pcidev_object_size(void)
{
    return sizeof(struct pcidev);
}

static const char *const type_names[] = {
    [PCIDEV_ENDPOINT] = "endpoint",
    [PCIDEV_PCI_ENDPOINT] = "pci-endpoint",
    [PCIDEV_HOST_BRIDGE] = "host-bridge",
    [PCIDEV_PCIE_BRIDGE] = "pcie-port",
    [PCIDEV_PCIE_TO_PCI] = "pcie-to-pci-bridge",
    [PCIDEV_PCI_TO_PCIE] = "pci-to-pcie-bridge",
    [PCIDEV_PCI_BRIDGE] = "pci-bridge",
    [PCIDEV_CARDBUS_BRIDGE] = "cardbus-bridge",
    [PCIDEV_EVENT_COLLECTOR] = "event-collector",
};

static const char *const state_names[] = {
    [PCIDEV_ADDING] = "adding",
    [PCIDEV_PRESENT] = "present",
    [PCIDEV_REMOVING] = "removing",
    [PCIDEV_REMOVED] = "removed",
};

static const char *const method_names[] = {
    [PCIDEV_RESET_NONE] = "none", [PCIDEV_RESET_HOST] = "host", [PCIDEV_RESET_FLR] = "flr",
    [PCIDEV_RESET_AF] = "af-flr", [PCIDEV_RESET_PM] = "pm",     [PCIDEV_RESET_BUS] = "bus",
};

#define NAME_OF(table, value) \
    ((unsigned)(value) < sizeof(table) / sizeof((table)[0]) ? (table)[value] : "unknown")

const char *pcidev_type_name(enum pcidev_type type)
{
    return NAME_OF(type_names, type);
}

const char *pcidev_state_name(enum pcidev_state state)
{
    return NAME_OF(state_names, state);
}

const char *pcidev_reset_method_name(enum pcidev_reset_method method)
{
    return NAME_OF(method_names, method);
}

/* What never changes while the object lives. */
static void snapshot_identity(const struct pcidev_traits *t, struct pcidev_info *info)
{
    info->vendor = t->vendor;
    info->device = t->device;
    info->subsystem_vendor = t->subsystem_vendor;
    info->subsystem = t->subsystem;
    info->class_code = t->class_code;
    info->revision = t->revision;
    info->type = (enum pcidev_type)t->type;
    info->hidden = t->reservation == BERTH_RESERVE_HIDDEN;
    info->read_only = t->reservation == BERTH_RESERVE_READ_ONLY;
    info->extended_function = t->extended_function;
    info->is_vf = t->is_vf;
    info->total_vfs = t->total_vfs;
    info->phantom_stride = t->phantom_stride;
    info->secondary_bus = t->secondary_bus;
    info->subordinate_bus = t->subordinate_bus;
    info->errata = t->errata;
}

/* What a re-add may change; under the device's lock. */
static void snapshot_details(const struct pcidev *dev, struct pcidev_info *info) REQUIRES(dev->lock)
{
    const struct pcidev_traits *t = &dev->traits;

    info->ext_aliased = t->ext_aliased;
    info->config_size = t->config_size;
    info->numa_node = t->numa_node;
    info->rid_count = dev->rid_count;
    for (unsigned i = 0; i < dev->rid_count; i++)
        info->rids[i] = dev->rids[i].entry->rid;
    info->method_count = t->method_count;
    for (unsigned i = 0; i < t->method_count; i++)
        info->methods[i] = (enum pcidev_reset_method)t->methods[i];
}

static void snapshot_owner(const struct pcidev *dev, struct pcidev_info *info)
{
    const struct berth_domain *owner;

    /* a domain that loses its last device and its last reference meanwhile stays in memory */
    port_read_lock();
    owner = device_owner(dev);
    if (owner) {
        memcpy(info->owner, owner->name, sizeof(info->owner));
        info->owner_id = owner->id;
        info->owner_kind = owner->kind;
    }
    port_read_unlock();
}

/* Unseen: goes on without the lock where it can't be had. */
void pcidev_snapshot(struct pcidev *dev, struct pcidev_info *info) LOCKING_UNSEEN
{
    /* The lock makes it one picture; where a transition sleeps, it would be too long to wait. */
    bool locked = lock_take_until(&dev->lock, port_now_ns() + SNAPSHOT_PATIENCE_NS);

    memset(info, 0, sizeof(*info));
    info->sbdf = dev->sbdf;
    snapshot_identity(&dev->traits, info);
    info->in_transition = !locked;
    info->numa_node = -1;
    if (locked)
        snapshot_details(dev, info);
    snapshot_owner(dev, info);
    info->state = device_state(dev);
    info->disconnected = device_disconnected(dev);
    info->broken = atomic_load(&dev->broken);
    info->contained = atomic_load(&dev->contained);
    info->generation = pcidev_generation(dev);
    info->faults = atomic_load(&dev->faults);
    info->corrected = recover_corrected(dev);
    info->dropped = view_dropped(dev);
    info->vfs = atomic_load(&dev->enabled_vfs);
    info->references = refcount_read(&dev->refs);
    if (dev->pf)
        info->pf = dev->pf->sbdf;
    info->children = topology_children(dev);
    info->has_guest_address = berth_domain_address(dev, &info->guest_address) == 0;
    info->has_parent = topology_parent(dev, &info->parent);
    if (locked)
        lock_drop(&dev->lock);
    /* the IOMMU takes its time, or not: nobody has to wait for that */
    info->has_group = dev->machine && pcidev_group(dev, &info->group) == 0;
}
