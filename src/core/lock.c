/* SPDX-License-Identifier: MIT */
#include "src/core/lock.h"

#include "src/core/access.h"

/*
 * Debug builds keep a count of held locks per rank in the thread's record and stop at once where
 * the order is broken: the stack that is about to deadlock is the best report there is.
 */
static void order_check(const struct lock *lock)
{
#if BERTH_CHECKS
    const struct access_record *record = port_record();
    bool several = lock->rank == LOCK_TURN || lock->rank == LOCK_DEVICE;
    unsigned first = several ? lock->rank + 1 : lock->rank;

    for (unsigned rank = first; rank < LOCK_RANKS; rank++)
        if (record->held[rank])
            __builtin_trap();
#else
    (void)lock;
#endif
}

static void order_note(const struct lock *lock, int change)
{
#if BERTH_CHECKS
    struct access_record *record = port_record();

    record->held[lock->rank] = (uint16_t)(record->held[lock->rank] + change);
#else
    (void)lock;
    (void)change;
#endif
}

void lock_init(struct lock *lock, enum lock_rank rank)
{
    port_mutex_init(&lock->mutex);
    lock->rank = rank;
}

void lock_destroy(struct lock *lock)
{
    port_mutex_destroy(&lock->mutex);
}

#if BERTH_CHECKS
void lock_held(const struct lock *lock)
{
    const struct access_record *record = port_record();

    if (!record->held[lock->rank])
        __builtin_trap();
}
#endif

/* From here on a lock is made of the port's mutex, of which the analysis knows nothing. */

void lock_take(struct lock *lock) LOCKING_UNSEEN
{
    order_check(lock);
    port_mutex_lock(&lock->mutex);
    order_note(lock, 1);
}

bool lock_take_until(struct lock *lock, uint64_t deadline_ns) LOCKING_UNSEEN
{
    order_check(lock);
    if (!port_mutex_lock_until(&lock->mutex, deadline_ns))
        return false;
    order_note(lock, 1);
    return true;
}

void lock_drop(struct lock *lock) LOCKING_UNSEEN
{
    order_note(lock, -1);
    port_mutex_unlock(&lock->mutex);
}
