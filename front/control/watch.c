/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "front/control/rpc.h"
#include "front/control/server_priv.h"
#include "front/control/shapes.h"

#define BATCH_MAX 64

/* Events of one take as text, to be copied to everybody who watches. */
struct batch {
    char *text; /* NULL: nobody watches, or no memory */
    size_t length;
    unsigned events;
    uint64_t lost; /* on the way to us */
};

static void batch_append(struct batch *batch, const struct berth_event *event)
{
    char *line = rpc_notification_line("event", shape_event(event));
    size_t length = line ? strlen(line) : 0;
    char *grown = line ? realloc(batch->text, batch->length + length + 1) : NULL;

    if (grown) {
        memcpy(grown + batch->length, line, length + 1);
        batch->text = grown;
        batch->length += length;
        batch->events++;
    } else {
        batch->lost++;
    }
    free(line);
}

void watch_tell_lost(struct peer *peer)
{
    json_int_t lost = (json_int_t)peer->lost;

    peer->lost = 0;
    peer_send(peer, rpc_notification_line("lost", json_pack("{s:I}", "count", lost)));
}

/* A watcher that is slow loses events, not its connection: half of its share is for them. */
static void batch_send(struct peer *peer, const struct batch *batch)
{
    const size_t room = PEER_OUTPUT_MAX / 2;

    if (peer_unsent(peer) + batch->length > room) {
        peer->lost += batch->events + batch->lost;
        return;
    }
    if (peer->lost)
        watch_tell_lost(peer);
    if (batch->text)
        peer_send(peer, strdup(batch->text));
    peer->lost += batch->lost;
    if (peer->lost)
        watch_tell_lost(peer);
}

static bool somebody_watches(const struct server *server)
{
    for (const struct peer *peer = server->peers; peer; peer = peer->next) {
        if (peer->watching && !peer->closing)
            return true;
    }
    return false;
}

static void event_log(struct server *server, const struct berth_event *event)
{
    char device[SBDF_TEXT_SIZE];

    switch (event->kind) {
    case BERTH_EVENT_BROKEN:
    case BERTH_EVENT_TROUBLE:
    case BERTH_EVENT_CONTAINED:
    case BERTH_EVENT_CRASHED:
    case BERTH_EVENT_MISUSE:
        log_line(&server->log, "%s: %s%s%s %s", sbdf_format(event->device, device),
                 berth_event_name(event->kind), event->step ? " " : "",
                 event->step ? event->step : "", event->domain);
        break;
    default:
        break;
    }
}

static void batch_deliver(struct server *server, const struct batch *batch)
{
    if (!batch->events && !batch->lost)
        return;
    for (struct peer *peer = server->peers; peer; peer = peer->next) {
        if (peer->watching && !peer->closing)
            batch_send(peer, batch);
    }
}

void watch_deliver(struct server *server)
{
    struct berth_event events[BATCH_MAX];
    unsigned count;

    do {
        struct batch batch = {0};
        const bool watched = somebody_watches(server);

        count = events_take(&server->service->events, events, BATCH_MAX, &batch.lost);
        for (unsigned i = 0; i < count; i++) {
            event_log(server, &events[i]);
            if (watched)
                batch_append(&batch, &events[i]);
        }
        batch_deliver(server, &batch);
        free(batch.text);
    } while (count == BATCH_MAX);
}
