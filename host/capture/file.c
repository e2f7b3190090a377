/* SPDX-License-Identifier: MIT */
/*
 * A capture out of files: "machine.txt", and "machine.meta" where that exists.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

/* Where ".txt" ends the path, ".meta" takes its place. To be freed; NULL: no memory. */
static char *meta_path(const char *path)
{
    size_t length = strlen(path);
    char *meta;

    if (length >= 4 && strcmp(path + length - 4, ".txt") == 0)
        length -= 4;
    return asprintf(&meta, "%.*s.meta", (int)length, path) < 0 ? NULL : meta;
}

/* The place that the caller shows is one in the capture: a place in the other file is text. */
static int read_meta(FILE *in, const char *path, struct capture *capture,
                     struct capture_error *error)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    struct capture_error inner;
    int result = capture_read_meta(in, capture, &inner);

    if (!result)
        return 0;
    if (inner.line)
        return capture_fail(error, result, "%.60s:%zu:%zu: %s", name, inner.line, inner.column,
                            inner.text);
    return capture_fail(error, result, "%.60s: %s", name, inner.text);
}

static int read_meta_beside(const char *path, struct capture *capture, struct capture_error *error)
{
    char *meta = meta_path(path);
    FILE *in;
    int result;

    if (!meta)
        return capture_fail(error, -ENOMEM, "not enough memory for a file name");
    in = fopen(meta, "re");
    if (in) {
        result = read_meta(in, meta, capture, error);
        fclose(in);
    } else if (errno == ENOENT) {
        result = 0;
    } else {
        result =
            capture_fail(error, -errno, "the .meta file cannot be opened: %s", strerror(errno));
    }
    free(meta);
    return result;
}

int capture_read_file(const char *path, struct capture *capture, struct capture_error *error)
{
    struct capture read;
    FILE *in;
    int result;

    if (strcmp(path, "-") == 0)
        return capture_read_text(stdin, capture, error);
    in = fopen(path, "re");
    if (!in)
        return capture_fail(error, -errno, "cannot be opened: %s", strerror(errno));
    result = capture_read_text(in, &read, error);
    fclose(in);
    if (result)
        return result;
    result = read_meta_beside(path, &read, error);
    if (result)
        capture_free(&read);
    else
        *capture = read;
    return result;
}
