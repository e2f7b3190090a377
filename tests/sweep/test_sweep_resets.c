/* SPDX-License-Identifier: MIT */
/* P2: resets by each method, recovery, virtual functions, flushes. */
#include <berth/isolation.h>

#include "tests/sweep/sweep.h"

static int reset(void)
{
    return rig_reset(&stage.rig, seam.subject);
}

static int recover(enum pcidev_trouble kind)
{
    const struct berth_request request = rig_request(&stage.rig);
    struct pcidev *dev = rig_dev(&stage.rig, seam.subject);
    int error = pcidev_recover(dev, kind, &request);

    rig_put(dev);
    return error;
}

static int recover_from_fatal(void)
{
    return recover(PCIDEV_TROUBLE_FATAL);
}

static int recover_from_dpc(void)
{
    return recover(PCIDEV_TROUBLE_DPC);
}

static int enable_vfs(void)
{
    return rig_sriov(&stage.rig, seam.subject, 2);
}

static int disable_vfs(void)
{
    return rig_sriov(&stage.rig, seam.subject, 0);
}

static int flush(void)
{
    const struct berth_request request = rig_request(&stage.rig);

    return berth_domain_flush(stage.guest, &request);
}

/* ---- how it begins ---- */

static void lend(void)
{
    stage_lend(seam.subject);
}

static void lend_both(void)
{
    const struct berth_request request = rig_request(&stage.rig);
    struct pcidev *dev = rig_dev(&stage.rig, seam.subject);

    assert_int_equal(pcidev_assign_group(dev, stage.guest, &request), 0);
    rig_put(dev);
}

static void fail_fatally(void)
{
    stage_drive();
    assert_int_equal(sim_error(stage.rig.sim, seam.subject, SIM_ERROR_FATAL), 0);
}

static void have_vfs(void)
{
    assert_int_equal(enable_vfs(), 0);
}

static void lend_vf(void)
{
    assert_int_equal(rig_sriov(&stage.rig, stage_dev, 2), 0);
    assert_int_equal(rig_add(&stage.rig, stage_vf(0)), 0);
    stage_lend(stage_vf(0));
}

/* ---- operations ---- */

static const struct sweep resets[] = {
    {"reset", RICH, NULL, reset, SWEEP_RESETS},
    {"reset a driven one", RICH, stage_drive, reset, SWEEP_RESETS},
    {"reset by AF", {SETTING_RESETS, .subject = {0, 0, 0x80}}, NULL, reset, SWEEP_RESETS},
    {"reset by PM", {SETTING_RESETS, .subject = {0, 2, 0}}, stage_drive, reset, SWEEP_RESETS},
    {"reset by the host", {SETTING_RESETS, .subject = {0, 3, 0}}, lend, reset, SWEEP_RESETS},
    {"reset by a PCI bus", {SETTING_LEGACY, ON_LEGACY}, lend, reset, SWEEP_RESETS},
    {"reset with a neighbour", {SETTING_TWINS, ON_DEV}, lend_both, reset, SWEEP_RESETS},
    {"reset a VF", {SETTING_PF, ON_VF}, lend_vf, reset, SWEEP_RESETS},
    {"reset with phantoms", {SETTING_PHANTOM, ON_DEV}, stage_drive, reset, SWEEP_RESETS},
};

static const struct sweep recoveries[] = {
    {"recover", RICH, fail_fatally, recover_from_fatal, SWEEP_RECOVERS},
    {"recover from DPC", RICH, stage_drive, recover_from_dpc, SWEEP_RECOVERS},
    {"recover by a bus reset",
     {SETTING_LEGACY, ON_LEGACY},
     lend,
     recover_from_fatal,
     SWEEP_RECOVERS},
    {"recover with a neighbour",
     {SETTING_TWINS, ON_DEV},
     lend_both,
     recover_from_fatal,
     SWEEP_RECOVERS},
    {"recover with phantoms",
     {SETTING_PHANTOM, ON_DEV},
     stage_drive,
     recover_from_fatal,
     SWEEP_RECOVERS},
};

static const struct sweep others[] = {
    {"enable VFs", {SETTING_PF, ON_DEV}, NULL, enable_vfs},
    {"disable VFs", {SETTING_PF, ON_DEV}, have_vfs, disable_vfs},
    {"flush ATS", RICH, stage_drive, flush, SWEEP_RECOVERS},
};

static void test_P2_resets(void **state)
{
    (void)state;
    SWEEP_ALL(resets);
}

static void test_P2_recovery(void **state)
{
    (void)state;
    SWEEP_ALL(recoveries);
}

static void test_P2_VFs_and_flushes(void **state)
{
    (void)state;
    SWEEP_ALL(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_resets),
        cmocka_unit_test(test_P2_recovery),
        cmocka_unit_test(test_P2_VFs_and_flushes),
    };

    return SWEEP_MAIN(tests);
}
