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
#include <sys/inotify.h>

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
        static const char *const names[PLACE_FILES] = {
                [PLACE_LEDGER] = "/ledger.db",      [PLACE_WAL] = "/ledger.db-wal",
                [PLACE_INDEX] = "/ledger.db-shm",   [PLACE_LOCK] = "/ledger.lock",
                [PLACE_MARKER] = "/ledger.created",
        };

        if (snprintf(place->directory, PATH_MAX, "%s", directory) >= PATH_MAX - 32)
                return -ENAMETOOLONG;
        for (size_t i = 0; i < PLACE_FILES; i++)
                (void)stpcpy(stpcpy(place->paths[i], directory), names[i]);
        return 0;
}

/* The lock goes with the process, and never is a POSIX lock: those of SQLite would be lost with it. */
static int lock(struct place *place, char *message)
{
        char holder[24] = "";
        int fd;

        fd = open(place->paths[PLACE_LOCK], O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
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

int place_outcome(int sqlite_code)
{
        switch (sqlite_code & 0xff) {
        case SQLITE_BUSY:
                return LEDGER_E_LOCKED;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return LEDGER_E_CORRUPT;
        case SQLITE_FULL:
        case SQLITE_IOERR:
                return LEDGER_E_IO;
        default:
                return LEDGER_E_UNUSABLE;
        }
}

/* A disk that is full or failing may be well again; what else stands in the way somebody has to change. */
static int outcome_of_errno(int r)
{
        return r == -ENOSPC || r == -EDQUOT || r == -EIO ? LEDGER_E_IO : LEDGER_E_UNUSABLE;
}

static int refuse_unreadable(const struct place *place, const struct sqlite *sqlite, char *message)
{
        const int outcome = place_outcome(sqlite->code);

        if (outcome == LEDGER_E_LOCKED)
                return refuse(LEDGER_E_LOCKED, message,
                              "the ledger %s is locked; %s; end the program that has it open",
                              place->paths[PLACE_LEDGER], sqlite->message);
        if (outcome == LEDGER_E_CORRUPT)
                return refuse(LEDGER_E_CORRUPT, message,
                              "the ledger %s is damaged; %s; put a sound copy in its place, or move it and "
                              "%s away to "
                              "start empty",
                              place->paths[PLACE_LEDGER], sqlite->message, place->paths[PLACE_MARKER]);
        return refuse(outcome, message,
                      "the ledger %s cannot be read; %s; check its permissions and the disk",
                      place->paths[PLACE_LEDGER], sqlite->message);
}

static int refuse_empty(const struct place *place, char *message)
{
        return refuse(
                LEDGER_E_CORRUPT, message,
                "the ledger %s is damaged; it is empty and was not before; put a sound copy in its place, or "
                "remove it and %s to start empty",
                place->paths[PLACE_LEDGER], place->paths[PLACE_MARKER]);
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
        if (!application && !version && !n_tables)
                return used ? refuse_empty(place, message) : 0;
        if (application != LEDGER_APPLICATION_ID || version < 1)
                return refuse(LEDGER_E_FOREIGN, message,
                              "%s is not a ledger; it belongs to another program (application_id %lld); move "
                              "it away",
                              place->paths[PLACE_LEDGER], (long long)application);
        if (version > migrations_latest())
                return refuse(LEDGER_E_NEWER, message,
                              "the ledger %s is too new; a later version wrote it (%lld, this one knows "
                              "%lld); install "
                              "that version again",
                              place->paths[PLACE_LEDGER], (long long)version, (long long)migrations_latest());
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

/* Without the checkpoint that closing would make: whatever this is, it stays as it is. */
static int look(const struct place *place, int flags, bool used, struct sqlite *sqlite, char *message)
{
        int r;

        if (sqlite_open(sqlite, place->paths[PLACE_LEDGER], flags) ||
            sqlite3_busy_timeout(sqlite->db, PROBE_BUSY_MSEC) ||
            sqlite3_db_config(sqlite->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL))
                r = refuse_unreadable(place, sqlite, message);
        else
                r = check_content(place, sqlite, used, message);
        sqlite_close(sqlite);
        return r;
}

/*
 * Read-only, but for one case: the power failed while SQLite made the first page, before the file was a WAL's. Its
 * rollback journal can only be played back by somebody who may write.
 */
static int probe(const struct place *place, bool used, char *message)
{
        struct sqlite sqlite = {};
        int r = look(place, SQLITE_OPEN_READONLY, used, &sqlite, message);

        if (r && !used && sqlite.code == SQLITE_READONLY_ROLLBACK) {
                sqlite = (struct sqlite){};
                r = look(place, SQLITE_OPEN_READWRITE, used, &sqlite, message);
        }
        return r;
}

static int start_empty(const struct place *place, char *message)
{
        int r = create_file(place, place->paths[PLACE_LEDGER]);

        if (r)
                return refuse(outcome_of_errno(r), message,
                              "the ledger %s cannot be made; %s; check the state directory",
                              place->paths[PLACE_LEDGER], strerror(-r));
        return 0;
}

static int examine(const struct place *place, bool create, char *message)
{
        const bool used = !access(place->paths[PLACE_MARKER], F_OK);
        struct stat st;

        if (lstat(place->paths[PLACE_LEDGER], &st)) {
                if (errno != ENOENT)
                        return refuse(LEDGER_E_UNUSABLE, message,
                                      "the ledger %s cannot be read; %m; check its permissions and the disk",
                                      place->paths[PLACE_LEDGER]);
                if (used && !create)
                        return refuse(LEDGER_E_MISSING, message,
                                      "the ledger %s is gone; it was there before; put it back, or remove %s "
                                      "to start "
                                      "with an empty one",
                                      place->paths[PLACE_LEDGER], place->paths[PLACE_MARKER]);
                return start_empty(place, message);
        }
        if (!S_ISREG(st.st_mode))
                return refuse(LEDGER_E_UNUSABLE, message,
                              "the ledger %s cannot be used; it is not a file; move it away",
                              place->paths[PLACE_LEDGER]);
        /* SQLite would take a file without a byte for a new database. */
        if (st.st_size == 0 && used)
                return refuse_empty(place, message);
        return st.st_size == 0 ? 0 : probe(place, used, message);
}

/* One that was put there by hand may be open to all; what the owner has taken away stays away. */
static void narrow(const struct place *place)
{
        struct stat st;

        for (size_t i = 0; i <= PLACE_INDEX; i++)
                if (!lstat(place->paths[i], &st) && S_ISREG(st.st_mode) && (st.st_mode & 07777 & ~FILE_MODE))
                        (void)chmod(place->paths[i], st.st_mode & FILE_MODE);
}

int place_take(struct place *place, const char *directory, bool create, char message[LEDGER_MESSAGE_SIZE])
{
        int r;

        *place = (struct place){.lock_fd = -1, .watch_fd = -1};
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

int place_confirm(struct place *place, char message[LEDGER_MESSAGE_SIZE])
{
        int r = create_file(place, place->paths[PLACE_MARKER]);

        if (!r || r == -EEXIST)
                return 0;
        return refuse(outcome_of_errno(r), message,
                      "%s cannot be made; %s; check the state directory and its disk",
                      place->paths[PLACE_MARKER], strerror(-r));
}

void place_leave(struct place *place)
{
        closep(&place->lock_fd);
        closep(&place->watch_fd);
        place->lock_fd = place->watch_fd = -1;
}

bool place_is_intact(struct place *place)
{
        const bool first = !place->device;
        struct stat st;

        /* stat opens nothing, so it costs SQLite no lock. */
        for (size_t i = 0; i < PLACE_MARKER; i++) {
                if (stat(place->paths[i], &st))
                        return false;
                if (first) {
                        place->device = st.st_dev;
                        place->inodes[i] = st.st_ino;
                }
                if (st.st_dev != place->device || st.st_ino != place->inodes[i])
                        return false;
        }
        return true;
}

void place_watch(struct place *place)
{
        place->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (place->watch_fd >= 0 &&
            inotify_add_watch(place->watch_fd, place->directory,
                              IN_CREATE | IN_DELETE | IN_MOVE | IN_DELETE_SELF | IN_MOVE_SELF) < 0) {
                closep(&place->watch_fd);
                place->watch_fd = -1;
        }
}

bool place_has_stirred(struct place *place)
{
        char events[4096] __attribute__((aligned(8)));
        bool any = false;

        while (place->watch_fd >= 0 && read(place->watch_fd, events, sizeof(events)) > 0)
                any = true;
        return any;
}
