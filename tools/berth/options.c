/* SPDX-License-Identifier: MIT */
/*
 * The command line of a command that talks to the server: argp, driven by the command's table.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/berth/commands.h"

enum {
    KEY_JSON = 'j',
    KEY_SOCKET = 's',
    KEY_FORCE = 'f',
    KEY_STRICT = 0x100,
    KEY_GRACEFUL,
    KEY_GRACEFUL_FORCE,
    KEY_TIMEOUT,
    KEY_AS,
    KEY_TEST,
    KEY_WATCH_COUNT,
    KEY_WRITE,
    KEY_FAIL_COUNT,
    KEY_OFF,
    KEY_VF_OF,
    KEY_AT,
    KEY_PORTS,
    KEY_BUSES,
    KEY_GUEST,
    KEY_REGISTERS,
    KEY_HANDLED,
    KEY_GROUP,
};

struct option_spec {
    unsigned bit; /* 0: every command has it */
    struct argp_option option;
    const char *param;
    enum value_kind kind;
    const char *word; /* the value of an option that has no argument */
};

/* clang-format off */
static const struct option_spec specs[] = {
    {0, {"socket", KEY_SOCKET, "PATH", 0, "The server's socket", 0}},
    {0, {"json", KEY_JSON, NULL, 0, "Print JSON", 0}},
    {OPTION_MODE, {"force", KEY_FORCE, NULL, 0, "Take it from its guest first", 0},
     "mode", VALUE_WORD, "force"},
    {OPTION_MODE, {"strict", KEY_STRICT, NULL, 0, "Refuse while anybody still holds it", 0},
     "mode", VALUE_WORD, "strict"},
    {OPTION_MODE, {"graceful", KEY_GRACEFUL, NULL, 0, "Ask its owner to let go, and wait", 0},
     "mode", VALUE_WORD, "graceful"},
    {OPTION_MODE, {"graceful-force", KEY_GRACEFUL_FORCE, NULL, 0,
                   "The same, then take it from its guest", 0},
     "mode", VALUE_WORD, "graceful-force"},
    {OPTION_TIMEOUT, {"timeout", KEY_TIMEOUT, "SECONDS", 0, "How long it may take", 0},
     "timeout", VALUE_SECONDS},
    {OPTION_AS, {"as", KEY_AS, "DOMAIN", 0, "Ask as this domain, not as the embedder", 0},
     "as", VALUE_NAME},
    {OPTION_TEST, {"test", KEY_TEST, NULL, 0, "Say what would be said, and do nothing", 0},
     "test", VALUE_TRUE},
    {OPTION_WATCH_COUNT, {"count", KEY_WATCH_COUNT, "N", 0, "End after N events", 0},
     NULL, VALUE_NUMBER},
    {OPTION_WRITE, {"write", KEY_WRITE, "VALUE", 0, "Write this instead of reading", 0},
     "value", VALUE_HEX64},
    {OPTION_FAIL_COUNT, {"count", KEY_FAIL_COUNT, "N", 0, "N more calls after it fail too", 0},
     "count", VALUE_NUMBER},
    {OPTION_VF_OF, {"vf-of", KEY_VF_OF, "PF", 0, "It is a virtual function of this device", 0},
     "pf", VALUE_SBDF},
    {OPTION_AT, {"at", KEY_AT, "BDF", 0, "Where the guest sees it", 0}, "at", VALUE_SBDF},
    {OPTION_PORTS, {"ports", KEY_PORTS, "N", 0, "Hot-plug ports on its first bus, at most 31", 0},
     "ports", VALUE_NUMBER},
    {OPTION_BUSES, {"buses", KEY_BUSES, "N", 0, "Root buses, at most 128 (8)", 0},
     "buses", VALUE_NUMBER},
    {OPTION_GUEST, {"guest", KEY_GUEST, "DOMAIN", 0, "As this guest sees it, at its addresses", 0},
     "domain", VALUE_NAME},
    {OPTION_REGISTERS, {"count", KEY_REGISTERS, "N", 0, "So many registers, one behind the other", 0},
     "count", VALUE_NUMBER},
    {OPTION_HANDLED, {"handled", KEY_HANDLED, NULL, 0, "Its driver has handled INTx: end it", 0},
     "on", VALUE_FALSE},
    {OPTION_GROUP, {"group", KEY_GROUP, NULL, 0, "And all that cannot be kept apart from it", 0},
     "group", VALUE_TRUE},
    {OPTION_OFF, {"off", KEY_OFF, NULL, 0, "Let it come back again", 0}, "on", VALUE_FALSE},
};
/* clang-format on */

#define SPEC_COUNT (sizeof(specs) / sizeof(specs[0]))

static const struct option_spec *spec_find(int key)
{
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        if (specs[i].option.key == key)
            return &specs[i];
    }
    return NULL;
}

static void socket_set(struct command_line *line, const char *path, struct argp_state *state)
{
    if (!*path || strlen(path) >= sizeof(line->socket))
        argp_error(state, "the path of a socket has 1 to %zu characters", sizeof(line->socket) - 1);
    strcpy(line->socket, path);
}

static json_t *argument_parse(enum value_kind kind, const char *name, const char *text,
                              struct argp_state *state)
{
    json_t *value = value_parse(kind, text);

    if (!value)
        argp_error(state, "%s: \"%.64s\": expected %s", name, text, value_expects(kind));
    return value;
}

static void option_set(struct command_line *line, const struct option_spec *spec, const char *text,
                       struct argp_state *state)
{
    const char *given = text ? text : spec->word ? spec->word : "";
    json_t *value = argument_parse(spec->kind, spec->option.name, given, state);

    if (!spec->param) {
        line->count = json_integer_value(value);
        json_decref(value);
        return;
    }
    if (json_object_get(line->params, spec->param))
        argp_error(state, "--%s: there is another option of its kind", spec->option.name);
    json_object_set_new(line->params, spec->param, value);
}

/* Words behind the last one that a command has belong to it, if it may be repeated. */
static const struct command_word *word_at(const struct command *command, unsigned index)
{
    const struct command_word *words = command->words;
    unsigned last = 0;

    while (last + 1 < COMMAND_WORDS_MAX && words[last + 1].param)
        last++;
    if (index <= last && words[index].param)
        return &words[index];
    return index > last && words[last].repeated ? &words[last] : NULL;
}

static void word_set(struct command_line *line, unsigned index, const char *text,
                     struct argp_state *state)
{
    const struct command_word *word = word_at(line->command, index);
    json_t *value, *list;

    if (!word) {
        argp_error(state, "\"%.64s\" is one word too many", text);
        return;
    }
    value = argument_parse(word->kind, word->param, text, state);
    if (!word->repeated) {
        json_object_set_new(line->params, word->param, value);
        return;
    }
    list = json_object_get(line->params, word->param);
    if (!list)
        json_object_set_new(line->params, word->param, list = json_array());
    json_array_append_new(list, value);
}

static void words_check(const struct command_line *line, unsigned given, struct argp_state *state)
{
    for (unsigned i = given; i < COMMAND_WORDS_MAX; i++) {
        const struct command_word *word = &line->command->words[i];

        if (word->param && !word->optional)
            argp_error(state, "%s is missing", word->param);
    }
}

static error_t key_parse(int key, char *text, struct argp_state *state)
{
    struct command_line *line = state->input;
    const struct option_spec *spec = spec_find(key);

    if (key == KEY_SOCKET)
        socket_set(line, text, state);
    else if (key == KEY_JSON)
        line->json = true;
    else if (spec)
        option_set(line, spec, text, state);
    else if (key == ARGP_KEY_ARG)
        word_set(line, state->arg_num, text, state);
    else if (key == ARGP_KEY_END)
        words_check(line, state->arg_num, state);
    else
        return ARGP_ERR_UNKNOWN;
    return 0;
}

static void options_collect(const struct command *command, struct argp_option *options)
{
    for (size_t i = 0; i < SPEC_COUNT; i++) {
        if (!specs[i].bit || (specs[i].bit & command->options))
            *options++ = specs[i].option;
    }
    *options = (struct argp_option){0};
}

/* The default is of no importance where --socket names another one. */
static void socket_check(int error, const struct command_line *line)
{
    if (!error || line->socket[0])
        return;
    fprintf(stderr, "berth: the path of the default socket is too long: use --socket\n");
    exit(EXIT_USAGE);
}

void command_line_parse(const struct command *command, int argc, char **argv,
                        struct command_line *line)
{
    struct argp_option options[SPEC_COUNT + 1];
    const struct argp argp = {
        .options = options,
        .parser = key_parse,
        .args_doc = command->usage,
        .doc = command->help,
    };
    char name[64];
    int error;

    *line = (struct command_line){.command = command, .params = json_object()};
    error = endpoint_default_path(line->socket);
    options_collect(command, options);
    snprintf(name, sizeof(name), "berth %s", command->name);
    argv[0] = name;
    argp_parse(&argp, argc, argv, 0, NULL, line);
    socket_check(error, line);
}
