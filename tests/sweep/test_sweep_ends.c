/* SPDX-License-Identifier: MIT */
/* P2: guests and machines that begin and end. */
#include "tests/sweep/sweep.h"

/* Its deadline passes, or somebody keeps a device: the rest is done by another call (O5). */
static int destroy_guest(void)
{
    const struct berth_request request = rig_request(&stage.rig);

    return berth_domain_destroy(stage.guest, &request);
}

static int create_guest(void)
{
    struct berth_domain *domain;
    int error = berth_domain_create(stage.rig.machine, "vm2", NULL, NULL, &domain);

    if (error)
        return error;
    berth_domain_put(domain);
    return 0;
}

static int set_view(void)
{
    const struct berth_window windows[] = {{.start = 0x100000000, .length = 0x100000000}};
    const struct berth_view_config view = {
        .ops = &seam_view_ops, .windows = windows, .window_count = 1, .port_count = 3};
    struct berth_domain *domain = berth_domain_find(stage.rig.machine, "vm2");
    int error = berth_domain_set_view(domain, &view);

    berth_domain_put(domain);
    return error;
}

static void guest_without_view(void)
{
    assert_int_equal(create_guest(), 0);
}

static void lend_two(void)
{
    assert_int_equal(rig_assign(&stage.rig, stage_bystander, stage.guest), 0);
    stage_drive();
}

static void lend_vfs(void)
{
    assert_int_equal(rig_sriov(&stage.rig, stage_dev, 2), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_add(&stage.rig, stage_vf(i)), 0);
        assert_int_equal(rig_assign(&stage.rig, stage_vf(i), stage.guest), 0);
    }
}

#define ENDS (SWEEP_RESTARTS | SWEEP_RECOVERS)

static const struct sweep guests[] = {
    {"create a guest", RICH, NULL, create_guest, SWEEP_SILENT},
    {"set a view", RICH, guest_without_view, set_view, SWEEP_SILENT},
    {"destroy a guest", RICH, stage_drive, destroy_guest, ENDS},
    {"destroy a guest with two", RICH, lend_two, destroy_guest, ENDS},
    {"destroy a guest with VFs", {SETTING_PF, ON_DEV}, lend_vfs, destroy_guest, ENDS},
};

static const struct sweep machines[] = {
    {"create a machine", {SETTING_RICH, ON_DEV, .empty = true}, NULL, stage_create, SWEEP_SILENT},
};

/* What a machine leaves behind stays in memory for ever (C5): here it stays within reach, so that
 * the sanitizers tell it from what is lost. */
#define LEFT_MAX 1024
static struct pcidev *left_behind[LEFT_MAX];
static unsigned left_count;

static void remember_devices(void)
{
    struct pcidev *dev = NULL;
    struct sbdf at = {0};
    bool first = true;

    while ((dev = pcidev_next(stage.rig.machine, first ? NULL : &at, "remember"))) {
        assert_true(left_count < LEFT_MAX);
        left_behind[left_count++] = dev;
        at = pcidev_sbdf(dev);
        first = false;
        pcidev_put(dev, "remember");
    }
}

/*
 * The end of a machine can't be undone: what can't be removed is reported as a leak (C5). Returns
 * whether anything failed.
 */
static bool destroy_machine(const struct plan *plan)
{
    static const struct setup setup = RICH;
    unsigned left, before = left_count;
    bool happened;

    stage_up(&setup);
    lend_two();
    berth_domain_put(stage.guest);
    stage.guest = NULL;
    remember_devices();
    seam_plan(plan);
    left = berth_machine_destroy(stage.rig.machine);
    happened = seam_quiet();
    stage.rig.machine = NULL;
    assert_int_equal(left != 0, rig_count_events(&stage.rig, BERTH_EVENT_LEAK) != 0);
    if (left) {
        stage_abandon();
    } else {
        left_count = before;
        stage_down();
    }
    return happened;
}

static void test_P2_a_machine_ends(void **state)
{
    struct plan plan = {.mishap = MISHAP_FAIL};
    unsigned cases = 0;

    (void)state;
    for (unsigned call = 0; call < CALL_COUNT; call++) {
        plan.calls = CALL_BIT(call);
        for (plan.first = 1; destroy_machine(&plan); plan.first++)
            cases++;
    }
    print_message("  %-28s %6u cases\n", "destroy a machine", cases);
    assert_true(cases > 0);
    assert_int_equal(complaints(), 0);
}

static void test_P2_guests(void **state)
{
    (void)state;
    SWEEP_ALL(guests);
}

static void test_P2_machines(void **state)
{
    (void)state;
    SWEEP_ALL(machines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_P2_guests),
        cmocka_unit_test(test_P2_machines),
        cmocka_unit_test(test_P2_a_machine_ends),
    };

    return SWEEP_MAIN(tests);
}
