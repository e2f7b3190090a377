/* SPDX-License-Identifier: MIT */
/*
 * A map from addresses to pointers: four levels of 256 (segment high and low, bus, devfn).
 *
 * Reading needs a read-side section and no lock, and costs four dependent loads however many
 * devices there are (M02). Writers hold the lock of the map's owner. Nodes come and go with their
 * entries. A walk by sbdf_map_next() is a sequence of independent reads, so that it survives any
 * change.
 */
#ifndef CORE_MAP_H
#define CORE_MAP_H

#include <berth_port.h>

#define MAP_LEVELS 4
#define MAP_FANOUT 256

struct map_node {
    struct port_deferred deferred; /* first: freed through it */
    uint32_t used;                 /* by writers only */
    _Atomic(void *) slot[MAP_FANOUT];
};

struct sbdf_map {
    _Atomic(struct map_node *) root;
    _Atomic uint32_t count;
};

/** Nodes made before the lock is taken, for use under it. */
struct map_spare {
    struct map_node *node[MAP_LEVELS];
    unsigned count;
};

/** The pointer or NULL. Inside a read-side section (or with the writers' lock). */
void *sbdf_map_find(const struct sbdf_map *map, uint32_t key);

/** The entry with the lowest key >= *@key, which is set to its key; NULL at the end. As above. */
void *sbdf_map_next(const struct sbdf_map *map, uint32_t *key);

/** The same as a walk: *@cursor starts at 0 and is beyond every key at the end. */
static inline void *sbdf_map_step(const struct sbdf_map *map, uint64_t *cursor)
{
    uint32_t key = (uint32_t)*cursor;
    void *item = *cursor > UINT32_MAX ? NULL : sbdf_map_next(map, &key);

    *cursor = item ? (uint64_t)key + 1 : (uint64_t)UINT32_MAX + 1;
    return item;
}

/** Allocates what an insert at @key is likely to need. Without the lock. 0 or -ENOMEM. */
int sbdf_map_prepare(const struct sbdf_map *map, uint32_t key, struct map_spare *spare);

/** Allocates what any insert can need, so that it can't fail for want of memory. 0 or -ENOMEM: then
 * it has some of it. */
int sbdf_map_spare_fill(struct map_spare *spare);

/** With the lock. 0, -EEXIST, or -EAGAIN: prepare again, the map has changed. */
int sbdf_map_insert(struct sbdf_map *map, uint32_t key, void *item, struct map_spare *spare);

/** Frees what the insert left over. */
void sbdf_map_spare_free(struct map_spare *spare);

/** With the lock. The pointer that was there, or NULL. Readers may still find it for a while. */
void *sbdf_map_remove(struct sbdf_map *map, uint32_t key);

/** With the lock: puts another item where there is one. */
void sbdf_map_replace(struct sbdf_map *map, uint32_t key, void *item);

/** Frees the nodes; nobody reads or writes any more. */
void sbdf_map_destroy(struct sbdf_map *map);

static inline unsigned sbdf_map_count(const struct sbdf_map *map)
{
    return atomic_load_explicit(&map->count, memory_order_relaxed);
}

#endif
