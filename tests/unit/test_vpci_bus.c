/* SPDX-License-Identifier: MIT */
/* A guest's virtual bus: who is where, and who gets which slot (V1, M46, F94). */
#include "tests/unit/rig.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HEADER_TYPE 0x0e
#define MULTIFUNCTION 0x80u
#define DEVICES 40u
#define MANY 300u

static struct rig rig;
static struct berth_domain *guest, *guest2;

/* Devices of one function each, told apart by their ids; and one device with four functions. */
static struct sbdf single(unsigned i)
{
    return at(1 + i / 20, i % 20, 0);
}

static struct sbdf part(unsigned function)
{
    return at(4, 0, function);
}

static uint64_t id_of(unsigned i)
{
    return (UINT64_C(0x0100) + i) << 16 | 0x1b36;
}

static void leave_groups_alone(struct berth_machine_config *config)
{
    config->policy.shared_groups = true; /* four functions of one device, lent one by one */
}

static int setup(void **state)
{
    (void)state;
    rig_begin(&rig);
    for (unsigned i = 0; i < DEVICES; i++)
        mb_put(mb_rc_endpoint(&rig.builder, single(i)), 2, 2, 0x0100 + i);
    for (unsigned i = 0; i < 4; i++)
        mb_put(mb_rc_endpoint(&rig.builder, part(i)), HEADER_TYPE, 1, MULTIFUNCTION);
    rig_up(&rig, leave_groups_alone);
    guest = rig_guest(&rig, "vm1");
    guest2 = rig_guest(&rig, "vm2");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_destroy_guest(&rig, guest2);
    rig_destroy_guest(&rig, guest);
    rig_down(&rig);
    return 0;
}

static void set_view(struct berth_domain *domain, const struct berth_view_config *config)
{
    assert_int_equal(berth_domain_set_view(domain, config), 0);
}

static uint64_t id_at(struct berth_domain *domain, struct sbdf sbdf)
{
    return berth_domain_config_read(domain, sbdf, 0, 4);
}

static void expect_at(struct berth_domain *domain, struct sbdf sbdf, struct sbdf host)
{
    struct pcidev *dev = berth_domain_device_at(domain, sbdf, "expected");

    assert_non_null(dev);
    assert_true(sbdf_equal(pcidev_sbdf(dev), host));
    assert_true(berth_domain_answers(domain, sbdf));
    assert_true(sbdf_equal(rig_seen(&rig, host), sbdf));
    assert_true(rig_info(&rig, host).has_guest_address);
    assert_true(sbdf_equal(rig_info(&rig, host).guest_address, sbdf));
    pcidev_put(dev, "expected");
}

static void expect_nothing_at(struct berth_domain *domain, struct sbdf sbdf)
{
    assert_null(berth_domain_device_at(domain, sbdf, "unexpected"));
    assert_false(berth_domain_answers(domain, sbdf));
    assert_int_equal(id_at(domain, sbdf), UINT32_MAX);
}

/* ---- where devices are ---- */

static void test_V1_a_device_is_where_its_guest_has_it_and_nowhere_else(void **state)
{
    struct sbdf seen;

    (void)state;
    assert_true(sbdf_equal(rig_seen(&rig, single(0)), rig_nowhere));
    assert_false(rig_info(&rig, single(0)).has_guest_address);
    assert_int_equal(rig_assign_at(&rig, single(0), guest, at(3, 7, 0)), 0);
    seen = rig_seen(&rig, single(0));
    assert_true(sbdf_equal(seen, at(3, 7, 0)));
    expect_at(guest, seen, single(0));
    assert_int_equal(id_at(guest, seen), id_of(0));
    assert_int_equal(rig_reach(guest), 1);
    assert_int_equal(rig_reach(guest2), 0);
    expect_nothing_at(guest, single(0));
    expect_nothing_at(guest2, seen);
    expect_nothing_at(guest2, single(0));
    expect_nothing_at(guest, sbdf_make(1, 3, 7, 0));
    assert_false(berth_domain_answers(berth_machine_hwdom(rig.machine), single(1)));
}

static void test_M46_slots_are_found_on_the_root_buses(void **state)
{
    static const struct berth_view_config config = {
        .segment = 5, .first_bus = 0x40, .bus_count = 2};
    struct sbdf before = rig_nowhere;

    (void)state;
    set_view(guest, &config);
    for (unsigned i = 0; i < DEVICES; i++) {
        struct sbdf seen;

        assert_int_equal(rig_assign(&rig, single(i), guest), 0);
        seen = rig_seen(&rig, single(i));
        assert_int_equal(seen.segment, 5);
        assert_in_range(seen.bus, 0x40, 0x41);
        assert_int_equal(sbdf_function(seen), 0);
        assert_false(sbdf_equal(seen, before));
        expect_at(guest, seen, single(i));
        assert_int_equal(id_at(guest, seen), id_of(i));
        before = seen;
    }
    for (unsigned i = 0; i < DEVICES; i++) /* and all of them are where they were */
        assert_int_equal(id_at(guest, rig_seen(&rig, single(i))), id_of(i));
    expect_nothing_at(guest, at(0x40, 1, 0));
}

static void test_M46_the_first_slot_is_the_host_bridges(void **state)
{
    static const struct berth_view_config without = {.no_host_bridge = true};

    (void)state;
    assert_int_equal(rig_assign(&rig, single(0), guest), 0);
    assert_false(sbdf_equal(rig_seen(&rig, single(0)), at(0, 0, 0)));
    assert_true(berth_domain_answers(guest, at(0, 0, 0)));
    assert_null(berth_domain_device_at(guest, at(0, 0, 0), "bridge"));
    assert_int_equal(berth_domain_config_read(guest, at(0, 0, 0), 0x0a, 2), 0x0600);
    rig_expect_refused(&rig, rig_assign_at(&rig, single(1), guest, at(0, 0, 0)), -EBUSY,
                       BERTH_REASON_SLOT_TAKEN);
    set_view(guest2, &without);
    assert_int_equal(rig_assign_at(&rig, single(1), guest2, at(0, 0, 0)), 0);
    expect_at(guest2, at(0, 0, 0), single(1));
}

static void test_M46_two_guests_have_the_same_addresses(void **state)
{
    const struct sbdf seat[] = {at(0, 5, 0), at(7, 31, 0)};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_assign_at(&rig, single(i), guest, seat[i]), 0);
        assert_int_equal(rig_assign_at(&rig, single(10 + i), guest2, seat[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(id_at(guest, seat[i]), id_of(i));
        assert_int_equal(id_at(guest2, seat[i]), id_of(10 + i));
    }
    berth_domain_config_write(guest, seat[0], 0x3c, 1, 0x11);
    assert_int_equal(berth_domain_config_read(guest2, seat[0], 0x3c, 1), 0);
    assert_int_equal(rig_remove(&rig, single(0), PCIDEV_REMOVE_FORCE), 0);
    expect_nothing_at(guest, seat[0]);
    assert_int_equal(id_at(guest2, seat[0]), id_of(10));
}

/* ---- slots that are refused ---- */

static void expect_no_seat(struct sbdf seat, int error, enum berth_reason reason)
{
    const struct rig_state before = rig_remember(&rig, single(0));
    const unsigned reach = rig_reach(guest);
    char text[256];

    rig_expect_refused(&rig, rig_assign_at(&rig, single(0), guest, seat), error, reason);
    assert_true(rig.why.has_other);
    assert_true(sbdf_equal(rig.why.other, seat));
    assert_true(berth_refusal_text(&rig.why, text, sizeof(text)) < sizeof(text));
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_reach(guest), reach);
}

static void test_M46_slots_that_a_guest_would_not_look_at(void **state)
{
    static const struct berth_view_config config = {.first_bus = 2, .bus_count = 3};
    const struct sbdf bad[] = {at(1, 1, 0), at(5, 1, 0), at(255, 1, 0), sbdf_make(1, 2, 1, 0),
                               at(2, 9, 1), at(2, 9, 7), rig_nowhere};

    (void)state;
    set_view(guest, &config);
    for (unsigned i = 0; i < COUNT(bad); i++)
        expect_no_seat(bad[i], -EINVAL, BERTH_REASON_BAD_SLOT);
    assert_int_equal(rig_assign_at(&rig, single(0), guest, at(4, 31, 0)), 0);
}

static void test_M46_slots_that_are_taken(void **state)
{
    const struct sbdf seat = at(1, 9, 0);

    (void)state;
    assert_int_equal(rig_assign_at(&rig, single(1), guest, seat), 0);
    expect_no_seat(seat, -EBUSY, BERTH_REASON_SLOT_TAKEN);
    assert_int_equal(id_at(guest, seat), id_of(1));
    assert_int_equal(rig_assign_at(&rig, single(0), guest, at(1, 9, 3)), 0); /* beside it */
    assert_int_equal(rig_reach(guest), 2);
}

/* F94: the 33rd device, on one bus. */
static void test_F94_no_slot_is_left(void **state)
{
    static const struct berth_view_config config = {.bus_count = 1, .no_host_bridge = true};
    struct rig_state before;
    struct sbdf freed;

    (void)state;
    set_view(guest, &config);
    for (unsigned i = 0; i < 32; i++)
        assert_int_equal(rig_assign(&rig, single(i), guest), 0);
    before = rig_remember(&rig, single(32));
    rig_expect_refused(&rig, rig_assign(&rig, single(32), guest), -ENOSPC, BERTH_REASON_NO_SLOT);
    assert_string_equal(rig.why.domain, "vm1");
    rig_expect_as_before(&rig, &before);
    assert_int_equal(rig_reach(guest), 32);

    freed = rig_seen(&rig, single(17));
    assert_int_equal(rig_deassign(&rig, single(17), guest), 0);
    assert_int_equal(rig_assign(&rig, single(32), guest), 0);
    expect_at(guest, freed, single(32));
    assert_int_equal(id_at(guest, freed), id_of(32));
}

static void test_M46_a_slot_is_free_again_however_its_device_left(void **state)
{
    const struct sbdf seat = at(2, 2, 0);

    (void)state;
    assert_int_equal(rig_assign_at(&rig, single(0), guest, seat), 0);
    assert_int_equal(rig_deassign(&rig, single(0), guest), 0);
    expect_nothing_at(guest, seat);
    assert_int_equal(rig_assign_at(&rig, single(1), guest, seat), 0);
    assert_int_equal(rig_remove(&rig, single(1), PCIDEV_REMOVE_FORCE), 0);
    expect_nothing_at(guest, seat);
    assert_int_equal(rig_assign_at(&rig, single(2), guest, seat), 0);
    rig_pull(&rig, single(2));
    assert_false(berth_domain_answers(guest, seat));
    assert_int_equal(id_at(guest, seat), UINT32_MAX);
    rig_expect_refused(&rig, rig_assign_at(&rig, single(3), guest, seat), -EBUSY,
                       BERTH_REASON_SLOT_TAKEN); /* until the orderly removal */
    assert_int_equal(rig_remove(&rig, single(2), PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_assign_at(&rig, single(3), guest, seat), 0);
    assert_int_equal(id_at(guest, seat), id_of(3));
}

static void test_R7_a_loan_that_fails_takes_no_slot(void **state)
{
    const struct sbdf seat = at(2, 2, 0);

    (void)state;
    for (unsigned nth = 1; nth <= 3; nth++) {
        sim_fail(rig.sim, SIM_OP_CONFIG_WRITE, nth, 0, 0);
        assert_int_not_equal(rig_assign_at(&rig, single(0), guest, seat), 0);
        assert_true(sim_failed(rig.sim, SIM_OP_CONFIG_WRITE));
        expect_nothing_at(guest, seat);
        if (rig_info(&rig, single(0)).broken)
            break;
    }
    assert_int_equal(rig_assign_at(&rig, single(1), guest, seat), 0);
    expect_at(guest, seat, single(1));
}

static void test_M46_the_hardware_domain_has_no_slots(void **state)
{
    struct berth_domain *hwdom = berth_machine_hwdom(rig.machine);

    (void)state;
    rig_quarantine(&rig, single(0));
    assert_int_equal(rig_assign_at(&rig, single(0), hwdom, at(200, 5, 5)), 0);
    assert_int_equal(id_at(hwdom, single(0)), id_of(0));
    assert_int_equal(id_at(hwdom, at(200, 5, 5)), UINT32_MAX);
    assert_true(sbdf_equal(rig_seen(&rig, single(0)), rig_nowhere));
}

/* ---- several functions ---- */

static bool says_multifunction(struct sbdf host)
{
    return berth_domain_config_read(guest, rig_seen(&rig, host), HEADER_TYPE, 1) & MULTIFUNCTION;
}

static void test_M46_functions_of_one_device_stay_together(void **state)
{
    struct sbdf first;

    (void)state;
    assert_int_equal(rig_assign(&rig, part(0), guest), 0);
    first = rig_seen(&rig, part(0));
    assert_false(says_multifunction(part(0)));
    assert_int_equal(rig_assign(&rig, single(0), guest), 0);
    assert_int_equal(rig_assign(&rig, part(2), guest), 0);
    assert_true(sbdf_equal(rig_seen(&rig, part(2)),
                           at(first.bus, sbdf_device(first), sbdf_function(part(2)))));
    assert_true(says_multifunction(part(0)) && says_multifunction(part(2)));
    assert_false(says_multifunction(single(0)));
    assert_int_equal(rig_assign(&rig, part(1), guest), 0);
    assert_int_equal(rig_reach(guest), 4);

    assert_int_equal(rig_deassign(&rig, part(2), guest), 0);
    assert_true(says_multifunction(part(0)) && says_multifunction(part(1)));
    assert_int_equal(rig_reset(&rig, part(1)), 0);
    assert_true(says_multifunction(part(0)) && says_multifunction(part(1)));
    assert_int_equal(rig_remove(&rig, part(1), PCIDEV_REMOVE_FORCE), 0);
    assert_false(says_multifunction(part(0)));
}

static void test_M46_a_function_whose_first_is_elsewhere_is_a_device(void **state)
{
    (void)state;
    assert_int_equal(rig_assign(&rig, part(0), guest2), 0);
    assert_int_equal(rig_assign(&rig, part(3), guest), 0); /* it is found as function 0 */
    assert_int_equal(sbdf_function(rig_seen(&rig, part(3))), 0);
    assert_false(says_multifunction(part(3)));
    assert_int_equal(rig_reach(guest), 1);
}

static void test_M46_any_devices_can_be_functions_of_one_slot(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(rig_assign_at(&rig, single(i), guest, at(6, 6, i)), 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(id_at(guest, at(6, 6, i)), id_of(i));
        assert_true(says_multifunction(single(i)));
    }
    assert_int_equal(rig_reach(guest), 8);
    for (unsigned i = 1; i < 8; i++)
        assert_int_equal(rig_deassign(&rig, single(i), guest), 0);
    assert_false(says_multifunction(single(0)));
}

/* ---- many devices ---- */

static int setup_many(void **state)
{
    (void)state;
    rig_begin(&rig);
    mb_many(&rig.builder, MANY);
    for (unsigned i = 0; i < MANY; i++)
        mb_put(&rig.builder.capture.functions[i], 2, 2, 0x0100 + i);
    rig_up(&rig, leave_groups_alone);
    guest = rig_guest(&rig, "vm1");
    guest2 = rig_guest(&rig, "vm2");
    return 0;
}

static void test_M46_hundreds_of_devices_in_one_guest(void **state)
{
    static const struct berth_view_config config = {.bus_count = 16};

    (void)state;
    set_view(guest, &config);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(rig_assign(&rig, sbdf_from_key(i), guest), 0);
    for (unsigned i = 0; i < MANY; i++) {
        const struct sbdf seen = rig_seen(&rig, sbdf_from_key(i));

        assert_int_equal(id_at(guest, seen), id_of(i));
        expect_at(guest, seen, sbdf_from_key(i));
    }
    assert_int_equal(rig_reach(guest), MANY);
    for (unsigned i = 0; i < MANY; i += 3)
        assert_int_equal(rig_deassign(&rig, sbdf_from_key(i), guest), 0);
    assert_int_equal(rig_reach(guest), MANY - MANY / 3);
    for (unsigned i = 1; i < MANY; i += 3)
        assert_int_equal(id_at(guest, rig_seen(&rig, sbdf_from_key(i))), id_of(i));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_V1_a_device_is_where_its_guest_has_it_and_nowhere_else),
        TEST(test_M46_slots_are_found_on_the_root_buses),
        TEST(test_M46_the_first_slot_is_the_host_bridges),
        TEST(test_M46_two_guests_have_the_same_addresses),
        TEST(test_M46_slots_that_a_guest_would_not_look_at),
        TEST(test_M46_slots_that_are_taken),
        TEST(test_F94_no_slot_is_left),
        TEST(test_M46_a_slot_is_free_again_however_its_device_left),
        TEST(test_R7_a_loan_that_fails_takes_no_slot),
        TEST(test_M46_the_hardware_domain_has_no_slots),
        TEST(test_M46_functions_of_one_device_stay_together),
        TEST(test_M46_a_function_whose_first_is_elsewhere_is_a_device),
        TEST(test_M46_any_devices_can_be_functions_of_one_slot),
        cmocka_unit_test_setup_teardown(test_M46_hundreds_of_devices_in_one_guest, setup_many,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
