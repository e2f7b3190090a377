/* SPDX-License-Identifier: MIT */
/* P2: devices that change hands. */
#include <berth/isolation.h>

#include "tests/sweep/sweep.h"

static int assign(void)
{
    return rig_assign(&stage.rig, seam.subject, stage.guest);
}

static int assign_at(void)
{
    return rig_assign_at(&stage.rig, seam.subject, stage.guest, at(0, 7, 0));
}

static int assign_group(void)
{
    const struct berth_request request = rig_request(&stage.rig);
    struct pcidev *dev = rig_dev(&stage.rig, seam.subject);
    int error = pcidev_assign_group(dev, stage.guest, &request);

    rig_put(dev);
    return error;
}

static int deassign(void)
{
    return rig_deassign(&stage.rig, seam.subject, stage.guest);
}

static int quarantine(void)
{
    return rig_assign(&stage.rig, seam.subject, berth_machine_quarantine(stage.rig.machine));
}

static int release(void)
{
    return rig_assign(&stage.rig, seam.subject, berth_machine_hwdom(stage.rig.machine));
}

static void lend(void)
{
    stage_lend(seam.subject);
}

static void lend_group(void)
{
    assert_int_equal(assign_group(), 0);
}

static void be_quarantined(void)
{
    assert_int_equal(quarantine(), 0);
}

static void be_taken_back(void)
{
    stage_drive();
    assert_int_equal(deassign(), 0);
}

#define SCRATCH .quarantine = BERTH_QUARANTINE_SCRATCH

static const struct sweep lendings[] = {
    {"assign", {SETTING_RICH, ON_DEV, SCRATCH}, NULL, assign, SWEEP_RESETS},
    {"assign at an address", BEHIND_PORT, NULL, assign_at, SWEEP_RESETS},
    {"assign from quarantine", RICH, be_quarantined, assign, SWEEP_RESETS},
    {"assign after another guest",
     {SETTING_RICH, ON_DEV, SCRATCH},
     be_taken_back,
     assign,
     SWEEP_RESETS},
    {"assign behind a bridge", {SETTING_LEGACY, ON_LEGACY}, NULL, assign, SWEEP_RESETS},
    {"assign with phantoms", {SETTING_PHANTOM, ON_DEV}, NULL, assign, SWEEP_RESETS},
    {"assign a group", {SETTING_TWINS, ON_DEV}, NULL, assign_group, SWEEP_RESETS},
};

static const struct sweep returns[] = {
    {"deassign", {SETTING_RICH, ON_DEV, SCRATCH}, lend, deassign, SWEEP_RESETS},
    {"deassign a driven one", RICH, stage_drive, deassign, SWEEP_RESETS},
    {"deassign to the host",
     {SETTING_RICH, ON_DEV, .quarantine = BERTH_QUARANTINE_OFF},
     stage_drive,
     deassign,
     SWEEP_RESETS},
    {"deassign behind a bridge", {SETTING_LEGACY, ON_LEGACY}, lend, deassign, SWEEP_RESETS},
    {"deassign with phantoms", {SETTING_PHANTOM, ON_DEV, SCRATCH}, lend, deassign, SWEEP_RESETS},
    {"deassign one of a group", {SETTING_TWINS, ON_DEV}, lend_group, deassign, SWEEP_RESETS},
    {"quarantine", {SETTING_RICH, ON_DEV, SCRATCH}, NULL, quarantine, SWEEP_RESETS},
    {"release", {SETTING_RICH, ON_DEV, SCRATCH}, be_taken_back, release, SWEEP_RESETS},
};

static void test_P2_lending(void **state)
{
    (void)state;
    SWEEP_ALL(lendings);
}

static void test_P2_taking_back(void **state)
{
    (void)state;
    SWEEP_ALL(returns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_lending),
        cmocka_unit_test(test_P2_taking_back),
    };

    return SWEEP_MAIN(tests);
}
