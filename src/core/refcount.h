/* SPDX-License-Identifier: MIT */
/*
 * A reference count that saturates (C3, C4).
 *
 * Bits 0-30 count; from REFCOUNT_SATURATED on the count sticks and the object is never freed, which
 * leaks one object instead of freeing one that is in use. Bit 31 says "frozen": a try-get fails,
 * so that strict removal can make sure that no new reference appears (R3).
 *
 * The memory order is the usual one: a put releases what its holder did, the last put acquires it.
 */
#ifndef CORE_REFCOUNT_H
#define CORE_REFCOUNT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define REFCOUNT_FROZEN 0x80000000u
#define REFCOUNT_MASK 0x7fffffffu
#define REFCOUNT_SATURATED 0x40000000u
/** Far from both ends: no number of racing threads gets from here to 0 or into the flag. */
#define REFCOUNT_STUCK 0x60000000u

struct refcount {
    _Atomic uint32_t value;
};

enum refcount_put {
    REFCOUNT_ALIVE,
    REFCOUNT_LAST,      /* the caller frees the object */
    REFCOUNT_UNDERFLOW, /* misuse: there was no reference to drop; the object is kept for ever */
};

static inline void refcount_init(struct refcount *count, uint32_t value)
{
    atomic_init(&count->value, value);
}

static inline uint32_t refcount_read(const struct refcount *count)
{
    return atomic_load_explicit(&count->value, memory_order_relaxed) & REFCOUNT_MASK;
}

/** For a pointer that is protected already. False: misuse, the count is now stuck. */
static inline bool refcount_get(struct refcount *count)
{
    uint32_t old = atomic_fetch_add_explicit(&count->value, 1, memory_order_relaxed);
    uint32_t held = old & REFCOUNT_MASK;

    if (__builtin_expect(held - 1 < REFCOUNT_SATURATED - 1, 1))
        return true;
    atomic_store_explicit(&count->value, REFCOUNT_STUCK, memory_order_relaxed);
    return held >= REFCOUNT_STUCK - REFCOUNT_SATURATED / 4; /* reported when it got stuck */
}

/** For a pointer found in a shared structure: never turns 0 into 1. */
static inline bool refcount_try_get(struct refcount *count)
{
    uint32_t old = atomic_load_explicit(&count->value, memory_order_relaxed);

    do {
        if (!(old & REFCOUNT_MASK) || (old & REFCOUNT_FROZEN))
            return false;
        if (old >= REFCOUNT_SATURATED)
            return true;
    } while (!atomic_compare_exchange_weak_explicit(&count->value, &old, old + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

static inline enum refcount_put refcount_put(struct refcount *count)
{
    uint32_t old = atomic_fetch_sub_explicit(&count->value, 1, memory_order_release);
    uint32_t held = old & REFCOUNT_MASK;

    if (__builtin_expect(held - 2 < REFCOUNT_SATURATED - 2, 1))
        return REFCOUNT_ALIVE;
    if (held == 1) {
        /* pairs with the release of every other put */
        atomic_thread_fence(memory_order_acquire);
        return REFCOUNT_LAST;
    }
    atomic_store_explicit(&count->value, REFCOUNT_STUCK, memory_order_relaxed);
    return held == 0 ? REFCOUNT_UNDERFLOW : REFCOUNT_ALIVE;
}

/** Freezes the count if it is exactly @expected, in one step. */
static inline bool refcount_freeze(struct refcount *count, uint32_t expected)
{
    return atomic_compare_exchange_strong_explicit(&count->value, &expected,
                                                   expected | REFCOUNT_FROZEN, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static inline void refcount_thaw(struct refcount *count)
{
    atomic_fetch_and_explicit(&count->value, REFCOUNT_MASK, memory_order_release);
}

/*
 * A count of dependents that can be closed: once closed no dependent can be added, and it closes
 * only when there is none. A PF counts its VFs with it, a domain the transitions that move devices
 * in.
 */
#define DEPENDENTS_CLOSED 0x80000000u

struct dependents {
    _Atomic uint32_t value;
};

static inline uint32_t dependents_read(const struct dependents *dependents)
{
    return atomic_load_explicit(&dependents->value, memory_order_acquire) & ~DEPENDENTS_CLOSED;
}

static inline bool dependents_add(struct dependents *dependents)
{
    uint32_t old = atomic_load_explicit(&dependents->value, memory_order_relaxed);

    do {
        if (old & DEPENDENTS_CLOSED)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&dependents->value, &old, old + 1,
                                                    memory_order_acquire, memory_order_relaxed));
    return true;
}

static inline void dependents_drop(struct dependents *dependents)
{
    atomic_fetch_sub_explicit(&dependents->value, 1, memory_order_release);
}

/** Closes it when nobody is in it; true also where it was closed before. */
static inline bool dependents_close_if_none(struct dependents *dependents)
{
    uint32_t none = 0;

    return atomic_compare_exchange_strong_explicit(&dependents->value, &none, DEPENDENTS_CLOSED,
                                                   memory_order_acq_rel, memory_order_acquire) ||
           none == DEPENDENTS_CLOSED;
}

/** Lets nobody in any more; those inside leave in their own time. */
static inline void dependents_close(struct dependents *dependents)
{
    atomic_fetch_or_explicit(&dependents->value, DEPENDENTS_CLOSED, memory_order_acq_rel);
}

static inline void dependents_reopen(struct dependents *dependents)
{
    atomic_fetch_and_explicit(&dependents->value, ~DEPENDENTS_CLOSED, memory_order_release);
}

#endif
