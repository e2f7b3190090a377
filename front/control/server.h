/* SPDX-License-Identifier: MIT */
/*
 * The control server: a local socket, JSON-RPC 2.0 by lines, see docs/control.md.
 */
#ifndef BERTH_CONTROL_SERVER_H
#define BERTH_CONTROL_SERVER_H

#include <stdint.h>

#include "front/control/service.h"

struct server_options {
    int fd;           /* of endpoint_listen(); consumed */
    const char *path; /* of the socket: unlinked when the server stops */
    uint64_t idle_ms; /* a client that asks nothing for so long is dropped; 0: 30 seconds */
};

/**
 * Serves until SIGTERM or SIGINT, then: no new clients, guests are taken down, what runs ends,
 * answers are delivered. A second signal turns all devices off and leaves the process.
 *
 * Returns 0, or -errno where it could not even start. Nothing uses @service afterwards.
 */
int server_run(struct service *service, const struct server_options *options)
    __attribute__((warn_unused_result));

#endif
