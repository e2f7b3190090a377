/* SPDX-License-Identifier: MIT */
/*
 * The engine that runs every transition, and the steps that several of them share.
 *
 * A transition is a table of steps. The engine runs them in order; where one fails it undoes those
 * before it in reverse, and where an undo fails as well the device is lost: broken, blocked, in
 * quarantine (R7, O1). A step that fails has put back by itself whatever it had done.
 */
#ifndef CORE_TRANSITION_H
#define CORE_TRANSITION_H

#include "src/core/machine_priv.h"
#include "src/core/registers.h"
#include "src/core/topology.h"

/** The time that a guest has a device for: what it asked for then is not done to the next one (V6).
 */
struct tenancy {
    const struct berth_domain *guest;
    bool exact; /* in .generation only, which resets end as well */
    uint32_t generation;
};

struct transition {
    const char *name;
    struct pcidev *dev;
    struct berth_machine *machine;
    const struct berth_request *request;
    uint64_t deadline_ns;
    struct berth_domain *from; /* the owner when it began, with a reference */
    struct berth_domain *to;   /* the owner-to-be, borrowed; NULL: nobody */
    struct pcidev_section section;
    struct berth_refusal why;
    struct registers saved;
    struct map_spare relink, fallback; /* so that going back needs no memory */
    struct berth_policy policy;        /* as it was when the transition began */
    enum pcidev_remove_mode mode;
    const struct pcidev_add_info *info;
    struct vpci *view;  /* prepared for the owner-to-be */
    struct above above; /* add: the bridges that wait for us */
    unsigned vfs, vfs_before;
    const struct tenancy *tenancy; /* sriov, reset: the guest that asks for it; VFs: that they
                                      are taken from. NULL: the host does */
    bool takes_turn;               /* changes the owner or resets: one of its group at a time */
    bool bus_reset_neighbours;   /* an explicit reset may take neighbours of the same owner along */
    enum pcidev_trouble trouble; /* recover: what was reported */
    bool told;                   /* recover: the owner has heard of it */
    bool unreachable;            /* reset: only ways that do not go through the device itself */
    bool power_on;               /* its view starts anew when it comes back */
    bool had_ats;                /* it was on for the owner when it began */
    bool lost;                   /* an undo failed */
    bool dead;                   /* the device did not come back: broken, but nobody's fault */
};

struct step {
    const char *name;
    int (*run)(struct transition *t);
    int (*undo)(struct transition *t); /* NULL: nothing to undo */
};

/**
 * Takes the device's lock, opens the transition's section, records the owner.
 * Returns 0, -ETIMEDOUT (another transition; its name is in the refusal), -EDEADLK, -ENODEV
 * (removed), -ENOMEM. On failure nothing is held.
 */
int transition_begin(struct transition *t) ACQUIRES_IF(0, t->dev->lock);

/** Runs a table. Returns 0 or the error of the step that failed, with everything undone. */
int transition_run(struct transition *t, const struct step *steps, unsigned count)
    REQUIRES(t->dev->lock);

#define TRANSITION_RUN(t, steps) transition_run(t, steps, sizeof(steps) / sizeof((steps)[0]))

/** The same by single steps, for several devices in one transaction: a step, which fills in the
 * refusal where it fails; the way back of one that was done; and the end of the way back. */
int transition_step(struct transition *t, const struct step *step) REQUIRES(t->dev->lock);
void transition_undo(struct transition *t, const struct step *step) REQUIRES(t->dev->lock);
void transition_undone(struct transition *t) REQUIRES(t->dev->lock);

/** Whether the guest still has the device. Stays so while the device's lock is held. */
bool tenancy_holds(const struct tenancy *tenancy, const struct pcidev *dev);

/** Drops what transition_begin() took; fills in the caller's refusal; returns @error. */
int transition_end(struct transition *t, int error) RELEASES(t->dev->lock);

/** The space that a device uses while @domain owns it; may be NULL. */
struct space *transition_space(const struct transition *t, const struct berth_domain *domain)
    REQUIRES(t->dev->lock);

/* ---- shared steps (steps.c) ---- */

/** Closes the gate and waits for everybody inside (A2, R5); undo opens it. */
int step_revoke(struct transition *t) REQUIRES(t->dev->lock);
int step_reopen(struct transition *t) REQUIRES(t->dev->lock);

/** Opens a gate, and takes bus mastering from a contained device; inside a section. */
void gate_open(struct pcidev *dev) REQUIRES(dev->lock);

/** Takes the guest's view away: mappings, vectors, endpoints (R2, O2). */
int step_withdraw(struct transition *t) REQUIRES(t->dev->lock);
int step_restore_view(struct transition *t) REQUIRES(t->dev->lock);

/**
 * The same for a device that is not the transition's own. *@lost: it is away, and did not come back
 * where that was refused.
 */
int owner_withdraw(struct pcidev *dev, const struct berth_domain *owner, bool *lost)
    REQUIRES(dev->lock);
int owner_restore(struct pcidev *dev, const struct berth_domain *owner) REQUIRES(dev->lock);

/** Saves the registers; bus mastering and MSI off. */
int step_quiesce(struct transition *t) REQUIRES(t->dev->lock);
int step_resume(struct transition *t) REQUIRES(t->dev->lock);

/**
 * O2: decode as the firmware left it, no bus mastering, interrupts off; nothing of what the old
 * owner wrote for its interrupts, or into registers that a guest may write.
 */
int step_clean(struct transition *t) REQUIRES(t->dev->lock);

/** Takes it out of the owner's set. */
int step_unlink(struct transition *t) REQUIRES(t->dev->lock);
int step_relink(struct transition *t) REQUIRES(t->dev->lock);

/** Resets by the first method that works (reset.c). */
int step_reset(struct transition *t) REQUIRES(t->dev->lock);

/** The private space of a device that goes to the quarantine. */
int step_make_space(struct transition *t) REQUIRES(t->dev->lock);
int step_free_space(struct transition *t) REQUIRES(t->dev->lock);

/** Reserved regions: into the new space before the contexts move, out of the old one after (X03).
 */
int step_map_new(struct transition *t) REQUIRES(t->dev->lock);
int step_unmap_new(struct transition *t) REQUIRES(t->dev->lock);
int step_unmap_old(struct transition *t) REQUIRES(t->dev->lock);
int step_map_old(struct transition *t) REQUIRES(t->dev->lock);

/** Contexts of all requester ids. */
int step_move(struct transition *t) REQUIRES(t->dev->lock);
int step_move_back(struct transition *t) REQUIRES(t->dev->lock);

#endif
