/* SPDX-License-Identifier: MIT */
/*
 * One question on its way:
 *
 *      ask ──▶ (latency) ──▶ carried out ──▶ (latency) ──▶ answered
 *                  │  ▲│
 *                  │  └┘ waits for a lock
 *                  └ cut, or swallowed: before or after it was carried out
 *
 * The deadline runs beside it: whatever happens, the daemon is answered. Closed by the daemon, a connection
 * lives on until its backend has noticed.
 */
#include "fake_pg_private.h"

#include "oracle.h"
#include "sim.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void carry_out(void *owner, uint64_t argument);

static struct fake_pg *fake_of(struct pg *pg)
{
        return (struct fake_pg *)pg;
}

static struct clock *clock_of(struct pg_connection *connection)
{
        return &connection->pg->sim->clock;
}

static struct chance *chance_of(struct pg_connection *connection)
{
        return &connection->pg->sim->chance;
}

bool fake_pg_takes(enum pg_question question)
{
        return question == PG_DROP || question == PG_DROP_BATCH || question == PG_DROP_UNTIE;
}

/* ---- the end of a connection ---- */

static void bury(struct pg_connection *connection)
{
        clock_cancel(clock_of(connection), connection->arrival);
        clock_cancel(clock_of(connection), connection->reply);
        clock_cancel(clock_of(connection), connection->timeout);
        if (connection->backend)
                server_disconnect(&connection->pg->sim->server, connection->backend);
        rows_free(connection->rows);
        TAILQ_REMOVE(&connection->pg->connections, connection, link);
        free(connection);
}

static void on_noticed(void *owner, uint64_t argument)
{
        struct pg_connection *connection = owner;

        (void)argument;
        connection->arrival = NULL;
        bury(connection);
}

static void stop_listening(struct pg_connection *connection)
{
        clock_cancel(clock_of(connection), connection->reply);
        clock_cancel(clock_of(connection), connection->timeout);
        connection->reply = connection->timeout = NULL;
        connection->rows = rows_free(connection->rows);
}

static void close_connection(struct pg_connection *connection)
{
        struct chance *chance;
        uint64_t delay;

        if (!connection)
                return;
        chance = chance_of(connection);
        connection->pg->n_open--;
        connection->answered = NULL;
        connection->is_dropping = false;
        stop_listening(connection);
        if (connection->arrival && connection->backend)
                return; /* what the server has begun it finishes, and then notices */
        clock_cancel(clock_of(connection), connection->arrival);
        delay = chance_one_in(chance, 10) ? chance_below(chance, 3 * SEC) : chance_below(chance, 5 * MSEC);
        connection->arrival = clock_plan(clock_of(connection), delay, on_noticed, connection, 0);
}

/* ---- answers ---- */

static void answer(struct pg_connection *connection, struct rows *rows)
{
        stop_listening(connection);
        connection->is_asked = false;
        if (rows->answer.outcome == PG_LOST)
                connection->is_lost = connection->is_mute = true;
        if (connection->question == PG_SESSIONS && rows->answer.outcome == PG_OK && connection->looked_at)
                connection->endpoint->looked_at = connection->looked_at;
        rows->answer.question = connection->question;
        rows->answer.message = rows->message;
        rows->answer.backend_pid = connection->told_pid;
        rows->answer.cells = rows->cells;
        if (rows->answer.outcome != PG_OK)
                sim_say(connection->pg->sim, "%s: question %d: %s %s", connection->endpoint->name,
                        (int)connection->question, rows->answer.sqlstate, rows->message);
        connection->answered(connection->owner, &rows->answer);
        rows_free(rows);
}

static void on_reply(void *owner, uint64_t argument)
{
        struct pg_connection *connection = owner;

        (void)argument;
        connection->reply = NULL;
        answer(connection, TAKE(connection->rows));
}

static struct rows *lost(const char *message)
{
        struct rows *rows = rows_new();

        rows->answer.outcome = PG_LOST;
        (void)snprintf(rows->message, sizeof(rows->message), "%s", message);
        return rows;
}

/* The server goes on with what it has begun; its answer finds nobody. */
static void on_timeout(void *owner, uint64_t argument)
{
        struct pg_connection *connection = owner;

        (void)argument;
        connection->timeout = NULL;
        answer(connection, lost("timeout expired"));
}

static void plan_reply(struct pg_connection *connection, struct rows *rows)
{
        connection->rows = rows;
        connection->reply =
                clock_plan_for_daemon(clock_of(connection), chance_between(chance_of(connection), 50, 500),
                                      on_reply, connection, 0);
}

/* ---- questions ---- */

static void on_backend_lost(void *owner)
{
        struct pg_connection *connection = owner;

        connection->backend = NULL;
        clock_cancel(clock_of(connection), connection->arrival);
        connection->arrival = NULL;
        if (!connection->answered) {
                connection->arrival = clock_plan(clock_of(connection), 0, on_noticed, connection, 0);
        } else if (connection->is_asked && !connection->is_lost) {
                clock_cancel(clock_of(connection), connection->reply);
                rows_free(connection->rows);
                plan_reply(connection, lost("terminating connection due to administrator command"));
        }
}

static void connect_backend(struct pg_connection *connection)
{
        struct sim *sim = connection->pg->sim;

        connection->backend = server_connect(&sim->server, connection->endpoint->database, "berthd-sweep",
                                             on_backend_lost, connection);
        connection->told_pid = connection->fault == FAULT_POOLER ? 77 : connection->backend->pid;
}

static void try_again(struct pg_connection *connection)
{
        connection->arrival =
                clock_plan(clock_of(connection), chance_between(chance_of(connection), 5 * MSEC, 50 * MSEC),
                           carry_out, connection, 0);
}

/* client_connection_check_interval: one that waits for a lock looks after its client. */
static bool has_noticed(struct pg_connection *connection)
{
        return !connection->answered && fake_pg_takes(connection->question) &&
               chance_one_in(chance_of(connection), 10);
}

static void carry_out(void *owner, uint64_t argument)
{
        struct pg_connection *connection = owner;
        struct rows *rows;

        (void)argument;
        connection->arrival = NULL;
        if (has_noticed(connection)) {
                bury(connection);
                return;
        }
        if (connection->question == PG_CONNECT)
                connect_backend(connection);
        rows = rows_new();
        if (!fake_pg_carry_out(connection, rows)) {
                rows_free(rows);
                try_again(connection);
                return;
        }
        if (connection->question == PG_COMMIT || connection->question == PG_ROLLBACK)
                connection->is_dropping = false;
        if (connection->answered && !connection->is_mute) {
                plan_reply(connection, rows);
                return;
        }
        rows_free(rows);
        if (!connection->answered)
                bury(connection);
}

/* Cut before it got there, or after: then it is carried out, now or a good while later. */
static bool cut(struct pg_connection *connection)
{
        struct rows *rows = lost("server closed the connection unexpectedly");

        plan_reply(connection, rows);
        connection->is_mute = true;
        return connection->question == PG_CONNECT || chance_one_in(chance_of(connection), 2);
}

static void be_difficult(struct pg_connection *connection)
{
        struct rows *rows = rows_new();

        fake_pg_refuse(connection, rows, "XX000", "it is one of those days");
        plan_reply(connection, rows);
}

/* What goes wrong with this question. True: it does not get to the server. */
static bool befall(struct pg_connection *connection)
{
        struct sim *sim = connection->pg->sim;
        enum fault fault = server_fault(&sim->server, connection->endpoint);

        if (!connection->backend && connection->question != PG_CONNECT) {
                plan_reply(connection, lost("server closed the connection unexpectedly"));
                return true;
        }
        /* Most is at stake where an answer to COMMIT is lost. */
        if (fault == FAULT_NONE && !sim->calm &&
            chance_one_in(&sim->chance, connection->question == PG_COMMIT ? 12 : 150))
                fault = chance_one_in(&sim->chance, 3) ? FAULT_BLACK_HOLE : FAULT_CUT;
        else if (fault == FAULT_CUT && chance_one_in(&sim->chance, 3))
                fault = FAULT_NONE;
        sim->counts.faults += fault != FAULT_NONE;
        if (fault == FAULT_BLACK_HOLE) {
                connection->is_mute = true;
                return chance_one_in(&sim->chance, 2);
        }
        if (fault == FAULT_CUT)
                return cut(connection);
        if (fault == FAULT_REFUSED && connection->question == PG_CONNECT) {
                plan_reply(connection, lost("connection refused"));
                return true;
        }
        if (fault == FAULT_SQL_ERROR && connection->question != PG_CONNECT &&
            connection->question != PG_ROLLBACK && chance_one_in(&sim->chance, 2)) {
                be_difficult(connection);
                return true;
        }
        return false;
}

static uint64_t latency(struct pg_connection *connection)
{
        struct sim *sim = connection->pg->sim;

        if (server_fault(&sim->server, connection->endpoint) == FAULT_SLOW)
                return chance_below(&sim->chance, 6 * SEC);
        /* A flush that takes its time, and may take longer than the life of the daemon that asked for it. */
        if (connection->question == PG_COMMIT && !sim->calm && chance_one_in(&sim->chance, 8))
                return chance_below(&sim->chance, (chance_one_in(&sim->chance, 4) ? 60 : 8) * SEC);
        if (fake_pg_takes(connection->question))
                return chance_between(&sim->chance, 1 * MSEC, 300 * MSEC);
        return chance_between(&sim->chance, 100, 2000);
}

static void send_question(struct pg_connection *connection, uint64_t timeout)
{
        struct clock *clock = clock_of(connection);

        connection->is_asked = true;
        connection->timeout = clock_plan_for_daemon(clock, timeout, on_timeout, connection, 0);
        if (befall(connection))
                return;
        connection->lock_deadline = clock->now + connection->lock_timeout;
        connection->statement_deadline = clock->now + connection->statement_timeout;
        connection->arrival = clock_plan(clock, latency(connection), carry_out, connection, 0);
}

/* ---- the seam ---- */

static struct pg_connection *pg_open(struct pg *pg, const char *conninfo, uint64_t timeout_usec,
                                     pg_answered_fn *answered, void *owner)
{
        struct sim *sim = fake_of(pg)->sim;
        struct pg_connection *connection = NEW(struct pg_connection);

        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                if (!strcmp(sim->server.endpoints[i].conninfo, conninfo))
                        connection->endpoint = &sim->server.endpoints[i];
        connection->pg = fake_of(pg);
        connection->fault = server_fault(&sim->server, connection->endpoint);
        connection->answered = answered;
        connection->owner = owner;
        connection->question = PG_CONNECT;
        connection->pg->n_open++;
        TAILQ_INSERT_TAIL(&connection->pg->connections, connection, link);
        send_question(connection, timeout_usec);
        return connection;
}

static void ask(struct pg_connection *connection, enum pg_question question,
                const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec)
{
        struct sim *sim = connection->pg->sim;

        if (connection->is_asked || connection->is_lost)
                oracle_fail(sim, "question %d on a connection that is %s", question,
                            connection->is_lost ? "lost" : "busy");
        for (unsigned i = 0; i < PG_PARAMETERS_MAX; i++)
                (void)snprintf(connection->parameters[i], sizeof(connection->parameters[i]), "%s",
                               parameters[i] ? parameters[i] : "");
        connection->question = question;
        if (question == PG_DROP_BEGIN) {
                connection->is_dropping = true;
                oracle_on_begin(sim, connection->endpoint->database->cluster);
        }
        send_question(connection, timeout_usec);
}

static const struct pg_ops ops = {.open = pg_open, .ask = ask, .close = close_connection};

void fake_pg_init(struct fake_pg *pg, struct sim *sim)
{
        *pg = (struct fake_pg){.pg = {.ops = &ops}, .sim = sim};
        TAILQ_INIT(&pg->connections);
}

void fake_pg_done(struct fake_pg *pg)
{
        while (!TAILQ_EMPTY(&pg->connections))
                bury(TAILQ_FIRST(&pg->connections));
}

unsigned fake_pg_n_drops(const struct fake_pg *pg, const struct server_cluster *cluster)
{
        const struct pg_connection *connection;
        unsigned n = 0;

        TAILQ_FOREACH (connection, &pg->connections, link)
                n += connection->is_dropping && connection->endpoint->database->cluster == cluster;
        return n;
}

bool fake_pg_is_dropping(const struct fake_pg *pg, const char *namespace)
{
        const struct pg_connection *connection;

        TAILQ_FOREACH (connection, &pg->connections, link) {
                const struct server_schema *schema = connection->backend ? connection->backend->schema : NULL;

                if (schema && !strcmp(schema->namespace, namespace) &&
                    (fake_pg_takes(connection->question) || connection->backend->touch >= TOUCH_PARTED))
                        return true;
        }
        return false;
}
