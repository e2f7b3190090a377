/* SPDX-License-Identifier: MIT */
/*
 * MSI for guests (PCI 3.0, 6.8.1): one message for a block of up to 32 vectors.
 *
 *   register    the guest                  the hardware
 *   control     enable, vectors in use     follow when the host has bound the block; else off
 *   message     its own                    the host's, whatever the guest writes (O4)
 *   mask        its own                    the guest's, and all that is not bound (X56)
 *   pending     reads the hardware's, or what is held back on the host's side
 */
#include "src/vpci/caps.h"
#include "src/vpci/vector.h"

#define MSI_ADDRESS 0x04u
#define MSI_UPPER 0x08u
#define MSI_DATA_32 0x08u
#define MSI_DATA_64 0x0cu
#define MSI_MASK_32 0x0cu
#define MSI_MASK_64 0x10u
#define MSI_PENDING 0x04u /* behind the masks */
#define MSI_LENGTH_MIN 10u

#define CONTROL_CAPABLE 0x000eu /* log2 of the vectors that there are, */
#define CONTROL_IN_USE 0x0070u  /* and that software uses */
#define CAPABLE_SHIFT 1
#define IN_USE_SHIFT 4
#define LOG2_VECTORS_MAX 5u

/* ---- the shape of the capability; latched with the device (F07) ---- */

static bool is_wide(const struct vpci *v)
{
    return v->dev->traits.msi_control & PCI_MSI_CONTROL_64BIT;
}

static bool has_masks(const struct vpci *v)
{
    return v->dev->traits.msi_control & PCI_MSI_CONTROL_MASK;
}

static unsigned data_reg(const struct vpci *v)
{
    return v->irqs->msi_at + (is_wide(v) ? MSI_DATA_64 : MSI_DATA_32);
}

static unsigned mask_reg(const struct vpci *v)
{
    return v->irqs->msi_at + (is_wide(v) ? MSI_MASK_64 : MSI_MASK_32);
}

static unsigned msi_length(const struct vpci *v)
{
    if (!has_masks(v))
        return is_wide(v) ? MSI_DATA_64 + 2 : MSI_LENGTH_MIN;
    return (is_wide(v) ? MSI_MASK_64 : MSI_MASK_32) + MSI_PENDING + 4;
}

static uint32_t vector_bits(unsigned count)
{
    return count < 32 ? (1u << count) - 1 : UINT32_MAX;
}

static unsigned vectors_in_use(uint32_t control)
{
    return 1u << ((control & CONTROL_IN_USE) >> IN_USE_SHIFT);
}

/* ---- the guest's side ---- */

/* The function changes the low bits of the data, as many as it takes to tell the vectors apart. */
static void message_update(struct vpci *v, unsigned count)
{
    const unsigned at = v->irqs->msi_at;
    uint64_t address = vpci_stored(v, at + MSI_ADDRESS, 4);
    uint32_t data = vpci_stored(v, data_reg(v), 2) & ~(count - 1);

    if (is_wide(v))
        address |= (uint64_t)vpci_stored(v, at + MSI_UPPER, 4) << 32;
    for (unsigned i = 0; i < v->irqs->count[BERTH_IRQ_MSI]; i++)
        vpci_vector_set(&v->irqs->vector[BERTH_IRQ_MSI][i], address, data | (i & (count - 1)));
}

static uint32_t message_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;

    (void)stored;
    (void)cleared;
    vpci_store(v, reg, reg == data_reg(v) ? 2 : 4, value);
    message_update(v, vectors_in_use(vpci_stored(v, v->irqs->msi_at + PCI_MSI_CONTROL, 2)));
    return value;
}

/* ---- the hardware's side ---- */

static int hardware_mask(struct vpci *v, uint32_t guest) REQUIRES(v->lock)
{
    uint32_t all = vector_bits(v->irqs->count[BERTH_IRQ_MSI]);

    if (!has_masks(v))
        return 0;
    return seam_write(v->dev, mask_reg(v), 4, (guest | ~vector_bits(v->irqs->msi_bound)) & all);
}

static int hardware_control(struct vpci *v, bool on) REQUIRES(v->lock)
{
    unsigned log2 = 0;

    while (on && 1u << log2 < v->irqs->msi_bound)
        log2++;
    return seam_write(v->dev, v->irqs->msi_at + PCI_MSI_CONTROL, 2,
                      log2 << IN_USE_SHIFT | (on ? PCI_MSI_CONTROL_ENABLE : 0));
}

/* X45: the message is the host's, as bound; the device is never asked for it. */
static int hardware_message(struct vpci *v)
{
    const struct berth_message *host = &v->irqs->vector[BERTH_IRQ_MSI][0].host;
    const unsigned at = v->irqs->msi_at;
    int error;

    if (host->data > UINT16_MAX || (!is_wide(v) && host->address > UINT32_MAX))
        return -ERANGE;
    error = seam_write(v->dev, at + MSI_ADDRESS, 4, (uint32_t)host->address);
    if (!error && is_wide(v))
        error = seam_write(v->dev, at + MSI_UPPER, 4, (uint32_t)(host->address >> 32));
    return error ? error : seam_write(v->dev, data_reg(v), 2, host->data);
}

/* Masks and message first: nothing leaves the device before both are right. */
static int hardware_set_up(struct vpci *v) REQUIRES(v->lock)
{
    uint32_t guest = has_masks(v) ? vpci_stored(v, mask_reg(v), 4) : 0;
    int error = hardware_mask(v, guest);

    if (!error)
        error = hardware_message(v);
    return error ? error : hardware_control(v, true);
}

/* ---- on and off ---- */

static int msi_disable(struct vpci *v) REQUIRES(v->lock)
{
    struct vpci_irqs *irqs = v->irqs;
    int error;

    vpci_vectors_close(v, BERTH_IRQ_MSI);
    error = hardware_control(v, false);
    vpci_vectors_unbind(v, BERTH_IRQ_MSI, 0, irqs->msi_bound);
    irqs->msi_bound = 0;
    irqs->on = BERTH_IRQ_INTX;
    return error ? error : vpci_intx_update(v);
}

/* 0, or -errno with MSI off. */
static int msi_enable(struct vpci *v, unsigned count) REQUIRES(v->lock)
{
    struct vpci_irqs *irqs = v->irqs;
    int error;

    if (irqs->on != BERTH_IRQ_INTX)
        return -EBUSY; /* O8 */
    error = vpci_vectors_bind(v, BERTH_IRQ_MSI, 0, count);
    if (error)
        return error;
    irqs->msi_bound = (uint16_t)count;
    irqs->on = BERTH_IRQ_MSI;
    message_update(v, count);
    error = vpci_intx_update(v);
    if (!error)
        error = hardware_set_up(v);
    if (error) {
        (void)msi_disable(v);
        return error;
    }
    vpci_vectors_open(v, BERTH_IRQ_MSI);
    return 0;
}

static uint32_t limit_in_use(const struct vpci *v, uint32_t control)
{
    uint32_t most = (v->dev->traits.msi_control & CONTROL_CAPABLE) >> CAPABLE_SHIFT;
    uint32_t log2 = (control & CONTROL_IN_USE) >> IN_USE_SHIFT;

    return (control & ~CONTROL_IN_USE) | (log2 < most ? log2 : most) << IN_USE_SHIFT;
}

static uint32_t control_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    struct vpci *v = context;
    struct vpci_irqs *irqs = v->irqs;
    unsigned count;
    int error = 0;

    lock_held(&v->lock);
    (void)reg;
    (void)stored;
    (void)cleared;
    value = limit_in_use(v, value);
    count = vectors_in_use(value);
    if (irqs->on == BERTH_IRQ_MSI &&
        (!(value & PCI_MSI_CONTROL_ENABLE) || count != irqs->msi_bound))
        error = msi_disable(v);
    if (error)
        vpci_complain(v, "disable MSI", error);
    if (!(value & PCI_MSI_CONTROL_ENABLE) || irqs->on == BERTH_IRQ_MSI)
        return value;
    error = msi_enable(v, count);
    if (error)
        vpci_complain(v, "enable MSI", error);
    return error ? value & ~PCI_MSI_CONTROL_ENABLE : value;
}

int vpci_msi_restore(struct vpci *v)
{
    int error;

    if (!v->irqs->msi_at)
        return 0;
    error = hardware_control(v, false); /* the core's own restore may have left it on (X15) */
    return error || v->irqs->on != BERTH_IRQ_MSI ? error : hardware_set_up(v);
}

/* ---- masks ---- */

/* The guest's own mask first: what the hardware sends as soon as it may is let through. */
static uint32_t mask_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                           uint32_t cleared)
{
    struct vpci *v = context;
    struct vpci_irqs *irqs = v->irqs;
    int error = 0;

    lock_held(&v->lock);
    (void)reg;
    (void)stored;
    (void)cleared;
    value &= vector_bits(irqs->count[BERTH_IRQ_MSI]);
    for (unsigned i = 0; i < irqs->count[BERTH_IRQ_MSI]; i++)
        vpci_vector_mask(v, BERTH_IRQ_MSI, i, value >> i & 1);
    if (irqs->on == BERTH_IRQ_MSI)
        error = hardware_mask(v, value);
    if (error)
        vpci_complain(v, "mask MSI", error);
    return value;
}

static uint32_t pending_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;
    uint32_t hardware;

    (void)stored;
    if (seam_read(v->dev, reg, 4, &hardware))
        hardware = 0;
    hardware &= vector_bits(v->irqs->count[BERTH_IRQ_MSI]);
    return hardware | vpci_vectors_pending(v->irqs, BERTH_IRQ_MSI, 0);
}

/* ---- the capability ---- */

static const struct berth_register control_register = {
    .size = 2,
    .ro = CONTROL_CAPABLE | PCI_MSI_CONTROL_64BIT | PCI_MSI_CONTROL_MASK,
    .rw = PCI_MSI_CONTROL_ENABLE | CONTROL_IN_USE,
    .write = control_write,
};
static const struct berth_register address_register = {
    .size = 4,
    .rw = 0xfffffffc,
    .write = message_write,
};
static const struct berth_register upper_register = {
    .size = 4,
    .rw = 0xffffffff,
    .write = message_write,
};
static const struct berth_register data_register = {
    .size = 2,
    .rw = 0xffff,
    .write = message_write,
};
static const struct berth_register mask_register = {
    .size = 4,
    .rw = 0xffffffff,
    .write = mask_write,
};
static const struct berth_register pending_register = {
    .size = 4,
    .ro = 0xffffffff,
    .read = pending_read,
};

static int msi_add_registers(struct vpci *v, unsigned cap, unsigned at)
{
    int error = vpci_add(v, cap, at + PCI_MSI_CONTROL, &control_register,
                         v->dev->traits.msi_control & control_register.ro);

    if (!error)
        error = vpci_add(v, cap, at + MSI_ADDRESS, &address_register, 0);
    if (!error && is_wide(v))
        error = vpci_add(v, cap, at + MSI_UPPER, &upper_register, 0);
    if (!error)
        error = vpci_add(v, cap, data_reg(v), &data_register, 0);
    if (!error && has_masks(v))
        error = vpci_add(v, cap, mask_reg(v), &mask_register, 0);
    if (!error && has_masks(v))
        error = vpci_add(v, cap, mask_reg(v) + MSI_PENDING, &pending_register, 0);
    return error;
}

static int msi_init(struct vpci *v, unsigned cap, unsigned at) REQUIRES(v->lock)
{
    unsigned log2 = (v->dev->traits.msi_control & CONTROL_CAPABLE) >> CAPABLE_SHIFT;
    int error;

    if (!v->irqs)
        return -EOPNOTSUPP;
    if (at != v->dev->traits.cap[CAP_MSI] || log2 > LOG2_VECTORS_MAX ||
        at + msi_length(v) > vpci_cap_room(v, at))
        return -EINVAL;
    error = vpci_vectors_make(v, BERTH_IRQ_MSI, 1u << log2, false);
    if (error)
        return error;
    v->irqs->msi_at = (uint16_t)at;
    error = msi_add_registers(v, cap, at);
    if (error)
        v->irqs->msi_at = 0;
    return error;
}

const struct vpci_cap vpci_cap_msi = {
    .name = "MSI",
    .id = 0x05,
    .length = MSI_LENGTH_MIN,
    .init = msi_init,
};
