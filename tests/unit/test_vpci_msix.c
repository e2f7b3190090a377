/* SPDX-License-Identifier: MIT */
/* MSI-X as a guest sees it (M31, M43, M44, X44, X53, F102-F112). */
#include "tests/unit/msix_driver.h"

/* ---- the table ---- */

static void test_M31_the_table_is_the_guests_own(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        assert_int_equal(msix_get(msix_entry_at(i), 8), 0);
        assert_int_equal(msix_get(msix_entry_at(i) + 8, 8), (uint64_t)MSIX_MASKED << 32);
        msix_message(i);
    }
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        assert_int_equal(msix_get(msix_entry_at(i), 8), msix_address(i));
        assert_int_equal(msix_get(msix_entry_at(i), 4), (uint32_t)msix_address(i));
        assert_int_equal(msix_get(msix_entry_at(i) + 4, 4), 0x33);
        assert_int_equal(msix_get(msix_entry_at(i) + 8, 8),
                         (uint64_t)MSIX_MASKED << 32 | msix_data(i));
        assert_int_equal(msix_get(msix_entry_at(i) + 12, 4), MSIX_MASKED);
    }
    msix_put(msix_entry_at(0), 4, 0xffffffff);
    assert_int_equal(msix_get(msix_entry_at(0), 4), 0xfffffffc);
    msix_put(msix_entry_at(0) + 12, 4, 0xfffffffe);
    assert_int_equal(msix_get(msix_entry_at(0) + 12, 4), 0);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) { /* and nothing of it is in the hardware */
        assert_int_equal(msix_hardware(i).address, 0);
        assert_int_equal(msix_hardware(i).control, MSIX_MASKED);
    }
}

/* F112, X53, F117 */
static void test_F112_accesses_of_every_size_and_alignment(void **state)
{
    uint64_t value;

    (void)state;
    msix_put(msix_entry_at(3), 8, msix_address(3));
    msix_put(msix_entry_at(3) + 8, 8, msix_data(3)); /* data, and unmasked with it */
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    msix_expect_works(3);
    msix_put(msix_entry_at(3) + 8, 8, (uint64_t)MSIX_MASKED << 32 | 0x1234);
    assert_int_equal(irq_raise(&ir, 3), SIM_IRQ_PENDING);
    msix_put(msix_entry_at(3) + 8, 8, msix_data(3));
    msix_expect_message(3);

    for (unsigned offset = 0; offset < 16; offset++) {
        msix_put(msix_entry_at(3) + offset, 1,
                 0xff); /* PCIe 7.7.2: nothing but dwords and quadwords */
        msix_put(msix_entry_at(3) + offset, 2, 0xffff);
        if (offset % 4)
            msix_put(msix_entry_at(3) + offset, 4, 0xffffffff);
    }
    value = msix_get(msix_entry_at(3) + 8, 8);
    assert_int_equal(msix_get(msix_entry_at(3), 8), msix_address(3));
    assert_int_equal(value, msix_data(3));
    assert_int_equal(msix_get(msix_entry_at(3), 1), 0xff);
    assert_int_equal(msix_get(msix_entry_at(3), 2), 0xffff);
    msix_expect_works(3);
}

static void test_F102_its_neighbours_in_the_page_pass(void **state)
{
    uint64_t behind = msix_table + 16 * MSIX_VECTORS, before = msix_table - 8;
    uint32_t seen;

    (void)state;
    msix_put(behind, 4, 0xc0ffee);
    msix_put(before, 4, 0xbeef);
    msix_put(msix_pba + 8, 4, 0xfeed);
    assert_int_equal(msix_get(behind, 4), 0xc0ffee);
    assert_int_equal(msix_get(before, 4), 0xbeef);
    assert_int_equal(msix_get(behind + 1, 2), 0xc0ff);
    assert_int_equal(
        sim_bar_access(ir.rig.sim, ir.dev, 0, MSIX_TABLE + 16 * MSIX_VECTORS, false, &seen), 0);
    assert_int_equal(seen, 0xc0ffee);
    assert_int_equal(sim_bar_access(ir.rig.sim, ir.dev, 0, MSIX_PBA + 8, false, &seen), 0);
    assert_int_equal(seen, 0xfeed);
    /* X53: an access that passes the table's end, or begins just before it, is both's */
    msix_put(behind - 4, 8, UINT64_C(0xabcdef01) << 32 | 0);
    assert_int_equal(msix_get(behind, 4), 0xabcdef01);
    assert_int_equal(msix_get(msix_entry_at(MSIX_VECTORS - 1) + 12, 4), 0);
    msix_put(before + 4, 8, UINT64_C(0x5550) << 32 | 0x777);
    assert_int_equal(msix_get(before + 4, 4), 0x777);
    assert_int_equal(msix_get(msix_table, 4), 0x5550);
    assert_int_equal(msix_get(behind - 4, 8), UINT64_C(0xabcdef01) << 32);
    assert_int_equal(msix_hardware(0).address, 0);
}

/* ---- F110: the order of things ---- */

enum act {
    ACT_ADDRESS,
    ACT_DATA,
    ACT_UNMASK,
    ACT_ENABLE,
    ACT_FUNCTION, /* takes the function mask off */
    ACT_COUNT,
};

struct model {
    bool enabled, function_masked, masked, pending;
    uint64_t address;
    uint32_t data;
    unsigned delivered;
    struct berth_message last;
};

static void model_deliver(struct model *m)
{
    if (!m->pending || !m->enabled || m->function_masked || m->masked)
        return;
    m->pending = false;
    m->delivered++;
    m->last = (struct berth_message){.address = m->address, .data = m->data};
}

static void act(enum act what, struct model *m)
{
    switch (what) {
    case ACT_ADDRESS:
        msix_put(msix_entry_at(1), 8, m->address = msix_address(1));
        break;
    case ACT_DATA:
        msix_put(msix_entry_at(1) + 8, 4, m->data = msix_data(1));
        break;
    case ACT_UNMASK:
        m->masked = false;
        msix_mask(1, false);
        break;
    case ACT_ENABLE:
        m->enabled = true;
        break;
    default:
        m->function_masked = false;
        break;
    }
    msix_control((m->enabled ? PCI_MSIX_FLAGS_ENABLE : 0) |
                 (m->function_masked ? PCI_MSIX_FLAGS_MASKALL : 0));
    model_deliver(m);
}

static void expect_as_the_model(const struct model *m)
{
    assert_int_equal(ir.injected, m->delivered);
    if (m->delivered) {
        assert_int_equal(irq_last(&ir)->message.address, m->last.address);
        assert_int_equal(irq_last(&ir)->message.data, m->last.data);
    }
    assert_int_equal(msix_get(msix_pba, 8), m->pending ? 2 : 0);
}

/* The device has a reason to interrupt after @when acts, if MSI-X is on by then. */
static void try_order(const enum act *order, unsigned when)
{
    struct model m = {.function_masked = true, .masked = true};

    msix_control(0);
    msix_put(msix_entry_at(1), 8, 0);
    msix_put(msix_entry_at(1) + 8, 8, (uint64_t)MSIX_MASKED << 32);
    msix_control(PCI_MSIX_FLAGS_MASKALL);
    ir.injected = 0;
    for (unsigned i = 0; i <= ACT_COUNT; i++) {
        if (i == when && m.enabled) {
            irq_raise(&ir, 1);
            m.pending = true;
            model_deliver(&m);
        }
        expect_as_the_model(&m);
        if (i < ACT_COUNT)
            act(order[i], &m);
    }
    expect_as_the_model(&m);
    assert_false(m.pending);
    assert_int_equal(irq_raise(&ir, 1), SIM_IRQ_DELIVERED); /* all of it is set up now */
    assert_int_equal(ir.injected, m.delivered + 1);
    msix_expect_message(1);
}

static unsigned orders_tried;

static void permute(enum act *order, unsigned fixed)
{
    if (fixed == ACT_COUNT) {
        orders_tried++;
        for (unsigned when = 0; when <= ACT_COUNT; when++)
            try_order(order, when);
        return;
    }
    for (unsigned i = fixed; i < ACT_COUNT; i++) {
        enum act first = order[fixed];

        order[fixed] = order[i];
        order[i] = first;
        permute(order, fixed + 1);
        order[i] = order[fixed];
        order[fixed] = first;
    }
}

static void test_F110_every_order_delivers_when_the_architecture_says(void **state)
{
    enum act order[ACT_COUNT] = {ACT_ADDRESS, ACT_DATA, ACT_UNMASK, ACT_ENABLE, ACT_FUNCTION};

    (void)state;
    orders_tried = 0;
    permute(order, 0);
    assert_int_equal(orders_tried, 120);
}

static void random_step(struct model *m, unsigned step)
{
    switch (step % 8) {
    case 0:
        msix_put(msix_entry_at(1), 8, m->address = msix_address(step));
        break;
    case 1:
        msix_put(msix_entry_at(1) + 8, 4, m->data = step);
        break;
    case 2:
    case 3:
        m->masked = step & 1;
        msix_mask(1, m->masked);
        break;
    case 4:
        m->enabled = true;
        break;
    case 5:
        m->function_masked = step & 8;
        break;
    default:
        if (m->enabled) {
            irq_raise(&ir, 1);
            m->pending = true;
        }
        break;
    }
    msix_control((m->enabled ? PCI_MSIX_FLAGS_ENABLE : 0) |
                 (m->function_masked ? PCI_MSIX_FLAGS_MASKALL : 0));
    model_deliver(m);
}

/* F109 */
static void test_F109_in_any_state_anything_may_come(void **state)
{
    struct model m = {.masked = true};
    uint32_t seed = 110;

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1664525u + 1013904223u;
        random_step(&m, seed >> 12);
        expect_as_the_model(&m);
        assert_int_equal(msix_get(msix_entry_at(1) + 12, 4), m.masked);
        assert_int_equal(msix_is_open(1) && m.masked && m.enabled, 0);
    }
    assert_in_range(m.delivered, 100, 20000);
}

/* ---- pending bits ---- */

static void test_M44_pending_bits_of_both_sides(void **state)
{
    struct berth_irq irq;

    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    msix_expect_works(9);
    irq = ir.last;
    msix_mask(9, true);
    msix_mask(3, true);
    ir.injected = 0;
    assert_int_equal(irq_raise(&ir, 3), SIM_IRQ_PENDING); /* in the hardware */
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &irq, 0), BERTH_IRQ_PENDING);
    assert_int_equal(msix_get(msix_pba, 8), 1u << 9 | 1u << 3);
    assert_int_equal(msix_get(msix_pba, 4), 1u << 9 | 1u << 3);
    assert_int_equal(msix_get(msix_pba + 4, 4), 0);
    msix_put(msix_pba, 8, 0);
    assert_int_equal(msix_get(msix_pba, 8), 1u << 9 | 1u << 3);
    assert_int_equal(ir.injected, 0);
    msix_mask(9, false);
    msix_mask(3, false);
    assert_int_equal(ir.injected, 2);
    assert_int_equal(ir.seen[0].vector, 9);
    assert_int_equal(ir.seen[1].vector, 3);
    assert_int_equal(msix_get(msix_pba, 8), 0);
}

static void test_F111_the_function_mask_holds_all_of_them(void **state)
{
    struct berth_irq irq;

    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    msix_expect_works(9);
    irq = ir.last;
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    assert_int_not_equal(msix_hardware_control() & PCI_MSIX_FLAGS_MASKALL, 0);
    ir.injected = 0;
    assert_int_equal(irq_raise(&ir, 3), SIM_IRQ_PENDING);
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &irq, 0), BERTH_IRQ_PENDING);
    assert_int_equal(ir.injected, 0);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(ir.injected, 2);
    assert_int_equal(msix_hardware_control() & PCI_MSIX_FLAGS_MASKALL, 0);
}

/* ---- junk ---- */

static void expect_hidden(uint32_t flags, uint32_t where, uint32_t pending)
{
    struct capture_function *f;

    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    msix_cap = mb_find_cap(f, PCI_CAP_ID_MSIX);
    mb_put(f, msix_cap + PCI_MSIX_FLAGS, 2, flags);
    mb_put(f, msix_cap + PCI_MSIX_TABLE, 4, where);
    mb_put(f, msix_cap + PCI_MSIX_PBA, 4, pending);
    irq_up(&ir, rig_nvme);
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSIX), 0);
    assert_int_not_equal(irq_cap(&ir, PCI_CAP_ID_EXP), 0);
    irq_put(&ir, msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(msix_hardware_control() & PCI_MSIX_FLAGS_ENABLE, 0);
    irq_down(&ir);
}

static void test_M43_tables_in_impossible_places_are_hidden(void **state)
{
    (void)state;
    expect_hidden(15, 0x2000 | 6, 0x3000); /* no such BAR */
    expect_hidden(15, 0x2000 | 7, 0x3000); /* the same */
    expect_hidden(15, 0x2000 | 1, 0x3000); /* the upper half of one */
    expect_hidden(15, 0x2000, 0x3000 | 3); /* there is none */
    expect_hidden(15, 0x4000, 0x3000);     /* behind its end */
    expect_hidden(15, 0x3f08, 0x3000);     /* passes its end */
    expect_hidden(15, 0x2000, 0x4000 - 7); /* BAR 1 */
    expect_hidden(15, 0xfffffff8, 0x3000); /* wraps */
    expect_hidden(15, 0x2000, 0xfffffff8); /* the same */
    expect_hidden(15, 0x2000, 0x20f8);     /* inside the table */
    expect_hidden(15, 0x2ff8, 0x3000);     /* the reverse */
    expect_hidden(2047, 0x0000, 0x3000);   /* larger than the BAR */
}

static void test_X44_nothing_is_looked_up_again(void **state)
{
    (void)state;
    msix_set_up_all(2);
    /* the device moves its BAR: what is known of it does not move */
    rig_poke(&ir.rig, ir.dev, PCI_BASE_ADDRESS_0, 4, 0xdead0000);
    rig_poke(&ir.rig, ir.dev, PCI_BASE_ADDRESS_1, 4, 0);
    assert_int_equal(irq_get(&ir, msix_cap + PCI_MSIX_TABLE, 4), MSIX_TABLE);
    irq_put(&ir, msix_cap + PCI_MSIX_TABLE, 4, 0x1005);
    assert_int_equal(irq_get(&ir, msix_cap + PCI_MSIX_TABLE, 4), MSIX_TABLE);
    assert_int_equal(irq_get(&ir, msix_cap + PCI_MSIX_PBA, 4), MSIX_PBA);
    assert_int_equal(msix_get(msix_entry_at(1), 8), msix_address(1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msix_setup, msix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M31_the_table_is_the_guests_own),
        TEST(test_F112_accesses_of_every_size_and_alignment),
        TEST(test_F102_its_neighbours_in_the_page_pass),
        TEST(test_F110_every_order_delivers_when_the_architecture_says),
        TEST(test_F109_in_any_state_anything_may_come),
        TEST(test_M44_pending_bits_of_both_sides),
        TEST(test_F111_the_function_mask_holds_all_of_them),
        cmocka_unit_test(test_M43_tables_in_impossible_places_are_hidden),
        TEST(test_X44_nothing_is_looked_up_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
