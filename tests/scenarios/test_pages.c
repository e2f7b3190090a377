/* SPDX-License-Identifier: MIT */
/* Pages of BARs in a guest, and accesses over their ends: X17, X44, X53, X59. */
#include "tests/unit/zoo.h"

#define TABLE 0x2000u /* of MSI-X, in BAR 0 of both devices */
#define TABLE_END (TABLE + 16 * 16)
#define PATTERN UINT64_C(0x1122334455667788)
#define MEM_PREFETCH 0x8u

static uint64_t get(uint64_t address, unsigned length)
{
    uint64_t value = 0;

    assert_int_equal(berth_domain_mmio_read(zoo.guest, address, length, &value), 0);
    return value;
}

static void put(uint64_t address, unsigned length, uint64_t value)
{
    assert_int_equal(berth_domain_mmio_write(zoo.guest, address, length, value), 0);
}

static uint32_t hardware(struct sbdf sbdf, unsigned bar, uint64_t offset)
{
    uint32_t value;

    assert_int_equal(sim_bar_access(zoo.rig.sim, sbdf, bar, offset, false, &value), 0);
    return value;
}

/* ---- X17 ---- */

static void test_X17_a_bar_that_moved_is_gone_from_where_it_was(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    zoo_put(zoo_big, BAR(2), 4, 0xc8000000); /* at once, and not by way of decode off */
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    zoo_put(zoo_big, BAR(2), 4, 0xc8000000);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR2), 0);
    assert_int_equal(guest_maps_at(&zoo.maps, 0xc8000000), zoo_host(zoo_big, 2));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR4), zoo_host(zoo_big, 4));
}

/* ---- X44 ---- */

static void test_X44_a_bar_that_the_device_moves_is_mapped_where_it_was(void **state)
{
    const uint64_t where = zoo_host(zoo_big, 2);

    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR2), where);
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    rig_poke(&zoo.rig, zoo_big, BAR(2), 4, (uint32_t)zoo_host(zoo_small, 3)); /* by a back door */
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR2), where);
}

/* ---- X53: from one emulated region into the next ---- */

/* BAR 0 of zoo_small right behind the one of zoo_big: both have a table in the same place. */
static void place_side_by_side(void)
{
    zoo_place(zoo_big);
    zoo_place(zoo_small);
    zoo_put(zoo_small, BAR(0), 8, ZOO_BIG_BAR0 + 16 * KIB);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
}

static void test_X53_an_access_over_the_end_of_a_table(void **state)
{
    const uint64_t table = ZOO_BIG_BAR0 + TABLE, end = ZOO_BIG_BAR0 + TABLE_END;
    const unsigned last = 16 * 15;

    (void)state;
    place_side_by_side();
    put(table + last, 8, PATTERN);
    for (unsigned length = 2; length <= 8; length *= 2)
        for (unsigned before = 1; before < length; before++) {
            put(end - before, length, UINT64_MAX);   /* starts inside */
            put(table - before, length, UINT64_MAX); /* ends inside */
            (void)get(end - before, length);
            (void)get(table - before, length);
        }
    /* bits 0 and 1 are no address */
    assert_int_equal(get(table + last, 8), PATTERN & ~UINT64_C(3));
    assert_int_equal(get(table + last + 12, 4), 1);
    assert_int_equal(get(table, 4), 0xfffffffc); /* which was in an access that ended there */
    assert_int_equal(get(table + 4, 4), 0);
    assert_int_equal(get(table + 8, 4), 0);
    assert_int_equal(get(table + 12, 4), 1);
}

static void test_X53_an_access_from_one_device_into_the_next(void **state)
{
    const uint64_t border = ZOO_BIG_BAR0 + 16 * KIB;
    const uint64_t other_table = border + TABLE;

    (void)state;
    place_side_by_side();
    put(other_table, 8, PATTERN);
    put(border - 16, 8, 0); /* the last page of zoo_big's BAR: its PBA is there, and read-only */
    for (unsigned length = 2; length <= 8; length *= 2)
        for (unsigned before = 1; before < length; before++) {
            put(border, 4, 0);
            put(border - before, length, UINT64_MAX);
            /* what is behind the border, and no more of it, is the other device's */
            assert_int_equal(hardware(zoo_small, 0, 0),
                             (uint32_t)((UINT64_C(1) << 8 * (length - before)) - 1));
        }
    assert_int_equal(get(other_table, 8), PATTERN & ~UINT64_C(3));
}

/* ---- X59: one page, one kind of access ---- */

static unsigned attributes_checked;

static void expect_attributes(struct sbdf sbdf)
{
    struct pcidev *dev = rig_dev(&zoo.rig, sbdf);

    for (unsigned i = 0; i < zoo.maps.count; i++) {
        const struct berth_piece *piece = &zoo.maps.piece[i];
        uint32_t bar;

        if (piece->dev != dev)
            continue;
        if (piece->bar == BERTH_BAR_ROM) {
            assert_false(piece->prefetchable);
        } else {
            bar = rig_peek(&zoo.rig, sbdf, BAR(piece->bar), 4);
            assert_int_equal(piece->prefetchable, !!(bar & MEM_PREFETCH));
        }
        attributes_checked++;
    }
    rig_put(dev);
}

/* The guest says "prefetchable" of everything; what counts is what the hardware says. */
static void test_X59_a_page_is_mapped_as_the_hardware_says(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    zoo_put(zoo_big, BAR(2), 4, ZOO_BIG_BAR2 | MEM_PREFETCH);
    zoo_put(zoo_big, BAR(4), 8, ZOO_BIG_BAR4 | MEM_PREFETCH);
    zoo_put(zoo_big, BAR(0), 4, (uint32_t)ZOO_BIG_BAR0);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    attributes_checked = 0;
    expect_attributes(zoo_big);
    assert_int_equal(attributes_checked, zoo.maps.count);
    assert_true(attributes_checked > 3);
}

/* The host's own accesses are to pages that no guest has. */
static void test_X59_what_the_host_touches_is_not_mapped(void **state)
{
    const uint64_t table = zoo_host(zoo_big, 0) + TABLE;

    (void)state;
    zoo_place(zoo_big);
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    for (unsigned i = 0; i < zoo.maps.count; i++)
        assert_false(table - zoo.maps.piece[i].host < zoo.maps.piece[i].length);
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0), zoo_host(zoo_big, 0));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR0 + TABLE), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, zoo_setup, zoo_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_X17_a_bar_that_moved_is_gone_from_where_it_was),
        TEST(test_X44_a_bar_that_the_device_moves_is_mapped_where_it_was),
        TEST(test_X53_an_access_over_the_end_of_a_table),
        TEST(test_X53_an_access_from_one_device_into_the_next),
        TEST(test_X59_a_page_is_mapped_as_the_hardware_says),
        TEST(test_X59_what_the_host_touches_is_not_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
