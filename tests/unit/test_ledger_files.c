/* SPDX-License-Identifier: MIT */

/*
 * The files of the ledger: whatever is not a sound ledger of ours is refused and stays as it is, byte by
 * byte; a second daemon is refused; the group may read, while the daemon runs and after, and nobody else.
 */

#include "ledger_fixture.h"

#include <errno.h>
#include <fcntl.h>

/* ---- helpers ---- */

struct bytes {
        size_t n;
        char *bytes;
};

static struct bytes read_file(const struct fixture *f, const char *name)
{
        char path[PATH_MAX];
        struct bytes content = {0};
        struct stat st;
        FILE *file;

        path_of(f, name, path);
        if (stat(path, &st))
                return content;
        file = fopen(path, "r");
        assert_non_null(file);
        content.bytes = malloc((size_t)st.st_size + 1);
        content.n = fread(content.bytes, 1, (size_t)st.st_size, file);
        assert_int_equal(content.n, st.st_size);
        (void)fclose(file);
        return content;
}

static void write_file(const struct fixture *f, const char *name, size_t offset, const char *text)
{
        char path[PATH_MAX];
        int fd;

        path_of(f, name, path);
        fd = open(path, O_WRONLY | O_CREAT, 0640);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, text, strlen(text), (off_t)offset), strlen(text));
        (void)close(fd);
}

static void run_sql(const struct fixture *f, const char *sql)
{
        sqlite3 *db = other_connection(f);

        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        (void)sqlite3_close(db);
}

/* A ledger that was in use, with its WAL moved into it, as after a clean stop. */
static void leave_a_ledger(struct fixture *f)
{
        fixture_open(f);
        for (int64_t i = 1; i <= 200; i++)
                submit(f, lease_granted(i, "alpha"));
        fixture_close(f);
        run_sql(f, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static bool is_one_line_of_three_parts(const char *message)
{
        const char *first = strchr(message, ';');

        return first && strchr(first + 1, ';') && !strchr(message, '\n') &&
               strlen(message) < LEDGER_MESSAGE_SIZE - 1;
}

static void assert_refused_untouched(struct fixture *f, int outcome)
{
        struct bytes before = read_file(f, "ledger.db"), after;

        assert_int_equal(fixture_try(f, false), outcome);
        after = read_file(f, "ledger.db");
        assert_int_equal(before.n, after.n);
        assert_memory_equal(before.bytes, after.bytes, before.n);
        free(before.bytes);
        free(after.bytes);
        if (!is_one_line_of_three_parts(f->message))
                fail_msg("not 'what; why; do this': %s", f->message);
}

static void remove_file(const struct fixture *f, const char *name)
{
        char path[PATH_MAX];

        path_of(f, name, path);
        assert_int_equal(unlink(path), 0);
}

static unsigned mode_of(const struct fixture *f, const char *name)
{
        char path[PATH_MAX];
        struct stat st;

        path_of(f, name, path);
        assert_int_equal(stat(path, &st), 0);
        return st.st_mode & 07777;
}

/* ---- refusals ---- */

static void a_second_daemon_is_refused_at_once(void **state)
{
        struct fixture *f = *state;
        const uint64_t start = monotonic_msec();
        struct ledger_sqlite *second;
        char message[LEDGER_MESSAGE_SIZE], pid[32];

        fixture_open(f);
        assert_int_equal(ledger_sqlite_open(f->directory, false, &second, message), LEDGER_E_LOCKED);
        assert_true(monotonic_msec() - start < 1000);
        assert_true(is_one_line_of_three_parts(message));
        (void)snprintf(pid, sizeof(pid), "pid %d", getpid());
        assert_non_null(strstr(message, pid));
        flush(f); /* the first one does not mind */
        fixture_close(f);
        fixture_open(f);
}

static void a_ledger_overwritten_is_corrupt(void **state)
{
        struct fixture *f = *state;

        leave_a_ledger(f);
        write_file(f, "ledger.db", 0, "This is no database, whatever it was before.");
        assert_refused_untouched(f, LEDGER_E_CORRUPT);
}

static void a_ledger_cut_short_is_corrupt(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX];

        leave_a_ledger(f);
        path_of(f, "ledger.db", path);
        assert_int_equal(truncate(path, 3 * 4096), 0);
        assert_refused_untouched(f, LEDGER_E_CORRUPT);
        assert_int_equal(truncate(path, 0), 0);
        assert_refused_untouched(f, LEDGER_E_CORRUPT);
}

static void flipped_bytes_in_a_page_are_noticed(void **state)
{
        struct fixture *f = *state;

        leave_a_ledger(f);
        for (size_t page = 1; page <= 4; page++)
                write_file(f, "ledger.db", page * 4096, "\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a");
        assert_refused_untouched(f, LEDGER_E_CORRUPT);
}

static void another_programs_database_is_foreign(void **state)
{
        struct fixture *f = *state;

        run_sql(f, "CREATE TABLE bookmark (url)");
        assert_refused_untouched(f, LEDGER_E_FOREIGN);
        run_sql(f, "PRAGMA application_id = 5; PRAGMA user_version = 1");
        assert_refused_untouched(f, LEDGER_E_FOREIGN);
}

static void a_later_versions_ledger_is_refused(void **state)
{
        struct fixture *f = *state;

        leave_a_ledger(f);
        run_sql(f, "PRAGMA user_version = 1000; PRAGMA wal_checkpoint(TRUNCATE)");
        assert_refused_untouched(f, LEDGER_E_NEWER);
}

static void a_folder_in_its_place_is_refused(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX];

        path_of(f, "ledger.db", path);
        assert_int_equal(mkdir(path, 0755), 0);
        assert_int_equal(fixture_try(f, false), LEDGER_E_UNUSABLE);
        assert_true(is_one_line_of_three_parts(f->message));
}

static void a_missing_state_directory_is_an_errno(void **state)
{
        struct fixture *f = *state, other = *f;

        (void)strcat(other.directory, "-not");
        assert_int_equal(fixture_try(&other, false), -ENOENT);
        assert_true(is_one_line_of_three_parts(other.message));
}

static void a_ledger_that_is_gone_is_not_made_anew(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX];

        leave_a_ledger(f);
        remove_file(f, "ledger.db");
        assert_int_equal(fixture_try(f, false), LEDGER_E_MISSING);
        assert_true(is_one_line_of_three_parts(f->message));
        path_of(f, "ledger.db", path);
        assert_int_equal(access(path, F_OK), -1);

        assert_int_equal(fixture_try(f, true), 0);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease"), 0);
        fixture_close(f);

        remove_file(f, "ledger.db");
        remove_file(f, "ledger.created");
        fixture_open(f);
}

static void a_stale_wal_does_not_come_into_a_new_ledger(void **state)
{
        struct fixture *f = *state;
        struct bytes before, after;

        fixture_open(f);
        submit(f, lease_granted(1, "alpha"));
        flush(f);
        remove_file(f, "ledger.db");
        before = read_file(f, "ledger.db-wal");
        fixture_close(f);
        after = read_file(f, "ledger.db-wal");
        assert_true(before.n > 4096);
        assert_int_equal(before.n, after.n);
        assert_memory_equal(before.bytes, after.bytes, before.n);
        free(before.bytes);
        free(after.bytes);

        assert_int_equal(fixture_try(f, true), 0);
        flush(f);
        assert_int_equal(query_file(f, "SELECT count(*) FROM lease"), 0);
}

/* As systemd has them with DynamicUser=. */
static void a_state_directory_behind_a_link_is_as_good(void **state)
{
        struct fixture *f = *state, other = *f;

        (void)strcat(other.directory, "-link");
        assert_int_equal(symlink(f->directory, other.directory), 0);
        leave_a_ledger(&other);
        fixture_open(&other);
        fixture_close(&other);
        assert_int_equal(unlink(other.directory), 0);
}

static void a_ledger_behind_a_link_is_refused(void **state)
{
        struct fixture *f = *state;
        char path[PATH_MAX], away[PATH_MAX];

        leave_a_ledger(f);
        path_of(f, "ledger.db", path);
        path_of(f, "elsewhere.db", away);
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(symlink(away, path), 0);
        assert_refused_untouched(f, LEDGER_E_UNUSABLE);
}

static void a_first_start_that_was_cut_short_is_taken_up_again(void **state)
{
        struct fixture *f = *state;

        write_file(f, "ledger.db", 0, "");
        fixture_open(f);
        fixture_close(f);
        remove_file(f, "ledger.created");
        remove_file(f, "ledger.db");
        run_sql(f, "PRAGMA journal_mode = WAL"); /* a header and nothing else */
        fixture_open(f);
}

/* ---- what is there when it is in use ---- */

static void the_group_may_read_and_nobody_else(void **state)
{
        struct fixture *f = *state;
        static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.lock",
                                            "ledger.created"};
        char path[PATH_MAX];
        mode_t before = umask(0);

        fixture_open(f);
        flush(f);
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                assert_int_equal(mode_of(f, names[i]), 0640);
        fixture_close(f);
        for (size_t i = 0; i < 3; i++) {
                path_of(f, names[i], path);
                assert_int_equal(chmod(path, 0666), 0);
        }
        fixture_open(f);
        flush(f);
        for (size_t i = 0; i < 3; i++)
                assert_int_equal(mode_of(f, names[i]), 0640);
        (void)umask(before);
}

static void the_file_says_what_it_is(void **state)
{
        struct fixture *f = *state;

        fixture_open(f);
        flush(f);
        assert_int_equal(query_file(f, "PRAGMA application_id"), 0x62727468);
        assert_int_equal(query_file(f, "PRAGMA user_version"), 3);
        fixture_close(f);
        assert_int_equal(
                query_file(f, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
}

/* sqlite3, as somebody who has nothing but the group of the files. */
static int64_t query_as_group_member(const struct fixture *f, const char *sql)
{
        char command[PATH_MAX + 512], output[64] = "";
        FILE *pipe;

        (void)snprintf(command, sizeof(command),
                       "setpriv --reuid 65534 --regid %u --clear-groups sqlite3 %s/ledger.db \"%s\" 2>&1",
                       (unsigned)getegid(), f->directory, sql);
        pipe = popen(command, "r");
        assert_non_null(pipe);
        if (!fgets(output, sizeof(output), pipe))
                output[0] = '\0';
        if (pclose(pipe))
                fail_msg("%s: %s", command, output);
        return atoll(output);
}

static void the_group_reads_with_a_shell_while_it_runs_and_after(void **state)
{
        struct fixture *f = *state;

        if (geteuid() || system("command -v setpriv >/dev/null && command -v sqlite3 >/dev/null")) {
                print_message("skipped: needs root, setpriv and sqlite3\n");
                skip();
        }
        assert_int_equal(chmod(f->directory, 0750), 0);
        fixture_open(f);
        submit(f, lease_granted(1, "alpha"));
        flush(f);
        assert_int_equal(query_as_group_member(f, "SELECT count(*) FROM live_leases"), 1);
        submit(f, lease_granted(2, "beta"));
        flush(f);
        assert_int_equal(
                query_as_group_member(f, "SELECT count(*) FROM history WHERE event = 'lease_granted'"), 2);
        fixture_close(f);
        assert_int_equal(query_as_group_member(f, "SELECT count(*) FROM live_leases"), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_directory, fixture_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_second_daemon_is_refused_at_once),
                TEST(a_ledger_overwritten_is_corrupt),
                TEST(a_ledger_cut_short_is_corrupt),
                TEST(flipped_bytes_in_a_page_are_noticed),
                TEST(another_programs_database_is_foreign),
                TEST(a_later_versions_ledger_is_refused),
                TEST(a_folder_in_its_place_is_refused),
                TEST(a_missing_state_directory_is_an_errno),
                TEST(a_ledger_that_is_gone_is_not_made_anew),
                TEST(a_stale_wal_does_not_come_into_a_new_ledger),
                TEST(a_state_directory_behind_a_link_is_as_good),
                TEST(a_ledger_behind_a_link_is_refused),
                TEST(a_first_start_that_was_cut_short_is_taken_up_again),
                TEST(the_group_may_read_and_nobody_else),
                TEST(the_file_says_what_it_is),
                TEST(the_group_reads_with_a_shell_while_it_runs_and_after),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
