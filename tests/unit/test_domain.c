/* SPDX-License-Identifier: MIT */
/* Domains: their names, their ids, and the hooks that they do without. */
#include "tests/unit/rig.h"

#include <string.h>

#include <berth/isolation.h>

#include "src/core/machine_priv.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

/* ---- names and ids ---- */

static bool may_be_in_a_name(int c)
{
    return c && strchr("0123456789-._ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c);
}

static void test_every_character_of_a_name_is_judged(void **state)
{
    struct berth_domain *domain;

    (void)state;
    for (int c = 1; c < 256; c++) {
        const char name[] = {'v', (char)c, '\0'};
        int error = berth_domain_create(rig.machine, name, NULL, NULL, &domain);

        assert_int_equal(error, may_be_in_a_name(c) ? 0 : -EINVAL);
        if (!error)
            rig_destroy_guest(&rig, domain);
    }
}

static void test_states_have_names(void **state)
{
    (void)state;
    assert_string_equal(berth_domain_state_name(BERTH_DOMAIN_LIVE), "live");
    assert_string_equal(berth_domain_state_name(BERTH_DOMAIN_DEAD), "dead");
    assert_string_equal(berth_domain_state_name((enum berth_domain_state)(BERTH_DOMAIN_DEAD + 1)),
                        "unknown");
}

static int put_entry(struct berth_domain *domain, uint32_t id)
{
    struct map_spare spare = {.count = 0};
    int error;

    assert_int_equal(sbdf_map_prepare(&rig.machine->domains, id, &spare), 0);
    error = sbdf_map_insert(&rig.machine->domains, id, domain, &spare);
    sbdf_map_spare_free(&spare);
    return error;
}

/* F44: as many as there are ids, and then an error. One domain stands in for all the others. */
static void test_ids_run_out(void **state)
{
    struct berth_domain *guest = rig_guest(&rig, "vm1"), *more;
    uint32_t own = berth_domain_id(guest);

    (void)state;
    for (uint32_t id = DOMAIN_ID_GUEST_FIRST; id <= DOMAIN_ID_GUEST_LAST; id++)
        assert_int_equal(put_entry(guest, id), id == own ? -EEXIST : 0);
    assert_int_equal(berth_domain_create(rig.machine, "more", NULL, NULL, &more), -ENOSPC);
    for (uint32_t id = DOMAIN_ID_GUEST_FIRST; id <= DOMAIN_ID_GUEST_LAST; id++)
        if (id != own)
            sbdf_map_remove(&rig.machine->domains, id);
    rig_destroy_guest(&rig, guest);
}

/* ---- hooks that are not there ---- */

static const struct berth_domain_ops no_hook;

/* O1: the way back fails and the guest can't go on; it has no hook that could be told so. */
static void test_O1_a_guest_without_hooks_crashes_quietly(void **state)
{
    struct berth_domain *guest;

    (void)state;
    assert_int_equal(berth_domain_create(rig.machine, "vm1", &no_hook, NULL, &guest), 0);
    assert_int_equal(rig_assign(&rig, rig_phantom, guest), 0);
    sim_fail(rig.sim, SIM_OP_ATTACH, 3, 2, 0); /* the third one, and the way back of the others */
    rig_expect_refused(&rig, rig_deassign(&rig, rig_phantom, guest), -EIO, BERTH_REASON_ROLLBACK);
    sim_fail(rig.sim, SIM_OP_ATTACH, 0, 0, 0);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_CRASHED), 1);
    assert_true(berth_domain_crashed(guest));
    rig_expect_owner(&rig, rig_phantom, "quarantine");
    rig_destroy_guest(&rig, guest);
}

/* R4: nobody to ask, nothing to fill in: the deadline passes all the same. */
static void test_R4_an_owner_without_hooks_keeps_its_device(void **state)
{
    static const struct berth_domain_ops *const ops[] = {NULL, &no_hook};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct pcidev *dev = rig_dev(&rig, rig_nvme);
        struct berth_domain *guest;

        assert_int_equal(berth_domain_create(rig.machine, "vm1", ops[i], NULL, &guest), 0);
        assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_GRACEFUL, NULL), -EBUSY);
        rig_expect_owner(&rig, rig_nvme, "vm1");
        assert_int_equal(rig_deassign(&rig, rig_nvme, guest), 0);
        rig_destroy_guest(&rig, guest);
        rig_put(dev);
    }
}

/* ---- whose it may be ---- */

static void test_M20_a_group_is_not_lent_into_another_machine(void **state)
{
    static struct rig other;
    struct pcidev *dev = rig_dev(&rig, rig_nvme);
    struct berth_domain *guest, *stranger;

    (void)state;
    rig_begin(&other);
    mb_host_bridge(&other.builder, at(0, 0, 0));
    rig_up(&other, NULL);
    stranger = rig_guest(&other, "stranger");
    assert_int_equal(pcidev_assign_group(dev, stranger, NULL), -EINVAL);
    assert_int_equal(pcidev_assign_group(dev, NULL, NULL), -EINVAL);
    rig_destroy_guest(&other, stranger);
    rig_down(&other);
    port_posix_warp(true);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(pcidev_assign_group(dev, guest, NULL), 0);
    rig_expect_owner(&rig, rig_nvme, "vm1");
    rig_put(dev);
    rig_destroy_guest(&rig, guest);
}

/* A deadline that would wrap round is none. */
static void test_R5_a_timeout_may_be_endless(void **state)
{
    struct berth_request request = rig_request(&rig);
    struct pcidev *dev = rig_dev(&rig, rig_nvme);

    (void)state;
    request.timeout_ns = UINT64_MAX;
    assert_int_equal(pcidev_reset(dev, &request), 0);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_GRACEFUL, &request), 0);
    rig_put(dev);
}

static void impatient(struct berth_machine_config *config)
{
    config->policy.deadline_ns = 5000000;
    config->policy.reset_wait_ns = 7000000;
}

static void test_R5_the_policy_has_deadlines(void **state)
{
    struct berth_domain *guest;
    struct berth_policy policy;
    struct pcidev *dev;
    uint64_t begin;

    (void)state;
    rig_begin(&rig);
    rig_standard(&rig);
    rig_up(&rig, impatient);
    policy = berth_machine_policy(rig.machine);
    assert_int_equal(policy.deadline_ns, 5000000);
    assert_int_equal(policy.reset_wait_ns, 7000000);
    guest = rig_guest(&rig, "vm1");
    assert_int_equal(rig_assign(&rig, rig_nvme, guest), 0);
    dev = rig_dev(&rig, rig_nvme);
    begin = port_now_ns();
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_GRACEFUL, NULL), -EBUSY);
    assert_in_range(port_now_ns() - begin, 5000000, 100000000);
    rig_put(dev);
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_character_of_a_name_is_judged),
        cmocka_unit_test(test_states_have_names),
        TEST(test_ids_run_out),
        TEST(test_O1_a_guest_without_hooks_crashes_quietly),
        TEST(test_R4_an_owner_without_hooks_keeps_its_device),
        TEST(test_M20_a_group_is_not_lent_into_another_machine),
        TEST(test_R5_a_timeout_may_be_endless),
        cmocka_unit_test(test_R5_the_policy_has_deadlines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
