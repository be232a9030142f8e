/* SPDX-License-Identifier: MIT */
#include "vfs.h"

#include <stdlib.h>
#include <string.h>

struct file {
        sqlite3_file base;
        sqlite3_file *real;
        char *path;
};

static sqlite3_vfs *real_vfs, vfs;
static sqlite3_io_methods methods;
static struct vfs_hooks hooks;
static const char *directory;

const char *vfs_op_name(enum vfs_op op)
{
        static const char *const names[VFS_OPS] = {
                [VFS_OPEN] = "open",         [VFS_READ] = "read",         [VFS_WRITE] = "write",
                [VFS_SYNC] = "sync",         [VFS_TRUNCATE] = "truncate", [VFS_DELETE] = "delete",
                [VFS_SIZE] = "size",         [VFS_LOCK] = "lock",         [VFS_SHM_MAP] = "shm map",
                [VFS_SHM_LOCK] = "shm lock",
        };

        return names[op];
}

static struct file *file_of(sqlite3_file *f)
{
        return (struct file *)f;
}

static sqlite3_file *real(sqlite3_file *f)
{
        return file_of(f)->real;
}

static int before(const struct vfs_call *call)
{
        return hooks.before ? hooks.before(call) : SQLITE_OK;
}

static int after(const struct vfs_call *call, int r)
{
        if (!r && hooks.after)
                hooks.after(call);
        return r;
}

/* ---- the file ---- */

static int file_close(sqlite3_file *f)
{
        int r = real(f)->pMethods->xClose(real(f));

        free(real(f));
        free(file_of(f)->path);
        return r;
}

static int file_read(sqlite3_file *f, void *data, int n, sqlite3_int64 offset)
{
        const struct vfs_call call = {
                .op = VFS_READ, .path = file_of(f)->path, .length = n, .offset = offset};
        int r = before(&call);

        return r ? r : real(f)->pMethods->xRead(real(f), data, n, offset);
}

static int file_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 offset)
{
        const struct vfs_call call = {
                .op = VFS_WRITE, .path = file_of(f)->path, .data = data, .length = n, .offset = offset};
        int r = before(&call);

        if (r == VFS_SHORT_WRITE) {
                (void)real(f)->pMethods->xWrite(real(f), data, n / 2, offset);
                return SQLITE_FULL;
        }
        return r ? r : after(&call, real(f)->pMethods->xWrite(real(f), data, n, offset));
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
        const struct vfs_call call = {.op = VFS_TRUNCATE, .path = file_of(f)->path, .offset = size};
        int r = before(&call);

        return r ? r : after(&call, real(f)->pMethods->xTruncate(real(f), size));
}

/* No real sync: power fails only in the hooks, and so a run is fast. */
static int file_sync(sqlite3_file *f, int flags)
{
        const struct vfs_call call = {.op = VFS_SYNC, .path = file_of(f)->path};
        int r = before(&call);

        (void)flags;
        return r ? r : after(&call, SQLITE_OK);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
        const struct vfs_call call = {.op = VFS_SIZE, .path = file_of(f)->path};
        int r = before(&call);

        return r ? r : real(f)->pMethods->xFileSize(real(f), ret);
}

static int file_lock(sqlite3_file *f, int level)
{
        const struct vfs_call call = {.op = VFS_LOCK, .path = file_of(f)->path};
        int r = before(&call);

        return r ? r : real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
        return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_check_lock(sqlite3_file *f, int *ret)
{
        return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
        return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int file_sector_size(sqlite3_file *f)
{
        return real(f)->pMethods->xSectorSize(real(f));
}

static int file_characteristics(sqlite3_file *f)
{
        return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
        const struct vfs_call call = {.op = VFS_SHM_MAP, .path = file_of(f)->path};
        int r = before(&call);

        return r ? r : real(f)->pMethods->xShmMap(real(f), page, size, extend, ret);
}

/* To let go never fails: SQLite has no way on from there, and neither has the kernel. */
static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
        const struct vfs_call call = {
                .op = VFS_SHM_LOCK, .path = file_of(f)->path, .length = n, .offset = offset};
        int r = flags & SQLITE_SHM_UNLOCK ? SQLITE_OK : before(&call);

        return r ? r : real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
        real(f)->pMethods->xShmBarrier(real(f));
}

static int file_shm_unmap(sqlite3_file *f, int delete)
{
        return real(f)->pMethods->xShmUnmap(real(f), delete);
}

/* ---- the VFS ---- */

static bool is_ours(const char *path)
{
        const size_t n = strlen(directory);

        return path && !strncmp(path, directory, n) && path[n] == '/';
}

static int vfs_open(sqlite3_vfs *v, const char *path, sqlite3_file *f, int flags, int *ret_flags)
{
        const struct vfs_call call = {.op = VFS_OPEN, .path = path};
        struct file *file = file_of(f);
        int r;

        (void)v;
        if (!is_ours(path))
                return real_vfs->xOpen(real_vfs, path, f, flags, ret_flags);
        *file = (struct file){.real = NULL};
        r = before(&call);
        if (r)
                return r;
        file->real = calloc(1, (size_t)real_vfs->szOsFile);
        file->path = strdup(path);
        if (!file->real || !file->path)
                abort();
        r = real_vfs->xOpen(real_vfs, path, file->real, flags, ret_flags);
        if (r) {
                free(file->real);
                free(file->path);
                return r;
        }
        file->base.pMethods = &methods;
        return after(&call, SQLITE_OK);
}

static int vfs_delete(sqlite3_vfs *v, const char *path, int sync_dir)
{
        const struct vfs_call call = {.op = VFS_DELETE, .path = path, .offset = sync_dir};
        int r;

        (void)v;
        if (!is_ours(path))
                return real_vfs->xDelete(real_vfs, path, sync_dir);
        r = before(&call);
        return r ? r : after(&call, real_vfs->xDelete(real_vfs, path, sync_dir));
}

void vfs_install(const char *below, const struct vfs_hooks *asked)
{
        directory = below;
        hooks = *asked;
        real_vfs = sqlite3_vfs_find(NULL);
        vfs = *real_vfs;
        vfs.zName = "faults";
        /* A file elsewhere is opened as the real one, in the same place. */
        if (vfs.szOsFile < (int)sizeof(struct file))
                vfs.szOsFile = sizeof(struct file);
        vfs.xOpen = vfs_open;
        vfs.xDelete = vfs_delete;
        methods = (sqlite3_io_methods){
                .iVersion = 2, /* no xFetch: what is mapped could not be seen */
                .xClose = file_close,
                .xRead = file_read,
                .xWrite = file_write,
                .xTruncate = file_truncate,
                .xSync = file_sync,
                .xFileSize = file_size,
                .xLock = file_lock,
                .xUnlock = file_unlock,
                .xCheckReservedLock = file_check_lock,
                .xFileControl = file_control,
                .xSectorSize = file_sector_size,
                .xDeviceCharacteristics = file_characteristics,
                .xShmMap = file_shm_map,
                .xShmLock = file_shm_lock,
                .xShmBarrier = file_shm_barrier,
                .xShmUnmap = file_shm_unmap,
        };
        if (sqlite3_vfs_register(&vfs, 1))
                abort();
}
