/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <berth/machine.h>

#include "front/control/rpc.h"
#include "front/control/server_priv.h"

#define PROBLEM_SIZE 256

static struct server *peer_server(struct peer *peer)
{
    return peer->context;
}

static void error_send(struct peer *peer, json_t *id, int code, const char *message)
{
    peer_send(peer, rpc_error_line(id, code, message, NULL));
}

/* JSON-RPC 2.0, section 4.1: a notification gets no answer, not even an error. */
static void call_answer(struct peer *peer, json_t *id, int error, struct call *call)
{
    json_t *content = error ? call->data : call->result;
    const char *text = json_string_value(json_object_get(content, "text"));

    if (!id)
        return;
    json_incref(content); /* the line consumes one, the call drops its own */
    if (error)
        peer_send(peer, rpc_error_line(id, error, text ? text : "failed", content));
    else
        peer_send(peer, rpc_result_line(id, content));
}

static void refusal_send(struct peer *peer, json_t *id, int error, const char *reason,
                         const char *text)
{
    struct call call = {0};

    error = call_failed(&call, error, reason, "%s", text);
    call_answer(peer, id, error, &call);
    json_decref(call.data);
}

/* ---- slow calls ---- */

static int job_refusal(const struct server *server, const struct peer *peer, const char **text)
{
    *text = "the server is about to end";
    if (server->stopping)
        return -ESHUTDOWN;
    *text = "too many commands of this client are running: wait for one to end";
    return peer->jobs >= PEER_JOBS_MAX ? -EBUSY : 0;
}

static void job_start(struct peer *peer, const struct method *method, struct rpc_request *request,
                      const struct call *call)
{
    struct server *server = peer_server(peer);
    struct job *job;
    const char *text;
    int error = job_refusal(server, peer, &text);

    if (error) {
        refusal_send(peer, request->id, error, "busy", text);
        return;
    }
    job = calloc(1, sizeof(*job));
    if (job) {
        *job = (struct job){.peer = peer, .request = *request, .run = method->run, .call = *call};
        error = jobs_start(&server->jobs, job);
    }
    if (!job || error) {
        free(job);
        refusal_send(peer, request->id, -EBUSY, "busy",
                     "too many commands are running: wait for one to end");
        return;
    }
    peer_job_begin(peer);
    *request = (struct rpc_request){0}; /* the job's now */
}

void session_jobs_ended(struct server *server)
{
    struct job *job;

    while ((job = jobs_take(&server->jobs))) {
        if (job->peer && !job->peer->closed)
            call_answer(job->peer, job->request.id, job->error, &job->call);
        if (job->peer)
            peer_job_end(job->peer);
        job_free(job);
    }
}

static int evacuate_run(struct call *call)
{
    service_evacuate(call->service);
    return 0;
}

int session_evacuate(struct server *server)
{
    struct job *job = calloc(1, sizeof(*job));
    int error;

    if (!job)
        return -ENOMEM;
    job->run = evacuate_run;
    job->call.service = server->service;
    error = jobs_start(&server->jobs, job);
    if (error)
        free(job);
    return error;
}

/* ---- requests ---- */

static void fast_run(struct peer *peer, const struct method *method, struct rpc_request *request,
                     struct call *call)
{
    int error = method->run(call);

    call_answer(peer, request->id, error, call);
    json_decref(call->result);
    json_decref(call->data);
}

static void method_run(struct peer *peer, const struct method *method, struct rpc_request *request)
{
    struct call call = {.service = peer_server(peer)->service};
    char problem[PROBLEM_SIZE];

    if (arguments_decode(request->params, method->required, method->optional, &call.arguments,
                         problem, sizeof(problem))) {
        if (request->id)
            text_clean(problem);
        error_send(peer, request->id, RPC_INVALID_PARAMS, problem);
        return;
    }
    if (method->slow)
        job_start(peer, method, request, &call);
    else
        fast_run(peer, method, request, &call);
}

/* Methods about the connection itself, which no call of the table can see. */
static bool connection_method(struct peer *peer, const struct rpc_request *request)
{
    const bool on = !strcmp(request->method, "watch");

    if (!on && strcmp(request->method, "unwatch"))
        return false;
    watch_deliver(peer_server(peer)); /* what is on its way is from before */
    peer->watching = on;
    if (request->id)
        peer_send(peer, rpc_result_line(request->id, json_pack("{s:b}", "watching", on)));
    return true;
}

static void request_run(struct peer *peer, struct rpc_request *request)
{
    const struct method *method;

    if (connection_method(peer, request))
        return;
    method = method_find(request->method);
    if (method)
        method_run(peer, method, request);
    else if (request->id)
        error_send(peer, request->id, RPC_METHOD_NOT_FOUND, "there is no such method");
}

static void line_run(struct peer *peer, const char *line, size_t length)
{
    struct rpc_request request;
    char problem[PROBLEM_SIZE];
    int code = rpc_parse(line, length, &request, problem, sizeof(problem));

    if (!code) {
        request_run(peer, &request);
        rpc_request_free(&request);
        return;
    }
    text_clean(problem);
    error_send(peer, NULL, code, problem);
    if (code == RPC_PARSE_ERROR) {
        log_line(&peer_server(peer)->log, "a client sends garbage: dropped");
        peer_finish(peer);
    }
}

static void line_overlong(struct peer *peer)
{
    log_line(&peer_server(peer)->log, "a client sends a line without an end: dropped");
    error_send(peer, NULL, RPC_PARSE_ERROR, "a request has at most 65536 bytes");
    peer_finish(peer);
}

static void peer_dropped(struct peer *peer, const char *why)
{
    log_line(&peer_server(peer)->log, "a client %s: dropped", why);
}

static void peer_gone(struct peer *peer)
{
    struct server *server = peer_server(peer);

    if (!peer->link)
        return; /* never made it into the list */
    *peer->link = peer->next;
    if (peer->next)
        peer->next->link = peer->link;
    server->peer_count--;
    server_stop_when_quiet(server);
}

const struct peer_ops session_ops = {
    .line = line_run,
    .overlong = line_overlong,
    .backlog = server_turn_again,
    .dropped = peer_dropped,
    .drained = watch_tell_lost,
    .gone = peer_gone,
};
