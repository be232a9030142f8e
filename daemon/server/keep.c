/* SPDX-License-Identifier: MIT */
#include "server/keep.h"

#include "os/fd_store.h"
#include "server/keep_internal.h"
#include "server/server_internal.h"
#include "util/alloc.h"
#include "util/log.h"

#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct timeval look_delay = {.tv_sec = 1};

/* ---- the records ---- */

static struct keep_record *find_free(struct keep *keep)
{
        for (unsigned i = 0; i < KEEP_MAX; i++) {
                unsigned at = (keep->next + i) % KEEP_MAX;

                if (!keep->table->records[at].connection) {
                        keep->next = at + 1;
                        return &keep->table->records[at];
                }
        }
        return NULL;
}

/* A kill between two stores must find them in this order; the compiler is the only one that could swap them. */
static void mark(struct keep_record *record, bool is_unsettled)
{
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        __atomic_store_n(&record->is_unsettled, is_unsettled, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* ---- the store ---- */

static void put(struct connection *c)
{
        struct keep *keep = c->server->keep;
        char name[FD_STORE_NAME_SIZE];
        int r;

        fd_store_name(c->id, name);
        r = fd_store_put(keep->manager, name, c->fd);
        c->is_stored = r == 0;
        if (r == -EAGAIN)
                (void)event_add(&keep->writable, NULL);
        else if (r)
                log_warning("connection not stored: reason=\"%s\"; a restart closes it", strerror(-r));
}

static void on_writable(int fd, short what, void *owner)
{
        struct keep *keep = owner;
        struct connection *c, *next;

        (void)fd;
        (void)what;
        HASH_ITER (hh, keep->server->by_id, c, next)
                if (c->kept && !c->is_stored && !event_pending(&keep->writable, EV_WRITE, NULL))
                        put(c);
}

/* ---- what is held ---- */

static void note_hold(struct connection *c)
{
        struct server *server = c->server;
        struct server_hold hold = {.member = 0};

        server->holds(server->services, c->id, &hold);
        c->kept->hold = hold;
}

static bool holds_nothing(const struct server_hold *hold)
{
        return !hold->member && !hold->n_grants;
}

void keep_hold(struct connection *c)
{
        struct keep *keep = c->server->keep;

        if (!keep || c->state != CONNECTION_OPEN)
                return;
        if (!c->kept && (c->kept = find_free(keep))) {
                *c->kept = (struct keep_record){.is_unsettled = true};
                mark(c->kept, true);
                c->kept->connection = c->id;
                if (c->id > keep->table->last_connection)
                        keep->table->last_connection = c->id;
        }
        if (!c->kept) {
                if (!keep->is_full_told)
                        log_warning("connection not stored: limit=%u; a restart closes it", KEEP_MAX);
                keep->is_full_told = true;
                return;
        }
        mark(c->kept, true);
        note_hold(c);
        if (!c->is_stored)
                put(c);
}

static void let_go(struct connection *c)
{
        memset(c->kept, 0, sizeof(*c->kept));
        c->kept = NULL;
        c->is_stored = false;
}

void keep_forget(struct connection *c)
{
        char name[FD_STORE_NAME_SIZE];

        if (!c->kept)
                return;
        let_go(c);
        /* A manager too busy to hear it sees the end of the connection, and drops it by itself. */
        (void)shutdown(c->fd, SHUT_RDWR);
        fd_store_name(c->id, name);
        (void)fd_store_remove(c->server->keep->manager, name);
}

void keep_look_soon(struct connection *c)
{
        if (!c->kept)
                return;
        mark(c->kept, true);
        note_hold(c);
        if (holds_nothing(&c->kept->hold) && !evtimer_pending(&c->server->keep->look, NULL))
                (void)evtimer_add(&c->server->keep->look, &look_delay);
}

static void on_look(int fd, short what, void *owner)
{
        struct keep *keep = owner;
        struct connection *c, *next;
        char name[FD_STORE_NAME_SIZE];

        (void)fd;
        (void)what;
        HASH_ITER (hh, keep->server->by_id, c, next) {
                if (!c->kept)
                        continue;
                note_hold(c);
                if (!holds_nothing(&c->kept->hold))
                        continue;
                fd_store_name(c->id, name);
                if (fd_store_remove(keep->manager, name) == 0)
                        let_go(c);
                else
                        (void)evtimer_add(&keep->look, &look_delay);
        }
}

/* A subscription has been granted, too; but the changes of meanwhile would be missing in it. */
static bool is_open_hold(const struct call *call)
{
        return call->method && call->is_granted && (call->method->flags & METHOD_HOLDS);
}

static bool is_settled(const struct connection *c)
{
        if (c->n_pending > 0 || (c->output && evbuffer_get_length(c->output) > 0))
                return false;
        return !c->kept->hold.has_more && (!c->call.method || is_open_hold(&c->call));
}

void keep_settle(struct connection *c)
{
        struct keep_record *record = c->kept;

        if (!record)
                return;
        mark(record, true);
        record->method[0] = '\0';
        if (is_open_hold(&c->call)) {
                record->number = c->call.number;
                (void)snprintf(record->method, sizeof(record->method), "%s", c->call.method->name);
        }
        mark(record, !is_settled(c));
}

/* ---- making it ---- */

struct keep *keep_new(struct server *server, int table_fd)
{
        int manager = fd_store_open();
        struct keep *keep;

        if (manager < 0)
                return NULL;
        keep = NEW(struct keep);
        keep->server = server;
        keep->manager = manager;
        keep->table = keep_table_open(manager, table_fd);
        if (!keep->table ||
            event_assign(&keep->writable, server->base, manager, EV_WRITE, on_writable, keep) ||
            evtimer_assign(&keep->look, server->base, on_look, keep)) {
                log_warning("connections are not stored: reason=\"%s\"; a restart closes them",
                            strerror(errno));
                (void)close(manager);
                free(keep);
                return NULL;
        }
        return keep;
}

struct keep *keep_free(struct keep *keep)
{
        if (!keep)
                return NULL;
        (void)event_del(&keep->writable);
        (void)event_del(&keep->look);
        keep_table_close(keep->table);
        (void)close(keep->manager);
        free(keep);
        return NULL;
}

uint64_t keep_last_connection(const struct keep *keep)
{
        return keep->table->last_connection;
}
