/* SPDX-License-Identifier: MIT */
/* Who may own what cannot be kept apart, and who has to come along. */
#include "src/core/machine_priv.h"
#include "src/core/share.h"

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
    REQUIRES(dev->machine->shares_lock)
{
    if (exclude(dev->counted, domain))
        return dev->counted;
    return exclude(dev->counted_back, domain) ? dev->counted_back : NULL;
}

/* With .shares_lock: a member that @to may not be with in this share, or NULL. */
static const struct share_stake *rival(const struct share_stake *stake,
                                       const struct berth_domain *to)
    REQUIRES(stake->dev->machine->shares_lock)
{
    const struct share_stake *m;

    if (tolerated(stake))
        return NULL;
    for (m = stake->share->members; m; m = m->next)
        if (m->dev != stake->dev && (!m->lenient || m->takes) && !party_mates(stake->dev, m->dev) &&
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
    REQUIRES(stake->dev->machine->shares_lock)
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
    REQUIRES(dev->machine->shares_lock)
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
    REQUIRES(dev->machine->shares_lock)
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

/* Unseen, as share_drop_turn(): who is in no group has no turn to take. */
int share_take_turn(struct pcidev *dev, uint64_t deadline_ns,
                    struct berth_refusal *why) LOCKING_UNSEEN
{
    if (!dev->group || lock_take_until(&dev->group->turn, deadline_ns))
        return 0;
    return refuse_other(why, -ETIMEDOUT, BERTH_REASON_TRANSITION, dev->sbdf);
}

void share_drop_turn(struct pcidev *dev) LOCKING_UNSEEN
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
static void closure_add(struct closure *c, struct pcidev *dev) REQUIRES(dev->machine->shares_lock)
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
    REQUIRES(dev->machine->shares_lock)
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
    REQUIRES(stake->dev->machine->shares_lock)
{
    const struct share_stake *m = stake->share->members;

    while (m && (m->dev == stake->dev || !excluded_by(m->dev, owner)))
        m = m->next;
    return m;
}

/* With .shares_lock. */
static const struct share_stake *line_clash(const struct pcidev *dev,
                                            const struct berth_domain *owner)
    REQUIRES(dev->machine->shares_lock)
{
    const struct share_stake *m = NULL;

    for (const struct share_stake *s = dev->stakes; s && !m; s = s->sibling)
        m = s->share->kind == SHARE_LINE ? line_other(s, owner) : NULL;
    return m;
}

bool share_line(struct pcidev *dev, const struct berth_domain *owner, struct berth_refusal *why)
{
    const struct share_stake *m;

    lock_take(&dev->machine->shares_lock);
    m = line_clash(dev, owner);
    if (m) {
        refuse_other(why, 0, BERTH_REASON_NONE, m->dev->sbdf);
        refuse_domain(why, 0, BERTH_REASON_NONE, excluded_by(m->dev, owner));
        refuse_number(why, 0, BERTH_REASON_NO_INTX, (uint32_t)m->share->id);
    }
    lock_drop(&dev->machine->shares_lock);
    return m != NULL;
}

/* With .shares_lock. */
static void line_count(struct pcidev *dev, int change) REQUIRES(dev->machine->shares_lock)
{
    for (struct share_stake *s = dev->stakes; s; s = s->sibling)
        if (s->share->kind == SHARE_LINE && s->takes + change >= 0)
            s->takes = (uint8_t)(s->takes + change);
}

/* The look and the count are one: who is counted on the line later is refused instead (O4). */
bool share_line_take(struct pcidev *dev)
{
    bool usable;

    lock_take(&dev->machine->shares_lock);
    usable = !line_clash(dev, dev->counted);
    if (usable)
        line_count(dev, 1);
    lock_drop(&dev->machine->shares_lock);
    return usable;
}

void share_line_drop(struct pcidev *dev)
{
    lock_take(&dev->machine->shares_lock);
    line_count(dev, -1);
    lock_drop(&dev->machine->shares_lock);
}
