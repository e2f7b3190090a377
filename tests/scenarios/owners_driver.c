/* SPDX-License-Identifier: MIT */
#include "tests/scenarios/owners_driver.h"

#include <linux/pci_regs.h>

#define ENTRY_SIZE 16u
#define ENTRY_DATA 8u
#define ENTRY_CONTROL 12u
#define LIST_MAX 48u

uint32_t driver_get(const struct driver *d, unsigned reg, unsigned length)
{
    return (uint32_t)berth_domain_config_read(d->guest, d->at, reg, length);
}

void driver_put(const struct driver *d, unsigned reg, unsigned length, uint32_t value)
{
    berth_domain_config_write(d->guest, d->at, reg, length, value);
}

void driver_poke(const struct driver *d, uint64_t offset, unsigned length, uint64_t value)
{
    (void)!berth_domain_mmio_write(d->guest, d->bar + offset, length, value);
}

static unsigned find_msix(const struct driver *d)
{
    unsigned at = driver_get(d, PCI_CAPABILITY_LIST, 1);

    for (unsigned i = 0; at && i < LIST_MAX; i++) {
        if (driver_get(d, at, 1) == PCI_CAP_ID_MSIX)
            return at;
        at = driver_get(d, at + 1, 1);
    }
    fail_msg("the guest sees no MSI-X");
    return 0;
}

void driver_start(struct driver *d, struct rig *rig, struct berth_domain *guest, struct sbdf host,
                  uint64_t bar)
{
    *d = (struct driver){.rig = rig, .guest = guest, .host = host, .bar = bar};
    d->at = rig_seen(rig, host);
    d->cap = find_msix(d);
    driver_put(d, PCI_BASE_ADDRESS_0, 4, (uint32_t)bar);
    driver_put(d, PCI_BASE_ADDRESS_1, 4, (uint32_t)(bar >> 32));
    driver_put(d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void driver_up(struct driver *d, struct rig *rig, struct berth_domain *guest, struct sbdf host,
               uint64_t bar)
{
    assert_int_equal(rig_assign(rig, host, guest), 0);
    driver_start(d, rig, guest, host, bar);
}

void driver_mask(const struct driver *d, unsigned vector, bool masked)
{
    driver_poke(d, DRIVER_TABLE + ENTRY_SIZE * vector + ENTRY_CONTROL, 4, masked);
}

void driver_msix(const struct driver *d, bool on)
{
    driver_put(d, d->cap + PCI_MSIX_FLAGS, 2, on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

void driver_vectors(const struct driver *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        driver_poke(d, DRIVER_TABLE + ENTRY_SIZE * i, 8, DRIVER_MESSAGE);
        driver_poke(d, DRIVER_TABLE + ENTRY_SIZE * i + ENTRY_DATA, 4, 0x40 + i);
        driver_mask(d, i, false);
    }
    driver_msix(d, true);
}

enum sim_irq_result driver_raise(const struct driver *d, unsigned vector)
{
    enum sim_irq_result result;

    assert_int_equal(sim_raise(d->rig->sim, d->host, vector, &result), 0);
    return result;
}
