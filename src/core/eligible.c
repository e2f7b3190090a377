/* SPDX-License-Identifier: MIT */
#include "src/core/eligible.h"

#include "src/core/bars.h"
#include "src/core/overlap.h"
#include "src/core/seam.h"
#include "src/core/share.h"
#include "src/core/space.h"

/* ---- the two owners ---- */

static int check_target(struct transition *t)
{
    if (t->to->kind == BERTH_DOMAIN_HIDDEN)
        return refuse(&t->why, -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    return 0;
}

static int check_owner(struct transition *t)
{
    if (t->from == t->to)
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_ALREADY, t->from);
    if (domain_is_guest(t->from))
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_OWNED, t->from);
    return 0;
}

static int check_alive(struct transition *t)
{
    if (berth_domain_state(t->to) != BERTH_DOMAIN_LIVE)
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_TEARDOWN, t->to);
    return 0;
}

/* ---- the device ---- */

static int check_reservation(struct transition *t)
{
    if (t->dev->traits.reservation == BERTH_RESERVE_HIDDEN)
        return refuse(&t->why, -EBUSY, BERTH_REASON_HIDDEN);
    if (t->dev->traits.reservation == BERTH_RESERVE_READ_ONLY)
        return refuse(&t->why, -EBUSY, BERTH_REASON_READ_ONLY);
    return 0;
}

static int check_type(struct transition *t)
{
    if (!device_has_contexts(t->dev))
        return refuse(&t->why, -EINVAL, BERTH_REASON_BRIDGE);
    return 0;
}

static int check_broken(struct transition *t)
{
    if (atomic_load(&t->dev->broken))
        return refuse(&t->why, -EBADF, BERTH_REASON_BROKEN);
    return 0;
}

static int check_connected(struct transition *t)
{
    if (device_disconnected(t->dev))
        return refuse(&t->why, -ENODEV, BERTH_REASON_DISCONNECTED);
    return 0;
}

/* Its reset would take them along, whoever has them. */
static int check_vfs(struct transition *t)
{
    uint32_t vfs = atomic_load(&t->dev->enabled_vfs);

    return vfs ? refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, vfs) : 0;
}

/* ---- isolation ---- */

static int check_iommu(struct transition *t)
{
    if (!t->machine->config.iommu)
        return refuse(&t->why, -EOPNOTSUPP, BERTH_REASON_NO_IOMMU);
    return 0;
}

/* BARs move, bridges come and go: what the device shares is looked up again. */
static int check_shares(struct transition *t) REQUIRES(t->dev->lock)
{
    int error;

    if (!device_has_contexts(t->dev))
        return 0;
    error = domain_is_guest(t->from) ? 0 : bars_refresh(t->dev); /* a lent device's stay */
    if (error)
        return refuse(&t->why, error, BERTH_REASON_HOST_FAILED);
    error = share_update(t->dev);
    if (error)
        return refuse(&t->why, error, BERTH_REASON_NO_MEMORY);
    return share_check(t->dev, t->to, &t->why);
}

static int check_overlap(struct transition *t) REQUIRES(t->dev->lock)
{
    return overlap_check(t->dev, &t->why);
}

/* M32: a machine that has interrupts for guests must check who raises them (X33). */
static int check_interrupts(struct transition *t)
{
    const struct berth_machine_config *config = &t->machine->config;

    if (!config->irqs || t->policy.unsafe_interrupts)
        return 0;
    if (config->irqs->remaps && config->irqs->remaps(config->irq_context))
        return 0;
    return refuse(&t->why, -EOPNOTSUPP, BERTH_REASON_NO_REMAPPING);
}

static int check_bridges(struct transition *t) REQUIRES(t->dev->lock)
{
    return rids_are_complete(t->dev, &t->why);
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

static int check_rids(struct transition *t) REQUIRES(t->dev->lock)
{
    return rids_check(t->dev, t->to, &t->why);
}

static int check_reset(struct transition *t)
{
    if (t->policy.require_reset && !t->dev->traits.method_count)
        return refuse(&t->why, -ENOTTY, BERTH_REASON_NO_RESET);
    return 0;
}

/* ---- all of it ---- */

static const struct check {
    int (*run)(struct transition *t);
    bool guests; /* matters for them only */
} checks[] = {
    {check_target, false},      {check_owner, false},   {check_alive, false},
    {check_reservation, false}, {check_type, false},    {check_broken, true},
    {check_connected, true},    {check_vfs, false},     {check_iommu, true},
    {check_shares, false},      {check_overlap, true},  {check_interrupts, true},
    {check_bridges, true},      {check_reserved, true}, {check_rids, true},
    {check_reset, true},
};

#define CHECKS (sizeof(checks) / sizeof(checks[0]))

/* A bridge is not lent: nothing else that could be said of it would help. */
static bool matters(const struct transition *t, const struct check *check)
{
    if (!device_has_contexts(t->dev) && check->guests)
        return false;
    return !check->guests || domain_is_guest(t->to);
}

int eligible(struct transition *t)
{
    int error = 0;

    for (unsigned i = 0; i < CHECKS && !error; i++)
        if (matters(t, &checks[i]))
            error = checks[i].run(t);
    return error;
}

struct findings {
    struct berth_refusal *list;
    unsigned count, max;
};

static void find(struct findings *f, const struct berth_refusal *why, int error)
{
    if (f->count < f->max) {
        f->list[f->count] = *why;
        f->list[f->count].error = error;
    }
    f->count++;
}

/* The check stops at the first share that is in the way. */
static void find_more_shares(struct transition *t, struct findings *f)
{
    bool more = true;

    for (unsigned nth = t->why.reason == BERTH_REASON_IOMMU_FAILED ? 0 : 1; more; nth++) {
        refusal_begin(&t->why, t->dev->sbdf);
        more = share_clash(t->dev, t->to, nth, &t->why);
        if (more)
            find(f, &t->why, -EBUSY);
    }
}

unsigned eligible_all(struct transition *t, struct berth_refusal *list, unsigned max)
{
    struct findings f = {.list = list, .max = max};

    for (unsigned i = 0; i < CHECKS; i++) {
        int error;

        if (!matters(t, &checks[i]))
            continue;
        refusal_begin(&t->why, t->dev->sbdf);
        error = checks[i].run(t);
        if (error)
            find(&f, &t->why, error);
        if (error && checks[i].run == check_shares)
            find_more_shares(t, &f);
    }
    refusal_begin(&t->why, t->dev->sbdf);
    return f.count;
}
