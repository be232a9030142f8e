/* SPDX-License-Identifier: MIT */

/*
 * A live run that builds schemas, statement by statement, as applications do:
 *
 *      bench_build SOCKET CONNINFO DATABASE TABLES SCHEMAS
 *
 * Each schema in a DDL slot and a transaction of its own, with three indexes and two foreign keys a table. Prints
 * "name value" lines: the seconds for all, of which those that waited for slots. The schemas stay; their lease ends
 * with the program.
 */

#include "wire.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char reply[WIRE_SIZE];

static void execute(PGconn *connection, const char *statement)
{
        PGresult *result = PQexec(connection, statement);

        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
                (void)fprintf(stderr, "benchmark: %s: %s", statement, PQerrorMessage(connection));
                exit(1);
        }
        PQclear(result);
}

static void build(PGconn *connection, const char *schema, int tables)
{
        char statement[1024];

        execute(connection, "BEGIN");
        (void)snprintf(statement, sizeof(statement), "CREATE SCHEMA \"%s\"; SET LOCAL search_path = \"%s\"",
                       schema, schema);
        execute(connection, statement);
        for (int i = 0; i < tables; i++) {
                (void)snprintf(statement, sizeof(statement),
                               "CREATE TABLE t%d (id serial PRIMARY KEY, a int REFERENCES t%d, "
                               "b int REFERENCES t%d, c text)",
                               i, i ? i - 1 : 0, i / 2);
                execute(connection, statement);
                (void)snprintf(statement, sizeof(statement), "CREATE INDEX ON t%d (a)", i);
                execute(connection, statement);
                (void)snprintf(statement, sizeof(statement), "CREATE INDEX ON t%d (b)", i);
                execute(connection, statement);
        }
        execute(connection, "COMMIT");
}

static void ask_slot(int fd, const char *database, int worker)
{
        char message[256];

        (void)snprintf(message, sizeof(message),
                       "{\"method\":\"io.berth.lease.AcquireSlot\",\"parameters\":{\"worker\":\"gw%d\","
                       "\"database\":\"%s\"}}",
                       worker, database);
        wire_call(fd, message, reply);
}

static void name_schema(char *ret, size_t size, int worker)
{
        static char namespace[64];
        const char *at = strstr(reply, "\"namespace\":\"");

        if (!*namespace) {
                if (!at || sscanf(at, "\"namespace\":\"%63[a-z0-9]", namespace) != 1)
                        wire_die("a lease without a namespace");
        }
        (void)snprintf(ret, size, "test_%s_gw%d", namespace, worker);
}

int main(int argc, char **argv)
{
        uint64_t start, asked, waited = 0;
        PGconn *connection;
        char schema[128];
        int fd;

        if (argc != 6) {
                (void)fprintf(stderr, "usage: bench_build SOCKET CONNINFO DATABASE TABLES SCHEMAS\n");
                return 64;
        }
        fd = wire_connect(argv[1]);
        wire_call(fd, "{\"method\":\"io.berth.lease.Acquire\",\"parameters\":{\"label\":\"benchmark\"}}",
                  reply);
        name_schema(schema, sizeof(schema), 0);
        connection = PQconnectdb(argv[2]);
        if (PQstatus(connection) != CONNECTION_OK) {
                (void)fprintf(stderr, "benchmark: %s", PQerrorMessage(connection));
                return 1;
        }
        start = wire_now_nsec();
        for (int i = 0; i < atoi(argv[5]); i++) {
                asked = wire_now_nsec();
                ask_slot(fd, argv[3], i);
                waited += wire_now_nsec() - asked;
                name_schema(schema, sizeof(schema), i);
                build(connection, schema, atoi(argv[4]));
                wire_call(fd, "{\"method\":\"io.berth.lease.ReleaseSlot\",\"parameters\":{}}", reply);
        }
        (void)printf("seconds %.6f\nwaited %.6f\n", (double)(wire_now_nsec() - start) / 1e9,
                     (double)waited / 1e9);
        PQfinish(connection);
        return 0;
}
