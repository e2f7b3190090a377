/* SPDX-License-Identifier: MIT */
#ifndef CORE_RESET_H
#define CORE_RESET_H

#include "src/core/transition.h"

/**
 * A guest resets a function that it was lent (PCIe 6.6.2): this function only, and its view starts
 * anew. Without effect where the device has another owner or generation by now (V6).
 * Returns 0; -EAGAIN (nothing was begun: another transition keeps the device, or its VFs); or as
 * pcidev_reset(), with the device and the view as they were. Context: may sleep, no section of @dev
 * open.
 */
int reset_for_guest(struct pcidev *dev, struct berth_domain *guest, uint32_t generation);

/** Steps: VFs go with their PF's reset, so none may be added while it lasts. */
int step_close_vfs(struct transition *t) REQUIRES(t->dev->lock);
int step_open_vfs(struct transition *t) REQUIRES(t->dev->lock);

#endif
