/* SPDX-License-Identifier: MIT */
/*
 * Access sections (A1-A4): how the guest's path and removal see one another.
 *
 * Each thread has a record with a few slots, on cache lines of its own. Opening a section writes
 * the device into a slot and then looks at the device's gate; removal closes the gate and then
 * looks at all slots. The two fences pair, so at least one of them sees the other:
 *
 *     enter                               removal
 *     slot = device                       gate |= GATE_TRANSITION
 *     port_fence_light()                  port_fence_heavy()
 *     gate closed?  yes: slot = NULL      a slot of the device?  yes: wait for it
 *
 * Nothing that is written on the left is ever read by another guest's path (A3), whoever waits on
 * the right waits for sections of this one device only (K1), and knows their tags (R5).
 */
#ifndef CORE_ACCESS_H
#define CORE_ACCESS_H

#include <berth/pcidev.h>
#include <berth_port.h>

#include "src/core/lock.h"

/** Bits of pcidev.gate; 0: open to everybody. */
#define GATE_TRANSITION 1u   /* closed to all but the transition that holds the device's lock */
#define GATE_SHUT 2u         /* removed: closed to everybody, for ever */
#define GATE_DISCONNECTED 4u /* A4 */

/** One more than callers may use: a transition finds a slot even in a careless thread. */
#define ACCESS_SLOTS (PCIDEV_SECTIONS_MAX + 1)

struct access_slot {
    _Atomic(const struct pcidev *) dev;
    _Atomic(const char *) tag;
};

struct access_record {
    struct access_slot slot[ACCESS_SLOTS]; /* written by its own thread, read by removals */
    uint16_t held[LOCK_RANKS];
};

_Static_assert(sizeof(struct access_record) <= PORT_RECORD_SIZE, "the port's record is too small");

/**
 * Opens a section unless one of @blocked is set in the gate, or @owner (unless NULL) does not own
 * the device: an owner can only change while nobody is inside.
 */
bool access_open(struct pcidev *dev, uint32_t blocked, const struct berth_domain *owner,
                 const char *tag, struct pcidev_section *section);
void access_close(struct pcidev_section *section);

/** Whether the calling thread has a section of @dev open (other than @except, unless NULL). */
bool access_inside(const struct pcidev *dev, const struct pcidev_section *except);

/**
 * Waits until no section of @dev is open but @own. The gate must be closed before.
 * Returns 0, -ETIMEDOUT with the holders in @why (R5), -EDEADLK where the caller itself is inside.
 */
int access_drain(const struct pcidev *dev, const struct pcidev_section *own, uint64_t deadline_ns,
                 struct berth_refusal *why);

/**
 * Says what a section is used for from here on, so that access_drain_tagged() sees it: whoever
 * looks at something behind this call, and finds it as it has to be, is waited for by those who
 * change it first and call access_drain_tagged() then.
 */
void access_retag(const struct pcidev_section *section, const char *tag);

/** Waits until no section of @dev with this tag (the pointer) is open. 0 or -ETIMEDOUT. */
int access_drain_tagged(const struct pcidev *dev, const char *tag, uint64_t deadline_ns);

/** Adds the tags of open sections to a list of holders; returns the new number of entries. */
unsigned access_holders(const struct pcidev *dev, const struct pcidev_section *except,
                        struct berth_holder *list, unsigned count, unsigned max);

#endif
