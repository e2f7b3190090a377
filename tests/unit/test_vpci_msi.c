/* SPDX-License-Identifier: MIT */
/* MSI for guests: 1 to 32 vectors (M30, M32, M44, X42-X46, X54-X56, O4, F85, F108). */
#include "tests/unit/msi_driver.h"

#define FORGED 0xfee0beecu

/* ---- the four shapes, 1 to 32 vectors ---- */

static void try_shape(unsigned vectors, unsigned capable)
{
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_int_equal(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2),
                     msi_log2(capable) << 1 | (msi_wide ? PCI_MSI_FLAGS_64BIT : 0) |
                         (msi_masks ? PCI_MSI_FLAGS_MASKBIT : 0));
    assert_true(msi_enable(vectors));
    assert_int_equal(irq_bindings(&ir), 2); /* the block, and INTx */
    assert_int_equal(irq_holds(&ir), 2);
    assert_true(irq_line_is_off(&ir));
    assert_int_equal((msi_hardware(msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QSIZE) >> 4,
                     msi_log2(vectors));
    msi_expect_works(vectors);
    msi_disable();
    assert_false(msi_is_on());
    assert_false(irq_line_is_off(&ir));
    assert_int_equal(irq_bindings(&ir), 1);
    assert_int_equal(irq_holds(&ir), 1);
    msi_message(0, 0, 0);
    irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 2, 0);
}

static void test_M30_every_shape_and_every_number_of_vectors(void **state)
{
    (void)state;
    for (unsigned shape = 0; shape < 4; shape++) {
        msi_up(32, shape & 1, shape & 2);
        for (unsigned vectors = 1; vectors <= 32; vectors *= 2)
            try_shape(vectors, 32);
        irq_down(&ir);
    }
}

static void test_more_vectors_than_there_are(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    for (unsigned log2 = 4; log2 < 8; log2++) {
        irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | log2 << 4);
        assert_int_equal(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QSIZE, 3 << 4);
        msi_expect_works(8);
        msi_disable();
    }
}

static void test_a_block_of_junk_is_hidden(void **state)
{
    struct capture_function *f;

    (void)state;
    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    mb_msi(f, 32);
    msi_cap = mb_find_cap(f, PCI_CAP_ID_MSI);
    mb_put(f, msi_cap + PCI_MSI_FLAGS, 2, mb_get(f, msi_cap + PCI_MSI_FLAGS, 2) | 6 << 1);
    irq_up(&ir, rig_nvme);
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSI), 0);
    irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE); /* F85: nor can it be reached */
    assert_false(msi_is_on());
    irq_down(&ir);
}

/* ---- O4: the hardware's message is the host's ---- */

static void test_O4_no_write_reaches_the_hardwares_message(void **state)
{
    uint32_t low, high, data;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    low = msi_hardware(msi_cap + MSI_ADDRESS, 4);
    high = msi_hardware(msi_cap + PCI_MSI_ADDRESS_HI, 4);
    data = msi_hardware(msi_data_at(), 2);
    assert_int_equal(low, IRQ_CONTROLLER);
    for (unsigned length = 1; length <= 8; length *= 2) {
        for (unsigned reg = msi_cap + 4 - length; reg < msi_cap + PCI_MSI_MASK_64; reg++) {
            berth_domain_config_write(ir.guest, ir.at, reg, length, 0xa5a5a5a5a5a5a5a5u);
            msi_expect_hosts_message(low, high, data);
        }
    }
    assert_int_equal(irq_get(&ir, msi_cap + MSI_ADDRESS, 4), 0xa5a5a5a4);
    assert_int_equal(irq_get(&ir, msi_data_at(), 2), 0xa5a5);
    assert_int_equal(irq_get(&ir, msi_data_at() + 2, 2), 0); /* V7 */
}

static void test_what_the_guest_writes_takes_effect_at_once(void **state)
{
    (void)state;
    msi_message(0x1000, 0, 0x100);
    assert_true(msi_enable(4));
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    msi_expect_works(4);
    irq_put(&ir, msi_data_at() + 1, 1, 0x77); /* one byte of it */
    irq_raise(&ir, 1);
    assert_int_equal(irq_last(&ir)->message.data, 0x7781);
}

static void test_X45_a_message_is_never_read_back(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    rig_poke(&ir.rig, ir.dev, msi_cap + MSI_ADDRESS, 4, FORGED);
    rig_poke(&ir.rig, ir.dev, msi_data_at(), 2, 0xffff);
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    assert_int_equal(msi_hardware(msi_cap + MSI_ADDRESS, 4), IRQ_CONTROLLER);
    msi_expect_works(8);
}

/* ---- on, again, and not at all ---- */

static void test_X42_enabling_it_again_harms_nothing(void **state)
{
    uint64_t binds;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    binds = sim_calls(ir.rig.sim, SIM_OP_BIND);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 100, 0);
    assert_true(msi_enable(8));
    irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 1, PCI_MSI_FLAGS_ENABLE | 3 << 4);
    assert_int_equal(sim_calls(ir.rig.sim, SIM_OP_BIND), binds);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 0, 0, 0);
    msi_expect_works(8);
    msi_disable();
    msi_disable();
    assert_int_equal(irq_bindings(&ir), 1);
}

static void test_another_number_of_vectors_is_another_block(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(2));
    assert_true(msi_enable(8));
    assert_int_equal(irq_bindings(&ir), 2);
    msi_expect_works(8);
}

static void expect_off_and_intact(void)
{
    assert_false(msi_is_on());
    assert_false(irq_line_is_off(&ir));
    assert_int_equal(irq_bindings(&ir), 1);
    assert_int_equal(irq_holds(&ir), 1);
    assert_int_equal(irq_get(&ir, msi_cap + MSI_ADDRESS, 4), MSI_MESSAGE);
    irq_raise(&ir, 0); /* INTx works */
    assert_true(ir.line);
    sim_lower(ir.rig.sim, ir.dev);
    berth_domain_intx_eoi(ir.guest, ir.at);
    assert_false(ir.line);
}

static void test_F108_a_block_that_cannot_be_bound(void **state)
{
    (void)state;
    msi_up(32, true, true);
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    for (unsigned vectors = 1; vectors <= 32; vectors *= 2) {
        sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 0, 0);
        assert_false(msi_enable(vectors));
        expect_off_and_intact();
        assert_true(msi_enable(vectors)); /* and it can be tried again */
        msi_expect_works(vectors);
        msi_disable();
    }
    irq_down(&ir);
}

/* P2: every config write of an enable fails once, in all its places. */
static void test_X46_an_enable_that_fails_halfway(void **state)
{
    unsigned nth = 0, failures = 0;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    do {
        bool on;

        sim_fail(ir.rig.sim, SIM_OP_CONFIG_WRITE, ++nth, 0, 0);
        on = msi_enable(8);
        if (!sim_failed(ir.rig.sim, SIM_OP_CONFIG_WRITE)) {
            sim_fail(ir.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
            assert_true(on);
            break;
        }
        failures++;
        assert_false(on);
        expect_off_and_intact();
    } while (nth < 50);
    assert_in_range(failures, 5, 20); /* INTx, masks, address, address, data, control */
    msi_expect_works(8);
}

/* A host that gives what the device cannot hold. */
static struct berth_irq_ops odd_ops;
static uint64_t odd_address;
static uint32_t odd_data;

static int odd_bind(void *irqs, const struct berth_irq *irq, struct berth_message *answer)
{
    int error = sim_irq_ops.bind(irqs, irq, answer);

    if (irq->kind == BERTH_IRQ_MSI)
        *answer = (struct berth_message){.address = odd_address, .data = odd_data};
    return error;
}

static void with_odd_host(struct berth_machine_config *config)
{
    odd_ops = sim_irq_ops;
    odd_ops.bind = odd_bind;
    config->irqs = &odd_ops;
}

static void test_a_message_that_does_not_fit_is_refused(void **state)
{
    static const struct berth_message odd[] = {
        {UINT64_C(0x1fee00000), 0x40}, {0xfee00000, 0x10040}, {0xfee00000, 0x41}};
    struct capture_function *f;

    (void)state;
    msi_wide = false;
    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    mb_msi(f, 8);
    msi_cap = mb_find_cap(f, PCI_CAP_ID_MSI);
    mb_put(f, msi_cap + PCI_MSI_FLAGS, 2, 3 << 1);
    ir.configure = with_odd_host;
    irq_up(&ir, rig_nvme);
    msi_message(MSI_MESSAGE, 0, MSI_DATA);
    for (unsigned i = 0; i < 3; i++) {
        odd_address = odd[i].address;
        odd_data = odd[i].data;
        assert_false(msi_enable(8));
        expect_off_and_intact();
    }
    irq_down(&ir);
}

/* ---- masks ---- */

static void test_M44_what_is_masked_is_pending(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    irq_put(&ir, msi_mask_at(), 4, 0x22);
    assert_true(msi_enable(8));
    assert_int_equal(irq_raise(&ir, 1), SIM_IRQ_PENDING);
    assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_DELIVERED);
    assert_int_equal(ir.injected, 1);
    assert_int_equal(irq_get(&ir, msi_mask_at() + 4, 4), 0x02);
    irq_put(&ir, msi_mask_at() + 4, 4, 0); /* read only */
    assert_int_equal(irq_get(&ir, msi_mask_at() + 4, 4), 0x02);
    irq_put(&ir, msi_mask_at(), 4, 0x20);
    assert_int_equal(ir.injected, 2);
    msi_expect_message(1, 8);
    assert_int_equal(irq_get(&ir, msi_mask_at() + 4, 4), 0);
    irq_put(&ir, msi_mask_at(), 4, 0xffffffff);
    assert_int_equal(irq_get(&ir, msi_mask_at(), 4), 0xff); /* those that there are */
}

/* The message is on its way when the guest masks: it waits on the host's side. */
static void test_M44_what_was_on_its_way_is_pending_too(void **state)
{
    struct berth_irq irq;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    irq_raise(&ir, 5);
    irq = ir.last;
    irq_put(&ir, msi_mask_at(), 4, 0x20);
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &irq, 5), BERTH_IRQ_PENDING);
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &irq, 5), BERTH_IRQ_PENDING);
    assert_int_equal(ir.injected, 1);
    assert_int_equal(irq_get(&ir, msi_mask_at() + 4, 4), 0x20);
    irq_put(&ir, msi_mask_at(), 4, 0);
    assert_int_equal(ir.injected, 2);
    msi_expect_message(5, 8);
}

static void test_X56_the_hosts_mask_is_not_the_guests(void **state)
{
    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    irq_put(&ir, msi_mask_at(), 4, 0x01);
    assert_true(msi_enable(2));
    assert_int_equal(msi_hardware(msi_mask_at(), 4),
                     0xfd); /* what is not bound is masked, always */
    irq_put(&ir, msi_mask_at(), 4, 0);
    assert_int_equal(msi_hardware(msi_mask_at(), 4), 0xfc);
    assert_int_equal(irq_get(&ir, msi_mask_at(), 4), 0);
    msi_disable();
    assert_true(msi_enable(8));
    assert_int_equal(msi_hardware(msi_mask_at(), 4), 0);
}

/* ---- M32: who may send it ---- */

static void test_X54_a_forged_message_is_blocked(void **state)
{
    struct sim_counters before = irq_counters(&ir), after;
    enum sim_irq_result result;
    uint32_t data;

    (void)state;
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(8));
    data = msi_hardware(msi_data_at(), 2);
    rig_master_on(&ir.rig, rig_nvme2, berth_machine_hwdom(ir.rig.machine));
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(sim_message(ir.rig.sim, rig_nvme2, IRQ_CONTROLLER, data + i, &result), 0);
        assert_int_equal(result, SIM_IRQ_BLOCKED);
    }
    after = irq_counters(&ir);
    assert_int_equal(after.interrupts_forged, before.interrupts_forged + 8);
    assert_int_equal(ir.injected, 0);
    msi_expect_works(8);
    msi_disable();
    assert_int_equal(sim_message(ir.rig.sim, ir.dev, IRQ_CONTROLLER, data, &result), 0);
    assert_int_equal(result, SIM_IRQ_BLOCKED); /* the entry went with the binding */
}

static void without_neighbour(struct irq_rig *rig)
{
    assert_int_equal(rig_remove(&rig->rig, rig_legacy, PCIDEV_REMOVE_DEFAULT), 0);
}

static void expect_source(struct sbdf dev, struct sbdf source)
{
    irq_up(&ir, dev);
    msi_wide = msi_masks = true;
    msi_cap = irq_cap(&ir, PCI_CAP_ID_MSI);
    msi_message(MSI_MESSAGE, MSI_UPPER, MSI_DATA);
    assert_true(msi_enable(1));
    msi_expect_works(1);
    assert_true(sbdf_equal(ir.last.source, source));
    assert_true(sbdf_equal(ir.last.device, dev));
    irq_down(&ir);
}

static void test_X55_behind_a_bridge_messages_carry_its_alias(void **state)
{
    const struct sbdf bridge = at(0, 0x10, 0);

    (void)state;
    irq_begin(&ir);
    ir.prepare = without_neighbour;
    expect_source(rig_legacy2, at(4, 0, 0));
    irq_begin(&ir);
    mb_pci_bridge(&ir.rig.builder, bridge, 9, 9);
    mb_pci_endpoint(&ir.rig.builder, at(9, 1, 0));
    expect_source(at(9, 1, 0), bridge);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msi_setup, msi_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M30_every_shape_and_every_number_of_vectors),
        TEST(test_more_vectors_than_there_are),
        cmocka_unit_test(test_a_block_of_junk_is_hidden),
        TEST(test_O4_no_write_reaches_the_hardwares_message),
        TEST(test_what_the_guest_writes_takes_effect_at_once),
        TEST(test_X45_a_message_is_never_read_back),
        TEST(test_X42_enabling_it_again_harms_nothing),
        TEST(test_another_number_of_vectors_is_another_block),
        cmocka_unit_test(test_F108_a_block_that_cannot_be_bound),
        TEST(test_X46_an_enable_that_fails_halfway),
        cmocka_unit_test(test_a_message_that_does_not_fit_is_refused),
        TEST(test_M44_what_is_masked_is_pending),
        TEST(test_M44_what_was_on_its_way_is_pending_too),
        TEST(test_X56_the_hosts_mask_is_not_the_guests),
        TEST(test_X54_a_forged_message_is_blocked),
        cmocka_unit_test(test_X55_behind_a_bridge_messages_carry_its_alias),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
