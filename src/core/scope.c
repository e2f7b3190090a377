/* SPDX-License-Identifier: MIT */
#include "src/core/scope.h"

#include "src/core/topology.h"

static const char tag_scope[] = "bus reset";

/* ---- who is in it ---- */

static int scope_collect(struct transition *t, struct scope *scope)
{
    struct pcidev *dev;
    uint64_t cursor = 0;

    scope->members = port_alloc(SCOPE_MAX * sizeof(*scope->members));
    if (!scope->members)
        return -ENOMEM;
    while ((dev = topology_behind(scope->bridge, &cursor, tag_scope))) {
        if (dev == t->dev) {
            pcidev_put(dev, tag_scope);
            continue;
        }
        if (scope->count == SCOPE_MAX) {
            pcidev_put(dev, tag_scope);
            return -ENOTTY;
        }
        scope->members[scope->count++].dev = dev;
    }
    return 0;
}

static int scope_check_owner(struct transition *t, const struct pcidev *dev)
{
    const struct berth_domain *owner = device_owner(dev);

    if (owner == t->machine->quarantine || (t->bus_reset_neighbours && owner == t->from))
        return 0;
    if (!t->bus_reset_neighbours && !t->policy.require_reset)
        return -ENOTTY; /* a transition that can do without: not at the neighbour's expense */
    refuse_other(&t->why, -EBUSY, BERTH_REASON_NONE, dev->sbdf);
    return refuse_domain(&t->why, -EBUSY, BERTH_REASON_RESET_SCOPE, owner);
}

/* ---- taking and dropping one neighbour ---- */

static int member_save(struct scope_member *member)
{
    struct pcidev_section section;
    int error;

    if (!access_open(member->dev, GATE_SHUT, NULL, tag_scope, &section))
        return -EBUSY;
    error = registers_save(member->dev, &member->saved);
    access_close(&section);
    return error;
}

static void member_open(struct scope_member *member)
{
    if (member->gone)
        return;
    atomic_fetch_and_explicit(&member->dev->gate, ~GATE_TRANSITION, memory_order_release);
    atomic_store(&member->dev->transition, NULL);
    lock_drop(&member->dev->lock);
}

/*
 * Two neighbours that reset their bus at once hold their own locks and want the other's. The lower
 * address waits, the higher one gives way at once, so one of them gets through.
 */
static int member_lock(struct transition *t, struct pcidev *dev)
{
    uint64_t until = sbdf_key(t->dev->sbdf) < sbdf_key(dev->sbdf) ? t->deadline_ns : 0;

    if (lock_take_until(&dev->lock, until))
        return 0;
    t->why.holders[0].tag = atomic_load(&dev->transition);
    t->why.holders[0].count = 1;
    t->why.holder_count = t->why.holders[0].tag ? 1 : 0;
    return refuse_other(&t->why, -ETIMEDOUT, BERTH_REASON_TRANSITION, dev->sbdf);
}

static int member_take(struct transition *t, struct scope_member *member)
{
    struct pcidev *dev = member->dev;
    int error = member_lock(t, dev);

    if (error)
        return error;
    if (device_state(dev) == PCIDEV_REMOVED) {
        member->gone = true;
        lock_drop(&dev->lock);
        return 0;
    }
    atomic_store(&dev->transition, tag_scope);
    atomic_fetch_or(&dev->gate, GATE_TRANSITION);
    error = scope_check_owner(t, dev);
    if (!error)
        error = access_drain(dev, NULL, t->deadline_ns, &t->why);
    if (!error)
        error = member_save(member);
    if (error == -EBUSY)
        refuse_other(&t->why, error, BERTH_REASON_TRANSITION, dev->sbdf);
    if (error)
        member_open(member);
    return error;
}

static int member_restore(struct scope_member *member)
{
    struct pcidev_section section;
    int error;

    if (member->gone || !access_open(member->dev, GATE_SHUT, NULL, tag_scope, &section))
        return 0;
    error = registers_restore(member->dev, &member->saved);
    access_close(&section);
    atomic_fetch_add(&member->dev->generation, 1);
    return error;
}

/* ---- all of them ---- */

static void scope_free(struct scope *scope)
{
    for (unsigned i = 0; scope->members && i < scope->count; i++)
        pcidev_put(scope->members[i].dev, tag_scope);
    port_free(scope->members);
    atomic_fetch_sub(&scope->bridge->closing, 1);
    pcidev_put(scope->bridge, tag_scope);
}

int scope_take(struct transition *t, struct scope *scope)
{
    unsigned taken = 0;
    int error;

    scope->bridge = topology_bridge(t->machine, t->dev->sbdf, tag_scope);
    if (!scope->bridge)
        return -ENOTTY;
    atomic_fetch_add(&scope->bridge->closing, 1); /* nothing is added behind it now */
    error = scope_collect(t, scope);
    while (!error && taken < scope->count) {
        error = member_take(t, &scope->members[taken]);
        if (!error)
            taken++;
    }
    if (!error)
        return 0;
    while (taken-- > 0)
        member_open(&scope->members[taken]);
    scope_free(scope);
    return error;
}

int scope_drop(struct scope *scope, int error)
{
    for (unsigned i = 0; i < scope->count; i++) {
        int failed = member_restore(&scope->members[i]);

        if (failed && !error)
            error = failed;
        member_open(&scope->members[i]);
    }
    scope_free(scope);
    return error;
}
