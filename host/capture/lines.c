/* SPDX-License-Identifier: MIT */
/*
 * Lines, words and errors of the capture texts.
 */
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include <berth/errno.h>

#include "host/capture/internal.h"

/* The text quotes the input: it must stay one line, and harmless on a terminal. */
static void fail_text(struct capture_error *error, const char *format, va_list arguments)
{
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    for (char *c = error->text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

int capture_fail(struct capture_error *error, int result, const char *format, ...)
{
    va_list arguments;

    error->line = 0;
    error->column = 0;
    va_start(arguments, format);
    fail_text(error, format, arguments);
    va_end(arguments);
    return result;
}

int capture_fail_at(struct capture_error *error, const struct capture_cursor *cursor,
                    const char *format, ...)
{
    va_list arguments;

    error->line = cursor->line;
    error->column = cursor->at + 1;
    va_start(arguments, format);
    fail_text(error, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

int capture_fail_expected(struct capture_error *error, const struct capture_cursor *cursor,
                          const char *wanted)
{
    int c = capture_peek(cursor);

    if (c < 0)
        return capture_fail_at(error, cursor, "%s expected, not the end of the line", wanted);
    if (c < ' ' || c > '~')
        return capture_fail_at(error, cursor, "%s expected, not the byte 0x%02x", wanted, c);
    return capture_fail_at(error, cursor, "%s expected, not '%c'", wanted, c);
}

static int lines_refill(struct capture_lines *lines)
{
    size_t got;

    lines->end -= lines->start;
    memmove(lines->buffer, lines->buffer + lines->start, lines->end);
    lines->start = 0;
    got = fread(lines->buffer + lines->end, 1, sizeof(lines->buffer) - lines->end, lines->in);
    lines->end += got;
    lines->ended = got == 0;
    return got == 0 && ferror(lines->in) ? -EIO : 0;
}

/* A binary file is called that, rather than one with long lines. */
static int line_check(struct capture_cursor *line, struct capture_error *error)
{
    bool too_long = line->length > CAPTURE_LINE_MAX;
    const char *nul = memchr(line->text, 0, too_long ? CAPTURE_LINE_MAX : line->length);

    if (nul) {
        line->at = (size_t)(nul - line->text);
        return capture_fail_at(error, line, "a NUL byte: this is no text");
    }
    if (too_long) {
        line->at = CAPTURE_LINE_MAX;
        return capture_fail_at(error, line, "the line is longer than %d bytes", CAPTURE_LINE_MAX);
    }
    return 0;
}

int capture_lines_next(struct capture_lines *lines, struct capture_cursor *cursor,
                       struct capture_error *error)
{
    const char *newline;
    size_t pending;

    for (;;) {
        pending = lines->end - lines->start;
        newline = memchr(lines->buffer + lines->start, '\n', pending);
        if (newline || lines->ended || pending > CAPTURE_LINE_MAX)
            break;
        if (lines_refill(lines))
            return capture_fail(error, -EIO, "cannot be read: %s", strerror(errno));
    }
    if (pending == 0)
        return 0;
    *cursor = (struct capture_cursor){
        .text = lines->buffer + lines->start,
        .length = newline ? (size_t)(newline - lines->buffer) - lines->start : pending,
        .line = ++lines->number,
    };
    lines->start += cursor->length + (newline ? 1 : 0);
    if (line_check(cursor, error))
        return -EINVAL;
    if (cursor->length && cursor->text[cursor->length - 1] == '\r')
        cursor->length--;
    return 1;
}

int capture_hex_digit(char c)
{
    /* One more than the value: zero is everything else. */
    static const int8_t digits[UCHAR_MAX + 1] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
        ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
    };

    return digits[(unsigned char)c] - 1;
}

size_t capture_count_digits(const struct capture_cursor *cursor)
{
    size_t at = cursor->at;

    while (at < cursor->length && capture_hex_digit(cursor->text[at]) >= 0)
        at++;
    return at - cursor->at;
}

static int read_field(struct capture_cursor *cursor, unsigned digits, unsigned *value,
                      struct capture_error *error)
{
    *value = 0;
    while (digits-- > 0) {
        int digit = cursor->at < cursor->length ? capture_hex_digit(cursor->text[cursor->at]) : -1;

        if (digit < 0)
            return capture_fail_expected(error, cursor, "an address such as 00:02.0");
        *value = *value << 4 | (unsigned)digit;
        cursor->at++;
    }
    return 0;
}

static int read_mark(struct capture_cursor *cursor, char mark, struct capture_error *error)
{
    if (capture_peek(cursor) != mark)
        return capture_fail_expected(error, cursor, "an address such as 00:02.0");
    cursor->at++;
    return 0;
}

/* "ssss:", or nothing for segment 0. VMD numbers its domains from 10000 on. */
static int read_segment(struct capture_cursor *cursor, unsigned *segment,
                        struct capture_error *error)
{
    size_t digits = capture_count_digits(cursor);
    size_t end = cursor->at + digits;

    *segment = 0;
    if (digits > 4 && digits <= 8 && end < cursor->length && cursor->text[end] == ':')
        return capture_fail_at(error, cursor, "PCI domain %.*s is no segment: segments end at ffff",
                               (int)digits, cursor->text + cursor->at);
    if (digits != 4)
        return 0;
    if (read_field(cursor, 4, segment, error))
        return -EINVAL;
    return read_mark(cursor, ':', error);
}

int capture_read_address(struct capture_cursor *cursor, struct sbdf *sbdf,
                         struct capture_error *error)
{
    unsigned segment, bus, device, function;
    struct capture_cursor at_device, at_function;

    if (read_segment(cursor, &segment, error) || read_field(cursor, 2, &bus, error) ||
        read_mark(cursor, ':', error))
        return -EINVAL;
    at_device = *cursor;
    if (read_field(cursor, 2, &device, error) || read_mark(cursor, '.', error))
        return -EINVAL;
    at_function = *cursor;
    if (read_field(cursor, 1, &function, error))
        return -EINVAL;
    if (device > 0x1f)
        return capture_fail_at(error, &at_device, "device numbers end at 1f");
    if (function > 7)
        return capture_fail_at(error, &at_function, "function numbers end at 7");
    *sbdf = sbdf_make(segment, bus, device, function);
    return 0;
}

int capture_read_hex(struct capture_cursor *cursor, uint64_t *value, struct capture_error *error)
{
    size_t digits;

    if (cursor->length - cursor->at < 2 || memcmp(cursor->text + cursor->at, "0x", 2) != 0)
        return capture_fail_expected(error, cursor, "a number with 0x");
    cursor->at += 2;
    digits = capture_count_digits(cursor);
    if (digits == 0)
        return capture_fail_expected(error, cursor, "a hexadecimal digit");
    *value = 0;
    for (; digits > 0; digits--, cursor->at++) {
        if (*value >> 60)
            return capture_fail_at(error, cursor, "the number has more than 64 bits");
        *value = *value << 4 | (unsigned)capture_hex_digit(cursor->text[cursor->at]);
    }
    return 0;
}

int capture_read_decimal(struct capture_cursor *cursor, int *value, struct capture_error *error)
{
    int c = capture_peek(cursor);

    if (c < '0' || c > '9')
        return capture_fail_expected(error, cursor, "a decimal number");
    *value = 0;
    for (; c >= '0' && c <= '9'; c = capture_peek(cursor)) {
        if (*value > (INT_MAX - (c - '0')) / 10)
            return capture_fail_at(error, cursor, "the number is above %d", INT_MAX);
        *value = *value * 10 + (c - '0');
        cursor->at++;
    }
    return 0;
}
