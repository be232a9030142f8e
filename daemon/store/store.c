/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include "store/apply.h"
#include "store/migrations.h"
#include "store/wal.h"
#include "util/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* So many grants may come and go without a trace before one more number has to be saved. */
#define GRANT_RESERVE ((int64_t)1 << 20)

/*
 * What a WAL that has been read to its end is cut back to: no less than a busy one has between two checkpoints
 * (batch.c). One that must grow again costs every commit the file system's own writes: twice the time.
 */
#define WAL_SIZE_LIMIT "33554432"

/* How long another program's lock is waited for while the daemon starts; later the writer paces itself. */
#define OPEN_BUSY_MSEC 1500

static int64_t *numbers_at(struct ledger_numbers *numbers, size_t i)
{
        int64_t *const all[] = {&numbers->lease, &numbers->member, &numbers->grant, &numbers->sweep};

        return i < sizeof(all) / sizeof(*all) ? all[i] : NULL;
}

static const char *const number_names[] = {"next_lease", "next_member", "next_grant", "next_sweep"};

static const struct outcome {
        int code, outcome;
} outcomes[] = {
        {SQLITE_BUSY, STORE_E_BUSY},       {SQLITE_CONSTRAINT, STORE_E_REFUSED},
        {SQLITE_ERROR, STORE_E_REFUSED},   {SQLITE_MISMATCH, STORE_E_REFUSED},
        {SQLITE_TOOBIG, STORE_E_REFUSED},  {SQLITE_RANGE, STORE_E_REFUSED},
        {SQLITE_MISUSE, STORE_E_REFUSED},  {SQLITE_CORRUPT, STORE_E_DOUBTFUL},
        {SQLITE_NOTADB, STORE_E_DOUBTFUL},
};

int store_outcome(const struct store *store)
{
        for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++)
                if (outcomes[i].code == (store->sqlite.code & 0xff))
                        return outcomes[i].outcome;
        return STORE_E_AGAIN;
}

const char *store_error(const struct store *store)
{
        return store->sqlite.message;
}

static int note_wal_pages(void *owner, sqlite3 *db, const char *name, int n_pages)
{
        struct store *store = owner;

        (void)db, (void)name;
        store->wal_pages = n_pages;
        return SQLITE_OK;
}

/*
 * synchronous is set per connection and silently falls back on a misspelling, so it is read back. No
 * checkpoint of SQLite's own: it would run inside COMMIT, before the callers are told, or in close, and hide
 * its errors. Without the one in close -wal and -shm stay, too, and whoever may only read still can.
 */
static int set_up_file(struct sqlite *sqlite)
{
        char mode[16];
        int64_t synchronous;

        if (sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL) ||
            sqlite3_busy_timeout(sqlite->db, OPEN_BUSY_MSEC))
                return sqlite_failed(sqlite);
        if (sqlite_text(sqlite, "PRAGMA journal_mode = WAL", mode, sizeof(mode)) ||
            sqlite_run(sqlite, "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                               "PRAGMA journal_size_limit = " WAL_SIZE_LIMIT) ||
            sqlite_integer(sqlite, "PRAGMA synchronous", &synchronous))
                return -EIO;
        if (strcmp(mode, "wal") || synchronous != 2) {
                (void)snprintf(sqlite->message, sizeof(sqlite->message),
                               "journal_mode is %s and synchronous is %lld; wal and 2 (FULL) were asked for",
                               mode, (long long)synchronous);
                return -EIO;
        }
        return 0;
}

static int load_numbers(struct store *store)
{
        for (size_t i = 0; numbers_at(&store->next, i); i++) {
                char sql[80];

                (void)snprintf(sql, sizeof(sql), "SELECT value FROM meta WHERE name = '%s'", number_names[i]);
                if (sqlite_integer(&store->sqlite, sql, numbers_at(&store->next, i)))
                        return -EIO;
        }
        store->saved = store->next;
        return 0;
}

static int prepare_all(struct store *store)
{
        struct sqlite *sqlite = &store->sqlite;

        /* IMMEDIATE: a transaction that read first and writes then can fail for good (SQLITE_BUSY_SNAPSHOT).
         */
        if (sqlite_prepare(sqlite, "BEGIN IMMEDIATE", &store->begin) ||
            sqlite_prepare(sqlite, "COMMIT", &store->commit) ||
            sqlite_prepare(sqlite, "ROLLBACK", &store->rollback) ||
            sqlite_prepare(sqlite, "UPDATE meta SET value = ? WHERE name = ?", &store->save_number))
                return -EIO;
        store->plan = apply_plan_new(sqlite);
        return store->plan ? 0 : -EIO;
}

/* An empty commit takes the first reserve of grants. With the disk full the first commit that succeeds does
 * it. */
static int take_reserve(struct store *store)
{
        int r = store_begin(store);

        if (!r)
                r = store_commit(store);
        if (r)
                store_rollback(store);
        return r == STORE_E_DOUBTFUL ? r : 0;
}

static int set_up(struct store *store, bool is_file)
{
        struct sqlite *sqlite = &store->sqlite;

        store->is_file = is_file;
        if (is_file && set_up_file(sqlite))
                return store_outcome(store);
        (void)sqlite3_wal_hook(sqlite->db, note_wal_pages, store);
        if (sqlite_run(sqlite, "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024") ||
            migrations_run(sqlite) || load_numbers(store) || prepare_all(store))
                return store_outcome(store);
        return take_reserve(store);
}

static int open_path(const char *path, int flags, bool is_file, struct store **ret, struct sqlite *ret_error)
{
        _cleanup_(store_freep) struct store *store = NEW(struct store);
        int r;

        if (sqlite_open(&store->sqlite, path, flags | SQLITE_OPEN_READWRITE))
                r = store_outcome(store);
        else
                r = set_up(store, is_file);
        if (r) {
                *ret_error = store->sqlite;
                ret_error->db = NULL;
                return r;
        }
        (void)sqlite3_busy_timeout(store->sqlite.db, 0);
        *ret = TAKE(store);
        return 0;
}

int store_open(const char *path, struct store **ret, struct sqlite *ret_error)
{
        return open_path(path, 0, true, ret, ret_error);
}

int store_open_memory(struct store **ret)
{
        struct sqlite error;

        return open_path(":memory:", SQLITE_OPEN_MEMORY, false, ret, &error);
}

struct store *store_free(struct store *store)
{
        if (!store)
                return NULL;
        store->plan = apply_plan_free(store->plan);
        sqlite3_finalize(store->begin);
        sqlite3_finalize(store->commit);
        sqlite3_finalize(store->rollback);
        sqlite3_finalize(store->save_number);
        sqlite_close(&store->sqlite);
        free(store);
        return NULL;
}

static int look_at_files(struct store *store)
{
        struct wal wal;

        if (!store->is_file)
                return 0;
        if (wal_read(&store->sqlite, &wal))
                return STORE_E_AGAIN;
        if (!wal_is_whole(&wal, store->file_size)) {
                (void)snprintf(store->sqlite.message, sizeof(store->sqlite.message),
                               "its file or its WAL was cut short underneath");
                return STORE_E_DOUBTFUL;
        }
        store->file_size = wal.file_size;
        store->wal_size = wal.wal_size;
        return 0;
}

int store_begin(struct store *store)
{
        int r;

        if (!sqlite_finish(&store->sqlite, store->begin))
                return look_at_files(store);
        r = store_outcome(store);
        return r == STORE_E_REFUSED ? STORE_E_AGAIN : r; /* there is no change yet that could be at fault */
}

static int save_number(struct store *store, size_t i, int64_t value)
{
        if (sqlite3_bind_int64(store->save_number, 1, value) ||
            sqlite3_bind_text(store->save_number, 2, number_names[i], -1, SQLITE_STATIC))
                return sqlite_failed(&store->sqlite);
        return sqlite_finish(&store->sqlite, store->save_number);
}

static int save_numbers(struct store *store, const struct ledger_numbers *numbers)
{
        struct ledger_numbers values = *numbers;

        for (size_t i = 0; numbers_at(&values, i); i++)
                if (*numbers_at(&values, i) != *numbers_at(&store->saved, i) &&
                    save_number(store, i, *numbers_at(&values, i)))
                        return -EIO;
        return 0;
}

/*
 * A COMMIT that failed in a write or a sync may come back when the file is read again (the sync said no, the
 * data is in the page cache all the same). A disk or quota that was full has not taken the commit's frame;
 * SQLite says SQLITE_FULL for the one and an I/O error for the other.
 */
static int commit_outcome(const struct store *store)
{
        const int code = store->sqlite.code & 0xff;

        if (code == SQLITE_BUSY)
                return STORE_E_BUSY;
        if (code == SQLITE_FULL ||
            (store->sqlite.code == SQLITE_IOERR_WRITE && store->sqlite.system_errno == EDQUOT))
                return STORE_E_AGAIN;
        return STORE_E_DOUBTFUL;
}

static int commit(struct store *store, const struct ledger_numbers *numbers)
{
        const struct ledger_numbers saving = *numbers;

        if (save_numbers(store, &saving)) {
                int r = store_outcome(store);

                return r == STORE_E_REFUSED ? STORE_E_AGAIN : r;
        }
        if (sqlite_finish(&store->sqlite, store->commit))
                return commit_outcome(store);
        store->saved = saving;
        return 0;
}

bool store_needs_reserve(const struct store *store, int64_t grant)
{
        return grant + GRANT_RESERVE / 2 > store->saved.grant;
}

int store_commit(struct store *store)
{
        struct ledger_numbers saving = store->next;

        saving.grant = store_needs_reserve(store, store->next.grant) ? store->next.grant + GRANT_RESERVE
                                                                     : store->saved.grant;
        return commit(store, &saving);
}

int store_settle(struct store *store)
{
        int r;

        if (store->next.grant == store->saved.grant)
                return 0;
        r = store_begin(store);
        if (!r)
                r = commit(store, &store->next);
        if (r)
                store_rollback(store);
        return r;
}

void store_rollback(struct store *store)
{
        const int64_t grant = store->next.grant;

        /* Some errors have rolled back already. */
        if (!sqlite3_get_autocommit(store->sqlite.db))
                (void)sqlite3_step(store->rollback);
        (void)sqlite3_reset(store->rollback);
        store->next = store->saved;
        store->next.grant = grant; /* may have been used without a trace; and saved is ahead of it */
}

int store_restart(struct store *store)
{
        store_rollback(store);
        return load_numbers(store) ? store_outcome(store) : take_reserve(store);
}

void store_note_grant(struct store *store, int64_t grant)
{
        if (grant >= store->next.grant)
                store->next.grant = grant + 1;
}

int store_checkpoint(struct store *store)
{
        const int r =
                sqlite3_wal_checkpoint_v2(store->sqlite.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

        if ((r & 0xff) != SQLITE_IOERR && (r & 0xff) != SQLITE_CORRUPT)
                return 0;
        (void)sqlite_failed(&store->sqlite);
        return STORE_E_DOUBTFUL;
}
