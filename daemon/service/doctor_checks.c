/* SPDX-License-Identifier: MIT */
#include "service/doctor_checks.h"

#include "proto/names.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SKEW_MAX       (5 * (int64_t)USEC_PER_SEC)
#define TIGHT_PERCENT  80 /* of the lock table; the daemon warns at the same mark */
#define VERSION_LEAST  140000
#define VERSION_TESTED 189999
#define OWNERS_SHOWN   200 /* bytes */

enum { FACT, VALUE, MORE };

/* ---- the answer ---- */

/* The first row of that fact from row on, or -1. */
static int find(const struct pg_answer *answer, const char *fact, unsigned row)
{
        for (; row < answer->n_rows; row++)
                if (!strcmp(pg_cell(answer, row, FACT), fact))
                        return (int)row;
        return -1;
}

static const char *value_of(const struct pg_answer *answer, const char *fact, unsigned column)
{
        int row = find(answer, fact, 0);
        const char *text = row < 0 ? NULL : pg_cell(answer, (unsigned)row, column);

        return text ? text : "";
}

static bool is_true(const struct doctor_look *look, const char *fact)
{
        return !strcmp(value_of(look->answer, fact, VALUE), "true");
}

static int64_t number(const struct doctor_look *look, const char *fact, unsigned column)
{
        return strtoll(value_of(look->answer, fact, column), NULL, 10);
}

static const char *role(const struct doctor_look *look)
{
        return value_of(look->answer, "role", VALUE);
}

/* ---- what was found ---- */

void doctor_is_well(struct doctor_found *ret, char *what)
{
        *ret = (struct doctor_found){FINDING_OK, what, NULL, NULL};
}

void doctor_warns(struct doctor_found *ret, char *what, char *why, char *fix)
{
        *ret = (struct doctor_found){FINDING_WARNING, what, why, fix};
}

void doctor_complains(struct doctor_found *ret, char *what, char *why, char *fix)
{
        *ret = (struct doctor_found){FINDING_PROBLEM, what, why, fix};
}

/* libpq's message without the question that it puts to beginners. */
static int telling(const char *message)
{
        const char *end = strstr(message, "Is the server running");
        size_t n = end ? (size_t)(end - message) : strlen(message);

        while (n && (message[n - 1] == ' ' || message[n - 1] == '\t'))
                n--;
        return (int)n;
}

static void check_reachable(const struct doctor_look *look, struct doctor_found *ret)
{
        const char *message = look->answer->message;

        if (look->answer->outcome == PG_OK)
                doctor_is_well(ret, alloc_printf("%s answers", look->database));
        else
                doctor_complains(ret, alloc_printf("%s cannot be asked, so nothing is swept", look->database),
                                 alloc_printf("%.*s", telling(message), message),
                                 alloc_printf("start that server, or mend the line of %s in [databases]",
                                              look->database));
}

static void check_direct(const struct doctor_look *look, struct doctor_found *ret)
{
        if (number(look, "backend_pid", VALUE) == look->answer->backend_pid)
                doctor_is_well(ret, alloc_printf("%s is asked directly", look->database));
        else
                doctor_complains(
                        ret, alloc_printf("%s is behind a pooler", look->database),
                        alloc_string("who is connected to PostgreSQL cannot be told through it, so nothing "
                                     "is swept"),
                        alloc_printf("write the server's own host and port for %s in [databases]",
                                     look->database));
}

static void check_primary(const struct doctor_look *look, struct doctor_found *ret)
{
        if (!is_true(look, "in_recovery"))
                doctor_is_well(ret, alloc_printf("the server of %s is a primary", look->database));
        else
                doctor_complains(
                        ret, alloc_printf("the server of %s is a standby", look->database),
                        alloc_string(
                                "it shows the schemas and none of the sessions of its primary, and takes "
                                "no tests"),
                        alloc_printf("name the primary for %s in [databases]", look->database));
}

static void check_see(const struct doctor_look *look, struct doctor_found *ret)
{
        if (is_true(look, "sees_all"))
                doctor_is_well(ret, alloc_printf("%s sees every session", role(look)));
        else
                doctor_warns(
                        ret, alloc_printf("%s does not see what others do", role(look)),
                        alloc_string("'berth locks' cannot say who blocks whom and with which statement"),
                        alloc_printf("GRANT pg_read_all_stats TO %s", role(look)));
}

/*
 * test_gw0, test_gw3_audit: names of before, which say of no run whose they are. As SQL writes them, in quotes where
 * they need them: anybody may call a schema test_gw0_x, prod, and have it typed behind DROP SCHEMA.
 */
static bool is_old(const char *schema)
{
        const char *name = schema + (*schema == '"'), *at = name + strlen("test_gw");
        size_t n;

        if (strncmp(name, "test_gw", strlen("test_gw")) != 0)
                return false;
        n = strspn(at, "0123456789");
        return n > 0 && (at[n] == '\0' || at[n] == '_');
}

/* list: "a, b" */
static bool is_listed(const char *list, const char *name)
{
        size_t length = strlen(name);

        for (const char *at = list; (at = strstr(at, name)); at++)
                if ((at == list || at[-1] == ' ') && (at[length] == '\0' || at[length] == ','))
                        return true;
        return false;
}

/* "a, b": the owners of schemas that we may not drop. */
static char *owners(const struct pg_answer *answer, unsigned *ret_n)
{
        char *list = alloc_string("");

        *ret_n = 0;
        for (int row = find(answer, "schema", 0); row >= 0; row = find(answer, "schema", (unsigned)row + 1)) {
                const char *schema = pg_cell(answer, (unsigned)row, VALUE);
                const char *owner = pg_cell(answer, (unsigned)row, MORE);
                struct berth_name name;

                if (!owner || is_old(schema) || !names_parse_schema(schema, &name))
                        continue;
                ++*ret_n;
                if (!is_listed(list, owner) && strlen(list) < OWNERS_SHOWN) {
                        _cleanup_free_ char *before = list;

                        list = alloc_printf("%s%s%s", before, *before ? ", " : "", owner);
                }
        }
        return list;
}

static void check_drop(const struct doctor_look *look, struct doctor_found *ret)
{
        unsigned n;
        _cleanup_free_ char *whose = owners(look->answer, &n);

        if (!n)
                doctor_is_well(
                        ret, alloc_printf("%s may drop every test schema of %s", role(look), look->database));
        else
                doctor_complains(ret,
                                 alloc_printf("%s may not drop %u schema%s of %s", role(look), n,
                                              n == 1 ? "" : "s", look->database),
                                 alloc_printf("they belong to %s, and stay for ever", whose),
                                 alloc_printf("GRANT %s TO %s", whose, role(look)));
}

static void check_public(const struct doctor_look *look, struct doctor_found *ret)
{
        int row = find(look->answer, "writer", 0), super = find(look->answer, "super_writer", 0);

        if (row >= 0)
                doctor_warns(
                        ret,
                        alloc_printf("%s may create tables in public of %s",
                                     pg_cell(look->answer, (unsigned)row, VALUE), look->database),
                        alloc_string(
                                "a test that loses its search_path writes where all runs read, and no sweep "
                                "ever cleans it"),
                        alloc_printf("in %s: REVOKE CREATE ON SCHEMA public FROM %s", look->database,
                                     pg_cell(look->answer, (unsigned)row, MORE)));
        else if (super >= 0)
                doctor_warns(
                        ret,
                        alloc_printf("tests connect to %s as %s, a superuser", look->database,
                                     pg_cell(look->answer, (unsigned)super, VALUE)),
                        alloc_string("nothing can keep them out of public, where all runs read"),
                        alloc_printf("let them connect as a role with no more than CREATE on database %s",
                                     look->database));
        else
                doctor_is_well(ret,
                               alloc_printf("no test may create tables in public of %s", look->database));
}

static void check_old_names(const struct doctor_look *look, struct doctor_found *ret)
{
        const struct pg_answer *answer = look->answer;
        const char *first = NULL;
        unsigned n = 0;

        for (int row = find(answer, "schema", 0); row >= 0; row = find(answer, "schema", (unsigned)row + 1)) {
                const char *schema = pg_cell(answer, (unsigned)row, VALUE);

                if (!is_old(schema))
                        continue;
                first = first ? first : schema;
                n++;
        }
        if (!n)
                doctor_is_well(ret, alloc_printf("%s has no schemas of older naming", look->database));
        else
                doctor_warns(ret,
                             alloc_printf("%s has %u schema%s of older naming, %s first", look->database, n,
                                          n == 1 ? "" : "s", first),
                             alloc_string("berth never drops what does not say whose it is"),
                             alloc_printf("if nobody uses it, in %s: DROP SCHEMA %s CASCADE", look->database,
                                          first));
}

/* ---- what the last sweep has left, and why; only in a daemon ---- */

static const struct {
        enum drop_reason reason;
        const char *why;
} left[] = {
        {KEPT_EXTERNAL_DEPENDENTS, "something outside depends on it, so no sweep will ever drop it"},
        {KEPT_UNLEASED_RECENT,
         "no lease is on record, so somebody's tests run without berth, and it is kept for unleased_grace"},
};

static const struct sweep_item *find_left(const struct sweep_result *sweep, const char *database,
                                          enum drop_reason reason, unsigned *ret_n)
{
        const struct sweep_item *first = NULL;

        *ret_n = 0;
        for (unsigned i = 0; sweep && i < sweep->n_items; i++) {
                const struct sweep_item *item = &sweep->items[i];

                if (item->verdict != SWEEP_KEPT || item->reason != reason ||
                    strcmp(item->database, database) != 0)
                        continue;
                first = first ? first : item;
                ++*ret_n;
        }
        return first;
}

static void check_leftovers(const struct doctor_look *look, struct doctor_found *ret)
{
        const struct sweep_result *sweep =
                look->sources->sweeper ? sweeper_last(look->sources->sweeper) : NULL;
        unsigned n;

        for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++) {
                const struct sweep_item *first = find_left(sweep, look->database, left[i].reason, &n);

                if (!first)
                        continue;
                doctor_warns(ret,
                             alloc_printf("%s keeps %u schema%s, %s first", look->database, n,
                                          n == 1 ? "" : "s", first->schema),
                             alloc_string(left[i].why), alloc_printf("berth explain %s", first->schema));
                return;
        }
        doctor_is_well(ret, alloc_printf(sweep ? "%s has no leftovers that stay"
                                               : "%s: no sweep to tell of leftovers",
                                         look->database));
}

/* ---- servers ---- */

static void check_lock_table(const struct doctor_look *look, struct doctor_found *ret)
{
        const struct doctor_sources *sources = look->sources;
        const struct database *database = databases_find(sources->databases, look->database);
        int64_t table = number(look, "lock_table", VALUE), slots = sources->settings->ddl_slots,
                peak = sources->lock_budget && database
                               ? lock_budget_peak(sources->lock_budget, database->cluster)
                               : 0;

        if (slots * peak * 100 > table * TIGHT_PERCENT)
                doctor_warns(
                        ret,
                        alloc_printf("%" PRId64 " slots need %" PRId64 " of %" PRId64 " locks at the server "
                                     "of %s",
                                     slots, slots * peak, table, look->database),
                        alloc_string("builds will fail with 'out of shared memory'"),
                        alloc_string(
                                "raise max_locks_per_transaction there and restart it, or lower ddl_slots"));
        else if (peak)
                doctor_is_well(ret,
                               alloc_printf("%" PRId64 " slots need %" PRId64 " of %" PRId64 " locks at the "
                                            "server of %s",
                                            slots, slots * peak, table, look->database));
        else
                doctor_is_well(ret, alloc_printf("the server of %s has room for %" PRId64
                                                 " locks; no build was seen "
                                                 "yet",
                                                 look->database, table));
}

static void check_clock(const struct doctor_look *look, struct doctor_found *ret)
{
        int64_t skew = number(look, "now_usec", VALUE) - (int64_t)env_realtime(look->sources->env);
        int64_t size = skew < 0 ? -skew : skew;

        if (size < SKEW_MAX)
                doctor_is_well(
                        ret, alloc_printf("the clock of the server of %s agrees with ours", look->database));
        else
                doctor_warns(
                        ret,
                        alloc_printf("the clock of the server of %s is %" PRId64 " s %s ours", look->database,
                                     size / (int64_t)USEC_PER_SEC, skew < 0 ? "behind" : "ahead of"),
                        alloc_string("times in its log and in berth's history cannot be put side by side"),
                        alloc_string("let NTP set both clocks (timedatectl)"));
}

static void check_postgresql(const struct doctor_look *look, struct doctor_found *ret)
{
        int64_t version = number(look, "server", MORE);
        const char *shown = value_of(look->answer, "server", VALUE);

        if (version < VERSION_LEAST)
                doctor_complains(ret,
                                 alloc_printf("the server of %s is PostgreSQL %s", look->database, shown),
                                 alloc_string("berth needs 14 or later"), alloc_string("upgrade the server"));
        else if (version > VERSION_TESTED)
                doctor_warns(ret, alloc_printf("the server of %s is PostgreSQL %s", look->database, shown),
                             alloc_string("this berth was tested with 14 to 18"),
                             alloc_string("upgrade berth"));
        else
                doctor_is_well(ret, alloc_printf("the server of %s is PostgreSQL %s", look->database, shown));
}

const struct doctor_check doctor_checks[] = {
        {"reachable", DOCTOR_DATABASE, check_reachable}, {"direct", DOCTOR_DATABASE, check_direct},
        {"primary", DOCTOR_SERVER, check_primary},       {"see", DOCTOR_SERVER, check_see},
        {"drop", DOCTOR_DATABASE, check_drop},           {"public", DOCTOR_DATABASE, check_public},
        {"old_names", DOCTOR_DATABASE, check_old_names}, {"leftovers", DOCTOR_DATABASE, check_leftovers},
        {"lock_table", DOCTOR_SERVER, check_lock_table}, {"clock", DOCTOR_SERVER, check_clock},
        {"postgresql", DOCTOR_SERVER, check_postgresql}, {NULL, DOCTOR_DATABASE, NULL},
};
