/* SPDX-License-Identifier: MIT */
/*
 * The controlled scheduler: the real sources of the core and of vPCI, compiled as for the thread
 * sanitizer but linked with the hooks of hooks.c, run on fibers of one thread. Each lock, atomic,
 * read-side section, deferred call, host call is an event; before it happens the scheduler may let
 * somebody else go on. search.c decides who, memory.c judges every other access to memory.
 *
 *     scenario ──► fiber (actor 0..2) ──► core, vPCI ──► hooks.c, port.c, host.c
 *                                                            │ point()
 *                                     search.c ◄─────────────┘
 *                                        path of nodes, one per event
 */
#ifndef TESTS_EXPLORE_ENGINE_H
#define TESTS_EXPLORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/core/lock.h"
#include "tests/explore/explore.h"

/* Actors first, then the one that makes deferred calls, then everybody's store buffer. */
#define GRACE EXPLORE_ACTORS
#define RUNNERS (EXPLORE_ACTORS + 1)
#define THREADS (2 * RUNNERS)
#define NOBODY 0xffu

#define BIT(thread) ((uint8_t)(1u << (thread)))

/** Which events of each thread are before something: one count per thread, below EVENTS_MAX.
 * Signed, for CPUs compare vectors of these faster. */
typedef int16_t clocks __attribute__((vector_size(2 * THREADS)));

_Static_assert(sizeof(clocks) == 16, "one vector register");

static inline clocks clocks_join(clocks a, clocks b)
{
    const clocks larger = (clocks)(a > b);

    return (a & larger) | (b & ~larger);
}

enum op_kind {
    OP_START,
    OP_LOAD,
    OP_STORE,
    OP_UPDATE, /* read, modify, write */
    OP_FENCE,  /* a full one; with store buffers it waits for the own one to be empty */
    OP_FENCE_ALL,
    OP_LOCK,
    OP_LOCK_UNTIL,
    OP_TRYLOCK,
    OP_UNLOCK,
    OP_READ_LOCK,
    OP_READ_UNLOCK,
    OP_DEFER,
    OP_SETTLE,
    OP_GRACE, /* one deferred call begins */
    OP_RELAX,
    OP_SLEEP,
    OP_NOW,
    OP_ALLOC,
    OP_FREE,
    OP_HOST,
    OP_COMMIT, /* a buffered store becomes visible */
    OP_DONE,
};

enum op_access { ACCESS_NONE, ACCESS_READ, ACCESS_WRITE };

/** What a thread is about to do. */
struct op {
    uint8_t kind, access, size;
    bool inherited;   /* the wait of OP_RELAX is for any event of anybody */
    uintptr_t object; /* the address that it is about; or 0 */
    uint64_t until;   /* time, for those who wait for it */
    const void *pc;
};

/** A place on the path: the state before an event, and the event that was chosen there. */
struct node {
    uint8_t chosen, enabled, backtrack, done, asleep;
    uint8_t preemptions; /* up to here */
    uint8_t kind;
    clocks order; /* events that have to stay before this one, itself included */
};

#define EVENTS_MAX 30000u

/** What is known of an address that threads synchronise on. */
struct object {
    uintptr_t key;
    uint32_t run;
    uint16_t last_write;         /* index of an event + 1 */
    uint16_t last_read[THREADS]; /* since then */
    clocks order_write, order_read;
    clocks released; /* C11: what a load with acquire sees */
};

/* ---- search.c ---- */

struct thread {
    struct op op;         /* what it is about to do */
    clocks order;         /* its last event, and what had to be before that */
    clocks sync;          /* C11: what happens before its next instruction */
    clocks fence_release; /* what its relaxed stores publish */
    clocks fence_acquire; /* what its relaxed loads have seen, for an acquire fence */
    uint16_t last_event;  /* index + 1 */
    uint16_t watch_from;  /* what happened up to here does not wake it */
    uint8_t watched;      /* entries of .watch, WATCH_ALL: anything wakes it */
    uint8_t reading;      /* nesting of read-side sections */
    uintptr_t watch[32];  /* what it has read since it last waited or wrote */
    uint8_t held[LOCK_RANKS];
};

#define WATCH_MAX 32u
#define WATCH_ALL 0xffu

struct search {
    const struct explore_scenario *scenario;
    uint8_t self;   /* the running thread, NOBODY: a set-up or a check */
    uint8_t last;   /* who did the last event */
    uint8_t asleep; /* going on with these leads to nothing new */
    bool buffers;   /* stores wait in buffers */
    bool bounded;   /* in the number of preemptions */
    bool failed, pruned;
    unsigned depth, prefix; /* events so far; how many of them are given */
    uint32_t run;           /* counts schedules: cells and objects of older ones are void */
    uint64_t now_ns;
    struct node path[EVENTS_MAX];
    char why[512];
};

struct search_limits {
    uint64_t schedules; /* 0: none */
    uint64_t nanoseconds;
    int preemptions; /* -1: no bound */
    uint32_t seed;   /* 0: systematic, else at random */
};

struct search_result {
    uint64_t schedules, redundant, events, deepest, beyond_bound, nanoseconds;
    bool complete, failed;
};

extern struct search search;
extern struct thread threads[THREADS];

/** Explores a scenario until something fails, everything was seen, or a limit is reached. */
struct search_result search_run(const struct explore_scenario *scenario,
                                const struct search_limits *limits);

/** Runs one schedule: threads in the order of @choices. True: it failed. */
bool search_replay(const struct explore_scenario *scenario, const uint8_t *choices, unsigned count);

/** Before something that others can see: the scheduler may let others go first. */
void point(enum op_kind kind, enum op_access access, const void *object, unsigned size,
           const void *pc);
void point_until(enum op_kind kind, const void *object, uint64_t until, const void *pc);

static inline bool scheduled(void)
{
    return search.self != NOBODY;
}

/** Sets everything up for one scenario; once in a process. */
void engine_init(const struct explore_scenario *scenario);
/** The running thread's next event was announced already. */
void search_go_on(void);
const char *search_thread_name(unsigned thread);

/* ---- order.c ---- */

extern const char order_clock, order_reader[THREADS];

struct object *object_at(uintptr_t key);
bool order_is_dependent(const struct op *a, const struct op *b);
/** Event @event of @thread: its races, what it comes after, what it leaves for others. */
void order_note(struct thread *t, unsigned thread, unsigned event);
/** What wakes the thread when it waits later. */
void order_note_watch(struct thread *t, unsigned event);
/** Nobody can go on: whoever waits for a lock could have had it first. */
void order_note_waiting(void);
/** The event that happens now also writes to this. */
void order_note_write(uintptr_t key);
clocks order_of_all(void);

/* ---- waiting.c ---- */

uint8_t waiting_enabled(void);
/** Everybody waits: goes to the next deadline. False: there is none. */
bool waiting_pass_time(void);

/* ---- fiber.c ---- */

typedef void fiber_body(unsigned thread);

void fiber_create(unsigned thread, fiber_body *body);
void fiber_restart(unsigned thread);
/** From whoever runs to another one; NOBODY: the main program. */
void fiber_switch(unsigned from, unsigned to);
/** Throws the running fiber away and goes on in the main program. */
void fiber_abandon(void) __attribute__((noreturn));
bool fiber_owns(const void *address);

/* ---- memory.c ---- */

struct memory_totals {
    unsigned blocks;
    size_t bytes;
};

void memory_init(void);
/** What there is now is what every schedule begins with. */
void memory_keep(void);
void memory_restore(void);
void *memory_alloc(size_t size, const void *pc);
void memory_free(void *memory, const void *pc);
bool memory_has(const void *address);
struct memory_totals memory_live(void);
void memory_plain(const void *address, size_t size, bool write);
void memory_atomic(const void *address, unsigned size);
const char *memory_describe(uintptr_t address, char *text, size_t size);

/* ---- port.c ---- */

void port_init(void);
void port_begin(void);
/** Makes the deferred calls of the set-up and of the check. */
void port_idle(void);
bool port_lock_is_free(uintptr_t mutex);
bool port_grace_is_due(void);
bool port_is_settled(void);
/** The event of a call's grace period: what must have been before it. */
clocks port_grace_order(void);
void port_grace_body(unsigned thread);
unsigned port_deferred(void);

/* ---- buffer.c: stores on their way to memory ---- */

struct buffered {
    uintptr_t address;
    uint64_t value;
    const void *pc;
    clocks published; /* C11 */
    clocks order;
    uint8_t size;
    bool sealed; /* a light fence came after it */
};

void buffers_begin(void);
/** A light fence of @runner: a heavy one finds all its stores so far. */
void buffer_seal(unsigned runner);
bool buffer_is_empty(unsigned runner);
bool buffer_find(unsigned runner, uintptr_t address, uint64_t *value);
void buffer_put(unsigned runner, const struct buffered *store);
void buffer_empty_all(void);
void buffer_body(unsigned thread);
void store_commit(const struct buffered *store);

/* ---- trace.c ---- */

extern bool tracing;

void trace_begin(void);
void trace_event(unsigned thread, const struct op *op);
void trace_note(uint64_t value);
void trace_print(bool all);

static inline void trace_value(uint64_t value)
{
    if (__builtin_expect(tracing, 0))
        trace_note(value);
}

#endif
