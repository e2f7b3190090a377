/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: what is behind BARs, in the core's name.
 */
#include "tests/unit/sim_help.h"

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define ENDPOINT at(1, 0, 0)
#define PF at(2, 0, 0)
#define VF0 at(2, 16, 0)
#define VF1 at(2, 16, 1)
#define LEGACY at(0, 3, 0)

/* An endpoint with every kind of BAR, a PF with two VFs on, a conventional device. */
static void build(struct simrig *rig)
{
    struct capture_function *f;

    mb_init(&rig->b);
    mb_root_port(&rig->b, at(0, 1, 0), 1, 1);
    mb_root_port(&rig->b, at(0, 2, 0), 2, 2);
    f = mb_endpoint(&rig->b, ENDPOINT);
    mb_bar(f, 2, MB_BAR_MEM32, 0x1000);
    mb_bar(f, 3, MB_BAR_IO, 0x20);
    mb_rom(f, 0x10000);
    mb_put(f, PCI_INTERRUPT_LINE, 2, 0x020b);
    mb_vfs(&rig->b, mb_pf(&rig->b, PF, 4, 128, 1), 2);
    mb_pci_endpoint(&rig->b, LEGACY);
    simrig_start(rig, NULL);
}

static berth_claim claim(struct simrig *rig, struct sbdf sbdf)
{
    berth_claim claim;

    assert_int_equal(sim_host_ops.claim(rig->sim, sbdf, &claim), 0);
    return claim;
}

static struct berth_bar find(struct simrig *rig, berth_claim c, unsigned index)
{
    struct berth_bar bar;

    assert_int_equal(sim_bar_ops.find(rig->sim, c, index, &bar), 0);
    return bar;
}

static uint64_t load(struct simrig *rig, berth_claim c, uint64_t offset, unsigned length)
{
    uint64_t value = 0x5a5a;

    assert_int_equal(sim_bar_ops.read(rig->sim, c, 0, offset, length, &value), 0);
    return value;
}

static void store(struct simrig *rig, berth_claim c, uint64_t offset, unsigned length,
                  uint64_t value)
{
    assert_int_equal(sim_bar_ops.write(rig->sim, c, 0, offset, length, value), 0);
}

static void test_bars_are_found_as_they_are(void **state)
{
    struct berth_bar bar;
    struct simrig rig;
    uint64_t start, size;
    berth_claim c;

    (void)state;
    build(&rig);
    c = claim(&rig, ENDPOINT);
    bar = find(&rig, c, 0);
    assert_int_equal(sim_bar(rig.sim, ENDPOINT, 0, &start, &size), 0);
    assert_int_equal(bar.address, start);
    assert_int_equal(bar.size, 0x4000);
    assert_true(bar.wide && bar.prefetchable && !bar.io);
    assert_int_equal(find(&rig, c, 1).size, 0); /* the upper half of BAR 0 */
    bar = find(&rig, c, 2);
    assert_int_equal(bar.size, 0x1000);
    assert_true(bar.address && !bar.wide && !bar.prefetchable && !bar.io);
    bar = find(&rig, c, 3);
    assert_int_equal(bar.size, 0x20);
    assert_true(bar.io && !bar.wide);
    assert_int_equal(find(&rig, c, 5).size, 0);
    assert_int_equal(find(&rig, c, BERTH_BAR_ROM).size, 0x10000);
    assert_int_equal(find(&rig, c, BERTH_BAR_COUNT).size, 0);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, PCI_BASE_ADDRESS_2, 4, 0xe0000000), 0);
    assert_int_equal(find(&rig, c, 2).address, 0xe0000000);
    sim_host_ops.release(rig.sim, c);
    assert_int_equal(sim_bar_ops.find(rig.sim, c, 0, &bar), -ENODATA);
    simrig_stop(&rig);
}

static void test_a_vf_has_its_piece_of_the_pfs_bars(void **state)
{
    struct berth_bar first, second;
    struct simrig rig;
    berth_claim c, other;
    unsigned control;

    (void)state;
    build(&rig);
    control = simrig_ext_cap(&rig, PF, PCI_EXT_CAP_ID_SRIOV) + PCI_SRIOV_CTRL;
    c = claim(&rig, VF0);
    other = claim(&rig, VF1);
    first = find(&rig, c, 0);
    second = find(&rig, other, 0);
    assert_int_equal(first.size, 0x4000);
    assert_int_equal(second.address, first.address + 0x4000);
    assert_true(first.wide && first.prefetchable);
    assert_int_equal(find(&rig, c, 2).size, 0);
    assert_int_equal(find(&rig, c, BERTH_BAR_ROM).size, 0);
    store(&rig, c, 8, 8, 77);
    assert_int_equal(load(&rig, c, 8, 8), 77);
    assert_int_equal(load(&rig, other, 8, 8), 0);
    simrig_update(&rig, PF, control, PCI_SRIOV_CTRL_MSE, 0);
    assert_int_equal(load(&rig, c, 8, 8), UINT64_MAX);
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 1);
    simrig_stop(&rig);
}

/* Every width at every offset of 16 bytes, against a plain array. */
static void test_bytes_merge(void **state)
{
    uint8_t expected[16] = {0};
    struct simrig rig;
    berth_claim c;
    unsigned seed = 1;

    (void)state;
    build(&rig);
    c = claim(&rig, ENDPOINT);
    for (unsigned i = 0; i < 400; i++) {
        unsigned length = 1u << i % 4, offset = (seed >> 8) % 16 / length * length;
        uint64_t value = UINT64_C(0x9e3779b97f4a7c15) * seed;

        seed = seed * 1103515245 + 12345;
        store(&rig, c, 0x100 + offset, length, value);
        for (unsigned b = 0; b < length; b++)
            expected[offset + b] = (uint8_t)(value >> 8 * b);
        for (unsigned b = 0; b < 16; b++)
            assert_int_equal(load(&rig, c, 0x100 + b, 1), expected[b]);
        for (unsigned b = 0; b < 16; b += 8)
            for (unsigned k = 0; k < 8; k++)
                assert_int_equal(load(&rig, c, 0x100 + b, 8) >> 8 * k & 0xff, expected[b + k]);
    }
    assert_int_equal(load(&rig, c, 0x110, 8), 0);
    assert_int_equal(load(&rig, c, 0xf8, 8), 0);
    simrig_stop(&rig);
}

static void test_odd_accesses_are_refused(void **state)
{
    struct simrig rig;
    uint64_t value;
    berth_claim c;

    (void)state;
    build(&rig);
    c = claim(&rig, ENDPOINT);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 0, 2, 4, &value), -EINVAL);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 0, 0, 3, &value), -EINVAL);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 0, 0, 16, &value), -EINVAL);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 0, 0x4000, 4, &value), -EINVAL);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 1, 0, 4, &value), -ENOENT);
    assert_int_equal(sim_bar_ops.write(rig.sim, c, 9, 0, 4, 0), -EINVAL);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 3, 0, 8, &value), -EINVAL); /* I/O */
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 3, 0x1c, 4, &value), 0);
    assert_int_equal(value, 0);
    simrig_stop(&rig);
}

static void test_touches_that_should_not_be_are_counted(void **state)
{
    struct sim_counters n;
    struct simrig rig;
    unsigned pcie, pm;
    berth_claim c;

    (void)state;
    build(&rig);
    pcie = simrig_cap(&rig, ENDPOINT, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
    pm = simrig_cap(&rig, ENDPOINT, PCI_CAP_ID_PM) + PCI_PM_CTRL;
    c = claim(&rig, ENDPOINT);
    store(&rig, c, 0, 4, 42);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, pm, 2, 3), 0);
    assert_int_equal(load(&rig, c, 0, 4), ONES); /* D3hot */
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, pm, 2, 0), 0);
    assert_int_equal(load(&rig, c, 0, 4), 42);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, PCI_COMMAND, 2, 0), 0);
    assert_int_equal(load(&rig, c, 0, 2), 0xffff);
    store(&rig, c, 0, 4, 43);
    sim_function_counters(rig.sim, ENDPOINT, &n);
    assert_int_equal(n.bar_decode_off, 3);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, PCI_COMMAND, 2, 2), 0);
    assert_int_equal(load(&rig, c, 0, 4), 42);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, pcie, 2, PCI_EXP_DEVCTL_BCR_FLR), 0);
    assert_int_equal(load(&rig, c, 0, 1), 0xff);
    simrig_wait(200 * MS);
    assert_int_equal(sim_vanish(rig.sim, ENDPOINT), 0);
    assert_int_equal(load(&rig, c, 0, 8), UINT64_MAX);
    sim_host_ops.release(rig.sim, c);
    assert_int_equal(load(&rig, c, 0, 8), UINT64_MAX);
    store(&rig, c, 0, 8, 0);
    sim_function_counters(rig.sim, ENDPOINT, &n);
    assert_int_equal(n.touches_resetting, 1);
    assert_int_equal(n.touches_vanished, 1);
    assert_int_equal(n.touches_after_release, 2);
    assert_int_equal(n.bar_reads, 6); /* and one with a claim that was released */
    assert_int_equal(n.bar_writes, 2);
    assert_int_equal(sim_calls(rig.sim, SIM_OP_BAR_READ), 7);
    simrig_stop(&rig);
}

static void test_bar_accesses_fail_on_demand(void **state)
{
    struct simrig rig;
    uint64_t value;
    berth_claim c;

    (void)state;
    build(&rig);
    c = claim(&rig, ENDPOINT);
    sim_fail(rig.sim, SIM_OP_BAR_WRITE, 1, 0, 0);
    assert_int_equal(sim_bar_ops.write(rig.sim, c, 0, 0, 4, 7), -EIO);
    assert_int_equal(load(&rig, c, 0, 4), 0);
    sim_fail(rig.sim, SIM_OP_BAR_READ, 2, 0, -ENODEV);
    assert_int_equal(load(&rig, c, 0, 4), 0);
    assert_int_equal(sim_bar_ops.read(rig.sim, c, 0, 0, 4, &value), -ENODEV);
    assert_true(sim_failed(rig.sim, SIM_OP_BAR_READ));
    simrig_stop(&rig);
}

static void test_d3hot_to_d0_clears_what_was_in_the_bar(void **state)
{
    struct simrig rig;
    unsigned pm;
    berth_claim c;

    (void)state;
    mb_init(&rig.b);
    mb_pm_reset(mb_endpoint(&rig.b, ENDPOINT));
    simrig_start(&rig, NULL);
    pm = simrig_cap(&rig, ENDPOINT, PCI_CAP_ID_PM) + PCI_PM_CTRL;
    c = claim(&rig, ENDPOINT);
    store(&rig, c, 0, 4, 42);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, pm, 2, 3), 0);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, pm, 2, 0), 0);
    simrig_wait(20 * MS);
    assert_int_equal(find(&rig, c, 0).address, 0); /* not placed any more */
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, PCI_COMMAND, 2, 2), 0);
    assert_int_equal(load(&rig, c, 0, 4), 0);
    simrig_stop(&rig);
}

/* What is wired does not change with what somebody writes into the register. */
static void test_the_interrupt_line_is_what_firmware_wired(void **state)
{
    struct berth_function_facts facts = {.interrupt_line = -7};
    struct simrig rig;
    berth_claim c;

    (void)state;
    build(&rig);
    c = claim(&rig, ENDPOINT);
    assert_int_equal(sim_host_ops.config_write(rig.sim, c, PCI_INTERRUPT_LINE, 1, 5), 0);
    sim_host_ops.describe(rig.sim, c, &facts);
    assert_int_equal(facts.interrupt_line, 11);
    sim_host_ops.describe(rig.sim, claim(&rig, LEGACY), &facts); /* a pin, and line 0 */
    assert_int_equal(facts.interrupt_line, -1);
    facts.interrupt_line = 3;
    sim_host_ops.describe(rig.sim, claim(&rig, VF0), &facts);
    assert_int_equal(facts.interrupt_line, -1);
    simrig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bars_are_found_as_they_are),
        cmocka_unit_test(test_a_vf_has_its_piece_of_the_pfs_bars),
        cmocka_unit_test(test_bytes_merge),
        cmocka_unit_test(test_odd_accesses_are_refused),
        cmocka_unit_test(test_touches_that_should_not_be_are_counted),
        cmocka_unit_test(test_bar_accesses_fail_on_demand),
        cmocka_unit_test(test_d3hot_to_d0_clears_what_was_in_the_bar),
        cmocka_unit_test(test_the_interrupt_line_is_what_firmware_wired),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
