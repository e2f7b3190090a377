/* SPDX-License-Identifier: MIT */
/*
 * A schedule for people: who did what, where, in the order in which it happened. Addresses become
 * function, file and line by addr2line; the line is shown as it stands in the source.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/explore/engine.h"

#define FRAMES 6u

struct step {
    struct op op;
    uint8_t thread;
    bool has_value;
    uint64_t value, now_ns;
    const void *frame[FRAMES]; /* innermost first */
};

bool tracing;

static struct step steps[EVENTS_MAX];
static unsigned step_count;

extern const char __executable_start;

void trace_begin(void)
{
    tracing = true;
    step_count = 0;
}

static void walk(struct step *step)
{
    const void *const *frame = __builtin_frame_address(0);
    unsigned count = 0;

    while (count < FRAMES && fiber_owns(frame) && fiber_owns(frame + 1)) {
        const void *pc = frame[1];

        if (count || pc == step->op.pc)
            step->frame[count++] = pc;
        if ((const void *const *)frame[0] <= frame)
            break;
        frame = (const void *const *)frame[0];
    }
}

void trace_event(unsigned thread, const struct op *op)
{
    struct step *step = &steps[step_count++];

    *step = (struct step){.op = *op, .thread = (uint8_t)thread, .now_ns = search.now_ns};
    if (search.self == thread)
        walk(step);
    if (!step->frame[0])
        step->frame[0] = op->pc;
}

void trace_note(uint64_t value)
{
    if (!step_count)
        return;
    steps[step_count - 1].has_value = true;
    steps[step_count - 1].value = value;
}

/* ---- places ---- */

struct place {
    const void *pc;
    char function[128], file[160], text[160];
};

static struct place places[4096];
static unsigned place_count;

static struct place *place_of(const void *pc)
{
    for (unsigned i = 0; i < place_count; i++)
        if (places[i].pc == pc)
            return &places[i];
    return NULL;
}

static void place_add(const void *pc)
{
    if (pc && !place_of(pc) && place_count < sizeof(places) / sizeof(*places))
        places[place_count++].pc = pc;
}

static void read_line(const char *file, unsigned line, char *text, size_t size)
{
    FILE *in = fopen(file, "r");
    char buffer[256];
    size_t length;

    text[0] = '\0';
    while (in && line-- && fgets(buffer, sizeof(buffer), in))
        if (!line)
            snprintf(text, size, "%s", buffer + strspn(buffer, " \t"));
    if (in)
        fclose(in);
    length = strlen(text);
    if (length && text[length - 1] == '\n')
        text[length - 1] = '\0';
}

static void fill(struct place *place, char *function, char *file)
{
    char *short_name = strstr(file, "/src/"), *colon;

    function[strcspn(function, "\n")] = '\0';
    file[strcspn(file, " \n")] = '\0';
    colon = strrchr(file, ':');
    if (colon) {
        *colon = '\0';
        read_line(file, (unsigned)atoi(colon + 1), place->text, sizeof(place->text));
        *colon = ':';
    }
    if (!short_name)
        short_name = strstr(file, "/tests/");
    snprintf(place->function, sizeof(place->function), "%.120s", function);
    snprintf(place->file, sizeof(place->file), "%.150s", short_name ? short_name + 1 : file);
}

/* One run of addr2line for all of them; the return address is behind the call. */
static void find_places(void)
{
    char name[] = "/tmp/explore-XXXXXX", command[256], function[256], file[512];
    int fd = mkstemp(name);
    FILE *out, *in;

    for (unsigned i = 0; i < step_count; i++)
        for (unsigned k = 0; k < FRAMES; k++)
            place_add(steps[i].frame[k]);
    out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out)
        return;
    for (unsigned i = 0; i < place_count; i++)
        fprintf(out, "%#lx\n",
                (unsigned long)((uintptr_t)places[i].pc - 1 - (uintptr_t)&__executable_start));
    fclose(out);
    snprintf(command, sizeof(command), "addr2line -f -e /proc/%d/exe @%s 2>/dev/null", getpid(),
             name);
    in = popen(command, "r"); /* NOLINT: the name is ours */
    for (unsigned i = 0; in && i < place_count; i++)
        if (fgets(function, sizeof(function), in) && fgets(file, sizeof(file), in))
            fill(&places[i], function, file);
    if (in)
        pclose(in);
    unlink(name);
}

/* ---- the listing ---- */

static const char *const kind_names[] = {
    [OP_START] = "begins",       [OP_LOAD] = "reads",       [OP_STORE] = "writes",
    [OP_UPDATE] = "updates",     [OP_FENCE] = "fence",      [OP_FENCE_ALL] = "fence of all",
    [OP_LOCK] = "locks",         [OP_LOCK_UNTIL] = "locks", [OP_TRYLOCK] = "tries lock",
    [OP_UNLOCK] = "unlocks",     [OP_READ_LOCK] = "enters", [OP_READ_UNLOCK] = "leaves",
    [OP_DEFER] = "defers",       [OP_SETTLE] = "settled",   [OP_GRACE] = "calls",
    [OP_RELAX] = "has waited",   [OP_SLEEP] = "has slept",  [OP_NOW] = "clock",
    [OP_ALLOC] = "allocates",    [OP_FREE] = "frees",       [OP_HOST] = "host",
    [OP_COMMIT] = "store lands", [OP_DONE] = "is done",
};

/* Helpers of the core say little about who asks: the caller outside of them does. */
static bool is_helper(const struct place *place)
{
    return !place || strstr(place->file, "core/lock.c") || strstr(place->file, "core/refcount.h") ||
           strstr(place->file, "tests/explore/host.c") || strstr(place->file, "core/seam.c") ||
           strstr(place->file, "core/map.c");
}

static void print_step(unsigned number, const struct step *step, unsigned previous)
{
    const struct place *place = NULL, *caller = NULL;
    unsigned depth = 0;

    for (; depth < FRAMES && is_helper(place); depth++)
        place = step->frame[depth] ? place_of(step->frame[depth]) : place;
    if (depth < FRAMES && step->frame[depth])
        caller = place_of(step->frame[depth]);
    printf("%5u  %-12s %-12s", number,
           step->thread == previous ? "" : search_thread_name(step->thread),
           kind_names[step->op.kind]);
    if (step->has_value)
        printf(" %#-18lx", (unsigned long)step->value);
    else
        printf(" %-18s", "");
    if (place)
        printf(" %s %s%s%s  | %s", place->file, place->function, caller ? " < " : "",
               caller ? caller->function : "", place->text);
    printf("\n");
}

/* Unless all are wanted: what happens around each change of thread, and the end. */
static bool is_wanted(unsigned i, bool all)
{
    unsigned first = i > 3 ? i - 3 : 0;

    if (all || i + 12 >= step_count)
        return true;
    for (unsigned k = first; k < i + 3 && k + 1 < step_count; k++)
        if (steps[k].thread != steps[k + 1].thread)
            return true;
    return false;
}

void trace_print(bool all)
{
    unsigned previous = NOBODY, skipped = 0;

    find_places();
    for (unsigned i = 0; i < step_count; i++) {
        if (!is_wanted(i, all)) {
            skipped++;
            continue;
        }
        if (skipped)
            printf("       ... %u more of %s\n", skipped, search_thread_name(steps[i - 1].thread));
        skipped = 0;
        print_step(i, &steps[i], previous);
        previous = steps[i].thread;
    }
    if (search.failed)
        printf("\n%s\n", search.why);
}
