/* SPDX-License-Identifier: MIT */
/*
 * A place in config space that people look at: a device of the host, or a slot of a guest's bus.
 */
#ifndef BERTH_CONTROL_PLACE_H
#define BERTH_CONTROL_PLACE_H

#include <berth/vpci.h>

#define PLACE_CONFIG_SIZE 4096u

struct place {
    struct berth_machine *machine;
    struct berth_domain *guest; /* borrowed; NULL: the host */
    struct sbdf at;             /* the host's address, or the guest's */
};

/** All ones of @length bytes. */
uint64_t place_ones(unsigned length);

/**
 * An access as the guest would do it; to the host's device as its owner where that is the hardware
 * domain, and past the owner where it is lent. @length: 1, 2, 4 or 8, aligned or not. Reads give
 * all ones and writes are dropped where nothing answers.
 */
uint64_t place_read(const struct place *place, unsigned reg, unsigned length);
void place_write(const struct place *place, unsigned reg, unsigned length, uint64_t value);

/** Where a capability of the list is (PCI 3.0, 6.7), or 0. */
unsigned place_capability(const struct place *place, unsigned id);

/** How many bytes of it are worth showing: 256, or 4096 with PCIe or with anything behind 256. */
unsigned place_size(const struct place *place);

#endif
