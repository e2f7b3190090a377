/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/arguments.h"

struct parameter_spec {
    uint32_t bit;
    const char *name;
    const char *expects;
    int (*decode)(const struct parameter_spec *spec, const json_t *value, void *field);
    size_t offset;            /* of the field in struct arguments */
    uint64_t min, max;        /* of integers */
    const char *const *words; /* of enumerations: up to NULL, the index is the value */
};

static int decode_sbdf(const struct parameter_spec *spec, const json_t *value, void *field)
{
    (void)spec;
    return json_is_string(value) ? sbdf_parse(json_string_value(value), field) : -EINVAL;
}

/* What a name may be is for the core to say. Longer ones cannot exist, and are not worth quoting.
 */
static int decode_name(const struct parameter_spec *spec, const json_t *value, void *field)
{
    const char *text = json_string_value(value);

    (void)spec;
    if (!text || !*text || strlen(text) >= BERTH_NAME_SIZE)
        return -EINVAL;
    *(const char **)field = text;
    return 0;
}

static int decode_seconds(const struct parameter_spec *spec, const json_t *value, void *field)
{
    double seconds = json_is_number(value) ? json_number_value(value) : -1;

    if (!(seconds >= 0.001 && seconds <= (double)spec->max))
        return -EINVAL;
    *(uint64_t *)field = (uint64_t)(seconds * 1e9);
    return 0;
}

static int decode_bool(const struct parameter_spec *spec, const json_t *value, void *field)
{
    (void)spec;
    if (!json_is_boolean(value))
        return -EINVAL;
    *(bool *)field = json_is_true(value);
    return 0;
}

static int decode_u32(const struct parameter_spec *spec, const json_t *value, void *field)
{
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : -1;

    if (number < (json_int_t)spec->min || number > (json_int_t)spec->max)
        return -EINVAL;
    *(uint32_t *)field = (uint32_t)number;
    return 0;
}

/* 64 bits do not fit into the numbers of every JSON reader: strings such as "0xfee00000" do. */
static int decode_u64(const struct parameter_spec *spec, const json_t *value, void *field)
{
    const char *text = json_string_value(value);
    char *end;

    (void)spec;
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *(uint64_t *)field = (uint64_t)json_integer_value(value);
        return 0;
    }
    if (!text || *text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    *(uint64_t *)field = strtoull(text, &end, 0);
    return errno || *end ? -EINVAL : 0;
}

static int decode_word(const struct parameter_spec *spec, const json_t *value, void *field)
{
    const char *text = json_string_value(value);

    for (unsigned i = 0; text && spec->words[i]; i++) {
        if (!strcmp(text, spec->words[i])) {
            *(unsigned *)field = i;
            return 0;
        }
    }
    return -EINVAL;
}

static int decode_sim_op(const struct parameter_spec *spec, const json_t *value, void *field)
{
    const char *text = json_string_value(value);

    (void)spec;
    for (unsigned op = 0; text && op <= SIM_OP_ANY; op++) {
        if (!strcmp(text, sim_op_name((enum sim_op)op))) {
            *(unsigned *)field = op;
            return 0;
        }
    }
    return -EINVAL;
}

static int decode_errno(const struct parameter_spec *spec, const json_t *value, void *field)
{
    const char *text = json_string_value(value);

    for (unsigned i = (unsigned)spec->min; text && i <= spec->max; i++) {
        const char *name = strerrorname_np((int)i);

        if (name && !strcmp(text, name)) {
            *(unsigned *)field = i;
            return 0;
        }
    }
    return -EINVAL;
}

#define CONFIG_SIZE 4096u

int register_parse(const char *text, struct argument_register *reg)
{
    static const char letters[] = "bwlq"; /* 1, 2, 4, 8 bytes */
    const char *letter = &letters[2];
    unsigned long at;
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    errno = 0;
    at = strtoul(text, &end, 0);
    if (*end == '.') {
        letter = end[1] ? strchr(letters, end[1]) : NULL;
        end += letter ? 2 : 0;
    }
    if (errno || !letter || *end || at >= CONFIG_SIZE)
        return -EINVAL;
    *reg = (struct argument_register){(unsigned)at, 1u << (letter - letters)};
    return reg->at + reg->width <= CONFIG_SIZE ? 0 : -EINVAL;
}

static int decode_register(const struct parameter_spec *spec, const json_t *value, void *field)
{
    (void)spec;
    return json_is_string(value) ? register_parse(json_string_value(value), field) : -EINVAL;
}

static const char *const kind_words[] = {
    [SIM_ERROR_CORRECTABLE] = "correctable",
    [SIM_ERROR_NONFATAL] = "nonfatal",
    [SIM_ERROR_FATAL] = "fatal",
    [SIM_ERROR_DPC] = "dpc",
    NULL,
};

static const char *const mode_words[] = {
    [PCIDEV_REMOVE_DEFAULT] = "default",
    [PCIDEV_REMOVE_FORCE] = "force",
    [PCIDEV_REMOVE_STRICT] = "strict",
    [PCIDEV_REMOVE_GRACEFUL] = "graceful",
    [PCIDEV_REMOVE_GRACEFUL_FORCE] = "graceful-force",
    NULL,
};

#define FIELD(member) .offset = offsetof(struct arguments, member)

static const struct parameter_spec specs[] = {
    {PARAMETER_DEVICE, "device", "an address such as \"0000:03:00.0\"", decode_sbdf, FIELD(device)},
    {PARAMETER_PF, "pf", "an address such as \"0000:01:00.0\"", decode_sbdf, FIELD(pf)},
    {PARAMETER_DOMAIN, "domain", "a domain's name of 1 to 31 characters", decode_name,
     FIELD(domain)},
    {PARAMETER_AS, "as", "a domain's name of 1 to 31 characters", decode_name, FIELD(as)},
    {PARAMETER_TIMEOUT, "timeout", "seconds, from 0.001 to 3600", decode_seconds, FIELD(timeout_ns),
     .max = ARGUMENTS_TIMEOUT_MAX_S},
    {PARAMETER_MODE, "mode",
     "\"default\", \"force\", \"strict\", \"graceful\" or \"graceful-force\"", decode_word,
     FIELD(mode), .words = mode_words},
    {PARAMETER_TEST, "test", "true or false", decode_bool, FIELD(test)},
    {PARAMETER_GROUP, "group", "true or false", decode_bool, FIELD(group)},
    {PARAMETER_VFS, "vfs", "a number from 0 to 65535", decode_u32, FIELD(vfs), .max = 65535},
    {PARAMETER_AFTER, "after", "an address such as \"0000:03:00.0\"", decode_sbdf, FIELD(after)},
    {PARAMETER_AFTER_ID, "after_id", "a domain's id", decode_u32, FIELD(after_id),
     .max = UINT32_MAX},
    {PARAMETER_LIMIT, "limit", "a number from 1 to 256", decode_u32, FIELD(limit), .min = 1,
     .max = ARGUMENTS_LIMIT_MAX},
    {PARAMETER_OP, "op", "an operation of the simulated host, such as \"attach\"", decode_sim_op,
     FIELD(op)},
    {PARAMETER_NTH, "nth", "a number from 0 to 4294967295", decode_u32, FIELD(nth),
     .max = UINT32_MAX},
    {PARAMETER_COUNT, "count", "a number from 0 to 4294967295", decode_u32, FIELD(count),
     .max = UINT32_MAX},
    {PARAMETER_ERROR, "error", "the name of an error, such as \"EIO\"", decode_errno, FIELD(error),
     .min = 1, .max = 133},
    {PARAMETER_ADDRESS, "address", "a number, or a string such as \"0xfee00000\"", decode_u64,
     FIELD(address)},
    {PARAMETER_VALUE, "value", "a number, or a string such as \"0xfee00000\"", decode_u64,
     FIELD(value)},
    {PARAMETER_ON, "on", "true or false", decode_bool, FIELD(on)},
    {PARAMETER_AT, "at", "an address in the guest such as \"0000:00:01.0\"", decode_sbdf,
     FIELD(at)},
    {PARAMETER_PORTS, "ports", "a number from 0 to 31", decode_u32, FIELD(ports),
     .max = BERTH_PORTS_MAX},
    {PARAMETER_BUSES, "buses", "a number from 1 to 128", decode_u32, FIELD(buses), .min = 1,
     .max = ARGUMENTS_BUSES_MAX},
    {PARAMETER_REG, "reg", "a register such as \"0x10.w\", which ends below 4096", decode_register,
     FIELD(reg)},
    {PARAMETER_REGISTERS, "count", "a number from 1 to 4096", decode_u32, FIELD(registers),
     .min = 1, .max = CONFIG_SIZE},
    {PARAMETER_VECTOR, "vector", "a number from 0 to 2047", decode_u32, FIELD(vector), .max = 2047},
    {PARAMETER_BAR, "bar", "a number from 0 to 6, which is the ROM", decode_u32, FIELD(bar),
     .max = BERTH_BAR_ROM},
    {PARAMETER_OFFSET, "offset", "a number, or a string such as \"0x2000\"", decode_u64,
     FIELD(offset)},
    {PARAMETER_KIND, "kind", "\"correctable\", \"nonfatal\", \"fatal\" or \"dpc\"", decode_word,
     FIELD(kind), .words = kind_words},
};

#define SPEC_COUNT (sizeof(specs) / sizeof(specs[0]))

static const struct parameter_spec *spec_find(const char *name, uint32_t allowed)
{
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        if ((specs[i].bit & allowed) && !strcmp(specs[i].name, name))
            return &specs[i];
    }
    return NULL;
}

static int required_check(uint32_t required, const struct arguments *arguments, char *problem,
                          size_t size)
{
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        if (specs[i].bit & required & ~arguments->given) {
            snprintf(problem, size, "parameter \"%s\" is missing: %s", specs[i].name,
                     specs[i].expects);
            return -EINVAL;
        }
    }
    return 0;
}

static int one_decode(const char *name, const json_t *value, uint32_t allowed,
                      struct arguments *arguments, const char **expects)
{
    const struct parameter_spec *spec = spec_find(name, allowed);

    *expects = spec ? spec->expects : "the method has no such parameter";
    if (!spec || spec->decode(spec, value, (char *)arguments + spec->offset))
        return -EINVAL;
    arguments->given |= spec->bit;
    return 0;
}

int arguments_decode(json_t *params, uint32_t required, uint32_t optional,
                     struct arguments *arguments, char *problem, size_t size)
{
    const char *name, *expects;
    json_t *value;

    *arguments = (struct arguments){.limit = ARGUMENTS_LIMIT_MAX, .on = true};
    if (params && !json_is_object(params)) {
        snprintf(problem, size, "parameters must be an object");
        return -EINVAL;
    }
    json_object_foreach(params, name, value)
    {
        if (one_decode(name, value, required | optional, arguments, &expects)) {
            snprintf(problem, size, "parameter \"%.32s\": %s", name, expects);
            return -EINVAL;
        }
    }
    return required_check(required, arguments, problem, size);
}
