/* SPDX-License-Identifier: MIT */
/*
 * The client's side of the control socket: one connection, calls one after the other.
 */
#ifndef BERTH_CONTROL_CLIENT_H
#define BERTH_CONTROL_CLIENT_H

#include <jansson.h>

struct client;

/** Connects. Returns 0 with *@client, or -errno. */
int client_open(const char *path, struct client **client) __attribute__((warn_unused_result));
/** NULL is fine. */
void client_close(struct client *client);

/**
 * Calls a method and waits for its answer; notifications on the way are dropped.
 *
 * @params  consumed; NULL: none
 * @answer  receives the whole answer, with "result" or "error"
 * Returns 0, -EPIPE (the server hung up), -EPROTO (it answers nonsense), -ENOMEM, or what the
 * system said.
 */
int client_call(struct client *client, const char *method, json_t *params, json_t **answer)
    __attribute__((warn_unused_result));

/** Waits for the next line, which after "watch" is a notification. Errors as client_call(). */
int client_next(struct client *client, json_t **message) __attribute__((warn_unused_result));

#endif
