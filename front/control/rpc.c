/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/control/rpc.h"

static const char *request_problem(const struct rpc_request *request)
{
    const json_t *version = json_object_get(request->root, "jsonrpc");

    if (!json_is_object(request->root))
        return "a request is one object per line; there are no batches";
    if (!json_is_string(version) || strcmp(json_string_value(version), "2.0"))
        return "\"jsonrpc\" must be \"2.0\"";
    if (!request->method)
        return "\"method\" must be a string";
    if (request->id && !json_is_string(request->id) && !json_is_number(request->id) &&
        !json_is_null(request->id))
        return "\"id\" must be a string, a number or null";
    return NULL;
}

int rpc_parse(const char *line, size_t length, struct rpc_request *request, char *problem,
              size_t size)
{
    json_error_t error;
    const char *invalid;

    request->root = json_loadb(line, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!request->root) {
        snprintf(problem, size, "no JSON: %s (column %d)", error.text, error.column);
        return RPC_PARSE_ERROR;
    }
    request->id = json_object_get(request->root, "id");
    request->method = json_string_value(json_object_get(request->root, "method"));
    request->params = json_object_get(request->root, "params");
    invalid = request_problem(request);
    if (!invalid)
        return 0;
    snprintf(problem, size, "%s", invalid);
    rpc_request_free(request);
    return RPC_INVALID_REQUEST;
}

void rpc_request_free(struct rpc_request *request)
{
    json_decref(request->root);
    *request = (struct rpc_request){0};
}

static char *line_dump(json_t *root)
{
    size_t length = root ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
    char *line = length ? malloc(length + 2) : NULL;

    if (line) {
        json_dumpb(root, line, length, JSON_COMPACT);
        memcpy(line + length, "\n", 2);
    }
    json_decref(root);
    return line;
}

char *rpc_result_line(json_t *id, json_t *result)
{
    return line_dump(json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id, "result", result));
}

char *rpc_error_line(json_t *id, int code, const char *message, json_t *data)
{
    json_t *error = json_pack("{s:i, s:s}", "code", code, "message", message);

    if (data)
        json_object_set_new(error, "data", data);
    return line_dump(json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id, "error", error));
}

char *rpc_notification_line(const char *method, json_t *params)
{
    return line_dump(
        json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params));
}
