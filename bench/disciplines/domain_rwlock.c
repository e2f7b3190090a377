/* SPDX-License-Identifier: MIT */
/*
 * A read-write lock per domain over the list of its devices: its guests' accesses go on side by
 * side, and removal shuts all of them out. There are no references; a device stays for as long
 * as the lock is held.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/disciplines/device_list.h"
#include "bench/disciplines/discipline.h"

struct registry {
    pthread_rwlock_t guest_lock; /* the one domain's */
    struct device_list guest;
    struct bench_host *host;
};

static int registry_create(struct bench_host *host, void **registry)
{
    struct registry *r = calloc(1, sizeof(*r));
    pthread_rwlockattr_t fair;

    if (!r)
        return -ENOMEM;
    /* the kind that lets a writer in although readers keep coming, as hypervisors' own do */
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&r->guest_lock, &fair);
    pthread_rwlockattr_destroy(&fair);
    TAILQ_INIT(&r->guest);
    r->host = host;
    *registry = r;
    return 0;
}

static void registry_destroy(void *registry)
{
    struct registry *r = registry;
    struct device *dev;

    while ((dev = TAILQ_FIRST(&r->guest))) {
        TAILQ_REMOVE(&r->guest, dev, in_guest);
        free(dev);
    }
    pthread_rwlock_destroy(&r->guest_lock);
    free(r);
}

static int device_add(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct device *dev = calloc(1, sizeof(*dev));
    int error = dev ? function_take(&dev->function, r->host, sbdf) : -ENOMEM;

    if (error) {
        free(dev);
        return error;
    }
    pthread_rwlock_wrlock(&r->guest_lock);
    TAILQ_INSERT_TAIL(&r->guest, dev, in_guest);
    pthread_rwlock_unlock(&r->guest_lock);
    return 0;
}

/* Unlinked under the lock, nobody else can reach it: the hardware is made quiet without. */
static int device_remove(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct device *dev;
    int error;

    pthread_rwlock_wrlock(&r->guest_lock);
    dev = device_list_find(&r->guest, sbdf);
    if (dev)
        TAILQ_REMOVE(&r->guest, dev, in_guest);
    pthread_rwlock_unlock(&r->guest_lock);
    if (!dev)
        return -ENODEV;
    error = function_quiet(&dev->function);
    function_give(&dev->function);
    free(dev);
    return error;
}

static uint64_t lookup(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    struct registry *r = registry;
    uint64_t found = 0;

    for (uint64_t i = 0; i < count; i++) {
        pthread_rwlock_rdlock(&r->guest_lock);
        found += device_list_find(&r->guest, hot[i % BENCH_HOT]) != NULL;
        pthread_rwlock_unlock(&r->guest_lock);
    }
    return found;
}

static uint64_t access_config(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    struct registry *r = registry;
    uint64_t answered = 0;

    for (uint64_t i = 0; i < count; i++) {
        const struct device *dev;

        pthread_rwlock_rdlock(&r->guest_lock);
        dev = device_list_find(&r->guest, hot[i % BENCH_HOT]);
        answered += dev && function_answers(&dev->function);
        pthread_rwlock_unlock(&r->guest_lock);
    }
    return answered;
}

const struct discipline discipline_domain_rwlock = {
    .name = "domain-rwlock",
    .create = registry_create,
    .destroy = registry_destroy,
    .add = device_add,
    .remove = device_remove,
    .lookup = lookup,
    .access = access_config,
};
