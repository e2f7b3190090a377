/* SPDX-License-Identifier: MIT */
/*
 * What a guest's VMM has mapped of BARs, in a test; and a spy between the core and the simulator.
 *
 *     static struct guest_maps maps;
 *     const struct berth_view_config config = {.ops = &guest_maps_ops, .context = &maps};
 */
#ifndef BERTH_TESTS_GUEST_MAPS_H
#define BERTH_TESTS_GUEST_MAPS_H

#include <berth/vpci.h>

#include "tests/unit/rig.h"

#define GUEST_MAPS_MAX 1024

struct guest_maps {
    struct berth_piece piece[GUEST_MAPS_MAX]; /* that are mapped now */
    unsigned count;
    unsigned maps, unmaps;         /* calls that did something */
    unsigned fail_map, fail_unmap; /* the nth call from now on fails, 0: none */
    bool fail_for_ever;            /* and all calls after it */
};

/** A piece is mapped once, over no other one, and unmapped as it was mapped: else the test fails.
 */
extern const struct berth_view_ops guest_maps_ops;

/** What the guest reaches at a guest's page: the host's address, 0: nothing is mapped there. */
uint64_t guest_maps_at(const struct guest_maps *maps, uint64_t guest);
/** How many bytes of a BAR are mapped. */
uint64_t guest_maps_bytes(const struct guest_maps *maps, const struct pcidev *dev, unsigned bar);

/* ---- the spy ---- */

struct spy {
    unsigned bar_writes; /* to the hardware's BARs */
    unsigned writes, reads;
    uint16_t errors; /* error bits that every status register shows; ones that are written clear */
    uint16_t command_written, status_written; /* ones that were written, collected */
    void (*hook)(void);                       /* called at every write, before it happens */
};

extern struct spy spy;

/** For rig_up(): the simulator's config space behind the spy. */
void spy_configure(struct berth_machine_config *config);
void spy_clear(void);

#endif
