/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/berth/commands.h"

static const char *word(const json_t *event, const char *key)
{
    const char *text = json_string_value(json_object_get(event, key));

    return text ? text : "";
}

static void event_print(const json_t *event)
{
    const json_int_t ns = json_integer_value(json_object_get(event, "time_ns"));
    const char *error = word(event, "error");

    printf("%6lld.%06lld  %-12s  %-10s %-10s %-18s %-9s %s\n", (long long)(ns / 1000000000),
           (long long)(ns % 1000000000 / 1000), word(event, "device"), word(event, "transition"),
           word(event, "event"), word(event, "step"), *error ? error : "ok", word(event, "domain"));
}

static void message_print(const struct command_line *line, const json_t *message, bool lost)
{
    const json_t *params = json_object_get(message, "params");

    if (line->json) {
        /* One document a line, as long as it may take: for programs that read along. */
        json_dumpf(lost ? message : params, stdout, JSON_COMPACT);
        putchar('\n');
    } else if (lost) {
        printf("%" JSON_INTEGER_FORMAT " events lost\n",
               json_integer_value(json_object_get(params, "count")));
    } else {
        event_print(params);
    }
    fflush(stdout);
}

/* Returns how many events the message stands for, or -errno. */
static int message_take(const struct command_line *line, struct client *client)
{
    json_t *message;
    bool lost;
    int error = client_next(client, &message);

    if (error)
        return error;
    lost = !strcmp(word(message, "method"), "lost");
    message_print(line, message, lost);
    json_decref(message);
    return !lost;
}

int run_watch(const struct command_line *line, struct client *client)
{
    json_int_t seen = 0;
    int code, taken;
    json_t *result = command_call(line, client, "watch", NULL, &code);

    if (!result)
        return code;
    json_decref(result);
    do {
        taken = message_take(line, client);
        seen += taken > 0;
    } while (taken >= 0 && !ferror(stdout) && (!line->count || seen < line->count));
    if (taken < 0)
        fprintf(stderr, "berth: the server at %s ended\n", line->socket);
    return taken < 0 ? EXIT_REFUSED : EXIT_SUCCESS;
}
