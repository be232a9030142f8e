/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ledger of the daemon: seam/ledger.h on SQLite, with a thread that writes.
 *
 *      loop's thread                        writer's thread
 *      submit ──▶ queue ──────────────────▶ takes everything queued, one transaction, COMMIT
 *      fd readable ◀── done list ◀───────── reports all of it
 *      dispatch ──▶ callbacks
 *
 * Files in the state directory: ledger.db with -wal and -shm (0640), ledger.lock (held by the one daemon),
 * ledger.created (says that there was a ledger, so that a lost one is noticed) and ledger.held (the slots held right
 * now, held.h).
 *
 * Careful: nobody else in this process may open ledger.db and close it again. That drops SQLite's POSIX
 * locks.
 *
 * Changes of slots come by the ten thousand a second and nobody waits for them. A slot granted and freed
 * again before the writer took either leaves no trace but its number. Slot changes alone are held back for up
 * to 50 ms, ends of leases and members (without a callback) for 5 ms; any other change takes them along.
 *
 * When it cannot write: BUSY is tried again for two seconds, then changes with a callback get
 * LEDGER_E_UNAVAILABLE; a full disk or a failed statement tells them at once. Changes without a callback stay
 * queued, in order, and are tried again until they are written; so does an event of the trouble itself, so that
 * healthy() comes back without anybody asking. A COMMIT that failed with an I/O error, and a ledger that was
 * removed, replaced or cut short underneath, are in doubt: nothing of that batch is called back, nothing is written
 * any more, and ledger_sqlite_dispatch returns -EIO. The daemon then ends, and a new one goes on from the file.
 * Removed files are noticed at once (inotify), and before each answer; cut ones before the next commit.
 */

#include "seam/ledger.h"

#define LEDGER_MESSAGE_SIZE 512

/* Outcomes of ledger_sqlite_open, besides LEDGER_E_UNAVAILABLE. A file that is refused stays as it is. */
enum {
        LEDGER_E_LOCKED = 2, /* another daemon, or another program that holds the file */
        LEDGER_E_CORRUPT,
        LEDGER_E_FOREIGN,  /* a sound SQLite file, but not a ledger */
        LEDGER_E_NEWER,    /* written by a later version */
        LEDGER_E_MISSING,  /* there was one, and it is gone */
        LEDGER_E_UNUSABLE, /* permissions, a folder in its place, no WAL */
        LEDGER_E_IO,       /* the disk is full or failing; perhaps not the next time */
};

struct ledger_sqlite;

/*
 * Opens or creates the ledger and starts its thread. create: an operator wants an empty one in place of one
 * that is missing. If not 0, message is one line, "what; why; do this". -errno: the state directory itself.
 */
int ledger_sqlite_open(const char *state_dir, bool create, struct ledger_sqlite **ret,
                       char message[LEDGER_MESSAGE_SIZE]);
/*
 * Writes what is queued, ends the thread, checkpoints, frees. No callback is made any more. NULL is allowed.
 * LEDGER_E_UNAVAILABLE: changes without a callback could not be written and are lost (tried for two seconds).
 */
int ledger_sqlite_close(struct ledger_sqlite *ledger);

struct ledger *ledger_sqlite_seam(struct ledger_sqlite *ledger);

/* What was there at the last stop (seam/ledger.h). Once, before the first change. 0 or -EIO. */
int ledger_sqlite_load(struct ledger_sqlite *ledger, ledger_load_fn *each, void *owner,
                       struct ledger_numbers *ret_next);

/* Readable when there is something to dispatch. Owned by the ledger. */
int ledger_sqlite_fd(const struct ledger_sqlite *ledger);
/* Makes the callbacks that are due, on the caller's thread. 0, or -EIO: the ledger is in doubt, end the
 * process. */
int ledger_sqlite_dispatch(struct ledger_sqlite *ledger);

/*
 * For whoever is no daemon: is the ledger in that folder sound? Nothing is written. 0; -ENOENT: there is none; -EACCES;
 * -EIO: it cannot be read, ret->fault says why.
 */
int ledger_sqlite_inspect_file(const char *state_dir, struct ledger_inspection *ret);

bool ledger_sqlite_is_doubtful(const struct ledger_sqlite *ledger);
/* One line each, "what; why; do this", or "". */
struct ledger_news {
        char trouble[LEDGER_MESSAGE_SIZE]; /* why it cannot be written */
        char warning[LEDGER_MESSAGE_SIZE]; /* what keeps its WAL from being cut back */
};

/*
 * *ret is how things are. Has any of it changed since the last call? After each change there is something to dispatch.
 * What takes a moment only is not told.
 */
bool ledger_sqlite_news(struct ledger_sqlite *ledger, struct ledger_news *ret);
/* Changes that SQLite refused for what they are (a bug of ours). Each was left out; its caller was told. */
unsigned ledger_sqlite_n_refused(const struct ledger_sqlite *ledger);
unsigned ledger_sqlite_n_commits(const struct ledger_sqlite *ledger);

/*
 * Forgets history before older_than_usec (real time), in the background and in small steps: events, sweeps
 * but the last, leases that have ended and their members. A lease stays while its namespace is kept, and the
 * last one of a namespace while a schema of it is sighted or claimed.
 */
void ledger_sqlite_prune(struct ledger_sqlite *ledger, uint64_t older_than_usec);
