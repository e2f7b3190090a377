/* SPDX-License-Identifier: MIT */
/*
 * Who is above whom: bridges by their secondary bus, phantom functions, aliases.
 *
 * Nothing is linked between the objects (a VF's counted link to its PF excepted): the bridge above
 * a device is looked up by the device's bus, what is behind a bridge by its range of buses. So
 * bridges come and go in any order (M05), and nothing has to be repaired.
 */
#ifndef CORE_TOPOLOGY_H
#define CORE_TOPOLOGY_H

#include "src/core/device.h"

/** The bridge whose secondary bus this is, with a reference, or NULL. */
struct pcidev *topology_bridge(struct berth_machine *machine, struct sbdf on_bus, const char *tag);

/** The key of a bridge in the machine's map of bridges. */
uint32_t topology_bus_key(const struct pcidev *bridge);

/** Takes a bridge, a PF out of the machine's maps, if it is in them. */
void topology_unmap_bridge(struct pcidev *bridge);
void topology_unmap_pf(struct pcidev *pf);

/** True, and the address of the bridge above, where one is registered. */
bool topology_parent(const struct pcidev *dev, struct sbdf *parent);

/** VFs of a PF, or devices behind a bridge. */
unsigned topology_children(struct pcidev *dev);

/**
 * The device behind a bridge that follows the one at *@cursor; 0 begins. With a reference, or NULL
 * at the end. A walk like pcidev_next().
 */
struct pcidev *topology_behind(struct pcidev *bridge, uint64_t *cursor, const char *tag);

/**
 * Lists the requester ids of a device: its own, its phantom functions that are no real
 * functions, the aliases of the bridges above (M03, M05).
 * Returns their number, or -E2BIG.
 */
int topology_rids(struct pcidev *dev, struct sbdf rids[PCIDEV_RIDS_MAX]);

/** Whether @rid is a phantom function of @dev. */
bool topology_is_phantom(const struct pcidev *dev, struct sbdf rid);

#endif
