/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The files of the ledger in the state directory, before and beside SQLite: who may have it (a lock on a file
 * of its own), whether what lies there is ours and sound, and whether it still lies there later.
 */

#include "store/ledger_sqlite.h"

#include <limits.h>
#include <sys/stat.h>

enum place_file { PLACE_LEDGER, PLACE_WAL, PLACE_INDEX, PLACE_LOCK, PLACE_MARKER, PLACE_FILES };

struct place {
        char directory[PATH_MAX], paths[PLACE_FILES][PATH_MAX];
        int lock_fd, watch_fd;      /* -1: none */
        dev_t device;               /* 0: not noted yet */
        ino_t inodes[PLACE_MARKER]; /* of those whose loss would be the ledger's */
};

/*
 * Locks and looks. 0: there is a file for SQLite to open, perhaps a new one without a byte. -errno or
 * LEDGER_E_* with a message: nothing has been touched but the lock file.
 */
int place_outcome(int sqlite_code); /* what an error of SQLite means for a start: LEDGER_E_* */
int place_take(struct place *place, const char *directory, bool create, char message[LEDGER_MESSAGE_SIZE]);
/* The ledger is in service: leaves the marker by which a lost one is noticed. 0 or LEDGER_E_* with a message. */
int place_confirm(struct place *place, char message[LEDGER_MESSAGE_SIZE]);
void place_leave(struct place *place); /* may be given one that was not taken: lock_fd -1 */

/*
 * False: ledger.db, its -wal, its -shm or the lock has been removed or replaced. SQLite would go on writing into
 * files that nobody can open any more, and another daemon might start. The first call notes what is there.
 */
bool place_is_intact(struct place *place);
/* watch_fd is readable when a name in the state directory comes or goes. Without it only commits look. */
void place_watch(struct place *place);
bool place_has_stirred(struct place *place); /* since the last call */
