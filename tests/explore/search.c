/* SPDX-License-Identifier: MIT */
/*
 * Which schedules there are, and which of them are the same.
 *
 * Depth first: a schedule is run to its end, then the deepest place where another thread has to be
 * tried is taken, and the schedule begins anew with the same choices up to there. Where another
 * thread has to be tried is found while it runs (dynamic partial order reduction, Flanagan and
 * Godefroid 2005): two events of different threads, of which one writes what the other reads or
 * writes, and which nothing orders, could have been the other way round. Sleep sets keep those from
 * being run that only swap what is independent.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/explore/engine.h"
#include "tests/explore/world.h"

struct search search;
struct thread threads[THREADS];

static struct search_limits limits;
static struct search_result result;
static uint32_t dice;
static jmp_buf judge_end;
static uint64_t begun_ns; /* where the set-up left the clock */
static bool judging;

const char *search_thread_name(unsigned thread)
{
    static const char *const buffers[RUNNERS] = {"store of 1", "store of 2", "store of 3",
                                                 "store of grace"};

    if (thread < EXPLORE_ACTORS)
        return search.scenario->actor[thread].name;
    return thread == GRACE ? "grace" : buffers[thread - RUNNERS];
}

void explore_fail(const char *format, ...)
{
    va_list arguments;
    char text[400];

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (scheduled())
        snprintf(search.why, sizeof(search.why), "%s: %s", search_thread_name(search.self), text);
    else
        snprintf(search.why, sizeof(search.why), "%s", text);
    search.failed = true;
    if (scheduled())
        fiber_abandon();
    if (!judging) {
        fprintf(stderr, "explore: %s\n", search.why);
        exit(2);
    }
    _longjmp(judge_end, 1);
}

/* ---- the path ---- */

static bool is_preemption(const struct node *node, unsigned index, unsigned thread)
{
    return index && thread != search.path[index - 1].chosen &&
           node->enabled & BIT(search.path[index - 1].chosen);
}

static unsigned preemptions_before(unsigned index)
{
    return index ? search.path[index - 1].preemptions : 0;
}

static unsigned roll(unsigned sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 16) % sides;
}

static unsigned pick_random(uint8_t from)
{
    if (from & BIT(search.last % THREADS) && search.last != NOBODY && roll(8))
        return search.last;
    for (;;) {
        unsigned thread = roll(THREADS);

        if (from & BIT(thread))
            return thread;
    }
}

static unsigned pick(uint8_t from)
{
    if (limits.seed)
        return pick_random(from);
    if (search.last != NOBODY && from & BIT(search.last))
        return search.last;
    return (unsigned)__builtin_ctz(from);
}

/* The first time that the path comes here. NOBODY: there is nothing new this way. */
static unsigned node_new(struct node *node, uint8_t enabled)
{
    bool reduced = limits.preemptions < 0 && !limits.seed;
    uint8_t from = reduced ? enabled & (uint8_t)~search.asleep : enabled;
    unsigned thread;

    if (!from)
        return NOBODY;
    thread = pick(from);
    *node = (struct node){.chosen = (uint8_t)thread,
                          .enabled = enabled,
                          .backtrack = BIT(thread),
                          .done = BIT(thread),
                          .asleep = reduced ? search.asleep : 0};
    return thread;
}

static void note_asleep(const struct node *node, unsigned thread)
{
    uint8_t asleep = (node->asleep | node->done) & (uint8_t)~BIT(thread);

    for (uint8_t left = asleep; left; left &= (uint8_t)(left - 1)) {
        unsigned i = (unsigned)__builtin_ctz(left);

        if (order_is_dependent(&threads[i].op, &threads[thread].op))
            asleep &= (uint8_t)~BIT(i);
    }
    search.asleep = asleep;
}

static void commit(unsigned thread)
{
    unsigned event = search.depth;
    struct node *node = &search.path[event];
    struct thread *t = &threads[thread];

    note_asleep(node, thread);
    order_note(t, thread, event);
    order_note_watch(t, event);
    if (t->op.kind == OP_SLEEP && t->op.until > search.now_ns)
        search.now_ns = t->op.until;
    node->preemptions = (uint8_t)(preemptions_before(event) + is_preemption(node, event, thread));
    t->last_event = (uint16_t)(event + 1);
    search.last = (uint8_t)thread;
    search.depth++;
    if (__builtin_expect(tracing, 0))
        trace_event(thread, &t->op);
}

/* The next event's thread, NOBODY: the schedule ends here. */
static unsigned choose(void)
{
    struct node *node = &search.path[search.depth];
    uint8_t enabled = waiting_enabled();
    unsigned thread;

    while (!enabled && waiting_pass_time())
        enabled = waiting_enabled();
    if (!enabled)
        return NOBODY;
    if (search.depth >= EVENTS_MAX - 1) {
        snprintf(search.why, sizeof(search.why), "does not end: %u events", search.depth);
        search.failed = true;
        return NOBODY;
    }
    if (search.depth < search.prefix) {
        thread = node->chosen;
        if (enabled & BIT(thread))
            node->enabled = enabled;
        else
            thread = NOBODY;
    } else {
        thread = node_new(node, enabled);
    }
    if (thread == NOBODY)
        search.pruned = true;
    else
        commit(thread);
    return thread;
}

static void go_on(void)
{
    unsigned self = search.self, next = choose();

    if (next == self)
        return;
    search.self = (uint8_t)next;
    fiber_switch(self, next);
}

void search_go_on(void)
{
    go_on();
}

void point(enum op_kind kind, enum op_access access, const void *object, unsigned size,
           const void *pc)
{
    struct thread *t = &threads[search.self];

    t->op = (struct op){.kind = (uint8_t)kind,
                        .access = (uint8_t)access,
                        .size = (uint8_t)size,
                        .object = (uintptr_t)object,
                        .pc = pc};
    if (kind == OP_READ_LOCK)
        t->op.object = (uintptr_t)&order_reader[search.self];
    if (kind == OP_NOW && search.scenario->time_passes)
        t->op.object = (uintptr_t)&order_clock;
    if (kind == OP_RELAX)
        t->op.until = search.now_ns;
    go_on();
}

void point_until(enum op_kind kind, const void *object, uint64_t until, const void *pc)
{
    threads[search.self].op = (struct op){.kind = (uint8_t)kind,
                                          .access = ACCESS_WRITE,
                                          .object = (uintptr_t)object,
                                          .until = until,
                                          .pc = pc};
    if (kind == OP_SLEEP && search.scenario->time_passes)
        threads[search.self].op.object = (uintptr_t)&order_clock;
    go_on();
}

void explore_touch(const void *address, bool write)
{
    if (scheduled())
        point(OP_HOST, write ? ACCESS_WRITE : ACCESS_READ, address, 4, __builtin_return_address(0));
}

/* ---- one schedule ---- */

static void actor_body(unsigned thread)
{
    if (search.scenario->actor[thread].run)
        search.scenario->actor[thread].run(world_of_schedule());
    point(OP_DONE, ACCESS_NONE, NULL, 0, NULL);
}

static void begin(void)
{
    memory_restore();
    search.run++;
    search.depth = 0;
    search.last = NOBODY;
    search.asleep = 0;
    search.now_ns = begun_ns;
    search.pruned = search.failed = false;
    search.buffers = search.scenario->buffers;
    memset(threads, 0, sizeof(threads));
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i].sync[i] = 1;
        threads[i].op.kind = i == GRACE ? OP_GRACE : i > GRACE ? OP_COMMIT : OP_START;
        if (i < EXPLORE_ACTORS && !search.scenario->actor[i].run)
            threads[i].op.kind = OP_DONE;
        fiber_restart(i);
    }
    port_begin();
    buffers_begin();
}

static void say_who_waits(void)
{
    static const char *const what[] = {
        [OP_LOCK] = "a lock",           [OP_LOCK_UNTIL] = "a lock", [OP_RELAX] = "a change",
        [OP_SETTLE] = "deferred calls", [OP_SLEEP] = "time",        [OP_DONE] = NULL,
    };
    size_t at;

    search.failed = true;
    snprintf(search.why, sizeof(search.why), "nobody can go on:");
    for (unsigned i = 0; i < EXPLORE_ACTORS; i++) {
        unsigned kind = threads[i].op.kind;

        at = strlen(search.why);
        if (kind != OP_DONE)
            snprintf(search.why + at, sizeof(search.why) - at, " %s waits for %s;",
                     search_thread_name(i),
                     kind < sizeof(what) / sizeof(*what) && what[kind] ? what[kind] : "something");
    }
    at = strlen(search.why);
    if (port_deferred())
        snprintf(search.why + at, sizeof(search.why) - at, " %u deferred calls wait for readers",
                 port_deferred());
}

static void judge(void)
{
    for (unsigned i = 0; i < EXPLORE_ACTORS; i++)
        if (threads[i].op.kind != OP_DONE) {
            say_who_waits();
            return;
        }
    if (port_deferred()) {
        say_who_waits();
        return;
    }
    judging = true;
    if (_setjmp(judge_end) == 0) { /* a check that fails comes back here */
        search.scenario->check(world_of_schedule());
        world_judge(world_of_schedule());
    }
    judging = false;
}

static void run_schedule(void)
{
    unsigned first;

    begin();
    first = choose();
    if (first != NOBODY) {
        search.self = (uint8_t)first;
        fiber_switch(NOBODY, first);
    }
    search.self = NOBODY;
    if (!search.failed && !search.pruned)
        judge();
    result.schedules++;
    result.redundant += search.pruned;
    result.events += search.depth;
    result.deepest = search.depth > result.deepest ? search.depth : result.deepest;
}

/* Takes the deepest place where another thread is to be tried. */
static bool next_schedule(void)
{
    for (unsigned i = search.depth; i-- > 0;) {
        struct node *node = &search.path[i];
        uint8_t wanted = node->backtrack & node->enabled & (uint8_t) ~(node->done | node->asleep);

        for (; wanted; wanted &= (uint8_t)(wanted - 1)) {
            unsigned thread = (unsigned)__builtin_ctz(wanted);

            node->done |= BIT(thread);
            if (limits.preemptions >= 0 && preemptions_before(i) + is_preemption(node, i, thread) >
                                               (unsigned)limits.preemptions) {
                result.beyond_bound++;
                continue;
            }
            node->chosen = (uint8_t)thread;
            search.prefix = i + 1;
            return true;
        }
    }
    return false;
}

static uint64_t real_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool limit_reached(uint64_t begun)
{
    if (limits.schedules && result.schedules >= limits.schedules)
        return true;
    return limits.nanoseconds && !(result.schedules % 64) &&
           real_ns() - begun >= limits.nanoseconds;
}

struct search_result search_run(const struct explore_scenario *scenario,
                                const struct search_limits *wanted)
{
    uint64_t begun = real_ns();

    search.scenario = scenario;
    limits = *wanted;
    result = (struct search_result){.complete = false};
    dice = limits.seed;
    search.bounded = limits.preemptions >= 0;
    search.prefix = 0;
    do {
        run_schedule();
        result.failed = search.failed;
        if (!result.failed && !limits.seed && !next_schedule())
            result.complete = true;
    } while (!result.failed && !result.complete && !limit_reached(begun));
    result.nanoseconds = real_ns() - begun;
    return result;
}

bool search_replay(const struct explore_scenario *scenario, const uint8_t *choices, unsigned count)
{
    search.scenario = scenario;
    limits = (struct search_limits){.preemptions = -1};
    for (unsigned i = 0; i < count; i++)
        search.path[i] = (struct node){.chosen = choices[i]};
    search.prefix = count;
    run_schedule();
    return search.failed;
}

/* ---- the beginning of everything ---- */

static void crashed(int signal)
{
    explore_fail("crashed: %s", strsignal(signal));
}

/* A fiber that crashes ends its schedule; the handler must not need the fiber's stack. */
static void catch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    static char stack[64 << 10];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK | SA_NODEFER};

    sigaltstack(&other, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        sigaction(signals[i], &action, NULL);
}

void engine_init(const struct explore_scenario *scenario)
{
    search.self = NOBODY;
    search.scenario = scenario;
    memory_init();
    port_init();
    for (unsigned i = 0; i < THREADS; i++)
        fiber_create(i, i < EXPLORE_ACTORS ? actor_body
                        : i == GRACE       ? port_grace_body
                                           : buffer_body);
    search.now_ns = 1000000000u;
    world_begin(scenario);
    begun_ns = search.now_ns;
    catch_crashes();
}
