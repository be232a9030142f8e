/* SPDX-License-Identifier: MIT */

/*
 * Every call that SQLite makes on its files fails, one after the other; once, and for ever from there on.
 *
 *      io [SCRIPT]
 *
 * SQLite's own loop: the first call fails, then the second, until a run comes to its end without a fault. Each run is a
 * process of its own; a start, or a recovery of what a killed daemon has left, then a story (story.h) and a stop. It may
 * fail: refuse to start, refuse changes, be in doubt. Then a new daemon opens what is left, without faults, and finds
 * all that was acknowledged and nothing that was refused. Exit status 0: always, and nothing crashed or hung.
 */

#include "story.h"
#include "vfs.h"

#include "util/log.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE      24 /* most of them wait for a deadline of the store */
#define SECONDS      60
#define ANSWER_MSEC  15000
#define SEED         7
#define WRITE_LOCK   0
#define NEVER_FAILED 10 /* exit status of a run that had no call of that number */

/* What a call gives instead, by kind of fault; 0: that kind cannot befall it. */
static const struct fault {
        const char *name;
        int results[VFS_OPS];
} faults[] = {
        {"EIO",
         {[VFS_OPEN] = SQLITE_CANTOPEN,
          [VFS_READ] = SQLITE_IOERR_READ,
          [VFS_WRITE] = SQLITE_IOERR_WRITE,
          [VFS_SYNC] = SQLITE_IOERR_FSYNC,
          [VFS_TRUNCATE] = SQLITE_IOERR_TRUNCATE,
          [VFS_DELETE] = SQLITE_IOERR_DELETE,
          [VFS_SIZE] = SQLITE_IOERR_FSTAT,
          [VFS_LOCK] = SQLITE_IOERR_LOCK,
          [VFS_SHM_MAP] = SQLITE_IOERR_SHMMAP,
          [VFS_SHM_LOCK] = SQLITE_IOERR_SHMLOCK}},
        {"ENOSPC",
         {[VFS_OPEN] = SQLITE_CANTOPEN, [VFS_WRITE] = SQLITE_FULL, [VFS_SHM_MAP] = SQLITE_IOERR_SHMSIZE}},
        {"short write", {[VFS_WRITE] = VFS_SHORT_WRITE}},
        {"busy", {[VFS_SHM_LOCK] = SQLITE_BUSY}},
};

#define N_FAULTS (sizeof(faults) / sizeof(*faults))

static struct {
        const struct fault *fault;
        int at;
        bool for_ever;
        atomic_int n_calls;
        atomic_bool armed, has_failed, serves, has_failed_sync;
} injection;

static struct story story;
static char folder[64];

static int before(const struct vfs_call *call)
{
        const int result = injection.fault ? injection.fault->results[call->op] : 0;
        int n;

        if (!result || !atomic_load(&injection.armed))
                return SQLITE_OK;
        /* A writer that is parked; SQLite waits ten seconds of its own for the other locks, which are held for moments. */
        if (result == SQLITE_BUSY && call->offset != WRITE_LOCK)
                return SQLITE_OK;
        n = atomic_fetch_add(&injection.n_calls, 1) + 1;
        if (n < injection.at || (n > injection.at && !injection.for_ever))
                return SQLITE_OK;
        atomic_store(&injection.has_failed, true);
        if (call->op == VFS_SYNC && atomic_load(&injection.serves))
                atomic_store(&injection.has_failed_sync, true);
        return result;
}

/* ---- one run ---- */

static void fail(const char *what)
{
        (void)printf("%s at call %d, %s: %s\n", injection.fault ? injection.fault->name : "no fault",
                     injection.at, injection.for_ever ? "for ever" : "once", what);
        (void)fflush(stdout);
        _exit(1);
}

static bool is_answered(void)
{
        bool is;

        pthread_mutex_lock(&story.lock);
        is = !story.n_waiting;
        pthread_mutex_unlock(&story.lock);
        return is;
}

/* False: in doubt. */
static bool serve(struct ledger_sqlite *ledger)
{
        struct pollfd fd = {.fd = ledger_sqlite_fd(ledger), .events = POLLIN};

        while (!is_answered()) {
                if (poll(&fd, 1, ANSWER_MSEC) <= 0)
                        fail("a call is not answered");
                if (ledger_sqlite_dispatch(ledger))
                        return false;
        }
        return true;
}

static unsigned n_acknowledged(void)
{
        unsigned n = 0;

        for (unsigned i = 0; i < story.n; i++)
                n += story.changes[i].state == STORY_ACKNOWLEDGED;
        return n;
}

/* Never again with that handle, though the disk may be well by now. */
static void ask_in_vain(struct ledger_sqlite *ledger)
{
        const unsigned before_it = n_acknowledged();

        atomic_store(&injection.armed, false);
        story_submit(&story, 5);
        for (int i = 0; i < 20; i++) {
                struct pollfd fd = {.fd = ledger_sqlite_fd(ledger), .events = POLLIN};

                (void)poll(&fd, 1, 1);
                if (!ledger_sqlite_dispatch(ledger))
                        fail("it has come back from its doubt");
        }
        if (n_acknowledged() != before_it)
                fail("it grants while in doubt");
}

/* R17: what a failed sync has left nobody knows. */
static void demand_doubt(struct ledger_sqlite *ledger)
{
        for (int msec = 0; msec < ANSWER_MSEC; msec++) {
                struct pollfd fd = {.fd = ledger_sqlite_fd(ledger), .events = POLLIN};

                (void)poll(&fd, 1, 1);
                if (ledger_sqlite_dispatch(ledger))
                        return;
        }
        fail("it goes on after a sync has failed");
}

static void ignore_row(void *owner, const struct ledger_change *row)
{
        (void)owner, (void)row;
}

static void ignore_event(void *owner, uint64_t ticket, const struct ledger_event *event, int error)
{
        (void)owner, (void)ticket, (void)event, (void)error;
}

/* True: it ran, and everything has been written. */
static bool live(const char *directory, int n_groups)
{
        char message[LEDGER_MESSAGE_SIZE];
        struct ledger_sqlite *ledger;
        struct ledger_numbers next;
        const unsigned first = story.n, acknowledged = n_acknowledged();
        bool is_well = true;

        story_forget_held(directory);
        if (ledger_sqlite_open(directory, false, &ledger, message))
                return false;
        if (ledger_sqlite_load(ledger, ignore_row, NULL, &next)) {
                (void)ledger_sqlite_close(ledger);
                return false;
        }
        story.ledger = ledger_sqlite_seam(ledger);
        atomic_store(&injection.serves, true);
        for (int i = 0; i < n_groups && is_well; i++) {
                story_submit(&story, 4);
                story.ledger->ops->history(story.ledger, NULL, 0, 0, 10, ignore_event, NULL, 0);
                is_well = serve(ledger);
        }
        atomic_store(&injection.serves, false);
        if (atomic_load(&injection.has_failed_sync)) {
                demand_doubt(ledger);
                is_well = false;
        }
        if (!is_well)
                ask_in_vain(ledger);
        if (ledger_sqlite_n_refused(ledger))
                fail("SQLite refuses a change");
        story.n_waiting = 0;
        /* The reserve of grants is in the first commit: on a disk that never took one there is none. */
        for (unsigned i = first; i < story.n && n_acknowledged() == acknowledged; i++)
                story.changes[i].is_unreserved = true;
        return ledger_sqlite_close(ledger) == 0 && is_well;
}

static void prepare(const char *directory)
{
        const struct vfs_hooks hooks = {before, NULL};

        log_set_level(LOG_LEVEL_ERROR);
        vfs_install(directory, &hooks);
        story_begin(&story, SEED);
}

/* What a killed daemon leaves: a file, a long WAL, and an index of it that may be wrong. */
static void leave_a_wal(const char *directory)
{
        char message[LEDGER_MESSAGE_SIZE];
        struct ledger_sqlite *ledger;

        if (!live(directory, 3) || ledger_sqlite_open(directory, false, &ledger, message))
                fail("cannot prepare");
        story.ledger = ledger_sqlite_seam(ledger);
        for (int i = 0; i < 4; i++) {
                story_submit(&story, 6);
                (void)serve(ledger);
        }
}

static const struct script {
        const char *name;
        void (*before)(const char *directory);
        int n_groups;
} scripts[] = {
        {"start", NULL, 4},
        {"recovery", leave_a_wal, 4},
};

#define N_SCRIPTS (sizeof(scripts) / sizeof(*scripts))

/* The killed daemon is a process of its own, and hands over what it has promised. */
static void let_another_be_killed(const struct script *script, const char *directory)
{
        int fds[2], status;
        pid_t pid;

        if (pipe(fds) || (pid = fork()) < 0)
                fail("cannot fork");
        if (!pid) {
                script->before(directory);
                for (size_t sent = 0; sent < sizeof(story);) {
                        const ssize_t n = write(fds[1], (char *)&story + sent, sizeof(story) - sent);

                        if (n <= 0)
                                _exit(1);
                        sent += (size_t)n;
                }
                _exit(0);
        }
        (void)close(fds[1]);
        for (size_t got = 0; got < sizeof(story);) {
                const ssize_t n = read(fds[0], (char *)&story + got, sizeof(story) - got);

                if (n <= 0)
                        fail("cannot prepare");
                got += (size_t)n;
        }
        (void)waitpid(pid, &status, 0);
        (void)pthread_mutex_init(&story.lock, NULL);
        story.n_waiting = 0;
}

static void one_run(const struct script *script, const struct fault *fault, int at, bool for_ever)
{
        static struct story_image image;
        char directory[100], command[140];
        const char *bad;
        bool is_complete;

        (void)alarm(SECONDS);
        (void)snprintf(directory, sizeof(directory), "%s/%d", folder, getpid());
        if (mkdir(directory, 0700))
                _exit(1);
        prepare(directory);
        if (script->before)
                let_another_be_killed(script, directory);
        injection.fault = fault;
        injection.at = at;
        injection.for_ever = for_ever;
        atomic_store(&injection.armed, true);
        is_complete = live(directory, script->n_groups);
        atomic_store(&injection.armed, false);

        bad = story_check(&story, directory, &image);
        if (!bad && is_complete)
                bad = story_missing(&story, &image);
        if (bad)
                fail(bad);
        (void)snprintf(command, sizeof(command), "rm -rf %s", directory);
        if (system(command))
                _exit(1);
        _exit(atomic_load(&injection.has_failed) ? 0 : NEVER_FAILED);
}

/* ---- the loop ---- */

struct tally {
        int n_running, n_points, n_bad;
        bool is_over;
};

static void reap(struct tally *tally)
{
        int status;

        if (wait(&status) < 0)
                abort();
        tally->n_running--;
        if (WIFEXITED(status) && WEXITSTATUS(status) == NEVER_FAILED) {
                tally->is_over = true;
                return;
        }
        tally->n_points++;
        if (WIFEXITED(status) && !WEXITSTATUS(status))
                return;
        tally->n_bad++;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
                (void)printf("a run crashed or hung (status %#x)\n", (unsigned)status);
}

static int loop(const struct script *script, const struct fault *fault, bool for_ever)
{
        struct tally tally = {.is_over = false};

        for (int at = 1; !tally.is_over; at++) {
                const pid_t pid = fork();

                if (pid < 0)
                        abort();
                if (!pid)
                        one_run(script, fault, at, for_ever);
                if (++tally.n_running >= AT_ONCE)
                        reap(&tally);
        }
        while (tally.n_running)
                reap(&tally);
        (void)printf("%-8s %-11s %-8s %4d points, %d bad\n", script->name, fault->name,
                     for_ever ? "for ever" : "once", tally.n_points, tally.n_bad);
        (void)fflush(stdout);
        return tally.n_bad;
}

int main(int argc, char *argv[])
{
        int n_bad = 0;

        (void)snprintf(folder, sizeof(folder), "%s/berth-io-XXXXXX",
                       access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(folder))
                return 2;
        (void)printf("seed %d of the story\n", SEED);
        (void)fflush(stdout);
        for (size_t s = 0; s < N_SCRIPTS; s++)
                for (size_t f = 0; f < 2 * N_FAULTS; f++)
                        if (argc < 2 || !strcmp(argv[1], scripts[s].name))
                                n_bad += loop(&scripts[s], &faults[f / 2], f % 2);
        if (!n_bad && rmdir(folder))
                n_bad++;
        return n_bad != 0;
}
