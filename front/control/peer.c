/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/peer.h"

struct write {
    uv_write_t request;
    char *text;
};

static void peer_free(struct peer *peer)
{
    peer->ops->gone(peer);
    free(peer);
}

static void pipe_closed(uv_handle_t *handle)
{
    struct peer *peer = handle->data;

    peer->closed = true;
    if (!peer->jobs)
        peer_free(peer);
}

static void peer_close(struct peer *peer)
{
    peer->closing = true;
    if (!uv_is_closing((uv_handle_t *)&peer->pipe))
        uv_close((uv_handle_t *)&peer->pipe, pipe_closed);
}

void peer_drop(struct peer *peer, const char *why)
{
    if (uv_is_closing((uv_handle_t *)&peer->pipe))
        return;
    peer->ops->dropped(peer, why);
    peer_close(peer);
}

size_t peer_unsent(const struct peer *peer)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&peer->pipe);
}

static void close_when_idle(struct peer *peer)
{
    if (peer->closing && !peer->jobs && !peer_unsent(peer))
        peer_close(peer);
}

void peer_finish(struct peer *peer)
{
    if (peer->closing)
        return;
    peer->closing = true;
    peer->watching = false;
    uv_read_stop((uv_stream_t *)&peer->pipe);
    close_when_idle(peer);
}

void peer_job_begin(struct peer *peer)
{
    peer->jobs++;
}

void peer_job_end(struct peer *peer)
{
    peer->jobs--;
    peer->quiet_ticks = 0;
    if (peer->closed && !peer->jobs)
        peer_free(peer);
    else if (!peer->closed)
        close_when_idle(peer);
}

/* ---- output ---- */

/* Half of what gets a client dropped: who asks much and reads slowly waits for its own reading. */
static bool is_full(const struct peer *peer)
{
    return peer_unsent(peer) > PEER_OUTPUT_MAX / 2;
}

bool peer_may_go_on(const struct peer *peer)
{
    return peer->backlog && !peer->closing && !is_full(peer);
}

static void text_written(uv_write_t *request, int status)
{
    struct write *write = (struct write *)request;
    struct peer *peer = request->handle->data;

    free(write->text);
    free(write);
    if (status == UV_ECANCELED)
        return;
    if (status < 0)
        peer_close(peer);
    else if (peer->closing)
        close_when_idle(peer);
    else if (peer->lost && !peer_unsent(peer))
        peer->ops->drained(peer);
    else if (peer_may_go_on(peer))
        peer->ops->backlog(peer);
}

static int text_queue(struct peer *peer, char *text)
{
    struct write *write = malloc(sizeof(*write));
    uv_buf_t buffer = uv_buf_init(text, (unsigned)strlen(text));
    int error = UV_ENOMEM;

    if (write) {
        write->text = text;
        error = uv_write(&write->request, (uv_stream_t *)&peer->pipe, &buffer, 1, text_written);
    }
    if (error) {
        free(write);
        free(text);
    }
    return error;
}

void peer_send(struct peer *peer, char *text)
{
    if (!text) {
        peer_drop(peer, "no memory for its answer");
        return;
    }
    if (uv_is_closing((uv_handle_t *)&peer->pipe)) {
        free(text);
        return;
    }
    if (text_queue(peer, text))
        peer_drop(peer, "could not be written to");
    else if (peer_unsent(peer) > PEER_OUTPUT_MAX)
        peer_drop(peer, "does not read its answers");
}

/* ---- input ---- */

static void input_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct peer *peer = handle->data;

    (void)suggested;
    *buffer = uv_buf_init(peer->input + peer->used, (unsigned)(PEER_LINE_MAX - peer->used));
}

/* Hands out the lines of one turn, as long as the peer is open; returns the bytes used up. */
static size_t lines_take(struct peer *peer)
{
    size_t start = 0;

    for (unsigned n = 0; n < PEER_LINES_PER_TURN && !peer->closing && !is_full(peer); n++) {
        char *line = peer->input + start;
        char *end = memchr(line, '\n', peer->used - start);

        if (!end)
            break;
        peer->quiet_ticks = 0;
        start += (size_t)(end - line) + 1;
        peer->ops->line(peer, line, (size_t)(end - line));
    }
    return start;
}

/* Whoever sends faster than it gets turns is not read from meanwhile. */
static void lines_run(struct peer *peer)
{
    size_t start = lines_take(peer);

    if (peer->closing)
        return;
    peer->used -= start;
    memmove(peer->input, peer->input + start, peer->used);
    peer->backlog = memchr(peer->input, '\n', peer->used) != NULL;
    if (peer->backlog)
        peer->ops->backlog(peer);
    else if (peer->used == PEER_LINE_MAX)
        peer->ops->overlong(peer);
}

static void input_arrived(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct peer *peer = stream->data;

    (void)buffer;
    if (length == UV_EOF) {
        peer_finish(peer);
        return;
    }
    if (length < 0) {
        peer_close(peer);
        return;
    }
    peer->used += (size_t)length;
    lines_run(peer);
    if (peer->backlog)
        uv_read_stop(stream);
}

void peer_continue(struct peer *peer)
{
    if (!peer_may_go_on(peer))
        return;
    lines_run(peer);
    if (!peer->backlog && !peer->closing && peer_start(peer))
        peer_drop(peer, "could not be read from");
}

/* ---- birth ---- */

int peer_accept(uv_stream_t *listener, const struct peer_ops *ops, void *context,
                struct peer **peer)
{
    struct peer *made = calloc(1, sizeof(*made));
    int error;

    if (!made)
        return -ENOMEM;
    made->ops = ops;
    made->context = context;
    error = uv_pipe_init(listener->loop, &made->pipe, 0);
    if (error) {
        free(made);
        return error;
    }
    made->pipe.data = made;
    *peer = made;
    error = uv_accept(listener, (uv_stream_t *)&made->pipe);
    if (error)
        peer_close(made);
    return error;
}

int peer_start(struct peer *peer)
{
    return uv_read_start((uv_stream_t *)&peer->pipe, input_room, input_arrived);
}
