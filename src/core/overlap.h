/* SPDX-License-Identifier: MIT */
/*
 * BARs over those of a device that the hypervisor keeps for itself (F19): whoever is given the one
 * reaches the other, an IOMMU or a console. Its devices are few, and their BARs stay where they
 * are; everybody else's stand where the hardware domain has put them last.
 */
#ifndef CORE_OVERLAP_H
#define CORE_OVERLAP_H

#include "src/core/device.h"

/** Whether no BAR of @dev is over one of a hidden device. Looks at theirs as they are now, without
 * their locks. 0, -EBUSY with the refusal, or -EIO. */
int overlap_check(struct pcidev *dev, struct berth_refusal *why) REQUIRES(dev->lock);

#endif
