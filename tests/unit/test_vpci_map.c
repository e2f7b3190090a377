/* SPDX-License-Identifier: MIT */
/* What a guest can reach of BARs, and what may go wrong on the way (M42): F79-F81, M48. */
#include "tests/unit/zoo.h"

#define DECODE (COMMAND_IO | COMMAND_MEMORY)

static unsigned fail_alloc; /* the nth call from now on, 0: none */

void *__real_port_alloc(size_t size);
void *__wrap_port_alloc(size_t size);

void *__wrap_port_alloc(size_t size)
{
    if (fail_alloc && !--fail_alloc)
        return NULL;
    return __real_port_alloc(size);
}

static bool memory_is_on(struct sbdf sbdf)
{
    return zoo_get(sbdf, COMMAND, 2) & COMMAND_MEMORY;
}

static unsigned complaints(void)
{
    return rig_count_events(&zoo.rig, BERTH_EVENT_VIEW);
}

/* ---- what is mapped ---- */

static void test_pages_are_mapped_where_the_guest_says(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    assert_int_equal(zoo.maps.maps, 0);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    zoo_expect_big_mapped();
    assert_int_equal(zoo.maps.maps, ZOO_PIECES);
    assert_true(zoo_on(zoo_big, COMMAND_IO)); /* ports are trapped */
    assert_int_equal(zoo.maps.maps, ZOO_PIECES);
    for (unsigned i = 0; i < zoo.maps.count; i++) {
        assert_in_range(zoo.maps.piece[i].length, BERTH_PAGE_SIZE, ZOO_PIECE);
        assert_int_equal(zoo.maps.piece[i].prefetchable, zoo.maps.piece[i].bar == 0); /* X59 */
    }
    assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
    zoo_expect_unmapped(zoo_big);
    zoo_put(zoo_big, BAR(5), 4, 0x40);
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    assert_int_equal(guest_maps_at(&zoo.maps, UINT64_C(0x4000000000)), zoo_host(zoo_big, 4));
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_BIG_BAR4), 0);
}

/* F81, M48: one page, two pages, less than a page; two BARs in one page of the guest's. */
static void test_F81_M48_a_page_is_mapped_and_less_is_trapped(void **state)
{
    struct pcidev *dev = rig_dev(&zoo.rig, zoo_small);

    (void)state;
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 2), 4 * KIB);
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 3), 8 * KIB);
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 4), 0);
    assert_int_equal(guest_maps_bytes(&zoo.maps, dev, 5), 0);
    assert_int_equal(guest_maps_at(&zoo.maps, ZOO_SMALL_BAR4), 0);
    rig_put(dev);
}

static void test_a_VMM_that_cannot_take_back_is_given_nothing(void **state)
{
    const struct berth_view_ops no_unmap = {.map = guest_maps_ops.map};
    const struct berth_view_config configs[] = {{.ops = NULL}, {.ops = &no_unmap}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct berth_domain *other = rig_guest(&zoo.rig, "vm2"), *first = zoo.guest;
        uint64_t value;

        assert_int_equal(berth_domain_set_view(other, &configs[i]), 0);
        assert_int_equal(rig_assign(&zoo.rig, rig_nvme, other), 0);
        zoo.guest = other;
        zoo_put(rig_nvme, BAR(0), 8, ZOO_BIG_BAR0);
        assert_true(zoo_on(rig_nvme, COMMAND_MEMORY));
        assert_int_equal(berth_domain_mmio_read(other, ZOO_BIG_BAR0, 4, &value), 0);
        zoo.guest = first;
        rig_destroy_guest(&zoo.rig, other);
    }
}

/* ---- where a BAR may be ---- */

static void test_addresses_that_nobody_could_mean(void **state)
{
    static const struct {
        unsigned reg, length;
        uint64_t value;
        uint32_t bit;
        bool fine;
    } places[] = {
        {BAR(2), 4, 0, COMMAND_MEMORY, false},
        {BAR(4), 8, 0, COMMAND_MEMORY, false},
        {BAR(4), 8, UINT64_C(0xffffffffffc00000), COMMAND_MEMORY, false}, /* to the very end */
        {BAR(4), 8, UINT64_C(0xffffffffff800000), COMMAND_MEMORY, true},
        {BAR(2), 4, 0xffff0000, COMMAND_MEMORY, true},
        {BAR(2), 4, 0x10000, COMMAND_MEMORY, true},
        {BAR(3), 4, 0, COMMAND_IO, false},
        {BAR(3), 4, 0xffe0, COMMAND_IO, true},
        {BAR(3), 4, 0x10000, COMMAND_IO, false},
        {BAR(3), 4, 0xffffffe0, COMMAND_IO, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        zoo_place(zoo_big);
        zoo_put(zoo_big, places[i].reg, places[i].length, places[i].value);
        assert_int_equal(zoo_on(zoo_big, places[i].bit), places[i].fine);
        assert_true(zoo_off(zoo_big, places[i].bit));
        zoo_expect_unmapped(zoo_big);
    }
}

/* F80: never over RAM and what else the VMM keeps for itself. */
static void test_F80_only_in_the_windows(void **state)
{
    static const struct berth_window windows[] = {
        {.start = 0xc0000000, .length = 0x20000},
        {.start = 0xc0020000, .length = 0x20000}, /* what spans two of them is in neither */
        {.start = UINT64_C(0x1000000000), .length = UINT64_C(0x10000000000)},
        {.start = 0xc2000000, .length = 0x8000}, /* too small for it */
        {.start = 0x4000, .length = 0x1000},     /* memory */
        {.start = 0x3000, .length = 0x40, .io = 1},
    };
    static const struct {
        unsigned reg;
        uint32_t value, bit;
        bool fine;
    } places[] = {
        {BAR(2), 0xc0000000, COMMAND_MEMORY, true},  {BAR(2), 0xc0010000, COMMAND_MEMORY, true},
        {BAR(2), 0xc0030000, COMMAND_MEMORY, true},  {BAR(2), 0xc0040000, COMMAND_MEMORY, false},
        {BAR(2), 0xbfff0000, COMMAND_MEMORY, false}, {BAR(2), 0x10000, COMMAND_MEMORY, false},
        {BAR(3), 0x3000, COMMAND_IO, true},          {BAR(3), 0x3020, COMMAND_IO, true},
        {BAR(3), 0x3040, COMMAND_IO, false},         {BAR(3), 0x2fe0, COMMAND_IO, false},
        {BAR(0), 0xc0000000, COMMAND_MEMORY, true},  {BAR(2), 0xc2000000, COMMAND_MEMORY, false},
        {BAR(3), 0x4000, COMMAND_IO, false},
    };
    struct berth_domain *first = zoo.guest;
    struct guest_maps maps = {.count = 0};

    (void)state;
    assert_int_equal(rig_deassign(&zoo.rig, zoo_big, zoo.guest), 0);
    zoo.guest = zoo_guest("vm2", &maps, windows, 6);
    assert_int_equal(rig_assign(&zoo.rig, zoo_big, zoo.guest), 0);
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        zoo_place(zoo_big);
        zoo_put(zoo_big, BAR(2), 4, 0xc0020000);
        zoo_put(zoo_big, places[i].reg, 4, places[i].value);
        assert_int_equal(zoo_on(zoo_big, places[i].bit), places[i].fine);
        assert_int_equal(maps.count > 0, places[i].fine && places[i].bit == COMMAND_MEMORY);
        assert_true(zoo_off(zoo_big, DECODE));
    }
    rig_destroy_guest(&zoo.rig, zoo.guest);
    assert_int_equal(maps.count, 0);
    zoo.guest = first;
}

/* Whoever comes second is refused, and stays as it was. */
static void test_two_BARs_in_one_place(void **state)
{
    const struct sbdf order[2][2] = {{zoo_big, zoo_small}, {zoo_small, zoo_big}};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        unsigned said = complaints(), maps;

        zoo_place(zoo_big);
        zoo_place(zoo_small);
        zoo_put(zoo_small, BAR(2), 4, ZOO_BIG_BAR2 + 0xf000);
        assert_true(zoo_on(order[i][0], COMMAND_MEMORY));
        maps = zoo.maps.count;
        assert_false(zoo_on(order[i][1], COMMAND_MEMORY));
        assert_int_equal(zoo.maps.count, maps);
        assert_int_equal(complaints(), said + 1);
        assert_true(memory_is_on(order[i][0]));
        assert_true(zoo_off(order[i][0], COMMAND_MEMORY));
        assert_true(zoo_on(order[i][1], COMMAND_MEMORY));
        assert_true(zoo_off(order[i][1], COMMAND_MEMORY));
    }
    zoo_put(zoo_small, BAR(2), 4, ZOO_BIG_BAR2 + 0x10000); /* next to one another */
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
}

static void test_two_BARs_of_one_device_in_one_place(void **state)
{
    (void)state;
    zoo_place(zoo_small);
    zoo_put(zoo_small, BAR(5), 4, ZOO_SMALL_BAR4 + 0x700);
    assert_false(zoo_on(zoo_small, COMMAND_MEMORY));
    zoo_expect_unmapped(zoo_small);
    zoo_put(zoo_small, BAR(5), 4, ZOO_SMALL_BAR4 + 0x800);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
}

static void test_another_guest_has_addresses_of_its_own(void **state)
{
    struct berth_domain *first = zoo.guest;
    struct guest_maps maps = {.count = 0};

    (void)state;
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, DECODE));
    assert_int_equal(rig_deassign(&zoo.rig, zoo_small, zoo.guest), 0);
    zoo.guest = zoo_guest("vm2", &maps, NULL, 0);
    assert_int_equal(rig_assign(&zoo.rig, zoo_small, zoo.guest), 0);
    zoo_place(zoo_small);
    zoo_put(zoo_small, BAR(2), 4, ZOO_BIG_BAR2);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    assert_int_equal(guest_maps_at(&maps, ZOO_BIG_BAR2), zoo_host(zoo_small, 2));
    rig_destroy_guest(&zoo.rig, zoo.guest);
    assert_int_equal(maps.count, 0);
    zoo.guest = first;
    zoo_expect_big_mapped();
}

/* ---- failures ---- */

/* F79: the bit reads off, nothing is left, everything else is as it was. */
static void test_F79_a_map_that_fails_at_any_piece(void **state)
{
    (void)state;
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    zoo_place(zoo_big);
    assert_true(zoo_on(zoo_big, COMMAND_IO | COMMAND_MASTER));
    for (unsigned k = 1; k <= ZOO_PIECES; k++) {
        unsigned said = complaints(), mapped = zoo.maps.count;

        zoo.maps.fail_map = k;
        assert_false(zoo_on(zoo_big, COMMAND_MEMORY));
        assert_int_equal(zoo.maps.fail_map, 0);
        assert_int_equal(zoo.maps.count, mapped);
        zoo_expect_unmapped(zoo_big);
        assert_int_equal(zoo_get(zoo_big, COMMAND, 2), COMMAND_IO | COMMAND_MASTER);
        assert_int_equal(zoo_get(zoo_big, BAR(4), 8), ZOO_BIG_BAR4 | 4);
        assert_true(memory_is_on(zoo_small));
        assert_int_equal(complaints(), said + 1);
    }
    assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
    zoo_expect_big_mapped();
}

/* Each of its BARs has a range, for which there is no memory. */
static void test_no_memory_for_a_range(void **state)
{
    unsigned k = 0;

    (void)state;
    zoo_place(zoo_small);
    assert_true(zoo_on(zoo_small, COMMAND_MEMORY));
    zoo_place(zoo_big);
    do {
        fail_alloc = ++k;
        zoo_put(zoo_big, COMMAND, 2, COMMAND_MEMORY);
        if (fail_alloc)
            break;
        assert_false(memory_is_on(zoo_big));
        zoo_expect_unmapped(zoo_big);
    } while (k < 100);
    fail_alloc = 0;
    assert_in_range(k, 3, 99); /* BARs 0, 2 and 4 */
    assert_true(memory_is_on(zoo_big));
    zoo_expect_big_mapped();
}

static void test_an_unmap_that_fails_leaves_the_bit_on(void **state)
{
    uint64_t value;

    (void)state;
    zoo_place(zoo_big);
    zoo_put(zoo_big, ROM, 4, ZOO_BIG_ROM | ROM_ENABLE);
    for (unsigned k = 1; k <= ZOO_PIECES; k++) {
        assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
        zoo.maps.fail_unmap = k;
        assert_false(zoo_off(zoo_big, COMMAND_MEMORY));
        assert_int_equal(zoo.maps.count, ZOO_PIECES - k + 1);
        /* what is not mapped is trapped, and answers */
        assert_int_equal(berth_domain_mmio_write(zoo.guest, ZOO_BIG_BAR0, 4, k), 0);
        assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_BAR0, 4, &value), 0);
        assert_int_equal(value, k);
        assert_int_equal(berth_domain_mmio_read(zoo.guest, ZOO_BIG_ROM, 4, &value), 0);
        assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
        zoo_expect_unmapped(zoo_big);
    }
}

/* Half a map that cannot be taken back is never told as a whole one, and the next try completes it
 * or takes it away. */
static void test_a_map_that_can_neither_go_on_nor_back(void **state)
{
    (void)state;
    zoo_place(zoo_big);
    for (unsigned i = 0; i < 2; i++) {
        zoo.maps.fail_map = 4;
        zoo.maps.fail_unmap = 2;
        assert_false(zoo_on(zoo_big, COMMAND_MEMORY));
        assert_int_equal(zoo.maps.count, 2);
        zoo_put(zoo_big, BAR(4), 4, 0); /* it may not move away from what is mapped */
        assert_int_equal(zoo_get(zoo_big, BAR(4), 8), ZOO_BIG_BAR4 | 4);
        if (i) {
            zoo.maps.fail_map = 1; /* this time it can be taken back */
            assert_false(zoo_on(zoo_big, COMMAND_MEMORY));
            zoo_expect_unmapped(zoo_big);
        } else {
            assert_true(zoo_on(zoo_big, COMMAND_MEMORY));
            zoo_expect_big_mapped();
            assert_true(zoo_off(zoo_big, COMMAND_MEMORY));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, zoo_setup, zoo_teardown)
        TEST(test_pages_are_mapped_where_the_guest_says),
        TEST(test_F81_M48_a_page_is_mapped_and_less_is_trapped),
        TEST(test_a_VMM_that_cannot_take_back_is_given_nothing),
        TEST(test_addresses_that_nobody_could_mean),
        TEST(test_F80_only_in_the_windows),
        TEST(test_two_BARs_in_one_place),
        TEST(test_two_BARs_of_one_device_in_one_place),
        TEST(test_another_guest_has_addresses_of_its_own),
        TEST(test_F79_a_map_that_fails_at_any_piece),
        TEST(test_no_memory_for_a_range),
        TEST(test_an_unmap_that_fails_leaves_the_bit_on),
        TEST(test_a_map_that_can_neither_go_on_nor_back),
#undef TEST
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
