/* SPDX-License-Identifier: MIT */
#include "server/server_internal.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN 16

#define PAUSES_A_LINE 100 /* of the log: one in ten seconds of a full house */

static const struct timeval pause_time = {.tv_usec = 100000};

/*
 * Without a free descriptor accept() fails, the connection stays in the backlog and the socket stays
 * readable: a loop would spin. So one descriptor is kept in reserve to take that client in and turn it away,
 * and then we look away for a moment: it sees an end instead of a silence.
 */
static void turn_one_away(struct server *server)
{
        int fd;

        if (server->reserve_fd >= 0)
                (void)close(server->reserve_fd);
        fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
                (void)close(fd);
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_pause_over(int fd, short what, void *owner)
{
        struct server *server = owner;

        (void)fd;
        (void)what;
        if (event_add(server->acceptable, NULL))
                alloc_failed();
}

void server_pause_accept(struct server *server, int error)
{
        if (server->n_pauses++ % PAUSES_A_LINE == 0)
                log_warning(
                        "connections turned away: reason=\"%s\"; raise LimitNOFILE= or lower max_connections",
                        strerror(error));
        if (server->listen_fd < 0)
                return;
        if (error == EMFILE || error == ENFILE)
                turn_one_away(server);
        (void)event_del(server->acceptable);
        if (event_add(server->pause, &pause_time))
                alloc_failed();
}

static void on_acceptable(int listen_fd, short what, void *owner)
{
        struct server *server = owner;

        (void)what;
        for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
                int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        server_accept(server, fd);
                        if (!event_pending(server->acceptable, EV_READ, NULL))
                                return;
                        continue;
                }
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                        server_pause_accept(server, errno);
                else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
                        log_error("accept failed: reason=\"%s\"", strerror(errno));
                return;
        }
}

void server_listen(struct server *server, int fd)
{
        int flags = fcntl(fd, F_GETFL);

        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        server->listen_fd = fd;
        server->acceptable = event_new(server->base, fd, EV_READ | EV_PERSIST, on_acceptable, server);
        server->pause = evtimer_new(server->base, on_pause_over, server);
        if (!server->acceptable || !server->pause || event_add(server->acceptable, NULL))
                alloc_failed();
}

void server_close_listener(struct server *server)
{
        if (server->listen_fd < 0)
                return;
        event_free(server->acceptable);
        event_free(server->pause);
        (void)close(server->listen_fd);
        server->listen_fd = -1;
}
