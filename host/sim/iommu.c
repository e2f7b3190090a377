/* SPDX-License-Identifier: MIT */
/*
 * Contexts: what a requester id points to, and what is cached for it.
 *
 * A cache entry says that a page was translated by a space. It is used for as long as it is there,
 * like the device TLB of an ATS device, which knows no domain ids: also after the context points
 * elsewhere. flush() is what ends that (X14).
 */
#include <stdlib.h>

#include <berth/errno.h>

#include "host/sim/sim_internal.h"

#define CACHE_ENTRIES 64
#define PAGE_SHIFT 12

struct cache_entry {
    uint64_t page;
    struct sim_space *space;  /* NULL: empty */
    enum sim_dma_result kind; /* what the page was then */
};

struct sim_context {
    struct sim_context *next;
    struct sbdf rid;
    struct sim_function *owner; /* whose claim tells whether a re-assignment is under way */

    /* Locking: .lock protects what follows, for one access or one change at a time. */
    pthread_mutex_t lock;
    struct sim_space *space;
    struct cache_entry *cache; /* CACHE_ENTRIES, made by the first access */
    uint64_t detached_claim;   /* .owner's claim when the context was cleared; 0: it was not */
};

/* ---- the table: contexts are added at the head of a bucket and never taken out ---- */

static _Atomic(struct sim_context *) *bucket_of(struct sim *sim, struct sbdf rid)
{
    return &sim->contexts[sbdf_key(rid) * 0x9e3779b1u >> 8 & sim->context_mask];
}

static struct sim_context *search(struct sim_context *c, struct sbdf rid)
{
    while (c && !sbdf_equal(c->rid, rid))
        c = c->next;
    return c;
}

struct sim_context *sim_context_find(struct sim *sim, struct sbdf rid)
{
    /* Pairs with the exchange in make_context(). */
    return search(atomic_load_explicit(bucket_of(sim, rid), memory_order_acquire), rid);
}

static struct sim_context *make_context(struct sim *sim, struct sbdf rid)
{
    _Atomic(struct sim_context *) *bucket = bucket_of(sim, rid);
    struct sim_context *head = atomic_load_explicit(bucket, memory_order_acquire);
    struct sim_context *found = search(head, rid);
    struct sim_context *fresh;

    if (found)
        return found;
    fresh = calloc(1, sizeof(*fresh));
    if (!fresh)
        return NULL;
    fresh->rid = rid;
    fresh->owner = sim_function_of_rid(sim, rid);
    pthread_mutex_init(&fresh->lock, NULL);
    fresh->next = head;
    while (!atomic_compare_exchange_strong(bucket, &head, fresh)) {
        fresh->next = head;
        found = search(head, rid);
        if (found) { /* another thread was faster */
            pthread_mutex_destroy(&fresh->lock);
            free(fresh);
            return found;
        }
    }
    return fresh;
}

int sim_iommu_create(struct sim *sim)
{
    uint32_t size = 256;

    while (size < sim->count)
        size *= 2;
    sim->contexts = calloc(size, sizeof(*sim->contexts));
    sim->context_mask = size - 1;
    return sim->contexts ? 0 : -ENOMEM;
}

static void free_bucket(struct sim_context *c)
{
    while (c) {
        struct sim_context *next = c->next;

        pthread_mutex_destroy(&c->lock);
        free(c->cache);
        free(c);
        c = next;
    }
}

void sim_iommu_destroy(struct sim *sim)
{
    for (uint32_t i = 0; sim->contexts && i <= sim->context_mask; i++)
        free_bucket(atomic_load(&sim->contexts[i]));
    free(sim->contexts);
    while (sim->tombs) {
        struct sim_space *next = sim->tombs->next_tomb;

        sim_space_free(sim->tombs);
        sim->tombs = next;
    }
    sim_memory_clear(&sim->reserved_memory);
}

/* ---- attach, detach, flush ---- */

/* 0: nobody's. The alias of a bridge belongs to those behind it, whose claims come and go. */
static uint64_t owner_claim(const struct sim_context *c)
{
    return c->owner && !sim_is_bridge(c->owner) ? atomic_load(&c->owner->claim) : 0;
}

/* The context is locked. */
static void point_to(struct sim *sim, struct sim_context *c, struct sim_space *space)
{
    struct sim_space *old = c->space;

    if (space)
        atomic_fetch_add(&space->contexts, 1);
    c->space = space;
    if (old)
        atomic_fetch_sub(&old->contexts, 1);
    if (space && !old)
        atomic_fetch_add(&sim->context_count, 1);
    if (old && !space)
        atomic_fetch_sub(&sim->context_count, 1);
}

/* X04: cleared, then set again, and all the while the same user had the device. */
static bool is_gap(const struct sim_context *c)
{
    return !c->space && c->detached_claim && c->detached_claim == owner_claim(c);
}

static int op_attach(void *iommu, struct sbdf rid, void *space)
{
    struct sim *sim = iommu;
    struct sim_context *c;
    int error = sim_planned(sim, SIM_OP_ATTACH);

    if (error)
        return error;
    c = make_context(sim, rid);
    if (!c)
        return -ENOMEM;
    pthread_mutex_lock(&c->lock);
    if (is_gap(c))
        sim_count(&sim->attach_gaps);
    c->detached_claim = 0;
    point_to(sim, c, space);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

static int op_detach(void *iommu, struct sbdf rid)
{
    struct sim *sim = iommu;
    struct sim_context *c = sim_context_find(sim, rid);
    int error = sim_planned(sim, SIM_OP_DETACH);

    if (error || !c)
        return error;
    pthread_mutex_lock(&c->lock);
    if (c->space)
        c->detached_claim = owner_claim(c);
    point_to(sim, c, NULL);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

static void drop_entry(struct cache_entry *entry)
{
    if (entry->space)
        atomic_fetch_sub(&entry->space->cached, 1);
    entry->space = NULL;
}

static int op_flush(void *iommu, struct sbdf rid, void *old_space)
{
    struct sim *sim = iommu;
    const struct sim_function *f = sim_function_of_rid(sim, rid);
    struct sim_context *c = sim_context_find(sim, rid);
    const bool hangs = f && atomic_load(&f->hang_on_flush) && sim_plugged(f);
    int error = sim_planned(sim, SIM_OP_FLUSH);

    if (error)
        return error;
    if (hangs)
        return -ETIMEDOUT;
    if (!c)
        return 0;
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; c->cache && i < CACHE_ENTRIES; i++)
        if (c->cache[i].space == old_space)
            drop_entry(&c->cache[i]);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

static void drop_cache(struct sim_context *c)
{
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; c->cache && i < CACHE_ENTRIES; i++)
        drop_entry(&c->cache[i]);
    pthread_mutex_unlock(&c->lock);
}

void sim_caches_drop(struct sim *sim, const struct sim_function *f)
{
    for (uint32_t i = 0; i <= sim->context_mask; i++)
        for (struct sim_context *c = atomic_load(&sim->contexts[i]); c; c = c->next)
            if (c->owner && (c->owner == f || c->owner->pf == f))
                drop_cache(c);
}

int sim_hang_on_flush(struct sim *sim, struct sbdf rid, bool on)
{
    struct sim_function *f = sim_function_of_rid(sim, rid);

    if (!f)
        return -ENODEV;
    atomic_store(&f->hang_on_flush, on);
    return 0;
}

const struct berth_iommu_ops sim_iommu_ops = {
    .space_create = sim_op_space_create,
    .space_destroy = sim_op_space_destroy,
    .map = sim_op_map,
    .unmap = sim_op_unmap,
    .attach = op_attach,
    .detach = op_detach,
    .flush = op_flush,
    .group = sim_op_group,
    .ats = sim_op_ats,
};

/* ---- access through the caches; the context is locked ---- */

static struct cache_entry *entry_of(struct sim_context *c, uint64_t address)
{
    if (!c->cache)
        c->cache = calloc(CACHE_ENTRIES, sizeof(*c->cache));
    return c->cache ? &c->cache[address >> PAGE_SHIFT & (CACHE_ENTRIES - 1)] : NULL;
}

/* ATS: the device has the page, and asks nobody before it uses it (PCIe 10.1). */
static bool is_kept_by_device(const struct sim_context *c, const struct cache_entry *entry,
                              enum sim_dma_result now)
{
    return now == SIM_DMA_FAULT && entry->kind == SIM_DMA_DOMAIN && c->owner &&
           atomic_load(&c->owner->ats);
}

/* The space whose translation is used; *@result says where it leads. */
static struct sim_space *translate(struct sim_context *c, uint64_t address, bool write,
                                   enum sim_dma_result *result)
{
    struct cache_entry *entry = entry_of(c, address);

    if (entry && entry->space && entry->page == address >> PAGE_SHIFT) {
        *result = sim_space_translate(entry->space, address, write);
        if (is_kept_by_device(c, entry, *result))
            *result = entry->kind;
        if (*result == entry->kind)
            return entry->space;
        drop_entry(entry); /* mapped or unmapped meanwhile, or not for writing: ask the tables */
    }
    *result = sim_space_translate(c->space, address, write);
    /* a request on its way out of a card that is pulled right now leaves nothing behind */
    if (*result != SIM_DMA_FAULT && entry && (!c->owner || sim_plugged(c->owner))) {
        drop_entry(entry);
        atomic_fetch_add(&c->space->cached, 1);
        *entry = (struct cache_entry){address >> PAGE_SHIFT, c->space, *result};
    }
    return c->space;
}

/* A reserved region is the same memory wherever it is mapped. */
static bool is_stale(struct sim_context *c, const struct sim_space *used, uint64_t address,
                     bool write, enum sim_dma_result result)
{
    if (used == c->space)
        return false;
    return result != SIM_DMA_RESERVED ||
           sim_space_translate(c->space, address, write) != SIM_DMA_RESERVED;
}

void sim_context_access(struct sim *sim, struct sim_context *context, uint64_t address, bool write,
                        struct sim_dma *dma)
{
    struct sim_space *space;

    pthread_mutex_lock(&context->lock);
    space = translate(context, address, write, &dma->result);
    if (dma->result != SIM_DMA_FAULT) {
        dma->stale = is_stale(context, space, address, write, dma->result);
        dma->domain_id = dma->result == SIM_DMA_DOMAIN ? space->id : 0;
        sim_space_access(sim, space, dma->result, address, write, &dma->data);
    }
    pthread_mutex_unlock(&context->lock);
}

bool sim_context_domain(struct sim_context *context, uint32_t *domain_id)
{
    bool is_domain;

    pthread_mutex_lock(&context->lock);
    is_domain = context->space && context->space->kind == BERTH_SPACE_DOMAIN;
    if (is_domain)
        *domain_id = context->space->id;
    pthread_mutex_unlock(&context->lock);
    return is_domain;
}
