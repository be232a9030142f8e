/* SPDX-License-Identifier: MIT */
#include "service/explain_words.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

const char *explain_span(uint64_t from, uint64_t to, char text[EXPLAIN_SPAN_SIZE])
{
        static const struct {
                uint64_t sec;
                const char *unit;
        } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
        uint64_t sec = to > from ? (to - from) / USEC_PER_SEC : 0;

        (void)snprintf(text, EXPLAIN_SPAN_SIZE, "0s");
        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
                if (sec >= 2 * units[i].sec || (units[i].sec == 1 && sec)) {
                        (void)snprintf(text, EXPLAIN_SPAN_SIZE, "%llu%s",
                                       (unsigned long long)(sec / units[i].sec), units[i].unit);
                        break;
                }
        return text;
}

const char *explain_clock(uint64_t usec, char text[EXPLAIN_SPAN_SIZE])
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        struct tm utc;

        if (!gmtime_r(&seconds, &utc) || !strftime(text, EXPLAIN_SPAN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc))
                (void)snprintf(text, EXPLAIN_SPAN_SIZE, "?");
        return text;
}

/* "lease 12 (pytest -n 8)" */
static char *lease_words(int64_t id, const char *label)
{
        return alloc_printf("lease %lld%s%s%s", (long long)id, label ? " (" : "", label ? label : "",
                            label ? ")" : "");
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

/* ---- answers about the lease ---- */

static char *say_live(const struct explanation *e, const struct lease *lease, uint64_t now)
{
        _cleanup_free_ char *who = lease_words(lease->id, lease->label);
        unsigned n = 0;
        char age[EXPLAIN_SPAN_SIZE];

        for (unsigned i = 0; i < lease->n_members; i++)
                n += lease->members[i].connection || !lease->members[i].gone;
        if (lease->state == LEASE_RECOVERING)
                return alloc_printf(
                        "%s is kept: recovering: %s is from before the restart of berthd, and its "
                        "processes are not proven gone",
                        e->name, who);
        return alloc_printf("%s is kept: live: %s has been live for %s, %s %u member%s", e->name, who,
                            explain_span(lease->since_usec, now, age),
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
        char at[EXPLAIN_SPAN_SIZE], in[EXPLAIN_SPAN_SIZE];

        return alloc_printf("%s is kept: keep: until %s, for %s more, as was asked for", e->name,
                            explain_clock(e->kept_until_usec, at), explain_span(now, e->kept_until_usec, in));
}

static char *say_ended(const struct explanation *e, uint64_t now)
{
        const struct explain_lease *lease = &e->leases[e->n_leases - 1];
        char ago[EXPLAIN_SPAN_SIZE];

        return alloc_printf("%s has no schema in %s; lease %lld %s %s ago", e->name,
                            e->n_unheard ? "the databases that answered" : "any database",
                            (long long)lease->id, lease->how ? lease->how : "ended",
                            explain_span(lease->ended_usec, now, ago));
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
        const struct explain_verdict *verdict = schema ? explain_verdict_of(schema) : NULL;

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
                e->text = explain_say_schemas(e, first, now);
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
                e->text = explain_say_no_name(e->name);
                e->advice = alloc_string(advice_for(e, NULL));
        } else if (!answer_by_lease(e, tools, now)) {
                answer_by_schemas(e, tools, now);
        }
}
