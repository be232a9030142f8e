/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The files of the ledger in the state directory, before and beside SQLite: who may have it (a lock on a file
 * of its own), whether what lies there is ours and sound, and whether it still lies there later.
 */

#include "store/ledger_sqlite.h"

#include <limits.h>
#include <sys/stat.h>

struct place {
        char directory[PATH_MAX], file[PATH_MAX], wal[PATH_MAX], marker[PATH_MAX];
        int lock_fd;
        dev_t device;
        ino_t file_inode, wal_inode; /* 0: not noted yet */
};

/*
 * Locks and looks. 0: there is a file for SQLite to open, perhaps a new one without a byte. -errno or
 * LEDGER_E_* with a message: nothing has been touched but the lock file.
 */
int place_take(struct place *place, const char *directory, bool create, char message[LEDGER_MESSAGE_SIZE]);
/* The ledger is in service: leaves the marker by which a lost one is noticed. 0 or -errno. */
int place_confirm(struct place *place);
void place_leave(struct place *place); /* may be given one that was not taken: lock_fd -1 */

/*
 * False: ledger.db or its -wal has been removed or replaced. SQLite would go on writing into files that
 * nobody can open any more. The first call notes what is there.
 */
bool place_is_intact(struct place *place);
