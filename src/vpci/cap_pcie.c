/* SPDX-License-Identifier: MIT */
/*
 * PCI Express (PCIe 7.5.3) of an endpoint. Error reporting, payload size and tags are agreed
 * between the devices of the host and stay its own: the guest has bits that remember what it wrote
 * and do nothing (V7). What concerns the function alone passes to it: ordering, snooping, the size
 * of its read requests. A reset by the guest is the core's reset transition.
 */
#include "src/vpci/caps.h"

#include "src/core/registers.h"

#define EXP_FLAGS_SEEN 0x00ffu /* version and type; no slot, no interrupt message */
#define EXP_VERSION 0x000fu
#define EXP_TYPE_SHIFT 4
#define EXP_TYPE_ENDPOINT 0x0u
#define EXP_TYPE_LEGACY 0x1u
#define EXP_TYPE_INTEGRATED 0x9u

/* Payload, tags, latencies, role-based reporting, slot power; no phantom functions. */
#define EXP_DEVCAP_SEEN 0x0ffc8fe7u

#define EXP_DEVCTL_READ_SIZE 0x7000u
#define EXP_DEVCTL_VIRTUAL 0x03efu /* error reporting, payload, extended tags, phantoms */
#define EXP_READ_SIZE_MAX 0x5000u  /* 4096 bytes; what is above is reserved */

#define EXP_DEVSTA_ERRORS 0x000fu
#define EXP_DEVSTA_SEEN 0x0030u /* auxiliary power, transactions pending */

#define EXP_LNKCAP 0x0c
#define EXP_LNKCAP_SEEN 0x0047ffffu /* speed, width, power states; not the host's port number */
#define EXP_LNKCAP_SPEED 0x000fu
#define EXP_LNKCTL_VIRTUAL 0x03cbu /* ASPM, RCB, clock, synch, clock PM, autonomous width */
#define EXP_LNKSTA 0x12
#define EXP_LNKSTA_SEEN 0x13ffu /* speed, width, slot clock */

#define EXP_DEVCAP2 0x24
#define EXP_COMPLETION_TIMEOUT 0x001fu /* ranges and disable: alike in capability and control */
#define EXP_LNKCAP2 0x2c
#define EXP_LNKCAP2_SPEEDS 0x00feu
#define EXP_LNKCTL2 0x30
#define EXP_LNKSTA2 0x32
#define EXP_LNKSTA2_SEEN 0x003fu /* de-emphasis, equalization */
#define EXP_LENGTH_2 0x34u       /* version 2, without slots */

/* ---- hooks ---- */

/* Changed bits only, on top of what the host has set. */
static uint32_t devctl_pass(const struct vpci *v, unsigned reg, uint32_t stored, uint32_t value)
{
    uint32_t changed = (stored ^ value) & PCI_EXP_DEVCTL_PASSES;

    if (changed & EXP_DEVCTL_READ_SIZE && (value & EXP_DEVCTL_READ_SIZE) > EXP_READ_SIZE_MAX) {
        changed &= ~EXP_DEVCTL_READ_SIZE;
        value = (value & ~EXP_DEVCTL_READ_SIZE) | (stored & EXP_DEVCTL_READ_SIZE);
    }
    if (changed)
        (void)seam_update16(v->dev, reg, (uint16_t)(changed | PCI_EXP_DEVCTL_FLR),
                            (uint16_t)(value & changed));
    return value;
}

static uint32_t devctl_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                             uint32_t cleared)
{
    struct vpci *v = context;
    unsigned devcap = reg - PCI_EXP_DEVCTL + PCI_EXP_DEVCAP;

    lock_held(&v->lock);
    (void)cleared;
    if (value & PCI_EXP_DEVCTL_FLR && vpci_stored(v, devcap, 4) & PCI_EXP_DEVCAP_FLR)
        v->wants |= VPCI_WANT_RESET;
    return devctl_pass(v, reg, stored, value & ~PCI_EXP_DEVCTL_FLR);
}

static uint32_t devsta_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    (void)stored;
    (void)seam_read(v->dev, reg, 2, &stored);
    return stored & (EXP_DEVSTA_ERRORS | EXP_DEVSTA_SEEN);
}

static uint32_t devsta_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                             uint32_t cleared)
{
    const struct vpci *v = context;

    (void)value;
    if (cleared)
        (void)seam_write(v->dev, reg, 2, cleared);
    return stored;
}

static uint32_t lnksta_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    (void)seam_read(v->dev, reg, 2, &stored);
    return stored & EXP_LNKSTA_SEEN;
}

static uint32_t lnksta2_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    (void)seam_read(v->dev, reg, 2, &stored);
    return stored & EXP_LNKSTA2_SEEN;
}

/* ---- registers ---- */

/* Those that begin with what the hardware has. */
static const struct berth_register flags_register = {
    .offset = PCI_EXP_FLAGS, .size = 2, .ro = EXP_FLAGS_SEEN};
static const struct berth_register devcap_register = {
    .offset = PCI_EXP_DEVCAP, .size = 4, .ro = EXP_DEVCAP_SEEN | PCI_EXP_DEVCAP_FLR};
static const struct berth_register devctl_register = {.offset = PCI_EXP_DEVCTL,
                                                      .size = 2,
                                                      .rw = PCI_EXP_DEVCTL_PASSES |
                                                            EXP_DEVCTL_VIRTUAL | PCI_EXP_DEVCTL_FLR,
                                                      .write = devctl_write};

static const struct berth_register devsta_register = {.offset = PCI_EXP_DEVSTA,
                                                      .size = 2,
                                                      .ro = EXP_DEVSTA_SEEN,
                                                      .rw1c = EXP_DEVSTA_ERRORS,
                                                      .read = devsta_read,
                                                      .write = devsta_write};

static const struct berth_register lnkcap_register = {
    .offset = EXP_LNKCAP, .size = 4, .ro = EXP_LNKCAP_SEEN};
static const struct berth_register link_registers[] = {
    {.offset = PCI_EXP_LNKCTL, .size = 2, .rw = EXP_LNKCTL_VIRTUAL},
    {.offset = EXP_LNKSTA, .size = 2, .ro = EXP_LNKSTA_SEEN, .read = lnksta_read},
};

/* ARI forwarding, LTR, OBFF, prefixes, atomics and hints are agreements with the host's bridges. */
static const struct berth_register devcap2_register = {
    .offset = EXP_DEVCAP2, .size = 4, .ro = EXP_COMPLETION_TIMEOUT};
static const struct berth_register devctl2_register = {
    .offset = PCI_EXP_DEVCTL2, .size = 2, .rw = EXP_COMPLETION_TIMEOUT};

static const struct berth_register lnkcap2_register = {
    .offset = EXP_LNKCAP2, .size = 4, .ro = EXP_LNKCAP2_SPEEDS};
static const struct berth_register lnkctl2_register = {
    .offset = EXP_LNKCTL2, .size = 2, .rw = EXP_LNKCAP_SPEED};
static const struct berth_register lnksta2_register = {
    .offset = EXP_LNKSTA2, .size = 2, .ro = EXP_LNKSTA2_SEEN, .read = lnksta2_read};

/* ---- making it ---- */

struct exp {
    struct vpci *v;
    unsigned cap, at;
    unsigned version, type;
};

/* Every method that resets the function alone is as good as an FLR to its guest. */
static bool can_reset(const struct pcidev_traits *traits)
{
    for (unsigned i = 0; i < traits->method_count; i++)
        if (traits->methods[i] == PCIDEV_RESET_FLR || traits->methods[i] == PCIDEV_RESET_HOST)
            return true;
    return false;
}

static int add_devcap(const struct exp *e)
{
    uint32_t value;
    int error = seam_read(e->v->dev, e->at + PCI_EXP_DEVCAP, 4, &value);

    if (error)
        return error;
    value &= ~PCI_EXP_DEVCAP_FLR;
    if (can_reset(&e->v->dev->traits))
        value |= PCI_EXP_DEVCAP_FLR;
    return vpci_add(e->v, e->cap, e->at + PCI_EXP_DEVCAP, &devcap_register, value);
}

static int add_devctl(const struct exp *e)
{
    uint32_t value;
    int error = seam_read(e->v->dev, e->at + PCI_EXP_DEVCTL, 2, &value);

    if (error)
        return error;
    return vpci_add(e->v, e->cap, e->at + PCI_EXP_DEVCTL, &devctl_register,
                    value & PCI_EXP_DEVCTL_PASSES);
}

static int add_device(const struct exp *e)
{
    int error = vpci_add_as_it_is(e->v, e->cap, e->at + PCI_EXP_FLAGS, &flags_register);

    if (!error)
        error = add_devcap(e);
    if (!error)
        error = add_devctl(e);
    if (!error)
        error = vpci_add(e->v, e->cap, e->at + PCI_EXP_DEVSTA, &devsta_register, 0);
    return error;
}

static int add_link(const struct exp *e)
{
    int error = vpci_add_as_it_is(e->v, e->cap, e->at + EXP_LNKCAP, &lnkcap_register);

    return error ? error : vpci_add_table(e->v, e->cap, e->at, link_registers, 2);
}

static int add_device_2(const struct exp *e)
{
    int error = vpci_add_as_it_is(e->v, e->cap, e->at + EXP_DEVCAP2, &devcap2_register);

    return error ? error : vpci_add(e->v, e->cap, e->at + PCI_EXP_DEVCTL2, &devctl2_register, 0);
}

/* 7.5.3.19: the target is the highest speed, until software says otherwise. */
static int add_link_2(const struct exp *e)
{
    uint32_t speed = vpci_stored(e->v, e->at + EXP_LNKCAP, 4) & EXP_LNKCAP_SPEED;
    int error = vpci_add_as_it_is(e->v, e->cap, e->at + EXP_LNKCAP2, &lnkcap2_register);

    if (!error)
        error = vpci_add(e->v, e->cap, e->at + EXP_LNKCTL2, &lnkctl2_register, speed);
    if (!error)
        error = vpci_add(e->v, e->cap, e->at + EXP_LNKSTA2, &lnksta2_register, 0);
    return error;
}

/* Which parts there are depends on type and version (7.5.3, figure 7-20). */
static int add_parts(const struct exp *e)
{
    bool link = e->type != EXP_TYPE_INTEGRATED;
    int error = add_device(e);

    if (!error && link)
        error = add_link(e);
    if (!error && e->version >= 2)
        error = add_device_2(e);
    if (!error && e->version >= 2 && link)
        error = add_link_2(e);
    return error;
}

static int pcie_init(struct vpci *v, unsigned cap, unsigned at)
{
    struct exp e = {.v = v, .cap = cap, .at = at};
    uint32_t flags;
    int error;

    if (at != v->dev->traits.cap[CAP_PCIE])
        return -EIO; /* the core would reset another one */
    error = seam_read(v->dev, at + PCI_EXP_FLAGS, 2, &flags);
    if (error)
        return error;
    e.version = flags & EXP_VERSION;
    e.type = flags >> EXP_TYPE_SHIFT & 0xf;
    if (e.type != EXP_TYPE_ENDPOINT && e.type != EXP_TYPE_LEGACY && e.type != EXP_TYPE_INTEGRATED)
        return -EINVAL;
    if (!e.version || (e.version >= 2 && at + EXP_LENGTH_2 > CAPS_END))
        return -EINVAL;
    return add_parts(&e);
}

/* The host has put back what it saved; the view may have been reset in between. */
static int pcie_restore(struct vpci *v, unsigned at)
{
    uint32_t value = vpci_stored(v, at + PCI_EXP_DEVCTL, 2);

    return seam_update16(v->dev, at + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_PASSES | PCI_EXP_DEVCTL_FLR,
                         (uint16_t)(value & PCI_EXP_DEVCTL_PASSES));
}

const struct vpci_cap vpci_cap_pcie = {
    .name = "PCI Express capability",
    .id = 0x10,
    .length = 0x14,
    .init = pcie_init,
    .restore = pcie_restore,
};
