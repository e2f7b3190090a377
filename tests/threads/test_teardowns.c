/* SPDX-License-Identifier: MIT */
/*
 * The end of a guest against everybody who moves its devices (O5, F46, F48), and everything against
 * everything.
 */
#include "tests/threads/team.h"
#include "tests/unit/guests.h"

static struct team team;
static const struct berth_request patient = {.timeout_ns = TEAM_PATIENCE_NS};

/* ---- one guest per round ---- */

static struct berth_domain *guest;
static _Atomic unsigned destroyed;

static void *assign_in_rounds(void *context)
{
    const struct sbdf *sbdf = context;

    for (;;) {
        struct pcidev *dev;
        int error;

        team_meet(&team);
        if (!team_goes_on(&team))
            return NULL;
        dev = pcidev_find(rig.machine, *sbdf, "assign");
        error = pcidev_assign(dev, guest, &patient);
        assert_true(!error || error == -EBUSY);
        error = pcidev_deassign(dev, guest, &patient);
        assert_true(!error || error == -EINVAL); /* teardown took it, or it never came */
        error = pcidev_assign(dev, guest, &patient);
        assert_true(!error || error == -EBUSY);
        pcidev_put(dev, "assign");
        team_meet(&team);
    }
}

static void *destroy_in_rounds(void *context)
{
    (void)context;
    for (;;) {
        int error;

        team_meet(&team);
        if (!team_goes_on(&team))
            return NULL;
        do
            error = berth_domain_destroy(guest, &patient);
        while (error == -EAGAIN);
        assert_int_equal(error, 0); /* nothing fails here: no zombie without a reason */
        assert_int_equal(berth_domain_state(guest), BERTH_DOMAIN_DEAD);
        assert_int_equal(berth_domain_device_count(guest), 0);
        destroyed++;
        team_meet(&team);
    }
}

static void rounds(unsigned destroyers, uint64_t ms)
{
    struct sbdf devices[2] = {rig_nvme, rig_phantom};
    uint64_t end = team_real_ns() + ms * 1000000u;

    destroyed = 0;
    team_begin_rounds(&team, 3 + destroyers);
    for (unsigned i = 0; i < 2; i++)
        team_start(&team, assign_in_rounds, &devices[i]);
    for (unsigned i = 0; i < destroyers; i++)
        team_start(&team, destroy_in_rounds, NULL);
    for (unsigned round = 0; round < 5 || team_real_ns() < end; round++) {
        guest = rig_guest(&rig, "vm");
        team_meet(&team);
        team_meet(&team);
        for (unsigned i = 0; i < 2; i++) {
            const struct pcidev_info info = rig_info(&rig, devices[i]);

            assert_int_not_equal(info.owner_kind, BERTH_DOMAIN_GUEST);
            assert_false(info.broken);
        }
        assert_null(berth_domain_find(rig.machine, "vm"));
        berth_domain_put(guest);
    }
    team_dismiss(&team);
    assert_true(destroyed >= 5 * destroyers);
}

static void test_O5_a_guest_ends_while_devices_come_and_go(void **state)
{
    (void)state;
    rounds(1, 1000);
}

static void test_O5_two_destroy_the_same_guest(void **state)
{
    (void)state;
    rounds(2, 1000);
}

/* ---- everything against everything ---- */

static const struct sbdf *const pool[] = {&rig_nvme, &rig_nvme2, &rig_phantom,   &rig_legacy,
                                          &rig_pf,   &rig_port,  &rig_pci_bridge};
#define POOL (sizeof(pool) / sizeof(pool[0]))

static struct berth_domain *random_guest(uint32_t *seed)
{
    return berth_domain_find(rig.machine, team_random(seed) & 1 ? "vm1" : "vm2");
}

static void do_one(struct pcidev *dev, struct berth_domain *domain, uint32_t *seed)
{
    switch (team_random(seed) % 10) {
    case 0:
    case 1:
    case 2:
        (void)!pcidev_assign(dev, domain, &patient);
        break;
    case 3:
        (void)!pcidev_deassign(dev, domain, &patient);
        break;
    case 4:
        (void)!pcidev_assign(dev, berth_machine_hwdom(rig.machine), &patient);
        break;
    case 5:
        (void)!pcidev_reset(dev, &patient);
        break;
    case 6:
        (void)!pcidev_readd(dev, NULL, &patient);
        break;
    case 7:
        (void)!pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &patient);
        break;
    case 8:
        (void)!pcidev_remove(dev, PCIDEV_REMOVE_DEFAULT, &patient);
        break;
    case 9:
        (void)!pcidev_sriov(dev, team_random(seed) % 3, &patient);
        break;
    }
}

static void *do_anything(void *context)
{
    uint32_t seed = (uint32_t)(uintptr_t)context;

    while (team_goes_on(&team)) {
        const struct sbdf sbdf = team_random(&seed) % 4 ? *pool[team_random(&seed) % POOL]
                                                        : rig_vf(team_random(&seed) % 2);
        struct pcidev *dev = pcidev_find(rig.machine, sbdf, "anything");
        struct berth_domain *domain = random_guest(&seed), *fresh;

        if (!domain) {
            if (!berth_domain_create(rig.machine, team_random(&seed) & 1 ? "vm1" : "vm2", NULL,
                                     NULL, &fresh))
                berth_domain_put(fresh);
        } else if (team_random(&seed) % 50 == 0) {
            (void)!berth_domain_destroy(domain, &patient);
        } else if (dev) {
            do_one(dev, domain, &seed);
        } else {
            (void)!pcidev_add(rig.machine, sbdf, NULL, &patient);
        }
        berth_domain_put(domain);
        pcidev_put(dev, "anything");
    }
    return NULL;
}

/* Consistent pictures of what is there, whatever happens to it (M12). */
static void *watch(void *context)
{
    uint32_t seed = 77;

    (void)context;
    while (team_goes_on(&team)) {
        struct berth_domain *domain = random_guest(&seed);
        struct pcidev *dev = NULL, *next;
        struct sbdf at;

        while ((next = pcidev_next(rig.machine, dev ? &at : NULL, "watch"))) {
            struct berth_holder holders[BERTH_HOLDERS_MAX];
            struct pcidev_info info;

            pcidev_put(dev, "watch");
            dev = next;
            at = pcidev_sbdf(dev);
            pcidev_snapshot(dev, &info);
            assert_true(sbdf_equal(info.sbdf, at));
            if (info.state == PCIDEV_PRESENT && !info.in_transition)
                assert_true(info.owner[0] != '\0');
            assert_true(pcidev_holders(dev, holders, BERTH_HOLDERS_MAX) >= 1);
            (void)pcidev_sections(dev, holders, BERTH_HOLDERS_MAX);
            if (domain && info.has_guest_address)
                (void)berth_domain_config_read(domain, info.guest_address, 0, 4);
            (void)berth_machine_fault(rig.machine, at);
        }
        pcidev_put(dev, "watch");
        berth_domain_put(domain);
    }
    return NULL;
}

static unsigned devices_of_all(void)
{
    struct berth_domain *domain = NULL, *next;
    unsigned count = 0;

    while ((next = berth_domain_next(rig.machine, domain))) {
        berth_domain_put(domain);
        domain = next;
        count += berth_domain_device_count(domain);
    }
    berth_domain_put(domain);
    return count;
}

static void test_R7_everything_against_everything_balances(void **state)
{
    (void)state;
    team_begin(&team);
    team_start(&team, do_anything, (void *)11);
    team_start(&team, do_anything, (void *)22);
    team_start(&team, do_anything, (void *)33);
    team_start(&team, watch, NULL);
    team_run(&team, 2000);
    /* each device has one owner, and is in that one's set and in no other */
    assert_int_equal(devices_of_all(), berth_machine_count(rig.machine));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, guests_setup_none, guests_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_O5_a_guest_ends_while_devices_come_and_go),
        TEST(test_O5_two_destroy_the_same_guest),
        TEST(test_R7_everything_against_everything_balances),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
