/* SPDX-License-Identifier: MIT */
#include "src/core/share.h"

#include "src/core/acs.h"
#include "src/core/bars.h"
#include "src/core/machine_priv.h"
#include "src/core/seam.h"
#include "src/core/topology.h"

#define PAGE_SHIFT 12
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
{
    struct share *share = sbdf_map_find(&machine->shares, share_key(id));

    while (share && (share->kind != kind || share->id != id))
        share = share->next;
    return share;
}

/* With .shares_lock. */
static int share_insert(struct berth_machine *machine, struct share *fresh, struct map_spare *spare)
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
{
    const struct share_stake *stake = dev->stakes;

    while (stake && !stake_is(stake, want))
        stake = stake->sibling;
    return stake != NULL;
}

/* With .shares_lock: links @stake into the share that is there, or into @fresh. */
static int stake_join(struct share_stake *stake, const struct want *want, struct share *fresh,
                      struct map_spare *spare)
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

static unsigned want_pages(const struct pcidev *dev, struct want *want)
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
        dev->group = dev->stakes->share; /* nobody else knows the device yet */
    return error;
}

int share_join(struct pcidev *dev)
{
    int error = group_join(dev);

    return error ? error : share_update(dev);
}

void share_part(struct pcidev *dev)
{
    struct share_stake *stake;

    if (dev->machine)
        stakes_prune(dev, ALL_KINDS, NULL, 0);
    while ((stake = dev->stakes)) { /* the machine is gone, with its shares */
        dev->stakes = stake->sibling;
        port_free(stake);
    }
}

/* ---- who may own it ---- */

static bool is_real(const struct berth_domain *domain)
{
    return domain && domain_is_real(domain);
}

static bool exclude(const struct berth_domain *a, const struct berth_domain *b)
{
    return a != b && is_real(a) && is_real(b) && (domain_is_guest(a) || domain_is_guest(b));
}

static bool tolerated(const struct share_stake *stake)
{
    const struct berth_policy *policy = &stake->dev->machine->config.policy;

    switch (stake->share->kind) {
    case SHARE_GROUP:
    case SHARE_PATH:
        return policy->shared_groups;
    case SHARE_PAGE:
        return policy->shared_pages;
    case SHARE_LINE:
        return stake->lenient;
    }
    return false;
}

bool party_mates(const struct pcidev *dev, const struct pcidev *other)
{
    return dev != other && dev->party && dev->party == other->party;
}

static void party_set(const struct party *party, struct party *value)
{
    struct berth_machine *machine;

    if (!party->count)
        return;
    machine = party->list[0]->machine;
    lock_take(&machine->shares_lock);
    for (unsigned i = 0; i < party->count; i++)
        party->list[i]->party = value;
    lock_drop(&machine->shares_lock);
}

void party_form(struct party *party)
{
    party_set(party, party);
}

void party_end(struct party *party)
{
    party_set(party, NULL);
}

/* With .shares_lock: the owner of @dev, or the one it goes back to, that @domain can't be with. */
static const struct berth_domain *excluded_by(const struct pcidev *dev,
                                              const struct berth_domain *domain)
{
    if (exclude(dev->counted, domain))
        return dev->counted;
    return exclude(dev->counted_back, domain) ? dev->counted_back : NULL;
}

/* With .shares_lock: a member that @to may not be with in this share, or NULL. */
static const struct share_stake *rival(const struct share_stake *stake,
                                       const struct berth_domain *to)
{
    const struct share_stake *m;

    if (tolerated(stake))
        return NULL;
    for (m = stake->share->members; m; m = m->next)
        if (m->dev != stake->dev && !m->lenient && !party_mates(stake->dev, m->dev) &&
            excluded_by(m->dev, to))
            return m;
    return NULL;
}

static const enum berth_reason reasons[] = {
    [SHARE_GROUP] = BERTH_REASON_SHARED_GROUP,
    [SHARE_PATH] = BERTH_REASON_SHARED_PATH,
    [SHARE_PAGE] = BERTH_REASON_SHARED_PAGE,
    [SHARE_LINE] = BERTH_REASON_SHARED_LINE,
};

/* With .shares_lock, which keeps the member, and the owner that it counts for. */
static int share_refuse(const struct share_stake *stake, const struct share_stake *with,
                        const struct berth_domain *to, struct berth_refusal *why)
{
    const struct share *share = stake->share;
    uint32_t number = share->kind == SHARE_PAGE ? stake->bar : (uint32_t)share->id;

    refuse_other(why, -EBUSY, BERTH_REASON_NONE, with->dev->sbdf);
    refuse_domain(why, -EBUSY, BERTH_REASON_NONE, excluded_by(with->dev, to));
    if (share->kind == SHARE_PAGE)
        refuse_address(why, -EBUSY, BERTH_REASON_NONE, share->id << PAGE_SHIFT);
    return refuse_number(why, -EBUSY, reasons[share->kind], number);
}

static bool stake_before(const struct share_stake *a, const struct share_stake *b)
{
    if (a->share->kind != b->share->kind)
        return a->share->kind < b->share->kind;
    return a->share->id < b->share->id;
}

/* The first reason is that of the IOMMU, then the path: what people know best. */
static const struct share_stake *stake_next(const struct pcidev *dev,
                                            const struct share_stake *after)
{
    const struct share_stake *next = NULL;

    for (const struct share_stake *s = dev->stakes; s; s = s->sibling)
        if ((!after || stake_before(after, s)) && (!next || stake_before(s, next)))
            next = s;
    return next;
}

/* With .shares_lock: the @nth stake that is in the way, and the rival in it. */
static const struct share_stake *clash_find(const struct pcidev *dev, const struct berth_domain *to,
                                            unsigned nth, const struct share_stake **with)
{
    const struct share_stake *stake = NULL;

    while ((stake = stake_next(dev, stake))) {
        *with = rival(stake, to);
        if (*with && nth-- == 0)
            break;
    }
    return stake;
}

bool share_clash(struct pcidev *dev, const struct berth_domain *to, unsigned nth,
                 struct berth_refusal *why)
{
    const struct share_stake *stake, *with;

    lock_take(&dev->machine->shares_lock);
    stake = clash_find(dev, to, nth, &with);
    if (stake)
        (void)share_refuse(stake, with, to, why);
    lock_drop(&dev->machine->shares_lock);
    return stake != NULL;
}

int share_check(struct pcidev *dev, const struct berth_domain *to, struct berth_refusal *why)
{
    if (dev->group_error && domain_is_guest(to))
        return refuse(why, dev->group_error, BERTH_REASON_IOMMU_FAILED);
    return share_clash(dev, to, 0, why) ? -EBUSY : 0;
}

int share_reserve(struct pcidev *dev, const struct berth_domain *from,
                  const struct berth_domain *to, struct berth_refusal *why)
{
    const struct share_stake *stake, *with;
    int error = 0;

    lock_take(&dev->machine->shares_lock);
    stake = clash_find(dev, to, 0, &with);
    if (stake) {
        error = share_refuse(stake, with, to, why);
    } else {
        dev->counted = to;
        dev->counted_back = from;
    }
    lock_drop(&dev->machine->shares_lock);
    return error;
}

void share_settle(struct pcidev *dev, const struct berth_domain *domain)
{
    lock_take(&dev->machine->shares_lock);
    dev->counted = domain;
    dev->counted_back = NULL;
    lock_drop(&dev->machine->shares_lock);
}

int share_take_turn(struct pcidev *dev, uint64_t deadline_ns, struct berth_refusal *why)
{
    if (!dev->group || lock_take_until(&dev->group->turn, deadline_ns))
        return 0;
    return refuse_other(why, -ETIMEDOUT, BERTH_REASON_TRANSITION, dev->sbdf);
}

void share_drop_turn(struct pcidev *dev)
{
    if (dev->group)
        lock_drop(&dev->group->turn);
}

/* ---- who else is in it ---- */

struct closure {
    struct pcidev **list;
    unsigned count, max;
    bool full;
    const char *tag;
};

/* With .shares_lock. One that is on its way out is none. */
static void closure_add(struct closure *c, struct pcidev *dev)
{
    if (dev->in_closure || device_state(dev) != PCIDEV_PRESENT)
        return;
    if (c->count == c->max) {
        c->full = true;
        return;
    }
    if (!device_try_get(dev, c->tag))
        return;
    dev->in_closure = true;
    c->list[c->count++] = dev;
}

/* With .shares_lock. */
static void closure_grow(struct closure *c, const struct pcidev *dev)
{
    for (const struct share_stake *s = dev->stakes; s; s = s->sibling)
        for (const struct share_stake *m = tolerated(s) ? NULL : s->share->members; m; m = m->next)
            if (!m->lenient)
                closure_add(c, m->dev);
}

int share_closure(struct pcidev *dev, struct pcidev **list, unsigned max, const char *tag)
{
    struct closure c = {.list = list, .max = max, .tag = tag};

    lock_take(&dev->machine->shares_lock);
    closure_add(&c, dev);
    for (unsigned i = 0; i < c.count; i++)
        closure_grow(&c, c.list[i]);
    for (unsigned i = 0; i < c.count; i++)
        c.list[i]->in_closure = false;
    lock_drop(&dev->machine->shares_lock);
    if (!c.full)
        return (int)c.count;
    while (c.count)
        pcidev_put(c.list[--c.count], tag);
    return -E2BIG;
}

/* With .shares_lock. */
static const struct share_stake *line_other(const struct share_stake *stake,
                                            const struct berth_domain *owner)
{
    const struct share_stake *m = stake->share->members;

    while (m && (m->dev == stake->dev || !excluded_by(m->dev, owner)))
        m = m->next;
    return m;
}

bool share_line(struct pcidev *dev, const struct berth_domain *owner, struct berth_refusal *why)
{
    const struct share_stake *m = NULL, *s;

    lock_take(&dev->machine->shares_lock);
    for (s = dev->stakes; s && !m; s = s->sibling)
        m = s->share->kind == SHARE_LINE ? line_other(s, owner) : NULL;
    if (m) {
        refuse_other(why, 0, BERTH_REASON_NONE, m->dev->sbdf);
        refuse_domain(why, 0, BERTH_REASON_NONE, excluded_by(m->dev, owner));
        refuse_number(why, 0, BERTH_REASON_NO_INTX, (uint32_t)m->share->id);
    }
    lock_drop(&dev->machine->shares_lock);
    return m != NULL;
}

bool device_intx_shared(struct pcidev *dev)
{
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};

    return share_line(dev, dev->counted, &ignored);
}
