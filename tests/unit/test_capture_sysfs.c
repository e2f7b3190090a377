/* SPDX-License-Identifier: MIT */
/*
 * Linux's /sys/bus/pci/devices, made up in a temporary directory.
 */
#include "capture_help.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/errno.h>

#define NO_RANGE "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
#define FOUR_MORE NO_RANGE NO_RANGE NO_RANGE NO_RANGE

/* A function that goes just before the reader is done with it. */
static bool config_goes_at_last;

int __real_faccessat(int directory, const char *path, int mode, int flags);
int __wrap_faccessat(int directory, const char *path, int mode, int flags);

int __wrap_faccessat(int directory, const char *path, int mode, int flags)
{
    if (config_goes_at_last) {
        errno = ENOENT;
        return -1;
    }
    return __real_faccessat(directory, path, mode, flags);
}

struct tree {
    char root[32];
};

static void path_of(const struct tree *tree, const char *name, const char *file, char path[128])
{
    snprintf(path, 128, "%s/%s/%s", tree->root, name, file);
}

static void add_file(const struct tree *tree, const char *name, const char *file, const void *data,
                     size_t size)
{
    char path[128];
    FILE *out;

    path_of(tree, name, file, path);
    out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(out);
}

static void add_text(const struct tree *tree, const char *name, const char *file, const char *text)
{
    add_file(tree, name, file, text, strlen(text));
}

static void add_link(const struct tree *tree, const char *name, const char *link,
                     const char *target)
{
    char path[128];

    path_of(tree, name, link, path);
    assert_int_equal(symlink(target, path), 0);
}

/* @size 0: without a config file */
static void add_function(const struct tree *tree, const char *name, const uint8_t *config,
                         size_t size)
{
    char path[128];

    path_of(tree, name, "", path);
    assert_int_equal(mkdir(path, 0700), 0);
    if (size)
        add_file(tree, name, "config", config, size);
}

static int set_up(void **state)
{
    struct tree *tree = malloc(sizeof(*tree));

    strcpy(tree->root, "/tmp/berth-sysfs-XXXXXX");
    *state = tree;
    return mkdtemp(tree->root) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    struct tree *tree = *state;
    int result = nftw(tree->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);

    free(tree);
    return result;
}

static struct capture read_tree(const struct tree *tree)
{
    struct capture_error error = {0};
    struct capture capture;

    if (capture_read_sysfs(tree->root, &capture, &error))
        fail_msg("%s", error.text);
    return capture;
}

/* An SR-IOV capability for 8 VFs, behind another one. */
static void fill_pf(uint8_t config[4096])
{
    memset(config, 0, 4096);
    config[0x100] = 0x01;
    config[0x103] = 0x16; /* next: 160 */
    config[0x160] = 0x10;
    config[0x162] = 0x01;
    config[0x160 + 0x0e] = 8;
}

static void test_reads_every_fact(void **state)
{
    static const char resource[] =
        "0x0000004000000000 0x000000400007ffff 0x0000000000140204\n"
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
        "0x0000000000005000 0x000000000000501f 0x0000000000040101\n"
        "0x00000000000003f6 0x00000000000003f6 0x0000000000040101\n" NO_RANGE NO_RANGE
        "0x00000000fca00000 0x00000000fca3ffff 0x0000000000046200\n"
        "0x00000000fea00000 0x00000000fea1ffff 0x0000000000140204\n" NO_RANGE NO_RANGE
        "0x00000000fea20000 0x00000000fea3ffff 0x0000000000140204\n" NO_RANGE NO_RANGE;
    const struct tree *tree = *state;
    const struct capture_extra *extra;
    struct capture capture;
    uint8_t config[4096];

    fill_pf(config);
    add_function(tree, "0000:01:00.0", config, 4096);
    add_text(tree, "0000:01:00.0", "resource", resource);
    add_text(tree, "0000:01:00.0", "numa_node", "2\n");
    add_text(tree, "0000:01:00.0", "sriov_totalvfs", "7\n"); /* lowered by its driver */
    add_link(tree, "0000:01:00.0", "iommu_group", "../../../../kernel/iommu_groups/14");
    add_link(tree, "0000:01:00.0", "driver", "../../../../bus/pci/drivers/igb");
    capture = read_tree(tree);
    assert_int_equal(capture.count, 1);
    assert_int_equal(sbdf_key(capture.functions[0].sbdf), 0x100);
    assert_int_equal(capture.functions[0].size, 4096);
    assert_memory_equal(capture.functions[0].config, config, 4096);
    extra = &capture.functions[0].extra;
    assert_int_equal(extra->size[0], 0x80000);
    assert_int_equal(extra->size[1], 0);
    assert_int_equal(extra->size[2], 0x20);
    assert_int_equal(extra->size[3], 0); /* no BAR has one byte: a legacy IDE port */
    assert_int_equal(extra->size[CAPTURE_ROM], 0x40000);
    assert_int_equal(extra->vf_bar_size[0], 0x4000);
    assert_int_equal(extra->vf_bar_size[1], 0);
    assert_int_equal(extra->vf_bar_size[3], 0x4000);
    assert_int_equal(extra->numa_node, 2);
    assert_int_equal(extra->iommu_group, 14);
    assert_string_equal(extra->driver, "igb");
    capture_free(&capture);
}

/* Unprivileged: no capability in sight, so the kernel's own number has to do. */
static void test_reads_a_header_only(void **state)
{
    static const char resource[] = NO_RANGE NO_RANGE NO_RANGE NO_RANGE NO_RANGE NO_RANGE NO_RANGE
        "0x00000000fea00000 0x00000000fea1ffff 0x0000000000140204\n";
    const struct tree *tree = *state;
    struct capture capture;
    uint8_t config[4096];

    fill_pf(config);
    config[0x0e] = 2;
    add_function(tree, "0000:02:00.0", config, 64);
    add_text(tree, "0000:02:00.0", "sriov_totalvfs", "8\n");
    add_text(tree, "0000:02:00.0", "resource", resource);
    add_function(tree, "0000:01:00.0", config, 128); /* a CardBus bridge */
    capture = read_tree(tree);
    assert_int_equal(capture.count, 2);
    assert_int_equal(capture.functions[0].size, 128);
    assert_int_equal(capture.functions[1].size, 64);
    assert_int_equal(capture.functions[1].extra.vf_bar_size[0], 0x4000);
    assert_int_equal(capture.functions[1].extra.numa_node, -1);
    assert_int_equal(capture.functions[1].extra.iommu_group, -1);
    assert_string_equal(capture.functions[1].extra.driver, "");
    capture_free(&capture);
}

/* A kernel without SR-IOV has the windows of a bridge where others have VF BARs. */
static void test_bridge_windows_are_no_vf_bars(void **state)
{
    static const char resource[] =
        "0x00000000fd200000 0x00000000fd200fff 0x0000000000040200\n" FOUR_MORE NO_RANGE NO_RANGE
        "0x0000000000005000 0x0000000000005fff 0x0000000000000101\n"
        "0x00000000fd000000 0x00000000fd1fffff 0x0000000000000200\n" NO_RANGE NO_RANGE;
    const struct tree *tree = *state;
    struct capture capture;
    uint8_t config[4096];

    fill_pf(config);
    config[0x0e] = 1;
    add_function(tree, "0000:00:01.0", config, sizeof(config));
    add_text(tree, "0000:00:01.0", "resource", resource);
    capture = read_tree(tree);
    assert_int_equal(capture.functions[0].extra.size[0], 0x1000);
    for (unsigned i = 0; i < CAPTURE_BARS; i++)
        assert_int_equal(capture.functions[0].extra.vf_bar_size[i], 0);
    capture_free(&capture);
}

static void test_leaves_out(void **state)
{
    const struct tree *tree = *state;
    static const uint8_t config[64] = {1};
    struct capture capture;

    add_function(tree, "10000:00:00.0", config, 64); /* no segment */
    add_function(tree, "0000:00:01.0", config, 0);   /* gone: an empty directory */
    add_function(tree, "0000:00:02.0x", config, 64);
    add_link(tree, ".", "0000:00:03.0", "gone");
    add_function(tree, "ffff:ff:1f.7", config, 64);
    capture = read_tree(tree);
    assert_int_equal(capture.count, 1);
    assert_int_equal(sbdf_key(capture.functions[0].sbdf), 0xffffffff);
    capture_free(&capture);
}

static void assert_fails(const char *root, int wanted, const char *says)
{
    struct capture untouched = {.count = 77}, capture = untouched;
    struct capture_error error = {.line = 3};

    assert_int_equal(capture_read_sysfs(root, &capture, &error), wanted);
    if (!strstr(error.text, says))
        fail_msg("%s", error.text);
    assert_int_equal(error.line, 0);
    assert_memory_equal(&capture, &untouched, sizeof(capture));
}

static void test_nothing_there(void **state)
{
    const struct tree *tree = *state;
    static const uint8_t config[64] = {1};

    assert_fails(tree->root, -EINVAL, "no PCI function");
    assert_fails("/nonexistent/devices", -ENOENT, "/nonexistent/devices cannot be opened: No such");
    add_function(tree, "0000:00:01.0", config, 64);
    config_goes_at_last = true;
    assert_fails(tree->root, -EINVAL, "no PCI function");
    config_goes_at_last = false;
}

static void test_rejects_a_wrong_size(void **state)
{
    const struct tree *tree = *state;
    static const uint8_t config[256];

    add_function(tree, "0000:00:01.0", config, 256);
    add_function(tree, "0000:00:02.0", config, 100);
    assert_fails(tree->root, -EINVAL, "0000:00:02.0: its config file has 100 bytes");
}

static void test_rejects_a_malformed_resource(void **state)
{
    static const char *const bad[] = {"\n", NO_RANGE "0x0 0x0\n", "0x0 0x0 0x0",
                                      "0x0 0x0 0x0 0x0\n", "hello\n"};
    const struct tree *tree = *state;
    static const uint8_t config[256];

    add_function(tree, "0000:00:01.0", config, 256);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        add_text(tree, "0000:00:01.0", "resource", bad[i]);
        assert_fails(tree->root, -EINVAL,
                     i == 1 ? "line 2 of its resource file" : "line 1 of its resource file");
    }
}

/* A list of capabilities that leads back to itself ends. */
static void test_ends_a_capability_loop(void **state)
{
    const struct tree *tree = *state;
    struct capture capture;
    uint8_t config[4096] = {[0x100] = 1, [0x103] = 0x10};

    add_function(tree, "0000:00:01.0", config, 4096);
    add_text(tree, "0000:00:01.0", "sriov_totalvfs", "4\n");
    capture = read_tree(tree);
    assert_int_equal(capture.count, 1);
    capture_free(&capture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_every_fact, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reads_a_header_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bridge_windows_are_no_vf_bars, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaves_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rejects_a_wrong_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rejects_a_malformed_resource, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends_a_capability_loop, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
