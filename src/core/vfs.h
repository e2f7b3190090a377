/* SPDX-License-Identifier: MIT */
/* VFs that a guest has made, with a PF that it was lent as a whole (M45). */
#ifndef CORE_VFS_H
#define CORE_VFS_H

#include "src/core/transition.h"

/** pcidev_sriov() for the guest that owns the PF, nobody else. Takes no lock of other devices. */
int sriov_for_guest(struct pcidev *pf, const struct berth_domain *guest, unsigned vfs,
                    const struct berth_request *request);

/**
 * Before a PF is taken from its guest, or reset: removes the VFs that the guest has made, and turns
 * them off. Without VFs, or without a guest, nothing.
 *
 * @force  also those that somebody has lent to another guest since
 *
 * Returns 0, -EBUSY (another guest has one), or as pcidev_remove() and pcidev_sriov(); some of them
 * may be gone by then. Context: may sleep, no section open, no lock held.
 */
int vfs_give_back(struct pcidev *pf, bool force, const struct berth_request *request);

#endif
