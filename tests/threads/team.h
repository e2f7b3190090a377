/* SPDX-License-Identifier: MIT */
/*
 * Threads that work against one another.
 *
 * For a while:   team_start(&team, work, what) several times, then team_run(&team, ms); work() goes
 *                on while team_goes_on().
 * In rounds:     the same, with team_meet() at the start and the end of each round in every thread
 *                and in the test itself.
 *
 * A failed assertion ends the program with an error, in a thread and in the test itself.
 */
#ifndef BERTH_TESTS_TEAM_H
#define BERTH_TESTS_TEAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TEAM_MAX 16
/** More than any thread's warped sleeps add up to. */
#define TEAM_PATIENCE_NS UINT64_C(3600000000000)

struct team {
    _Atomic bool stop;
    unsigned count;
    pthread_t thread[TEAM_MAX];
    pthread_barrier_t barrier;
    bool in_rounds;
};

void team_begin(struct team *team);
/** @meeting: how many threads meet, with the test's own. */
void team_begin_rounds(struct team *team, unsigned meeting);
void team_start(struct team *team, void *(*work)(void *context), void *context);
bool team_goes_on(struct team *team);
void team_meet(struct team *team);
/** Lets them work for @ms of real time, then joins them. */
void team_run(struct team *team, unsigned ms);
/** The same, and for up to 20 times as long where not @enough was done: a busy machine. */
void team_run_until(struct team *team, unsigned ms, bool (*enough)(void));
/** Ends rounds: every thread has to leave its loop after the next meeting. */
void team_dismiss(struct team *team);

/** Real time, whatever the warped clock says. */
uint64_t team_real_ns(void);
/** A cheap random number; @seed is the thread's own. */
uint32_t team_random(uint32_t *seed);

#endif
