/* SPDX-License-Identifier: MIT */
/*
 * Commands that talk to the server: connect, call, print.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/rpc.h"
#include "tools/berth/commands.h"

void json_print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
}

/* ---- calls ---- */

static int server_lost(const struct command_line *line, int error)
{
    if (error == -ENOENT || error == -ECONNREFUSED)
        fprintf(stderr, "berth: no server at %s: start one with `berth serve --socket %s`\n",
                line->socket, line->socket);
    else if (error == -EPIPE)
        fprintf(stderr, "berth: the server at %s hung up\n", line->socket);
    else
        fprintf(stderr, "berth: %s: %s\n", line->socket, strerror(-error));
    return EXIT_REFUSED;
}

/* What the server said about the request itself has the shape of a refusal for programs, too. */
static json_t *refusal_of(const json_t *error)
{
    json_t *data = json_object_get(error, "data");

    if (data)
        return json_incref(data);
    return json_pack("{s:s, s:O*, s:O*}", "reason", "bad-request", "code",
                     json_object_get(error, "code"), "text", json_object_get(error, "message"));
}

static int refusal_print(const struct command_line *line, const json_t *error)
{
    const char *text = json_string_value(json_object_get(error, "message"));
    json_int_t code = json_integer_value(json_object_get(error, "code"));
    json_t *refusal = refusal_of(error);

    if (line->json)
        json_print(refusal);
    else
        fprintf(stderr, "berth: %s\n", text ? text : "refused without a word");
    json_decref(refusal);
    return code == RPC_INVALID_PARAMS ? EXIT_USAGE : EXIT_REFUSED;
}

json_t *command_call(const struct command_line *line, struct client *client, const char *method,
                     json_t *params, int *code)
{
    json_t *answer, *result, *error;
    int lost = client_call(client, method, params, &answer);

    if (lost) {
        *code = server_lost(line, lost);
        return NULL;
    }
    error = json_object_get(answer, "error");
    result = json_incref(json_object_get(answer, "result"));
    *code = error ? refusal_print(line, error) : EXIT_SUCCESS;
    json_decref(answer);
    return result;
}

void command_print(const struct command_line *line, json_t *result)
{
    if (line->json)
        json_print(result);
    else if (line->command->print)
        line->command->print(line, result);
}

static int run_once(const struct command_line *line, struct client *client)
{
    int code;
    json_t *result =
        command_call(line, client, line->command->method, json_incref(line->params), &code);

    if (result)
        command_print(line, result);
    json_decref(result);
    return code;
}

/* ---- lists come in pages ---- */

static json_t *page_params(json_t *params, const char *after, json_t *next)
{
    json_t *page = json_copy(params);

    if (next)
        json_object_set(page, after, next);
    return page;
}

int command_pages(const struct command_line *line, struct client *client, const char *list,
                  const char *after, json_t *params, json_t *whole)
{
    json_t *next = NULL;
    int code;

    do {
        json_t *page = command_call(line, client, line->command->method,
                                    page_params(params, after, next), &code);

        json_decref(next);
        next = json_incref(json_object_get(page, "next"));
        json_array_extend(json_object_get(whole, list), json_object_get(page, list));
        json_decref(page);
    } while (code == EXIT_SUCCESS && next && !json_is_null(next));
    json_decref(next);
    json_decref(params);
    return code;
}

static int run_pages(const struct command_line *line, struct client *client, const char *list,
                     const char *after)
{
    json_t *whole = json_pack("{s:[]}", list);
    int code = command_pages(line, client, list, after, json_object(), whole);

    if (code == EXIT_SUCCESS)
        command_print(line, whole);
    json_decref(whole);
    return code;
}

int run_devices(const struct command_line *line, struct client *client)
{
    return run_pages(line, client, "devices", "after");
}

int run_domains(const struct command_line *line, struct client *client)
{
    return run_pages(line, client, "domains", "after_id");
}

/* ---- the way there ---- */

static int line_run(const struct command_line *line)
{
    struct client *client;
    int code, error = client_open(line->socket, &client);

    if (error)
        return server_lost(line, error);
    code = line->command->run ? line->command->run(line, client) : run_once(line, client);
    client_close(client);
    return code;
}

int command_run(const struct command *command, int argc, char **argv)
{
    struct command_line line;
    int code;

    command_line_parse(command, argc, argv, &line);
    code = line_run(&line);
    json_decref(line.params);
    if (fflush(stdout) || ferror(stdout))
        return EXIT_REFUSED;
    return code;
}
