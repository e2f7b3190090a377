/* SPDX-License-Identifier: MIT */
/*
 * One transaction over several devices. Their locks are taken in the order of addresses, then each
 * step is done for all of them before the next one begins: all are quiet before the first context
 * moves, which matters where they share a requester id or a bus that is reset.
 */
#include <berth/isolation.h>

#include "src/core/assign.h"
#include "src/core/eligible.h"
#include "src/core/memory.h"
#include "src/core/share.h"

static const char tag_lend[] = "assign group";

/* The set may change until all of it is locked. */
#define TRIES 4

struct lending {
    struct pcidev *asked;
    struct berth_domain *to;
    struct berth_request request; /* of all but the one that was asked for */
    const struct berth_request *asked_request;
    struct pcidev *list[PCIDEV_GROUP_MAX]; /* in the order of addresses, with references */
    unsigned count;
    struct party party; /* those of them that move */
    struct pcidev *movers[PCIDEV_GROUP_MAX];
    struct transition *ts; /* .begun of them hold their device */
    unsigned begun;
    struct share *turns[PCIDEV_GROUP_MAX];
    unsigned turn_count;
    uint64_t deadline_ns;
    struct berth_refusal why;
};

/* ---- who is in it ---- */

static void sort(struct pcidev **list, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        struct pcidev *dev = list[i];
        unsigned k = i;

        for (; k && sbdf_key(list[k - 1]->sbdf) > sbdf_key(dev->sbdf); k--)
            list[k] = list[k - 1];
        list[k] = dev;
    }
}

static int collect(struct pcidev *dev, struct pcidev **list, struct berth_refusal *why)
{
    int count = share_closure(dev, list, PCIDEV_GROUP_MAX, tag_lend);

    if (count < 0)
        return refuse_number(why, count, BERTH_REASON_GROUP_SIZE, PCIDEV_GROUP_MAX);
    if (!count)
        return refuse(why, -ENODEV, BERTH_REASON_REMOVED);
    sort(list, (unsigned)count);
    return count;
}

static void put_all(struct pcidev **list, unsigned count)
{
    while (count)
        pcidev_put(list[--count], tag_lend);
}

/* ---- locks: turns of groups, then devices ---- */

static bool turn_known(const struct lending *l, const struct share *group)
{
    for (unsigned i = 0; i < l->turn_count; i++)
        if (l->turns[i] == group)
            return true;
    return false;
}

/* Each group once, in the order of their numbers. The members keep the groups. */
static void turns_collect(struct lending *l)
{
    for (unsigned i = 0; i < l->count; i++) {
        struct share *group = l->list[i]->group;
        unsigned k = l->turn_count;

        if (!group || turn_known(l, group))
            continue;
        for (; k && l->turns[k - 1]->id > group->id; k--)
            l->turns[k] = l->turns[k - 1];
        l->turns[k] = group;
        l->turn_count++;
    }
}

/* Unseen, as all that is about the turns or the devices of a whole lending: several of a kind. */
static int turns_take(struct lending *l) LOCKING_UNSEEN
{
    unsigned wanted;

    turns_collect(l);
    wanted = l->turn_count;
    for (l->turn_count = 0; l->turn_count < wanted; l->turn_count++)
        if (!lock_take_until(&l->turns[l->turn_count]->turn, l->deadline_ns))
            return refuse_other(&l->why, -ETIMEDOUT, BERTH_REASON_TRANSITION, l->asked->sbdf);
    return 0;
}

static void turns_drop(struct lending *l) LOCKING_UNSEEN
{
    while (l->turn_count)
        lock_drop(&l->turns[--l->turn_count]->turn);
}

/* A thread has few slots for sections: a member's is open while something is done to it. */
static void section_close(struct transition *t)
{
    access_close(&t->section);
    t->section = (struct pcidev_section){.record = NULL};
}

static int section_open(struct transition *t)
{
    if (access_open(t->dev, GATE_SHUT, NULL, t->name, &t->section))
        return 0;
    return refuse(&t->why, -EDEADLK, BERTH_REASON_OWN_SECTION);
}

static int member_begin(struct lending *l, unsigned i) LOCKING_UNSEEN
{
    struct transition *t = &l->ts[i];
    bool asked = l->list[i] == l->asked;
    int error;

    *t = (struct transition){.name = "assign",
                             .dev = l->list[i],
                             .to = l->to,
                             .request = asked ? l->asked_request : &l->request};
    error = transition_begin(t);
    if (error) {
        l->why = t->why;
        return error;
    }
    l->begun++;
    section_close(t);
    return 0;
}

/* @error: of the whole; the refusal is the lending's. */
static void members_end(struct lending *l, int error) LOCKING_UNSEEN
{
    while (l->begun) {
        struct transition *t = &l->ts[--l->begun];

        (void)section_open(t); /* the end closes it */
        t->request = NULL;
        (void)transition_end(t, error);
    }
}

static int members_begin(struct lending *l)
{
    int error = turns_take(l);

    for (unsigned i = 0; i < l->count && !error; i++)
        error = member_begin(l, i);
    if (!error)
        return 0;
    members_end(l, error);
    turns_drop(l);
    return error;
}

/* ---- is it still the same set? ---- */

static int members_update(struct lending *l)
{
    int error = 0;

    for (unsigned i = 0; i < l->begun && !error; i++) {
        lock_held(&l->list[i]->lock);
        error = share_update(l->list[i]);
    }
    return error ? refuse(&l->why, error, BERTH_REASON_NO_MEMORY) : 0;
}

/* 0: it is; -EAGAIN: it is not. */
static int members_compare(struct lending *l)
{
    struct pcidev **now = port_alloc(sizeof(l->list));
    int error = now ? members_update(l) : refuse(&l->why, -ENOMEM, BERTH_REASON_NO_MEMORY);
    int count = error ? 0 : collect(l->asked, now, &l->why);

    if (count < 0)
        error = count;
    if (!error &&
        ((unsigned)count != l->count || memcmp(now, l->list, (unsigned)count * sizeof(*now)) != 0))
        error = -EAGAIN;
    if (count > 0)
        put_all(now, (unsigned)count);
    port_free(now);
    return error;
}

static int lending_try(struct lending *l)
{
    int count = collect(l->asked, l->list, &l->why);
    int error;

    if (count < 0)
        return count;
    l->count = (unsigned)count;
    l->ts = port_alloc((unsigned)count * sizeof(*l->ts));
    error = l->ts ? members_begin(l) : refuse(&l->why, -ENOMEM, BERTH_REASON_NO_MEMORY);
    if (!error) {
        error = members_compare(l);
        if (error) {
            members_end(l, error);
            turns_drop(l);
        }
    }
    if (!error)
        return 0;
    port_free(l->ts);
    put_all(l->list, l->count);
    return error;
}

/* Who has what it is to get already stays out of the steps, as it is. */
static bool moves(const struct transition *t)
{
    return t->from != t->to;
}

static void lending_form(struct lending *l)
{
    l->party.list = l->movers;
    for (unsigned i = 0; i < l->count; i++)
        if (moves(&l->ts[i]))
            l->movers[l->party.count++] = l->list[i];
    party_form(&l->party);
}

static int lending_begin(struct lending *l)
{
    int error = -EAGAIN;

    for (unsigned i = 0; i < TRIES && error == -EAGAIN; i++)
        error = lending_try(l);
    if (error == -EAGAIN)
        error = refuse_other(&l->why, -EBUSY, BERTH_REASON_TRANSITION, l->asked->sbdf);
    if (!error)
        lending_form(l);
    return error;
}

static int lending_end(struct lending *l, int error)
{
    party_end(&l->party);
    members_end(l, error);
    turns_drop(l);
    port_free(l->ts);
    put_all(l->list, l->count);
    return error;
}

/* ---- the transaction ---- */

static int member_do(struct transition *t, int (*work)(struct transition *t, const void *data),
                     const void *data)
{
    int error;

    if (!moves(t))
        return 0;
    error = section_open(t);
    if (error)
        return error;
    error = work(t, data);
    section_close(t);
    return error;
}

static int do_check(struct transition *t, const void *data) REQUIRES(t->dev->lock)
{
    (void)data;
    return eligible(t);
}

static int do_step(struct transition *t, const void *step) REQUIRES(t->dev->lock)
{
    return transition_step(t, step);
}

static int undo_step(struct transition *t, const void *step) REQUIRES(t->dev->lock)
{
    transition_undo(t, step);
    return 0;
}

static int end_undo(struct transition *t, const void *data) REQUIRES(t->dev->lock)
{
    (void)data;
    transition_undone(t);
    return 0;
}

static int commit(struct transition *t, const void *data) REQUIRES(t->dev->lock)
{
    (void)data;
    assign_commit(t);
    return 0;
}

/* For all of them, up to the first that fails: *@done of them have succeeded. */
static int for_all(struct lending *l, int (*work)(struct transition *t, const void *data),
                   const void *data, unsigned *done)
{
    int error = 0;

    for (*done = 0; *done < l->begun; ++*done) {
        error = member_do(&l->ts[*done], work, data);
        if (error)
            break;
    }
    if (error)
        l->why = l->ts[*done].why;
    return error;
}

static void undo_all(struct lending *l, unsigned steps, unsigned devices)
{
    unsigned ignored;

    /* the step that failed, of those that had done it; then those before it, of all */
    for (; devices; devices--)
        (void)member_do(&l->ts[devices - 1], undo_step, &assign_steps[steps]);
    while (steps-- > 0)
        for (devices = l->begun; devices; devices--)
            (void)member_do(&l->ts[devices - 1], undo_step, &assign_steps[steps]);
    (void)for_all(l, end_undo, NULL, &ignored);
}

/* Where the way back of one was lost, that is what people have to know. */
static void find_lost(struct lending *l)
{
    for (unsigned i = 0; i < l->begun; i++)
        if (l->ts[i].lost && l->ts[i].why.reason == BERTH_REASON_ROLLBACK)
            l->why = l->ts[i].why;
}

static int lending_run(struct lending *l)
{
    unsigned step, devices;
    int error = 0;

    for (step = 0; step < assign_step_count; step++) {
        error = for_all(l, do_step, &assign_steps[step], &devices);
        if (error)
            break;
    }
    if (!error)
        return for_all(l, commit, NULL, &devices);
    for (unsigned i = 0; i < l->begun; i++)
        if (l->list[i] == l->party.dead)
            l->ts[i].dead = true;
    undo_all(l, step, devices);
    find_lost(l);
    return error;
}

/* ---- operations ---- */

static int lend(struct lending *l, bool really)
{
    unsigned ignored;
    int error = lending_begin(l);

    if (error)
        return error;
    error = for_all(l, do_check, NULL, &ignored);
    if (!error && really)
        error = lending_run(l);
    return lending_end(l, error);
}

static int lend_or_check(struct pcidev *dev, struct berth_domain *to,
                         const struct berth_request *request, bool really)
{
    struct berth_refusal why;
    struct lending *l;
    int error = assign_permit(dev, to, BERTH_OP_ASSIGN, request, &why);

    if (error)
        return refusal_end(&why, error, request);
    if (!to || !domain_is_guest(to) || to->machine != dev->machine)
        return refusal_end(&why, refuse(&why, -EINVAL, BERTH_REASON_BAD_ARGUMENT), request);
    l = port_alloc(sizeof(*l));
    if (!l)
        return refusal_end(&why, refuse(&why, -ENOMEM, BERTH_REASON_NO_MEMORY), request);
    if (request)
        l->request = *request;
    l->request.why = NULL;
    l->request.guest_address = NULL;
    l->asked = dev;
    l->asked_request = request;
    l->to = to;
    l->deadline_ns = machine_deadline(dev->machine, request);
    refusal_begin(&l->why, dev->sbdf);
    error = refusal_end(&l->why, lend(l, really), request);
    port_free(l);
    return error;
}

int pcidev_assign_group(struct pcidev *dev, struct berth_domain *to,
                        const struct berth_request *request)
{
    return lend_or_check(dev, to, request, true);
}

int pcidev_test_assign_group(struct pcidev *dev, struct berth_domain *to,
                             const struct berth_request *request)
{
    return lend_or_check(dev, to, request, false);
}
