/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tables of the ledger on one SQLite connection: transactions, and the numbers never used so far. No
 * thread and no queue: the writer drives it for the daemon, and the simulation drives it on a database in
 * memory:
 *
 *      store_open_memory(&store);
 *      store_begin(store); ledger_apply(store, change); ... store_commit(store);
 *      store_restart(store); ledger_load_from(store, each, owner, &next);      a crash: what was committed
 *
 * Numbers of grants are saved with a reserve, because a slot granted and freed at once never reaches the
 * disk.
 */

#include "seam/ledger.h"
#include "store/sqlite.h"
#include "util/cleanup.h"

/* Outcomes of begin, apply and commit. After one of the first three:
 * store_rollback, and nothing was written. */
enum {
        STORE_E_BUSY = 1, /* another program holds the write lock */
        STORE_E_AGAIN,    /* disk full, I/O error in a statement, ...: may go well later */
        STORE_E_REFUSED,  /* this change can never be applied: a bug */
        STORE_E_DOUBTFUL, /* nobody knows what is on the disk. Use it no more. */
};

struct apply_plan;

struct store {
        struct sqlite sqlite;
        struct apply_plan *plan; /* prepared statements of apply.c */
        sqlite3_stmt *begin, *commit, *rollback, *save_number;
        struct ledger_numbers next;  /* first numbers never used */
        struct ledger_numbers saved; /* as in meta; its grant is ahead by the reserve */
        bool is_file;                /* false: in memory */
        int64_t file_size, wal_size; /* bytes, as of the last transaction's begin */
        int wal_pages;               /* as of the last commit */
};

/* The file must exist (place.c makes it). Migrates. 0, STORE_E_*; *ret_error has the reason, and no connection. */
int store_open(const char *path, struct store **ret, struct sqlite *ret_error);
int store_open_memory(struct store **ret);
struct store *store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free)

/* STORE_E_DOUBTFUL, too, if somebody has cut the file or its WAL short. */
int store_begin(struct store *store) MUST_CHECK;
int store_commit(struct store *store) MUST_CHECK;
void store_rollback(struct store *store);
/* As if the process had died and the next one had opened the file. 0 or STORE_E_*. */
int store_restart(struct store *store);

/* The meaning of the last error of the connection, outside of COMMIT: STORE_E_*. */
int store_outcome(const struct store *store);
/* SQLite's words for the last error. */
const char *store_error(const struct store *store);

/* A grant that was never written; its number must not come back. */
void store_note_grant(struct store *store, int64_t grant);
/* The reserve is half used up: time for a commit, even of nothing. */
bool store_needs_reserve(const struct store *store, int64_t grant);
/* Gives back the reserve before a clean stop. */
int store_settle(struct store *store);
/* 0, or STORE_E_DOUBTFUL. Moves what it can of the WAL into the file;
 * readers and full disks only put it off. */
int store_checkpoint(struct store *store);
