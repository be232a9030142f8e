/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a disk is sure to have of the files that SQLite writes, and what a power cut may leave of the rest. Everything
 * that no sync has followed is lost in one of three ways:
 *
 *      all       nothing of it has reached the disk
 *      subset    any of the writes have, others not, whatever their order was
 *      torn      the same, but for each sector of 512 bytes alone
 *
 * The name of a file comes and goes for sure only when its directory is synced (SQLite does that with the first sync of
 * a new log, and not with a deletion). The index of the WAL is memory, and always gone.
 */

#include "vfs.h"

enum disk_loss { DISK_LOSES_ALL, DISK_LOSES_SUBSET, DISK_LOSES_TORN, DISK_LOSSES };

/* Takes the files as they are for safe. */
void disk_begin(const char *directory);
/* The hook: after each call on the VFS. */
void disk_note(const struct vfs_call *call);
/* Writes into another directory, which is emptied, what there might be after a cut now. */
void disk_cut(const char *directory, enum disk_loss loss, unsigned *seed);
