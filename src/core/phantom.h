/* SPDX-License-Identifier: MIT */
/* Phantom functions that turn out to be real (M03, F12). */
#ifndef CORE_PHANTOM_H
#define CORE_PHANTOM_H

#include "src/core/device.h"

/**
 * Makes the functions below @dev in its slot give up @dev's requester id, where they hold it as a
 * phantom function: buses are scanned upwards, so they were there first. The id is blocked
 * until @dev attaches it.
 * Returns 0, -EBUSY (one of them is in a transition), or the IOMMU's error.
 */
int phantom_yield(struct pcidev *dev, struct berth_refusal *why);

#endif
