/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <berth/refusal.h>
#include <berth/sbdf.h>

#include "front/control/arguments.h"
#include "tools/berth/values.h"

static json_t *sbdf_value(const char *text)
{
    char canonical[SBDF_TEXT_SIZE];
    struct sbdf sbdf;

    return sbdf_parse(text, &sbdf) ? NULL : json_string(sbdf_format(sbdf, canonical));
}

static json_t *name_value(const char *text)
{
    return *text && strlen(text) < BERTH_NAME_SIZE ? json_string(text) : NULL;
}

static json_t *unsigned_value(const char *text, uint64_t max, json_t *(*make)(uint64_t value))
{
    uint64_t value;
    char *end;

    if (*text < '0' || *text > '9')
        return NULL;
    errno = 0;
    value = strtoull(text, &end, 0);
    return errno || *end || value > max ? NULL : make(value);
}

static json_t *number_make(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *hex_make(uint64_t value)
{
    return json_sprintf("0x%" PRIx64, value);
}

static json_t *seconds_value(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    return end == text || *end || !isfinite(seconds) ? NULL : json_real(seconds);
}

static json_t *register_value(const char *text)
{
    struct argument_register reg;

    return register_parse(text, &reg) ? NULL : json_string(text);
}

json_t *value_parse(enum value_kind kind, const char *text)
{
    switch (kind) {
    case VALUE_SBDF:
        return sbdf_value(text);
    case VALUE_NAME:
        return name_value(text);
    case VALUE_WORD:
        return json_string(text);
    case VALUE_NUMBER:
        return unsigned_value(text, UINT32_MAX, number_make);
    case VALUE_HEX64:
        return unsigned_value(text, UINT64_MAX, hex_make);
    case VALUE_REGISTER:
        return register_value(text);
    case VALUE_SECONDS:
        return seconds_value(text);
    case VALUE_TRUE:
        return json_true();
    case VALUE_FALSE:
        return json_false();
    }
    return NULL;
}

const char *value_expects(enum value_kind kind)
{
    static const char *const texts[] = {
        [VALUE_SBDF] = "an address such as 0000:03:00.0 or 03:00.0",
        [VALUE_NAME] = "a domain's name of 1 to 31 characters",
        [VALUE_WORD] = "a word",
        [VALUE_NUMBER] = "a number",
        [VALUE_HEX64] = "a number such as 0xfee00000",
        [VALUE_REGISTER] = "a register such as 0x10.w, which ends below 4096",
        [VALUE_SECONDS] = "seconds such as 0.5",
        [VALUE_TRUE] = "nothing",
        [VALUE_FALSE] = "nothing",
    };

    return texts[kind];
}
