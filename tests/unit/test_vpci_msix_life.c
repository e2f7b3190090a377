/* SPDX-License-Identifier: MIT */
/* MSI-X through resets, removals and other transitions, and under fire (M09, M30, O2, R2, F100). */
#include "tests/unit/msix_driver.h"

/* ---- life ---- */

static void test_M30_a_reset_of_the_host_keeps_it_all(void **state)
{
    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    msix_mask(4, true);
    msix_mask(5, true);
    irq_raise(&ir, 4);
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_int_equal(irq_bindings(&ir), MSIX_VECTORS + 1);
    for (unsigned i = 0; i < MSIX_VECTORS; i++)
        assert_int_equal(msix_is_open(i), i != 4 && i != 5);
    assert_int_equal(msix_hardware_control() & (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL),
                     PCI_MSIX_FLAGS_ENABLE);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        msix_mask(i, false);
        msix_expect_works(i);
    }
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_PENDING);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    msix_expect_message(0);
}

static void test_M09_a_reset_by_the_guest_is_power_on(void **state)
{
    unsigned pcie = irq_cap(&ir, PCI_CAP_ID_EXP);

    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    irq_put(&ir, pcie + PCI_EXP_DEVCTL, 2,
            irq_get(&ir, pcie + PCI_EXP_DEVCTL, 2) | PCI_EXP_DEVCTL_BCR_FLR);
    assert_false(msix_reads_enabled());
    assert_int_equal(irq_bindings(&ir), 1);
    assert_int_equal(msix_hardware_control() & PCI_MSIX_FLAGS_ENABLE, 0);
    irq_put(&ir, PCI_BASE_ADDRESS_0, 4, (uint32_t)IRQ_BAR);
    irq_put(&ir, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        assert_int_equal(msix_get(msix_entry_at(i), 8), 0);
        assert_int_equal(msix_get(msix_entry_at(i) + 8, 8), (uint64_t)MSIX_MASKED << 32);
    }
    msix_set_up_all(MSIX_VECTORS);
    for (unsigned i = 0; i < MSIX_VECTORS; i++)
        msix_expect_works(i);
}

static void raise_many(struct irq_rig *rig)
{
    for (unsigned i = 0; i < MSIX_VECTORS; i += 3)
        assert_int_equal(irq_raise(rig, i), SIM_IRQ_DELIVERED); /* to us */
    assert_int_equal(rig->injected, 0);
}

static void test_M30_what_came_in_a_transition(void **state)
{
    struct berth_domain *first = ir.guest;

    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    msix_mask(3, true);
    msix_mask(3, false);
    ir.during = raise_many;
    ir.withdraw_error = -EBUSY;
    assert_int_equal(rig_deassign(&ir.rig, ir.dev, ir.guest), -EBUSY);
    assert_int_equal(ir.injected, 6); /* it stays with its owner, who gets them */
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(ir.seen[i].vector, 3 * i);
    ir.injected = 0;
    ir.withdraw_error = 0;
    irq_take_back(&ir);
    ir.during = NULL;
    ir.guest = irq_guest(&ir, "vm2");
    irq_lend(&ir);
    msix_set_up_all(MSIX_VECTORS);
    assert_int_equal(ir.injected, 0); /* O2 */
    assert_int_equal(msix_get(msix_pba, 8), 0);
    msix_expect_works(0);
    rig_destroy_guest(&ir.rig, ir.guest);
    ir.guest = first;
}

static void test_F100_the_table_of_a_device_that_is_gone(void **state)
{
    uint64_t value = 0;

    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    irq_take_back(&ir);
    assert_int_equal(berth_domain_mmio_read(ir.guest, msix_table, 4, &value), -ENOENT);
    assert_int_equal(berth_domain_mmio_write(ir.guest, msix_table + 12, 4, 0), -ENOENT);
    irq_lend(&ir);
    assert_int_equal(msix_get(msix_entry_at(0), 8), 0); /* O2 */
    assert_int_equal(msix_get(msix_entry_at(0) + 12, 4), MSIX_MASKED);
    msix_set_up_all(2);
    rig_pull(&ir.rig, ir.dev);
    value = 0;
    assert_int_equal(berth_domain_mmio_read(ir.guest, msix_table, 4, &value), 0);
    assert_int_equal(value, UINT32_MAX);
    assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(irq_bindings(&ir), 0);
}

/* ---- threads: a guest that works its masks while the device fires ---- */

static _Atomic bool stop;
static struct berth_irq firing;
static _Atomic unsigned sent;

static void *fire_one_at_a_time(void *context)
{
    (void)context;
    while (!atomic_load(&stop)) {
        unsigned before = ir.injected;

        if (berth_machine_interrupt(ir.rig.machine, &firing, 0) == BERTH_IRQ_DROPPED)
            fail();
        atomic_fetch_add(&sent, 1);
        while (ir.injected == before && !atomic_load(&stop))
            sched_yield();
    }
    return NULL;
}

static void message_of_two_equal_halves(uint32_t i)
{
    msix_put(msix_entry_at(1), 8, (uint64_t)i << 32 | 0x1000);
    msix_put(msix_entry_at(1) + 8, 4, i);
}

static void change_message(uint32_t i)
{
    if (i & 1)
        msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    else
        msix_mask(1, true);
    message_of_two_equal_halves(i);
    if (i & 1)
        msix_control(PCI_MSIX_FLAGS_ENABLE);
    else
        msix_mask(1, false);
}

/* The guest changes messages under a mask: it never gets one half of each, and loses none. */
static void test_F110_masks_and_messages_under_fire(void **state)
{
    pthread_t thread;

    (void)state;
    msix_set_up_all(2);
    msix_expect_works(1);
    firing = ir.last;
    change_message(0);
    ir.injected = 0;
    stop = false;
    sent = 0;
    assert_int_equal(pthread_create(&thread, NULL, fire_one_at_a_time, NULL), 0);
    for (uint32_t i = 1; i < 20000 || sent < 1000; i++) {
        change_message(i);
        if (i % 16 == 0)
            sched_yield();
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(ir.injected, sent);
    for (unsigned i = 0; i < IRQ_SEEN; i++)
        assert_int_equal(ir.seen[i].message.address >> 32, ir.seen[i].message.data);
}

static void *keep_firing(void *context)
{
    (void)context;
    while (!atomic_load(&stop))
        (void)berth_machine_interrupt(ir.rig.machine, &firing, 0);
    return NULL;
}

static void test_R2_no_interrupt_comes_after_a_removal(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        pthread_t thread;

        msix_set_up_all(4);
        msix_expect_works(2);
        firing = ir.last;
        stop = false;
        ir.injected = 0;
        assert_int_equal(pthread_create(&thread, NULL, keep_firing, NULL), 0);
        while (ir.injected < 10)
            sched_yield();
        assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
        ir.closed = true;
        for (unsigned i = 0; i < 10; i++)
            sched_yield();
        atomic_store(&stop, true);
        pthread_join(thread, NULL);
        assert_int_equal(ir.late, 0);
        ir.closed = false;
        assert_int_equal(irq_bindings(&ir), 0);
        assert_int_equal(rig_add(&ir.rig, ir.dev), 0);
        irq_lend(&ir);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msix_setup, msix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M30_a_reset_of_the_host_keeps_it_all),
        TEST(test_M09_a_reset_by_the_guest_is_power_on),
        TEST(test_M30_what_came_in_a_transition),
        TEST(test_F100_the_table_of_a_device_that_is_gone),
        TEST(test_F110_masks_and_messages_under_fire),
        TEST(test_R2_no_interrupt_comes_after_a_removal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
