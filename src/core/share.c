/* SPDX-License-Identifier: MIT */
#include "src/core/share.h"

#include "src/core/acs.h"
#include "src/core/bars.h"
#include "src/core/machine_priv.h"
#include "src/core/seam.h"
#include "src/core/topology.h"

#define SHARES_MAX (2 + BERTH_BAR_COUNT)

static const char tag_share[] = "share";

/* ---- the machine's shares ---- */

/* Pages have more bits than keys: what has the same key is in one chain. */
static uint32_t share_key(uint64_t id)
{
    return (uint32_t)id;
}

static void share_free(struct share *share)
{
    lock_destroy(&share->turn);
    port_free(share);
}

/* With .shares_lock. */
static struct share *share_find(struct berth_machine *machine, enum share_kind kind, uint64_t id)
    REQUIRES(machine->shares_lock)
{
    struct share *share = sbdf_map_find(&machine->shares, share_key(id));

    while (share && (share->kind != kind || share->id != id))
        share = share->next;
    return share;
}

/* With .shares_lock. */
static int share_insert(struct berth_machine *machine, struct share *fresh, struct map_spare *spare)
    REQUIRES(machine->shares_lock)
{
    struct share *first = sbdf_map_find(&machine->shares, share_key(fresh->id));

    if (!first)
        return sbdf_map_insert(&machine->shares, share_key(fresh->id), fresh, spare);
    fresh->next = first->next;
    first->next = fresh;
    return 0;
}

/* With .shares_lock. Nobody looks at a share but with the lock, or with a stake in it. */
static void share_remove(struct berth_machine *machine, struct share *share)
    REQUIRES(machine->shares_lock)
{
    struct share *before = sbdf_map_find(&machine->shares, share_key(share->id));

    if (before == share && share->next)
        sbdf_map_replace(&machine->shares, share_key(share->id), share->next);
    else if (before == share)
        sbdf_map_remove(&machine->shares, share_key(share->id));
    else {
        while (before->next != share)
            before = before->next;
        before->next = share->next;
    }
}

void share_destroy(struct berth_machine *machine)
{
    struct share *share, *next;

    lock_unshared(&machine->shares_lock);
    for (uint32_t key = 0; (share = sbdf_map_next(&machine->shares, &key));) {
        sbdf_map_remove(&machine->shares, key);
        for (; share; share = next) {
            next = share->next;
            share_free(share);
        }
    }
}

/* ---- taking part ---- */

/* What a device should have a stake in. */
struct want {
    enum share_kind kind;
    uint64_t id;
    uint8_t bar;
    bool lenient;
};

static struct share *share_make(const struct want *want)
{
    struct share *share = port_alloc(sizeof(*share));

    if (!share)
        return NULL;
    share->kind = want->kind;
    share->id = want->id;
    lock_init(&share->turn, LOCK_TURN);
    return share;
}

/* With .shares_lock. */
static void stake_link(struct share_stake *stake, struct share *share)
    REQUIRES(stake->dev->machine->shares_lock)
{
    struct pcidev *dev = stake->dev;

    stake->share = share;
    stake->next = share->members;
    stake->link = &share->members;
    if (stake->next)
        stake->next->link = &stake->next;
    share->members = stake;
    stake->sibling = dev->stakes;
    dev->stakes = stake;
}

/* With .shares_lock: the share that is left without members, or NULL. */
static struct share *stake_unlink(struct berth_machine *machine, struct share_stake *stake)
    REQUIRES(machine->shares_lock)
{
    struct share *share = stake->share;

    *stake->link = stake->next;
    if (stake->next)
        stake->next->link = stake->link;
    if (share->members)
        return NULL;
    share_remove(machine, share);
    return share;
}

static bool stake_is(const struct share_stake *stake, const struct want *want)
{
    return stake->share->kind == want->kind && stake->share->id == want->id;
}

/* With .shares_lock. */
static bool takes_part(const struct pcidev *dev, const struct want *want)
    REQUIRES(dev->machine->shares_lock)
{
    const struct share_stake *stake = dev->stakes;

    while (stake && !stake_is(stake, want))
        stake = stake->sibling;
    return stake != NULL;
}

/* With .shares_lock: links @stake into the share that is there, or into @fresh. */
static int stake_join(struct share_stake *stake, const struct want *want, struct share *fresh,
                      struct map_spare *spare) REQUIRES(stake->dev->machine->shares_lock)
{
    struct berth_machine *machine = stake->dev->machine;
    struct share *share = share_find(machine, want->kind, want->id);
    int error = 0;

    if (takes_part(stake->dev, want))
        return -EEXIST;
    if (!share)
        error = share_insert(machine, fresh, spare);
    if (!error)
        stake_link(stake, share ? share : fresh);
    return error;
}

static int stake_insert(struct share_stake *stake, const struct want *want, struct share *fresh)
{
    struct berth_machine *machine = stake->dev->machine;
    struct map_spare spare = {.count = 0};
    int error;

    do {
        error = sbdf_map_prepare(&machine->shares, share_key(want->id), &spare);
        if (error)
            break;
        lock_take(&machine->shares_lock);
        error = stake_join(stake, want, fresh, &spare);
        lock_drop(&machine->shares_lock);
    } while (error == -EAGAIN);
    sbdf_map_spare_free(&spare);
    return error;
}

static int stake_make(struct pcidev *dev, const struct want *want)
{
    struct share_stake *stake = port_alloc(sizeof(*stake));
    struct share *fresh = share_make(want);
    int error = -ENOMEM;

    if (stake && fresh) {
        *stake = (struct share_stake){.dev = dev, .bar = want->bar, .lenient = want->lenient};
        error = stake_insert(stake, want, fresh);
    }
    if (fresh && (error || stake->share != fresh))
        share_free(fresh);
    if (error)
        port_free(stake);
    return error == -EEXIST ? 0 : error;
}

static bool wanted(const struct share_stake *stake, const struct want *want, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (stake_is(stake, &want[i]))
            return true;
    return false;
}

#define KIND(kind) (1u << (kind))
#define ALL_KINDS (KIND(SHARE_GROUP) | KIND(SHARE_PATH) | KIND(SHARE_PAGE) | KIND(SHARE_LINE))

/* With .shares_lock: takes the stakes of @kinds away that are not in the list. */
static void stakes_take(struct pcidev *dev, unsigned kinds, const struct want *want, unsigned count,
                        struct share_stake **gone, struct share **empty)
    REQUIRES(dev->machine->shares_lock)
{
    struct share_stake **link = &dev->stakes, *stake;
    struct share *share;

    while ((stake = *link)) {
        if (!(KIND(stake->share->kind) & kinds) || wanted(stake, want, count)) {
            link = &stake->sibling;
            continue;
        }
        *link = stake->sibling;
        stake->sibling = *gone;
        *gone = stake;
        share = stake_unlink(dev->machine, stake);
        if (!share)
            continue;
        share->next = *empty;
        *empty = share;
    }
}

static void stakes_prune(struct pcidev *dev, unsigned kinds, const struct want *want,
                         unsigned count)
{
    struct share_stake *gone = NULL, *stake;
    struct share *empty = NULL, *share;

    lock_take(&dev->machine->shares_lock);
    stakes_take(dev, kinds, want, count, &gone, &empty);
    lock_drop(&dev->machine->shares_lock);
    lock_unshared(&dev->machine->shares_lock); /* nobody finds what was taken */
    while ((stake = gone)) {
        gone = stake->sibling;
        port_free(stake);
    }
    while ((share = empty)) {
        empty = share->next;
        share_free(share);
    }
}

/* Of @kinds, exactly those in the list. Where memory is short, those that are left as well. */
static int stakes_set(struct pcidev *dev, unsigned kinds, const struct want *want, unsigned count)
{
    int error = 0;

    for (unsigned i = 0; i < count && !error; i++)
        error = stake_make(dev, &want[i]);
    if (!error)
        stakes_prune(dev, kinds, want, count);
    return error;
}

/* ---- what a device should take part in ---- */

/*
 * Only what is smaller than a page shares one. A size that is not known counts as small: where
 * another BAR begins in the same page, it is.
 */
static bool bar_may_share(const struct bar_set *bars, unsigned i)
{
    return bars->address[i] && bars->shift[i] < PAGE_SHIFT && !(bars->flags[i] & BAR_SET_IO);
}

static unsigned want_pages(const struct pcidev *dev, struct want *want) REQUIRES(dev->lock)
{
    unsigned count = 0;

    for (unsigned i = 0; i < BERTH_BAR_COUNT; i++)
        if (bar_may_share(&dev->bars, i))
            want[count++] = (struct want){
                .kind = SHARE_PAGE, .id = dev->bars.address[i] >> PAGE_SHIFT, .bar = (uint8_t)i};
    return count;
}

static unsigned want_line(struct pcidev *dev, struct want *want)
{
    const uint16_t *cap = dev->traits.cap;
    int line = seam_describe(dev).interrupt_line;

    if (!dev->traits.interrupt_pin || line < 0)
        return 0;
    *want = (struct want){
        .kind = SHARE_LINE, .id = (uint32_t)line, .lenient = cap[CAP_MSI] || cap[CAP_MSIX]};
    return 1;
}

/* Also called by whoever adds a bridge, so it looks again: the last one to write has seen all. */
static int path_update(struct pcidev *dev)
{
    struct want want = {.kind = SHARE_PATH, .id = acs_path(dev)};
    int error = stakes_set(dev, KIND(SHARE_PATH), &want, 1);

    while (!error && acs_path(dev) != want.id) {
        want.id = acs_path(dev);
        error = stakes_set(dev, KIND(SHARE_PATH), &want, 1);
    }
    return error;
}

int share_update(struct pcidev *dev)
{
    struct want want[SHARES_MAX];
    unsigned count = want_line(dev, want);
    int error;

    count += want_pages(dev, want + count);
    error = stakes_set(dev, KIND(SHARE_PAGE) | KIND(SHARE_LINE), want, count);
    return error ? error : path_update(dev);
}

void share_update_behind(struct pcidev *bridge)
{
    struct pcidev *dev;
    uint64_t cursor = 0;

    while ((dev = topology_behind(bridge, &cursor, tag_share))) {
        if (device_has_contexts(dev))
            (void)path_update(dev);
        pcidev_put(dev, tag_share);
    }
}

/* The first stake of a device that nobody else knows yet. */
static void group_set(struct pcidev *dev)
{
    lock_unshared(&dev->machine->shares_lock);
    dev->group = dev->stakes->share;
}

/* Set before the device is published, and kept for as long as there is the object. */
static int group_join(struct pcidev *dev)
{
    struct want want = {.kind = SHARE_GROUP};
    uint32_t id;
    int error = pcidev_group(dev, &id);

    dev->group_error = error == -EOPNOTSUPP ? 0 : error; /* no groups: each is one of its own */
    if (error)
        return 0;
    want.id = id;
    error = stake_make(dev, &want);
    if (!error)
        group_set(dev);
    return error;
}

int share_join(struct pcidev *dev)
{
    int error = group_join(dev);

    return error ? error : share_update(dev);
}

/* Unseen: the last one who knows the device; without a machine there is no lock either. */
void share_part(struct pcidev *dev) LOCKING_UNSEEN
{
    struct share_stake *stake;

    if (dev->machine)
        stakes_prune(dev, ALL_KINDS, NULL, 0);
    while ((stake = dev->stakes)) { /* the machine is gone, with its shares */
        dev->stakes = stake->sibling;
        port_free(stake);
    }
}
