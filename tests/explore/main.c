/* SPDX-License-Identifier: MIT */
/*
 * explore: runs small scenarios in every order of their steps.
 *
 * Each scenario has a process of its own, because a failure may leave anything behind. First all
 * schedules are gone through; where that takes longer than there is time, those with at most 0, 1,
 * 2... preemptions, as far as the time goes.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/explore/engine.h"
#include "tests/explore/replay.h"
#include "tests/explore/scenarios.h"

#define PREEMPTIONS_MAX 8
#define RATE_NS UINT64_C(1000000000)

struct options {
    const char *replay, *save;
    struct search_limits limits;
    bool list, json, rate, everything;
};

/* What a scenario's process says at its end. */
struct report {
    uint64_t schedules, redundant, events, deepest, nanoseconds, rate;
    int bound; /* the largest number of preemptions that was gone through; -1: all schedules */
    bool failed, bounded, expected;
    char why[sizeof(search.why)];
    char saved[128];
};

static const char usage[] =
    "usage: explore [options] [NAME...]     all scenarios, or those whose names begin so\n"
    "       explore --list\n"
    "       explore --replay FILE           one schedule again, step by step\n"
    "\n"
    "  --seconds N      for each scenario at most (default 60; 0: until everything is seen)\n"
    "  --schedules N    for each scenario at most\n"
    "  --preemptions N  only schedules with at most N of them\n"
    "  --random SEED    schedules at random, until the time is up\n"
    "  --rate           how many schedules a second, searching for one second more\n"
    "  --save DIR       where the schedule of a failure is kept (default: the current folder)\n"
    "  --all-steps      show every step of a failure or a replay\n"
    "  --json           one object per line\n";

/* Whether a message has one of the words that are separated by '|'. */
static bool says(const char *message, const char *words)
{
    char word[64];
    size_t length;

    for (; *words; words += length + (words[length] == '|')) {
        length = strcspn(words, "|");
        snprintf(word, sizeof(word), "%.*s", (int)length, words);
        if (strstr(message, word))
            return true;
    }
    return false;
}

/* A scenario that has to fail, and does, is as it should be. */
static void judge_expected(const struct explore_scenario *scenario, struct report *report)
{
    if (!scenario->fails)
        return;
    report->expected = report->failed && says(search.why, scenario->fails);
    if (!report->failed)
        snprintf(search.why, sizeof(search.why), "should have failed, with '%s'", scenario->fails);
    report->failed = !report->expected;
}

static void add(struct report *report, const struct search_result *result)
{
    report->schedules += result->schedules;
    report->redundant += result->redundant;
    report->events += result->events;
    report->nanoseconds += result->nanoseconds;
    report->deepest = result->deepest > report->deepest ? result->deepest : report->deepest;
    report->failed = result->failed;
}

static struct search_limits rest_of(const struct search_limits *limits, const struct report *report)
{
    struct search_limits rest = *limits;

    if (limits->nanoseconds)
        rest.nanoseconds = limits->nanoseconds > report->nanoseconds
                               ? limits->nanoseconds - report->nanoseconds
                               : 1;
    return rest;
}

/* Those with few preemptions first: most flaws need one or two. */
static void search_bounded(const struct explore_scenario *scenario,
                           const struct search_limits *limits, struct report *report)
{
    report->bounded = true;
    report->bound = -1;
    for (int bound = 0; bound <= PREEMPTIONS_MAX && !report->failed; bound++) {
        struct search_limits rest = rest_of(limits, report);
        struct search_result result;

        rest.preemptions = bound;
        result = search_run(scenario, &rest);
        add(report, &result);
        if (!result.complete)
            break;
        report->bound = bound;
    }
}

static void search_all(const struct explore_scenario *scenario, const struct search_limits *limits,
                       struct report *report)
{
    struct search_limits first = *limits;
    struct search_result result;

    if (!limits->seed && limits->preemptions < 0)
        first.nanoseconds = limits->nanoseconds / 2;
    result = search_run(scenario, &first);
    add(report, &result);
    report->bound = -1;
    if (!result.complete && !result.failed && limits->preemptions < 0 && !limits->seed)
        search_bounded(scenario, limits, report);
    else if (limits->preemptions >= 0) {
        report->bounded = true;
        report->bound = result.complete ? limits->preemptions : -1;
    } else {
        report->bounded = !result.complete;
    }
}

/* The same search again and again: a small scenario is over before a clock has noticed. */
static uint64_t measure_rate(const struct explore_scenario *scenario)
{
    const struct search_limits limits = {.nanoseconds = RATE_NS, .preemptions = -1};
    struct report all = {.bound = -1};

    while (all.nanoseconds < RATE_NS && !all.failed) {
        const struct search_result result = search_run(scenario, &limits);

        add(&all, &result);
    }
    return all.failed ? 0 : all.schedules * 1000000000u / all.nanoseconds;
}

static void show_failure(const struct explore_scenario *scenario, const struct options *options)
{
    static uint8_t choices[EVENTS_MAX];
    unsigned count = search.depth;

    for (unsigned i = 0; i < count; i++)
        choices[i] = search.path[i].chosen;
    trace_begin();
    (void)search_replay(scenario, choices, count);
    trace_print(options->everything);
}

static void run_here(const struct explore_scenario *scenario, const struct options *options,
                     struct report *report)
{
    engine_init(scenario);
    search_all(scenario, &options->limits, report);
    judge_expected(scenario, report);
    if (report->failed) {
        snprintf(report->why, sizeof(report->why), "%s", search.why);
        replay_save(scenario, options->save, report->saved, sizeof(report->saved));
        if (!options->json)
            show_failure(scenario, options);
    } else if (options->rate) {
        report->rate = measure_rate(scenario);
    }
}

/* False where the process ended without a word. */
static bool run_apart(const struct explore_scenario *scenario, const struct options *options,
                      struct report *report)
{
    int channel[2], status;
    ssize_t got;
    pid_t child;

    fflush(NULL);
    if (pipe(channel) || (child = fork()) < 0) {
        perror("explore");
        exit(2);
    }
    if (child == 0) {
        close(channel[0]);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever stops the program stops the search */
        run_here(scenario, options, report);
        fflush(NULL);
        _exit(write(channel[1], report, sizeof(*report)) == (ssize_t)sizeof(*report) ? 0 : 2);
    }
    close(channel[1]);
    do
        got = read(channel[0], report, sizeof(*report));
    while (got < 0 && errno == EINTR);
    close(channel[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return got == (ssize_t)sizeof(*report) && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* ---- what is told ---- */

static const char *verdict(const struct report *report, char *text, size_t size)
{
    if (report->failed)
        snprintf(text, size, "FAILED");
    else if (report->expected)
        snprintf(text, size, "found, as it has to be");
    else if (!report->bounded)
        snprintf(text, size, "all");
    else if (report->bound >= 0)
        snprintf(text, size, "all with <= %d preemptions", report->bound);
    else
        snprintf(text, size, "as far as the time went");
    return text;
}

static void tell(const struct explore_scenario *scenario, const struct report *report, bool json)
{
    char text[64];

    if (json) {
        printf("{\"name\": \"%s\", \"schedules\": %lu, \"redundant\": %lu, \"events\": %lu, "
               "\"deepest\": %lu, \"seconds\": %.3f, \"complete\": %s, \"preemptions\": %d, "
               "\"rate\": %lu, \"failed\": %s}\n",
               scenario->name, report->schedules, report->redundant, report->events,
               report->deepest, (double)report->nanoseconds / 1e9,
               report->bounded ? "false" : "true", report->bound, report->rate,
               report->failed ? "true" : "false");
        return;
    }
    printf("%-28s %9lu schedules  %5lu steps  %7.2f s  %s", scenario->name, report->schedules,
           report->deepest, (double)report->nanoseconds / 1e9, verdict(report, text, sizeof(text)));
    if (report->rate)
        printf("  %lu schedules/s", report->rate);
    printf("\n");
    if (report->failed)
        printf("    %s\n    again: explore --replay %s\n", report->why, report->saved);
}

static void list(void)
{
    for (const struct explore_scenario *const *s = scenarios; *s; s++)
        printf("%-28s %s\n", (*s)->name, (*s)->shows);
}

static bool is_wanted(const struct explore_scenario *scenario, char *const *names)
{
    if (!*names)
        return true;
    for (; *names; names++)
        if (!strncmp(scenario->name, *names, strlen(*names)))
            return true;
    return false;
}

static int run_all(char *const *names, const struct options *options)
{
    unsigned ran = 0, failed = 0;
    uint64_t schedules = 0;

    for (const struct explore_scenario *const *s = scenarios; *s; s++) {
        struct report report = {.bound = -1};

        if (!is_wanted(*s, names))
            continue;
        ran++;
        if (!run_apart(*s, options, &report)) {
            printf("%-28s FAILED: the search itself crashed\n", (*s)->name);
            failed++;
            continue;
        }
        tell(*s, &report, options->json);
        failed += report.failed;
        schedules += report.schedules;
    }
    if (!ran) {
        fprintf(stderr, "explore: there is no such scenario; explore --list shows them\n");
        return 2;
    }
    if (!options->json)
        printf("%u scenarios, %lu schedules, %u failed\n", ran, schedules, failed);
    return failed ? 1 : 0;
}

static int run_replay(const struct options *options)
{
    static uint8_t choices[EVENTS_MAX];
    const struct explore_scenario *scenario;
    unsigned count;
    bool failed;

    scenario = replay_load(options->replay, choices, EVENTS_MAX, &count);
    if (!scenario)
        return 2;
    engine_init(scenario);
    trace_begin();
    failed = search_replay(scenario, choices, count);
    trace_print(options->everything);
    printf("%s: %s\n", scenario->name, failed ? "fails" : "does not fail");
    return failed ? 1 : 0;
}

/* A number in all of @text; ends the program where it is none. */
static uint64_t number(const char *option, const char *text)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > 1000000000) {
        fprintf(stderr, "explore: --%s takes a number, not '%s'\n", option, text);
        exit(2);
    }
    return value;
}

static void parse(int argc, char **argv, struct options *options)
{
    enum { LIST = 1, REPLAY, SECONDS, SCHEDULES, PREEMPTIONS, RANDOM, RATE, SAVE, STEPS, JSON };
    static const struct option known[] = {
        {"list", no_argument, NULL, LIST},
        {"replay", required_argument, NULL, REPLAY},
        {"seconds", required_argument, NULL, SECONDS},
        {"schedules", required_argument, NULL, SCHEDULES},
        {"preemptions", required_argument, NULL, PREEMPTIONS},
        {"random", required_argument, NULL, RANDOM},
        {"rate", no_argument, NULL, RATE},
        {"save", required_argument, NULL, SAVE},
        {"all-steps", no_argument, NULL, STEPS},
        {"json", no_argument, NULL, JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case LIST:
            options->list = true;
            break;
        case REPLAY:
            options->replay = optarg;
            break;
        case SECONDS:
            options->limits.nanoseconds = number("seconds", optarg) * 1000000000u;
            break;
        case SCHEDULES:
            options->limits.schedules = number("schedules", optarg);
            break;
        case PREEMPTIONS:
            options->limits.preemptions = (int)number("preemptions", optarg);
            break;
        case RANDOM:
            options->limits.seed = (uint32_t)number("random", optarg) + 1;
            break;
        case RATE:
            options->rate = true;
            break;
        case SAVE:
            options->save = optarg;
            break;
        case STEPS:
            options->everything = true;
            break;
        case JSON:
            options->json = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            fputs(usage, stderr);
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    struct options options = {.save = ".",
                              .limits = {.preemptions = -1, .nanoseconds = UINT64_C(60000000000)}};

    setvbuf(stdout, NULL, _IOLBF, 0);
    parse(argc, argv, &options);
    if (options.list) {
        list();
        return 0;
    }
    if (options.replay)
        return run_replay(&options);
    return run_all(argv + optind, &options);
}
