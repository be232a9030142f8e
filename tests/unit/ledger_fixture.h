/* SPDX-License-Identifier: MIT */
#pragma once

/* A real ledger in a directory of its own, and the loop's side of it. Used by test_ledger*.c. */

#include "store/ledger_sqlite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MSEC 20000
#define NOW           UINT64_C(1790000000000000)

struct fixture {
        char directory[64];
        char message[LEDGER_MESSAGE_SIZE];
        struct ledger_sqlite *ledger;
        struct ledger *seam;
        struct ledger_numbers next;
        /* what the callbacks have said */
        unsigned n_done, n_failed;
        uint64_t last_ticket;
        bool out_of_order;
};

static inline void path_of(const struct fixture *f, const char *name, char path[PATH_MAX])
{
        (void)snprintf(path, PATH_MAX, "%s/%s", f->directory, name);
}

static inline void ignore_row(void *owner, const struct ledger_change *row)
{
        (void)owner, (void)row;
}

static inline int fixture_try(struct fixture *f, bool create)
{
        int r = ledger_sqlite_open(f->directory, create, &f->ledger, f->message);

        if (r)
                return r;
        f->seam = ledger_sqlite_seam(f->ledger);
        return 0;
}

static inline void fixture_open(struct fixture *f)
{
        int r = fixture_try(f, false);

        if (r)
                print_error("%s\n", f->message);
        assert_int_equal(r, 0);
        assert_int_equal(ledger_sqlite_load(f->ledger, ignore_row, NULL, &f->next), 0);
}

static inline void fixture_close(struct fixture *f)
{
        assert_int_equal(ledger_sqlite_close(f->ledger), 0);
        f->ledger = NULL;
}

static inline int fixture_directory(void **state)
{
        struct fixture *f = test_calloc(1, sizeof(*f));

        (void)strcpy(f->directory, "/tmp/berth-ledger-XXXXXX");
        assert_non_null(mkdtemp(f->directory));
        *state = f;
        return 0;
}

static inline int fixture_setup(void **state)
{
        fixture_directory(state);
        fixture_open(*state);
        return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st, (void)type, (void)ftw;
        return remove(path);
}

static inline int fixture_teardown(void **state)
{
        struct fixture *f = *state;

        (void)ledger_sqlite_close(f->ledger);
        (void)nftw(f->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        test_free(f);
        return 0;
}

/* A done callback that wants tickets to rise. */
static inline void on_done(void *owner, uint64_t ticket, int error)
{
        struct fixture *f = owner;

        f->n_done++;
        f->n_failed += error != 0;
        f->out_of_order |= ticket <= f->last_ticket;
        f->last_ticket = ticket;
}

/* One turn of the loop; waits for the writer. */
static inline int turn(struct fixture *f)
{
        struct pollfd fd = {.fd = ledger_sqlite_fd(f->ledger), .events = POLLIN};

        assert_int_equal(poll(&fd, 1, PATIENCE_MSEC), 1);
        return ledger_sqlite_dispatch(f->ledger);
}

static inline void wait_for_done(struct fixture *f, unsigned n)
{
        while (f->n_done < n)
                assert_int_equal(turn(f), 0);
}

static inline uint64_t monotonic_msec(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void wait_for_health(struct fixture *f, bool healthy)
{
        const uint64_t start = monotonic_msec();

        while (f->seam->ops->healthy(f->seam) != healthy)
                assert_true(monotonic_msec() - start < PATIENCE_MSEC);
}

static inline struct ledger_change lease_granted(int64_t lease, const char *namespace)
{
        return (struct ledger_change){
                .kind = LEDGER_LEASE_GRANTED,
                .time_usec = NOW + (uint64_t)lease,
                .lease = lease,
                .member = lease * 10,
                .namespace = namespace,
                .uid = 1000,
                .process = {.pid = 4711, .start_ticks = 99, .pidfd_inode = 7, .boot_id = "b007"},
        };
}

static inline struct ledger_change lease_ended(int64_t lease, const char *namespace, uint64_t time_usec)
{
        return (struct ledger_change){.kind = LEDGER_LEASE_ENDED,
                                      .time_usec = time_usec,
                                      .lease = lease,
                                      .namespace = namespace,
                                      .detail = "released",
                                      .exit_status = -1};
}

static inline struct ledger_change slot_granted(int64_t grant)
{
        return (struct ledger_change){.kind = LEDGER_SLOT_GRANTED,
                                      .time_usec = NOW,
                                      .grant = grant,
                                      .lease = 1,
                                      .namespace = "alpha",
                                      .worker = "gw0",
                                      .cluster = "7312",
                                      .slot = (int)(grant % 2)};
}

static inline struct ledger_change slot_freed(int64_t grant)
{
        return (struct ledger_change){
                .kind = LEDGER_SLOT_FREED, .time_usec = NOW, .grant = grant, .detail = "released"};
}

/* Nobody waits for it. */
static inline void submit(struct fixture *f, struct ledger_change change)
{
        f->seam->ops->submit(f->seam, &change, NULL, NULL, 0);
}

/* Its callback counts in the fixture. */
static inline void submit_and_tell(struct fixture *f, struct ledger_change change, uint64_t ticket)
{
        f->seam->ops->submit(f->seam, &change, on_done, f, ticket);
}

static inline void wait_for_doubt(struct fixture *f)
{
        struct ledger_news news;

        while (turn(f) != -EIO)
                ;
        assert_true(ledger_sqlite_is_doubtful(f->ledger));
        assert_false(f->seam->ops->healthy(f->seam));
        assert_true(ledger_sqlite_news(f->ledger, &news));
        assert_non_null(strstr(news.trouble, "in doubt"));
        assert_int_equal(ledger_sqlite_dispatch(f->ledger), -EIO);
}

/* All that was submitted so far is on the disk when this returns. */
static inline void flush(struct fixture *f)
{
        f->n_done = 0;
        submit_and_tell(f, (struct ledger_change){.kind = LEDGER_NOTED, .time_usec = NOW, .detail = "flush"},
                        f->last_ticket + 1);
        wait_for_done(f, 1);
}

/* Another connection to the file, of the same SQLite, so its locks are safe. */
static inline sqlite3 *other_connection(const struct fixture *f)
{
        char path[PATH_MAX];
        sqlite3 *db;

        path_of(f, "ledger.db", path);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        return db;
}

static inline int64_t query(sqlite3 *db, const char *sql)
{
        sqlite3_stmt *statement;
        int64_t value;

        if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL))
                fail_msg("%s: %s", sql, sqlite3_errmsg(db));
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        value = sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
        return value;
}

static inline int64_t query_file(const struct fixture *f, const char *sql)
{
        sqlite3 *db = other_connection(f);
        int64_t value = query(db, sql);

        (void)sqlite3_close(db);
        return value;
}
