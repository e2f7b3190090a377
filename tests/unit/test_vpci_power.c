/* SPDX-License-Identifier: MIT */
/* Power states of a lent device (M14, K14): the guest changes them, transitions undo them. */
#include "src/core/registers.h"
#include "src/core/view.h"
#include "tests/unit/lent.h"

#define ID_PM 0x01
#define ID_PCIE 0x10
#define PMC 0x02
#define PMCSR 0x04
#define BAR_AT 0x40000000u

static struct lent lent;
static unsigned pm;

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    pm = mb_find_cap(lent.function, ID_PM);
    return 0;
}

static int teardown(void **state)
{
    struct sim_counters now;

    (void)state;
    sim_counters(lent.rig.sim, &now);
    assert_int_equal(now.touches_resetting, 0);
    lent_down(&lent);
    return 0;
}

static void up(void)
{
    lent_up(&lent);
    lent_place(&lent, BAR_AT);
    assert_true(lent.maps.count > 0);
}

static unsigned guest_state(void)
{
    return lent_get(&lent, pm + PMCSR, 2) & 3;
}

static unsigned real_state(void)
{
    return lent_hardware(&lent, pm + PMCSR, 2) & 3;
}

static void set_state(unsigned state)
{
    lent_put(&lent, pm + PMCSR, 2, state);
}

static void test_M45_no_wake_up_events(void **state)
{
    (void)state;
    mb_put(lent.function, pm + PMC, 2, 0xffff);
    mb_put(lent.function, pm + PMCSR, 2, 0x8108);
    up();
    assert_int_equal(lent_get(&lent, pm + PMC, 2), 0x0627);
    assert_int_equal(lent_get(&lent, pm + PMCSR, 2), 0x0008);
    lent_put(&lent, pm + PMCSR, 2, 0xff00);
    assert_int_equal(lent_get(&lent, pm + PMCSR, 2), 0x0008);
    assert_int_equal(lent_hardware(&lent, pm + PMCSR, 2) & 0x0100, 0x0100);
}

static void test_M14_nothing_of_a_bar_in_D3hot(void **state)
{
    struct sim_counters before, after;

    (void)state;
    up();
    set_state(3);
    assert_int_equal(guest_state(), 3);
    assert_int_equal(real_state(), 3);
    assert_int_equal(lent.maps.count, 0);
    sim_function_counters(lent.rig.sim, lent.host, &before);
    assert_int_equal(lent_mmio(&lent, BAR_AT), 0xffffffff);
    assert_int_equal(berth_domain_mmio_write(lent.guest, BAR_AT + 0x2000, 4, 1), 0);
    sim_function_counters(lent.rig.sim, lent.host, &after);
    assert_int_equal(after.bar_reads, before.bar_reads);
    assert_int_equal(after.bar_writes, before.bar_writes);
    assert_int_equal(lent_get(&lent, LENT_COMMAND, 2) & LENT_MEMORY, LENT_MEMORY);
    set_state(0);
    assert_int_equal(real_state(), 0);
    assert_true(lent.maps.count > 0);
    assert_int_not_equal(lent_mmio(&lent, BAR_AT + 0x200c), 0xffffffff);
}

static void test_M14_what_is_mapped_while_it_sleeps_comes_with_D0(void **state)
{
    (void)state;
    lent_up(&lent);
    set_state(3);
    lent_place(&lent, BAR_AT);
    assert_int_equal(lent.maps.count, 0);
    set_state(0);
    assert_true(lent.maps.count > 0);
}

static void test_M14_a_soft_reset_loses_nothing(void **state)
{
    uint32_t bar, control;
    unsigned pcie = mb_find_cap(lent.function, ID_PCIE);

    (void)state;
    mb_pm_reset(lent.function);
    up();
    lent_put(&lent, pcie + 8, 2, 0x5000);
    bar = lent_hardware(&lent, LENT_BAR0 + 4, 4);
    control = lent_hardware(&lent, pcie + 8, 2);
    set_state(3);
    lent_put(&lent, LENT_COMMAND, 2, LENT_MEMORY); /* while it sleeps: no mastering any more */
    set_state(0);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 4, 4), bar);
    assert_int_equal(lent_hardware(&lent, pcie + 8, 2), control);
    assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & 7, LENT_MEMORY);
    assert_int_equal(lent_get(&lent, LENT_COMMAND, 2), LENT_MEMORY);
    assert_int_not_equal(lent_mmio(&lent, BAR_AT + 0x200c), 0xffffffff);
}

static void test_M45_states_that_there_are_not(void **state)
{
    (void)state;
    mb_put(lent.function, pm + PMC, 2, 0x0203); /* D1, no D2 */
    up();
    set_state(2);
    assert_int_equal(guest_state(), 0);
    set_state(1);
    assert_int_equal(guest_state(), 1);
    assert_int_equal(real_state(), 1);
    set_state(0); /* nothing was lost */
    assert_int_equal(real_state(), 0);
    set_state(1);
    set_state(3);
    assert_int_equal(real_state(), 3);
    set_state(1); /* the way back is through D0 */
    assert_int_equal(guest_state(), 3);
    assert_int_equal(real_state(), 3);
}

/* ---- transitions ---- */

static void test_M14_a_sleeping_device_is_woken_before_it_is_touched(void **state)
{
    uint32_t bar;

    (void)state;
    mb_pm_reset(lent.function);
    up();
    bar = lent_hardware(&lent, LENT_BAR0 + 4, 4);
    assert_int_not_equal(bar, 0);
    set_state(3);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(real_state(), 0);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(guest_state(), 0);
    set_state(3);
    assert_int_equal(rig_reset(&lent.rig, lent.host), 0);
    assert_int_equal(guest_state(), real_state());
    set_state(3);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 4, 4), bar);
}

/* No reset does it by the way. */
static void test_M14_also_where_nothing_resets_it(void **state)
{
    (void)state;
    lent.host = at(0, 9, 0);
    lent.function = mb_rc_endpoint(&lent.rig.builder, lent.host);
    mb_no_flr(lent.function);
    pm = mb_find_cap(lent.function, ID_PM);
    lent_up(&lent);
    assert_int_equal(rig_info(&lent.rig, lent.host).method_count, 0);
    set_state(3);
    assert_int_equal(real_state(), 3);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(real_state(), 0);
}

static void test_M14_a_device_in_D3hot_can_be_lent(void **state)
{
    uint32_t bar;

    (void)state;
    mb_pm_reset(lent.function);
    lent_up_idle(&lent);
    bar = lent_hardware(&lent, LENT_BAR0 + 4, 4);
    rig_poke(&lent.rig, lent.host, pm + PMCSR, 2, 3);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(guest_state(), 0);
    assert_int_equal(real_state(), 0);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 4, 4), bar);
}

/* P2: whatever fails, registers and view agree, and the BARs are where they were. */
static void sweep(enum sim_op op, int (*run)(void))
{
    for (unsigned n = 1; n < 400; n++) {
        bool lost, ended;

        if (!rig_has(&lent.rig, lent.host))
            assert_int_equal(rig_add(&lent.rig, lent.host), 0);
        if (rig_info(&lent.rig, lent.host).owner_kind != BERTH_DOMAIN_GUEST)
            assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
        lent_place(&lent, BAR_AT);
        set_state(3);
        assert_int_equal(real_state(), 3);
        sim_fail(lent.rig.sim, op, n, 0, -EIO);
        (void)run();
        ended = !sim_failed(lent.rig.sim, op);
        sim_fail(lent.rig.sim, op, 0, 0, 0);
        if (ended)
            return;
        lost = rig_info(&lent.rig, lent.host).broken;
        if (lost) {
            assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
            continue;
        }
        if (rig_info(&lent.rig, lent.host).owner_kind == BERTH_DOMAIN_GUEST) {
            assert_int_equal(guest_state(), real_state());
            set_state(0);
            assert_int_equal(guest_state(), 0);
            assert_int_equal(real_state(), 0);
        }
    }
    fail_msg("the sweep does not end");
}

static int deassign(void)
{
    return rig_deassign(&lent.rig, lent.host, lent.guest);
}

static int reset(void)
{
    return rig_reset(&lent.rig, lent.host);
}

static int wake(void)
{
    set_state(0);
    return 0;
}

static void test_M14_sweep_of_failures(void **state)
{
    (void)state;
    mb_pm_reset(lent.function);
    lent_up(&lent);
    sweep(SIM_OP_CONFIG_WRITE, deassign);
    sweep(SIM_OP_CONFIG_READ, deassign);
    sweep(SIM_OP_CONFIG_WRITE, reset);
    sweep(SIM_OP_CONFIG_READ, reset);
    sweep(SIM_OP_CONFIG_WRITE, wake);
    sweep(SIM_OP_CONFIG_READ, wake);
}

static void test_M14_a_state_that_cannot_be_reached(void **state)
{
    (void)state;
    up();
    for (unsigned n = 1; n < 100; n++) {
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, n, 0, -EIO);
        set_state(3);
        if (!sim_failed(lent.rig.sim, SIM_OP_CONFIG_WRITE))
            break;
        assert_int_equal(guest_state(), real_state());
        assert_int_equal(lent.maps.count > 0, real_state() == 0);
        set_state(0);
    }
    sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
    set_state(0);
    lent.maps.fail_unmap = 1;
    set_state(3);
    assert_int_equal(guest_state(), 0);
    assert_int_equal(real_state(), 0);
    assert_int_not_equal(lent_mmio(&lent, BAR_AT + 0x200c), 0xffffffff);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M45_no_wake_up_events),
        TEST(test_M14_nothing_of_a_bar_in_D3hot),
        TEST(test_M14_what_is_mapped_while_it_sleeps_comes_with_D0),
        TEST(test_M14_a_soft_reset_loses_nothing),
        TEST(test_M45_states_that_there_are_not),
        TEST(test_M14_a_sleeping_device_is_woken_before_it_is_touched),
        TEST(test_M14_also_where_nothing_resets_it),
        TEST(test_M14_a_device_in_D3hot_can_be_lent),
        TEST(test_M14_sweep_of_failures),
        TEST(test_M14_a_state_that_cannot_be_reached),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
