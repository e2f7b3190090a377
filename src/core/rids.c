/* SPDX-License-Identifier: MIT */
#include "src/core/machine_priv.h"
#include "src/core/seam.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/topology.h"

static const char tag_source[] = "message source";

/* ---- stakes ---- */

static void entry_free(struct port_deferred *deferred)
{
    struct rid_entry *entry = (struct rid_entry *)deferred; /* the first member */

    lock_destroy(&entry->lock);
    port_free(entry);
}

/* With the machine's lock: takes part in the entry that is there, or makes @fresh the entry. */
static int entry_join(struct berth_machine *machine, struct rid_entry *fresh,
                      struct map_spare *spare, struct rid_entry **entry) REQUIRES(machine->lock)
{
    uint32_t key = sbdf_key(fresh->rid);
    int error = 0;

    *entry = sbdf_map_find(&machine->rids, key);
    if (!*entry) {
        error = sbdf_map_insert(&machine->rids, key, fresh, spare);
        *entry = error ? NULL : fresh;
    }
    if (*entry)
        atomic_fetch_add_explicit(&(*entry)->stakes, 1, memory_order_relaxed);
    return error;
}

static int stake_on(struct berth_machine *machine, struct sbdf rid, struct rid_entry **entry)
{
    struct rid_entry *fresh = port_alloc(sizeof(*fresh));
    struct map_spare spare = {.count = 0};
    int error;

    if (!fresh)
        return -ENOMEM;
    fresh->rid = rid;
    lock_init(&fresh->lock, LOCK_RID);
    do {
        error = sbdf_map_prepare(&machine->rids, sbdf_key(rid), &spare);
        if (error)
            break;
        lock_take(&machine->lock);
        error = entry_join(machine, fresh, &spare, entry);
        lock_drop(&machine->lock);
    } while (error == -EAGAIN);
    sbdf_map_spare_free(&spare);
    if (error || *entry != fresh)
        entry_free(&fresh->deferred);
    return error;
}

static bool counts(const struct berth_domain *domain)
{
    return domain && domain_is_real(domain);
}

/*
 * Those who go to the new owner together with @dev and use the same id: their contexts are one, and
 * move with the first of them. All of them are quiet meanwhile. Counts them, and tells the owner
 * that one of them has.
 */
static uint32_t mates_on(const struct pcidev *dev, const struct rid_entry *entry,
                         struct berth_domain **owner) REQUIRES(dev->lock)
{
    const struct party *party = dev->party;
    uint32_t count = 0;

    for (unsigned i = 0; party && i < party->count; i++) {
        const struct pcidev *mate = party->list[i];

        for (unsigned k = 0; mate != dev && k < mate->rid_count; k++) {
            if (mate->rids[k].entry != entry || !counts(mate->rids[k].domain))
                continue;
            *owner = mate->rids[k].domain;
            count++;
        }
    }
    return count;
}

/* With the entry's lock: who else has it for somebody, and does not come along. */
static uint32_t others_on(const struct pcidev *dev, const struct rid_stake *stake)
    REQUIRES(dev->lock, stake->entry->lock)
{
    struct berth_domain *ignored;

    return stake->entry->users - counts(stake->domain) - mates_on(dev, stake->entry, &ignored);
}

/* With the entry's lock: whose it is when @stake counts for @to; NULL: nobody's that is real. */
static struct berth_domain *entry_heir(const struct pcidev *dev, const struct rid_stake *stake,
                                       struct berth_domain *to)
    REQUIRES(dev->lock, stake->entry->lock)
{
    struct berth_domain *owner = NULL;

    if (others_on(dev, stake))
        return stake->entry->owner;
    if (counts(to))
        return to;
    (void)mates_on(dev, stake->entry, &owner); /* they have been there, or come back after us */
    return owner;
}

/* With the entry's lock. @heir: its owner from now on. */
static void stake_count(struct rid_stake *stake, struct berth_domain *to, struct berth_domain *heir)
    REQUIRES(stake->entry->lock)
{
    struct rid_entry *entry = stake->entry;

    entry->users -= counts(stake->domain);
    if (heir)
        entry->owner = heir;
    entry->users += counts(to);
    if (to)
        berth_domain_get(to);
    berth_domain_put(stake->domain);
    stake->domain = to;
}

static void unstake_from(struct berth_machine *machine, struct rid_entry *entry)
{
    bool last;

    lock_take(&machine->lock);
    last = atomic_fetch_sub_explicit(&entry->stakes, 1, memory_order_relaxed) == 1;
    lock_unshared(&entry->lock); /* the last one meets nobody here */
    /* where a context could not be cleared, whoever comes next at this id has to know */
    last = last && !entry->attached && !entry->stale[0] && !entry->stale[1];
    if (last)
        sbdf_map_remove(&machine->rids, sbdf_key(entry->rid));
    lock_drop(&machine->lock);
    if (last)
        port_defer(&entry->deferred, entry_free);
}

int rids_stake(struct pcidev *dev, struct berth_refusal *why)
{
    struct sbdf rids[PCIDEV_RIDS_MAX];
    int count = topology_rids(dev, rids);

    if (count < 0)
        return refuse_number(why, count, BERTH_REASON_TOO_MANY_RIDS, PCIDEV_RIDS_MAX);
    dev->rids = port_alloc((size_t)count * sizeof(*dev->rids));
    for (int i = 0; dev->rids && i < count; i++, dev->rid_count++) {
        if (stake_on(dev->machine, rids[i], &dev->rids[i].entry))
            break;
    }
    if (dev->rids && dev->rid_count == count)
        return 0;
    rids_unstake(dev);
    return refuse(why, -ENOMEM, BERTH_REASON_NO_MEMORY);
}

void rids_unstake(struct pcidev *dev)
{
    struct rid_stake *rids = dev->rids;
    unsigned count = dev->rid_count;

    dev->rid_count = 0;
    dev->rids = NULL;
    while (count--) {
        /* where the context could not be cleared it stays, but not in this device's name */
        lock_take(&rids[count].entry->lock);
        stake_count(&rids[count], NULL, NULL);
        lock_drop(&rids[count].entry->lock);
        unstake_from(dev->machine, rids[count].entry);
    }
    port_free(rids);
}

void rids_destroy(struct berth_machine *machine)
{
    struct rid_entry *entry;

    for (uint32_t key = 0; (entry = sbdf_map_next(&machine->rids, &key));) {
        sbdf_map_remove(&machine->rids, key);
        entry_free(&entry->deferred);
    }
    sbdf_map_destroy(&machine->rids);
}

/* ---- moving contexts ---- */

/* With the entry's lock: whether @stake may be counted for @to. */
static int entry_check(const struct pcidev *dev, const struct rid_stake *stake,
                       const struct berth_domain *to, struct berth_refusal *why)
    REQUIRES(dev->lock, stake->entry->lock)
{
    const struct rid_entry *entry = stake->entry;
    uint32_t others = others_on(dev, stake);

    if (!counts(to) || !others || entry->owner == to)
        return 0;
    if (!domain_is_guest(to) && !domain_is_guest(entry->owner))
        return 0; /* the hardware domain and the hypervisor trust one another */
    refuse_other(why, -EBUSY, BERTH_REASON_NONE, entry->rid);
    return refuse_domain(why, -EBUSY, BERTH_REASON_SHARED_RID, entry->owner);
}

/*
 * With the entry's lock: where the context has to point when @stake counts for @to. Nobody real
 * left: to the device's private space when the id is its alone, else nowhere (X05).
 */
static struct space *entry_target(const struct pcidev *dev, const struct rid_stake *stake,
                                  const struct berth_domain *to, const struct berth_domain *heir)
    REQUIRES(dev->lock, stake->entry->lock)
{
    const struct rid_entry *entry = stake->entry;

    if (heir)
        return heir->space;
    return to && atomic_load_explicit(&entry->stakes, memory_order_relaxed) == 1 ? dev->quarantine
                                                                                 : NULL;
}

static int stake_move(struct pcidev *dev, struct rid_stake *stake, struct berth_domain *to,
                      struct berth_refusal *why) REQUIRES(dev->lock)
{
    struct berth_domain *heir;
    int error;

    lock_take(&stake->entry->lock);
    heir = entry_heir(dev, stake, to);
    error = entry_check(dev, stake, to, why);
    if (!error) {
        error = seam_attach(dev, stake->entry, entry_target(dev, stake, to, heir));
        if (!error) {
            stake_count(stake, to, heir);
            error = seam_flush(dev, stake->entry);
        }
        if (error)
            refuse(why, error, BERTH_REASON_IOMMU_FAILED);
    }
    lock_drop(&stake->entry->lock);
    return error;
}

int rids_move(struct pcidev *dev, struct berth_domain *to, struct berth_refusal *why, bool *lost)
{
    struct berth_domain *from = dev->rid_count ? dev->rids[0].domain : NULL;
    int error = 0;
    unsigned i;

    if (from)
        berth_domain_get(from);
    for (i = 0; i < dev->rid_count && !error; i++)
        error = stake_move(dev, &dev->rids[i], to, why);
    /* X11, X12: all of them back, the one whose flush failed included */
    while (error && i-- > 0)
        if (dev->rids[i].domain != from && stake_move(dev, &dev->rids[i], from, why))
            *lost = true;
    berth_domain_put(from);
    return error;
}

int rids_are_complete(struct pcidev *dev, struct berth_refusal *why)
{
    struct sbdf rids[PCIDEV_RIDS_MAX];
    int count = topology_rids(dev, rids);

    for (int i = 0; i < count; i++) {
        unsigned known = 0;

        while (known < dev->rid_count && !sbdf_equal(dev->rids[known].entry->rid, rids[i]))
            known++;
        if (known == dev->rid_count && !topology_is_phantom(dev, rids[i]))
            return refuse_other(why, -EBUSY, BERTH_REASON_LATE_BRIDGE, rids[i]);
    }
    return 0;
}

/* Each bridge that knows no requester ids, or takes requests over, puts another id on them. */
static void source_above(const struct pcidev *bridge, struct sbdf *source)
{
    if (bridge->traits.type == PCIDEV_PCIE_TO_PCI)
        *source = sbdf_make(bridge->sbdf.segment, bridge->traits.secondary_bus, 0, 0);
    else if (bridge->traits.type != PCIDEV_PCIE_BRIDGE)
        *source = bridge->sbdf;
}

struct sbdf rids_source(const struct pcidev *dev)
{
    struct sbdf source = dev->sbdf, at = dev->sbdf;
    struct pcidev *bridge;

    while ((bridge = topology_bridge(dev->machine, at, tag_source))) {
        at = bridge->sbdf;
        source_above(bridge, &source);
        pcidev_put(bridge, tag_source);
    }
    return source;
}

int rids_give_up(struct pcidev *dev, struct sbdf rid, struct berth_refusal *why)
{
    struct rid_stake *stake = dev->rids;
    struct berth_domain *from;
    int error;

    while (stake < dev->rids + dev->rid_count && !sbdf_equal(stake->entry->rid, rid))
        stake++;
    if (stake == dev->rids + dev->rid_count)
        return 0;
    from = stake->domain ? berth_domain_get(stake->domain) : NULL;
    error = stake_move(dev, stake, NULL, why);
    if (error)
        (void)stake_move(dev, stake, from, why);
    berth_domain_put(from);
    if (error)
        return error;
    unstake_from(dev->machine, stake->entry);
    *stake = dev->rids[--dev->rid_count];
    return 0;
}

/* Where not even what it was before can be had: whoever shares the id loses it, too. */
static void stake_block(struct pcidev *dev, struct rid_stake *stake) REQUIRES(dev->lock)
{
    struct berth_domain *nobody = dev->machine->quarantine;

    lock_take(&stake->entry->lock);
    if (!seam_attach(dev, stake->entry, NULL))
        stake_count(stake, nobody, entry_heir(dev, stake, nobody));
    lock_drop(&stake->entry->lock);
}

void rids_contain(struct pcidev *dev)
{
    struct space *own = dev->quarantine;
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};

    dev->quarantine = NULL; /* a lost device is blocked, whatever the policy says */
    for (unsigned i = 0; i < dev->rid_count; i++)
        if (stake_move(dev, &dev->rids[i], dev->machine->quarantine, &ignored) &&
            counts(dev->rids[i].domain))
            stake_block(dev, &dev->rids[i]);
    dev->quarantine = own;
}

int rids_check(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why)
{
    int error = 0;

    for (unsigned i = 0; i < dev->rid_count && !error; i++) {
        lock_take(&dev->rids[i].entry->lock);
        error = entry_check(dev, &dev->rids[i], to, why);
        lock_drop(&dev->rids[i].entry->lock);
    }
    return error;
}
