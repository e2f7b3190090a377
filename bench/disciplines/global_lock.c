/* SPDX-License-Identifier: MIT */
/*
 * The classic design: one recursive lock for all devices of the machine, and lists that are walked.
 * There are no references; a device stays for as long as the lock is held.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/disciplines/device_list.h"
#include "bench/disciplines/discipline.h"

/* A device of the machine, and as which its guest has it. */
struct entry {
    TAILQ_ENTRY(entry) in_all;
    struct device device;
};

struct registry {
    pthread_mutex_t lock;
    TAILQ_HEAD(entry_list, entry) all;
    struct device_list guest;
    struct bench_host *host;
};

static int registry_create(struct bench_host *host, void **registry)
{
    struct registry *r = calloc(1, sizeof(*r));
    pthread_mutexattr_t recursive;

    if (!r)
        return -ENOMEM;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&r->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    TAILQ_INIT(&r->all);
    TAILQ_INIT(&r->guest);
    r->host = host;
    *registry = r;
    return 0;
}

static void registry_destroy(void *registry)
{
    struct registry *r = registry;
    struct entry *entry;

    while ((entry = TAILQ_FIRST(&r->all))) {
        TAILQ_REMOVE(&r->all, entry, in_all);
        free(entry);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static int device_add(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct entry *entry = calloc(1, sizeof(*entry));
    int error = entry ? function_take(&entry->device.function, r->host, sbdf) : -ENOMEM;

    if (error) {
        free(entry);
        return error;
    }
    pthread_mutex_lock(&r->lock);
    TAILQ_INSERT_TAIL(&r->all, entry, in_all);
    TAILQ_INSERT_TAIL(&r->guest, &entry->device, in_guest);
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* With the lock. */
static struct entry *find_in_all(struct registry *r, struct sbdf sbdf)
{
    struct entry *entry;

    for (entry = TAILQ_FIRST(&r->all); entry; entry = TAILQ_NEXT(entry, in_all))
        if (sbdf_equal(entry->device.function.sbdf, sbdf))
            break;
    return entry;
}

/* The lock is what keeps guests from the hardware: it is held until that is quiet. */
static int device_remove(void *registry, struct sbdf sbdf)
{
    struct registry *r = registry;
    struct entry *entry;
    int error = -ENODEV;

    pthread_mutex_lock(&r->lock);
    entry = find_in_all(r, sbdf);
    if (entry) {
        TAILQ_REMOVE(&r->guest, &entry->device, in_guest);
        TAILQ_REMOVE(&r->all, entry, in_all);
        error = function_quiet(&entry->device.function);
        function_give(&entry->device.function);
    }
    pthread_mutex_unlock(&r->lock);
    free(entry);
    return error;
}

static uint64_t lookup(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    struct registry *r = registry;
    uint64_t found = 0;

    for (uint64_t i = 0; i < count; i++) {
        pthread_mutex_lock(&r->lock);
        found += find_in_all(r, hot[i % BENCH_HOT]) != NULL;
        pthread_mutex_unlock(&r->lock);
    }
    return found;
}

static uint64_t access_config(void *registry, const struct sbdf hot[BENCH_HOT], uint64_t count)
{
    struct registry *r = registry;
    uint64_t answered = 0;

    for (uint64_t i = 0; i < count; i++) {
        const struct device *dev;

        pthread_mutex_lock(&r->lock);
        dev = device_list_find(&r->guest, hot[i % BENCH_HOT]);
        answered += dev && function_answers(&dev->function);
        pthread_mutex_unlock(&r->lock);
    }
    return answered;
}

const struct discipline discipline_global_lock = {
    .name = "global-lock",
    .create = registry_create,
    .destroy = registry_destroy,
    .add = device_add,
    .remove = device_remove,
    .lookup = lookup,
    .access = access_config,
};
