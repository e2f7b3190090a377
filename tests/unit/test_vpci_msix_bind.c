/* SPDX-License-Identifier: MIT */
/* MSI-X and the host: bindings, and the table in the hardware (M30, X46, F52, O2, P2). */
#include "tests/unit/msix_driver.h"

/* ---- binding ---- */

static void test_vectors_are_bound_when_they_can_be_sent(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        msix_message(i);
    msix_mask(0, false);
    msix_mask(1, false);
    assert_int_equal(irq_bindings(&ir), 1); /* INTx */
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(irq_bindings(&ir), 1);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(irq_bindings(&ir), 3);
    assert_int_equal(irq_holds(&ir), 3); /* C6 */
    msix_mask(2, false);
    assert_int_equal(irq_bindings(&ir), 4);
    msix_mask(2, true);
    msix_mask(2, false);
    assert_int_equal(irq_bindings(&ir), 4);
    assert_false(msix_is_open(3));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(msix_is_open(i));
        assert_int_equal(msix_hardware(i).address, IRQ_CONTROLLER);
        msix_expect_works(i);
    }
    msix_control(0);
    assert_int_equal(irq_bindings(&ir), 1);
    assert_int_equal(irq_holds(&ir), 1);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    for (unsigned i = 0; i < 3; i++)
        msix_expect_works(i);
}

static void test_X46_one_that_cannot_be_bound_hurts_no_other(void **state)
{
    (void)state;
    for (unsigned failing = 0; failing < 4; failing++) {
        for (unsigned i = 0; i < 4; i++) {
            msix_message(i);
            msix_mask(i, false);
        }
        sim_fail(ir.rig.sim, SIM_OP_BIND, failing + 1, 0, 0);
        msix_control(PCI_MSIX_FLAGS_ENABLE);
        assert_true(msix_reads_enabled());
        assert_false(msix_is_open(failing));
        assert_int_equal(irq_bindings(&ir), 4);
        for (unsigned i = 0; i < 4; i++)
            if (i != failing)
                msix_expect_works(i);
        assert_int_equal(irq_raise(&ir, failing), SIM_IRQ_PENDING);
        msix_mask(failing, true);
        msix_mask(failing, false); /* tried again */
        msix_expect_message(failing);
        msix_expect_works(failing);
        msix_control(0);
    }
    assert_int_not_equal(rig_find_event(&ir.rig, 0, BERTH_EVENT_VIEW, "bind MSI-X vector"), -1);
}

/* P2: no write to the table that fails leaves an entry open with half a message. */
static void test_P2_a_write_to_the_hardware_that_fails(void **state)
{
    bool failed = true;

    (void)state;
    for (unsigned nth = 1; failed && nth < 100; nth++) {
        msix_message(0);
        msix_mask(0, false);
        sim_fail(ir.rig.sim, SIM_OP_BAR_WRITE, nth, 0, 0);
        msix_control(PCI_MSIX_FLAGS_ENABLE);
        msix_mask(1, true);
        msix_message(1);
        msix_mask(1, false);
        failed = sim_failed(ir.rig.sim, SIM_OP_BAR_WRITE);
        sim_fail(ir.rig.sim, SIM_OP_BAR_WRITE, 0, 0, 0);
        for (unsigned i = 0; i < MSIX_VECTORS; i++)
            assert_true(!msix_is_open(i) || msix_hardware(i).address == IRQ_CONTROLLER);
        msix_mask(0, true); /* whatever failed is done now */
        msix_mask(0, false);
        msix_mask(1, true);
        msix_mask(1, false);
        msix_expect_works(0);
        msix_expect_works(1);
        msix_control(0);
        assert_int_equal(irq_bindings(&ir), 1);
        assert_int_equal(rig_reset(&ir.rig, ir.dev), 0); /* and from the beginning */
    }
    assert_false(failed);
}

static void test_an_enable_that_fails_leaves_it_off(void **state)
{
    unsigned nth = 0;
    bool failed;

    (void)state;
    msix_message(0);
    msix_mask(0, false);
    do {
        sim_fail(ir.rig.sim, SIM_OP_CONFIG_WRITE, ++nth, 0, 0);
        msix_control(PCI_MSIX_FLAGS_ENABLE);
        failed = sim_failed(ir.rig.sim, SIM_OP_CONFIG_WRITE);
        sim_fail(ir.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
        if (!msix_reads_enabled()) {
            assert_int_equal(msix_hardware_control() & PCI_MSIX_FLAGS_ENABLE, 0);
            assert_false(irq_line_is_off(&ir));
            assert_int_equal(irq_bindings(&ir), 1);
        }
        msix_control(0);
    } while (failed && nth < 20);
    assert_in_range(nth, 3, 10);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    msix_expect_works(0);
}

/* ---- what there was before: entries that somebody left open ---- */

static void leave_open(struct irq_rig *rig)
{
    uint32_t flags = PCI_MSIX_FLAGS_ENABLE, junk = 0xfee0dead, open = 0;

    rig_poke(&rig->rig, rig->dev, msix_cap + PCI_MSIX_FLAGS, 2, flags);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        sim_bar_access(rig->rig.sim, rig->dev, 0, MSIX_TABLE + 16 * i, true, &junk);
        sim_bar_access(rig->rig.sim, rig->dev, 0, MSIX_TABLE + 16 * i + 12, true, &open);
    }
    rig_poke(&rig->rig, rig->dev, msix_cap + PCI_MSIX_FLAGS, 2, 0);
}

static void test_O2_what_an_earlier_owner_left_open_is_masked(void **state)
{
    struct capture_function *f;

    (void)state;
    irq_begin(&ir);
    f = mb_rc_endpoint(&ir.rig.builder, msix_resetless);
    mb_no_flr(f);
    msix_cap = mb_find_cap(f, PCI_CAP_ID_MSIX);
    ir.prepare = leave_open;
    msix_up_with(msix_resetless);
    assert_true(msix_is_open(5));
    msix_message(0);
    msix_mask(0, false);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    for (unsigned i = 1; i < MSIX_VECTORS; i++)
        assert_false(msix_is_open(i));
    msix_expect_works(0);
    assert_int_equal(irq_raise(&ir, 5), SIM_IRQ_PENDING);
    assert_int_equal(irq_counters(&ir).interrupts_forged, 0);
    irq_down(&ir);
}

/* ---- F52: when the table may be touched ---- */

static uint64_t bar_accesses(void)
{
    struct sim_counters now = irq_counters(&ir);

    return now.bar_reads + now.bar_writes;
}

static void test_F52_the_table_is_left_alone_while_msix_is_off(void **state)
{
    uint64_t before;

    (void)state;
    before = bar_accesses();
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        msix_message(i);
        msix_mask(i, false);
        msix_mask(i, true);
        (void)msix_get(msix_entry_at(i), 8);
    }
    (void)msix_get(msix_pba, 8);
    assert_int_equal(bar_accesses(), before);
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_int_equal(bar_accesses(), before);
    msix_set_up_all(4);
    before = bar_accesses();
    msix_control(0);
    irq_take_back(&ir);
    assert_int_equal(bar_accesses(), before);
    irq_lend(&ir);
}

static void test_F52_and_while_the_device_sleeps(void **state)
{
    uint64_t before;

    (void)state;
    msix_message(0);
    msix_mask(0, false);
    irq_set_power(&ir, 3);
    before = bar_accesses();
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    assert_true(msix_reads_enabled());
    assert_int_equal(bar_accesses(), before);
    irq_set_power(&ir, 0);
    msix_expect_works(0);
}

static void sleep_with(bool keeps)
{
    irq_begin(&ir);
    if (!keeps)
        mb_pm_reset(rig_function(&ir.rig, rig_nvme));
    msix_up();
    msix_set_up_all(4);
    msix_mask(2, true);
    irq_set_power(&ir, 3);
    irq_set_power(&ir, 0);
    msix_expect_works(0);
    assert_int_equal(irq_raise(&ir, 2), SIM_IRQ_PENDING);
    msix_mask(2, false);
    msix_expect_message(2);
    irq_down(&ir);
}

static void test_M14_vectors_after_a_sleep(void **state)
{
    (void)state;
    sleep_with(true);
    sleep_with(false);
}

/* ---- size ---- */

static void test_M30_two_thousand_vectors(void **state)
{
    (void)state;
    msix_up_large(2048);
    assert_int_equal(irq_get(&ir, msix_cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE, 2047);
    msix_set_up_all(2048);
    assert_int_equal(irq_bindings(&ir), 2049);
    for (unsigned i = 0; i < 2048; i += 89)
        msix_expect_works(i);
    msix_expect_works(2047);
    msix_mask(2047, true);
    irq_raise(&ir, 2047);
    assert_int_equal(msix_get(msix_pba + 255 - 7, 8), UINT64_C(1) << 63);
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    msix_expect_works(2046);
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(irq_bindings(&ir), 0);
    irq_down(&ir);
}

static void test_P2_when_the_host_runs_out(void **state)
{
    unsigned bound;

    (void)state;
    msix_up_large(2048);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 1001, 2000, -ENOSPC);
    msix_set_up_all(2048);
    bound = irq_bindings(&ir);
    assert_int_equal(bound, 1001);
    msix_expect_works(999);
    assert_int_equal(irq_raise(&ir, 1000), SIM_IRQ_PENDING);
    assert_in_range(rig_count_events(&ir.rig, BERTH_EVENT_VIEW), 1, 20); /* O6 */
    irq_down(&ir);
}

static void test_a_view_stays_small(void **state)
{
    struct pcidev *dev;

    (void)state;
    msix_up_large(64);
    msix_set_up_all(64);
    dev = rig_dev(&ir.rig, ir.dev);
    assert_in_range(berth_view_size(dev), 64 * 32, 8192);
    rig_put(dev);
    irq_down(&ir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msix_setup, msix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_vectors_are_bound_when_they_can_be_sent),
        TEST(test_X46_one_that_cannot_be_bound_hurts_no_other),
        TEST(test_P2_a_write_to_the_hardware_that_fails),
        TEST(test_an_enable_that_fails_leaves_it_off),
        cmocka_unit_test(test_O2_what_an_earlier_owner_left_open_is_masked),
        TEST(test_F52_the_table_is_left_alone_while_msix_is_off),
        TEST(test_F52_and_while_the_device_sleeps),
        cmocka_unit_test(test_M14_vectors_after_a_sleep),
        cmocka_unit_test(test_M30_two_thousand_vectors),
        cmocka_unit_test(test_P2_when_the_host_runs_out),
        cmocka_unit_test(test_a_view_stays_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
