/* SPDX-License-Identifier: MIT */
/* Ownership (O1-O4): assign, deassign, and the answer to "could it be assigned?". */
#include "src/core/assign.h"

#include "src/core/group.h"
#include "src/core/seam.h"
#include "src/core/space.h"

/* ---- what has to hold before anything is touched ---- */

static int check_device(struct transition *t)
{
    const struct pcidev *dev = t->dev;
    bool to_guest = domain_is_guest(t->to);

    if (dev->traits.reservation == BERTH_RESERVE_HIDDEN)
        return refuse(&t->why, -EBUSY, BERTH_REASON_HIDDEN);
    if (dev->traits.reservation == BERTH_RESERVE_READ_ONLY)
        return refuse(&t->why, -EBUSY, BERTH_REASON_READ_ONLY);
    if (device_is_bridge(dev) || dev->traits.type == PCIDEV_HOST_BRIDGE)
        return refuse(&t->why, -EINVAL, BERTH_REASON_BRIDGE);
    if (to_guest && atomic_load(&dev->broken))
        return refuse(&t->why, -EBADF, BERTH_REASON_BROKEN);
    if (to_guest && device_disconnected(dev))
        return refuse(&t->why, -ENODEV, BERTH_REASON_DISCONNECTED);
    if (atomic_load(&dev->enabled_vfs)) /* its reset would take them along, whoever has them */
        return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, atomic_load(&dev->enabled_vfs));
    return 0;
}

static int check_owners(struct transition *t)
{
    if (t->to->kind == BERTH_DOMAIN_HIDDEN)
        return refuse(&t->why, -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    if (t->from == t->to)
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_ALREADY, t->from);
    if (domain_is_guest(t->from))
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_OWNED, t->from);
    if (berth_domain_state(t->to) != BERTH_DOMAIN_LIVE)
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_TEARDOWN, t->to);
    return 0;
}

/* M24: memory that firmware keeps using for a device is a hole in the guest's walls. */
static int check_reserved(struct transition *t)
{
    struct berth_reserved list[BERTH_RESERVED_MAX];
    int count;

    if (t->policy.reserved_relaxed)
        return 0;
    count = seam_reserved(t->dev, list);
    if (count < 0)
        return refuse(&t->why, count, BERTH_REASON_HOST_FAILED);
    for (int i = 0; i < count; i++)
        if (!list[i].relaxed)
            return refuse(&t->why, -EXDEV, BERTH_REASON_RESERVED_STRICT);
    return 0;
}

static int assign_check(struct transition *t)
{
    int error = check_owners(t);

    if (!error)
        error = check_device(t);
    if (!error)
        error = group_check(t->dev, t->to, &t->why);
    if (error || !domain_is_guest(t->to))
        return error;
    if (!t->machine->config.iommu)
        return refuse(&t->why, -EOPNOTSUPP, BERTH_REASON_NO_IOMMU);
    error = rids_are_complete(t->dev, &t->why);
    if (!error)
        error = check_reserved(t);
    if (!error)
        error = rids_check(t->dev, t->to, &t->why);
    if (!error && t->policy.require_reset && !t->dev->traits.method_count)
        error = refuse(&t->why, -ENOTTY, BERTH_REASON_NO_RESET);
    return error;
}

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

/*
 * Who gains a device counts from the beginning, who loses it to the quarantine counts until the
 * end: nobody else can slip into the group while the way back may still be needed.
 */
static int assign_group(struct transition *t)
{
    return domain_is_real(t->to) ? group_count(t->dev, t->to, &t->why) : 0;
}

static int assign_ungroup(struct transition *t)
{
    return domain_is_real(t->to) ? group_count(t->dev, t->from, NULL) : 0;
}

/*
 * O2: decode as the firmware left it, no bus mastering, interrupts neither masked nor on; and
 * nothing of what the old owner wrote for its interrupts or into registers that a guest may write.
 */
static int assign_clean(struct transition *t)
{
    const struct pcidev_traits *traits = &t->dev->traits;
    int error = registers_forget_msi(t->dev);

    if (!error)
        error = seam_write(t->dev, PCI_CACHE_LINE_SIZE, 1, traits->baseline_cache_line);
    if (!error)
        error = seam_write(t->dev, PCI_INTERRUPT_LINE, 1, traits->baseline_interrupt_line);
    if (!error)
        error = seam_write(t->dev, PCI_COMMAND, 2,
                           traits->baseline_command & ~PCI_COMMAND_INTX_DISABLE);
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
static const struct step assign_steps[] = {
    {"enter domain", assign_enter, assign_leave},
    {"isolation group", assign_group, assign_ungroup},
    {"revoke", step_revoke, step_reopen},
    {"withdraw view", step_withdraw, step_restore_view},
    {"old owner", step_unlink, step_relink},
    {"quiesce", step_quiesce, step_resume},
    {"reset", step_reset, NULL},
    {"quarantine space", step_make_space, step_free_space},
    {"map reserved", step_map_new, step_unmap_new},
    {"move contexts", step_move, step_move_back},
    {"unmap reserved", step_unmap_old, step_map_old},
    {"clean registers", assign_clean, NULL},
    {"new owner", assign_own, assign_disown},
};

static void assign_commit(struct transition *t)
{
    struct pcidev *dev = t->dev;

    if (t->from->kind == BERTH_DOMAIN_QUARANTINE)
        (void)device_free_quarantine(dev);
    (void)group_count(dev, t->to, NULL);
    atomic_fetch_add(&dev->generation, 1);
    atomic_store(&dev->faults, 0);
    atomic_store(&dev->contained, false);
    step_reopen(t);
    dependents_drop(&t->to->entering);
}

static int move_owner(struct transition *t)
{
    int error = TRANSITION_RUN(t, assign_steps);

    if (!error)
        assign_commit(t);
    return error;
}

/* ---- operations ---- */

static int assign_permit(struct transition *t, enum berth_operation op)
{
    const struct berth_domain *caller = t->request ? t->request->caller : NULL;

    refusal_begin(&t->why, t->dev->sbdf);
    if (caller && caller == t->to) /* F26: whoever it is */
        return refuse_domain(&t->why, -EINVAL, BERTH_REASON_SELF_ASSIGN, caller);
    return machine_permit(t->dev->machine, t->request, op, t->to, &t->why);
}

int pcidev_assign(struct pcidev *dev, struct berth_domain *to, const struct berth_request *request)
{
    struct transition t = {
        .name = "assign", .dev = dev, .to = to, .request = request, .takes_turn = true};
    int error = assign_permit(&t, BERTH_OP_ASSIGN);

    if (error)
        return refusal_end(&t.why, error, request);
    if (!to || to->machine != dev->machine)
        return refusal_end(&t.why, refuse(&t.why, -EINVAL, BERTH_REASON_BAD_ARGUMENT), request);
    error = transition_begin(&t);
    if (error)
        return error;
    if (!domain_is_guest(to)) /* K10 is about lending */
        t.policy.require_reset = false;
    error = assign_check(&t);
    if (!error)
        error = move_owner(&t);
    return transition_end(&t, error);
}

int pcidev_test_assign(struct pcidev *dev, struct berth_domain *to,
                       const struct berth_request *request)
{
    struct transition t = {.name = "test-assign", .dev = dev, .to = to, .request = request};
    struct berth_domain any = {.kind = BERTH_DOMAIN_GUEST, .name = "a guest"};
    int error = assign_permit(&t, BERTH_OP_ASSIGN);

    if (error)
        return refusal_end(&t.why, error, request);
    if (!to)
        t.to = &any;
    else if (to->machine != dev->machine)
        return refusal_end(&t.why, refuse(&t.why, -EINVAL, BERTH_REASON_BAD_ARGUMENT), request);
    error = transition_begin(&t);
    if (error)
        return error;
    return transition_end(&t, assign_check(&t));
}

static int deassign_check(struct transition *t, const struct berth_domain *from)
{
    if (!domain_is_guest(t->from))
        return refuse_domain(&t->why, -EINVAL, BERTH_REASON_NOT_LENT, t->from);
    if (t->from != from)
        return refuse_domain(&t->why, -EINVAL, BERTH_REASON_NOT_OWNER, t->from);
    return 0;
}

/*
 * O3: quarantine, unless somebody has said otherwise in so many words (X02), and even then where
 * the guest keeps something that can't be kept apart from this device.
 */
static struct berth_domain *deassign_target(struct transition *t)
{
    struct berth_domain *hwdom = t->machine->hwdom;
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};

    if (t->policy.quarantine != BERTH_QUARANTINE_OFF || group_check(t->dev, hwdom, &ignored) ||
        rids_check(t->dev, hwdom, &ignored))
        return t->machine->quarantine;
    return hwdom;
}

int deassign_from(struct pcidev *dev, struct berth_domain *from,
                  const struct berth_request *request)
{
    struct transition t = {.name = "deassign", .dev = dev, .request = request, .takes_turn = true};
    int error = transition_begin(&t);

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
