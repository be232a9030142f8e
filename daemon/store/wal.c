/* SPDX-License-Identifier: MIT */
#include "store/wal.h"

#include <errno.h>
#include <stdio.h>

#define WAL_HEADER   32
#define FRAME_HEADER 24
#define INDEX_REGION 32768

/* https://sqlite.org/walformat.html, "The WAL-Index File Format"; in the byte order of the machine. */
struct index {
        uint32_t version, unused, n_changes;
        uint8_t is_init, is_big_endian;
        uint16_t page_size; /* 1: 65536 */
        uint32_t n_frames, n_pages;
        uint32_t checksums[6];
        uint8_t copy[48];
        uint32_t n_done;
};

_Static_assert(offsetof(struct index, n_frames) == 16, "as documented");
_Static_assert(offsetof(struct index, n_done) == 96, "as documented");

static int failed(struct sqlite *sqlite, int code)
{
        sqlite->code = code ? code : SQLITE_IOERR;
        (void)snprintf(sqlite->message, sizeof(sqlite->message),
                       "its files cannot be looked at: %s (SQLite %d)", sqlite3_errstr(sqlite->code),
                       sqlite->code);
        return -EIO;
}

static int size_of(struct sqlite *sqlite, int which, int64_t *ret_size, sqlite3_file **ret_file)
{
        sqlite3_file *file = NULL;
        sqlite3_int64 size;
        int r = sqlite3_file_control(sqlite->db, "main", which, &file);

        if (r || !file || !file->pMethods)
                return failed(sqlite, r);
        r = file->pMethods->xFileSize(file, &size);
        if (r)
                return failed(sqlite, r);
        *ret_size = size;
        *ret_file = file;
        return 0;
}

int wal_read(struct sqlite *sqlite, struct wal *ret)
{
        const volatile struct index *index;
        void volatile *region = NULL;
        sqlite3_file *file, *log;
        int r;

        if (size_of(sqlite, SQLITE_FCNTL_JOURNAL_POINTER, &ret->wal_size, &log) ||
            size_of(sqlite, SQLITE_FCNTL_FILE_POINTER, &ret->file_size, &file))
                return -EIO;
        /* The first region is mapped since the first transaction: this only says where. */
        r = file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &region);
        if (r || !region)
                return failed(sqlite, r);
        index = region;
        ret->n_frames = index->n_frames;
        ret->n_done = index->n_done;
        ret->n_pages = index->n_pages;
        ret->page_size = index->page_size == 1 ? 65536 : index->page_size;
        return 0;
}

bool wal_is_whole(const struct wal *wal, int64_t file_size_before)
{
        if (wal->n_frames && wal->wal_size < WAL_HEADER + wal->n_frames * (FRAME_HEADER + wal->page_size))
                return false;
        return wal->file_size >= file_size_before ||
               (wal->n_done == wal->n_frames && wal->file_size >= wal->n_pages * wal->page_size);
}
