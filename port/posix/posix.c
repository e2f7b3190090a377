/* SPDX-License-Identifier: MIT */
#include <berth_port.h>

#include <errno.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Mutable state of the port (the core has none): the list of thread records, which only grows, the
 * thread's own pointer into it, and the clock's offset.
 */
_Thread_local struct port_thread *port_self;
bool port_asymmetric;
#if PORT_TSAN
char port_grace_period; /* only its address is used */
#endif

static _Atomic(struct port_thread *) threads;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leave_key;
static _Atomic bool warped;
static _Atomic uint64_t warp_ns;

/* ---- memory ---- */

void *port_alloc(size_t size)
{
    return calloc(1, size);
}

void *port_alloc_lines(size_t size)
{
    size_t whole = (size + PORT_CACHE_LINE - 1) / PORT_CACHE_LINE * PORT_CACHE_LINE;
    void *memory = aligned_alloc(PORT_CACHE_LINE, whole);

    return memory ? memset(memory, 0, whole) : NULL;
}

void port_free(void *memory)
{
    free(memory);
}

/* ---- locks ---- */

void port_mutex_init(struct port_mutex *mutex)
{
    pthread_mutex_init(&mutex->lock, NULL);
}

void port_mutex_destroy(struct port_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->lock);
}

void port_mutex_lock(struct port_mutex *mutex)
{
    pthread_mutex_lock(&mutex->lock);
}

bool port_mutex_trylock(struct port_mutex *mutex)
{
    return pthread_mutex_trylock(&mutex->lock) == 0;
}

/* Waits for a moment; the thread sanitizer of clang 14 does not know pthread_mutex_clocklock(). */
#if PORT_TSAN
#define SLICE_CLOCK CLOCK_REALTIME
#define SLICE_LOCK(lock, until) pthread_mutex_timedlock(lock, until)
#else
#define SLICE_CLOCK CLOCK_MONOTONIC
#define SLICE_LOCK(lock, until) pthread_mutex_clocklock(lock, CLOCK_MONOTONIC, until)
#endif

bool port_mutex_lock_until(struct port_mutex *mutex, uint64_t deadline_ns)
{
    /* In slices of a millisecond: the port's clock may be warped under a waiter. */
    while (pthread_mutex_trylock(&mutex->lock) != 0) {
        struct timespec slice;

        if (port_now_ns() >= deadline_ns)
            return false;
        clock_gettime(SLICE_CLOCK, &slice);
        slice.tv_nsec += 1000000;
        if (slice.tv_nsec >= 1000000000) {
            slice.tv_nsec -= 1000000000;
            slice.tv_sec++;
        }
        if (SLICE_LOCK(&mutex->lock, &slice) == 0)
            return true;
    }
    return true;
}

void port_mutex_unlock(struct port_mutex *mutex)
{
    pthread_mutex_unlock(&mutex->lock);
}

/* ---- threads ---- */

static void thread_leave(void *self)
{
    struct port_thread *thread = self;

    if (thread->registered_here)
        urcu_memb_unregister_thread();
    port_self = NULL;
    atomic_store_explicit(&thread->in_use, false, memory_order_release);
}

static void process_init(void)
{
#if BERTH_MEMBARRIER
    port_asymmetric =
        syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
    pthread_key_create(&leave_key, thread_leave);
}

static struct port_thread *thread_reuse(void)
{
    for (struct port_thread *t = atomic_load(&threads); t; t = t->next) {
        bool free_now = false;

        if (atomic_compare_exchange_strong(&t->in_use, &free_now, true))
            return t;
    }
    return NULL;
}

static struct port_thread *thread_new(void)
{
    struct port_thread *thread = aligned_alloc(PORT_CACHE_LINE, sizeof(*thread));
    struct port_thread *first = atomic_load(&threads);

    if (!thread)
        abort(); /* a thread without a record could not be seen by a removal (A2) */
    *thread = (struct port_thread){.in_use = true};
    do {
        thread->next = first;
    } while (!atomic_compare_exchange_weak(&threads, &first, thread));
    return thread;
}

struct port_thread *port_thread_join(void)
{
    struct port_thread *thread = port_self;

    if (thread)
        return thread;
    pthread_once(&once, process_init);
    thread = thread_reuse();
    if (!thread)
        thread = thread_new();
    pthread_setspecific(leave_key, thread);
    /* liburcu's own worker, and threads of programs that use it too, are readers already */
    thread->registered_here = !URCU_TLS(urcu_memb_reader).registered;
    if (thread->registered_here)
        urcu_memb_register_thread();
    port_self = thread;
    return thread;
}

void *port_record_next(void *previous)
{
    struct port_thread *thread;

    if (!previous) {
        thread = atomic_load(&threads);
    } else {
        unsigned char *record = previous;

        thread = (struct port_thread *)(void *)(record - offsetof(struct port_thread, record));
        thread = thread->next;
    }
    return thread ? thread->record : NULL;
}

/* ---- read-side sections ---- */

static void deferred_call(struct rcu_head *head)
{
    /* the head is the first member */
    struct port_deferred *deferred = (struct port_deferred *)head;

    PORT_GRACE_END();
    deferred->fn(deferred);
    PORT_GRACE_BEGIN();
}

void port_defer(struct port_deferred *deferred, void (*fn)(struct port_deferred *deferred))
{
    port_thread_join();
    deferred->fn = fn;
    PORT_GRACE_BEGIN();
    urcu_memb_call_rcu(&deferred->rcu, deferred_call);
}

void port_settle(void)
{
    port_thread_join();
    urcu_memb_barrier();
    PORT_GRACE_END();
}

void port_fence_heavy(void)
{
    atomic_thread_fence(memory_order_seq_cst);
#if BERTH_MEMBARRIER
    port_thread_join();
    while (port_asymmetric && syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0)) {
        if (errno != ENOMEM && errno != EAGAIN && errno != EINTR)
            abort(); /* readers rely on it: without the fence a removal could lie (A2) */
        sched_yield();
    }
#endif
}

/* ---- time ---- */

uint64_t port_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec +
           atomic_load_explicit(&warp_ns, memory_order_relaxed);
}

void port_sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / 1000000000u),
                            .tv_nsec = (long)(ns % 1000000000u)};

    if (atomic_load_explicit(&warped, memory_order_relaxed)) {
        atomic_fetch_add_explicit(&warp_ns, ns, memory_order_relaxed);
        sched_yield();
        return;
    }
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        ;
}

void port_relax(unsigned attempt)
{
    struct timespec nap = {.tv_nsec = 20000};

    if (attempt < 64)
        return;
    if (attempt < 128)
        sched_yield();
    else
        nanosleep(&nap, NULL);
}

void port_posix_warp(bool on)
{
    atomic_store(&warped, on);
}
