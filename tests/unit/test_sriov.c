/* SPDX-License-Identifier: MIT */
/* PFs and VFs (M04, C6, F04, F05, F07, K11). */
#include "tests/unit/rig.h"

static struct rig rig;
static struct berth_domain *guest;

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    guest = rig_guest(&rig, "vm1");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

static int add_as_vf(struct sbdf sbdf, struct sbdf pf)
{
    const struct pcidev_add_info info = {.is_vf = true, .pf = pf, .numa_node = -1};
    const struct berth_request request = rig_request(&rig);

    return pcidev_add(rig.machine, sbdf, &info, &request);
}

static void test_F05_a_vf_without_its_pf_leaves_no_residue(void **state)
{
    struct rig_state before;

    (void)state;
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), 0);
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_DEFAULT), 0);
    before = rig_remember(&rig, rig_nvme);
    rig_expect_refused(&rig, add_as_vf(rig_vf(0), rig_pf), -ENODEV, BERTH_REASON_NO_PF);
    assert_true(rig.why.has_other && sbdf_equal(rig.why.other, rig_pf));
    rig_expect_as_before(&rig, &before);
    /* the host knows what it is, when nobody says so */
    rig_expect_refused(&rig, rig_add(&rig, rig_vf(0)), -ENODEV, BERTH_REASON_NO_PF);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_add(&rig, rig_pf), 0);
    assert_int_equal(rig_info(&rig, rig_pf).vfs, 2); /* still enabled in hardware */
    assert_int_equal(add_as_vf(rig_vf(0), rig_pf), 0);
    assert_int_equal(rig_add(&rig, rig_vf(1)), 0);
}

static void test_M04_a_vf_has_the_ids_that_its_pf_tells(void **state)
{
    struct pcidev_info info;

    (void)state;
    rig_add_vfs(&rig, 3);
    info = rig_info(&rig, rig_vf(2));
    assert_true(info.is_vf);
    assert_true(sbdf_equal(info.pf, rig_pf));
    assert_int_equal(info.vendor, 0x1b36);
    assert_int_equal(info.device, 0x0011);
    assert_int_equal(info.total_vfs, 0);
    assert_int_equal(info.rid_count, 1);
    assert_int_equal(info.methods[0], PCIDEV_RESET_FLR);
    assert_int_equal(rig_info(&rig, rig_pf).vfs, 3);
    assert_int_equal(rig_info(&rig, rig_pf).children, 3);
}

static void test_M04_addresses_of_vfs(void **state)
{
    struct pcidev *pf = rig_dev(&rig, rig_pf);
    struct sbdf sbdf;

    (void)state;
    assert_int_equal(pcidev_vf_address(pf, 0, &sbdf), -ENODEV);
    assert_int_equal(rig_sriov(&rig, rig_pf, 3), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(pcidev_vf_address(pf, i, &sbdf), 0);
        assert_true(sbdf_equal(sbdf, rig_vf(i)));
    }
    assert_int_equal(pcidev_vf_address(pf, 3, &sbdf), -ENODEV);
    assert_int_equal(pcidev_vf_address(pf, UINT32_MAX, &sbdf), -ENODEV);
    rig_put(pf);
}

static void test_M04_on_and_off(void **state)
{
    struct rig_state before = rig_remember(&rig, rig_pf);

    (void)state;
    rig_add_vfs(&rig, 4);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 0), -EBUSY, BERTH_REASON_HAS_VFS);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 2), -EBUSY, BERTH_REASON_HAS_VFS);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_remove(&rig, rig_vf(i), PCIDEV_REMOVE_DEFAULT), 0);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 2), -EBUSY, BERTH_REASON_HAS_VFS);
    assert_int_equal(rig_sriov(&rig, rig_pf, 0), 0);
    assert_false(sim_present(rig.sim, rig_vf(0)));
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_sriov(&rig, rig_pf, 0), 0); /* giving back nothing is fine */
}

static void test_M04_numbers_that_are_refused(void **state)
{
    struct rig_state before = rig_remember(&rig, rig_pf);

    (void)state;
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 5), -ERANGE, BERTH_REASON_VF_COUNT);
    assert_int_equal(rig.why.number, 4);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, UINT32_MAX), -ERANGE, BERTH_REASON_VF_COUNT);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_nvme, 1), -ENOTTY, BERTH_REASON_NOT_A_PF);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_assign(&rig, rig_pf, guest), 0);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 1), -EBUSY, BERTH_REASON_GUEST_OWNS);
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, rig_pf), 0);
    rig_add_vfs(&rig, 1);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_vf(0), 1), -ENOTTY, BERTH_REASON_NOT_A_PF);
}

static void test_M04_vfs_that_do_not_come_up_are_undone(void **state)
{
    struct rig_state before = rig_remember(&rig, rig_pf);

    (void)state;
    sim_fail(rig.sim, SIM_OP_CONFIG_WRITE, 2, 0, 0);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 2), -EIO, BERTH_REASON_HOST_FAILED);
    rig_expect_as_before(&rig, &before);
    rig_add_vfs(&rig, 2);
}

static void test_F04_a_pf_with_vfs_is_neither_removed_nor_reset(void **state)
{
    struct rig_state before;

    (void)state;
    rig_add_vfs(&rig, 2);
    before = rig_remember(&rig, rig_pf);
    rig_expect_refused(&rig, rig_remove(&rig, rig_pf, PCIDEV_REMOVE_DEFAULT), -EBUSY,
                       BERTH_REASON_HAS_VFS);
    rig_expect_refused(&rig, rig_remove(&rig, rig_pf, PCIDEV_REMOVE_STRICT), -EBUSY,
                       BERTH_REASON_HAS_VFS);
    rig_expect_refused(&rig, rig_reset(&rig, rig_pf), -EBUSY, BERTH_REASON_HAS_VFS);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_remove(&rig, rig_vf(0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_remove(&rig, rig_vf(1), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_DEFAULT), 0);
}

static void test_M09_a_reset_does_not_take_enabled_vfs_away_unseen(void **state)
{
    (void)state; /* none of them is registered, and yet an FLR of the PF would turn them off */
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), 0);
    rig_expect_refused(&rig, rig_assign(&rig, rig_pf, guest), -EBUSY, BERTH_REASON_HAS_VFS);
    if (rig_reset(&rig, rig_pf) == 0)
        assert_int_equal(rig_info(&rig, rig_pf).vfs, sim_present(rig.sim, rig_vf(0)) ? 2 : 0);
    else
        assert_int_equal(rig.why.reason, BERTH_REASON_HAS_VFS);
}

static void test_C6_the_object_of_a_pf_outlives_those_of_its_vfs(void **state)
{
    struct pcidev *pf, *vf;
    struct pcidev_info info;

    (void)state;
    rig_add_vfs(&rig, 1);
    pf = rig_dev(&rig, rig_pf);
    vf = rig_dev(&rig, rig_vf(0));
    assert_int_equal(rig_remove(&rig, rig_pf, PCIDEV_REMOVE_FORCE), 0);
    pcidev_snapshot(pf, &info);
    assert_int_equal(info.references, 2); /* ours, and the VF's link */
    rig_put(pf);
    pcidev_snapshot(vf, &info);
    assert_int_equal(info.state, PCIDEV_REMOVED);
    assert_true(sbdf_equal(info.pf, rig_pf));
    rig_put(vf);
}

/* F07: the toolstack forgot to report that the VF is gone. */
static void test_F07_every_operation_on_a_vf_that_is_gone(void **state)
{
    struct sbdf vf = rig_vf(0);
    int error;

    (void)state;
    rig_add_vfs(&rig, 2);
    assert_int_equal(sim_vanish(rig.sim, vf), 0);
    assert_int_equal(berth_domain_config_read(berth_machine_hwdom(rig.machine), vf, 8, 4),
                     UINT32_MAX);
    berth_domain_config_write(berth_machine_hwdom(rig.machine), vf, 4, 2, 6);
    error = rig_reset(&rig, vf);
    assert_true(error == -EIO || error == -ENODEV);
    error = rig_readd(&rig, vf, NULL);
    assert_int_equal(error, -ENODEV);
    error = rig_assign(&rig, vf, guest);
    assert_true(error < 0);
    rig_expect_owner(&rig, rig_vf(1), "hwdom");
    assert_int_equal(rig_remove(&rig, vf, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_remove(&rig, rig_vf(1), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_sriov(&rig, rig_pf, 0), 0);
}

static void test_F07_a_lent_vf_that_vanishes_mid_way_ends_in_quarantine(void **state)
{
    (void)state;
    rig_add_vfs(&rig, 1);
    for (unsigned nth = 1; nth < 40; nth += 3) {
        assert_int_equal(rig_assign(&rig, rig_vf(0), guest), 0);
        assert_int_equal(sim_vanish_after(rig.sim, rig_vf(0), nth), 0);
        (void)rig_deassign(&rig, rig_vf(0), guest);
        assert_int_equal(rig_info(&rig, rig_vf(0)).owner_kind, BERTH_DOMAIN_QUARANTINE);
        assert_int_equal(sim_vanish_after(rig.sim, rig_vf(0), 0), 0);
        assert_int_equal(rig_remove(&rig, rig_vf(0), PCIDEV_REMOVE_FORCE), 0);
        assert_int_equal(sim_return(rig.sim, rig_vf(0)), 0);
        assert_int_equal(rig_add(&rig, rig_vf(0)), 0);
    }
}

static void test_M04_vfs_that_were_enabled_already(void **state)
{
    struct rig captured;
    struct pcidev_info info;

    (void)state;
    rig_begin(&captured);
    mb_root_port(&captured.builder, at(0, 1, 0), 1, 1);
    mb_vfs(&captured.builder, mb_pf(&captured.builder, at(1, 0, 0), 8, 8, 1), 3);
    rig_up(&captured, NULL);
    assert_int_equal(berth_machine_count(captured.machine), 5);
    info = rig_info(&captured, at(1, 0, 0));
    assert_true(info.vfs == 3 && info.children == 3 && info.total_vfs == 8);
    info = rig_info(&captured, at(1, 1, 2));
    assert_true(info.is_vf && info.device == 0x0011);
    rig_down(&captured);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F05_a_vf_without_its_pf_leaves_no_residue),
        TEST(test_M04_a_vf_has_the_ids_that_its_pf_tells),
        TEST(test_M04_addresses_of_vfs),
        TEST(test_M04_on_and_off),
        TEST(test_M04_numbers_that_are_refused),
        TEST(test_M04_vfs_that_do_not_come_up_are_undone),
        TEST(test_F04_a_pf_with_vfs_is_neither_removed_nor_reset),
        TEST(test_M09_a_reset_does_not_take_enabled_vfs_away_unseen),
        TEST(test_C6_the_object_of_a_pf_outlives_those_of_its_vfs),
        TEST(test_F07_every_operation_on_a_vf_that_is_gone),
        TEST(test_F07_a_lent_vf_that_vanishes_mid_way_ends_in_quarantine),
        TEST(test_M04_vfs_that_were_enabled_already),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
