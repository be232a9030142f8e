/* SPDX-License-Identifier: MIT */

/*
 * What a census would be if it drew no conclusions: connects to each database and asks the questions of the daemon,
 * all databases at once, or one after the other.
 *
 *      bench_ask parallel|serial QUESTION... -- CONNINFO...      QUESTION: a file of SQL
 *
 * Prints "name value" lines: the seconds from before the first connection to after the last answer, and the rows.
 */

#include "wire.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUESTIONS_MAX 8
#define DATABASES_MAX 64
#define SQL_SIZE      8192

static char questions[QUESTIONS_MAX][SQL_SIZE];
static int n_questions;
static unsigned long n_rows;

static struct database {
        PGconn *connection;
        PostgresPollingStatusType status; /* while connecting */
        bool is_connected;
        int asked; /* questions */
} databases[DATABASES_MAX];

static void fail(const struct database *database)
{
        (void)fprintf(stderr, "benchmark: %s", PQerrorMessage(database->connection));
        exit(1);
}

static void read_question(const char *path)
{
        FILE *file = fopen(path, "re");
        size_t n;

        if (!file || n_questions == QUESTIONS_MAX)
                wire_die(path);
        n = fread(questions[n_questions], 1, SQL_SIZE - 1, file);
        if (!n || n == SQL_SIZE - 1)
                wire_die(path);
        n_questions++;
        (void)fclose(file);
}

static void start(struct database *database, const char *conninfo)
{
        database->connection = PQconnectStart(conninfo);
        if (PQstatus(database->connection) == CONNECTION_BAD)
                fail(database);
        database->status = PGRES_POLLING_WRITING;
}

static void ask(struct database *database)
{
        if (!PQsendQuery(database->connection, questions[database->asked++]))
                fail(database);
}

static void go_on_connecting(struct database *database)
{
        database->status = PQconnectPoll(database->connection);
        if (database->status == PGRES_POLLING_FAILED)
                fail(database);
        database->is_connected = database->status == PGRES_POLLING_OK;
        if (database->is_connected)
                ask(database);
}

/* True: it has answered everything. */
static bool go_on_reading(struct database *database)
{
        PGresult *result;

        if (!PQconsumeInput(database->connection))
                fail(database);
        while (!PQisBusy(database->connection)) {
                result = PQgetResult(database->connection);
                if (result) {
                        if (PQresultStatus(result) == PGRES_FATAL_ERROR)
                                fail(database);
                        n_rows += (unsigned long)PQntuples(result);
                        PQclear(result);
                } else if (database->asked == n_questions) {
                        return true;
                } else {
                        ask(database);
                }
        }
        return false;
}

/* False: it has answered everything. polled says what it waits for next. */
static bool go_on(struct database *database, struct pollfd *polled)
{
        if (!database->is_connected)
                go_on_connecting(database);
        else if (go_on_reading(database))
                return false;
        polled->fd = PQsocket(database->connection); /* another one after a second attempt to connect */
        polled->events = database->status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN;
        return true;
}

/* Until all of them have answered everything. */
static void serve(struct database *first, int n)
{
        struct pollfd polled[DATABASES_MAX];
        int left = n;

        for (int i = 0; i < n; i++)
                polled[i] = (struct pollfd){.fd = PQsocket(first[i].connection), .events = POLLOUT};
        while (left) {
                if (poll(polled, (nfds_t)n, -1) < 0)
                        wire_die("poll");
                for (int i = 0; i < n; i++) {
                        if (!polled[i].revents || go_on(&first[i], &polled[i]))
                                continue;
                        polled[i].fd = -1;
                        left--;
                }
        }
}

int main(int argc, char **argv)
{
        int at = 2, n;
        bool parallel = argc > 1 && !strcmp(argv[1], "parallel");
        uint64_t began;

        for (; at < argc && strcmp(argv[at], "--") != 0; at++)
                read_question(argv[at]);
        n = argc - at - 1;
        if (n < 1 || n > DATABASES_MAX || !n_questions) {
                (void)fprintf(stderr, "usage: bench_ask parallel|serial QUESTION... -- CONNINFO...\n");
                return 64;
        }
        began = wire_now_nsec();
        for (int i = 0; i < n; i++) {
                start(&databases[i], argv[at + 1 + i]);
                if (!parallel)
                        serve(&databases[i], 1);
        }
        if (parallel)
                serve(databases, n);
        (void)printf("seconds %.6f\nrows %lu\n", (double)(wire_now_nsec() - began) / 1e9, n_rows);
        for (int i = 0; i < n; i++)
                PQfinish(databases[i].connection);
        return 0;
}
