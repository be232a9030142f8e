/* SPDX-License-Identifier: MIT */

/*
 * Power cuts at every sync and at random other calls of SQLite, under the daemon's own store with its writer thread.
 *
 *      powerloss [--cuts N] [--seed N]
 *
 * The daemon's life is a story of leases, members, slots, claims and sweeps (story.h) on a disk that remembers what it
 * was told to sync (disk.h). At a cut the disk's possible content goes to another directory, is opened there as a
 * new daemon would, and compared with what the old one had promised by then. Then the story goes on, or, at times, goes
 * on from there: so recoveries are cut, too. Exit status 0: nothing was found.
 *
 * Not modelled: a sync that lies, decay of data at rest.
 */

#include "disk.h"
#include "story.h"

#include "util/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS_MAX      4000
#define CHANGES_A_STORY 150 /* the checks grow with the square */

static struct {
        struct story story;
        char folder[64], disk[80], image[80], next[80];
        unsigned seed; /* of the cuts; only the thread that calls the VFS uses it */
        bool armed;
        /* the groups: the last event of each commit so far */
        int64_t groups[GROUPS_MAX], pending;
        unsigned n_groups;
        /* counts */
        unsigned n_cuts, n_at_sync, n_losses[DISK_LOSSES], n_acknowledged, n_bad, n_stories, n_wanted;
} run;

/* ---- groups ---- */

static void on_row(void *owner, int op, const char *database, const char *table, sqlite3_int64 id)
{
        (void)owner, (void)database;
        if (op == SQLITE_INSERT && !strcmp(table, "event"))
                run.pending = id;
}

static int on_commit(void *owner)
{
        (void)owner;
        if (run.pending && run.n_groups < GROUPS_MAX)
                run.groups[run.n_groups++] = run.pending;
        run.pending = 0;
        return 0;
}

static void on_rollback(void *owner)
{
        (void)owner;
        run.pending = 0;
}

static int watch_groups(sqlite3 *db, char **message, const sqlite3_api_routines *api)
{
        const char *path = sqlite3_db_filename(db, "main");

        (void)message, (void)api;
        if (!path || strncmp(path, run.disk, strlen(run.disk)) != 0)
                return SQLITE_OK;
        (void)sqlite3_update_hook(db, on_row, NULL);
        (void)sqlite3_commit_hook(db, on_commit, NULL);
        (void)sqlite3_rollback_hook(db, on_rollback, NULL);
        return SQLITE_OK;
}

/* Half of a group is there otherwise. */
static bool is_whole_group(int64_t last_event)
{
        for (unsigned i = 0; i < run.n_groups; i++)
                if (run.groups[i] == last_event)
                        return true;
        return !last_event;
}

/* ---- cuts ---- */

static void complain(const char *what, enum disk_loss loss, const char *at)
{
        static const char *const losses[DISK_LOSSES] = {"all", "a subset", "torn sectors of a subset"};

        if (run.n_bad++ < 5)
                (void)printf("cut %u, at %s, losing %s of what was not synced: %s\n", run.n_cuts, at,
                             losses[loss], what);
}

/* Under story.lock. */
static bool cut(const char *directory, const char *at, struct story_image *image)
{
        const enum disk_loss loss = (enum disk_loss)((unsigned)rand_r(&run.seed) % DISK_LOSSES);
        const char *bad;

        run.n_cuts++;
        run.n_losses[loss]++;
        disk_cut(directory, loss, &run.seed);
        bad = story_check(&run.story, directory, image);
        if (!bad && !is_whole_group(image->last_event))
                bad = "half of a group is there";
        if (bad)
                complain(bad, loss, at);
        return !bad;
}

static bool is_due(enum vfs_op op)
{
        if (op == VFS_SYNC)
                return true;
        return (op == VFS_WRITE || op == VFS_TRUNCATE || op == VFS_DELETE) && rand_r(&run.seed) % 16 == 0;
}

static int before(const struct vfs_call *call)
{
        static struct story_image image;

        pthread_mutex_lock(&run.story.lock);
        if (run.armed && is_due(call->op)) {
                run.n_at_sync += call->op == VFS_SYNC;
                (void)cut(run.image, vfs_op_name(call->op), &image);
        }
        pthread_mutex_unlock(&run.story.lock);
        return SQLITE_OK;
}

static void after(const struct vfs_call *call)
{
        pthread_mutex_lock(&run.story.lock);
        disk_note(call);
        pthread_mutex_unlock(&run.story.lock);
}

/* ---- lives ---- */

static bool is_answered(void)
{
        bool is;

        pthread_mutex_lock(&run.story.lock);
        is = !run.story.n_waiting;
        pthread_mutex_unlock(&run.story.lock);
        return is;
}

static void live(struct ledger_sqlite *ledger)
{
        const unsigned n_groups = 2 + story_random(&run.story, 6);

        for (unsigned i = 0; i < n_groups; i++) {
                story_submit(&run.story, 1 + story_random(&run.story, 8));
                while (!is_answered() && story_random(&run.story, 8)) {
                        struct pollfd fd = {.fd = ledger_sqlite_fd(ledger), .events = POLLIN};

                        (void)poll(&fd, 1, 5000);
                        if (ledger_sqlite_dispatch(ledger))
                                exit(2);
                }
        }
}

static void remove_folder(const char *folder)
{
        char command[120];

        (void)snprintf(command, sizeof(command), "rm -rf %s", folder);
        if (system(command))
                exit(2);
}

static void go_on_from_next(const struct story_image *image)
{
        story_go_on_from(&run.story, image);
        while (run.n_groups && run.groups[run.n_groups - 1] > image->last_event)
                run.n_groups--;
        remove_folder(run.disk);
        if (rename(run.next, run.disk))
                exit(2);
}

static void no_row(void *owner, const struct ledger_change *row)
{
        (void)owner, (void)row;
}

static void check_clean_stop(struct story_image *image)
{
        const char *bad;

        run.armed = false;
        bad = story_check(&run.story, run.disk, image);
        if (!bad)
                bad = story_missing(&run.story, image);
        if (bad)
                complain(bad, DISK_LOSES_ALL, "a clean stop");
}

static struct ledger_sqlite *start(void)
{
        char message[LEDGER_MESSAGE_SIZE];
        struct ledger_sqlite *ledger;
        struct ledger_numbers next;

        story_forget_held(run.disk);
        disk_begin(run.disk);
        run.armed = true;
        if (ledger_sqlite_open(run.disk, false, &ledger, message) ||
            ledger_sqlite_load(ledger, no_row, NULL, &next)) {
                (void)printf("cannot go on: %s\n", message);
                exit(2);
        }
        run.story.ledger = ledger_sqlite_seam(ledger);
        return ledger;
}

/* Ends with a clean stop, or with a power cut at any moment, which the next life goes on from. False: it cannot. */
static bool one_life(void)
{
        static struct story_image image;
        struct ledger_sqlite *ledger = start();
        const bool is_struck = story_random(&run.story, 2);
        bool goes_on = true;

        live(ledger);
        if (is_struck) {
                pthread_mutex_lock(&run.story.lock);
                goes_on = cut(run.next, "any moment", &image);
                run.armed = false; /* what comes now, nobody will ever see */
                pthread_mutex_unlock(&run.story.lock);
        }
        if (ledger_sqlite_n_refused(ledger) && run.n_bad++ < 5)
                (void)printf("the story is wrong: SQLite refuses a change of it\n");
        (void)ledger_sqlite_close(ledger);
        if (is_struck)
                go_on_from_next(&image);
        else
                check_clean_stop(&image);
        run.story.n_waiting = 0;
        return goes_on;
}

static void one_story(void)
{
        remove_folder(run.disk);
        if (mkdir(run.disk, 0700))
                exit(2);
        story_begin(&run.story, run.seed * 7919 + run.n_stories);
        run.n_groups = 0;
        run.pending = 0;
        run.n_stories++;
        while (run.story.n < CHANGES_A_STORY && run.n_cuts < run.n_wanted && one_life())
                ;
        for (unsigned i = 0; i < run.story.n; i++)
                run.n_acknowledged += run.story.changes[i].state == STORY_ACKNOWLEDGED;
}

/* In memory: what is synced is known here, and not to the kernel. */
static void make_folders(void)
{
        (void)snprintf(run.folder, sizeof(run.folder), "%s/berth-powerloss-XXXXXX",
                       access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(run.folder))
                exit(2);
        (void)snprintf(run.disk, sizeof(run.disk), "%s/disk", run.folder);
        (void)snprintf(run.image, sizeof(run.image), "%s/image", run.folder);
        (void)snprintf(run.next, sizeof(run.next), "%s/next", run.folder);
}

static int parse(int argc, char *argv[])
{
        run.n_wanted = 1000;
        run.seed = (unsigned)getpid();
        for (int i = 1; i < argc; i += 2) {
                if (i + 1 == argc)
                        return -1;
                if (!strcmp(argv[i], "--cuts"))
                        run.n_wanted = (unsigned)atoi(argv[i + 1]);
                else if (!strcmp(argv[i], "--seed"))
                        run.seed = (unsigned)atoi(argv[i + 1]);
                else
                        return -1;
        }
        return 0;
}

int main(int argc, char *argv[])
{
        static const struct vfs_hooks hooks = {before, after};

        if (parse(argc, argv)) {
                (void)fprintf(stderr, "usage: %s [--cuts N] [--seed N]\n", argv[0]);
                return 64;
        }
        make_folders();
        (void)printf("seed %u\n", run.seed);
        log_set_level(LOG_LEVEL_ERROR);
        if (sqlite3_auto_extension((void (*)(void))watch_groups))
                return 2;
        vfs_install(run.disk, &hooks);
        while (run.n_cuts < run.n_wanted)
                one_story();
        (void)printf("%u power cuts in %u stories, %u of them at a sync; lost of what was not synced: all "
                     "%u, a subset %u, "
                     "torn sectors %u; %u acknowledged changes; %u cuts lost or spoiled something\n",
                     run.n_cuts, run.n_stories, run.n_at_sync, run.n_losses[0], run.n_losses[1],
                     run.n_losses[2], run.n_acknowledged, run.n_bad);
        remove_folder(run.folder);
        return run.n_bad != 0;
}
