/* SPDX-License-Identifier: MIT */
/*
 * The smallest port: no operating system, no libc, any CPU that gcc or clang know. An embedder
 * copies it and supplies the functions that are declared here; docs/porting.md says what each must
 * do. The freestanding builds of the test run use it as it is.
 */
#ifndef BERTH_PORT_H
#define BERTH_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_CACHE_LINE 64
#define PORT_RECORD_SIZE 1024

void *port_alloc(size_t size);
void *port_alloc_lines(size_t size);
void port_free(void *memory);

/** A spinning lock; the embedder may put its scheduler's own behind the same names. */
struct port_mutex {
    atomic_flag taken;
};

uint64_t port_now_ns(void);
void port_sleep_ns(uint64_t ns);
void port_relax(unsigned attempt);

static inline void port_mutex_init(struct port_mutex *mutex)
{
    atomic_flag_clear(&mutex->taken);
}

static inline void port_mutex_destroy(struct port_mutex *mutex)
{
    (void)mutex;
}

static inline bool port_mutex_trylock(struct port_mutex *mutex)
{
    return !atomic_flag_test_and_set_explicit(&mutex->taken, memory_order_acquire);
}

static inline void port_mutex_lock(struct port_mutex *mutex)
{
    for (unsigned attempt = 0; !port_mutex_trylock(mutex); attempt++)
        port_relax(attempt);
}

static inline bool port_mutex_lock_until(struct port_mutex *mutex, uint64_t deadline_ns)
{
    for (unsigned attempt = 0; !port_mutex_trylock(mutex); attempt++) {
        if (port_now_ns() >= deadline_ns)
            return false;
        port_relax(attempt);
    }
    return true;
}

static inline void port_mutex_unlock(struct port_mutex *mutex)
{
    atomic_flag_clear_explicit(&mutex->taken, memory_order_release);
}

/** This CPU's record; callers do not migrate while they are inside a section. */
void *port_record(void);
void *port_record_next(void *previous);

struct port_deferred {
    struct port_deferred *next;
    void (*fn)(struct port_deferred *deferred);
};

void port_read_lock(void);
void port_read_unlock(void);
void port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred));
void port_settle(void);

static inline void port_fence_light(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static inline void port_fence_heavy(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

#endif
