/* SPDX-License-Identifier: MIT */
#include "service/explain_words.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>

#define WHERE_SIZE 200

/* "the next is due in 3s" */
static char *next_sweep(const struct explanation *e, uint64_t now)
{
        char in[EXPLAIN_SPAN_SIZE];

        if (e->sweep_runs)
                return alloc_string("one is running now");
        if (!e->next_sweep_usec)
                return alloc_string("none is due; ask for one with 'berth sweep'");
        return alloc_printf("the next is due in %s", explain_span(now, e->next_sweep_usec, in));
}

static void join(char *text, size_t size, const char *word)
{
        size_t n = strlen(text);

        if (n < size)
                (void)snprintf(text + n, size - n, "%s%s", n ? ", " : "", word);
}

/* ---- those that stand alike ---- */

struct group {
        const struct explain_schema *first;
        unsigned n_schemas;
        char *subject; /* "test_x_gw0", "3 schemas of x" */
        char where[WHERE_SIZE];
};

const struct explain_verdict *explain_verdict_of(const struct explain_schema *schema)
{
        return schema->n_verdicts ? &schema->verdicts[schema->n_verdicts - 1] : NULL;
}

static bool is_alike(const struct explain_schema *a, const struct explain_schema *b)
{
        const struct explain_verdict *one = explain_verdict_of(a), *other = explain_verdict_of(b);
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
                if (is_first(e, schema, true))
                        join(group.where, sizeof(group.where), schema->database);
        }
        if (group.n_schemas == 1)
                group.subject = alloc_string(first->schema);
        else
                group.subject = alloc_printf("%u schemas of %s", group.n_schemas, e->name);
        return group;
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
        const struct explain_verdict *verdict = explain_verdict_of(group->first);
        _cleanup_free_ char *next = next_sweep(e, now);
        char ago[EXPLAIN_SPAN_SIZE];

        return alloc_printf("%s could not be dropped in %s: %s: %s; tried %s ago, by sweep %lld; %s",
                            group->subject, group->where, verdict->sqlstate ? verdict->sqlstate : "failed",
                            verdict->detail ? verdict->detail : "",
                            explain_span(verdict->last_usec, now, ago), (long long)verdict->sweep, next);
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
        const struct explain_verdict *verdict = explain_verdict_of(group->first);
        char ago[EXPLAIN_SPAN_SIZE];

        (void)e;
        return alloc_printf("%s %s kept in %s: %s%s%s; found so %s ago, by sweep %lld", group->subject,
                            is(group), group->where, verdict->reason ? verdict->reason : "?",
                            verdict->detail ? ": " : "", verdict->detail ? verdict->detail : "",
                            explain_span(verdict->last_usec, now, ago), (long long)verdict->sweep);
}

static char *say_unseen(const struct explanation *e, const struct group *group, uint64_t now)
{
        const struct explain_lease *lease = e->n_leases ? &e->leases[e->n_leases - 1] : NULL;
        _cleanup_free_ char *next = next_sweep(e, now);
        char ago[EXPLAIN_SPAN_SIZE];

        if (lease && lease->ended_usec)
                return alloc_printf("%s %s in %s; lease %lld %s %s ago, and no sweep has looked since; %s",
                                    group->subject, is(group), group->where, (long long)lease->id,
                                    lease->how ? lease->how : "ended",
                                    explain_span(lease->ended_usec, now, ago), next);
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
        const struct explain_verdict *verdict = explain_verdict_of(group->first);
        char ago[EXPLAIN_SPAN_SIZE], at[EXPLAIN_SPAN_SIZE];

        (void)e;
        return alloc_printf("%s %s dropped in %s %s ago (%s), by sweep %lld", group->subject, was(group),
                            group->where, explain_span(verdict->last_usec, now, ago),
                            explain_clock(verdict->last_usec, at), (long long)verdict->sweep);
}

static char *say_gone(const struct explanation *e, const struct group *group, uint64_t now)
{
        (void)now;
        return alloc_printf("%s %s gone from %s, and not by a sweep%s", group->subject, is(group),
                            group->where, e->n_leases ? "; its run has dropped it, or somebody else" : "");
}

char *explain_say_schemas(const struct explanation *e, const struct explain_schema *first, uint64_t now)
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
