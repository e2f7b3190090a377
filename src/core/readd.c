/* SPDX-License-Identifier: MIT */
/* Looking at a device again that has come back, or has changed (M08). */
#include "src/core/acs.h"
#include "src/core/bars.h"
#include "src/core/memory.h"
#include "src/core/probe.h"
#include "src/core/recover.h"
#include "src/core/seam.h"
#include "src/core/share.h"
#include "src/core/topology.h"
#include "src/core/view.h"

#define MSI_LAYOUT (PCI_MSI_CONTROL_64BIT | PCI_MSI_CONTROL_MASK)

/* ---- steps ---- */

/*
 * All of it or nothing (F17). Who the device is and where it stands never changes while the object
 * lives: others read that without a lock. Who lost its power lost its command register too.
 */
static void readd_apply(struct transition *t, const struct pcidev_traits *fresh, bool was_gone)
{
    struct pcidev_traits *traits = &t->dev->traits;

    traits->config_size = fresh->config_size;
    traits->ext_aliased = fresh->ext_aliased;
    for (unsigned cap = 0; cap < CAP_COUNT; cap++)
        traits->cap[cap] = fresh->cap[cap];
    for (unsigned i = 0; i < PCIDEV_METHODS_MAX; i++)
        traits->methods[i] = fresh->methods[i];
    traits->method_count = fresh->method_count;
    if (!was_gone && !domain_is_guest(t->from))
        traits->baseline_command = fresh->baseline_command;
}

/* O6: whoever lost its power may have bus mastering on again, the firmware's setting. */
static int readd_contain(struct transition *t)
{
    if (!atomic_load(&t->dev->contained))
        return 0;
    return seam_update8(t->dev, PCI_COMMAND, PCI_COMMAND_MASTER, 0);
}

/* A PF that was without power has lost its VFs; those that are still registered answer no more. */
static int readd_vfs(struct transition *t)
{
    struct pcidev *dev = t->dev;
    int error;

    if (!dev->traits.cap[CAP_SRIOV] || dev->pf || dependents_read(&dev->vfs))
        return 0;
    error = probe_sriov(dev);
    if (!error && !atomic_load(&dev->enabled_vfs))
        topology_unmap_pf(dev);
    return error;
}

/* A view has the registers of the device for which it was made. */
static bool is_other_device(const struct transition *t, const struct pcidev_traits *fresh)
{
    const struct pcidev_traits *old = &t->dev->traits;

    if (fresh->vendor != old->vendor || fresh->device != old->device ||
        fresh->class_code != old->class_code || fresh->type != old->type)
        return true;
    return domain_is_guest(t->from) && (fresh->config_size != old->config_size ||
                                        ((fresh->msi_control ^ old->msi_control) & MSI_LAYOUT) ||
                                        fresh->rebar_count != old->rebar_count ||
                                        memcmp(fresh->cap, old->cap, sizeof(old->cap)) != 0);
}

/*
 * A guest's maps lead to where the BARs were when the device was lent (O2). It gets the registers
 * of that time back, and decode stays off until the BARs are known to be there. Else they stand
 * where the host has put them, and the guest is not let near.
 */
static int readd_place(struct transition *t, const struct bar_set *lent) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;
    struct registers image = atomic_load(&dev->recovery)->registers;
    int error = registers_save(dev, &t->saved);

    image.command &= (uint16_t) ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
    if (!error)
        error = seam_update8(dev, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 0);
    if (!error)
        error = registers_restore_quiet(dev, &image);
    if (!error)
        error = bars_latch(dev);
    if (!error && !bars_same(&dev->bars, lent))
        error = refuse(&t->why, -ENODEV, BERTH_REASON_OTHER_DEVICE);
    if (error)
        (void)registers_restore_quiet(dev, &t->saved);
    return error;
}

/* Sizing takes decode off, which nobody misses without power. */
static int readd_bars(struct transition *t, bool was_gone) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;
    const struct bar_set before = dev->bars;
    bool lent = domain_is_guest(t->from);
    int error;

    if (lent && was_gone)
        error = readd_place(t, &before);
    else
        error = was_gone ? bars_latch(dev) : bars_refresh(dev);
    if (!error && lent && !bars_same(&dev->bars, &before))
        error = readd_place(t, &before);
    if (error && lent) {
        dev->bars = before;
        atomic_fetch_or(&dev->gate, GATE_DISCONNECTED);
    }
    return error;
}

/* What shares a page with a BAR that has moved (O4). */
static int readd_shares(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = device_has_contexts(t->dev) ? share_update(t->dev) : 0;

    if (error || !device_has_contexts(t->dev) || !domain_is_real(t->from) ||
        domain_is_guest(t->from))
        return error;
    return share_check(t->dev, t->from, &t->why);
}

/* Out of reach, as it was: nobody is shown what could not be completed (R7). */
static int readd_unprobe(struct transition *t)
{
    if (t->power_on)
        atomic_fetch_or(&t->dev->gate, GATE_DISCONNECTED);
    return 0;
}

static int readd_probe(struct transition *t) REQUIRES(t->dev->lock)
{
    struct pcidev *dev = t->dev;
    struct pcidev_traits fresh;
    uint32_t gate = atomic_fetch_and(&dev->gate, ~GATE_DISCONNECTED);
    int error = readd_contain(t);

    if (!error)
        error = probe_traits(t, &fresh);
    if (!error && is_other_device(t, &fresh))
        error = refuse(&t->why, -ENODEV, BERTH_REASON_OTHER_DEVICE);
    if (!error)
        error = readd_bars(t, gate & GATE_DISCONNECTED);
    if (!error)
        error = readd_shares(t);
    if (error) {
        atomic_fetch_or(&dev->gate, gate & GATE_DISCONNECTED);
        return error;
    }
    t->power_on = gate & GATE_DISCONNECTED;
    readd_apply(t, &fresh, t->power_on);
    error = readd_vfs(t);
    if (error)
        (void)readd_unprobe(t);
    return error;
}

/* F17: what can't change while the object lives is refused, not dropped. */
static int readd_check_info(struct transition *t)
{
    const struct pcidev_add_info *info = t->info;
    const struct pcidev *dev = t->dev;

    if (!info)
        return 0;
    if ((info->is_vf && !(dev->pf && sbdf_equal(dev->pf->sbdf, info->pf))) ||
        (info->is_extended && !dev->traits.extended_function))
        return refuse(&t->why, -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    return 0;
}

static int readd_hide(struct transition *t) REQUIRES(t->dev->lock)
{
    int error = view_withdraw(t->dev);

    if (error && view_restore(t->dev))
        t->lost = true;
    return error;
}

/* What its guest had set up is gone where its power was. */
static int readd_show(struct transition *t) REQUIRES(t->dev->lock)
{
    device_new_generation(t->dev);
    if (t->power_on)
        view_power_on(t->dev);
    return view_restore(t->dev);
}

/* A guest has nothing of a device that it can't reach, nor of what may be where its BARs were. */
static int readd_unhide(struct transition *t) REQUIRES(t->dev->lock)
{
    return device_disconnected(t->dev) ? view_withdraw(t->dev) : readd_show(t);
}

/* A power-on default, if it was without power. */
static int readd_enable_acs(struct transition *t)
{
    return acs_enable(t->dev, &t->saved.command);
}

static const struct step readd_steps[] = {
    {"check info", readd_check_info, NULL},      {"revoke", step_revoke, step_reopen},
    {"withdraw view", readd_hide, readd_unhide}, {"probe", readd_probe, readd_unprobe},
    {"enable ACS", readd_enable_acs, NULL},      {"restore view", readd_show, NULL},
};

/* ---- the operation ---- */

int pcidev_readd(struct pcidev *dev, const struct pcidev_add_info *info,
                 const struct berth_request *request)
{
    struct transition t = {.name = "readd", .dev = dev, .request = request, .info = info};
    int error;

    refusal_begin(&t.why, dev->sbdf);
    error = machine_permit(dev->machine, request, BERTH_OP_READD, NULL, &t.why);
    if (error)
        return refusal_end(&t.why, error, request);
    error = transition_begin(&t);
    if (error)
        return error;
    error = TRANSITION_RUN(&t, readd_steps);
    if (!error) {
        if (info && info->numa_node >= 0) /* not before: a failed re-add applies nothing (F17) */
            dev->traits.numa_node = (int16_t)info->numa_node;
        atomic_store(&dev->broken, false);
        step_reopen(&t);
    }
    return transition_end(&t, error);
}
