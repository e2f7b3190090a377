/* SPDX-License-Identifier: MIT */
/*
 * Trouble on the host's side (M13): a lent device that had an error is taken out of its guest's
 * sight and reach, reset, and given back; or it is broken. The guest goes on in either case.
 *
 *   reported ──► isolated ──► owner told ──► reset ──► registers, contexts, view ──► as before
 *      ▲  │ again: merged                      │ did not work, or too often
 *      └──┘                                    └──────────────────────────────────► broken
 *
 * What the device says of itself is not believed: its registers are those with which it was lent,
 * and the view knows what the guest has changed since.
 */
#include "src/core/recover.h"

#include <berth/domain.h>

#include "src/core/ats.h"
#include "src/core/remove.h"
#include "src/core/reset.h"
#include "src/core/seam.h"
#include "src/core/space.h"
#include "src/core/vfs.h"
#include "src/core/view.h"

/* O6: a device that needs more than so many in the time, from the first one on, is broken. */
#define RECOVERIES_MAX 5u
#define RECOVERIES_NS 10000000000u

static const char *const trouble_names[] = {
    [PCIDEV_TROUBLE_CORRECTABLE] = "correctable",
    [PCIDEV_TROUBLE_NONFATAL] = "nonfatal",
    [PCIDEV_TROUBLE_FATAL] = "fatal",
    [PCIDEV_TROUBLE_DPC] = "dpc",
};

#define TROUBLE_COUNT (sizeof(trouble_names) / sizeof(trouble_names[0]))

const char *pcidev_trouble_name(enum pcidev_trouble kind)
{
    return (unsigned)kind < TROUBLE_COUNT ? trouble_names[kind] : "unknown";
}

static struct recovery *recovery_of(const struct pcidev *dev)
{
    return atomic_load_explicit(&dev->recovery, memory_order_acquire);
}

bool recover_is_running(const struct pcidev *dev)
{
    struct recovery *r = recovery_of(dev);

    return r && atomic_load(&r->reported);
}

uint32_t recover_corrected(const struct pcidev *dev)
{
    struct recovery *r = recovery_of(dev);

    return r ? atomic_load(&r->corrected) : 0;
}

/* Whatever was reported until now; what comes after this is another trouble. */
static void answered(struct pcidev *dev)
{
    struct recovery *r = recovery_of(dev);

    if (r)
        atomic_store(&r->reported, 0);
}

/* ---- when a device is lent ---- */

int recover_remember(struct transition *t)
{
    struct recovery *r = recovery_of(t->dev);

    if (!domain_is_guest(t->to))
        return 0;
    if (!r)
        r = port_alloc(sizeof(*r));
    if (!r)
        return refuse(&t->why, -ENOMEM, BERTH_REASON_NO_MEMORY);
    atomic_store_explicit(&t->dev->recovery, r, memory_order_release);
    return registers_save(t->dev, &r->registers);
}

/* ---- telling ---- */

static void tell(struct pcidev *dev, const struct berth_domain *owner, enum pcidev_trouble kind)
{
    const struct berth_event event = {
        .kind = BERTH_EVENT_TROUBLE,
        .device = dev->sbdf,
        .transition = "recover",
        .step = pcidev_trouble_name(kind),
    };

    event_send(dev->machine, &event, owner);
    if (owner && owner->ops && owner->ops->trouble)
        owner->ops->trouble(owner->ops_context, dev, kind);
}

static void tell_once(struct transition *t)
{
    if (!t->told)
        tell(t->dev, t->from, t->trouble);
    t->told = true;
}

/* ---- steps ---- */

/* From here on there is no way back but the whole way: a device that is in trouble and was not
 * reset is not given to anybody. */
static int or_dead(struct transition *t, int error)
{
    t->dead |= error != 0;
    return error;
}

/* A device behind a port that contains it is out of reach: it reads all ones, and it is in reset.
 */
static void look_whether_it_answers(struct transition *t)
{
    bool answers;
    int error = registers_answer(t->dev, &answers);

    t->unreachable = error || !answers;
}

/* What does not answer does nothing on its own either, and the reset takes care of the rest. */
static int recover_isolate(struct transition *t) REQUIRES(t->dev->lock)
{
    t->saved = recovery_of(t->dev)->registers;
    look_whether_it_answers(t);
    if (!t->unreachable) {
        (void)registers_quiet(t->dev);
        (void)step_ats_off(t);
    }
    rids_contain(t->dev);
    return 0;
}

static int recover_tell(struct transition *t)
{
    tell_once(t);
    return 0;
}

static int recover_count(struct transition *t)
{
    struct recovery *r = recovery_of(t->dev);
    uint64_t now = port_now_ns();

    if (!r->count || now - r->since_ns > RECOVERIES_NS) {
        r->since_ns = now;
        r->count = 0;
    }
    if (++r->count <= RECOVERIES_MAX)
        return 0;
    return or_dead(t, refuse(&t->why, -EIO, BERTH_REASON_BROKEN));
}

/* VFs that were not given back before would go with the reset of their PF, whoever has them. */
static int recover_close_vfs(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = step_close_vfs(t);

    if (!error && atomic_load(&t->dev->enabled_vfs)) {
        step_open_vfs(t);
        error =
            refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, atomic_load(&t->dev->enabled_vfs));
    }
    return or_dead(t, error);
}

/* What is reported until it has ended is answered by it: resets cause errors themselves. */
static int recover_reset(struct transition *t) REQUIRES(t->dev->lock)
{
    int error;

    t->policy.require_reset = true;
    look_whether_it_answers(t); /* the host may have released it by now */
    error = step_reset(t);
    answered(t->dev);
    return or_dead(t, error);
}

/* What it has noted of its errors survives resets (PCIe 7.8.4). */
static int recover_registers(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = step_resume(t);

    if (!error)
        view_trouble(t->dev);
    return or_dead(t, error);
}

/* With the device still quiet: the IOMMU's side of ATS is on before the device's (ats.h). */
static int recover_rejoin(struct transition *t) REQUIRES(t->dev->lock)
{
    bool lost = false; /* it is contained again if this fails, and no guest is to blame */
    int error = rids_move(t->dev, t->from, &t->why, &lost);

    return or_dead(t, error ? error : step_ats_back(t));
}

static int recover_view(struct transition *t) REQUIRES(t->dev->lock)
{
    return or_dead(t, step_restore_view(t));
}

static const struct step recover_steps[] = {
    {"revoke", step_revoke, step_reopen},
    {"withdraw view", step_withdraw, step_restore_view},
    {"isolate", recover_isolate, NULL},
    {"tell owner", recover_tell, NULL},
    {"count", recover_count, NULL},
    {"close VFs", recover_close_vfs, step_open_vfs},
    {"reset", recover_reset, NULL},
    {"restore contexts", recover_rejoin, NULL},
    {"restore registers", recover_registers, NULL},
    {"restore view", recover_view, NULL},
};

/* ---- the transition ---- */

static int recover_run(struct transition *t) REQUIRES(t->dev->lock)
{
    int error;

    if (device_disconnected(t->dev))
        error = refuse(&t->why, -ENODEV, BERTH_REASON_DISCONNECTED);
    else
        error = TRANSITION_RUN(t, recover_steps);
    tell_once(t);
    if (error)
        return error;
    step_reopen(t);
    return step_open_vfs(t);
}

/* The hardware domain looks after its own devices; in quarantine nobody misses them. */
static int recover_nothing(struct transition *t) REQUIRES(t->dev->lock)
{
    tell_once(t);
    answered(t->dev);
    return 0;
}

/* The owner hears of it also where another transition is in the way. */
static int recover_not_begun(struct pcidev *dev, enum pcidev_trouble kind, int error)
{
    struct berth_domain *owner = guest_owner(dev);

    if (error != -ENODEV)
        tell(dev, owner, kind);
    berth_domain_put(owner);
    return error;
}

/* Where VFs could not be given back a step finds out. */
static int recover_begin(struct transition *t) ACQUIRES_IF(0, t->dev->lock)
{
    struct berth_domain *owner = guest_owner(t->dev);
    const struct tenancy tenancy = {.guest = owner};
    int error;

    vfs_forbid(t->dev);
    (void)vfs_give_back(t->dev, &tenancy, false, t->request);
    error = transition_begin(t);
    vfs_allow(t->dev);
    berth_domain_put(owner);
    return error;
}

static int recover(struct pcidev *dev, enum pcidev_trouble kind,
                   const struct berth_request *request)
{
    struct transition t = {.name = "recover",
                           .dev = dev,
                           .request = request,
                           .trouble = kind,
                           .takes_turn = true,
                           .bus_reset_neighbours = true};
    int error = recover_begin(&t);

    if (error)
        return recover_not_begun(dev, kind, error);
    error = domain_is_guest(t.from) ? recover_run(&t) : recover_nothing(&t);
    return transition_end(&t, error);
}

int pcidev_recover(struct pcidev *dev, enum pcidev_trouble kind,
                   const struct berth_request *request)
{
    struct recovery *r = recovery_of(dev);
    struct berth_refusal why;
    int error;

    refusal_begin(&why, dev->sbdf);
    error = machine_permit(dev->machine, request, BERTH_OP_RESET, NULL, &why);
    if (!error && (unsigned)kind >= TROUBLE_COUNT)
        error = refuse(&why, -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    if (error)
        return refusal_end(&why, error, request);
    if (kind == PCIDEV_TROUBLE_CORRECTABLE) {
        if (r)
            atomic_fetch_add(&r->corrected, 1);
        return 0;
    }
    if (r && atomic_fetch_or(&r->reported, 1u << kind))
        return 0; /* somebody is about it */
    error = recover(dev, kind, request);
    if (error)
        answered(dev);
    return error;
}
