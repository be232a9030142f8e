/* SPDX-License-Identifier: MIT */

#include "client/lib/connect.h"

#include "client/lib/connection.h"
#include "client/lib/error.h"

#include "proto/place.h"

#include "util/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG_PAUSE_MS 10

int64_t clock_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 0 or a positive errno; *ret_in_socket_call: which call said so. */
static int connect_once(const struct sockaddr_un *address, int *ret_fd, bool *ret_in_socket_call)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int r;

        *ret_in_socket_call = fd < 0;
        if (fd < 0)
                return errno;
        do
                r = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? errno : 0;
        while (r == EINTR);
        if (r)
                (void)close(fd);
        else
                *ret_fd = fd;
        return r;
}

/* A full backlog is the one failure that passes by itself: a non-blocking connect gets EAGAIN at once. */
static int connect_patiently(const char *path, int64_t deadline_ms, struct berth_error *error)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        bool in_socket_call;
        int r, fd = -1;

        if (strlen(path) > BERTH_SOCKET_PATH_MAX)
                return error_path_too_long(error, path);
        memcpy(address.sun_path, path, strlen(path));
        for (;;) {
                r = connect_once(&address, &fd, &in_socket_call);
                if (r != EAGAIN || clock_ms() >= deadline_ms)
                        break;
                (void)poll(NULL, 0, BACKLOG_PAUSE_MS);
        }
        return r ? error_from_connect(error, path, in_socket_call, r) : fd;
}

static bool is_set(const char *text)
{
        return text && *text;
}

static int connect_one(const char *path, int64_t deadline_ms, char *ret_path, struct berth_error *error)
{
        int fd;

        if (!strncmp(path, "unix:", 5))
                path += 5;
        fd = connect_patiently(path, deadline_ms, error);
        if (fd >= 0)
                (void)snprintf(ret_path, BERTH_SOCKET_PATH_MAX + 1, "%s", path);
        return fd;
}

int connect_socket(const char *path, int wait_ms, char ret_path[BERTH_SOCKET_PATH_MAX + 1],
                   struct berth_error *error)
{
        int64_t deadline_ms = clock_ms() + wait_ms;
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        struct berth_error of_user = {.code = "NoDaemon"}, of_system;
        char user[4096];
        int fd;

        if (!is_set(path))
                path = getenv("BERTH_SOCKET");
        if (is_set(path))
                return connect_one(path, deadline_ms, ret_path, error);

        if (place_user_socket(runtime, geteuid(), user, sizeof(user)) < (int)sizeof(user)) {
                fd = connect_one(user, deadline_ms, ret_path, &of_user);
                if (fd >= 0)
                        return fd;
        }
        fd = connect_one(BERTH_SYSTEM_SOCKET, deadline_ms, ret_path, &of_system);
        /* Of two failures the telling one: a socket that is there and does not
         * work explains more than none. */
        if (fd < 0 && error)
                *error = strcmp(of_system.code, "NoDaemon") || !strcmp(of_user.code, "NoDaemon") ? of_system
                                                                                                 : of_user;
        return fd;
}
