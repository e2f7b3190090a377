/* SPDX-License-Identifier: MIT */
/* The end of a guest (O5, M27, F40, F46, X25, X32). */
#include "tests/unit/guests.h"
#include "tests/unit/slow_reader.h"

#include <pthread.h>

#include <berth_port.h>

#define MS UINT64_C(1000000)

static const struct sbdf *const lent[] = {&rig_nvme, &rig_phantom, &rig_nvme2, &rig_pf};
#define LENT (sizeof(lent) / sizeof(lent[0]))

static int setup(void **state)
{
    (void)state;
    guests_start(NULL, 1);
    for (unsigned i = 0; i < LENT; i++)
        assert_int_equal(rig_assign(&rig, *lent[i], vm.domain), 0);
    return 0;
}

static uint64_t spaces(void)
{
    struct sim_counters counters;

    sim_counters(rig.sim, &counters);
    assert_int_equal(counters.spaces_freed_in_use, 0);
    return counters.spaces;
}

static void expect_dead(void)
{
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DEAD);
    assert_int_equal(berth_domain_device_count(vm.domain), 0);
    assert_null(berth_domain_space(vm.domain));
    assert_null(berth_domain_find(rig.machine, "vm1"));
    for (unsigned i = 0; i < LENT; i++)
        rig_expect_owner(&rig, *lent[i], "quarantine");
}

static void test_O5_every_device_goes_to_quarantine(void **state)
{
    struct berth_domain *again;

    (void)state;
    assert_int_equal(rig_reach(vm.domain), LENT);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    expect_dead();
    assert_int_equal(vm.withdrawn, LENT);
    assert_int_equal(rig_reach(vm.domain), 0);
    assert_string_equal(berth_domain_name(vm.domain), "vm1"); /* it is referenced */
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    again = rig_guest(&rig, "vm1"); /* and the name is free */
    rig_destroy_guest(&rig, again);
}

static void test_F40_one_that_fails_does_not_keep_the_others(void **state)
{
    const uint64_t before = spaces();

    (void)state;
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 0, 0); /* of the first one, in the order of addresses */
    rig_expect_refused(&rig, rig_destroy_within(&rig, vm.domain, 0), -EBUSY,
                       BERTH_REASON_IOMMU_FAILED);
    assert_true(sbdf_equal(rig.why.device, rig_pf));
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_ZOMBIE);
    assert_int_equal(berth_domain_device_count(vm.domain), 1);
    rig_expect_owner(&rig, rig_pf, "vm1");
    rig_expect_owner(&rig, rig_nvme2, "quarantine");
    assert_int_equal(spaces(), before + LENT - 1); /* the guest's own is still there */
    assert_non_null(berth_domain_space(vm.domain));
    /* a zombie gains nothing */
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme, vm.domain), -EBUSY, BERTH_REASON_TEARDOWN);
    /* M27: and another call goes on where this one ended */
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    expect_dead();
    assert_int_equal(spaces(), before + LENT - 1);
}

static void test_F40_a_view_that_cannot_be_withdrawn_makes_a_zombie(void **state)
{
    (void)state;
    atomic_store(&vm.withdraw_error, -EIO);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), -EBUSY);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_ZOMBIE);
    assert_int_equal(vm.withdrawn, LENT); /* each was tried */
    assert_int_equal(berth_domain_device_count(vm.domain), LENT);
    atomic_store(&vm.withdraw_error, 0);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    expect_dead();
}

static void test_M27_a_deadline_in_the_middle_says_go_on(void **state)
{
    unsigned calls = 0, left = LENT;
    int error;

    (void)state; /* each reset takes 100 ms of the warped clock */
    while ((error = rig_destroy_within(&rig, vm.domain, 60 * MS)) == -EAGAIN) {
        assert_int_equal(rig.why.reason, BERTH_REASON_UNFINISHED);
        assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DYING);
        assert_true(berth_domain_device_count(vm.domain) < left);
        left = berth_domain_device_count(vm.domain);
        assert_true(++calls <= LENT);
    }
    assert_int_equal(error, 0);
    assert_true(calls >= 2);
    expect_dead();
}

/* ---- somebody is at it ---- */

static void test_R5_who_holds_a_device_is_named(void **state)
{
    struct slow_reader reader;

    (void)state;
    slow_reader_start(&reader, rig_dev(&rig, rig_nvme2));
    rig_expect_refused(&rig, rig_destroy_within(&rig, vm.domain, 2000 * MS), -EAGAIN,
                       BERTH_REASON_SECTION_OPEN);
    assert_string_equal(rig.why.holders[0].tag, SLOW_READER);
    assert_true(sbdf_equal(rig.why.device, rig_nvme2));
    assert_int_equal(berth_domain_device_count(vm.domain), 1);
    slow_reader_end(&reader);
    rig_put(reader.dev);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    expect_dead();
}

static void *deassign_slowly(void *context)
{
    struct pcidev *dev = pcidev_find(rig.machine, rig_nvme, "slow");

    (void)context;
    assert_int_equal(pcidev_deassign(dev, vm.domain, NULL), 0);
    pcidev_put(dev, "slow");
    return NULL;
}

static void test_O5_a_device_on_its_way_out_is_waited_for(void **state)
{
    pthread_t thread;

    (void)state;
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, deassign_slowly, NULL), 0);
    while (!atomic_load(&vm.blocking))
        port_relax(100);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 5 * MS), -EAGAIN);
    assert_non_null(berth_domain_space(vm.domain)); /* it may have to come back */
    atomic_store(&vm.block, false);
    pthread_join(thread, NULL);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    expect_dead();
}

static _Atomic bool hold_up, held_up;

static void stop_once(void *context)
{
    (void)context;
    if (!atomic_load(&hold_up))
        return;
    atomic_store(&held_up, true);
    for (unsigned attempt = 0; atomic_load(&hold_up); attempt++)
        port_relax(attempt);
}

static void *assign_slowly(void *context)
{
    struct pcidev *dev = pcidev_find(rig.machine, rig_nvme, "slow");

    (void)context;
    assert_int_equal(pcidev_assign(dev, vm.domain, NULL), 0);
    pcidev_put(dev, "slow");
    return NULL;
}

static void test_O5_a_device_on_its_way_in_is_waited_for(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(rig_deassign(&rig, rig_nvme, vm.domain), 0);
    assert_int_equal(rig_deassign(&rig, rig_nvme2, vm.domain), 0);
    atomic_store(&hold_up, true);
    atomic_store(&held_up, false);
    rig.tape.hook = stop_once;
    assert_int_equal(pthread_create(&thread, NULL, assign_slowly, NULL), 0);
    while (!atomic_load(&held_up))
        port_relax(100);
    rig_expect_refused(&rig, rig_destroy_within(&rig, vm.domain, 5 * MS), -EAGAIN,
                       BERTH_REASON_UNFINISHED);
    rig_expect_refused(&rig, rig_assign(&rig, rig_nvme2, vm.domain), -EBUSY, BERTH_REASON_TEARDOWN);
    atomic_store(&hold_up, false);
    pthread_join(thread, NULL);
    rig.tape.hook = NULL;
    rig_expect_owner(&rig, rig_nvme, "vm1"); /* it had a foot in the door */
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    expect_dead();
}

/* ---- the rest ---- */

static void test_A4_a_guest_with_dead_devices_ends(void **state)
{
    (void)state;
    rig_pull(&rig, rig_nvme);
    assert_int_equal(sim_vanish(rig.sim, rig_nvme2), 0); /* and nobody was told of this one */
    (void)!rig_destroy_within(&rig, vm.domain, 0);
    assert_int_equal(rig_destroy_within(&rig, vm.domain, 0), 0);
    assert_int_equal(berth_domain_state(vm.domain), BERTH_DOMAIN_DEAD);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    rig_expect_owner(&rig, rig_nvme2, "quarantine");
}

static void test_F50_only_guests_are_destroyed(void **state)
{
    const struct berth_request request = rig_request(&rig);
    struct berth_domain *builtin[] = {berth_machine_hwdom(rig.machine),
                                      berth_machine_quarantine(rig.machine),
                                      berth_machine_hidden(rig.machine)};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        rig_expect_refused(&rig, berth_domain_destroy(builtin[i], &request), -EINVAL,
                           BERTH_REASON_NOT_A_GUEST);
        assert_int_equal(berth_domain_state(builtin[i]), BERTH_DOMAIN_LIVE);
    }
}

static void test_X25_guests_without_devices_leave_nothing(void **state)
{
    const uint64_t before = spaces();

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        rig_destroy_guest(&rig, rig_guest(&rig, "short"));
    assert_int_equal(spaces(), before);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_O5_every_device_goes_to_quarantine),
        TEST(test_F40_one_that_fails_does_not_keep_the_others),
        TEST(test_F40_a_view_that_cannot_be_withdrawn_makes_a_zombie),
        TEST(test_M27_a_deadline_in_the_middle_says_go_on),
        TEST(test_R5_who_holds_a_device_is_named),
        TEST(test_O5_a_device_on_its_way_out_is_waited_for),
        TEST(test_O5_a_device_on_its_way_in_is_waited_for),
        TEST(test_A4_a_guest_with_dead_devices_ends),
        TEST(test_F50_only_guests_are_destroyed),
        TEST(test_X25_guests_without_devices_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
