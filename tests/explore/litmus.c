/* SPDX-License-Identifier: MIT */
/*
 * The patterns that the lock-free paths are made of, each as small as it can be, and each once
 * more with its protection left out: the search has to find that one. So this is also the test of
 * the explorer itself. Compiled like the core, with hooks around each access.
 */
#include <berth_port.h>

#include "src/core/lock.h"
#include "src/core/refcount.h"
#include "tests/explore/scenarios_all.h"

struct litmus {
    _Atomic uint32_t x, y;
    uint32_t data, seen[2];
    struct lock first, second;
    struct refcount refs;
    _Atomic(struct cargo *) cargo;
};

struct cargo {
    struct port_deferred deferred;
    uint32_t value;
};

static struct litmus *litmus;

static void setup(struct world *world)
{
    (void)world;
    litmus = explore_memory(sizeof(*litmus));
    lock_init(&litmus->first, LOCK_VPCI);
    lock_init(&litmus->second, LOCK_RID);
    refcount_init(&litmus->refs, 1);
    atomic_init(&litmus->cargo, (struct cargo *)explore_memory(sizeof(struct cargo)));
}

static void no_check(struct world *world)
{
    (void)world;
}

/* ---- store buffering: sections against drains, pending against masks ---- */

static void left_bare(struct world *world)
{
    (void)world;
    atomic_store_explicit(&litmus->x, 1, memory_order_relaxed);
    litmus->seen[0] = atomic_load_explicit(&litmus->y, memory_order_acquire);
}

static void right_bare(struct world *world)
{
    (void)world;
    atomic_store_explicit(&litmus->y, 1, memory_order_release);
    litmus->seen[1] = atomic_load_explicit(&litmus->x, memory_order_acquire);
}

static void left_light(struct world *world)
{
    (void)world;
    atomic_store_explicit(&litmus->x, 1, memory_order_relaxed);
    port_fence_light();
    litmus->seen[0] = atomic_load_explicit(&litmus->y, memory_order_acquire);
}

static void right_heavy(struct world *world)
{
    (void)world;
    atomic_store_explicit(&litmus->y, 1, memory_order_relaxed);
    port_fence_heavy();
    litmus->seen[1] = atomic_load_explicit(&litmus->x, memory_order_acquire);
}

static void left_fenced(struct world *world)
{
    (void)world;
    atomic_store_explicit(&litmus->x, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    litmus->seen[0] = atomic_load_explicit(&litmus->y, memory_order_relaxed);
}

static void right_fenced(struct world *world)
{
    (void)world;
    atomic_store_explicit(&litmus->y, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    litmus->seen[1] = atomic_load_explicit(&litmus->x, memory_order_relaxed);
}

static void one_saw_the_other(struct world *world)
{
    (void)world;
    expect(litmus->seen[0] || litmus->seen[1]);
}

const struct explore_scenario litmus_buffering = {
    .name = "litmus-store-buffering",
    .shows = "A2: without fences both sides miss one another (has to be found)",
    .setup = setup,
    .actor = {{"left", left_bare}, {"right", right_bare}},
    .check = one_saw_the_other,
    .buffers = true,
    .fails = "not so",
};

const struct explore_scenario litmus_light = {
    .name = "litmus-light-alone",
    .shows = "A2: two light fences are none (has to be found)",
    .setup = setup,
    .actor = {{"left", left_light}, {"right", right_bare}},
    .check = one_saw_the_other,
    .buffers = true,
    .fails = "not so",
};

const struct explore_scenario litmus_asymmetric = {
    .name = "litmus-light-heavy",
    .shows = "A2: a light fence and a heavy one: one side sees the other",
    .setup = setup,
    .actor = {{"left", left_light}, {"right", right_heavy}},
    .check = one_saw_the_other,
    .buffers = true,
};

const struct explore_scenario litmus_heavy = {
    .name = "litmus-heavy-alone",
    .shows = "A2: a heavy fence without a light one: the store may come late (has to be found)",
    .setup = setup,
    .actor = {{"left", left_bare}, {"right", right_heavy}},
    .check = one_saw_the_other,
    .buffers = true,
    .fails = "not so",
};

const struct explore_scenario litmus_fenced = {
    .name = "litmus-full-fences",
    .shows = "F110: two full fences: one side sees the other",
    .setup = setup,
    .actor = {{"left", left_fenced}, {"right", right_fenced}},
    .check = one_saw_the_other,
    .buffers = true,
};

/* ---- message passing: publication of objects and views ---- */

static void publish(struct world *world)
{
    (void)world;
    litmus->data = 42;
    atomic_store_explicit(&litmus->x, 1, memory_order_release);
}

static void publish_relaxed(struct world *world)
{
    (void)world;
    litmus->data = 42;
    atomic_store_explicit(&litmus->x, 1, memory_order_relaxed);
}

static void receive(struct world *world)
{
    (void)world;
    if (atomic_load_explicit(&litmus->x, memory_order_acquire))
        expect(litmus->data == 42);
}

const struct explore_scenario litmus_message = {
    .name = "litmus-message",
    .shows = "V3: what is published with release is whole for who acquires it",
    .setup = setup,
    .actor = {{"writer", publish}, {"reader", receive}},
    .check = no_check,
};

const struct explore_scenario litmus_message_relaxed = {
    .name = "litmus-message-relaxed",
    .shows = "V3: published without release it is not (has to be found)",
    .setup = setup,
    .actor = {{"writer", publish_relaxed}, {"reader", receive}},
    .check = no_check,
    .fails = "nothing orders it",
};

/* ---- counts ---- */

static void count(struct world *world)
{
    (void)world;
    atomic_fetch_add_explicit(&litmus->x, 1, memory_order_relaxed);
}

static void count_in_two(struct world *world)
{
    uint32_t value = atomic_load_explicit(&litmus->x, memory_order_relaxed);

    (void)world;
    atomic_store_explicit(&litmus->x, value + 1, memory_order_relaxed);
}

static void three_were_counted(struct world *world)
{
    (void)world;
    expect(atomic_load(&litmus->x) == 3);
}

const struct explore_scenario litmus_count = {
    .name = "litmus-count",
    .shows = "C4: three threads count in one step each",
    .setup = setup,
    .actor = {{"a", count}, {"b", count}, {"c", count}},
    .check = three_were_counted,
};

const struct explore_scenario litmus_lost_update = {
    .name = "litmus-lost-update",
    .shows = "C4: counting in two steps loses one (has to be found)",
    .setup = setup,
    .actor = {{"a", count_in_two}, {"b", count_in_two}, {"c", count}},
    .check = three_were_counted,
    .fails = "not so",
};

/* ---- locks ---- */

static void first_second(struct world *world)
{
    (void)world;
    lock_take(&litmus->first);
    lock_take(&litmus->second);
    litmus->data++;
    lock_drop(&litmus->second);
    lock_drop(&litmus->first);
}

static void second_first(struct world *world)
{
    (void)world;
    port_mutex_lock(&litmus->second.mutex);
    port_mutex_lock(&litmus->first.mutex);
    port_mutex_unlock(&litmus->first.mutex);
    port_mutex_unlock(&litmus->second.mutex);
}

static void forget_to_drop(struct world *world)
{
    (void)world;
    lock_take(&litmus->first);
}

const struct explore_scenario litmus_locks = {
    .name = "litmus-locks",
    .shows = "K2: two locks in their order",
    .setup = setup,
    .actor = {{"a", first_second}, {"b", first_second}},
    .check = no_check,
};

const struct explore_scenario litmus_order = {
    .name = "litmus-lock-order",
    .shows = "K2: two locks the other way round (has to be found)",
    .setup = setup,
    .actor = {{"a", first_second}, {"b", second_first}},
    .check = no_check,
    .fails = "takes a lock of rank",
};

const struct explore_scenario litmus_deadlock = {
    .name = "litmus-deadlock",
    .shows = "K2: a lock that is never dropped (has to be found)",
    .setup = setup,
    .actor = {{"a", forget_to_drop}, {"b", first_second}},
    .check = no_check,
    .fails = "nobody can go on",
};

/* ---- waiting ---- */

static void wait_for_x(struct world *world)
{
    (void)world;
    for (unsigned attempt = 0; !atomic_load_explicit(&litmus->x, memory_order_acquire); attempt++)
        port_relax(attempt);
    expect(litmus->data == 42);
}

static void wake_nobody(struct world *world)
{
    (void)world;
    if (!atomic_load(&litmus->y))
        return;
    publish(world);
}

const struct explore_scenario litmus_wait = {
    .name = "litmus-wait",
    .shows = "A2: who waits for a change sees it",
    .setup = setup,
    .actor = {{"writer", publish}, {"waiter", wait_for_x}},
    .check = no_check,
};

const struct explore_scenario litmus_no_wake = {
    .name = "litmus-lost-wake-up",
    .shows = "K1: a change that never comes (has to be found)",
    .setup = setup,
    .actor = {{"writer", wake_nobody}, {"waiter", wait_for_x}},
    .check = no_check,
    .fails = "nobody can go on",
};

/* ---- memory ---- */

static void cargo_free(struct port_deferred *deferred)
{
    port_free(deferred);
}

static void read_cargo(struct world *world)
{
    struct cargo *cargo;

    (void)world;
    port_read_lock();
    cargo = atomic_load_explicit(&litmus->cargo, memory_order_acquire);
    if (cargo)
        expect(cargo->value == 0);
    port_read_unlock();
}

static void retire(struct world *world)
{
    struct cargo *cargo = atomic_load(&litmus->cargo);

    (void)world;
    atomic_store_explicit(&litmus->cargo, NULL, memory_order_release);
    port_defer(&cargo->deferred, cargo_free);
}

static void retire_too_early(struct world *world)
{
    struct cargo *cargo = atomic_load(&litmus->cargo);

    (void)world;
    port_defer(&cargo->deferred, cargo_free);
    atomic_store_explicit(&litmus->cargo, NULL, memory_order_release);
}

static void free_at_once(struct world *world)
{
    struct cargo *cargo = atomic_exchange(&litmus->cargo, NULL);

    (void)world;
    port_free(cargo);
}

const struct explore_scenario litmus_retire = {
    .name = "litmus-retire",
    .shows = "V3: unpublish, then defer the free",
    .setup = setup,
    .actor = {{"reader", read_cargo}, {"writer", retire}},
    .check = no_check,
};

const struct explore_scenario litmus_retire_early = {
    .name = "litmus-retire-early",
    .shows = "V3: defer the free, then unpublish (has to be found)",
    .setup = setup,
    .actor = {{"reader", read_cargo}, {"writer", retire_too_early}},
    .check = no_check,
    .fails = "freed memory|a free",
};

const struct explore_scenario litmus_free = {
    .name = "litmus-free-at-once",
    .shows = "V3: free without waiting for readers (has to be found)",
    .setup = setup,
    .actor = {{"reader", read_cargo}, {"writer", free_at_once}},
    .check = no_check,
    .fails = "freed memory|a free",
};

/* ---- references ---- */

static void try_get(struct world *world)
{
    (void)world;
    if (refcount_try_get(&litmus->refs) && refcount_put(&litmus->refs) == REFCOUNT_LAST)
        litmus->seen[0]++;
}

static void put(struct world *world)
{
    (void)world;
    if (refcount_put(&litmus->refs) == REFCOUNT_LAST)
        litmus->seen[1]++;
}

static void exactly_one_was_last(struct world *world)
{
    (void)world;
    expect(litmus->seen[0] + litmus->seen[1] == 1);
}

const struct explore_scenario litmus_last_put = {
    .name = "litmus-last-put",
    .shows = "C1 C3: exactly one put is the last, and no try-get comes after it",
    .setup = setup,
    .actor = {{"a", try_get}, {"b", put}},
    .check = exactly_one_was_last,
};

static void get_anyway(struct world *world)
{
    (void)world;
    atomic_fetch_add(&litmus->refs.value, 1);
    if (refcount_put(&litmus->refs) == REFCOUNT_LAST)
        litmus->seen[0]++;
}

const struct explore_scenario litmus_get = {
    .name = "litmus-get-anyway",
    .shows = "C3: a get that turns 0 into 1 (has to be found)",
    .setup = setup,
    .actor = {{"a", get_anyway}, {"b", put}},
    .check = exactly_one_was_last,
    .fails = "not so",
};
