/* SPDX-License-Identifier: MIT */

/*
 * The ledger on a real file: what is submitted comes back after a restart, callbacks keep their order,
 * changes share commits, slots that come and go cost nothing, and history is told and forgotten as promised.
 */

#include "ledger_fixture.h"

#include "store/apply.h"
#include "store/load.h"

#define ROWS_MAX 64

/* Loaded rows, with their texts. */
struct rows {
        unsigned n;
        struct ledger_change rows[ROWS_MAX];
};

static void keep_row(void *owner, const struct ledger_change *row)
{
        struct rows *rows = owner;
        struct ledger_change *copy = &rows->rows[rows->n++];
        const char **texts[] = {&copy->namespace, &copy->label,    &copy->worker,  &copy->request,
                                &copy->cluster,   &copy->database, &copy->schema,  &copy->oid,
                                &copy->detail,    &copy->reason,   &copy->message, &copy->sqlstate};

        assert_true(rows->n <= ROWS_MAX);
        *copy = *row;
        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                if (*texts[i])
                        *texts[i] = strdup(*texts[i]);
}

static void free_rows(struct rows *rows)
{
        for (unsigned i = 0; i < rows->n; i++) {
                struct ledger_change *row = &rows->rows[i];
                const char *texts[] = {row->namespace, row->label,    row->worker,  row->request,
                                       row->cluster,   row->database, row->schema,  row->oid,
                                       row->detail,    row->reason,   row->message, row->sqlstate};

                for (size_t j = 0; j < sizeof(texts) / sizeof(*texts); j++)
                        free((char *)texts[j]);
        }
        memset(rows, 0, sizeof(*rows));
}

static void reload(struct fixture *f, struct rows *rows)
{
        fixture_close(f);
        assert_int_equal(fixture_try(f, false), 0);
        rows->n = 0;
        assert_int_equal(ledger_sqlite_load(f->ledger, keep_row, rows, &f->next), 0);
}

static void what_was_submitted_comes_back_after_a_restart(void **state)
{
        struct fixture *f = *state;
        struct rows loaded;
        struct ledger_change lease = lease_granted(1, "alpha"), *row = loaded.rows;

        lease.label = "nightly";
        lease.request = "req-1";
        lease.forced = true;
        lease.role = ROLE_CONTROLLER;
        memset(lease.secret_hash, 0xa5, sizeof(lease.secret_hash));
        submit(f, lease);
        submit(f, lease_granted(2, "beta"));
        submit(f, (struct ledger_change){.kind = LEDGER_MEMBER_JOINED,
                                         .lease = 1,
                                         .member = 30,
                                         .role = ROLE_WORKER,
                                         .worker = "gw3",
                                         .uid = 1001,
                                         .time_usec = NOW + 5});
        submit(f, (struct ledger_change){
                          .kind = LEDGER_MEMBER_JOINED, .lease = 1, .member = 31, .role = ROLE_CHILD});
        submit(f, (struct ledger_change){.kind = LEDGER_MEMBER_LEFT, .lease = 1, .member = 31});
        submit(f, lease_ended(2, "beta", NOW + 9));
        submit(f, (struct ledger_change){
                          .kind = LEDGER_LEASE_KEPT, .namespace = "beta", .until_usec = NOW + 77});
        submit(f, (struct ledger_change){
                          .kind = LEDGER_LEASE_KEPT, .namespace = "alpha", .until_usec = NOW + 78});
        submit(f, slot_granted(4));
        submit(f, (struct ledger_change){.kind = LEDGER_CLAIMED,
                                         .database = "tenant1",
                                         .schema = "test_beta_gw0",
                                         .oid = "16400",
                                         .namespace = "beta",
                                         .sweep = 6,
                                         .time_usec = NOW});
        submit(f, (struct ledger_change){.kind = LEDGER_SIGHTED,
                                         .database = "tenant2",
                                         .schema = "test_x_gw0",
                                         .oid = "16401",
                                         .time_usec = NOW + 3});
        submit(f, (struct ledger_change){.kind = LEDGER_SWEPT,
                                         .sweep = 6,
                                         .complete = true,
                                         .detail = "{}",
                                         .time_usec = NOW + 11});
        reload(f, &loaded);

        assert_int_equal(loaded.n, 8);
        assert_int_equal(row->kind, LEDGER_LEASE_GRANTED);
        assert_int_equal(row->lease, 1);
        assert_int_equal(row->member, 10);
        assert_int_equal(row->time_usec, lease.time_usec);
        assert_string_equal(row->namespace, "alpha");
        assert_string_equal(row->label, "nightly");
        assert_string_equal(row->request, "req-1");
        assert_true(row->forced);
        assert_int_equal(row->uid, 1000);
        assert_int_equal(row->role, ROLE_CONTROLLER);
        assert_int_equal(row->until_usec, NOW + 78);
        assert_memory_equal(row->secret_hash, lease.secret_hash, LEDGER_SECRET_HASH_SIZE);
        assert_int_equal(row->process.pid, 4711);
        assert_int_equal(row->process.start_ticks, 99);
        assert_int_equal(row->process.pidfd_inode, 7);
        assert_string_equal(row->process.boot_id, "b007");
        row++;
        assert_int_equal(row->kind, LEDGER_LEASE_ENDED);
        assert_string_equal(row->namespace, "beta");
        assert_string_equal(row->detail, "released");
        assert_int_equal(row->exit_status, -1);
        assert_int_equal(row->uid, 1000);
        assert_int_equal(row->time_usec, NOW + 9);
        assert_int_equal(row->until_usec, NOW + 77);
        row++;
        assert_int_equal(row->kind, LEDGER_MEMBER_JOINED);
        assert_int_equal(row->member, 10);
        assert_int_equal(row->role, ROLE_CONTROLLER);
        assert_int_equal(row->process.pid, 4711);
        row++;
        assert_int_equal(row->kind, LEDGER_MEMBER_JOINED);
        assert_int_equal(row->member, 30);
        assert_int_equal(row->role, ROLE_WORKER);
        assert_string_equal(row->worker, "gw3");
        assert_int_equal(row->uid, 1001);
        assert_int_equal(row->process.pid, 0);
        assert_string_equal(row->process.boot_id, "");
        row++;
        assert_int_equal(row->kind, LEDGER_SLOT_GRANTED);
        assert_int_equal(row->grant, 4);
        assert_string_equal(row->cluster, "7312");
        assert_string_equal(row->worker, "gw0");
        row++;
        assert_int_equal(row->kind, LEDGER_CLAIMED);
        assert_string_equal(row->database, "tenant1");
        assert_string_equal(row->schema, "test_beta_gw0");
        assert_string_equal(row->oid, "16400");
        assert_string_equal(row->namespace, "beta");
        assert_int_equal(row->sweep, 6);
        row++;
        assert_int_equal(row->kind, LEDGER_SIGHTED);
        assert_int_equal(row->time_usec, NOW + 3);
        row++;
        assert_int_equal(row->kind, LEDGER_SWEPT);
        assert_true(row->complete);
        assert_false(row->dry_run);
        assert_string_equal(row->detail, "{}");

        assert_int_equal(f->next.lease, 3);
        assert_int_equal(f->next.member, 32);
        assert_int_equal(f->next.grant, 5);
        assert_int_equal(f->next.sweep, 7);
        free_rows(&loaded);
}

static void what_has_gone_does_not_come_back(void **state)
{
        struct fixture *f = *state;
        struct rows loaded;
        struct ledger_change at = {
                .database = "d", .schema = "test_beta_gw0", .oid = "1", .namespace = "beta"};
        const enum ledger_change_kind kinds[] = {LEDGER_CLAIMED, LEDGER_SIGHTED, LEDGER_UNCLAIMED,
                                                 LEDGER_UNSIGHTED};

        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                at.kind = kinds[i];
                submit(f, at);
        }
        submit(f, lease_granted(1, "beta"));
        submit(f, (struct ledger_change){.kind = LEDGER_LEASE_KEPT, .namespace = "beta", .until_usec = NOW});
        submit(f, (struct ledger_change){.kind = LEDGER_LEASE_KEPT, .namespace = "beta"});
        submit(f, slot_granted(1));
        flush(f);
        submit(f, slot_freed(1));
        flush(f);
        reload(f, &loaded);
        assert_int_equal(loaded.n, 2);
        assert_int_equal(loaded.rows[0].kind, LEDGER_LEASE_GRANTED);
        assert_int_equal(loaded.rows[0].until_usec, 0);
        assert_int_equal(loaded.rows[1].kind, LEDGER_MEMBER_JOINED);
        free_rows(&loaded);
}

static void only_the_last_ended_lease_of_a_namespace_is_loaded(void **state)
{
        struct fixture *f = *state;
        struct rows loaded;

        for (int64_t lease = 1; lease <= 3; lease++) {
                submit(f, lease_granted(lease, "alpha"));
                submit(f, lease_ended(lease, "alpha", NOW));
        }
        reload(f, &loaded);
        assert_int_equal(loaded.n, 1);
        assert_int_equal(loaded.rows[0].lease, 3);
        free_rows(&loaded);
}

static void a_new_secret_replaces_the_old_one(void **state)
{
        struct fixture *f = *state;
        struct rows loaded;
        struct ledger_change rekeyed = {.kind = LEDGER_LEASE_REKEYED, .lease = 1};

        memset(rekeyed.secret_hash, 0x3c, sizeof(rekeyed.secret_hash));
        submit(f, lease_granted(1, "alpha"));
        submit(f, rekeyed);
        reload(f, &loaded);
        assert_memory_equal(loaded.rows[0].secret_hash, rekeyed.secret_hash, LEDGER_SECRET_HASH_SIZE);
        free_rows(&loaded);
}

static void a_first_sighting_is_not_moved_by_a_later_one(void **state)
{
        struct fixture *f = *state;
        struct ledger_change seen = {
                .kind = LEDGER_SIGHTED, .database = "d", .schema = "s", .oid = "1", .time_usec = NOW};

        submit(f, seen);
        seen.time_usec = NOW + 1000;
        submit(f, seen);
        flush(f);
        assert_int_equal(query_file(f, "SELECT seen_usec FROM sighting"), NOW);
}

static void callbacks_keep_their_order_and_wait_for_dispatch(void **state)
{
        struct fixture *f = *state;
        char name[16];

        for (int64_t i = 1; i <= 500; i++) {
                (void)snprintf(name, sizeof(name), "n%d", (int)i);
                submit_and_tell(f, lease_granted(i, name), (uint64_t)i);
                if (i % 3 == 0)
                        submit(f, slot_granted(i));
        }
        assert_int_equal(f->n_done, 0);
        wait_for_done(f, 500);
        assert_int_equal(f->n_failed, 0);
        assert_false(f->out_of_order);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease"), 500);
}

static void many_changes_share_few_commits(void **state)
{
        struct fixture *f = *state;
        const unsigned before = ledger_sqlite_n_commits(f->ledger);
        sqlite3 *db = other_connection(f);

        /* While the lock is held the queue grows, whatever the speed of the disk. */
        assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
        for (int64_t i = 1; i <= 1000; i++)
                submit_and_tell(f, lease_granted(i, "alpha"), (uint64_t)i);
        assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(db);
        wait_for_done(f, 1000);
        assert_int_equal(f->n_failed, 0);
        assert_in_range(ledger_sqlite_n_commits(f->ledger) - before, 1, 100);
}

static void what_is_called_back_can_be_read_by_others(void **state)
{
        struct fixture *f = *state;

        for (int64_t i = 1; i <= 20; i++) {
                submit_and_tell(f, lease_granted(i, "alpha"), (uint64_t)i);
                wait_for_done(f, (unsigned)i);
                assert_int_equal(query_file(f, "SELECT count(*) FROM live_leases"), i);
        }
}

static void slots_that_come_and_go_cost_no_commit_each(void **state)
{
        struct fixture *f = *state;
        const unsigned before = ledger_sqlite_n_commits(f->ledger);
        const uint64_t start = monotonic_msec();
        const int64_t n = 200000;
        struct rows loaded;
        uint64_t msec;

        for (int64_t grant = 1; grant <= n; grant++) {
                submit(f, slot_granted(grant));
                submit(f, slot_freed(grant));
        }
        msec = monotonic_msec() - start;
        flush(f);
        print_message("%lld pairs of slot changes in %llu ms\n", (long long)n, (unsigned long long)msec);
        /* One in 50 ms at most, and the flush. */
        assert_in_range(ledger_sqlite_n_commits(f->ledger) - before, 1, msec / 50 + 3);
        assert_int_equal(query_file(f, "SELECT count(*) FROM slot"), 0);
        reload(f, &loaded);
        assert_int_equal(f->next.grant, n + 1);
}

static void the_slots_on_disk_are_those_that_are_held(void **state)
{
        struct fixture *f = *state;
        int64_t held[4] = {0}, grant = 0, sum = 0;

        srandom(42);
        for (int i = 0; i < 4000; i++) {
                int64_t *slot = &held[random() % 4];

                if (*slot) {
                        submit(f, slot_freed(*slot));
                        *slot = 0;
                } else {
                        *slot = ++grant;
                        submit(f, slot_granted(grant));
                }
                if (i % 97)
                        continue;
                sum = held[0] + held[1] + held[2] + held[3];
                flush(f);
                assert_int_equal(query_file(f, "SELECT coalesce(sum(grant), 0) FROM slot"), sum);
        }
        assert_int_equal(query_file(f, "SELECT count(*) FROM slot WHERE slot NOT IN (0, 1)"), 0);
}

static void slots_alone_reach_the_disk_within_a_moment(void **state)
{
        struct fixture *f = *state;
        const unsigned before = ledger_sqlite_n_commits(f->ledger);
        const uint64_t start = monotonic_msec();

        submit(f, slot_granted(1));
        while (ledger_sqlite_n_commits(f->ledger) == before)
                assert_true(monotonic_msec() - start < PATIENCE_MSEC);
        assert_true(monotonic_msec() - start >= 40);
        assert_int_equal(query_file(f, "SELECT count(*) FROM slot"), 1);
}

/* How long an end of that lease waits, with a slot beside it that can wait longer. */
static uint64_t time_an_end(struct fixture *f, int64_t lease)
{
        unsigned before;
        uint64_t start;

        submit_and_tell(f, lease_granted(lease, "alpha"), (uint64_t)lease);
        wait_for_done(f, (unsigned)lease);
        before = ledger_sqlite_n_commits(f->ledger);
        submit(f, slot_granted(lease));
        start = monotonic_msec();
        submit(f, lease_ended(lease, "alpha", NOW));
        while (ledger_sqlite_n_commits(f->ledger) == before)
                assert_true(monotonic_msec() - start < PATIENCE_MSEC);
        return monotonic_msec() - start;
}

/* The shortest of many counts: any single commit may take that long on a busy disk. */
static void an_end_waits_a_moment_for_company(void **state)
{
        uint64_t least = PATIENCE_MSEC;

        for (int64_t lease = 1; lease <= 30; lease++) {
                const uint64_t msec = time_an_end(*state, lease);

                least = msec < least ? msec : least;
        }
        assert_in_range(least, 4, 40);
}

static void an_end_goes_with_the_next_grant(void **state)
{
        struct fixture *f = *state;

        submit_and_tell(f, lease_granted(1, "alpha"), 1);
        wait_for_done(f, 1);
        submit(f, lease_ended(1, "alpha", NOW));
        submit_and_tell(f, lease_granted(2, "alpha"), 2);
        wait_for_done(f, 2);
        assert_int_equal(query_file(f, "SELECT ended_usec FROM lease WHERE id = 1"), NOW);
}

/* ---- history ---- */

struct told {
        unsigned n;
        bool over;
        int error;
        char text[4096]; /* "time event namespace worker detail\n", the time from NOW on */
};

static const char *or_dash(const char *text)
{
        return text ? text : "-";
}

static void on_event(void *owner, uint64_t ticket, const struct ledger_event *event, int error)
{
        struct told *told = owner;
        size_t n = strlen(told->text);

        assert_int_equal(ticket, 9);
        assert_false(told->over);
        if (!event) {
                told->over = true;
                told->error = error;
                return;
        }
        told->n++;
        (void)snprintf(told->text + n, sizeof(told->text) - n, "%d %s %s %s %s\n",
                       (int)(event->time_usec - NOW), event->event, or_dash(event->namespace),
                       or_dash(event->worker), or_dash(event->detail));
}

static void ask(struct fixture *f, const char *namespace, uint64_t since, unsigned limit, struct told *told)
{
        memset(told, 0, sizeof(*told));
        f->seam->ops->history(f->seam, namespace, since, 0, limit, on_event, told, 9);
        assert_false(told->over);
        while (!told->over)
                assert_int_equal(turn(f), 0);
        assert_int_equal(told->error, 0);
}

static void on_row(void *owner, uint64_t ticket, const struct ledger_change *row, int error)
{
        struct told *told = owner;
        size_t n = strlen(told->text);

        assert_int_equal(ticket, 9);
        assert_false(told->over);
        if (!row) {
                told->over = true;
                told->error = error;
                return;
        }
        told->n++;
        (void)snprintf(told->text + n, sizeof(told->text) - n, "%d %lld %s %s\n", row->kind,
                       (long long)(row->lease + row->sweep), or_dash(row->schema), or_dash(row->detail));
}

static void recall(struct fixture *f, const char *namespace, struct told *told)
{
        memset(told, 0, sizeof(*told));
        f->seam->ops->recall(f->seam, namespace, on_row, told, 9);
        while (!told->over)
                assert_int_equal(turn(f), 0);
        assert_int_equal(told->error, 0);
}

static void submit_verdict(struct fixture *f, int64_t sweep, const char *namespace, const char *schema)
{
        submit(f, (struct ledger_change){.kind = LEDGER_VERDICT,
                                         .time_usec = NOW + (uint64_t)sweep,
                                         .sweep = sweep,
                                         .database = "platform",
                                         .schema = schema,
                                         .oid = "1",
                                         .namespace = namespace,
                                         .detail = "dropped"});
}

static void what_is_recalled_of_a_namespace_is_its_own_and_in_order(void **state)
{
        struct fixture *f = *state;
        struct told told;
        char expected[256];

        submit(f, lease_granted(1, "alpha"));
        submit(f, lease_ended(1, "alpha", NOW + 10));
        submit(f, lease_granted(2, "beta"));
        submit(f, lease_granted(3, "alpha"));
        submit_verdict(f, 5, "alpha", "test_alpha_gw0");
        submit_verdict(f, 4, "alpha", "test_alpha_gw0");
        submit_verdict(f, 6, "alphabet", "test_alphabet_gw0");
        submit(f, (struct ledger_change){.kind = LEDGER_SIGHTED,
                                         .time_usec = NOW,
                                         .database = "platform",
                                         .schema = "test_alphabet_gw0",
                                         .oid = "2"});
        submit(f, (struct ledger_change){.kind = LEDGER_CLAIMED,
                                         .time_usec = NOW,
                                         .sweep = 7,
                                         .database = "platform",
                                         .schema = "test_alpha_gw0",
                                         .oid = "1"});
        submit(f, (struct ledger_change){.kind = LEDGER_PUBLIC_WRITTEN,
                                         .time_usec = NOW,
                                         .lease = 3,
                                         .namespace = "alpha",
                                         .database = "platform",
                                         .detail = "public.t appeared"});
        recall(f, "alpha", &told);
        (void)snprintf(expected, sizeof(expected),
                       "%d 3 - -\n%d 1 - released\n%d 7 test_alpha_gw0 -\n"
                       "%d 4 test_alpha_gw0 dropped\n%d 5 test_alpha_gw0 dropped\n%d 3 - public.t appeared\n",
                       LEDGER_LEASE_GRANTED, LEDGER_LEASE_ENDED, LEDGER_CLAIMED, LEDGER_VERDICT,
                       LEDGER_VERDICT, LEDGER_PUBLIC_WRITTEN);
        assert_string_equal(told.text, expected);
        recall(f, "nobody", &told);
        assert_int_equal(told.n, 0);
}

static void history_tells_the_newest_and_those_oldest_first(void **state)
{
        struct fixture *f = *state;
        struct told told;

        submit(f, lease_granted(1, "alpha"));
        submit(f, lease_granted(2, "beta"));
        submit(f, lease_ended(1, "alpha", NOW + 10));
        ask(f, NULL, 0, 2, &told);
        assert_string_equal(told.text, "2 lease_granted beta - -\n10 lease_ended alpha - released\n");
        ask(f, "alpha", 0, 0, &told);
        assert_string_equal(told.text, "1 lease_granted alpha - -\n10 lease_ended alpha - released\n");
        ask(f, NULL, NOW + 2, 0, &told);
        assert_int_equal(told.n, 2);
        ask(f, "nobody", 0, 0, &told);
        assert_int_equal(told.n, 0);
}

static void an_event_names_what_its_change_leaves_out(void **state)
{
        struct fixture *f = *state;
        struct told told;

        submit(f, lease_granted(1, "alpha"));
        submit(f, (struct ledger_change){.kind = LEDGER_MEMBER_JOINED,
                                         .time_usec = NOW + 2,
                                         .lease = 1,
                                         .member = 3,
                                         .role = ROLE_WORKER,
                                         .worker = "gw1"});
        submit(f, (struct ledger_change){
                          .kind = LEDGER_MEMBER_LEFT, .time_usec = NOW + 3, .lease = 1, .member = 3});
        submit(f, slot_granted(1));
        flush(f);
        submit(f, slot_freed(1));
        ask(f, "alpha", 0, 0, &told);
        assert_string_equal(told.text, "0 slot_granted alpha gw0 slot 1 of cluster 7312\n"
                                       "0 slot_freed alpha gw0 released\n"
                                       "1 lease_granted alpha - -\n"
                                       "2 member_joined alpha gw1 worker\n"
                                       "3 member_left alpha gw1 -\n");
}

static void verdicts_and_sweeps_are_told_in_words(void **state)
{
        struct fixture *f = *state;
        struct told told;

        submit(f, (struct ledger_change){.kind = LEDGER_VERDICT,
                                         .time_usec = NOW,
                                         .sweep = 1,
                                         .database = "d",
                                         .schema = "test_a_gw0",
                                         .oid = "5",
                                         .namespace = "a",
                                         .detail = "failed",
                                         .sqlstate = "55P03",
                                         .message = "locked"});
        submit(f, (struct ledger_change){.kind = LEDGER_SWEPT,
                                         .time_usec = NOW + 1,
                                         .sweep = 1,
                                         .dry_run = true,
                                         .detail = "{}"});
        submit(f, (struct ledger_change){.kind = LEDGER_LEASE_KEPT, .time_usec = NOW + 2, .namespace = "a"});
        ask(f, NULL, 0, 0, &told);
        assert_string_equal(told.text, "0 verdict a - failed: 55P03: locked\n"
                                       "1 swept - - sweep 1 (dry run): census incomplete\n"
                                       "2 lease_kept a - no longer\n");
        assert_int_equal(query_file(f, "SELECT count(*) FROM last_verdicts WHERE sqlstate = '55P03'"), 1);
        assert_int_equal(query_file(f, "SELECT finished = '2026-09-21 14:13:20Z' FROM last_sweep"), 1);
}

/* ---- pruning ---- */

static void prune(struct fixture *f, uint64_t before)
{
        const uint64_t start = monotonic_msec();

        ledger_sqlite_prune(f->ledger, before);
        while (query_file(f, "SELECT count(*) FROM event WHERE time_usec < 1790000000000000"))
                assert_true(monotonic_msec() - start < PATIENCE_MSEC);
        flush(f);
        fixture_close(f);
        fixture_open(f);
}

static void end_old_lease(struct fixture *f, int64_t lease, const char *namespace)
{
        struct ledger_change granted = lease_granted(lease, namespace);

        granted.time_usec = 1000;
        submit(f, granted);
        submit(f, lease_ended(lease, namespace, 2000));
}

static void pruning_spares_whatever_may_still_be_asked_for(void **state)
{
        struct fixture *f = *state;
        struct ledger_change live = lease_granted(1, "live");

        live.time_usec = 1000;
        submit(f, live);
        for (int64_t member = 100; member < 102; member++)
                submit(f, (struct ledger_change){.kind = LEDGER_MEMBER_JOINED,
                                                 .lease = 1,
                                                 .member = member,
                                                 .time_usec = 1000});
        submit(f, (struct ledger_change){
                          .kind = LEDGER_MEMBER_LEFT, .lease = 1, .member = 101, .time_usec = 1001});
        end_old_lease(f, 2, "gone");
        end_old_lease(f, 3, "kept");
        submit(f,
               (struct ledger_change){.kind = LEDGER_LEASE_KEPT, .namespace = "kept", .until_usec = NOW + 5});
        end_old_lease(f, 4, "sighted");
        end_old_lease(f, 5, "sighted");
        submit(f,
               (struct ledger_change){
                       .kind = LEDGER_SIGHTED, .database = "d", .schema = "test_sighted_gw0_x", .oid = "1"});
        end_old_lease(f, 6, "claimed");
        submit(f, (struct ledger_change){
                          .kind = LEDGER_CLAIMED, .database = "d", .schema = "test_claimed_gw0", .oid = "2"});
        submit(f, lease_granted(7, "recent"));
        submit(f, lease_ended(7, "recent", NOW + 8));
        submit(f, (struct ledger_change){.kind = LEDGER_SWEPT, .sweep = 1, .time_usec = 1});
        submit(f, (struct ledger_change){.kind = LEDGER_VERDICT,
                                         .sweep = 1,
                                         .database = "d",
                                         .schema = "s",
                                         .oid = "3",
                                         .time_usec = 1});
        submit(f, (struct ledger_change){.kind = LEDGER_SWEPT, .sweep = 2, .time_usec = 2});
        submit(f, (struct ledger_change){.kind = LEDGER_VERDICT,
                                         .sweep = 2,
                                         .database = "d",
                                         .schema = "s",
                                         .oid = "3",
                                         .time_usec = 2});
        flush(f);
        prune(f, NOW);
        assert_int_equal(query_file(f, "SELECT group_concat(id, '') FROM (SELECT id FROM lease ORDER BY id)"),
                         13567);
        assert_int_equal(query_file(f, "SELECT count(*) FROM member"), 6);
        assert_int_equal(query_file(f, "SELECT max(id) FROM member"), 100);
        assert_int_equal(query_file(f, "SELECT count(*) FROM event WHERE time_usec < 1790000000000000"), 0);
        assert_int_equal(query_file(f, "SELECT group_concat(id) FROM sweep"), 2);
        assert_int_equal(query_file(f, "SELECT group_concat(sweep) FROM verdict"), 2);
        assert_int_equal(f->next.lease, 8);
}

static void pruning_takes_many_small_steps_and_grants_go_on(void **state)
{
        struct fixture *f = *state;

        for (int64_t lease = 1; lease <= 3000; lease++)
                end_old_lease(f, lease, "old");
        flush(f);
        f->n_done = 0;
        ledger_sqlite_prune(f->ledger, NOW);
        submit_and_tell(f, lease_granted(9001, "new"), f->last_ticket + 1);
        wait_for_done(f, 1);
        assert_int_equal(f->n_failed, 0);
        prune(f, NOW);
        assert_int_equal(query_file(f, "SELECT group_concat(id) FROM lease"), 9001);
        assert_int_equal(query_file(f, "SELECT count(*) FROM member"), 1);
}

/* ---- bugs of ours, and the simulation's way in ---- */

static void a_change_that_can_never_be_applied_harms_no_other(void **state)
{
        struct fixture *f = *state;

        submit(f, lease_granted(1, "alpha"));
        submit_and_tell(f, lease_granted(2, NULL), 1);
        submit(f, lease_granted(3, NULL));
        submit_and_tell(f, lease_granted(4, "beta"), 2);
        wait_for_done(f, 2);
        assert_int_equal(f->n_failed, 1);
        assert_int_equal(ledger_sqlite_n_refused(f->ledger), 2);
        assert_true(f->seam->ops->healthy(f->seam));
        assert_int_equal(query_file(f, "SELECT group_concat(id, '') FROM lease"), 14);
        assert_int_equal(query_file(f, "SELECT count(*) FROM event WHERE lease IN (2, 3)"), 0);
}

static void the_same_change_twice_is_no_error(void **state)
{
        struct fixture *f = *state;

        for (int i = 0; i < 2; i++) {
                submit(f, lease_granted(1, "alpha"));
                submit(f, slot_granted(1));
                flush(f);
                submit(f, slot_freed(1));
                submit(f, lease_ended(1, "alpha", NOW));
                flush(f);
        }
        assert_int_equal(f->n_failed, 0);
        assert_int_equal(ledger_sqlite_n_refused(f->ledger), 0);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease WHERE outcome = 'released'"), 1);
}

static void a_store_in_memory_forgets_what_was_not_committed(void **state)
{
        _cleanup_(store_freep) struct store *store = NULL;
        struct ledger_change change = lease_granted(1, "alpha");
        struct ledger_numbers next;
        struct rows loaded = {0};

        (void)state;
        assert_int_equal(store_open_memory(&store), 0);
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(ledger_apply(store, &change), 0);
        assert_int_equal(store_commit(store), 0);
        change = lease_granted(2, "beta");
        assert_int_equal(store_begin(store), 0);
        assert_int_equal(ledger_apply(store, &change), 0);
        store_rollback(store);
        assert_int_equal(ledger_load_from(store, keep_row, &loaded, &next), 0);
        assert_int_equal(loaded.n, 2); /* the lease and its first member */
        assert_string_equal(loaded.rows[0].namespace, "alpha");
        assert_int_equal(next.lease, 2);
        free_rows(&loaded);

        /* A grant of which nothing was written, and a crash: its number is not used again. */
        store_note_grant(store, 5);
        assert_int_equal(store_restart(store), 0);
        assert_int_equal(ledger_load_from(store, ignore_row, NULL, &next), 0);
        assert_true(next.grant > 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(what_was_submitted_comes_back_after_a_restart),
                TEST(what_has_gone_does_not_come_back),
                TEST(only_the_last_ended_lease_of_a_namespace_is_loaded),
                TEST(a_new_secret_replaces_the_old_one),
                TEST(a_first_sighting_is_not_moved_by_a_later_one),
                TEST(callbacks_keep_their_order_and_wait_for_dispatch),
                TEST(many_changes_share_few_commits),
                TEST(what_is_called_back_can_be_read_by_others),
                TEST(slots_that_come_and_go_cost_no_commit_each),
                TEST(the_slots_on_disk_are_those_that_are_held),
                TEST(slots_alone_reach_the_disk_within_a_moment),
                TEST(an_end_waits_a_moment_for_company),
                TEST(an_end_goes_with_the_next_grant),
                TEST(history_tells_the_newest_and_those_oldest_first),
                TEST(what_is_recalled_of_a_namespace_is_its_own_and_in_order),
                TEST(an_event_names_what_its_change_leaves_out),
                TEST(verdicts_and_sweeps_are_told_in_words),
                TEST(pruning_spares_whatever_may_still_be_asked_for),
                TEST(pruning_takes_many_small_steps_and_grants_go_on),
                TEST(a_change_that_can_never_be_applied_harms_no_other),
                TEST(the_same_change_twice_is_no_error),
                cmocka_unit_test(a_store_in_memory_forgets_what_was_not_committed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
