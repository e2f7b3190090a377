/* SPDX-License-Identifier: MIT */
/*
 * The trace on its way from the core's threads to the server's loop: a bounded ring.
 */
#ifndef BERTH_CONTROL_EVENTS_H
#define BERTH_CONTROL_EVENTS_H

#include <pthread.h>
#include <stdint.h>

#include <berth/event.h>

#define EVENTS_MAX 4096

struct events {
    /*
     * Locking: protects everything here, and the call of .wake. A leaf: held for one copy of an
     * event, because transitions wait for it (see berth_event_fn).
     */
    pthread_mutex_t lock;
    unsigned first, count; /* of ring[] */
    uint64_t lost;         /* found the ring full, since the last take */
    void (*wake)(void *context);
    void *wake_context;
    struct berth_event ring[EVENTS_MAX];
};

void events_init(struct events *events);
void events_destroy(struct events *events);

/** Whom to wake from now on when there is something to take; @wake NULL: nobody. Must not block. */
void events_set_wake(struct events *events, void (*wake)(void *context), void *context);

/** The berth_event_fn of a machine whose event_context is a struct events. */
void events_put(void *context, const struct berth_event *event);

/**
 * Takes the oldest events.
 * @list  room for @max
 * @lost  receives how many were dropped since the last call, all of them later than those taken
 * Returns how many were taken.
 */
unsigned events_take(struct events *events, struct berth_event *list, unsigned max, uint64_t *lost);

#endif
