/* SPDX-License-Identifier: MIT */
#include "src/core/map.h"

#include <berth/errno.h>

static unsigned map_index(uint32_t key, unsigned level)
{
    return key >> (24 - 8 * level) & 0xffu;
}

static void *node_load(const struct map_node *node, unsigned index)
{
    /* pairs with the release in sbdf_map_insert(): what was published is seen whole */
    return atomic_load_explicit(&node->slot[index], memory_order_acquire);
}

void *sbdf_map_find(const struct sbdf_map *map, uint32_t key)
{
    const void *p = atomic_load_explicit(&map->root, memory_order_acquire);

    for (unsigned level = 0; level < MAP_LEVELS; level++) {
        if (!p)
            return NULL;
        p = node_load(p, map_index(key, level));
    }
    return (void *)(uintptr_t)p;
}

/*
 * Below @node, at @level: the first entry that is not before *@key. Where the search leaves the
 * path of *@key, the rest of the key starts over from zero.
 */
static void *next_below(const struct map_node *node, unsigned level, uint32_t *key)
{
    unsigned shift = 24 - 8 * level;

    for (unsigned i = map_index(*key, level); i < MAP_FANOUT; i++) {
        void *p = node_load(node, i);

        if (i != map_index(*key, level)) {
            uint32_t above = shift == 24 ? 0 : *key >> (shift + 8) << (shift + 8);

            *key = above | (uint32_t)i << shift;
        }
        if (p && level < MAP_LEVELS - 1)
            p = next_below(p, level + 1, key);
        if (p)
            return p;
    }
    return NULL;
}

void *sbdf_map_next(const struct sbdf_map *map, uint32_t *key)
{
    const struct map_node *root = atomic_load_explicit(&map->root, memory_order_acquire);

    return root ? next_below(root, 0, key) : NULL;
}

int sbdf_map_prepare(const struct sbdf_map *map, uint32_t key, struct map_spare *spare)
{
    const void *p;
    unsigned level = 0;

    port_read_lock();
    p = atomic_load_explicit(&map->root, memory_order_acquire);
    while (p && level < MAP_LEVELS - 1)
        p = node_load(p, map_index(key, level++));
    port_read_unlock();

    unsigned missing = p ? 0 : MAP_LEVELS - level;

    for (; spare->count < missing; spare->count++) {
        spare->node[spare->count] = port_alloc(sizeof(struct map_node));
        if (!spare->node[spare->count])
            return -ENOMEM;
    }
    return 0;
}

int sbdf_map_spare_fill(struct map_spare *spare)
{
    for (; spare->count < MAP_LEVELS; spare->count++) {
        spare->node[spare->count] = port_alloc(sizeof(struct map_node));
        if (!spare->node[spare->count])
            return -ENOMEM;
    }
    return 0;
}

void sbdf_map_spare_free(struct map_spare *spare)
{
    while (spare->count)
        port_free(spare->node[--spare->count]);
}

/* The path to the leaf that holds @key; a level is NULL from where it is missing. */
static void map_path(const struct sbdf_map *map, uint32_t key, struct map_node *path[MAP_LEVELS])
{
    struct map_node *node = atomic_load_explicit(&map->root, memory_order_relaxed);

    for (unsigned level = 0; level < MAP_LEVELS; level++) {
        path[level] = node;
        if (node && level < MAP_LEVELS - 1)
            node = atomic_load_explicit(&node->slot[map_index(key, level)], memory_order_relaxed);
    }
}

int sbdf_map_insert(struct sbdf_map *map, uint32_t key, void *item, struct map_spare *spare)
{
    struct map_node *path[MAP_LEVELS];
    unsigned missing = 0;
    unsigned leaf = map_index(key, MAP_LEVELS - 1);

    map_path(map, key, path);
    for (unsigned level = 0; level < MAP_LEVELS; level++)
        missing += !path[level];
    if (missing > spare->count)
        return -EAGAIN;
    if (!missing && atomic_load_explicit(&path[MAP_LEVELS - 1]->slot[leaf], memory_order_relaxed))
        return -EEXIST;

    /* From the leaf up: a reader finds a new branch complete or not at all. */
    for (unsigned level = MAP_LEVELS; level-- > 0; item = path[level]) {
        bool fresh = !path[level];

        if (fresh)
            path[level] = spare->node[--spare->count];
        path[level]->used++;
        atomic_store_explicit(&path[level]->slot[map_index(key, level)], item,
                              memory_order_release);
        if (!fresh)
            goto linked;
    }
    atomic_store_explicit(&map->root, item, memory_order_release);
linked:
    atomic_fetch_add_explicit(&map->count, 1, memory_order_relaxed);
    return 0;
}

static void node_free(struct port_deferred *deferred)
{
    port_free(deferred);
}

void *sbdf_map_remove(struct sbdf_map *map, uint32_t key)
{
    struct map_node *path[MAP_LEVELS];
    unsigned empty = MAP_LEVELS; /* nodes from this level down have lost their last entry */
    void *item;

    map_path(map, key, path);
    if (!path[MAP_LEVELS - 1])
        return NULL;
    item = atomic_load_explicit(&path[MAP_LEVELS - 1]->slot[map_index(key, MAP_LEVELS - 1)],
                                memory_order_relaxed);
    if (!item)
        return NULL;
    atomic_fetch_sub_explicit(&map->count, 1, memory_order_relaxed);
    for (unsigned level = MAP_LEVELS; level-- > 0;) {
        atomic_store_explicit(&path[level]->slot[map_index(key, level)], NULL,
                              memory_order_release);
        if (--path[level]->used)
            break;
        empty = level;
    }
    if (empty == 0)
        atomic_store_explicit(&map->root, NULL, memory_order_release);
    /* Not before the branch is cut off: who enters after that must not find what is waiting. */
    for (unsigned level = empty; level < MAP_LEVELS; level++)
        port_defer(&path[level]->deferred, node_free);
    return item;
}

void sbdf_map_replace(struct sbdf_map *map, uint32_t key, void *item)
{
    struct map_node *path[MAP_LEVELS];

    map_path(map, key, path);
    atomic_store_explicit(&path[MAP_LEVELS - 1]->slot[map_index(key, MAP_LEVELS - 1)], item,
                          memory_order_release);
}

void sbdf_map_destroy(struct sbdf_map *map)
{
    uint32_t key = 0;

    while (sbdf_map_next(map, &key))
        sbdf_map_remove(map, key);
}
