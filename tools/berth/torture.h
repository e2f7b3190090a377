/* SPDX-License-Identifier: MIT */
/*
 * `berth torture`: operations chosen by chance, from several threads, on the same devices.
 *
 * Nobody knows who owns what here, so the checks are promises that hold whatever the others do:
 * what was removed stays shut and is never found again; a guest that was never given anything sees
 * nothing; a device's DMA goes where its owner is for as long as a section keeps its owner, and so
 * do its interrupts; nobody but its owner reaches its BARs.
 */
#ifndef BERTH_TOOL_TORTURE_H
#define BERTH_TOOL_TORTURE_H

#include <berth/pcidev.h>
#include <berth/vpci.h>

#include "front/control/place.h"
#include "front/control/recorder.h"
#include "tools/berth/run.h"

#define TORTURE_GUESTS 3
#define TORTURE_HANDLES 8
#define TORTURE_OPS_MAX 60

struct torture;

struct torture_tally {
    _Atomic uint64_t done, refused;
    uint64_t longest_ns;
};

/** What runs the domains that bear one name, one after the other. */
struct torture_guest {
    struct torture *torture;
    unsigned index;
    struct recorder recorder; /* what they reach */
};

/** What the guests' accesses came to. */
struct torture_counts {
    _Atomic uint64_t config, bars, tables; /* accesses of guests; writes to MSI-X tables */
    _Atomic uint64_t held, stopped;        /* virtual CPUs: held back, ended while they were */
    _Atomic uint64_t injected, lines;      /* interrupts that the guests were told of */
    _Atomic uint64_t errors;
};

/** One thread; also a virtual CPU of whichever guest it is. */
struct torturer {
    struct torture *torture;
    struct worker *worker;
    struct chance chance;
    struct pcidev *handles[TORTURE_HANDLES];
    struct berth_vcpu vcpu;
    struct berth_domain *held; /* .vcpu is held back in this guest; a reference */
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
    struct torture_guest guests[TORTURE_GUESTS];
    struct torture_counts counts;
    struct berth_domain *stranger; /* never gets a device */
    _Atomic bool *asked;           /* R4: per function of the capture */
    _Atomic uint64_t removals, dice;
    /*
     * Locking: one pair of hands at the slots of the machine. A card that is pulled is reported
     * before it can be back: nobody else could tell it from another one. A leaf.
     */
    pthread_mutex_t hands;
    _Atomic bool failing; /* from now on callbacks and operations fail by chance */
    _Atomic bool stop;
    struct torturer *torturers;
    struct worker *workers; /* one per torturer, and a last one for the end */
};

/** The tables; all end with an operation without a name. */
extern const struct torture_op torture_transitions[];
extern const struct torture_op torture_probes[];
extern const struct torture_op torture_accesses[];
extern const struct torture_op torture_drivers[];

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

/** A device as a guest sees it, or a slot of its bus; the reference of the guest is ours. False:
 * the guest is not there. */
bool torture_slot(struct torturer *t, struct place *place, unsigned *index);

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

/* ---- guests with views (torture_view.c) ---- */

void torture_guests_init(struct torture *torture);
void torture_guests_destroy(struct torture *torture);

/** Gives a guest that was just created its buses. */
int torture_view_set(struct torture *torture, unsigned index, struct berth_domain *guest);

/** Whose message it is stands in it: what guest @index programs at @address. */
uint64_t torture_message_address(unsigned index);

/** With a section of @dev open: nobody but its owner reaches its BARs. */
void torture_maps_check(struct torture *torture, struct pcidev *dev);

/** With all devices gone: nobody reaches anything. */
void torture_maps_end(struct torture *torture);

/* ---- a virtual CPU (torture_vcpu.c) ---- */

/** A write by @t's virtual CPU, to its end, or to where chance stops it. */
void torture_write(struct torturer *t, const struct place *place, unsigned reg, unsigned length,
                   uint64_t value);

/** Goes on with what was left; @stop: or ends it. */
void torture_continue(struct torturer *t, bool stop);

/** Accesses of a CPU to all BARs that are decoded (torture_access.c). Returns how many got there.
 */
unsigned torture_bars_use(struct torturer *t, const struct place *place, unsigned index);

/* ---- the end (torture_end.c) ---- */

/** Everything is given back, filled once more, emptied; a worker of its own. */
void torture_end(struct worker *worker, void *context);

/** What is no flaw here. */
struct run_excuse torture_excuse(const struct torture *torture);

#endif
