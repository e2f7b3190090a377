/* SPDX-License-Identifier: MIT */
/*
 * IOMMU spaces, the contexts that point to them, and reserved regions inside them.
 *
 * A space knows how many contexts point to it, from what the IOMMU said it did, and is never freed
 * while there is one (O5). A context (struct rid_entry) belongs to a requester id, not to a device:
 * devices behind a PCI bridge share one.
 */
#ifndef CORE_SPACE_H
#define CORE_SPACE_H

#include "src/core/device.h"

/** A reserved region as it is mapped in one space, counted over the devices that need it (X08). */
struct region {
    struct region *next GUARDED_BY(space, lock);
    struct berth_reserved reserved;
    uint32_t users GUARDED_BY(space, lock);
    struct lock lock; /* LOCK_REGION: held while the IOMMU maps or unmaps */
    bool mapped GUARDED_BY(region, lock);
};

struct space {
    void *handle; /* the IOMMU's */
    enum berth_space_kind kind;
    _Atomic uint32_t contexts; /* that point here */

    /* Locking: .lock (rank LOCK_SPACE) protects the list and the counts of users. */
    struct lock lock;
    struct region *regions GUARDED_BY(space, lock);
};

/** The context of one requester id. */
struct rid_entry {
    struct port_deferred deferred; /* first: freed through it */
    struct sbdf rid;
    _Atomic uint32_t
        stakes; /* devices that use this requester id; written under the machine's .lock */

    /* Locking: .lock (rank LOCK_RID) protects what follows and is held while the IOMMU attaches,
     * detaches and flushes. Devices that do not share the requester id never meet here. */
    struct lock lock;
    /* the one real owner of its devices, while .users is not 0 */
    struct berth_domain *owner GUARDED_BY(rid_entry, lock);
    uint32_t users GUARDED_BY(rid_entry, lock); /* devices whose owner is real */
    /* what the context points to; NULL: blocked */
    struct space *attached GUARDED_BY(rid_entry, lock);
    /* what it pointed to before, until the caches are flushed */
    struct space *stale[2] GUARDED_BY(rid_entry, lock);
};

/** A device's part in a requester id. */
struct rid_stake {
    struct rid_entry *entry;
    struct berth_domain *domain; /* counted for this owner, with a reference; NULL: for nobody */
};

/** 0 with *@space (NULL where there is no IOMMU), or the IOMMU's error. */
int space_create(struct berth_machine *machine, enum berth_space_kind kind, uint32_t id,
                 struct space **space);

/** Frees a space. -EBUSY: contexts still point to it, nothing was freed. NULL is fine. */
int space_destroy(struct berth_machine *machine, struct space *space);

/** Frees the private space of a device. -EBUSY: a context still points to it, and it stays. */
int device_free_quarantine(struct pcidev *dev) REQUIRES(dev->lock);

/**
 * Maps the device's reserved regions into a space, all of them or none; and the reverse (M24).
 * Where an unmap that failed could not be put back *@lost is set.
 */
int space_map_reserved(struct pcidev *dev, struct space *space, struct berth_refusal *why);
int space_unmap_reserved(struct pcidev *dev, struct space *space, struct berth_refusal *why,
                         bool *lost);

/** Collects the requester ids of a device and puts its stakes on them; and the reverse. */
int rids_stake(struct pcidev *dev, struct berth_refusal *why) REQUIRES(dev->lock);
void rids_unstake(struct pcidev *dev) REQUIRES(dev->lock);

/**
 * Moves the contexts of all requester ids of a device to another owner (M22, O1): all or none. NULL
 * is nobody: the context is cleared. In quarantine it points to the device's own space. What
 * was cached of the old owner is flushed.
 *
 * Returns 0, -EBUSY (a shared requester id belongs to somebody else), or the IOMMU's error, with
 * the old contexts. Where the way back failed as well *@lost is set: rids_contain() has to follow.
 */
int rids_move(struct pcidev *dev, struct berth_domain *to, struct berth_refusal *why, bool *lost)
    REQUIRES(dev->lock);

/**
 * Takes one requester id away from a device: its context is cleared and flushed. Needs the device's
 * lock and a section. 0, also where it has no such id, or the IOMMU's error with all as before.
 */
int rids_give_up(struct pcidev *dev, struct sbdf rid, struct berth_refusal *why)
    REQUIRES(dev->lock);

/** Whether bridges that came later have given the device more requester ids. 0 or -EBUSY. */
int rids_are_complete(struct pcidev *dev, struct berth_refusal *why) REQUIRES(dev->lock);

/**
 * The requester id that a device's own messages arrive with: its own one, or the one that a bridge
 * above puts on them (X55). Changes with the bridges only.
 */
struct sbdf rids_source(const struct pcidev *dev);

/** Blocks every requester id of a device that is lost, as far as the IOMMU lets us (O1). */
void rids_contain(struct pcidev *dev) REQUIRES(dev->lock);

/** Whether a move to @to would be refused, without doing anything. 0 or -EBUSY. */
int rids_check(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why)
    REQUIRES(dev->lock);

/** Frees the entries that are left when the machine goes. */
void rids_destroy(struct berth_machine *machine);

#endif
