/* SPDX-License-Identifier: MIT */
#ifndef CORE_REMOVE_H
#define CORE_REMOVE_H

#include "src/core/transition.h"

/**
 * Removes all VFs of a PF by force. @tenancy: of the PF; only while it holds, and none that another
 * guest has (-EBUSY, -EINVAL). NULL: all. 0 or as pcidev_remove().
 */
int remove_vfs(struct pcidev *pf, const struct tenancy *tenancy,
               const struct berth_request *request);

/** The owner with a reference, where it is a guest; else NULL. */
struct berth_domain *guest_owner(const struct pcidev *dev);

/** Removal by force without asking who may: for the end of a machine. */
int remove_tree(struct pcidev *dev, const struct berth_request *request);

#endif
