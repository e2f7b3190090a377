/* SPDX-License-Identifier: MIT */
/* The registers of a view: made with it, and those that an embedder adds while it is in use. */
#include "src/vpci/vpci.h"

#include "src/core/memory.h"

#define ROOM_FIRST 32u

unsigned vpci_table_find(const struct vpci_table *table, unsigned at)
{
    unsigned low = 0, high = table->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (table->reg[middle].at + table->reg[middle].size <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- what a register may be ---- */

static bool disjoint(const struct berth_register *d)
{
    uint32_t all = 0;
    const uint32_t masks[] = {d->ro, d->rw, d->rw1c, d->rsvdp, d->rsvdz};

    for (unsigned i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        if (all & masks[i])
            return false;
        all |= masks[i];
    }
    return !(all & ~(uint32_t)vpci_ones(d->size));
}

static uint32_t readable(const struct berth_register *d)
{
    return d->ro | d->rw | d->rw1c | d->rsvdp;
}

static bool desc_is_fine(const struct berth_register *d, unsigned at)
{
    return (d->size == 1 || d->size == 2 || d->size == 4) && at % d->size == 0 &&
           at + d->size <= VPCI_CONFIG_SIZE && disjoint(d) && !(d->reset & ~readable(d));
}

static bool overlaps(const struct vpci_table *table, unsigned index, unsigned end)
{
    return index < table->count && table->reg[index].at < end;
}

/* ---- pages ---- */

static int page_make(struct vpci *v, unsigned at)
{
    struct vpci_page *page;

    if (atomic_load_explicit(&v->page[at / VPCI_PAGE], memory_order_relaxed))
        return 0;
    page = vpci_memory(v, sizeof(*page));
    if (!page)
        return -ENOMEM;
    /* pairs with the load in page_at(): a reader finds an initialised page */
    atomic_store_explicit(&v->page[at / VPCI_PAGE], page, memory_order_release);
    return 0;
}

/* Whether a dword is read through the table: any register in it has a hook. */
static void hooks_update(struct vpci *v, const struct vpci_table *table, unsigned at)
{
    struct vpci_page *page = atomic_load_explicit(&v->page[at / VPCI_PAGE], memory_order_relaxed);
    unsigned dword = at & ~3u, index = vpci_table_find(table, dword);
    uint64_t bit = UINT64_C(1) << at % VPCI_PAGE / 4;
    bool hooked = false;

    for (; overlaps(table, index, dword + 4); index++)
        hooked |= table->reg[index].desc->read != NULL;
    if (hooked)
        atomic_fetch_or_explicit(&page->hooked, bit, memory_order_release);
    else
        atomic_fetch_and_explicit(&page->hooked, ~bit, memory_order_release);
}

/* ---- tables ---- */

static struct vpci_table *table_alloc(uint32_t room)
{
    struct vpci_table *table = port_alloc(sizeof(*table) + room * sizeof(struct vpci_register));

    if (table)
        table->room = room;
    return table;
}

static void table_free(struct port_deferred *deferred)
{
    port_free(deferred); /* the first member */
}

static struct vpci_table *table_copy(const struct vpci_table *old, uint32_t room)
{
    struct vpci_table *table = table_alloc(room);

    if (table) {
        table->count = old->count;
        memcpy(table->reg, old->reg, old->count * sizeof(old->reg[0]));
    }
    return table;
}

static void table_insert(struct vpci_table *table, unsigned index, const struct vpci_register *r)
{
    for (unsigned i = table->count; i > index; i--)
        table->reg[i] = table->reg[i - 1];
    table->reg[index] = *r;
    table->count++;
}

static struct vpci_table *table_now(const struct vpci *v)
{
    return atomic_load_explicit(&v->table, memory_order_relaxed);
}

/* ---- while the view is being made ---- */

static int table_grow(struct vpci *v)
{
    struct vpci_table *old = table_now(v), *table;

    if (old->count < old->room)
        return 0;
    table = table_copy(old, old->room ? old->room * 2 : ROOM_FIRST);
    if (!table)
        return -ENOMEM;
    v->bytes += (table->room - old->room) * sizeof(table->reg[0]);
    atomic_store_explicit(&v->table, table, memory_order_release);
    port_free(old);
    return 0;
}

int vpci_add(struct vpci *v, unsigned cap, unsigned at, const struct berth_register *desc,
             uint32_t value)
{
    struct vpci_register r = {.at = (uint16_t)at,
                              .size = desc->size,
                              .cap = (uint8_t)cap,
                              .initial = (desc->reset | value) & readable(desc),
                              .desc = desc,
                              .context = v};
    unsigned index;
    int error = desc_is_fine(desc, at) ? page_make(v, at) : -EINVAL;

    if (!error)
        error = table_grow(v);
    if (error)
        return error;
    index = vpci_table_find(table_now(v), at);
    if (overlaps(table_now(v), index, at + desc->size))
        return -EEXIST;
    table_insert(table_now(v), index, &r);
    vpci_store(v, at, desc->size, r.initial);
    hooks_update(v, table_now(v), at);
    return 0;
}

int vpci_add_table(struct vpci *v, unsigned cap, unsigned at, const struct berth_register *table,
                   unsigned count)
{
    int error = 0;

    for (unsigned i = 0; i < count && !error; i++)
        error = vpci_add(v, cap, at + table[i].offset, &table[i], 0);
    return error;
}

static void forget(struct vpci *v, struct vpci_table *table, const struct vpci_register *r)
{
    vpci_store(v, r->at, r->size, 0);
    hooks_update(v, table, r->at);
}

void vpci_remove_cap(struct vpci *v, unsigned cap)
{
    struct vpci_table *table = table_now(v);

    for (unsigned i = 0; table && i < table->count;) {
        struct vpci_register gone = table->reg[i];

        if (gone.cap != cap) {
            i++;
            continue;
        }
        table->count--;
        for (unsigned k = i; k < table->count; k++)
            table->reg[k] = table->reg[k + 1];
        forget(v, table, &gone);
    }
}

static bool is_sticky(const struct vpci_register *r)
{
    return r->cap < vpci_cap_count && vpci_caps[r->cap]->sticky;
}

void vpci_reset_values(struct vpci *v)
{
    const struct vpci_table *table = table_now(v);

    for (unsigned i = 0; i < table->count; i++)
        if (!is_sticky(&table->reg[i]))
            vpci_store(v, table->reg[i].at, table->reg[i].size, table->reg[i].initial);
}

void vpci_latch_initial(struct vpci *v)
{
    struct vpci_table *table = table_now(v);

    for (unsigned i = 0; i < table->count; i++)
        table->reg[i].initial = vpci_stored(v, table->reg[i].at, table->reg[i].size);
}

/* ---- while it is in use ---- */

/* With the view's lock. Readers have the old table until their section ends. */
static void table_replace(struct vpci *v, struct vpci_table *table)
{
    struct vpci_table *old = table_now(v);

    v->bytes += table->room * sizeof(table->reg[0]);
    v->bytes -= old->room * sizeof(old->reg[0]);
    atomic_store_explicit(&v->table, table, memory_order_release);
    port_defer(&old->deferred, table_free);
}

static int table_with(struct vpci *v, const struct berth_register *desc, void *context)
{
    const struct vpci_register r = {.at = desc->offset,
                                    .size = desc->size,
                                    .cap = VPCI_CAP_EMBEDDER,
                                    .initial = desc->reset,
                                    .desc = desc,
                                    .context = context};
    unsigned index = vpci_table_find(table_now(v), desc->offset);
    struct vpci_table *table;
    int error;

    if (overlaps(table_now(v), index, desc->offset + desc->size))
        return -EEXIST;
    error = page_make(v, desc->offset);
    table = error ? NULL : table_copy(table_now(v), table_now(v)->count + 1);
    if (!table)
        return -ENOMEM;
    table_insert(table, index, &r);
    vpci_store(v, r.at, r.size, r.initial); /* before a reader can find the register */
    table_replace(v, table);
    hooks_update(v, table, r.at);
    return 0;
}

static int removable(const struct vpci_table *table, unsigned index, unsigned offset, unsigned end)
{
    int error = -ENOENT;

    for (; overlaps(table, index, end); index++) {
        if (table->reg[index].at < offset || table->reg[index].at + table->reg[index].size > end)
            return -EINVAL;
        if (table->reg[index].cap != VPCI_CAP_EMBEDDER)
            return -EBUSY;
        error = 0;
    }
    return error;
}

static int table_without(struct vpci *v, unsigned offset, unsigned end)
{
    const struct vpci_table *old = table_now(v);
    unsigned index = vpci_table_find(old, offset), kept = 0;
    struct vpci_table *table;
    int error = removable(old, index, offset, end);

    if (error)
        return error;
    table = table_copy(old, old->room);
    if (!table)
        return -ENOMEM;
    for (unsigned i = 0; i < old->count; i++)
        if (old->reg[i].at < offset || old->reg[i].at >= end)
            table->reg[kept++] = old->reg[i];
    table->count = kept;
    port_read_lock(); /* the old table is read once more */
    table_replace(v, table);
    for (; overlaps(old, index, end); index++)
        forget(v, table, &old->reg[index]);
    port_read_unlock();
    return 0;
}

/* ---- for embedders ---- */

/* The view of a device that keeps its owner, under its lock. NULL: it has none. Unseen, as
 * view_unlock(): the locks are those of what is returned. */
static struct vpci *view_lock(struct pcidev *dev, bool make) LOCKING_UNSEEN
{
    struct vpci *v;

    lock_take(&dev->lock);
    v = atomic_load(&dev->vpci);
    if (!v && make)
        v = vpci_make_passing(dev);
    if (v) {
        lock_take(&v->lock);
        return v;
    }
    lock_drop(&dev->lock);
    return NULL;
}

static void view_unlock(struct pcidev *dev, struct vpci *v) LOCKING_UNSEEN
{
    lock_drop(&v->lock);
    lock_drop(&dev->lock);
}

int berth_register_add(struct pcidev *dev, const struct berth_register *desc, void *context)
{
    struct vpci *v;
    int error;

    if (!desc_is_fine(desc, desc->offset))
        return -EINVAL;
    v = view_lock(dev, true);
    if (!v)
        return -ENODEV;
    error = table_with(v, desc, context);
    view_unlock(dev, v);
    return error;
}

int berth_register_remove(struct pcidev *dev, unsigned offset, unsigned length)
{
    struct vpci *v;
    int error;

    if (!length || offset >= VPCI_CONFIG_SIZE || length > VPCI_CONFIG_SIZE - offset)
        return -EINVAL;
    v = view_lock(dev, false);
    if (!v)
        return -ENODEV;
    error = table_without(v, offset, offset + length);
    view_unlock(dev, v);
    if (!error)
        port_settle(); /* readers that found the old table have left its hooks */
    return error;
}
