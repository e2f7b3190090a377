/* SPDX-License-Identifier: MIT */
/* The steps that several transitions share. */
#include "src/core/rebar.h"
#include "src/core/recover.h"
#include "src/core/seam.h"
#include "src/core/space.h"
#include "src/core/transition.h"
#include "src/core/view.h"

int step_revoke(struct transition *t)
{
    int error;

    atomic_fetch_or(&t->dev->gate, GATE_TRANSITION);
    error = access_drain(t->dev, &t->section, t->deadline_ns, &t->why);
    if (error)
        step_reopen(t);
    return error;
}

/*
 * With a section open. Opens first and looks at the flag then: a fault that comes up meanwhile
 * sets it first and then finds the gate closed, or open (O6).
 */
void gate_open(struct pcidev *dev)
{
    atomic_fetch_and(&dev->gate, ~GATE_TRANSITION); /* pairs with the load in access_open() */
    if (atomic_load(&dev->contained))
        (void)seam_update8(dev, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
    view_opened(dev);
}

int step_reopen(struct transition *t)
{
    gate_open(t->dev);
    return 0;
}

/* What the guest has through us first, then what its VMM has made of it. */
int owner_withdraw(struct pcidev *dev, const struct berth_domain *owner, bool *lost)
{
    int error = view_withdraw(dev);

    if (!error && owner && owner->ops && owner->ops->withdraw)
        error = owner->ops->withdraw(owner->ops_context, dev);
    if (error && view_restore(dev))
        *lost = true;
    return error;
}

int owner_restore(struct pcidev *dev, const struct berth_domain *owner)
{
    int error = 0;

    if (owner && owner->ops && owner->ops->restore)
        error = owner->ops->restore(owner->ops_context, dev);
    return error ? error : view_restore(dev);
}

int step_withdraw(struct transition *t)
{
    return owner_withdraw(t->dev, t->from, &t->lost);
}

int step_restore_view(struct transition *t)
{
    if (t->power_on)
        view_power_on(t->dev);
    return owner_restore(t->dev, t->from);
}

int step_quiesce(struct transition *t)
{
    int error = registers_wake(t->dev, &t->lost);

    if (!error)
        error = registers_save(t->dev, &t->saved);
    if (!error)
        error = registers_quiet(t->dev);
    if (error && t->saved.valid && registers_restore(t->dev, &t->saved))
        t->lost = true;
    return error;
}

int step_resume(struct transition *t)
{
    return registers_restore(t->dev, &t->saved);
}

/* What a guest can change in the hardware, back to how it was when it got the device. */
static int clean_guest(struct pcidev *dev) REQUIRES(dev->lock)
{
    const struct recovery *r = atomic_load(&dev->recovery);
    int error = rebar_restore(dev);

    return error ? error : registers_forget_guest(dev, r ? &r->registers : NULL);
}

/* INTx: only the hardware domain handles a line that nobody has set up; a view opens it for its
 * guest. Elsewhere a device that asserts it would keep the whole line from working (K1). */
static uint16_t clean_command(const struct transition *t)
{
    uint16_t command = t->dev->traits.baseline_command;

    if (t->to && t->to->kind == BERTH_DOMAIN_HWDOM)
        return command;
    return command | PCI_COMMAND_INTX_DISABLE;
}

int step_clean(struct transition *t)
{
    const struct pcidev_traits *traits = &t->dev->traits;
    bool was_lent = t->from && domain_is_guest(t->from);
    int error = registers_forget_msi(t->dev);

    if (!error)
        error = seam_write(t->dev, PCI_CACHE_LINE_SIZE, 1, traits->baseline_cache_line);
    if (!error)
        error = seam_write(t->dev, PCI_INTERRUPT_LINE, 1, traits->baseline_interrupt_line);
    if (!error && was_lent)
        error = clean_guest(t->dev);
    if (!error && (was_lent || (t->to && domain_is_guest(t->to))))
        error = registers_forget_errors(t->dev);
    return error ? error : seam_write(t->dev, PCI_COMMAND, 2, clean_command(t));
}

int step_unlink(struct transition *t)
{
    domain_unlink(t->from, t->dev);
    return 0;
}

int step_relink(struct transition *t)
{
    return domain_link_spare(t->from, t->dev, &t->relink);
}

/* The private space of a device in quarantine: its reserved regions, and what the policy says. */
int step_make_space(struct transition *t)
{
    enum berth_space_kind kind =
        t->policy.quarantine == BERTH_QUARANTINE_SCRATCH ? BERTH_SPACE_SCRATCH : BERTH_SPACE_BLOCK;
    int error;

    if (t->to->kind != BERTH_DOMAIN_QUARANTINE)
        return 0;
    error = device_free_quarantine(t->dev); /* one that could not be freed before */
    if (!error)
        error = space_create(t->machine, kind, sbdf_key(t->dev->sbdf), &t->dev->quarantine);
    return error ? refuse(&t->why, error,
                          error == -ENOMEM ? BERTH_REASON_NO_MEMORY : BERTH_REASON_IOMMU_FAILED)
                 : 0;
}

int step_free_space(struct transition *t)
{
    if (t->to->kind == BERTH_DOMAIN_QUARANTINE)
        (void)device_free_quarantine(t->dev);
    return 0;
}

int step_map_new(struct transition *t)
{
    return space_map_reserved(t->dev, transition_space(t, t->to), &t->why);
}

int step_unmap_new(struct transition *t)
{
    return space_unmap_reserved(t->dev, transition_space(t, t->to), &t->why, &t->lost);
}

int step_unmap_old(struct transition *t)
{
    return space_unmap_reserved(t->dev, transition_space(t, t->from), &t->why, &t->lost);
}

int step_map_old(struct transition *t)
{
    return space_map_reserved(t->dev, transition_space(t, t->from), &t->why);
}

int step_move(struct transition *t)
{
    return rids_move(t->dev, t->to, &t->why, &t->lost);
}

int step_move_back(struct transition *t)
{
    return rids_move(t->dev, t->from, &t->why, &t->lost);
}
