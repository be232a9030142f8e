/* SPDX-License-Identifier: MIT */
#include "service/public_record.h"

#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define ENTRIES_MAX 128
#define SHOWN_USEC  (24 * 3600 * USEC_PER_SEC)
#define SAID_MAX    8 /* namespaces in one line of the journal */

struct entry {
        TAILQ_ENTRY(entry) link; /* public_record::entries */
        struct public_written written;
};

struct public_record {
        struct env *env;
        struct ledger *ledger;
        TAILQ_HEAD(entries, entry) entries; /* the latest last */
        unsigned n_entries;
};

void public_suspects_add(struct public_suspects *suspects, int64_t lease, const char *namespace)
{
        if (suspects->n == PUBLIC_NAMESPACES_MAX)
                return;
        suspects->all[suspects->n].lease = lease;
        suspects->all[suspects->n++].namespace = namespace;
}

/* ---- entries ---- */

static void entry_free(struct public_record *record, struct entry *entry)
{
        TAILQ_REMOVE(&record->entries, entry, link);
        record->n_entries--;
        free(entry->written.database);
        free(entry->written.table);
        free(entry);
}

static struct entry *entry_new(struct public_record *record, const char *database,
                               const struct public_write *write)
{
        struct entry *entry = NEW(struct entry);

        if (record->n_entries == ENTRIES_MAX)
                entry_free(record, TAILQ_FIRST(&record->entries));
        entry->written = (struct public_written){.database = alloc_string(database),
                                                 .table = alloc_string(write->table),
                                                 .kind = write->kind,
                                                 .first_usec = env_realtime(record->env)};
        TAILQ_INSERT_TAIL(&record->entries, entry, link);
        record->n_entries++;
        return entry;
}

static bool is_named(const struct public_written *written, const char *namespace)
{
        for (unsigned i = 0; i < written->n_namespaces; i++)
                if (!strcmp(written->namespaces[i], namespace))
                        return true;
        return false;
}

static bool are_all_named(const struct public_written *written, const struct public_suspects *suspects)
{
        for (unsigned i = 0; i < suspects->n; i++)
                if (!is_named(written, suspects->all[i].namespace))
                        return false;
        return true;
}

/* Rows of a table that has appeared in the same hands are no news; a table that appears again is. */
static struct entry *find(const struct public_record *record, const char *database,
                          const struct public_write *write, const struct public_suspects *suspects)
{
        struct entry *entry, *found = NULL;

        TAILQ_FOREACH (entry, &record->entries, link) {
                const struct public_written *written = &entry->written;

                if (strcmp(written->table, write->table) != 0 || strcmp(written->database, database) != 0)
                        continue;
                if (written->kind == write->kind ||
                    (write->kind == PUBLIC_ROWS && are_all_named(written, suspects)))
                        found = entry;
        }
        return found;
}

static void add_name(struct public_written *written, const char *namespace)
{
        if (written->n_namespaces == PUBLIC_NAMESPACES_MAX)
                (void)memmove(written->namespaces[0], written->namespaces[1],
                              --written->n_namespaces * sizeof(written->namespaces[0]));
        (void)strcpy(written->namespaces[written->n_namespaces++], namespace);
}

/* ---- telling ---- */

/* A name may hold anything; in a fact it must not begin another one. */
static char *plain(const char *table)
{
        char *text = alloc_string(table);

        for (char *at = text; *at; at++)
                if (isspace((unsigned char)*at) || strchr("\";=", *at))
                        *at = '?';
        return text;
}

/* One line; a field for each namespace. */
static void say(const char *database, const struct public_write *write,
                const struct public_suspects *suspects)
{
        _cleanup_free_ char *names = alloc_string(""), *table = plain(write->table);

        for (unsigned i = 0; i < suspects->n && i < SAID_MAX; i++) {
                char *more = alloc_printf("%s namespace=%s", names, suspects->all[i].namespace);

                free(names);
                names = more;
        }
        log_warning("public written: database=%s table=%s kind=%s rows=%llu%s; a run reaches public by its "
                    "search_path",
                    database, table, public_write_kind_name(write->kind), (unsigned long long)write->rows,
                    names);
}

static void note(struct public_record *record, const char *database, const struct public_write *write,
                 const struct public_suspects *suspects)
{
        _cleanup_free_ char *detail =
                write->kind == PUBLIC_ROWS
                        ? alloc_printf("%llu row%s of %s written", (unsigned long long)write->rows,
                                       write->rows == 1 ? "" : "s", write->table)
                        : alloc_printf("%s appeared", write->table);

        for (unsigned i = 0; i < suspects->n; i++) {
                const struct ledger_change change = {
                        .kind = LEDGER_PUBLIC_WRITTEN,
                        .time_usec = env_realtime(record->env),
                        .lease = suspects->all[i].lease,
                        .namespace = suspects->all[i].namespace,
                        .database = database,
                        .detail = detail,
                        .exit_status = -1,
                };

                record->ledger->ops->submit(record->ledger, &change, NULL, NULL, 0);
        }
}

static void add(struct public_record *record, const char *database, const struct public_write *write,
                const struct public_suspects *suspects)
{
        struct entry *entry = find(record, database, write, suspects);
        struct public_suspects new = {0};

        if (!entry)
                entry = entry_new(record, database, write);
        for (unsigned i = 0; i < suspects->n; i++)
                if (!is_named(&entry->written, suspects->all[i].namespace))
                        public_suspects_add(&new, suspects->all[i].lease, suspects->all[i].namespace);
        for (unsigned i = 0; i < new.n; i++)
                add_name(&entry->written, new.all[i].namespace);
        entry->written.rows += write->rows;
        entry->written.last_usec = env_realtime(record->env);
        TAILQ_REMOVE(&record->entries, entry, link);
        TAILQ_INSERT_TAIL(&record->entries, entry, link);
        if (!new.n)
                return;
        say(database, write, &new);
        note(record, database, write, &new);
}

void public_record_add(struct public_record *record, const char *database, const struct public_writes *writes,
                       const struct public_suspects *suspects)
{
        for (unsigned i = 0; i < writes->n && suspects->n; i++)
                add(record, database, &writes->all[i], suspects);
        if (writes->n_more && suspects->n)
                log_warning("more was written into public: database=%s tables=%u; they are not listed",
                            database, writes->n_more);
}

void public_record_each(const struct public_record *record, public_written_fn *each, void *owner)
{
        uint64_t now = env_realtime(record->env);
        const struct entry *entry;

        TAILQ_FOREACH (entry, &record->entries, link)
                if (entry->written.last_usec + SHOWN_USEC > now)
                        each(owner, &entry->written);
}

/* ---- life ---- */

struct public_record *public_record_new(struct env *env, struct ledger *ledger)
{
        struct public_record *record = NEW(struct public_record);

        record->env = env;
        record->ledger = ledger;
        TAILQ_INIT(&record->entries);
        return record;
}

void public_record_clear(struct public_record *record)
{
        struct entry *entry;

        while ((entry = TAILQ_FIRST(&record->entries)))
                entry_free(record, entry);
}

struct public_record *public_record_free(struct public_record *record)
{
        public_record_clear(record);
        free(record);
        return NULL;
}
