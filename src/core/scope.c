/* SPDX-License-Identifier: MIT */
#include "src/core/scope.h"

#include "src/core/ats.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/topology.h"
#include "src/core/view.h"

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

/* A lending that can do without a reset does not happen at the neighbour's expense. */
static bool can_do_without(const struct transition *t)
{
    return !t->bus_reset_neighbours && !t->policy.require_reset;
}

/* What a bus reset would leave in ruins: buses behind a bridge, VFs; or what nobody may write. */
static bool is_untouchable(const struct pcidev *dev)
{
    return device_is_bridge(dev) || atomic_load(&dev->enabled_vfs) ||
           dev->traits.reservation != BERTH_RESERVE_NONE;
}

static int scope_check_owner(struct transition *t, const struct pcidev *dev)
{
    const struct berth_domain *owner = device_owner(dev);

    if (is_untouchable(dev) && can_do_without(t))
        return -ENOTTY;
    if (is_untouchable(dev)) {
        refuse_other(&t->why, -EBUSY, BERTH_REASON_NONE, dev->sbdf);
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_RESET_SCOPE, owner);
    }
    if (party_mates(t->dev, dev)) /* quiet already, and on its way to the same owner */
        return 0;
    if (owner == t->machine->quarantine || (t->bus_reset_neighbours && owner == t->from))
        return 0;
    if (can_do_without(t))
        return -ENOTTY;
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

/* Unseen, as member_take(): the lock of a mate stays with those who lend it. */
static void member_open(struct scope_member *member) LOCKING_UNSEEN
{
    struct pcidev_section section;

    if (member->gone || member->mate)
        return;
    if (access_open(member->dev, GATE_SHUT, NULL, tag_scope, &section)) {
        gate_open(member->dev);
        access_close(&section);
    }
    atomic_store(&member->dev->transition, NULL);
    lock_drop(&member->dev->lock);
}

/*
 * Two neighbours that reset their bus at once hold their own locks and want the other's. Who has
 * lower addresses only waits, everybody else gives way soon, so one of them gets through.
 */
#define GIVE_WAY_NS 5000000u

static bool holds_a_higher_one(const struct transition *t, const struct pcidev *dev)
{
    const struct party *party = t->dev->party;
    bool higher = sbdf_key(t->dev->sbdf) > sbdf_key(dev->sbdf);

    for (unsigned i = 0; party && i < party->count && !higher; i++)
        higher = sbdf_key(party->list[i]->sbdf) > sbdf_key(dev->sbdf);
    return higher;
}

static int member_lock(struct transition *t, struct pcidev *dev) ACQUIRES_IF(0, dev->lock)
{
    uint64_t until = holds_a_higher_one(t, dev) ? port_now_ns() + GIVE_WAY_NS : t->deadline_ns;

    if (lock_take_until(&dev->lock, until))
        return 0;
    t->why.holders[0].tag = atomic_load(&dev->transition);
    t->why.holders[0].count = 1;
    t->why.holder_count = t->why.holders[0].tag ? 1 : 0;
    return refuse_other(&t->why, -ETIMEDOUT, BERTH_REASON_TRANSITION, dev->sbdf);
}

/*
 * Broken, quiet and blocked, in quarantine. As in device_lost() nothing in here can fail, and what
 * its guest may still touch ends the guest.
 */
static void member_lost(struct scope_member *member) REQUIRES(member->dev->lock)
{
    struct pcidev *dev = member->dev;
    struct berth_domain *owner = device_owner(dev), *quarantine = dev->machine->quarantine;
    bool hidden, ignored = false;

    atomic_store(&dev->broken, true);
    event_device(dev, BERTH_EVENT_BROKEN, NULL, 0);
    (void)registers_quiet(dev);
    ats_contain(dev);
    rids_contain(dev);
    hidden = !owner_withdraw(dev, owner, &ignored);
    view_drop(dev);
    share_settle(dev, quarantine);
    if (owner != quarantine && !domain_link_spare(quarantine, dev, &member->fallback))
        domain_unlink(owner, dev);
    if (!hidden && domain_is_guest(owner))
        domain_crash(owner, dev);
}

/* A guest that has it loses sight of it while the bus is in reset. */
static int member_hide(struct scope_member *member) REQUIRES(member->dev->lock)
{
    struct pcidev_section section;
    bool lost = false;
    int error;

    if (!access_open(member->dev, GATE_SHUT, NULL, tag_scope, &section))
        return -EDEADLK;
    error = owner_withdraw(member->dev, device_owner(member->dev), &lost);
    if (lost)
        member_lost(member);
    access_close(&section);
    return error;
}

static int member_take(struct transition *t, struct scope_member *member) LOCKING_UNSEEN
{
    struct pcidev *dev = member->dev;
    int error = scope_check_owner(t, dev);

    member->mate = party_mates(t->dev, dev);
    if (!error && member->mate)
        return member_save(member);
    if (!error)
        error = member_lock(t, dev);
    if (error == -ETIMEDOUT && can_do_without(t))
        error = -ENOTTY;
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
        refuse_other(&t->why, 0, BERTH_REASON_NONE, dev->sbdf);
    if (!error)
        error = access_drain(dev, NULL, t->deadline_ns, &t->why);
    if (!error && sbdf_map_spare_fill(&member->fallback))
        error = refuse(&t->why, -ENOMEM, BERTH_REASON_NO_MEMORY);
    if (!error)
        error = member_save(member);
    if (!error)
        error = member_hide(member);
    if (error)
        refuse_other(&t->why, error, BERTH_REASON_TRANSITION, dev->sbdf);
    if (error)
        member_open(member);
    return error;
}

/* What has become of a mate matters to all that go with it; another one is lost by itself. */
static int member_restore(struct transition *t, struct scope_member *member)
    REQUIRES(member->dev->lock)
{
    struct pcidev_section section;
    int error;

    if (member->gone || !access_open(member->dev, GATE_SHUT, NULL, tag_scope, &section))
        return 0;
    device_new_generation(member->dev);
    error = registers_wait(member->dev, t->policy.reset_wait_ns);
    if (!error)
        error = registers_check_identity(member->dev);
    if (!error)
        error = registers_restore(member->dev, &member->saved);
    if (!error && !member->mate)
        error = owner_restore(member->dev, device_owner(member->dev));
    if (error && !member->mate)
        member_lost(member);
    if (error && member->mate)
        t->dev->party->dead = member->dev;
    access_close(&section);
    return member->mate ? error : 0;
}

/* Nothing has happened to it after all. */
static void member_release(struct scope_member *member) REQUIRES(member->dev->lock)
{
    struct pcidev_section section;

    if (!member->gone && !member->mate &&
        access_open(member->dev, GATE_SHUT, NULL, tag_scope, &section)) {
        if (owner_restore(member->dev, device_owner(member->dev)))
            member_lost(member);
        access_close(&section);
    }
    member_open(member);
}

/* ---- all of them ---- */

static void scope_free(struct scope *scope)
{
    for (unsigned i = 0; scope->members && i < scope->count; i++) {
        sbdf_map_spare_free(&scope->members[i].fallback);
        pcidev_put(scope->members[i].dev, tag_scope);
    }
    port_free(scope->members);
    topology_reopen(scope->bridge);
    pcidev_put(scope->bridge, tag_scope);
}

int scope_take(struct transition *t, struct scope *scope)
{
    unsigned taken = 0;
    int error;

    scope->bridge = topology_bridge(t->machine, t->dev->sbdf, tag_scope);
    if (!scope->bridge)
        return -ENOTTY;
    error = topology_close(scope->bridge, t->deadline_ns, &t->why);
    if (error) {
        pcidev_put(scope->bridge, tag_scope);
        return error;
    }
    error = scope_collect(t, scope);
    while (!error && taken < scope->count) {
        error = member_take(t, &scope->members[taken]);
        if (!error)
            taken++;
    }
    if (!error)
        return 0;
    while (taken-- > 0)
        member_release(&scope->members[taken]);
    scope_free(scope);
    return error;
}

int scope_drop(struct transition *t, struct scope *scope, int error)
{
    for (unsigned i = 0; i < scope->count; i++) {
        int failed = member_restore(t, &scope->members[i]);

        member_open(&scope->members[i]);
        error = error ? error : failed;
    }
    scope_free(scope);
    return error;
}
