/* SPDX-License-Identifier: MIT */
/*
 * The server from inside: server.c has the loop and its end, session.c the requests of a client,
 * watch.c the trace on its way to those who watch.
 */
#ifndef BERTH_CONTROL_SERVER_PRIV_H
#define BERTH_CONTROL_SERVER_PRIV_H

#include <uv.h>

#include "front/control/jobs.h"
#include "front/control/log.h"
#include "front/control/peer.h"
#include "front/control/server.h"

struct server {
    uv_loop_t loop;
    uv_pipe_t listener;
    uv_async_t wake; /* events arrived, or jobs ended */
    uv_timer_t tick; /* once a second: idle clients */
    uv_idle_t turn;  /* runs while a client has a backlog */
    uv_signal_t signals[2];
    struct service *service;
    struct server_options options;
    struct log log;
    struct jobs jobs;
    struct peer *peers;
    unsigned peer_count;    /* of .peers: those that are not closed, and those with jobs */
    bool accept_pending;    /* a connection could not be taken for want of memory */
    bool stopping, stopped; /* a signal came; everything is being closed */
    unsigned stop_ticks;    /* since the last job ended while stopping */
};

extern const struct peer_ops session_ops;

/** Answers for all jobs that have ended. */
void session_jobs_ended(struct server *server);

/** Starts the server's own job of emptying the guests. */
int session_evacuate(struct server *server) __attribute__((warn_unused_result));

/** Passes on what the core has traced; logs what somebody has to know. */
void watch_deliver(struct server *server);

/** Tells a client how many events were dropped for it. */
void watch_tell_lost(struct peer *peer);

/** Gives @peer, and all others that have a backlog, another turn soon. */
void server_turn_again(struct peer *peer);

/** Closes everything once the server is stopping and nothing runs any more. */
void server_stop_when_quiet(struct server *server);

#endif
