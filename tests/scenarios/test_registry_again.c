/* SPDX-License-Identifier: MIT */
/* Devices that are looked at again, or are others than before at the same address (F17, F21, F23).
 */
#include <linux/pci_regs.h>

#include "src/core/device.h"
#include "tests/scenarios/owners_log.h"
#include "tests/unit/guests.h"

/* ---- F17: what the caller says ---- */

static void test_F17_of_a_second_information_all_or_nothing(void **state)
{
    struct pcidev_add_info info = {.numa_node = 7};
    const struct pcidev_add_info wrong[] = {
        {.is_vf = true, .pf = {0, 1, 0}, .numa_node = 3},
        {.is_extended = true, .numa_node = 3},
    };
    const struct berth_request request = rig_request(&rig);
    struct rig_state before;

    (void)state;
    guests_up(NULL, 0);
    before = rig_remember(&rig, rig_nvme);
    rig_expect_refused(&rig, pcidev_add(rig.machine, rig_nvme, &info, &request), -EEXIST,
                       BERTH_REASON_EXISTS);
    rig_expect_as_before(&rig, &before);
    for (unsigned i = 0; i < 2; i++) {
        rig_expect_refused(&rig, rig_readd(&rig, rig_nvme, &wrong[i]), -EINVAL,
                           BERTH_REASON_BAD_ARGUMENT);
        rig_expect_as_before(&rig, &before);
    }
    assert_int_equal(rig_readd(&rig, rig_nvme, &info), 0);
    assert_int_equal(rig_info(&rig, rig_nvme).numa_node, 7);
    assert_int_equal(rig_readd(&rig, rig_nvme, NULL), 0); /* says nothing of it */
    assert_int_equal(rig_info(&rig, rig_nvme).numa_node, 7);
}

static void test_F17_a_vf_keeps_the_pf_that_it_was_added_with(void **state)
{
    struct pcidev_add_info info = {.is_vf = true, .numa_node = 2};

    (void)state;
    guests_up(NULL, 0);
    rig_add_vfs(&rig, 1);
    info.pf = rig_nvme;
    rig_expect_refused(&rig, rig_readd(&rig, rig_vf(0), &info), -EINVAL, BERTH_REASON_BAD_ARGUMENT);
    assert_int_equal(rig_info(&rig, rig_vf(0)).numa_node, -1);
    info.pf = rig_pf;
    assert_int_equal(rig_readd(&rig, rig_vf(0), &info), 0);
    assert_int_equal(rig_info(&rig, rig_vf(0)).numa_node, 2);
    assert_true(sbdf_equal(rig_info(&rig, rig_vf(0)).pf, rig_pf));
}

static void test_F17_a_readd_that_fails_applies_nothing(void **state)
{
    const struct pcidev_add_info info = {.numa_node = 9};
    int error = -EIO;

    (void)state;
    guests_up(NULL, 0);
    for (unsigned nth = 1; error; nth++) {
        sim_fail(rig.sim, SIM_OP_CONFIG_READ, nth, 0, 0);
        error = rig_readd(&rig, rig_nvme, &info);
        assert_int_equal(rig_info(&rig, rig_nvme).numa_node, error ? -1 : 9);
        assert_in_range(nth, 1, 500);
    }
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 0, 0, 0);
}

/* ---- F21: the same address, another device ---- */

static int op_assign(struct pcidev *dev, struct berth_domain *guest,
                     const struct berth_request *request)
{
    return pcidev_assign(dev, guest, request);
}

static int op_test(struct pcidev *dev, struct berth_domain *guest,
                   const struct berth_request *request)
{
    return pcidev_test_assign(dev, guest, request);
}

static int op_deassign(struct pcidev *dev, struct berth_domain *guest,
                       const struct berth_request *request)
{
    return pcidev_deassign(dev, guest, request);
}

static int op_reset(struct pcidev *dev, struct berth_domain *guest,
                    const struct berth_request *request)
{
    (void)guest;
    return pcidev_reset(dev, request);
}

static int op_remove(struct pcidev *dev, struct berth_domain *guest,
                     const struct berth_request *request)
{
    (void)guest;
    return pcidev_remove(dev, PCIDEV_REMOVE_FORCE, request);
}

static int op_readd(struct pcidev *dev, struct berth_domain *guest,
                    const struct berth_request *request)
{
    (void)guest;
    return pcidev_readd(dev, NULL, request);
}

static int (*const operations[])(struct pcidev *dev, struct berth_domain *guest,
                                 const struct berth_request *request) = {
    op_assign, op_test, op_deassign, op_reset, op_remove, op_readd,
};

static void test_F21_an_old_object_leads_to_no_new_device(void **state)
{
    const struct berth_request request = rig_request(&rig);
    struct berth_domain *guest;
    struct pcidev_section section;
    struct rig_state before;
    struct pcidev *checked;

    (void)state;
    guests_up(NULL, 0);
    guest = rig_guest(&rig, "vm1");
    checked = rig_dev(&rig, rig_nvme);
    assert_int_equal(pcidev_test_assign(checked, guest, &request), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    before = rig_remember(&rig, rig_nvme);
    for (unsigned i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        rig_expect_refused(&rig, operations[i](checked, guest, &request), -ENODEV,
                           BERTH_REASON_REMOVED);
        rig_expect_as_before(&rig, &before);
    }
    pcidev_vanished(checked);
    assert_false(rig_info(&rig, rig_nvme).disconnected);
    assert_false(pcidev_enter(checked, "old", &section));
    rig_put(checked);
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    rig_destroy_guest(&rig, guest);
}

/* ---- F23: extended config space that comes and goes ---- */

static uint16_t ext_cap(struct sbdf sbdf)
{
    struct pcidev *dev = rig_dev(&rig, sbdf);
    uint16_t at = dev->traits.cap[CAP_AER];

    rig_put(dev);
    return at;
}

static void expect_space(bool extended)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    assert_int_equal(rig_info(&rig, rig_nvme).config_size, extended ? 4096 : 256);
    assert_int_equal(ext_cap(rig_nvme) != 0, extended);
    assert_int_equal(dev->traits.cap[CAP_MSIX],
                     mb_find_cap(rig_function(&rig, rig_nvme), PCI_CAP_ID_MSIX));
    assert_int_equal(berth_domain_config_read(hwdom(), rig_nvme, 0x100, 4) != UINT32_MAX, extended);
    assert_int_equal(ext_cap(rig_nvme2), ext_cap(rig_pf)); /* others have theirs, all the time */
    assert_int_not_equal(ext_cap(rig_nvme2), 0);
    rig_put(dev);
}

static void test_F23_extended_space_comes_and_goes(void **state)
{
    (void)state;
    owners_log_begin(rig_nvme);
    owners_log.no_ecam = true;
    guests_up(owners_log_configure, 0);
    expect_space(false);
    for (unsigned i = 0; i < 3; i++) {
        owners_log.no_ecam = i & 1;
        assert_int_equal(rig_readd(&rig, rig_nvme, NULL), 0);
        expect_space(!owners_log.no_ecam);
    }
    owners_log.no_ecam = true; /* and nobody is told */
    assert_int_equal(rig_reset(&rig, rig_nvme), 0);
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    expect_space(false);
}

static void test_F23_a_lent_device_ends_without_its_extended_space(void **state)
{
    struct berth_domain *guest;

    (void)state;
    owners_log_begin(rig_nvme);
    guests_up(owners_log_configure, 0);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    owners_log.no_ecam = true;
    rig_expect_refused(&rig, rig_readd(&rig, rig_nvme, NULL), -ENODEV, BERTH_REASON_OTHER_DEVICE);
    assert_int_equal(rig_deassign(&rig, rig_nvme, guest), 0);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&rig, rig_nvme), 0);
    expect_space(false);
    rig_destroy_guest(&rig, guest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_built, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F17_of_a_second_information_all_or_nothing),
        TEST(test_F17_a_vf_keeps_the_pf_that_it_was_added_with),
        TEST(test_F17_a_readd_that_fails_applies_nothing),
        TEST(test_F21_an_old_object_leads_to_no_new_device),
        TEST(test_F23_extended_space_comes_and_goes),
        TEST(test_F23_a_lent_device_ends_without_its_extended_space),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
