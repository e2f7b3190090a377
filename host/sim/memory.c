/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "host/sim/sim_internal.h"

struct sim_cell {
    uint64_t address, value;
    bool used;
};

static uint32_t cell_of(const struct sim_memory *memory, uint64_t address)
{
    uint32_t i = (uint32_t)(address * 0x9e3779b97f4a7c15u >> 32) & (memory->size - 1);

    while (memory->cells[i].used && memory->cells[i].address != address)
        i = (i + 1) & (memory->size - 1);
    return i;
}

static bool grow(struct sim_memory *memory)
{
    struct sim_memory old = *memory;
    uint32_t size = old.size ? old.size * 2 : 16;
    struct sim_cell *cells = calloc(size, sizeof(*cells));

    if (!cells)
        return false;
    memory->cells = cells;
    memory->size = size;
    for (uint32_t i = 0; i < old.size; i++)
        if (old.cells[i].used)
            cells[cell_of(memory, old.cells[i].address)] = old.cells[i];
    free(old.cells);
    return true;
}

uint64_t sim_memory_read(const struct sim_memory *memory, uint64_t address)
{
    /* A cell that was never written is zero throughout. */
    return memory->size ? memory->cells[cell_of(memory, address)].value : 0;
}

void sim_memory_write(struct sim_memory *memory, uint64_t address, uint64_t value)
{
    struct sim_cell *cell;

    if (memory->used * 2 >= memory->size && !grow(memory))
        return;
    cell = &memory->cells[cell_of(memory, address)];
    memory->used += !cell->used;
    *cell = (struct sim_cell){address, value, true};
}

void sim_memory_clear(struct sim_memory *memory)
{
    free(memory->cells);
    *memory = (struct sim_memory){0};
}
