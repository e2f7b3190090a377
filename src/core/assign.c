/* SPDX-License-Identifier: MIT */
/* Ownership (O1-O4): assign, deassign, and the answer to "could it be assigned?". */
#include "src/core/assign.h"

#include "src/core/ats.h"
#include "src/core/bars.h"
#include "src/core/eligible.h"
#include "src/core/overlap.h"
#include "src/core/rebar.h"
#include "src/core/recover.h"
#include "src/core/seam.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/vfs.h"
#include "src/core/view.h"

/* ---- steps ---- */

/* While a device is on its way in, the domain can't finish dying (O5). */
static int assign_enter(struct transition *t)
{
    if (!dependents_add(&t->to->entering))
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_TEARDOWN, t->to);
    return 0;
}

static int assign_leave(struct transition *t)
{
    dependents_drop(&t->to->entering);
    return 0;
}

/* A guest can't move them, and what it has made smaller goes back with the device. */
static int assign_find_bars(struct transition *t) REQUIRES(t->dev->lock)
{
    int error;

    if (domain_is_guest(t->from))
        return 0;
    error = bars_refresh(t->dev);
    return error ? error : bars_resize(t->dev, &t->lost);
}

/*
 * Who gains a device counts from here on, who loses it until the end: nobody can slip in between
 * while the way back may still be needed. Nobody moves its BARs any more.
 */
static int assign_isolate(struct transition *t) REQUIRES(t->dev->lock)
{
    int error;

    if (!domain_is_real(t->to))
        return 0;
    error = assign_find_bars(t);
    if (!error)
        error = share_update(t->dev);
    if (!error && domain_is_guest(t->to))
        error = overlap_check(t->dev, &t->why);
    return error ? error : share_reserve(t->dev, t->from, t->to, &t->why);
}

static int assign_unisolate(struct transition *t)
{
    share_settle(t->dev, t->from);
    return 0;
}

static int assign_clean(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = step_clean(t);

    if (!error && domain_is_guest(t->to))
        error = rebar_latch(t->dev);
    return error;
}

static int assign_own(struct transition *t)
{
    return domain_link(t->to, t->dev);
}

/* The set and the owner; the old owner's own set is step_relink()'s. */
static int assign_disown(struct transition *t)
{
    domain_unlink(t->to, t->dev);
    return 0;
}

/* One order for every change of owner; deassign is an assign to the quarantine. */
const struct step assign_steps[] = {
    {"enter domain", assign_enter, assign_leave},
    {"revoke", step_revoke, step_reopen},
    {"isolation", assign_isolate, assign_unisolate},
    {"withdraw view", step_withdraw, step_restore_view},
    {"old owner", step_unlink, step_relink},
    {"quiesce", step_quiesce, step_resume},
    {"ATS off", step_ats_off, step_ats_back},
    {"reset", step_reset, NULL},
    {"quarantine space", step_make_space, step_free_space},
    {"map reserved", step_map_new, step_unmap_new},
    {"move contexts", step_move, step_move_back},
    {"unmap reserved", step_unmap_old, step_map_old},
    {"clean registers", assign_clean, NULL},
    {"ATS on", step_ats_on, step_ats_undo},
    {"remember registers", recover_remember, NULL},
    {"prepare view", view_prepare, view_discard},
    {"new owner", assign_own, assign_disown},
};

const unsigned assign_step_count = sizeof(assign_steps) / sizeof(assign_steps[0]);

void assign_commit(struct transition *t)
{
    struct pcidev *dev = t->dev;

    if (t->from->kind == BERTH_DOMAIN_QUARANTINE)
        (void)device_free_quarantine(dev);
    share_settle(dev, t->to);
    device_new_generation(dev);
    atomic_store(&dev->faults, 0);
    atomic_store(&dev->contained, false);
    view_commit(t);
    step_reopen(t);
    dependents_drop(&t->to->entering);
}

static int move_owner(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = TRANSITION_RUN(t, assign_steps);

    if (!error)
        assign_commit(t);
    return error;
}

/* ---- operations ---- */

int assign_permit(struct pcidev *dev, const struct berth_domain *to, enum berth_operation op,
                  const struct berth_request *request, struct berth_refusal *why)
{
    const struct berth_domain *caller = request ? request->caller : NULL;

    refusal_begin(why, dev->sbdf);
    if (caller && caller == to) /* F26: whoever it is */
        return refuse_domain(why, -EINVAL, BERTH_REASON_SELF_ASSIGN, caller);
    return machine_permit(dev->machine, request, op, to, why);
}

int pcidev_assign(struct pcidev *dev, struct berth_domain *to, const struct berth_request *request)
{
    struct transition t = {
        .name = "assign", .dev = dev, .to = to, .request = request, .takes_turn = true};
    int error = assign_permit(dev, to, BERTH_OP_ASSIGN, request, &t.why);

    if (error)
        return refusal_end(&t.why, error, request);
    if (!to || to->machine != dev->machine)
        return refusal_end(&t.why, refuse(&t.why, -EINVAL, BERTH_REASON_BAD_ARGUMENT), request);
    error = transition_begin(&t);
    if (error)
        return error;
    if (!domain_is_guest(to)) /* K10 is about lending */
        t.policy.require_reset = false;
    error = eligible(&t);
    if (!error)
        error = move_owner(&t);
    return transition_end(&t, error);
}

int pcidev_test_assign(struct pcidev *dev, struct berth_domain *to,
                       const struct berth_request *request)
{
    struct transition t = {.name = "test-assign", .dev = dev, .to = to, .request = request};
    struct berth_domain any = {.kind = BERTH_DOMAIN_GUEST, .name = "a guest"};
    int error = assign_permit(dev, to, BERTH_OP_ASSIGN, request, &t.why);

    if (error)
        return refusal_end(&t.why, error, request);
    if (!to)
        t.to = &any;
    else if (to->machine != dev->machine)
        return refusal_end(&t.why, refuse(&t.why, -EINVAL, BERTH_REASON_BAD_ARGUMENT), request);
    error = transition_begin(&t);
    if (error)
        return error;
    return transition_end(&t, eligible(&t));
}

static int deassign_check(struct transition *t, const struct berth_domain *from)
{
    if (!domain_is_guest(t->from))
        return refuse_domain(&t->why, -EINVAL, BERTH_REASON_NOT_LENT, t->from);
    if (t->from != from)
        return refuse_domain(&t->why, -EINVAL, BERTH_REASON_NOT_OWNER, t->from);
    if (atomic_load(&t->dev->enabled_vfs)) /* since they were given back */
        return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS,
                             atomic_load(&t->dev->enabled_vfs));
    return 0;
}

/*
 * O3: quarantine, unless somebody has said otherwise in so many words (X02), and even then where
 * the guest keeps something that can't be kept apart from this device.
 */
static struct berth_domain *deassign_target(struct transition *t) REQUIRES(t->dev->lock)
{
    struct berth_domain *hwdom = t->machine->hwdom;
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};

    if (t->policy.quarantine != BERTH_QUARANTINE_OFF || share_check(t->dev, hwdom, &ignored) ||
        rids_check(t->dev, hwdom, &ignored))
        return t->machine->quarantine;
    return hwdom;
}

int deassign_from(struct pcidev *dev, struct berth_domain *from,
                  const struct berth_request *request)
{
    struct transition t = {.name = "deassign", .dev = dev, .request = request, .takes_turn = true};
    const struct tenancy tenancy = {.guest = from};
    int error = vfs_begin(&t, &tenancy);

    if (error)
        return error;
    t.policy.require_reset = false; /* lending needs it, taking back must not fail for it (O5) */
    error = deassign_check(&t, from);
    t.to = error ? NULL : deassign_target(&t);
    if (!error)
        error = move_owner(&t);
    return transition_end(&t, error);
}

int pcidev_deassign(struct pcidev *dev, struct berth_domain *from,
                    const struct berth_request *request)
{
    struct berth_refusal why;
    int error;

    refusal_begin(&why, dev->sbdf);
    error = machine_permit(dev->machine, request, BERTH_OP_DEASSIGN, NULL, &why);
    if (error)
        return refusal_end(&why, error, request);
    return deassign_from(dev, from, request);
}
