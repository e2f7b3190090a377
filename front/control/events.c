/* SPDX-License-Identifier: MIT */
#include "front/control/events.h"

void events_init(struct events *events)
{
    pthread_mutex_init(&events->lock, NULL);
    events->first = events->count = 0;
    events->lost = 0;
    events->wake = NULL;
    events->wake_context = NULL;
}

void events_destroy(struct events *events)
{
    pthread_mutex_destroy(&events->lock);
}

void events_set_wake(struct events *events, void (*wake)(void *context), void *context)
{
    pthread_mutex_lock(&events->lock);
    events->wake = wake;
    events->wake_context = context;
    pthread_mutex_unlock(&events->lock);
}

void events_put(void *context, const struct berth_event *event)
{
    struct events *events = context;

    pthread_mutex_lock(&events->lock);
    if (events->count < EVENTS_MAX)
        events->ring[(events->first + events->count++) % EVENTS_MAX] = *event;
    else
        events->lost++;
    if (events->wake)
        events->wake(events->wake_context);
    pthread_mutex_unlock(&events->lock);
}

unsigned events_take(struct events *events, struct berth_event *list, unsigned max, uint64_t *lost)
{
    unsigned taken = 0;

    pthread_mutex_lock(&events->lock);
    while (taken < max && events->count) {
        list[taken++] = events->ring[events->first];
        events->first = (events->first + 1) % EVENTS_MAX;
        events->count--;
    }
    *lost = events->count ? 0 : events->lost;
    if (!events->count)
        events->lost = 0;
    pthread_mutex_unlock(&events->lock);
    return taken;
}
