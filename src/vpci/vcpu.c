/* SPDX-License-Identifier: MIT */
/*
 * What a config write sets off (V6): operations that take several steps, during which the virtual
 * CPU does not run. Each step looks again whether the device, its owner and its generation are
 * still those of the write; a transition in between ends the operation.
 */
#include "src/core/reset.h"
#include "src/vpci/vpci.h"

static const char tag_operation[] = "operation";

/* A reference to the device in a slot of the guest, as that of an operation. */
static struct pcidev *slot_hold(struct vbus_bus *b, unsigned devfn)
{
    const struct vpci *v;
    struct pcidev *dev;

    port_read_lock();
    v = atomic_load_explicit(&b->slot[devfn], memory_order_acquire);
    dev = v ? device_try_get(v->dev, tag_operation) : NULL;
    port_read_unlock();
    if (!dev)
        return NULL;
    device_hold(dev, HOLD_OPERATION);
    pcidev_put(dev, tag_operation);
    return dev;
}

/* The reset itself finds out whether the device is still the guest's. */
bool vpci_reset_next(struct berth_vcpu *vcpu)
{
    struct vbus_bus *b = vcpu->bus;

    for (unsigned devfn = 0; devfn < 8 && !vcpu->dev; devfn++) {
        if (!(vcpu->functions >> devfn & 1))
            continue;
        vcpu->functions &= (uint8_t) ~(1u << devfn);
        vcpu->dev = slot_hold(b, devfn);
    }
    if (!vcpu->dev)
        return false;
    vcpu->generation = pcidev_generation(vcpu->dev);
    vcpu->wants = VPCI_WANT_RESET;
    return true;
}

static int finish(struct berth_vcpu *vcpu)
{
    struct pcidev *dev = vcpu->dev;

    *vcpu =
        (struct berth_vcpu){.domain = vcpu->domain, .bus = vcpu->bus, .functions = vcpu->functions};
    device_unhold(dev, HOLD_OPERATION);
    return vpci_reset_next(vcpu) ? -EAGAIN : 0;
}

static bool is_current(const struct berth_vcpu *vcpu)
{
    return pcidev_generation(vcpu->dev) == vcpu->generation &&
           device_owner(vcpu->dev) == vcpu->domain;
}

/* ---- steps inside a section, with the view's lock ---- */

static const struct inside_step {
    enum vpci_want want;
    int (*run)(struct vpci *v);
} inside_steps[] = {
    {VPCI_WANT_POWER, vpci_power_step},
    {VPCI_WANT_DECODE, vpci_decode_step},
};

/* 0: all of them are done. */
static int step_inside(struct berth_vcpu *vcpu, struct vpci *v) REQUIRES(v->lock)
{
    for (unsigned i = 0; i < sizeof(inside_steps) / sizeof(inside_steps[0]); i++) {
        if (!(vcpu->wants & inside_steps[i].want))
            continue;
        if (inside_steps[i].run(v) == -EAGAIN)
            return -EAGAIN;
        vcpu->wants &= ~(uint32_t)inside_steps[i].want;
        vcpu->wants |= v->wants; /* a change of power asks for the mappings */
        v->wants = 0;
        return vcpu->wants ? -EAGAIN : 0;
    }
    return 0;
}

static int continue_inside(struct berth_vcpu *vcpu)
{
    struct pcidev_section section;
    struct vpci *v;
    int error = 0;

    vcpu->waiting = false;
    if (!access_open(vcpu->dev, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, vcpu->domain,
                     tag_operation, &section)) {
        vcpu->waiting = is_current(vcpu) && device_state(vcpu->dev) != PCIDEV_REMOVED &&
                        !device_disconnected(vcpu->dev);
        return vcpu->waiting ? -EAGAIN : finish(vcpu);
    }
    v = atomic_load_explicit(&vcpu->dev->vpci, memory_order_acquire);
    if (v && is_current(vcpu)) {
        lock_take(&v->lock);
        error = step_inside(vcpu, v);
        lock_drop(&v->lock);
    }
    access_close(&section);
    return error ? error : finish(vcpu);
}

/* ---- steps that are transitions ---- */

/* The guest finds the device as it was if this fails, and the trace has the reason. */
static int continue_reset(struct berth_vcpu *vcpu)
{
    int error = reset_for_guest(vcpu->dev, vcpu->domain, vcpu->generation);

    vcpu->waiting = error == -EAGAIN && is_current(vcpu);
    return vcpu->waiting ? -EAGAIN : finish(vcpu); /* what else was asked for went with it */
}

static int continue_outside(struct berth_vcpu *vcpu)
{
    if (vcpu->wants & VPCI_WANT_RESET)
        return continue_reset(vcpu);
    vcpu->waiting = vpci_vfs_apply(vcpu->dev, vcpu->domain, vcpu->generation) == -EAGAIN;
    if (vcpu->waiting)
        return -EAGAIN;
    vcpu->wants &= ~(uint32_t)VPCI_WANT_VFS;
    return vcpu->wants ? -EAGAIN : finish(vcpu);
}

int berth_vcpu_continue(struct berth_vcpu *vcpu)
{
    if (!vcpu->dev)
        return 0;
    if (vcpu->wants & (VPCI_WANT_POWER | VPCI_WANT_DECODE) && !(vcpu->wants & VPCI_WANT_RESET))
        return continue_inside(vcpu);
    return continue_outside(vcpu);
}

void berth_vcpu_stop(struct berth_vcpu *vcpu)
{
    vcpu->functions = 0;
    if (vcpu->dev)
        (void)finish(vcpu);
}
