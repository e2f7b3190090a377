/* SPDX-License-Identifier: MIT */
#include "tests/unit/zoo.h"

#include <string.h>

const struct sbdf zoo_big = {0, 7, 0}, zoo_small = {0, 8, 0};

struct zoo zoo;

struct berth_domain *zoo_guest(const char *name, struct guest_maps *maps,
                               const struct berth_window *windows, uint32_t window_count)
{
    const struct berth_view_config config = {
        .ops = &guest_maps_ops,
        .context = maps,
        .piece_size = ZOO_PIECE,
        .windows = windows,
        .window_count = window_count,
    };
    struct berth_domain *guest = rig_guest(&zoo.rig, name);

    assert_int_equal(berth_domain_set_view(guest, &config), 0);
    return guest;
}

static void build(struct machine_builder *b)
{
    struct capture_function *f;

    mb_root_port(b, at(0, 6, 0), 7, 7);
    f = mb_endpoint(b, zoo_big);
    mb_bar(f, 2, MB_BAR_MEM32, 64 * KIB);
    mb_bar(f, 3, MB_BAR_IO, 32);
    mb_bar(f, 4, MB_BAR_MEM64, 4 * MIB);
    mb_rom(f, 64 * KIB);
    mb_root_port(b, at(0, 7, 0), 8, 8);
    f = mb_endpoint(b, zoo_small);
    mb_bar(f, 2, MB_BAR_MEM32, 4 * KIB);
    mb_bar(f, 3, MB_BAR_MEM32, 8 * KIB);
    mb_bar(f, 4, MB_BAR_MEM32, 2 * KIB);
    mb_bar(f, 5, MB_BAR_MEM32, 256);
}

int zoo_setup(void **state)
{
    (void)state;
    memset(&zoo.maps, 0, sizeof(zoo.maps));
    rig_begin(&zoo.rig);
    rig_standard(&zoo.rig);
    build(&zoo.rig.builder);
    rig_up(&zoo.rig, spy_configure);
    zoo.guest = zoo_guest("vm1", &zoo.maps, NULL, 0);
    assert_int_equal(rig_assign(&zoo.rig, zoo_big, zoo.guest), 0);
    assert_int_equal(rig_assign(&zoo.rig, zoo_small, zoo.guest), 0);
    spy_clear();
    return 0;
}

/* The golden rule, and what must not have happened in any of the tests. */
int zoo_teardown(void **state)
{
    struct sim_counters counters;

    (void)state;
    if (zoo.guest)
        rig_destroy_guest(&zoo.rig, zoo.guest);
    assert_int_equal(zoo.maps.count, 0);
    assert_int_equal(zoo.maps.maps, zoo.maps.unmaps);
    sim_counters(zoo.rig.sim, &counters);
    assert_int_equal(counters.bar_decode_off, 0);
    assert_int_equal(counters.touches_resetting, 0);
    rig_down(&zoo.rig);
    return 0;
}

uint64_t zoo_get(struct sbdf sbdf, unsigned reg, unsigned length)
{
    return berth_domain_config_read(zoo.guest, rig_seen(&zoo.rig, sbdf), reg, length);
}

void zoo_put(struct sbdf sbdf, unsigned reg, unsigned length, uint64_t value)
{
    berth_domain_config_write(zoo.guest, rig_seen(&zoo.rig, sbdf), reg, length, value);
}

void zoo_place(struct sbdf sbdf)
{
    bool big = sbdf_equal(sbdf, zoo_big);

    zoo_put(sbdf, BAR(0), 8, big ? ZOO_BIG_BAR0 : ZOO_SMALL_BAR0);
    zoo_put(sbdf, BAR(2), 4, big ? ZOO_BIG_BAR2 : ZOO_SMALL_BAR2);
    zoo_put(sbdf, BAR(3), 4, big ? ZOO_BIG_BAR3 : ZOO_SMALL_BAR3);
    zoo_put(sbdf, BAR(4), 4, big ? ZOO_BIG_BAR4 & UINT32_MAX : ZOO_SMALL_BAR4);
    zoo_put(sbdf, BAR(5), 4, big ? ZOO_BIG_BAR4 >> 32 : ZOO_SMALL_BAR5);
}

bool zoo_on(struct sbdf sbdf, uint32_t bits)
{
    zoo_put(sbdf, COMMAND, 2, zoo_get(sbdf, COMMAND, 2) | bits);
    return (zoo_get(sbdf, COMMAND, 2) & bits) == bits;
}

bool zoo_off(struct sbdf sbdf, uint32_t bits)
{
    zoo_put(sbdf, COMMAND, 2, zoo_get(sbdf, COMMAND, 2) & ~(uint64_t)bits);
    return !(zoo_get(sbdf, COMMAND, 2) & bits);
}

uint64_t zoo_host(struct sbdf sbdf, unsigned bar)
{
    uint64_t start, size;

    assert_int_equal(sim_bar(zoo.rig.sim, sbdf, bar, &start, &size), 0);
    return start;
}

static void expect_mapped(unsigned bar, uint64_t guest, uint64_t length)
{
    uint64_t host = zoo_host(zoo_big, bar);

    for (uint64_t offset = 0; offset < length; offset += BERTH_PAGE_SIZE)
        assert_int_equal(guest_maps_at(&zoo.maps, guest + offset), host + offset);
}

void zoo_expect_big_mapped(void)
{
    struct pcidev *dev = rig_dev(&zoo.rig, zoo_big);

    expect_mapped(0, ZOO_BIG_BAR0, 8 * KIB);
    expect_mapped(2, ZOO_BIG_BAR2, 64 * KIB);
    expect_mapped(4, ZOO_BIG_BAR4, 4 * MIB);
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 0), 8 * KIB);
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 2), 64 * KIB);
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 4), 4 * MIB);
    for (unsigned bar = 1; bar < BERTH_BAR_COUNT; bar += bar < 5 ? 2 : 1)
        assert_int_equal(guest_maps_bytes(&zoo.maps, dev, bar), 0);
    rig_put(dev);
}

void zoo_expect_unmapped(struct sbdf sbdf)
{
    for (unsigned i = 0; i < zoo.maps.count; i++)
        assert_false(sbdf_equal(pcidev_sbdf(zoo.maps.piece[i].dev), sbdf));
}
