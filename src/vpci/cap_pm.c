/* SPDX-License-Identifier: MIT */
/*
 * Power management (PCI PM 1.2, PCIe 7.5.2): the state is the guest's to change and the hardware
 * follows, as an operation. Nothing of a BAR is reachable but in D0 (M14, K14). No wake-up events.
 */
#include "src/vpci/caps.h"

#include "src/core/registers.h"

#define PM_CAPABILITIES 0x02
#define PM_D1 0x0200u
#define PM_D2 0x0400u
#define PM_CAPABILITIES_SEEN (0x0007u | 0x0020u | PM_D1 | PM_D2) /* version, needs set-up */

/* PCIe 5.9: how long a function may take for a change of its state */
#define PM_D2_SETTLE_NS 200000u

static bool is_supported(const struct vpci *v, unsigned reg, unsigned state)
{
    uint32_t capabilities = vpci_stored(v, reg - PCI_PM_CONTROL + PM_CAPABILITIES, 2);

    return state == 0 || state == 3 || (state == 1 && capabilities & PM_D1) ||
           (state == 2 && capabilities & PM_D2);
}

/*
 * PCI PM 1.2, 3.2.4: a write of a state that there is not is complete and changes nothing. From a
 * deeper state the way is through D0. A PF that sleeps would lose its VFs, who have users.
 */
static uint32_t control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;
    unsigned from = stored & PCI_PM_STATE, to = value & PCI_PM_STATE;

    lock_held(&v->lock);
    (void)cleared;
    if (from == to || !is_supported(v, reg, to) || (to && to < from) ||
        atomic_load(&v->dev->enabled_vfs))
        return stored;
    v->wants |= VPCI_WANT_POWER;
    return value;
}

static const struct berth_register capabilities_register = {
    .offset = PM_CAPABILITIES, .size = 2, .ro = PM_CAPABILITIES_SEEN};
static const struct berth_register control_register = {.offset = PCI_PM_CONTROL,
                                                       .size = 2,
                                                       .ro = PCI_PM_NO_SOFT_RESET,
                                                       .rw = PCI_PM_STATE,
                                                       .write = control_write};

/* Transitions wake a device before they lend it: it is in D0. */
static int pm_init(struct vpci *v, unsigned cap, unsigned at) REQUIRES(v->lock)
{
    uint32_t control;
    int error;

    if (at != v->dev->traits.cap[CAP_PM])
        return -EIO; /* the core would wake another one */
    v->asleep = vpci_memory(v, sizeof(*v->asleep));
    if (!v->asleep)
        return -ENOMEM;
    error = vpci_add_as_it_is(v, cap, at + PM_CAPABILITIES, &capabilities_register);
    if (!error)
        error = seam_read(v->dev, at + PCI_PM_CONTROL, 2, &control);
    if (!error)
        error = vpci_add(v, cap, at + PCI_PM_CONTROL, &control_register,
                         control & PCI_PM_NO_SOFT_RESET);
    return error;
}

/* ---- the operation ---- */

/* .power is the state that is entered, or the one that is left for D0. */
static void settle(const struct vpci *v)
{
    port_sleep_ns(atomic_load(&v->power) == 3 ? PCI_PM_SETTLE_NS : PM_D2_SETTLE_NS);
}

static int write_state(struct vpci *v, unsigned at, unsigned state) REQUIRES(v->lock)
{
    int error;

    atomic_store(&v->settling, true); /* reads of other CPUs: all ones meanwhile */
    error = vpci_reads_drain(v);
    if (!error)
        error = seam_update16(v->dev, at + PCI_PM_CONTROL, PCI_PM_STATE, (uint16_t)state);
    if (!error)
        settle(v);
    atomic_store(&v->settling, false);
    return error;
}

/*
 * What is trapped sees .power before the hardware leaves D0. Who looked at it before that is waited
 * for (M14).
 */
static int go_to_sleep(struct vpci *v, unsigned at, unsigned state) REQUIRES(v->lock)
{
    uint32_t before = atomic_exchange(&v->power, state);
    int error = vpci_bars_drain(v);

    if (!error)
        error = vpci_unmap_all(v);
    if (!error)
        error = registers_save(v->dev, v->asleep);
    if (!error)
        error = write_state(v, at, state);
    if (error)
        atomic_store(&v->power, before);
    return error;
}

/* PCIe 5.3.1.4: back from D3hot some have lost their registers. Without them it sleeps on. */
static int wake_hardware(struct vpci *v, unsigned at, bool lost) REQUIRES(v->lock)
{
    int error = write_state(v, at, 0);

    if (error || !lost)
        return error;
    error = registers_restore(v->dev, v->asleep);
    if (!error)
        error = vpci_host_decode(v);
    if (error)
        (void)write_state(v, at, PCI_PM_D3HOT);
    return error;
}

static int wake_up(struct vpci *v, unsigned at) REQUIRES(v->lock)
{
    bool lost = atomic_load(&v->power) == 3 &&
                !(vpci_stored(v, at + PCI_PM_CONTROL, 2) & PCI_PM_NO_SOFT_RESET);
    int error = wake_hardware(v, at, lost);

    if (error)
        return error;
    atomic_store(&v->power, 0); /* what is trapped finds its BARs where they were (M14) */
    if (lost)
        error = vpci_caps_restore(v);
    if (!error) /* also for what the guest has set up meanwhile */
        error = vpci_irqs_restore(v);
    v->wants |= VPCI_WANT_DECODE;
    return error;
}

static void show_state(struct vpci *v, unsigned at)
{
    uint32_t control = vpci_stored(v, at + PCI_PM_CONTROL, 2) & ~PCI_PM_STATE;

    vpci_store(v, at + PCI_PM_CONTROL, 2, control | atomic_load(&v->power));
}

int vpci_power_step(struct vpci *v)
{
    unsigned at = vpci_cap_at(v, &vpci_cap_pm), state;
    int error;

    if (!at)
        return 0;
    state = vpci_stored(v, at + PCI_PM_CONTROL, 2) & PCI_PM_STATE;
    if (state == atomic_load(&v->power))
        return 0;
    error = state ? go_to_sleep(v, at, state) : wake_up(v, at);
    if (error) {
        vpci_complain(v, "power state", error);
        show_state(v, at);
        v->wants |= VPCI_WANT_DECODE; /* what was unmapped on the way */
    }
    return 0;
}

/* ---- around transitions ---- */

static void pm_reset(struct vpci *v, unsigned at)
{
    (void)at;
    atomic_store(&v->power, 0);
}

/* A transition that was undone may have woken the device: the guest sees what is (M14). */
static int pm_restore(struct vpci *v, unsigned at)
{
    uint32_t control;
    int error = seam_read(v->dev, at + PCI_PM_CONTROL, 2, &control);

    if (error || control == 0xffff)
        return error;
    atomic_store(&v->power, control & PCI_PM_STATE);
    show_state(v, at);
    return 0;
}

const struct vpci_cap vpci_cap_pm = {
    .name = "power management capability",
    .id = 0x01,
    .length = 8,
    .init = pm_init,
    .reset = pm_reset,
    .restore = pm_restore,
};
