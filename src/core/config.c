/* SPDX-License-Identifier: MIT */
/*
 * Config accesses of an owner. A guest's write reaches what is listed here and nothing else (V7);
 * reads pass.
 */
#include "src/core/machine_priv.h"
#include "src/core/registers.h"
#include "src/core/seam.h"

/* Bits that a guest may write. Decode, BARs, MSI and everything else are the host's. */
static const struct guest_bits {
    uint8_t reg, length;
    uint32_t bits;
} guest_writable[] = {
    {PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE},
    {PCI_CACHE_LINE_SIZE, 1, 0xff},
    {PCI_INTERRUPT_LINE, 1, 0xff},
};

static bool access_is_fine(unsigned reg, unsigned length)
{
    return (length == 1 || length == 2 || length == 4) && reg < 4096 && (reg & (length - 1)) == 0;
}

static uint32_t ones(unsigned length)
{
    return length >= 4 ? 0xffffffffu : (1u << 8 * length) - 1;
}

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
                            "config access", section))
        dev = NULL;
    port_read_unlock();
    return dev;
}

uint32_t berth_domain_config_read(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                                  unsigned length)
{
    struct pcidev_section section;
    struct pcidev *dev;
    uint32_t value;

    if (!access_is_fine(reg, length))
        return ones(length);
    dev = owner_enter(domain, sbdf, &section);
    if (!dev)
        return ones(length);
    value = ones(length);
    if (reg < dev->traits.config_size)
        (void)seam_read(dev, reg, length, &value); /* all ones where the host fails */
    access_close(&section);
    return value;
}

/* The bits of one register that fall into an access, in the place where the access has them. */
static uint32_t overlap(const struct guest_bits *r, unsigned reg, unsigned length)
{
    int shift = (int)r->reg - (int)reg;

    if (shift >= (int)length || -shift >= (int)r->length)
        return 0;
    return (shift >= 0 ? r->bits << 8 * shift : r->bits >> 8 * -shift) & ones(length);
}

static uint32_t guest_mask(unsigned reg, unsigned length)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < sizeof(guest_writable) / sizeof(guest_writable[0]); i++)
        mask |= overlap(&guest_writable[i], reg, length);
    return mask;
}

static void guest_write(struct pcidev *dev, unsigned reg, unsigned length, uint32_t value)
{
    const struct guest_bits master = {PCI_COMMAND, 2, PCI_COMMAND_MASTER};
    uint32_t mask = guest_mask(reg, length), old;

    if (atomic_load(&dev->contained)) /* O6: the guest cannot turn it back on */
        value &= ~overlap(&master, reg, length);
    if (!mask || seam_read(dev, reg, length, &old))
        return;
    /* status bits next to the command register are cleared by ones: none is written */
    if (reg <= PCI_STATUS && reg + length > PCI_STATUS)
        old &= ~overlap(&(struct guest_bits){PCI_STATUS, 2, 0xffff}, reg, length);
    (void)seam_write(dev, reg, length, (old & ~mask) | (value & mask));
    if (overlap(&master, reg, length) && atomic_load(&dev->contained))
        (void)seam_update16(dev, PCI_COMMAND, PCI_COMMAND_MASTER, 0); /* see fault.c */
}

void berth_domain_config_write(struct berth_domain *domain, struct sbdf sbdf, unsigned reg,
                               unsigned length, uint32_t value)
{
    struct pcidev_section section;
    struct pcidev *dev;

    if (!access_is_fine(reg, length))
        return;
    dev = owner_enter(domain, sbdf, &section);
    if (!dev)
        return;
    if (dev->traits.reservation != BERTH_RESERVE_READ_ONLY && reg < dev->traits.config_size) {
        if (domain_is_guest(domain))
            guest_write(dev, reg, length, value);
        else
            (void)seam_write(dev, reg, length, value);
    }
    access_close(&section);
}

int pcidev_config_read(struct pcidev *dev, unsigned reg, unsigned length, uint32_t *value)
{
    if (!access_is_fine(reg, length))
        return -EINVAL;
    *value = ones(length);
    return reg < dev->traits.config_size ? seam_read(dev, reg, length, value) : 0;
}

int pcidev_config_write(struct pcidev *dev, unsigned reg, unsigned length, uint32_t value)
{
    if (!access_is_fine(reg, length))
        return -EINVAL;
    if (dev->traits.reservation == BERTH_RESERVE_READ_ONLY)
        return -EPERM;
    return reg < dev->traits.config_size ? seam_write(dev, reg, length, value) : 0;
}
