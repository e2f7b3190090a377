/* SPDX-License-Identifier: MIT */
/*
 * Resizable BARs (PCIe 7.8.6). Their sizes survive resets as other registers do (registers.c);
 * here is what changes them, and what a guest has changed is undone when the device leaves it (O2).
 */
#ifndef CORE_REBAR_H
#define CORE_REBAR_H

#include "src/core/device.h"

#define PCI_REBAR_CAP 0x04
#define PCI_REBAR_CONTROL 0x08
#define PCI_REBAR_STRIDE 8u
#define PCI_REBAR_INDEX 0x0007u
#define PCI_REBAR_COUNT_SHIFT 5
#define PCI_REBAR_SIZE 0x3f00u
#define PCI_REBAR_SIZE_SHIFT 8
#define PCI_REBAR_SHIFT 20 /* size 0 is 1 MiB */

/** How many entries the capability at @at has, or 0 where it has none, too many, or no room. */
int rebar_count(struct pcidev *dev, unsigned at, unsigned config_size, uint8_t *count);

/**
 * Sets the size in the control register at @reg, with decode off meanwhile, and the BAR's address
 * again. Inside a section. 0 or -EIO.
 */
int rebar_set(struct pcidev *dev, unsigned reg, unsigned size);

/** *@changed: the device says that a BAR is not of the size that is latched. 0 or -EIO. */
int rebar_changed(struct pcidev *dev, bool *changed) REQUIRES(dev->lock);

/** Remembers the sizes that the host has chosen; goes back to them. In a transition. 0 or -EIO. */
int rebar_latch(struct pcidev *dev) REQUIRES(dev->lock);
int rebar_restore(struct pcidev *dev) REQUIRES(dev->lock);

#endif
