/* SPDX-License-Identifier: MIT */
/* Hidden, read-only and pulled devices: what nobody may do with them (M07, M11, A4). */
#include "tests/unit/rig.h"

#include <linux/pci_regs.h>

static struct rig rig;
static const struct sbdf second_pf = {0, 7, 0}, third_pf = {0, 8, 0};
static struct sbdf hidden[1], read_only[1];

static void with_lists(struct berth_machine_config *config)
{
    hidden[0] = second_pf;
    read_only[0] = third_pf;
    config->hidden = hidden;
    config->hidden_count = 1;
    config->read_only = read_only;
    config->read_only_count = 1;
}

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    mb_root_port(&rig.builder, at(0, 6, 0), 7, 7);
    mb_pf(&rig.builder, second_pf, 4, 8, 1);
    mb_root_port(&rig.builder, at(0, 7, 0), 8, 8);
    mb_pf(&rig.builder, third_pf, 4, 8, 1);
    rig_up(&rig, with_lists);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

/* ---- VFs ---- */

static void test_M04_reserved_pfs_make_no_vfs(void **state)
{
    (void)state;
    rig_expect_refused(&rig, rig_sriov(&rig, second_pf, 2), -EBUSY, BERTH_REASON_HIDDEN);
    rig_expect_refused(&rig, rig_sriov(&rig, third_pf, 2), -EBUSY, BERTH_REASON_READ_ONLY);
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), 0);
}

static void test_A4_a_pf_that_is_gone_makes_no_vfs(void **state)
{
    (void)state;
    rig_add_vfs(&rig, 1);
    rig_pull(&rig, rig_pf);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 2), -ENODEV, BERTH_REASON_DISCONNECTED);
    rig_expect_refused(&rig, rig_sriov(&rig, rig_pf, 0), -ENODEV, BERTH_REASON_DISCONNECTED);
    assert_int_equal(rig_remove(&rig, rig_vf(0), PCIDEV_REMOVE_DEFAULT), 0);
}

/* ---- registers ---- */

static void test_M07_nobody_writes_to_what_is_read_only(void **state)
{
    struct pcidev *dev = rig_dev(&rig, third_pf);
    struct pcidev_section section;
    uint32_t value;

    (void)state;
    assert_true(pcidev_enter(dev, "writer", &section));
    assert_int_equal(pcidev_config_write(dev, PCI_COMMAND, 2, 0), -EPERM);
    assert_int_equal(pcidev_config_read(dev, PCI_COMMAND, 2, &value), 0);
    pcidev_exit(&section);
    assert_int_equal(value & PCI_COMMAND_MEMORY, PCI_COMMAND_MEMORY);
    rig_put(dev);
}

/* ---- M11 ---- */

static bool is_master(struct sbdf sbdf)
{
    return rig_peek(&rig, sbdf, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

static void test_M11_the_hidden_and_the_dead_are_left_alone(void **state)
{
    unsigned quiet = berth_machine_quiesce(rig.machine);

    (void)state;
    assert_true(is_master(second_pf));
    assert_false(is_master(rig_nvme));
    rig_pull(&rig, rig_nvme);
    assert_int_equal(berth_machine_quiesce(rig.machine), quiet - 1);
    rig_poke(&rig, rig_nvme2, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    assert_int_equal(sim_vanish(rig.sim, rig_legacy), 0); /* nobody has told us yet */
    sim_fail(rig.sim, SIM_OP_CONFIG_READ, 1, 0, 0);
    assert_int_equal(berth_machine_quiesce(rig.machine), quiet - 1);
    assert_false(is_master(rig_nvme2));
    assert_int_equal(sim_return(rig.sim, rig_legacy), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M04_reserved_pfs_make_no_vfs),
        TEST(test_A4_a_pf_that_is_gone_makes_no_vfs),
        TEST(test_M07_nobody_writes_to_what_is_read_only),
        TEST(test_M11_the_hidden_and_the_dead_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
