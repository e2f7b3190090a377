/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "tools/berth/table.h"

#define GAP 2

/* Characters of UTF-8: every byte but the second and later ones of a character. */
static int text_width(const char *text)
{
    int width = 0;

    for (; *text; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

void cell_value(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    const json_t *value = json_object_get(row, key);

    if (json_is_string(value))
        snprintf(text, TABLE_CELL_SIZE, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, TABLE_CELL_SIZE, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        snprintf(text, TABLE_CELL_SIZE, "%s", json_is_true(value) ? "yes" : "no");
    else
        *text = '\0';
}

void cell_words(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    const json_t *list = json_object_get(row, key);
    size_t used = 0;

    *text = '\0';
    for (size_t i = 0; i < json_array_size(list) && used < TABLE_CELL_SIZE; i++)
        used += (size_t)snprintf(text + used, TABLE_CELL_SIZE - used, "%s%s", i ? "," : "",
                                 json_string_value(json_array_get(list, i)));
}

static void cell_get(const struct column *column, const json_t *row, char text[TABLE_CELL_SIZE])
{
    column->cell(row, column->key, text);
    if (!*text)
        strcpy(text, "-");
}

static void cell_print(const struct column *column, const char *text, int width, bool last)
{
    int pad = width - text_width(text);

    if (column->right)
        printf("%*s%s", pad, "", text);
    else
        printf("%s%*s", text, last ? 0 : pad, "");
    printf("%*s", last ? 0 : GAP, "");
}

static void widths_find(const struct column *columns, size_t count, const json_t *rows, int *widths)
{
    char text[TABLE_CELL_SIZE];

    for (size_t c = 0; c < count; c++)
        widths[c] = text_width(columns[c].title);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t c = 0; c < count; c++) {
            cell_get(&columns[c], json_array_get(rows, i), text);
            if (text_width(text) > widths[c])
                widths[c] = text_width(text);
        }
    }
}

void table_print(const struct column *columns, size_t count, const json_t *rows)
{
    int widths[TABLE_COLUMNS_MAX];
    char text[TABLE_CELL_SIZE];

    widths_find(columns, count, rows, widths);
    for (size_t c = 0; c < count; c++)
        cell_print(&columns[c], columns[c].title, widths[c], c + 1 == count);
    putchar('\n');
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (size_t c = 0; c < count; c++) {
            cell_get(&columns[c], json_array_get(rows, i), text);
            cell_print(&columns[c], text, widths[c], c + 1 == count);
        }
        putchar('\n');
    }
}
