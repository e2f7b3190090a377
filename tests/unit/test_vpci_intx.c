/* SPDX-License-Identifier: MIT */
/* INTx for guests, and what all kinds of interrupts share (M30, C6, O2, R2, X30, X47). */
#include "tests/unit/irq_rig.h"

static struct irq_rig ir;

static int setup(void **state)
{
    (void)state;
    irq_begin(&ir);
    irq_up(&ir, rig_nvme);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    irq_down(&ir);
    return 0;
}

static int begin_only(void **state)
{
    (void)state;
    irq_begin(&ir);
    return 0;
}

static void end_of_interrupt(void)
{
    berth_domain_intx_eoi(ir.guest, ir.at);
}

static void disable(bool on)
{
    irq_put(&ir, PCI_COMMAND, 2,
            PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | (on ? PCI_COMMAND_INTX_DISABLE : 0));
}

/* ---- names ---- */

static void test_names_of_kinds(void **state)
{
    (void)state;
    assert_string_equal(berth_irq_kind_name(BERTH_IRQ_INTX), "intx");
    assert_string_equal(berth_irq_kind_name(BERTH_IRQ_MSI), "msi");
    assert_string_equal(berth_irq_kind_name(BERTH_IRQ_MSIX), "msix");
    assert_string_equal(berth_irq_kind_name((enum berth_irq_kind)99), "unknown");
}

/* ---- who has a pin ---- */

static void test_C6_a_line_is_bound_while_it_is_lent(void **state)
{
    (void)state;
    assert_int_equal(irq_get(&ir, PCI_INTERRUPT_PIN, 1), 1);
    assert_int_equal(irq_bindings(&ir), 1);
    assert_int_equal(irq_holds(&ir), 1);
    assert_false(irq_line_is_off(&ir));
    irq_take_back(&ir);
    assert_int_equal(irq_bindings(&ir), 0);
    assert_int_equal(irq_holds(&ir), 0);
    irq_lend(&ir);
    assert_int_equal(irq_bindings(&ir), 1);
}

static void expect_no_pin(void)
{
    irq_up(&ir, rig_nvme);
    assert_int_equal(irq_get(&ir, PCI_INTERRUPT_PIN, 1), 0);
    assert_int_equal(irq_bindings(&ir), 0);
    irq_down(&ir);
}

static void test_no_pin_without_one_in_the_hardware(void **state)
{
    (void)state;
    mb_put(rig_function(&ir.rig, rig_nvme), PCI_INTERRUPT_PIN, 1, 0);
    expect_no_pin();
}

static void test_no_pin_out_of_junk(void **state)
{
    (void)state;
    mb_put(rig_function(&ir.rig, rig_nvme), PCI_INTERRUPT_PIN, 1, 5);
    expect_no_pin();
}

static void test_no_pin_where_the_vmm_takes_none(void **state)
{
    (void)state;
    ir.no_line = true;
    expect_no_pin();
}

static void without_interrupts(struct berth_machine_config *config)
{
    config->irqs = NULL;
}

static void test_M30_without_a_host_of_interrupts_there_are_none(void **state)
{
    (void)state;
    ir.configure = without_interrupts;
    mb_msi(rig_function(&ir.rig, rig_nvme), 4);
    irq_up(&ir, rig_nvme);
    assert_int_equal(irq_get(&ir, PCI_INTERRUPT_PIN, 1), 0);
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSI), 0);
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSIX), 0);
    assert_int_not_equal(irq_cap(&ir, PCI_CAP_ID_EXP), 0);
    irq_down(&ir);
}

static void test_X47_a_line_that_cannot_be_bound_stays_quiet(void **state)
{
    (void)state;
    irq_take_back(&ir);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 0, 0);
    irq_lend(&ir);
    assert_true(sim_failed(ir.rig.sim, SIM_OP_BIND));
    assert_int_equal(irq_bindings(&ir), 0);
    assert_true(irq_line_is_off(&ir));
    assert_int_not_equal(rig_find_event(&ir.rig, 0, BERTH_EVENT_VIEW, "bind INTx"), -1);
    disable(true);
    disable(false); /* the guest tries again, and so do we */
    assert_int_equal(irq_bindings(&ir), 1);
    irq_raise(&ir, 0);
    assert_true(ir.line);
}

/* ---- the level ---- */

static void test_a_line_goes_quiet_until_the_guest_has_handled_it(void **state)
{
    (void)state;
    assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_DELIVERED);
    assert_true(ir.line);
    assert_true(irq_line_is_off(&ir));
    assert_int_equal(ir.results[BERTH_IRQ_INJECTED], 1);
    assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_PENDING); /* quiet, on the host's side */
    assert_int_equal(ir.edges, 1);
    /* the guest does not see the host's mask */
    assert_int_equal(irq_get(&ir, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE, 0);
    assert_int_not_equal(irq_get(&ir, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);

    sim_lower(ir.rig.sim, ir.dev);
    end_of_interrupt();
    assert_false(ir.line);
    assert_false(irq_line_is_off(&ir));
    assert_int_equal(ir.edges, 2);
}

static void test_a_line_that_is_still_high_fires_again(void **state)
{
    (void)state;
    irq_raise(&ir, 0);
    end_of_interrupt();
    assert_true(ir.line);
    assert_int_equal(ir.edges, 3); /* high, low, high */
    assert_true(irq_line_is_off(&ir));
    assert_int_equal(ir.fired, 2);
    sim_lower(ir.rig.sim, ir.dev);
    end_of_interrupt();
    assert_false(ir.line);
}

static void test_an_end_without_an_interrupt_is_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        end_of_interrupt();
    berth_domain_intx_eoi(ir.guest, rig_nowhere);
    assert_false(ir.line);
    assert_false(irq_line_is_off(&ir));
    irq_raise(&ir, 0);
    assert_true(ir.line);
}

static void test_the_guest_disables_it(void **state)
{
    (void)state;
    irq_raise(&ir, 0);
    disable(true);
    assert_false(ir.line); /* PCI 3.0, 6.2.2: no longer asserted */
    assert_true(irq_line_is_off(&ir));
    end_of_interrupt();
    assert_true(irq_line_is_off(&ir));
    disable(false);
    assert_true(ir.line);
    assert_int_equal(irq_get(&ir, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void test_O8_msix_keeps_the_line_off(void **state)
{
    unsigned cap;

    (void)state;
    cap = irq_cap(&ir, PCI_CAP_ID_MSIX);
    irq_raise(&ir, 0);
    irq_put(&ir, cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    assert_false(ir.line);
    assert_true(irq_line_is_off(&ir));
    disable(true);
    disable(false);
    assert_true(irq_line_is_off(&ir));
    end_of_interrupt();
    assert_true(irq_line_is_off(&ir));
    irq_put(&ir, cap + PCI_MSIX_FLAGS, 2, 0);
    assert_true(ir.line); /* the level is still there */
}

/* ---- life ---- */

static void raise_during(struct irq_rig *rig)
{
    assert_int_equal(irq_raise(rig, 0), SIM_IRQ_DELIVERED);
    assert_int_equal(rig->results[BERTH_IRQ_PENDING], 1);
    assert_false(rig->line);
}

static void lower_during(struct irq_rig *rig)
{
    raise_during(rig);
    sim_lower(rig->rig.sim, rig->dev);
}

/* A failed transition ends where it began: the device was never reset, and asserts its line. */
static void test_M30_a_line_that_came_up_in_a_transition_is_told_afterwards(void **state)
{
    (void)state;
    ir.during = raise_during;
    ir.withdraw_error = -EBUSY;
    assert_int_equal(rig_deassign(&ir.rig, ir.dev, ir.guest), -EBUSY);
    rig_expect_owner(&ir.rig, ir.dev, "vm1");
    assert_true(ir.line);
    assert_true(irq_line_is_off(&ir));
}

static void test_M30_a_line_that_went_away_again_is_not(void **state)
{
    (void)state;
    ir.during = lower_during;
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_false(ir.line);
    assert_int_equal(ir.edges, 0);
    ir.during = NULL;
    irq_raise(&ir, 0); /* and it works as before */
    assert_true(ir.line);
}

static void test_M30_a_line_survives_a_reset_with_its_mask(void **state)
{
    (void)state;
    disable(true);
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_true(irq_line_is_off(&ir));
    disable(false);
    assert_false(irq_line_is_off(&ir));
    assert_int_equal(irq_bindings(&ir), 1);
}

static void test_O2_nothing_of_an_earlier_life_reaches_a_later_owner(void **state)
{
    struct berth_domain *first = ir.guest, *second;
    struct berth_irq stale;

    (void)state;
    irq_raise(&ir, 0);
    stale = ir.last;
    irq_take_back(&ir);
    assert_false(ir.line); /* nobody leaves a guest with a line that is high for ever */
    second = irq_guest(&ir, "vm2");
    ir.guest = second;
    irq_lend(&ir);
    ir.edges = 0;
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &stale, 0), BERTH_IRQ_DROPPED);
    assert_int_equal(ir.edges, 0);
    irq_raise(&ir, 0);
    assert_true(ir.line);
    assert_int_not_equal(ir.last.generation, stale.generation);
    rig_destroy_guest(&ir.rig, second);
    ir.guest = first;
}

/* X50, X52 */
static void test_X50_interrupts_that_nobody_bound_are_dropped(void **state)
{
    static const unsigned odd[] = {0, 1, 2, 31, 0x7ff, 0x800, 0xffff, 0x10000, UINT32_MAX};
    const unsigned count = sizeof(odd) / sizeof(odd[0]);
    unsigned events = ir.rig.event_count;

    (void)state;
    irq_raise(&ir, 0);
    for (unsigned i = 0; i < count * count * count * 5; i++) {
        struct berth_irq irq = ir.last;
        unsigned kind = i / count / count / count;

        irq.kind = (enum berth_irq_kind)(kind == 4 ? 0xffffffffu : kind);
        irq.first = (uint16_t)odd[i % count];
        irq.count = (uint16_t)odd[i / count % count];
        if (irq.kind == BERTH_IRQ_INTX)
            irq.generation--;
        assert_int_equal(
            berth_machine_interrupt(ir.rig.machine, &irq, odd[i / count / count % count]),
            BERTH_IRQ_DROPPED);
    }
    ir.last.device = rig_nowhere;
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &ir.last, 0), BERTH_IRQ_DROPPED);
    assert_int_equal(ir.rig.event_count, events);
    assert_int_equal(ir.edges, 1);
}

static void test_A4_a_device_that_vanished_is_silent(void **state)
{
    (void)state;
    irq_raise(&ir, 0);
    rig_pull(&ir.rig, ir.dev);
    ir.closed = true;
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &ir.last, 0), BERTH_IRQ_DROPPED);
    end_of_interrupt();
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(irq_bindings(&ir), 0);
    ir.rig.leaks_expected = 0;
}

/* ---- somebody else acts in the middle: a thread that is done before the first one goes on ---- */

static void *guest_disables(void *context)
{
    (void)context;
    disable(true);
    return NULL;
}

static void *guest_toggles(void *context)
{
    (void)context;
    sim_lower(ir.rig.sim, ir.dev);
    disable(true);
    disable(false);
    return NULL;
}

static void meanwhile(void *(*act)(void *context))
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, act, NULL), 0);
    pthread_join(thread, NULL);
}

static void disable_meanwhile(void)
{
    meanwhile(guest_disables);
}

static void test_the_guest_is_told_what_is_so_in_the_end(void **state)
{
    (void)state;
    ir.telling = disable_meanwhile;
    irq_raise(&ir, 0);
    assert_null(ir.telling);
    assert_false(ir.line);
    assert_true(irq_line_is_off(&ir));
}

static struct berth_host_ops slow_ops;
static bool slow;

/* A write of INTX_DISABLE that takes its time. */
static int slow_write(void *host, berth_claim claim, unsigned reg, unsigned length, uint32_t value)
{
    if (slow && reg == PCI_COMMAND + 1 && value & PCI_COMMAND_INTX_DISABLE >> 8) {
        slow = false;
        meanwhile(guest_toggles);
    }
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static void with_slow_host(struct berth_machine_config *config)
{
    slow_ops = sim_host_ops;
    slow_ops.config_write = slow_write;
    config->host = &slow_ops;
}

static void test_the_hardware_is_as_the_last_one_wanted_it(void **state)
{
    (void)state;
    ir.configure = with_slow_host;
    irq_up(&ir, rig_nvme);
    slow = true;
    irq_raise(&ir, 0);
    assert_false(slow);
    assert_false(ir.line);
    assert_false(irq_line_is_off(&ir)); /* or it would be off for ever */
    irq_raise(&ir, 0);
    assert_true(ir.line);
    irq_down(&ir);
}

/* ---- threads: whoever acts last leaves line and mask as the flag says ---- */

static _Atomic bool stop;

static void *raise_and_lower(void *context)
{
    enum sim_irq_result result;

    (void)context;
    while (!atomic_load(&stop)) {
        (void)sim_raise(ir.rig.sim, ir.dev, 0, &result);
        (void)sim_lower(ir.rig.sim, ir.dev);
    }
    return NULL;
}

static void *handle(void *context)
{
    (void)context;
    while (!atomic_load(&stop))
        end_of_interrupt();
    return NULL;
}

static void test_a_line_is_right_after_everybody_pulled_at_it(void **state)
{
    pthread_t threads[4];

    (void)state;
    stop = false;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? handle : raise_and_lower, NULL),
                         0);
    for (unsigned i = 0; i < 20000; i++)
        disable(i & 1);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sim_lower(ir.rig.sim, ir.dev);
    disable(false);
    end_of_interrupt();
    assert_false(ir.line);
    assert_false(irq_line_is_off(&ir));
    irq_raise(&ir, 0);
    assert_true(ir.line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define BARE(name) cmocka_unit_test_setup(name, begin_only)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_of_kinds),
        TEST(test_C6_a_line_is_bound_while_it_is_lent),
        BARE(test_no_pin_without_one_in_the_hardware),
        BARE(test_no_pin_out_of_junk),
        BARE(test_no_pin_where_the_vmm_takes_none),
        BARE(test_M30_without_a_host_of_interrupts_there_are_none),
        TEST(test_X47_a_line_that_cannot_be_bound_stays_quiet),
        TEST(test_a_line_goes_quiet_until_the_guest_has_handled_it),
        TEST(test_a_line_that_is_still_high_fires_again),
        TEST(test_an_end_without_an_interrupt_is_nothing),
        TEST(test_the_guest_disables_it),
        TEST(test_O8_msix_keeps_the_line_off),
        TEST(test_M30_a_line_that_came_up_in_a_transition_is_told_afterwards),
        TEST(test_M30_a_line_that_went_away_again_is_not),
        TEST(test_M30_a_line_survives_a_reset_with_its_mask),
        TEST(test_O2_nothing_of_an_earlier_life_reaches_a_later_owner),
        TEST(test_X50_interrupts_that_nobody_bound_are_dropped),
        TEST(test_A4_a_device_that_vanished_is_silent),
        TEST(test_the_guest_is_told_what_is_so_in_the_end),
        BARE(test_the_hardware_is_as_the_last_one_wanted_it),
        TEST(test_a_line_is_right_after_everybody_pulled_at_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
