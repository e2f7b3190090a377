/* SPDX-License-Identifier: MIT */
/*
 * What `berth run` and `berth torture` share: the machine under test, its threads, what counts as a
 * flaw, the verdict.
 */
#ifndef BERTH_TOOL_RUN_H
#define BERTH_TOOL_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <berth/machine.h>
#include <berth/refusal.h>
#include <jansson.h>

#include "host/sim/sim.h"

#define RUN_MS UINT64_C(1000000)
#define RUN_SECOND UINT64_C(1000000000)
#define RUN_LINE_SIZE 512

/* ---- options (run_options.c) ---- */

enum run_kind {
    RUN_DEMONSTRATION,
    RUN_TORTURE,
};

struct run_options {
    const char *machine; /* NULL: this one, or the shipped capture */
    uint64_t duration_ns;
    uint64_t seed;
    unsigned threads; /* of torture */
    bool fail;        /* torture: let operations of host and IOMMU fail */
    bool json;
};

/** Parses the command line; leaves the process on --help and on wrong usage. */
void run_options_parse(enum run_kind kind, int argc, char **argv, struct run_options *options);

/* ---- flaws and the verdict (run_check.c) ---- */

/** What must not happen, in the order in which the verdict names them. */
enum run_flaw {
    FLAW_STUCK,        /* a thread makes no progress (R5) */
    FLAW_TOUCH,        /* a removed function was touched (A2) */
    FLAW_ENTERED,      /* a section could be opened, or the device found, after removal (A2, R6) */
    FLAW_FOREIGN_READ, /* a guest read something of a device that is not its own (V1) */
    FLAW_DEAF_READ,    /* a guest got no answer of a device that is its own, or a wrong one */
    FLAW_DMA,          /* DMA went where the device's owner is not (R2, O3) */
    FLAW_STALE,        /* DMA by a translation that should have been flushed (O2) */
    FLAW_MASTERING,    /* a removed or contained device masters the bus (R2, O6) */
    FLAW_RESETTING,    /* a function was touched in its reset (M09) */
    FLAW_DECODE_OFF,   /* a BAR was touched that its function does not decode (M14) */
    FLAW_MAPPED,       /* a guest reaches what is not its own, or what it must not (R2, M42) */
    FLAW_INJECTED,     /* a guest was told of an interrupt of a device that is not its own (M30) */
    FLAW_MESSAGE,      /* the message that it was told of is none of its own (M32) */
    FLAW_FORGED,       /* a message that a device made up got through (M32) */
    FLAW_FREED_IN_USE, /* a space was freed while a context led to it (O5) */
    FLAW_GAP,          /* a context was left open between two owners (O1) */
    FLAW_WALK,         /* an iteration went back or did not end (C2) */
    FLAW_MISUSE,       /* the core reported a misuse of its own (C4) */
    FLAW_BROKEN,       /* a device broke, or a guest crashed, though nothing had failed (O1) */
    FLAW_REFUSED,      /* an operation was refused that has to work */
    FLAW_CONTEXTS,     /* out of balance at the end, and so on */
    FLAW_SPACES,
    FLAW_MAPPINGS,
    FLAW_CLAIMS,
    FLAW_BINDINGS,
    FLAW_REFERENCES, /* references were left at the end (C5) */
    FLAW_COUNT
};

#define FLAW_DETAIL_SIZE 256

struct run_flaws {
    _Atomic uint64_t count[FLAW_COUNT];
    /* Locking: .lock protects the first detail of each kind; a leaf. */
    pthread_mutex_t lock;
    char detail[FLAW_COUNT][FLAW_DETAIL_SIZE];
};

/** What the verdict rests on: without any of it a run has shown nothing. */
struct run_proof {
    uint64_t accesses, removals;
    bool interrupted;
};

void flaws_init(struct run_flaws *flaws);
void flaws_destroy(struct run_flaws *flaws);

/** Counts a flaw; the text of the first one of each kind is kept. */
void flaw_found(struct run_flaws *flaws, enum run_flaw flaw, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** What is no flaw where devices break. */
struct run_excuse {
    uint64_t spaces_left; /* so many could not be freed, and that was reported (O5) */
    bool gaps;            /* contexts of broken devices are cleared, and set again later */
    bool resetting;       /* functions that hang in a reset are given up, and tried again */
    bool decode;          /* functions that went and came unseen have lost their registers */
    bool bindings;        /* of a device that broke with the steps that would have ended them */
};

/** Counts what the simulated machine saw and should not have seen, in all its life. */
void flaws_of_counters(struct run_flaws *flaws, const struct sim_counters *now,
                       const struct run_excuse *excuse);

/** Compares what is in use with what was: contexts, spaces, mappings, claims. */
void flaws_of_balance(struct run_flaws *flaws, const struct sim_counters *then,
                      const struct sim_counters *now, const struct run_excuse *excuse);

/** Writes the one line, "PASS: ..." or "FAIL: ...". Returns whether it passed. */
bool run_verdict(struct run_flaws *flaws, const struct run_proof *proof, char line[RUN_LINE_SIZE]);

/** A stable lower-case word for programs, such as "foreign-read". */
const char *flaw_name(enum run_flaw flaw);

/*
 * Who has a device, as its admin thread tells the guests: one word, so that a guest can see whether
 * anything changed while it was reading. Bits 0-1: the stage; 2-3: the guest; above: changes.
 */
enum lent_stage {
    LENT_NOT,     /* no guest can reach it */
    LENT_PERHAPS, /* on its way to the guest, or back */
    LENT_SURELY,  /* the guest has it */
};

uint32_t lent_word(uint32_t previous, enum lent_stage stage, unsigned guest);
unsigned lent_guest(uint32_t word);

/**
 * Judges a read: whether one of @guest could, or had to, give something else than all ones.
 *
 * @before,@after  the word around the read
 * @expected       what the register holds
 * @ones           all ones of the width
 * Returns FLAW_COUNT where the read is fine.
 */
enum run_flaw read_judge(uint32_t before, uint32_t after, unsigned guest, uint32_t value,
                         uint32_t expected, uint32_t ones);

/* ---- the machine under test (run_machine.c) ---- */

#define EVENT_KINDS (BERTH_EVENT_MISUSE + 1)
#define RUN_IRQ_RESULTS (BERTH_IRQ_DROPPED + 1)

struct run_machine {
    struct capture capture;
    struct sim *sim;
    struct berth_machine *machine;
    char title[160];           /* which one it is, and why */
    struct sim_counters empty; /* before the first device was added */
    struct sim_counters full;  /* with all of them */
    unsigned functions;        /* that were added */
    _Atomic uint64_t events[EVENT_KINDS];
    _Atomic uint64_t interrupts[RUN_IRQ_RESULTS]; /* what became of those that got through */
};

/**
 * Captures a machine, builds it, adds all its functions.
 * @options  of the simulator, NULL: the defaults
 * Returns 0, or -errno with one line in @problem.
 */
int run_machine_open(struct run_machine *m, const char *name, const struct sim_options *options,
                     char problem[RUN_LINE_SIZE]);

/** Adds every function that answers and is not there yet. Returns how many were refused. */
unsigned run_machine_add_all(struct run_machine *m, struct berth_refusal *first);

/** Destroys the core's machine and compares what is left. */
void run_machine_close(struct run_machine *m, struct run_flaws *flaws,
                       const struct run_excuse *excuse);

/** What is left to free after that. */
void run_machine_free(struct run_machine *m);

uint64_t run_machine_touches(const struct run_machine *m);

/* ---- threads that are watched (run_worker.c) ---- */

/** No thread may need longer for one thing that it does. */
#define WORKER_PATIENCE (30 * RUN_SECOND)

struct worker {
    _Alignas(64) _Atomic uint64_t beat; /* counts what it does */
    _Atomic(const char *) doing;        /* static text */
    _Atomic bool ended;
    void (*run)(struct worker *worker, void *context);
    void *context;
    const char *name;
    pthread_t thread;
    /* the watcher's */
    uint64_t seen_beat, seen_ns;
};

/** Starts a thread with signals blocked. Returns 0 or -errno. */
int worker_start(struct worker *worker, const char *name,
                 void (*run)(struct worker *worker, void *context), void *context);

/** By the thread itself: what it does from now on. */
static inline void worker_does(struct worker *worker, const char *what)
{
    uint64_t beat = atomic_load_explicit(&worker->beat, memory_order_relaxed);

    atomic_store_explicit(&worker->doing, what, memory_order_relaxed);
    atomic_store_explicit(&worker->beat, beat + 1, memory_order_relaxed); /* nobody else writes */
}

/** The first one without progress for WORKER_PATIENCE, or NULL. */
const struct worker *workers_stuck(struct worker *workers, unsigned count);
bool workers_ended(const struct worker *workers, unsigned count);
void workers_join(struct worker *workers, unsigned count);

/* ---- time, chance, signals, progress (run_pace.c) ---- */

uint64_t run_now_ns(void);
void run_sleep_ns(uint64_t ns);

struct chance {
    uint64_t state;
};

struct chance chance_make(uint64_t seed, unsigned stream);
uint32_t chance_below(struct chance *chance, uint32_t limit);

/** SIGINT and SIGTERM end the run early; the second one ends the process. */
void interrupt_catch(void);
bool interrupt_seen(void);

struct pace {
    uint64_t begin_ns, end_ns, told_ns;
    bool tty, quiet;
};

void pace_begin(struct pace *pace, uint64_t duration_ns, bool quiet);
/** Sleeps for a moment. False: the time is over, or it was interrupted. */
bool pace_tick(struct pace *pace);
/** Whether it is time for another line. */
bool pace_due(const struct pace *pace);
/** Prints a line: in place on a terminal. */
void pace_tell(struct pace *pace, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** The terminal's line is done. */
void pace_end(struct pace *pace);
double pace_left(const struct pace *pace);

/** 12345678 as "12.3 M". */
const char *number_short(double value, char text[16]);

/* ---- the end (run_report.c) ---- */

/** Adds what was found to a report: flaws, the verdict. Returns the exit code. */
int report_verdict(json_t *report, struct run_flaws *flaws, const struct run_proof *proof);

/** Prints the flaws, and the verdict as the last line. */
void report_verdict_print(const json_t *report);

/** Where it did not even begin: the verdict alone. */
void report_problem(const struct run_options *options, const char *problem);

/** Ends the process over a thread that is stuck and cannot be waited for. */
void report_stuck(const struct run_options *options, struct run_flaws *flaws,
                  const struct worker *worker) __attribute__((noreturn));

/** A cell of milliseconds out of a member in nanoseconds. */
void cell_ms(const json_t *row, const char *key, char *text);

#endif
