/* SPDX-License-Identifier: MIT */
/*
 * One connected client: its lines come in, its answers go out, and it cannot take more of the
 * server than the limits below. All of it belongs to the loop's thread.
 *
 *     open ---> closing ---> closed ---> freed
 *       \______________________^
 *
 * Closing: nothing more is read; what has been asked for is still answered. Closed: its socket
 * is; the object stays until its last job has ended.
 */
#ifndef BERTH_CONTROL_PEER_H
#define BERTH_CONTROL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#define PEERS_MAX 128
#define PEER_LINE_MAX 65536     /* bytes of one request with its newline */
#define PEER_OUTPUT_MAX 1048576 /* bytes that a client has not read yet */
#define PEER_LINES_PER_TURN 4   /* requests of one client before the others have their turn */
#define PEER_JOBS_MAX 16        /* slow calls of one client at a time */

struct peer;

struct peer_ops {
    /** A line without its newline; valid during the call. */
    void (*line)(struct peer *peer, const char *line, size_t length);
    /** The client sent more than a line may have. */
    void (*overlong)(struct peer *peer);
    /** There are more lines than a turn may have: peer_continue() is due when the others had
     * theirs. */
    void (*backlog)(struct peer *peer);
    /** The peer is dropped against its will; @why is for the log. */
    void (*dropped)(struct peer *peer, const char *why);
    /** There is room for output again after events were lost. */
    void (*drained)(struct peer *peer);
    /** The socket is closed and no job is left; the peer is freed after the call. */
    void (*gone)(struct peer *peer);
};

struct peer {
    uv_pipe_t pipe;
    const struct peer_ops *ops;
    void *context;
    struct peer *next, **link; /* in the server's list */
    uint64_t lost;             /* events that were dropped for it */
    unsigned quiet_ticks;      /* since its last request, counted by the server */
    unsigned jobs;
    bool watching, backlog, closing, closed;
    size_t used; /* of input[] */
    char input[PEER_LINE_MAX];
};

/** Accepts a connection. Returns 0 with *@peer, or -errno. */
int peer_accept(uv_stream_t *listener, const struct peer_ops *ops, void *context,
                struct peer **peer) __attribute__((warn_unused_result));

/** Begins to read. */
int peer_start(struct peer *peer) __attribute__((warn_unused_result));

/** It has sent more than was handled, and reads its answers. */
bool peer_may_go_on(const struct peer *peer);

/** Goes on with the lines that a turn before has left, if there are any. */
void peer_continue(struct peer *peer);

/** Sends @text, which is consumed; NULL (no memory) and too much unsent output drop the client. */
void peer_send(struct peer *peer, char *text);

/** Bytes that the client has not taken yet. */
size_t peer_unsent(const struct peer *peer);

/** Closes the peer as soon as it has its answers. */
void peer_finish(struct peer *peer);

/** Closes it at once; what it would have been told is lost. */
void peer_drop(struct peer *peer, const char *why);

/** A job of the peer has begun or ended. */
void peer_job_begin(struct peer *peer);
void peer_job_end(struct peer *peer);

#endif
