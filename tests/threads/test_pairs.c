/* SPDX-License-Identifier: MIT */
/*
 * What hangs below something, against what it hangs on: VF and PF, a device and the bridge above
 * (F04, M05). Each announces itself and then looks for the other; one of the two has to see it.
 */
#include "tests/threads/team.h"
#include "tests/unit/guests.h"

static struct team team;
static const struct berth_request patient = {.timeout_ns = TEAM_PATIENCE_NS};

struct job {
    struct sbdf sbdf;
    enum pcidev_remove_mode mode;
    int error;
};

static void *add_in_rounds(void *context)
{
    struct job *job = context;

    for (;;) {
        team_meet(&team);
        if (!team_goes_on(&team))
            return NULL;
        job->error = pcidev_add(rig.machine, job->sbdf, NULL, &patient);
        team_meet(&team);
    }
}

static void *remove_in_rounds(void *context)
{
    struct job *job = context;

    for (;;) {
        struct pcidev *dev;

        team_meet(&team);
        if (!team_goes_on(&team))
            return NULL;
        dev = pcidev_find(rig.machine, job->sbdf, "round");
        job->error = dev ? pcidev_remove(dev, job->mode, &patient) : -ENODEV;
        pcidev_put(dev, "round");
        team_meet(&team);
    }
}

static void take_out(struct sbdf sbdf)
{
    if (rig_has(&rig, sbdf))
        assert_int_equal(rig_remove(&rig, sbdf, PCIDEV_REMOVE_DEFAULT), 0);
}

static void put_in(struct sbdf sbdf)
{
    if (!rig_has(&rig, sbdf))
        assert_int_equal(rig_add(&rig, sbdf), 0);
}

/* ---- VF and PF ---- */

static void test_F04_a_vf_comes_or_its_pf_goes(void **state)
{
    struct job add = {.sbdf = rig_vf(0)};
    struct job leave = {.sbdf = rig_pf, .mode = PCIDEV_REMOVE_DEFAULT};
    uint64_t end = team_real_ns() + 1000000000u;
    unsigned stayed = 0, left = 0;

    (void)state;
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), 0);
    team_begin_rounds(&team, 3);
    team_start(&team, add_in_rounds, &add);
    team_start(&team, remove_in_rounds, &leave);
    for (unsigned round = 0; round < 10 || team_real_ns() < end; round++) {
        team_meet(&team);
        team_meet(&team);
        assert_int_equal(!add.error + !leave.error, 1);
        assert_int_equal(rig_has(&rig, rig_vf(0)), !add.error);
        assert_int_equal(rig_has(&rig, rig_pf), !!leave.error);
        assert_int_equal(leave.error ? leave.error : add.error, leave.error ? -EBUSY : -ENODEV);
        *(leave.error ? &stayed : &left) += 1;
        take_out(rig_vf(0));
        put_in(rig_pf);
    }
    team_dismiss(&team);
    print_message("  the VF came %u times, the PF went %u times\n", stayed, left);
}

static void test_F04_force_leaves_no_vf_without_its_pf(void **state)
{
    struct job add = {.sbdf = rig_vf(0)};
    struct job leave = {.sbdf = rig_pf, .mode = PCIDEV_REMOVE_FORCE};
    uint64_t end = team_real_ns() + 800000000u;

    (void)state;
    assert_int_equal(rig_sriov(&rig, rig_pf, 2), 0);
    team_begin_rounds(&team, 3);
    team_start(&team, add_in_rounds, &add);
    team_start(&team, remove_in_rounds, &leave);
    for (unsigned round = 0; round < 10 || team_real_ns() < end; round++) {
        team_meet(&team);
        team_meet(&team);
        assert_true(rig_has(&rig, rig_pf) || !rig_has(&rig, rig_vf(0)));
        assert_true(!leave.error || leave.error == -EBUSY);
        take_out(rig_vf(0));
        put_in(rig_pf);
    }
    team_dismiss(&team);
}

/* ---- a device and its bridge ---- */

/* The position in the trace of an event of this round, or -1. */
static int event_of(struct sbdf sbdf, enum berth_event_kind kind, const char *step)
{
    for (int i = 0; (i = rig_find_event(&rig, i, kind, step)) >= 0; i++)
        if (sbdf_equal(rig.events[i].device, sbdf))
            return i;
    return -1;
}

/*
 * A device may be added once its bridge is gone, and is not behind it then. But not between the
 * bridge's look behind itself and its end, and the bridge may not overlook one that was there.
 */
static void check_round(const struct job *add, const struct job *leave)
{
    int closed = event_of(leave->sbdf, BERTH_EVENT_DO, "close below");
    int began = event_of(leave->sbdf, BERTH_EVENT_BEGIN, NULL);
    int blocked = event_of(leave->sbdf, BERTH_EVENT_DO, "block contexts");
    int published = event_of(add->sbdf, BERTH_EVENT_DO, "publish");
    int ended = event_of(add->sbdf, BERTH_EVENT_END, NULL);

    if (add->error || leave->error)
        return;
    assert_true(began >= 0 && closed > began && blocked > closed && published >= 0);
    assert_false(published < began); /* it was there */
    assert_false(published > closed && ended < blocked);
}

static void rounds_with_bridge(struct job *add, struct job *leave)
{
    uint64_t end = team_real_ns() + 1000000000u;
    unsigned came = 0, left = 0;

    take_out(add->sbdf);
    team_begin_rounds(&team, 3);
    team_start(&team, add_in_rounds, add);
    team_start(&team, remove_in_rounds, leave);
    for (unsigned round = 0; round < 10 || team_real_ns() < end; round++) {
        atomic_store(&rig.event_count, 0);
        team_meet(&team);
        team_meet(&team);
        check_round(add, leave);
        assert_true(!add->error || add->error == -EBUSY);
        assert_true(!leave->error || leave->error == -EBUSY);
        assert_int_equal(rig_has(&rig, add->sbdf), !add->error);
        came += !add->error;
        left += !leave->error;
        take_out(add->sbdf);
        put_in(leave->sbdf);
    }
    team_dismiss(&team);
    print_message("  the device came %u times, the bridge went %u times\n", came, left);
}

static void test_M05_a_device_comes_or_its_bridge_goes(void **state)
{
    struct job add = {.sbdf = rig_nvme};
    struct job leave = {.sbdf = rig_port, .mode = PCIDEV_REMOVE_DEFAULT};

    (void)state;
    rounds_with_bridge(&add, &leave);
}

static void test_M05_aliases_are_those_of_a_bridge_that_is_there(void **state)
{
    struct job add = {.sbdf = rig_legacy2};
    struct job leave = {.sbdf = rig_pci_bridge, .mode = PCIDEV_REMOVE_DEFAULT};
    struct sim_counters before, after;

    (void)state;
    take_out(rig_legacy);
    take_out(rig_legacy2);
    sim_counters(rig.sim, &before);
    rounds_with_bridge(&add, &leave);
    sim_counters(rig.sim, &after);
    assert_int_equal(after.contexts, before.contexts);
}

/* ---- two neighbours reset their common bus ---- */

struct resetter {
    struct sbdf sbdf;
    unsigned done;
};

static void *reset_in_a_loop(void *context)
{
    struct resetter *resetter = context;

    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, resetter->sbdf, "reset");
        int error = pcidev_reset(dev, &patient);

        assert_true(!error || error == -ETIMEDOUT || error == -EBUSY);
        resetter->done += !error;
        pcidev_put(dev, "reset");
    }
    return NULL;
}

static void test_M09_neighbours_that_reset_one_bus_do_not_lock_up(void **state)
{
    /* conventional functions: the bus reset is all they have */
    struct resetter resetters[2] = {{rig_legacy, 0}, {rig_legacy2, 0}};

    (void)state;
    team_begin(&team);
    team_start(&team, reset_in_a_loop, &resetters[0]);
    team_start(&team, reset_in_a_loop, &resetters[1]);
    team_run(&team, 800);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(resetters[i].done > 0);
        assert_false(rig_info(&rig, resetters[i].sbdf).broken);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_none, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F04_a_vf_comes_or_its_pf_goes),
        TEST(test_F04_force_leaves_no_vf_without_its_pf),
        TEST(test_M05_a_device_comes_or_its_bridge_goes),
        TEST(test_M05_aliases_are_those_of_a_bridge_that_is_there),
        TEST(test_M09_neighbours_that_reset_one_bus_do_not_lock_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
