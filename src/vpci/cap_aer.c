/* SPDX-License-Identifier: MIT */
/*
 * Advanced error reporting (PCIe 7.8.4), all of it virtual: what the hardware reports is the host's
 * business (V7), and the host tells the guest what it has to know (M13). The guest's masks and
 * severities change nothing but what the guest reads.
 */
#include "src/vpci/caps.h"

#define AER_UNCORRECTABLE_STATUS 0x04
#define AER_UNCORRECTABLE_MASK 0x08
#define AER_UNCORRECTABLE_SEVERITY 0x0c
#define AER_CORRECTABLE_STATUS 0x10
#define AER_CORRECTABLE_MASK 0x14
#define AER_CONTROL 0x18
#define AER_LENGTH 0x2c

/* Data link protocol, surprise down, poisoned TLP to uncorrectable internal error. */
#define UNCORRECTABLE 0x007ff030u
#define UNCORRECTABLE_MASKED 0x00400000u /* internal errors, 7.8.4.3 */
#define UNCORRECTABLE_FATAL 0x00462030u  /* 7.8.4.4 */
/* Receiver error, bad TLP and DLLP, replays, advisory and internal errors, log overflow. */
#define CORRECTABLE 0x0000f1c1u
#define CORRECTABLE_MASKED 0x0000e000u /* 7.8.4.6 */
#define FIRST_ERROR 0x1fu

/* No ECRC, and the header log (left out) reads as zeros. */
static const struct berth_register aer_registers[] = {
    {.offset = AER_UNCORRECTABLE_STATUS, .size = 4, .rw1c = UNCORRECTABLE},
    {.offset = AER_UNCORRECTABLE_MASK,
     .size = 4,
     .rw = UNCORRECTABLE,
     .reset = UNCORRECTABLE_MASKED},
    {.offset = AER_UNCORRECTABLE_SEVERITY,
     .size = 4,
     .rw = UNCORRECTABLE,
     .reset = UNCORRECTABLE_FATAL},
    {.offset = AER_CORRECTABLE_STATUS, .size = 4, .rw1c = CORRECTABLE},
    {.offset = AER_CORRECTABLE_MASK, .size = 4, .rw = CORRECTABLE, .reset = CORRECTABLE_MASKED},
    {.offset = AER_CONTROL, .size = 4, .ro = FIRST_ERROR},
};

static int aer_init(struct vpci *v, unsigned cap, unsigned at)
{
    return vpci_add_table(v, cap, at, aer_registers,
                          sizeof(aer_registers) / sizeof(aer_registers[0]));
}

static uint32_t lowest_bit(uint32_t bits)
{
    uint32_t index = 0;

    while (!(bits >> index & 1))
        index++;
    return index;
}

void vpci_aer_report(struct vpci *v, uint32_t uncorrectable, uint32_t correctable)
{
    unsigned at = vpci_cap_at(v, &vpci_cap_aer);
    uint32_t pending;

    if (!at)
        return;
    uncorrectable &= UNCORRECTABLE;
    pending = vpci_stored(v, at + AER_UNCORRECTABLE_STATUS, 4);
    if (!pending && uncorrectable) /* 7.8.4.7: the pointer stays until it is cleared */
        vpci_store(v, at + AER_CONTROL, 4, lowest_bit(uncorrectable));
    vpci_store(v, at + AER_UNCORRECTABLE_STATUS, 4, pending | uncorrectable);
    vpci_store(v, at + AER_CORRECTABLE_STATUS, 4,
               vpci_stored(v, at + AER_CORRECTABLE_STATUS, 4) | (correctable & CORRECTABLE));
}

/* Status bits survive most resets (sticky, 7.4): what was passed on is cleared. */
static uint32_t take_status(const struct vpci *v, unsigned reg)
{
    uint32_t status;

    if (seam_read(v->dev, reg, 4, &status) || status == UINT32_MAX)
        return 0;
    if (status)
        (void)seam_write(v->dev, reg, 4, status);
    return status;
}

void vpci_aer_collect(struct vpci *v)
{
    unsigned at = vpci_cap_at(v, &vpci_cap_aer);
    uint32_t uncorrectable, correctable;

    if (!at)
        return;
    uncorrectable = take_status(v, at + AER_UNCORRECTABLE_STATUS);
    correctable = take_status(v, at + AER_CORRECTABLE_STATUS);
    vpci_aer_report(v, uncorrectable, correctable);
}

const struct vpci_cap vpci_cap_aer = {
    .name = "AER capability",
    .id = 0x0001,
    .extended = true,
    .sticky = true,
    .length = AER_LENGTH,
    .init = aer_init,
};
