/* SPDX-License-Identifier: MIT */
/*
 * The text of lspci -x, -xxx and -xxxx.
 *
 *     [ssss:]bb:dd.f anything              starts a function
 *     <tab or space> anything              decoded by -v, -vv or -vvv: not needed
 *     00: 86 80 c0 29 ...                  16 bytes at an offset, without gaps from 0 on
 *
 * Blank lines and lines that start with '#' mean nothing.
 */
#include <berth/errno.h>

#include "host/capture/internal.h"

#define LINE_BYTES 16

struct parser {
    struct capture_builder builder;
    struct capture_cursor last; /* start of the current function's last line, without text */
};

/* A dump that was cut off shows up here: the next function starts, or the text ends. */
static int end_function(const struct parser *parser, struct capture_error *error)
{
    const struct capture_function *function = capture_builder_last(&parser->builder);
    char text[SBDF_TEXT_SIZE];

    if (!function || capture_size_valid(function))
        return 0;
    sbdf_format(function->sbdf, text);
    if (function->size == 0)
        return capture_fail_at(error, &parser->last, "%s has no dump: use lspci -xxxx", text);
    return capture_fail_at(error, &parser->last,
                           "the dump of %s ends after %u bytes, not 64, 256, 4096 or (CardBus) 128",
                           text, function->size);
}

static int read_header(struct parser *parser, struct capture_cursor *line,
                       struct capture_error *error)
{
    struct sbdf sbdf;

    if (capture_read_address(line, &sbdf, error) || end_function(parser, error))
        return -EINVAL;
    if (line->at < line->length && !capture_is_space(capture_peek(line)))
        return capture_fail_expected(error, line, "a space behind the address");
    return capture_builder_add(&parser->builder, sbdf, line->line, error);
}

static int read_offset(struct capture_cursor *line, unsigned expected, struct capture_error *error)
{
    struct capture_cursor start = *line;
    unsigned offset = 0;

    for (; capture_peek(line) != ':'; line->at++)
        offset = offset << 4 | (unsigned)capture_hex_digit(line->text[line->at]);
    line->at++;
    if (offset < expected)
        return capture_fail_at(error, &start, "offset %02x is here already, %02x expected", offset,
                               expected);
    if (offset > expected)
        return capture_fail_at(error, &start, "offset %02x is missing, this is %02x", expected,
                               offset);
    return 0;
}

static int read_byte(struct capture_cursor *line, uint8_t *byte, struct capture_error *error)
{
    unsigned value = 0;

    if (capture_peek(line) != ' ')
        return capture_fail_expected(error, line, "a space and one of 16 bytes");
    line->at++;
    for (int i = 0; i < 2; i++, line->at++) {
        int digit = line->at < line->length ? capture_hex_digit(line->text[line->at]) : -1;

        if (digit < 0)
            return capture_fail_expected(error, line, "a hexadecimal digit");
        value = value << 4 | (unsigned)digit;
    }
    *byte = (uint8_t)value;
    return 0;
}

static int read_dump_line(struct parser *parser, struct capture_cursor *line,
                          struct capture_error *error)
{
    struct capture_function *function = capture_builder_last(&parser->builder);

    if (!function)
        return capture_fail_at(error, line, "a dump without the address of a function before it");
    if (read_offset(line, function->size, error))
        return -EINVAL;
    for (int i = 0; i < LINE_BYTES; i++) {
        if (read_byte(line, &function->config[function->size + i], error))
            return -EINVAL;
    }
    capture_skip_spaces(line);
    if (line->at < line->length)
        return capture_fail_expected(error, line, "the end of the line");
    function->size += LINE_BYTES;
    return 0;
}

/* The two digits before a header's first colon are followed by a digit, an offset by a space. */
static bool is_dump_line(const struct capture_cursor *line)
{
    size_t digits = capture_count_digits(line);

    return (digits == 2 || digits == 3) && digits + 1 < line->length && line->text[digits] == ':' &&
           line->text[digits + 1] == ' ';
}

static int read_line(struct parser *parser, struct capture_cursor *line,
                     struct capture_error *error)
{
    int first = capture_peek(line);
    int result;

    if (first < 0 || first == '#' || capture_is_space(first))
        return 0;
    result =
        is_dump_line(line) ? read_dump_line(parser, line, error) : read_header(parser, line, error);
    parser->last = (struct capture_cursor){.line = line->line};
    return result;
}

int capture_read_text_limited(FILE *in, size_t limit, struct capture *capture,
                              struct capture_error *error)
{
    struct parser parser = {.builder = {.limit = limit}};
    struct capture_lines lines = {.in = in};
    struct capture_cursor line;
    int result;

    while ((result = capture_lines_next(&lines, &line, error)) > 0) {
        result = read_line(&parser, &line, error);
        if (result)
            break;
    }
    if (!result)
        result = end_function(&parser, error);
    if (!result)
        result = capture_builder_finish(&parser.builder, capture, error);
    capture_builder_free(&parser.builder);
    return result;
}

int capture_read_text(FILE *in, struct capture *capture, struct capture_error *error)
{
    return capture_read_text_limited(in, CAPTURE_FUNCTIONS_MAX, capture, error);
}
