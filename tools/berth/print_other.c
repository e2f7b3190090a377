/* SPDX-License-Identifier: MIT */
/*
 * Domains and the simulated machine for people.
 */
#include <stdio.h>

#include "tools/berth/commands.h"
#include "tools/berth/table.h"

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void cell_domain_state(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    snprintf(text, TABLE_CELL_SIZE, "%s%s", string_of(row, key),
             json_is_true(json_object_get(row, "crashed")) ? ",crashed" : "");
}

void print_domains(const struct command_line *line, json_t *result)
{
    static const struct column columns[] = {
        {"ID", cell_value, "id", true},           {"NAME", cell_value, "name", false},
        {"KIND", cell_value, "kind", false},      {"STATE", cell_domain_state, "state", false},
        {"DEVICES", cell_value, "devices", true},
    };

    (void)line;
    table_print(columns, sizeof(columns) / sizeof(columns[0]), json_object_get(result, "domains"));
}

void print_domain(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("domain %s is %s\n", string_of(result, "name"), string_of(result, "state"));
}

void print_plugged(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("%s is %s\n", string_of(result, "device"),
           json_is_true(json_object_get(result, "plugged")) ? "plugged in" : "pulled out");
}

void print_master(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("%s of %s has bus mastering %s\n", string_of(result, "device"),
           string_of(result, "owner"),
           json_is_true(json_object_get(result, "master")) ? "on" : "off");
}

static void print_reached(const char *what, const json_t *result)
{
    const char *domain = string_of(result, "domain");

    printf("%s: %s%s%s", what, string_of(result, "result"), *domain ? " " : "", domain);
}

void print_dma(const struct command_line *line, json_t *result)
{
    (void)line;
    print_reached("DMA", result);
    printf(", data %s%s\n", string_of(result, "data"),
           json_is_true(json_object_get(result, "stale")) ? ", by a stale translation" : "");
}

void print_irq(const struct command_line *line, json_t *result)
{
    const json_t *message = json_object_get(result, "message");

    (void)line;
    print_reached("interrupt", result);
    if (json_is_object(message))
        printf(" as %s at %s", string_of(message, "data"), string_of(message, "address"));
    putchar('\n');
}

void print_bar(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("%s %s\n", string_of(result, "way"), string_of(result, "value"));
}

void print_error(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("%s had a %s error, and belongs to %s\n", string_of(result, "device"),
           string_of(result, "error"), string_of(result, "owner"));
}

void print_counters(const struct command_line *line, json_t *result)
{
    const char *name;
    json_t *value;

    (void)line;
    json_object_foreach(result, name, value)
        printf("%-22s %12" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
}
