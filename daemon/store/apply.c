/* SPDX-License-Identifier: MIT */
#include "store/apply.h"

#include "store/fields.h"
#include "util/alloc.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

#define SUMMARY_SIZE   512
#define STATEMENTS_MAX 2
#define PARAMETERS_MAX 16

/* Writes what a person should read in "event" into text, and returns it, or another text,
 * or NULL for none. */
typedef const char *summary_fn(const struct ledger_change *change, char text[SUMMARY_SIZE]);

struct rule {
        const char *event;
        summary_fn *summary; /* NULL: the change's detail */
        const char *sql[STATEMENTS_MAX];
};

static const char *granted(const struct ledger_change *change, char *text)
{
        (void)text;
        return change->forced ? "forced" : NULL;
}

static const char *ended(const struct ledger_change *change, char *text)
{
        char status[32] = "";

        if (change->exit_status >= 0)
                (void)snprintf(status, sizeof(status), "; exit status %d", change->exit_status);
        (void)snprintf(text, SUMMARY_SIZE, "%s%s%s%s", change->detail ? change->detail : "",
                       change->reason ? ": " : "", change->reason ? change->reason : "", status);
        return text;
}

static const char *kept(const struct ledger_change *change, char *text)
{
        const time_t until = (time_t)(change->until_usec / 1000000);
        struct tm tm;

        if (!change->until_usec)
                return "no longer";
        if (!gmtime_r(&until, &tm) || !strftime(text, SUMMARY_SIZE, "until %Y-%m-%d %H:%M:%SZ", &tm))
                return NULL;
        return text;
}

static const char *joined(const struct ledger_change *change, char *text)
{
        (void)text;
        return field_role_name(change->role);
}

static const char *slot(const struct ledger_change *change, char *text)
{
        (void)snprintf(text, SUMMARY_SIZE, "slot %d of cluster %s", change->slot,
                       change->cluster ? change->cluster : "?");
        return text;
}

static const char *swept(const struct ledger_change *change, char *text)
{
        (void)snprintf(text, SUMMARY_SIZE, "sweep %lld%s: census %s", (long long)change->sweep,
                       change->dry_run ? " (dry run)" : "", change->complete ? "complete" : "incomplete");
        return text;
}

static const char *verdict(const struct ledger_change *change, char *text)
{
        const char *const parts[] = {change->detail, change->reason, change->sqlstate, change->message};
        size_t n = 0;

        for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
                if (parts[i] && *parts[i] && n < SUMMARY_SIZE)
                        n += (size_t)snprintf(text + n, SUMMARY_SIZE - n, "%s%s", n ? ": " : "", parts[i]);
        return n ? text : NULL;
}

static const char *nothing(const struct ledger_change *change, char *text)
{
        (void)change, (void)text;
        return NULL;
}

/* clang-format off */

#define INSERT_MEMBER                                                                                        \
        "INSERT OR REPLACE INTO member"                                                                      \
        " (id, lease, role, worker, uid, pid, start_ticks, pidfd_inode, boot_id, joined_usec)"               \
        " SELECT :member, :lease, :role, :worker, :uid, :pid, :start_ticks, :pidfd_inode, :boot_id,"         \
        " :time_usec WHERE :member IS NOT NULL"

static const struct rule rules[LEDGER_CHANGE_MAX_] = {
        [LEDGER_LEASE_GRANTED] = { "lease_granted", granted, {
                "INSERT OR REPLACE INTO lease"
                " (id, namespace, label, uid, forced, request, secret_hash, first_member, granted_usec)"
                " VALUES (:lease, :namespace, :label, :uid, :forced, :request, :secret_hash, :member, :time_usec)",
                INSERT_MEMBER } },
        [LEDGER_LEASE_REKEYED] = { "lease_rekeyed", nothing, {
                "UPDATE lease SET secret_hash = :secret_hash WHERE id = :lease" } },
        [LEDGER_LEASE_ENDED] = { "lease_ended", ended, {
                "UPDATE lease SET ended_usec = :time_usec, outcome = :detail, reason = :reason,"
                " exit_status = :exit_status WHERE id = :lease" } },
        [LEDGER_LEASE_KEPT] = { "lease_kept", kept, {
                "DELETE FROM keep WHERE namespace = :namespace",
                "INSERT INTO keep SELECT :namespace, :until_usec, :time_usec WHERE :until_usec > 0" } },
        [LEDGER_MEMBER_JOINED] = { "member_joined", joined, { INSERT_MEMBER } },
        [LEDGER_MEMBER_LEFT] = { "member_left", NULL, {
                "UPDATE member SET left_usec = :time_usec WHERE id = :member" } },
        [LEDGER_SLOT_GRANTED] = { "slot_granted", slot, {
                "INSERT OR REPLACE INTO slot VALUES (:grant, :lease, :namespace, :worker, :cluster, :slot,"
                " :pid, :start_ticks, :pidfd_inode, :boot_id, :time_usec)" } },
        [LEDGER_SLOT_FREED] = { "slot_freed", NULL, {
                "DELETE FROM slot WHERE grant = :grant" } },
        [LEDGER_CLAIMED] = { "claimed", NULL, {
                "INSERT OR REPLACE INTO claim"
                " VALUES (:database, :schema, coalesce(:oid, ''), :namespace, :sweep, :time_usec)" } },
        [LEDGER_UNCLAIMED] = { "unclaimed", NULL, {
                "DELETE FROM claim"
                " WHERE database = :database AND schema = :schema AND oid = coalesce(:oid, '')" } },
        /* The first sighting counts; a later one changes nothing. */
        [LEDGER_SIGHTED] = { "sighted", NULL, {
                "INSERT OR IGNORE INTO sighting VALUES (:database, :schema, coalesce(:oid, ''), :time_usec)" } },
        [LEDGER_UNSIGHTED] = { "unsighted", NULL, {
                "DELETE FROM sighting"
                " WHERE database = :database AND schema = :schema AND oid = coalesce(:oid, '')" } },
        [LEDGER_SWEPT] = { "swept", swept, {
                "INSERT OR REPLACE INTO sweep VALUES (:sweep, :dry_run, :complete, :time_usec, :detail)" } },
        [LEDGER_VERDICT] = { "verdict", verdict, {
                "INSERT OR REPLACE INTO verdict VALUES (:sweep, :database, :schema, coalesce(:oid, ''), :namespace,"
                " :detail, :reason, :sqlstate, :message, :time_usec)" } },
        [LEDGER_NOTED] = { "noted", NULL, { NULL } },
        [LEDGER_PUBLIC_WRITTEN] = { "public_written", NULL, { NULL } },
};

/* Runs before the change itself, so that the row of a slot that is being freed can still say whose it was. */
static const char event_sql[] =
        "INSERT INTO event (time_usec, event, lease, namespace, worker, database, schema, detail, since_usec, slot, cluster)"
        " SELECT :time_usec, :event, coalesce(:lease, slot.lease),"
        " coalesce(:namespace, slot.namespace, lease.namespace), coalesce(:worker, slot.worker, member.worker),"
        " :database, :schema, :summary,"
        " coalesce(nullif(:since_usec, 0), CASE :event WHEN 'slot_freed' THEN slot.granted_usec"
        "  WHEN 'lease_ended' THEN lease.granted_usec END),"
        " CASE WHEN :grant IS NOT NULL THEN coalesce(slot.slot, :slot) END, coalesce(:cluster, slot.cluster)"
        " FROM (SELECT 1) LEFT JOIN slot ON slot.grant = :grant LEFT JOIN lease ON lease.id = :lease"
        " LEFT JOIN member ON member.id = :member";

/* clang-format on */

struct prepared {
        sqlite3_stmt *statement; /* NULL: none */
        int n_parameters;
        const struct field *parameters[PARAMETERS_MAX];
};

struct apply_plan {
        struct prepared event, kinds[LEDGER_CHANGE_MAX_][STATEMENTS_MAX];
};

static int prepare(struct sqlite *sqlite, struct prepared *prepared, const char *sql)
{
        if (sqlite_prepare(sqlite, sql, &prepared->statement))
                return -1;
        prepared->n_parameters = sqlite3_bind_parameter_count(prepared->statement);
        assert(prepared->n_parameters <= PARAMETERS_MAX);
        for (int i = 0; i < prepared->n_parameters; i++) {
                prepared->parameters[i] =
                        field_find(sqlite3_bind_parameter_name(prepared->statement, i + 1) + 1);
                assert(prepared->parameters[i]);
        }
        return 0;
}

struct apply_plan *apply_plan_new(struct sqlite *sqlite)
{
        struct apply_plan *plan = NEW(struct apply_plan);
        int r = prepare(sqlite, &plan->event, event_sql);

        for (int kind = 0; kind < LEDGER_CHANGE_MAX_; kind++)
                for (int i = 0; i < STATEMENTS_MAX && rules[kind].sql[i] && !r; i++)
                        r = prepare(sqlite, &plan->kinds[kind][i], rules[kind].sql[i]);
        return r ? apply_plan_free(plan) : plan;
}

struct apply_plan *apply_plan_free(struct apply_plan *plan)
{
        if (!plan)
                return NULL;
        sqlite3_finalize(plan->event.statement);
        for (int kind = 0; kind < LEDGER_CHANGE_MAX_; kind++)
                for (int i = 0; i < STATEMENTS_MAX; i++)
                        sqlite3_finalize(plan->kinds[kind][i].statement);
        free(plan);
        return NULL;
}

static int run(struct sqlite *sqlite, const struct prepared *prepared, const struct field_source *source)
{
        for (int i = 0; i < prepared->n_parameters; i++)
                if (field_bind(prepared->statement, i + 1, prepared->parameters[i], source))
                        return sqlite_failed(sqlite);
        return sqlite_finish(sqlite, prepared->statement);
}

static void use_number(int64_t *next, int64_t used)
{
        if (used >= *next)
                *next = used + 1;
}

static void note_numbers(struct ledger_numbers *next, const struct ledger_change *change)
{
        use_number(&next->lease, change->lease);
        use_number(&next->member, change->member);
        use_number(&next->grant, change->grant);
        use_number(&next->sweep, change->sweep);
}

int ledger_apply(struct store *store, const struct ledger_change *change)
{
        const struct prepared *prepared = store->plan->kinds[change->kind];
        const struct rule *rule = &rules[change->kind];
        char text[SUMMARY_SIZE];
        const struct field_source source = {
                .change = change,
                .event = rule->event,
                .summary = rule->summary ? rule->summary(change, text) : change->detail,
        };

        if (run(&store->sqlite, &store->plan->event, &source))
                return store_outcome(store);
        for (int i = 0; i < STATEMENTS_MAX && prepared[i].statement; i++)
                if (run(&store->sqlite, &prepared[i], &source))
                        return store_outcome(store);
        note_numbers(&store->next, change);
        return 0;
}
