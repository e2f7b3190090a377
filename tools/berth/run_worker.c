/* SPDX-License-Identifier: MIT */
#include <signal.h>

#include "tools/berth/run.h"

static void *worker_main(void *context)
{
    struct worker *worker = context;

    worker->run(worker, worker->context);
    atomic_store(&worker->ended, true);
    return NULL;
}

int worker_start(struct worker *worker, const char *name,
                 void (*run)(struct worker *worker, void *context), void *context)
{
    sigset_t all, before;
    int error;

    worker->name = name;
    worker->run = run;
    worker->context = context;
    worker->seen_ns = run_now_ns();
    atomic_store(&worker->doing, "starting");
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    error = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        atomic_store(&worker->ended, true);
    return -error;
}

static bool worker_is_stuck(struct worker *worker, uint64_t now)
{
    uint64_t beat = atomic_load(&worker->beat);

    if (atomic_load(&worker->ended))
        return false;
    if (beat != worker->seen_beat) {
        worker->seen_beat = beat;
        worker->seen_ns = now;
    }
    return now - worker->seen_ns > WORKER_PATIENCE;
}

const struct worker *workers_stuck(struct worker *workers, unsigned count)
{
    uint64_t now = run_now_ns();

    for (unsigned i = 0; i < count; i++) {
        if (worker_is_stuck(&workers[i], now))
            return &workers[i];
    }
    return NULL;
}

bool workers_ended(const struct worker *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!atomic_load(&workers[i].ended))
            return false;
    }
    return true;
}

void workers_join(struct worker *workers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
}
