/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "front/control/endpoint.h"

#define LISTEN_BACKLOG 128
#define LOCK_TRIES 50
#define LOCK_PAUSE_US 20000

int endpoint_default_path(char path[ENDPOINT_PATH_SIZE])
{
    const char *named = getenv("BERTH_SOCKET");
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    int length;

    if (named && *named)
        length = snprintf(path, ENDPOINT_PATH_SIZE, "%s", named);
    else if (runtime && *runtime)
        length = snprintf(path, ENDPOINT_PATH_SIZE, "%s/berth.sock", runtime);
    else
        length = snprintf(path, ENDPOINT_PATH_SIZE, "/run/berth.sock");
    if (length < ENDPOINT_PATH_SIZE)
        return 0;
    path[0] = '\0';
    return -ENAMETOOLONG;
}

static int address_make(const char *path, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path))
        return -ENAMETOOLONG;
    strcpy(address->sun_path, path);
    return 0;
}

int endpoint_connect(const char *path)
{
    struct sockaddr_un address;
    int error = address_make(path, &address);
    int fd;

    if (error)
        return error;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* Clears what a server that has died left behind. */
static int path_clear(const char *path)
{
    struct stat status;
    int fd;

    if (lstat(path, &status))
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EEXIST;
    fd = endpoint_connect(path);
    if (fd >= 0) {
        close(fd);
        return -EADDRINUSE;
    }
    if (fd != -ECONNREFUSED)
        return fd;
    return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int path_bind(const char *path)
{
    struct sockaddr_un address;
    int error = address_make(path, &address);
    int fd;

    if (error)
        return error;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Linux takes the mode of the new node from the socket's own: it is never wider than this. */
    if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)&address, sizeof(address)) ||
        listen(fd, LISTEN_BACKLOG)) {
        error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/*
 * Two servers that find the same stale socket at once would each unlink what the other has just
 * bound. A lock on the folder, held from the look to the listen, keeps them apart.
 */
static int folder_lock(const char *path)
{
    char copy[ENDPOINT_PATH_SIZE];
    int fd;

    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (!flock(fd, LOCK_EX | LOCK_NB))
            return fd;
        usleep(LOCK_PAUSE_US);
    }
    close(fd);
    return -EAGAIN;
}

int endpoint_listen(const char *path)
{
    int lock = folder_lock(path);
    int fd;

    if (lock < 0)
        return lock;
    fd = path_clear(path);
    if (!fd)
        fd = path_bind(path);
    close(lock);
    return fd;
}

bool endpoint_peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return false;
    return peer.uid == 0 || peer.uid == geteuid();
}
