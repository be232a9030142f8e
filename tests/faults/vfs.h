/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A VFS that passes everything on to the real one, and asks before each call on a file below one directory. Files
 * elsewhere are left alone, so that what a fault has left can be looked at through the same SQLite.
 */

#include <sqlite3.h>
#include <stdbool.h>

enum vfs_op {
        VFS_OPEN,
        VFS_READ,
        VFS_WRITE,
        VFS_SYNC,
        VFS_TRUNCATE,
        VFS_DELETE,
        VFS_SIZE,
        VFS_LOCK,
        VFS_SHM_MAP,
        VFS_SHM_LOCK,
        VFS_OPS,
};

struct vfs_call {
        enum vfs_op op;
        const char *path;     /* NULL: a temporary file */
        const void *data;     /* VFS_WRITE */
        int length;           /* VFS_READ, VFS_WRITE, VFS_SHM_LOCK */
        sqlite3_int64 offset; /* or the size that VFS_TRUNCATE leaves; VFS_DELETE: is the directory synced */
};

/* before: the result that the caller gets instead of the call, or SQLITE_OK. after: only calls that went well. */
struct vfs_hooks {
        int (*before)(const struct vfs_call *call);
        void (*after)(const struct vfs_call *call);
};

#define VFS_SHORT_WRITE (-1) /* of before: half of it is written, and then the disk is full */

/* Becomes the default. Once. */
void vfs_install(const char *directory, const struct vfs_hooks *hooks);
const char *vfs_op_name(enum vfs_op op);
