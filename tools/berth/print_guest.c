/* SPDX-License-Identifier: MIT */
/*
 * Devices as their guests have them, for people.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tools/berth/commands.h"
#include "tools/berth/print.h"
#include "tools/berth/table.h"

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static bool is_set(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* ---- BARs ---- */

#define BAR_ROM 6

/* 16384 as "16 KiB". */
static void size_write(json_int_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    unsigned unit = 0;

    while (unit + 1 < sizeof(units) / sizeof(units[0]) && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, size, "%" JSON_INTEGER_FORMAT " %s", bytes, units[unit]);
}

static void cell_bar(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    json_int_t index = json_integer_value(json_object_get(row, key));

    if (index == BAR_ROM)
        snprintf(text, TABLE_CELL_SIZE, "ROM");
    else
        snprintf(text, TABLE_CELL_SIZE, "BAR %" JSON_INTEGER_FORMAT, index);
}

static void cell_size(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    size_write(json_integer_value(json_object_get(row, key)), text, TABLE_CELL_SIZE);
}

static void cell_kind(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    (void)key;
    snprintf(text, TABLE_CELL_SIZE, "%s%s%s", is_set(row, "io") ? "I/O" : "memory",
             is_set(row, "wide") ? ", 64-bit" : "",
             is_set(row, "prefetchable") ? ", prefetchable" : "");
}

/* How the guest reaches it now. */
static void cell_reach(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    const json_int_t mapped = json_integer_value(json_object_get(row, key));

    if (!is_set(row, "decoded"))
        snprintf(text, TABLE_CELL_SIZE, "off");
    else if (!mapped)
        snprintf(text, TABLE_CELL_SIZE, "trapped");
    else
        size_write(mapped, text, TABLE_CELL_SIZE - sizeof(" mapped"));
}

static void bars_print(const json_t *bars)
{
    static const struct column columns[] = {
        {"IN THE GUEST", cell_bar, "index", false}, {"AT", cell_value, "address", false},
        {"SIZE", cell_size, "size", true},          {"KIND", cell_kind, NULL, false},
        {"MAPPED", cell_reach, "mapped", false},
    };

    if (json_array_size(bars))
        table_print(columns, sizeof(columns) / sizeof(columns[0]), bars);
}

/* ---- the rest ---- */

static void irqs_print(const json_t *irqs)
{
    for (size_t i = 0; i < json_array_size(irqs); i++) {
        const json_t *irq = json_array_get(irqs, i);
        json_int_t vectors = json_integer_value(json_object_get(irq, "vectors"));

        printf("%s%s, %" JSON_INTEGER_FORMAT " vector%s, %s", i ? "; " : "", string_of(irq, "kind"),
               vectors, vectors == 1 ? "" : "s", is_set(irq, "enabled") ? "on" : "off");
    }
    puts(json_array_size(irqs) ? "" : "-");
}

void print_guest(const json_t *guest)
{
    if (!json_is_object(guest))
        return;
    printf("%-18s ", "Its interrupts");
    irqs_print(json_object_get(guest, "interrupts"));
    printf("%-18s %" JSON_INTEGER_FORMAT "\n", "Injected",
           json_integer_value(json_object_get(guest, "injected")));
    printf("%-18s %" JSON_INTEGER_FORMAT " bytes\n", "Size of its view",
           json_integer_value(json_object_get(guest, "view_bytes")));
    bars_print(json_object_get(guest, "bars"));
}
