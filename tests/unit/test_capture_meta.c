/* SPDX-License-Identifier: MIT */
/*
 * The .meta text, and a capture out of two files.
 */
#include "capture_help.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <berth/errno.h>

#define TWO_FUNCTIONS "00:02.0 Host bridge\n" DUMP_64 "0001:00:00.0 Host bridge\n" DUMP_64

static bool allocations_fail;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
    return allocations_fail ? NULL : __real_calloc(count, size);
}

static int read_meta(struct capture *capture, const char *text, struct capture_error *error)
{
    FILE *in = help_open(text, strlen(text));
    int result = capture_read_meta(in, capture, error);

    fclose(in);
    return result;
}

static void test_reads_every_key(void **state)
{
    static const char text[] = "# facts\n\n"
                               "0001:00:00.0 numa_node=-1\r\n"
                               "0000:00:02.0 numa_node=3 bar0=0xfd000000+0x20000 bar2=0x5000+0x20 "
                               "bar5=0x8000000000000000+0x8000000000000000 rom=0x0+0x800 "
                               "vfbar0=0x4000 vfbar5=0x1000 iommu_group=12 driver=vfio-pci \n";
    struct capture capture = help_read(TWO_FUNCTIONS);
    const struct capture_extra *extra = &capture.functions[0].extra;
    struct capture_error error = {0};

    (void)state;
    if (read_meta(&capture, text, &error))
        fail_msg("%zu:%zu: %s", error.line, error.column, error.text);
    assert_int_equal(extra->numa_node, 3);
    assert_int_equal(extra->iommu_group, 12);
    assert_string_equal(extra->driver, "vfio-pci");
    assert_int_equal(extra->size[0], 0x20000);
    assert_int_equal(extra->size[1], 0);
    assert_int_equal(extra->size[2], 0x20);
    assert_true(extra->size[5] == 0x8000000000000000u);
    assert_int_equal(extra->size[CAPTURE_ROM], 0x800);
    assert_int_equal(extra->vf_bar_size[0], 0x4000);
    assert_int_equal(extra->vf_bar_size[4], 0);
    assert_int_equal(extra->vf_bar_size[5], 0x1000);
    extra = &capture.functions[1].extra;
    assert_int_equal(extra->numa_node, -1);
    assert_int_equal(extra->iommu_group, -1);
    capture_free(&capture);
}

struct bad_meta {
    const char *text;
    size_t line, column;
    const char *says;
};

static const struct bad_meta bad_metas[] = {
    {"hello\n", 1, 1, "address"},
    {"00:03.0 numa_node=0\n", 1, 1, "no function 00:03.0"},
    {"\n00:02.0 colour=red\n", 2, 9, "unknown key 'colour'"},
    {"00:02.0 bar6=0x0+0x10\n", 1, 9, "unknown key 'bar6'"},
    {"00:02.0 bar=0x0+0x10\n", 1, 9, "unknown key 'bar'"},
    {"00:02.0 rom0=0x0+0x800\n", 1, 9, "unknown key 'rom0'"},
    {"00:02.0 =\n", 1, 9, "unknown key ''"},
    {"00:02.0 numa_node bar0=0x0+0x10\n", 1, 9, "unknown key 'numa_node'"},
    {"00:02.0 numa_node=\n", 1, 19, "not the end of the line"},
    {"00:02.0 numa_node=-2\n", 1, 19, "not '-'"},
    {"00:02.0 numa_node=1x\n", 1, 20, "a space"},
    {"00:02.0 iommu_group=-1\n", 1, 21, "not '-'"},
    {"00:02.0 iommu_group=2147483648\n", 1, 30, "above 2147483647"},
    {"00:02.0 bar0=1000+0x10\n", 1, 14, "with 0x"},
    {"00:02.0 bar0=0x\n", 1, 16, "hexadecimal digit"},
    {"00:02.0 bar0=0x1000\n", 1, 20, "'+'"},
    {"00:02.0 bar0=0x1000+\n", 1, 21, "with 0x"},
    {"00:02.0 bar0=0x10000000000000000+0x10\n", 1, 32, "64 bits"},
    {"00:02.0 bar0=0x1000+0x30\n", 1, 21, "power of two"},
    {"00:02.0 bar0=0x1000+0x0\n", 1, 21, "power of two"},
    {"00:02.0 bar0=0x1000+0x2000\n", 1, 14, "no multiple"},
    {"00:02.0 vfbar0=0x1000+0x1000\n", 1, 22, "a space"},
    {"00:02.0 driver=\n", 1, 16, "the name of a driver"},
    {"00:02.0 driver=abcdefghijklmnopqrstuvwxyz012345\n", 1, 47, "at most 31"},
    {"00:02.0 driver=a driver=b\n", 1, 18, "driver is here twice"},
    {"00:02.0 bar1=0x0+0x10 bar1=0x0+0x10\n", 1, 23, "bar1 is here twice"},
    {"00:02.0 numa_node=0\n\n0000:00:02.0 driver=a\n", 3, 1, "0000:00:02.0 is here twice"},
};

/* The good line before the bad one has no effect either. */
static void test_rejects_bad_meta(void **state)
{
    struct capture capture = help_read(TWO_FUNCTIONS);
    struct capture_extra before = capture.functions[1].extra;

    (void)state;
    for (size_t i = 0; i < sizeof(bad_metas) / sizeof(bad_metas[0]); i++) {
        const struct bad_meta *bad = &bad_metas[i];
        struct capture_error error = {0};
        char text[256];
        int result;

        snprintf(text, sizeof(text), "0001:00:00.0 numa_node=7\n%s", bad->text);
        result = read_meta(&capture, text, &error);
        if (result != -EINVAL || error.line != bad->line + 1 || error.column != bad->column ||
            !strstr(error.text, bad->says))
            fail_msg("\"%s\": %d, %zu:%zu: %s", bad->text, result, error.line, error.column,
                     error.text);
        assert_memory_equal(&capture.functions[1].extra, &before, sizeof(before));
    }
    capture_free(&capture);
}

static void test_survives_a_failed_allocation(void **state)
{
    struct capture capture = help_read(TWO_FUNCTIONS);
    FILE *in = help_open("00:02.0 numa_node=0\n", 20);
    struct capture_error error;
    int result;

    (void)state;
    allocations_fail = true;
    result = capture_read_meta(in, &capture, &error);
    allocations_fail = false;
    fclose(in);
    assert_int_equal(result, -ENOMEM);
    assert_int_equal(capture.functions[0].extra.numa_node, -1);
    capture_free(&capture);
}

/* ---- files ---- */

struct files {
    char directory[32];
    char text[48], meta[48], other[48], other_meta[48];
};

static void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int set_up(void **state)
{
    struct files *files = malloc(sizeof(*files));

    strcpy(files->directory, "/tmp/berth-capture-XXXXXX");
    if (!mkdtemp(files->directory))
        return -1;
    sprintf(files->text, "%s/m.txt", files->directory);
    sprintf(files->meta, "%s/m.meta", files->directory);
    sprintf(files->other, "%s/n.dump", files->directory);
    sprintf(files->other_meta, "%s/n.dump.meta", files->directory);
    write_file(files->text, TWO_FUNCTIONS);
    *state = files;
    return 0;
}

static int tear_down(void **state)
{
    struct files *files = *state;

    unlink(files->text);
    unlink(files->meta);
    unlink(files->other);
    unlink(files->other_meta);
    rmdir(files->directory);
    free(files);
    return 0;
}

static void assert_numa_node(const char *path, int node)
{
    struct capture_error error = {0};
    struct capture capture;

    if (capture_read_file(path, &capture, &error))
        fail_msg("%s: %s", path, error.text);
    assert_int_equal(capture.count, 2);
    assert_int_equal(capture.functions[0].extra.numa_node, node);
    capture_free(&capture);
}

static void test_reads_the_meta_file_beside(void **state)
{
    struct files *files = *state;

    assert_numa_node(files->text, -1);
    write_file(files->meta, "00:02.0 numa_node=5\n");
    assert_numa_node(files->text, 5);
    write_file(files->other, TWO_FUNCTIONS);
    assert_numa_node(files->other, -1);
    write_file(files->other_meta, "00:02.0 numa_node=6\n");
    assert_numa_node(files->other, 6);
}

static void test_says_which_file_is_wrong(void **state)
{
    struct files *files = *state;
    struct capture untouched = {.count = 77}, capture = untouched;
    struct capture_error error = {0};

    write_file(files->meta, "\n00:02.0 numa_node=x\n");
    assert_int_equal(capture_read_file(files->text, &capture, &error), -EINVAL);
    assert_string_equal(error.text, "m.meta:2:19: a decimal number expected, not 'x'");
    assert_int_equal(error.line, 0);
    unlink(files->meta);
    assert_int_equal(symlink(files->meta, files->meta), 0);
    assert_int_equal(capture_read_file(files->text, &capture, &error), -ELOOP);
    assert_non_null(strstr(error.text, "the .meta file cannot be opened: "));
    write_file(files->text, "00:02.0\n" LINE_00);
    assert_int_equal(capture_read_file(files->text, &capture, &error), -EINVAL);
    assert_int_equal(error.line, 2);
    assert_int_equal(capture_read_file(files->other, &capture, &error), -ENOENT);
    assert_string_equal(error.text, "cannot be opened: No such file or directory");
    assert_int_equal(capture_read_file(files->directory, &capture, &error), -EIO);
    assert_memory_equal(&capture, &untouched, sizeof(capture));
}

static void test_reads_the_shipped_machine(void **state)
{
    struct capture_error error = {0};
    const struct capture_function *function;
    struct capture capture;

    (void)state;
    if (capture_read_file(BERTH_DATA "/machines/q35.txt", &capture, &error))
        fail_msg("%zu:%zu: %s", error.line, error.column, error.text);
    assert_int_equal(capture.count, 36);
    function = capture_find(&capture, sbdf_make(0, 1, 0, 0));
    assert_non_null(function);
    assert_int_equal(function->size, 4096);
    assert_int_equal(function->extra.size[0], 0x20000);
    assert_int_equal(function->extra.vf_bar_size[3], 0x4000);
    assert_string_equal(function->extra.driver, "igb");
    function = capture_find(&capture, sbdf_make(0, 0x81, 0, 0));
    assert_non_null(function);
    assert_int_equal(function->extra.numa_node, 1);
    capture_free(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_every_key),
        cmocka_unit_test(test_rejects_bad_meta),
        cmocka_unit_test(test_survives_a_failed_allocation),
        cmocka_unit_test_setup_teardown(test_reads_the_meta_file_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_says_which_file_is_wrong, set_up, tear_down),
        cmocka_unit_test(test_reads_the_shipped_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
