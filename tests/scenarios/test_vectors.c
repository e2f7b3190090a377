/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of a guest that asks for what is not its own, of hosts that refuse, and of guests that
 * end: X15, X40, X43, X47, X48, X52, X58.
 */
#include <berth_port.h>

#include "tests/unit/msix_driver.h"

#define MS UINT64_C(1000000)
#define COUNT 2048u
#define LARGE_TABLE 0x10000u
#define LARGE_PBA 0x1f800u

static uint64_t binds(void)
{
    return sim_calls(ir.rig.sim, SIM_OP_BIND);
}

/* ---- X15: what a device sends is one message or the other ---- */

static struct berth_bar_ops watched_bars;
static struct berth_host_ops watched_host;
static unsigned msi_at, messages_written, written_while_sent;

static bool entry_is_masked(unsigned index)
{
    struct sim_msix_entry entry;

    assert_int_equal(sim_msix_entry(ir.rig.sim, rig_nvme, index, &entry), 0);
    return entry.control & MSIX_MASKED;
}

static int watch_bar_write(void *host, berth_claim claim, unsigned index, uint64_t offset,
                           unsigned length, uint64_t value)
{
    uint64_t at = offset - MSIX_TABLE;

    if (index == 0 && offset >= MSIX_TABLE && at < 16 * (uint64_t)MSIX_VECTORS && at % 16 < 12) {
        messages_written++;
        written_while_sent += !entry_is_masked((unsigned)at / 16);
    }
    return sim_bar_ops.write(host, claim, index, offset, length, value);
}

static int watch_config_write(void *host, berth_claim claim, unsigned reg, unsigned length,
                              uint32_t value)
{
    uint32_t flags = 0;

    if (reg >= msi_at + PCI_MSI_ADDRESS_LO && reg < msi_at + PCI_MSI_MASK_64) {
        assert_int_equal(sim_host_ops.config_read(host, claim, msi_at + PCI_MSI_FLAGS, 2, &flags),
                         0);
        messages_written++;
        written_while_sent += !!(flags & PCI_MSI_FLAGS_ENABLE);
    }
    return sim_host_ops.config_write(host, claim, reg, length, value);
}

static void watch(struct berth_machine_config *config)
{
    watched_bars = sim_bar_ops;
    watched_bars.write = watch_bar_write;
    watched_host = sim_host_ops;
    watched_host.config_write = watch_config_write;
    config->bars = &watched_bars;
    config->host = &watched_host;
}

static void use_msi(unsigned log2)
{
    irq_put(&ir, msi_at + PCI_MSI_ADDRESS_LO, 4, 0xfee01000);
    irq_put(&ir, msi_at + PCI_MSI_DATA_64, 2, 0x4900);
    irq_put(&ir, msi_at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | log2 << 4);
    assert_true(irq_get(&ir, msi_at + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE);
    irq_put(&ir, msi_at + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE); /* another block */
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    irq_put(&ir, msi_at + PCI_MSI_FLAGS, 2, 0);
}

static void use_msix(void)
{
    msix_set_up_all(MSIX_VECTORS);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        msix_mask(i, true);
        msix_message(i);
        msix_mask(i, false);
        msix_expect_works(i);
    }
    assert_int_equal(rig_reset(&ir.rig, ir.dev), 0);
    msix_expect_works(3);
    msix_control(0);
    msix_control(PCI_MSIX_FLAGS_ENABLE); /* other messages, for entries that were left open */
    msix_expect_works(3);
    msix_control(0);
}

static void test_X15_a_message_is_only_written_while_none_is_sent(void **state)
{
    struct capture_function *f;

    (void)state;
    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    mb_msi(f, 8);
    msi_at = mb_find_cap(f, PCI_CAP_ID_MSI);
    ir.configure = watch;
    messages_written = written_while_sent = 0;
    msix_up();
    for (unsigned log2 = 0; log2 < 4; log2++) {
        use_msi(log2);
        use_msix();
    }
    assert_true(messages_written > 4 * 3 * MSIX_VECTORS);
    assert_int_equal(written_while_sent, 0);
    irq_down(&ir);
}

/* ---- X40: interrupts of what is not the guest's ---- */

static void try_at(struct sbdf at)
{
    for (unsigned reg = PCI_STD_HEADER_SIZEOF; reg < PCI_CFG_SPACE_SIZE; reg += 2)
        berth_domain_config_write(ir.guest, at, reg, 2, 0xffff);
}

static void test_X40_nothing_is_bound_for_a_device_of_others(void **state)
{
    static const struct sbdf *const foreign[] = {&rig_nvme, &rig_nvme2, &rig_pf, &rig_phantom};
    struct sim_counters before;
    uint64_t bound, start, size, value;

    (void)state;
    rig_quarantine(&ir.rig, rig_phantom);
    before = irq_counters(&ir);
    bound = binds();
    for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        if (!sbdf_equal(*foreign[i], ir.at)) /* the host's address of it */
            try_at(*foreign[i]);
        assert_int_equal(sim_bar(ir.rig.sim, *foreign[i], 0, &start, &size), 0);
        assert_int_equal(berth_domain_mmio_write(ir.guest, start + MSIX_TABLE + 12, 4, 0), -ENOENT);
        assert_int_equal(berth_domain_mmio_read(ir.guest, start + MSIX_TABLE, 4, &value), -ENOENT);
    }
    try_at(at(77, 0, 0)); /* nobody */
    irq_take_back(&ir);   /* its own, a moment ago: in quarantine now */
    try_at(ir.at);
    assert_int_equal(berth_domain_mmio_write(ir.guest, msix_entry_at(0) + 12, 4, 0), -ENOENT);
    assert_int_equal(binds(), bound);
    assert_int_equal(irq_bindings(&ir), before.bindings - 1); /* but for its line */
    irq_lend(&ir);
}

/* ---- X43, X48: a host that refuses ---- */

static void test_X43_what_was_there_before_a_failure_stays(void **state)
{
    unsigned holds;

    (void)state;
    msix_set_up_all(4);
    holds = irq_holds(&ir);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 100, 0);
    for (unsigned i = 4; i < 8; i++) {
        msix_message(i);
        msix_mask(i, false);
    }
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 0, 0, 0);
    assert_int_equal(irq_holds(&ir), holds);
    for (unsigned i = 0; i < 4; i++)
        msix_expect_works(i);
    for (unsigned i = 4; i < 8; i++) {
        msix_mask(i, true);
        msix_mask(i, false); /* and now it can be had */
        msix_expect_works(i);
    }
}

static void test_X48_a_binding_that_failed_leaves_no_right_behind(void **state)
{
    struct sim_msix_entry before, after;
    struct berth_irq irq;

    (void)state;
    msix_set_up_all(1);
    irq_raise(&ir, 0);
    irq = ir.last;
    before = msix_hardware(5);
    sim_fail(ir.rig.sim, SIM_OP_BIND, 1, 0, 0);
    msix_message(5);
    msix_mask(5, false);
    after = msix_hardware(5);
    assert_memory_equal(&after, &before, sizeof(after)); /* no message, and masked */
    assert_int_equal(irq_raise(&ir, 5), SIM_IRQ_PENDING);
    irq.first = 5; /* nor would it be taken for one */
    assert_int_equal(berth_machine_interrupt(ir.rig.machine, &irq, 0), BERTH_IRQ_DROPPED);
    assert_int_equal(ir.injected, 1);
}

static void test_X48_what_is_bound_is_not_bound_again(void **state)
{
    uint64_t bound;

    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    bound = binds();
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        msix_mask(i, true);
        msix_mask(i, false);
        msix_message(i);
    }
    msix_control(PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(binds(), bound);
    assert_int_equal(irq_counters(&ir).bindings_misused, 0);
}

/* ---- X52: interrupts without end that nobody waits for ---- */

static void test_X52_unbound_interrupts_are_dropped_in_silence(void **state)
{
    struct berth_irq irq = {.device = ir.dev, .source = ir.dev, .kind = BERTH_IRQ_MSIX, .count = 1};
    const struct berth_irq absent = {.device = {0, 99, 0}, .kind = BERTH_IRQ_MSI, .count = 1};
    unsigned events;

    (void)state;
    msix_set_up_all(1);
    irq_raise(&ir, 0);
    irq.generation = ir.last.generation;
    events = ir.rig.event_count;
    for (unsigned i = 0; i < 100000; i++) {
        irq.first = (uint16_t)(1 + i % 3000);
        irq.kind = (enum berth_irq_kind)(1 + i % 2);
        assert_int_equal(berth_machine_interrupt(ir.rig.machine, &irq, 0), BERTH_IRQ_DROPPED);
        assert_int_equal(berth_machine_interrupt(ir.rig.machine, &absent, 0), BERTH_IRQ_DROPPED);
    }
    assert_int_equal(ir.rig.event_count, events);
    assert_int_equal(ir.injected, 1);
}

/* ---- X47, X58: the end of a guest ---- */

/* Its devices cannot be taken away, its CPUs run, and its end is tried again and again. */
static void test_X47_interrupts_that_come_up_while_a_guest_ends(void **state)
{
    (void)state;
    msix_set_up_all(4);
    ir.withdraw_error = -EIO;
    for (unsigned pass = 1; pass < 4; pass++) {
        assert_int_equal(rig_destroy_within(&ir.rig, ir.guest, MS), -EBUSY);
        assert_int_equal(berth_domain_state(ir.guest), BERTH_DOMAIN_ZOMBIE);
        for (unsigned i = 4 * pass; i < 4 * pass + 4; i++) {
            msix_message(i);
            msix_mask(i, false);
            msix_expect_works(i);
        }
        assert_int_equal(irq_bindings(&ir), 1 + 4 * pass + 4);
    }
    ir.withdraw_error = 0;
    assert_int_equal(rig_destroy_within(&ir.rig, ir.guest, 1000 * MS), 0);
    assert_int_equal(irq_bindings(&ir), 0);
    assert_int_equal(irq_holds(&ir), 0);
    assert_int_equal(irq_counters(&ir).bindings_misused, 0);
}

static void make_large(struct sbdf sbdf)
{
    struct capture_function *f = rig_function(&ir.rig, sbdf);

    mb_bar(f, 0, MB_BAR_PREFETCH64, 0x40000);
    msix_cap = mb_find_cap(f, PCI_CAP_ID_MSIX);
    mb_put(f, msix_cap + PCI_MSIX_FLAGS, 2, COUNT - 1);
    mb_put(f, msix_cap + PCI_MSIX_TABLE, 4, LARGE_TABLE);
    mb_put(f, msix_cap + PCI_MSIX_PBA, 4, LARGE_PBA);
}

/* A guest with three devices of as many vectors as there can be. */
static void test_X58_thousands_of_interrupts_end_in_several_passes(void **state)
{
    static const struct sbdf *const others[] = {&rig_nvme2, &rig_phantom};
    unsigned passes = 1;

    (void)state;
    irq_begin(&ir);
    make_large(rig_nvme);
    for (unsigned i = 0; i < 2; i++)
        make_large(*others[i]);
    msix_up_with(rig_nvme);
    msix_table = IRQ_BAR + LARGE_TABLE;
    msix_set_up_all(COUNT);
    for (unsigned i = 0; i < 2; i++) {
        irq_put(&ir, PCI_COMMAND, 2, 0); /* the next one has the same address */
        ir.dev = *others[i];
        irq_lend(&ir);
        msix_set_up_all(COUNT);
    }
    assert_int_equal(irq_bindings(&ir), 3 * COUNT + 1);
    while (rig_destroy_within(&ir.rig, ir.guest, 150 * MS) == -EAGAIN) { /* a reset takes 100 ms */
        assert_true(irq_bindings(&ir) < 3 * COUNT + 1);
        assert_true(++passes < 10);
    }
    assert_in_range(passes, 2, 9);
    assert_int_equal(berth_domain_state(ir.guest), BERTH_DOMAIN_DEAD);
    assert_int_equal(irq_bindings(&ir), 0);
    assert_int_equal(irq_counters(&ir).bindings_misused, 0);
    irq_down(&ir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msix_setup, msix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_X15_a_message_is_only_written_while_none_is_sent),
        TEST(test_X40_nothing_is_bound_for_a_device_of_others),
        TEST(test_X43_what_was_there_before_a_failure_stays),
        TEST(test_X48_a_binding_that_failed_leaves_no_right_behind),
        TEST(test_X48_what_is_bound_is_not_bound_again),
        TEST(test_X52_unbound_interrupts_are_dropped_in_silence),
        TEST(test_X47_interrupts_that_come_up_while_a_guest_ends),
        cmocka_unit_test(test_X58_thousands_of_interrupts_end_in_several_passes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
