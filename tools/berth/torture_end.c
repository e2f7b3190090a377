/* SPDX-License-Identifier: MIT */
/*
 * The end of `berth torture`: failures stop, every card is plugged in, everything is given back.
 * Then the machine is filled and emptied once more: it has to be as good as new.
 */
#include <errno.h>
#include <inttypes.h>

#include "tools/berth/torture.h"

#define COMMAND 0x04
#define COMMAND_MASTER 0x4u
#define ROUNDS 5 /* bridges go after what is behind them */

static void mend(struct torture *torture)
{
    struct sim *sim = torture->machine.sim;
    const struct capture *capture = &torture->machine.capture;

    atomic_store(&torture->failing, false);
    for (unsigned op = 0; op <= SIM_OP_COUNT; op++)
        sim_fail(sim, (enum sim_op)op, 0, 0, 0);
    for (size_t i = 0; i < capture->count; i++) {
        (void)sim_hang_on_reset(sim, capture->functions[i].sbdf, false);
        (void)sim_hang_on_flush(sim, capture->functions[i].sbdf, false);
        (void)sim_return(sim, capture->functions[i].sbdf);
    }
}

/* O6: with nobody in a transition, a device that was contained is quiet. The host's own drivers may
 * turn it on again, and those of bridges do. */
static void containment_check(struct torture *torture, struct pcidev *dev)
{
    struct pcidev_section section PCIDEV_SECTION = {0};
    struct pcidev_info info;
    uint32_t command;
    char at[SBDF_TEXT_SIZE];

    pcidev_snapshot(dev, &info);
    if (!info.contained || info.disconnected || info.secondary_bus || torture->options.fail ||
        !pcidev_enter(dev, torture_tag, &section) || pcidev_config_read(dev, COMMAND, 2, &command))
        return;
    if (command != 0xffff && command & COMMAND_MASTER)
        flaw_found(&torture->flaws, FLAW_MASTERING, "%s of %s", sbdf_format(info.sbdf, at),
                   info.owner);
}

static void containment_walk(struct torture *torture)
{
    struct pcidev *dev = pcidev_next(torture->machine.machine, NULL, torture_tag);

    while (dev) {
        const struct sbdf at = pcidev_sbdf(dev);

        containment_check(torture, dev);
        pcidev_put(dev, torture_tag);
        dev = pcidev_next(torture->machine.machine, &at, torture_tag);
    }
}

/* A zombie may be torn down once what was in its way is gone, so all are asked again. */
static void guests_end(struct torture *torture)
{
    for (unsigned i = 0; i < TORTURE_GUESTS; i++) {
        struct torture_request r = {.request = {.why = &r.why}};
        struct berth_domain *guest =
            berth_domain_find(torture->machine.machine, torture_guest_name(i));

        if (!guest)
            continue;
        (void)torture_judge(torture, "destroy a guest at the end",
                            berth_domain_destroy(guest, &r.request), &r);
        berth_domain_put(guest);
    }
}

static void stranger_end(struct torture *torture)
{
    struct torture_request r = {.request = {.why = &r.why}};

    (void)torture_judge(torture, "destroy the stranger",
                        berth_domain_destroy(torture->stranger, &r.request), &r);
    berth_domain_put(torture->stranger);
    torture->stranger = NULL;
}

static void empty_round(struct torture *torture, struct torture_request *r)
{
    struct berth_machine *machine = torture->machine.machine;
    struct pcidev *dev = pcidev_next(machine, NULL, torture_tag);

    while (dev) {
        const struct sbdf at = pcidev_sbdf(dev);

        if (!pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &r->request))
            torture_gone(torture, dev);
        pcidev_put(dev, torture_tag);
        dev = pcidev_next(machine, &at, torture_tag);
    }
}

static void empty(struct torture *torture, struct worker *worker)
{
    struct torture_request r = {.request = {.why = &r.why}};
    char text[FLAW_DETAIL_SIZE - 32];

    for (unsigned i = 0; i < ROUNDS && berth_machine_count(torture->machine.machine); i++) {
        worker_does(worker, "removing everything");
        empty_round(torture, &r);
    }
    if (!berth_machine_count(torture->machine.machine))
        return;
    berth_refusal_text(&r.why, text, sizeof(text));
    flaw_found(&torture->flaws, FLAW_REFUSED, "removing everything: %s", text);
}

static void fill(struct torture *torture)
{
    struct berth_refusal why;
    char text[FLAW_DETAIL_SIZE - 32];

    if (!run_machine_add_all(&torture->machine, &why))
        return;
    berth_refusal_text(&why, text, sizeof(text));
    flaw_found(&torture->flaws, FLAW_REFUSED, "adding everything: %s", text);
}

struct run_excuse torture_excuse(const struct torture *torture)
{
    const bool fail = torture->options.fail;
    struct run_excuse excuse = {.gaps = true, .resetting = fail, .decode = fail, .bindings = fail};

    if (torture->options.fail)
        excuse.spaces_left = atomic_load(&torture->machine.events[BERTH_EVENT_LEAK]);
    return excuse;
}

static void balance(struct torture *torture)
{
    const struct run_excuse excuse = torture_excuse(torture);
    struct sim_counters now;

    berth_machine_settle(torture->machine.machine);
    sim_counters(torture->machine.sim, &now);
    flaws_of_balance(&torture->flaws, &torture->machine.empty, &now, &excuse);
    torture_maps_end(torture);
}

void torture_end(struct worker *worker, void *context)
{
    struct torture *torture = context;

    worker_does(worker, "plugging everything in");
    mend(torture);
    containment_walk(torture);
    worker_does(worker, "destroying the guests");
    guests_end(torture);
    stranger_end(torture);
    empty(torture, worker);
    worker_does(worker, "adding everything");
    fill(torture);
    empty(torture, worker);
    worker_does(worker, "destroying the guests");
    guests_end(torture);
    balance(torture);
}
