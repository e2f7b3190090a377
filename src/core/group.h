/* SPDX-License-Identifier: MIT */
/*
 * Isolation groups (O4): what the IOMMU cannot keep apart has one real owner, or none.
 *
 * A device in quarantine does not count: nobody drives it. A device that is added to a group which
 * a guest has a part in goes to quarantine instead of the hardware domain.
 */
#ifndef CORE_GROUP_H
#define CORE_GROUP_H

#include "src/core/device.h"

struct group_entry {
    struct port_deferred deferred; /* first: freed through it */
    uint32_t id;
    uint32_t stakes; /* its devices; under the machine's .lock */

    /*
     * Locking: .turn (rank LOCK_TURN) is held for a whole change of owner, which may sleep: one
     * device of a group at a time. Others never meet here. .lock (rank LOCK_GROUP) protects
     * what follows, for a few instructions.
     */
    struct lock turn;
    struct lock lock;
    const struct berth_domain *owner; /* the real owner, while .users is not 0; for comparison */
    bool guest;                       /* .owner is a guest; else the host's side, of any kind */
    uint32_t users;
};

/**
 * Finds the group of a device and takes part in it. 0 or -ENOMEM. The object parts when it is freed
 * and not before: whoever begins a transition of it takes the group's turn first.
 */
int group_join(struct pcidev *dev);
void group_part(struct pcidev *dev);

/** Whether @to may own the device, with the others where they are. 0, -EBUSY, or what the IOMMU
 * said. */
int group_check(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why);

/** Counts the device for another owner; the quarantine and NULL do not count. 0 or -EBUSY. */
int group_count(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why);

/** One change of owner at a time. 0 or -ETIMEDOUT. */
int group_take_turn(struct pcidev *dev, uint64_t deadline_ns, struct berth_refusal *why);
void group_drop_turn(struct pcidev *dev);

/** Frees the entries that are left when the machine goes. */
void group_destroy(struct berth_machine *machine);

#endif
