/* SPDX-License-Identifier: MIT */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/call.h"
#include "tools/berth/commands.h"

#define NAME_SIZE 64

/* ---- the table ---- */

static const struct command *command_find(const char *name)
{
    for (const struct command *command = commands; command->name; command++) {
        if (!strcmp(command->name, name))
            return command;
    }
    return NULL;
}

/* Finds the command of one word or two, and how many that were. */
static const struct command *command_match(int argc, char **argv, int *words)
{
    const struct command *command;
    char name[NAME_SIZE];

    *words = 1;
    command = command_find(argv[0]);
    if (command || argc < 2)
        return command;
    *words = 2;
    snprintf(name, sizeof(name), "%s %s", argv[0], argv[1]);
    return command_find(name);
}

/* `berth domain`, `berth help domain`, `berth domain --help`: the commands of one group. */
static bool group_list(const char *name, FILE *out)
{
    const size_t length = strlen(name);
    bool any = false;

    for (const struct command *command = commands; command->name; command++) {
        if (strncmp(command->name, name, length) || command->name[length] != ' ')
            continue;
        fprintf(out, "%s  %s %s: %s\n", any ? "" : "Commands:\n", command->name, command->usage,
                command->help);
        any = true;
    }
    return any;
}

static bool asks_for_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-?") || !strcmp(word, "help");
}

static int command_unknown(int argc, char **argv)
{
    const bool help = argc > 1 && asks_for_help(argv[1]);

    if ((argc < 2 || help) && group_list(argv[0], help ? stdout : stderr))
        return help ? EXIT_SUCCESS : EXIT_USAGE;
    for (int i = 0; i < argc; i++)
        text_clean(argv[i]);
    fprintf(stderr, "berth: there is no command \"%.40s%s%.40s\": `berth help` lists them\n",
            argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    return EXIT_USAGE;
}

static int command_main(int argc, char **argv)
{
    int words;
    const struct command *command = command_match(argc, argv, &words);

    if (!command)
        return command_unknown(argc, argv);
    argc -= words - 1;
    argv += words - 1;
    return command->main ? command->main(argc, argv) : command_run(command, argc, argv);
}

/* ---- help and version ---- */

static void commands_list(FILE *out)
{
    char name[NAME_SIZE];

    fputs("Commands:\n", out);
    for (const struct command *command = commands; command->name; command++) {
        snprintf(name, sizeof(name), "%s%s%s", command->name, *command->usage ? " " : "",
                 command->usage);
        fprintf(out, "  %-28s %s\n", name, command->help);
    }
    fputs("\nBDF is an address such as 0000:03:00.0 or 03:00.0. `berth help COMMAND` explains "
          "a command.\nThe socket is --socket, else $BERTH_SOCKET, else "
          "$XDG_RUNTIME_DIR/berth.sock, else /run/berth.sock.\n",
          out);
}

static void usage_print(FILE *out)
{
    fputs("Usage: berth [--socket PATH] COMMAND [WORD...] [OPTION...]\n\n"
          "Lends the PCI devices of a machine to guests, and takes them back.\n\n",
          out);
    commands_list(out);
}

int cmd_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("berth " BERTH_VERSION);
    return EXIT_SUCCESS;
}

int cmd_help(int argc, char **argv)
{
    char help[] = "--help";
    bool two = argc > 2 && argv[2][0] != '-'; /* `berth help domain create` */
    char *words[] = {argc > 1 ? argv[1] : NULL, two ? argv[2] : help, help, NULL};

    if (argc > 1 && argv[1][0] != '-')
        return command_main(two ? 3 : 2, words);
    usage_print(stdout);
    return EXIT_SUCCESS;
}

/* ---- what stands before the command ---- */

struct leading {
    int next; /* index of the command's name */
};

static error_t leading_parse(int key, char *text, struct argp_state *state)
{
    struct leading *leading = state->input;

    switch (key) {
    case 's':
        /* Where every command, our own or of another folder, looks for its default. */
        setenv("BERTH_SOCKET", text, 1);
        return 0;
    case 'h':
        usage_print(stdout);
        exit(EXIT_SUCCESS);
    case 'V':
        exit(cmd_version(0, NULL));
    case ARGP_KEY_ARG:
        leading->next = state->next - 1;
        state->next = state->argc;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int leading_take(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"socket", 's', "PATH", 0, "The server's socket", 0},
        {"help", 'h', NULL, 0, "Show this", 0},
        {"version", 'V', NULL, 0, "Print the version", 0},
        {0},
    };
    const struct argp argp = {.options = options, .parser = leading_parse, .args_doc = "COMMAND"};
    struct leading leading = {.next = argc};

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER | ARGP_NO_HELP, NULL, &leading);
    return leading.next;
}

/* What could not be written was not said. */
static int finish(int status)
{
    if (!fflush(stdout) && !ferror(stdout))
        return status;
    fprintf(stderr, "berth: cannot write: %s\n", strerror(errno));
    return status ? status : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    char name[] = "berth";
    int next;

    argp_err_exit_status = EXIT_USAGE;
    argv[0] = name;
    next = leading_take(argc, argv);
    if (next == argc) {
        usage_print(stderr);
        return EXIT_USAGE;
    }
    return finish(command_main(argc - next, argv + next));
}
