/* SPDX-License-Identifier: MIT */
#include "pg_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

unsigned long long now_usec(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000;
}

static void cluster(const char *verb, const char *dir, const char *more)
{
        char command[1024];

        (void)snprintf(command, sizeof(command), "%s %s %s %s >/dev/null", PG_CLUSTER, verb, dir, more);
        assert_int_equal(system(command), 0);
}

static void read_port(struct fixture *f)
{
        char path[96];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/port", f->dir);
        file = fopen(path, "r");
        assert_non_null(file);
        assert_int_equal(fscanf(file, "%15s", f->port), 1);
        fclose(file);
}

int fixture_set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        strcpy(f->dir, "/tmp/berth-unit-pg-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        cluster("start", f->dir,
                "'max_connections = 150' 'hba:host all scram_user 127.0.0.1/32 scram-sha-256'");
        read_port(f);
        /* What the seam must not listen to. */
        setenv("PGHOSTADDR", "192.0.2.1", 1);
        setenv("PGAPPNAME", "pytest_gw0_somebody", 1);
        setenv("PGOPTIONS", "-c default_transaction_read_only=on", 1);
        f->base = event_base_new();
        assert_int_equal(pg_new(f->base, "test", &f->pg), 0);
        assert_null(getenv("PGHOSTADDR"));
        assert_null(getenv("PGAPPNAME"));
        assert_null(getenv("PGOPTIONS"));
        (void)snprintf(f->conninfo, sizeof(f->conninfo), "%s", by_socket(f, "user=postgres dbname=postgres"));
        f->admin = session(f, "user=postgres dbname=postgres");
        *state = f;
        return 0;
}

int fixture_tear_down(void **state)
{
        struct fixture *f = *state;

        heard_clear(&f->heard);
        PQfinish(f->admin);
        cluster("remove", f->dir, ""); /* before anything that may abort */
        pg_free(f->pg);
        event_base_free(f->base);
        free(f);
        return 0;
}

const char *by_socket(const struct fixture *f, const char *more)
{
        static char text[256];

        (void)snprintf(text, sizeof(text), "host=%s/socket port=%s %s", f->dir, f->port, more);
        return text;
}

const char *by_tcp(const struct fixture *f, const char *more)
{
        static char text[256];

        (void)snprintf(text, sizeof(text), "host=127.0.0.1 port=%s %s", f->port, more);
        return text;
}

static void ignore(void *nobody, const char *text)
{
        (void)nobody;
        (void)text;
}

PGconn *session(const struct fixture *f, const char *more)
{
        PGconn *connection = PQconnectdb(by_socket(f, more));

        assert_int_equal(PQstatus(connection), CONNECTION_OK);
        PQsetNoticeProcessor(connection, ignore, NULL);
        return connection;
}

const char *sql(PGconn *connection, const char *format, ...)
{
        static char first[256];
        char text[4096];
        va_list arguments;
        PGresult *result;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        result = PQexec(connection, text);
        if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", text, PQerrorMessage(connection));
        (void)snprintf(first, sizeof(first), "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
        PQclear(result);
        return first;
}

void heard_clear(struct heard *heard)
{
        for (unsigned i = 0; i < heard->n_rows * heard->n_columns; i++)
                free(heard->cells[i]);
        free(heard->cells);
        *heard = (struct heard){};
}

void on_heard(void *owner, const struct pg_answer *answer)
{
        struct heard *heard = owner;
        unsigned n = heard->n_answers + 1;

        heard_clear(heard);
        heard->n_answers = n;
        heard->question = answer->question;
        heard->outcome = answer->outcome;
        memcpy(heard->sqlstate, answer->sqlstate, sizeof(heard->sqlstate));
        (void)snprintf(heard->message, sizeof(heard->message), "%s", answer->message);
        heard->backend_pid = answer->backend_pid;
        heard->n_rows = answer->n_rows;
        heard->n_columns = answer->n_columns;
        heard->cells = calloc((size_t)answer->n_rows * answer->n_columns + 1, sizeof(char *));
        for (unsigned i = 0; i < answer->n_rows * answer->n_columns; i++)
                heard->cells[i] = answer->cells[i] ? strdup(answer->cells[i]) : NULL;
        assert_null(strpbrk(answer->message, "\n\r\t"));
}

void await(struct fixture *f, const struct heard *heard, unsigned n_answers)
{
        unsigned long long end = now_usec() + 60 * SECOND;

        while (heard->n_answers < n_answers) {
                event_base_loop(f->base, EVLOOP_ONCE);
                if (now_usec() > end)
                        fail_msg("no answer within a minute");
        }
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        assert_int_equal(heard->n_answers, n_answers); /* exactly one each */
}

struct pg_connection *try_open(struct fixture *f, const char *conninfo, unsigned long long timeout_usec)
{
        struct pg_connection *connection;

        heard_clear(&f->heard);
        connection = f->pg->ops->open(f->pg, conninfo, timeout_usec, on_heard, &f->heard);
        assert_int_equal(f->heard.n_answers, 0); /* never from inside the call */
        await(f, &f->heard, 1);
        assert_int_equal(f->heard.question, PG_CONNECT);
        return connection;
}

struct pg_connection *open_ok(struct fixture *f, const char *conninfo)
{
        struct pg_connection *connection = try_open(f, conninfo, 10 * SECOND);

        if (f->heard.outcome != PG_OK)
                fail_msg("%s: %s", conninfo, f->heard.message);
        return connection;
}

enum pg_outcome ask(struct fixture *f, struct pg_connection *connection, enum pg_question question,
                    const char *first, const char *second)
{
        const char *const parameters[PG_PARAMETERS_MAX] = {first, second};

        heard_clear(&f->heard);
        f->pg->ops->ask(connection, question, parameters, 30 * SECOND);
        assert_int_equal(f->heard.n_answers, 0);
        await(f, &f->heard, 1);
        assert_int_equal(f->heard.question, question);
        if (f->heard.outcome == PG_OK)
                assert_string_equal(f->heard.message, "");
        else
                assert_string_not_equal(f->heard.message, "");
        assert_int_equal(f->heard.sqlstate[0] != '\0', f->heard.outcome == PG_SQL_ERROR);
        return f->heard.outcome;
}

const char *cell(const struct fixture *f, unsigned row, unsigned column)
{
        assert_true(row < f->heard.n_rows && column < f->heard.n_columns);
        return f->heard.cells[row * f->heard.n_columns + column];
}

int row_of(const struct fixture *f, unsigned column, const char *text)
{
        for (unsigned i = 0; i < f->heard.n_rows; i++)
                if (cell(f, i, column) && !strcmp(cell(f, i, column), text))
                        return (int)i;
        return -1;
}

void pg_close(struct fixture *f, struct pg_connection *connection)
{
        f->pg->ops->close(connection);
}
