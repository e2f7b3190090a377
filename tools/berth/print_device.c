/* SPDX-License-Identifier: MIT */
/*
 * Devices for people: the list, one in full, its holders.
 */
#include <stdio.h>
#include <string.h>

#include "tools/berth/commands.h"
#include "tools/berth/print.h"
#include "tools/berth/table.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- the list ---- */

/* "Intel Corporation 82574L", with ids for what the database does not know. */
static void cell_name(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    const char *vendor = string_of(row, "vendor_name");
    const char *device = string_of(row, "device_name");

    (void)key;
    snprintf(text, TABLE_CELL_SIZE, "%s%s %s%s", *vendor ? "" : "Vendor ",
             *vendor ? vendor : string_of(row, "vendor"), *device ? "" : "Device ",
             *device ? device : string_of(row, "device"));
}

/* "present", and what is special about it. */
static void cell_state(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    char flags[TABLE_CELL_SIZE];

    cell_words(row, "flags", flags);
    snprintf(text, TABLE_CELL_SIZE, "%s%s%.200s", string_of(row, key), *flags ? "," : "", flags);
}

void print_devices(const struct command_line *line, json_t *result)
{
    static const struct column columns[] = {
        {"ADDRESS", cell_value, "sbdf", false},
        {"TYPE", cell_value, "type", false},
        {"OWNER", cell_value, "owner", false},
        {"IN THE GUEST", cell_value, "guest_address", false},
        {"STATE", cell_state, "state", false},
        {"NUMA", cell_value, "numa_node", true},
        {"CLASS", cell_value, "class_name", false},
        {"NAME", cell_name, NULL, false},
    };

    (void)line;
    table_print(columns, COUNT(columns), json_object_get(result, "devices"));
}

/* ---- one in full ---- */

static void cell_ids(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    (void)key;
    snprintf(text, TABLE_CELL_SIZE, "%s:%s (subsystem %s:%s), revision %s",
             string_of(row, "vendor"), string_of(row, "device"), string_of(row, "subsystem_vendor"),
             string_of(row, "subsystem"), string_of(row, "revision"));
}

static void cell_class(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    snprintf(text, TABLE_CELL_SIZE, "%s (%s)", string_of(row, "class_name"), string_of(row, key));
}

static void cell_owner(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    snprintf(text, TABLE_CELL_SIZE, "%s (%s, id %" JSON_INTEGER_FORMAT ")", string_of(row, key),
             string_of(row, "owner_kind"), number_of(row, "owner_id"));
}

/* "as 0000:00:01.0 in vm1" */
static void cell_guest(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    const char *address = string_of(row, key);

    *text = '\0';
    if (*address)
        snprintf(text, TABLE_CELL_SIZE, "as %s in %s", address, string_of(row, "owner"));
}

static void cell_vfs(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    *text = '\0';
    if (number_of(row, "total_vfs"))
        snprintf(text, TABLE_CELL_SIZE, "%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT,
                 number_of(row, key), number_of(row, "total_vfs"));
}

static void cell_buses(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    *text = '\0';
    if (*string_of(row, key))
        snprintf(text, TABLE_CELL_SIZE, "%s to %s", string_of(row, key),
                 string_of(row, "subordinate_bus"));
}

void print_device(const struct command_line *line, json_t *result)
{
    static const struct column fields[] = {
        {"Address", cell_value, "sbdf", false},
        {"Name", cell_name, NULL, false},
        {"Class", cell_class, "class", false},
        {"Ids", cell_ids, NULL, false},
        {"Type", cell_value, "type", false},
        {"State", cell_state, "state", false},
        {"Owner", cell_owner, "owner", false},
        {"In the guest", cell_guest, "guest_address", false},
        {"NUMA node", cell_value, "numa_node", false},
        {"IOMMU group", cell_value, "iommu_group", false},
        {"Bridge above", cell_value, "parent", false},
        {"Buses behind", cell_buses, "secondary_bus", false},
        {"Physical function", cell_value, "pf", false},
        {"Virtual functions", cell_vfs, "vfs", false},
        {"Requester ids", cell_words, "rids", false},
        {"Phantom stride", cell_value, "phantom_stride", false},
        {"Config space", cell_value, "config_size", false},
        {"Reset methods", cell_words, "reset_methods", false},
        {"Errata", cell_words, "errata", false},
        {"Children", cell_value, "children", false},
        {"References", cell_value, "references", false},
        {"Generation", cell_value, "generation", false},
        {"Faults in a row", cell_value, "faults", false},
        {"Dropped writes", cell_value, "dropped_writes", false},
    };
    char text[TABLE_CELL_SIZE];

    (void)line;
    for (size_t i = 0; i < COUNT(fields); i++) {
        fields[i].cell(result, fields[i].key, text);
        printf("%-18s %s\n", fields[i].title, *text ? text : "-");
    }
    print_guest(json_object_get(result, "guest"));
}

/* ---- who holds it ---- */

struct tag_meaning {
    const char *tag, *meaning;
};

static const struct tag_meaning meanings[] = {
    {"registry", "the registry: it is present"},
    {"owner", "the device set of its owner"},
    {"vf", "virtual functions, of which it is the PF"},
    {"handle", "handles of toolstacks: `berth unhold` closes one"},
    {"untracked", "short-lived references: builds with checks name them"},
};

static void cell_meaning(const json_t *row, const char *key, char text[TABLE_CELL_SIZE])
{
    const char *tag = string_of(row, key);

    strcpy(text, "a reference of this part of the program");
    for (size_t i = 0; i < COUNT(meanings); i++) {
        if (!strcmp(meanings[i].tag, tag))
            snprintf(text, TABLE_CELL_SIZE, "%s", meanings[i].meaning);
    }
}

void print_refs(const struct command_line *line, json_t *result)
{
    static const struct column columns[] = {
        {"HOLDER", cell_value, "tag", false},
        {"COUNT", cell_value, "count", true},
        {"WHAT IT IS", cell_meaning, "tag", false},
    };

    static const struct column inside[] = {
        {"INSIDE A SECTION", cell_value, "tag", false},
        {"COUNT", cell_value, "count", true},
    };

    (void)line;
    printf("%s has %" JSON_INTEGER_FORMAT " references\n", string_of(result, "device"),
           number_of(result, "references"));
    table_print(columns, COUNT(columns), json_object_get(result, "holders"));
    if (json_array_size(json_object_get(result, "sections")))
        table_print(inside, COUNT(inside), json_object_get(result, "sections"));
}

/* ---- what a transition came to ---- */

void print_owner(const struct command_line *line, json_t *result)
{
    if (json_is_true(json_object_get(line->params, "test")))
        printf("%s could be assigned to %s\n", string_of(result, "sbdf"),
               string_of(line->params, "domain"));
    else
        printf("%s belongs to %s%s%s\n", string_of(result, "sbdf"), string_of(result, "owner"),
               *string_of(result, "guest_address") ? ", as " : "",
               string_of(result, "guest_address"));
}

void print_removed(const struct command_line *line, json_t *result)
{
    json_int_t left = number_of(result, "references");

    (void)line;
    printf("%s is removed", string_of(result, "sbdf"));
    if (left)
        printf(", with %" JSON_INTEGER_FORMAT " harmless reference%s left", left,
               left == 1 ? "" : "s");
    putchar('\n');
}

void print_reset(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("%s was reset\n", string_of(result, "sbdf"));
}

void print_vfs(const struct command_line *line, json_t *result)
{
    (void)line;
    printf("%s has %" JSON_INTEGER_FORMAT " virtual functions\n", string_of(result, "sbdf"),
           number_of(result, "vfs"));
}
