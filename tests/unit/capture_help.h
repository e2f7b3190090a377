/* SPDX-License-Identifier: MIT */
/*
 * Captures for the tests of host/capture.
 */
#ifndef BERTH_TEST_CAPTURE_HELP_H
#define BERTH_TEST_CAPTURE_HELP_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <setjmp.h>

#include <cmocka.h>

#include "host/capture/capture.h"

/* The header of a host bridge as lspci -x prints it. */
#define LINE_00 "00: 86 80 c0 29 03 01 00 00 00 00 00 06 00 00 00 00\n"
#define LINE_10 "10: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
#define LINE_20 "20: 00 00 00 00 00 00 00 00 00 00 00 00 f4 1a 00 11\n"
#define LINE_30 "30: 00 00 00 00 00 00 00 00 00 00 00 00 ff 01 00 00\n"
#define LINE_40 "40: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
#define LINE_50 "50: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
#define LINE_60 "60: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
#define LINE_70 "70: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00\n"
#define DUMP_64 LINE_00 LINE_10 LINE_20 LINE_30

/** Opens a string as a stream. */
FILE *help_open(const char *text, size_t size);

/** Reads a string that has to be good. */
struct capture help_read(const char *text);

/** Every byte of config space depends on its address and on the function's. */
uint8_t help_byte(struct sbdf sbdf, unsigned offset);

/** Prints the dump of a function whose config space is help_byte()'s; 128 bytes: of CardBus. */
void help_print_function(FILE *out, struct sbdf sbdf, unsigned size);

/** The dumps of several functions, to be freed. */
char *help_make_text(const struct sbdf *list, size_t count, unsigned size);

/** Fails the test where two captures differ in addresses, sizes or config spaces. */
void help_assert_same(const struct capture *a, const struct capture *b);

#endif
