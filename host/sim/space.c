/* SPDX-License-Identifier: MIT */
/*
 * Spaces: a domain's memory, or a device's quarantine, with reserved regions mapped into either.
 */
#include <stdlib.h>

#include <berth/errno.h>

#include "host/sim/sim_internal.h"

#define PAGE UINT64_C(4096)
#define DOMAIN_END (UINT64_C(1) << 46)

/* ---- regions; the space is locked ---- */

static bool overlap(const struct berth_reserved *a, const struct berth_reserved *b)
{
    return a->start <= b->start + (b->length - 1) && b->start <= a->start + (a->length - 1);
}

static const struct berth_reserved *region_at(const struct sim_space *s, uint64_t address)
{
    for (unsigned i = 0; i < s->count; i++)
        if (address >= s->regions[i].start && address - s->regions[i].start < s->regions[i].length)
            return &s->regions[i];
    return NULL;
}

static bool is_region(const struct berth_reserved *r)
{
    return r->length && r->start % PAGE == 0 && r->length % PAGE == 0 &&
           r->start + (r->length - 1) >= r->start;
}

static int add_region(struct sim_space *s, const struct berth_reserved *region)
{
    for (unsigned i = 0; i < s->count; i++)
        if (overlap(&s->regions[i], region))
            return -EEXIST;
    if (s->count == s->room) {
        unsigned room = s->room ? 2 * s->room : 4;
        struct berth_reserved *grown = realloc(s->regions, room * sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        s->regions = grown;
        s->room = room;
    }
    s->regions[s->count++] = *region;
    return 0;
}

static int drop_region(struct sim_space *s, const struct berth_reserved *region)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->regions[i].start == region->start && s->regions[i].length == region->length) {
            s->regions[i] = s->regions[--s->count];
            return 0;
        }
    return -ENOENT;
}

int sim_op_map(void *iommu, void *space, const struct berth_reserved *region)
{
    struct sim *sim = iommu;
    struct sim_space *s = space;
    int error = sim_planned(sim, SIM_OP_MAP);

    if (error)
        return error;
    if (!is_region(region))
        return -EINVAL;
    pthread_mutex_lock(&s->lock);
    error = add_region(s, region);
    pthread_mutex_unlock(&s->lock);
    if (!error)
        sim_count(&sim->mapping_count);
    return error;
}

/* Caches need no visit: an entry is compared with its space's tables before it is used, so that
 * what is unmapped is gone from all of them at once (X17, X18). */
int sim_op_unmap(void *iommu, void *space, const struct berth_reserved *region)
{
    struct sim *sim = iommu;
    struct sim_space *s = space;
    int error = sim_planned(sim, SIM_OP_UNMAP);

    if (error)
        return error;
    pthread_mutex_lock(&s->lock);
    error = drop_region(s, region);
    pthread_mutex_unlock(&s->lock);
    if (!error)
        atomic_fetch_sub(&sim->mapping_count, 1);
    return error;
}

void sim_take_page(void *space, uint64_t address)
{
    struct sim_space *s = space;

    pthread_mutex_lock(&s->lock);
    s->taken = address / PAGE + 1;
    pthread_mutex_unlock(&s->lock);
}

/* ---- life ---- */

int sim_op_space_create(void *iommu, enum berth_space_kind kind, uint32_t id, void **space)
{
    struct sim *sim = iommu;
    struct sim_space *s;
    int error = sim_planned(sim, SIM_OP_SPACE_CREATE);

    if (error)
        return error;
    if (kind == BERTH_SPACE_SCRATCH && sim->options.no_scratch)
        return -EOPNOTSUPP;
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->kind = kind;
    s->id = id;
    pthread_mutex_init(&s->lock, NULL);
    if (kind == BERTH_SPACE_SCRATCH) {
        s->scratch = calloc(1, PAGE);
        if (!s->scratch) {
            sim_space_free(s);
            return -ENOMEM;
        }
    }
    sim_count(&sim->space_count);
    *space = s;
    return 0;
}

void sim_space_free(struct sim_space *space)
{
    sim_memory_clear(&space->memory);
    free(space->regions);
    free(space->scratch);
    pthread_mutex_destroy(&space->lock);
    free(space);
}

void sim_op_space_destroy(void *iommu, void *space)
{
    struct sim *sim = iommu;
    struct sim_space *s = space;

    atomic_fetch_sub(&sim->space_count, 1);
    atomic_fetch_sub(&sim->mapping_count, s->count);
    if (!atomic_load(&s->contexts) && !atomic_load(&s->cached)) {
        sim_space_free(s);
        return;
    }
    /* Memory that a device can still reach was given back (O5). Kept for the one who looks. */
    sim_count(&sim->spaces_freed_in_use);
    pthread_mutex_lock(&sim->iommu_lock);
    s->next_tomb = sim->tombs;
    sim->tombs = s;
    pthread_mutex_unlock(&sim->iommu_lock);
}

/* ---- access ---- */

static enum sim_dma_result translate_locked(const struct sim_space *s, uint64_t address, bool write)
{
    const struct berth_reserved *region = region_at(s, address);

    if (region)
        return write && !region->writable ? SIM_DMA_FAULT : SIM_DMA_RESERVED;
    switch (s->kind) {
    case BERTH_SPACE_DOMAIN:
        return address < DOMAIN_END && address / PAGE + 1 != s->taken ? SIM_DMA_DOMAIN
                                                                      : SIM_DMA_FAULT;
    case BERTH_SPACE_SCRATCH:
        return SIM_DMA_SCRATCH;
    default:
        return SIM_DMA_FAULT;
    }
}

enum sim_dma_result sim_space_translate(struct sim_space *space, uint64_t address, bool write)
{
    enum sim_dma_result result;

    if (!space)
        return SIM_DMA_FAULT;
    pthread_mutex_lock(&space->lock);
    result = translate_locked(space, address, write);
    pthread_mutex_unlock(&space->lock);
    return result;
}

static void memory_access(struct sim_memory *memory, pthread_mutex_t *lock, uint64_t address,
                          bool write, uint64_t *data)
{
    pthread_mutex_lock(lock);
    if (write)
        sim_memory_write(memory, address, *data);
    else
        *data = sim_memory_read(memory, address);
    pthread_mutex_unlock(lock);
}

void sim_space_access(struct sim *sim, struct sim_space *space, enum sim_dma_result kind,
                      uint64_t address, bool write, uint64_t *data)
{
    uint64_t *cell;

    address &= ~UINT64_C(7);
    if (kind == SIM_DMA_DOMAIN)
        memory_access(&space->memory, &space->lock, address, write, data);
    if (kind == SIM_DMA_RESERVED) /* one to one, the same memory in every space */
        memory_access(&sim->reserved_memory, &sim->iommu_lock, address, write, data);
    if (kind != SIM_DMA_SCRATCH)
        return;
    cell = &space->scratch[address % PAGE / 8];
    pthread_mutex_lock(&space->lock);
    if (write)
        *cell = *data;
    else
        *data = *cell;
    pthread_mutex_unlock(&space->lock);
}
