/* SPDX-License-Identifier: MIT */

/*
 * From open to the first answer: host after host, each with an equal share of the time that is left. Steps
 * that would keep the loop are done by helper.h; meanwhile the connection is the helper's, and c->conn is
 * NULL.
 */
#include "pg/pg_libpq.h"

#include "pg/conninfo.h"
#include "pg/receive.h"
#include "pg/text.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <event2/event.h>

#define LOG_IN_MAX (1u << 20) /* bytes; it is a few kilobytes */

static void arm_attempt(struct pg_connection *c)
{
        connection_arm(c, connection_left_usec(c) / (c->n_hosts - c->attempt));
}

void connecting_failed(struct pg_connection *c, const char *why)
{
        if (c->attempt + 1 >= c->n_hosts || connection_left_usec(c) == 0) {
                connection_lose(c, why);
                return;
        }
        connection_add_reason(c, why);
        connection_hang_up(c);
        c->attempt++;
        connecting_start(c);
}

static void connected(struct pg_connection *c)
{
        struct answer answer = {.seen = {.question = PG_CONNECT, .outcome = PG_OK, .message = ""}};

        if (PQsetnonblocking(c->conn, 1)) {
                connection_lose(c, PQerrorMessage(c->conn));
                return;
        }
        (void)evtimer_del(c->timer);
        c->reason[0] = '\0';
        c->backend_pid = answer.seen.backend_pid = PQbackendPID(c->conn);
        c->state = IDLE;
        c->answered(c->owner, &answer.seen); /* may ask, or close the connection */
}

static void refused(struct pg_connection *c)
{
        _cleanup_free_ char *said = alloc_string(PQerrorMessage(c->conn));
        _cleanup_free_ char *why = conninfo_why_no_password(c->conn);
        _cleanup_free_ char *whole = NULL;

        text_force_line(said);
        whole = alloc_printf("%s%s%s", said, why ? "; " : "", why ? why : "");
        connecting_failed(c, whole);
}

static void polled(struct pg_connection *c, PostgresPollingStatusType status, size_t received)
{
        c->received += received;
        if (c->received > LOG_IN_MAX)
                connecting_failed(c, "the log-in does not come to an end");
        else if (status == PGRES_POLLING_OK)
                connected(c);
        else if (status == PGRES_POLLING_READING)
                connection_wait_for(c, EV_READ);
        else if (status == PGRES_POLLING_WRITING)
                connection_wait_for(c, EV_WRITE);
        else
                refused(c);
}

static void on_polled(void *owner, const struct helped *helped)
{
        struct pg_connection *c = owner;

        c->job = NULL;
        c->conn = helped->connection;
        polled(c, helped->status, helped->received);
}

/* Does the next step compute, or ask others than the server? */
static bool is_long_step(const PGconn *conn)
{
        switch ((int)PQstatus(conn)) {
        case CONNECTION_AWAITING_RESPONSE: /* SCRAM, Kerberos */
        case CONNECTION_SSL_STARTUP:
        case CONNECTION_GSS_STARTUP:
        case CONNECTION_NEEDED: /* the next address of the name */
                return true;
        default:
                return false;
        }
}

void connecting_step(struct pg_connection *c)
{
        PostgresPollingStatusType status;

        if (is_long_step(c->conn)) {
                c->job = helper_poll(c->libpq->helper, TAKE(c->conn), on_polled, c);
                return;
        }
        receive_begin(RECEIVE_MAX);
        status = PQconnectPoll(c->conn);
        polled(c, status, receive_end());
}

static void started(struct pg_connection *c, PGconn *conn, unsigned n_hosts)
{
        c->conn = conn;
        c->received = 0;
        c->n_hosts =
                n_hosts > c->attempt ? n_hosts : c->attempt + 1; /* a service file that was just changed */
        c->state = CONNECTING;
        arm_attempt(c);
        if (!conn)
                connection_lose(c, "this is no connection string; libpq's reason may hold the password and "
                                   "is not shown; "
                                   "compare it with \"Connection Strings\" in the manual of PostgreSQL");
        else if (PQstatus(conn) == CONNECTION_BAD)
                connecting_failed(c, PQerrorMessage(conn));
        else
                connection_wait_for(c, EV_WRITE);
}

static void on_started(void *owner, const struct helped *helped)
{
        struct pg_connection *c = owner;

        c->job = NULL;
        started(c, helped->connection, helped->n_hosts);
}

/* The host whose turn it is. How many a service has is known only once it was read. */
void connecting_start(struct pg_connection *c)
{
        const char *label = c->libpq->application_name;
        unsigned n_hosts;
        PGconn *conn;

        c->state = STARTING;
        if (conninfo_may_block(c->conninfo, c->attempt)) {
                c->job = helper_start(c->libpq->helper, c->conninfo, label, c->attempt, on_started, c);
                arm_attempt(c);
                return;
        }
        conn = conninfo_start(c->conninfo, label, c->attempt, &n_hosts);
        started(c, conn, n_hosts);
}
