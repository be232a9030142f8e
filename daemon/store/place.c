/* SPDX-License-Identifier: MIT */
#include "store/place.h"

#include "store/migrations.h"
#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

/* The group may read. Whoever may open -shm may also block the writer, so nobody else (SQLite gives -wal and
 * -shm the mode of the file). */
#define FILE_MODE 0640

#define PROBE_BUSY_MSEC 1000

static int refuse(int outcome, char *message, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int refuse(int outcome, char *message, const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(message, LEDGER_MESSAGE_SIZE, format, arguments);
        va_end(arguments);
        return outcome;
}

static int sync_directory(const struct place *place)
{
        _cleanup_close_ int fd = open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 || fsync(fd) ? -errno : 0;
}

static int create_file(const struct place *place, const char *path)
{
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);

        if (fd < 0 || fchmod(fd, FILE_MODE))
                return -errno;
        return sync_directory(place);
}

static int set_paths(struct place *place, const char *directory)
{
        const struct {
                char *path;
                const char *name;
        } files[] = {{place->file, "/ledger.db"},
                     {place->wal, "/ledger.db-wal"},
                     {place->marker, "/ledger.created"}};

        if (snprintf(place->directory, PATH_MAX, "%s", directory) >= PATH_MAX - 32)
                return -ENAMETOOLONG;
        for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
                (void)stpcpy(stpcpy(files[i].path, directory), files[i].name);
        return 0;
}

/* The lock goes with the process, and never is a POSIX lock: those of SQLite would be lost with it. */
static int lock(struct place *place, char *message)
{
        char path[PATH_MAX + 16], holder[24] = "";
        int fd;

        (void)snprintf(path, sizeof(path), "%s/ledger.lock", place->directory);
        fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        if (fd < 0)
                return refuse(-errno, message,
                              "cannot use the state directory %s; %m; make it a directory that the daemon "
                              "may write to",
                              place->directory);
        place->lock_fd = fd;
        if (flock(fd, LOCK_EX | LOCK_NB)) {
                if (pread(fd, holder, sizeof(holder) - 1, 0) < 0)
                        holder[0] = '\0';
                return refuse(
                        LEDGER_E_LOCKED, message,
                        "the ledger in %s is in use; another daemon holds it (pid %.*s); stop that one first",
                        place->directory, (int)strcspn(holder, "\n"), holder);
        }
        (void)snprintf(holder, sizeof(holder), "%ld\n", (long)getpid());
        /* Only a help for people: a full disk is no reason to stay away. */
        if (ftruncate(fd, 0) || pwrite(fd, holder, strlen(holder), 0) < 0)
                return 0;
        return 0;
}

/* What an error of SQLite means for somebody who only wanted to look. */
static int refuse_unreadable(const struct place *place, const struct sqlite *sqlite, char *message)
{
        const int code = sqlite->code & 0xff;

        if (code == SQLITE_BUSY)
                return refuse(LEDGER_E_LOCKED, message,
                              "the ledger %s is locked; %s; end the program that has it open", place->file,
                              sqlite->message);
        if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
                return refuse(LEDGER_E_CORRUPT, message,
                              "the ledger %s is damaged; %s; put a sound copy in its place, or move it and "
                              "%s away to "
                              "start empty",
                              place->file, sqlite->message, place->marker);
        return refuse(LEDGER_E_UNUSABLE, message,
                      "the ledger %s cannot be read; %s; check its permissions and the disk", place->file,
                      sqlite->message);
}

static int check_content(const struct place *place, struct sqlite *sqlite, bool used, char *message)
{
        int64_t application, version, n_tables;
        char check[160];

        if (sqlite_integer(sqlite, "PRAGMA application_id", &application) ||
            sqlite_integer(sqlite, "PRAGMA user_version", &version) ||
            sqlite_integer(sqlite, "SELECT count(*) FROM sqlite_schema", &n_tables))
                return refuse_unreadable(place, sqlite, message);
        /* Its first start was cut short before the first table: still as good as new. */
        if (!used && !application && !version && !n_tables)
                return 0;
        if (application != LEDGER_APPLICATION_ID || version < 1)
                return refuse(LEDGER_E_FOREIGN, message,
                              "%s is not a ledger; it belongs to another program (application_id %lld); move "
                              "it away",
                              place->file, (long long)application);
        if (version > migrations_latest())
                return refuse(LEDGER_E_NEWER, message,
                              "the ledger %s is too new; a later version wrote it (%lld, this one knows "
                              "%lld); install "
                              "that version again",
                              place->file, (long long)version, (long long)migrations_latest());
        if (sqlite_text(sqlite, "PRAGMA quick_check(1)", check, sizeof(check)))
                return refuse_unreadable(place, sqlite, message);
        if (strcmp(check, "ok")) {
                sqlite->code = SQLITE_CORRUPT;
                (void)snprintf(sqlite->message, sizeof(sqlite->message), "%.*s", (int)strcspn(check, "\n"),
                               check);
                return refuse_unreadable(place, sqlite, message);
        }
        return 0;
}

/* Read-only, and without the checkpoint that closing would make: whatever this is, it stays as it is. */
static int probe(const struct place *place, bool used, char *message)
{
        struct sqlite sqlite = {};
        int r;

        if (sqlite_open(&sqlite, place->file, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOFOLLOW) ||
            sqlite3_busy_timeout(sqlite.db, PROBE_BUSY_MSEC) ||
            sqlite3_db_config(sqlite.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL))
                r = refuse_unreadable(place, &sqlite, message);
        else
                r = check_content(place, &sqlite, used, message);
        sqlite_close(&sqlite);
        return r;
}

static int start_empty(const struct place *place, char *message)
{
        int r = create_file(place, place->file);

        if (r)
                return refuse(LEDGER_E_UNUSABLE, message,
                              "the ledger %s cannot be made; %s; check the state directory", place->file,
                              strerror(-r));
        return 0;
}

static int examine(const struct place *place, bool create, char *message)
{
        const bool used = !access(place->marker, F_OK);
        struct stat st;

        if (lstat(place->file, &st)) {
                if (errno != ENOENT)
                        return refuse(LEDGER_E_UNUSABLE, message,
                                      "the ledger %s cannot be read; %m; check its permissions and the disk",
                                      place->file);
                if (used && !create)
                        return refuse(LEDGER_E_MISSING, message,
                                      "the ledger %s is gone; it was there before; put it back, or remove %s "
                                      "to start "
                                      "with an empty one",
                                      place->file, place->marker);
                return start_empty(place, message);
        }
        if (!S_ISREG(st.st_mode))
                return refuse(LEDGER_E_UNUSABLE, message,
                              "the ledger %s cannot be used; it is not a file; move it away", place->file);
        /* SQLite would take a file without a byte for a new database. */
        if (st.st_size == 0 && used)
                return refuse(LEDGER_E_CORRUPT, message,
                              "the ledger %s is damaged; it is empty and was not before; put a sound copy in "
                              "its place, "
                              "or remove it and %s to start empty",
                              place->file, place->marker);
        return st.st_size == 0 ? 0 : probe(place, used, message);
}

/* One that was put there by hand may be open to all; what the owner has taken away stays away. */
static void narrow(const struct place *place)
{
        char shm[PATH_MAX + 8];
        const char *const paths[] = {place->file, place->wal, shm};
        struct stat st;

        (void)snprintf(shm, sizeof(shm), "%s-shm", place->file);
        for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
                if (!lstat(paths[i], &st) && S_ISREG(st.st_mode) && (st.st_mode & 07777 & ~FILE_MODE))
                        (void)chmod(paths[i], st.st_mode & FILE_MODE);
}

int place_take(struct place *place, const char *directory, bool create, char message[LEDGER_MESSAGE_SIZE])
{
        int r;

        *place = (struct place){.lock_fd = -1};
        r = set_paths(place, directory);
        if (r)
                return refuse(r, message,
                              "the state directory %s cannot be used; its path is too long; shorten it",
                              directory);
        r = lock(place, message);
        if (!r)
                r = examine(place, create, message);
        if (r)
                place_leave(place);
        else
                narrow(place);
        return r;
}

int place_confirm(struct place *place)
{
        int r = create_file(place, place->marker);

        return r == -EEXIST ? 0 : r;
}

void place_leave(struct place *place)
{
        closep(&place->lock_fd);
        place->lock_fd = -1;
}

bool place_is_intact(struct place *place)
{
        struct stat file, wal;

        /* stat opens nothing, so it costs SQLite no lock. */
        if (stat(place->file, &file) || stat(place->wal, &wal))
                return false;
        if (!place->file_inode) {
                place->device = file.st_dev;
                place->file_inode = file.st_ino;
                place->wal_inode = wal.st_ino;
        }
        return file.st_dev == place->device && file.st_ino == place->file_inode &&
               wal.st_dev == place->device && wal.st_ino == place->wal_inode;
}
