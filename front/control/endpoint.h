/* SPDX-License-Identifier: MIT */
/*
 * Where the control socket is, and how both sides get at it.
 */
#ifndef BERTH_CONTROL_ENDPOINT_H
#define BERTH_CONTROL_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

/** Room for a path and the terminator: what a sockaddr_un holds. */
#define ENDPOINT_PATH_SIZE 108

/**
 * The socket of those who name none: $BERTH_SOCKET, else $XDG_RUNTIME_DIR/berth.sock, else
 * /run/berth.sock. Returns 0, or -ENAMETOOLONG with an empty @path.
 */
int endpoint_default_path(char path[ENDPOINT_PATH_SIZE]) __attribute__((warn_unused_result));

/**
 * Listens at @path, for its owner only (mode 0600). A socket that nobody answers on any more is
 * replaced.
 *
 * Returns the listening descriptor, -EADDRINUSE (a server answers there), -EEXIST (something that
 * is no socket is in the way), -EAGAIN (another server is being started in the same folder),
 * -ENAMETOOLONG, or what the system said.
 */
int endpoint_listen(const char *path) __attribute__((warn_unused_result));

/** Connects to a server. Returns the descriptor, -ENAMETOOLONG, or what connect(2) said. */
int endpoint_connect(const char *path) __attribute__((warn_unused_result));

/** True where the peer behind the connected socket @fd is root or runs as this process does. */
bool endpoint_peer_allowed(int fd);

#endif
