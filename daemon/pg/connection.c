/* SPDX-License-Identifier: MIT */

/*
 * One connection, one thing at a time.
 *
 *      open ─▶ STARTING ─▶ CONNECTING ─▶ IDLE ─ask─▶ ASKING ─▶ IDLE ─▶ ...
 *                 │  ▲          │                       │
 *                 └──┴──────────┴── next host           │
 *                 └─────────────┴────── lose ───────────┴─▶ LOSING ─the loop─▶ LOST
 *
 * It waits for a thread (STARTING, CONNECTING), a socket (CONNECTING, ASKING) or its owner (IDLE, LOST), and
 * for its timer as long as it owes an answer: libpq's own connect_timeout does not hold for those who poll.
 * What has to be said without the server having spoken is said from the timer, armed with zero, so never from
 * inside a call. Connecting is in connecting.c.
 *
 * Three facts of libpq. PQsocket may be another socket under the same number after PQconnectPoll: the event
 * is made anew for every wait, else it waits for ever. PQconnectStart looks names up (helper.h). There is no
 * asynchronous cancel before version 17: a question that takes too long ends with its connection.
 * What a server may say at most is bounded as well (receive.h): it has no end otherwise.
 */
#include "pg/pg_libpq.h"

#include "pg/answer.h"
#include "pg/conninfo.h"
#include "pg/helper.h"
#include "pg/questions.h"
#include "pg/receive.h"
#include "pg/text.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX (32u << 20) /* bytes: a hundred thousand schemas, ten thousand blocked sessions */

static void on_socket(evutil_socket_t fd, short what, void *argument);

/* ---- waiting ---- */

static uint64_t monotonic_usec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t connection_left_usec(const struct pg_connection *c)
{
        uint64_t now = monotonic_usec();

        return c->deadline_usec > now ? c->deadline_usec - now : 0;
}

void connection_arm(struct pg_connection *c, uint64_t delay_usec)
{
        struct timeval delay = {.tv_sec = (time_t)(delay_usec / 1000000),
                                .tv_usec = (suseconds_t)(delay_usec % 1000000)};

        c->armed_usec = delay_usec;
        if (evtimer_add(c->timer, &delay))
                alloc_failed();
}

static void expect(struct pg_connection *c, enum pg_question question, uint64_t timeout_usec)
{
        c->question = question;
        c->deadline_usec = monotonic_usec() + timeout_usec;
        c->received = 0;
}

/* Anew each time: the socket may be another one under the same number. */
void connection_wait_for(struct pg_connection *c, short what)
{
        (void)event_del(c->socket);
        if (event_assign(c->socket, c->libpq->base, PQsocket(c->conn), what, on_socket, c) ||
            event_add(c->socket, NULL))
                alloc_failed();
}

/* ---- endings ---- */

/* Hangs up, so that the server notices; says nothing. */
void connection_hang_up(struct pg_connection *c)
{
        (void)event_del(c->socket);
        (void)evtimer_del(c->timer);
        answer_reader_done(&c->reader);
        helper_cancel(TAKE(c->job));
        if (c->conn)
                PQfinish(TAKE(c->conn));
}

void connection_add_reason(struct pg_connection *c, const char *text)
{
        size_t n = strlen(c->reason);

        (void)snprintf(c->reason + n, sizeof(c->reason) - n, "%s%s", n ? "; " : "", text);
        text_force_line(c->reason);
        if (c->conn)
                conninfo_redact(c->conn, c->reason);
}

/* The owner is told by the loop. */
void connection_lose(struct pg_connection *c, const char *why)
{
        connection_add_reason(c, why);
        connection_hang_up(c);
        c->state = LOSING;
        connection_arm(c, 0);
}

static void tell_lost(struct pg_connection *c)
{
        struct answer answer = {
                .seen = {.question = c->question, .outcome = PG_LOST, .backend_pid = c->backend_pid}};

        (void)snprintf(answer.message, sizeof(answer.message), "%s", c->reason);
        answer.seen.message = answer.message;
        c->state = LOST;
        c->answered(c->owner, &answer.seen); /* may close the connection */
}

/* ---- asking ---- */

static void answer_complete(struct pg_connection *c)
{
        struct answer answer;

        (void)evtimer_del(c->timer);
        answer_make(&answer, c->question, &c->reader, c->conn);
        if (answer.seen.outcome == PG_LOST) {
                connection_lose(c, answer.message);
        } else {
                c->state = IDLE;
                c->answered(c->owner, &answer.seen); /* may ask, or close the connection */
        }
        answer_done(&answer);
}

/* All that is there. 1: the answer is whole; 0: there is more to come. */
static int read_results(struct pg_connection *c)
{
        while (!PQisBusy(c->conn)) {
                PGresult *result = PQgetResult(c->conn);

                if (!result || !answer_reader_add(&c->reader, result))
                        return 1;
        }
        return 0;
}

static void poll_answer(struct pg_connection *c)
{
        /* If that fails, what the server said before it hung up is still to be read. */
        int unsent = PQflush(c->conn), is_good;

        receive_begin(RECEIVE_MAX);
        is_good = PQconsumeInput(c->conn);
        c->received += receive_end();
        if (!is_good || read_results(c))
                answer_complete(c);
        else if (c->received > ANSWER_MAX)
                connection_lose(c, "the answer does not come to an end");
        else
                connection_wait_for(c, unsent == 1 ? EV_READ | EV_WRITE : EV_READ);
}

static void on_socket(evutil_socket_t fd, short what, void *argument)
{
        struct pg_connection *c = argument;

        (void)fd;
        (void)what;
        if (c->state == CONNECTING)
                connecting_step(c);
        else
                poll_answer(c);
}

/* Out of time, or something to be said that was not to be said from inside a call. */
static void on_timer(evutil_socket_t fd, short what, void *argument)
{
        struct pg_connection *c = argument;
        char text[80];

        (void)fd;
        (void)what;
        (void)snprintf(text, sizeof(text), "no answer within %.3g s", (double)c->armed_usec / 1e6);
        if (c->state == LOSING)
                tell_lost(c);
        else if (c->state == ASKING)
                connection_lose(c, text);
        else
                connecting_failed(c, text);
}

/* ---- the seam ---- */

static struct pg_connection *open_connection(struct pg *pg, const char *conninfo, uint64_t timeout_usec,
                                             pg_answered_fn *answered, void *owner)
{
        struct pg_libpq *libpq = (struct pg_libpq *)pg;
        struct pg_connection *c = NEW(struct pg_connection);

        c->libpq = libpq;
        c->conninfo = alloc_string(conninfo);
        c->answered = answered;
        c->owner = owner;
        c->n_hosts = conninfo_n_hosts(conninfo);
        c->socket = event_new(libpq->base, -1, 0, on_socket, c);
        c->timer = evtimer_new(libpq->base, on_timer, c);
        if (!c->socket || !c->timer)
                alloc_failed();
        libpq->n_connections++;
        expect(c, PG_CONNECT, timeout_usec);
        connecting_start(c);
        return c;
}

static void ask(struct pg_connection *c, enum pg_question question,
                const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec)
{
        PGTransactionStatusType before = PQtransactionStatus(c->conn);
        _cleanup_free_ char *message = NULL;

        assert(question > PG_CONNECT && question < PG_QUESTION_MAX_);
        assert(c->state == IDLE);
        expect(c, question, timeout_usec);
        message = question_compose(c->conn, question, parameters);
        if (!message) {
                connection_lose(c, "a parameter is missing, or is no text in UTF-8");
        } else if (question_of(question)->in_transaction && before == PQTRANS_IDLE) {
                connection_lose(c, "no transaction is open; is a pooler in between?");
        } else if (!PQsendQuery(c->conn, message)) {
                connection_lose(c, PQerrorMessage(c->conn));
        } else {
                c->state = ASKING;
                c->reader.before = before;
                connection_arm(c, timeout_usec);
                connection_wait_for(c, PQflush(c->conn) == 1 ? EV_READ | EV_WRITE : EV_READ);
        }
}

static void close_connection(struct pg_connection *c)
{
        if (!c)
                return;
        connection_hang_up(c);
        event_free(c->socket);
        event_free(c->timer);
        c->libpq->n_connections--;
        free(c->conninfo);
        free(c);
}

const struct pg_ops pg_libpq_ops = {
        .open = open_connection,
        .ask = ask,
        .close = close_connection,
};
