/* SPDX-License-Identifier: MIT */
/* Who can go on, and who waits for what. */
#include "tests/explore/engine.h"

/** How far time goes where somebody looks at the clock and all others wait. */
#define STEP_NS 3000000000u

/* ---- who can go on ---- */

static bool others_went_on(unsigned thread)
{
    for (unsigned i = 0; i < THREADS; i++)
        if (i != thread && threads[i].last_event > threads[thread].watch_from)
            return true;
    return false;
}

/* A thread that found nothing to do, and waits: until something that it looked at has changed. */
static bool is_woken(unsigned thread)
{
    const struct thread *t = &threads[thread];

    if (t->op.kind == OP_RELAX && search.now_ns != t->op.until)
        return true;
    if (t->watched == WATCH_ALL)
        return others_went_on(thread);
    for (unsigned i = 0; i < t->watched; i++)
        if (object_at(t->watch[i])->last_write > t->watch_from)
            return true;
    return false;
}

/*
 * A sleep ends at any moment: all others may be as slow as they like. But who only looks whether
 * something has changed, again and again, finds out when it has; or when all others wait.
 */
static bool sleep_may_end(unsigned thread)
{
    const struct thread *t = &threads[thread];

    return search.scenario->time_passes || t->watched == WATCH_ALL ||
           search.now_ns >= t->op.until || is_woken(thread);
}

static bool is_enabled(unsigned thread)
{
    const struct op *op = &threads[thread].op;

    switch (op->kind) {
    case OP_DONE:
        return false;
    case OP_LOCK:
        return port_lock_is_free(op->object) && buffer_is_empty(thread);
    case OP_LOCK_UNTIL:
        return (port_lock_is_free(op->object) || search.now_ns >= op->until) &&
               buffer_is_empty(thread);
    case OP_RELAX:
        return is_woken(thread);
    case OP_SLEEP:
        return sleep_may_end(thread);
    case OP_GRACE:
        return port_grace_is_due();
    case OP_SETTLE:
        return port_is_settled();
    case OP_COMMIT:
        return !buffer_is_empty(thread - RUNNERS);
    case OP_UPDATE:
    case OP_FENCE:
    case OP_UNLOCK:
    case OP_DEFER:
        return buffer_is_empty(thread);
    default:
        return true;
    }
}

#define MAY_WAIT                                                                             \
    (1u << OP_DONE | 1u << OP_LOCK | 1u << OP_LOCK_UNTIL | 1u << OP_RELAX | 1u << OP_SLEEP | \
     1u << OP_GRACE | 1u << OP_SETTLE | 1u << OP_COMMIT)

uint8_t waiting_enabled(void)
{
    unsigned count = search.buffers ? THREADS : RUNNERS;
    uint8_t enabled = 0;

    for (unsigned i = 0; i < count; i++) {
        unsigned kind = threads[i].op.kind;

        if (kind == OP_DONE)
            continue;
        if (!(search.buffers || MAY_WAIT >> kind & 1) || is_enabled(i))
            enabled |= BIT(i);
    }
    return enabled;
}

/* ---- time ---- */

/*
 * Nobody can go on but by waiting for a deadline: it is reached now. Everything so far is before
 * what comes then: a deadline does not pass while somebody can still do something.
 */
bool waiting_pass_time(void)
{
    uint64_t until = UINT64_MAX;
    clocks all;

    for (unsigned i = 0; i < RUNNERS; i++) {
        const struct op *op = &threads[i].op;
        uint64_t wants = op->kind == OP_RELAX ? search.now_ns + STEP_NS : op->until;

        if (op->kind != OP_LOCK_UNTIL && op->kind != OP_SLEEP &&
            !(op->kind == OP_RELAX && search.scenario->time_passes))
            continue;
        until = wants < until ? wants : until;
    }
    order_note_waiting();
    if (until == UINT64_MAX)
        return false;
    search.now_ns = until;
    all = order_of_all();
    for (unsigned i = 0; i < THREADS; i++)
        threads[i].order = all;
    return true;
}
