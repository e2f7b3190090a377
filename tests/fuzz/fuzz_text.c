/* SPDX-License-Identifier: MIT */
/*
 * What people type: addresses, registers, numbers, seconds. The first byte says which of them the
 * rest is. What is accepted is what a regular expression describes, and means the same when it is
 * written out and read again.
 */
#include <berth/errno.h>
#include <berth/sbdf.h>

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/arguments.h"
#include "tests/fuzz/fuzz.h"
#include "tools/berth/values.h"

#define TEXT_MAX 255u

enum grammar {
    GRAMMAR_SBDF,
    GRAMMAR_REGISTER,
    GRAMMARS,
};

static bool matches(enum grammar grammar, const char *text)
{
    static const char *const patterns[GRAMMARS] = {
        [GRAMMAR_SBDF] = "^([0-9a-fA-F]{1,4}:)?[0-9a-fA-F]{1,2}:[01]?[0-9a-fA-F][.][0-7]$",
        [GRAMMAR_REGISTER] = "^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)([.][bwlq])?$",
    };
    static regex_t compiled[GRAMMARS];
    static bool ready[GRAMMARS];

    if (!ready[grammar])
        fuzz_check(regcomp(&compiled[grammar], patterns[grammar], REG_EXTENDED | REG_NOSUB) == 0);
    ready[grammar] = true;
    return regexec(&compiled[grammar], text, 0, NULL, 0) == 0;
}

static void check_sbdf(const char *text)
{
    struct sbdf sbdf = {1, 2, 3}, again;
    char canonical[SBDF_TEXT_SIZE];
    int error = sbdf_parse(text, &sbdf);

    fuzz_check(error == (matches(GRAMMAR_SBDF, text) ? 0 : -EINVAL));
    if (error) {
        fuzz_check(sbdf.segment == 1 && sbdf.bus == 2 && sbdf.devfn == 3);
        return;
    }
    fuzz_check(strlen(sbdf_format(sbdf, canonical)) == SBDF_TEXT_SIZE - 1);
    fuzz_check(sbdf_parse(canonical, &again) == 0 && sbdf_equal(sbdf, again));
    fuzz_check(sbdf_equal(sbdf_from_key(sbdf_key(sbdf)), sbdf));
}

static void check_register(const char *text)
{
    struct argument_register reg;
    int error = register_parse(text, &reg);

    if (!error) {
        fuzz_check(matches(GRAMMAR_REGISTER, text) && reg.at == strtoul(text, NULL, 0));
        fuzz_check(reg.width == 1 || reg.width == 2 || reg.width == 4 || reg.width == 8);
        fuzz_check(reg.at + reg.width <= 4096);
    } else {
        fuzz_check(error == -EINVAL);
        fuzz_check(!matches(GRAMMAR_REGISTER, text) || strtoul(text, NULL, 0) > 4096 - 8);
    }
}

/* Whatever the kind, a value is sent to the server as JSON. */
static void check_value(enum value_kind kind, const char *text)
{
    json_t *value = value_parse(kind, text);
    char *line = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    json_error_t error;
    json_t *again;

    if (!value)
        return;
    fuzz_check(line);
    again = json_loads(line, JSON_DECODE_ANY, &error);
    fuzz_check(again && json_equal(value, again));
    json_decref(again);
    json_decref(value);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TEXT_MAX + 1];
    size_t length = size > TEXT_MAX ? TEXT_MAX : size - 1;

    if (size == 0)
        return 0;
    memcpy(text, data + 1, length);
    text[length] = '\0';
    switch (*data) {
    case 's':
        check_sbdf(text);
        break;
    case 'r':
        check_register(text);
        break;
    default:
        check_value((enum value_kind)(*data % (VALUE_FALSE + 1)), text);
    }
    return 0;
}
