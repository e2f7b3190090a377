/* SPDX-License-Identifier: MIT */
#include "capture_help.h"

#include <string.h>

#define HEADER_TYPE 0x0e
#define HEADER_TYPE_CARDBUS 0x82 /* with the bit of a multi-function device */

FILE *help_open(const char *text, size_t size)
{
    FILE *in;

    /* fmemopen() of nothing is an error in some libraries. */
    in = size ? fmemopen((void *)(uintptr_t)text, size, "r") : fopen("/dev/null", "re");
    assert_non_null(in);
    return in;
}

struct capture help_read(const char *text)
{
    FILE *in = help_open(text, strlen(text));
    struct capture_error error = {0};
    struct capture capture;
    int result = capture_read_text(in, &capture, &error);

    fclose(in);
    if (result)
        fail_msg("%zu:%zu: %s", error.line, error.column, error.text);
    return capture;
}

uint8_t help_byte(struct sbdf sbdf, unsigned offset)
{
    if (offset == HEADER_TYPE)
        return 0;
    return (uint8_t)((sbdf_key(sbdf) * 2654435761u >> 13) + offset * 7 + (offset >> 8));
}

void help_print_function(FILE *out, struct sbdf sbdf, unsigned size)
{
    unsigned type = size == 128 ? HEADER_TYPE_CARDBUS : 0;
    char text[SBDF_TEXT_SIZE];

    fprintf(out, "%s Host bridge: made up\n", sbdf_format(sbdf, text));
    for (unsigned offset = 0; offset < size; offset++) {
        if (offset % 16 == 0)
            fprintf(out, "%02x:", offset);
        fprintf(out, " %02x", offset == HEADER_TYPE ? type : help_byte(sbdf, offset));
        if (offset % 16 == 15)
            fputc('\n', out);
    }
    fputc('\n', out);
}

char *help_make_text(const struct sbdf *list, size_t count, unsigned size)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    for (size_t i = 0; i < count; i++)
        help_print_function(out, list[i], size);
    fclose(out);
    return text;
}

void help_assert_same(const struct capture *a, const struct capture *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct capture_function *f = &a->functions[i], *g = &b->functions[i];

        assert_true(sbdf_equal(f->sbdf, g->sbdf));
        assert_int_equal(f->size, g->size);
        assert_memory_equal(f->config, g->config, sizeof(f->config));
    }
}
