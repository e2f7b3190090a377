/* SPDX-License-Identifier: MIT */
/*
 * Between the core and whatever it stands on: counts the calls that may fail, makes some of them
 * fail, and keeps the books of what is out (contexts, regions, bindings, mapped pieces).
 *
 *     seam_plan(&(struct plan){.mishap = MISHAP_FAIL, .calls = CALL_BIT(CALL_ATTACH), .first = 2});
 *     ... an operation ...
 *     seam_quiet();        true where the plan had an effect
 */
#ifndef BERTH_SWEEP_SEAM_H
#define BERTH_SWEEP_SEAM_H

#include <berth/vpci.h>

#include "tests/sweep/grace.h"
#include "tests/unit/rig.h"

enum call {
    CALL_CLAIM,
    CALL_CONFIG_READ,
    CALL_CONFIG_WRITE,
    CALL_RESET,
    CALL_RESERVED,
    CALL_BAR_FIND,
    CALL_BAR_READ,
    CALL_BAR_WRITE,
    CALL_SPACE_CREATE,
    CALL_MAP,
    CALL_UNMAP,
    CALL_ATTACH,
    CALL_DETACH,
    CALL_FLUSH,
    CALL_GROUP,
    CALL_ATS,
    CALL_BIND,
    CALL_GUEST_MAP,
    CALL_GUEST_UNMAP,
    CALL_WITHDRAW,
    CALL_RESTORE,
    CALL_ALLOC,
    CALL_COUNT
};

#define CALL_BIT(call) (1u << (call))
#define CALLS_ALL (CALL_BIT(CALL_COUNT) - 1u)
#define CALLS_OF_HOST (CALLS_ALL & ~CALL_BIT(CALL_ALLOC))
#define CALLS_THAT_READ (CALL_BIT(CALL_CONFIG_READ) | CALL_BIT(CALL_BAR_READ))

const char *call_name(enum call call);

enum mishap {
    MISHAP_FAIL,       /* the call returns an error and does nothing */
    MISHAP_FOR_EVER,   /* so do all those after it */
    MISHAP_GONE,       /* the card is pulled just before it */
    MISHAP_ONES,       /* it reads all ones, and nothing is wrong */
    MISHAP_HELD,       /* somebody gets into the device, if that is possible then, and stays */
    MISHAP_HUNG_RESET, /* the device does not come back from resets any more */
    MISHAP_HUNG_FLUSH, /* nor answer invalidations */
    MISHAP_COUNT
};

const char *mishap_name(enum mishap mishap);

struct plan {
    enum mishap mishap;
    uint32_t calls;  /* that count for .first */
    unsigned first;  /* counted from 1; 0: nothing happens */
    unsigned second; /* of the calls of any kind that follow, this one fails as well; 0: none */
};

/** What is out. Spaces are told apart by what they were made for: they come and go. */
#define BOOKS_MAX 128

struct book_space {
    void *handle; /* NULL: it was destroyed */
    enum berth_space_kind kind;
    uint32_t id;
};

struct book_context {
    uint32_t rid;
    enum berth_space_kind kind;
    uint32_t id;
};

struct book_region {
    enum berth_space_kind kind;
    uint32_t id;
    uint64_t start;
};

struct book_piece {
    uint32_t device, bar;
    uint64_t offset, host, guest, length;
};

struct book_binding {
    uint32_t device, source;
    uint16_t kind, first, count, padding;
};

struct books {
    struct book_space spaces[BOOKS_MAX];
    struct book_context contexts[BOOKS_MAX];
    struct book_region regions[BOOKS_MAX];
    struct book_piece pieces[BOOKS_MAX];
    struct book_binding bindings[BOOKS_MAX];
    unsigned space_count, context_count, region_count, piece_count, binding_count;
};

struct seam {
    struct sim *sim;
    struct berth_machine *machine;
    struct sbdf subject; /* of mishaps that happen to one device */
    struct plan plan;
    unsigned counted;              /* calls of .plan.calls */
    unsigned since;                /* calls since the first mishap */
    unsigned mishaps;              /* that have happened */
    enum call first_call;          /* where the first one happened */
    unsigned total[CALL_COUNT];    /* calls since the plan was made */
    void (*later)(void);           /* what somebody does while the core sleeps; once */
    unsigned asked, told, crashed; /* what guests have heard */
    struct books books;
};

extern struct seam seam;

/** A new machine: the books are empty. */
void seam_begin(struct sim *sim, struct sbdf subject);
/** Puts the seam between a machine and what its configuration says. */
void seam_configure(struct berth_machine_config *config);
extern const struct berth_domain_ops seam_domain_ops;
extern const struct berth_view_ops seam_view_ops;

void seam_plan(const struct plan *plan);
/** The plan ends, with whatever it left hanging. Returns whether anything happened. */
bool seam_quiet(void);

/** Counts a call: 0, or the error that it is to return instead of doing anything. */
int seam_call(enum call call);

/* ---- memory.c: allocations and frees ---- */

/** Blocks that the core has. */
long memory_live(void);
/** Those that it has now are not its own any more. */
void memory_forget(void);

/* ---- holder.c: somebody else, in a thread of its own ---- */

void holder_start(void);
void holder_stop(void);
/** Gets inside the device, if it is let in. */
bool holder_enter(struct berth_machine *machine, struct sbdf sbdf);
void holder_leave(void);

#endif
