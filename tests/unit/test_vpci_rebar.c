/* SPDX-License-Identifier: MIT */
/* Resizable BARs of a lent device (M45, F87). */
#include "tests/unit/lent.h"

#define EXT_REBAR 0x15
#define SIZES 0x04
#define CONTROL 0x08
#define MIB 0x100000u
#define BAR_AT 0x200000000u

static struct lent lent;
static unsigned rebar;

static void put_entry(unsigned entry, uint32_t sizes, unsigned index, unsigned count, unsigned size)
{
    mb_put(lent.function, rebar + SIZES + 8 * entry, 4, sizes);
    mb_put(lent.function, rebar + CONTROL + 8 * entry, 4, index | count << 5 | size << 8);
}

/* BAR 2 of 8 MiB, of which 1, 4, 8 and 16 MiB are to be had. */
static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    mb_bar(lent.function, 2, MB_BAR_PREFETCH64, 8 * MIB);
    rebar = mb_ext_cap(lent.function, EXT_REBAR, 1);
    put_entry(0, 0x1d0, 2, 1, 3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lent_down(&lent);
    return 0;
}

static uint32_t control(unsigned size)
{
    return 2 | 1u << 5 | size << 8;
}

static void resize(unsigned size)
{
    lent_put(&lent, rebar + CONTROL, 4, size << 8);
}

/* As a guest finds it out. */
static uint64_t seen_size(void)
{
    uint32_t low = lent_get(&lent, LENT_BAR0 + 8, 4), high = lent_get(&lent, LENT_BAR0 + 12, 4);
    uint64_t mask;

    lent_put(&lent, LENT_BAR0 + 8, 4, 0xffffffff);
    lent_put(&lent, LENT_BAR0 + 12, 4, 0xffffffff);
    mask = (uint64_t)lent_get(&lent, LENT_BAR0 + 12, 4) << 32 |
           (lent_get(&lent, LENT_BAR0 + 8, 4) & ~0xfu);
    lent_put(&lent, LENT_BAR0 + 8, 4, low);
    lent_put(&lent, LENT_BAR0 + 12, 4, high);
    return -mask;
}

static uint64_t real_size(void)
{
    uint64_t start, size;

    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 2, &start, &size), 0);
    return size;
}

static uint64_t mapped(void)
{
    struct pcidev *dev = rig_dev(&lent.rig, lent.host);
    uint64_t bytes = guest_maps_bytes(&lent.maps, dev, 2);

    rig_put(dev);
    return bytes;
}

static void decode(bool on)
{
    lent_put(&lent, LENT_BAR0 + 4, 4, 0x3);
    lent_put(&lent, LENT_BAR0 + 8, 4, (uint32_t)BAR_AT);
    lent_put(&lent, LENT_BAR0 + 12, 4, BAR_AT >> 32);
    lent_put(&lent, LENT_COMMAND, 2, on ? LENT_MEMORY : 0);
}

static void test_F87_sizes_up_to_what_the_host_has_made_room_for(void **state)
{
    (void)state;
    lent_up(&lent);
    assert_int_equal(lent_ext_cap(&lent, EXT_REBAR), rebar);
    assert_int_equal(lent_get(&lent, rebar + SIZES, 4), 0x0d0); /* no 16 MiB */
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(3));
    assert_int_equal(seen_size(), 8 * MIB);
}

/* The second entry is about a BAR of 32 bits. */
static void test_F87_a_narrow_bar_beside_a_wide_one(void **state)
{
    uint64_t start, size;

    (void)state;
    mb_bar(lent.function, 4, MB_BAR_MEM32, 2 * MIB);
    put_entry(0, 0x1d0, 2, 2, 3);
    put_entry(1, 0x030, 4, 2, 1);
    lent_up(&lent);
    assert_int_equal(lent_get(&lent, rebar + SIZES + 8, 4), 0x030);
    lent_put(&lent, rebar + CONTROL + 8, 4, 0);
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 4, &start, &size), 0);
    assert_int_equal(size, MIB);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 16, 4), start);
    assert_int_equal(real_size(), 8 * MIB);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(sim_bar(lent.rig.sim, lent.host, 4, &start, &size), 0);
    assert_int_equal(size, 2 * MIB);
}

static void test_F87_a_new_size_is_mapped(void **state)
{
    uint32_t address;

    (void)state;
    lent_up(&lent);
    address = lent_hardware(&lent, LENT_BAR0 + 12, 4);
    resize(2);
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(2));
    assert_int_equal(real_size(), 4 * MIB);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 12, 4), address);
    assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & LENT_MEMORY, LENT_MEMORY);
    assert_int_equal(seen_size(), 4 * MIB);
    decode(true);
    assert_int_equal(mapped(), 4 * MIB);
    decode(false);
    resize(3);
    assert_int_equal(seen_size(), 8 * MIB);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 12, 4), address);
    decode(true);
    assert_int_equal(mapped(), 8 * MIB);
}

static void test_F87_not_while_it_is_decoded(void **state)
{
    (void)state;
    lent_up(&lent);
    decode(true);
    resize(2);
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(3));
    assert_int_equal(real_size(), 8 * MIB);
    assert_int_equal(mapped(), 8 * MIB);
}

static void test_F87_sizes_that_there_are_not(void **state)
{
    static const unsigned sizes[] = {1, 4, 5, 27, 28, 63};

    (void)state;
    lent_up(&lent);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        resize(sizes[i]);
        assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(3));
    }
    lent_put(&lent, rebar + CONTROL, 4, 0xffffc0ff | 2u << 8); /* the size alone is the guest's */
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(2));
    lent_put(&lent, rebar + SIZES, 4, 0xffffffff);
    assert_int_equal(lent_get(&lent, rebar + SIZES, 4), 0x0d0);
    assert_int_equal(real_size(), 4 * MIB);
}

static void test_F87_a_host_that_fails_changes_nothing(void **state)
{
    (void)state;
    lent_up(&lent);
    for (unsigned n = 1; n < 20; n++) {
        sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, n, 0, -EIO);
        resize(2);
        if (!sim_failed(lent.rig.sim, SIM_OP_CONFIG_WRITE))
            break;
        assert_int_equal(seen_size(), real_size());
        assert_int_equal(lent_hardware(&lent, LENT_COMMAND, 2) & LENT_MEMORY, LENT_MEMORY);
        resize(3);
    }
    sim_fail(lent.rig.sim, SIM_OP_CONFIG_WRITE, 0, 0, 0);
    assert_int_equal(real_size(), 4 * MIB);
}

/* O2: whoever has it next finds what the host had chosen. */
static void test_O2_the_size_goes_back_with_the_device(void **state)
{
    uint32_t address;

    (void)state;
    lent_up(&lent);
    address = lent_hardware(&lent, LENT_BAR0 + 12, 4);
    resize(0);
    assert_int_equal(real_size(), MIB);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(real_size(), 8 * MIB);
    assert_int_equal(lent_hardware(&lent, LENT_BAR0 + 12, 4), address);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(3));
    assert_int_equal(seen_size(), 8 * MIB);
}

static void test_O2_also_without_any_reset(void **state)
{
    (void)state;
    mb_no_flr(lent.function);
    lent_up(&lent);
    resize(0);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(real_size(), 8 * MIB);
}

static void test_M09_a_reset_keeps_the_size(void **state)
{
    (void)state;
    lent_up(&lent);
    resize(2);
    decode(true);
    assert_int_equal(rig_reset(&lent.rig, lent.host), 0);
    assert_int_equal(real_size(), 4 * MIB);
    assert_int_equal(mapped(), 4 * MIB);
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(2));
}

/* What the host chose differs from what the device has after a reset. */
static void test_M09_an_flr_gives_the_hosts_size(void **state)
{
    unsigned pcie;

    (void)state;
    put_entry(0, 0x1d0, 2, 1, 3);
    lent_up_idle(&lent);
    assert_int_equal(rig_remove(&lent.rig, lent.host, PCIDEV_REMOVE_DEFAULT), 0);
    assert_int_equal(rig_add(&lent.rig, lent.host), 0);
    rig_poke(&lent.rig, lent.host, LENT_COMMAND, 2, 0);
    rig_poke(&lent.rig, lent.host, rebar + CONTROL, 4, control(2));
    rig_poke(&lent.rig, lent.host, LENT_COMMAND, 2, LENT_MEMORY);
    assert_int_equal(rig_assign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(real_size(), 4 * MIB);
    assert_int_equal(seen_size(), 4 * MIB);
    assert_int_equal(lent_get(&lent, rebar + SIZES, 4), 0x050);
    resize(0);
    pcie = lent_cap(&lent, 0x10);
    lent_put(&lent, pcie + 8, 2, 0x8000);
    assert_int_equal(lent_get(&lent, rebar + CONTROL, 4), control(2));
    assert_int_equal(real_size(), 4 * MIB);
    assert_int_equal(seen_size(), 4 * MIB);
    assert_int_equal(rig_deassign(&lent.rig, lent.host, lent.guest), 0);
    assert_int_equal(real_size(), 4 * MIB);
}

/* ---- lists that lie ---- */

static void expect_hidden(void)
{
    lent_up(&lent);
    assert_int_equal(lent_ext_cap(&lent, EXT_REBAR), 0);
    for (unsigned reg = rebar; reg < rebar + 0x34; reg += 4) {
        lent_put(&lent, reg, 4, 0xffffffff);
        assert_int_equal(lent_get(&lent, reg, 4), 0);
    }
    assert_int_equal(real_size(), 8 * MIB);
}

static void test_F87_an_index_beyond_the_last_bar(void **state)
{
    (void)state;
    put_entry(0, 0x1d0, 6, 1, 3);
    expect_hidden();
}

static void test_F87_the_same_bar_twice(void **state)
{
    (void)state;
    put_entry(0, 0x1d0, 2, 2, 3);
    put_entry(1, 0x1d0, 2, 0, 3);
    expect_hidden();
}

static void test_F87_a_bar_that_there_is_not(void **state)
{
    (void)state;
    put_entry(0, 0x1d0, 2, 2, 3);
    put_entry(1, 0x1d0, 5, 0, 3);
    expect_hidden();
}

static void test_F87_more_than_there_is_room_for(void **state)
{
    (void)state;
    put_entry(0, 0x1d0, 2, 7, 3);
    expect_hidden();
}

static void test_F87_entries_under_the_next_capability(void **state)
{
    (void)state;
    put_entry(0, 0x1d0, 2, 6, 3);
    (void)mb_ext_cap(lent.function, 0x03, 1); /* after 32 bytes */
    expect_hidden();
}

static void test_F87_none_at_all(void **state)
{
    (void)state;
    put_entry(0, 0x1d0, 2, 0, 3);
    expect_hidden();
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_F87_sizes_up_to_what_the_host_has_made_room_for),
        TEST(test_F87_a_narrow_bar_beside_a_wide_one),
        TEST(test_F87_a_new_size_is_mapped),
        TEST(test_F87_not_while_it_is_decoded),
        TEST(test_F87_sizes_that_there_are_not),
        TEST(test_F87_a_host_that_fails_changes_nothing),
        TEST(test_O2_the_size_goes_back_with_the_device),
        TEST(test_O2_also_without_any_reset),
        TEST(test_M09_a_reset_keeps_the_size),
        TEST(test_M09_an_flr_gives_the_hosts_size),
        TEST(test_F87_an_index_beyond_the_last_bar),
        TEST(test_F87_the_same_bar_twice),
        TEST(test_F87_a_bar_that_there_is_not),
        TEST(test_F87_more_than_there_is_room_for),
        TEST(test_F87_entries_under_the_next_capability),
        TEST(test_F87_none_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
