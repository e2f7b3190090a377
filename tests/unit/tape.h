/* SPDX-License-Identifier: MIT */
/*
 * A tape between the core and the simulated IOMMU: what was asked in which order, and a hook
 * between every two operations.
 */
#ifndef BERTH_TESTS_TAPE_H
#define BERTH_TESTS_TAPE_H

#include <stdatomic.h>
#include <stdint.h>

#include "host/sim/sim.h"

#define TAPE_ENTRIES 512

struct tape_entry {
    enum sim_op op;
    struct sbdf rid; /* of attach, detach, flush */
    void *space;     /* of flush: the old one */
    int result;
};

struct tape {
    struct sim *sim;
    _Atomic unsigned count; /* goes on counting where the tape is full */
    struct tape_entry entry[TAPE_ENTRIES];

    /** Called before and after every operation; NULL: nobody looks. */
    void (*hook)(void *context);
    void *hook_context;
};

/** The context of these is a struct tape. */
extern const struct berth_iommu_ops tape_iommu_ops;

/** The first entry at or after @from with this operation, or -1. */
int tape_find(const struct tape *tape, int from, enum sim_op op);
unsigned tape_count(const struct tape *tape, enum sim_op op);

#endif
