/* SPDX-License-Identifier: MIT */
#include "src/core/acs.h"

#include "src/core/machine_priv.h"
#include "src/core/registers.h"
#include "src/core/seam.h"
#include "src/core/topology.h"

static const char tag_acs[] = "acs";

/* PCIe 7.5.3.2 */
#define PORT_ROOT 0x4u
#define PORT_UPSTREAM 0x5u
#define PORT_DOWNSTREAM 0x6u
#define PORT_PCI_TO_PCIE 0x8u

/* A function that is alone at its point, and the functions that share one. */
#define PATH_FUNCTION 0x100000000ull
#define PATH_SLOT 0x200000000ull

int acs_enable(struct pcidev *dev, uint16_t *before)
{
    unsigned cap = dev->traits.cap[CAP_ACS];
    uint32_t able, control;
    int error;

    if (!cap)
        return 0;
    error = seam_read(dev, cap + PCI_ACS_CAP, 2, &able);
    if (!error)
        error = seam_read(dev, cap + PCI_ACS_CONTROL, 2, &control);
    if (error)
        return error;
    *before = (uint16_t)control;
    error = seam_write(dev, cap + PCI_ACS_CONTROL, 2, control | (able & PCI_ACS_ISOLATION));
    if (!error) /* what did not stick does not isolate */
        error = seam_read(dev, cap + PCI_ACS_CONTROL, 2, &control);
    if (!error)
        atomic_store(&dev->acs, control == 0xffff ? 0 : (uint16_t)control);
    return error;
}

static bool has_acs(const struct pcidev *dev, unsigned bits)
{
    return (atomic_load(&dev->acs) & bits) == bits;
}

/*
 * Functions of one card reach one another inside of it, unless each of them redirects (PCIe
 * 6.12.1.2). VFs are kept apart by their PF (SR-IOV 1.1, 3.3.15), and ARI makes one card of a bus.
 */
static uint64_t slot_of(const struct pcidev *dev)
{
    uint32_t key = sbdf_key(dev->sbdf);

    if (dev->traits.is_vf || (has_acs(dev, PCI_ACS_REDIRECT) && sbdf_function(dev->sbdf)))
        return PATH_FUNCTION | key;
    return PATH_SLOT | (key & ~(dev->traits.extended_function ? 0xffu : 7u));
}

static unsigned port_of(const struct pcidev *bridge)
{
    return bridge->traits.pcie_port; /* 0 without the capability; never changed by a re-add */
}

/* Whether what is behind a bridge reaches its neighbours there, or what is around the bridge. */
static bool leaks(const struct pcidev *bridge)
{
    switch (port_of(bridge)) {
    case PORT_ROOT:
    case PORT_DOWNSTREAM:
        return !has_acs(bridge, PCI_ACS_ISOLATION);
    case PORT_UPSTREAM:
    case PORT_PCI_TO_PCIE:
        return false;
    default: /* a bus on which everybody hears everybody */
        return true;
    }
}

/* One port that lets requests turn round gives its devices away to those of all the others. */
static bool switch_leaks(struct pcidev *upstream)
{
    struct pcidev *port;
    uint64_t cursor = 0;
    bool found = false;

    while (!found && (port = topology_behind(upstream, &cursor, tag_acs))) {
        bool inside = port->sbdf.bus == upstream->traits.secondary_bus;

        found = inside && port_of(port) == PORT_DOWNSTREAM && leaks(port);
        pcidev_put(port, tag_acs);
        if (!inside)
            break;
    }
    return found;
}

/*
 * The bridge, or the switch as a whole. Which switches keep their ports apart without saying so is
 * known to whoever makes groups; without groups we believe what the ports say.
 */
static bool leaks_here(const struct pcidev *dev, struct pcidev *bridge)
{
    if (leaks(bridge))
        return true;
    return !dev->group && port_of(bridge) == PORT_UPSTREAM && switch_leaks(bridge);
}

uint64_t acs_path(struct pcidev *dev)
{
    uint64_t path = slot_of(dev);
    struct sbdf at = dev->sbdf;
    struct pcidev *bridge;

    while ((bridge = topology_bridge(dev->machine, at, tag_acs))) {
        if (leaks_here(dev, bridge))
            path = slot_of(bridge);
        at = bridge->sbdf;
        pcidev_put(bridge, tag_acs);
    }
    return path;
}
