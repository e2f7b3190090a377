/* SPDX-License-Identifier: MIT */
/*
 * The memory of a schedule. It is put back for each one; what is freed is poisoned and never given
 * out again within a schedule. Beside each eight bytes there is a cell that knows who accessed them
 * last, so that
 *
 *   a use of freed memory,
 *   two plain accesses that nothing orders (C11 5.1.2.4), one of them a write,
 *   a free that nothing orders behind the last use
 *
 * are found whatever the order was in the schedule at hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/explore/engine.h"

#define ARENA_AT ((void *)0x200000000000) /* the same in each run: traces can be compared */
#define SETUP_SIZE (2u << 20)
#define SLAB_SIZE (256u << 10)
#define ARENA_SIZE (SETUP_SIZE + RUNNERS * SLAB_SIZE)
#define GRAIN 8u
#define ALIGNMENT 64u
#define POISON 0xdb

#define BLOCK_LIVE 0x4c495645u
#define BLOCK_FREE 0x46524545u

struct block {
    uint32_t state;
    uint32_t size; /* as it was asked for */
    const void *pc;
    const void *freed_at;
    unsigned char padding[ALIGNMENT - 24];
};

_Static_assert(sizeof(struct block) == ALIGNMENT, "what follows is aligned");

struct cell {
    uint32_t run;
    int16_t write_clock;
    uint8_t writer, write_mask; /* bytes; 0: nobody wrote */
    uint8_t read_mask[THREADS];
    clocks reads; /* of each thread, the last one */
};

_Static_assert(sizeof(struct cell) == 32, "two of them in a line of the cache");

/* Of each 64 bytes: the last schedule in which somebody accessed, or freed, them. */
struct line {
    uint32_t touched, freed;
};

/* From the set-up, then one for each runner: what one allocates does not move another one's. */
struct slab {
    uint32_t from, used, end;
};

static unsigned char *arena, *kept;
static struct cell *cells;
static struct line *lines;
static struct slab slabs[RUNNERS + 1];
static uint32_t setup_used;
static struct memory_totals live, live_kept;

static void *reserve(void *at, size_t size)
{
    void *memory =
        mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        perror("explore: no memory");
        exit(2);
    }
    return memory;
}

void memory_init(void)
{
    arena = reserve(ARENA_AT, ARENA_SIZE);
    kept = reserve(NULL, SETUP_SIZE);
    cells = reserve(NULL, ARENA_SIZE / GRAIN * sizeof(*cells));
    lines = reserve(NULL, ARENA_SIZE / ALIGNMENT * sizeof(*lines));
    slabs[0] = (struct slab){.from = 0, .end = SETUP_SIZE};
    for (unsigned i = 1; i <= RUNNERS; i++)
        slabs[i] = (struct slab){.from = SETUP_SIZE + (i - 1) * SLAB_SIZE,
                                 .used = SETUP_SIZE + (i - 1) * SLAB_SIZE,
                                 .end = SETUP_SIZE + i * SLAB_SIZE};
}

void memory_keep(void)
{
    setup_used = slabs[0].used;
    memcpy(kept, arena, setup_used);
    live_kept = live;
}

void memory_restore(void)
{
    memcpy(arena, kept, setup_used);
    for (unsigned i = 0; i <= RUNNERS; i++)
        slabs[i].used = i ? slabs[i].from : setup_used;
    live = live_kept;
}

struct memory_totals memory_live(void)
{
    return live;
}

/* ---- blocks ---- */

static size_t whole_size(size_t size)
{
    return (sizeof(struct block) + size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The set-up uses its memory again: every schedule has to copy it. */
static struct block *reuse(size_t whole)
{
    uint32_t at = slabs[0].from;

    while (!scheduled() && at < slabs[0].used) {
        struct block *block = (struct block *)(void *)(arena + at);

        if (block->state == BLOCK_FREE && whole_size(block->size) == whole)
            return block;
        at += (uint32_t)whole_size(block->size);
    }
    return NULL;
}

void *memory_alloc(size_t size, const void *pc)
{
    struct slab *slab = &slabs[scheduled() ? search.self + 1 : 0];
    size_t whole = whole_size(size);
    struct block *block = reuse(whole);

    if (whole > slab->end - slab->used)
        explore_fail("the scenario needs more memory than there is: %zu bytes", size);
    if (!block) {
        block = (struct block *)(void *)(arena + slab->used);
        slab->used += (uint32_t)whole;
    }
    *block = (struct block){.state = BLOCK_LIVE, .size = (uint32_t)size, .pc = pc};
    live.blocks++;
    live.bytes += size;
    return memset(block + 1, 0, size);
}

static const struct block *block_of(uintptr_t address)
{
    uint32_t offset = (uint32_t)(address - (uintptr_t)arena);

    for (unsigned i = 0; i <= RUNNERS; i++) {
        uint32_t at = slabs[i].from;

        while (at < slabs[i].used) {
            const struct block *block = (const struct block *)(void *)(arena + at);
            uint32_t next = at + (uint32_t)whole_size(block->size);

            if (offset < next && offset >= at)
                return block;
            at = next;
        }
    }
    return NULL;
}

const char *memory_describe(uintptr_t address, char *text, size_t size)
{
    const struct block *block = memory_has((void *)address) ? block_of(address) : NULL;

    if (!block)
        snprintf(text, size, "%#lx", (unsigned long)address);
    else
        snprintf(text, size, "byte %ld of %u", (long)(address - (uintptr_t)(block + 1)),
                 block->size);
    return text;
}

bool memory_has(const void *address)
{
    return (uintptr_t)address - (uintptr_t)arena < ARENA_SIZE;
}

/* ---- cells ---- */

static void __attribute__((noreturn, noinline))
conflict(uintptr_t offset, const char *what, unsigned other)
{
    uintptr_t address = (uintptr_t)arena + offset / GRAIN * GRAIN;
    char text[64];

    if (other == NOBODY)
        explore_fail("%s, %s", what, memory_describe(address, text, sizeof(text)));
    explore_fail("%s, %s; nothing orders it against what %s did there", what,
                 memory_describe(address, text, sizeof(text)), search_thread_name(other));
}

static struct cell *cell_at(uintptr_t offset)
{
    struct cell *cell = &cells[offset / GRAIN];
    struct line *line = &lines[offset / ALIGNMENT];

    if (line->freed == search.run)
        conflict(offset, "use of freed memory", NOBODY);
    line->touched = search.run;
    if (cell->run != search.run)
        *cell = (struct cell){.run = search.run};
    return cell;
}

static void check_reads(const struct cell *cell, uintptr_t offset, uint8_t mask, const char *what)
{
    const clocks now = threads[search.self].sync;

    for (unsigned i = 0; i < THREADS; i++)
        if (cell->reads[i] > now[i] && cell->read_mask[i] & mask)
            conflict(offset, what, i);
}

static void check_write(const struct cell *cell, uintptr_t offset, uint8_t mask, const char *what)
{
    if (cell->write_mask & mask && cell->write_clock > threads[search.self].sync[cell->writer])
        conflict(offset, what, cell->writer);
}

static void cell_write(struct cell *cell, uintptr_t offset, uint8_t mask, const char *what)
{
    int16_t now = threads[search.self].sync[search.self];

    check_write(cell, offset, mask, what);
    check_reads(cell, offset, mask, what);
    if (cell->writer != search.self || cell->write_clock != now)
        cell->write_mask = 0;
    cell->writer = search.self;
    cell->write_clock = now;
    cell->write_mask |= mask;
}

static void cell_read(struct cell *cell, uintptr_t offset, uint8_t mask, const char *what)
{
    check_write(cell, offset, mask, what);
    cell->reads[search.self] = threads[search.self].sync[search.self];
    cell->read_mask[search.self] |= mask;
}

static uint8_t mask_of(uintptr_t offset, uintptr_t end)
{
    unsigned first = offset % GRAIN, last = first + (unsigned)(end - offset);

    return (uint8_t)((0xffu << first) & (last >= GRAIN ? 0xffu : (1u << last) - 1));
}

static void access(const void *address, size_t size, bool write, const char *what)
{
    uintptr_t offset = (uintptr_t)address - (uintptr_t)arena, end = offset + size;

    while (offset < end) {
        struct cell *cell = cell_at(offset);

        if (write)
            cell_write(cell, offset, mask_of(offset, end), what);
        else
            cell_read(cell, offset, mask_of(offset, end), what);
        offset = offset / GRAIN * GRAIN + GRAIN;
    }
}

void memory_plain(const void *address, size_t size, bool write)
{
    if (scheduled() && memory_has(address))
        access(address, size, write, write ? "a plain write" : "a plain read");
}

/* An atomic access conflicts with plain writes and with a free, not with other atomics. */
void memory_atomic(const void *address, unsigned size)
{
    if (scheduled() && memory_has(address))
        access(address, size, false, "an atomic access");
}

void explore_use(const void *address, size_t size, bool write, const char *what)
{
    if (scheduled())
        access(address, size, write, what);
}

/* A free is a write to all of it; what nobody has accessed in this schedule needs no look. */
static void free_line(uintptr_t offset)
{
    struct line *line = &lines[offset / ALIGNMENT];

    for (uintptr_t at = offset; line->touched == search.run && at < offset + ALIGNMENT; at += GRAIN)
        if (cells[at / GRAIN].run == search.run)
            cell_write(&cells[at / GRAIN], at, 0xff, "a free");
    line->freed = search.run;
}

void memory_free(void *memory, const void *pc)
{
    struct block *block = (struct block *)memory - 1;
    uintptr_t offset = (uintptr_t)memory - (uintptr_t)arena;

    if (!memory)
        return;
    if (!memory_has(memory) || (block->state != BLOCK_LIVE && block->state != BLOCK_FREE))
        explore_fail("free of what was never allocated");
    if (block->state == BLOCK_FREE)
        explore_fail("freed twice");
    if (scheduled())
        for (uintptr_t at = offset; at < offset + block->size; at += ALIGNMENT)
            free_line(at);
    block->state = BLOCK_FREE;
    block->freed_at = pc;
    live.blocks--;
    live.bytes -= block->size;
    memset(memory, POISON, block->size);
}

void *explore_memory(size_t size)
{
    return memory_alloc(size, __builtin_return_address(0));
}
