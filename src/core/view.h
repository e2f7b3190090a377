/* SPDX-License-Identifier: MIT */
/*
 * What the core asks of the vPCI layer (src/vpci/), which stands on top of it: to make, show, hide
 * and drop the view that a guest has of a device.
 *
 *   prepare ──► publish ──► withdraw ──► restore ...      commit, drop: the end
 *
 * All are called by a transition: with the device's lock, inside its section, the gate closed (O2).
 */
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include "src/core/transition.h"

struct vbus;

/**
 * Step: makes the view that the owner-to-be will have, in a slot of its bus, and sets the hardware
 * up for it; nobody sees it yet.
 */
int view_prepare(struct transition *t) REQUIRES(t->dev->lock);
int view_discard(struct transition *t) REQUIRES(t->dev->lock);

/** Cannot fail: the owner has changed. Publishes what was prepared, ends what the old owner had. */
void view_commit(struct transition *t) REQUIRES(t->dev->lock);

/**
 * Hides the view: off the bus (V3), BARs unmapped, pending operations cancelled. Once more is fine.
 * Returns 0, or -errno where something could not be unmapped (the rest is).
 */
int view_withdraw(struct pcidev *dev) REQUIRES(dev->lock);

/** The counterpart: writes into the hardware what the guest had set up, maps, shows. 0 or -errno.
 */
int view_restore(struct pcidev *dev) REQUIRES(dev->lock);

/** The registers of a hidden view go back to their power-on values (M09). */
void view_power_on(struct pcidev *dev) REQUIRES(dev->lock);

/** The gate has opened: interrupts that came while it was closed are delivered (M30). */
void view_opened(struct pcidev *dev) REQUIRES(dev->lock);

/** What the device has noted of its own errors goes into the guest's view (M13). */
void view_trouble(struct pcidev *dev) REQUIRES(dev->lock);

/** Writes of the guest that met no register of its view (K12). Context: any. */
uint32_t view_dropped(const struct pcidev *dev);

/** Ends a view that is hidden: unbinds its vectors, frees its slot and itself. None: fine. */
void view_drop(struct pcidev *dev) REQUIRES(dev->lock);

/** With the domain. */
void vbus_free(struct vbus *bus);

#endif
