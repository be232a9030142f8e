/* SPDX-License-Identifier: MIT */

/* One call is one line on stderr, whatever is in its text. */

#include "util/journal.h"
#include "util/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char output[8192];

static int saved_stderr, pipe_fds[2];

static void begin(void)
{
        assert_int_equal(pipe(pipe_fds), 0);
        saved_stderr = dup(STDERR_FILENO);
        assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
        (void)close(pipe_fds[1]);
}

/* What was written to stderr since begin(). */
static const char *end(void)
{
        ssize_t n;

        assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
        (void)close(saved_stderr);
        n = read(pipe_fds[0], output, sizeof(output) - 1);
        assert_true(n >= 0);
        output[n] = '\0';
        (void)close(pipe_fds[0]);
        return output;
}

static void a_line_begins_with_the_level_that_journald_reads(void **state)
{
        (void)state;
        begin();
        log_error("lease lost: pid=%d", 7);
        log_warning("w");
        log_info("i");
        assert_string_equal(end(), "<3>lease lost: pid=7\n<4>w\n<6>i\n");
}

static void what_is_above_the_level_is_silent(void **state)
{
        (void)state;
        begin();
        log_debug("not by default");
        log_set_level(LOG_LEVEL_DEBUG);
        log_debug("now");
        log_set_level(LOG_LEVEL_ERROR);
        log_warning("not now");
        log_set_level(LOG_LEVEL_INFO);
        assert_string_equal(end(), "<7>now\n");
}

static void a_text_cannot_begin_a_second_line(void **state)
{
        (void)state;
        begin();
        log_info("label=%s", "a\n<3>forged\r\033[31m\177");
        assert_string_equal(end(), "<6>label=a?<3>forged??[31m?\n");
}

static void letters_beyond_ascii_stay(void **state)
{
        (void)state;
        begin();
        log_info("label=Größe");
        assert_string_equal(end(), "<6>label=Größe\n");
}

static void a_text_that_is_too_long_is_cut_with_a_mark(void **state)
{
        char text[4000];
        size_t n;

        (void)state;
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        begin();
        log_info("%s", text);
        n = strlen(end());
        assert_true(n < 2100);
        assert_string_equal(output + n - 5, "x...\n");
}

static const char *fields(const char *text)
{
        static char sent[JOURNAL_MESSAGE_MAX + 1];
        size_t n = journal_format(6, text, strlen(text), sent);

        sent[n] = '\0';
        return sent;
}

static void facts_are_fields_of_the_journal(void **state)
{
        (void)state;
        assert_string_equal(fields("connection refused: limit=\"max conn\" uid=7 lease=5; raise it"),
                            "MESSAGE=connection refused: limit=\"max conn\" uid=7 lease=5; raise it\n"
                            "PRIORITY=6\nSYSLOG_IDENTIFIER=berthd\n"
                            "BERTH_LIMIT=max conn\nBERTH_UID=7\nBERTH_LEASE_ID=5\n");
        assert_null(strstr(fields("stopped"), "BERTH_"));
        assert_non_null(strstr(fields("lease granted: namespace=p1"), "\nMESSAGE_ID="));
        assert_null(strstr(fields("lease granted at last: namespace=p1"), "MESSAGE_ID"));
}

static void somebody_s_text_makes_no_field(void **state)
{
        const char *sent = fields("lease ended: namespace=p1 how=revoked reason=enough namespace=p2 uid=0");

        (void)state;
        assert_non_null(strstr(sent, "\nBERTH_NAMESPACE=p1\nBERTH_HOW=revoked\n"));
        assert_null(strstr(sent, "BERTH_NAMESPACE=p2"));
        assert_null(strstr(sent, "BERTH_UID"));
        assert_null(strstr(sent, "BERTH_REASON"));
}

static void a_line_cut_anywhere_is_read_within_its_bounds(void **state)
{
        const char text[] = "drop failed: database=a schema=\"b c\" sqlstate=55P03 message=x";

        (void)state;
        for (size_t n = 0; n < sizeof(text); n++) {
                char *cut = strndup(text, n);

                assert_non_null(strstr(fields(cut), "SYSLOG_IDENTIFIER=berthd\n"));
                free(cut);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_begins_with_the_level_that_journald_reads),
                cmocka_unit_test(what_is_above_the_level_is_silent),
                cmocka_unit_test(a_text_cannot_begin_a_second_line),
                cmocka_unit_test(letters_beyond_ascii_stay),
                cmocka_unit_test(a_text_that_is_too_long_is_cut_with_a_mark),
                cmocka_unit_test(facts_are_fields_of_the_journal),
                cmocka_unit_test(somebody_s_text_makes_no_field),
                cmocka_unit_test(a_line_cut_anywhere_is_read_within_its_bounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
