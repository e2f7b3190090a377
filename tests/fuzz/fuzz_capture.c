/* SPDX-License-Identifier: MIT */
/*
 * Feeds bytes to the reader of lspci texts. What is accepted must come out the same when it is
 * written and read again; what is refused must have an error text. Built by hand, in the root:
 *
 * clang -g -O1 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -I. -Iinclude \
 * tests/fuzz/fuzz_capture.c host/capture/[a-z]*.c src/core/sbdf.c -o fuzz_capture
 */
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_order(const struct capture *capture)
{
    check(capture->count > 0);
    for (size_t i = 0; i < capture->count; i++) {
        const struct capture_function *function = &capture->functions[i];

        check(capture_size_valid(function));
        check(capture_find(capture, function->sbdf) == function);
        check(i == 0 || sbdf_key(function[-1].sbdf) < sbdf_key(function->sbdf));
    }
}

static void check_same(const struct capture *a, const struct capture *b)
{
    check(a->count == b->count);
    for (size_t i = 0; i < a->count; i++) {
        check(sbdf_equal(a->functions[i].sbdf, b->functions[i].sbdf));
        check(a->functions[i].size == b->functions[i].size);
        check(memcmp(a->functions[i].config, b->functions[i].config,
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

    check(stream && capture_write_text(capture, stream) == 0);
    fclose(stream);
    stream = fmemopen(text, length, "r");
    check(stream && capture_read_text(stream, &again, &error) == 0);
    fclose(stream);
    check_same(capture, &again);
    capture_free(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_error error = {0};
    struct capture capture;
    FILE *in;
    int result;

    if (size == 0)
        return 0;
    in = fmemopen((void *)(uintptr_t)data, size, "r");
    check(in);
    result = capture_read_text(in, &capture, &error);
    fclose(in);
    if (result) {
        check(result == -EINVAL && error.text[0] && !strchr(error.text, '\n'));
        check((error.line == 0) == (error.column == 0));
        return 0;
    }
    check_order(&capture);
    check_rewrite(&capture);
    capture_free(&capture);
    return 0;
}
