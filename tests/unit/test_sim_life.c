/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: claims, resets, VFs.
 */
#include "tests/unit/sim_help.h"

#include <stdio.h>
#include <string.h>

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define PORT at(0, 1, 0)
#define PF at(1, 0, 0)
#define VF0 at(1, 16, 0)
#define VF1 at(1, 16, 2)
#define VF3 at(1, 16, 6)
#define NEIGHBOUR at(2, 0, 0)

/* A PF with four VFs behind one port, two functions of one card behind another. @vfs: captured. */
static void build(struct simrig *rig, unsigned vfs)
{
    struct capture_function *pf;

    mb_init(&rig->b);
    mb_root_port(&rig->b, PORT, 1, 1);
    pf = mb_pf(&rig->b, PF, 4, 128, 2);
    if (vfs)
        mb_vfs(&rig->b, pf, vfs);
    mb_root_port(&rig->b, at(0, 2, 0), 2, 2);
    mb_endpoint(&rig->b, NEIGHBOUR);
    mb_endpoint(&rig->b, at(2, 0, 1));
    simrig_start(rig, NULL);
}

static void enable_vfs(struct simrig *rig, unsigned count)
{
    unsigned reg = simrig_ext_cap(rig, PF, PCI_EXT_CAP_ID_SRIOV);

    simrig_update(rig, PF, reg + PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE, 0);
    simrig_write(rig, PF, reg + PCI_SRIOV_NUM_VF, 2, count);
    if (count)
        simrig_update(rig, PF, reg + PCI_SRIOV_CTRL, 0, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
}

static void start_flr(struct simrig *rig, struct sbdf sbdf)
{
    simrig_update(rig, sbdf, simrig_cap(rig, sbdf, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 0,
                  PCI_EXP_DEVCTL_BCR_FLR);
}

/* ---- claims ---- */

static void test_a_function_is_claimed_once(void **state)
{
    berth_claim first, second;
    struct simrig rig;

    (void)state;
    build(&rig, 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, PF, &first), 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, PF, &second), -EBUSY);
    assert_int_equal(simrig_counters(&rig).claims, 1);
    sim_host_ops.release(rig.sim, first);
    assert_int_equal(simrig_counters(&rig).claims, 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, PF, &second), 0);
    assert_true(first != second);
    assert_int_equal(sim_host_ops.claim(rig.sim, at(7, 0, 0), &first), -ENODEV);
    assert_int_equal(sim_host_ops.claim(rig.sim, VF0, &first), -ENODEV);
    simrig_stop(&rig);
}

static void test_a_stale_claim_touches_nothing_and_is_counted(void **state)
{
    berth_claim old, claim;
    struct sim_counters c;
    struct simrig rig;
    uint32_t value;

    (void)state;
    build(&rig, 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, PF, &old), 0);
    sim_host_ops.release(rig.sim, old);
    assert_int_equal(sim_host_ops.claim(rig.sim, PF, &claim), 0);
    assert_int_equal(sim_host_ops.config_read(rig.sim, old, PCI_COMMAND, 2, &value), 0);
    assert_int_equal(value, 0xffff);
    assert_int_equal(sim_host_ops.config_write(rig.sim, old, PCI_COMMAND, 2, 0), 0);
    assert_int_equal(sim_host_ops.reset(rig.sim, old), -EIO);
    sim_function_counters(rig.sim, PF, &c);
    assert_int_equal(c.touches_after_release, 3);
    assert_int_equal(sim_host_ops.config_read(rig.sim, claim, PCI_COMMAND, 2, &value), 0);
    assert_int_equal(value, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    sim_host_ops.release(rig.sim, old); /* and takes nothing from the new one */
    assert_int_equal(sim_host_ops.config_read(rig.sim, claim, PCI_COMMAND, 2, &value), 0);
    assert_int_equal(value, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    assert_int_equal(sim_host_ops.config_read(rig.sim, UINT64_MAX, 0, 2, &value), 0);
    assert_int_equal(simrig_counters(&rig).touches_after_release, 5);
    simrig_stop(&rig);
}

/* ---- resets ---- */

static void test_flr_takes_its_time_and_clears(void **state)
{
    static const struct sim_options options = {.flr_ns = 5 * MS};
    uint32_t value = 9;
    struct simrig rig;
    unsigned msix;

    (void)state;
    mb_init(&rig.b);
    mb_endpoint(&rig.b, PF);
    simrig_start(&rig, &options);
    msix = simrig_cap(&rig, PF, PCI_CAP_ID_MSIX) + PCI_MSIX_FLAGS;
    simrig_update(&rig, PF, msix, 0, PCI_MSIX_FLAGS_ENABLE);
    assert_int_equal(sim_bar_access(rig.sim, PF, 0, 0, true, &value), 0);
    start_flr(&rig, PF);
    assert_true(simrig_silent(&rig, PF));
    assert_int_equal(simrig_counters(&rig).touches_resetting, 0); /* that was polling */
    simrig_write(&rig, PF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(simrig_read(&rig, PF, msix, 2), 0xffff);
    assert_int_equal(simrig_counters(&rig).touches_resetting, 2);
    assert_true(sim_present(rig.sim, PF));
    simrig_wait(5 * MS);
    assert_int_equal(simrig_read(&rig, PF, PCI_COMMAND, 2), 0);
    assert_int_equal(simrig_read(&rig, PF, PCI_BASE_ADDRESS_0, 4), 0xc);
    assert_int_equal(simrig_read(&rig, PF, PCI_BASE_ADDRESS_1, 4), 0);
    assert_int_equal(simrig_read(&rig, PF, msix, 2), 15);
    simrig_write(&rig, PF, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
    assert_int_equal(sim_bar_access(rig.sim, PF, 0, 0, false, &value), 0);
    assert_int_equal(value, 0);
    simrig_stop(&rig);
}

static void test_flr_spares_sticky_bits_and_the_link(void **state)
{
    struct simrig rig;
    unsigned aer, devctl;

    (void)state;
    build(&rig, 0);
    aer = simrig_ext_cap(&rig, PF, PCI_EXT_CAP_ID_ERR) + PCI_ERR_UNCOR_MASK;
    devctl = simrig_cap(&rig, PF, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL;
    simrig_write(&rig, PF, aer, 4, 0x10);
    simrig_update(&rig, PF, devctl, PCI_EXP_DEVCTL_READRQ, 0x20 | PCI_EXP_DEVCTL_CERE);
    start_flr(&rig, PF);
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, PF, aer, 4), 0x10);
    assert_int_equal(simrig_read(&rig, PF, devctl, 2),
                     0x2830); /* payload stays, the rest is initial */
    assert_int_equal(sim_vanish(rig.sim, PF), 0);
    assert_int_equal(sim_return(rig.sim, PF), 0);
    assert_int_equal(simrig_read(&rig, PF, aer, 4), 0x00400000);
    assert_int_equal(simrig_read(&rig, PF, devctl, 2), 0x2810);
    simrig_stop(&rig);
}

static void test_without_the_capability_flr_does_nothing(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_no_flr(mb_endpoint(&rig.b, PF));
    simrig_start(&rig, NULL);
    start_flr(&rig, PF);
    assert_false(simrig_silent(&rig, PF));
    simrig_stop(&rig);
}

static void test_af_flr(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_af(mb_pci_endpoint(&rig.b, PF));
    simrig_start(&rig, NULL);
    simrig_write(&rig, PF, simrig_cap(&rig, PF, PCI_CAP_ID_AF) + PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR);
    assert_true(simrig_silent(&rig, PF));
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, PF, PCI_COMMAND, 2), 0);
    simrig_stop(&rig);
}

static void set_power_state(struct simrig *rig, struct sbdf sbdf, unsigned power)
{
    simrig_update(rig, sbdf, simrig_cap(rig, sbdf, PCI_CAP_ID_PM) + PCI_PM_CTRL, 3, power);
}

static void test_leaving_d3hot_resets_unless_it_says_no(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_pm_reset(mb_endpoint(&rig.b, PF));
    mb_endpoint(&rig.b, NEIGHBOUR);
    simrig_start(&rig, NULL);
    set_power_state(&rig, PF, 3);
    set_power_state(&rig, NEIGHBOUR, 3);
    assert_int_equal(simrig_read(&rig, PF, PCI_COMMAND, 2),
                     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    set_power_state(&rig, PF, 0);
    set_power_state(&rig, NEIGHBOUR, 0);
    assert_true(simrig_silent(&rig, PF));
    assert_false(simrig_silent(&rig, NEIGHBOUR));
    simrig_wait(10 * MS);
    assert_int_equal(simrig_read(&rig, PF, PCI_COMMAND, 2), 0);
    assert_int_equal(simrig_read(&rig, NEIGHBOUR, PCI_COMMAND, 2),
                     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    simrig_stop(&rig);
}

static void test_unsupported_power_states_are_discarded(void **state)
{
    struct capture_function *f;
    struct simrig rig;
    unsigned reg;

    (void)state;
    mb_init(&rig.b);
    f = mb_endpoint(&rig.b, PF);
    mb_put(f, mb_find_cap(f, PCI_CAP_ID_PM) + PCI_PM_PMC, 2, PCI_PM_CAP_D2 | 3);
    simrig_start(&rig, NULL);
    reg = simrig_cap(&rig, PF, PCI_CAP_ID_PM) + PCI_PM_CTRL;
    set_power_state(&rig, PF, 1); /* it has no D1 */
    assert_int_equal(simrig_read(&rig, PF, reg, 1) & 3, 0);
    set_power_state(&rig, PF, 2);
    assert_int_equal(simrig_read(&rig, PF, reg, 1) & 3, 2);
    set_power_state(&rig, PF, 3);
    set_power_state(&rig, PF, 2); /* D3hot is left for D0 only */
    assert_int_equal(simrig_read(&rig, PF, reg, 1) & 3, 3);
    simrig_stop(&rig);
}

static void test_bus_reset_takes_everything_behind(void **state)
{
    struct simrig rig;
    unsigned aer;

    (void)state;
    build(&rig, 2);
    aer = simrig_ext_cap(&rig, PF, PCI_EXT_CAP_ID_ERR) + PCI_ERR_UNCOR_MASK;
    simrig_write(&rig, PF, aer, 4, 0x10);
    assert_false(simrig_silent(&rig, VF1));
    simrig_update(&rig, PORT, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
    simrig_wait(1000 * MS);
    assert_true(simrig_silent(&rig, PF)); /* held for as long as the bit is set */
    assert_false(simrig_silent(&rig, NEIGHBOUR));
    simrig_update(&rig, PORT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 0);
    assert_true(simrig_silent(&rig, PF));
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, PF, PCI_COMMAND, 2), 0);
    assert_int_equal(simrig_read(&rig, PF, aer, 4), 0x10); /* sticky */
    assert_false(sim_present(rig.sim, VF1)); /* VF Enable went with the PF's registers */
    simrig_stop(&rig);
}

static void test_bus_reset_reaches_nested_buses(void **state)
{
    struct simrig rig;

    (void)state;
    mb_init(&rig.b);
    mb_root_port(&rig.b, PORT, 1, 3);
    mb_upstream_port(&rig.b, at(1, 0, 0), 2, 3);
    mb_downstream_port(&rig.b, at(2, 0, 0), 3, 3);
    mb_endpoint(&rig.b, at(3, 0, 0));
    simrig_start(&rig, NULL);
    assert_false(simrig_silent(&rig, at(3, 0, 0)));
    simrig_update(&rig, PORT, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
    simrig_update(&rig, PORT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 0);
    simrig_wait(100 * MS);
    assert_false(simrig_silent(&rig, at(1, 0, 0)));
    assert_int_equal(simrig_read(&rig, at(1, 0, 0), PCI_SECONDARY_BUS, 1), 0);
    assert_true(simrig_silent(&rig, at(3, 0, 0))); /* no bus numbers lead there */
    simrig_write(&rig, at(1, 0, 0), PCI_PRIMARY_BUS, 4, 0x030201);
    simrig_write(&rig, at(2, 0, 0), PCI_PRIMARY_BUS, 4, 0x030302);
    assert_int_equal(simrig_read(&rig, at(3, 0, 0), PCI_COMMAND, 2), 0);
    simrig_stop(&rig);
}

static struct berth_function_facts facts_of(struct simrig *rig, berth_claim claim)
{
    struct berth_function_facts facts = {.numa_node = -1};

    sim_host_ops.describe(rig->sim, claim, &facts);
    return facts;
}

static void test_host_reset(void **state)
{
    berth_claim claim;
    uint32_t value;
    struct simrig rig;

    (void)state;
    build(&rig, 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, PF, &claim), 0);
    assert_false(facts_of(&rig, claim).has_reset);
    assert_int_equal(sim_host_ops.reset(rig.sim, claim), -ENOTTY);
    assert_int_equal(sim_set_host_reset(rig.sim, PF, true, 50 * MS), 0);
    assert_true(facts_of(&rig, claim).has_reset);
    assert_int_equal(sim_host_ops.reset(rig.sim, claim), 0);
    assert_int_equal(sim_host_ops.config_read(rig.sim, claim, PCI_COMMAND, 2, &value), 0);
    assert_int_equal(value, 0);
    assert_int_equal(sim_vanish(rig.sim, PF), 0);
    assert_int_equal(sim_host_ops.reset(rig.sim, claim), -EIO);
    simrig_stop(&rig);
}

static void test_a_function_may_hang_in_reset(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig, 0);
    assert_int_equal(sim_hang_on_reset(rig.sim, NEIGHBOUR, true), 0);
    assert_false(simrig_silent(&rig, NEIGHBOUR));
    start_flr(&rig, NEIGHBOUR);
    simrig_wait(10000 * MS);
    assert_true(simrig_silent(&rig, NEIGHBOUR));
    assert_false(simrig_silent(&rig, at(2, 0, 1)));
    assert_int_equal(sim_hang_on_reset(rig.sim, NEIGHBOUR, false), 0);
    simrig_update(&rig, at(0, 2, 0), PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
    simrig_update(&rig, at(0, 2, 0), PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 0);
    simrig_wait(100 * MS);
    assert_false(simrig_silent(&rig, NEIGHBOUR));
    simrig_stop(&rig);
}

/* ---- VFs ---- */

static void test_vfs_appear_and_disappear(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig, 0);
    assert_false(sim_present(rig.sim, VF0));
    enable_vfs(&rig, 3);
    assert_true(sim_present(rig.sim, VF0));
    assert_false(sim_present(rig.sim, VF3));
    assert_true(simrig_silent(&rig, VF0));
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, VF0, PCI_VENDOR_ID, 4), ONES);
    assert_false(simrig_silent(&rig, VF0));
    assert_int_equal(simrig_read(&rig, VF1, PCI_CLASS_REVISION, 4), 0x02000001);
    simrig_write(&rig, VF0, PCI_COMMAND, 2, 0xffff);
    assert_int_equal(simrig_read(&rig, VF0, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
    enable_vfs(&rig, 0);
    assert_false(sim_present(rig.sim, VF0));
    enable_vfs(&rig, 4);
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, VF0, PCI_COMMAND, 2), 0); /* a new one */
    assert_false(simrig_silent(&rig, VF3));
    simrig_stop(&rig);
}

static void test_the_number_of_vfs_is_fixed_while_they_are_on(void **state)
{
    struct simrig rig;
    unsigned reg;

    (void)state;
    build(&rig, 0);
    reg = simrig_ext_cap(&rig, PF, PCI_EXT_CAP_ID_SRIOV);
    enable_vfs(&rig, 2);
    simrig_write(&rig, PF, reg + PCI_SRIOV_NUM_VF, 2, 4);
    assert_int_equal(simrig_read(&rig, PF, reg + PCI_SRIOV_NUM_VF, 2), 2);
    simrig_write(&rig, PF, reg + PCI_SRIOV_VF_OFFSET, 4, 0);
    assert_int_equal(simrig_read(&rig, PF, reg + PCI_SRIOV_VF_OFFSET, 4), 0x00020080);
    enable_vfs(&rig, 100); /* more than there are */
    assert_true(sim_present(rig.sim, VF3));
    simrig_stop(&rig);
}

static void test_captured_vfs_are_there_as_they_were(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig, 2);
    assert_int_equal(simrig_read(&rig, VF1, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
    assert_false(sim_present(rig.sim, VF3));
    enable_vfs(&rig, 0);
    assert_false(sim_present(rig.sim, VF1));
    enable_vfs(&rig, 4);
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, VF1, PCI_COMMAND, 2), 0);
    assert_int_equal(simrig_read(&rig, VF3, PCI_CAPABILITY_LIST, 1), 0x40); /* like its siblings */
    simrig_stop(&rig);
}

static void test_vf_bars_follow_each_other(void **state)
{
    uint64_t start, next, size;
    uint32_t value = 1;
    struct simrig rig;
    unsigned reg;

    (void)state;
    build(&rig, 2);
    reg = simrig_ext_cap(&rig, PF, PCI_EXT_CAP_ID_SRIOV);
    assert_int_equal(sim_bar(rig.sim, VF0, 0, &start, &size), 0);
    assert_int_equal(size, 0x4000);
    assert_int_equal(sim_bar(rig.sim, VF1, 0, &next, &size), 0);
    assert_int_equal(next, start + 0x4000);
    assert_int_equal(sim_bar(rig.sim, VF1, 2, &next, &size), -ENOENT);
    assert_int_equal(sim_bar(rig.sim, VF3, 0, &next, &size), -ENODEV);
    assert_int_equal(sim_bar_access(rig.sim, VF1, 0, 0, true, &value), 0);
    assert_int_equal(sim_bar_access(rig.sim, VF0, 0, 0, false, &value), 0);
    assert_int_equal(value, 0);
    simrig_update(&rig, PF, reg + PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_MSE, 0);
    assert_int_equal(sim_bar_access(rig.sim, VF1, 0, 0, false, &value), 0);
    assert_int_equal(value, ONES);
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 1);
    simrig_write(&rig, PF, reg + PCI_SRIOV_BAR, 4, ONES);
    assert_int_equal(simrig_read(&rig, PF, reg + PCI_SRIOV_BAR, 4), 0xffffc00c);
    simrig_stop(&rig);
}

static void test_vf_flr_is_its_own_and_pf_flr_ends_vfs(void **state)
{
    struct simrig rig;

    (void)state;
    build(&rig, 2);
    simrig_update(&rig, VF0, 0x40 + PCI_EXP_DEVCTL, 0, PCI_EXP_DEVCTL_BCR_FLR);
    assert_true(simrig_silent(&rig, VF0));
    assert_false(simrig_silent(&rig, VF1));
    simrig_wait(100 * MS);
    assert_int_equal(simrig_read(&rig, VF0, PCI_COMMAND, 2), 0);
    start_flr(&rig, PF);
    assert_false(sim_present(rig.sim, VF0));
    assert_false(sim_present(rig.sim, VF1));
    simrig_stop(&rig);
}

static int note(void *context, struct sbdf sbdf)
{
    char *text = context;
    size_t used = strlen(text);

    snprintf(text + used, 256 - used, "%02x:%02x ", sbdf.bus, sbdf.devfn);
    return sbdf_equal(sbdf, VF1) ? 42 : 0;
}

static void test_enumeration_sees_what_answers(void **state)
{
    char text[256] = "";
    struct simrig rig;

    (void)state;
    build(&rig, 0);
    assert_int_equal(sim_enumerate(rig.sim, note, text), 0);
    assert_string_equal(text, "00:08 00:10 01:00 02:00 02:01 ");
    enable_vfs(&rig, 2);
    simrig_wait(100 * MS);
    text[0] = 0;
    assert_int_equal(sim_enumerate(rig.sim, note, text), 42);
    assert_string_equal(text, "00:08 00:10 01:00 01:80 01:82 ");
    simrig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_function_is_claimed_once),
        cmocka_unit_test(test_a_stale_claim_touches_nothing_and_is_counted),
        cmocka_unit_test(test_flr_takes_its_time_and_clears),
        cmocka_unit_test(test_flr_spares_sticky_bits_and_the_link),
        cmocka_unit_test(test_without_the_capability_flr_does_nothing),
        cmocka_unit_test(test_af_flr),
        cmocka_unit_test(test_leaving_d3hot_resets_unless_it_says_no),
        cmocka_unit_test(test_unsupported_power_states_are_discarded),
        cmocka_unit_test(test_bus_reset_takes_everything_behind),
        cmocka_unit_test(test_bus_reset_reaches_nested_buses),
        cmocka_unit_test(test_host_reset),
        cmocka_unit_test(test_a_function_may_hang_in_reset),
        cmocka_unit_test(test_vfs_appear_and_disappear),
        cmocka_unit_test(test_the_number_of_vfs_is_fixed_while_they_are_on),
        cmocka_unit_test(test_captured_vfs_are_there_as_they_were),
        cmocka_unit_test(test_vf_bars_follow_each_other),
        cmocka_unit_test(test_vf_flr_is_its_own_and_pf_flr_ends_vfs),
        cmocka_unit_test(test_enumeration_sees_what_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
