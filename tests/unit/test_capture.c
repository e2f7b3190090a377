/* SPDX-License-Identifier: MIT */
/*
 * The text of lspci: read, sorted, searched.
 */
#include "capture_help.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

/* ---- allocations that fail (the linker puts this in front of reallocarray) ---- */

static unsigned allocations_left = UINT32_MAX;

void *__real_reallocarray(void *memory, size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left--;
    return __real_reallocarray(memory, count, size);
}

/* ---- good input ---- */

static void test_reads_plain_text(void **state)
{
    struct capture capture = help_read("00:02.0 Host bridge: Intel\n" DUMP_64 "\n");
    const struct capture_function *function = capture.functions;

    (void)state;
    assert_int_equal(capture.count, 1);
    assert_int_equal(sbdf_key(function->sbdf), 0x10);
    assert_int_equal(function->size, 64);
    assert_int_equal(function->config[0x00], 0x86);
    assert_int_equal(function->config[0x2f], 0x11);
    assert_int_equal(function->config[0x3d], 0x01);
    for (unsigned i = 64; i < sizeof(function->config); i++)
        assert_int_equal(function->config[i], 0);
    assert_int_equal(function->extra.numa_node, -1);
    assert_int_equal(function->extra.iommu_group, -1);
    assert_string_equal(function->extra.driver, "");
    capture_free(&capture);
    capture_free(&capture);
    assert_int_equal(capture.count, 0);
}

static void test_skips_what_is_decoded(void **state)
{
    static const char text[] = "# captured yesterday\n\n"
                               "0001:80:1f.7 Class 0280: Device 8086:095a (rev 61)\n"
                               "\tControl: I/O- Mem+ BusMaster+\n"
                               "\t\tDevSta:\tCorrErr- 00: 86 80\n"
                               " 00: 00 00 00 00\n"
                               "\n"
                               "\tKernel driver in use: iwlwifi\n" LINE_00 "\n" LINE_10
                               "# a comment within\n" LINE_20 LINE_30 "   \n";
    struct capture capture = help_read(text);

    (void)state;
    assert_int_equal(capture.count, 1);
    assert_int_equal(sbdf_key(capture.functions[0].sbdf), 0x000180ff);
    assert_int_equal(capture.functions[0].config[0], 0x86);
    capture_free(&capture);
}

static void test_tolerates_line_ends(void **state)
{
    static const char crlf[] =
        "00:00.0\r\n\r\n"
        "00: 86 80 C0 29 03 01 00 00 00 00 00 06 00 00 00 00\r\n"
        "10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 \t\r\n"
        "020: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11\r\n"
        "30: 00 00 00 00 00 00 00 00 00 00 00 00 ff 01 00 00"; /* and no line end */
    struct capture a = help_read(crlf);
    struct capture b = help_read("00:00.0\n" DUMP_64);

    (void)state;
    help_assert_same(&a, &b);
    capture_free(&a);
    capture_free(&b);
}

static void test_reads_every_size(void **state)
{
    static const unsigned sizes[] = {64, 256, 4096};
    struct sbdf sbdf = sbdf_make(0xffff, 0xff, 0x1f, 7);

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char *text = help_make_text(&sbdf, 1, sizes[i]);
        struct capture capture = help_read(text);

        assert_int_equal(capture.functions[0].size, sizes[i]);
        for (unsigned at = 0; at < sizes[i]; at++)
            assert_int_equal(capture.functions[0].config[at], help_byte(sbdf, at));
        capture_free(&capture);
        free(text);
    }
}

static void test_cardbus_has_128_bytes(void **state)
{
    char *text = help_make_text(&(struct sbdf){0}, 1, 128);
    struct capture capture = help_read(text);

    (void)state;
    assert_int_equal(capture.functions[0].config[0x0e], 0x82);
    assert_int_equal(capture.functions[0].size, 128);
    capture_free(&capture);
    free(text);
}

/* The order of the input is a permutation with long cycles; 37 has no factor in common with 256. */
static void test_sorts(void **state)
{
    struct sbdf list[256];
    struct capture capture;
    char *text;

    (void)state;
    for (unsigned i = 0; i < 256; i++)
        list[i] = sbdf_from_key((i * 37 + 11) % 256 * 0x01000807u);
    text = help_make_text(list, 256, 64);
    capture = help_read(text);
    assert_int_equal(capture.count, 256);
    for (unsigned i = 0; i < 256; i++) {
        const struct capture_function *function = &capture.functions[i];

        assert_int_equal(sbdf_key(function->sbdf), i * 0x01000807u);
        assert_int_equal(function->config[5], help_byte(function->sbdf, 5));
        assert_int_equal(function->config[63], help_byte(function->sbdf, 63));
    }
    capture_free(&capture);
    free(text);
}

static void test_finds(void **state)
{
    struct capture capture = help_read("00:1f.0\n" DUMP_64 "0001:00:00.0\n" DUMP_64);
    struct capture empty = {0};

    (void)state;
    assert_ptr_equal(capture_find(&capture, sbdf_make(0, 0, 0x1f, 0)), &capture.functions[0]);
    assert_ptr_equal(capture_find(&capture, sbdf_make(1, 0, 0, 0)), &capture.functions[1]);
    assert_null(capture_find(&capture, sbdf_make(0, 0, 0, 0)));
    assert_null(capture_find(&capture, sbdf_make(2, 0, 0, 0)));
    assert_null(capture_find(&empty, sbdf_make(0, 0, 0, 0)));
    capture_free(&capture);
}

/* ---- bad input ---- */

struct bad_text {
    const char *text;
    size_t size; /* 0: its string length */
    size_t line, column;
    const char *says;
};

#define HEADER "00:02.0 Host bridge\n"
#define BAD(bytes, at_line, at_column, words)                                           \
    {                                                                                   \
        .text = bytes, .size = sizeof(bytes) - 1, .line = at_line, .column = at_column, \
        .says = words                                                                   \
    }

static const struct bad_text bad_texts[] = {
    BAD("", 0, 0, "no PCI function"),
    BAD("\n# nothing\n\tat all\n", 0, 0, "no PCI function"),
    BAD("hello\n", 1, 1, "address such as 00:02.0 expected, not 'h'"),
    BAD("\x7f"
        "ELF\x02\x01\x01\n",
        1, 1, "not the byte 0x7f"),
    BAD("ab\0cd\n", 1, 3, "NUL"),
    BAD(HEADER DUMP_64 "\tdecoded\0\n", 6, 9, "NUL"),
    /* headers */
    BAD(DUMP_64, 1, 1, "without the address"),
    BAD("00:20.0 x\n", 1, 4, "end at 1f"),
    BAD("00:1f.8 x\n", 1, 7, "end at 7"),
    BAD("00:02\n", 1, 6, "not the end of the line"),
    BAD("00:02.00 x\n", 1, 8, "a space"),
    BAD("000:02.0 x\n", 1, 3, "expected, not '0'"),
    BAD("0000:02.0 x\n", 1, 8, "expected, not '.'"),
    BAD("10000:00:00.0 x\n" DUMP_64, 1, 1, "PCI domain 10000 is no segment"),
    BAD("00:01.0/00.0 x\n" DUMP_64, 1, 8, "a space"),
    /* dumps */
    BAD(HEADER, 1, 1, "0000:00:02.0 has no dump"),
    BAD(HEADER "00:03.0 x\n" DUMP_64, 1, 1, "0000:00:02.0 has no dump"),
    BAD(HEADER DUMP_64 "00:03.0 x\n", 6, 1, "0000:00:03.0 has no dump"),
    BAD(HEADER LINE_00 LINE_10 LINE_20, 4, 1, "ends after 48 bytes"),
    BAD(HEADER DUMP_64 LINE_40 LINE_50 LINE_60 LINE_70, 9, 1, "ends after 128 bytes"),
    BAD(HEADER DUMP_64 "40" /* cut off */, 6, 3, "not the end of the line"),
    BAD(HEADER "00: 86 80 c0\n", 2, 13, "one of 16 bytes expected, not the end"),
    BAD(HEADER "00: 86 8", 2, 9, "hexadecimal digit expected, not the end"),
    BAD(HEADER "00: 86 8g\n", 2, 9, "hexadecimal digit expected, not 'g'"),
    BAD(HEADER "00: 86  80\n", 2, 8, "hexadecimal digit expected, not ' '"),
    BAD(HEADER "00: 86-80\n", 2, 7, "one of 16 bytes expected, not '-'"),
    BAD(HEADER "00: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n", 2, 53,
        "end of the line"),
    BAD(HEADER LINE_10, 2, 1, "offset 00 is missing, this is 10"),
    BAD(HEADER LINE_00 LINE_20, 3, 1, "offset 10 is missing, this is 20"),
    BAD(HEADER LINE_00 LINE_10 LINE_10, 4, 1, "offset 10 is here already, 20 expected"),
    BAD(HEADER LINE_00 "08: 00\n", 3, 1, "offset 08 is here already"),
    BAD(HEADER "0000: 00 00\n", 2, 6, "expected, not ' '"),
    /* addresses */
    BAD(HEADER DUMP_64 "\n" HEADER DUMP_64, 7, 1, "0000:00:02.0 is here twice, first in line 1"),
    BAD("00:03.0\n" DUMP_64 "00:01.0\n" DUMP_64 "0000:00:03.0\n" DUMP_64 "00:01.0\n" DUMP_64, 11, 1,
        "0000:00:03.0 is here twice, first in line 1"),
};

static void assert_bad(const struct bad_text *bad)
{
    struct capture untouched = {.count = 77}, capture = untouched;
    struct capture_error error = {0};
    FILE *in = help_open(bad->text, bad->size);
    int result = capture_read_text(in, &capture, &error);

    fclose(in);
    if (result != -EINVAL || error.line != bad->line || error.column != bad->column ||
        !strstr(error.text, bad->says))
        fail_msg("\"%s\": %d, %zu:%zu: %s", bad->text, result, error.line, error.column,
                 error.text);
    assert_null(strchr(error.text, '\n'));
    assert_memory_equal(&capture, &untouched, sizeof(capture));
}

static void test_rejects_bad_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_texts) / sizeof(bad_texts[0]); i++)
        assert_bad(&bad_texts[i]);
}

/* A dump that is cut off anywhere but at the end of a header or of a function is noticed. */
static void test_rejects_every_truncation(void **state)
{
    char *text = help_make_text((struct sbdf[]){{0}, {.devfn = 8}}, 2, 256);
    size_t length = strlen(text), accepted = 0;

    (void)state;
    for (size_t cut = 1; cut < length; cut++) {
        FILE *in = help_open(text, cut);
        struct capture_error error = {0};
        struct capture capture;

        if (capture_read_text(in, &capture, &error) == 0) {
            assert_true(capture.functions[0].size == 256 || capture.functions[0].size == 64);
            capture_free(&capture);
            accepted++;
        } else {
            assert_true(error.line > 0 && error.column > 0);
        }
        fclose(in);
    }
    /* Each function is whole at 64 and 256 bytes: without and with a line end, and with the blank
     * line behind it, which is not cut off in the last function. */
    assert_int_equal(accepted, 2 + 3 + 2 + 2);
    free(text);
}

static void test_limits_line_length(void **state)
{
    char line[8 + CAPTURE_LINE_MAX + sizeof("\n" DUMP_64)];
    struct capture capture;

    (void)state;
    memset(line, 'x', sizeof(line));
    memcpy(line, "00:02.0 ", 8);
    strcpy(line + CAPTURE_LINE_MAX, "\n" DUMP_64);
    capture = help_read(line);
    capture_free(&capture);
    line[CAPTURE_LINE_MAX] = 'x';
    strcpy(line + CAPTURE_LINE_MAX + 1, "\n" DUMP_64);
    assert_bad(&(struct bad_text){.text = line,
                                  .size = strlen(line),
                                  .line = 1,
                                  .column = CAPTURE_LINE_MAX + 1,
                                  .says = "longer than 4096"});
}

static ssize_t read_garbage(void *cookie, char *buffer, size_t size)
{
    *(size_t *)cookie += size;
    memset(buffer, 'a', size);
    return (ssize_t)size;
}

/* Garbage without an end: the answer comes after the first few kilobytes. */
static void test_fails_fast(void **state)
{
    size_t consumed = 0;
    FILE *in =
        fopencookie(&consumed, "r", (cookie_io_functions_t){.read = read_garbage, .close = NULL});
    struct capture_error error = {0};
    struct capture capture;

    (void)state;
    assert_non_null(in);
    assert_int_equal(capture_read_text(in, &capture, &error), -EINVAL);
    fclose(in);
    assert_int_equal(error.line, 1);
    assert_true(consumed <= 65536);
}

static ssize_t read_broken(void *cookie, char *buffer, size_t size)
{
    bool *told = cookie;
    static const char text[] = HEADER DUMP_64;

    if (*told || size < sizeof(text)) {
        errno = EIO;
        return -1;
    }
    *told = true;
    memcpy(buffer, text, sizeof(text) - 1);
    return sizeof(text) - 1;
}

/* What came before the error would be a good capture: it is not taken for one. */
static void test_reports_read_errors(void **state)
{
    bool told = false;
    FILE *in = fopencookie(&told, "r", (cookie_io_functions_t){.read = read_broken});
    struct capture_error error = {.line = 9};
    struct capture capture;

    (void)state;
    assert_non_null(in);
    assert_int_equal(capture_read_text(in, &capture, &error), -EIO);
    fclose(in);
    assert_true(told);
    assert_int_equal(error.line, 0);
    assert_non_null(strstr(error.text, "cannot be read"));
}

static void test_limits_functions(void **state)
{
    static const char text[] = "00:00.0\n" DUMP_64 "00:01.0\n" DUMP_64 "00:02.0\n" DUMP_64;
    struct capture_error error = {0};
    struct capture capture;
    FILE *in = help_open(text, sizeof(text) - 1);

    (void)state;
    assert_int_equal(capture_read_text_limited(in, 2, &capture, &error), -E2BIG);
    assert_int_equal(error.line, 11);
    assert_int_equal(error.column, 1);
    assert_string_equal(error.text, "more than 2 functions");
    rewind(in);
    assert_int_equal(capture_read_text_limited(in, 3, &capture, &error), 0);
    assert_int_equal(capture.count, 3);
    capture_free(&capture);
    fclose(in);
}

static void test_survives_failed_allocations(void **state)
{
    struct sbdf list[40];
    struct capture capture;
    struct capture_error error;
    unsigned failures = 0;
    int result = -ENOMEM;
    char *text;

    (void)state;
    for (unsigned i = 0; i < 40; i++)
        list[i] = sbdf_from_key(i);
    text = help_make_text(list, 40, 64);
    for (unsigned n = 0; result; n++) {
        FILE *in = help_open(text, strlen(text));

        allocations_left = n;
        result = capture_read_text(in, &capture, &error);
        allocations_left = UINT32_MAX;
        fclose(in);
        if (result) {
            assert_int_equal(result, -ENOMEM);
            assert_non_null(strstr(error.text, "memory"));
            failures++;
        }
    }
    assert_int_equal(failures, 6); /* two arrays, for 16, 32 and 64 functions */
    assert_int_equal(capture.count, 40);
    capture_free(&capture);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_plain_text),
        cmocka_unit_test(test_skips_what_is_decoded),
        cmocka_unit_test(test_tolerates_line_ends),
        cmocka_unit_test(test_reads_every_size),
        cmocka_unit_test(test_cardbus_has_128_bytes),
        cmocka_unit_test(test_sorts),
        cmocka_unit_test(test_finds),
        cmocka_unit_test(test_rejects_bad_text),
        cmocka_unit_test(test_rejects_every_truncation),
        cmocka_unit_test(test_limits_line_length),
        cmocka_unit_test(test_fails_fast),
        cmocka_unit_test(test_reports_read_errors),
        cmocka_unit_test(test_limits_functions),
        cmocka_unit_test(test_survives_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
