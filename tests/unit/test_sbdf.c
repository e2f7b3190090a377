/* SPDX-License-Identifier: MIT */
/* Addresses as text: what is one, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <berth/errno.h>
#include <berth/sbdf.h>

static void test_addresses_are_read_as_they_are_written(void **state)
{
    static const struct sbdf edges[] = {{0, 0, 0}, {0xffff, 0xff, 0xff}, {0xa0c, 0x3e, 0x09}};
    char text[SBDF_TEXT_SIZE];
    struct sbdf read;

    (void)state;
    for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        assert_int_equal(sbdf_parse(sbdf_format(edges[i], text), &read), 0);
        assert_true(sbdf_equal(read, edges[i]));
    }
}

static void test_short_forms_and_both_cases_are_addresses(void **state)
{
    static const struct {
        const char *text;
        struct sbdf sbdf;
    } fine[] = {
        {"3:0.0", {0, 3, 0}},
        {"0A:1f.7", {0, 10, 0xff}},
        {"1:fF:0.1", {1, 255, 1}},
        {"AbCd:00:00.0", {0xabcd, 0, 0}},
    };
    struct sbdf read;

    (void)state;
    for (unsigned i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        assert_int_equal(sbdf_parse(fine[i].text, &read), 0);
        assert_true(sbdf_equal(read, fine[i].sbdf));
    }
}

static void test_what_is_no_address_is_refused_and_writes_nothing(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        ":",
        "::",
        "00",
        "00.0",
        "0:0:0:0.0",
        ":00:00.0",
        "0000::00.0",
        "00:.0",
        "00:00.",
        "00:00",
        "00:00.8",
        "00:20.0",
        "100:00.0",
        "00:000.0",
        "00:00.00",
        "10000:00:00.0",
        "g:00.0",
        "@0:00.0",
        "`0:00.0",
        "/0:00.0",
        "00:00.0 ",
        " 00:00.0",
        "00:00.0:",
        "0000:00:1g.0",
        "G000:00:00.0",
        "0000:00:00,0",
    };
    struct sbdf read = {1, 2, 3};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(sbdf_parse(bad[i], &read), -EINVAL);
    assert_true(sbdf_equal(read, (struct sbdf){1, 2, 3}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_read_as_they_are_written),
        cmocka_unit_test(test_short_forms_and_both_cases_are_addresses),
        cmocka_unit_test(test_what_is_no_address_is_refused_and_writes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
