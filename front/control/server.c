/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "front/control/endpoint.h"
#include "front/control/rpc.h"
#include "front/control/server_priv.h"

#define LISTEN_BACKLOG PEERS_MAX
#define TICK_MS 1000
#define IDLE_DEFAULT_MS 30000
/* Seconds that clients get to read their last answers, once nothing runs any more. */
#define STOP_GRACE_TICKS 2

/* ---- clients come ---- */

static void peer_refuse(struct server *server, struct peer *peer, const char *why)
{
    log_line(&server->log, "%s", why);
    peer_send(peer, rpc_error_line(NULL, -EBUSY, why, NULL));
    peer_finish(peer);
}

static const char *peer_objection(const struct server *server, const struct peer *peer)
{
    uv_os_fd_t fd;

    if (uv_fileno((const uv_handle_t *)&peer->pipe, &fd) || !endpoint_peer_allowed(fd))
        return "clients of other users are not served";
    if (server->peer_count > PEERS_MAX)
        return "there are too many clients";
    return NULL;
}

static void peer_link(struct server *server, struct peer *peer)
{
    peer->next = server->peers;
    peer->link = &server->peers;
    if (peer->next)
        peer->next->link = &peer->next;
    server->peers = peer;
    server->peer_count++;
}

static void connection_take(struct server *server)
{
    struct peer *peer;
    const char *objection;
    int error = peer_accept((uv_stream_t *)&server->listener, &session_ops, server, &peer);

    server->accept_pending = error == -ENOMEM;
    if (error)
        return;
    peer_link(server, peer);
    objection = peer_objection(server, peer);
    if (objection)
        peer_refuse(server, peer, objection);
    else if (peer_start(peer))
        peer_drop(peer, "could not be read from");
}

static void connection_arrived(uv_stream_t *listener, int status)
{
    struct server *server = listener->data;

    if (status < 0)
        log_line(&server->log, "a client could not connect: %s", uv_strerror(status));
    else
        connection_take(server);
}

/* ---- things happen ---- */

static void woken(uv_async_t *wake)
{
    struct server *server = wake->data;

    watch_deliver(server);
    session_jobs_ended(server);
    server_stop_when_quiet(server);
}

static void events_wake(void *context)
{
    uv_async_send(context);
}

/* Counted in ticks: a client is not to blame for the time that the server itself was away. */
static bool peer_is_idle(const struct server *server, const struct peer *peer)
{
    return !peer->watching && !peer->jobs &&
           (uint64_t)peer->quiet_ticks * TICK_MS > server->options.idle_ms;
}

static void ticked(uv_timer_t *tick)
{
    struct server *server = tick->data;
    const bool enough =
        server->stopping && !server->jobs.running && ++server->stop_ticks >= STOP_GRACE_TICKS;

    if (server->accept_pending)
        connection_take(server);
    for (struct peer *peer = server->peers; peer; peer = peer->next) {
        if (enough)
            peer_drop(peer, "does not read its last answers");
        else if (peer_is_idle(server, peer))
            peer_drop(peer, "says nothing");
        peer->quiet_ticks++;
    }
}

/* Between two of these calls, the loop looks after everybody else. */
static void turn_taken(uv_idle_t *turn)
{
    struct server *server = turn->data;
    bool again = false;

    for (struct peer *peer = server->peers; peer; peer = peer->next) {
        peer_continue(peer);
        again |= peer_may_go_on(peer);
    }
    if (!again)
        uv_idle_stop(turn);
}

void server_turn_again(struct peer *peer)
{
    struct server *server = peer->context;

    uv_idle_start(&server->turn, turn_taken);
}

/* ---- the end ---- */

static void close_all(struct server *server)
{
    events_set_wake(&server->service->events, NULL, NULL);
    uv_close((uv_handle_t *)&server->wake, NULL);
    uv_close((uv_handle_t *)&server->tick, NULL);
    uv_close((uv_handle_t *)&server->turn, NULL);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&server->signals[i], NULL);
}

void server_stop_when_quiet(struct server *server)
{
    if (!server->stopping || server->stopped || server->jobs.running)
        return;
    for (struct peer *peer = server->peers; peer; peer = peer->next)
        peer_finish(peer);
    if (server->peers)
        return;
    server->stopped = true;
    close_all(server);
}

static void stop(struct server *server)
{
    server->stopping = true;
    unlink(server->options.path);
    uv_close((uv_handle_t *)&server->listener, NULL);
    if (session_evacuate(server))
        log_line(&server->log, "guests are not taken down: commands run to their deadlines");
    server_stop_when_quiet(server);
}

static void signalled(uv_signal_t *handle, int number)
{
    struct server *server = handle->data;

    (void)number;
    if (!server->stopping) {
        stop(server);
        return;
    }
    /* M11: whoever is in a hurry gets quiet hardware, and nothing else. */
    berth_machine_quiesce(server->service->machine);
    log_line(&server->log, "ended by a second signal, with %u commands running",
             server->jobs.running);
    _exit(1);
}

/* ---- the beginning ---- */

static int listener_open(struct server *server)
{
    int error = uv_pipe_open(&server->listener, server->options.fd);

    if (error) {
        close(server->options.fd);
        return error;
    }
    server->listener.data = server;
    return uv_listen((uv_stream_t *)&server->listener, LISTEN_BACKLOG, connection_arrived);
}

static int signals_start(struct server *server)
{
    const int numbers[] = {SIGTERM, SIGINT};
    int error = 0;

    for (int i = 0; i < 2 && !error; i++)
        error = uv_signal_start(&server->signals[i], signalled, numbers[i]);
    return error;
}

/* Initialises every handle, so that close_all() fits, however far the start gets. */
static int handles_init(struct server *server)
{
    int error = uv_loop_init(&server->loop);

    if (error)
        return error;
    error = uv_async_init(&server->loop, &server->wake, woken);
    if (error) {
        uv_loop_close(&server->loop);
        return error;
    }
    /* These only fill in their structs, and always return 0. */
    uv_timer_init(&server->loop, &server->tick);
    uv_idle_init(&server->loop, &server->turn);
    uv_pipe_init(&server->loop, &server->listener, 0);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&server->loop, &server->signals[i]);
        server->signals[i].data = server;
    }
    server->wake.data = server->tick.data = server->turn.data = server;
    return 0;
}

static int handles_start(struct server *server)
{
    int error = listener_open(server);

    if (!error)
        error = signals_start(server);
    if (!error)
        error = uv_timer_start(&server->tick, ticked, TICK_MS, TICK_MS);
    if (!error)
        events_set_wake(&server->service->events, events_wake, &server->wake);
    return error;
}

static void abandon(struct server *server)
{
    unlink(server->options.path);
    uv_close((uv_handle_t *)&server->listener, NULL);
    close_all(server);
}

int server_run(struct service *service, const struct server_options *options)
{
    struct server *server = calloc(1, sizeof(*server));
    int error;

    if (!server)
        return -ENOMEM;
    server->service = service;
    server->options = *options;
    if (!options->idle_ms)
        server->options.idle_ms = IDLE_DEFAULT_MS;
    error = handles_init(server);
    if (error) {
        close(options->fd);
        unlink(options->path);
        free(server);
        return error;
    }
    jobs_init(&server->jobs, &server->wake);
    error = handles_start(server);
    if (error)
        abandon(server);
    else
        watch_deliver(server); /* nobody watched the start */
    uv_run(&server->loop, UV_RUN_DEFAULT);
    uv_loop_close(&server->loop);
    jobs_destroy(&server->jobs);
    free(server);
    return error;
}
