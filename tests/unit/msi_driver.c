/* SPDX-License-Identifier: MIT */
#include "tests/unit/msi_driver.h"

struct irq_rig ir;
unsigned msi_cap;
bool msi_wide, msi_masks;

unsigned msi_data_at(void)
{
    return msi_cap + (msi_wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
}

unsigned msi_mask_at(void)
{
    return msi_cap + (msi_wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

void msi_up(unsigned vectors, bool is_wide, bool has_masks)
{
    struct capture_function *f;
    uint32_t flags;

    msi_wide = is_wide;
    msi_masks = has_masks;
    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    mb_msi(f, vectors);
    msi_cap = mb_find_cap(f, PCI_CAP_ID_MSI);
    flags = mb_get(f, msi_cap + PCI_MSI_FLAGS, 2) & ~(PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT);
    mb_put(f, msi_cap + PCI_MSI_FLAGS, 2,
           flags | (msi_wide ? PCI_MSI_FLAGS_64BIT : 0) | (msi_masks ? PCI_MSI_FLAGS_MASKBIT : 0));
    irq_up(&ir, rig_nvme);
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSI), msi_cap);
}

int msi_setup(void **state)
{
    (void)state;
    msi_up(8, true, true);
    return 0;
}

int msi_teardown(void **state)
{
    (void)state;
    irq_down(&ir);
    return 0;
}

unsigned msi_log2(unsigned vectors)
{
    unsigned log2 = 0;

    while (1u << log2 < vectors)
        log2++;
    return log2;
}

void msi_message(uint32_t address, uint32_t upper, uint32_t data)
{
    irq_put(&ir, msi_cap + MSI_ADDRESS, 4, address);
    if (msi_wide)
        irq_put(&ir, msi_cap + PCI_MSI_ADDRESS_HI, 4, upper);
    irq_put(&ir, msi_data_at(), 2, data);
}

/* What the guest reads back afterwards. */
bool msi_enable(unsigned vectors)
{
    irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | msi_log2(vectors) << 4);
    return irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
}

void msi_disable(void)
{
    irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 2, 0);
}

uint32_t msi_hardware(unsigned reg, unsigned length)
{
    return rig_peek(&ir.rig, ir.dev, reg, length);
}

bool msi_is_on(void)
{
    return msi_hardware(msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE;
}

void msi_expect_message(unsigned vector, unsigned vectors)
{
    const struct irq_seen *last = irq_last(&ir);

    assert_int_equal(last->vector, vector);
    assert_int_equal(last->message.address,
                     (msi_wide ? (uint64_t)MSI_UPPER << 32 : 0) | MSI_MESSAGE);
    assert_int_equal(last->message.data, (MSI_DATA & ~(vectors - 1)) | vector);
}

void msi_expect_works(unsigned vectors)
{
    for (unsigned i = 0; i < vectors; i++) {
        unsigned before = ir.injected;

        assert_int_equal(irq_raise(&ir, i), SIM_IRQ_DELIVERED);
        assert_int_equal(ir.injected, before + 1);
        msi_expect_message(i, vectors);
    }
}

void msi_expect_hosts_message(uint32_t low, uint32_t high, uint32_t data)
{
    assert_int_equal(msi_hardware(msi_cap + MSI_ADDRESS, 4), low);
    assert_int_equal(msi_hardware(msi_cap + PCI_MSI_ADDRESS_HI, 4), high);
    assert_int_equal(msi_hardware(msi_data_at(), 2), data);
}
