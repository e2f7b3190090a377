/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"

#define TEXT_SIZE 64

static const char *const columns[] = {"FIGURE", "PARAMS", "VALUE", "UNIT", "TARGET", "MET"};

#define COLUMN_COUNT (sizeof(columns) / sizeof(columns[0]))

struct row {
    char cell[COLUMN_COUNT][TEXT_SIZE];
};

/* Three significant digits are more than a shared machine can tell. */
static void number_print(char text[TEXT_SIZE], double value)
{
    snprintf(text, TEXT_SIZE, "%.*f", value >= 100 ? 0 : value >= 10 ? 1 : 2, value);
}

static void params_print(char text[TEXT_SIZE], json_t *params)
{
    const char *name;
    json_t *value;
    size_t length = 0;

    text[0] = '\0';
    json_object_foreach(params, name, value)
    {
        const char *word = json_string_value(value);

        if (length >= TEXT_SIZE)
            return;
        if (word)
            length += (size_t)snprintf(text + length, TEXT_SIZE - length, "%s ", word);
        else
            length +=
                (size_t)snprintf(text + length, TEXT_SIZE - length, "%s=%" JSON_INTEGER_FORMAT " ",
                                 name, json_integer_value(value));
    }
}

static void goal_print(struct row *row, json_t *entry)
{
    json_t *target = json_object_get(entry, "target");
    json_t *least = json_object_get(target, "at_least");
    char number[TEXT_SIZE - 3];

    if (!target)
        return;
    snprintf(number, sizeof(number), "%g",
             json_number_value(least ? least : json_object_get(target, "at_most")));
    snprintf(row->cell[4], TEXT_SIZE, "%s %s", least ? ">=" : "<=", number);
    strcpy(row->cell[5], json_is_true(json_object_get(entry, "met")) ? "yes" : "NO");
}

static struct row row_make(json_t *entry)
{
    struct row row = {0};
    json_t *value = json_object_get(entry, "value");

    snprintf(row.cell[0], TEXT_SIZE, "%s", json_string_value(json_object_get(entry, "name")));
    params_print(row.cell[1], json_object_get(entry, "params"));
    if (json_is_number(value))
        number_print(row.cell[2], json_number_value(value));
    else
        strcpy(row.cell[2], "-");
    snprintf(row.cell[3], TEXT_SIZE, "%s", json_string_value(json_object_get(entry, "unit")));
    goal_print(&row, entry);
    return row;
}

static void row_print(const struct row *row)
{
    printf("%-36s %-38s %10s %-6s %-8s %s\n", row->cell[0], row->cell[1], row->cell[2],
           row->cell[3], row->cell[4], row->cell[5]);
}

void bench_print(const struct bench *bench)
{
    struct row heading = {0};
    json_t *entry;
    size_t index;

    for (unsigned i = 0; i < COLUMN_COUNT; i++)
        strcpy(heading.cell[i], columns[i]);
    row_print(&heading);
    json_array_foreach(bench->figures, index, entry)
    {
        const struct row row = row_make(entry);

        row_print(&row);
    }
}
