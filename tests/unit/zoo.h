/* SPDX-License-Identifier: MIT */
/*
 * A guest with devices that have all kinds of BARs, for the tests of BARs and trapped accesses.
 */
#ifndef BERTH_TESTS_ZOO_H
#define BERTH_TESTS_ZOO_H

#include "tests/unit/guest_maps.h"

#define COMMAND 4u
#define COMMAND_IO 1u
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u
#define BAR(index) (0x10u + 4 * (index))
#define ROM 0x30u
#define ROM_ENABLE 1u

#define KIB UINT64_C(0x400)
#define MIB UINT64_C(0x100000)

#define ZOO_PIECE MIB
#define ZOO_PIECES 6u /* of zoo_big */

/*
 * zoo_big:   BAR 0 16 KiB, 64 bits, prefetchable, MSI-X in its last two pages; BAR 2 64 KiB; BAR 3
 *            32 ports; BAR 4 4 MiB, 64 bits; a ROM of 64 KiB
 * zoo_small: BAR 0 as above; BAR 2 4 KiB; BAR 3 8 KiB; BAR 4 2 KiB; BAR 5 256 bytes
 */
extern const struct sbdf zoo_big, zoo_small;

struct zoo {
    struct rig rig;
    struct guest_maps maps;
    struct berth_domain *guest;
};

/** For cmocka: a machine with a guest that has both; what is mapped is recorded in zoo.maps. */
extern struct zoo zoo;
int zoo_setup(void **state);
int zoo_teardown(void **state);

/** A guest with such a view, without devices. */
struct berth_domain *zoo_guest(const char *name, struct guest_maps *maps,
                               const struct berth_window *windows, uint32_t window_count);

/** The guest's accesses to config space, at the host's address of a device. */
uint64_t zoo_get(struct sbdf sbdf, unsigned reg, unsigned length);
void zoo_put(struct sbdf sbdf, unsigned reg, unsigned length, uint64_t value);

/** Writes the BARs of zoo_big, or zoo_small, at addresses of their own. */
void zoo_place(struct sbdf sbdf);
#define ZOO_BIG_BAR0 UINT64_C(0x1000000000)
#define ZOO_BIG_BAR2 UINT64_C(0xc0000000)
#define ZOO_BIG_BAR3 UINT64_C(0x3000)
#define ZOO_BIG_BAR4 UINT64_C(0x2000000000)
#define ZOO_BIG_ROM UINT64_C(0xd0000000)
#define ZOO_SMALL_BAR0 UINT64_C(0x1100000000)
#define ZOO_SMALL_BAR2 UINT64_C(0xc1000000)
#define ZOO_SMALL_BAR3 UINT64_C(0xc1002000)
#define ZOO_SMALL_BAR4 UINT64_C(0xc1004000)
#define ZOO_SMALL_BAR5 UINT64_C(0xc1004800)

/** Command bits on and off, others kept; true where they read so afterwards. */
bool zoo_on(struct sbdf sbdf, uint32_t bits);
bool zoo_off(struct sbdf sbdf, uint32_t bits);

/** Where the host has a BAR. */
uint64_t zoo_host(struct sbdf sbdf, unsigned bar);

/** All of zoo_big that can be mapped is, at the places above; or nothing of it. */
void zoo_expect_big_mapped(void);
void zoo_expect_unmapped(struct sbdf sbdf);

#endif
