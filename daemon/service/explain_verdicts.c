/* SPDX-License-Identifier: MIT */
#include "service/explain.h"

#include "proto/json.h"
#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

static bool is_same(const char *a, const char *b)
{
        return !strcmp(a ? a : "", b ? b : "");
}

static struct explain_verdict *last_of(const struct explain_schema *schema)
{
        return schema->n_verdicts ? &schema->verdicts[schema->n_verdicts - 1] : NULL;
}

static char *unless_empty(const char *text)
{
        return text && *text ? alloc_string(text) : NULL;
}

/* A drop that fails and is tried again is one story, with its end moved on. */
static bool goes_on(const struct explain_verdict *last, const struct ledger_change *row)
{
        return last && is_same(last->oid, row->oid) && is_same(last->verdict, row->detail) &&
               is_same(last->reason, row->reason) && is_same(last->sqlstate, row->sqlstate);
}

static void set_text(char **text, const char *value)
{
        free(*text);
        *text = unless_empty(value);
}

void explain_add_verdict(struct explanation *e, const struct ledger_change *row)
{
        struct explain_schema *schema;
        struct explain_verdict *last;

        if (!explain_concerns(e, row->schema))
                return;
        schema = explain_schema_at(e, row->database, row->schema);
        last = last_of(schema);
        if (!goes_on(last, row)) {
                schema->verdicts =
                        alloc_array(schema->verdicts, schema->n_verdicts + 1, sizeof(*schema->verdicts));
                last = &schema->verdicts[schema->n_verdicts++];
                *last = (struct explain_verdict){.oid = unless_empty(row->oid),
                                                 .verdict = unless_empty(row->detail),
                                                 .reason = unless_empty(row->reason),
                                                 .sqlstate = unless_empty(row->sqlstate),
                                                 .time_usec = row->time_usec};
        }
        last->sweep = row->sweep;
        last->last_usec = row->time_usec;
        set_text(&last->detail, row->message);
}

/* By the sweep that runs now. */
static bool is_overtaken(const struct explanation *e, const struct sweep_item *item, int64_t sweep)
{
        for (unsigned i = 0; i < e->n_schemas; i++) {
                const struct explain_schema *schema = &e->schemas[i];
                const struct explain_verdict *verdict = last_of(schema);

                if (verdict && verdict->sweep > sweep && is_same(schema->schema, item->schema) &&
                    is_same(schema->database, item->database))
                        return true;
        }
        return false;
}

/* The ledger has no row where nothing was new, and none of a dry run. */
static void add_last_sweep(struct explanation *e, const struct sweep_result *last)
{
        for (unsigned i = 0; last && i < last->n_items; i++) {
                const struct sweep_item *item = &last->items[i];
                const struct ledger_change row = {
                        .kind = LEDGER_VERDICT,
                        .time_usec = last->finished_usec,
                        .sweep = last->id,
                        .database = item->database,
                        .schema = item->schema,
                        .oid = item->oid,
                        .detail = sweep_verdict_name(item->verdict),
                        .reason = item->verdict == SWEEP_KEPT ? drop_reason_name(item->reason) : NULL,
                        .sqlstate = item->sqlstate,
                        .message = item->detail,
                };

                if ((item->verdict == SWEEP_KEPT || item->verdict == SWEEP_WOULD_DROP) &&
                    explain_concerns(e, item->schema) && !is_overtaken(e, item, last->id))
                        explain_add_verdict(e, &row);
        }
        if (!last || (!last->n_items && e->sweep && last->complete))
                return;
        json_free(e->sweep);
        e->sweep = sweep_result_json(last);
}

static bool was_heard(const struct explanation *e, const char *database)
{
        for (unsigned i = 0; i < e->n_unheard; i++)
                if (!strcmp(e->unheard[i].database, database))
                        return false;
        return true;
}

/* What was said of it while its lease lived says nothing of it now. */
static bool has_been_seen(const struct explanation *e, const struct explain_verdict *verdict)
{
        return verdict && (!e->n_leases || verdict->last_usec >= e->leases[e->n_leases - 1].ended_usec);
}

static enum explain_standing standing_of(const struct explanation *e, const struct explain_schema *schema)
{
        static const struct {
                const char *verdict;
                enum explain_standing standing;
        } table[] = {
                {"dropped", EXPLAIN_UNSEEN}, /* it is there again */
                {"would_drop", EXPLAIN_STALE}, {"kept", EXPLAIN_KEPT},
                {"failed", EXPLAIN_FAILED},    {"unknown", EXPLAIN_UNKNOWN},
        };
        const struct explain_verdict *last = last_of(schema);
        bool is_dropped = last && is_same(last->verdict, "dropped");

        if (schema->claimed && e->sweep_runs)
                return EXPLAIN_DROPPING;
        if (schema->presence == PRESENCE_ABSENT)
                return is_dropped ? EXPLAIN_DROPPED : EXPLAIN_GONE;
        if (schema->presence == PRESENCE_NOT_HEARD && is_dropped)
                return EXPLAIN_DROPPED;
        if (!has_been_seen(e, last) || (schema->oid && !is_same(schema->oid, last->oid)))
                return EXPLAIN_UNSEEN;
        for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
                if (is_same(table[i].verdict, last->verdict))
                        return table[i].standing;
        return EXPLAIN_UNSEEN;
}

/* ---- leases that memory knows better ---- */

static struct explain_lease *lease_at(struct explanation *e, int64_t id)
{
        unsigned i = 0;

        while (i < e->n_leases && e->leases[i].id < id)
                i++;
        if (i < e->n_leases && e->leases[i].id == id)
                return &e->leases[i];
        e->leases = alloc_array(e->leases, e->n_leases + 1, sizeof(*e->leases));
        (void)memmove(&e->leases[i + 1], &e->leases[i], (e->n_leases - i) * sizeof(*e->leases));
        e->leases[i] = (struct explain_lease){.id = id, .exit_status = -1};
        e->n_leases++;
        return &e->leases[i];
}

static void add_ended(void *owner, const struct lease_past *past)
{
        static const char *const ends[] = {
                [LEASE_CRASHED] = "crashed", [LEASE_RELEASED] = "released", [LEASE_REVOKED] = "revoked"};
        struct explanation *e = owner;
        struct explain_lease *lease;

        if (strcmp(past->namespace, e->parsed.namespace) != 0)
                return;
        lease = lease_at(e, past->id);
        if (lease->ended_usec)
                return;
        set_text(&lease->label, past->label);
        set_text(&lease->how, ends[past->state]);
        lease->uid = past->uid;
        lease->since_usec = past->since_usec;
        lease->ended_usec = past->ended_usec;
}

static void add_live(struct explanation *e, const struct lease *live)
{
        struct explain_lease *lease = lease_at(e, live->id);

        set_text(&lease->label, live->label);
        lease->uid = live->uid;
        lease->forced = live->forced;
        lease->since_usec = live->since_usec;
}

/* What is older than the history is not on record any more, and what was just done is not yet. */
static void add_from_memory(struct explanation *e, struct leases *leases)
{
        const struct lease *live = leases_find(leases, e->parsed.namespace);

        leases_each_ended(leases, add_ended, e);
        if (live && live->id)
                add_live(e, live);
}

static int by_id(const void *a, const void *b)
{
        const struct explain_lease *one = a, *other = b;

        return one->id < other->id ? -1 : one->id > other->id;
}

void explain_judge(struct explanation *e, const struct explain_tools *tools)
{
        if (e->n_leases)
                qsort(e->leases, e->n_leases, sizeof(*e->leases), by_id);
        add_from_memory(e, tools->leases);
        e->sweep_runs = sweeper_busy(tools->sweeper);
        e->next_sweep_usec = sweeper_next(tools->sweeper);
        e->kept_until_usec = leases_kept_until(tools->leases, e->parsed.namespace);
        add_last_sweep(e, sweeper_last(tools->sweeper));
        for (unsigned i = 0; i < e->n_schemas; i++) {
                struct explain_schema *schema = &e->schemas[i];

                if (schema->oid)
                        schema->presence = PRESENCE_PRESENT;
                else
                        schema->presence =
                                was_heard(e, schema->database) ? PRESENCE_ABSENT : PRESENCE_NOT_HEARD;
                schema->standing = standing_of(e, schema);
        }
}
