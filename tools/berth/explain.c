/* SPDX-License-Identifier: MIT */
/*
 * berth explain: why a device can or cannot be lent, and what would make it possible.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/berth/commands.h"

static const char *string_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void print_lines(const char *title, const json_t *list)
{
    const json_t *one;
    size_t i;

    if (!json_array_size(list))
        return;
    printf("%s\n", title);
    json_array_foreach(list, i, one) printf("  - %s\n", string_of(one, "text"));
}

/* A device that is alone has nobody to be lent with. */
static void print_members(const json_t *result, const char *guest)
{
    const json_t *members = json_object_get(result, "members"), *one;
    json_int_t count = json_integer_value(json_object_get(result, "member_count"));
    const char *device = string_of(result, "device");
    size_t i;

    if (count < 2)
        return;
    printf("What cannot be kept apart from one another:\n");
    json_array_foreach(members, i, one)
        printf("  %s  %s\n", string_of(one, "device"), string_of(one, "owner"));
    if ((json_int_t)json_array_size(members) < count)
        printf("  ... and %" JSON_INTEGER_FORMAT " more\n",
               count - (json_int_t)json_array_size(members));
    if (json_is_true(json_object_get(result, "group_possible")))
        printf("They can be lent together: berth assign %s %s --group\n", device,
               *guest ? guest : "DOMAIN");
}

void print_explanation(const struct command_line *line, json_t *result)
{
    const char *guest = string_of(result, "domain");
    bool possible = json_is_true(json_object_get(result, "possible"));

    (void)line;
    printf("%s %s be lent to %s\n", string_of(result, "device"), possible ? "can" : "cannot",
           *guest ? guest : "a guest");
    print_lines("Because:", json_object_get(result, "reasons"));
    print_lines("Note:", json_object_get(result, "notes"));
    print_members(result, guest);
}

/* Exit code 0: possible; 1: not, as where anything else is refused. */
int run_explain(const struct command_line *line, struct client *client)
{
    int code;
    json_t *result =
        command_call(line, client, line->command->method, json_incref(line->params), &code);

    if (!result)
        return code;
    command_print(line, result);
    code = json_is_true(json_object_get(result, "possible")) ? EXIT_SUCCESS : EXIT_REFUSED;
    json_decref(result);
    return code;
}
