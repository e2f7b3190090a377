/* SPDX-License-Identifier: MIT */
/*
 * What is written can be read, by the project and by lspci.
 */
#include "capture_help.h"

#include <stdlib.h>
#include <unistd.h>

#include <berth/errno.h>

static struct capture make_mixed(void)
{
    char *text, *one = help_make_text((struct sbdf[]){{0}, {.bus = 3}}, 2, 4096);
    char *two =
        help_make_text((struct sbdf[]){{.segment = 0xabcd, .bus = 0xef, .devfn = 0x77}}, 1, 64);
    char *three = help_make_text((struct sbdf[]){{.segment = 1}}, 1, 256);
    struct capture capture;

    assert_true(asprintf(&text, "%s%s%s", two, one, three) > 0);
    capture = help_read(text);
    free(text);
    free(one);
    free(two);
    free(three);
    return capture;
}

static void test_writes_what_it_reads(void **state)
{
    struct capture capture = make_mixed(), again;
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    (void)state;
    assert_int_equal(capture_write_text(&capture, out), 0);
    fclose(out);
    again = help_read(text);
    help_assert_same(&capture, &again);
    capture_free(&again);
    capture_free(&capture);
    free(text);

    capture = help_read("0001:00:02.0 Host bridge\n" DUMP_64);
    out = open_memstream(&text, &length);
    assert_int_equal(capture_write_text(&capture, out), 0);
    fclose(out);
    assert_string_equal(text, "0001:00:02.0 0600: 8086:29c0\n" DUMP_64 "\n");
    capture_free(&capture);
    free(text);
}

static void test_reports_write_errors(void **state)
{
    struct capture capture = make_mixed();
    FILE *full = fopen("/dev/full", "we");

    (void)state;
    assert_non_null(full);
    assert_int_equal(capture_write_text(&capture, full), -EIO);
    fclose(full);
    capture_free(&capture);
}

static void test_lspci_reads_what_is_written(void **state)
{
    char path[] = "/tmp/berth-capture-XXXXXX", command[128];
    struct capture capture, again;
    struct capture_error error;
    FILE *file;
    int result;

    (void)state;
    if (system("PATH=$PATH:/sbin:/usr/sbin lspci --version >/dev/null 2>&1") != 0)
        skip();
    capture = make_mixed();
    file = fdopen(mkstemp(path), "w");
    assert_non_null(file);
    assert_int_equal(capture_write_text(&capture, file), 0);
    fclose(file);
    snprintf(command, sizeof(command), "PATH=$PATH:/sbin:/usr/sbin lspci -F %s -D -xxxx", path);
    file = popen(command, "r");
    assert_non_null(file);
    result = capture_read_text(file, &again, &error);
    pclose(file);
    unlink(path);
    if (result)
        fail_msg("lspci's text: %zu:%zu: %s", error.line, error.column, error.text);
    help_assert_same(&capture, &again);
    capture_free(&again);
    capture_free(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_what_it_reads),
        cmocka_unit_test(test_reports_write_errors),
        cmocka_unit_test(test_lspci_reads_what_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
