/* SPDX-License-Identifier: MIT */
#include "src/core/topology.h"

#include "src/core/machine_priv.h"

static const char tag_topology[] = "topology";

static uint32_t bus_key(unsigned segment, unsigned bus)
{
    return sbdf_key(sbdf_make(segment, bus, 0, 0));
}

struct pcidev *topology_bridge_or_busy(struct berth_machine *machine, struct sbdf on_bus,
                                       const char *tag, bool *busy)
{
    struct pcidev *found, *bridge;

    port_read_lock();
    found = sbdf_map_find(&machine->bridges, bus_key(on_bus.segment, on_bus.bus));
    bridge = device_try_get(found, tag);
    port_read_unlock();
    *busy = found && !bridge;
    return bridge;
}

struct pcidev *topology_bridge(struct berth_machine *machine, struct sbdf on_bus, const char *tag)
{
    bool busy;

    return topology_bridge_or_busy(machine, on_bus, tag, &busy);
}

uint32_t topology_bus_key(const struct pcidev *bridge)
{
    return bus_key(bridge->sbdf.segment, bridge->traits.secondary_bus);
}

static void unmap(struct pcidev *dev, struct sbdf_map *map, uint32_t key)
{
    struct berth_machine *machine = dev->machine;

    lock_take(&machine->lock);
    if (sbdf_map_find(map, key) == dev)
        sbdf_map_remove(map, key);
    lock_drop(&machine->lock);
}

void topology_unmap_bridge(struct pcidev *bridge)
{
    unmap(bridge, &bridge->machine->bridges, topology_bus_key(bridge));
}

void topology_unmap_pf(struct pcidev *pf)
{
    unmap(pf, &pf->machine->pfs, sbdf_key(pf->sbdf));
}

bool topology_parent(const struct pcidev *dev, struct sbdf *parent)
{
    struct pcidev *bridge = topology_bridge(dev->machine, dev->sbdf, tag_topology);

    if (!bridge)
        return false;
    *parent = bridge->sbdf;
    pcidev_put(bridge, tag_topology);
    return true;
}

static bool has_buses_behind(const struct pcidev *dev)
{
    return device_is_bridge(dev) && dev->traits.secondary_bus > dev->sbdf.bus &&
           dev->traits.subordinate_bus >= dev->traits.secondary_bus;
}

struct pcidev *topology_behind(struct pcidev *bridge, uint64_t *cursor, const char *tag)
{
    uint32_t first = bus_key(bridge->sbdf.segment, bridge->traits.secondary_bus);
    uint32_t last = bus_key(bridge->sbdf.segment, bridge->traits.subordinate_bus) | 0xffu;
    struct pcidev *dev = NULL, *found;

    if (!has_buses_behind(bridge))
        return NULL;
    if (*cursor < first)
        *cursor = first;
    port_read_lock();
    while (!dev && (found = sbdf_map_step(&bridge->machine->devices, cursor))) {
        if (sbdf_key(found->sbdf) > last)
            break;
        dev = device_try_get(found, tag);
    }
    port_read_unlock();
    return dev;
}

/* ---- adds and what happens above them ---- */

static int enter_one(struct pcidev *bridge, struct above *above, struct berth_refusal *why)
{
    if (above->count == ABOVE_MAX) {
        pcidev_put(bridge, tag_topology);
        return refuse_number(why, -E2BIG, BERTH_REASON_TOO_MANY_RIDS, ABOVE_MAX);
    }
    above->bridge[above->count++] = bridge;
    atomic_fetch_add(&bridge->adding, 1); /* pairs with topology_close() */
    if (!atomic_load(&bridge->closing))
        return 0;
    return refuse_other(why, -EBUSY, BERTH_REASON_TRANSITION, bridge->sbdf);
}

int topology_enter_above(const struct pcidev *dev, struct above *above, struct berth_refusal *why)
{
    struct sbdf at = dev->sbdf;
    struct pcidev *bridge;
    bool busy;
    int error = 0;

    above->count = 0;
    while (!error && (bridge = topology_bridge_or_busy(dev->machine, at, tag_topology, &busy))) {
        at = bridge->sbdf;
        error = enter_one(bridge, above, why);
    }
    if (!error && busy)
        error = refuse_other(why, -EBUSY, BERTH_REASON_TRANSITION, at);
    if (error)
        topology_leave_above(above);
    return error;
}

void topology_leave_above(struct above *above)
{
    while (above->count) {
        struct pcidev *bridge = above->bridge[--above->count];

        atomic_fetch_sub(&bridge->adding, 1);
        pcidev_put(bridge, tag_topology);
    }
}

int topology_close(struct pcidev *bridge, uint64_t deadline_ns, struct berth_refusal *why)
{
    atomic_fetch_add(&bridge->closing, 1);
    for (unsigned attempt = 0; atomic_load(&bridge->adding); attempt++) {
        if (port_now_ns() >= deadline_ns) {
            topology_reopen(bridge);
            why->holders[0] = (struct berth_holder){.tag = "add", .count = 1};
            why->holder_count = 1;
            return refuse_other(why, -ETIMEDOUT, BERTH_REASON_TRANSITION, bridge->sbdf);
        }
        port_relax(attempt);
    }
    return 0;
}

void topology_reopen(struct pcidev *bridge)
{
    atomic_fetch_sub(&bridge->closing, 1);
}

unsigned topology_children(struct pcidev *dev)
{
    unsigned count = dependents_read(&dev->vfs);
    struct pcidev *child;
    uint64_t cursor = 0;

    while ((child = topology_behind(dev, &cursor, tag_topology))) {
        count++;
        pcidev_put(child, tag_topology);
    }
    return count;
}

int pcidev_group(const struct pcidev *dev, uint32_t *group)
{
    const struct berth_machine_config *config = &dev->machine->config;
    uint32_t found = 0;
    int error;

    if (!config->iommu || !config->iommu->group)
        return -EOPNOTSUPP;
    error = config->iommu->group(config->iommu_context, dev->sbdf, &found);
    if (!error) /* F59: what comes with an error is none */
        *group = found;
    return error;
}

/* ---- requester ids ---- */

bool topology_is_phantom(const struct pcidev *dev, struct sbdf rid)
{
    unsigned own = sbdf_function(dev->sbdf), fn = sbdf_function(rid);
    unsigned stride = dev->traits.phantom_stride;

    if (rid.segment != dev->sbdf.segment || rid.bus != dev->sbdf.bus ||
        sbdf_device(rid) != sbdf_device(dev->sbdf) || fn == own)
        return false;
    if ((fn == 0 && dev->traits.errata & PCIDEV_ERRATUM_DMA_FN0) ||
        (fn == 1 && dev->traits.errata & PCIDEV_ERRATUM_DMA_FN1))
        return true;
    return stride && fn > own && (fn - own) % stride == 0;
}

struct rid_list {
    struct sbdf *rids;
    unsigned count;
    bool overflow;
};

static void rid_add(struct rid_list *list, struct sbdf rid)
{
    for (unsigned i = 0; i < list->count; i++)
        if (sbdf_equal(list->rids[i], rid))
            return;
    if (list->count < PCIDEV_RIDS_MAX)
        list->rids[list->count++] = rid;
    else
        list->overflow = true;
}

static struct sbdf sibling(const struct pcidev *dev, unsigned function)
{
    return sbdf_make(dev->sbdf.segment, dev->sbdf.bus, sbdf_device(dev->sbdf), function);
}

static void add_phantoms(struct pcidev *dev, struct rid_list *list)
{
    unsigned stride = dev->traits.phantom_stride;

    /* a real function is never a phantom (M03), and ARI has no functions to spare */
    for (unsigned fn = sbdf_function(dev->sbdf) + stride; stride && fn < 8; fn += stride) {
        bool real;

        port_read_lock();
        real = device_peek(dev->machine, sibling(dev, fn)) != NULL;
        port_read_unlock();
        if (!real)
            rid_add(list, sibling(dev, fn));
    }
    if (dev->traits.errata & PCIDEV_ERRATUM_DMA_FN0)
        rid_add(list, sibling(dev, 0));
    if (dev->traits.errata & PCIDEV_ERRATUM_DMA_FN1)
        rid_add(list, sibling(dev, 1));
}

/*
 * Bridges to conventional buses put requests upstream under another id: a PCIe-to-PCI bridge under
 * (secondary bus, 0) or its own (PCI Express to PCI Bridge 1.0, 2.3), other bridges under their
 * own.
 */
static void add_bridge_alias(const struct pcidev *bridge, struct rid_list *list)
{
    switch (bridge->traits.type) {
    case PCIDEV_PCIE_TO_PCI:
        rid_add(list, bridge->sbdf);
        rid_add(list, sbdf_make(bridge->sbdf.segment, bridge->traits.secondary_bus, 0, 0));
        break;
    case PCIDEV_PCI_BRIDGE:
    case PCIDEV_CARDBUS_BRIDGE:
    case PCIDEV_PCI_TO_PCIE:
        rid_add(list, bridge->sbdf);
        break;
    default:
        break;
    }
}

int topology_rids(struct pcidev *dev, struct sbdf rids[PCIDEV_RIDS_MAX])
{
    struct rid_list list = {.rids = rids};
    struct sbdf at = dev->sbdf;
    struct pcidev *bridge;

    rid_add(&list, dev->sbdf);
    add_phantoms(dev, &list);
    while ((bridge = topology_bridge(dev->machine, at, tag_topology))) {
        add_bridge_alias(bridge, &list);
        at = bridge->sbdf;
        pcidev_put(bridge, tag_topology);
    }
    return list.overflow ? -E2BIG : (int)list.count;
}

struct pcidev *pcidev_find_rid(struct berth_machine *machine, struct sbdf rid, const char *tag)
{
    struct pcidev *dev = pcidev_find(machine, rid, tag);

    for (unsigned fn = 0; !dev && fn < 8; fn++) {
        const struct sbdf at = sbdf_make(rid.segment, rid.bus, sbdf_device(rid), fn);

        dev = pcidev_find(machine, at, tag);
        if (dev && !topology_is_phantom(dev, rid)) {
            pcidev_put(dev, tag);
            dev = NULL;
        }
    }
    return dev;
}
