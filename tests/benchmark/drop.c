/* SPDX-License-Identifier: MIT */

/*
 * What a sweep would be if it looked at nothing: each schema dropped in a transaction of its own, one after the other,
 * over one connection.
 *
 *      bench_drop CONNINFO < NAMES
 *
 * Prints "name value" lines: dropped, and the seconds from before the connection to after the last COMMIT.
 */

#include "wire.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void no_notice(void *argument, const char *message)
{
        (void)argument;
        (void)message;
}

static void drop(PGconn *connection, const char *schema)
{
        char statement[256];
        PGresult *result;

        (void)snprintf(statement, sizeof(statement), "DROP SCHEMA \"%s\" CASCADE", schema);
        result = PQexec(connection, statement);
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
                (void)fprintf(stderr, "benchmark: %s: %s", statement, PQerrorMessage(connection));
                exit(1);
        }
        PQclear(result);
}

int main(int argc, char **argv)
{
        unsigned n_dropped = 0;
        PGconn *connection;
        uint64_t start;
        char line[128];

        if (argc != 2) {
                (void)fprintf(stderr, "usage: bench_drop CONNINFO < NAMES\n");
                return 64;
        }
        start = wire_now_nsec();
        connection = PQconnectdb(argv[1]);
        if (PQstatus(connection) != CONNECTION_OK) {
                (void)fprintf(stderr, "benchmark: %s", PQerrorMessage(connection));
                return 1;
        }
        (void)PQsetNoticeProcessor(connection, no_notice, NULL);
        while (fgets(line, sizeof(line), stdin)) {
                line[strcspn(line, "\n")] = '\0';
                drop(connection, line);
                n_dropped++;
        }
        (void)printf("dropped %u\nseconds %.6f\n", n_dropped, (double)(wire_now_nsec() - start) / 1e9);
        PQfinish(connection);
        return 0;
}
