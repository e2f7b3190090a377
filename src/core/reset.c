/* SPDX-License-Identifier: MIT */
/* Reset as a transition (M09): the methods, the wait for readiness, the check afterwards. */
#include "src/core/scope.h"
#include "src/core/seam.h"

#define MS 1000000u
#define POLL_NS (5u * MS)
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

static int reset_flr(struct transition *t)
{
    unsigned reg = t->dev->traits.cap[CAP_PCIE] + PCI_EXP_DEVCTL;
    int error = seam_update16(t->dev, reg, 0, PCI_EXP_DEVCTL_FLR);

    if (!error)
        port_sleep_ns(RESET_SETTLE_NS);
    return error;
}

static int reset_af(struct transition *t)
{
    unsigned reg = t->dev->traits.cap[CAP_AF] + PCI_AF_CONTROL;
    int error = seam_write(t->dev, reg, 1, PCI_AF_CONTROL_FLR);

    if (!error)
        port_sleep_ns(RESET_SETTLE_NS);
    return error;
}

static int reset_pm(struct transition *t)
{
    unsigned reg = t->dev->traits.cap[CAP_PM] + PCI_PM_CONTROL;
    int error = seam_update16(t->dev, reg, PCI_PM_STATE, PCI_PM_D3HOT);

    if (error)
        return error;
    port_sleep_ns(PM_SETTLE_NS);
    error = seam_update16(t->dev, reg, PCI_PM_STATE, 0);
    if (!error)
        port_sleep_ns(PM_SETTLE_NS);
    return error;
}

/* With a section of the bridge open. */
static int toggle_secondary_reset(struct pcidev *bridge)
{
    int error = seam_update16(bridge, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CONTROL_RESET);

    if (error)
        return error;
    port_sleep_ns(BUS_RESET_NS);
    error = seam_update16(bridge, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CONTROL_RESET, 0);
    if (!error)
        port_sleep_ns(RESET_SETTLE_NS);
    return error;
}

static int reset_bus(struct transition *t)
{
    struct scope scope = {.count = 0};
    struct pcidev_section section;
    int error = scope_take(t, &scope);

    if (error)
        return error;
    if (pcidev_enter(scope.bridge, "bus reset", &section)) {
        error = toggle_secondary_reset(scope.bridge);
        pcidev_exit(&section);
    } else {
        error = refuse_other(&t->why, -EBUSY, BERTH_REASON_TRANSITION, scope.bridge->sbdf);
    }
    return scope_drop(&scope, error);
}

static int (*const methods[])(struct transition *t) = {
    [PCIDEV_RESET_HOST] = reset_host, [PCIDEV_RESET_FLR] = reset_flr, [PCIDEV_RESET_AF] = reset_af,
    [PCIDEV_RESET_PM] = reset_pm,     [PCIDEV_RESET_BUS] = reset_bus,
};

/* ---- afterwards ---- */

static int wait_until_ready(struct transition *t)
{
    uint64_t deadline = port_now_ns() + t->policy.reset_wait_ns;
    bool answers;
    int error = registers_answer(t->dev, &answers);

    while (!error && !answers && port_now_ns() < deadline) {
        port_sleep_ns(POLL_NS);
        error = registers_answer(t->dev, &answers);
    }
    if (!error && !answers)
        error = -EIO;
    return error;
}

static int check_identity(struct transition *t)
{
    const struct pcidev_traits *traits = &t->dev->traits;
    uint32_t id, class_revision;
    int error = seam_read(t->dev, PCI_VENDOR_ID, 4, &id);

    if (!error)
        error = seam_read(t->dev, PCI_CLASS_REVISION, 4, &class_revision);
    if (error)
        return error;
    if (!traits->is_vf && id != ((uint32_t)traits->device << 16 | traits->vendor))
        return -EIO;
    return class_revision >> 8 == traits->class_code ? 0 : -EIO;
}

static int reset_recover(struct transition *t)
{
    int error = wait_until_ready(t);

    if (!error)
        error = check_identity(t);
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

int step_reset(struct transition *t)
{
    const struct pcidev_traits *traits = &t->dev->traits;
    int error = -ENOTTY;

    if (device_disconnected(t->dev)) /* A4 */
        return 0;
    for (unsigned i = 0; i < traits->method_count && error == -ENOTTY; i++) {
        unsigned method = traits->methods[i];

        error = methods[method](t);
        event_device(t->dev, BERTH_EVENT_DO,
                     pcidev_reset_method_name((enum pcidev_reset_method)method), error);
    }
    return error ? reset_none(t, error) : reset_recover(t);
}

/* ---- the transition of its own ---- */

static int reset_explicit(struct transition *t)
{
    t->policy.require_reset = true; /* "nothing was done" is no answer to this question */
    return step_reset(t);
}

static const struct step reset_steps[] = {
    {"revoke", step_revoke, step_reopen},
    {"quiesce", step_quiesce, step_resume},
    {"reset", reset_explicit, NULL},
    {"resume", step_resume, NULL},
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
    if (dependents_read(&t->dev->vfs)) /* the VFs would go with it */
        return refuse_number(&t->why, -EBUSY, BERTH_REASON_HAS_VFS, dependents_read(&t->dev->vfs));
    return 0;
}

int pcidev_reset(struct pcidev *dev, const struct berth_request *request)
{
    struct transition t = {
        .name = "reset", .dev = dev, .request = request, .bus_reset_neighbours = true};
    int error;

    refusal_begin(&t.why, dev->sbdf);
    error = machine_permit(dev->machine, request, BERTH_OP_RESET, NULL, &t.why);
    if (error)
        return refusal_end(&t.why, error, request);
    error = transition_begin(&t);
    if (error)
        return error;
    error = reset_check(&t);
    if (!error)
        error = TRANSITION_RUN(&t, reset_steps);
    if (!error) {
        atomic_fetch_add(&dev->generation, 1);
        step_reopen(&t);
    }
    return transition_end(&t, error);
}
