/* SPDX-License-Identifier: MIT */
/*
 * `berth run`: the demonstration. Two guests access the devices of a machine without a pause while
 * these are lent, pulled by force, put back and lent again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/guests.h"
#include "tools/berth/commands.h"
#include "tools/berth/run_stage.h"
#include "tools/berth/table.h"

/* ---- setting the stage ---- */

static int guest_view_set(struct run_guest *guest)
{
    const struct berth_view_config view = {
        .ops = &recorder_ops,
        .context = &guest->recorder,
        .windows = guest_windows,
        .window_count = GUEST_WINDOWS,
        .no_host_bridge = true,
    };

    return berth_domain_set_view(guest->domain, &view);
}

static int guests_create(struct run_stage *stage)
{
    static const char *const names[GUESTS] = {"vm1", "vm2"};
    int error = 0;

    for (unsigned i = 0; i < GUESTS && !error; i++) {
        struct run_guest *guest = &stage->guests[i];

        guest->stage = stage;
        guest->index = i;
        sem_init(&guest->bell, 0, 0);
        recorder_init(&guest->recorder);
        error = berth_domain_create(stage->machine.machine, names[i], &guest_ops, guest,
                                    &guest->domain);
        if (!error)
            error = guest_view_set(guest);
    }
    return error;
}

static int vcpus_create(struct run_stage *stage)
{
    for (unsigned i = 0; i < GUESTS * VCPUS; i++) {
        struct run_vcpu *vcpu = &stage->vcpus[i];

        vcpu->guest = &stage->guests[i % GUESTS];
        vcpu->chance = chance_make(stage->options.seed, ADMINS_MAX + i);
        vcpu->accesses = calloc(stage->slot_count, sizeof(*vcpu->accesses));
        if (!vcpu->accesses)
            return -ENOMEM;
    }
    return 0;
}

static void admins_create(struct run_stage *stage)
{
    stage->admin_count = stage->slot_count < ADMINS_MAX ? stage->slot_count : ADMINS_MAX;
    for (unsigned i = 0; i < stage->admin_count; i++)
        stage->admins[i] = (struct run_admin){
            .stage = stage, .index = i, .chance = chance_make(stage->options.seed, i)};
}

static int worker_add(struct run_stage *stage, const char *name,
                      void (*run)(struct worker *worker, void *context), void *context)
{
    int error = worker_start(&stage->workers[stage->worker_count], name, run, context);

    stage->worker_count += !error;
    return error;
}

static int workers_start(struct run_stage *stage)
{
    int error = 0;

    for (unsigned i = 0; i < stage->admin_count && !error; i++)
        error = worker_add(stage, "an admin", admin_run, &stage->admins[i]);
    for (unsigned i = 0; i < GUESTS * VCPUS && !error; i++)
        error = worker_add(stage, "a vCPU", vcpu_run, &stage->vcpus[i]);
    for (unsigned i = 0; i < GUESTS && !error; i++)
        error = worker_add(stage, "a guest's agent", agent_run, &stage->guests[i]);
    return error;
}

/* ---- while it runs ---- */

static uint64_t accesses_sum(const struct run_stage *stage)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < stage->slot_count; i++)
        sum += slot_accesses(stage, i);
    return sum;
}

static uint64_t removals_sum(const struct run_stage *stage)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < stage->slot_count; i++)
        sum += atomic_load_explicit(&stage->slots[i].removals, memory_order_relaxed);
    return sum;
}

static void stuck_check(struct run_stage *stage)
{
    const struct worker *stuck = workers_stuck(stage->workers, stage->worker_count);

    if (stuck)
        report_stuck(&stage->options, &stage->flaws, stuck);
}

struct rate {
    uint64_t accesses, time_ns;
};

static void tell(struct run_stage *stage, struct pace *pace, struct rate *last)
{
    const struct rate now = {accesses_sum(stage), run_now_ns()};
    double seconds = (double)(now.time_ns - last->time_ns + 1) / (double)RUN_SECOND;
    char rate[16];

    pace_tell(
        pace,
        "%5.1f s left  %7s accesses/s  %6" PRIu64 " removals  %" PRIu64 " touches after removal",
        pace_left(pace), number_short((double)(now.accesses - last->accesses) / seconds, rate),
        removals_sum(stage), run_machine_touches(&stage->machine));
    *last = now;
}

static void watch(struct run_stage *stage, struct pace *pace)
{
    struct rate last = {0, run_now_ns()};

    while (pace_tick(pace)) {
        stuck_check(stage);
        if (pace_due(pace))
            tell(stage, pace, &last);
    }
    tell(stage, pace, &last);
    pace_end(pace);
}

/* Each admin ends the life that its device is in; the guests go on until then. */
static void workers_stop(struct run_stage *stage)
{
    unsigned admins =
        stage->admin_count < stage->worker_count ? stage->admin_count : stage->worker_count;

    atomic_store(&stage->stop_admins, true);
    while (!workers_ended(stage->workers, admins)) {
        stuck_check(stage);
        run_sleep_ns(RUN_MS);
    }
    atomic_store(&stage->stop_guests, true);
    for (unsigned i = 0; i < GUESTS; i++)
        sem_post(&stage->guests[i].bell);
    while (!workers_ended(stage->workers, stage->worker_count)) {
        stuck_check(stage);
        run_sleep_ns(RUN_MS);
    }
    workers_join(stage->workers, stage->worker_count);
}

/* ---- the report ---- */

static json_t *devices_json(const struct run_stage *stage)
{
    json_t *devices = json_array();

    for (unsigned i = 0; i < stage->slot_count; i++) {
        const struct run_slot *slot = &stage->slots[i];
        struct sim_counters counters;
        char at[SBDF_TEXT_SIZE];

        sim_function_counters(stage->machine.sim, slot->sbdf, &counters);
        json_array_append_new(
            devices,
            json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "sbdf",
                      sbdf_format(slot->sbdf, at), "name", slot->name, "accesses",
                      (json_int_t)slot->accesses, "assigns", (json_int_t)slot->assigns, "removals",
                      (json_int_t)atomic_load(&slot->removals), "longest_removal_ns",
                      (json_int_t)slot->longest_ns, "references_left", (json_int_t)slot->left,
                      "touches_after_removal", (json_int_t)counters.touches_after_release));
    }
    return devices;
}

static uint64_t longest_ns(const struct run_stage *stage)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < stage->slot_count; i++)
        longest = stage->slots[i].longest_ns > longest ? stage->slots[i].longest_ns : longest;
    return longest;
}

static uint64_t assigns_sum(const struct run_stage *stage)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < stage->slot_count; i++)
        sum += stage->slots[i].assigns;
    return sum;
}

static json_t *totals_json(const struct run_stage *stage, double seconds)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "devices", (json_int_t)stage->slot_count, "accesses",
        (json_int_t)accesses_sum(stage), "assigns", (json_int_t)assigns_sum(stage), "removals",
        (json_int_t)removals_sum(stage), "longest_removal_ns", (json_int_t)longest_ns(stage),
        "seconds", seconds, "accesses_per_second", (double)accesses_sum(stage) / seconds);
}

static void report_print(const json_t *report)
{
    static const struct column columns[] = {
        {"ADDRESS", cell_value, "sbdf", false},
        {"NAME", cell_value, "name", false},
        {"ACCESSES", cell_value, "accesses", true},
        {"ASSIGNS", cell_value, "assigns", true},
        {"REMOVALS", cell_value, "removals", true},
        {"LONGEST (ms)", cell_ms, "longest_removal_ns", true},
        {"REFS LEFT", cell_value, "references_left", true},
        {"TOUCHES AFTER", cell_value, "touches_after_removal", true},
    };
    const json_t *totals = json_object_get(report, "totals");
    char rate[16];

    table_print(columns, sizeof(columns) / sizeof(columns[0]), json_object_get(report, "devices"));
    printf("\n%" JSON_INTEGER_FORMAT " devices, %" JSON_INTEGER_FORMAT
           " assigns, %" JSON_INTEGER_FORMAT " removals in %.1f s; %s accesses/s; the longest "
           "removal took %.3f ms\n",
           json_integer_value(json_object_get(totals, "devices")),
           json_integer_value(json_object_get(totals, "assigns")),
           json_integer_value(json_object_get(totals, "removals")),
           json_real_value(json_object_get(totals, "seconds")),
           number_short(json_real_value(json_object_get(totals, "accesses_per_second")), rate),
           (double)json_integer_value(json_object_get(totals, "longest_removal_ns")) /
               (double)RUN_MS);
    report_verdict_print(report);
}

static int report(struct run_stage *stage, double seconds)
{
    const struct run_proof proof = {
        .accesses = accesses_sum(stage),
        .removals = removals_sum(stage),
        .interrupted = interrupt_seen(),
    };
    json_t *json = json_pack("{s:s, s:I, s:o, s:o}", "machine", stage->machine.title, "seed",
                             (json_int_t)stage->options.seed, "devices", devices_json(stage),
                             "totals", totals_json(stage, seconds));
    int code = report_verdict(json, &stage->flaws, &proof);

    if (stage->options.json)
        json_print(json);
    else
        report_print(json);
    json_decref(json);
    return code;
}

/* ---- the command ---- */

static const char *stage_set(struct run_stage *stage, char problem[RUN_LINE_SIZE])
{
    int error;

    if (slots_find(stage, problem))
        return problem;
    admins_create(stage);
    error = guests_create(stage);
    if (!error)
        error = vcpus_create(stage);
    if (!error)
        return NULL;
    snprintf(problem, RUN_LINE_SIZE, "the guests cannot be created: %s", strerror(-error));
    return problem;
}

static void events_check(struct run_stage *stage)
{
    uint64_t broken = atomic_load(&stage->machine.events[BERTH_EVENT_BROKEN]);
    uint64_t crashed = atomic_load(&stage->machine.events[BERTH_EVENT_CRASHED]);

    if (broken || crashed)
        flaw_found(&stage->flaws, FLAW_BROKEN, "%" PRIu64 " devices, %" PRIu64 " guests", broken,
                   crashed);
}

static int perform(struct run_stage *stage)
{
    struct pace pace;
    double seconds;
    int error;

    pace_begin(&pace, stage->options.duration_ns, stage->options.json);
    error = workers_start(stage);
    if (error)
        flaw_found(&stage->flaws, FLAW_REFUSED, "a thread cannot be started: %s", strerror(-error));
    else
        watch(stage, &pace);
    workers_stop(stage);
    seconds = (double)(run_now_ns() - pace.begin_ns) / (double)RUN_SECOND;
    admin_give_back(stage);
    events_check(stage);
    run_machine_close(&stage->machine, &stage->flaws, &(struct run_excuse){0});
    return report(stage, seconds);
}

static void stage_free(struct run_stage *stage)
{
    for (unsigned i = 0; i < GUESTS; i++)
        berth_domain_put(stage->guests[i].domain);
    for (unsigned i = 0; i < GUESTS * VCPUS; i++)
        free(stage->vcpus[i].accesses);
    run_machine_free(&stage->machine);
    for (unsigned i = 0; i < GUESTS; i++)
        recorder_destroy(&stage->guests[i].recorder);
    flaws_destroy(&stage->flaws);
    free(stage->slots);
    free(stage);
}

int cmd_run(int argc, char **argv)
{
    struct run_stage *stage = aligned_alloc(64, sizeof(*stage));
    char problem[RUN_LINE_SIZE];
    int code = EXIT_REFUSED;

    if (!stage) {
        fprintf(stderr, "berth: out of memory\n");
        return EXIT_REFUSED;
    }
    memset(stage, 0, sizeof(*stage));
    flaws_init(&stage->flaws);
    run_options_parse(RUN_DEMONSTRATION, argc, argv, &stage->options);
    interrupt_catch();
    if (run_machine_open(&stage->machine, stage->options.machine, NULL, problem)) {
        report_problem(&stage->options, problem);
    } else {
        if (!stage->options.json)
            puts(stage->machine.title);
        if (stage_set(stage, problem))
            report_problem(&stage->options, problem);
        else
            code = perform(stage);
    }
    stage_free(stage);
    return code;
}
