/* SPDX-License-Identifier: MIT */
#include "tests/sweep/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sweep/picture.h"

#define PAIRS_MAX 300u    /* of one operation, in a short run */
#define COMPLAINTS_MAX 8u /* of one operation, that are printed */
/* Blocks that stay once something was tried for the first time: the guest's bus, and what a device
 * keeps of being lent. */
#define MEMORY_KEPT 3

static struct picture before, done, now;

static struct {
    const struct sweep *sweep;
    bool is_fresh; /* the stage is up, and as prepared */
    unsigned cases, unchanged, finished, lost, other, complaints;
    unsigned rng;
    char place[160];
} run;

/* ---- complaints ---- */

static unsigned complained;

void complain(const char *format, ...)
{
    va_list list;

    complained++;
    if (run.complaints++ < COMPLAINTS_MAX) {
        print_error("    %s: %s: ", run.sweep ? run.sweep->name : "", run.place);
        va_start(list, format);
        vprint_error(format, list);
        va_end(list);
        print_error("\n");
    }
}

unsigned complaints(void)
{
    return complained;
}

static void place(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void place(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    vsnprintf(run.place, sizeof(run.place), format, list);
    va_end(list);
}

/* ---- the stage ---- */

static void refresh(void)
{
    if (run.is_fresh)
        return;
    stage_down();
    stage_up(&run.sweep->setup);
    if (run.sweep->prepare)
        run.sweep->prepare();
    run.is_fresh = true;
}

static void take(struct picture *picture)
{
    picture_take(picture, &stage.rig, stage.guest);
}

static bool differs(const struct picture *from)
{
    char what[200];

    return picture_differs(from, &now, what, sizeof(what));
}

static void expect_same(const struct picture *expected, const char *when)
{
    char what[200];

    if (picture_differs(expected, &now, what, sizeof(what)))
        complain("%s: %s", when, what);
}

/* The operation, undisturbed. */
static void run_well(const char *when)
{
    static const struct plan nothing = {.first = 0};
    int error;

    seam_plan(&nothing);
    error = run.sweep->run();
    run.is_fresh = false;
    take(&now);
    if (error)
        complain("%s: fails with %d, %s", when, error, berth_reason_name(stage.rig.why.reason));
    else
        expect_same(&done, when);
    picture_check(&now);
}

/* ---- what it came to ---- */

static bool is_lost(void)
{
    for (unsigned i = 0; i < now.function_count; i++)
        if (now.functions[i].there && now.functions[i].info.broken)
            return true;
    return false;
}

/* Of one that was being added nothing is left but what the host did not take back (X10). */
static bool is_left_over(void)
{
    static struct picture a, b;
    const struct function_picture *subject = picture_function(&now, run.sweep->setup.subject);
    char what[200];

    if (seam.mishaps < 2 || subject->there)
        return false;
    a = before;
    b = now;
    picture_blank_host(&a);
    picture_blank_host(&b);
    return !picture_differs(&a, &b, what, sizeof(what));
}

/* M08: a lent one whose BARs can't be found again; its guest has nothing of it. */
static bool is_out_of_reach(void)
{
    const struct function_picture *subject = picture_function(&now, run.sweep->setup.subject);

    return seam.mishaps > 1 && subject->info.disconnected && !now.books.piece_count;
}

/* The guest reads something else than it would if all had gone well. */
static bool sees_it(void)
{
    const struct sbdf subject = run.sweep->setup.subject;

    return memcmp(picture_function(&done, subject)->view, picture_function(&now, subject)->view,
                  sizeof(now.functions[0].view)) != 0;
}

/* Where a card is gone, or what was read is not so, no more is asked than that all balances. */
static bool is_judged_loosely(const struct plan *plan)
{
    if (run.sweep->allowed & SWEEP_OF_GUEST &&
        (rig_count_events(&stage.rig, BERTH_EVENT_VIEW) || sees_it()))
        return true;
    return plan->mishap == MISHAP_GONE || plan->mishap == MISHAP_ONES ||
           plan->mishap == MISHAP_HUNG_RESET || run.sweep->allowed & SWEEP_PARTLY;
}

static void judge_unchanged(int error)
{
    run.unchanged++;
    run.is_fresh = run.is_fresh && (error || differs(&done));
    if (now.memory > before.memory + MEMORY_KEPT && error)
        complain("%ld blocks of memory, not %ld", now.memory, before.memory);
    if (!error && !(run.sweep->allowed & (SWEEP_PARTLY | SWEEP_OF_GUEST)) && differs(&done))
        complain("says that it is done, and nothing is");
}

/* What fails once its state is gone has no way back. */
static bool was_reset(void)
{
    const char *step = stage.rig.why.step;

    return run.sweep->allowed & SWEEP_RECOVERS ||
           (run.sweep->allowed & SWEEP_RESETS && step && !strcmp(step, "reset"));
}

/* O1, R7: only where the way back has failed, and somebody is told. A neighbour in the same reset
 * can be lost without the operation. */
static void judge_lost(const struct plan *plan, int error)
{
    const struct function_picture *subject = picture_function(&now, run.sweep->setup.subject);
    const bool may_succeed =
        is_judged_loosely(plan) || !subject->info.broken ||
        run.sweep->allowed & (SWEEP_RESTARTS | SWEEP_RECOVERS | SWEEP_OF_GUEST);

    run.lost++;
    run.is_fresh = false;
    if (!rig_count_events(&stage.rig, BERTH_EVENT_BROKEN))
        complain("broken, and nobody is told");
    if (!error && !may_succeed)
        complain("says that it is done, and the device is broken");
    if (seam.mishaps == 1 && plan->mishap == MISHAP_FAIL && subject->info.broken && !was_reset())
        complain("broken, where the way back did not fail");
}

/* But for what a guest sees and hears of a device. */
static bool is_like(const struct picture *expected)
{
    static struct picture a, b;
    char what[200];

    a = *expected;
    b = now;
    picture_blank_views(&a);
    picture_blank_views(&b);
    if (run.sweep->allowed & (SWEEP_FORGETS | SWEEP_RECOVERS)) {
        picture_blank_host(&a);
        picture_blank_host(&b);
    }
    return !picture_differs(&a, &b, what, sizeof(what));
}

/* M43: what fails to initialise is hidden, and somebody has heard of it. */
static bool is_reduced(int error)
{
    if (error)
        return run.sweep->allowed & SWEEP_FORGETS && is_like(&before);
    return (rig_count_events(&stage.rig, BERTH_EVENT_VIEW) ||
            run.sweep->allowed & SWEEP_RECOVERS) &&
           is_like(&done);
}

static void judge(const struct plan *plan, int error)
{
    char what[200];

    picture_check(&now);
    if (error && !(run.sweep->allowed & (SWEEP_PARTLY | SWEEP_SILENT)) &&
        stage.rig.why.reason == BERTH_REASON_NONE)
        complain("fails with %d, for no reason", error);
    if (!differs(&before)) {
        judge_unchanged(error);
        return;
    }
    run.is_fresh = false;
    if (!differs(&done) && (!error || run.sweep->allowed & (SWEEP_RESTARTS | SWEEP_PARTLY))) {
        run.finished++;
    } else if (is_lost()) {
        judge_lost(plan, error);
    } else if (error && (is_left_over() || is_out_of_reach())) {
        run.lost++;
    } else if (is_judged_loosely(plan) || is_reduced(error)) {
        run.other++;
    } else if (run.sweep->allowed & SWEEP_RESTARTS && error) {
        run.other++;
        run_well("restarted");
    } else {
        (void)picture_differs(&before, &now, what, sizeof(what));
        complain("%d, and it is not as before: %s", error, what);
        (void)picture_differs(&done, &now, what, sizeof(what));
        complain("%d, and it is not done: %s", error, what);
    }
}

/* ---- and what comes after it ---- */

/* Whatever has become of it: it can be taken out, and a card that is put in is fine. */
static void replace_one(struct sbdf sbdf)
{
    struct pcidev *dev = pcidev_find(stage.rig.machine, sbdf, "replace");
    const struct berth_request request = rig_request(&stage.rig);
    int error = 0;

    if (dev && !sim_present(stage.rig.sim, sbdf))
        pcidev_vanished(dev);
    if (dev)
        error = pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request);
    pcidev_put(dev, "replace");
    (void)sim_return(stage.rig.sim, sbdf);
    if (!error && sim_present(stage.rig.sim, sbdf))
        error = rig_add(&stage.rig, sbdf);
    if (error)
        complain("can't be replaced: %d, %s, %s", error, berth_reason_name(stage.rig.why.reason),
                 stage.rig.why.step);
}

static void replace(void)
{
    run.is_fresh = false;
    replace_one(run.sweep->setup.subject);
    for (unsigned i = 0; i < now.function_count; i++)
        if (now.functions[i].there && now.functions[i].info.broken &&
            !sbdf_equal(now.functions[i].sbdf, run.sweep->setup.subject))
            replace_one(now.functions[i].sbdf);
    take(&now);
    picture_check(&now);
}

static bool is_full(void)
{
    const char *how = getenv("BERTH_SWEEP");

    return how && !strcmp(how, "full");
}

/* True where the plan had an effect. */
static bool run_case(const struct plan *plan)
{
    const unsigned complained_before = complained;
    bool happened;
    int error;

    refresh();
    stage.rig.why = (struct berth_refusal){.reason = BERTH_REASON_NONE};
    atomic_store(&stage.rig.event_count, 0);
    seam_plan(plan);
    error = run.sweep->run();
    happened = seam_quiet();
    take(&now);
    place("%s %s %u+%u (%s), %d", mishap_name(plan->mishap),
          happened ? call_name(seam.first_call) : "nothing", plan->first, plan->second,
          stage.rig.why.step ? stage.rig.why.step : "", error);
    if (!happened) {
        run.is_fresh = false;
        return false;
    }
    run.cases++;
    judge(plan, error);
    if (stage.rig.machine && !run.is_fresh && (is_lost() || plan->mishap == MISHAP_GONE))
        replace();
    else if (run.is_fresh && !plan->second)
        run_well("again");
    if (complained != complained_before)
        run.is_fresh = false;
    return true;
}

/* ---- sweeps ---- */

static void sweep_calls(enum mishap mishap, uint32_t calls)
{
    struct plan plan = {.mishap = mishap, .calls = calls, .first = 1};

    while (run_case(&plan))
        plan.first++;
}

static void sweep_singles(void)
{
    for (unsigned call = 0; call < CALL_COUNT; call++) {
        sweep_calls(MISHAP_FAIL, CALL_BIT(call));
        sweep_calls(MISHAP_FOR_EVER, CALL_BIT(call));
    }
}

/* The m-th call after the n-th fails as well; until there are no so many. */
static void sweep_pairs_all(unsigned calls)
{
    struct plan plan = {.mishap = MISHAP_FAIL, .calls = CALLS_ALL};

    for (plan.first = 1; plan.first <= calls; plan.first++)
        for (plan.second = 1; run_case(&plan) && seam.mishaps > 1; plan.second++)
            ;
}

/* A multiplicative congruential generator: the same pairs in each run. */
static unsigned next_random(unsigned end)
{
    run.rng = (unsigned)((uint64_t)run.rng * 48271 % 2147483647);
    return 1 + run.rng % end;
}

static void sweep_pairs_some(unsigned calls)
{
    struct plan plan = {.mishap = MISHAP_FAIL, .calls = CALLS_ALL};

    for (unsigned i = 0; i < PAIRS_MAX && calls; i++) {
        plan.first = next_random(calls);
        plan.second = next_random(calls - plan.first + 40);
        (void)run_case(&plan);
    }
}

static void sweep_others(void)
{
    const struct plan hung_reset = {.mishap = MISHAP_HUNG_RESET, .calls = CALLS_ALL, .first = 1};
    const struct plan hung_flush = {.mishap = MISHAP_HUNG_FLUSH, .calls = CALLS_ALL, .first = 1};

    sweep_calls(MISHAP_GONE, CALLS_OF_HOST);
    sweep_calls(MISHAP_ONES, CALLS_THAT_READ);
    sweep_calls(MISHAP_HELD, CALLS_OF_HOST);
    (void)run_case(&hung_reset);
    (void)run_case(&hung_flush);
}

/* How it goes without a mishap; returns how many calls it makes. */
static unsigned learn(void)
{
    static const struct plan nothing = {.first = 0};
    unsigned calls = 0;
    int error;

    place("undisturbed");
    refresh();
    take(&before);
    picture_check(&before);
    seam_plan(&nothing);
    error = run.sweep->run();
    for (unsigned i = 0; i < CALL_COUNT; i++)
        calls += seam.total[i];
    take(&done);
    picture_check(&done);
    if (error)
        complain("fails with %d, %s", error, berth_reason_name(stage.rig.why.reason));
    if (!picture_differs(&before, &done, run.place, 1) && !calls)
        complain("does nothing");
    run.is_fresh = false;
    return calls;
}

static void sweep_one(const struct sweep *sweep)
{
    unsigned calls;

    memset(&run, 0, sizeof(run));
    run.sweep = sweep;
    run.rng = 1;
    calls = learn();
    sweep_singles();
    if (is_full())
        sweep_pairs_all(calls);
    else
        sweep_pairs_some(calls);
    sweep_others();
    place("at the end");
    stage_down();
    if (!run.cases)
        complain("nothing could be made to fail");
    print_message("  %-28s %6u cases: %u as before, %u done, %u broken, %u other\n", sweep->name,
                  run.cases, run.unchanged, run.finished, run.lost, run.other);
}

void sweep_all(const struct sweep *sweeps, unsigned count)
{
    const char *only = getenv("BERTH_SWEEP_ONLY");

    complained = 0;
    for (unsigned i = 0; i < count; i++)
        if (!only || !strcmp(only, sweeps[i].name))
            sweep_one(&sweeps[i]);
    assert_int_equal(complained, 0);
}

int sweep_main(const struct CMUnitTest *tests, size_t count)
{
    int failed;

    holder_start();
    failed = _cmocka_run_group_tests("sweep", tests, count, NULL, NULL);
    holder_stop();
    stage_end();
    return failed;
}
