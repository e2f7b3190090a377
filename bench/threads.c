/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench/bench.h"

/* What the lanes of one run have in common. */
struct crew {
    _Atomic unsigned ready;
    _Atomic unsigned go;
    int error; /* not all of them could be started: none works; written before .go */
};

struct member {
    struct bench_lane *lane;
    struct crew *crew;
    pthread_t thread;
};

uint64_t bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_find_cpus(struct bench *bench)
{
    cpu_set_t set;

    bench->cpu_count = 0;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
            if (CPU_ISSET(cpu, &set))
                bench->cpus[bench->cpu_count++] = cpu;
    }
    if (!bench->cpu_count)
        bench->cpus[bench->cpu_count++] = -1;
}

static void stay_on(int cpu)
{
    cpu_set_t set;

    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    /* a CPU that has gone meanwhile is no reason to stop: the scheduler finds another one */
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void *member_main(void *argument)
{
    struct member *member = argument;
    struct bench_lane *lane = member->lane;

    stay_on(lane->cpu);
    atomic_fetch_add(&member->crew->ready, 1);
    while (!atomic_load_explicit(&member->crew->go, memory_order_acquire))
        sched_yield();
    lane->begin_ns = bench_now_ns();
    lane->error = member->crew->error ? member->crew->error : lane->work(lane->context);
    lane->end_ns = bench_now_ns();
    return NULL;
}

int bench_lanes_run(struct bench_lane *lanes, unsigned count)
{
    struct member *members = calloc(count, sizeof(*members));
    struct crew crew = {.ready = 0};
    unsigned started = 0;
    int error = members ? 0 : -ENOMEM;

    for (; !error && started < count; started++) {
        members[started].lane = &lanes[started];
        members[started].crew = &crew;
        error = -pthread_create(&members[started].thread, NULL, member_main, &members[started]);
        if (error)
            break;
    }
    while (atomic_load(&crew.ready) < started)
        sched_yield();
    crew.error = error;
    atomic_store_explicit(&crew.go, 1, memory_order_release);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(members[i].thread, NULL);
        if (!error)
            error = lanes[i].error;
    }
    free(members);
    return error;
}
