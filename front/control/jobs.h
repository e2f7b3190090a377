/* SPDX-License-Identifier: MIT */
/*
 * Slow calls, each in a thread of its own (K1): a removal that waits for its guest until the
 * deadline keeps one thread, and nobody else.
 *
 * Everything but the threads' bodies belongs to the loop's thread.
 */
#ifndef BERTH_CONTROL_JOBS_H
#define BERTH_CONTROL_JOBS_H

#include <pthread.h>

#include <uv.h>

#include "front/control/call.h"
#include "front/control/methods.h"
#include "front/control/rpc.h"

#define JOBS_MAX 64

struct peer;

struct job {
    struct job *next; /* in jobs.finished */
    struct jobs *jobs;
    struct peer *peer;          /* who asked; NULL: the server itself */
    struct rpc_request request; /* owned: .call borrows from it */
    call_fn *run;
    struct call call;
    int error;
    pthread_t thread;
};

struct jobs {
    /*
     * Locking: protects .finished, and the wake-up that goes with it: the loop closes the handle
     * only when it has taken all jobs, and so no thread can be between the two. A leaf.
     */
    pthread_mutex_t lock;
    struct job *finished;
    uv_async_t *wake;
    unsigned running; /* the loop's own */
};

void jobs_init(struct jobs *jobs, uv_async_t *wake);
void jobs_destroy(struct jobs *jobs);

/** Runs @job, which is consumed on success. Returns 0, -EBUSY (too many), -EAGAIN, -ENOMEM. */
int jobs_start(struct jobs *jobs, struct job *job) __attribute__((warn_unused_result));

/** Takes a job that has ended, with its thread joined, or NULL; job_free() when done with it. */
struct job *jobs_take(struct jobs *jobs);

void job_free(struct job *job);

#endif
