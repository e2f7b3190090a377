/* SPDX-License-Identifier: MIT */
/*
 * The .meta text: lines of "SBDF key=value ..."; data/machines/README.md has the format.
 */
#include <stdlib.h>
#include <string.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

/* What one line says of one function; committed when the whole text was good. */
struct entry {
    struct capture_extra extra;
    size_t line; /* 0: not met yet */
};

static int read_numa_node(struct capture_cursor *value, unsigned index, struct capture_extra *extra,
                          struct capture_error *error)
{
    (void)index;
    if (value->length - value->at >= 2 && memcmp(value->text + value->at, "-1", 2) == 0) {
        value->at += 2;
        extra->numa_node = -1;
        return 0;
    }
    return capture_read_decimal(value, &extra->numa_node, error);
}

static int read_iommu_group(struct capture_cursor *value, unsigned index,
                            struct capture_extra *extra, struct capture_error *error)
{
    (void)index;
    return capture_read_decimal(value, &extra->iommu_group, error);
}

static int read_size(struct capture_cursor *value, uint64_t *size, struct capture_error *error)
{
    struct capture_cursor start = *value;

    if (capture_read_hex(value, size, error))
        return -EINVAL;
    if (!capture_bar_size_valid(*size))
        return capture_fail_at(error, &start, "the size of a BAR is a power of two and at least 4");
    return 0;
}

/* START is in config space too, where it may be older: only its form is checked. */
static int read_range(struct capture_cursor *value, unsigned index, struct capture_extra *extra,
                      struct capture_error *error)
{
    struct capture_cursor at_start = *value;
    uint64_t start;

    if (capture_read_hex(value, &start, error))
        return -EINVAL;
    if (capture_peek(value) != '+')
        return capture_fail_expected(error, value, "'+' and the size");
    value->at++;
    if (read_size(value, &extra->size[index], error))
        return -EINVAL;
    if (start & (extra->size[index] - 1))
        return capture_fail_at(error, &at_start, "the start is no multiple of the size");
    return 0;
}

static int read_rom(struct capture_cursor *value, unsigned index, struct capture_extra *extra,
                    struct capture_error *error)
{
    (void)index;
    return read_range(value, CAPTURE_ROM, extra, error);
}

static int read_vf_bar(struct capture_cursor *value, unsigned index, struct capture_extra *extra,
                       struct capture_error *error)
{
    return read_size(value, &extra->vf_bar_size[index], error);
}

static int read_driver(struct capture_cursor *value, unsigned index, struct capture_extra *extra,
                       struct capture_error *error)
{
    size_t length = 0;

    (void)index;
    for (; capture_peek(value) > ' ' && capture_peek(value) < 0x7f; value->at++) {
        if (length == sizeof(extra->driver) - 1)
            return capture_fail_at(error, value, "the name of a driver has at most %zu characters",
                                   sizeof(extra->driver) - 1);
        extra->driver[length++] = value->text[value->at];
    }
    if (length == 0)
        return capture_fail_expected(error, value, "the name of a driver");
    memset(extra->driver + length, 0, sizeof(extra->driver) - length);
    return 0;
}

struct key {
    const char *name;
    unsigned count; /* the name is followed by a digit below this; 0: by none */
    int (*read)(struct capture_cursor *value, unsigned index, struct capture_extra *extra,
                struct capture_error *error);
};

static const struct key keys[] = {
    {.name = "numa_node", .read = read_numa_node},
    {.name = "bar", .count = CAPTURE_BARS, .read = read_range},
    {.name = "rom", .read = read_rom},
    {.name = "vfbar", .count = CAPTURE_BARS, .read = read_vf_bar},
    {.name = "iommu_group", .read = read_iommu_group},
    {.name = "driver", .read = read_driver},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static bool key_matches(const struct key *key, const char *text, size_t length, unsigned *index)
{
    size_t name = strlen(key->name);

    *index = 0;
    if (length < name || memcmp(text, key->name, name) != 0)
        return false;
    if (key->count == 0)
        return length == name;
    *index = (unsigned)(unsigned char)text[length - 1] - '0';
    return length == name + 1 && *index < key->count;
}

/* @seen: a bit per index of each key, as far as the line has been read. */
static int read_field(struct capture_cursor *line, struct capture_extra *extra,
                      uint8_t seen[KEY_COUNT], struct capture_error *error)
{
    const char *text = line->text + line->at;
    const char *equals = memchr(text, '=', line->length - line->at);
    size_t length = equals ? (size_t)(equals - text) : 0;
    unsigned index;

    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!key_matches(&keys[i], text, length, &index))
            continue;
        if (seen[i] & 1u << index)
            return capture_fail_at(error, line, "%.*s is here twice", (int)length, text);
        seen[i] |= (uint8_t)(1u << index);
        line->at += length + 1;
        return keys[i].read(line, index, extra, error);
    }
    for (length = 0; line->at + length < line->length && text[length] > ' ' && text[length] != '=';)
        length++;
    return capture_fail_at(error, line, "unknown key '%.*s'", (int)(length < 40 ? length : 40),
                           text);
}

static int read_fields(struct capture_cursor *line, struct capture_extra *extra,
                       struct capture_error *error)
{
    uint8_t seen[KEY_COUNT] = {0};

    while (line->at < line->length) {
        if (!capture_is_space(capture_peek(line)))
            return capture_fail_expected(error, line, "a space");
        capture_skip_spaces(line);
        if (line->at < line->length && read_field(line, extra, seen, error))
            return -EINVAL;
    }
    return 0;
}

static int read_line(struct capture_cursor *line, const struct capture *capture,
                     struct entry *entries, struct capture_error *error)
{
    struct capture_cursor start;
    const struct capture_function *function;
    struct entry *entry;
    struct sbdf sbdf;

    capture_skip_spaces(line);
    if (line->at == line->length || capture_peek(line) == '#')
        return 0;
    start = *line;
    if (capture_read_address(line, &sbdf, error))
        return -EINVAL;
    function = capture_find(capture, sbdf);
    if (!function)
        return capture_fail_at(error, &start, "the capture has no function %.*s",
                               (int)(line->at - start.at), start.text + start.at);
    entry = &entries[function - capture->functions];
    if (entry->line)
        return capture_fail_at(error, &start, "%.*s is here twice, first in line %zu",
                               (int)(line->at - start.at), start.text + start.at, entry->line);
    entry->line = line->line;
    return read_fields(line, &entry->extra, error);
}

int capture_read_meta(FILE *in, struct capture *capture, struct capture_error *error)
{
    struct entry *entries = calloc(capture->count + 1, sizeof(*entries));
    struct capture_lines lines = {.in = in};
    struct capture_cursor line;
    int result;

    if (!entries)
        return capture_fail(error, -ENOMEM, "not enough memory for the facts of %zu functions",
                            capture->count);
    for (size_t i = 0; i < capture->count; i++)
        entries[i].extra = capture->functions[i].extra;
    while ((result = capture_lines_next(&lines, &line, error)) > 0) {
        result = read_line(&line, capture, entries, error);
        if (result)
            break;
    }
    for (size_t i = 0; !result && i < capture->count; i++)
        capture->functions[i].extra = entries[i].extra;
    free(entries);
    return result;
}
