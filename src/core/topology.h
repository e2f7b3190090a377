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

/**
 * The same for those who must not overlook one: *@busy where there is a bridge which can't be
 * referenced, because it is on its way out (or held by a strict removal).
 */
struct pcidev *topology_bridge_or_busy(struct berth_machine *machine, struct sbdf on_bus,
                                       const char *tag, bool *busy);

/** True, and the address of the bridge above, where one is registered. */
bool topology_parent(const struct pcidev *dev, struct sbdf *parent);

/** The bridges above a function while it is being added, each with a reference and counted in. */
#define ABOVE_MAX 16
struct above {
    struct pcidev *bridge[ABOVE_MAX];
    unsigned count;
};

/**
 * Counts an add in at every bridge above, before it touches anything: a bridge that is being
 * removed or reset announces itself as closing and then waits for those who are in; the add counts
 * itself in and then looks. One of the two sees the other. Returns 0, -EBUSY (a bridge is closing),
 * -E2BIG (too many bridges); then nothing is counted.
 */
int topology_enter_above(const struct pcidev *dev, struct above *above, struct berth_refusal *why);
void topology_leave_above(struct above *above);

/** The other side. 0, or -ETIMEDOUT: an add has not ended by the deadline; then it is open again.
 */
int topology_close(struct pcidev *bridge, uint64_t deadline_ns, struct berth_refusal *why);
void topology_reopen(struct pcidev *bridge);

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
