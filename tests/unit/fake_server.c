/* SPDX-License-Identifier: MIT */
#include "fake_server.h"

#include "util/alloc.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_connection {
        struct fake_server *server;
        pg_answered_fn *answered;
        void *owner;
        enum pg_question question;
        struct timer *reply;
};

struct fake_server {
        struct pg pg;
        struct fake_env *fake;
        enum fake_mood mood;
        unsigned n_open, n_busy, n_asked[PG_QUESTION_MAX_];
        char last_holder[64], label[64], objects[16];
        const struct fake_table *tables;
        unsigned n_tables;
};

static void answer_with(struct pg_connection *connection, unsigned n_columns, unsigned n_rows,
                        const char *const *cells)
{
        const struct pg_answer answer = {.question = connection->question,
                                         .message = "",
                                         .n_columns = n_columns,
                                         .n_rows = n_rows,
                                         .cells = cells};

        connection->answered(connection->owner, &answer);
}

static void identify(struct pg_connection *connection)
{
        const char *cells[PG_IDENTIFY_COLUMNS_];

        for (unsigned i = 0; i < PG_IDENTIFY_COLUMNS_; i++)
                cells[i] = "1";
        cells[PG_IDENTIFY_IN_RECOVERY] = connection->server->mood == FAKE_STANDBY ? "t" : "f";
        answer_with(connection, PG_IDENTIFY_COLUMNS_, 1, cells);
}

static void list_busy(struct pg_connection *connection)
{
        const char *cells[16];

        for (unsigned i = 0; i < 16; i++)
                cells[i] = "4711";
        answer_with(connection, 1, connection->server->n_busy, cells);
}

static void count_locks(struct pg_connection *connection)
{
        const struct fake_server *server = connection->server;
        const char *cells[] = {server->label, server->objects, "psql", "99999"};

        answer_with(connection, 2, *server->label ? 2 : 0, cells);
}

static void list_public(struct pg_connection *connection)
{
        static const char *const none[PG_PUBLIC_COLUMNS_] = {"place", ""};
        const struct fake_server *server = connection->server;
        unsigned n = server->n_tables;
        const char **cells = alloc_array(NULL, n * PG_PUBLIC_COLUMNS_, sizeof(*cells));

        for (unsigned i = 0; i < n; i++) {
                const char **row = cells + i * PG_PUBLIC_COLUMNS_;

                row[PG_PUBLIC_PLACE] = "place";
                row[PG_PUBLIC_COUNTED_SINCE] = server->tables[i].counted_since;
                row[PG_PUBLIC_OID] = server->tables[i].oid;
                row[PG_PUBLIC_TABLE] = server->tables[i].name;
                row[PG_PUBLIC_IS_PARTITION] = "f";
                row[PG_PUBLIC_WRITES] = server->tables[i].writes;
        }
        answer_with(connection, PG_PUBLIC_COLUMNS_, n ? n : 1, n ? cells : none);
        free(cells);
}

static void on_reply(void *owner)
{
        struct pg_connection *connection = owner;
        const struct fake_server *server = connection->server;

        if (server->mood == FAKE_REFUSES || server->mood == FAKE_SILENT)
                connection->answered(connection->owner, &(struct pg_answer){.question = connection->question,
                                                                            .outcome = PG_LOST,
                                                                            .message = "it is not there"});
        else if (connection->question == PG_IDENTIFY)
                identify(connection);
        else if (connection->question == PG_HOLDER_BUSY)
                list_busy(connection);
        else if (connection->question == PG_LOCK_COUNTS)
                count_locks(connection);
        else if (connection->question == PG_PUBLIC)
                list_public(connection);
        else
                answer_with(connection, 0, 0, NULL);
}

static void plan(struct pg_connection *connection, enum pg_question question, uint64_t timeout_usec)
{
        struct fake_server *server = connection->server;

        server->n_asked[question]++;
        connection->question = question;
        fake_env(server->fake)
                ->ops->timer_arm(connection->reply, server->mood == FAKE_SILENT ? timeout_usec : 0);
}

static struct pg_connection *open_connection(struct pg *pg, const char *conninfo, uint64_t timeout_usec,
                                             pg_answered_fn *answered, void *owner)
{
        struct fake_server *server = (struct fake_server *)pg;
        struct pg_connection *connection = NEW(struct pg_connection);
        struct env *env = fake_env(server->fake);

        assert(conninfo);
        *connection = (struct pg_connection){.server = server, .answered = answered, .owner = owner};
        connection->reply = env->ops->timer_new(env, on_reply, connection);
        server->n_open++;
        plan(connection, PG_CONNECT, timeout_usec);
        return connection;
}

static void ask(struct pg_connection *connection, enum pg_question question,
                const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec)
{
        struct fake_server *server = connection->server;

        if (question == PG_HOLDER_BUSY)
                (void)snprintf(server->last_holder, sizeof(server->last_holder), "%s %s", parameters[0],
                               parameters[1]);
        plan(connection, question, timeout_usec);
}

static void close_connection(struct pg_connection *connection)
{
        if (!connection)
                return;
        fake_env(connection->server->fake)->ops->timer_free(connection->reply);
        connection->server->n_open--;
        free(connection);
}

struct fake_server *fake_server_new(struct fake_env *fake)
{
        static const struct pg_ops ops = {.open = open_connection, .ask = ask, .close = close_connection};
        struct fake_server *server = NEW(struct fake_server);

        server->pg.ops = &ops;
        server->fake = fake;
        return server;
}

struct fake_server *fake_server_free(struct fake_server *server)
{
        if (server->n_open) {
                (void)fprintf(stderr, "fake_server: %u connections were left open\n", server->n_open);
                abort();
        }
        free(server);
        return NULL;
}

struct pg *fake_server_pg(struct fake_server *server)
{
        return &server->pg;
}

void fake_server_set_mood(struct fake_server *server, enum fake_mood mood)
{
        server->mood = mood;
}

void fake_server_set_busy(struct fake_server *server, unsigned n)
{
        server->n_busy = n;
}

void fake_server_set_locks(struct fake_server *server, const char *application_name, unsigned objects)
{
        (void)snprintf(server->label, sizeof(server->label), "%s", application_name ? application_name : "");
        (void)snprintf(server->objects, sizeof(server->objects), "%u", objects);
}

void fake_server_set_public(struct fake_server *server, const struct fake_table *tables, unsigned n)
{
        server->tables = tables;
        server->n_tables = n;
}

unsigned fake_server_n_asked(const struct fake_server *server, enum pg_question question)
{
        return server->n_asked[question];
}

unsigned fake_server_n_open(const struct fake_server *server)
{
        return server->n_open;
}

const char *fake_server_last_holder(const struct fake_server *server)
{
        return server->last_holder;
}
