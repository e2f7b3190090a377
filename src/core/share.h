/* SPDX-License-Identifier: MIT */
/*
 * What cannot be kept apart has one real owner, or none (O4).
 *
 *     struct share ──── members ────► struct share_stake ◄──── stakes ──── struct pcidev
 *
 * A share is something that several devices have a part in: an isolation group of the IOMMU, a
 * point from which on ACS does not separate them, a page of BARs, an interrupt line.
 *
 * A device in quarantine does not count: nobody drives it. A device that is added to a share which
 * a guest has a part in goes to quarantine instead of the hardware domain. The hardware domain and
 * the hypervisor trust one another. While a device is on its way it counts for both its owners, so
 * that there is a way back.
 */
#ifndef CORE_SHARE_H
#define CORE_SHARE_H

#include "src/core/device.h"

#define PAGE_SHIFT 12

enum share_kind {
    SHARE_GROUP, /* by the IOMMU's number */
    SHARE_PATH,  /* by acs_path() */
    SHARE_PAGE,  /* by the number of a host page that several BARs may be in */
    SHARE_LINE,  /* by the host's interrupt line */
};

struct share_stake;

struct share {
    enum share_kind kind;
    uint64_t id;

    /* under the machine's .shares_lock */
    /* with the same key in the machine's map */
    struct share *next GUARDED_BY(berth_machine, shares_lock);
    struct share_stake *members GUARDED_BY(berth_machine, shares_lock);

    /*
     * Locking: of a group only. .turn (rank LOCK_TURN) is held for a whole change of owner, which
     * may sleep: one device of a group at a time. Others never meet here.
     */
    struct lock turn;
};

/** A device's part in a share. Linked at both ends under the machine's .shares_lock. */
struct share_stake {
    struct share *share;
    struct pcidev *dev;
    struct share_stake *next GUARDED_BY(berth_machine, shares_lock); /* of the share's members */
    struct share_stake **link GUARDED_BY(berth_machine, shares_lock);
    struct share_stake *sibling GUARDED_BY(berth_machine, shares_lock); /* of the device's stakes */
    uint8_t bar;  /* SHARE_PAGE: the BAR in it */
    bool lenient; /* SHARE_LINE: it can do without the line, and is not refused for it */
    /* SHARE_LINE: of share_line_take(); while there are, it can't do without */
    uint8_t takes GUARDED_BY(berth_machine, shares_lock);
};

/** Takes part in everything that is known of the device. 0 or -ENOMEM. The object parts when it is
 * freed and not before: whoever begins a transition of it takes the group's turn first. */
int share_join(struct pcidev *dev) REQUIRES(dev->lock);
void share_part(struct pcidev *dev);

/** Looks again at all but the group: BARs and bridges move. With the device's lock. 0 or -ENOMEM.
 */
int share_update(struct pcidev *dev) REQUIRES(dev->lock);

/** The same for the devices behind a bridge that has just been added. What is short of memory is
 * left as it is: it looks again when it is lent. */
void share_update_behind(struct pcidev *bridge);

/** Whether @to may own the device, with the others where they are. 0, -EBUSY, or what the IOMMU
 * said. */
int share_check(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why);

/** The @nth reason why not, counted from 0; false at the end. */
bool share_clash(struct pcidev *dev, const struct berth_domain *to, unsigned nth,
                 struct berth_refusal *why);

/** Counts the device for @to, and for @from until it is settled: all of its shares or, with -EBUSY
 * and the refusal, none. */
int share_reserve(struct pcidev *dev, const struct berth_domain *from,
                  const struct berth_domain *to, struct berth_refusal *why);

/** Counts the device for one owner, and no other. The quarantine and NULL do not count. */
void share_settle(struct pcidev *dev, const struct berth_domain *domain);

/**
 * Devices that go to one owner together, or not at all. From the formation to the end their device
 * locks are held by one thread, and they are not in one another's way.
 */
struct party {
    struct pcidev **list;
    unsigned count;
    struct pcidev *dead; /* one that did not come back from a reset of the bus */
};

void party_form(struct party *party);
void party_end(struct party *party);

/** Whether @other goes together with @dev. With the locks of both. */
bool party_mates(const struct pcidev *dev, const struct pcidev *other);

/** One change of owner at a time in a group. 0 or -ETIMEDOUT. */
int share_take_turn(struct pcidev *dev, uint64_t deadline_ns, struct berth_refusal *why);
void share_drop_turn(struct pcidev *dev);

/**
 * Collects the devices that have to be lent together with @dev, @dev first: those that are in its
 * shares, those that are in theirs, and so on. Each with a reference (@tag).
 * Returns their number, or -E2BIG with no reference left where they are more than @max.
 */
int share_closure(struct pcidev *dev, struct pcidev **list, unsigned max, const char *tag);

/**
 * Whether a device of somebody that @owner cannot trust is wired to its interrupt line, be it one
 * that can do without. Then @why names it, with BERTH_REASON_NO_INTX.
 */
bool share_line(struct pcidev *dev, const struct berth_domain *owner, struct berth_refusal *why);

/**
 * Takes the line for INTx of its owner, or the one that it is on its way to, unless it is shared
 * like that (then false). Until the drop nobody who could not be trusted with it is lent a device
 * on the line that needs it. With the device's lock.
 */
bool share_line_take(struct pcidev *dev) REQUIRES(dev->lock);
void share_line_drop(struct pcidev *dev);

/** Frees the shares that are left when the machine goes. */
void share_destroy(struct berth_machine *machine);

#endif
