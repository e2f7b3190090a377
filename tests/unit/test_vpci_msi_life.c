/* SPDX-License-Identifier: MIT */
/* Which interrupts are on, and MSI through transitions and under fire (M09, M30, O2, O6, O8, R2).
 */
#include "tests/unit/msi_driver.h"

/* ---- O8: a model ---- */

static const struct {
    unsigned kind; /* 0: INTx, 1: MSI, 2: MSI-X */
    bool on;
} moves[] = {{0, true}, {0, false}, {1, true}, {1, false}, {2, true}, {2, false}};

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

static void move(unsigned kind, bool on, unsigned vectors)
{
    unsigned msix = irq_cap(&ir, PCI_CAP_ID_MSIX);

    if (kind == 0)
        irq_put(&ir, PCI_COMMAND, 2,
                PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | (on ? 0 : PCI_COMMAND_INTX_DISABLE));
    else if (kind == 1 && on)
        (void)msi_enable(vectors);
    else if (kind == 1)
        msi_disable();
    else
        irq_put(&ir, msix + PCI_MSIX_FLAGS, 2, on ? PCI_MSIX_FLAGS_ENABLE : 0);
}

struct model {
    bool line, msi, msix;
};

static void model_move(struct model *m, unsigned kind, bool on)
{
    if (kind == 0)
        m->line = on;
    else if (kind == 1)
        m->msi = on && !m->msix;
    else
        m->msix = on && !m->msi;
}

static void expect_model(const struct model *m)
{
    unsigned msix = irq_cap(&ir, PCI_CAP_ID_MSIX);
    bool msi_on = msi_is_on();
    bool msix_on = msi_hardware(msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE;

    assert_false(msi_on && msix_on);
    assert_int_equal(msi_on, m->msi);
    assert_int_equal(msix_on, m->msix);
    assert_int_equal(!!(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE), m->msi);
    assert_int_equal(!!(irq_get(&ir, msix + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_ENABLE), m->msix);
    assert_int_equal(irq_line_is_off(&ir), msi_on || msix_on || !m->line);
    assert_int_equal(irq_bindings(&ir), 1 + m->msi); /* INTx stays bound, MSI-X binds lazily */
    assert_int_equal(irq_holds(&ir), 1 + m->msi);
}

static void test_O8_never_two_of_them(void **state)
{
    struct model m = {.line = true};
    uint32_t seed = 8;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    for (unsigned step = 0; step < 10000; step++) {
        unsigned i = random_next(&seed) % 6;

        move(moves[i].kind, moves[i].on, 1u << random_next(&seed) % 4);
        model_move(&m, moves[i].kind, moves[i].on);
        expect_model(&m);
    }
    move(1, false, 1);
    move(2, false, 1);
    assert_true(msi_enable(8));
    msi_expect_works(8);
}

static void test_O6_a_guest_cannot_fill_the_log(void **state)
{
    unsigned events;

    (void)state;
    sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 200000, 0);
    events = ir.rig.event_count;
    for (unsigned i = 0; i < 50000; i++) {
        assert_false(msi_enable(8));
        irq_put(&ir, msi_cap + i % 24, 1 << i % 3, i);
    }
    assert_in_range(ir.rig.event_count - events, 1, 20);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 0, 0, 0);
}

/* ---- life ---- */

static void test_M30_a_reset_of_the_host_keeps_it_all(void **state)
{
    uint64_t generation;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    irq_put(&ir, msi_mask_at(), 4, 0x80);
    assert_true(msi_enable(8));
    irq_raise(&ir, 0);
    generation = ir.last.generation;
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_true(msi_is_on());
    assert_true(irq_line_is_off(&ir));
    assert_int_equal(msi_hardware(msi_mask_at(), 4), 0x80);
    assert_int_equal(irq_get(&ir, msi_mask_at(), 4), 0x80);
    irq_put(&ir, msi_mask_at(), 4, 0);
    msi_expect_works(8);
    assert_int_equal(ir.last.generation, generation); /* the same binding */
    assert_int_equal(irq_bindings(&ir), 2);
}

static void test_F62_twice_is_as_good_as_once(void **state)
{
    uint32_t once[8];

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
        for (unsigned i = 0; i < 6; i++) {
            uint32_t now = msi_hardware(msi_cap + 4 * i, 4);

            if (round)
                assert_int_equal(now, once[i]);
            once[i] = now;
        }
    }
}

static void guest_flr(void)
{
    unsigned pcie = irq_cap(&ir, PCI_CAP_ID_EXP);

    irq_put(&ir, pcie + PCI_EXP_DEVCTL, 2,
            irq_get(&ir, pcie + PCI_EXP_DEVCTL, 2) | PCI_EXP_DEVCTL_BCR_FLR);
}

static void test_M09_a_reset_by_the_guest_is_power_on(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    irq_put(&ir, msi_mask_at(), 4, 0x80);
    assert_true(msi_enable(8));
    guest_flr();
    assert_false(msi_is_on());
    assert_int_equal(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
    assert_int_equal(irq_get(&ir, msi_cap + MSI_ADDRESS, 4), 0);
    assert_int_equal(irq_get(&ir, msi_mask_at(), 4), 0);
    assert_int_equal(irq_bindings(&ir), 1);
    irq_put(&ir, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    msi_expect_works(8);
}

static void raise_two(struct irq_rig *rig)
{
    assert_int_equal(irq_raise(rig, 2), SIM_IRQ_DELIVERED); /* to us */
    assert_int_equal(irq_raise(rig, 7), SIM_IRQ_DELIVERED);
    assert_int_equal(irq_raise(rig, 7), SIM_IRQ_DELIVERED);
    assert_int_equal(rig->results[BERTH_IRQ_PENDING], 3);
    assert_int_equal(rig->injected, 0);
}

static void test_M30_what_came_in_a_transition_is_injected_afterwards(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    ir.during = raise_two;
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_int_equal(ir.injected, 2);
    msi_expect_message(7, 8);
    assert_int_equal(ir.seen[0].vector, 2);
    assert_true(ir.seen[0].answers && ir.seen[1].answers);
}

static void test_O2_what_came_in_a_transition_is_not_for_the_next_owner(void **state)
{
    struct berth_domain *first = ir.guest;
    struct berth_irq stale;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    ir.during = raise_two;
    irq_take_back(&ir);
    assert_int_equal(ir.injected, 0);
    stale = ir.last;
    ir.during = NULL;
    ir.guest = irq_guest(&ir, "vm2");
    irq_lend(&ir);
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    assert_int_equal(ir.injected, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(berth_machine_interrupt(ir.rig.machine, &stale, i), BERTH_IRQ_DROPPED);
    assert_int_equal(ir.injected, 0);
    msi_expect_works(8);
    rig_destroy_guest(&ir.rig, ir.guest);
    ir.guest = first;
}

static void test_O2_no_message_is_left_in_the_hardware(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    irq_take_back(&ir);
    assert_int_equal(irq_bindings(&ir), 0);
    assert_false(msi_is_on());
    msi_expect_hosts_message(0, 0, 0);
    irq_lend(&ir);
    assert_int_equal(irq_get(&ir, msi_cap + MSI_ADDRESS, 4), 0);
    assert_int_equal(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2),
                     PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1);
}

static void test_M14_it_works_after_a_sleep(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    irq_set_power(&ir, 3);
    assert_true(msi_enable(8));
    irq_put(&ir, msi_mask_at(), 4, 1);
    irq_set_power(&ir, 0);
    irq_put(&ir, msi_mask_at(), 4, 0);
    msi_expect_works(8);
}

/* ---- A2, R2: fired at from a thread while it is taken away ---- */

static _Atomic bool stop;

static void *keep_firing(void *context)
{
    (void)context;
    while (!atomic_load(&stop))
        (void)berth_machine_interrupt(ir.rig.machine, &ir.last, ir.last_vector);
    return NULL;
}

static void test_R2_no_interrupt_comes_after_a_removal(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        pthread_t threads[2];
        unsigned before;

        msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
        assert_true(msi_enable(8));
        irq_raise(&ir, 3);
        before = ir.injected;
        stop = false;
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, keep_firing, NULL), 0);
        while (ir.injected < before + 10)
            sched_yield();
        if (round & 1)
            assert_int_equal(rig_remove(&ir.rig, ir.dev, PCIDEV_REMOVE_FORCE), 0);
        else
            irq_take_back(&ir);
        ir.closed = true;
        assert_int_equal(irq_bindings(&ir), 0);
        for (unsigned i = 0; i < 10; i++)
            sched_yield();
        atomic_store(&stop, true);
        for (unsigned i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(ir.late, 0);
        ir.closed = false;
        if (round & 1)
            assert_int_equal(rig_add(&ir.rig, ir.dev), 0);
        irq_lend(&ir);
    }
}

/* Resets in between: whatever comes is injected now or afterwards, and never lost. */
static void *reset_often(void *context)
{
    (void)context;
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    atomic_store(&stop, true);
    return NULL;
}

static void test_M30_none_is_lost_where_a_transition_begins_or_ends(void **state)
{
    unsigned injected, pending, told = 0;
    pthread_t thread;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    irq_raise(&ir, 3);
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, reset_often, NULL), 0);
    while (!atomic_load(&stop)) {
        /* one at a time: the next is fired when the guest has heard of this one */
        unsigned before = ir.injected;
        uint64_t patience = 0;

        if (berth_machine_interrupt(ir.rig.machine, &ir.last, 3) == BERTH_IRQ_DROPPED)
            fail();
        told++;
        while (ir.injected == before && !atomic_load(&stop) && patience++ < 2000000000u)
            sched_yield();
    }
    pthread_join(thread, NULL);
    injected = ir.injected;
    pending = irq_get(&ir, msi_mask_at() + 4, 4);
    assert_int_equal(pending, 0);
    assert_int_equal(injected, told + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msi_setup, msi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_O8_never_two_of_them),
        TEST(test_O6_a_guest_cannot_fill_the_log),
        TEST(test_M30_a_reset_of_the_host_keeps_it_all),
        TEST(test_F62_twice_is_as_good_as_once),
        TEST(test_M09_a_reset_by_the_guest_is_power_on),
        TEST(test_M30_what_came_in_a_transition_is_injected_afterwards),
        TEST(test_O2_what_came_in_a_transition_is_not_for_the_next_owner),
        TEST(test_O2_no_message_is_left_in_the_hardware),
        TEST(test_M14_it_works_after_a_sleep),
        TEST(test_R2_no_interrupt_comes_after_a_removal),
        TEST(test_M30_none_is_lost_where_a_transition_begins_or_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
