/* SPDX-License-Identifier: MIT */
/*
 * Config space for people: registers, and dumps that lspci reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/berth/commands.h"

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Without the 0x of the server's values. */
static const char *digits_of(const json_t *object, const char *key)
{
    const char *text = string_of(object, key);

    return strncmp(text, "0x", 2) ? text : text + 2;
}

/* ---- registers ---- */

#define ROW_BYTES 16

static void table_line(unsigned reg, const json_t *values, size_t from, size_t count)
{
    printf("%03x:", reg);
    for (size_t i = from; i < from + count && i < json_array_size(values); i++)
        printf(" %s", json_string_value(json_array_get(values, i)) + 2);
    putchar('\n');
}

void print_registers(const struct command_line *line, json_t *result)
{
    const json_t *values = json_object_get(result, "values");
    const unsigned width = (unsigned)json_integer_value(json_object_get(result, "width"));
    const unsigned first = (unsigned)strtoul(string_of(result, "reg"), NULL, 16);
    const size_t per_row = width ? ROW_BYTES / width : 1;

    (void)line;
    if (!values) {
        puts(string_of(result, "value"));
        return;
    }
    if (json_array_size(values) == 1) {
        puts(json_string_value(json_array_get(values, 0)));
        return;
    }
    for (size_t i = 0; i < json_array_size(values); i += per_row)
        table_line(first + (unsigned)i * width, values, i, per_row);
}

/* ---- dumps ---- */

static int dump_named(const struct command_line *line, struct client *client, json_t *devices,
                      json_t *whole)
{
    json_t *params = json_copy(line->params), *device;
    int code = EXIT_SUCCESS;
    size_t i;

    json_object_del(params, "devices");
    json_array_foreach(devices, i, device)
    {
        json_object_set(params, "device", device);
        if (code == EXIT_SUCCESS)
            code = command_pages(line, client, "functions", "after", json_copy(params), whole);
    }
    json_decref(params);
    return code;
}

int run_dump(const struct command_line *line, struct client *client)
{
    json_t *devices = json_object_get(line->params, "devices");
    json_t *whole = json_pack("{s:[]}", "functions");
    int code = devices ? dump_named(line, client, devices, whole)
                       : command_pages(line, client, "functions", "after",
                                       json_incref(line->params), whole);

    if (code == EXIT_SUCCESS)
        command_print(line, whole);
    json_decref(whole);
    return code;
}

/* As lspci does: segments where there are any. */
static bool needs_segments(const json_t *functions)
{
    for (size_t i = 0; i < json_array_size(functions); i++) {
        if (strncmp(string_of(json_array_get(functions, i), "sbdf"), "0000:", 5))
            return true;
    }
    return false;
}

static void title_print(const json_t *function, bool segments)
{
    const char *vendor = string_of(function, "vendor_name");
    const char *device = string_of(function, "device_name");
    const char *address = string_of(function, "sbdf");

    printf("%s %s [%.4s]: %s %s [%s:%s] (rev %s)\n", segments ? address : address + 5,
           string_of(function, "class_name"), digits_of(function, "class"),
           *vendor ? vendor : "Vendor", *device ? device : "Device", digits_of(function, "vendor"),
           digits_of(function, "device"), digits_of(function, "revision"));
}

static void bytes_print(const char *config)
{
    const size_t size = strlen(config) / 2;

    for (size_t at = 0; at < size; at += ROW_BYTES) {
        printf("%02zx:", at);
        for (size_t i = at; i < at + ROW_BYTES && i < size; i++)
            printf(" %.2s", config + 2 * i);
        putchar('\n');
    }
}

void print_dump(const struct command_line *line, json_t *result)
{
    const json_t *functions = json_object_get(result, "functions");
    const bool segments = needs_segments(functions);

    (void)line;
    for (size_t i = 0; i < json_array_size(functions); i++) {
        const json_t *function = json_array_get(functions, i);

        title_print(function, segments);
        bytes_print(string_of(function, "config"));
        putchar('\n');
    }
}
