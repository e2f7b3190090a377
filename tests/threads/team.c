/* SPDX-License-Identifier: MIT */
#include "tests/threads/team.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/unit/rig.h"

void team_begin(struct team *team)
{
    memset(team, 0, sizeof(*team));
    /* a test that fails has threads left which wait for it: stop here instead */
    assert_int_equal(setenv("CMOCKA_TEST_ABORT", "1", 1), 0);
}

void team_begin_rounds(struct team *team, unsigned meeting)
{
    team_begin(team);
    team->in_rounds = true;
    assert_int_equal(pthread_barrier_init(&team->barrier, NULL, meeting), 0);
}

void team_start(struct team *team, void *(*work)(void *context), void *context)
{
    assert_true(team->count < TEAM_MAX);
    assert_int_equal(pthread_create(&team->thread[team->count++], NULL, work, context), 0);
}

bool team_goes_on(struct team *team)
{
    return !atomic_load_explicit(&team->stop, memory_order_relaxed);
}

void team_meet(struct team *team)
{
    (void)pthread_barrier_wait(&team->barrier);
}

static void join(struct team *team)
{
    for (unsigned i = 0; i < team->count; i++)
        assert_int_equal(pthread_join(team->thread[i], NULL), 0);
    if (team->in_rounds)
        pthread_barrier_destroy(&team->barrier);
}

static void work_for(unsigned ms)
{
    const struct timespec nap = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    nanosleep(&nap, NULL);
}

void team_run_until(struct team *team, unsigned ms, bool (*enough)(void))
{
    work_for(ms);
    for (unsigned more = 1; more < 20 && !enough(); more++)
        work_for(ms);
    atomic_store(&team->stop, true);
    join(team);
    assert_true(enough());
}

static bool always(void)
{
    return true;
}

void team_run(struct team *team, unsigned ms)
{
    team_run_until(team, ms, always);
}

void team_dismiss(struct team *team)
{
    atomic_store(&team->stop, true);
    team_meet(team);
    join(team);
}

uint64_t team_real_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t team_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}
