/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/berth/commands.h"
#include "tools/berth/run.h"
#include "tools/berth/table.h"

void cell_ms(const json_t *row, const char *key, char *text)
{
    const json_t *value = json_object_get(row, key);

    snprintf(text, TABLE_CELL_SIZE, "%.3f", (double)json_integer_value(value) / (double)RUN_MS);
}

static json_t *flaws_json(const struct run_flaws *flaws)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < FLAW_COUNT; i++) {
        uint64_t count = atomic_load(&flaws->count[i]);

        if (count)
            json_array_append_new(list,
                                  json_pack("{s:s, s:I, s:s}", "flaw", flaw_name((enum run_flaw)i),
                                            "count", (json_int_t)count, "first", flaws->detail[i]));
    }
    return list;
}

int report_verdict(json_t *report, struct run_flaws *flaws, const struct run_proof *proof)
{
    char line[RUN_LINE_SIZE];
    bool passed = run_verdict(flaws, proof, line);

    json_object_set_new(report, "flaws", flaws_json(flaws));
    json_object_set_new(report, "interrupted", json_boolean(proof->interrupted));
    json_object_set_new(report, "passed", json_boolean(passed));
    json_object_set_new(report, "verdict", json_string(line));
    return passed ? EXIT_SUCCESS : EXIT_REFUSED;
}

void report_verdict_print(const json_t *report)
{
    const json_t *flaws = json_object_get(report, "flaws");

    for (size_t i = 0; i < json_array_size(flaws); i++) {
        const json_t *flaw = json_array_get(flaws, i);
        const char *first = json_string_value(json_object_get(flaw, "first"));

        printf("flaw: %s, %" JSON_INTEGER_FORMAT " times%s%s\n",
               json_string_value(json_object_get(flaw, "flaw")),
               json_integer_value(json_object_get(flaw, "count")), *first ? "; the first: " : "",
               first);
    }
    puts(json_string_value(json_object_get(report, "verdict")));
}

void report_problem(const struct run_options *options, const char *problem)
{
    json_t *json;

    if (!options->json) {
        printf("FAIL: %s\n", problem);
        return;
    }
    json = json_pack("{s:b, s:s+}", "passed", 0, "verdict", "FAIL: ", problem);
    json_print(json);
    json_decref(json);
}

/* The stuck thread uses the machine: it stays as it is, and so do the other threads. */
void report_stuck(const struct run_options *options, struct run_flaws *flaws,
                  const struct worker *worker)
{
    const struct run_proof proof = {.interrupted = interrupt_seen()};
    json_t *report = json_object();
    int code;

    flaw_found(flaws, FLAW_STUCK, "%s, in \"%s\"", worker->name, atomic_load(&worker->doing));
    code = report_verdict(report, flaws, &proof);
    if (options->json)
        json_print(report);
    else
        printf("\n%s\n", json_string_value(json_object_get(report, "verdict")));
    fflush(stdout);
    _exit(code);
}
