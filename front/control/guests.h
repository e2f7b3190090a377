/* SPDX-License-Identifier: MIT */
/*
 * Guests of the simulated machine: no VMM is behind them, so they get the buses and the room for
 * BARs that a PC has.
 */
#ifndef BERTH_CONTROL_GUESTS_H
#define BERTH_CONTROL_GUESTS_H

#include <jansson.h>

#include <berth/pcidev.h>
#include <berth/vpci.h>

struct service;
struct place;

/** Where BARs may be placed: below 4 GiB, above 1 TiB, and of the I/O ports. */
#define GUEST_WINDOWS 3
#define GUEST_MEMORY_START UINT64_C(0xc0000000)
#define GUEST_MEMORY_LENGTH UINT64_C(0x3ec00000)
#define GUEST_WIDE_START (UINT64_C(1) << 40)
#define GUEST_WIDE_LENGTH (UINT64_C(1) << 40)
#define GUEST_PORT_START UINT64_C(0x1000)
#define GUEST_PORT_LENGTH UINT64_C(0xf000)
extern const struct berth_window guest_windows[GUEST_WINDOWS];

/**
 * Creates a guest with a virtual bus.
 * @buses  0: as the core has it
 * Returns 0 with a reference, or as berth_domain_create() and berth_domain_set_view().
 */
int guest_create(struct service *service, const char *name, unsigned ports, unsigned buses,
                 struct berth_domain **domain) __attribute__((warn_unused_result));

/** A BAR as a guest has programmed it. */
struct guest_bar {
    uint64_t address;
    bool io, wide, prefetchable, decoded;
};

/** BAR @index (0 to 6) of the device at a guest's address. */
struct guest_bar guest_bar(const struct place *place, unsigned index);

/** What the owner of @dev, a guest, sees of it; NULL where there is none, or no memory. */
json_t *shape_guest(struct service *service, struct pcidev *dev);

#endif
