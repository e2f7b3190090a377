/* SPDX-License-Identifier: MIT */
/* Machines and domains: made, used side by side, shut down, destroyed (C5, M11, M20, F32, P2). */
#include "tests/unit/guests.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <berth_port.h>

#include "src/core/machine_priv.h"

#define CAP_MSIX 0x11

/* ---- configuration ---- */

static int try_config(const struct berth_machine_config *config)
{
    struct berth_machine *machine = NULL;
    int error = berth_machine_create(config, &machine);

    assert_int_equal(!error, machine != NULL);
    assert_int_equal(berth_machine_destroy(machine), 0);
    return error;
}

static void test_each_field_of_a_configuration_is_checked(void **state)
{
    static const struct sbdf list[] = {{0, 0, 0}};
    static const struct berth_phantom_override bad[] = {{{0, 0, 0}, 2}, {{0, 1, 0}, 3}};
    static const struct berth_phantom_override good[] = {{{0, 0, 0}, 1}, {{0, 1, 0}, 4}};
    struct berth_host_ops broken = sim_host_ops;
    struct berth_machine_config config = {.host = &sim_host_ops, .host_context = rig.sim};

    (void)state;
    assert_int_equal(try_config(&config), 0);
    config.host = NULL;
    assert_int_equal(try_config(&config), -EINVAL);
    config.host = &broken;
    broken.claim = NULL;
    assert_int_equal(try_config(&config), -EINVAL);
    broken = sim_host_ops;
    broken.release = NULL;
    assert_int_equal(try_config(&config), -EINVAL);
    broken = sim_host_ops;
    broken.config_read = NULL;
    assert_int_equal(try_config(&config), -EINVAL);
    broken = sim_host_ops;
    broken.config_write = NULL;
    assert_int_equal(try_config(&config), -EINVAL);
    broken = sim_host_ops;
    broken.reset = NULL;
    broken.reserved = NULL;
    broken.describe = NULL;
    assert_int_equal(try_config(&config), 0);
    config.hidden_count = 1;
    assert_int_equal(try_config(&config), -EINVAL);
    config.hidden = list;
    config.read_only_count = 1;
    assert_int_equal(try_config(&config), -EINVAL);
    config.read_only = list;
    config.phantom_count = 2;
    assert_int_equal(try_config(&config), -EINVAL);
    config.phantoms = bad;
    assert_int_equal(try_config(&config), -EINVAL);
    config.phantoms = good;
    assert_int_equal(try_config(&config), 0);
}

static void test_lists_are_copied(void **state)
{
    struct sbdf hidden[] = {rig_nvme};
    struct berth_machine_config config = {
        .host = &sim_host_ops, .host_context = rig.sim, .hidden = hidden, .hidden_count = 1};
    struct berth_machine *machine;
    struct pcidev_info info;
    struct pcidev *dev;

    (void)state;
    assert_int_equal(rig_remove(&rig, rig_nvme, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(berth_machine_create(&config, &machine), 0);
    hidden[0] = rig_nvme2;
    assert_int_equal(pcidev_add(machine, rig_nvme, NULL, NULL), 0);
    dev = pcidev_find(machine, rig_nvme, "look");
    pcidev_snapshot(dev, &info);
    assert_true(info.hidden);
    pcidev_put(dev, "look");
    assert_int_equal(berth_machine_destroy(machine), 0);
}

static void test_defaults_are_told(void **state)
{
    const struct berth_policy policy = berth_machine_policy(rig.machine);

    (void)state;
    assert_int_equal(policy.deadline_ns, 2000000000u);
    assert_int_equal(policy.reset_wait_ns, 1000000000u);
    assert_int_equal(policy.quarantine, BERTH_QUARANTINE_BLOCK);
    assert_false(policy.reserved_relaxed);
}

/* ---- several ---- */

static void test_two_machines_side_by_side_share_nothing(void **state)
{
    struct rig other;
    struct berth_domain *guest, *other_guest;

    (void)state;
    rig_begin(&other);
    rig_standard(&other);
    rig_up(&other, NULL);
    guest = rig_guest(&rig, "vm1");
    other_guest = rig_guest(&other, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    rig_expect_owner(&other, rig_nvme, "hwdom");
    assert_int_equal(rig_remove(&other, rig_nvme, PCIDEV_REMOVE_FORCE), 0);
    assert_true(rig_has(&rig, rig_nvme));
    assert_int_equal(berth_machine_count(rig.machine), berth_machine_count(other.machine) + 1);
    assert_int_equal(berth_domain_config_read(other_guest, rig_seen(&rig, rig_nvme), 0, 4),
                     UINT32_MAX);
    assert_int_equal(rig_reach(guest), 1);
    assert_int_equal(rig_reach(other_guest), 0);
    rig_destroy_guest(&other, other_guest);
    rig_down(&other);
    rig_expect_owner(&rig, rig_nvme, "vm1");
    rig_destroy_guest(&rig, guest);
}

/* ---- domains ---- */

static void test_domains_have_names(void **state)
{
    static const char *const bad[] = {"",         "a b", "a/b",
                                      "\xc3\xa4", "a\n", "12345678901234567890123456789012"};
    struct berth_domain *domain, *found;

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(berth_domain_create(rig.machine, bad[i], NULL, NULL, &domain), -EINVAL);
    assert_int_equal(berth_domain_create(rig.machine, NULL, NULL, NULL, &domain), -EINVAL);
    assert_int_equal(berth_domain_create(rig.machine, "hwdom", NULL, NULL, &domain), -EEXIST);
    domain = rig_guest(&rig, "1234567890123456789012345678901");
    found = berth_domain_find(rig.machine, "1234567890123456789012345678901");
    assert_ptr_equal(found, domain);
    berth_domain_put(found);
    assert_int_equal(
        berth_domain_create(rig.machine, "1234567890123456789012345678901", NULL, NULL, &found),
        -EEXIST);
    assert_null(berth_domain_find(rig.machine, "nobody"));
    rig_destroy_guest(&rig, domain);
    berth_domain_put(NULL);
}

static void test_domains_are_walked_in_the_order_of_their_ids(void **state)
{
    struct berth_domain *guests[5], *domain = NULL, *next;
    unsigned seen = 0;
    char name[8];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "vm%u", i);
        guests[i] = rig_guest(&rig, name);
    }
    while ((next = berth_domain_next(rig.machine, domain))) {
        assert_true(!domain || berth_domain_id(next) > berth_domain_id(domain));
        berth_domain_put(domain);
        domain = next;
        seen++;
    }
    berth_domain_put(domain);
    assert_int_equal(seen, 5 + 3);
    for (unsigned i = 0; i < 5; i++)
        rig_destroy_guest(&rig, guests[i]);
}

static void test_ids_are_used_again_and_never_twice(void **state)
{
    struct berth_domain *keep = rig_guest(&rig, "keep");

    (void)state; /* F44: more than there are, so that they come round */
    for (unsigned i = 0; i < DOMAIN_ID_GUEST_LAST + 10; i++) {
        struct berth_domain *domain = rig_guest(&rig, "short");

        assert_int_not_equal(berth_domain_id(domain), berth_domain_id(keep));
        assert_in_range(berth_domain_id(domain), DOMAIN_ID_GUEST_FIRST, DOMAIN_ID_GUEST_LAST);
        rig_destroy_guest(&rig, domain);
        atomic_store(&rig.event_count, 0);
    }
    rig_destroy_guest(&rig, keep);
}

/* ---- C5: what is left ---- */

static bool reported(const char *tag, unsigned count)
{
    int i = rig_find_event(&rig, 0, BERTH_EVENT_LEAK, tag);

    return i >= 0 && rig.events[i].result == (int)count;
}

static void test_C5_what_is_left_is_reported_by_tag_and_survives(void **state)
{
    struct pcidev *dev, *handle;
    struct pcidev_section section;

    guests_setup_none(state);
    dev = pcidev_find(rig.machine, rig_nvme, "forgotten");
    pcidev_get(dev, "forgotten");
    handle = pcidev_find(rig.machine, rig_nvme2, "for the handle");
    pcidev_handle_open(handle);
    pcidev_put(handle, "for the handle");
    rig.leaks_expected = 3;
    rig_down(&rig);
    assert_true(reported(BERTH_CHECKS ? "forgotten" : "untracked", 2));
    assert_true(reported("handle", 1));
    /* the machine is gone; the objects are memory, and nothing else */
    assert_false(pcidev_enter(dev, "late", &section));
    assert_true(sbdf_equal(pcidev_sbdf(dev), rig_nvme));
    pcidev_put(dev, "forgotten");
    pcidev_put(dev, "forgotten");
    pcidev_handle_close(handle);
    port_settle();
}

static void test_a_machine_takes_its_guests_and_zombies_along(void **state)
{
    struct berth_domain *guest, *zombie;

    guests_setup_none(state);
    guest = rig_guest(&rig, "vm1");
    zombie = rig_guest(&rig, "vm2");
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    assert_int_equal(rig_assign(&rig, rig_nvme2, zombie), 0);
    sim_fail(rig.sim, SIM_OP_ATTACH, 1, 0, 0);
    assert_int_equal(berth_domain_destroy(zombie, NULL), -EBUSY);
    rig_down(&rig);
    assert_int_equal(berth_domain_state(guest), BERTH_DOMAIN_DEAD);
    berth_domain_put(guest);
    berth_domain_put(zombie);
    port_settle();
}

/* ---- M11, F32 ---- */

static unsigned msix_control(void)
{
    return mb_find_cap(rig_function(&rig, rig_nvme), CAP_MSIX) + 2;
}

static void *hold_the_registry(void *context)
{
    _Atomic int *phase = context;

    lock_take(&rig.machine->lock);
    atomic_store(phase, 1);
    while (atomic_load(phase) == 1)
        port_relax(100);
    lock_drop(&rig.machine->lock);
    return NULL;
}

static void test_M11_a_crash_turns_everything_off_without_a_lock(void **state)
{
    struct berth_domain *guest = rig_guest(&rig, "vm1");
    _Atomic int phase = 0;
    enum sim_irq_result result;
    uint32_t domain;
    pthread_t thread;

    (void)state;
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    rig_master_on(&rig, rig_nvme, guest);
    rig_poke(&rig, rig_nvme, msix_control(), 2, 0x8000);
    assert_int_equal(sim_interrupt(rig.sim, rig_nvme, &result, &domain), 0);
    assert_int_equal(result, SIM_IRQ_DELIVERED);
    assert_int_equal(pthread_create(&thread, NULL, hold_the_registry, &phase), 0);
    while (!atomic_load(&phase))
        port_relax(100);
    assert_int_equal(berth_machine_quiesce(rig.machine), 7); /* without 7 bridges of two kinds */
    assert_int_equal(atomic_load(&phase), 1);                /* and the lock is still held */
    atomic_store(&phase, 2);
    pthread_join(thread, NULL);
    assert_int_equal(sim_interrupt(rig.sim, rig_nvme, &result, &domain), 0);
    assert_int_equal(result, SIM_IRQ_NONE);
    assert_int_equal(rig_peek(&rig, rig_nvme, msix_control(), 2) & 0x8000, 0);
    for (unsigned i = 0; i < 3; i++) {
        const struct sbdf each[] = {rig_nvme, rig_nvme2, rig_legacy};

        assert_int_equal(rig_peek(&rig, each[i], 4, 2) & 4, 0);
    }
    rig_destroy_guest(&rig, guest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_none, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_field_of_a_configuration_is_checked),
        TEST(test_lists_are_copied),
        TEST(test_defaults_are_told),
        TEST(test_two_machines_side_by_side_share_nothing),
        TEST(test_domains_have_names),
        TEST(test_domains_are_walked_in_the_order_of_their_ids),
        TEST(test_ids_are_used_again_and_never_twice),
        cmocka_unit_test(test_C5_what_is_left_is_reported_by_tag_and_survives),
        cmocka_unit_test(test_a_machine_takes_its_guests_and_zombies_along),
        TEST(test_M11_a_crash_turns_everything_off_without_a_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
