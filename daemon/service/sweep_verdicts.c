/* SPDX-License-Identifier: MIT */
/* What becomes of each schema, by decide_drop() alone, and who is told. */
#include "service/sweep_internal.h"

#include "service/sweep_result.h"
#include "util/alloc.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

/*
 * When it was made at the latest, whatever it says itself: when its schema was first seen it was there. A clock that
 * is ahead, or somebody's fancy, would keep it until the year it names, and as the work of any process that ever has
 * its pid.
 */
static uint64_t token_made(const struct berth_token *token, uint64_t first_seen)
{
        uint64_t says = token->epoch_sec * USEC_PER_SEC;

        return says < first_seen ? says : first_seen;
}

enum drop_reason sweep_decide(struct sweeper *sweeper, const struct candidate *candidate)
{
        const struct census_schema *schema = candidate->schema;
        const char *namespace = schema->parsed.namespace;
        struct env *env = sweeper->tools.env;
        struct berth_token token;
        struct drop_facts facts = {.schema = schema->name,
                                   .standing = leases_standing(sweeper->tools.leases, namespace),
                                   .live = census_live(sweeper->census),
                                   .may_drop = schema->may_drop,
                                   .now = env_realtime(env),
                                   .unleased_grace = sweeper->tools.settings->unleased_grace};

        if (facts.standing == STANDING_UNKNOWN && names_worker_number(schema->parsed.worker) >= 0) {
                facts.first_seen = sightings_first_seen(sweeper->sightings, candidate->target->name, schema);
                if (names_parse_token(namespace, &token)) {
                        facts.token_time = token_made(&token, facts.first_seen);
                        facts.token_process_alive =
                                env->ops->process_started_by(env, (pid_t)token.pid, facts.token_time);
                }
        }
        return decide_drop(&facts);
}

/* Who is it that lives? decide_drop() asks in this order. */
static char *live_detail(struct sweeper *sweeper, const struct sweep_item *item)
{
        const struct lease *lease = leases_find(sweeper->tools.leases, item->namespace);
        struct berth_token token;

        if (lease)
                return alloc_printf("lease %lld%s%s", (long long)lease->id, lease->label ? ": " : "",
                                    lease->label ? lease->label : "");
        if (live_report_has(census_report(sweeper->census), item->namespace))
                return alloc_printf("a session called pytest_*_%s is connected", item->namespace);
        if (names_parse_token(item->namespace, &token))
                return alloc_printf("process %lld of its name is alive", (long long)token.pid);
        return NULL;
}

static char *kept_detail(struct sweeper *sweeper, const struct sweep_item *item, enum drop_reason reason)
{
        if (reason == KEPT_ACTIVE_DETECTION_INCOMPLETE)
                return alloc_string(live_report_incomplete(census_report(sweeper->census)));
        if (reason == KEPT_LIVE)
                return live_detail(sweeper, item);
        if (reason == KEPT_NOT_OWNER)
                return alloc_string("berthd's role is not the owner; grant it the owner's role");
        return NULL;
}

/* An unchanged reason to keep is, unless only a dry run has found it so far. */
static bool is_on_record(const struct sweeper *sweeper, const struct sweep_item *item)
{
        for (unsigned i = 0; sweeper->last && i < sweeper->last->n_items; i++) {
                const struct sweep_item *before = &sweeper->last->items[i];

                if (!strcmp(before->schema, item->schema) && !strcmp(before->database, item->database) &&
                    !strcmp(before->oid, item->oid))
                        return before->on_record && before->verdict == item->verdict &&
                               before->reason == item->reason;
        }
        return false;
}

static void record(struct sweeper *sweeper, const struct sweep_item *item)
{
        struct ledger *ledger = sweeper->tools.ledger;
        const struct ledger_change change = {
                .kind = LEDGER_VERDICT,
                .time_usec = env_realtime(sweeper->tools.env),
                .sweep = sweeper->result->id,
                .database = item->database,
                .schema = item->schema,
                .oid = item->oid,
                .namespace = item->namespace,
                .detail = sweep_verdict_name(item->verdict),
                .reason = item->verdict == SWEEP_KEPT ? drop_reason_name(item->reason) : NULL,
                .sqlstate = item->sqlstate,
                .message = item->detail,
        };

        ledger->ops->submit(ledger, &change, NULL, NULL, 0);
}

void sweep_conclude(struct sweeper *sweeper, struct sweep_item *item, enum sweep_verdict verdict,
                    enum drop_reason reason, char *detail)
{
        item->verdict = verdict;
        item->reason = reason;
        free(item->detail);
        item->detail = detail;
        item->on_record = verdict == SWEEP_KEPT && is_on_record(sweeper, item);
        if (!sweeper->result->dry_run && !item->on_record) {
                record(sweeper, item);
                item->on_record = true;
        }
        if (verdict == SWEEP_DROPPED)
                log_info("schema dropped: database=%s schema=%s sweep=%lld", item->database, item->schema,
                         (long long)sweeper->result->id);
        else if (verdict == SWEEP_FAILED || verdict == SWEEP_UNKNOWN)
                log_warning("drop %s: database=%s schema=%s sqlstate=%s message=%s; it will be tried again",
                            sweep_verdict_name(verdict), item->database, item->schema,
                            *item->sqlstate ? item->sqlstate : "-", detail ? detail : "");
        if (sweeper->caller)
                sweeper->events->verdict(sweeper->owner, sweeper->caller, item);
}

void sweep_conclude_postponed(struct sweeper *sweeper, struct sweep_item *item, const struct failure *failure)
{
        uint64_t left = failure->retry_at - env_boottime(sweeper->tools.env);

        item->verdict = failure->verdict;
        item->reason = failure->reason;
        (void)memcpy(item->sqlstate, failure->sqlstate, sizeof(item->sqlstate));
        free(item->detail);
        item->detail = alloc_printf("%s (failed %u times; tried again in %llu s, or by berth sweep)",
                                    failure->detail ? failure->detail : "", failure->times,
                                    (unsigned long long)(left / USEC_PER_SEC + 1));
        if (sweeper->caller)
                sweeper->events->verdict(sweeper->owner, sweeper->caller, item);
}

void sweep_conclude_kept(struct sweeper *sweeper, struct sweep_item *item, enum drop_reason reason)
{
        sweep_conclude(sweeper, item, SWEEP_KEPT, reason, kept_detail(sweeper, item, reason));
}

static void add_candidates(struct sweeper *sweeper, struct census_target *target)
{
        struct sweep_result *result = sweeper->result;

        if (target->twin || (sweeper->only && strcmp(sweeper->only, target->name)))
                return;
        for (unsigned i = 0; i < target->n_schemas; i++) {
                struct candidate candidate = {.target = target, .schema = &target->schemas[i]};

                if (sweep_decide(sweeper, &candidate) == DROP_NOT_OURS)
                        continue;
                (void)sweep_result_add(result, target->name, candidate.schema);
                sweeper->candidates =
                        alloc_array(sweeper->candidates, result->n_items, sizeof(*sweeper->candidates));
                sweeper->candidates[result->n_items - 1] = candidate;
        }
}

void sweep_judge(struct sweeper *sweeper)
{
        for (unsigned i = 0; i < census_n_targets(sweeper->census); i++)
                add_candidates(sweeper, census_target_at(sweeper->census, i));
        for (unsigned i = 0; i < sweeper->result->n_items; i++) {
                enum drop_reason reason = sweep_decide(sweeper, &sweeper->candidates[i]);

                sweeper->candidates[i].allowed = reason == DROP_ALLOWED;
                if (reason != DROP_ALLOWED)
                        sweep_conclude_kept(sweeper, &sweeper->result->items[i], reason);
        }
}
