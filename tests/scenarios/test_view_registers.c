/* SPDX-License-Identifier: MIT */
/* What guests do to config space: F71, F83, F86, F88, F91, F93, K12. */
#include <pthread.h>

#include <berth_port.h>

#include "tests/unit/lent.h"

#define UNLISTED 0xa00u
#define ADDED 0xb00u
#define ID_VENDOR 0x09
#define SECOND_NS UINT64_C(1000000000)

static struct lent lent;

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lent_down(&lent);
    return 0;
}

static struct pcidev_info info(void)
{
    return rig_info(&lent.rig, lent.host);
}

/* ---- F71: what nobody handles waits for nobody ---- */

static _Atomic bool inside, leave;
static struct berth_domain *writer;
static struct sbdf written;

/* Stays in the view's lock until it is told to leave; not for ever, so that a failure is seen. */
static uint32_t slow_hook(void *context, unsigned reg, uint32_t stored, uint32_t value,
                          uint32_t cleared)
{
    uint64_t end = port_now_ns() + 5 * SECOND_NS;

    (void)context;
    (void)reg;
    (void)stored;
    (void)cleared;
    atomic_store(&inside, true);
    for (unsigned i = 0; !atomic_load(&leave) && port_now_ns() < end; i++)
        port_relax(i);
    atomic_store(&inside, false);
    return value;
}

static const struct berth_register slow = {
    .offset = ADDED, .size = 4, .rw = UINT32_MAX, .write = slow_hook};

static void *write_slowly(void *context)
{
    (void)context;
    berth_domain_config_write(writer, written, ADDED, 4, 1);
    return NULL;
}

/* While another CPU is inside a hook of the same device. */
static void expect_no_wait(struct berth_domain *domain, struct sbdf at_guest, unsigned readable)
{
    struct pcidev *dev = rig_dev(&lent.rig, lent.host);
    pthread_t thread;

    assert_int_equal(berth_register_add(dev, &slow, NULL), 0);
    writer = domain;
    written = at_guest;
    atomic_store(&leave, false);
    assert_int_equal(pthread_create(&thread, NULL, write_slowly, NULL), 0);
    for (unsigned i = 0; !atomic_load(&inside); i++)
        port_relax(i);
    for (unsigned length = 1; length <= 8; length *= 2) {
        berth_domain_config_write(domain, at_guest, UNLISTED, length, UINT64_MAX);
        (void)berth_domain_config_read(domain, at_guest, UNLISTED, length);
    }
    assert_int_equal(berth_domain_config_read(domain, at_guest, 0, 4), readable);
    assert_true(atomic_load(&inside));
    atomic_store(&leave, true);
    pthread_join(thread, NULL);
    assert_int_equal(berth_domain_config_read(domain, at_guest, ADDED, 4), 1);
    rig_put(dev);
}

static void test_F71_unhandled_registers_take_no_lock(void **state)
{
    struct sim_counters before, after;

    (void)state;
    lent_up(&lent);
    sim_function_counters(lent.rig.sim, lent.host, &before);
    expect_no_wait(lent.guest, rig_seen(&lent.rig, lent.host), 0x00101b36);
    sim_function_counters(lent.rig.sim, lent.host, &after);
    assert_int_equal(after.config_writes, before.config_writes);
    assert_int_equal(after.config_reads, before.config_reads);
}

static void test_F71_nor_where_they_pass_to_the_hardware(void **state)
{
    (void)state;
    lent_up_idle(&lent);
    expect_no_wait(berth_machine_hwdom(lent.rig.machine), lent.host, 0x00101b36);
}

/* ---- K12: dropped, and counted ---- */

static void test_K12_what_is_dropped_is_counted(void **state)
{
    (void)state;
    lent_up(&lent);
    assert_int_equal(info().dropped, 0);
    for (unsigned i = 0; i < 100; i++)
        lent_put(&lent, UNLISTED + i % 64, 1u << i % 4, 0xffffffff);
    assert_int_equal(info().dropped, 100);
    lent_put(&lent, LENT_COMMAND, 2, LENT_MASTER); /* this one is the guest's */
    lent_put(&lent, 0x1000, 4, 0);                 /* and these are no accesses */
    lent_put(&lent, UNLISTED, 3, 0);
    assert_int_equal(info().dropped, 100);
    assert_int_equal(lent_get(&lent, LENT_COMMAND, 2), LENT_MASTER);
    assert_int_equal(berth_domain_state(lent.guest), BERTH_DOMAIN_LIVE);
    assert_false(berth_domain_crashed(lent.guest));
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(info().dropped, 0); /* the next owner's begin anew */
}

/* ---- F83 ---- */

static void test_F83_what_changes_nothing_is_not_worth_a_word(void **state)
{
    unsigned said;

    (void)state;
    lent_up(&lent);
    lent_place(&lent, 0x10000000);
    said = rig_count_events(&lent.rig, BERTH_EVENT_VIEW);
    for (unsigned i = 0; i < 1000; i++)
        lent_put(&lent, LENT_BAR0, 4, 0x10000000);
    assert_int_equal(rig_count_events(&lent.rig, BERTH_EVENT_VIEW), said);
    for (unsigned i = 1; i <= 1000; i++)
        lent_put(&lent, LENT_BAR0, 4, 0x10000000 + i * 0x4000); /* refused while it is decoded */
    assert_in_range(rig_count_events(&lent.rig, BERTH_EVENT_VIEW), said + 1, said + 16);
}

/* ---- F86: what failed to come is locked, and leaves like the rest ---- */

static unsigned broken_cap(void)
{
    unsigned at = mb_cap(lent.function, ID_VENDOR);

    mb_put(lent.function, at + 2, 1, 2); /* shorter than its own head */
    return at;
}

static void test_F86_a_capability_that_failed_is_locked_for_every_owner(void **state)
{
    unsigned at = broken_cap();

    (void)state;
    lent_up(&lent);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(lent_cap(&lent, ID_VENDOR), 0);
        lent_expect_reserved(&lent, at, at + 16);
        assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
        assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    }
}

static void test_F86_the_device_is_gone_before_the_clean_up(void **state)
{
    struct sim_counters counters;

    (void)state;
    (void)broken_cap();
    lent_up(&lent);
    lent_place(&lent, 0x10000000);
    rig_pull(&lent.rig, lent.host);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(lent.maps.count, 0);
    sim_counters(lent.rig.sim, &counters);
    assert_int_equal(counters.touches_vanished, 0);
    assert_int_equal(counters.touches_after_release, 0);
    assert_int_equal(sim_return(lent.rig.sim, lent.host), 0);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
}

/* Nothing was made yet when the lending failed, or there is nothing to make: no BAR, no list. */
static void test_F86_clean_up_without_anything_to_clean(void **state)
{
    const struct sbdf empty = {0, 0, 0x48}, taken = {0, 1, 0x50};

    (void)state;
    mb_bare(&lent.rig.builder, empty);
    lent_up_idle(&lent);
    assert_int_equal(rig_assign_at(&lent.rig, lent.host, lent.guest, taken), 0);
    assert_int_equal(rig_assign_at(&lent.rig, empty, lent.guest, taken), -EBUSY);
    assert_int_equal(rig_assign(&lent.rig, empty, lent.guest), 0);
    assert_int_equal(rig_reset(&lent.rig, lent.host), 0);
    assert_int_equal(rig_deassign(&lent.rig, empty, lent.guest), 0);
    assert_int_equal(rig_remove(&lent.rig, empty, PCIDEV_REMOVE_FORCE), 0);
}

/* ---- F88 ---- */

static void test_F88_nothing_is_made_twice(void **state)
{
    static const struct berth_register plain = {.offset = ADDED, .size = 4, .rw = 1};
    const struct berth_view_config config = {.ops = NULL};
    struct pcidev *dev;

    (void)state;
    lent_up(&lent);
    dev = rig_dev(&lent.rig, lent.host);
    assert_int_equal(berth_domain_set_view(lent.guest, &config), -EBUSY);
    assert_int_equal(berth_register_add(dev, &plain, NULL), 0);
    assert_int_equal(berth_register_add(dev, &plain, NULL), -EEXIST);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), -EBUSY);
    assert_int_equal(rig_add(&lent.rig, lent.host), -EEXIST);
    assert_int_equal(berth_register_remove(dev, ADDED, 4), 0);
    assert_int_equal(berth_register_remove(dev, ADDED, 4), -ENOENT);
    assert_int_equal(rig_reach(lent.guest), 1);
    rig_put(dev);
}

/* ---- F91: nothing is counted in advance ---- */

#define BRIDGES 40u

static struct sbdf bridge_at(unsigned i)
{
    return i < 16 ? at(0, 2 + i, 0) : at(0, 2 + i - 16, 1);
}

static void test_F91_more_bridges_than_anybody_counted(void **state)
{
    struct machine_builder *b = &lent.rig.builder;
    struct berth_domain *hwdom;

    (void)state;
    for (unsigned i = 0; i < BRIDGES; i++) {
        if (i < 32)
            mb_root_port(b, bridge_at(i), 2 + i, 2 + i);
        mb_host_bridge(b, sbdf_make(1 + i, 0, 0, 0));
        mb_endpoint(b, i < 32 ? at(2 + i, 0, 0) : sbdf_make(1 + i, 0, 1, 0));
    }
    lent_up(&lent);
    hwdom = berth_machine_hwdom(lent.rig.machine);
    for (unsigned i = 0; i < BRIDGES; i++) {
        struct sbdf host = sbdf_make(1 + i, 0, 0, 0);

        assert_int_not_equal(berth_domain_config_read(hwdom, host, 0, 4), UINT32_MAX);
        if (i < 32)
            assert_int_equal(berth_domain_config_read(hwdom, bridge_at(i), 0x19, 1), 2 + i);
        host = i < 32 ? at(2 + i, 0, 0) : sbdf_make(1 + i, 0, 1, 0);
        assert_int_equal(rig_assign(&lent.rig, host, lent.guest), 0);
    }
    assert_int_equal(rig_reach(lent.guest), BRIDGES + 1);
}

/* ---- F93 ---- */

/* Firmware has switched one host bridge off altogether, and left a port without numbers. */
static void test_F93_a_bridge_that_is_switched_off_is_no_obstacle(void **state)
{
    const struct sbdf off = {0, 0, 0}, unnumbered = {0, 0, 0x40};
    struct machine_builder *b = &lent.rig.builder;

    (void)state;
    mb_host_bridge(b, off);
    mb_put(mb_root_port(b, unnumbered, 0, 0), 4, 2, 0);
    lent_up(&lent);
    assert_int_equal(rig_remove(&lent.rig, off, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_vanish(lent.rig.sim, off), 0);
    assert_int_equal(rig_add(&lent.rig, off), -ENODEV);
    assert_int_equal(sim_return(lent.rig.sim, off), 0); /* it is listed, and does not answer */
    assert_int_equal(sim_vanish_after(lent.rig.sim, off, 1), 0);
    assert_int_equal(rig_add(&lent.rig, off), -ENODEV);
    assert_true(rig_has(&lent.rig, unnumbered));
    lent_place(&lent, 0x10000000);
    assert_int_not_equal(lent_mmio(&lent, 0x10003000), UINT32_MAX);
    assert_int_equal(rig_remove(&lent.rig, unnumbered, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_return(lent.rig.sim, off), 0);
    assert_int_equal(rig_add(&lent.rig, off), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F71_unhandled_registers_take_no_lock),
        TEST(test_F71_nor_where_they_pass_to_the_hardware),
        TEST(test_K12_what_is_dropped_is_counted),
        TEST(test_F83_what_changes_nothing_is_not_worth_a_word),
        TEST(test_F86_a_capability_that_failed_is_locked_for_every_owner),
        TEST(test_F86_the_device_is_gone_before_the_clean_up),
        TEST(test_F86_clean_up_without_anything_to_clean),
        TEST(test_F88_nothing_is_made_twice),
        TEST(test_F91_more_bridges_than_anybody_counted),
        TEST(test_F93_a_bridge_that_is_switched_off_is_no_obstacle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
