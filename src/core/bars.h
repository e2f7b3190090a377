/* SPDX-License-Identifier: MIT */
/*
 * What the core knows of BARs: which there are, latched when a device is added, and where they are
 * and how large, looked up again at every change of owner.
 *
 * A function's own registers tell its BARs; those of VFs read as zero, and follow from the
 * capability of their PF (SR-IOV 1.1, 3.3.14).
 */
#ifndef CORE_BARS_H
#define CORE_BARS_H

#include "src/core/device.h"

/**
 * Finds the BARs of a function of header type 0, and those of its VFs while they are off. Asks the
 * host; where it does not know, sizes them with decode off (PCI 3.0, 6.2.5.1). What cannot be a BAR
 * is none. Inside a section, with the device's lock.
 * Returns 0, -ENOMEM, or -EIO: the registers are as before, or decode stays off.
 */
int bars_latch(struct pcidev *dev) REQUIRES(dev->lock);

/** The part of it that is about the VFs of a PF. They are off. 0, -ENOMEM or -EIO: then *@lost says
 * whether the registers could not be put back. */
int bars_latch_vfs(struct pcidev *pf, bool *lost) REQUIRES(pf->lock);

/** Looks up the addresses again; writes nothing to the hardware. As bars_latch(). 0 or -EIO. */
int bars_refresh(struct pcidev *dev) REQUIRES(dev->lock);

/**
 * Sizes the BARs anew where the host has changed the size of one (PCIe 7.8.6), and does not tell
 * where they are. As bars_latch(), with the gate closed: decode is off meanwhile. 0 or -EIO; *@lost
 * as above.
 */
int bars_resize(struct pcidev *dev, bool *lost) REQUIRES(dev->lock);

/** Where the BARs of a device are now, and of which sizes as far as the host tells (else 0): into a
 * set of the caller's, without the device's lock. Inside a section. 0 or -EIO. */
int bars_look(struct pcidev *dev, struct bar_set *set);

/** Whether they are the same BARs at the same places. */
bool bars_same(const struct bar_set *a, const struct bar_set *b);

/**
 * BAR @index, 0 to BERTH_BAR_ROM: false where there is none, with @bar zeroed. Latched: touches no
 * hardware. With the device's lock, or while its owner cannot change.
 */
bool device_bar(const struct pcidev *dev, unsigned index, struct berth_bar *bar)
    REQUIRES(dev->lock);

#endif
