/* SPDX-License-Identifier: MIT */
#include "service/explain.h"

#include "proto/json.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SPAN_SIZE  24
#define WHERE_SIZE 200

const char *explain_kind_name(enum explain_kind kind)
{
        static const char *const names[] = {[EXPLAIN_NAMESPACE] = "namespace",
                                            [EXPLAIN_SCHEMA] = "schema",
                                            [EXPLAIN_APPLICATION_NAME] = "application_name",
                                            [EXPLAIN_OTHER] = "other"};

        return names[kind];
}

const char *explain_standing_name(enum explain_standing standing)
{
        static const char *const names[EXPLAIN_STANDING_MAX_] = {
                [EXPLAIN_NEVER_CANDIDATE] = "never_candidate",
                [EXPLAIN_LIVE] = "live",
                [EXPLAIN_RECOVERING] = "recovering",
                [EXPLAIN_QUEUED] = "queued",
                [EXPLAIN_DROPPING] = "dropping",
                [EXPLAIN_FAILED] = "failed",
                [EXPLAIN_UNKNOWN] = "unknown",
                [EXPLAIN_KEPT] = "kept",
                [EXPLAIN_UNSEEN] = "unseen",
                [EXPLAIN_STALE] = "stale",
                [EXPLAIN_DROPPED] = "dropped",
                [EXPLAIN_GONE] = "gone",
                [EXPLAIN_NOTHING] = "nothing",
        };

        return names[standing];
}

/* ---- small words ---- */

static const char *span(uint64_t from, uint64_t to, char text[SPAN_SIZE])
{
        static const struct {
                uint64_t sec;
                const char *unit;
        } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
        uint64_t sec = to > from ? (to - from) / USEC_PER_SEC : 0;

        (void)snprintf(text, SPAN_SIZE, "0s");
        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
                if (sec >= 2 * units[i].sec || (units[i].sec == 1 && sec)) {
                        (void)snprintf(text, SPAN_SIZE, "%llu%s", (unsigned long long)(sec / units[i].sec),
                                       units[i].unit);
                        break;
                }
        return text;
}

static const char *clock_of(uint64_t usec, char text[SPAN_SIZE])
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        struct tm utc;

        if (!gmtime_r(&seconds, &utc) || !strftime(text, SPAN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc))
                (void)snprintf(text, SPAN_SIZE, "?");
        return text;
}

/* "the next is due in 3s" */
static char *next_sweep(const struct explanation *e, uint64_t now)
{
        char in[SPAN_SIZE];

        if (e->sweep_runs)
                return alloc_string("one is running now");
        if (!e->next_sweep_usec)
                return alloc_string("none is due; ask for one with 'berth sweep'");
        return alloc_printf("the next is due in %s", span(now, e->next_sweep_usec, in));
}

static void join(char *text, size_t size, const char *word)
{
        size_t n = strlen(text);

        if (n < size)
                (void)snprintf(text + n, size - n, "%s%s", n ? ", " : "", word);
}

/* "lease 12 (pytest -n 8)" */
static char *lease_words(int64_t id, const char *label)
{
        return alloc_printf("lease %lld%s%s%s", (long long)id, label ? " (" : "", label ? label : "",
                            label ? ")" : "");
}

/* ---- those that stand alike ---- */

struct group {
        const struct explain_schema *first;
        unsigned n_schemas, n_databases;
        char *subject; /* "test_x_gw0", "3 schemas of x" */
        char where[WHERE_SIZE];
};

static const struct explain_verdict *verdict_of(const struct explain_schema *schema)
{
        return schema->n_verdicts ? &schema->verdicts[schema->n_verdicts - 1] : NULL;
}

static bool is_alike(const struct explain_schema *a, const struct explain_schema *b)
{
        const struct explain_verdict *one = verdict_of(a), *other = verdict_of(b);
        const char *reason = one && one->reason ? one->reason : "";

        return a->standing == b->standing &&
               (a->standing != EXPLAIN_KEPT || !strcmp(reason, other && other->reason ? other->reason : ""));
}

/* Is it the first of the group with that database, or with that schema? */
static bool is_first(const struct explanation *e, const struct explain_schema *schema, bool by_database)
{
        for (const struct explain_schema *at = e->schemas; at < schema; at++)
                if (is_alike(at, schema) && (by_database ? !strcmp(at->database, schema->database)
                                                         : !strcmp(at->schema, schema->schema)))
                        return false;
        return true;
}

static struct group group_of(const struct explanation *e, const struct explain_schema *first)
{
        struct group group = {.first = first};

        for (unsigned i = 0; i < e->n_schemas; i++) {
                const struct explain_schema *schema = &e->schemas[i];

                if (!is_alike(schema, first))
                        continue;
                group.n_schemas += is_first(e, schema, false);
                if (!is_first(e, schema, true))
                        continue;
                group.n_databases++;
                join(group.where, sizeof(group.where), schema->database);
        }
        if (group.n_schemas == 1)
                group.subject = alloc_string(first->schema);
        else
                group.subject = alloc_printf("%u schemas of %s", group.n_schemas, e->name);
        return group;
}

/* Which one speaks for all? */
static const struct explain_schema *spokesman(const struct explanation *e)
{
        const struct explain_schema *best = NULL;

        for (unsigned i = 0; i < e->n_schemas; i++)
                if (!best || e->schemas[i].standing < best->standing)
                        best = &e->schemas[i];
        return best;
}

/* ---- answers about schemas ---- */

static const char *was(const struct group *group)
{
        return group->n_schemas == 1 ? "was" : "were";
}

static const char *is(const struct group *group)
{
        return group->n_schemas == 1 ? "is" : "are";
}

static char *say_dropping(const struct explanation *e, const struct group *group, uint64_t now)
{
        (void)e, (void)now;
        return alloc_printf("%s %s being dropped now in %s", group->subject, is(group), group->where);
}

static char *say_failed(const struct explanation *e, const struct group *group, uint64_t now)
{
        const struct explain_verdict *verdict = verdict_of(group->first);
        _cleanup_free_ char *next = next_sweep(e, now);
        char ago[SPAN_SIZE];

        return alloc_printf("%s could not be dropped in %s: %s: %s; tried %s ago, by sweep %lld; %s",
                            group->subject, group->where, verdict->sqlstate ? verdict->sqlstate : "failed",
                            verdict->detail ? verdict->detail : "", span(verdict->last_usec, now, ago),
                            (long long)verdict->sweep, next);
}

static char *say_unknown(const struct explanation *e, const struct group *group, uint64_t now)
{
        _cleanup_free_ char *next = next_sweep(e, now);

        return alloc_printf("%s may be gone from %s: COMMIT of its drop was sent, and nothing came back; the "
                            "next sweep looks; %s",
                            group->subject, group->where, next);
}

static char *say_kept(const struct explanation *e, const struct group *group, uint64_t now)
{
        const struct explain_verdict *verdict = verdict_of(group->first);
        char ago[SPAN_SIZE];

        (void)e;
        return alloc_printf("%s %s kept in %s: %s%s%s; found so %s ago, by sweep %lld", group->subject,
                            is(group), group->where, verdict->reason ? verdict->reason : "?",
                            verdict->detail ? ": " : "", verdict->detail ? verdict->detail : "",
                            span(verdict->last_usec, now, ago), (long long)verdict->sweep);
}

static char *say_unseen(const struct explanation *e, const struct group *group, uint64_t now)
{
        const struct explain_lease *lease = e->n_leases ? &e->leases[e->n_leases - 1] : NULL;
        _cleanup_free_ char *next = next_sweep(e, now);
        char ago[SPAN_SIZE];

        if (lease && lease->ended_usec)
                return alloc_printf("%s %s in %s; lease %lld %s %s ago, and no sweep has looked since; %s",
                                    group->subject, is(group), group->where, (long long)lease->id,
                                    lease->how ? lease->how : "ended", span(lease->ended_usec, now, ago),
                                    next);
        return alloc_printf("%s %s in %s, not seen by any sweep yet; %s", group->subject, is(group),
                            group->where, next);
}

static char *say_stale(const struct explanation *e, const struct group *group, uint64_t now)
{
        _cleanup_free_ char *next = next_sweep(e, now);

        return alloc_printf("%s %s stale in %s, and goes with the next sweep that is no dry run; %s",
                            group->subject, is(group), group->where, next);
}

static char *say_dropped(const struct explanation *e, const struct group *group, uint64_t now)
{
        const struct explain_verdict *verdict = verdict_of(group->first);
        char ago[SPAN_SIZE], at[SPAN_SIZE];

        (void)e;
        return alloc_printf("%s %s dropped in %s %s ago (%s), by sweep %lld", group->subject, was(group),
                            group->where, span(verdict->last_usec, now, ago),
                            clock_of(verdict->last_usec, at), (long long)verdict->sweep);
}

static char *say_gone(const struct explanation *e, const struct group *group, uint64_t now)
{
        (void)now;
        return alloc_printf("%s %s gone from %s, and not by a sweep%s", group->subject, is(group),
                            group->where, e->n_leases ? "; its run has dropped it, or somebody else" : "");
}

static char *say_schemas(const struct explanation *e, const struct explain_schema *first, uint64_t now)
{
        static char *(*const words[EXPLAIN_STANDING_MAX_])(const struct explanation *, const struct group *,
                                                           uint64_t) = {
                [EXPLAIN_DROPPING] = say_dropping, [EXPLAIN_FAILED] = say_failed,
                [EXPLAIN_UNKNOWN] = say_unknown,   [EXPLAIN_KEPT] = say_kept,
                [EXPLAIN_UNSEEN] = say_unseen,     [EXPLAIN_STALE] = say_stale,
                [EXPLAIN_DROPPED] = say_dropped,   [EXPLAIN_GONE] = say_gone,
        };
        struct group group = group_of(e, first);
        char *text = words[first->standing](e, &group, now);

        free(group.subject);
        return text;
}

/* ---- answers about the lease ---- */

static char *say_live(const struct explanation *e, const struct lease *lease, uint64_t now)
{
        _cleanup_free_ char *who = lease_words(lease->id, lease->label);
        unsigned n = 0;
        char age[SPAN_SIZE];

        for (unsigned i = 0; i < lease->n_members; i++)
                n += lease->members[i].connection || !lease->members[i].gone;
        if (lease->state == LEASE_RECOVERING)
                return alloc_printf(
                        "%s is kept: recovering: %s is from before the restart of berthd, and its "
                        "processes are not proven gone",
                        e->name, who);
        return alloc_printf("%s is kept: live: %s has been live for %s, %s %u member%s", e->name, who,
                            span(lease->since_usec, now, age),
                            lease->state == LEASE_RELEASING ? "and was released, but is carried by" : "with",
                            n, n == 1 ? "" : "s");
}

struct search {
        const char *namespace;
        const struct lease *waiter;
};

static void find_waiter(void *owner, const struct lease *lease)
{
        struct search *search = owner;

        if (lease->state == LEASE_WAITING && !strcmp(lease->namespace, search->namespace))
                search->waiter = lease;
}

static char *say_keep(const struct explanation *e, uint64_t now)
{
        char at[SPAN_SIZE], in[SPAN_SIZE];

        return alloc_printf("%s is kept: keep: until %s, for %s more, as was asked for", e->name,
                            clock_of(e->kept_until_usec, at), span(now, e->kept_until_usec, in));
}

static char *say_ended(const struct explanation *e, uint64_t now)
{
        const struct explain_lease *lease = &e->leases[e->n_leases - 1];
        char ago[SPAN_SIZE];

        return alloc_printf("%s has no schema in %s; lease %lld %s %s ago", e->name,
                            e->n_unheard ? "the databases that answered" : "any database",
                            (long long)lease->id, lease->how ? lease->how : "ended",
                            span(lease->ended_usec, now, ago));
}

/* ---- no candidates ---- */

/* Which rule does a name break that looks like one of ours? */
static char *broken_rule(const char *name, const char *prefix, bool worker_first)
{
        const char *rest = name + strlen(prefix), *second = strchr(rest, '_');
        char part[NAMES_MAX + 1], other[NAMES_MAX + 1], message[NAMES_MESSAGE_SIZE];
        const char *parts[2] = {part, other};

        if (strlen(name) > NAMES_MAX)
                return alloc_printf("it has %zu bytes, and PostgreSQL cuts names at %d", strlen(name),
                                    NAMES_MAX);
        if (!second)
                return alloc_printf("it is no %s", worker_first ? "pytest_{worker}_{namespace}[_{suffix}]"
                                                                : "test_{namespace}_{worker}[_{suffix}]");
        (void)snprintf(part, sizeof(part), "%.*s", (int)(second - rest), rest);
        (void)snprintf(other, sizeof(other), "%.*s", (int)strcspn(second + 1, "_"), second + 1);
        if (!names_check_namespace(parts[worker_first], message) ||
            !names_check_worker(parts[!worker_first], message))
                return alloc_string(message);
        second = strchr(second + 1, '_');
        if (second && !names_check_suffix(second + 1, message))
                return alloc_string(message);
        return alloc_string("it breaks the rules of such names");
}

static char *say_no_name(const char *name)
{
        _cleanup_free_ char *rule = NULL;

        if (!strncmp(name, "test_", 5))
                rule = broken_rule(name, "test_", false);
        else if (!strncmp(name, "pytest_", 7))
                rule = broken_rule(name, "pytest_", true);
        else
                rule = alloc_string("it is no namespace, and no test_{namespace}_{worker}[_{suffix}]");
        return alloc_printf("never a candidate: %s is not a berth name: %s", name, rule);
}

/* Of namespaces that no lease had, only those with a worker gw<N> are ours: decide.c. */
static bool is_foreign(const struct explanation *e, const struct explain_tools *tools)
{
        return e->kind == EXPLAIN_SCHEMA && !e->n_leases && names_worker_number(e->parsed.worker) < 0 &&
               leases_standing(tools->leases, e->parsed.namespace) == STANDING_UNKNOWN;
}

/* ---- what to do ---- */

static const char *const reason_advice[][2] = {
        {"active_detection_incomplete", "mend the database that was not heard ('berth status' names it), or "
                                        "take it out of the configuration"},
        {"external_dependents", "drop or move what depends on it from outside, then 'berth sweep'"},
        {"not_owner", "GRANT its owner to berthd's role, then 'berth sweep'"},
        {"unleased_recent",
         "wait until unleased_grace has passed, or drop it by hand if you know that it is dead"},
        {"live", "nothing, while it is in use; else end the session or process that is named"},
};

static const char *advice_for(const struct explanation *e, const struct explain_schema *schema)
{
        static const char *const table[EXPLAIN_STANDING_MAX_] = {
                [EXPLAIN_NEVER_CANDIDATE] = "berth never drops it; drop it by hand if it is rubbish",
                [EXPLAIN_FAILED] =
                        "end what holds the lock (a session; ROLLBACK PREPARED), or wait for the next try",
                [EXPLAIN_UNSEEN] = "'berth sweep --dry-run' says what the next sweep will make of it",
                [EXPLAIN_STALE] = "'berth sweep' drops it now",
                [EXPLAIN_NOTHING] = "see that it is spelled right; 'berth history' shows what is remembered",
        };
        const struct explain_verdict *verdict = schema ? verdict_of(schema) : NULL;

        if (e->standing != EXPLAIN_KEPT || !verdict || !verdict->reason)
                return table[e->standing];
        for (size_t i = 0; i < sizeof(reason_advice) / sizeof(*reason_advice); i++)
                if (!strcmp(reason_advice[i][0], verdict->reason))
                        return reason_advice[i][1];
        return NULL;
}

/* ---- the answer ---- */

static bool answer_by_lease(struct explanation *e, const struct explain_tools *tools, uint64_t now)
{
        const struct lease *lease = leases_find(tools->leases, e->parsed.namespace);
        struct search search = {.namespace = e->parsed.namespace};

        if (lease) {
                e->standing = lease->state == LEASE_RECOVERING ? EXPLAIN_RECOVERING : EXPLAIN_LIVE;
                e->text = say_live(e, lease, now);
                return true;
        }
        leases_each(tools->leases, find_waiter, &search);
        if (search.waiter) {
                e->standing = EXPLAIN_QUEUED;
                e->text = alloc_printf("%s waits for its lease, number %u in the queue", e->name,
                                       search.waiter->position);
                return true;
        }
        if (!e->kept_until_usec)
                return false;
        e->standing = EXPLAIN_KEPT;
        e->text = say_keep(e, now);
        e->advice = alloc_string("'berth keep' moves that time");
        return true;
}

static void answer_by_schemas(struct explanation *e, const struct explain_tools *tools, uint64_t now)
{
        const struct explain_schema *first = spokesman(e);

        if (is_foreign(e, tools)) {
                e->standing = EXPLAIN_NEVER_CANDIDATE;
                e->text =
                        alloc_printf("never a candidate: no lease of namespace %s is on record, and %s is no "
                                     "worker gw<N>",
                                     e->parsed.namespace, e->parsed.worker);
        } else if (first) {
                e->standing = first->standing;
                e->text = say_schemas(e, first, now);
        } else if (e->n_leases) {
                e->standing = EXPLAIN_GONE;
                e->text = say_ended(e, now);
        } else {
                e->standing = EXPLAIN_NOTHING;
                e->text = alloc_printf(
                        "nothing is known of %s: no lease and no verdict on record, and no schema "
                        "in %s",
                        e->name, e->n_unheard ? "the databases that answered" : "any database");
        }
        if (advice_for(e, first))
                e->advice = alloc_string(advice_for(e, first));
}

void explain_answer(struct explanation *e, const struct explain_tools *tools)
{
        uint64_t now = env_realtime(tools->env);

        if (e->kind == EXPLAIN_OTHER) {
                e->standing = EXPLAIN_NEVER_CANDIDATE;
                e->text = say_no_name(e->name);
                e->advice = alloc_string(advice_for(e, NULL));
        } else if (!answer_by_lease(e, tools, now)) {
                answer_by_schemas(e, tools, now);
        }
}
