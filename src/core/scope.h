/* SPDX-License-Identifier: MIT */
/*
 * The scope of a bus reset: every function behind the bridge above.
 *
 * A reset of the bus hits the neighbours too. They must have no user (quarantine), or for an
 * explicit reset the same owner; for as long as it takes nobody may be inside them, start a
 * transition on them, or add another one.
 */
#ifndef CORE_SCOPE_H
#define CORE_SCOPE_H

#include "src/core/transition.h"

#define SCOPE_MAX 32

struct scope_member {
    struct pcidev *dev;
    struct registers saved;
    struct map_spare fallback; /* so that one that is lost gets into the quarantine's set */
    bool gone;                 /* removed before its turn came: not in the scope any more */
    bool mate;                 /* goes to the same owner in this very transaction, which holds it */
};

struct scope {
    struct pcidev *bridge;
    struct scope_member *members; /* the neighbours, in the order of addresses */
    unsigned count;
};

/**
 * Takes the scope of a reset of t->dev: locks and gates closed, registers saved.
 * Returns 0; -ENOTTY (no bridge above, or too many functions); -EBUSY (a neighbour is somebody
 * else's: BERTH_REASON_RESET_SCOPE, -ENOTTY where the transition can do without a reset);
 * -ETIMEDOUT (one is in another transition, or somebody is inside; -ENOTTY where the transition can
 * do without). On failure nothing is held.
 */
int scope_take(struct transition *t, struct scope *scope) REQUIRES(t->dev->lock);

/**
 * Waits for the neighbours, restores their registers, opens and unlocks them. One that does not
 * come back is broken and blocked, which is no error of the device that was reset; a mate that does
 * not come back is one. Returns @error, or that.
 */
int scope_drop(struct transition *t, struct scope *scope, int error) REQUIRES(t->dev->lock);

#endif
