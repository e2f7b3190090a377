/* SPDX-License-Identifier: MIT */
/*
 * Vital product data (PCI 3.0, appendix I): an address with a flag, and the data behind it. A read
 * is the device's own; it takes as long as it takes, and the guest polls the flag. Writes change
 * what the device keeps for ever, so they need the policy's word; without it a write looks done and
 * changes nothing.
 */
#include "src/vpci/caps.h"

#define VPD_ADDRESS 0x02
#define VPD_DATA 0x04
#define VPD_FLAG 0x8000u /* write: set by software, cleared when done; read: the reverse */

/* The flag is stored while the last operation was a write that has been dropped. */
static bool was_dropped(uint32_t stored)
{
    return stored & VPD_FLAG;
}

static bool writes_are_allowed(const struct vpci *v)
{
    return v->dev->machine->config.policy.vpd_writes;
}

static uint32_t address_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;
    uint32_t value;

    if (was_dropped(stored))
        return stored & ~VPD_FLAG;
    (void)seam_read(v->dev, reg, 2, &value);
    return value;
}

static uint32_t address_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                              uint32_t cleared)
{
    const struct vpci *v = context;

    (void)stored;
    (void)cleared;
    if (value & VPD_FLAG && !writes_are_allowed(v))
        return value;
    (void)seam_write(v->dev, reg, 2, value);
    return value & ~VPD_FLAG;
}

static uint32_t data_read(void *context, unsigned reg, uint32_t stored)
{
    const struct vpci *v = context;

    if (!was_dropped(vpci_stored(v, reg - VPD_DATA + VPD_ADDRESS, 2)))
        (void)seam_read(v->dev, reg, 4, &stored);
    return stored;
}

static uint32_t data_write(void *context, unsigned reg, uint32_t stored, uint32_t value,
                           uint32_t cleared)
{
    const struct vpci *v = context;

    (void)stored;
    (void)cleared;
    if (writes_are_allowed(v))
        (void)seam_write(v->dev, reg, 4, value);
    return value;
}

static const struct berth_register vpd_registers[] = {
    {.offset = VPD_ADDRESS, .size = 2, .rw = 0xffff, .read = address_read, .write = address_write},
    {.offset = VPD_DATA, .size = 4, .rw = 0xffffffff, .read = data_read, .write = data_write},
};

static int vpd_init(struct vpci *v, unsigned cap, unsigned at)
{
    return vpci_add_table(v, cap, at, vpd_registers,
                          sizeof(vpd_registers) / sizeof(vpd_registers[0]));
}

const struct vpci_cap vpci_cap_vpd = {
    .name = "VPD capability",
    .id = 0x03,
    .length = 8,
    .init = vpd_init,
};
