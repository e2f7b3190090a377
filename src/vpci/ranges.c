/* SPDX-License-Identifier: MIT */
/*
 * Where the BARs of a guest are: per address space one array, sorted, without overlaps.
 *
 * Readers search it in a read-side section. To add a range is to replace the array by a copy. To
 * remove one cannot fail and needs no memory: the entry stays, names no view any more, and is left
 * out by the next copy. Locking: the bus's lock (LOCK_VBUS) for both.
 */
#include "src/vpci/vpci.h"

struct entry {
    uint64_t start, length;
    _Atomic(struct vpci *) v; /* NULL: removed */
    unsigned bar;
};

struct vpci_ranges {
    struct port_deferred deferred; /* first: freed through it */
    unsigned count, room;
    struct entry entry[];
};

static void ranges_free(struct port_deferred *deferred)
{
    port_free(deferred); /* the first member */
}

static struct vpci *entry_view(const struct entry *e)
{
    return atomic_load_explicit(&e->v, memory_order_acquire);
}

/* The last entry that begins at or before @address, removed or not. */
static unsigned entry_before(const struct vpci_ranges *ranges, uint64_t address)
{
    unsigned low = 0, high = ranges->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (ranges->entry[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1; /* UINT_MAX: none */
}

bool vpci_range_find(const struct vbus *bus, bool io, uint64_t address, struct vpci_range *range)
{
    const struct vpci_ranges *ranges = atomic_load_explicit(&bus->ranges[io], memory_order_acquire);
    const struct entry *e;
    unsigned index;

    if (!ranges)
        return false;
    index = entry_before(ranges, address);
    if (index >= ranges->count)
        return false;
    e = &ranges->entry[index];
    *range = (struct vpci_range){e->start, e->length, entry_view(e), e->bar};
    return range->v && address - e->start < e->length;
}

/* ---- adding: with the bus's lock, into memory that was there before ---- */

static bool overlaps(const struct vpci_ranges *ranges, const struct vpci_range *range)
{
    for (unsigned i = 0; ranges && i < ranges->count; i++) {
        const struct entry *e = &ranges->entry[i];

        if (entry_view(e) && e->start < range->start + range->length &&
            range->start < e->start + e->length)
            return true;
    }
    return false;
}

static void append(struct vpci_ranges *to, const struct vpci_range *range)
{
    struct entry *e = &to->entry[to->count++];

    e->start = range->start;
    e->length = range->length;
    e->bar = range->bar;
    atomic_init(&e->v, range->v);
}

/* @to has room for all of @from and one more. */
static void copy_with(struct vpci_ranges *to, const struct vpci_ranges *from,
                      const struct vpci_range *range)
{
    bool done = false;

    for (unsigned i = 0; from && i < from->count; i++) {
        const struct entry *e = &from->entry[i];

        if (!done && range->start < e->start) {
            append(to, range);
            done = true;
        }
        if (entry_view(e))
            append(to, &(struct vpci_range){e->start, e->length, entry_view(e), e->bar});
    }
    if (!done)
        append(to, range);
}

static struct vpci_ranges *ranges_now(const struct vbus *bus, bool io)
{
    return atomic_load_explicit(&bus->ranges[io], memory_order_relaxed);
}

/* A BAR that is switched off and on again finds its entry, and leaves no garbage behind. */
static bool revive(struct vpci_ranges *ranges, const struct vpci_range *range)
{
    unsigned index = ranges ? entry_before(ranges, range->start) : 0;
    struct entry *e;

    if (!ranges || index >= ranges->count)
        return false;
    e = &ranges->entry[index];
    if (e->start != range->start || e->length != range->length || e->bar != range->bar)
        return false;
    /* release: whoever finds the view finds it whole */
    atomic_store_explicit(&e->v, range->v, memory_order_release);
    return true;
}

/* -EAGAIN: @fresh has no room, or is NULL; 0 with *@used: it is the array now. */
static int insert(struct vbus *bus, bool io, struct vpci_ranges *fresh,
                  const struct vpci_range *range, bool *used) REQUIRES(bus->lock)
{
    struct vpci_ranges *old = ranges_now(bus, io);

    if (overlaps(old, range))
        return -EEXIST;
    if (revive(old, range))
        return 0;
    if (!fresh || (old && fresh->room <= old->count))
        return -EAGAIN;
    copy_with(fresh, old, range);
    /* pairs with the load in vpci_range_find(): a reader finds the copy whole */
    atomic_store_explicit(&bus->ranges[io], fresh, memory_order_release);
    if (old)
        port_defer(&old->deferred, ranges_free);
    *used = true;
    return 0;
}

/* All of it in one window, where there are windows. */
static bool is_permitted(const struct vbus *bus, bool io, const struct vpci_range *range)
{
    for (uint32_t i = 0; i < bus->config.window_count; i++) {
        const struct berth_window *w = &bus->config.windows[i];

        if (!w->io == !io && range->start >= w->start && range->length <= w->length &&
            range->start - w->start <= w->length - range->length)
            return true;
    }
    return !bus->config.window_count;
}

static unsigned room_needed(const struct vbus *bus, bool io)
{
    const struct vpci_ranges *ranges;
    unsigned room;

    port_read_lock();
    ranges = atomic_load_explicit(&bus->ranges[io], memory_order_acquire);
    room = ranges ? ranges->count + 1 : 1;
    port_read_unlock();
    return room;
}

static int add_with(struct vbus *bus, bool io, const struct vpci_range *range,
                    struct vpci_ranges *fresh)
{
    bool used = false;
    int error;

    lock_take(&bus->lock);
    error = insert(bus, io, fresh, range, &used);
    lock_drop(&bus->lock);
    if (!used)
        port_free(fresh);
    return error;
}

/* Memory first, then the lock: again where another device of the guest came in between. */
int vpci_range_add(struct vbus *bus, bool io, const struct vpci_range *range)
{
    int error = is_permitted(bus, io, range) ? add_with(bus, io, range, NULL) : -EPERM;

    while (error == -EAGAIN) {
        unsigned room = room_needed(bus, io);
        struct vpci_ranges *fresh = port_alloc(sizeof(*fresh) + room * sizeof(fresh->entry[0]));

        if (!fresh)
            return -ENOMEM;
        fresh->room = room;
        error = add_with(bus, io, range, fresh);
    }
    return error;
}

void vpci_range_remove(struct vbus *bus, bool io, uint64_t start)
{
    struct vpci_ranges *ranges;
    unsigned index;

    lock_take(&bus->lock);
    ranges = ranges_now(bus, io);
    index = ranges ? entry_before(ranges, start) : 0;
    if (ranges && index < ranges->count && ranges->entry[index].start == start)
        atomic_store_explicit(&ranges->entry[index].v, NULL, memory_order_release);
    lock_drop(&bus->lock);
}

void vpci_ranges_free(struct vbus *bus)
{
    for (unsigned io = 0; io < 2; io++)
        port_free(atomic_load(&bus->ranges[io]));
}
