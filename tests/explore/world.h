/* SPDX-License-Identifier: MIT */
/*
 * The small machine of the scenarios: a few functions on a root bus, an IOMMU and an interrupt
 * remapping table that are arrays, two guests. Everything in it is put back for each schedule. It
 * judges for itself: a touch after the release, a stale claim, a space that is freed under a
 * context, an interrupt of a later life are failures wherever they happen.
 */
#ifndef TESTS_EXPLORE_WORLD_H
#define TESTS_EXPLORE_WORLD_H

#include <berth/pcidev.h>
#include <berth/vpci.h>

#include "tests/explore/explore.h"

#define WORLD_FUNCTIONS 3u
#define WORLD_GUESTS 2u
#define WORLD_SPACES 24u
#define WORLD_VECTORS 8u
#define WORLD_BAR_BYTES 256u

struct world_function {
    struct sbdf sbdf;
    uint64_t claim; /* 0: nobody's */
    uint64_t claims;
    bool gone;   /* a removal said that it is done: no touch may follow */
    bool absent; /* reads all ones */
    uint16_t has_flr;
    uint64_t bar_address, bar_size;
    uint8_t config[4096];
    uint8_t bar[WORLD_BAR_BYTES]; /* where the MSI-X table is */
};

struct world_space {
    bool live;
    uint32_t id;
    enum berth_space_kind kind;
};

/** What a requester id points to, and what may still be cached of before. */
struct world_context {
    struct sbdf rid;
    struct world_space *space;
    bool used, cached[WORLD_SPACES];
};

struct world_vector {
    struct berth_irq irq;
    bool bound;
};

enum world_kind {
    WORLD_PLAIN, /* endpoints of the root complex: function 0 has FLR, the others no reset */
    WORLD_PORT,  /* a root port, and an endpoint behind it */
    WORLD_PF,    /* a PF, and its first VF */
};

struct world {
    enum world_kind kind; /* set by a scenario before world_make(), as is .one_group */
    bool one_group;       /* the IOMMU cannot keep the functions apart */
    struct berth_machine *machine;
    struct berth_domain *hwdom, *guest[WORLD_GUESTS];
    struct sbdf seat[WORLD_FUNCTIONS]; /* where a guest has it */
    struct world_function function[WORLD_FUNCTIONS];
    unsigned functions;
    struct world_space space[WORLD_SPACES];
    struct world_context context[WORLD_FUNCTIONS];
    struct world_vector vector[WORLD_VECTORS];
    unsigned mapped, asked, crashed, injected, withdrawn;
    uint64_t mapped_by; /* of which object: the last one */
    int result[EXPLORE_ACTORS];
    uint64_t value[EXPLORE_ACTORS];
    struct pcidev *dev[EXPLORE_ACTORS]; /* references that an actor begins with */
    struct berth_vcpu vcpu;
    bool leaks; /* references are left on purpose: the machine is not destroyed at the end */
};

/* ---- set-up ---- */

/** A machine with its first @functions added, all of them the hardware domain's. */
void world_make(struct world *world, unsigned functions);
void world_add_guest(struct world *world, unsigned guest);
void world_lend(struct world *world, unsigned function, unsigned guest);
/** As a driver leaves it: BAR 0 mapped, bus mastering on, vector 0 of MSI-X bound. */
void world_drive(struct world *world, unsigned function, unsigned guest);
/** A counted reference for an actor. */
void world_hold(struct world *world, unsigned actor, unsigned function);

/* ---- for actors ---- */

struct sbdf world_at(unsigned function);
struct pcidev *world_find(struct world *world, unsigned function);
void world_put(struct pcidev *dev);
/** Removal has returned 0: from here on nobody touches it, and nobody finds it. */
void world_gone(struct world *world, unsigned function);
/** The interrupt that is bound to a vector fires; what berth_machine_interrupt() said. */
int world_fire(struct world *world, unsigned vector);
extern const struct berth_request world_patient;

/** Where a capability is, 0: nowhere. */
unsigned world_cap(const struct world *world, unsigned function, uint8_t id);

/* ---- judging ---- */

bool world_has(struct world *world, unsigned function);
struct pcidev_info world_info(struct world *world, unsigned function);
unsigned world_vectors_bound(const struct world *world);
/** Everything that holds after each schedule, whatever the scenario. */
void world_judge(struct world *world);
struct world *world_of_schedule(void);
void world_begin(const struct explore_scenario *scenario);

#define WORLD_COMMAND 4u
#define WORLD_BAR_AT UINT64_C(0x4000000000)
#define WORLD_ID 0x00101b36u
/* What the guest's vector 0 sends. */
#define WORLD_MESSAGE_AT UINT64_C(0xfee00000)
#define WORLD_MESSAGE 0x41u

#endif
