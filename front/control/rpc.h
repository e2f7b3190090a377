/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0, one object per line: the envelope, and nothing of what is inside.
 */
#ifndef BERTH_CONTROL_RPC_H
#define BERTH_CONTROL_RPC_H

#include <stddef.h>

#include <jansson.h>

/* JSON-RPC 2.0, section 5.1. Refusals have -errno instead. */
#define RPC_PARSE_ERROR (-32700)
#define RPC_INVALID_REQUEST (-32600)
#define RPC_METHOD_NOT_FOUND (-32601)
#define RPC_INVALID_PARAMS (-32602)

struct rpc_request {
    json_t *root; /* owns everything below */
    json_t *id;   /* NULL: a notification, nobody wants an answer */
    const char *method;
    json_t *params; /* NULL: none */
};

/**
 * Reads one line.
 * @request  to be given to rpc_request_free() on success
 * @problem  receives one line on failure, room for @size bytes
 * Returns 0, RPC_PARSE_ERROR, or RPC_INVALID_REQUEST.
 */
int rpc_parse(const char *line, size_t length, struct rpc_request *request, char *problem,
              size_t size) __attribute__((warn_unused_result));
void rpc_request_free(struct rpc_request *request);

/*
 * Lines with their newline, for free(); NULL when memory ran out. @id NULL stands for null;
 * @result, @data (which may be NULL) and @params are consumed.
 */
char *rpc_result_line(json_t *id, json_t *result);
char *rpc_error_line(json_t *id, int code, const char *message, json_t *data);
char *rpc_notification_line(const char *method, json_t *params);

#endif
