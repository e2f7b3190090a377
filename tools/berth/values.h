/* SPDX-License-Identifier: MIT */
/*
 * Words of the command line as the methods want them.
 */
#ifndef BERTH_TOOL_VALUES_H
#define BERTH_TOOL_VALUES_H

#include <jansson.h>

enum value_kind {
    VALUE_SBDF,     /* "0000:03:00.0" or "03:00.0" */
    VALUE_NAME,     /* of a domain */
    VALUE_WORD,     /* what the server knows by name */
    VALUE_NUMBER,   /* 0 to 4294967295 */
    VALUE_HEX64,    /* 64 bits, decimal or with 0x */
    VALUE_REGISTER, /* "0x10.w" */
    VALUE_SECONDS,  /* such as 0.5 */
    VALUE_TRUE,     /* a switch */
    VALUE_FALSE,    /* a switch that turns off */
};

/** Returns a new reference, or NULL where @text is none. */
json_t *value_parse(enum value_kind kind, const char *text);

/** What a value looks like, to follow "expected". */
const char *value_expects(enum value_kind kind);

#endif
