/* SPDX-License-Identifier: MIT */
/* Removal in all its variants (R1-R7), and surprise removal (A4). */
#include "src/core/remove.h"

#include "src/core/ats.h"
#include "src/core/memory.h"
#include "src/core/seam.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/topology.h"
#include "src/core/transition.h"
#include "src/core/vfs.h"
#include "src/core/view.h"

#define GRACE_POLL_NS 1000000u
#define GRACE_MIN_NS 100000000u

static const char tag_remove[] = "remove";

/* ---- steps ---- */

/* The VF counts with its PF, which cannot change hands while it is there. */
static int remove_check_tenancy(struct transition *t)
{
    if (!tenancy_holds(t->tenancy, t->dev->pf))
        return refuse(&t->why, -EINVAL, BERTH_REASON_NOT_OWNER);
    if (domain_is_guest(t->from) && t->from != t->tenancy->guest)
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_OWNED, t->from);
    return 0;
}

static int remove_check_owner(struct transition *t)
{
    if (t->tenancy)
        return remove_check_tenancy(t);
    if (t->mode == PCIDEV_REMOVE_FORCE)
        return 0;
    if (t->from->kind == BERTH_DOMAIN_HIDDEN)
        return refuse(&t->why, -EBUSY, BERTH_REASON_HIDDEN);
    if (domain_is_guest(t->from))
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_GUEST_OWNS, t->from);
    return 0;
}

/* Nothing may hang below it, from here on until it is gone. */
static int remove_close_below(struct transition *t)
{
    struct pcidev *dev = t->dev, *child;
    uint64_t cursor = 0;
    int error;

    if (!dependents_close_if_none(&dev->vfs))
        return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, dependents_read(&dev->vfs));
    if (!device_is_bridge(dev))
        return 0;
    error = topology_close(dev, t->deadline_ns, &t->why);
    child = error ? NULL : topology_behind(dev, &cursor, tag_remove);
    if (!error && !child)
        return 0;
    if (child) {
        error = refuse_other(&t->why, -EBUSY, BERTH_REASON_HAS_CHILDREN, child->sbdf);
        pcidev_put(child, tag_remove);
        topology_reopen(dev);
    }
    dependents_reopen(&dev->vfs);
    return error;
}

static int remove_open_below(struct transition *t)
{
    dependents_reopen(&t->dev->vfs);
    if (device_is_bridge(t->dev))
        topology_reopen(t->dev);
    return 0;
}

/* R3: the registry's, the owner's and the caller's, and from now on no other one. */
#define STRICT_REFERENCES 3u

/* Leaves out what strict removal allows; the caller's own is one of the untracked ones. */
static void list_in_the_way(struct pcidev *dev, struct berth_refusal *why)
{
    struct berth_holder all[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, all, BERTH_HOLDERS_MAX);

    for (unsigned i = 0; i < count; i++) {
        if (all[i].tag == hold_name(HOLD_REGISTRY) || all[i].tag == hold_name(HOLD_OWNER))
            continue;
        if (all[i].tag == untracked_name && !--all[i].count)
            continue;
        why->holders[why->holder_count++] = all[i];
    }
}

static int remove_freeze(struct transition *t)
{
    struct pcidev *dev = t->dev;
    uint32_t count;

    if (t->mode != PCIDEV_REMOVE_STRICT || refcount_freeze(&dev->refs, STRICT_REFERENCES))
        return 0;
    count = refcount_read(&dev->refs);
    list_in_the_way(dev, &t->why);
    return refuse_number(&t->why, -EBUSY, BERTH_REASON_REFERENCED,
                         count > STRICT_REFERENCES ? count - STRICT_REFERENCES : 1);
}

static int remove_thaw(struct transition *t)
{
    if (t->mode == PCIDEV_REMOVE_STRICT)
        refcount_thaw(&t->dev->refs);
    return 0;
}

static int remove_mark(struct transition *t)
{
    atomic_store(&t->dev->state, PCIDEV_REMOVING);
    return 0;
}

static int remove_unmark(struct transition *t)
{
    atomic_store(&t->dev->state, PCIDEV_PRESENT);
    return 0;
}

/* Who adds it again takes what is there for what the firmware and the host had chosen (O2). */
static int remove_clean(struct transition *t) REQUIRES(t->dev->lock)
{
    return domain_is_guest(t->from) ? step_clean(t) : 0;
}

/* The order is the guest's view, the owner, interrupts, contexts, the object: what comes later
 * is needed by what comes earlier (F02). */
static const struct step remove_steps[] = {
    {"check owner", remove_check_owner, NULL},
    {"close below", remove_close_below, remove_open_below},
    {"freeze references", remove_freeze, remove_thaw},
    {"revoke", step_revoke, step_reopen},
    {"mark", remove_mark, remove_unmark},
    {"withdraw view", step_withdraw, step_restore_view},
    {"owner", step_unlink, step_relink},
    {"quiesce", step_quiesce, step_resume},
    {"ATS off", step_ats_off, step_ats_back},
    {"block contexts", step_move, step_move_back},
    {"unmap reserved", step_unmap_old, step_map_old},
    {"clean registers", remove_clean, NULL},
};

/* Nothing in here can fail: the device is gone. */
static void remove_commit(struct transition *t) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;

    view_drop(dev);
    access_close(&t->section);
    atomic_fetch_or(&dev->gate, GATE_SHUT); /* only our section was left (A2) */
    atomic_store(&dev->state, PCIDEV_REMOVED);
    device_new_generation(dev);
    topology_unmap_bridge(dev);
    topology_unmap_pf(dev);
    rids_unstake(dev);
    share_settle(dev, NULL);
    if (device_free_quarantine(dev)) /* a context that could not be cleared still points to it */
        event_device(dev, BERTH_EVENT_LEAK, "quarantine space", -EBUSY);
    machine_remove(t->machine, &t->machine->devices, sbdf_key(dev->sbdf));
    seam_release(dev);
    if (dev->pf)
        dependents_drop(&dev->pf->vfs);
    device_unhold(dev, HOLD_REGISTRY); /* harmless references may be left (R1) */
}

static int remove_run(struct transition *t)
{
    int error = transition_begin(t);

    if (error)
        return error;
    error = TRANSITION_RUN(t, remove_steps);
    if (!error)
        remove_commit(t);
    return transition_end(t, error);
}

static int remove_one(struct pcidev *dev, enum pcidev_remove_mode mode,
                      const struct berth_request *request)
{
    struct transition t = {.name = "remove", .dev = dev, .request = request, .mode = mode};

    return remove_run(&t);
}

/* ---- force: what hangs below goes first ---- */

static int remove_vf(struct pcidev *vf, const struct tenancy *tenancy,
                     const struct berth_request *request)
{
    struct transition t = {.name = "remove",
                           .dev = vf,
                           .request = request,
                           .mode = PCIDEV_REMOVE_FORCE,
                           .tenancy = tenancy};

    return remove_run(&t);
}

int remove_vfs(struct pcidev *pf, const struct tenancy *tenancy,
               const struct berth_request *request)
{
    struct sbdf at;
    int error = 0;

    for (unsigned i = 0; !error && pcidev_vf_address(pf, i, &at) == 0; i++) {
        struct pcidev *vf = pcidev_find(pf->machine, at, tag_remove);

        if (vf && vf->pf == pf)
            error = remove_vf(vf, tenancy, request);
        pcidev_put(vf, tag_remove);
        if (error == -ENODEV) /* somebody else removed it: fine */
            error = 0;
    }
    return error;
}

static int remove_by_force(struct pcidev *dev, const struct berth_request *request)
{
    struct berth_domain *owner = guest_owner(dev);
    const struct tenancy tenancy = {.guest = owner};
    int error;

    vfs_forbid(dev);
    /* those that could not be turned off go as well */
    (void)vfs_give_back(dev, &tenancy, true, request);
    error = remove_vfs(dev, NULL, request);
    if (!error)
        error = remove_one(dev, PCIDEV_REMOVE_FORCE, request);
    vfs_allow(dev);
    berth_domain_put(owner);
    return error;
}

/* The last one behind a bridge: bus numbers grow downwards, so nothing hangs below it but VFs. */
static struct pcidev *last_behind(struct pcidev *bridge)
{
    struct pcidev *last = NULL, *dev;
    uint64_t cursor = 0;

    while ((dev = topology_behind(bridge, &cursor, tag_remove))) {
        pcidev_put(last, tag_remove);
        last = dev;
    }
    return last;
}

int remove_tree(struct pcidev *dev, const struct berth_request *request)
{
    struct pcidev *below;
    int error = 0;

    while (!error && device_is_bridge(dev) && (below = last_behind(dev))) {
        error = remove_by_force(below, request);
        pcidev_put(below, tag_remove);
        if (error == -ENODEV)
            error = 0;
    }
    return error ? error : remove_by_force(dev, request);
}

/* ---- graceful: the owner is asked first (R4) ---- */

static void ask_owner(struct pcidev *dev, const struct berth_domain *owner)
{
    const struct berth_event event = {
        .kind = BERTH_EVENT_RELEASE_REQUEST,
        .device = dev->sbdf,
        .transition = "remove",
    };

    event_send(dev->machine, &event, owner);
    if (owner->ops && owner->ops->release_request)
        owner->ops->release_request(owner->ops_context, dev);
}

/* No lock and no section is held meanwhile: everything else goes on, the answer above all. */
static bool wait_for_release(const struct pcidev *dev, const struct berth_domain *owner,
                             uint64_t deadline_ns)
{
    while (device_owner(dev) == owner && device_state(dev) == PCIDEV_PRESENT) {
        if (port_now_ns() >= deadline_ns)
            return false;
        port_sleep_ns(GRACE_POLL_NS);
    }
    return true;
}

struct berth_domain *guest_owner(const struct pcidev *dev)
{
    struct berth_domain *owner;

    port_read_lock();
    owner = device_owner(dev);
    if (owner && (!domain_is_guest(owner) || !refcount_try_get(&owner->refs)))
        owner = NULL;
    port_read_unlock();
    return owner;
}

/* What is left of the deadline, but enough for a removal that nobody holds up. */
static uint64_t time_left(uint64_t deadline_ns)
{
    uint64_t now = port_now_ns();

    return now + GRACE_MIN_NS < deadline_ns ? deadline_ns - now : GRACE_MIN_NS;
}

static int remove_gracefully(struct pcidev *dev, enum pcidev_remove_mode mode,
                             const struct berth_request *request)
{
    uint64_t begin = port_now_ns();
    uint64_t deadline = machine_deadline(dev->machine, request);
    struct berth_domain *owner = guest_owner(dev);
    struct berth_request rest = request ? *request : (struct berth_request){.caller = NULL};
    struct berth_refusal why;
    bool released = true;

    refusal_begin(&why, dev->sbdf);
    if (owner) {
        ask_owner(dev, owner);
        released = wait_for_release(dev, owner, deadline);
    }
    if (!released && mode == PCIDEV_REMOVE_GRACEFUL)
        refuse_number(&why, -EBUSY, BERTH_REASON_NONE, (uint32_t)((deadline - begin) / 1000000));
    if (!released)
        refuse_domain(&why, -EBUSY, BERTH_REASON_OWNER_KEEPS, owner);
    berth_domain_put(owner);
    rest.timeout_ns = time_left(deadline);
    if (mode == PCIDEV_REMOVE_GRACEFUL_FORCE)
        return remove_tree(dev, &rest);
    if (released)
        return remove_one(dev, PCIDEV_REMOVE_DEFAULT, &rest);
    return refusal_end(&why, -EBUSY, request);
}

int pcidev_remove(struct pcidev *dev, enum pcidev_remove_mode mode,
                  const struct berth_request *request)
{
    struct berth_refusal why;
    int error;

    refusal_begin(&why, dev->sbdf);
    error = machine_permit(dev->machine, request, BERTH_OP_REMOVE, NULL, &why);
    if (error)
        return refusal_end(&why, error, request);
    switch (mode) {
    case PCIDEV_REMOVE_DEFAULT:
    case PCIDEV_REMOVE_STRICT:
        return remove_one(dev, mode, request);
    case PCIDEV_REMOVE_FORCE:
        return remove_tree(dev, request);
    case PCIDEV_REMOVE_GRACEFUL:
    case PCIDEV_REMOVE_GRACEFUL_FORCE:
        return remove_gracefully(dev, mode, request);
    }
    return refusal_end(&why, refuse(&why, -EINVAL, BERTH_REASON_BAD_ARGUMENT), request);
}

/* ---- surprise ---- */

static void disconnect(struct pcidev *dev)
{
    if (atomic_fetch_or(&dev->gate, GATE_DISCONNECTED) & GATE_DISCONNECTED)
        return;
    event_device(dev, BERTH_EVENT_VANISHED, NULL, 0);
}

void pcidev_vanished(struct pcidev *dev)
{
    struct pcidev *other;
    uint64_t cursor = 0;
    struct sbdf at;

    if (device_state(dev) == PCIDEV_REMOVED) /* what is at its address now is somebody else */
        return;
    disconnect(dev);
    while ((other = topology_behind(dev, &cursor, tag_remove))) {
        disconnect(other);
        pcidev_put(other, tag_remove);
    }
    for (unsigned i = 0; pcidev_vf_address(dev, i, &at) == 0; i++) {
        other = pcidev_find(dev->machine, at, tag_remove);
        if (other && other->pf == dev)
            disconnect(other);
        pcidev_put(other, tag_remove);
    }
}
