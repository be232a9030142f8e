/* SPDX-License-Identifier: MIT */

/* What a picture is made of: events put together, and text that cannot break out of the document. */

#include "client/cli/locks_svg.h"
#include "client/cli/svg.h"
#include "client/cli/timeline.h"

#include "proto/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define NOW    (100 * SECOND)

static struct cJSON *events, *leases, *status;
static struct timeline *timeline;

static struct cJSON *parse(const char *text)
{
        char why[JSON_MESSAGE_SIZE];
        struct cJSON *value = json_parse(text, strlen(text), why);

        if (!value)
                fail_msg("%s in %s", why, text);
        return value;
}

static int set_up(void **state)
{
        (void)state;
        events = leases = status = NULL;
        timeline = NULL;
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        timeline = timeline_free(timeline);
        json_free(events);
        json_free(leases);
        json_free(status);
        return 0;
}

static void make(const char *of_events, const char *of_leases, const char *of_status)
{
        events = parse(of_events);
        leases = parse(of_leases);
        status = parse(of_status);
        timeline = timeline_new(events, leases, status, 0, NOW);
        assert_non_null(timeline);
        assert_false(timeline->has_failed);
}

static char *draw(void)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        timeline_svg(timeline, out);
        assert_int_equal(fclose(out), 0);
        return text;
}

static void a_run_goes_from_its_grant_to_its_end(void **state)
{
        const struct timeline_run *run;

        (void)state;
        make("[{\"event\":\"lease_granted\",\"timeUSec\":10000000,\"lease\":1,\"namespace\":\"p1\"},"
             "{\"event\":\"lease_ended\",\"timeUSec\":30000000,\"lease\":1,\"namespace\":\"p1\",\"detail\":"
             "\"crashed\",\"sinceUSec\":10000000},"
             "{\"event\":\"lease_ended\",\"timeUSec\":40000000,\"lease\":2,\"namespace\":\"p2\",\"detail\":"
             "\"revoked: forgotten\",\"sinceUSec\":5000000},"
             "{\"event\":\"lease_granted\",\"timeUSec\":50000000,\"lease\":3,\"namespace\":\"p3\"}]",
             "[{\"context\":{\"namespace\":\"p3\",\"label\":\"pytest\"},\"runtime\":{\"lease\":3,\"state\":"
             "\"live\",\"sinceUSec\":50000000}},"
             "{\"context\":{\"namespace\":\"p4\"},\"runtime\":{\"lease\":4,\"state\":\"live\",\"sinceUSec\":"
             "1000000}}]",
             "{}");
        assert_int_equal(timeline->n_runs, 4);
        run = TAILQ_FIRST(&timeline->runs);
        assert_string_equal(run->namespace, "p4"); /* by age */
        run = timeline_find_run(timeline, 1, NULL);
        assert_true(run->from == 10 * SECOND && run->to == 30 * SECOND);
        assert_string_equal(run->outcome, "crashed");
        run = timeline_find_run(timeline, 2, NULL);
        assert_true(run->from == 5 * SECOND);
        assert_string_equal(run->outcome, "revoked");
        assert_string_equal(run->why, "revoked: forgotten");
        run = timeline_find_run(timeline, 0, "p3");
        assert_true(run->to == NOW);
        assert_string_equal(run->outcome, "live");
        assert_string_equal(run->label, "pytest");
}

#define SLOT(event, time, slot, more)                                                                        \
        "{\"event\":\"" event "\",\"timeUSec\":" time                                                        \
        ",\"lease\":1,\"namespace\":\"p1\",\"worker\":\"gw0\",\"slot\":" slot                                \
        ",\"cluster\":\"73@here\"" more "}"

static void a_hold_goes_from_its_grant_to_its_freeing_and_knows_its_wait(void **state)
{
        const struct timeline_hold *hold;

        (void)state;
        make("[" SLOT("slot_granted", "10000000", "0", ",\"sinceUSec\":4000000") "," SLOT(
                     "slot_granted", "11000000", "1",
                     ",\"sinceUSec\":11000000") "," SLOT("slot_freed", "20000000", "0",
                                                         ",\"detail\":\"released\"") "," SLOT("slot_freed",
                                                                                              "21000000", "2",
                                                                                              ",\"detail\":"
                                                                                              "\"died\","
                                                                                              "\"sinceUSec\":"
                                                                                              "3000000") "]",
             "[]",
             "{\"clusters\":[{\"systemIdentifier\":\"73\",\"databases\":[\"platform\"],\"slots\":2,"
             "\"waiters\":[{\"namespace\":\"p9\",\"worker\":\"gw1\",\"sinceUSec\":90000000}]}]}");
        hold = TAILQ_FIRST(&timeline->holds);
        assert_true(hold->asked == 4 * SECOND && hold->from == 10 * SECOND && hold->to == 20 * SECOND);
        assert_string_equal(hold->why, "released");
        assert_string_equal(hold->cluster->names, "platform");
        assert_int_equal(hold->cluster->n_slots, 3);
        hold = TAILQ_NEXT(hold, link);
        assert_true(hold->is_open && hold->to == NOW);
        hold = TAILQ_NEXT(hold, link); /* granted before the picture begins */
        assert_true(hold->from == 3 * SECOND && hold->slot == 2);
        assert_string_equal(hold->why, "died");
        hold = TAILQ_NEXT(hold, link);
        assert_true(hold->asked == 90 * SECOND && !hold->from && hold->slot == -1);
        assert_null(TAILQ_NEXT(hold, link));
}

static void a_drop_goes_from_its_claim_to_its_verdict(void **state)
{
        const struct timeline_sweep *sweep;

        (void)state;
        make("[{\"event\":\"claimed\",\"timeUSec\":10000000,\"database\":\"d\",\"schema\":\"test_p1_gw0\"},"
             "{\"event\":\"verdict\",\"timeUSec\":12000000,\"database\":\"d\",\"schema\":\"test_p1_gw0\","
             "\"detail\":\"failed: 55P03\"},"
             "{\"event\":\"verdict\",\"timeUSec\":13000000,\"database\":\"d\",\"schema\":\"test_p2_gw0\","
             "\"detail\":\"kept: live\"},"
             "{\"event\":\"swept\",\"timeUSec\":14000000,\"detail\":\"sweep 1: census "
             "incomplete\",\"sinceUSec\":9000000}]",
             "[]", "{}");
        sweep = TAILQ_FIRST(&timeline->sweeps);
        assert_true(sweep->from == 10 * SECOND && sweep->to == 12 * SECOND && sweep->is_bad &&
                    !sweep->is_open);
        sweep = TAILQ_NEXT(sweep, link);
        assert_true(sweep->from == 9 * SECOND && sweep->to == 14 * SECOND && sweep->is_bad && !sweep->schema);
        assert_null(TAILQ_NEXT(sweep, link));
}

static void an_old_or_empty_ledger_draws_an_empty_picture(void **state)
{
        char *text;

        (void)state;
        make("[{\"event\":\"slot_granted\",\"timeUSec\":1,\"detail\":\"slot 0 of cluster "
             "x\"},{\"event\":\"slot_freed\",\"timeUSec\":2},"
             "{\"event\":7},{}]",
             "[{}]", "{\"clusters\":[{}]}");
        text = draw();
        assert_non_null(strstr(text, "</svg>"));
        free(text);
}

static void other_peoples_words_stay_text(void **state)
{
        char *text;

        (void)state;
        make("[{\"event\":\"lease_granted\",\"timeUSec\":10000000,\"lease\":1,\"namespace\":\"p1\"}]",
             "[{\"context\":{\"namespace\":\"p1\",\"label\":\"<script>&\\\"'\\u0001\\ufffe\"},\"runtime\":{"
             "\"lease\":1,\"state\":\"live\",\"sinceUSec\":1}}]",
             "{}");
        text = draw();
        assert_null(strstr(text, "<script>"));
        assert_non_null(strstr(text, "&lt;script&gt;&amp;&quot;&#39;??"));
        free(text);
}

static void what_is_no_text_becomes_a_question_mark(void **state)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        (void)state;
        svg_escaped(out, "a\x80\xc3(\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82\xac\n");
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, "a?" "?(???????\xe2\x82\xac ");
        free(text);
}

#define PAIR(blocked, blocker)                                                                               \
        "{\"database\":\"d\",\"blocked\":{\"pid\":" blocked ",\"namespace\":\"p" blocked                     \
        "\",\"worker\":\"gw0\"},\"blocker\":{\"pid\":" blocker                                               \
        ",\"applicationName\":\"<psql>\",\"query\":\"a < b\"},\"waitUSec\":12000000}"

static char *draw_locks(const char *text)
{
        struct cJSON *locks = parse(text);
        char *drawn = NULL;
        size_t size;
        FILE *out = open_memstream(&drawn, &size);

        assert_int_equal(locks_svg(locks, out), 0);
        assert_int_equal(fclose(out), 0);
        json_free(locks);
        return drawn;
}

static unsigned count(const char *text, const char *word)
{
        unsigned n = 0;

        for (text = strstr(text, word); text; text = strstr(text + 1, word))
                n++;
        return n;
}

static void a_session_is_one_box_however_many_it_blocks(void **state)
{
        char *text = draw_locks("[" PAIR("1", "3") "," PAIR("2", "3") "," PAIR("3", "4") "]");

        (void)state;
        assert_int_equal(count(text, "class=\"box\""), 3);
        assert_int_equal(count(text, "class=\"box holds\""), 1);
        assert_int_equal(count(text, "class=\"edge\""), 3);
        assert_int_equal(count(text, "<psql>"), 0);
        free(text);
}

static void a_circle_is_drawn_and_so_is_nothing(void **state)
{
        char *text = draw_locks("[" PAIR("1", "2") "," PAIR("2", "1") "]");

        (void)state;
        assert_int_equal(count(text, "class=\"edge\""), 2);
        assert_int_equal(count(text, "class=\"box holds\""), 0);
        free(text);
        text = draw_locks("[]");
        assert_int_equal(count(text, "nobody is blocked"), 1);
        free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(a_run_goes_from_its_grant_to_its_end),
                TEST(a_hold_goes_from_its_grant_to_its_freeing_and_knows_its_wait),
                TEST(a_drop_goes_from_its_claim_to_its_verdict),
                TEST(an_old_or_empty_ledger_draws_an_empty_picture),
                TEST(other_peoples_words_stay_text),
                TEST(what_is_no_text_becomes_a_question_mark),
                TEST(a_session_is_one_box_however_many_it_blocks),
                TEST(a_circle_is_drawn_and_so_is_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
