/* SPDX-License-Identifier: MIT */
/* The config accesses of owners: from an address to a view, or to the hardware. */
#include "src/vpci/vpci.h"

static const char tag_access[] = "config access";

/* ---- the hardware domain: its addresses are the host's, and what is not trapped passes (M47) ----
 */

/*
 * From an address to an open section without a reference: the section keeps removal from dropping
 * the registry's. The lookup is in the owner's own set (V1), and the section is only given to
 * whoever owns the device by then.
 */
static struct pcidev *owner_enter(struct berth_domain *domain, struct sbdf sbdf,
                                  struct pcidev_section *section)
{
    struct pcidev *dev;

    port_read_lock();
    dev = sbdf_map_find(&domain->devices, sbdf_key(sbdf));
    if (dev && !access_open(dev, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, domain,
                            tag_access, section))
        dev = NULL;
    port_read_unlock();
    return dev;
}

/* Not part of the guest's path, which is kept short. */
__attribute__((noinline)) static uint64_t owner_read(struct berth_domain *domain, struct sbdf sbdf,
                                                     unsigned reg, unsigned length)
{
    struct pcidev_section section;
    struct pcidev *dev = owner_enter(domain, sbdf, &section);
    struct vpci *v;
    uint64_t value;

    if (!dev)
        return vpci_ones(length);
    port_read_lock(); /* the table of a view may change meanwhile */
    v = atomic_load_explicit(&dev->vpci, memory_order_acquire);
    value = v ? vpci_read_inside(v, reg, length) : vpci_pass_read(dev, reg, length);
    port_read_unlock();
    access_close(&section);
    return value;
}

/* F71: what no register covers waits for nobody's hook. */
static bool write_misses(const struct vpci *v, unsigned reg, unsigned length)
{
    bool misses;

    port_read_lock();
    misses = vpci_misses(v, reg, length);
    port_read_unlock();
    return misses;
}

static void owner_write_inside(struct pcidev *dev, unsigned reg, unsigned length, uint64_t value)
{
    struct vpci *v = atomic_load_explicit(&dev->vpci, memory_order_acquire);

    if (!v || write_misses(v, reg, length)) {
        vpci_pass_write(dev, reg, length, value);
        return;
    }
    lock_take(&v->lock);
    vpci_write(v, reg, length, value);
    lock_drop(&v->lock);
}

static void owner_write(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                        unsigned length, uint64_t value)
{
    struct pcidev_section section;
    struct pcidev *dev = owner_enter(domain, sbdf, &section);

    if (!dev)
        return;
    if (dev->traits.reservation != BERTH_RESERVE_READ_ONLY)
        owner_write_inside(dev, reg, length, value);
    access_close(&section);
}

/* ---- guests: the virtual bus, and nothing else (V1) ---- */

static struct vbus *bus_of(const struct berth_domain *domain)
{
    return atomic_load_explicit(&domain->vbus, memory_order_acquire);
}

/* Inside a read-side section. */
static struct vpci *guest_find(const struct berth_domain *domain, struct sbdf sbdf) READ_SIDE
{
    const struct vbus *bus = bus_of(domain);

    return bus ? vbus_find(bus, sbdf) : NULL;
}

uint64_t berth_domain_config_read(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                                  unsigned length)
{
    struct vpci *v;
    uint64_t value;

    if (!vpci_access_is_fine(reg, length))
        return vpci_ones(length);
    if (!domain_is_guest(domain))
        return owner_read(domain, sbdf, reg, length);
    port_read_lock();
    v = guest_find(domain, sbdf);
    value = v ? vpci_read(v, reg, length) : vpci_ones(length);
    port_read_unlock();
    return value;
}

/*
 * The view at a guest's address with its device's section open, which keeps the view as well: it is
 * only taken away by transitions, which drain. A view that was replaced meanwhile is not there.
 */
struct vpci *vpci_enter(struct berth_domain *domain, struct sbdf sbdf,
                        struct pcidev_section *section)
{
    struct vpci *v;

    port_read_lock();
    v = guest_find(domain, sbdf);
    section->record = NULL;
    if (v && v->dev) {
        if (!access_open(v->dev, GATE_TRANSITION | GATE_SHUT | GATE_DISCONNECTED, domain,
                         tag_access, section)) {
            v = NULL;
        } else if (atomic_load_explicit(&v->dev->vpci, memory_order_acquire) != v) {
            access_close(section);
            v = NULL;
        }
    }
    port_read_unlock();
    return v;
}

/* What the write asks for beyond itself, in the hands of the virtual CPU. */
static void hand_over(struct vpci *v, struct berth_vcpu *vcpu) REQUIRES(v->lock)
{
    vcpu->wants = v->wants;
    v->wants = 0;
    if (!vcpu->wants)
        return;
    vcpu->dev = v->dev;
    vcpu->domain = v->domain;
    vcpu->generation = v->generation;
    device_hold(v->dev, HOLD_OPERATION); /* V6; the section has kept the device so far */
}

/* A port: a reset of the bus behind it is one of every function there. */
static void hand_over_bus(struct vpci *v, struct berth_vcpu *vcpu) REQUIRES(v->lock)
{
    struct vbus_bus *behind = vbus_port_behind(v);

    if (v->wants & VPCI_WANT_RESET) {
        vcpu->bus = behind;
        vcpu->domain = v->domain;
        vcpu->functions = (uint8_t)atomic_load(&behind->plugged);
        (void)vpci_reset_next(vcpu);
    }
    v->wants = 0;
}

static void guest_write_inside(struct vpci *v, struct berth_vcpu *vcpu, unsigned reg,
                               unsigned length, uint64_t value)
{
    if (write_misses(v, reg, length)) {
        atomic_fetch_add_explicit(&v->dropped, 1, memory_order_relaxed);
        return;
    }
    lock_take(&v->lock);
    vpci_write(v, reg, length, value);
    if (v->dev)
        hand_over(v, vcpu);
    else
        hand_over_bus(v, vcpu);
    lock_drop(&v->lock);
}

int berth_vcpu_config_write(struct berth_vcpu *vcpu, struct berth_domain *domain, struct sbdf sbdf,
                            unsigned reg, unsigned length, uint64_t value)
{
    struct pcidev_section section;
    struct vpci *v;

    if (vcpu->dev)
        return -EBUSY;
    if (!vpci_access_is_fine(reg, length))
        return 0;
    if (!domain_is_guest(domain)) {
        owner_write(domain, sbdf, reg, length, value);
        return 0;
    }
    v = vpci_enter(domain, sbdf, &section);
    if (!v)
        return 0;
    guest_write_inside(v, vcpu, reg, length, value);
    if (section.record)
        access_close(&section);
    return vcpu->dev ? -EAGAIN : 0;
}

void berth_domain_config_write(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                               unsigned length, uint64_t value)
{
    struct berth_vcpu vcpu = {.dev = NULL};
    int error = berth_vcpu_config_write(&vcpu, domain, sbdf, reg, length, value);

    for (unsigned attempt = 0; error == -EAGAIN; attempt++) {
        error = berth_vcpu_continue(&vcpu);
        if (error)
            port_relax(vcpu.waiting ? attempt : 0);
    }
}

/* ---- who is where ---- */

bool berth_domain_answers(struct berth_domain *domain, struct sbdf at)
{
    const struct vpci *v;
    bool answers;

    port_read_lock();
    v = guest_find(domain, at);
    answers = v && (!v->dev || !atomic_load_explicit(&v->dev->gate, memory_order_acquire));
    port_read_unlock();
    return answers;
}

struct pcidev *berth_domain_device_at(struct berth_domain *domain, struct sbdf at, const char *tag)
{
    struct pcidev *dev = NULL;
    const struct vpci *v;

    port_read_lock();
    v = guest_find(domain, at);
    if (v && v->dev)
        dev = device_try_get(v->dev, tag);
    port_read_unlock();
    return dev;
}

int berth_domain_address(const struct pcidev *dev, struct sbdf *at)
{
    const struct vpci *v;
    int error = -ENOENT;

    port_read_lock();
    v = atomic_load_explicit(&dev->vpci, memory_order_acquire);
    if (v && v->bus)
        error = vbus_address(bus_of(v->domain), v, at);
    port_read_unlock();
    return error;
}
