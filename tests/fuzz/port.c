/* SPDX-License-Identifier: MIT */
/*
 * The functions that port/bare leaves to an embedder, for programs of one thread: time passes only
 * when it is asked for, memory is malloc's (so that the sanitizer watches it), and what has to wait
 * for the end of a read-side section is freed between two steps.
 */
#include <berth_port.h>

#include <stdlib.h>
#include <string.h>

#include "src/core/access.h"
#include "tests/fuzz/fuzz.h"

#define TICK_NS 100u
#define RELAX_NS 20000u
/* Nobody else is there who could let go: a wait of so many rounds would never end. */
#define PATIENCE (1u << 22)

static _Alignas(PORT_CACHE_LINE) unsigned char record[PORT_RECORD_SIZE];
static struct port_deferred *first, **last = &first;
static unsigned reading;
static uint64_t clock_ns;
static size_t live;

/* ---- memory ---- */

void *port_alloc(size_t size)
{
    void *memory = calloc(1, size);

    live += memory != NULL;
    return memory;
}

void *port_alloc_lines(size_t size)
{
    size_t whole = (size + PORT_CACHE_LINE - 1) / PORT_CACHE_LINE * PORT_CACHE_LINE;
    void *memory = aligned_alloc(PORT_CACHE_LINE, whole);

    live += memory != NULL;
    return memory ? memset(memory, 0, whole) : NULL;
}

void port_free(void *memory)
{
    live -= memory != NULL;
    free(memory);
}

size_t fuzz_port_live(void)
{
    return live;
}

/* ---- the one thread ---- */

void *port_record(void)
{
    return record;
}

void *port_record_next(void *previous)
{
    return previous ? NULL : record;
}

/* ---- read-side sections ---- */

void port_read_lock(void)
{
    reading++;
}

void port_read_unlock(void)
{
    fuzz_check(reading > 0);
    reading--;
}

void port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred))
{
    deferred->fn = fn;
    deferred->next = NULL;
    *last = deferred;
    last = &deferred->next;
}

void port_settle(void)
{
    fuzz_check(!reading); /* its own section would never end */
    while (first) {
        struct port_deferred *deferred = first;

        first = deferred->next;
        if (!first)
            last = &first;
        deferred->fn(deferred);
    }
}

/* ---- time ---- */

uint64_t port_now_ns(void)
{
    return clock_ns += TICK_NS;
}

void port_sleep_ns(uint64_t ns)
{
    fuzz_check(!reading);
    clock_ns += ns;
}

void port_relax(unsigned attempt)
{
    fuzz_check(attempt < PATIENCE);
    clock_ns += RELAX_NS;
}

/* ---- between and behind the steps ---- */

void fuzz_port_step(void)
{
    fuzz_check(!reading);
    port_settle();
}

void fuzz_port_check(size_t expected)
{
    const struct access_record *mine = (const struct access_record *)(const void *)record;

    fuzz_port_step();
    for (unsigned slot = 0; slot < ACCESS_SLOTS; slot++)
        fuzz_check(!atomic_load(&mine->slot[slot].dev));
    for (unsigned rank = 0; rank < LOCK_RANKS; rank++)
        fuzz_check(!mine->held[rank]);
    fuzz_check(live == expected);
}
