/* SPDX-License-Identifier: MIT */
/* Adding a device. */
#include "src/core/acs.h"
#include "src/core/bars.h"
#include "src/core/memory.h"
#include "src/core/phantom.h"
#include "src/core/probe.h"
#include "src/core/seam.h"
#include "src/core/share.h"
#include "src/core/space.h"
#include "src/core/topology.h"
#include "src/core/transition.h"

static const char tag_add[] = "add";

/* ---- steps of add ---- */

/* Left in add_run(), however the add ends. */
static int add_enter(struct transition *t)
{
    return topology_enter_above(t->dev, &t->above, &t->why);
}

static int add_claim(struct transition *t)
{
    int error = seam_claim(t->dev);

    if (error == -ENODEV)
        return refuse(&t->why, error, BERTH_REASON_NOTHING_THERE);
    if (error == -EBUSY)
        return refuse(&t->why, error, BERTH_REASON_HOST_CLAIM);
    return error;
}

/*
 * Where the way back has failed, the object goes nevertheless: the function is made quiet and its
 * contexts are blocked, as far as that works, while there is still a claim and a stake.
 */
static int add_unclaim(struct transition *t)
{
    if (t->lost)
        (void)registers_quiet(t->dev);
    seam_release(t->dev);
    return 0;
}

/* A VF counts at its PF before anything else: the PF can't go any more (F04), or is going. */
static int add_link_pf(struct transition *t)
{
    struct berth_function_facts facts = seam_describe(t->dev);
    struct pcidev *pf;

    if (t->info && t->info->is_vf) { /* who adds it knows best */
        facts.is_vf = true;
        facts.pf = t->info->pf;
    }
    if (facts.is_vf) {
        pf = pcidev_find(t->machine, facts.pf, tag_add);
        if (!pf)
            return refuse_other(&t->why, -ENODEV, BERTH_REASON_NO_PF, facts.pf);
        if (pf->traits.is_vf || !probe_is_vf_of(pf, t->dev->sbdf)) {
            pcidev_put(pf, tag_add);
            return refuse_other(&t->why, -ENODEV, BERTH_REASON_NOT_A_VF, facts.pf);
        }
    } else {
        pf = probe_find_pf(t->machine, t->dev->sbdf, tag_add);
        if (!pf)
            return 0;
    }
    if (!dependents_add(&pf->vfs)) {
        refuse_other(&t->why, -ENODEV, BERTH_REASON_NO_PF, pf->sbdf);
        pcidev_put(pf, tag_add);
        return -ENODEV;
    }
    device_hold(pf, HOLD_VF);
    t->dev->pf = pf;
    pcidev_put(pf, tag_add);
    return 0;
}

/* The link itself stays for as long as the object: somebody may have found it meanwhile. */
static int add_unlink_pf(struct transition *t)
{
    if (t->dev->pf)
        dependents_drop(&t->dev->pf->vfs);
    return 0;
}

static int add_probe(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = probe_traits(t, &t->dev->traits);

    if (!error && t->dev->traits.cap[CAP_SRIOV] && !t->dev->pf)
        error = probe_sriov(t->dev);
    if (!error)
        error = bars_latch(t->dev);
    if (error == -ENODEV)
        refuse(&t->why, error, BERTH_REASON_NOTHING_THERE);
    if (t->dev->traits.reservation == BERTH_RESERVE_HIDDEN)
        t->to = t->machine->hidden;
    return error;
}

/* M26: without these bits a switch lets its devices reach one another behind the IOMMU's back. */
static int add_enable_acs(struct transition *t)
{
    return acs_enable(t->dev, &t->saved.command); /* the undo's */
}

static int add_restore_acs(struct transition *t)
{
    unsigned cap = t->dev->traits.cap[CAP_ACS];

    return cap ? seam_write(t->dev, cap + PCI_ACS_CONTROL, 2, t->saved.command) : 0;
}

/* What is known to lose invalidations must not cache translations. */
static int add_errata(struct transition *t)
{
    unsigned cap = t->dev->traits.cap[CAP_ATS];

    if (!cap || !(t->dev->traits.errata & PCIDEV_ERRATUM_NO_ATS))
        return 0;
    return seam_update16(t->dev, cap + PCI_ATS_CONTROL, PCI_ATS_CONTROL_ENABLE, 0);
}

/* Next to what a guest has a part in a new device comes by way of the quarantine (O4). */
static int add_isolate(struct transition *t) REQUIRES(t->dev->lock)
{
    struct berth_refusal ignored = {.reason = BERTH_REASON_NONE};
    int error = device_has_contexts(t->dev) ? share_join(t->dev) : 0;

    if (error)
        return error;
    if (!share_reserve(t->dev, NULL, t->to, &ignored))
        return 0;
    if (t->to != t->machine->hidden) /* the hypervisor's stays with it */
        t->to = t->machine->quarantine;
    share_settle(t->dev, t->to);
    return 0;
}

static int add_unisolate(struct transition *t)
{
    share_settle(t->dev, NULL);
    return 0;
}

/* A real function is never a phantom (M03): whoever holds its id as one gives it up. */
static int add_phantoms(struct transition *t)
{
    return device_has_contexts(t->dev) ? phantom_yield(t->dev, &t->why) : 0;
}

static int add_stake(struct transition *t) REQUIRES(t->dev->lock)
{
    return device_has_contexts(t->dev) ? rids_stake(t->dev, &t->why) : 0;
}

static int add_unstake(struct transition *t) REQUIRES(t->dev->lock)
{
    if (t->lost)
        rids_contain(t->dev);
    rids_unstake(t->dev);
    return 0;
}

static int add_detach(struct transition *t) REQUIRES(t->dev->lock)
{
    return rids_move(t->dev, NULL, &t->why, &t->lost);
}

/* Those above a device have lower numbers each: whoever walks up cannot be led round in a loop. */
static int add_bridge_map(struct transition *t)
{
    struct pcidev *dev = t->dev;
    int error;

    if (!device_is_bridge(dev) || dev->traits.secondary_bus <= dev->sbdf.bus)
        return 0;
    error = machine_insert(t->machine, &t->machine->bridges, topology_bus_key(dev), dev);
    return error == -EEXIST ? 0 : error; /* two bridges claim one bus: the first one has it */
}

static int add_bridge_unmap(struct transition *t)
{
    topology_unmap_bridge(t->dev);
    return 0;
}

static int add_pf_map(struct transition *t)
{
    if (!atomic_load(&t->dev->enabled_vfs))
        return 0;
    return machine_insert(t->machine, &t->machine->pfs, sbdf_key(t->dev->sbdf), t->dev);
}

static int add_pf_unmap(struct transition *t)
{
    topology_unmap_pf(t->dev);
    return 0;
}

static int add_own(struct transition *t)
{
    return domain_link(t->to, t->dev);
}

static int add_disown(struct transition *t)
{
    domain_unlink(t->to, t->dev);
    return 0;
}

static int add_publish(struct transition *t)
{
    struct pcidev *dev = t->dev;
    int error;

    device_hold(dev, HOLD_REGISTRY);
    error = machine_insert(t->machine, &t->machine->devices, sbdf_key(dev->sbdf), dev);
    if (!error)
        return 0;
    device_unhold(dev, HOLD_REGISTRY);
    return error == -EEXIST ? refuse(&t->why, error, BERTH_REASON_EXISTS) : error;
}

static int add_unpublish(struct transition *t)
{
    machine_remove(t->machine, &t->machine->devices, sbdf_key(t->dev->sbdf));
    device_unhold(t->dev, HOLD_REGISTRY);
    return 0;
}

static int add_check_machine(struct transition *t)
{
    if (atomic_load(&t->machine->closing))
        return refuse_domain(&t->why, -EBUSY, BERTH_REASON_TEARDOWN, t->machine->hwdom);
    return 0;
}

static const struct step add_steps[] = {
    {"enter below bridges", add_enter, NULL},
    {"claim", add_claim, add_unclaim},
    {"link to PF", add_link_pf, add_unlink_pf},
    {"probe", add_probe, NULL},
    {"enable ACS", add_enable_acs, add_restore_acs},
    {"errata", add_errata, NULL},
    {"isolation", add_isolate, add_unisolate},
    {"phantoms", add_phantoms, NULL},
    {"requester ids", add_stake, add_unstake},
    {"quarantine space", step_make_space, step_free_space},
    {"map reserved", step_map_new, step_unmap_new},
    {"attach contexts", step_move, add_detach},
    {"bridge map", add_bridge_map, add_bridge_unmap},
    {"PF map", add_pf_map, add_pf_unmap},
    {"owner", add_own, add_disown},
    {"publish", add_publish, add_unpublish}, /* last: whoever finds it finds it whole */
    {"check machine", add_check_machine, NULL},
};

/* Whoever pulled it before it could be found had nobody to tell (A4). */
static void add_look_again(struct transition *t)
{
    bool answers;

    if (!registers_answer(t->dev, &answers) && !answers)
        pcidev_vanished(t->dev);
}

static int add_run(struct transition *t)
{
    int error = transition_begin(t);

    if (error)
        return error;
    error = TRANSITION_RUN(t, add_steps);
    topology_leave_above(&t->above);
    atomic_store(&t->dev->state, error ? PCIDEV_REMOVED : PCIDEV_PRESENT);
    if (error) {
        atomic_fetch_or(&t->dev->gate, GATE_SHUT);
    } else {
        add_look_again(t);
        step_reopen(t);
    }
    if (!error && device_is_bridge(t->dev)) /* it may have come later than they (M05) */
        share_update_behind(t->dev);
    return transition_end(t, error);
}

/* What needs no object: who asks, and whether the address is free. */
static int add_precheck(struct berth_machine *machine, struct sbdf sbdf,
                        const struct berth_request *request)
{
    struct berth_refusal why;
    bool taken;
    int error;

    refusal_begin(&why, sbdf);
    error = machine_permit(machine, request, BERTH_OP_ADD, NULL, &why);
    port_read_lock();
    taken = device_peek(machine, sbdf) != NULL;
    port_read_unlock();
    if (!error && taken)
        error = refuse(&why, -EEXIST, BERTH_REASON_EXISTS);
    return refusal_end(&why, error, request);
}

int pcidev_add(struct berth_machine *machine, struct sbdf sbdf, const struct pcidev_add_info *info,
               const struct berth_request *request)
{
    struct transition t = {.name = "add", .request = request, .info = info};
    int error = add_precheck(machine, sbdf, request);

    if (error)
        return error;
    t.dev = device_alloc(machine, sbdf, tag_add);
    t.to = machine->hwdom;
    if (!t.dev) {
        refusal_begin(&t.why, sbdf);
        return refusal_end(&t.why, refuse(&t.why, -ENOMEM, BERTH_REASON_NO_MEMORY), request);
    }
    error = add_run(&t);
    pcidev_put(t.dev, tag_add);
    return error;
}
