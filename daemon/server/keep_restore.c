/* SPDX-License-Identifier: MIT */

/* What a daemon finds of the one before: the table, and the connections. */

#include "os/fd_store.h"
#include "server/keep_internal.h"
#include "server/server_internal.h"
#include "util/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_MAGIC "berth holds 1"

/* ---- the table ---- */

static bool is_table(const struct keep_table *table)
{
        return strcmp(table->magic, TABLE_MAGIC) == 0 && table->record_size == sizeof(struct keep_record) &&
               table->n_records == KEEP_MAX;
}

static struct keep_table *map_table(int fd)
{
        struct stat status;
        void *at;

        if (fstat(fd, &status) || status.st_size != sizeof(struct keep_table))
                return NULL;
        at = mmap(NULL, sizeof(struct keep_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return at == MAP_FAILED ? NULL : at;
}

/* Of an earlier life, and of the same form; else there is nothing to be learnt from it. */
static struct keep_table *take_table(int fd)
{
        struct keep_table *table = fd >= 0 ? map_table(fd) : NULL;

        if (!table || is_table(table))
                return table;
        (void)munmap(table, sizeof(*table));
        return NULL;
}

static struct keep_table *make_table(int manager)
{
        int fd = memfd_create("berth-holds", MFD_CLOEXEC);
        struct keep_table *table = NULL;

        if (fd < 0)
                return NULL;
        if (ftruncate(fd, sizeof(*table)) == 0)
                table = map_table(fd);
        if (table) {
                (void)snprintf(table->magic, sizeof(table->magic), "%s", TABLE_MAGIC);
                table->record_size = sizeof(struct keep_record);
                table->n_records = KEEP_MAX;
                (void)fd_store_remove(manager, FD_STORE_TABLE);
                if (fd_store_put(manager, FD_STORE_TABLE, fd)) {
                        (void)munmap(table, sizeof(*table));
                        table = NULL;
                }
        }
        (void)close(fd);
        return table;
}

struct keep_table *keep_table_open(int manager, int inherited_fd)
{
        struct keep_table *table = take_table(inherited_fd);

        return table ? table : make_table(manager);
}

void keep_table_close(struct keep_table *table)
{
        (void)munmap(table, sizeof(*table));
}

/* ---- the connections ---- */

static struct keep_record *find_record(struct keep *keep, uint64_t connection)
{
        for (unsigned i = 0; connection && i < KEEP_MAX; i++)
                if (keep->table->records[i].connection == connection)
                        return &keep->table->records[i];
        return NULL;
}

static const struct method *find_method(const struct server *server, const char *name)
{
        for (const struct method *method = server->methods; method->name; method++)
                if (strncmp(method->name, name, KEEP_METHOD_SIZE) == 0)
                        return method;
        return NULL;
}

static bool take_over(struct server *server, struct keep_record *record, int fd, server_adopt_fn *adopt)
{
        const struct method *method = find_method(server, record->method);
        struct connection *c;
        struct peer peer;

        if (record->is_unsettled || (*record->method && !method))
                return false;
        if (!adopt(server->services, record->connection, &record->hold, fd, &peer))
                return false;
        c = server_add(server, record->connection, fd, &peer);
        c->kept = record;
        c->is_stored = true;
        if (method)
                c->call = (struct call){
                        .method = method, .more = true, .is_granted = true, .number = record->number};
        return true;
}

bool server_restore(struct server *server, const char *name, int fd, server_adopt_fn *adopt)
{
        struct keep *keep = server->keep;
        struct keep_record *record = keep ? find_record(keep, fd_store_number(name)) : NULL;

        if (record && take_over(server, record, fd, adopt))
                return true;
        if (record)
                memset(record, 0, sizeof(*record));
        (void)shutdown(fd, SHUT_RDWR);
        (void)close(fd);
        if (keep)
                (void)fd_store_remove(keep->manager, name);
        return false;
}

/* Records of connections whose clients have gone meanwhile. */
static void forget_gone(struct keep *keep)
{
        for (unsigned i = 0; i < KEEP_MAX; i++) {
                struct keep_record *record = &keep->table->records[i];
                struct connection *c = NULL;

                if (record->connection)
                        HASH_FIND(hh, keep->server->by_id, &record->connection, sizeof(record->connection),
                                  c);
                if (record->connection && !c)
                        memset(record, 0, sizeof(*record));
        }
}

void server_restored(struct server *server, server_reclaim_fn *reclaim)
{
        struct connection *c, *next;

        if (!server->keep)
                return;
        forget_gone(server->keep);
        HASH_ITER (hh, server->by_id, c, next) {
                struct server_hold hold;

                if (!c->kept)
                        continue;
                hold = c->kept->hold;
                if (!reclaim(server->services, c->id, &c->peer, &hold))
                        connection_close(c, "what it held is not on record");
        }
}
