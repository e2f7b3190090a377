/* SPDX-License-Identifier: MIT */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/figures.h"

#define EXIT_USAGE 2
#define ROUNDS 15
#define SLOW_ROUNDS 7
#define ROUNDS_QUICK 3
#define SAMPLE_NS 1000000u
#define SAMPLE_NS_QUICK 250000u
#define REMOVALS 1000
#define REMOVALS_QUICK 200

enum {
    KEY_JSON = 256,
    KEY_ONLY,
    KEY_QUICK,
};

static const struct argp_option options[] = {
    {"json", KEY_JSON, NULL, 0, "Print one JSON document instead of a table", 0},
    {"only", KEY_ONLY, "FIGURE", 0, "Measure one figure", 0},
    {"quick", KEY_QUICK, NULL, 0, "Fewer and shorter rounds: less exact", 0},
    {0},
};

struct choices {
    struct bench *bench;
    bool json;
};

static void figure_choose(struct bench *bench, const char *name)
{
    bench->only = bench_figure_find(name);
    if (bench->only)
        return;
    fprintf(stderr, "berth bench: there is no figure \"%.64s\"; there are:\n", name);
    for (const struct bench_figure *figure = bench_figures; figure->name; figure++)
        fprintf(stderr, "  %s\n", figure->name);
    exit(EXIT_USAGE);
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct choices *choices = state->input;

    switch (key) {
    case KEY_JSON:
        choices->json = true;
        return 0;
    case KEY_ONLY:
        figure_choose(choices->bench, text);
        return 0;
    case KEY_QUICK:
        choices->bench->rounds = ROUNDS_QUICK;
        choices->bench->slow_rounds = ROUNDS_QUICK;
        choices->bench->sample_ns = SAMPLE_NS_QUICK;
        choices->bench->removals = REMOVALS_QUICK;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static bool measures_the_same(const struct bench_figure *a, const struct bench_figure *b)
{
    return a->measure == b->measure;
}

/* Each measure() once, for all the figures that it has. */
static int measure_all(struct bench *bench)
{
    int error = 0;

    for (const struct bench_figure *figure = bench_figures; figure->name && !error; figure++) {
        if (bench->only ? figure != bench->only
                        : figure != bench_figures && measures_the_same(figure, figure - 1))
            continue;
        error = figure->measure(bench);
        if (bench->progress)
            fputs("\r\033[K", stderr);
        if (error)
            fprintf(stderr, "berth bench: %s: %s\n", figure->name, strerror(-error));
    }
    return error;
}

static int print_json(const struct bench *bench)
{
    json_t *document =
        json_pack("{s:O, s:i}", "figures", bench->figures, "cpus", (int)bench->cpu_count);
    int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));

    putchar('\n');
    json_decref(document);
    return failed;
}

int cmd_bench(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = option_parse,
        .doc = "Measure what the core costs, beside the same work under other disciplines",
    };
    struct bench bench = {
        .rounds = ROUNDS,
        .slow_rounds = SLOW_ROUNDS,
        .sample_ns = SAMPLE_NS,
        .removals = REMOVALS,
        .progress = isatty(STDERR_FILENO),
    };
    struct choices choices = {.bench = &bench};
    char name[] = "berth bench";
    int failed;

    argv[0] = name;
    argp_parse(&argp, argc, argv, 0, NULL, &choices);
    bench_find_cpus(&bench);
    if (bench.cpu_count < 2)
        fputs("berth bench: one CPU: what needs two threads is left out\n", stderr);
    bench.figures = json_array();
    failed = measure_all(&bench);
    if (!failed && choices.json)
        failed = print_json(&bench);
    else if (!failed)
        bench_print(&bench);
    json_decref(bench.figures);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
