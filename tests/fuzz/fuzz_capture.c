/* SPDX-License-Identifier: MIT */
/*
 * The readers of machines: the first byte says whether the rest is what lspci prints ('t'), a .meta
 * text for a small machine ('m'), or files of sysfs ('s': each is a byte of its length in 16ths
 * and its bytes, in the order of the table below). What is accepted comes out the same when it is
 * written and read again; what is refused has an error text.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <berth/errno.h>

#include "host/capture/internal.h"
#include "tests/fuzz/fuzz.h"

static void check_order(const struct capture *capture)
{
    fuzz_check(capture->count > 0);
    for (size_t i = 0; i < capture->count; i++) {
        const struct capture_function *function = &capture->functions[i];

        fuzz_check(capture_size_valid(function));
        fuzz_check(capture_find(capture, function->sbdf) == function);
        fuzz_check(i == 0 || sbdf_key(function[-1].sbdf) < sbdf_key(function->sbdf));
        for (unsigned range = 0; range < CAPTURE_RANGES; range++)
            fuzz_check(!function->extra.size[range] ||
                       capture_bar_size_valid(function->extra.size[range]));
        fuzz_check(memchr(function->extra.driver, 0, sizeof(function->extra.driver)));
    }
}

static void check_same(const struct capture *a, const struct capture *b)
{
    fuzz_check(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        fuzz_check(sbdf_equal(a->functions[i].sbdf, b->functions[i].sbdf));
        fuzz_check(a->functions[i].size == b->functions[i].size);
        fuzz_check(memcmp(a->functions[i].config, b->functions[i].config,
                          sizeof(a->functions[i].config)) == 0);
    }
}

static void check_rewrite(const struct capture *capture)
{
    struct capture_error error;
    struct capture again;
    char *text;
    size_t length;
    FILE *stream = open_memstream(&text, &length);

    fuzz_check(stream && capture_write_text(capture, stream) == 0);
    fclose(stream);
    stream = fmemopen(text, length, "r");
    fuzz_check(stream && capture_read_text(stream, &again, &error) == 0);
    fclose(stream);
    check_same(capture, &again);
    capture_free(&again);
    free(text);
}

static void check_error(int result, const struct capture_error *error)
{
    fuzz_check(result == -EINVAL && error->text[0] && !strchr(error->text, '\n'));
    fuzz_check((error->line == 0) == (error->column == 0));
}

static void read_text(const uint8_t *data, size_t size)
{
    struct capture_error error = {0};
    struct capture capture;
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r");
    int result;

    fuzz_check(in);
    result = capture_read_text(in, &capture, &error);
    fclose(in);
    if (result) {
        check_error(result, &error);
        return;
    }
    check_order(&capture);
    check_rewrite(&capture);
    capture_free(&capture);
}

static void read_meta(const uint8_t *data, size_t size)
{
    static struct capture_function functions[3];
    struct capture capture = {.functions = functions, .count = 3};
    struct capture_error error = {0};
    struct capture_function before[3];
    FILE *in = fmemopen((void *)(uintptr_t)data, size, "r");
    int result;

    for (unsigned i = 0; i < 3; i++)
        functions[i] = (struct capture_function){
            .sbdf = {0, (uint8_t)i, 0}, .size = 64, .extra = {.numa_node = -1, .iommu_group = -1}};
    memcpy(before, functions, sizeof(before));
    fuzz_check(in);
    result = capture_read_meta(in, &capture, &error);
    fclose(in);
    check_order(&capture);
    if (result) {
        check_error(result, &error);
        fuzz_check(memcmp(before, functions, sizeof(before)) == 0); /* changed on success only */
    }
}

/* ---- sysfs ---- */

static const char *const functions[] = {"0000:00:00.0", "0000:01:00.0"};
static const char *const files[] = {"config", "resource", "sriov_totalvfs", "numa_node"};
static const char *const links[] = {"iommu_group", "driver"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char root[] = P_tmpdir "/fuzz-sysfs-XXXXXX";
static int directories[COUNT(functions)];

static void sysfs_remove(void)
{
    for (size_t i = 0; i < COUNT(functions); i++) {
        for (size_t k = 0; k < COUNT(files); k++)
            unlinkat(directories[i], files[k], 0);
        for (size_t k = 0; k < COUNT(links); k++)
            unlinkat(directories[i], links[k], 0);
        close(directories[i]);
    }
    if (chdir(root) == 0)
        for (size_t i = 0; i < COUNT(functions); i++)
            rmdir(functions[i]);
    rmdir(root);
}

static void sysfs_make(void)
{
    char path[sizeof(root) + 32];

    if (directories[0])
        return;
    fuzz_check(mkdtemp(root) != NULL);
    for (size_t i = 0; i < COUNT(functions); i++) {
        snprintf(path, sizeof(path), "%s/%s", root, functions[i]);
        fuzz_check(mkdir(path, 0700) == 0);
        directories[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        fuzz_check(directories[i] >= 0);
    }
    fuzz_check(atexit(sysfs_remove) == 0);
}

/* The bytes of the next file; its length tells in 16ths, so that 4096 fit. */
static size_t next_file(struct fuzz_input *in, const uint8_t **bytes)
{
    size_t length = (size_t)fuzz_take(in, 1) * 16;

    if (length > in->left)
        length = in->left;
    *bytes = in->at;
    in->at += length;
    in->left -= length;
    return length;
}

static void file_write(int directory, const char *name, struct fuzz_input *in)
{
    const uint8_t *bytes;
    size_t length = next_file(in, &bytes);
    int file;

    unlinkat(directory, name, 0);
    if (!length)
        return;
    file = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    fuzz_check(file >= 0 && write(file, bytes, length) == (ssize_t)length);
    close(file);
}

static void link_write(int directory, const char *name, struct fuzz_input *in)
{
    char target[256] = "";
    const uint8_t *bytes;
    size_t length = next_file(in, &bytes);

    unlinkat(directory, name, 0);
    memcpy(target, bytes, length < sizeof(target) ? length : sizeof(target) - 1);
    if (target[0])
        fuzz_check(symlinkat(target, directory, name) == 0);
}

static void read_sysfs(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct capture_error error = {0};
    struct capture capture;
    int result;

    sysfs_make();
    for (size_t i = 0; i < COUNT(functions); i++) {
        for (size_t k = 0; k < COUNT(files); k++)
            file_write(directories[i], files[k], &in);
        for (size_t k = 0; k < COUNT(links); k++)
            link_write(directories[i], links[k], &in);
    }
    result = capture_read_sysfs(root, &capture, &error);
    if (result) {
        check_error(result, &error);
        return;
    }
    check_order(&capture);
    check_rewrite(&capture);
    capture_free(&capture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (*data == 'm')
        read_meta(data + 1, size - 1);
    else if (*data == 's')
        read_sysfs(data + 1, size - 1);
    else
        read_text(data + 1, size - 1);
    return 0;
}
