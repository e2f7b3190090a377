/* SPDX-License-Identifier: MIT */
/* Reset as a transition (M09): the methods, the wait for readiness, the check afterwards. */
#include "src/core/reset.h"

#include "src/core/scope.h"
#include "src/core/seam.h"
#include "src/core/vfs.h"

#define MS 1000000u
#define POLL_NS (5u * MS)
#define PENDING_POLLS 20u /* 100 ms */
/* A write that ends a reset must not be lost to a passing trouble. */
#define END_TRIES 20u
/* PCIe 6.6.1 and 6.6.2: nothing may be asked of a function for so long after a reset */
#define RESET_SETTLE_NS (100u * MS)
/* PCI PM 5.4: D0 to D3hot and back take 10 ms each */
#define PM_SETTLE_NS (10u * MS)
/* PCI-to-PCI Bridge 3.2.5.17 asks for 1 ms at least */
#define BUS_RESET_NS (2u * MS)

static int reset_host(struct transition *t)
{
    return seam_reset(t->dev);
}

/*
 * PCIe 6.6.2: completions that are still on their way would hit a function which no longer knows of
 * them. A device that never settles is reset nevertheless.
 */
static int wait_for_pending(struct transition *t, unsigned reg, unsigned length, uint32_t pending)
{
    uint32_t status;
    int error = seam_read(t->dev, reg, length, &status);

    for (unsigned i = 0; i < PENDING_POLLS && !error && status & pending; i++) {
        port_sleep_ns(POLL_NS);
        error = seam_read(t->dev, reg, length, &status);
    }
    return error;
}

static int reset_flr(struct transition *t)
{
    unsigned cap = t->dev->traits.cap[CAP_PCIE];
    int error = wait_for_pending(t, cap + PCI_EXP_DEVSTA, 2, PCI_EXP_DEVSTA_PENDING);

    if (!error)
        error = seam_update16(t->dev, cap + PCI_EXP_DEVCTL, 0, PCI_EXP_DEVCTL_FLR);

    if (!error)
        port_sleep_ns(RESET_SETTLE_NS);
    return error;
}

static int reset_af(struct transition *t)
{
    unsigned cap = t->dev->traits.cap[CAP_AF];
    int error = wait_for_pending(t, cap + PCI_AF_STATUS, 1, PCI_AF_STATUS_PENDING);

    if (!error)
        error = seam_write(t->dev, cap + PCI_AF_CONTROL, 1, PCI_AF_CONTROL_FLR);

    if (!error)
        port_sleep_ns(RESET_SETTLE_NS);
    return error;
}

/* PCI Local Bus 3.0, 4.3.2: conventional devices have 2^25 clocks, a second, before the first
 * access */
#define CONVENTIONAL_SETTLE_NS (1000u * MS)

/* Ends a reset that has begun; where that can't be done the device stays in it. */
static int update_surely(struct pcidev *dev, unsigned reg, uint16_t clear)
{
    int error = -EIO;

    for (unsigned i = 0; i < END_TRIES && error; i++) {
        if (i)
            port_sleep_ns(POLL_NS);
        error = seam_update16(dev, reg, clear, 0);
    }
    return error;
}

static int reset_pm(struct transition *t)
{
    unsigned reg = t->dev->traits.cap[CAP_PM] + PCI_PM_CONTROL;
    int error = seam_update16(t->dev, reg, PCI_PM_STATE, PCI_PM_D3HOT);

    if (error)
        return error;
    port_sleep_ns(PM_SETTLE_NS);
    error = update_surely(t->dev, reg, PCI_PM_STATE);
    t->dead = error != 0;
    if (!error)
        port_sleep_ns(PM_SETTLE_NS);
    return error;
}

/* With a section of the bridge open. *@stuck: the bus could not be taken out of its reset again. */
static int toggle_secondary_reset(struct pcidev *bridge, bool *stuck)
{
    int error = seam_update16(bridge, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CONTROL_RESET);

    if (error)
        return error;
    port_sleep_ns(BUS_RESET_NS);
    error = update_surely(bridge, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CONTROL_RESET);
    *stuck = error != 0;
    if (!error)
        port_sleep_ns(bridge->traits.type == PCIDEV_PCIE_BRIDGE ? RESET_SETTLE_NS
                                                                : CONVENTIONAL_SETTLE_NS);
    return error;
}

static int reset_bus(struct transition *t) REQUIRES(t->dev->lock)
{
    struct scope scope = {.count = 0};
    struct pcidev_section section;
    int error = scope_take(t, &scope);

    if (error)
        return error;
    if (pcidev_enter(scope.bridge, "bus reset", &section)) {
        error = toggle_secondary_reset(scope.bridge, &t->dead);
        pcidev_exit(&section);
    } else {
        error = refuse_other(&t->why, -EBUSY, BERTH_REASON_TRANSITION, scope.bridge->sbdf);
    }
    return scope_drop(t, &scope, error);
}

static int (*const methods[])(struct transition *t) = {
    [PCIDEV_RESET_HOST] = reset_host, [PCIDEV_RESET_FLR] = reset_flr, [PCIDEV_RESET_AF] = reset_af,
    [PCIDEV_RESET_PM] = reset_pm,     [PCIDEV_RESET_BUS] = reset_bus,
};

/* ---- afterwards ---- */

static int reset_recover(struct transition *t)
{
    int error = registers_wait(t->dev, t->policy.reset_wait_ns);

    device_new_generation(t->dev); /* whatever comes of it: its state is gone (V6) */
    if (!error)
        error = registers_check_identity(t->dev);
    if (!error)
        error = registers_restore_quiet(t->dev, &t->saved);
    if (error) {
        t->dead = true;
        return refuse(&t->why, -EIO, BERTH_REASON_RESET_FAILED);
    }
    return 0;
}

static int reset_none(struct transition *t, int error)
{
    if (error != -ENOTTY)
        return error;
    return t->policy.require_reset ? refuse(&t->why, error, BERTH_REASON_NO_RESET) : 0;
}

/* Ways that are not a write to the device itself. */
static bool from_outside(unsigned method)
{
    return method == PCIDEV_RESET_HOST || method == PCIDEV_RESET_BUS;
}

int step_reset(struct transition *t)
{
    const struct pcidev_traits *traits = &t->dev->traits;
    int error = -ENOTTY;

    if (device_disconnected(t->dev)) /* A4 */
        return 0;
    for (unsigned i = 0; i < traits->method_count && error == -ENOTTY; i++) {
        unsigned method = traits->methods[i];

        if (t->unreachable && !from_outside(method))
            continue;
        error = methods[method](t);
        if (error == -EIO && method == PCIDEV_RESET_HOST)
            error = -ENOTTY; /* nothing was done: another method may do */
        event_device(t->dev, BERTH_EVENT_DO,
                     pcidev_reset_method_name((enum pcidev_reset_method)method), error);
    }
    return error ? reset_none(t, error) : reset_recover(t);
}

/* ---- the transition of its own ---- */

static int reset_explicit(struct transition *t) REQUIRES(t->dev->lock)
{
    int error;

    t->policy.require_reset = true; /* "nothing was done" is no answer to this question */
    error = step_reset(t);
    t->power_on = t->tenancy && !error; /* where it was not reset the guest finds it as it was */
    return error;
}

int step_close_vfs(struct transition *t)
{
    if (dependents_close_if_none(&t->dev->vfs))
        return 0;
    return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, dependents_read(&t->dev->vfs));
}

int step_open_vfs(struct transition *t)
{
    dependents_reopen(&t->dev->vfs);
    return 0;
}

static const struct step reset_steps[] = {
    {"close VFs", step_close_vfs, step_open_vfs},
    {"revoke", step_revoke, step_reopen},
    {"withdraw view", step_withdraw, step_restore_view},
    {"quiesce", step_quiesce, step_resume},
    {"reset", reset_explicit, NULL},
    {"resume", step_resume, NULL},
    {"restore view", step_restore_view, NULL},
};

static int reset_check(struct transition *t)
{
    if (device_disconnected(t->dev))
        return refuse(&t->why, -ENODEV, BERTH_REASON_DISCONNECTED);
    if (t->dev->traits.reservation == BERTH_RESERVE_HIDDEN)
        return refuse(&t->why, -EBUSY, BERTH_REASON_HIDDEN);
    if (t->dev->traits.reservation == BERTH_RESERVE_READ_ONLY)
        return refuse(&t->why, -EBUSY, BERTH_REASON_READ_ONLY);
    if (device_is_bridge(t->dev))
        return refuse(&t->why, -ENOTTY, BERTH_REASON_NO_RESET);
    if (atomic_load(&t->dev->enabled_vfs)) /* they would go with it, added or not */
        return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS,
                             atomic_load(&t->dev->enabled_vfs));
    return 0;
}

static int reset_run(struct transition *t) RELEASES(t->dev->lock)
{
    int error = reset_check(t);

    if (!error)
        error = TRANSITION_RUN(t, reset_steps);
    if (!error) {
        step_reopen(t);
        step_open_vfs(t);
    }
    return transition_end(t, error);
}

int reset_for_guest(struct pcidev *dev, struct berth_domain *guest, uint32_t generation)
{
    const struct tenancy tenancy = {.guest = guest, .exact = true, .generation = generation};
    struct transition t = {
        .name = "guest reset", .dev = dev, .takes_turn = true, .tenancy = &tenancy};
    int error = vfs_begin(&t, &tenancy); /* VFs would go with the reset of their PF */

    if (error)
        return error == -ETIMEDOUT ? -EAGAIN : error;
    if (!tenancy_holds(&tenancy, dev)) /* V6: somebody was faster */
        return transition_end(&t, 0);
    return reset_run(&t);
}

int pcidev_reset(struct pcidev *dev, const struct berth_request *request)
{
    struct transition t = {.name = "reset",
                           .dev = dev,
                           .request = request,
                           .takes_turn = true,
                           .bus_reset_neighbours = true};
    int error;

    refusal_begin(&t.why, dev->sbdf);
    error = machine_permit(dev->machine, request, BERTH_OP_RESET, NULL, &t.why);
    if (error)
        return refusal_end(&t.why, error, request);
    error = transition_begin(&t);
    if (error)
        return error;
    return reset_run(&t);
}
