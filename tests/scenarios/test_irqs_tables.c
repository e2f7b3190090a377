/* SPDX-License-Identifier: MIT */
/* MSI-X tables under a guest that means no good: F101, F104, F111, F115, F117. */
#include "tests/unit/msix_driver.h"

static struct sim_counters touches_of(struct sbdf sbdf)
{
    struct sim_counters counters;

    sim_function_counters(ir.rig.sim, sbdf, &counters);
    return counters;
}

/* ---- F101 ---- */

static void test_F101_pending_bits_are_read_through_the_host(void **state)
{
    uint64_t reads;

    (void)state;
    reads = touches_of(ir.dev).bar_reads;
    assert_int_equal(msix_get(msix_pba, 8), 0); /* MSI-X is off: they are not there to be read */
    assert_int_equal(touches_of(ir.dev).bar_reads, reads);
    msix_set_up_all(MSIX_VECTORS);
    msix_mask(7, true);
    assert_int_equal(irq_raise(&ir, 7), SIM_IRQ_PENDING);
    reads = touches_of(ir.dev).bar_reads;
    assert_int_equal(msix_get(msix_pba, 4), 1u << 7);
    assert_int_equal(touches_of(ir.dev).bar_reads, reads + 1);
    msix_put(msix_pba, 8, 0); /* dropped */
    assert_int_equal(msix_get(msix_pba, 8), 1u << 7);

    sim_fail(ir.rig.sim, SIM_OP_BAR_READ, 1, 1, 0);
    assert_true(msix_get(msix_pba, 8) == UINT64_MAX);
    assert_int_equal(msix_get(msix_pba, 8), 1u << 7);
    msix_mask(7, false);
    msix_expect_message(7);
}

/* ---- F104 ---- */

/* The guest puts its BAR where the host has the one of another device, and works on its table. */
static void test_F104_the_guests_address_is_no_address_of_the_host(void **state)
{
    const struct sbdf other = rig_nvme2;
    const struct sim_counters before = touches_of(other);
    uint64_t host, size;

    (void)state;
    assert_int_equal(sim_bar(ir.rig.sim, other, 0, &host, &size), 0);
    irq_put(&ir, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
    irq_put(&ir, PCI_BASE_ADDRESS_0, 4, (uint32_t)host);
    irq_put(&ir, PCI_BASE_ADDRESS_1, 4, (uint32_t)(host >> 32));
    irq_put(&ir, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    msix_table = host + MSIX_TABLE;
    msix_pba = host + MSIX_PBA;
    msix_set_up_all(MSIX_VECTORS);
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        struct sim_msix_entry entry;

        msix_expect_works(i);
        assert_int_equal(msix_hardware(i).address, IRQ_CONTROLLER);
        assert_int_equal(sim_msix_entry(ir.rig.sim, other, i, &entry), 0);
        assert_int_equal(entry.address, 0);
    }
    assert_int_equal(touches_of(other).bar_reads, before.bar_reads);
    assert_int_equal(touches_of(other).bar_writes, before.bar_writes);
}

/* ---- F111 ---- */

/* The hardware's entry is open where the host has it bound and the guest does not mask it. */
static void test_F111_masked_is_what_either_side_masks(void **state)
{
    (void)state;
    for (unsigned all = 0; all < 8; all++) {
        bool bound = all & 1, masked = all & 2, function = all & 4;

        msix_message(5);
        msix_mask(5, masked);
        sim_fail(ir.rig.sim, SIM_OP_BIND, bound ? 0 : 1, 8, 0);
        msix_control(PCI_MSIX_FLAGS_ENABLE | (function ? PCI_MSIX_FLAGS_MASKALL : 0));
        assert_int_equal(msix_is_open(5), bound && !masked && !function);
        assert_int_equal(!!(msix_hardware_control() & PCI_MSIX_FLAGS_MASKALL), function);
        assert_int_equal(msix_get(msix_entry_at(5) + 12, 4), masked); /* its own, as it was */
        assert_int_equal(irq_raise(&ir, 5),
                         bound && !masked && !function ? SIM_IRQ_DELIVERED : SIM_IRQ_PENDING);
        sim_fail(ir.rig.sim, SIM_OP_BIND, 0, 0, 0);
        msix_control(0);
        assert_int_equal(irq_bindings(&ir), 1); /* as many as before */
        assert_int_equal(irq_holds(&ir), 1);
        assert_int_equal(rig_reset(&ir.rig, ir.dev), 0); /* nothing is pending any more */
    }
}

/* ---- F115 ---- */

static unsigned msi_cap;

static int both_setup(void **state)
{
    struct capture_function *f;

    (void)state;
    irq_begin(&ir);
    f = rig_function(&ir.rig, rig_nvme);
    mb_msi(f, 8);
    msi_cap = mb_find_cap(f, PCI_CAP_ID_MSI);
    msix_up();
    assert_int_equal(irq_cap(&ir, PCI_CAP_ID_MSI), msi_cap);
    return 0;
}

/* Whatever the guest writes there, at any moment the hardware is as it was. */
static void expect_untouched_by_writes(unsigned at, unsigned length)
{
    static const uint64_t values[] = {UINT64_MAX, 0xa5a5a5a5a5a5a5a5u, 0x5a5a5a5a5a5a5a5au};
    uint32_t before[6], control = rig_peek(&ir.rig, ir.dev, at, 4);

    for (unsigned i = 0; i < length / 4; i++)
        before[i] = rig_peek(&ir.rig, ir.dev, at + 4 * i, 4);
    for (unsigned k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
        for (unsigned size = 1; size <= 8; size *= 2) {
            for (unsigned reg = at + 2; reg + size <= at + length; reg++) {
                berth_domain_config_write(ir.guest, ir.at, reg, size, values[k]);
                assert_int_equal(rig_peek(&ir.rig, ir.dev, at, 4), control);
            }
        }
    }
    for (unsigned i = 0; i < length / 4; i++)
        assert_int_equal(rig_peek(&ir.rig, ir.dev, at + 4 * i, 4), before[i]);
}

static void test_F115_two_kinds_of_messages_in_one_device(void **state)
{
    (void)state;
    msix_set_up_all(MSIX_VECTORS);
    expect_untouched_by_writes(msi_cap, 24);
    assert_int_equal(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
    msix_expect_works(3);

    msix_control(0);
    irq_put(&ir, msi_cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
    assert_int_not_equal(irq_get(&ir, msi_cap + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
    expect_untouched_by_writes(msix_cap, 12);
    assert_false(msix_reads_enabled());
    assert_int_equal(irq_raise(&ir, 0), SIM_IRQ_DELIVERED);
}

/* ---- F117 ---- */

static uint32_t roll(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* What the table's dwords hold. An access reaches those of which it covers every byte. */
struct model {
    unsigned vectors;
    uint32_t word[4 * 256];
};

static void model_write(struct model *m, uint64_t address, unsigned length, uint64_t value)
{
    static const uint32_t kept[4] = {0xfffffffc, UINT32_MAX, UINT32_MAX, MSIX_MASKED};

    for (unsigned done = -address % 4; done + 4 <= length; done += 4) {
        uint64_t word = (address + done - msix_table) / 4;

        if (address + done >= msix_table && word < 4 * m->vectors)
            m->word[word] = (uint32_t)(value >> 8 * done) & kept[word % 4];
    }
}

static void expect_as_the_model(const struct model *m)
{
    for (unsigned i = 0; i < 4 * m->vectors; i++)
        assert_int_equal(msix_get(msix_table + 4 * (uint64_t)i, 4), m->word[i]);
}

/* Offsets around the ends of both tables, and anywhere in the BAR. */
static uint64_t some_address(uint32_t *seed, unsigned vectors)
{
    const uint64_t ends[] = {msix_table, msix_table + 16 * (uint64_t)vectors, msix_pba,
                             msix_pba + (vectors + 63) / 64 * 8};

    if (roll(seed) % 4)
        return ends[roll(seed) % 4] + roll(seed) % 32 - 16;
    return IRQ_BAR + roll(seed) % 0x20000;
}

static void fuzz_offsets(unsigned vectors)
{
    struct model m = {.vectors = vectors};
    uint32_t seed = 117 + vectors;

    msix_up_large(vectors);
    for (unsigned i = 0; i < vectors; i++)
        m.word[4 * i + 3] = MSIX_MASKED;
    expect_as_the_model(&m);
    msix_control(PCI_MSIX_FLAGS_ENABLE);
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t address = some_address(&seed, vectors);
        uint64_t value = (uint64_t)roll(&seed) << 40 | roll(&seed);
        unsigned length = 1u << roll(&seed) % 4;

        if (roll(&seed) % 2) {
            msix_put(address, length, value);
            model_write(&m, address, length, value);
        } else {
            (void)msix_get(address, length);
        }
    }
    expect_as_the_model(&m);
    assert_int_equal(irq_get(&ir, 0, 4), 0x00101b36);
    irq_down(&ir);
}

static void test_F117_any_offset_of_any_table(void **state)
{
    static const unsigned sizes[] = {1, 2, 3, 63, 64, 65, 128, 256};

    (void)state;
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        fuzz_offsets(sizes[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, msix_setup, msix_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F101_pending_bits_are_read_through_the_host),
        TEST(test_F104_the_guests_address_is_no_address_of_the_host),
        TEST(test_F111_masked_is_what_either_side_masks),
        cmocka_unit_test_setup_teardown(test_F115_two_kinds_of_messages_in_one_device, both_setup,
                                        msix_teardown),
        cmocka_unit_test(test_F117_any_offset_of_any_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
