/* SPDX-License-Identifier: MIT */
/*
 * The port under the controlled scheduler: every call is an event. Deferred calls are made by a
 * thread of their own, each as soon as it may be, which is when it is most likely to hurt.
 */
#include <berth_port.h>

#include "tests/explore/engine.h"

#define HERE __builtin_return_address(0)
#define DEFERRED_MAX 256u

struct deferred {
    struct port_deferred *what;
    uint8_t waits; /* for these threads' read-side sections */
    clocks order, sync;
};

static struct deferred deferred[DEFERRED_MAX];
static unsigned deferred_count;
/* A grace period comes after all read-side sections that ended before it began, too. */
static clocks readers_order, readers_sync;
static unsigned char *records; /* one for each runner, and the set-up's */
static uint8_t joined;

void port_init(void)
{
    records = explore_memory((RUNNERS + 1) * PORT_RECORD_SIZE);
}

void port_begin(void)
{
    deferred_count = 0;
    joined = 0;
    for (unsigned i = 0; i < EXPLORE_ACTORS; i++)
        if (search.scenario->actor[i].run)
            joined |= BIT(i);
    readers_order = readers_sync = (clocks){0};
}

/* ---- memory ---- */

void *port_alloc(size_t size)
{
    if (scheduled())
        point(OP_ALLOC, ACCESS_NONE, NULL, 0, HERE);
    return memory_alloc(size, HERE);
}

void *port_alloc_lines(size_t size)
{
    return port_alloc(size); /* every block begins on a line */
}

void port_free(void *memory)
{
    if (scheduled() && memory)
        point(OP_FREE, ACCESS_NONE, NULL, 0, HERE);
    memory_free(memory, HERE);
}

/* ---- locks ---- */

static struct lock *lock_of(struct port_mutex *mutex)
{
    return (struct lock *)(void *)((char *)mutex - offsetof(struct lock, mutex));
}

/* K2, as src/core/lock.h writes it down. */
static void check_order(struct port_mutex *mutex)
{
    unsigned rank = lock_of(mutex)->rank;
    bool several = rank == LOCK_TURN || rank == LOCK_DEVICE;

    for (unsigned i = several ? rank + 1 : rank; i < LOCK_RANKS; i++)
        if (threads[search.self].held[i])
            explore_fail("takes a lock of rank %u while it holds one of rank %u", rank, i);
}

bool port_lock_is_free(uintptr_t mutex)
{
    return !((const struct port_mutex *)mutex)->taken;
}

static void taken(struct port_mutex *mutex)
{
    struct thread *self = &threads[search.self];

    memory_atomic(mutex, sizeof(*mutex));
    mutex->taken = 1;
    mutex->owner = search.self;
    self->held[lock_of(mutex)->rank]++;
    self->sync = clocks_join(self->sync, object_at((uintptr_t)mutex)->released);
}

void port_mutex_init(struct port_mutex *mutex)
{
    memory_plain(mutex, sizeof(*mutex), true);
    *mutex = (struct port_mutex){.taken = 0};
}

void port_mutex_destroy(struct port_mutex *mutex)
{
    memory_plain(mutex, sizeof(*mutex), true);
    if (mutex->taken)
        explore_fail("a lock is destroyed that somebody holds");
}

void port_mutex_lock(struct port_mutex *mutex)
{
    if (!scheduled()) {
        if (mutex->taken)
            explore_fail("a lock was left locked");
        mutex->taken = 1;
        return;
    }
    memory_atomic(mutex, sizeof(*mutex));
    check_order(mutex);
    if (mutex->taken && mutex->owner == search.self)
        explore_fail("takes a lock that it holds");
    point(OP_LOCK, ACCESS_WRITE, mutex, sizeof(*mutex), HERE);
    taken(mutex);
}

bool port_mutex_trylock(struct port_mutex *mutex)
{
    bool got;

    if (!scheduled()) {
        got = !mutex->taken;
        mutex->taken = 1;
        return got;
    }
    memory_atomic(mutex, sizeof(*mutex));
    point(OP_TRYLOCK, ACCESS_WRITE, mutex, sizeof(*mutex), HERE);
    got = !mutex->taken;
    if (got)
        taken(mutex);
    return got;
}

bool port_mutex_lock_until(struct port_mutex *mutex, uint64_t deadline_ns)
{
    if (!scheduled()) {
        port_mutex_lock(mutex);
        return true;
    }
    memory_atomic(mutex, sizeof(*mutex));
    check_order(mutex);
    point_until(OP_LOCK_UNTIL, mutex, deadline_ns, HERE);
    if (mutex->taken)
        return false;
    taken(mutex);
    return true;
}

void port_mutex_unlock(struct port_mutex *mutex)
{
    struct thread *self = &threads[search.self];

    if (!scheduled()) {
        mutex->taken = 0;
        return;
    }
    memory_atomic(mutex, sizeof(*mutex));
    if (!mutex->taken || mutex->owner != search.self)
        explore_fail("drops a lock that it does not hold");
    point(OP_UNLOCK, ACCESS_WRITE, mutex, sizeof(*mutex), HERE);
    mutex->taken = 0;
    self->held[lock_of(mutex)->rank]--;
    object_at((uintptr_t)mutex)->released = self->sync;
    self->sync[search.self]++;
}

/* ---- records ---- */

void *port_record(void)
{
    if (!scheduled())
        return records + PORT_RECORD_SIZE * RUNNERS;
    joined |= BIT(search.self);
    return records + PORT_RECORD_SIZE * search.self;
}

/* Threads that have a record: the actors from the beginning on. The set-up has left its own. */
void *port_record_next(void *previous)
{
    unsigned i = previous ? (unsigned)((unsigned char *)previous - records) / PORT_RECORD_SIZE + 1
                 : scheduled() ? 0
                               : RUNNERS;

    while (i < RUNNERS && !(joined & BIT(i)))
        i++;
    if (i > RUNNERS || (i == RUNNERS && scheduled()))
        return NULL;
    return records + PORT_RECORD_SIZE * i;
}

/* ---- read-side sections ---- */

void port_read_lock(void)
{
    if (!scheduled())
        return;
    if (!threads[search.self].reading)
        point(OP_READ_LOCK, ACCESS_WRITE, NULL, 0, HERE);
    threads[search.self].reading++;
}

void port_read_unlock(void)
{
    struct thread *self = &threads[search.self];

    if (!scheduled())
        return;
    if (!self->reading)
        explore_fail("leaves a read-side section that it is not in");
    if (self->reading == 1)
        point(OP_READ_UNLOCK, ACCESS_NONE, NULL, 0, HERE);
    if (--self->reading)
        return;
    readers_order = clocks_join(readers_order, self->order);
    readers_sync = clocks_join(readers_sync, self->sync);
    for (unsigned i = 0; i < deferred_count; i++) {
        if (!(deferred[i].waits & BIT(search.self)))
            continue;
        deferred[i].waits &= (uint8_t)~BIT(search.self);
        deferred[i].order = clocks_join(deferred[i].order, self->order);
        deferred[i].sync = clocks_join(deferred[i].sync, self->sync);
    }
    self->sync[search.self]++;
}

void port_defer(struct port_deferred *what, void (*fn)(struct port_deferred *deferred))
{
    struct deferred entry = {.what = what};

    if (scheduled())
        point(OP_DEFER, ACCESS_NONE, NULL, 0, HERE);
    if (deferred_count == DEFERRED_MAX)
        explore_fail("too many deferred calls");
    for (unsigned i = 0; i < deferred_count; i++)
        if (deferred[i].what == what)
            explore_fail("deferred twice");
    what->fn = fn;
    if (scheduled()) {
        for (unsigned i = 0; i < RUNNERS; i++)
            if (threads[i].reading)
                entry.waits |= BIT(i);
        entry.order = clocks_join(threads[search.self].order, readers_order);
        entry.sync = clocks_join(threads[search.self].sync, readers_sync);
        threads[search.self].sync[search.self]++;
    }
    deferred[deferred_count++] = entry;
}

unsigned port_deferred(void)
{
    return deferred_count;
}

static unsigned next_due(void)
{
    unsigned i = 0;

    while (i < deferred_count && deferred[i].waits)
        i++;
    return i;
}

bool port_grace_is_due(void)
{
    return next_due() < deferred_count;
}

bool port_is_settled(void)
{
    return !deferred_count && threads[GRACE].op.kind == OP_GRACE;
}

clocks port_grace_order(void)
{
    return deferred[next_due()].order;
}

static struct deferred take_due(void)
{
    unsigned i = next_due();
    struct deferred entry = deferred[i];

    deferred_count--;
    for (; i < deferred_count; i++)
        deferred[i] = deferred[i + 1];
    return entry;
}

/* Its first event is chosen before it runs, like everybody's. */
void port_grace_body(unsigned thread)
{
    for (;;) {
        struct deferred entry = take_due();

        threads[thread].sync = clocks_join(threads[thread].sync, entry.sync);
        entry.what->fn(entry.what);
        point(OP_GRACE, ACCESS_NONE, NULL, 0, NULL);
    }
}

void port_idle(void)
{
    while (deferred_count) {
        struct deferred entry = take_due();

        entry.what->fn(entry.what);
    }
}

void port_settle(void)
{
    if (!scheduled()) {
        port_idle();
        return;
    }
    if (threads[search.self].reading)
        explore_fail("waits for readers inside a read-side section");
    point(OP_SETTLE, ACCESS_NONE, NULL, 0, HERE);
    threads[search.self].sync = clocks_join(threads[search.self].sync, threads[GRACE].sync);
}

/* ---- fences ---- */

/* No event: it changes nothing that others see. */
void port_fence_light(void)
{
    if (scheduled())
        buffer_seal(search.self);
}

void port_fence_heavy(void)
{
    if (!scheduled())
        return;
    point(OP_FENCE_ALL, ACCESS_NONE, NULL, 0, HERE);
    buffer_empty_all();
}

/* ---- time ---- */

uint64_t port_now_ns(void)
{
    if (scheduled())
        point(OP_NOW, ACCESS_READ, NULL, 8, HERE);
    return search.now_ns;
}

void port_sleep_ns(uint64_t ns)
{
    if (scheduled())
        point_until(OP_SLEEP, NULL, search.now_ns + ns, HERE);
    else
        search.now_ns += ns;
}

void port_relax(unsigned attempt)
{
    if (scheduled())
        point(OP_RELAX, ACCESS_NONE, NULL, 0, HERE);
    else if (attempt > 100)
        explore_fail("waits for somebody who is not there");
}
