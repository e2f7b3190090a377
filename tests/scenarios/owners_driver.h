/* SPDX-License-Identifier: MIT */
/*
 * A guest's driver of an endpoint of machines.h, BAR 0 of which has an MSI-X table: several of them
 * may run at once, in several guests.
 */
#ifndef BERTH_TESTS_OWNERS_DRIVER_H
#define BERTH_TESTS_OWNERS_DRIVER_H

#include "tests/unit/rig.h"

#define DRIVER_TABLE 0x2000u /* in BAR 0 */
#define DRIVER_MESSAGE 0xfee00000u

struct driver {
    struct rig *rig;
    struct berth_domain *guest;
    struct sbdf host, at; /* the host's address, and the guest's */
    uint64_t bar;         /* where the guest has BAR 0 */
    unsigned cap;         /* MSI-X, in the guest's list */
};

/** Lends the device, places its BAR, turns decode and bus mastering on. */
void driver_up(struct driver *d, struct rig *rig, struct berth_domain *guest, struct sbdf host,
               uint64_t bar);
/** The same for one that its guest has already. */
void driver_start(struct driver *d, struct rig *rig, struct berth_domain *guest, struct sbdf host,
                  uint64_t bar);

uint32_t driver_get(const struct driver *d, unsigned reg, unsigned length);
void driver_put(const struct driver *d, unsigned reg, unsigned length, uint32_t value);
/** Four or eight bytes of BAR 0. */
void driver_poke(const struct driver *d, uint64_t offset, unsigned length, uint64_t value);

/** Messages for @count vectors, none of them masked; and MSI-X on. */
void driver_vectors(const struct driver *d, unsigned count);
void driver_mask(const struct driver *d, unsigned vector, bool masked);
void driver_msix(const struct driver *d, bool on);

/** What the simulator says of an interrupt. */
enum sim_irq_result driver_raise(const struct driver *d, unsigned vector);

#endif
