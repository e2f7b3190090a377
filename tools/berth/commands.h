/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of berth: what each takes, what it calls, how it prints.
 */
#ifndef BERTH_TOOL_COMMANDS_H
#define BERTH_TOOL_COMMANDS_H

#include <stdbool.h>

#include <jansson.h>

#include "front/control/client.h"
#include "front/control/endpoint.h"
#include "tools/berth/values.h"

#define EXIT_REFUSED 1
#define EXIT_USAGE 2

/** Options that a command can have, besides --socket and --json; options.c has the table. */
enum command_option {
    OPTION_MODE = 1u << 0,
    OPTION_TIMEOUT = 1u << 1,
    OPTION_AS = 1u << 2,
    OPTION_TEST = 1u << 3,
    OPTION_WATCH_COUNT = 1u << 4,
    OPTION_WRITE = 1u << 5,
    OPTION_FAIL_COUNT = 1u << 6,
    OPTION_OFF = 1u << 7,
    OPTION_VF_OF = 1u << 8,
    OPTION_AT = 1u << 9,
    OPTION_PORTS = 1u << 10,
    OPTION_BUSES = 1u << 11,
    OPTION_GUEST = 1u << 12,
    OPTION_REGISTERS = 1u << 13,
    OPTION_HANDLED = 1u << 14,
    OPTION_GROUP = 1u << 15,
};

struct command_word {
    const char *param; /* what the method calls it */
    enum value_kind kind;
    bool optional;
    bool repeated; /* the last word: any number of them, as a list */
};

#define COMMAND_WORDS_MAX 4

struct command_line;

struct command {
    const char *name;  /* one or two words */
    const char *usage; /* the words behind it, for people */
    const char *help;  /* one line */
    /* A command that runs by itself has this and nothing below. */
    int (*main)(int argc, char **argv);
    const char *method;
    struct command_word words[COMMAND_WORDS_MAX];
    unsigned options; /* bits of enum command_option */
    /* NULL: one call, its result printed */
    int (*run)(const struct command_line *line, struct client *client);
    void (*print)(const struct command_line *line, json_t *result);
};

/** A command as it was typed. */
struct command_line {
    const struct command *command;
    char socket[ENDPOINT_PATH_SIZE];
    bool json;
    json_int_t count; /* of --count of watch; 0: without end */
    json_t *params;   /* owned */
};

/** The table, ends with a command without a name. */
extern const struct command commands[];

/** Parses the words and options of @command; leaves the process on --help and on wrong usage. */
void command_line_parse(const struct command *command, int argc, char **argv,
                        struct command_line *line);

/** Runs a command that talks to the server. Returns the exit code. */
int command_run(const struct command *command, int argc, char **argv);

/** Calls a method. Returns NULL after a message, with the exit code in @code. */
json_t *command_call(const struct command_line *line, struct client *client, const char *method,
                     json_t *params, int *code);

/** Calls the method of @line until its last page, and adds what is in @list of each to @whole.
 * @params  consumed. Returns the exit code. */
int command_pages(const struct command_line *line, struct client *client, const char *list,
                  const char *after, json_t *params, json_t *whole);

/** Prints the result in the form that was asked for. */
void command_print(const struct command_line *line, json_t *result);

/** Prints JSON for programs: one document. */
void json_print(const json_t *value);

int run_devices(const struct command_line *line, struct client *client);
int run_domains(const struct command_line *line, struct client *client);
int run_explain(const struct command_line *line, struct client *client);
int run_watch(const struct command_line *line, struct client *client);
int run_dump(const struct command_line *line, struct client *client);

void print_devices(const struct command_line *line, json_t *result);
void print_tree(const struct command_line *line, json_t *result);
void print_device(const struct command_line *line, json_t *result);
void print_explanation(const struct command_line *line, json_t *result);
void print_refs(const struct command_line *line, json_t *result);
void print_owner(const struct command_line *line, json_t *result);
void print_removed(const struct command_line *line, json_t *result);
void print_reset(const struct command_line *line, json_t *result);
void print_vfs(const struct command_line *line, json_t *result);
void print_domains(const struct command_line *line, json_t *result);
void print_domain(const struct command_line *line, json_t *result);
void print_plugged(const struct command_line *line, json_t *result);
void print_master(const struct command_line *line, json_t *result);
void print_dma(const struct command_line *line, json_t *result);
void print_irq(const struct command_line *line, json_t *result);
void print_bar(const struct command_line *line, json_t *result);
void print_error(const struct command_line *line, json_t *result);
void print_registers(const struct command_line *line, json_t *result);
void print_dump(const struct command_line *line, json_t *result);
void print_counters(const struct command_line *line, json_t *result);

int cmd_serve(int argc, char **argv);
int cmd_version(int argc, char **argv);
int cmd_help(int argc, char **argv);
/* bench/ and run*.c */
int cmd_bench(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_torture(int argc, char **argv);

#endif
