/* SPDX-License-Identifier: MIT */
/*
 * A hash table under a lock that hands out references, and a read-write lock per device which
 * removal takes to shut accesses out.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "bench/disciplines/discipline.h"
#include "bench/disciplines/function.h"

#define BUCKET_BITS 14
#define BUCKETS (1u << BUCKET_BITS)

struct device {
    LIST_ENTRY(device) in_bucket;
    _Atomic unsigned references;
    pthread_rwlock_t access; /* read: touches the hardware; write: removal */
    bool gone;               /* under .access */
    struct function function;
};

LIST_HEAD(bucket, device);

struct registry {
    pthread_mutex_t lock; /* of the table */
    struct bench_host *host;
    struct bucket bucket[BUCKETS];
};

static void device_put(struct device *dev)
{
    if (atomic_fetch_sub_explicit(&dev->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_rwlock_destroy(&dev->access);
    free(dev);
}

static struct bucket *bucket_of(struct registry *r, struct sbdf sbdf)
{
    return &r->bucket[sbdf_key(sbdf) * 2654435769u >> (32 - BUCKET_BITS)];
}

static int registry_create(struct bench_host *host, void **registry)
{
    struct registry *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    pthread_mutex_init(&r->lock, NULL);
    r->host = host;
    *registry = r;
    return 0;
}

static void registry_destroy(void *registry)
{
    struct registry *r = registry;

    for (unsigned i = 0; i < BUCKETS; i++) {
        struct device *dev;

        while ((dev = LIST_FIRST(&r->bucket[i]))) {
            LIST_REMOVE(dev, in_bucket);
            device_put(dev);
        }
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static int device_add(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct device *dev = calloc(1, sizeof(*dev));
    pthread_rwlockattr_t fair;
    int error = dev ? function_take(&dev->function, r->host, sbdf) : -ENOMEM;

    if (error) {
        free(dev);
        return error;
    }
    atomic_init(&dev->references, 1);
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&dev->access, &fair);
    pthread_rwlockattr_destroy(&fair);
    pthread_mutex_lock(&r->lock);
    LIST_INSERT_HEAD(bucket_of(r, sbdf), dev, in_bucket);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* With the lock. */
static struct device *bucket_find(struct registry *r, struct sbdf sbdf)
{
    struct device *dev;

    for (dev = LIST_FIRST(bucket_of(r, sbdf)); dev; dev = LIST_NEXT(dev, in_bucket))
        if (sbdf_equal(dev->function.sbdf, sbdf))
            break;
    return dev;
}

static struct device *device_find(struct registry *r, struct sbdf sbdf)
{
    struct device *dev;

    pthread_mutex_lock(&r->lock);
    dev = bucket_find(r, sbdf);
    if (dev)
        atomic_fetch_add_explicit(&dev->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&r->lock);
    return dev;
}

static int device_remove(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct device *dev;
    int error;

    pthread_mutex_lock(&r->lock);
    dev = bucket_find(r, sbdf);
    if (dev)
        LIST_REMOVE(dev, in_bucket);
    pthread_mutex_unlock(&r->lock);
    if (!dev)
        return -ENODEV;
    pthread_rwlock_wrlock(&dev->access);
    dev->gone = true;
    pthread_rwlock_unlock(&dev->access);
    error = function_quiet(&dev->function);
    function_give(&dev->function);
    device_put(dev);
    return error;
}

static uint64_t lookup(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    uint64_t found = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct device *dev = device_find(registry, hot[i % BENCH_HOT]);

        if (!dev)
            continue;
        found++;
        device_put(dev);
    }
    return found;
}

static unsigned device_answers(struct device *dev)
{
    unsigned answers;

    pthread_rwlock_rdlock(&dev->access);
    answers = !dev->gone && function_answers(&dev->function);
    pthread_rwlock_unlock(&dev->access);
    return answers;
}

static uint64_t access_config(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    uint64_t answered = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct device *dev = device_find(registry, hot[i % BENCH_HOT]);

        if (!dev)
            continue;
        answered += device_answers(dev);
        device_put(dev);
    }
    return answered;
}

const struct discipline discipline_locked_refs = {
    .name = "locked-refs",
    .create = registry_create,
    .destroy = registry_destroy,
    .add = device_add,
    .remove = device_remove,
    .lookup = lookup,
    .access = access_config,
};
