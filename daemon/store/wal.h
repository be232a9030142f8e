/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the write-ahead log and the file hold by the index that all connections share, against how long they are.
 * SQLite does not look: cut short by somebody, it writes behind a gap, acknowledges, and the next start reads
 * nothing.
 */

#include "store/sqlite.h"

struct wal {
        int64_t n_frames, n_done; /* pages in the WAL, and how many of the first are in the file as well */
        int64_t n_pages;          /* of the database; 0: never written since the index was made */
        int64_t page_size;
        int64_t wal_size, file_size; /* bytes */
};

/* In a write transaction, or what it says may be mixed of two moments. 0 or -EIO. */
int wal_read(struct sqlite *sqlite, struct wal *ret) MUST_CHECK;
/* file_size_before: as of the last look. Who compacts the file makes it shorter, but leaves it whole. */
bool wal_is_whole(const struct wal *wal, int64_t file_size_before);
