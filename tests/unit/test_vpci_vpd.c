/* SPDX-License-Identifier: MIT */
/* Vital product data of a lent device (M45): reads pass, writes need the policy. */
#include "tests/unit/lent.h"

#define ID_VPD 0x03
#define ADDRESS 0x02
#define DATA 0x04
#define FLAG 0x8000u

static struct lent lent;
static unsigned vpd;

static int setup(void **state)
{
    (void)state;
    lent_begin(&lent);
    vpd = mb_cap(lent.function, ID_VPD);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lent_down(&lent);
    return 0;
}

static uint32_t read_data(unsigned address)
{
    lent_put(&lent, vpd + ADDRESS, 2, address);
    assert_int_equal(lent_get(&lent, vpd + ADDRESS, 2), address | FLAG);
    return lent_get(&lent, vpd + DATA, 4);
}

/* It looks done in any case. */
static void write_data(unsigned address, uint32_t value)
{
    lent_put(&lent, vpd + DATA, 4, value);
    lent_put(&lent, vpd + ADDRESS, 2, address | FLAG);
    assert_int_equal(lent_get(&lent, vpd + ADDRESS, 2), address);
    assert_int_equal(lent_get(&lent, vpd + DATA, 4), value);
}

static void test_M45_a_guest_reads_what_the_device_says(void **state)
{
    uint32_t first;

    (void)state;
    lent_up(&lent);
    first = read_data(0);
    assert_int_equal(first & 0xff, 0x82); /* PCI 3.0, appendix I: a name */
    assert_int_not_equal(read_data(4), first);
    assert_int_equal(lent_get(&lent, vpd + DATA + 1, 1),
                     lent_get(&lent, vpd + DATA, 4) >> 8 & 0xff);
}

static void test_M45_writes_are_dropped(void **state)
{
    uint32_t before;

    (void)state;
    lent_up(&lent);
    before = read_data(0x200);
    write_data(0x200, 0x12345678);
    assert_int_equal(sim_vpd_writes(lent.rig.sim, lent.host), 0);
    assert_int_equal(read_data(0x200), before);
}

static void test_M45_writes_pass_by_policy(void **state)
{
    (void)state;
    lent.vpd_writes = true;
    lent_up(&lent);
    write_data(0x200, 0x12345678);
    assert_int_equal(sim_vpd_writes(lent.rig.sim, lent.host), 1);
    assert_int_equal(read_data(0x200), 0x12345678);
}

/* The address register in two halves: a flag alone starts no write. */
static void test_V7_halves_of_an_address(void **state)
{
    (void)state;
    lent_up(&lent);
    lent_put(&lent, vpd + DATA, 4, 0xffffffff);
    lent_put(&lent, vpd + ADDRESS, 1, 0x10);
    lent_put(&lent, vpd + ADDRESS + 1, 1, 0x80);
    assert_int_equal(lent_get(&lent, vpd + ADDRESS, 2), 0x10);
    assert_int_equal(sim_vpd_writes(lent.rig.sim, lent.host), 0);
    lent_put(&lent, vpd, 4, 0xffffffff); /* with the head, which does not change */
    assert_int_equal(lent_get(&lent, vpd, 1), ID_VPD);
    assert_int_equal(sim_vpd_writes(lent.rig.sim, lent.host), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_M45_a_guest_reads_what_the_device_says),
        TEST(test_M45_writes_are_dropped),
        TEST(test_M45_writes_pass_by_policy),
        TEST(test_V7_halves_of_an_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
