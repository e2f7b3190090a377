/* SPDX-License-Identifier: MIT */
/*
 * The tree of buses: bridges with what is behind them, PFs with their VFs.
 */
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "tools/berth/commands.h"

/* A PCI segment has 256 buses: nothing is deeper, and a picture taken in a change is no loop. */
#define DEPTH_MAX 258
#define INDENT_SIZE (DEPTH_MAX * 8)

struct strokes {
    const char *fork, *last, *pass, *none;
};

static const struct strokes ascii = {"|- ", "`- ", "|  ", "   "};
static const struct strokes lines = {"├─ ", "└─ ", "│  ", "   "};

struct tree {
    const struct strokes *strokes;
    json_t *children; /* address -> array of devices, borrowed */
    char indent[INDENT_SIZE];
};

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* Under which key a device stands: its PF, the bridge above, or its root bus "0000:00". */
static void place_of(const json_t *device, char place[16])
{
    const char *pf = string_of(device, "pf");
    const char *parent = string_of(device, "parent");

    if (*pf)
        snprintf(place, 16, "%s", pf);
    else if (*parent)
        snprintf(place, 16, "%s", parent);
    else
        snprintf(place, 16, "%.7s", string_of(device, "sbdf"));
}

static json_t *children_of(const json_t *devices, json_t *roots)
{
    json_t *children = json_object();
    json_t *device;
    char place[16];
    size_t i;

    json_array_foreach(devices, i, device)
    {
        place_of(device, place);
        if (!json_object_get(children, place)) {
            json_object_set_new(children, place, json_array());
            if (!strchr(place, '.'))
                json_array_append_new(roots, json_string(place));
        }
        json_array_append(json_object_get(children, place), device);
    }
    return children;
}

static void device_print(const json_t *device)
{
    const char *name = string_of(device, "device_name");
    const char *bus = string_of(device, "secondary_bus");

    printf("%s  %s", string_of(device, "sbdf"), string_of(device, "class_name"));
    if (*name)
        printf(", %s", name);
    else
        printf(", device %s:%s", string_of(device, "vendor") + 2, string_of(device, "device") + 2);
    if (*bus)
        printf(" [%s-%s]", bus + 2, string_of(device, "subordinate_bus") + 2);
    if (strcmp(string_of(device, "owner"), "hwdom"))
        printf(" (%s)", string_of(device, "owner"));
    putchar('\n');
}

static void branch_print(struct tree *tree, const char *place, unsigned depth)
{
    const json_t *children = json_object_get(tree->children, place);
    const size_t used = strlen(tree->indent);
    const size_t count = json_array_size(children);

    for (size_t i = 0; i < count && depth < DEPTH_MAX; i++) {
        const json_t *device = json_array_get(children, i);
        const bool last = i + 1 == count;

        printf("%s%s", tree->indent, last ? tree->strokes->last : tree->strokes->fork);
        device_print(device);
        snprintf(tree->indent + used, sizeof(tree->indent) - used, "%s",
                 last ? tree->strokes->none : tree->strokes->pass);
        branch_print(tree, string_of(device, "sbdf"), depth + 1);
        tree->indent[used] = '\0';
    }
}

void print_tree(const struct command_line *line, json_t *result)
{
    struct tree tree = {.strokes = &ascii};
    json_t *roots = json_array();
    json_t *root;
    size_t i;

    (void)line;
    setlocale(LC_CTYPE, "");
    if (!strcmp(nl_langinfo(CODESET), "UTF-8"))
        tree.strokes = &lines;
    tree.children = children_of(json_object_get(result, "devices"), roots);
    json_array_foreach(roots, i, root)
    {
        printf("bus %s\n", json_string_value(root));
        branch_print(&tree, json_string_value(root), 0);
    }
    json_decref(tree.children);
    json_decref(roots);
}
