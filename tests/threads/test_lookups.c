/* SPDX-License-Identifier: MIT */
/*
 * Whoever looks, against whoever adds and removes at the same addresses (C2, C3, M02, M12, A2).
 */
#include "tests/threads/team.h"
#include "tests/unit/rig.h"

#define FUNCTIONS 24

static struct rig rig;
static struct team team;
static _Atomic unsigned found, missed, added;

static struct sbdf place(unsigned i)
{
    return sbdf_make(i % 3 == 2 ? 0xffff : i % 3, 0, i / 3 % 32, 0);
}

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < FUNCTIONS; i++)
        mb_no_flr(mb_endpoint(&rig.builder, place(i)));
    rig_up(&rig, NULL);
    team_begin(&team);
    found = missed = added = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

/* Two of these work on the same addresses. */
static void *add_and_remove(void *context)
{
    uint32_t seed = (uint32_t)(uintptr_t)context;
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};

    while (team_goes_on(&team)) {
        const struct sbdf sbdf = place(team_random(&seed) % FUNCTIONS);
        struct pcidev *dev = pcidev_find(rig.machine, sbdf, "remover");
        int error;

        if (dev)
            error = pcidev_remove(
                dev, team_random(&seed) & 1 ? PCIDEV_REMOVE_DEFAULT : PCIDEV_REMOVE_STRICT,
                &request);
        else
            error = pcidev_add(rig.machine, sbdf, NULL, &request);
        assert_true(!error || error == -EBUSY || error == -EEXIST || error == -ENODEV);
        added += !dev && !error;
        pcidev_put(dev, "remover");
    }
    return NULL;
}

static void look_at(struct pcidev *dev, struct sbdf sbdf)
{
    struct berth_holder holders[BERTH_HOLDERS_MAX];
    struct pcidev_section section;
    struct pcidev_info info;
    uint32_t value;

    assert_true(sbdf_equal(pcidev_sbdf(dev), sbdf));
    assert_true(pcidev_holders(dev, holders, BERTH_HOLDERS_MAX) >= 1); /* ourselves */
    if (pcidev_enter(dev, "look", &section)) {
        assert_int_equal(pcidev_config_read(dev, 0, 4, &value), 0);
        assert_int_equal(value, 0x00101b36); /* it is there for as long as the section */
        pcidev_exit(&section);
    }
    pcidev_snapshot(dev, &info);
    assert_true(sbdf_equal(info.sbdf, sbdf));
    assert_true(info.references >= 1);
}

static void *look_up(void *context)
{
    uint32_t seed = (uint32_t)(uintptr_t)context;

    while (team_goes_on(&team)) {
        const struct sbdf sbdf = place(team_random(&seed) % FUNCTIONS);
        struct pcidev *dev = team_random(&seed) & 1 ? pcidev_find(rig.machine, sbdf, "look")
                                                    : pcidev_find_rid(rig.machine, sbdf, "look");
        uint64_t value = berth_domain_config_read(berth_machine_hwdom(rig.machine), sbdf, 0, 4);

        assert_true(value == 0x00101b36 || value == UINT32_MAX);
        if (dev)
            look_at(dev, sbdf);
        *(dev ? &found : &missed) += 1;
        pcidev_put(dev, "look");
    }
    return NULL;
}

/* In order, and each at most once. */
static void *walk(void *context)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);
    bool by_owner = context != NULL;

    while (team_goes_on(&team)) {
        struct pcidev *dev = NULL, *next;
        int64_t last = -1;
        struct sbdf at = {0, 0, 0};

        while ((next = by_owner ? berth_domain_next_device(hwdom, dev ? &at : NULL, "walk")
                                : pcidev_next(rig.machine, dev ? &at : NULL, "walk"))) {
            pcidev_put(dev, "walk");
            dev = next;
            at = pcidev_sbdf(dev);
            assert_true(sbdf_key(at) > last);
            last = sbdf_key(at);
        }
        pcidev_put(dev, "walk");
        assert_true(berth_machine_count(rig.machine) <= FUNCTIONS);
    }
    return NULL;
}

static bool all_came_about(void)
{
    return found > 100 && missed > 10 && added > 10;
}

static bool many_were_added(void)
{
    return added > 10;
}

static void test_C3_lookups_against_add_and_remove(void **state)
{
    (void)state;
    team_start(&team, add_and_remove, (void *)1);
    team_start(&team, add_and_remove, (void *)2);
    team_start(&team, look_up, (void *)3);
    team_start(&team, look_up, (void *)4);
    team_run_until(&team, 1200, all_came_about);
}

static void test_M02_walks_against_add_and_remove(void **state)
{
    (void)state;
    team_start(&team, add_and_remove, (void *)1);
    team_start(&team, add_and_remove, (void *)2);
    team_start(&team, walk, NULL);
    team_start(&team, walk, &rig);
    team_run_until(&team, 1200, many_were_added);
}

/* ---- the last put in another thread ---- */

static _Atomic(struct pcidev *) parcel;

static void *drop(void *context)
{
    (void)context;
    while (team_goes_on(&team)) {
        struct pcidev *dev = atomic_exchange(&parcel, NULL);
        struct pcidev_info info;

        if (!dev)
            continue;
        pcidev_snapshot(dev, &info);
        assert_true(info.references >= 1);
        pcidev_put(dev, "parcel");
    }
    return NULL;
}

static void *hand_over(void *context)
{
    const struct berth_request request = {.timeout_ns = TEAM_PATIENCE_NS};

    (void)context;
    while (team_goes_on(&team)) {
        struct pcidev *dev = pcidev_find(rig.machine, place(0), "remover");
        struct pcidev *none = NULL;

        assert_non_null(dev);
        pcidev_get(dev, "parcel");
        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, &request), 0);
        while (!atomic_compare_exchange_weak(&parcel, &none, dev) && team_goes_on(&team))
            none = NULL;
        if (none)
            pcidev_put(dev, "parcel"); /* nobody is there any more */
        pcidev_put(dev, "remover");
        assert_int_equal(pcidev_add(rig.machine, place(0), NULL, &request), 0);
        added++;
    }
    return NULL;
}

static void test_C1_the_last_put_may_be_anywhere(void **state)
{
    (void)state;
    team_start(&team, hand_over, NULL);
    team_start(&team, drop, NULL);
    team_run_until(&team, 800, many_were_added);
    pcidev_put(atomic_exchange(&parcel, NULL), "parcel");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_C3_lookups_against_add_and_remove),
        TEST(test_M02_walks_against_add_and_remove),
        TEST(test_C1_the_last_put_may_be_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
