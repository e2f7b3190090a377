/* SPDX-License-Identifier: MIT */
/*
 * What counts as a flaw, and the verdict. No threads and no machine in here: what judges the runs
 * has to be testable without one.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/berth/run.h"

static const struct {
    const char *name, *text;
} flaw_texts[FLAW_COUNT] = {
    [FLAW_STUCK] = {"stuck", "threads stuck (R5)"},
    [FLAW_TOUCH] = {"touch-after-removal", "touches of removed functions (A2)"},
    [FLAW_ENTERED] = {"entered-after-removal", "removed devices still reachable (A2, R6)"},
    [FLAW_FOREIGN_READ] = {"foreign-read", "reads of devices of others answered (V1)"},
    [FLAW_DEAF_READ] = {"deaf-read", "reads of own devices answered wrongly (V1)"},
    [FLAW_DMA] = {"dma-escaped", "DMA requests into memory of others (R2, O3)"},
    [FLAW_STALE] = {"dma-stale", "DMA requests by a stale translation (O2)"},
    [FLAW_MASTERING] = {"mastering",
                        "removed, quarantined or contained devices with bus mastering on (R2, O6)"},
    [FLAW_RESETTING] = {"touch-in-reset", "touches of functions in reset (M09)"},
    [FLAW_DECODE_OFF] = {"bar-not-decoded", "touches of BARs with decode off (M14)"},
    [FLAW_MAPPED] = {"mapped", "BARs that a guest should not reach (R2, M42)"},
    [FLAW_INJECTED] = {"injected", "interrupts of devices of others (M30)"},
    [FLAW_MESSAGE] = {"message", "messages that the guest has not programmed (M32)"},
    [FLAW_FORGED] = {"forged", "messages that devices made up, and got through (M32)"},
    [FLAW_FREED_IN_USE] = {"space-freed-in-use", "spaces freed while in use (O5)"},
    [FLAW_GAP] = {"attach-gap", "contexts left open between two owners (O1)"},
    [FLAW_WALK] = {"walk", "iterations that went astray (C2)"},
    [FLAW_MISUSE] = {"misuse", "misuses reported by the core (C4)"},
    [FLAW_BROKEN] = {"broken", "devices or guests lost without a failure (R7, O1)"},
    [FLAW_REFUSED] = {"refused", "operations refused that have to work"},
    [FLAW_CONTEXTS] = {"contexts", "IOMMU contexts out of balance (O1)"},
    [FLAW_SPACES] = {"spaces", "IOMMU spaces out of balance (O5)"},
    [FLAW_MAPPINGS] = {"mappings", "mappings of reserved memory out of balance (M24)"},
    [FLAW_CLAIMS] = {"claims", "claims out of balance (R7)"},
    [FLAW_BINDINGS] = {"bindings", "bindings of interrupts out of balance (M30)"},
    [FLAW_REFERENCES] = {"references", "references left (C5)"},
};

const char *flaw_name(enum run_flaw flaw)
{
    return flaw < FLAW_COUNT ? flaw_texts[flaw].name : "none";
}

void flaws_init(struct run_flaws *flaws)
{
    memset(flaws, 0, sizeof(*flaws));
    pthread_mutex_init(&flaws->lock, NULL);
}

void flaws_destroy(struct run_flaws *flaws)
{
    pthread_mutex_destroy(&flaws->lock);
}

void flaw_found(struct run_flaws *flaws, enum run_flaw flaw, const char *format, ...)
{
    va_list arguments;

    if (atomic_fetch_add(&flaws->count[flaw], 1))
        return;
    va_start(arguments, format);
    pthread_mutex_lock(&flaws->lock);
    vsnprintf(flaws->detail[flaw], FLAW_DETAIL_SIZE, format, arguments);
    pthread_mutex_unlock(&flaws->lock);
    va_end(arguments);
}

/* ---- the simulated machine's counters ---- */

static void flaw_add(struct run_flaws *flaws, enum run_flaw flaw, uint64_t count)
{
    atomic_fetch_add(&flaws->count[flaw], count);
}

void flaws_of_counters(struct run_flaws *flaws, const struct sim_counters *now,
                       const struct run_excuse *excuse)
{
    flaw_add(flaws, FLAW_TOUCH, now->touches_after_release);
    if (!excuse->resetting)
        flaw_add(flaws, FLAW_RESETTING, now->touches_resetting);
    if (!excuse->decode)
        flaw_add(flaws, FLAW_DECODE_OFF, now->bar_decode_off);
    if (!excuse->bindings)
        flaw_add(flaws, FLAW_BINDINGS, now->bindings_misused);
    flaw_add(flaws, FLAW_FREED_IN_USE, now->spaces_freed_in_use);
    if (!excuse->gaps)
        flaw_add(flaws, FLAW_GAP, now->attach_gaps);
}

static void compare(struct run_flaws *flaws, enum run_flaw flaw, uint64_t then, uint64_t now)
{
    if (then == now)
        return;
    flaw_found(flaws, flaw, "%" PRIu64 " now, %" PRIu64 " at the start", now, then);
}

void flaws_of_balance(struct run_flaws *flaws, const struct sim_counters *then,
                      const struct sim_counters *now, const struct run_excuse *excuse)
{
    bool excused = now->spaces > then->spaces && now->spaces - then->spaces <= excuse->spaces_left;

    compare(flaws, FLAW_CONTEXTS, then->contexts, now->contexts);
    compare(flaws, FLAW_SPACES, then->spaces, excused ? then->spaces : now->spaces);
    compare(flaws, FLAW_MAPPINGS, then->mappings, now->mappings);
    compare(flaws, FLAW_CLAIMS, then->claims, now->claims);
    compare(flaws, FLAW_BINDINGS, then->bindings, now->bindings);
}

/* ---- the verdict ---- */

static enum run_flaw flaw_first(const struct run_flaws *flaws)
{
    enum run_flaw flaw = 0;

    while (flaw < FLAW_COUNT && !atomic_load(&flaws->count[flaw]))
        flaw++;
    return flaw;
}

static void fail_write(const struct run_flaws *flaws, enum run_flaw flaw, char *line)
{
    const char *detail = flaws->detail[flaw];
    unsigned others = 0;
    int length;

    for (unsigned i = flaw + 1; i < FLAW_COUNT; i++)
        others += atomic_load(&flaws->count[i]) != 0;
    length =
        snprintf(line, RUN_LINE_SIZE, "FAIL: %" PRIu64 " %s%s%s", atomic_load(&flaws->count[flaw]),
                 flaw_texts[flaw].text, *detail ? ": " : "", detail);
    if (others && length > 0 && length < RUN_LINE_SIZE)
        snprintf(line + length, RUN_LINE_SIZE - (size_t)length, "; and flaws of %u other kind%s",
                 others, others > 1 ? "s" : "");
}

bool run_verdict(struct run_flaws *flaws, const struct run_proof *proof, char line[RUN_LINE_SIZE])
{
    enum run_flaw flaw = flaw_first(flaws);

    if (flaw < FLAW_COUNT) {
        fail_write(flaws, flaw, line);
        return false;
    }
    if (!proof->removals || !proof->accesses) {
        snprintf(line, RUN_LINE_SIZE, "FAIL: %s before anything was shown: no %s",
                 proof->interrupted ? "interrupted" : "the time was over",
                 proof->removals ? "guest could access a device" : "device was removed");
        return false;
    }
    snprintf(line, RUN_LINE_SIZE,
             "PASS: %" PRIu64 " removals under %" PRIu64
             " accesses, touches after removal 0, references left 0%s",
             proof->removals, proof->accesses, proof->interrupted ? " (interrupted)" : "");
    return true;
}

/* ---- reads ---- */

#define STAGE_MASK 3u
#define GUEST_SHIFT 2
#define GUEST_MASK 3u
#define CHANGE_SHIFT 4

uint32_t lent_word(uint32_t previous, enum lent_stage stage, unsigned guest)
{
    return ((previous >> CHANGE_SHIFT) + 1) << CHANGE_SHIFT | (guest & GUEST_MASK) << GUEST_SHIFT |
           (uint32_t)stage;
}

unsigned lent_guest(uint32_t word)
{
    return word >> GUEST_SHIFT & GUEST_MASK;
}

static enum lent_stage lent_to(uint32_t word, unsigned guest)
{
    return lent_guest(word) == guest ? (enum lent_stage)(word & STAGE_MASK) : LENT_NOT;
}

enum run_flaw read_judge(uint32_t before, uint32_t after, unsigned guest, uint32_t value,
                         uint32_t expected, uint32_t ones)
{
    if (before != after) /* something changed meanwhile: both answers are fine */
        return value == ones || value == expected ? FLAW_COUNT : FLAW_DEAF_READ;
    switch (lent_to(before, guest)) {
    case LENT_NOT:
        return value == ones ? FLAW_COUNT : FLAW_FOREIGN_READ;
    case LENT_SURELY:
        return value == expected ? FLAW_COUNT : FLAW_DEAF_READ;
    default:
        return value == ones || value == expected ? FLAW_COUNT : FLAW_DEAF_READ;
    }
}
