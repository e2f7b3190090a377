/* SPDX-License-Identifier: MIT */
/* What is written to a device in the whole of its life: documented registers, and no other (F64).
 */
#include <linux/pci_regs.h>

#include "tests/scenarios/owners_driver.h"
#include "tests/scenarios/owners_log.h"
#include "tests/unit/guests.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BAR UINT64_C(0x80000000)
#define VECTORS 4u

static struct driver driver;

/* What the specifications give to software: of the header, and of each capability. */
static const struct known {
    uint16_t cap; /* 0: the header */
    bool extended;
    uint16_t offset, length;
} known[] = {
    {0, false, PCI_COMMAND, 4},
    {0, false, PCI_CACHE_LINE_SIZE, 2},
    {0, false, PCI_BASE_ADDRESS_0, 24},
    {0, false, PCI_ROM_ADDRESS, 4},
    {0, false, PCI_INTERRUPT_LINE, 1},
    {PCI_CAP_ID_PM, false, PCI_PM_CTRL, 2},
    {PCI_CAP_ID_MSI, false, PCI_MSI_FLAGS, 22},
    {PCI_CAP_ID_MSIX, false, PCI_MSIX_FLAGS, 2},
    {PCI_CAP_ID_EXP, false, PCI_EXP_DEVCTL, 4},
    {PCI_CAP_ID_EXP, false, PCI_EXP_LNKCTL, 2},
    {PCI_EXT_CAP_ID_ERR, true, PCI_ERR_UNCOR_STATUS, 24},
    {PCI_EXT_CAP_ID_ATS, true, PCI_ATS_CTRL, 2},
};

static bool is_known(struct capture_function *f, const struct log_entry *entry)
{
    for (unsigned i = 0; i < COUNT(known); i++) {
        const struct known *k = &known[i];
        unsigned at = !k->cap       ? 0
                      : k->extended ? mb_find_ext_cap(f, k->cap)
                                    : mb_find_cap(f, (uint8_t)k->cap);

        if ((!k->cap || at) && entry->reg >= at + k->offset &&
            entry->reg + entry->length <= at + k->offset + k->length)
            return true;
    }
    return false;
}

static void expect_known_only(struct sbdf sbdf)
{
    struct capture_function *f = rig_function(&rig, sbdf);

    assert_true(owners_log_count(LOGGED_WRITE) > 0);
    for (unsigned i = 0; i < owners_log.count; i++) {
        const struct log_entry *entry = &owners_log.entry[i];

        if (entry->what == LOGGED_WRITE && !is_known(f, entry))
            fail_msg("a write of %u bytes to register %x", entry->length, entry->reg);
        if (entry->what == LOGGED_BAR_WRITE)
            assert_in_range(entry->reg, DRIVER_TABLE, DRIVER_TABLE + 16 * 16 - 1);
    }
}

/* A PCIe capability of version 1 is short: registers of the device's own are behind it. */
static void make_short_pcie(struct capture_function *f)
{
    unsigned at = mb_find_cap(f, PCI_CAP_ID_EXP);

    mb_put(f, at + PCI_EXP_FLAGS, 2, (mb_get(f, at + PCI_EXP_FLAGS, 2) & ~0xfu) | 1);
    mb_put(f, at + PCI_EXP_DEVCTL2, 4, 0xdeadbeef);
    mb_put(f, mb_cap(f, PCI_CAP_ID_VNDR) + 4, 4, 0xdeadbeef);
}

static void whole_life(struct sbdf sbdf)
{
    driver_up(&driver, &rig, vm.domain, sbdf, BAR);
    driver_vectors(&driver, VECTORS);
    assert_int_equal(rig_reset(&rig, sbdf), 0);
    assert_int_equal(rig_readd(&rig, sbdf, NULL), 0);
    assert_int_equal(rig_deassign(&rig, sbdf, vm.domain), 0);
    assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, sbdf), 0);
}

static void test_F64_only_documented_registers_are_written(void **state)
{
    (void)state;
    owners_log_begin(rig_nvme);
    make_short_pcie(rig_function(&rig, rig_nvme));
    mb_msi(rig_function(&rig, rig_nvme), 4);
    mb_ats(rig_function(&rig, rig_nvme));
    mb_pm_reset(rig_function(&rig, rig_nvme));
    guests_up(owners_log_configure, 1);
    whole_life(rig_nvme);
    assert_true(owners_log_count(LOGGED_BAR_WRITE) > 0);
    expect_known_only(rig_nvme);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F64_only_documented_registers_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
