/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: errors of functions, and ports that contain them.
 */
#include "tests/unit/sim_help.h"

#include <berth/errno.h>
#include <linux/pci_regs.h>

#define ROOT at(0, 1, 0)
#define PORT at(2, 0, 0)
#define PF at(3, 0, 0)
#define VF at(3, 16, 0)
#define BESIDE at(4, 0, 0)
#define LONELY at(0, 9, 0)

struct told {
    struct sbdf sbdf;
    enum sim_error_kind kind;
    unsigned count;
};

static void tell(void *context, struct sbdf sbdf, enum sim_error_kind kind)
{
    struct told *t = context;

    *t = (struct told){sbdf, kind, t->count + 1};
}

/* A switch with a PF and its VF behind one port, which has DPC, and an endpoint behind another. */
static void build(struct simrig *rig, struct told *told)
{
    struct capture_function *f;

    mb_init(&rig->b);
    mb_root_port(&rig->b, ROOT, 1, 4);
    mb_upstream_port(&rig->b, at(1, 0, 0), 2, 4);
    f = mb_downstream_port(&rig->b, PORT, 3, 3);
    mb_ext_cap(f, PCI_EXT_CAP_ID_DPC, 1);
    mb_downstream_port(&rig->b, at(2, 1, 0), 4, 4);
    mb_vfs(&rig->b, mb_pf(&rig->b, PF, 4, 128, 1), 1);
    mb_endpoint(&rig->b, BESIDE);
    mb_rc_endpoint(&rig->b, LONELY);
    simrig_start(rig, NULL);
    *told = (struct told){.count = 0};
    sim_on_error(rig->sim, tell, told);
}

static uint32_t device_status(struct simrig *rig, struct sbdf sbdf)
{
    return simrig_read(rig, sbdf, simrig_cap(rig, sbdf, PCI_CAP_ID_EXP) + PCI_EXP_DEVSTA, 2) & 0xf;
}

static uint32_t aer(struct simrig *rig, struct sbdf sbdf, unsigned reg)
{
    return simrig_read(rig, sbdf, simrig_ext_cap(rig, sbdf, PCI_EXT_CAP_ID_ERR) + reg, 4);
}

static uint32_t bar(struct simrig *rig, struct sbdf sbdf)
{
    uint32_t value;

    assert_int_equal(sim_bar_access(rig->sim, sbdf, 0, 0, false, &value), 0);
    return value;
}

static void test_errors_leave_traces(void **state)
{
    struct simrig rig;
    struct told told;

    (void)state;
    build(&rig, &told);
    assert_int_equal(sim_error(rig.sim, PF, SIM_ERROR_CORRECTABLE), 0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.kind, SIM_ERROR_CORRECTABLE);
    assert_true(sbdf_equal(told.sbdf, PF));
    assert_int_equal(device_status(&rig, PF), PCI_EXP_DEVSTA_CED);
    assert_int_equal(aer(&rig, PF, PCI_ERR_COR_STATUS), PCI_ERR_COR_BAD_TLP);
    assert_int_equal(aer(&rig, PF, PCI_ERR_UNCOR_STATUS), 0);
    assert_int_equal(aer(&rig, ROOT, PCI_ERR_ROOT_STATUS), PCI_ERR_ROOT_COR_RCV);
    assert_int_equal(aer(&rig, ROOT, PCI_ERR_ROOT_ERR_SRC), 0x0300);
    assert_int_equal(sim_error(rig.sim, BESIDE, SIM_ERROR_CORRECTABLE), 0);
    assert_int_equal(aer(&rig, ROOT, PCI_ERR_ROOT_STATUS),
                     PCI_ERR_ROOT_COR_RCV | PCI_ERR_ROOT_MULTI_COR_RCV);
    assert_int_equal(sim_error(rig.sim, BESIDE, SIM_ERROR_NONFATAL), 0);
    assert_int_equal(device_status(&rig, BESIDE), PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED);
    assert_int_equal(aer(&rig, BESIDE, PCI_ERR_UNCOR_STATUS), PCI_ERR_UNC_COMP_TIME);
    assert_int_equal(aer(&rig, ROOT, PCI_ERR_ROOT_ERR_SRC), 0x04000300);
    assert_int_equal(bar(&rig, BESIDE), 0); /* it goes on working */
    simrig_write(&rig, BESIDE,
                 simrig_ext_cap(&rig, BESIDE, PCI_EXT_CAP_ID_ERR) + PCI_ERR_UNCOR_STATUS, 4, ONES);
    assert_int_equal(aer(&rig, BESIDE, PCI_ERR_UNCOR_STATUS), 0);
    simrig_stop(&rig);
}

static void test_a_fatal_error_silences_the_bars_until_a_reset(void **state)
{
    struct simrig rig;
    struct told told;

    (void)state;
    build(&rig, &told);
    assert_int_equal(sim_error(rig.sim, BESIDE, SIM_ERROR_FATAL), 0);
    assert_int_equal(bar(&rig, BESIDE), ONES);
    assert_int_equal(bar(&rig, PF), 0);
    assert_false(simrig_silent(&rig, BESIDE));
    assert_int_equal(device_status(&rig, BESIDE), PCI_EXP_DEVSTA_FED);
    assert_int_equal(simrig_counters(&rig).bar_decode_off, 0);
    simrig_write(&rig, BESIDE, simrig_cap(&rig, BESIDE, PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 2,
                 PCI_EXP_DEVCTL_BCR_FLR);
    simrig_wait(200 * MS);
    assert_int_equal(sim_vanish(rig.sim, BESIDE), 0); /* and back, for its BARs' addresses */
    assert_int_equal(sim_return(rig.sim, BESIDE), 0);
    simrig_update(&rig, BESIDE, PCI_COMMAND, 0, PCI_COMMAND_MEMORY);
    assert_int_equal(bar(&rig, BESIDE), 0);
    simrig_stop(&rig);
}

static uint32_t dpc_status(struct simrig *rig)
{
    return simrig_read(rig, PORT,
                       simrig_ext_cap(rig, PORT, PCI_EXT_CAP_ID_DPC) + PCI_EXP_DPC_STATUS, 4);
}

static void contained(struct simrig *rig)
{
    assert_int_equal(sim_error(rig->sim, PF, SIM_ERROR_DPC), 0);
    assert_true(simrig_silent(rig, PF));
    assert_false(simrig_silent(rig, BESIDE));
    assert_int_equal(bar(rig, PF), ONES);
    assert_int_equal(sim_error(rig->sim, PF, SIM_ERROR_FATAL), -ENODEV);
    simrig_wait(5000 * MS);
    assert_true(simrig_silent(rig, PF));
}

/* What comes back was reset. */
static void came_back(struct simrig *rig)
{
    assert_true(simrig_silent(rig, PF));
    simrig_wait(200 * MS);
    assert_false(simrig_silent(rig, PF));
    assert_int_equal(simrig_read(rig, PF, PCI_COMMAND, 2), 0);
    assert_false(sim_present(rig->sim, VF));
    assert_int_equal(aer(rig, PF, PCI_ERR_UNCOR_STATUS), PCI_ERR_UNC_MALF_TLP); /* sticky */
}

static void test_a_port_contains_until_it_is_told_to_let_go(void **state)
{
    struct simrig rig;
    struct told told;

    (void)state;
    build(&rig, &told);
    assert_int_equal(sim_dpc_release(rig.sim, PORT), -EINVAL);
    contained(&rig);
    assert_int_equal(told.kind, SIM_ERROR_DPC);
    assert_int_equal(dpc_status(&rig) & 0xffff000f, 0x0300000d);
    assert_int_equal(sim_dpc_release(rig.sim, PORT), 0);
    came_back(&rig);
    assert_int_equal(dpc_status(&rig) & PCI_EXP_DPC_STATUS_TRIGGER, 0);
    assert_int_equal(sim_dpc_release(rig.sim, PORT), -EINVAL);
    assert_int_equal(sim_error(rig.sim, LONELY, SIM_ERROR_DPC), -ENOTTY);
    assert_int_equal(sim_error(rig.sim, at(9, 0, 0), SIM_ERROR_DPC), -ENODEV);
    simrig_stop(&rig);
}

static void test_clearing_the_trigger_status_lets_go(void **state)
{
    struct simrig rig;
    struct told told;
    unsigned reg;

    (void)state;
    build(&rig, &told);
    reg = simrig_ext_cap(&rig, PORT, PCI_EXT_CAP_ID_DPC) + PCI_EXP_DPC_STATUS;
    contained(&rig);
    simrig_write(&rig, PORT, reg, 2, PCI_EXP_DPC_STATUS_INTERRUPT);
    simrig_wait(200 * MS);
    assert_true(simrig_silent(&rig, PF));
    simrig_write(&rig, PORT, reg, 2, PCI_EXP_DPC_STATUS_TRIGGER);
    came_back(&rig);
    simrig_stop(&rig);
}

static void test_a_bus_reset_lets_go(void **state)
{
    struct simrig rig;
    struct told told;

    (void)state;
    build(&rig, &told);
    contained(&rig);
    simrig_update(&rig, PORT, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
    simrig_wait(200 * MS);
    assert_true(simrig_silent(&rig, PF));
    simrig_update(&rig, PORT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 0);
    came_back(&rig);
    assert_int_equal(sim_dpc_release(rig.sim, PORT), -EINVAL);
    simrig_stop(&rig);
}

static void test_a_reset_above_the_port_ends_containment(void **state)
{
    struct simrig rig;
    struct told told;

    (void)state;
    build(&rig, &told);
    contained(&rig);
    simrig_update(&rig, ROOT, PCI_BRIDGE_CONTROL, 0, PCI_BRIDGE_CTL_BUS_RESET);
    simrig_update(&rig, ROOT, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 0);
    simrig_wait(200 * MS);
    assert_int_equal(sim_dpc_release(rig.sim, PORT), -EINVAL);
    simrig_stop(&rig);
}

static void test_what_is_put_back_is_not_held(void **state)
{
    struct simrig rig;
    struct told told;

    (void)state;
    build(&rig, &told);
    contained(&rig);
    assert_int_equal(sim_return(rig.sim, PF), 0);
    assert_false(simrig_silent(&rig, PF));
    simrig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_leave_traces),
        cmocka_unit_test(test_a_fatal_error_silences_the_bars_until_a_reset),
        cmocka_unit_test(test_a_port_contains_until_it_is_told_to_let_go),
        cmocka_unit_test(test_clearing_the_trigger_status_lets_go),
        cmocka_unit_test(test_a_bus_reset_lets_go),
        cmocka_unit_test(test_a_reset_above_the_port_ends_containment),
        cmocka_unit_test(test_what_is_put_back_is_not_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
