/* SPDX-License-Identifier: MIT */
/* Removal that waits for somebody: for the owner, for whoever is inside (R4, R5, K05). */
#include "tests/unit/guests.h"
#include "tests/unit/slow_reader.h"

#include <pthread.h>

#include <berth_port.h>

#define MS UINT64_C(1000000)
#define HOUR (UINT64_C(3600) * 1000 * MS)

static void lend(struct sbdf sbdf)
{
    assert_int_equal(rig_assign(&rig, sbdf, vm.domain), 0);
}

/* ---- R4 ---- */

static void *answer(void *context)
{
    struct rig_vm *guest = context;
    struct pcidev *dev;

    for (unsigned attempt = 0; !atomic_load(&guest->asked); attempt++)
        port_relax(attempt);
    dev = pcidev_find(guest->rig->machine, rig_nvme, "answer");
    assert_non_null(dev);
    assert_int_equal(pcidev_deassign(dev, guest->domain, NULL), 0);
    pcidev_put(dev, "answer");
    return NULL;
}

static void test_R4_an_owner_that_answers_is_waited_for(void **state)
{
    struct pcidev *dev;
    pthread_t thread;

    (void)state;
    lend(rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    assert_int_equal(pthread_create(&thread, NULL, answer, &vm), 0);
    assert_int_equal(rig_remove_within(&rig, dev, PCIDEV_REMOVE_GRACEFUL, HOUR), 0);
    pthread_join(thread, NULL);
    rig_put(dev);
    assert_int_equal(vm.asked, 1);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_RELEASE_REQUEST), 1);
    assert_false(rig_has(&rig, rig_nvme));
}

static void test_R4_an_owner_that_keeps_it_is_named_at_the_deadline(void **state)
{
    struct pcidev *dev;
    struct rig_state before;
    uint64_t begin;

    (void)state;
    lend(rig_nvme);
    before = rig_remember(&rig, rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    begin = port_now_ns();
    rig_expect_refused(&rig, rig_remove_within(&rig, dev, PCIDEV_REMOVE_GRACEFUL, 250 * MS), -EBUSY,
                       BERTH_REASON_OWNER_KEEPS);
    rig_put(dev);
    assert_true(port_now_ns() - begin >= 250 * MS);
    assert_int_equal(rig.why.number, 250);
    assert_string_equal(rig.why.domain, "vm1");
    assert_int_equal(vm.asked, 1);
    rig_expect_as_before(&rig, &before);
}

static void test_R4_force_follows_where_the_caller_chose_so(void **state)
{
    struct pcidev *dev;

    (void)state;
    lend(rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    assert_int_equal(rig_remove_within(&rig, dev, PCIDEV_REMOVE_GRACEFUL_FORCE, 50 * MS), 0);
    rig_put(dev);
    assert_int_equal(vm.asked, 1);
    assert_int_equal(vm.withdrawn, 1);
    assert_false(rig_has(&rig, rig_nvme));
}

static void test_R4_without_a_guest_nobody_is_asked(void **state)
{
    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_GRACEFUL), 0);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_RELEASE_REQUEST), 0);
}

/* ---- R5 ---- */

static void test_R5_a_drain_names_who_holds_on_and_changes_nothing(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct slow_reader reader;
    struct rig_state before;

    (void)state;
    lend(rig_nvme);
    before = rig_remember(&rig, rig_nvme);
    slow_reader_start(&reader, dev);
    rig_expect_refused(&rig, rig_remove_within(&rig, dev, PCIDEV_REMOVE_FORCE, 5 * MS), -ETIMEDOUT,
                       BERTH_REASON_SECTION_OPEN);
    assert_int_equal(rig.why.holder_count, 1);
    assert_string_equal(rig.why.holders[0].tag, SLOW_READER);
    rig_expect_as_before(&rig, &before);
    assert_int_equal(berth_domain_config_read(vm.domain, rig_seen(&rig, rig_nvme), 0, 2), 0x1b36);
    slow_reader_end(&reader);
    assert_int_equal(rig_remove_within(&rig, dev, PCIDEV_REMOVE_FORCE, 0), 0);
    rig_put(dev);
}

static void test_R5_the_callers_own_section_is_told_at_once(void **state)
{
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct pcidev_section section;

    (void)state;
    assert_true(pcidev_enter(dev, "careless", &section));
    rig_expect_refused(&rig, rig_remove_within(&rig, dev, PCIDEV_REMOVE_FORCE, HOUR), -EDEADLK,
                       BERTH_REASON_OWN_SECTION);
    pcidev_exit(&section);
    assert_int_equal(rig_remove_within(&rig, dev, PCIDEV_REMOVE_FORCE, 0), 0);
    rig_put(dev);
}

static void *deassign_slowly(void *context)
{
    struct rig_vm *guest = context;
    struct pcidev *dev = pcidev_find(guest->rig->machine, rig_nvme, "slow");

    assert_int_equal(pcidev_deassign(dev, guest->domain, NULL), 0);
    pcidev_put(dev, "slow");
    return NULL;
}

static void test_R5_another_transition_is_named(void **state)
{
    struct pcidev *dev;
    pthread_t thread;

    (void)state;
    lend(rig_nvme);
    dev = rig_dev(&rig, rig_nvme);
    atomic_store(&vm.block, true);
    assert_int_equal(pthread_create(&thread, NULL, deassign_slowly, &vm), 0);
    while (!atomic_load(&vm.blocking))
        port_relax(100);
    rig_expect_refused(&rig, rig_remove_within(&rig, dev, PCIDEV_REMOVE_FORCE, 5 * MS), -ETIMEDOUT,
                       BERTH_REASON_TRANSITION);
    assert_int_equal(rig.why.holder_count, 1);
    assert_string_equal(rig.why.holders[0].tag, "deassign");
    /* K05: one that is stuck does not keep the others */
    assert_int_equal(rig_remove(&rig, rig_nvme2, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_add(&rig, rig_nvme2), 0);
    atomic_store(&vm.block, false);
    pthread_join(thread, NULL);
    rig_expect_owner(&rig, rig_nvme, "quarantine");
    rig_put(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_one, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_R4_an_owner_that_answers_is_waited_for),
        TEST(test_R4_an_owner_that_keeps_it_is_named_at_the_deadline),
        TEST(test_R4_force_follows_where_the_caller_chose_so),
        TEST(test_R4_without_a_guest_nobody_is_asked),
        TEST(test_R5_a_drain_names_who_holds_on_and_changes_nothing),
        TEST(test_R5_the_callers_own_section_is_told_at_once),
        TEST(test_R5_another_transition_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
