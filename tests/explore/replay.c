/* SPDX-License-Identifier: MIT */
#include "tests/explore/replay.h"

#include <stdio.h>
#include <string.h>

#include "tests/explore/engine.h"
#include "tests/explore/scenarios.h"

#define FIRST_LINE "berth schedule 1\n"

void replay_save(const struct explore_scenario *scenario, const char *folder, char *name,
                 size_t size)
{
    FILE *out;

    snprintf(name, size, "%s/%s.schedule", folder, scenario->name);
    out = fopen(name, "w");
    if (!out) {
        perror(name);
        return;
    }
    fprintf(out, FIRST_LINE "scenario %s\nwhy %s\n", scenario->name, search.why);
    for (unsigned i = 0, from = 0; i < search.depth; i++) {
        if (i + 1 < search.depth && search.path[i + 1].chosen == search.path[i].chosen)
            continue;
        fprintf(out, "%u %u %s\n", search.path[i].chosen, i + 1 - from,
                search_thread_name(search.path[i].chosen));
        from = i + 1;
    }
    if (fclose(out))
        perror(name);
}

static const struct explore_scenario *find(const char *name)
{
    for (const struct explore_scenario *const *s = scenarios; *s; s++)
        if (!strcmp((*s)->name, name))
            return *s;
    fprintf(stderr, "explore: there is no scenario '%s' (any more)\n", name);
    return NULL;
}

static bool read_turns(FILE *in, uint8_t *choices, unsigned max, unsigned *count)
{
    unsigned thread, steps;

    for (*count = 0; fscanf(in, "%u %u %*[^\n]", &thread, &steps) == 2;) {
        if (thread >= THREADS || steps > max - *count)
            return false;
        memset(choices + *count, (int)thread, steps);
        *count += steps;
    }
    return feof(in);
}

const struct explore_scenario *replay_load(const char *name, uint8_t *choices, unsigned max,
                                           unsigned *count)
{
    const struct explore_scenario *scenario = NULL;
    char line[1024], wanted[64];
    FILE *in = fopen(name, "r");

    if (!in) {
        perror(name);
        return NULL;
    }
    if (!fgets(line, sizeof(line), in) || strcmp(line, FIRST_LINE) ||
        fscanf(in, "scenario %63s\n", wanted) != 1 || !fgets(line, sizeof(line), in))
        fprintf(stderr, "%s: not a schedule of this program\n", name);
    else if (!(scenario = find(wanted)))
        ;
    else if (!read_turns(in, choices, max, count)) {
        fprintf(stderr, "%s: lines after the third one are: thread, steps, name\n", name);
        scenario = NULL;
    }
    fclose(in);
    return scenario;
}
