/* SPDX-License-Identifier: MIT */
#include "store/inspect.h"

#include "util/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Grants wait while the writer's thread reads all of it: about three milliseconds a megabyte. */
#define BYTES_MAX (64LL << 20)

struct inspect {
        struct ledger_inspection result;
};

struct inspect *inspect_new(void)
{
        return NEW(struct inspect);
}

struct inspect *inspect_free(struct inspect *inspect)
{
        free(inspect);
        return NULL;
}

static uint64_t now_usec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int check(struct sqlite *sqlite, struct ledger_inspection *ret)
{
        uint64_t began = now_usec();
        int r = sqlite_text(sqlite, "PRAGMA quick_check(1)", ret->fault, sizeof(ret->fault));

        ret->took_usec = now_usec() - began;
        if (r == 0 && strcmp(ret->fault, "ok") == 0)
                ret->fault[0] = '\0';
        for (char *at = ret->fault; *at; at++)
                if (*at == '\n')
                        *at = ' ';
        return r;
}

int inspect_read(struct inspect *inspect, struct store *store)
{
        int64_t pages = 0, size = 0;

        if (sqlite_integer(&store->sqlite, "PRAGMA page_count", &pages) ||
            sqlite_integer(&store->sqlite, "PRAGMA page_size", &size))
                return -EIO;
        inspect->result.bytes = pages * size;
        inspect->result.is_too_big = inspect->result.bytes > BYTES_MAX;
        return inspect->result.is_too_big ? 0 : check(&store->sqlite, &inspect->result);
}

void inspect_tell(const struct inspect *inspect, ledger_inspected_fn *told, void *owner, uint64_t ticket,
                  int error)
{
        told(owner, ticket, &inspect->result, error);
}

/* ---- a file that nobody has open ---- */

/* Of a clean end nothing is left beside it, and SQLite may not put anything there only because we look. */
static bool has_wal(const char *path)
{
        char wal[4096];
        struct stat status;

        return snprintf(wal, sizeof(wal), "%s-wal", path) < (int)sizeof(wal) && stat(wal, &status) == 0 &&
               status.st_size > 0;
}

/* Names in a URI: what is no plain character of a path is written as %XX. */
static void write_uri(const char *path, char *uri, size_t size)
{
        size_t used = (size_t)snprintf(uri, size, "file:");

        for (const char *at = path; *at && used + 40 < size; at++) {
                if (strchr("%?#", *at))
                        used += (size_t)snprintf(uri + used, size - used, "%%%02X", (unsigned char)*at);
                else
                        uri[used++] = *at;
        }
        (void)snprintf(uri + used, size - used, has_wal(path) ? "?mode=ro" : "?mode=ro&immutable=1");
}

int inspect_file(const char *state_dir, struct ledger_inspection *ret)
{
        char path[4096], uri[8192];
        struct sqlite sqlite;
        struct stat status;
        int r;

        *ret = (struct ledger_inspection){.bytes = 0};
        (void)snprintf(path, sizeof(path), "%s/ledger.db", state_dir);
        if (stat(path, &status) < 0 || access(path, R_OK) < 0)
                return errno == EACCES || errno == ENOENT ? -errno : -EIO;
        ret->bytes = status.st_size;
        write_uri(path, uri, sizeof(uri));
        r = sqlite_open(&sqlite, uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
        if (r == 0)
                r = check(&sqlite, ret);
        if (r)
                (void)snprintf(ret->fault, sizeof(ret->fault), "%s", sqlite.message);
        sqlite_close(&sqlite);
        return r;
}
