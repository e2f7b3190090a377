/* SPDX-License-Identifier: MIT */
/* Addresses of config space: memory-mapped windows and mechanism 1 (M40, F89). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <berth/errno.h>
#include <berth/vpci.h>

#define MIB UINT64_C(0x100000)

static void expect_ecam(const struct berth_ecam *window, uint64_t address, struct sbdf sbdf,
                        unsigned reg)
{
    struct sbdf got;
    unsigned at;

    assert_int_equal(berth_ecam_decode(window, address, &got, &at), 0);
    assert_true(sbdf_equal(got, sbdf));
    assert_int_equal(at, reg);
}

static void expect_no_ecam(const struct berth_ecam *window, uint64_t address)
{
    const struct sbdf untouched = {0xaaaa, 0xbb, 0xcc};
    struct sbdf got = untouched;
    unsigned at = 77;

    assert_int_equal(berth_ecam_decode(window, address, &got, &at), -ENOENT);
    assert_true(sbdf_equal(got, untouched));
    assert_int_equal(at, 77);
}

static void test_M40_ecam_of_256_buses(void **state)
{
    const struct berth_ecam window = {.base = 0xe0000000, .last_bus = 255};

    (void)state;
    expect_ecam(&window, 0xe0000000, sbdf_make(0, 0, 0, 0), 0);
    expect_ecam(&window, 0xe0000fff, sbdf_make(0, 0, 0, 0), 0xfff);
    expect_ecam(&window, 0xe0001000, sbdf_make(0, 0, 0, 1), 0);
    expect_ecam(&window, 0xe0008004, sbdf_make(0, 0, 1, 0), 4);
    expect_ecam(&window, 0xe00ff102, sbdf_make(0, 0, 31, 7), 0x102);
    expect_ecam(&window, 0xe0100000, sbdf_make(0, 1, 0, 0), 0);
    expect_ecam(&window, 0xefffffff, sbdf_make(0, 255, 31, 7), 0xfff);
    expect_no_ecam(&window, 0xf0000000);
    expect_no_ecam(&window, 0xdfffffff);
}

static void test_F89_fields_count_from_the_base_wherever_it_is(void **state)
{
    const struct berth_ecam window = {
        .base = 0x1234567000, .segment = 0xffff, .first_bus = 0x20, .last_bus = 0x2f};

    (void)state;
    expect_ecam(&window, 0x1234567000, sbdf_make(0xffff, 0x20, 0, 0), 0);
    expect_ecam(&window, 0x1234567000 + 0x0ff123, sbdf_make(0xffff, 0x20, 31, 7), 0x123);
    expect_ecam(&window, 0x1234567000 + MIB, sbdf_make(0xffff, 0x21, 0, 0), 0);
    expect_ecam(&window, 0x1234567000 + 16 * MIB - 1, sbdf_make(0xffff, 0x2f, 31, 7), 0xfff);
    expect_no_ecam(&window, 0x1234567000 + 16 * MIB);
    expect_no_ecam(&window, 0x1234567000 - 1);
    expect_no_ecam(&window, 0);
    expect_no_ecam(&window, UINT64_MAX);
}

static void test_M40_ecam_of_one_bus_and_of_none(void **state)
{
    struct berth_ecam window = {.base = 0xe0000000, .first_bus = 255, .last_bus = 255};

    (void)state;
    expect_ecam(&window, 0xe00fffff, sbdf_make(0, 255, 31, 7), 0xfff);
    expect_no_ecam(&window, 0xe0100000);
    window.last_bus = 254; /* ends before it begins */
    expect_no_ecam(&window, 0xe0000000);
    expect_no_ecam(&window, 0xe00fffff);
    expect_no_ecam(&window, 0xdff00000);
}

static void test_M40_ecam_at_the_end_of_the_address_space(void **state)
{
    const struct berth_ecam window = {.base = UINT64_MAX - MIB + 1, .last_bus = 255};

    (void)state;
    expect_ecam(&window, UINT64_MAX, sbdf_make(0, 0, 31, 7), 0xfff);
    expect_no_ecam(&window, UINT64_MAX - MIB);
    expect_no_ecam(&window, 0); /* the rest of it is not behind the wrap */
}

static void expect_cf8(uint32_t address, uint16_t port, struct sbdf sbdf, unsigned reg)
{
    struct sbdf got;
    unsigned at;

    assert_int_equal(berth_cf8_decode(address, port, &got, &at), 0);
    assert_true(sbdf_equal(got, sbdf));
    assert_int_equal(at, reg);
}

static void expect_no_cf8(uint32_t address, uint16_t port)
{
    const struct sbdf untouched = {0xaaaa, 0xbb, 0xcc};
    struct sbdf got = untouched;
    unsigned at = 77;

    assert_int_equal(berth_cf8_decode(address, port, &got, &at), -ENOENT);
    assert_true(sbdf_equal(got, untouched));
    assert_int_equal(at, 77);
}

static void test_M40_mechanism_1(void **state)
{
    (void)state;
    expect_cf8(0x80000000, 0xcfc, sbdf_make(0, 0, 0, 0), 0);
    expect_cf8(0x80000000, 0xcff, sbdf_make(0, 0, 0, 0), 3);
    expect_cf8(0x80000800, 0xcfc, sbdf_make(0, 0, 1, 0), 0);
    expect_cf8(0x8000013c, 0xcfe, sbdf_make(0, 0, 0, 1), 0x3e);
    expect_cf8(0x80fffffc, 0xcfc, sbdf_make(0, 255, 31, 7), 0xfc);
    expect_cf8(0x80fffffc, 0xcff, sbdf_make(0, 255, 31, 7), 0xff);
    expect_cf8(0x80123407, 0xcfd, sbdf_make(0, 0x12, 6, 4), 5); /* the two lowest bits are none */
    expect_cf8(0xf0000000, 0xcfc, sbdf_make(0, 0, 0, 0), 0);    /* and bits 30 to 28 reserved */
}

static void test_M40_mechanism_1_with_extended_registers(void **state)
{
    (void)state;
    expect_cf8(0x81000000, 0xcfc, sbdf_make(0, 0, 0, 0), 0x100);
    expect_cf8(0x8f1234f8, 0xcff, sbdf_make(0, 0x12, 6, 4), 0xffb);
}

static void test_M40_what_is_no_config_access(void **state)
{
    (void)state;
    expect_no_cf8(0x00000000, 0xcfc);
    expect_no_cf8(0x7fffffff, 0xcfc);
    expect_no_cf8(0x80000000, 0xcf8);
    expect_no_cf8(0x80000000, 0xcfb);
    expect_no_cf8(0x80000000, 0xd00);
    expect_no_cf8(0x80000000, 0);
    expect_no_cf8(0x80000000, 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_M40_ecam_of_256_buses),
        cmocka_unit_test(test_F89_fields_count_from_the_base_wherever_it_is),
        cmocka_unit_test(test_M40_ecam_of_one_bus_and_of_none),
        cmocka_unit_test(test_M40_ecam_at_the_end_of_the_address_space),
        cmocka_unit_test(test_M40_mechanism_1),
        cmocka_unit_test(test_M40_mechanism_1_with_extended_registers),
        cmocka_unit_test(test_M40_what_is_no_config_access),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
