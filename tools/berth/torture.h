/* SPDX-License-Identifier: MIT */
/*
 * `berth torture`: operations chosen by chance, from several threads, on the same devices.
 *
 * Nobody knows who owns what here, so the checks are promises that hold whatever the others do:
 * what was removed stays shut and is never found again; a guest that was never given anything sees
 * nothing; a device's DMA goes where its owner is for as long as a section keeps its owner.
 */
#ifndef BERTH_TOOL_TORTURE_H
#define BERTH_TOOL_TORTURE_H

#include <berth/pcidev.h>

#include "tools/berth/run.h"

#define TORTURE_GUESTS 3
#define TORTURE_HANDLES 8
#define TORTURE_OPS_MAX 40

struct torture;

struct torture_tally {
    _Atomic uint64_t done, refused;
    uint64_t longest_ns;
};

/** One thread. */
struct torturer {
    struct torture *torture;
    struct worker *worker;
    struct chance chance;
    struct pcidev *handles[TORTURE_HANDLES];
    struct torture_tally tally[TORTURE_OPS_MAX];
};

/** An operation. Returns what it was answered, which is counted; the checks are its own. */
struct torture_op {
    const char *name;
    int (*run)(struct torturer *t);
    unsigned weight;
    bool failing; /* with --fail only */
};

struct torture {
    struct run_options options;
    struct run_machine machine;
    struct run_flaws flaws;
    struct berth_domain *stranger; /* never gets a device */
    _Atomic bool *asked;           /* R4: per function of the capture */
    _Atomic uint64_t removals, accesses, dice;
    _Atomic bool failing; /* from now on callbacks and operations fail by chance */
    _Atomic bool stop;
    struct torturer *torturers;
    struct worker *workers; /* one per torturer, and a last one for the end */
};

/** The tables; both end with an operation without a name. */
extern const struct torture_op torture_transitions[];
extern const struct torture_op torture_probes[];

/* ---- choices ---- */

/** Who holds the references that are handed out here. */
extern const char torture_tag[];

static inline uint32_t torture_chance(struct torturer *t, uint32_t limit)
{
    return chance_below(&t->chance, limit);
}

/** A function of the capture. */
struct sbdf torture_place(struct torturer *t);

/** A device that is present, with a reference, or NULL. */
struct pcidev *torture_device(struct torturer *t);

/** A guest, with a reference, or NULL. */
struct berth_domain *torture_guest(struct torturer *t);
const char *torture_guest_name(unsigned index);

/* ---- judging what was answered ---- */

/** A request with a deadline by chance. */
struct torture_request {
    struct berth_request request;
    struct berth_refusal why;
};

void torture_ask(struct torturer *t, struct torture_request *r);

/** Looks at the reason of a refusal: some are never right. Returns @error. */
int torture_judge(struct torture *torture, const char *what, int error,
                  const struct torture_request *r);

/** What has to hold for a device whose removal was reported as done. */
void torture_gone(struct torture *torture, struct pcidev *dev);

extern const struct berth_domain_ops torture_guest_ops;

/* ---- the end (torture_end.c) ---- */

/** Everything is given back, filled once more, emptied; a worker of its own. */
void torture_end(struct worker *worker, void *context);

/** What is no flaw here. */
struct run_excuse torture_excuse(const struct torture *torture);

#endif
