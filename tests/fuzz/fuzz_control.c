/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a client sends anything, in whole or in small pieces, to a server with a
 * small simulated machine. What comes back are lines of JSON-RPC, as many as there is a reason for;
 * and however the client has left the machine, all of it can be taken down.
 *
 * The server's sources are the real ones but for three functions (the linker's --wrap): slow calls
 * run at once and in this thread, the log is looked at and not printed, and names of devices are
 * not looked for in the PCI id database.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/control/server_priv.h"
#include "tests/fuzz/world.h"

#define PIECE 61u             /* of an input that is sent in pieces */
#define TURNS_MAX 100000u     /* of the loop, until a client that has hung up is gone */
#define ANSWERS_MAX 16777216u /* bytes that one input of at most 64 KiB may cause */
#define TIMEOUT_NS UINT64_C(5000000)

/* ---- instead of threads, log and database ---- */

int __wrap_jobs_start(struct jobs *jobs, struct job *job);
struct job *__wrap_jobs_take(struct jobs *jobs);
void __wrap_log_line(struct log *log, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void __wrap_names_find(struct names *names, uint16_t vendor, uint16_t device,
                       const char **vendor_name, const char **device_name);

/* An hour of waiting for nobody is a second of computing: a client gets less here. */
int __wrap_jobs_start(struct jobs *jobs, struct job *job)
{
    if (!job->call.arguments.timeout_ns || job->call.arguments.timeout_ns > TIMEOUT_NS)
        job->call.arguments.timeout_ns = TIMEOUT_NS;
    job->jobs = jobs;
    job->error = job->run(&job->call);
    job->next = jobs->finished;
    jobs->finished = job;
    jobs->running++;
    return 0;
}

struct job *__wrap_jobs_take(struct jobs *jobs)
{
    struct job *job = jobs->finished;

    if (job) {
        jobs->finished = job->next;
        jobs->running--;
    }
    return job;
}

/* A terminal shows it: one line, and nothing that a terminal would obey. */
void __wrap_log_line(struct log *log, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    (void)log;
    va_start(arguments, format);
    fuzz_check(vsnprintf(text, sizeof(text), format, arguments) < (int)sizeof(text));
    va_end(arguments);
    for (const char *c = text; *c; c++)
        fuzz_check(*c >= ' ' && *c <= '~');
}

void __wrap_names_find(struct names *names, uint16_t vendor, uint16_t device,
                       const char **vendor_name, const char **device_name)
{
    (void)names;
    *vendor_name = vendor == 0x1b36 ? "A vendor" : NULL;
    *device_name = device == 0x0010 ? "a \"device\"" : NULL;
}

/* ---- the client's end ---- */

struct client {
    int fd;
    char *text; /* of an answer that is not complete yet */
    size_t length, total;
};

static void answer_check(const char *line, size_t length)
{
    json_error_t error;
    json_t *answer = json_loadb(line, length, JSON_REJECT_DUPLICATES, &error);

    fuzz_check(json_is_object(answer));
    fuzz_check(!strcmp(json_string_value(json_object_get(answer, "jsonrpc")), "2.0"));
    fuzz_check(!json_object_get(answer, "result") + !json_object_get(answer, "error") +
                   !json_object_get(answer, "method") ==
               2);
    json_decref(answer);
}

static void answers_check(struct client *client)
{
    char *start = client->text, *end = start + client->length, *newline;

    while (start < end && (newline = memchr(start, '\n', (size_t)(end - start)))) {
        answer_check(start, (size_t)(newline - start));
        start = newline + 1;
    }
    client->length = (size_t)(end - start);
    memmove(client->text, start, client->length);
}

static void client_read(struct client *client)
{
    char part[65536];
    ssize_t got;

    while ((got = recv(client->fd, part, sizeof(part), MSG_DONTWAIT)) > 0) {
        client->text = realloc(client->text, client->length + (size_t)got);
        fuzz_check(client->text);
        memcpy(client->text + client->length, part, (size_t)got);
        client->length += (size_t)got;
        client->total += (size_t)got;
        fuzz_check(client->total <= ANSWERS_MAX);
        answers_check(client);
    }
}

/* ---- the server's end ---- */

static struct server *server_get(void)
{
    static struct server server;

    if (server.turn.data)
        return &server;
    fuzz_check(uv_loop_init(&server.loop) == 0);
    uv_idle_init(&server.loop, &server.turn);
    server.turn.data = &server;
    return &server;
}

/* What server.c does when a connection arrives. */
static void peer_up(struct server *server, int fd)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    fuzz_check(peer);
    peer->ops = &session_ops;
    peer->context = server;
    fuzz_check(uv_pipe_init(&server->loop, &peer->pipe, 0) == 0);
    fuzz_check(uv_pipe_open(&peer->pipe, fd) == 0);
    peer->pipe.data = peer;
    peer->link = &server->peers;
    server->peers = peer;
    server->peer_count = 1;
    fuzz_check(peer_start(peer) == 0);
}

static void turn(struct server *server, struct client *client)
{
    uv_run(&server->loop, UV_RUN_NOWAIT);
    watch_deliver(server);
    session_jobs_ended(server);
    client_read(client);
}

static void talk(struct server *server, const uint8_t *data, size_t size)
{
    const size_t piece = size % 2 ? size : PIECE;
    struct client client = {.fd = -1};
    int fds[2];

    fuzz_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    client.fd = fds[1];
    peer_up(server, fds[0]);
    for (size_t sent = 0; sent < size && server->peer_count;) {
        size_t left = size - sent < piece ? size - sent : piece;
        ssize_t done = send(client.fd, data + sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);

        turn(server, &client);
        if (done < 0 && errno != EAGAIN)
            break;
        sent += done > 0 ? (size_t)done : 0;
    }
    shutdown(client.fd, SHUT_WR);
    for (unsigned i = 0; server->peer_count; i++) {
        fuzz_check(i < TURNS_MAX);
        turn(server, &client);
    }
    client_read(&client);
    fuzz_check(client.length == 0); /* answers are whole */
    close(client.fd);
    free(client.text);
}

static void refused(void *context, const struct berth_refusal *why)
{
    (void)context;
    fuzz_check(!why); /* this machine has nothing that could not be added */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct service_options options = {.capture = world_capture()};
    struct server *server = server_get();
    struct capture_error error;

    fuzz_check(service_create(&options, &server->service, &error) == 0);
    (void)service_populate(server->service, refused, NULL);
    talk(server, data, size);
    sim_fail(server->service->sim, SIM_OP_ANY, 0, 0, 0);
    service_evacuate(server->service);
    fuzz_check(service_destroy(server->service, NULL) == 0);
    fuzz_port_check(0);
    return 0;
}
