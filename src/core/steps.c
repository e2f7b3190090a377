/* SPDX-License-Identifier: MIT */
/* The steps that several transitions share. */
#include "src/core/space.h"
#include "src/core/transition.h"

int step_revoke(struct transition *t)
{
    int error;

    atomic_fetch_or(&t->dev->gate, GATE_TRANSITION);
    error = access_drain(t->dev, &t->section, t->deadline_ns, &t->why);
    if (error)
        step_reopen(t);
    return error;
}

int step_reopen(struct transition *t)
{
    /* release: pairs with the acquire in access_open() */
    atomic_fetch_and_explicit(&t->dev->gate, ~GATE_TRANSITION, memory_order_release);
    return 0;
}

int step_withdraw(struct transition *t)
{
    const struct berth_domain *from = t->from;

    if (!from || !from->ops || !from->ops->withdraw)
        return 0;
    return from->ops->withdraw(from->ops_context, t->dev);
}

int step_restore_view(struct transition *t)
{
    const struct berth_domain *from = t->from;

    if (!from || !from->ops || !from->ops->restore)
        return 0;
    return from->ops->restore(from->ops_context, t->dev);
}

int step_quiesce(struct transition *t)
{
    int error = registers_save(t->dev, &t->saved);

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

int step_unlink(struct transition *t)
{
    domain_unlink(t->from, t->dev);
    return 0;
}

int step_relink(struct transition *t)
{
    return domain_link_spare(t->from, t->dev, &t->relink);
}

int step_map_new(struct transition *t)
{
    return space_map_reserved(t->dev, transition_space(t, t->to), &t->why);
}

int step_unmap_new(struct transition *t)
{
    return space_unmap_reserved(t->dev, transition_space(t, t->to), &t->why);
}

int step_unmap_old(struct transition *t)
{
    return space_unmap_reserved(t->dev, transition_space(t, t->from), &t->why);
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
