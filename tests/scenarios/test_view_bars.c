/* SPDX-License-Identifier: MIT */
/* What of a machine's addresses a guest gets at: F78, F80, F92, K09. */
#include <string.h>

#include "tests/unit/zoo.h"

/* ---- F80: who runs the guest has the last word ---- */

static uint64_t forbidden; /* a page of the host */

static int map_what_is_allowed(void *context, const struct berth_piece *piece)
{
    if (forbidden - piece->host < piece->length)
        return -EPERM;
    return guest_maps_ops.map(context, piece);
}

static int unmap(void *context, const struct berth_piece *piece)
{
    return guest_maps_ops.unmap(context, piece);
}

static const struct berth_view_ops permitting = {.map = map_what_is_allowed, .unmap = unmap};

static void test_F80_what_is_not_permitted_is_not_mapped(void **state)
{
    struct guest_maps maps = {.count = 0};
    const struct berth_view_config config = {
        .ops = &permitting, .context = &maps, .piece_size = ZOO_PIECE};
    struct berth_domain *first = zoo.guest;

    (void)state;
    assert_int_equal(rig_deassign(&zoo.rig, zoo_big, first), 0);
    zoo.guest = rig_guest(&zoo.rig, "vm2");
    assert_int_equal(berth_domain_set_view(zoo.guest, &config), 0);
    assert_int_equal(rig_assign(&zoo.rig, zoo_big, zoo.guest), 0);
    zoo_place(zoo_big);
    forbidden = zoo_host(zoo_big, 4) + 3 * MIB; /* the last piece of its largest BAR */
    assert_false(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(maps.count, 0);
    assert_true(zoo_on(zoo_big, COMMAND_IO)); /* everything else is as it was */
    forbidden = zoo_host(zoo_small, 0);       /* somebody else's */
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(maps.count, ZOO_PIECES);
    rig_destroy_guest(&zoo.rig, zoo.guest);
    assert_int_equal(maps.count, 0);
    zoo.guest = first;
}

/* ---- F92, F80: BARs of lent devices, and nothing else of the host ---- */

static bool is_in_a_bar(const struct berth_piece *piece)
{
    uint64_t start = zoo_host(pcidev_sbdf(piece->dev), piece->bar), size;

    assert_int_equal(sim_bar(zoo.rig.sim, pcidev_sbdf(piece->dev), piece->bar, &start, &size), 0);
    return piece->host >= start && piece->host - start <= size - piece->length &&
           piece->host - start == piece->offset;
}

static void expect_nothing_but_bars(unsigned at_least)
{
    assert_true(zoo.maps.count >= at_least);
    for (unsigned i = 0; i < zoo.maps.count; i++) {
        const struct pcidev_info info = rig_info(&zoo.rig, pcidev_sbdf(zoo.maps.piece[i].dev));

        assert_int_equal(info.owner_kind, BERTH_DOMAIN_GUEST);
        assert_true(is_in_a_bar(&zoo.maps.piece[i]));
    }
}

static void test_F92_nothing_is_mapped_but_bars_of_lent_devices(void **state)
{
    struct sbdf bridge = at(0, 0, 0);

    (void)state;
    assert_int_equal(rig_assign(&zoo.rig, bridge, zoo.guest), -EINVAL); /* with its registers */
    assert_int_equal(rig_assign(&zoo.rig, rig_port, zoo.guest), -EINVAL);
    zoo_place(zoo_big);
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY | COMMAND_IO));
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    expect_nothing_but_bars(ZOO_PIECES + 2);
    /* what the device says of itself afterwards is not asked */
    rig_poke(&zoo.rig, zoo_big, BAR(2), 4, 0xfee00000);
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    for (unsigned i = 0; i < zoo.maps.count; i++)
        assert_int_not_equal(zoo.maps.piece[i].host, 0xfee00000);
}

/* ---- F78: BARs below a page, at any place in it ---- */

static uint32_t hardware(unsigned bar, uint64_t offset)
{
    uint32_t value;

    assert_int_equal(sim_bar_access(zoo.rig.sim, zoo_small, bar, offset, false, &value), 0);
    return value;
}

static void test_F78_another_place_in_the_page_reaches_the_same_registers(void **state)
{
    const uint64_t page = 0xc8000000;
    uint64_t host = zoo_host(zoo_small, 5);

    (void)state;
    zoo_place(zoo_small);
    for (uint64_t offset = 0; offset < BERTH_PAGE_SIZE; offset += 256) {
        assert_true(zoo_off(zoo_small, COMMAND_MEMORY));
        zoo_put(zoo_small, BAR(5), 4, page + offset);
        assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
        assert_int_equal(berth_domain_mmio_write(zoo.guest, page + offset + 8, 4, offset + 1), 0);
        assert_int_equal(hardware(5, 8), offset + 1);
        assert_int_equal(guest_maps_at(&zoo.maps, page), 0); /* with its neighbours: never */
    }
    assert_int_equal(spy.bar_writes, 0);
    assert_true(zoo_host(zoo_small, 5) == host);
}

/* ---- K09: the guest's driver is still about it ---- */

static void expect_ones(uint64_t address)
{
    for (unsigned length = 1; length <= 8; length *= 2) {
        uint64_t value = 0x1122;

        assert_int_equal(berth_domain_mmio_read(zoo.guest, address, length, &value), -ENOENT);
        assert_true(value == UINT64_MAX >> (64 - 8 * length));
        assert_int_equal(berth_domain_mmio_write(zoo.guest, address, length, 0), -ENOENT);
    }
}

static void test_K09_a_device_that_was_taken_away_reads_ones(void **state)
{
    struct sim_counters before, after;

    (void)state;
    zoo_place(zoo_big);
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY) && zoo_on(zoo_small, COMMAND_MEMORY));
    assert_int_equal(rig_remove(&zoo.rig, zoo_big, PCIDEV_REMOVE_FORCE), 0);
    assert_int_equal(rig_deassign(&zoo.rig, zoo_small, zoo.guest), 0);
    assert_int_equal(zoo.maps.count, 0);
    sim_counters(zoo.rig.sim, &before);
    expect_ones(ZOO_BIG_BAR0);          /* was mapped */
    expect_ones(ZOO_BIG_BAR0 + 0x2000); /* was the MSI-X table */
    expect_ones(ZOO_BIG_BAR4 + MIB);
    expect_ones(ZOO_SMALL_BAR5); /* was trapped */
    sim_counters(zoo.rig.sim, &after);
    assert_int_equal(after.bar_reads, before.bar_reads);
    assert_int_equal(after.bar_writes, before.bar_writes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, zoo_setup, zoo_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F80_what_is_not_permitted_is_not_mapped),
        TEST(test_F92_nothing_is_mapped_but_bars_of_lent_devices),
        TEST(test_F78_another_place_in_the_page_reaches_the_same_registers),
        TEST(test_K09_a_device_that_was_taken_away_reads_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
