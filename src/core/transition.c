/* SPDX-License-Identifier: MIT */
#include "src/core/transition.h"

#include "src/core/ats.h"
#include "src/core/memory.h"
#include "src/core/recover.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/view.h"

static void transition_event(const struct transition *t, enum berth_event_kind kind,
                             const char *step, int result)
{
    const struct berth_event event = {
        .kind = kind,
        .device = t->dev->sbdf,
        .transition = t->name,
        .step = step,
        .result = result,
    };

    event_send(t->machine, &event, t->to ? t->to : t->from);
}

struct space *transition_space(const struct transition *t, const struct berth_domain *domain)
{
    if (!domain)
        return NULL;
    return domain->kind == BERTH_DOMAIN_QUARANTINE ? t->dev->quarantine : domain->space;
}

/* ---- begin and end ---- */

static void spares_free(struct transition *t)
{
    sbdf_map_spare_free(&t->relink);
    sbdf_map_spare_free(&t->fallback);
}

/* Its lock, or who has it (R5). */
static int device_lock(struct transition *t) ACQUIRES_IF(0, t->dev->lock)
{
    struct pcidev *dev = t->dev;

    if (access_inside(dev, NULL))
        return refuse(&t->why, -EDEADLK, BERTH_REASON_OWN_SECTION);
    if (lock_take_until(&dev->lock, t->deadline_ns))
        return 0;
    t->why.holders[0].tag = atomic_load(&dev->transition);
    t->why.holders[0].count = 1;
    t->why.holder_count = t->why.holders[0].tag ? 1 : 0;
    return refuse_other(&t->why, -ETIMEDOUT,
                        recover_is_running(dev) ? BERTH_REASON_RECOVERY : BERTH_REASON_TRANSITION,
                        dev->sbdf);
}

static int device_begin(struct transition *t) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;

    if (device_state(dev) != PCIDEV_PRESENT && device_state(dev) != PCIDEV_ADDING)
        return refuse(&t->why, -ENODEV, BERTH_REASON_REMOVED);
    /* only this thread can close the gate for good now, so the section can't be refused for that */
    if (!access_open(dev, GATE_SHUT, NULL, t->name, &t->section))
        return refuse(&t->why, -EDEADLK, BERTH_REASON_OWN_SECTION);
    return 0;
}

static int device_lock_and_begin(struct transition *t) ACQUIRES_IF(0, t->dev->lock)
{
    int error = device_lock(t);

    if (error)
        return error;
    error = device_begin(t);
    if (error)
        lock_drop(&t->dev->lock);
    return error;
}

int transition_begin(struct transition *t)
{
    int error;

    t->machine = t->dev->machine;
    t->policy = t->machine->config.policy;
    t->deadline_ns = machine_deadline(t->machine, t->request);
    refusal_begin(&t->why, t->dev->sbdf);
    if (sbdf_map_spare_fill(&t->relink) || sbdf_map_spare_fill(&t->fallback)) {
        spares_free(t);
        return refusal_end(&t->why, refuse(&t->why, -ENOMEM, BERTH_REASON_NO_MEMORY), t->request);
    }
    error = t->takes_turn ? share_take_turn(t->dev, t->deadline_ns, &t->why) : 0;
    if (!error) {
        error = device_lock_and_begin(t);
        if (error && t->takes_turn)
            share_drop_turn(t->dev);
    }
    if (error) {
        spares_free(t);
        return refusal_end(&t->why, error, t->request);
    }
    atomic_store(&t->dev->transition, t->name);
    t->from = device_owner(t->dev);
    if (t->from) {
        berth_domain_get(t->from);
        /* before the device leaves the owner's set: teardown looks at the set, then at this */
        atomic_fetch_add(&t->from->leaving, 1);
    }
    transition_event(t, BERTH_EVENT_BEGIN, NULL, 0);
    return 0;
}

bool tenancy_holds(const struct tenancy *tenancy, const struct pcidev *dev)
{
    return device_owner(dev) == tenancy->guest &&
           (!tenancy->exact || pcidev_generation(dev) == tenancy->generation);
}

int transition_end(struct transition *t, int error)
{
    transition_event(t, BERTH_EVENT_END, NULL, error);
    if (t->section.record)
        access_close(&t->section);
    atomic_store(&t->dev->transition, NULL);
    lock_drop(&t->dev->lock);
    if (t->takes_turn)
        share_drop_turn(t->dev);
    if (t->from)
        atomic_fetch_sub(&t->from->leaving, 1);
    berth_domain_put(t->from);
    spares_free(t);
    return refusal_end(&t->why, error, t->request);
}

/* ---- what happens when even the way back fails ---- */

/*
 * O1: the device is broken and in quarantine, and the guests that it was on the way between cannot
 * go on. Nothing here can fail: what the IOMMU refuses to clear stays counted in the space that it
 * points to, which is then never freed (O5).
 */
static void device_lost(struct transition *t) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;
    struct berth_domain *owner = device_owner(dev);

    atomic_store(&dev->broken, true);
    event_device(dev, BERTH_EVENT_BROKEN, NULL, 0);
    if (device_state(dev) == PCIDEV_ADDING) /* add.c did what is left to do; the claim is gone */
        return;
    (void)registers_quiet(dev);
    ats_contain(dev);
    rids_contain(dev);
    share_settle(dev, t->machine->quarantine);
    (void)device_free_quarantine(dev); /* blocked, it needs none; else it goes with the device */
    if (step_withdraw(t))              /* again, or for the first time: that is fine (domain.h) */
        t->lost = true;                /* what a guest may still touch ends the guest */
    view_drop(dev);
    device_new_generation(dev);
    if (owner != t->machine->quarantine) {
        domain_unlink(owner, dev);
        (void)domain_link_spare(t->machine->quarantine, dev, &t->fallback);
    }
    if (!t->lost)
        return;
    if (t->from && domain_is_guest(t->from))
        domain_crash(t->from, dev);
    if (t->to && domain_is_guest(t->to))
        domain_crash(t->to, dev);
}

/*
 * A2: what failed may have left the gate open, with the guest inside. Where it does not come out in
 * time nothing is taken from under it: it keeps a device that can do nothing.
 */
static bool lost_is_left(struct transition *t) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;

    if (device_state(dev) == PCIDEV_ADDING || atomic_load(&dev->gate) & GATE_TRANSITION)
        return true;
    ats_contain(dev);
    rids_contain(dev);
    t->deadline_ns = machine_deadline(t->machine, NULL);
    if (!step_revoke(t))
        return true;
    atomic_store(&dev->broken, true);
    event_device(dev, BERTH_EVENT_BROKEN, NULL, 0);
    (void)registers_quiet(dev);
    return false;
}

/* ---- the engine ---- */

static void refuse_by_errno(struct transition *t, int error)
{
    if (error == -ENOMEM)
        refuse(&t->why, error, BERTH_REASON_NO_MEMORY);
    else
        refuse(&t->why, error, BERTH_REASON_HOST_FAILED);
}

/*
 * A device that is lost does not come back to its guest: nobody gets in before it is contained, and
 * its view is not put back.
 */
static bool stays_undone(const struct transition *t, int (*undo)(struct transition *t))
{
    return (t->lost || t->dead) && (undo == step_reopen || undo == step_restore_view);
}

int transition_step(struct transition *t, const struct step *step)
{
    int error = step->run(t);

    transition_event(t, BERTH_EVENT_DO, step->name, error);
    if (!error)
        return 0;
    t->why.step = step->name;
    refuse_by_errno(t, error);
    return error;
}

void transition_undo(struct transition *t, const struct step *step)
{
    int error;

    if (!step->undo || stays_undone(t, step->undo))
        return;
    error = step->undo(t);
    transition_event(t, BERTH_EVENT_UNDO, step->name, error);
    if (error)
        t->lost = true;
}

void transition_undone(struct transition *t)
{
    if (t->lost)
        t->why.reason = BERTH_REASON_ROLLBACK;
    if ((!t->lost && !t->dead) || !lost_is_left(t))
        return;
    device_lost(t);
    if (device_state(t->dev) != PCIDEV_ADDING)
        step_reopen(t);
}

int transition_run(struct transition *t, const struct step *steps, unsigned count)
{
    unsigned done = 0;
    int error = 0;

    while (done < count && !(error = transition_step(t, &steps[done])))
        done++;
    if (!error)
        return 0;
    while (done-- > 0)
        transition_undo(t, &steps[done]);
    transition_undone(t);
    return error;
}
