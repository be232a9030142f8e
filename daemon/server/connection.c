/* SPDX-License-Identifier: MIT */
#include "server/connection.h"

#include "core/metrics.h"
#include "server/server_internal.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_readable(int fd, short what, void *owner);
static void on_writable(int fd, short what, void *owner);

struct connection *connection_new(struct server *server, uint64_t id, int fd, const struct peer *peer)
{
        struct connection *c = NEW(struct connection);

        c->id = id;
        c->server = server;
        c->fd = fd;
        c->peer = *peer;
        if (event_assign(&c->readable, server->base, fd, EV_READ | EV_PERSIST, on_readable, c) ||
            event_assign(&c->writable, server->base, fd, EV_WRITE, on_writable, c) ||
            event_add(&c->readable, NULL))
                alloc_failed();
        return c;
}

struct connection *connection_free(struct connection *c)
{
        if (!c)
                return NULL;
        call_done(&c->call);
        (void)event_del(&c->readable);
        (void)event_del(&c->writable);
        if (c->output)
                evbuffer_free(c->output);
        free(c->pending);
        (void)close(c->fd);
        free(c);
        return NULL;
}

void connection_close(struct connection *c, const char *why)
{
        if (c->state == CONNECTION_DEAD)
                return;
        if (why)
                log_info("connection closed: reason=\"%s\" pid=%d uid=%u", why, (int)c->peer.process.pid,
                         c->peer.uid);
        c->state = CONNECTION_DEAD;
        metrics_count(c->server->metrics, METRIC_CLIENT_DISCONNECTS, why ? why : "hung up");
        keep_forget(c);
        (void)event_del(&c->readable);
        (void)event_del(&c->writable);
        server_forget(c->server, c);
        server_schedule(c->server, c);
}

bool connection_is_behind(const struct connection *c)
{
        return c->output && evbuffer_get_length(c->output) > 0;
}

void connection_leave(struct connection *c)
{
        if (c->state != CONNECTION_OPEN)
                return;
        c->state = CONNECTION_LEAVING;
        if (!c->output || evbuffer_get_length(c->output) == 0)
                connection_close(c, NULL);
}

/* ---- out ---- */

static bool is_temporary(int error)
{
        return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

void connection_send(struct connection *c, const char *bytes, size_t n)
{
        ssize_t sent = 0;

        if (c->state != CONNECTION_OPEN)
                return;
        if (c->kept)
                c->kept->is_unsettled = true;
        if (!c->output || evbuffer_get_length(c->output) == 0) {
                sent = send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (sent == (ssize_t)n)
                        return;
                if (sent < 0 && !is_temporary(errno)) {
                        connection_close(c, NULL);
                        return;
                }
                sent = sent < 0 ? 0 : sent;
        }
        if (!c->output && !(c->output = evbuffer_new()))
                alloc_failed();
        /* What it has left lie, not what one reply is long: it could not be told of ten thousand schemas else. */
        if (evbuffer_get_length(c->output) > CONNECTION_OUTPUT_MAX) {
                connection_close(c, "takes no replies");
                return;
        }
        if (evbuffer_add(c->output, bytes + sent, n - (size_t)sent) || event_add(&c->writable, NULL))
                alloc_failed();
}

static void write_output(struct connection *c)
{
        if (evbuffer_write(c->output, c->fd) < 0 && !is_temporary(errno)) {
                connection_close(c, NULL);
                return;
        }
        if (evbuffer_get_length(c->output) > 0) {
                if (event_add(&c->writable, NULL))
                        alloc_failed();
                return;
        }
        /* An idle connection keeps no buffer. */
        evbuffer_free(c->output);
        c->output = NULL;
        if (c->state == CONNECTION_LEAVING)
                connection_close(c, NULL);
        keep_settle(c);
}

/* ---- in ---- */

static bool may_dispatch(const struct connection *c)
{
        return c->state == CONNECTION_OPEN && !c->call.method && !c->server->stopping;
}

/* Whole frames, until a call stays in work or none is left. Returns how many bytes they had. */
static size_t take_frames(struct connection *c, const char *bytes, size_t n)
{
        size_t taken = 0;
        long length;

        while (may_dispatch(c) && (length = varlink_frame_length(bytes + taken, n - taken)) >= 0) {
                if (!call_dispatch(c, bytes + taken, (size_t)length)) {
                        connection_close(c, "malformed message");
                        break;
                }
                taken += (size_t)length + 1;
        }
        return taken;
}

static void keep(struct connection *c, const char *bytes, size_t n)
{
        if (c->n_pending + n > c->pending_size) {
                c->pending_size = 2 * (c->n_pending + n);
                c->pending = alloc_array(c->pending, c->pending_size, 1);
        }
        memcpy(c->pending + c->n_pending, bytes, n);
        c->n_pending += n;
}

static void drop_pending(struct connection *c, size_t n)
{
        c->n_pending -= n;
        c->n_scanned = 0;
        if (c->n_pending > 0) {
                memmove(c->pending, c->pending + n, c->n_pending);
                return;
        }
        free(c->pending);
        c->pending = NULL;
        c->pending_size = 0;
}

void connection_continue(struct connection *c)
{
        size_t taken;

        if (c->n_pending == 0 || !may_dispatch(c))
                return;
        /* Careful: a frame that comes byte by byte must not be searched from its start each time. */
        if (varlink_frame_length(c->pending + c->n_scanned, c->n_pending - c->n_scanned) < 0) {
                c->n_scanned = c->n_pending;
                return;
        }
        taken = take_frames(c, c->pending, c->n_pending);
        if (c->state != CONNECTION_DEAD)
                drop_pending(c, taken);
}

static void read_input(struct connection *c)
{
        char *inbox = c->server->inbox;
        size_t taken = 0;
        ssize_t n;

        /* From before it is taken out of the socket, where the next daemon would still find it. */
        if (c->kept)
                c->kept->is_unsettled = true;
        n = recv(c->fd, inbox, INBOX_SIZE, MSG_DONTWAIT);
        if (n < 0 && is_temporary(errno))
                return;
        if (n <= 0) {
                connection_close(c, NULL);
                return;
        }
        if (c->state != CONNECTION_OPEN)
                return;
        if (c->n_pending == 0)
                taken = take_frames(c, inbox, (size_t)n);
        if (c->state != CONNECTION_OPEN || taken == (size_t)n)
                return;
        keep(c, inbox + taken, (size_t)n - taken);
        connection_continue(c);
        if (c->n_pending > CONNECTION_PENDING_MAX)
                connection_close(c, c->call.method ? "sends more while its call waits" : "frame too long");
}

static void on_readable(int fd, short what, void *owner)
{
        struct connection *c = owner;

        (void)fd;
        if (what & EV_READ) {
                read_input(c);
                keep_settle(c);
        } else {
                connection_close(c, NULL); /* refused, and it did not even ask */
        }
}

static void on_writable(int fd, short what, void *owner)
{
        (void)fd;
        (void)what;
        write_output(owner);
}
