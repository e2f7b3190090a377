/* SPDX-License-Identifier: MIT */
#include "tools/berth/torture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <berth_port.h>

#include "tools/berth/commands.h"
#include "tools/berth/table.h"

/*
 * Half of the time the clock is warped: sleeping moves it forward and returns at once. That way the
 * long waits of resets are run through by the thousand, and in the other half others really meet a
 * device that is in the middle of one.
 */
#define WARP_TURN_NS (500 * RUN_MS)

#define CAP_MSI 0x05
#define CAP_MSIX 0x11

/* ---- one thread ---- */

static unsigned op_count(const struct torture_op *table)
{
    unsigned count = 0;

    while (table[count].name)
        count++;
    return count;
}

/* Behind the last one of a table comes the next table; the last table ends without a name. */
static const struct torture_op *op_of(unsigned index)
{
    static const struct torture_op *const tables[] = {torture_transitions, torture_probes,
                                                      torture_accesses, torture_drivers};
    unsigned last = sizeof(tables) / sizeof(tables[0]) - 1;

    for (unsigned i = 0; i < last; i++) {
        unsigned count = op_count(tables[i]);

        if (index < count)
            return &tables[i][index];
        index -= count;
    }
    return &tables[last][index];
}

static unsigned op_weight(const struct torture *torture, const struct torture_op *op)
{
    return op->failing && !torture->options.fail ? 0 : op->weight;
}

static unsigned op_choose(struct torturer *t)
{
    const struct torture_op *op;
    uint32_t total = 0, at;
    unsigned i;

    for (i = 0; (op = op_of(i))->name; i++)
        total += op_weight(t->torture, op);
    at = torture_chance(t, total);
    for (i = 0; at >= op_weight(t->torture, op_of(i)); i++)
        at -= op_weight(t->torture, op_of(i));
    return i;
}

static void op_run(struct torturer *t)
{
    unsigned index = op_choose(t);
    const struct torture_op *op = op_of(index);
    struct torture_tally *tally = &t->tally[index];
    uint64_t begin = run_now_ns(), took;

    worker_does(t->worker, op->name);
    if (op->run(t))
        atomic_fetch_add_explicit(&tally->refused, 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&tally->done, 1, memory_order_relaxed);
    took = run_now_ns() - begin;
    if (took > tally->longest_ns)
        tally->longest_ns = took;
}

static void torturer_run(struct worker *worker, void *context)
{
    struct torturer *t = context;

    t->worker = worker;
    while (!atomic_load_explicit(&t->torture->stop, memory_order_relaxed))
        op_run(t);
    torture_continue(t, true);
    for (unsigned i = 0; i < TORTURE_HANDLES; i++) {
        if (t->handles[i])
            pcidev_handle_close(t->handles[i]);
    }
}

/* ---- sums ---- */

static uint64_t op_sum(const struct torture *torture, unsigned op, bool refused)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < torture->options.threads; i++) {
        const struct torture_tally *tally = &torture->torturers[i].tally[op];

        sum += atomic_load(refused ? &tally->refused : &tally->done);
    }
    return sum;
}

static uint64_t op_longest(const struct torture *torture, unsigned op)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < torture->options.threads; i++) {
        uint64_t own = torture->torturers[i].tally[op].longest_ns;

        longest = own > longest ? own : longest;
    }
    return longest;
}

static uint64_t all_sum(const struct torture *torture, bool refused)
{
    uint64_t sum = 0;

    for (unsigned op = 0; op_of(op)->name; op++)
        sum += op_sum(torture, op, refused);
    return sum;
}

/* ---- while it runs ---- */

static void stuck_check(struct torture *torture)
{
    const struct worker *stuck = workers_stuck(torture->workers, torture->options.threads + 1);

    if (stuck)
        report_stuck(&torture->options, &torture->flaws, stuck);
}

static void tell(struct torture *torture, struct pace *pace)
{
    uint64_t done = all_sum(torture, false);
    char number[16];

    pace_tell(pace,
              "%5.1f s left  %7s operations  %7s refused  %6" PRIu64 " removals  %" PRIu64
              " touches after removal",
              pace_left(pace), number_short((double)done, number),
              number_short((double)all_sum(torture, true), (char[16]){0}),
              atomic_load(&torture->removals), run_machine_touches(&torture->machine));
}

static void watch(struct torture *torture, struct pace *pace)
{
    while (pace_tick(pace)) {
        stuck_check(torture);
        port_posix_warp((run_now_ns() - pace->begin_ns) / WARP_TURN_NS % 2);
        if (pace_due(pace))
            tell(torture, pace);
    }
    tell(torture, pace);
    pace_end(pace);
}

static void wait_for(struct torture *torture, struct worker *workers, unsigned count)
{
    while (!workers_ended(workers, count)) {
        stuck_check(torture);
        run_sleep_ns(RUN_MS);
    }
    workers_join(workers, count);
}

static int threads_run(struct torture *torture, struct pace *pace)
{
    unsigned started = 0;
    int error = 0;

    while (started < torture->options.threads && !error) {
        error = worker_start(&torture->workers[started], "a torturer", torturer_run,
                             &torture->torturers[started]);
        started += !error;
    }
    if (!error)
        watch(torture, pace);
    atomic_store(&torture->stop, true);
    wait_for(torture, torture->workers, started);
    port_posix_warp(true); /* the rest need not take its time */
    if (!error)
        error = worker_start(&torture->workers[started], "the end", torture_end, torture);
    if (!error)
        wait_for(torture, &torture->workers[started], 1);
    return error;
}

/* ---- the report ---- */

static json_t *operations_json(const struct torture *torture)
{
    json_t *list = json_array();

    for (unsigned op = 0; op_of(op)->name; op++) {
        if (!op_weight(torture, op_of(op)))
            continue;
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "operation", op_of(op)->name,
                                              "done", (json_int_t)op_sum(torture, op, false),
                                              "refused", (json_int_t)op_sum(torture, op, true),
                                              "longest_ns", (json_int_t)op_longest(torture, op)));
    }
    return list;
}

static uint64_t maps_sum(struct torture *torture, bool unmaps)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < TORTURE_GUESTS; i++) {
        struct recorder *recorder = &torture->guests[i].recorder;

        pthread_mutex_lock(&recorder->lock);
        sum += unmaps ? recorder->unmaps : recorder->maps;
        pthread_mutex_unlock(&recorder->lock);
    }
    return sum;
}

/* What guests did, and what they were given. */
static json_t *counts_json(struct torture *torture)
{
    const struct torture_counts *c = &torture->counts;
    const _Atomic uint64_t *irqs = torture->machine.interrupts;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"config_accesses", atomic_load(&c->config)},
        {"bar_accesses", atomic_load(&c->bars)},
        {"table_writes", atomic_load(&c->tables)},
        {"vcpus_held", atomic_load(&c->held)},
        {"vcpus_stopped", atomic_load(&c->stopped)},
        {"maps", maps_sum(torture, false)},
        {"unmaps", maps_sum(torture, true)},
        {"interrupts_injected", atomic_load(&c->injected)},
        {"interrupts_intx", atomic_load(&c->lines)},
        {"interrupts_pending", atomic_load(&irqs[BERTH_IRQ_PENDING])},
        {"interrupts_dropped", atomic_load(&irqs[BERTH_IRQ_DROPPED])},
        {"errors", atomic_load(&c->errors)},
    };
    json_t *json = json_object();

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        json_object_set_new(json, counts[i].name, json_integer((json_int_t)counts[i].value));
    return json;
}

static const char *count_short(const json_t *counts, const char *name, char text[16])
{
    return number_short((double)json_integer_value(json_object_get(counts, name)), text);
}

static void counts_print(const json_t *counts)
{
    char text[5][16];

    printf("guests: %s config accesses, %s BAR accesses, %s writes of MSI-X entries, "
           "%s maps, %s unmaps\n",
           count_short(counts, "config_accesses", text[0]),
           count_short(counts, "bar_accesses", text[1]),
           count_short(counts, "table_writes", text[2]), count_short(counts, "maps", text[3]),
           count_short(counts, "unmaps", text[4]));
    printf("virtual CPUs: %s times held back, %s times ended like that; %s errors of devices\n",
           count_short(counts, "vcpus_held", text[0]),
           count_short(counts, "vcpus_stopped", text[1]), count_short(counts, "errors", text[2]));
    printf("interrupts: %s injected, %s by INTx, %s pending, %s dropped\n",
           count_short(counts, "interrupts_injected", text[0]),
           count_short(counts, "interrupts_intx", text[1]),
           count_short(counts, "interrupts_pending", text[2]),
           count_short(counts, "interrupts_dropped", text[3]));
}

static void report_print(const json_t *report)
{
    static const struct column columns[] = {
        {"OPERATION", cell_value, "operation", false},
        {"DONE", cell_value, "done", true},
        {"REFUSED", cell_value, "refused", true},
        {"LONGEST (ms)", cell_ms, "longest_ns", true},
    };

    table_print(columns, sizeof(columns) / sizeof(columns[0]),
                json_object_get(report, "operations"));
    printf("\n%" JSON_INTEGER_FORMAT " removals; devices broken %" JSON_INTEGER_FORMAT
           ", contained %" JSON_INTEGER_FORMAT ", guests crashed %" JSON_INTEGER_FORMAT "\n",
           json_integer_value(json_object_get(report, "removals")),
           json_integer_value(json_object_get(report, "broken")),
           json_integer_value(json_object_get(report, "contained")),
           json_integer_value(json_object_get(report, "crashed")));
    counts_print(json_object_get(report, "guests"));
    report_verdict_print(report);
}

static json_t *event_json(const struct torture *torture, enum berth_event_kind kind)
{
    return json_integer((json_int_t)atomic_load(&torture->machine.events[kind]));
}

static int report(struct torture *torture)
{
    const struct run_proof proof = {
        .accesses = atomic_load(&torture->counts.config) + atomic_load(&torture->counts.bars),
        .removals = atomic_load(&torture->removals),
        .interrupted = interrupt_seen(),
    };
    json_t *json =
        json_pack("{s:s, s:I, s:i, s:b, s:o, s:o, s:I, s:o, s:o, s:o}", "machine",
                  torture->machine.title, "seed", (json_int_t)torture->options.seed, "threads",
                  (int)torture->options.threads, "fail", torture->options.fail, "operations",
                  operations_json(torture), "guests", counts_json(torture), "removals",
                  (json_int_t)proof.removals, "broken", event_json(torture, BERTH_EVENT_BROKEN),
                  "contained", event_json(torture, BERTH_EVENT_CONTAINED), "crashed",
                  event_json(torture, BERTH_EVENT_CRASHED));
    int code = report_verdict(json, &torture->flaws, &proof);

    if (torture->options.json)
        json_print(json);
    else
        report_print(json);
    json_decref(json);
    return code;
}

/* ---- the command ---- */

static void fault_tell(void *context, struct sbdf rid)
{
    (void)berth_machine_fault(context, rid);
}

/* What the captured machine's drivers had turned on: here nothing is bound for them. */
static void messages_off(struct torture *torture)
{
    const struct capture *capture = &torture->machine.capture;
    struct place place = {.machine = torture->machine.machine};

    for (size_t i = 0; i < capture->count; i++) {
        unsigned msi, msix;

        place.at = capture->functions[i].sbdf;
        msi = place_capability(&place, CAP_MSI);
        msix = place_capability(&place, CAP_MSIX);
        if (msi)
            place_write(&place, msi + 2, 2, 0);
        if (msix)
            place_write(&place, msix + 2, 2, 0);
    }
}

static int prepare(struct torture *torture)
{
    const unsigned threads = torture->options.threads;
    const size_t workers_size = (threads + 1) * sizeof(*torture->workers);

    torture->asked = calloc(torture->machine.capture.count, sizeof(*torture->asked));
    torture->torturers = calloc(threads, sizeof(*torture->torturers));
    torture->workers = aligned_alloc(_Alignof(struct worker), workers_size);
    if (!torture->asked || !torture->torturers || !torture->workers)
        return -ENOMEM;
    memset(torture->workers, 0, workers_size);
    for (unsigned i = 0; i <= threads; i++)
        atomic_store(&torture->workers[i].ended, true); /* until it is started */
    for (unsigned i = 0; i < threads; i++) {
        torture->torturers[i].torture = torture;
        torture->torturers[i].chance = chance_make(torture->options.seed, i);
    }
    atomic_store(&torture->failing, torture->options.fail);
    messages_off(torture);
    sim_on_fault(torture->machine.sim, fault_tell, torture->machine.machine);
    return berth_domain_create(torture->machine.machine, "stranger", NULL, NULL,
                               &torture->stranger);
}

static void events_check(struct torture *torture)
{
    uint64_t crashed = atomic_load(&torture->machine.events[BERTH_EVENT_CRASHED]);
    uint64_t leaks = atomic_load(&torture->machine.events[BERTH_EVENT_LEAK]);

    if (torture->options.fail)
        return;
    if (crashed)
        flaw_found(&torture->flaws, FLAW_BROKEN, "%" PRIu64 " guests crashed", crashed);
    if (leaks)
        flaw_found(&torture->flaws, FLAW_REFERENCES, "%" PRIu64 " leaks reported", leaks);
}

static int perform(struct torture *torture)
{
    struct run_excuse excuse;
    struct pace pace;
    int error;

    pace_begin(&pace, torture->options.duration_ns, torture->options.json);
    error = threads_run(torture, &pace);
    if (error)
        flaw_found(&torture->flaws, FLAW_REFUSED, "a thread cannot be started: %s",
                   strerror(-error));
    sim_on_fault(torture->machine.sim, NULL, NULL);
    excuse = torture_excuse(torture);
    run_machine_close(&torture->machine, &torture->flaws, &excuse);
    events_check(torture);
    return report(torture);
}

static void torture_free(struct torture *torture)
{
    berth_domain_put(torture->stranger);
    run_machine_free(&torture->machine);
    torture_guests_destroy(torture);
    flaws_destroy(&torture->flaws);
    free(torture->asked);
    free(torture->torturers);
    free(torture->workers);
}

int cmd_torture(int argc, char **argv)
{
    static const struct sim_options quick = {
        .flr_ns = 5 * RUN_MS,
        .bus_reset_ns = 5 * RUN_MS,
        .pm_reset_ns = 5 * RUN_MS,
        .vf_enable_ns = 5 * RUN_MS,
    };
    struct torture torture = {.stop = false};
    char problem[RUN_LINE_SIZE];
    int code = EXIT_REFUSED;

    flaws_init(&torture.flaws);
    torture_guests_init(&torture);
    run_options_parse(RUN_TORTURE, argc, argv, &torture.options);
    interrupt_catch();
    if (!torture.options.json)
        printf("seed %" PRIu64 "\n", torture.options.seed);
    if (run_machine_open(&torture.machine, torture.options.machine, &quick, problem)) {
        report_problem(&torture.options, problem);
    } else {
        if (!torture.options.json)
            puts(torture.machine.title);
        if (prepare(&torture))
            report_problem(&torture.options, "the threads cannot be prepared");
        else
            code = perform(&torture);
    }
    torture_free(&torture);
    return code;
}
