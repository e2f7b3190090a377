/* SPDX-License-Identifier: MIT */
/* P2: devices that come and go. */
#include "tests/sweep/sweep.h"

static int add(void)
{
    return rig_add(&stage.rig, seam.subject);
}

static int readd(void)
{
    const struct pcidev_add_info info = {.numa_node = 1};

    return rig_readd(&stage.rig, seam.subject, &info);
}

static int take_out(enum pcidev_remove_mode mode)
{
    return rig_remove(&stage.rig, seam.subject, mode);
}

static int remove_default(void)
{
    return take_out(PCIDEV_REMOVE_DEFAULT);
}

static int remove_strict(void)
{
    return take_out(PCIDEV_REMOVE_STRICT);
}

static int remove_force(void)
{
    return take_out(PCIDEV_REMOVE_FORCE);
}

static void let_go(void)
{
    (void)rig_deassign(&stage.rig, seam.subject, stage.guest);
}

/* The owner answers while it is waited for. */
static int remove_graceful(void)
{
    seam.later = let_go;
    return take_out(PCIDEV_REMOVE_GRACEFUL);
}

static int remove_impatient(void)
{
    return take_out(PCIDEV_REMOVE_GRACEFUL_FORCE);
}

/* ---- how it begins ---- */

static void be_out(void)
{
    assert_int_equal(remove_force(), 0);
}

static void make_vfs(void)
{
    assert_int_equal(rig_sriov(&stage.rig, stage_dev, 2), 0);
}

static void add_vfs(void)
{
    make_vfs();
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(rig_add(&stage.rig, stage_vf(i)), 0);
}

static void lend_vf(void)
{
    add_vfs();
    stage_lend(stage_vf(0));
}

static void lend(void)
{
    stage_lend(seam.subject);
}

static void lend_behind(void)
{
    stage_lend(stage_legacy);
}

static void be_quarantined(void)
{
    rig_quarantine(&stage.rig, seam.subject);
}

/* Its power is gone for a moment, and nobody has looked since. */
static void lose_power(void)
{
    rig_pull(&stage.rig, seam.subject);
    assert_int_equal(sim_return(stage.rig.sim, seam.subject), 0);
}

/* A guest has nothing any more of a device that could not be found again. */
static void lose_power_lent(void)
{
    stage_drive();
    rig_pull(&stage.rig, seam.subject);
    assert_int_equal(readd(), -ENODEV);
    assert_int_equal(sim_return(stage.rig.sim, seam.subject), 0);
}

/* ---- operations ---- */

static const struct sweep adds[] = {
    {"add", RICH, be_out, add},
    {"add a hidden one", {SETTING_RICH, ON_DEV, .hidden = true}, be_out, add},
    {"add a PF", {SETTING_PF, ON_DEV}, be_out, add},
    {"add a VF", {SETTING_PF, ON_VF}, make_vfs, add},
    {"add with phantoms", {SETTING_PHANTOM, ON_DEV}, be_out, add},
    {"add a bridge", {SETTING_LEGACY, ON_PORT}, be_out, add},
    {"add a PCI bridge", {SETTING_LEGACY, ON_DEV}, be_out, add},
    {"add behind a bridge", {SETTING_LEGACY, ON_LEGACY}, be_out, add},
};

static const struct sweep readds[] = {
    {"readd", RICH, NULL, readd},
    {"readd a driven one", RICH, stage_drive, readd},
    {"readd after a power loss", RICH, lose_power, readd},
    {"readd one that a guest has", RICH, lose_power_lent, readd, SWEEP_FORGETS},
    {"readd a PF", {SETTING_PF, ON_DEV}, add_vfs, readd},
};

static const struct sweep removals[] = {
    {"remove", RICH, NULL, remove_default},
    {"remove strictly", RICH, NULL, remove_strict},
    {"remove from quarantine",
     {SETTING_RICH, ON_DEV, .quarantine = BERTH_QUARANTINE_SCRATCH},
     be_quarantined,
     remove_default},
    {"remove a VF", {SETTING_PF, ON_VF}, add_vfs, remove_default},
    {"remove with phantoms", {SETTING_PHANTOM, ON_DEV}, NULL, remove_strict},
    {"remove behind a bridge", {SETTING_LEGACY, ON_LEGACY}, NULL, remove_default},
};

static const struct sweep forced[] = {
    {"force a lent one out", RICH, lend, remove_force},
    {"force a driven one out", BEHIND_PORT, stage_drive, remove_force},
    {"force a PF with VFs out", {SETTING_PF, ON_DEV}, lend_vf, remove_force, SWEEP_PARTLY},
    {"force a bridge out", {SETTING_LEGACY, ON_PORT}, lend_behind, remove_force, SWEEP_PARTLY},
    {"remove gracefully", RICH, stage_drive, remove_graceful, SWEEP_PARTLY},
    {"remove when time is up", RICH, stage_drive, remove_impatient},
};

static void test_P2_adding(void **state)
{
    (void)state;
    SWEEP_ALL(adds);
}

static void test_P2_adding_again(void **state)
{
    (void)state;
    SWEEP_ALL(readds);
}

static void test_P2_removing(void **state)
{
    (void)state;
    SWEEP_ALL(removals);
}

static void test_P2_removing_by_force(void **state)
{
    (void)state;
    SWEEP_ALL(forced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_adding),
        cmocka_unit_test(test_P2_adding_again),
        cmocka_unit_test(test_P2_removing),
        cmocka_unit_test(test_P2_removing_by_force),
    };

    return SWEEP_MAIN(tests);
}
