/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "os/process.h"
#include "server/server_internal.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* How many may stand in the door of a full house, to be told so; whoever comes on top is closed at once. */
#define REFUSED_MAX 64

static const struct timeval refused_time = {.tv_sec = 5};

static void on_turn(int fd, short what, void *owner);

struct server *server_new(struct event_base *base, const struct method *methods, struct services *services,
                          const struct server_limits *limits, server_closed_fn *closed)
{
        struct server *server = NEW(struct server);

        server->base = base;
        server->methods = methods;
        server->services = services;
        server->limits = *limits;
        server->closed = closed;
        server->listen_fd = -1;
        server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        TAILQ_INIT(&server->later);
        if (event_assign(&server->turn, base, -1, 0, on_turn, server))
                alloc_failed();
        return server;
}

struct server *server_free(struct server *server)
{
        struct connection *c, *next_c;
        struct uid_use *use, *next_use;

        if (!server)
                return NULL;
        server_close_listener(server);
        (void)event_del(&server->turn);
        server->keep = keep_free(server->keep);
        while ((c = TAILQ_FIRST(&server->later))) {
                TAILQ_REMOVE(&server->later, c, later);
                if (c->state == CONNECTION_DEAD)
                        (void)connection_free(c);
        }
        HASH_ITER (hh, server->by_id, c, next_c) {
                HASH_DEL(server->by_id, c);
                (void)connection_free(c);
        }
        HASH_ITER (hh, server->by_uid, use, next_use) {
                HASH_DEL(server->by_uid, use);
                free(use);
        }
        if (server->reserve_fd >= 0)
                (void)close(server->reserve_fd);
        free(server);
        return NULL;
}

void server_keep(struct server *server, int table_fd, server_holds_fn *holds)
{
        server->holds = holds;
        server->keep = keep_new(server, table_fd);
        if (server->keep)
                server->last_id = keep_last_connection(server->keep);
}

void server_measure(struct server *server, struct metrics *metrics)
{
        server->metrics = metrics;
}

void server_configure(struct server *server, const struct server_limits *limits)
{
        server->limits = *limits;
}

uint64_t server_n_accepted(const struct server *server)
{
        return server->last_id;
}

unsigned server_n_connections(const struct server *server)
{
        return server->n_served;
}

/* ---- who is here ---- */

static struct uid_use *find_use(struct server *server, unsigned uid)
{
        struct uid_use *use;

        HASH_FIND_INT(server->by_uid, &uid, use);
        if (use)
                return use;
        use = NEW(struct uid_use);
        use->uid = uid;
        HASH_ADD_INT(server->by_uid, uid, use);
        return use;
}

static void forget_use(struct server *server, unsigned uid)
{
        struct uid_use *use = find_use(server, uid);

        if (use->n > 0 && --use->n > 0)
                return;
        HASH_DEL(server->by_uid, use);
        free(use);
}

/* The limit that one more connection of this user would break, or NULL. */
static const char *find_full(struct server *server, unsigned uid, unsigned *ret_value)
{
        const struct uid_use *use;

        if (server->n_served >= server->limits.max_connections) {
                *ret_value = server->limits.max_connections;
                return "max_connections";
        }
        HASH_FIND_INT(server->by_uid, &uid, use);
        if (use && use->n >= server->limits.max_connections_per_uid) {
                *ret_value = server->limits.max_connections_per_uid;
                return "max_connections_per_uid";
        }
        return NULL;
}

struct connection *server_add(struct server *server, uint64_t id, int fd, const struct peer *peer)
{
        struct connection *c = connection_new(server, id, fd, peer);

        HASH_ADD(hh, server->by_id, id, sizeof(c->id), c);
        server->n_served++;
        find_use(server, peer->uid)->n++;
        return c;
}

void server_accept(struct server *server, int fd)
{
        struct peer peer = {.uid = 0};
        struct connection *c;
        unsigned value = 0;
        const char *full;
        uid_t uid = 0;
        int r;

        r = process_of_peer(fd, &uid, &peer.process);
        if (r == -ESRCH) {
                /* Who connected has ended; a child of it may still hold the socket. It has no identity of its
                 * own. */
                peer.process = (struct process_id){.pid = 0};
        } else if (r == -EMFILE || r == -ENFILE) {
                (void)close(fd);
                server_pause_accept(server, -r);
                return;
        } else if (r < 0) {
                log_warning("connection refused: reason=\"no credentials: %s\"", strerror(-r));
                (void)close(fd);
                return;
        }
        peer.uid = uid;
        full = find_full(server, peer.uid, &value);
        if (full && server->n_refused >= REFUSED_MAX) {
                (void)close(fd);
                return;
        }
        if (!full) {
                (void)server_add(server, ++server->last_id, fd, &peer);
                return;
        }
        c = connection_new(server, ++server->last_id, fd, &peer);
        c->refused = full;
        c->refused_value = value;
        HASH_ADD(hh, server->by_id, id, sizeof(c->id), c);
        server->n_refused++;
        (void)event_add(&c->readable, &refused_time);
        log_debug("connection refused: limit=%s value=%u uid=%u", full, value, peer.uid);
}

void server_drop(struct server *server, uint64_t connection, const char *why)
{
        struct connection *c;

        HASH_FIND(hh, server->by_id, &connection, sizeof(connection), c);
        if (c)
                connection_close(c, why);
}

void server_forget(struct server *server, struct connection *c)
{
        HASH_DEL(server->by_id, c);
        if (c->refused) {
                server->n_refused--;
                return;
        }
        server->n_served--;
        forget_use(server, c->peer.uid);
}

/* ---- the end of the loop's turn ---- */

void server_schedule(struct server *server, struct connection *c)
{
        if (c->is_scheduled)
                return;
        c->is_scheduled = true;
        TAILQ_INSERT_TAIL(&server->later, c, later);
        event_active(&server->turn, EV_TIMEOUT, 0);
}

static void on_turn(int fd, short what, void *owner)
{
        struct server *server = owner;
        struct connection_list now = TAILQ_HEAD_INITIALIZER(now);
        struct connection *c;

        (void)fd;
        (void)what;
        TAILQ_CONCAT(&now, &server->later, later);
        while ((c = TAILQ_FIRST(&now))) {
                TAILQ_REMOVE(&now, c, later);
                c->is_scheduled = false;
                if (c->state != CONNECTION_DEAD) {
                        connection_continue(c);
                        keep_settle(c);
                        continue;
                }
                server->closed(server->services, c->id);
                (void)connection_free(c);
        }
}

void server_stop(struct server *server)
{
        struct connection *c, *next;

        server->stopping = true;
        server_close_listener(server);
        HASH_ITER (hh, server->by_id, c, next) {
                if (c->call.method && !c->call.is_granted)
                        connection_close(c, NULL);
                else if (c->kept)
                        (void)event_del(&c->readable); /* what it asks now, the next daemon answers */
        }
}
