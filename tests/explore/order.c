/* SPDX-License-Identifier: MIT */
/*
 * What depends on what: each event's place in the order of those that could not be swapped, and the
 * races, which are those that could. C11's own order is kept beside it (hooks.c, memory.c).
 */
#include <string.h>

#include "tests/explore/engine.h"

#define OBJECTS 4096u
#define OBJECTS_SHIFT (64 - 12)

static struct object objects[OBJECTS];

/* What the clock and the readers of each thread are called; only their addresses are used. */
const char order_clock, order_reader[THREADS];

/* ---- objects ---- */

struct object *object_at(uintptr_t key)
{
    uint32_t i = (uint32_t)((uint64_t)key * UINT64_C(0x9e3779b97f4a7c15) >> OBJECTS_SHIFT);

    for (unsigned tries = 0; tries < OBJECTS; tries++, i = (i + 1) % OBJECTS) {
        struct object *object = &objects[i];

        if (object->run != search.run) {
            *object = (struct object){.key = key, .run = search.run};
            return object;
        }
        if (object->key == key)
            return object;
    }
    explore_fail("too many objects for this search");
}

/* ---- what depends on what ---- */

bool order_is_dependent(const struct op *a, const struct op *b)
{
    if (a->kind == OP_FENCE_ALL || b->kind == OP_FENCE_ALL)
        return search.buffers;
    if ((a->kind == OP_DEFER && b->kind == OP_READ_LOCK) ||
        (b->kind == OP_DEFER && a->kind == OP_READ_LOCK))
        return true;
    if ((a->kind == OP_DEFER && b->kind == OP_SETTLE) ||
        (b->kind == OP_DEFER && a->kind == OP_SETTLE))
        return true;
    return a->object && a->object == b->object &&
           (a->access == ACCESS_WRITE || b->access == ACCESS_WRITE);
}

/* With a bound on preemptions: where @thread could have begun without one counts as well (Coons,
 * Musuvathi, McKinley 2013). */
static void backtrack_bounded(unsigned index, unsigned thread)
{
    struct node *node = &search.path[index];

    node->backtrack |= node->enabled & BIT(thread) ? BIT(thread) : node->enabled;
    while (index && search.path[index - 1].chosen == node->chosen)
        index--;
    node = &search.path[index];
    node->backtrack |= node->enabled & BIT(thread) ? BIT(thread) : node->enabled;
}

/* Event @index and the next one of @thread could be the other way round: try that as well. */
static void race(unsigned index, unsigned thread, clocks before)
{
    struct node *node = &search.path[index];
    uint8_t leads = 0;

    if (node->chosen == thread || (unsigned)before[node->chosen] > index)
        return;
    if (search.depth + 1 < search.prefix) /* found the last time, too */
        return;
    if (search.bounded) {
        backtrack_bounded(index, thread);
        return;
    }
    for (unsigned i = 0; i < THREADS; i++)
        if (node->enabled & BIT(i) && (i == thread || (unsigned)before[i] > index + 1))
            leads |= BIT(i);
    if (!leads)
        node->backtrack |= node->enabled;
    else if (!(leads & node->backtrack))
        node->backtrack |= leads & BIT(thread) ? BIT(thread) : (uint8_t)(leads & -leads);
}

static void races_with_reads(const struct object *object, unsigned thread, clocks before)
{
    for (unsigned i = 0; i < THREADS; i++)
        if (object->last_read[i])
            race(object->last_read[i] - 1u, thread, before);
}

static void note_write(struct object *object, unsigned event)
{
    object->last_write = (uint16_t)(event + 1);
    memset(object->last_read, 0, sizeof(object->last_read));
    object->order_read = (clocks){0};
}

/* An access to what is read and written: its races, what it has to come after, what it leaves. */
static void access_object(struct thread *t, unsigned thread, unsigned event)
{
    struct object *object = object_at(t->op.object);
    const clocks before = t->order;
    bool write = t->op.access == ACCESS_WRITE;

    if (object->last_write)
        race(object->last_write - 1u, thread, before);
    if (write)
        races_with_reads(object, thread, before);
    t->order = clocks_join(t->order, object->order_write);
    if (write)
        t->order = clocks_join(t->order, object->order_read);
    t->order[thread] = (int16_t)(event + 1);
    if (write) {
        note_write(object, event);
        object->order_write = t->order;
    } else {
        object->last_read[thread] = (uint16_t)(event + 1);
        object->order_read = clocks_join(object->order_read, t->order);
    }
}

/*
 * Who locks races with who locked, not with the unlock in between: that one could not have come
 * later. An unlock races with those who looked whether it was locked.
 */
static void access_lock(struct thread *t, unsigned thread, unsigned event)
{
    struct object *object = object_at(t->op.object);
    const clocks before = t->order;

    if (t->op.kind == OP_UNLOCK) {
        races_with_reads(object, thread, before);
        t->order = clocks_join(t->order, object->order_read);
        t->order[thread] = (int16_t)(event + 1);
        object->order_write = t->order;
        return;
    }
    if (object->last_write)
        race(object->last_write - 1u, thread, before);
    races_with_reads(object, thread, before);
    t->order = clocks_join(clocks_join(t->order, object->order_write), object->order_read);
    t->order[thread] = (int16_t)(event + 1);
    if (port_lock_is_free(t->op.object)) {
        note_write(object, event);
    } else {
        object->last_read[thread] = (uint16_t)(event + 1);
        object->order_read = clocks_join(object->order_read, t->order);
    }
}

/* A deferred call waits for those who read when it was deferred: each may have begun before. */
static void access_readers(struct thread *t, unsigned thread, unsigned event)
{
    clocks before = t->order;

    for (unsigned i = 0; i < RUNNERS; i++) {
        struct object *object = object_at((uintptr_t)&order_reader[i]);

        if (object->last_write && i != thread)
            race(object->last_write - 1u, thread, before);
        t->order = clocks_join(t->order, object->order_write);
        object->last_read[thread] = (uint16_t)(event + 1);
    }
    t->order[thread] = (int16_t)(event + 1);
    for (unsigned i = 0; i < RUNNERS; i++) {
        struct object *object = object_at((uintptr_t)&order_reader[i]);

        object->order_read = clocks_join(object->order_read, t->order);
    }
}

clocks order_of_all(void)
{
    clocks all = {0};

    for (unsigned i = 0; i < THREADS; i++)
        all = clocks_join(all, threads[i].order);
    return all;
}

/* With store buffers: it races with everything, for it ends what everybody has delayed. */
static void access_everything(struct thread *t, unsigned thread)
{
    for (unsigned i = 0; i < THREADS; i++)
        if (i != thread && threads[i].last_event)
            race(threads[i].last_event - 1u, thread, t->order);
    t->order = order_of_all();
}

void order_note(struct thread *t, unsigned thread, unsigned event)
{
    switch (t->op.kind) {
    case OP_LOCK:
    case OP_LOCK_UNTIL:
    case OP_TRYLOCK:
    case OP_UNLOCK:
        access_lock(t, thread, event);
        return;
    case OP_DEFER:
        access_readers(t, thread, event);
        return;
    case OP_FENCE_ALL:
        if (search.buffers)
            access_everything(t, thread);
        break;
    case OP_GRACE:
        t->order = clocks_join(t->order, port_grace_order());
        break;
    case OP_SETTLE:
        t->order = clocks_join(t->order, threads[GRACE].order);
        break;
    case OP_RELAX:
        t->order = order_of_all();
        break;
    default:
        if (t->op.object) {
            access_object(t, thread, event);
            return;
        }
    }
    t->order[thread] = (int16_t)(event + 1);
}

/* What wakes a thread that is about to wait: see is_woken(). */
void order_note_watch(struct thread *t, unsigned event)
{
    switch (t->op.kind) {
    case OP_RELAX:
    case OP_SLEEP:
        t->watched = 0;
        t->watch_from = (uint16_t)(event + 1);
        break;
    case OP_LOAD:
        if (t->watched < WATCH_MAX)
            t->watch[t->watched++] = t->op.object;
        else
            t->watched = WATCH_ALL;
        break;
    case OP_HOST:
        if (t->op.access == ACCESS_READ && t->watched < WATCH_MAX) {
            t->watch[t->watched++] = t->op.object;
            break;
        }
        t->watched = WATCH_ALL;
        break;
    case OP_NOW:
    case OP_READ_LOCK:
    case OP_READ_UNLOCK:
    case OP_FENCE:
    case OP_FENCE_ALL:
        break;
    default:
        t->watched = WATCH_ALL;
    }
}

/* ---- others ---- */

/* Whoever waits for a lock could have had it first. */
void order_note_waiting(void)
{
    for (unsigned i = 0; i < RUNNERS; i++) {
        const struct op *op = &threads[i].op;
        const struct object *object;

        if (op->kind != OP_LOCK && op->kind != OP_LOCK_UNTIL)
            continue;
        object = object_at(op->object);
        if (object->last_write)
            race(object->last_write - 1u, i, threads[i].order);
    }
}

void order_note_write(uintptr_t key)
{
    struct object *object = object_at(key);

    note_write(object, search.depth - 1);
    object->order_write = threads[search.self].order;
}

void explore_hand_over(const void *address)
{
    struct thread *self = &threads[search.self];
    struct object *object;

    if (!scheduled())
        return;
    object = object_at((uintptr_t)address);
    self->sync = clocks_join(self->sync, object->released);
    object->released = self->sync;
    self->sync[search.self]++;
}
