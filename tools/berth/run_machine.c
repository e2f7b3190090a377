/* SPDX-License-Identifier: MIT */
/* The machine under test: captured, built, filled with devices; and its end. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <berth/pcidev.h>

#include "tools/berth/machine.h"
#include "tools/berth/run.h"

/* ---- which one ---- */

#define BASE_CLASS 0x0b /* the register's offset */
#define BASE_CLASS_BRIDGE 0x06

static bool only_bridges(const struct capture *capture)
{
    for (size_t i = 0; i < capture->count; i++) {
        if (capture->functions[i].config[BASE_CLASS] != BASE_CLASS_BRIDGE)
            return false;
    }
    return true;
}

static int load_shipped(struct run_machine *m, const char *why, char problem[RUN_LINE_SIZE])
{
    int error = machine_load("q35", &m->capture, problem, RUN_LINE_SIZE);

    if (!error)
        snprintf(m->title, sizeof(m->title), "q35 capture: %zu PCI functions, because %s",
                 m->capture.count, why);
    return error;
}

static void title_set(struct run_machine *m, const char *name)
{
    const bool host = !strcmp(name, "host");
    const size_t count = m->capture.count;

    snprintf(m->title, sizeof(m->title), "%.100s%s: %zu PCI function%s",
             host ? "this machine" : name, strcmp(name, "q35") ? "" : " capture", count,
             count == 1 ? "" : "s");
}

static int load(struct run_machine *m, const char *name, char problem[RUN_LINE_SIZE])
{
    int error = machine_load(name ? name : "host", &m->capture, problem, RUN_LINE_SIZE);

    if (!name && error)
        return load_shipped(m, "this machine has no PCI function that can be read", problem);
    if (!name && only_bridges(&m->capture)) {
        capture_free(&m->capture);
        return load_shipped(m, "this machine has no PCI function besides bridges", problem);
    }
    if (!error)
        title_set(m, name ? name : "host");
    return error;
}

/* ---- building it ---- */

static void event_count(void *context, const struct berth_event *event)
{
    struct run_machine *m = context;

    if (event->kind < EVENT_KINDS)
        atomic_fetch_add_explicit(&m->events[event->kind], 1, memory_order_relaxed);
}

static void interrupt_tell(void *context, const struct berth_irq *irq, unsigned vector)
{
    struct run_machine *m = context;
    enum berth_irq_result result = berth_machine_interrupt(m->machine, irq, vector);

    atomic_fetch_add_explicit(&m->interrupts[result], 1, memory_order_relaxed);
}

static int build(struct run_machine *m, const struct sim_options *options,
                 char problem[RUN_LINE_SIZE])
{
    struct berth_machine_config config = {
        .host = &sim_host_ops,
        .bars = &sim_bar_ops,
        .iommu = &sim_iommu_ops,
        .irqs = &sim_irq_ops,
        .event = event_count,
        .event_context = m,
    };
    struct capture_error error = {0};
    int result = sim_create(&m->capture, options, &m->sim, &error);

    if (!result) {
        config.host_context = config.iommu_context = config.irq_context = m->sim;
        result = berth_machine_create(&config, &m->machine);
    }
    if (!result)
        sim_on_interrupt(m->sim, interrupt_tell, m);
    if (result)
        snprintf(problem, RUN_LINE_SIZE, "the machine cannot be built: %s",
                 error.text[0] ? error.text : strerror(-result));
    return result;
}

struct adding {
    struct run_machine *m;
    struct berth_refusal *first;
    unsigned refused;
};

static int add_one(void *context, struct sbdf sbdf)
{
    struct adding *adding = context;
    struct berth_refusal why = {.reason = BERTH_REASON_NONE};
    const struct berth_request request = {.why = &why};
    int error = pcidev_add(adding->m->machine, sbdf, NULL, &request);

    if (!error || error == -EEXIST)
        return 0;
    if (!adding->refused++ && adding->first)
        *adding->first = why;
    return 0;
}

unsigned run_machine_add_all(struct run_machine *m, struct berth_refusal *first)
{
    struct adding adding = {.m = m, .first = first};

    (void)sim_enumerate(m->sim, add_one, &adding);
    return adding.refused;
}

int run_machine_open(struct run_machine *m, const char *name, const struct sim_options *options,
                     char problem[RUN_LINE_SIZE])
{
    struct berth_refusal why;
    char text[FLAW_DETAIL_SIZE];
    unsigned refused;
    int error;

    memset(m, 0, sizeof(*m));
    error = load(m, name, problem);
    if (!error)
        error = build(m, options, problem);
    if (error) {
        run_machine_free(m);
        return error;
    }
    sim_counters(m->sim, &m->empty);
    refused = run_machine_add_all(m, &why);
    if (refused) {
        berth_refusal_text(&why, text, sizeof(text));
        fprintf(stderr, "berth: %u functions cannot be added; the first: %s\n", refused, text);
    }
    m->functions = berth_machine_count(m->machine);
    sim_counters(m->sim, &m->full);
    return 0;
}

/* ---- its end ---- */

void run_machine_close(struct run_machine *m, struct run_flaws *flaws,
                       const struct run_excuse *excuse)
{
    const struct sim_counters nothing = {0};
    struct sim_counters now;
    unsigned left;

    sim_on_interrupt(m->sim, NULL, NULL);
    left = berth_machine_destroy(m->machine);

    m->machine = NULL;
    if (left)
        flaw_found(flaws, FLAW_REFERENCES, "%u when the machine was destroyed", left);
    if (atomic_load(&m->events[BERTH_EVENT_MISUSE]))
        flaw_found(flaws, FLAW_MISUSE, "%" PRIu64 " events",
                   atomic_load(&m->events[BERTH_EVENT_MISUSE]));
    sim_counters(m->sim, &now);
    flaws_of_balance(flaws, &nothing, &now, excuse);
    flaws_of_counters(flaws, &now, excuse);
}

void run_machine_free(struct run_machine *m)
{
    (void)berth_machine_destroy(m->machine);
    sim_destroy(m->sim);
    capture_free(&m->capture);
}

uint64_t run_machine_touches(const struct run_machine *m)
{
    struct sim_counters now;

    sim_counters(m->sim, &now);
    return now.touches_after_release;
}
