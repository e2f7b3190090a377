/* SPDX-License-Identifier: MIT */
/* Which device is where, and whose (M02, M08, M12, F10, F21, R6, C5, C6). */
#include "tests/unit/rig.h"

#include <string.h>

#include "src/core/device.h"

static const unsigned segments[] = {0, 1, 0xffff};

static struct rig rig;

static struct sbdf on(unsigned segment)
{
    return sbdf_make(segment, 3, 0, 0);
}

/* The same address in three segments, and the two ends. */
static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < 3; i++)
        mb_endpoint(&rig.builder, on(segments[i]));
    mb_endpoint(&rig.builder, at(0, 0, 0));
    mb_endpoint(&rig.builder, sbdf_make(0xffff, 0xff, 0x1f, 7));
    rig_up(&rig, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

/* @guest has this device and no other; NULL: no guest has it. */
static void expect_seen(struct berth_domain *guest, struct sbdf host)
{
    const struct sbdf seen = rig_seen(&rig, host);
    struct pcidev *dev = guest ? berth_domain_device_at(guest, seen, "seen") : NULL;

    assert_int_equal(sbdf_equal(seen, rig_nowhere), !guest);
    if (!guest)
        return;
    assert_true(sbdf_equal(pcidev_sbdf(dev), host));
    assert_int_equal(berth_domain_config_read(guest, seen, 0, 4), 0x00101b36);
    assert_int_equal(rig_reach(guest), 1);
    pcidev_put(dev, "seen");
}

static void test_F10_the_same_address_in_three_segments(void **state)
{
    struct berth_domain *owners[] = {berth_machine_hwdom(rig.machine), rig_guest(&rig, "vm1"),
                                     rig_guest(&rig, "vm2")};

    (void)state;
    assert_int_equal(rig_assign(&rig, on(1), owners[1]), 0);
    assert_int_equal(rig_assign(&rig, on(0xffff), owners[2]), 0);
    for (unsigned i = 0; i < 3; i++) {
        struct pcidev *dev = pcidev_find_rid(rig.machine, on(segments[i]), "rid");

        assert_true(sbdf_equal(pcidev_sbdf(dev), on(segments[i])));
        pcidev_put(dev, "rid");
        rig_expect_owner(&rig, on(segments[i]), berth_domain_name(owners[i]));
        for (unsigned k = 0; k < 3; k++) /* V1: the host's addresses are nothing to a guest */
            assert_int_equal(berth_domain_config_read(owners[k], on(segments[i]), 0, 4),
                             k == i && k == 0 ? 0x00101b36 : UINT32_MAX);
        expect_seen(i ? owners[i] : NULL, on(segments[i]));
    }
    rig_destroy_guest(&rig, owners[1]);
    rig_destroy_guest(&rig, owners[2]);
}

static void test_F10_segment_ffff_is_no_wildcard(void **state)
{
    (void)state;
    assert_int_equal(rig_remove(&rig, on(0xffff), PCIDEV_REMOVE_DEFAULT), 0);
    assert_false(rig_has(&rig, on(0xffff)));
    assert_true(rig_has(&rig, on(0)) && rig_has(&rig, on(1)));
    assert_null(pcidev_find_rid(rig.machine, on(0xffff), "rid"));
    assert_int_equal(rig_remove(&rig, on(0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_false(rig_has(&rig, on(0)));
    assert_true(rig_has(&rig, on(1)));
    assert_false(rig_has(&rig, on(2)));
}

static void test_M02_a_walk_survives_the_removal_of_what_it_sees(void **state)
{
    struct pcidev *dev = pcidev_next(rig.machine, NULL, "walk");
    unsigned seen = 0;

    (void)state;
    while (dev) {
        const struct sbdf sbdf = pcidev_sbdf(dev);

        seen++;
        assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_FORCE, NULL), 0);
        pcidev_put(dev, "walk");
        dev = pcidev_next(rig.machine, &sbdf, "walk");
    }
    assert_int_equal(seen, 5);
    assert_int_equal(berth_machine_count(rig.machine), 0);
    assert_null(pcidev_next(rig.machine, NULL, "walk"));
}

static void test_M02_walks_are_in_order_and_end_at_the_last_address(void **state)
{
    const struct sbdf last = sbdf_make(0xffff, 0xff, 0x1f, 7), between = sbdf_make(0, 200, 0, 0);
    struct pcidev *dev = NULL, *next;
    struct sbdf at_now = {0, 0, 0};
    unsigned seen = 0;

    (void)state;
    while ((next = pcidev_next(rig.machine, dev ? &at_now : NULL, "walk"))) {
        assert_true(!dev || sbdf_key(pcidev_sbdf(next)) > sbdf_key(at_now));
        pcidev_put(dev, "walk");
        dev = next;
        at_now = pcidev_sbdf(dev);
        seen++;
    }
    pcidev_put(dev, "walk");
    assert_int_equal(seen, 5);
    assert_true(sbdf_equal(at_now, last));
    dev = pcidev_next(rig.machine, &between, "walk"); /* nobody has to be at the start */
    assert_true(sbdf_equal(pcidev_sbdf(dev), on(1)));
    pcidev_put(dev, "walk");
}

static unsigned owned(struct berth_domain *domain)
{
    struct pcidev *dev = NULL, *next;
    struct sbdf sbdf = {0, 0, 0};
    unsigned count = 0;

    while ((next = berth_domain_next_device(domain, dev ? &sbdf : NULL, "walk"))) {
        pcidev_put(dev, "walk");
        dev = next;
        sbdf = pcidev_sbdf(dev);
        count++;
    }
    pcidev_put(dev, "walk");
    return count;
}

static void test_M02_each_owner_has_a_set_of_its_own(void **state)
{
    struct berth_domain *guest = rig_guest(&rig, "vm1");

    (void)state;
    assert_int_equal(owned(berth_machine_hwdom(rig.machine)), 5);
    assert_int_equal(owned(guest), 0);
    assert_int_equal(rig_assign(&rig, on(1), guest), 0);
    assert_int_equal(rig_assign(&rig, on(0xffff), guest), 0);
    rig_quarantine(&rig, on(0));
    assert_int_equal(owned(berth_machine_hwdom(rig.machine)), 2);
    assert_int_equal(owned(berth_machine_quarantine(rig.machine)), 1);
    assert_int_equal(owned(guest), 2);
    assert_int_equal(berth_domain_device_count(guest), 2);
    rig_destroy_guest(&rig, guest);
    assert_int_equal(owned(berth_machine_quarantine(rig.machine)), 3);
}

static void test_R6_an_address_is_taken_once(void **state)
{
    struct rig_state before = rig_remember(&rig, on(0));

    (void)state;
    rig_expect_refused(&rig, rig_add(&rig, on(0)), -EEXIST, BERTH_REASON_EXISTS);
    rig_expect_as_before(&rig, &before);
    rig_expect_refused(&rig, rig_add(&rig, on(7)), -ENODEV, BERTH_REASON_NOTHING_THERE);
    rig_expect_as_before(&rig, &before);
}

static void test_M08_what_the_host_keeps_is_not_added(void **state)
{
    berth_claim claim;

    (void)state;
    assert_int_equal(rig_remove(&rig, on(0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(sim_host_ops.claim(rig.sim, on(0), &claim), 0);
    rig_expect_refused(&rig, rig_add(&rig, on(0)), -EBUSY, BERTH_REASON_HOST_CLAIM);
    sim_host_ops.release(rig.sim, claim);
    assert_int_equal(rig_add(&rig, on(0)), 0);
    assert_int_equal(sim_vanish(rig.sim, on(1)), 0);
    assert_int_equal(rig_remove(&rig, on(1), PCIDEV_REMOVE_DEFAULT), 0);
    rig_expect_refused(&rig, rig_add(&rig, on(1)), -ENODEV, BERTH_REASON_NOTHING_THERE);
    assert_int_equal(sim_return(rig.sim, on(1)), 0);
    assert_int_equal(rig_add(&rig, on(1)), 0);
}

/*
 * What a lookup in another thread can meet: it has found the object, and before it takes its
 * reference everybody else has dropped theirs. The read-side section keeps the memory.
 */
static void test_C3_an_object_without_references_is_not_taken(void **state)
{
    struct pcidev *dev, *found;

    (void)state;
    dev = rig_dev(&rig, on(0));
    port_read_lock();
    found = device_peek(rig.machine, on(0));
    assert_ptr_equal(found, dev);
    assert_int_equal(pcidev_remove(dev, PCIDEV_REMOVE_DEFAULT, NULL), 0);
    assert_ptr_equal(device_try_get(found, "lookup"), dev); /* there is one left */
    pcidev_put(dev, "lookup");
    rig_put(dev);
    assert_null(device_try_get(found, "lookup"));
    port_read_unlock();
    port_settle();
    assert_null(device_peek(rig.machine, on(0)));
}

/* ---- holders ---- */

static unsigned held_by(struct pcidev *dev, const char *tag)
{
    struct berth_holder list[BERTH_HOLDERS_MAX];
    unsigned count = pcidev_holders(dev, list, BERTH_HOLDERS_MAX);

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(list[i].tag, tag))
            return list[i].count;
    return 0;
}

static void test_C6_long_term_holders_are_named_in_every_build(void **state)
{
    struct pcidev *dev = rig_dev(&rig, on(0));

    (void)state;
    assert_int_equal(held_by(dev, "registry"), 1);
    assert_int_equal(held_by(dev, "owner"), 1);
    assert_int_equal(held_by(dev, "handle"), 0);
    assert_ptr_equal(pcidev_handle_open(dev), dev);
    pcidev_handle_open(dev);
    assert_int_equal(held_by(dev, "handle"), 2);
    assert_int_equal(rig_remove(&rig, on(0), PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(held_by(dev, "registry"), 0);
    assert_int_equal(held_by(dev, "owner"), 0);
    pcidev_handle_close(dev);
    assert_int_equal(held_by(dev, "handle"), 1);
    pcidev_handle_close(dev);
    rig_put(dev);
}

static void test_C5_the_others_are_named_in_debug_builds(void **state)
{
    static const char tag[] = "vcpu 3";
    struct pcidev *dev = pcidev_find(rig.machine, on(0), tag);
    struct berth_holder one;

    (void)state;
    pcidev_get(dev, tag);
    assert_int_equal(held_by(dev, BERTH_CHECKS ? tag : "untracked"), 2);
    assert_int_equal(pcidev_holders(dev, &one, 1), 1); /* and no more than there is room for */
    pcidev_put(dev, tag);
    assert_int_equal(held_by(dev, BERTH_CHECKS ? tag : "untracked"), 1);
    pcidev_put(dev, tag);
    pcidev_put(NULL, tag);
}

static void test_C5_many_tags_are_not_lost(void **state)
{
    static const char tags[32][2];
    struct pcidev *dev = rig_dev(&rig, on(0));

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        pcidev_get(dev, tags[i]);
    assert_int_equal(rig_info(&rig, on(0)).references, 2 + 1 + 32 + 1);
    for (unsigned i = 32; i-- > 0;)
        pcidev_put(dev, tags[i]);
    rig_put(dev);
    assert_int_equal(rig_count_events(&rig, BERTH_EVENT_MISUSE), 0);
}

static void test_M12_words_are_never_null(void **state)
{
    (void)state;
    assert_string_equal(pcidev_type_name(PCIDEV_ENDPOINT), "endpoint");
    assert_string_equal(pcidev_state_name(PCIDEV_PRESENT), "present");
    assert_string_equal(pcidev_reset_method_name(PCIDEV_RESET_FLR), "flr");
    assert_string_equal(pcidev_type_name((enum pcidev_type)99), "unknown");
    assert_string_equal(pcidev_state_name((enum pcidev_state)99), "unknown");
    assert_string_equal(pcidev_reset_method_name((enum pcidev_reset_method)99), "unknown");
    assert_string_equal(berth_operation_name(BERTH_OP_SRIOV), "sriov");
    assert_string_equal(berth_operation_name((enum berth_operation)99), "unknown");
    assert_string_equal(berth_event_name(BERTH_EVENT_LEAK), "leak");
    assert_string_equal(berth_event_name((enum berth_event_kind)99), "unknown");
    assert_string_equal(berth_domain_kind_name((enum berth_domain_kind)99), "unknown");
    assert_string_equal(berth_domain_state_name((enum berth_domain_state)99), "unknown");
    assert_true(pcidev_object_size() > 0);
#if !BERTH_CHECKS
    assert_true(pcidev_object_size() <= 512);
#endif
}

/* A card that is pulled while it is added cannot be named to the core by whoever pulls it. */
static void test_A4_what_is_pulled_while_it_is_added_is_known_to_be_gone(void **state)
{
    unsigned added_gone = 0, nth = 0;

    (void)state;
    do {
        assert_int_equal(rig_remove(&rig, on(1), PCIDEV_REMOVE_DEFAULT), 0);
        assert_int_equal(sim_vanish_after(rig.sim, on(1), ++nth), 0);
        if (!rig_add(&rig, on(1)) && !sim_present(rig.sim, on(1))) {
            assert_true(rig_info(&rig, on(1)).disconnected);
            added_gone++;
        }
        if (sim_present(rig.sim, on(1)))
            break;
        assert_int_equal(sim_return(rig.sim, on(1)), 0);
        if (!rig_has(&rig, on(1)))
            assert_int_equal(rig_add(&rig, on(1)), 0);
    } while (nth < 1000);
    assert_true(added_gone > 0);
    assert_int_equal(sim_vanish_after(rig.sim, on(1), 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F10_the_same_address_in_three_segments),
        TEST(test_F10_segment_ffff_is_no_wildcard),
        TEST(test_M02_a_walk_survives_the_removal_of_what_it_sees),
        TEST(test_M02_walks_are_in_order_and_end_at_the_last_address),
        TEST(test_M02_each_owner_has_a_set_of_its_own),
        TEST(test_R6_an_address_is_taken_once),
        TEST(test_M08_what_the_host_keeps_is_not_added),
        TEST(test_C3_an_object_without_references_is_not_taken),
        TEST(test_C6_long_term_holders_are_named_in_every_build),
        TEST(test_C5_the_others_are_named_in_debug_builds),
        TEST(test_C5_many_tags_are_not_lost),
        TEST(test_M12_words_are_never_null),
        TEST(test_A4_what_is_pulled_while_it_is_added_is_known_to_be_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
