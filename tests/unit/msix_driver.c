/* SPDX-License-Identifier: MIT */
#include "tests/unit/msix_driver.h"

struct irq_rig ir;
unsigned msix_cap;
uint64_t msix_table, msix_pba;
const struct sbdf msix_resetless = {0, 0, 0xf0};

void msix_up_with(struct sbdf dev)
{
    irq_up(&ir, dev);
    msix_cap = irq_cap(&ir, PCI_CAP_ID_MSIX);
    assert_int_not_equal(msix_cap, 0);
    msix_table = IRQ_BAR + MSIX_TABLE;
    msix_pba = IRQ_BAR + MSIX_PBA;
}

void msix_up(void)
{
    msix_up_with(rig_nvme);
}

int msix_setup(void **state)
{
    (void)state;
    irq_begin(&ir);
    msix_up();
    return 0;
}

int msix_teardown(void **state)
{
    (void)state;
    irq_down(&ir);
    return 0;
}

void msix_put(uint64_t address, unsigned length, uint64_t value)
{
    assert_int_equal(berth_domain_mmio_write(ir.guest, address, length, value), 0);
}

uint64_t msix_get(uint64_t address, unsigned length)
{
    uint64_t value = 0;

    assert_int_equal(berth_domain_mmio_read(ir.guest, address, length, &value), 0);
    return value;
}

uint64_t msix_entry_at(unsigned vector)
{
    return msix_table + 16 * (uint64_t)vector;
}

void msix_mask(unsigned vector, bool on)
{
    msix_put(msix_entry_at(vector) + 12, 4, on ? MSIX_MASKED : 0);
}

uint64_t msix_address(unsigned vector)
{
    return UINT64_C(0x3300000000) | 0xfee00000u | vector << 4;
}

uint32_t msix_data(unsigned vector)
{
    return 0x70000 + vector;
}

void msix_message(unsigned vector)
{
    msix_put(msix_entry_at(vector), 8, msix_address(vector));
    msix_put(msix_entry_at(vector) + 8, 4, msix_data(vector));
}

void msix_control(uint32_t flags)
{
    irq_put(&ir, msix_cap + PCI_MSIX_FLAGS, 2, flags);
}

bool msix_reads_enabled(void)
{
    return irq_get(&ir, msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE;
}

uint32_t msix_hardware_control(void)
{
    return rig_peek(&ir.rig, ir.dev, msix_cap + PCI_MSIX_FLAGS, 2);
}

struct sim_msix_entry msix_hardware(unsigned vector)
{
    struct sim_msix_entry entry;

    assert_int_equal(sim_msix_entry(ir.rig.sim, ir.dev, vector, &entry), 0);
    return entry;
}

bool msix_is_open(unsigned vector)
{
    return !(msix_hardware(vector).control & MSIX_MASKED);
}

void msix_expect_message(unsigned vector)
{
    const struct irq_seen *last = irq_last(&ir);

    assert_int_equal(last->vector, vector);
    assert_int_equal(last->message.address, msix_address(vector));
    assert_int_equal(last->message.data, msix_data(vector));
}

void msix_expect_works(unsigned vector)
{
    unsigned before = ir.injected;

    assert_int_equal(irq_raise(&ir, vector), SIM_IRQ_DELIVERED);
    assert_int_equal(ir.injected, before + 1);
    msix_expect_message(vector);
}

void msix_set_up_all(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        msix_message(i);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    for (unsigned i = 0; i < count; i++)
        msix_mask(i, false);
}

void msix_up_large(unsigned vectors)
{
    struct capture_function *f;

    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    mb_bar(f, 0, MB_BAR_PREFETCH64, 0x40000);
    msix_cap = mb_find_cap(f, PCI_CAP_ID_MSIX);
    mb_put(f, msix_cap + PCI_MSIX_FLAGS, 2, vectors - 1);
    mb_put(f, msix_cap + PCI_MSIX_TABLE, 4, 0x10000);
    mb_put(f, msix_cap + PCI_MSIX_PBA, 4, 0x1f800);
    msix_up();
    msix_table = IRQ_BAR + 0x10000;
    msix_pba = IRQ_BAR + 0x1f800;
}
