/* SPDX-License-Identifier: MIT */

/* berth doctor: what each check makes of what a server says; the real servers of tests/integration are all well-versed. */

#include "slot_story.h"

#include "service/doctor_checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL     "pytest_gw3_mydebug_engine"
#define FACTS_MAX 16

static struct lock_budget *budget;

/* There is neither a sweep here nor what it needs. */
const struct sweep_result *sweeper_last(const struct sweeper *sweeper)
{
        (void)sweeper;
        return NULL;
}

const struct database *databases_find(const struct databases *databases, const char *name)
{
        for (unsigned i = 0; i < databases_count(databases); i++)
                if (!strcmp(databases_at(databases, i)->name, name))
                        return databases_at(databases, i);
        return NULL;
}

static void watch(struct slot_story *story, const struct slot_telling *telling)
{
        (void)story;
        if (telling->what == SLOT_TOLD_CHANGED)
                lock_budget_changed(budget, telling->cluster);
}

static int set_up(void **state)
{
        struct slot_story *story;

        if (slot_story_setup(state))
                return -1;
        story = *state;
        story->watcher = watch;
        budget = lock_budget_new(fake_env(story->fake), fake_server_pg(story->server), story->databases,
                                 story->slots, &story->settings);
        return 0;
}

static int tear_down(void **state)
{
        budget = lock_budget_free(budget);
        return slot_story_teardown(state);
}

struct fact {
        const char *fact, *value, *more;
};

/* A server that is all well, but for the one fact. */
static struct doctor_found run(struct slot_story *story, const char *check, const struct fact *other)
{
        struct fact facts[FACTS_MAX] = {
                {"role", "sweeper", "false"},  {"server", "15.8", "150008"}, {"in_recovery", "false", NULL},
                {"read_only", "false", NULL},  {"backend_pid", "42", NULL},  {"sees_all", "true", NULL},
                {"lock_table", "12784", NULL}, {"now_usec", NULL, NULL},
        };
        const char *cells[3 * FACTS_MAX];
        char now[24];
        struct doctor_sources sources = {.env = fake_env(story->fake),
                                         .databases = story->databases,
                                         .settings = &story->settings,
                                         .lock_budget = budget};
        struct pg_answer answer = {
                .outcome = PG_OK, .message = "", .backend_pid = 42, .n_columns = 3, .cells = cells};
        struct doctor_look look = {&sources, "main", &answer};
        struct doctor_found found = {.what = NULL};
        const struct doctor_check *row = doctor_checks;
        unsigned n = 8;

        (void)snprintf(now, sizeof(now), "%llu", (unsigned long long)env_realtime(sources.env));
        facts[7].value = now;
        for (unsigned i = 0; other && i < n; i++)
                if (!strcmp(facts[i].fact, other->fact)) {
                        facts[i] = *other;
                        other = NULL;
                }
        if (other)
                facts[n++] = *other;
        for (unsigned i = 0; i < n; i++)
                memcpy(&cells[3 * i], &facts[i], sizeof(facts[i]));
        answer.n_rows = n;
        while (strcmp(row->name, check) != 0)
                row++;
        row->run(&look, &found);
        return found;
}

static void assert_found(struct doctor_found found, enum finding_level level, const char *what)
{
        assert_int_equal(found.level, level);
        if (!strstr(found.what, what))
                fail_msg("\"%s\" does not say \"%s\"", found.what, what);
        assert_true(!found.why == (level == FINDING_OK) && !found.fix == (level == FINDING_OK));
        free(found.what);
        free(found.why);
        free(found.fix);
}

static void nothing_is_found_where_all_is_well(void **state)
{
        for (const struct doctor_check *check = doctor_checks; check->name; check++)
                assert_found(run(*state, check->name, NULL), FINDING_OK, "");
}

static void each_check_finds_what_it_is_for(void **state)
{
        static const struct {
                const char *check;
                struct fact fact;
                enum finding_level level;
                const char *what;
        } rows[] = {
                {"direct", {"backend_pid", "43", NULL}, FINDING_PROBLEM, "behind a pooler"},
                {"primary", {"in_recovery", "true", NULL}, FINDING_PROBLEM, "a standby"},
                {"see", {"sees_all", "false", NULL}, FINDING_WARNING, "sweeper does not see"},
                {"drop", {"schema", "test_pa_gw0", "ci"}, FINDING_PROBLEM, "1 schema "},
                {"drop", {"schema", "test_pa_gw0", NULL}, FINDING_OK, ""},
                {"drop", {"schema", "test_gw0_audit", "ci"}, FINDING_OK, ""},
                {"drop", {"schema", "test_Not_ours", "ci"}, FINDING_OK, ""},
                {"public", {"writer", "PUBLIC", "PUBLIC"}, FINDING_WARNING, "PUBLIC may create"},
                {"public", {"super_writer", "postgres", NULL}, FINDING_WARNING, "as postgres, a superuser"},
                {"old_names", {"schema", "test_gw12", NULL}, FINDING_WARNING, "test_gw12 first"},
                {"old_names", {"schema", "test_gw3_audit", NULL}, FINDING_WARNING, "test_gw3_audit first"},
                {"old_names", {"schema", "test_gwx", NULL}, FINDING_OK, ""},
                {"old_names", {"schema", "test_gw1a_gw0", NULL}, FINDING_OK, ""},
                {"postgresql", {"server", "13.14", "130014"}, FINDING_PROBLEM, "PostgreSQL 13.14"},
                {"postgresql", {"server", "14.0", "140000"}, FINDING_OK, ""},
                {"postgresql", {"server", "18.3", "180003"}, FINDING_OK, ""},
                {"postgresql", {"server", "19beta1", "190000"}, FINDING_WARNING, "19beta1"},
                {"lock_table", {"lock_table", "0", NULL}, FINDING_OK, ""},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                assert_found(run(*state, rows[i].check, &rows[i].fact), rows[i].level, rows[i].what);
}

static void a_clock_is_wrong_from_five_seconds_on(void **state)
{
        static const struct {
                int64_t sec;
                enum finding_level level;
                const char *what;
        } rows[] = {
                {4, FINDING_OK, "agrees"},
                {-4, FINDING_OK, "agrees"},
                {5, FINDING_WARNING, "5 s ahead of ours"},
                {-3600, FINDING_WARNING, "3600 s behind ours"},
        };
        struct slot_story *story = *state;
        char now[24];

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
                struct fact fact = {"now_usec", now, NULL};

                (void)snprintf(now, sizeof(now), "%lld",
                               (long long)env_realtime(fake_env(story->fake)) + rows[i].sec * 1000000);
                assert_found(run(story, "clock", &fact), rows[i].level, rows[i].what);
        }
}

/* Two slots of 2639 locks are 5278: as many as four fifths of 6597.5. */
static void the_lock_table_is_tight_at_four_fifths(void **state)
{
        struct slot_story *story = *state;
        struct slot_request holder = slot_story_hold(story, 1, NULL);

        fake_server_set_locks(story->server, LABEL, 2639);
        slot_story_pass(story, 250 * USEC_PER_MSEC);
        assert_int_equal(story->settings.ddl_slots, 2);
        assert_found(run(story, "lock_table", &(struct fact){"lock_table", "6598", NULL}), FINDING_OK,
                     "5278 of 6598");
        assert_found(run(story, "lock_table", &(struct fact){"lock_table", "6597", NULL}), FINDING_WARNING,
                     "2 slots need 5278 of 6597 locks");
        assert_int_equal(slot_story_release(story, holder.connection), 0);
        slot_story_pass(story, USEC_PER_SEC);
}

static void what_libpq_asks_beginners_is_left_out(void **state)
{
        struct slot_story *story = *state;
        struct doctor_sources sources = {.env = fake_env(story->fake), .databases = story->databases};
        struct pg_answer answer = {
                .outcome = PG_LOST,
                .message = "port 1 failed: Connection refused \tIs the server running on that host?"};
        struct doctor_look look = {&sources, "main", &answer};
        struct doctor_found found = {.what = NULL};

        doctor_checks[0].run(&look, &found);
        assert_string_equal(found.why, "port 1 failed: Connection refused");
        assert_found(found, FINDING_PROBLEM, "main cannot be asked");
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                STORY(nothing_is_found_where_all_is_well),    STORY(each_check_finds_what_it_is_for),
                STORY(a_clock_is_wrong_from_five_seconds_on), STORY(the_lock_table_is_tight_at_four_fifths),
                STORY(what_libpq_asks_beginners_is_left_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
