/* SPDX-License-Identifier: MIT */
/*
 * The interrupt remapping table: which messages exist, who may send them, and what they mean.
 *
 * The data of a message is the index of an entry. Functions look entries up without a lock: an
 * entry has a version, which is odd while it is being written, and a message that comes just then
 * finds nothing, as if it had come a moment earlier (bind) or later (unbind).
 */
#include <stdlib.h>

#include <berth/errno.h>

#include "host/sim/sim_internal.h"

#define HANDLES (1u << 20)
#define MSI_HANDLES (1u << 16) /* MSI has 16 bits of data: PCIe 7.7.1.4 */
#define CHUNK 4096u
#define MSI_VECTORS_MAX 32

struct sim_remap {
    /* Locking: .lock protects what follows, and writing any entry. */
    pthread_mutex_t lock;
    struct sim_memory bound; /* binding to index + 1 */
    uint64_t used[HANDLES / 64];
    uint32_t next_msi, next; /* where to look first, in words of .used */

    _Atomic(struct sim_entry *) chunks[HANDLES / CHUNK]; /* never taken out */
};

int sim_remap_create(struct sim *sim)
{
    sim->remap = calloc(1, sizeof(*sim->remap));
    if (!sim->remap)
        return -ENOMEM;
    pthread_mutex_init(&sim->remap->lock, NULL);
    sim->remap->next = MSI_HANDLES / 64;
    return 0;
}

void sim_remap_destroy(struct sim *sim)
{
    struct sim_remap *remap = sim->remap;

    if (!remap)
        return;
    for (unsigned i = 0; i < HANDLES / CHUNK; i++)
        free(atomic_load(&remap->chunks[i]));
    sim_memory_clear(&remap->bound);
    pthread_mutex_destroy(&remap->lock);
    free(remap);
}

/* ---- entries ---- */

static struct sim_entry *entry_at(const struct sim_remap *remap, uint32_t handle)
{
    struct sim_entry *chunk;

    if (handle >= HANDLES)
        return NULL;
    /* Pairs with the store in provide(). */
    chunk = atomic_load_explicit(&remap->chunks[handle / CHUNK], memory_order_acquire);
    return chunk ? &chunk[handle % CHUNK] : NULL;
}

/* @irq NULL: the entry becomes invalid, which a count of zero says. */
static void entry_write(struct sim_entry *e, const struct berth_irq *irq)
{
    uint64_t words[3] = {0};
    uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed);

    if (irq) {
        words[0] = (uint64_t)sbdf_key(irq->device) << 32 | sbdf_key(irq->source);
        words[1] = (uint64_t)irq->kind << 32 | (uint32_t)irq->first << 16 | irq->count;
        words[2] = irq->generation;
    }
    atomic_store_explicit(&e->version, version + 1, memory_order_relaxed);
    for (int i = 0; i < 3; i++) /* release: nobody sees a word without the odd version */
        atomic_store_explicit(&e->words[i], words[i], memory_order_release);
    atomic_store_explicit(&e->version, version + 2, memory_order_release);
}

static bool entry_read(const struct sim_entry *e, struct berth_irq *irq)
{
    /* Pairs with the last store in entry_write(); the loads of the words with its stores. */
    uint32_t version = atomic_load_explicit(&e->version, memory_order_acquire);
    uint64_t words[3];

    for (int i = 0; i < 3; i++)
        words[i] = atomic_load_explicit(&e->words[i], memory_order_acquire);
    if (version % 2 || atomic_load_explicit(&e->version, memory_order_relaxed) != version)
        return false;
    *irq = (struct berth_irq){
        .device = sbdf_from_key((uint32_t)(words[0] >> 32)),
        .source = sbdf_from_key((uint32_t)words[0]),
        .kind = (enum berth_irq_kind)(words[1] >> 32),
        .first = (uint16_t)(words[1] >> 16),
        .count = (uint16_t)words[1],
        .generation = (uint32_t)words[2],
    };
    return irq->count;
}

bool sim_remap_message(const struct sim *sim, struct sbdf rid, uint32_t data, struct berth_irq *irq,
                       unsigned *vector)
{
    const struct sim_entry *e = entry_at(sim->remap, data);

    if (!e || !entry_read(e, irq))
        return false;
    *vector = data % irq->count; /* a block begins at a multiple of its size */
    return sim->options.no_remapping || sbdf_equal(irq->source, rid);
}

bool sim_remap_line(const struct sim_function *f, struct berth_irq *irq)
{
    return entry_read(&f->line, irq);
}

/* ---- indices; the table is locked ---- */

static uint64_t block_mask(unsigned count, unsigned at)
{
    return (UINT64_MAX >> (64 - count)) << at;
}

/* A free block in one word, aligned to its size; 64: none. */
static unsigned block_in(uint64_t used, unsigned count)
{
    unsigned at = 0;

    while (at < 64 && used & block_mask(count, at))
        at += count;
    return at;
}

/* Takes @count indices from the words between @first and @end; 0: they are all taken. */
static uint32_t take(struct sim_remap *remap, uint32_t first, uint32_t end, uint32_t *next,
                     unsigned count)
{
    for (uint32_t i = 0; i < end - first; i++) {
        uint32_t word = first + (*next - first + i) % (end - first);
        unsigned at = block_in(remap->used[word], count);

        if (at == 64)
            continue;
        remap->used[word] |= block_mask(count, at);
        *next = word;
        return word * 64 + at + 1;
    }
    return 0;
}

/* 0: there is none. */
static uint32_t take_block(struct sim_remap *remap, const struct berth_irq *irq)
{
    if (irq->kind == BERTH_IRQ_MSI)
        return take(remap, 0, MSI_HANDLES / 64, &remap->next_msi, irq->count);
    return take(remap, MSI_HANDLES / 64, HANDLES / 64, &remap->next, irq->count);
}

static void give_back(struct sim_remap *remap, uint32_t handle, unsigned count)
{
    remap->used[handle / 64] &= ~block_mask(count, handle % 64);
}

/* A block never straddles two chunks. */
static bool provide(struct sim_remap *remap, uint32_t handle)
{
    struct sim_entry *chunk;

    if (entry_at(remap, handle))
        return true;
    chunk = calloc(CHUNK, sizeof(*chunk));
    /* Pairs with the load in entry_at(). */
    atomic_store_explicit(&remap->chunks[handle / CHUNK], chunk, memory_order_release);
    return chunk;
}

/* ---- bindings; the table is locked ---- */

static uint64_t bound_key(const struct berth_irq *irq)
{
    return (uint64_t)sbdf_key(irq->device) << 32 | (uint32_t)irq->kind << 16 | irq->first;
}

static bool note(struct sim_remap *remap, const struct berth_irq *irq, uint32_t value)
{
    sim_memory_write(&remap->bound, bound_key(irq), value);
    return sim_memory_read(&remap->bound, bound_key(irq)) == value;
}

static int bind_message(struct sim_remap *remap, const struct berth_irq *irq,
                        struct berth_message *message)
{
    uint32_t handle = take_block(remap, irq);

    if (!handle)
        return -ENOSPC;
    if (!provide(remap, handle - 1) || !note(remap, irq, handle)) {
        give_back(remap, handle - 1, irq->count);
        return -ENOMEM;
    }
    for (unsigned i = 0; i < irq->count; i++)
        entry_write(entry_at(remap, handle - 1 + i), irq);
    *message = (struct berth_message){SIM_MESSAGE_BASE, handle - 1};
    return 0;
}

static int bind_line(struct sim *sim, const struct berth_irq *irq)
{
    struct sim_function *f = sim_find(sim, irq->device);

    if (!f)
        return -EIO;
    if (!note(sim->remap, irq, 1))
        return -ENOMEM;
    entry_write(&f->line, irq);
    return 0;
}

static bool is_shape(const struct berth_irq *irq)
{
    if (irq->kind != BERTH_IRQ_MSI)
        return irq->count == 1;
    return irq->count && irq->count <= MSI_VECTORS_MAX && !(irq->count & (irq->count - 1));
}

static int op_bind(void *irqs, const struct berth_irq *irq, struct berth_message *message)
{
    struct sim *sim = irqs;
    int error = sim_planned(sim, SIM_OP_BIND);

    if (error)
        return error;
    if (!is_shape(irq))
        return -EIO;
    pthread_mutex_lock(&sim->remap->lock);
    if (sim_memory_read(&sim->remap->bound, bound_key(irq))) {
        sim_count(&sim->bindings_misused);
        error = -EIO;
    } else if (irq->kind == BERTH_IRQ_INTX) {
        error = bind_line(sim, irq);
    } else {
        error = bind_message(sim->remap, irq, message);
    }
    pthread_mutex_unlock(&sim->remap->lock);
    if (!error)
        sim_count(&sim->binding_count);
    return error;
}

/* ---- and their end ---- */

static struct sim_entry *bound_entry(struct sim *sim, const struct berth_irq *irq, uint32_t handle)
{
    if (irq->kind == BERTH_IRQ_INTX)
        return &sim_find(sim, irq->device)->line;
    return entry_at(sim->remap, handle - 1);
}

/* False where what is bound is not what the caller says. */
static bool take_away(struct sim *sim, const struct berth_irq *irq)
{
    uint32_t handle = (uint32_t)sim_memory_read(&sim->remap->bound, bound_key(irq));
    struct sim_entry *entry;
    struct berth_irq was;

    if (!handle)
        return false;
    entry = bound_entry(sim, irq, handle);
    if (!entry_read(entry, &was) || was.generation != irq->generation || was.count != irq->count)
        return false;
    for (unsigned i = 0; i < irq->count; i++)
        entry_write(&entry[i], NULL);
    if (irq->kind != BERTH_IRQ_INTX)
        give_back(sim->remap, handle - 1, irq->count);
    note(sim->remap, irq, 0);
    return true;
}

static void op_unbind(void *irqs, const struct berth_irq *irq)
{
    struct sim *sim = irqs;
    bool taken;

    pthread_mutex_lock(&sim->remap->lock);
    taken = take_away(sim, irq);
    pthread_mutex_unlock(&sim->remap->lock);
    if (taken)
        atomic_fetch_sub(&sim->binding_count, 1);
    else
        sim_count(&sim->bindings_misused);
}

static bool op_remaps(void *irqs)
{
    return !((struct sim *)irqs)->options.no_remapping;
}

const struct berth_irq_ops sim_irq_ops = {
    .bind = op_bind,
    .unbind = op_unbind,
    .remaps = op_remaps,
};
