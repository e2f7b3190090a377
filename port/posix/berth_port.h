/* SPDX-License-Identifier: MIT */
/*
 * The posix port: pthreads, liburcu (memb flavour, read side inlined) and membarrier(2).
 *
 * What a port has to supply is written down in docs/porting.md; port/bare/berth_port.h is the
 * smallest example.
 */
#ifndef BERTH_PORT_H
#define BERTH_PORT_H

/* liburcu inlines its read side for callers whose licence allows it; ours does (MIT). */
#ifndef _LGPL_SOURCE
#define _LGPL_SOURCE
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include <urcu/urcu-memb.h>
#pragma GCC diagnostic pop

#ifdef __cplusplus
#error "the port header is for the core, which is C"
#endif

#define PORT_CACHE_LINE 64
/** Private memory that every thread has for the core: its open sections and held locks. */
#define PORT_RECORD_SIZE 1024

/* ---- memory ---- */

/** Zeroed memory, or NULL; the second one begins on a cache line. */
void *port_alloc(size_t size);
void *port_alloc_lines(size_t size);
void port_free(void *memory);

/* ---- locks that may be held while sleeping ---- */

struct port_mutex {
    pthread_mutex_t lock;
};

void port_mutex_init(struct port_mutex *mutex);
void port_mutex_destroy(struct port_mutex *mutex);
void port_mutex_lock(struct port_mutex *mutex);
bool port_mutex_trylock(struct port_mutex *mutex);
/** False where port_now_ns() passed @deadline_ns first. */
bool port_mutex_lock_until(struct port_mutex *mutex, uint64_t deadline_ns);
void port_mutex_unlock(struct port_mutex *mutex);

/* ---- threads ---- */

/** One per thread, handed on to another thread when its owner has ended, never freed. */
struct port_thread {
    struct port_thread *next; /* all records, published with release */
    _Atomic bool in_use;
    bool registered_here; /* with liburcu, by us */
    _Alignas(PORT_CACHE_LINE) unsigned char record[PORT_RECORD_SIZE];
};

extern _Thread_local struct port_thread *port_self;

/** Registers the calling thread; called by itself at first use. */
struct port_thread *port_thread_join(void);

/** The calling thread's record: zero at first, left zero by whoever had it before. */
static inline void *port_record(void)
{
    struct port_thread *self = port_self;

    if (__builtin_expect(!self, 0))
        self = port_thread_join();
    return self->record;
}

/** The record after @previous (NULL: the first one) among all threads' records, or NULL. */
void *port_record_next(void *previous);

/* ---- read-side sections: what was found stays in memory until the section ends ---- */

struct port_deferred {
    struct rcu_head rcu; /* first: what liburcu hands back is the whole */
    void (*fn)(struct port_deferred *deferred);
};

static inline void port_read_lock(void)
{
    if (__builtin_expect(!port_self, 0))
        port_thread_join();
    urcu_memb_read_lock();
}

/*
 * liburcu is not compiled for the thread sanitizer, which therefore does not see that a grace
 * period orders the readers before the frees. These say it; in other builds they are nothing.
 */
#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define PORT_TSAN 1
#else
#define PORT_TSAN 0
#endif
#if PORT_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char port_grace_period;
#define PORT_GRACE_BEGIN() __tsan_release(&port_grace_period)
#define PORT_GRACE_END() __tsan_acquire(&port_grace_period)
#else
#define PORT_GRACE_BEGIN() ((void)0)
#define PORT_GRACE_END() ((void)0)
#endif

static inline void port_read_unlock(void)
{
    PORT_GRACE_BEGIN();
    urcu_memb_read_unlock();
}

/** Calls @fn when every read-side section that is open now has ended. Never waits. */
void port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred));

/** Waits until everything deferred so far was called. Not inside a read-side section. */
void port_settle(void);

/* ---- asymmetric fences ----
 * light on the reader's side pairs with heavy on the remover's: of a store before and a load behind
 * the fence on either side, at least one side sees the other's store.
 */

extern bool port_asymmetric; /* membarrier(2) works; written once, before the first section */

static inline void port_fence_light(void)
{
#if BERTH_MEMBARRIER
    if (__builtin_expect(port_asymmetric, 1))
        atomic_signal_fence(memory_order_seq_cst);
    else
#endif
        atomic_thread_fence(memory_order_seq_cst);
}

void port_fence_heavy(void);

/* ---- time ---- */

uint64_t port_now_ns(void);
void port_sleep_ns(uint64_t ns);
/** Lets others run, for longer the higher @attempt is; at most for about 50 us. */
void port_relax(unsigned attempt);

/** For tests: from now on sleeping moves the clock of this process forward and returns at once. */
void port_posix_warp(bool on);

#endif
