/* SPDX-License-Identifier: MIT */
#include "core/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NOW   1700000000000000ULL
#define HOUR  3600000000ULL
#define GRACE (12 * HOUR)

static struct live_report *report;

static int set_up(void **state)
{
        (void)state;
        report = live_report_new(0);
        live_report_add(report, "seen");
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        report = live_report_free(report);
        return 0;
}

/* Stale by every count: whatever a test changes is what keeps it. */
static struct drop_facts stale(void)
{
        return (struct drop_facts){
                .schema = "test_dead_gw0",
                .standing = STANDING_ENDED,
                .live = live_set_seal(report),
                .may_drop = true,
                .now = NOW,
                .first_seen = NOW - GRACE,
                .unleased_grace = GRACE,
        };
}

static struct drop_facts stale_unknown(void)
{
        struct drop_facts facts = stale();

        facts.standing = STANDING_UNKNOWN;
        return facts;
}

static void what_an_ended_lease_left_may_go(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
        facts.schema = "test_dead_master_tenant_2"; /* the ledger knows it: any worker */
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
        facts.schema = "test_dead_gw12_tenant_2";
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
}

static void an_ended_lease_is_not_judged_by_age_or_pid(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        facts.first_seen = facts.token_time = NOW;
        facts.token_process_alive = true;
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
}

static void what_is_no_berth_name_is_never_a_candidate(void **state)
{
        static const char *const others[] = {
                "public",
                "test_gw0",
                "test_prod",
                "",
                "pg_toast",
                "information_schema",
                "Test_dead_gw0",
                "test_dead_gw0_",
                "test_dead_gw0 ",
                "xtest_dead_gw0",
                "test_dead__gw0",
                "test_DEAD_gw0",
                "test_d\xd0\xb5"
                "ad_gw0",
                "test_dead_gw0\n",
                "test_\"dead\"_gw0",
                "testing_data",
        };
        struct drop_facts facts = stale();

        (void)state;
        for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
                facts.schema = others[i];
                assert_int_equal(decide_drop(&facts), DROP_NOT_OURS);
                facts.live = NULL;
                assert_int_equal(decide_drop(&facts), DROP_NOT_OURS);
                facts.live = live_set_seal(report);
        }
}

static void an_unknown_namespace_needs_a_numbered_worker(void **state)
{
        static const char *const others[] = {
                "test_user_settings", "test_dead_master",  "test_dead_gw",
                "test_dead_gw00",     "test_dead_gw12345",
        };
        struct drop_facts facts = stale_unknown();

        (void)state;
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
        facts.schema = "test_dead_gw9999_x";
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
        for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
                facts.schema = others[i];
                assert_int_equal(decide_drop(&facts), DROP_NOT_OURS);
        }
}

static void an_incomplete_census_keeps_every_candidate_and_is_the_reason(void **state)
{
        static const enum lease_standing standings[] = {
                STANDING_UNKNOWN, STANDING_LIVE, STANDING_RECOVERING, STANDING_KEPT, STANDING_ENDED,
        };
        struct drop_facts facts = stale();

        (void)state;
        facts.live = NULL;
        for (unsigned i = 0; i < sizeof(standings) / sizeof(*standings); i++)
                for (unsigned bits = 0; bits < 8; bits++) {
                        facts.standing = standings[i];
                        facts.token_process_alive = bits & 1;
                        facts.may_drop = bits & 2;
                        facts.first_seen = bits & 4 ? NOW : NOW - GRACE;
                        assert_int_equal(decide_drop(&facts), KEPT_ACTIVE_DETECTION_INCOMPLETE);
                }
}

static void a_live_lease_keeps_its_schemas(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        facts.standing = STANDING_LIVE;
        facts.may_drop = false;
        assert_int_equal(decide_drop(&facts), KEPT_LIVE);
}

static void a_labelled_session_keeps_them_whatever_the_ledger_says(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        facts.schema = "test_seen_gw3_x";
        facts.may_drop = false;
        for (int standing = STANDING_UNKNOWN; standing <= STANDING_ENDED; standing++) {
                facts.standing = (enum lease_standing)standing;
                assert_int_equal(decide_drop(&facts), KEPT_LIVE);
        }
}

static void the_process_of_an_unknown_token_keeps_them(void **state)
{
        struct drop_facts facts = stale_unknown();

        (void)state;
        facts.token_process_alive = true;
        facts.may_drop = false;
        assert_int_equal(decide_drop(&facts), KEPT_LIVE);
}

static void a_recovering_lease_keeps_them(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        facts.standing = STANDING_RECOVERING;
        facts.may_drop = false;
        assert_int_equal(decide_drop(&facts), KEPT_RECOVERING);
}

static void kept_ones_stay(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        facts.standing = STANDING_KEPT;
        facts.may_drop = false;
        assert_int_equal(decide_drop(&facts), KEPT_KEEP);
}

static void an_unknown_one_stays_until_it_was_seen_long_enough(void **state)
{
        struct drop_facts facts = stale_unknown();

        (void)state;
        facts.may_drop = false;
        facts.first_seen = NOW - GRACE + 1;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
        facts.first_seen = NOW;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
        facts.first_seen = NOW - GRACE;
        assert_int_equal(decide_drop(&facts), KEPT_NOT_OWNER);
}

static void one_never_seen_before_is_seen_just_now(void **state)
{
        struct drop_facts facts = stale_unknown();

        (void)state;
        facts.first_seen = 0;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
}

static void a_token_of_an_unknown_one_counts_from_its_own_time(void **state)
{
        struct drop_facts facts = stale_unknown();

        (void)state;
        facts.token_time = NOW - GRACE + 1;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
        facts.token_time = NOW - GRACE;
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
}

static void a_time_in_the_future_is_recent(void **state)
{
        struct drop_facts facts = stale_unknown();

        (void)state;
        facts.first_seen = NOW + 20 * GRACE;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
        facts.first_seen = NOW - GRACE;
        facts.token_time = NOW + 1;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
        facts.unleased_grace = 0;
        assert_int_equal(decide_drop(&facts), KEPT_UNLEASED_RECENT);
}

static void without_a_grace_what_is_seen_may_go_at_once(void **state)
{
        struct drop_facts facts = stale_unknown();

        (void)state;
        facts.unleased_grace = 0;
        facts.first_seen = facts.token_time = NOW;
        assert_int_equal(decide_drop(&facts), DROP_ALLOWED);
}

static void what_the_role_may_not_drop_stays(void **state)
{
        struct drop_facts facts = stale();

        (void)state;
        facts.may_drop = false;
        assert_int_equal(decide_drop(&facts), KEPT_NOT_OWNER);
}

static void reasons_are_the_words_of_the_contract(void **state)
{
        (void)state;
        assert_null(drop_reason_name(DROP_ALLOWED));
        assert_null(drop_reason_name(DROP_NOT_OURS));
        assert_string_equal(drop_reason_name(KEPT_LIVE), "live");
        assert_string_equal(drop_reason_name(KEPT_ACTIVE_DETECTION_INCOMPLETE),
                            "active_detection_incomplete");
        assert_string_equal(drop_reason_name(KEPT_RECOVERING), "recovering");
        assert_string_equal(drop_reason_name(KEPT_KEEP), "keep");
        assert_string_equal(drop_reason_name(KEPT_UNLEASED_RECENT), "unleased_recent");
        assert_string_equal(drop_reason_name(KEPT_EXTERNAL_DEPENDENTS), "external_dependents");
        assert_string_equal(drop_reason_name(KEPT_NOT_OWNER), "not_owner");
        assert_null(drop_reason_name(DROP_REASON_MAX_));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(what_an_ended_lease_left_may_go),
                TEST(an_ended_lease_is_not_judged_by_age_or_pid),
                TEST(what_is_no_berth_name_is_never_a_candidate),
                TEST(an_unknown_namespace_needs_a_numbered_worker),
                TEST(an_incomplete_census_keeps_every_candidate_and_is_the_reason),
                TEST(a_live_lease_keeps_its_schemas),
                TEST(a_labelled_session_keeps_them_whatever_the_ledger_says),
                TEST(the_process_of_an_unknown_token_keeps_them),
                TEST(a_recovering_lease_keeps_them),
                TEST(kept_ones_stay),
                TEST(an_unknown_one_stays_until_it_was_seen_long_enough),
                TEST(one_never_seen_before_is_seen_just_now),
                TEST(a_token_of_an_unknown_one_counts_from_its_own_time),
                TEST(a_time_in_the_future_is_recent),
                TEST(without_a_grace_what_is_seen_may_go_at_once),
                TEST(what_the_role_may_not_drop_stays),
                TEST(reasons_are_the_words_of_the_contract),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
