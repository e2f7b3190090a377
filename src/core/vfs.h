/* SPDX-License-Identifier: MIT */
/* VFs that a guest has made, with a PF that it was lent as a whole (M45). */
#ifndef CORE_VFS_H
#define CORE_VFS_H

#include "src/core/transition.h"

/** pcidev_sriov() for the guest that owns the PF, nobody else. Takes no lock of other devices. */
int sriov_for_guest(struct pcidev *pf, const struct tenancy *tenancy, unsigned vfs,
                    const struct berth_request *request);

/** Whether one is under way, of which pf->enabled_vfs may not tell yet. */
bool sriov_for_guest_runs(const struct pcidev *pf);

/**
 * From the one to the other its guest makes no VFs: whoever has given them back finds none when the
 * transition begins. Several at a time are fine.
 */
void vfs_forbid(struct pcidev *pf);
void vfs_allow(struct pcidev *pf);
bool vfs_forbidden(const struct pcidev *pf);

/**
 * Before a PF is taken from its guest, or reset: removes the VFs that the guest has made, and turns
 * them off. Without VFs, or where @tenancy has ended, nothing.
 *
 * @force  also those that somebody has lent to another guest since
 *
 * Returns 0, -EBUSY (another guest has one), -EINVAL (the tenancy has ended meanwhile), or as
 * pcidev_remove() and pcidev_sriov(); some of them may be gone by then.
 * Context: may sleep, no section open, no lock held; between vfs_forbid() and vfs_allow() where no
 * new ones are to come.
 */
int vfs_give_back(struct pcidev *pf, const struct tenancy *tenancy, bool force,
                  const struct berth_request *request);

/** The same, and transition_begin(), with no VFs made in between. */
int vfs_begin(struct transition *t, const struct tenancy *tenancy) ACQUIRES_IF(0, t->dev->lock);

#endif
