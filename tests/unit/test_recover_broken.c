/* SPDX-License-Identifier: MIT */
/* Devices that are lent have errors, and do not come back (M13, O6). */
#include <berth_port.h>

#include "tests/unit/trouble.h"

/* ---- it does not ---- */

static void test_M13_broken_where_it_does_not_come_back(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    drive(rig_nvme2, 0x20000000);
    assert_int_equal(sim_hang_on_reset(trouble.rig.sim, rig_nvme, true), 0);
    rig_expect_refused(&trouble.rig, recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EIO,
                       BERTH_REASON_RESET_FAILED);
    expect_broken(rig_nvme);
    assert_int_equal(trouble.troubles, 1);
    assert_int_equal(trouble.restored, 0);
    expect_works(rig_nvme2, 0x20000000);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* nobody's by now */
}

static void test_M13_broken_where_there_is_no_reset(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&trouble.rig, bare, trouble.guest), 0);
    rig_expect_refused(&trouble.rig, recover(bare, PCIDEV_TROUBLE_NONFATAL), -ENOTTY,
                       BERTH_REASON_NO_RESET);
    expect_broken(bare);
}

/* The only way to reach it would hit somebody else's device. */
static void test_M13_broken_where_a_neighbour_is_in_the_way(void **state)
{
    (void)state;
    drive(twin, 0x10000000);
    assert_int_equal(rig_assign(&trouble.rig, twin2, trouble.other), 0);
    assert_int_equal(sim_error(trouble.rig.sim, twin, SIM_ERROR_DPC), 0);
    rig_expect_refused(&trouble.rig, recover(twin, PCIDEV_TROUBLE_DPC), -EBUSY,
                       BERTH_REASON_RESET_SCOPE);
    expect_broken(twin);
    rig_expect_owner(&trouble.rig, twin2, "vm2");
}

static void test_M13_broken_where_the_view_does_not_come_back(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    trouble.restore_error = -EIO;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EIO);
    expect_broken(rig_nvme);
}

static void test_M13_as_before_where_the_guest_does_not_let_go(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    trouble.withdraw_error = -EIO;
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), -EIO);
    assert_int_equal(trouble.troubles, 1);
    trouble.withdraw_error = 0;
    expect_works(rig_nvme, 0x10000000);
    assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_FATAL), 0); /* and is not merged with that */
    assert_int_equal(trouble.troubles, 2);
}

static void test_A4_a_device_that_vanished(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    rig_pull(&trouble.rig, rig_nvme);
    rig_expect_refused(&trouble.rig, recover(rig_nvme, PCIDEV_TROUBLE_DPC), -ENODEV,
                       BERTH_REASON_DISCONNECTED);
    assert_int_equal(trouble.troubles, 1);
    assert_int_equal(rig_remove(&trouble.rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
}

static void test_M13_arguments(void **state)
{
    struct pcidev *dev = rig_dev(&trouble.rig, rig_nvme);

    (void)state;
    rig_expect_refused(&trouble.rig, recover(rig_nvme, (enum pcidev_trouble)4), -EINVAL,
                       BERTH_REASON_BAD_ARGUMENT);
    assert_string_equal(pcidev_trouble_name((enum pcidev_trouble)4), "unknown");
    assert_string_equal(berth_event_name(BERTH_EVENT_TROUBLE), "trouble");
    assert_int_equal(rig_remove(&trouble.rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(pcidev_recover(dev, PCIDEV_TROUBLE_FATAL, NULL), -ENODEV);
    assert_int_equal(rig_count_events(&trouble.rig, BERTH_EVENT_TROUBLE), 0);
    rig_put(dev);
}

/* ---- too often ---- */

static void test_O6_a_storm_breaks_it(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    for (unsigned i = 0; i < RECOVERIES_MAX; i++)
        assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
    expect_works(rig_nvme, 0x10000000);
    rig_expect_refused(&trouble.rig, recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), -EIO,
                       BERTH_REASON_BROKEN);
    expect_broken(rig_nvme);
    assert_int_equal(trouble.troubles, RECOVERIES_MAX + 1);
}

static void test_O6_now_and_then_is_no_storm(void **state)
{
    (void)state;
    drive(rig_nvme, 0x10000000);
    for (unsigned i = 0; i < 4 * RECOVERIES_MAX; i++) {
        assert_int_equal(recover(rig_nvme, PCIDEV_TROUBLE_NONFATAL), 0);
        port_sleep_ns(2000000000);
    }
    expect_works(rig_nvme, 0x10000000);
}

/* ---- P2 ---- */

/* Whatever the host refuses: back, as before, or broken; the guest goes on in any case. */
static bool sweep_once(unsigned nth)
{
    int error;
    bool failed;

    drive(rig_nvme, 0x10000000);
    sim_fail(trouble.rig.sim, SIM_OP_ANY, nth, 0, 0);
    error = recover(rig_nvme, nth % 2 ? PCIDEV_TROUBLE_FATAL : PCIDEV_TROUBLE_DPC);
    failed = sim_failed(trouble.rig.sim, SIM_OP_ANY);
    sim_fail(trouble.rig.sim, SIM_OP_ANY, 0, 0, 0);
    if (rig_info(&trouble.rig, rig_nvme).broken)
        expect_broken(rig_nvme);
    else
        expect_works(rig_nvme, 0x10000000);
    assert_true(error == 0 || failed);
    assert_int_equal(rig_remove(&trouble.rig, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(sim_vanish(trouble.rig.sim, rig_nvme),
                     0); /* off and on, as it may be anywhere */
    assert_int_equal(sim_return(trouble.rig.sim, rig_nvme), 0);
    assert_int_equal(rig_add(&trouble.rig, rig_nvme), 0);
    return failed;
}

static void test_P2_everything_the_host_can_refuse(void **state)
{
    unsigned nth = 1;

    (void)state;
    while (sweep_once(nth))
        nth++;
    assert_true(nth > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_M13_broken_where_it_does_not_come_back, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_there_is_no_reset, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_a_neighbour_is_in_the_way, trouble_up,
                                        trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_broken_where_the_view_does_not_come_back,
                                        trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_as_before_where_the_guest_does_not_let_go,
                                        trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_A4_a_device_that_vanished, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_M13_arguments, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_O6_a_storm_breaks_it, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_O6_now_and_then_is_no_storm, trouble_up, trouble_down),
        cmocka_unit_test_setup_teardown(test_P2_everything_the_host_can_refuse, trouble_up,
                                        trouble_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
