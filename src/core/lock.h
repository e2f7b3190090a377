/* SPDX-License-Identifier: MIT */
/*
 * Locks and their order (K2). This is the one place where the order is written down.
 *
 * A thread that holds a lock takes only locks of a higher rank:
 *
 *   LOCK_TEARDOWN   one teardown at a time per guest. May be held while sleeping.
 *   LOCK_TURN       one change of owner or reset at a time per isolation group. May be held while
 *                   sleeping. Several at once only to lend what is in several groups together, in
 *                   the order of their numbers.
 *   LOCK_DEVICE     one transition at a time per device. May be held while sleeping. Several at
 *                   once only for the scope of a bus reset, or to lend several together, in the
 *                   order of addresses.
 *   LOCK_VPCI       the view that a guest has of one device: its writes, one at a time. May be
 *                   held while the host and the embedder are called.
 *   LOCK_PORT       a hot-plug port of a guest's virtual bus: its events, one at a time. Held while
 *                   the embedder is told of an interrupt.
 *   LOCK_RID        one requester id's context. Held while the IOMMU is called; shared only
 *                   by devices that share the requester id.
 *   LOCK_REGION     one reserved region of one space. The same.
 *   LOCK_SHARES     what cannot be kept apart: held to link, unlink or count one device.
 *   LOCK_VBUS       a guest's virtual bus: held to link or unlink an entry.
 *   LOCK_DOMAIN     the owner's device set and state: held to link or unlink an entry.
 *   LOCK_DOMAINS    the machine's table of domains: held to link or unlink an entry.
 *   LOCK_REGISTRY   the machine's tables of devices, bridges and requester ids: the same.
 *   LOCK_SPACE      a space's list of reserved regions: the same.
 *   LOCK_TAGS       a device's tags of holders (debug builds): held for a few instructions.
 *
 * Nothing below LOCK_REGION is held while the host, the IOMMU or the embedder is called, or while
 * memory is allocated (K1). The guest's path (access sections, lookups, config accesses) takes
 * none.
 */
#ifndef CORE_LOCK_H
#define CORE_LOCK_H

#include <berth_port.h>

#include "src/core/guarded.h"

/** Debug checks: tags of holders, the order of locks, host calls outside sections. */
#ifndef BERTH_CHECKS
#define BERTH_CHECKS 0
#endif

enum lock_rank {
    LOCK_TEARDOWN,
    LOCK_TURN,
    LOCK_DEVICE,
    LOCK_VPCI,
    LOCK_PORT,
    LOCK_RID,
    LOCK_REGION,
    LOCK_SHARES,
    LOCK_VBUS,
    LOCK_DOMAIN,
    LOCK_DOMAINS,
    LOCK_REGISTRY,
    LOCK_SPACE,
    LOCK_TAGS,
    LOCK_RANKS
};

struct CAPABILITY("lock") lock {
    struct port_mutex mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_destroy(struct lock *lock);
void lock_take(struct lock *lock) ACQUIRES(*lock);
bool lock_take_until(struct lock *lock, uint64_t deadline_ns) ACQUIRES_IF(true, *lock);
void lock_drop(struct lock *lock) RELEASES(*lock);

/** Says that the lock is held, where only the callers' callers show it. Debug builds stop where the
 * thread has none of its rank. */
#if BERTH_CHECKS
void lock_held(const struct lock *lock) ASSERTS(*lock);
#else
static inline void lock_held(const struct lock *lock) ASSERTS(*lock)
{
    (void)lock;
}
#endif

/** Says that nobody else knows yet, or any more, what the lock protects. It does nothing. */
static inline void lock_unshared(const struct lock *lock) ASSERTS(*lock)
{
    (void)lock;
}

#endif
