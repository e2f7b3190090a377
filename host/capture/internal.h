/* SPDX-License-Identifier: MIT */
/*
 * What the readers of captures share: lines with a bounded length, a place in them for errors, and
 * the list that a capture is built in.
 */
#ifndef BERTH_CAPTURE_INTERNAL_H
#define BERTH_CAPTURE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "host/capture/capture.h"

#define CAPTURE_LINE_MAX 4096                   /* bytes, with a carriage return */
#define CAPTURE_FUNCTIONS_MAX ((size_t)1 << 20) /* 4.1 GiB of memory */

/* ---- errors ---- */

/** One line of a text, and how far it has been read. */
struct capture_cursor {
    const char *text; /* not terminated */
    size_t length;
    size_t at;   /* index of the next character; the column is one more */
    size_t line; /* from 1 */
};

/** Fills in an error without a place. Returns @result. */
int capture_fail(struct capture_error *error, int result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Fills in an error about the next character of @cursor. Returns -EINVAL. */
int capture_fail_at(struct capture_error *error, const struct capture_cursor *cursor,
                    const char *format, ...) __attribute__((format(printf, 3, 4)));

/** Says that the next character is not the @wanted one. Returns -EINVAL. */
int capture_fail_expected(struct capture_error *error, const struct capture_cursor *cursor,
                          const char *wanted);

/* ---- lines ---- */

/** Reads a stream line by line in constant memory. Start with .in set and the rest zero. */
struct capture_lines {
    FILE *in;
    size_t start, end; /* the part of buffer that has not been handed out */
    size_t number;
    bool ended;
    char buffer[4 * CAPTURE_LINE_MAX];
};

/**
 * Gives the next line without its LF or CRLF, valid until the next call. A line that is too long
 * or holds a NUL byte is an error.
 * Returns 1, 0 at the end, -EINVAL or -EIO with @error.
 */
int capture_lines_next(struct capture_lines *lines, struct capture_cursor *cursor,
                       struct capture_error *error) __attribute__((warn_unused_result));

/* ---- words of a line; each leaves the cursor behind what it read ---- */

/** The value of a hexadecimal digit, or -1. */
int capture_hex_digit(char c);

/** The next character, or -1 at the end of the line. */
static inline int capture_peek(const struct capture_cursor *cursor)
{
    return cursor->at < cursor->length ? (unsigned char)cursor->text[cursor->at] : -1;
}

static inline bool capture_is_space(int c)
{
    return c == ' ' || c == '\t';
}

static inline void capture_skip_spaces(struct capture_cursor *cursor)
{
    while (capture_is_space(capture_peek(cursor)))
        cursor->at++;
}

/** How many hexadecimal digits come next. */
size_t capture_count_digits(const struct capture_cursor *cursor);

/** Reads "ssss:bb:dd.f" or "bb:dd.f". Returns 0, or -EINVAL with @error. */
int capture_read_address(struct capture_cursor *cursor, struct sbdf *sbdf,
                         struct capture_error *error) __attribute__((warn_unused_result));

/** Reads "0x" and up to 64 bits of hexadecimal digits. Returns 0, or -EINVAL with @error. */
int capture_read_hex(struct capture_cursor *cursor, uint64_t *value, struct capture_error *error)
    __attribute__((warn_unused_result));

/** Reads a decimal number of up to INT_MAX. Returns 0, or -EINVAL with @error. */
int capture_read_decimal(struct capture_cursor *cursor, int *value, struct capture_error *error)
    __attribute__((warn_unused_result));

/* ---- building ---- */

/** Where a function was found. */
struct capture_place {
    uint32_t key; /* sbdf_key() */
    size_t line;
    size_t index; /* in functions[] */
};

/** A capture in the making, in the order of the input. Start with .limit set and the rest zero. */
struct capture_builder {
    struct capture_function *functions;
    struct capture_place *places; /* places[i] belongs to functions[i] */
    size_t count, room, limit;
};

/**
 * Appends a function: zero, and everything in .extra not known.
 * Returns 0, -ENOMEM, or -E2BIG with @error.
 */
int capture_builder_add(struct capture_builder *builder, struct sbdf sbdf, size_t line,
                        struct capture_error *error) __attribute__((warn_unused_result));

/** The function appended last, or NULL; moves with the next one. */
struct capture_function *capture_builder_last(const struct capture_builder *builder);

/**
 * Sorts the functions and hands them to @capture; the builder is empty then.
 * Returns 0, or -EINVAL with @error where an address was there twice or none at all.
 */
int capture_builder_finish(struct capture_builder *builder, struct capture *capture,
                           struct capture_error *error) __attribute__((warn_unused_result));

/** Frees what has not been handed over. */
void capture_builder_free(struct capture_builder *builder);

/** True where a config space can have .size bytes: 128 only with a CardBus header. */
bool capture_size_valid(const struct capture_function *function);

/** True where a BAR can have this size. I/O BARs start at 4 bytes (PCI Local Bus 3.0, 6.2.5.1). */
static inline bool capture_bar_size_valid(uint64_t size)
{
    return size >= 4 && (size & (size - 1)) == 0;
}

/** capture_read_text() with another limit of functions. */
int capture_read_text_limited(FILE *in, size_t limit, struct capture *capture,
                              struct capture_error *error) __attribute__((warn_unused_result));

#endif
