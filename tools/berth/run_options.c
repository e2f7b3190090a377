/* SPDX-License-Identifier: MIT */
/* The command lines of `berth run` and `berth torture`. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tools/berth/run.h"

#define SECONDS_MAX 31536000.0 /* a year */
#define THREADS_MAX 64

enum {
    KEY_MACHINE = 'm',
    KEY_SECONDS = 't',
    KEY_JSON = 'j',
    KEY_SEED = 0x100,
    KEY_THREADS,
    KEY_FAIL,
};

/* clang-format off */
#define COMMON_OPTIONS                                                                            \
    {"machine", KEY_MACHINE, "MACHINE", 0,                                                        \
     "A capture (`lspci -xxxx` text; - reads standard input), \"host\" for this machine's "       \
     "functions, \"q35\" for the capture that Berth ships. The default is host, or q35 where "    \
     "the host has no PCI function besides bridges", 0},                                          \
    {"seconds", KEY_SECONDS, "SECONDS", 0, "How long it goes on", 0},                             \
    {"seed", KEY_SEED, "N", 0, "What chance starts from", 0},                                     \
    {"json", KEY_JSON, NULL, 0, "Print one JSON document at the end, and nothing else", 0}

static const struct argp_option run_list[] = {COMMON_OPTIONS, {0}};
static const struct argp_option torture_list[] = {
    COMMON_OPTIONS,
    {"threads", KEY_THREADS, "N", 0, "How many threads operate at once (8)", 0},
    {"fail", KEY_FAIL, NULL, 0, "Let operations of the host and the IOMMU fail by chance", 0},
    {0},
};
/* clang-format on */

static const struct {
    const char *name, *help;
    const struct argp_option *list;
    double seconds;
} kinds[] = {
    [RUN_DEMONSTRATION] = {"berth run",
                           "Lend a machine's devices to two guests that access them without a "
                           "pause, pull them by force, and put them back."
                           "\vThe machine is simulated: no device of the host is touched. The "
                           "verdict stands in the last line; the exit code is 0 where it is PASS "
                           "and 1 where it is FAIL, also when SIGINT or SIGTERM ended it early.",
                           run_list, 10},
    [RUN_TORTURE] = {"berth torture",
                     "Run operations chosen by chance on the same devices from several threads, "
                     "and check every promise."
                     "\vEach thread repeats its own sequence of choices with the same seed; how "
                     "the threads meet is not repeated. The exit code is that of the verdict: 0 "
                     "for PASS and 1 for FAIL, also when SIGINT or SIGTERM ended it early.",
                     torture_list, 60},
};

static uint64_t seconds_parse(const char *text, struct argp_state *state)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end || !(seconds > 0 && seconds <= SECONDS_MAX))
        argp_error(state, "--seconds: \"%.64s\": expected a number above 0", text);
    return (uint64_t)(seconds * (double)RUN_SECOND);
}

static uint64_t number_parse(const char *name, const char *text, struct argp_state *state)
{
    uint64_t number;
    char *end;

    errno = 0;
    number = strtoull(text, &end, 0);
    if (end == text || *end || errno || strchr(text, '-'))
        argp_error(state, "--%s: \"%.64s\": expected a number", name, text);
    return number;
}

static error_t key_parse(int key, char *text, struct argp_state *state)
{
    struct run_options *options = state->input;
    uint64_t number;

    switch (key) {
    case KEY_MACHINE:
        options->machine = text;
        return 0;
    case KEY_SECONDS:
        options->duration_ns = seconds_parse(text, state);
        return 0;
    case KEY_SEED:
        options->seed = number_parse("seed", text, state);
        return 0;
    case KEY_THREADS:
        number = number_parse("threads", text, state);
        if (!number || number > THREADS_MAX)
            argp_error(state, "--threads: \"%.64s\": expected 1 to %u", text, THREADS_MAX);
        options->threads = (unsigned)number;
        return 0;
    case KEY_FAIL:
        options->fail = true;
        return 0;
    case KEY_JSON:
        options->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static uint64_t seed_any(void)
{
    uint32_t seed;

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint32_t)run_now_ns();
    return seed;
}

void run_options_parse(enum run_kind kind, int argc, char **argv, struct run_options *options)
{
    const struct argp argp = {
        .options = kinds[kind].list,
        .parser = key_parse,
        .doc = kinds[kind].help,
    };
    char name[32];

    *options = (struct run_options){
        .duration_ns = (uint64_t)(kinds[kind].seconds * (double)RUN_SECOND),
        .seed = seed_any(),
        .threads = 8,
    };
    strcpy(name, kinds[kind].name);
    argv[0] = name;
    argp_parse(&argp, argc, argv, ARGP_NO_ARGS, NULL, options);
}
