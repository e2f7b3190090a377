/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "front/control/jobs.h"

void jobs_init(struct jobs *jobs, uv_async_t *wake)
{
    *jobs = (struct jobs){.wake = wake};
    pthread_mutex_init(&jobs->lock, NULL);
}

void jobs_destroy(struct jobs *jobs)
{
    pthread_mutex_destroy(&jobs->lock);
}

static void *job_body(void *context)
{
    struct job *job = context;
    struct jobs *jobs = job->jobs;

    job->error = job->run(&job->call);

    pthread_mutex_lock(&jobs->lock);
    job->next = jobs->finished;
    jobs->finished = job;
    uv_async_send(jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

int jobs_start(struct jobs *jobs, struct job *job)
{
    int error;

    if (jobs->running >= JOBS_MAX)
        return -EBUSY;
    job->jobs = jobs;
    error = pthread_create(&job->thread, NULL, job_body, job);
    if (!error)
        jobs->running++;
    return -error;
}

struct job *jobs_take(struct jobs *jobs)
{
    struct job *job;

    pthread_mutex_lock(&jobs->lock);
    job = jobs->finished;
    if (job)
        jobs->finished = job->next;
    pthread_mutex_unlock(&jobs->lock);
    if (!job)
        return NULL;
    pthread_join(job->thread, NULL);
    jobs->running--;
    return job;
}

void job_free(struct job *job)
{
    rpc_request_free(&job->request);
    json_decref(job->call.result);
    json_decref(job->call.data);
    free(job);
}
