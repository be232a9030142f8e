/* SPDX-License-Identifier: MIT */
#include "disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 4
#define SECTOR    512
#define PATH_SIZE 512

/* One write or truncation that no sync has followed yet. */
struct change {
        struct change *next; /* shadow::changes */
        bool truncates;
        sqlite3_int64 offset; /* or the new size, when it truncates */
        int length;
        char data[];
};

struct shadow {
        char name[64];
        bool exists, has_name; /* now, and for sure after a cut */
        char *synced;
        sqlite3_int64 size, room;
        struct change *changes, **tail;
};

static char where[PATH_SIZE];
static struct shadow shadows[FILES_MAX];
static int n_shadows;
static bool is_confirmed; /* place.c has made its marker, and synced the directory */

static void *must(void *p)
{
        if (!p)
                abort();
        return p;
}

static void forget_changes(struct shadow *s)
{
        struct change *c;

        while ((c = s->changes)) {
                s->changes = c->next;
                free(c);
        }
        s->tail = &s->changes;
}

static void make_room(struct shadow *s, sqlite3_int64 size)
{
        if (size > s->room) {
                s->synced = must(realloc(s->synced, (size_t)size * 2));
                s->room = size * 2;
        }
        if (size > s->size) {
                memset(s->synced + s->size, 0, (size_t)(size - s->size));
                s->size = size;
        }
}

/* The directory was synced. */
static void harden_names(void)
{
        for (int i = 0; i < n_shadows; i++) {
                shadows[i].has_name = shadows[i].exists;
                if (!shadows[i].exists)
                        shadows[i].size = 0;
        }
}

static void harden(struct shadow *s)
{
        for (const struct change *c = s->changes; c; c = c->next) {
                if (c->truncates) {
                        make_room(s, c->offset);
                        s->size = c->offset;
                } else {
                        make_room(s, c->offset + c->length);
                        memcpy(s->synced + c->offset, c->data, (size_t)c->length);
                }
        }
        forget_changes(s);
        if (!s->has_name)
                harden_names();
}

static void read_file(struct shadow *s, const char *path)
{
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;

        if (fd < 0)
                return;
        if (fstat(fd, &st))
                abort();
        make_room(s, st.st_size);
        if (pread(fd, s->synced, (size_t)st.st_size, 0) != st.st_size)
                abort();
        (void)close(fd);
        s->exists = s->has_name = true;
}

static struct shadow *shadow_of(const char *name)
{
        for (int i = 0; i < n_shadows; i++)
                if (!strcmp(shadows[i].name, name))
                        return &shadows[i];
        return NULL;
}

static void add(const char *name)
{
        struct shadow *s = &shadows[n_shadows++];
        char path[PATH_SIZE + 64];

        if (n_shadows > FILES_MAX)
                abort();
        *s = (struct shadow){.has_name = false};
        (void)stpcpy(s->name, name);
        s->tail = &s->changes;
        (void)snprintf(path, sizeof(path), "%s/%s", where, name);
        read_file(s, path);
}

/* Careful: before SQLite opens them. To close a file that it has open would lose its locks. */
void disk_begin(const char *directory)
{
        for (int i = 0; i < n_shadows; i++) {
                forget_changes(&shadows[i]);
                free(shadows[i].synced);
        }
        n_shadows = 0;
        is_confirmed = false;
        (void)snprintf(where, sizeof(where), "%s", directory);
        add("ledger.db");
        add("ledger.db-wal");
        add("ledger.db-journal");
}

/* ---- what happens to the files ---- */

static void note_change(struct shadow *s, const struct vfs_call *call)
{
        struct change *c = must(malloc(sizeof(*c) + (size_t)call->length));

        *c = (struct change){
                .truncates = call->op == VFS_TRUNCATE, .offset = call->offset, .length = call->length};
        if (call->length)
                memcpy(c->data, call->data, (size_t)call->length);
        *s->tail = c;
        s->tail = &c->next;
}

static void note_delete(struct shadow *s, bool directory_synced)
{
        s->exists = false;
        forget_changes(s);
        if (directory_synced)
                harden_names();
}

void disk_note(const struct vfs_call *call)
{
        const char *name = call->path ? strrchr(call->path, '/') : NULL;
        struct shadow *s = name ? shadow_of(name + 1) : NULL;

        if (!s)
                return;
        if (call->op == VFS_OPEN) {
                if (!s->exists)
                        s->size = 0;
                s->exists = true;
                /* The one that place.c makes before SQLite opens it is there for sure. */
                if (!strcmp(s->name, "ledger.db"))
                        s->has_name = true;
        } else if (call->op == VFS_WRITE || call->op == VFS_TRUNCATE) {
                note_change(s, call);
        } else if (call->op == VFS_SYNC) {
                harden(s);
        } else if (call->op == VFS_DELETE) {
                note_delete(s, call->offset);
        }
}

/* ---- the power fails ---- */

static bool coin(unsigned *seed)
{
        return rand_r(seed) & 0x100;
}

static void replay(int fd, const struct change *c, enum disk_loss loss, unsigned *seed)
{
        const int step = loss == DISK_LOSES_TORN ? SECTOR : c->length;

        if (c->truncates) {
                if (coin(seed) && ftruncate(fd, c->offset))
                        abort();
                return;
        }
        for (int at = 0; at < c->length; at += step) {
                const int n = c->length - at < step ? c->length - at : step;

                if (coin(seed) && pwrite(fd, c->data + at, (size_t)n, c->offset + at) != n)
                        abort();
        }
}

static void leave(const struct shadow *s, const char *directory, enum disk_loss loss, unsigned *seed)
{
        char path[PATH_SIZE + 64];
        int fd;

        if (s->exists == s->has_name || loss == DISK_LOSES_ALL ? !s->has_name : coin(seed))
                return;
        (void)snprintf(path, sizeof(path), "%s/%s", directory, s->name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
        if (fd < 0 || pwrite(fd, s->synced, (size_t)s->size, 0) != s->size)
                abort();
        for (const struct change *c = s->changes; c && loss != DISK_LOSES_ALL; c = c->next)
                replay(fd, c, loss, seed);
        (void)close(fd);
}

static void empty(const char *directory)
{
        DIR *dir = opendir(directory);
        struct dirent *entry;

        if (!dir && mkdir(directory, 0700))
                abort();
        while (dir && (entry = readdir(dir)))
                if (entry->d_name[0] != '.')
                        (void)unlinkat(dirfd(dir), entry->d_name, 0);
        if (dir)
                (void)closedir(dir);
}

void disk_cut(const char *directory, enum disk_loss loss, unsigned *seed)
{
        char marker[PATH_SIZE + 64], copy[PATH_SIZE + 64];
        int fd;

        (void)snprintf(marker, sizeof(marker), "%s/ledger.created", where);
        if (!is_confirmed && !access(marker, F_OK)) {
                is_confirmed = true;
                harden_names();
        }
        empty(directory);
        for (int i = 0; i < n_shadows; i++)
                leave(&shadows[i], directory, loss, seed);
        (void)snprintf(copy, sizeof(copy), "%s/ledger.created", directory);
        if (!is_confirmed)
                return;
        fd = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
        if (fd < 0)
                abort();
        (void)close(fd);
}
