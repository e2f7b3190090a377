/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front/control/client.h"
#include "front/control/endpoint.h"

struct client {
    FILE *in; /* owns the descriptor */
    char *line;
    size_t size; /* of .line */
    json_int_t id;
};

int client_open(const char *path, struct client **client)
{
    int fd = endpoint_connect(path);
    struct client *made;

    if (fd < 0)
        return fd;
    made = calloc(1, sizeof(*made));
    if (made)
        made->in = fdopen(fd, "r");
    if (!made || !made->in) {
        free(made);
        close(fd);
        return -ENOMEM;
    }
    *client = made;
    return 0;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    fclose(client->in);
    free(client->line);
    free(client);
}

static int text_send(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t sent = send(fd, text, left, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            return -errno;
        if (sent > 0) {
            text += sent;
            left -= (size_t)sent;
        }
    }
    return 0;
}

static int request_send(struct client *client, const char *method, json_t *params)
{
    json_t *request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", ++client->id,
                                "method", method, "params", params);
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    int error = -ENOMEM;

    if (text)
        error = text_send(fileno(client->in), text);
    if (!error)
        error = text_send(fileno(client->in), "\n");
    free(text);
    json_decref(request);
    return error;
}

int client_next(struct client *client, json_t **message)
{
    ssize_t length = getline(&client->line, &client->size, client->in);

    if (length < 0)
        return -EPIPE;
    *message = json_loadb(client->line, (size_t)length, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(*message)) {
        json_decref(*message);
        return -EPROTO;
    }
    return 0;
}

/* An answer without an id is the server's way to say that it could not even read the request. */
static int is_answer(const struct client *client, const json_t *message)
{
    const json_t *id = json_object_get(message, "id");

    return json_is_null(id) || (json_is_integer(id) && json_integer_value(id) == client->id);
}

int client_call(struct client *client, const char *method, json_t *params, json_t **answer)
{
    int error = request_send(client, method, params);

    /* A server that refuses a client says why and hangs up: its words may be there already. */
    if (error && error != -EPIPE)
        return error;
    for (;;) {
        error = client_next(client, answer);
        if (error)
            return error;
        if (is_answer(client, *answer))
            return 0;
        json_decref(*answer);
    }
}
