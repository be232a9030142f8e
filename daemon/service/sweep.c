/* SPDX-License-Identifier: MIT */
/*
 * One sweep after the other; see sweep.h.
 *
 *      idle ─▶ census: candidates, then sessions ─▶ verdicts ─▶ drop, drop, drop ... ─▶ finished ─▶ idle
 *                           ▲                                    │
 *                           └──── older than 5 s, or a ──────────┘
 *                                 connection was lost
 *
 * Every verdict comes from decide_drop(), and is asked for again right before each drop.
 */
#include "service/sweep_internal.h"

#include "proto/json.h"
#include "service/sweep_result.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

#define CENSUS_MAX_AGE_USEC (5 * USEC_PER_SEC)
#define SOON_USEC           (1 * USEC_PER_SEC) /* several ends make one sweep */
#define LOOKS_MAX           3
#define RETRY_FIRST_USEC    (5 * USEC_PER_SEC) /* doubled each time, up to sweep_interval */

static void next_candidate(struct sweeper *sweeper);

static uint64_t boottime(const struct sweeper *sweeper)
{
        return env_boottime(sweeper->tools.env);
}

/* ---- when ---- */

static void arm(struct sweeper *sweeper, uint64_t delay)
{
        uint64_t settled = settling_until(sweeper->settling);

        if (sweeper->stopping || !databases_count(sweeper->databases))
                return;
        sweeper->due = boottime(sweeper) + delay;
        if (sweeper->due < settled) {
                delay += settled - sweeper->due;
                sweeper->due = settled;
        }
        sweeper->tools.env->ops->timer_arm(sweeper->timer, delay);
}

void sweeper_soon(struct sweeper *sweeper)
{
        if (sweeper->soon)
                return;
        sweeper->soon = true;
        if (!sweeper->result)
                arm(sweeper, SOON_USEC);
}

/* Soon, that is; what has failed has a back-off of its own. */
static bool needs_retry(const struct sweep_result *result)
{
        for (unsigned i = 0; i < result->n_items; i++)
                if (result->items[i].verdict == SWEEP_UNKNOWN ||
                    (result->items[i].verdict == SWEEP_KEPT &&
                     result->items[i].reason == KEPT_ACTIVE_DETECTION_INCOMPLETE))
                        return true;
        return false;
}

/* A dry run moves nothing of what is due. */
static void arm_again(struct sweeper *sweeper)
{
        uint64_t now = boottime(sweeper), left = sweeper->due > now ? sweeper->due - now : 0;

        arm(sweeper, sweeper->soon && left > SOON_USEC ? SOON_USEC : left);
}

static void arm_next(struct sweeper *sweeper)
{
        uint64_t interval = sweeper->tools.settings->sweep_interval, now = boottime(sweeper);
        uint64_t retry_at = sightings_next_retry(sweeper->sightings);

        if (retry_at && retry_at < now + interval)
                interval = retry_at > now + SOON_USEC ? retry_at - now : SOON_USEC;
        if (!needs_retry(sweeper->last))
                sweeper->retry_delay = 0;
        else if (!sweeper->retry_delay)
                sweeper->retry_delay = RETRY_FIRST_USEC;
        else if (sweeper->retry_delay < sweeper->tools.settings->sweep_interval)
                sweeper->retry_delay *= 2;
        if (sweeper->soon)
                arm(sweeper, SOON_USEC);
        else if (sweeper->retry_delay && sweeper->retry_delay < interval)
                arm(sweeper, sweeper->retry_delay);
        else
                arm(sweeper, interval);
}

static bool is_overdue(const struct sweeper *sweeper)
{
        return databases_count(sweeper->databases) && sweeper->due <= boottime(sweeper);
}

/* Why nobody may be taken for dead yet, or NULL. The caller frees. */
static char *unsettled(struct sweeper *sweeper)
{
        struct ledger *ledger = sweeper->tools.ledger;
        char *doubt = settling_doubt(sweeper->settling);

        if (!doubt && !ledger->ops->healthy(ledger))
                doubt = alloc_string("the ledger cannot be written");
        return doubt;
}

/* Have we been away since the census? Then what it heard is not enough any more. */
static void look_at_ourselves(struct sweeper *sweeper)
{
        if (!sweeper->halt)
                sweeper->halt = sweeper->doubt = settling_doubt(sweeper->settling);
}

/* ---- the end of a sweep ---- */

/* What was heard was enough, and is not any more: whatever is kept for that, the census was not complete to the end. */
static void fall_short(struct sweeper *sweeper, const char *why)
{
        struct sweep_result *result = sweeper->result;

        if (!result->complete)
                return;
        result->complete = false;
        free(result->incomplete_reason);
        result->incomplete_reason = alloc_string(why);
}

static void say_incomplete(const struct sweep_result *result)
{
        unsigned n = 0;

        for (unsigned i = 0; i < result->n_items; i++)
                n += result->items[i].verdict == SWEEP_KEPT &&
                     result->items[i].reason == KEPT_ACTIVE_DETECTION_INCOMPLETE;
        if (n == result->n_items)
                log_warning("sweep refused: reason=active_detection_incomplete candidates=%u detail=%s; all "
                            "are kept",
                            n, result->incomplete_reason);
        else
                log_warning(
                        "sweep cut short: reason=active_detection_incomplete candidates=%u kept=%u detail=%s",
                        result->n_items, n, result->incomplete_reason);
}

static void finish(struct sweeper *sweeper)
{
        struct sweep_result *result = TAKE(sweeper->result);
        uint64_t caller = sweeper->caller;
        struct ledger *ledger = sweeper->tools.ledger;

        result->finished_usec = env_realtime(sweeper->tools.env);
        if (!result->complete && result->n_items)
                say_incomplete(result);
        if (caller || result->n_items) {
                struct cJSON *object = sweep_result_json(result);
                _cleanup_free_ char *text = json_print(object);
                const struct ledger_change swept = {.kind = LEDGER_SWEPT,
                                                    .time_usec = result->finished_usec,
                                                    .since_usec = result->started_usec,
                                                    .sweep = result->id,
                                                    .dry_run = result->dry_run,
                                                    .complete = result->complete,
                                                    .detail = text};

                ledger->ops->submit(ledger, &swept, NULL, NULL, 0);
                json_free(object);
        }
        sweeper->census = census_free(sweeper->census);
        free(sweeper->candidates);
        sweeper->candidates = NULL;
        free(sweeper->only);
        sweeper->only = NULL;
        free(sweeper->doubt);
        sweeper->doubt = NULL;
        sweeper->halt = NULL;
        sweeper->caller = 0;
        settling_watch(sweeper->settling, false);
        sweep_result_free(sweeper->last);
        sweeper->last = result;
        if (result->dry_run)
                arm_again(sweeper);
        else
                arm_next(sweeper);
        /* Before whoever waits: those who ask for one dry run after the other would put it off for ever. */
        if (result->dry_run && is_overdue(sweeper))
                (void)sweeper_start(sweeper, &(struct sweep_request){.caller = 0});
        sweeper->events->finished(sweeper->owner, caller, result);
}

/* ---- the drops ---- */

/* A refusal waits for its back-off; whatever else keeps a schema is looked at again each time. */
static void note_failure(struct sweeper *sweeper, const struct candidate *candidate,
                         const struct drop_outcome *outcome)
{
        struct failure failure = {
                .verdict = outcome->verdict, .reason = outcome->reason, .detail = outcome->detail};

        (void)memcpy(failure.sqlstate, outcome->sqlstate, sizeof(failure.sqlstate));
        if ((outcome->verdict == SWEEP_FAILED && !outcome->gone) ||
            (outcome->verdict == SWEEP_KEPT && outcome->reason == KEPT_NOT_OWNER))
                sightings_set_failed(sweeper->sightings, candidate->target->name, candidate->schema,
                                     &failure);
        else
                sightings_clear_failed(sweeper->sightings, candidate->target->name, candidate->schema);
}

static void dropped(void *owner, const struct drop_outcome *outcome)
{
        struct sweeper *sweeper = owner;
        struct sweep_item *item = &sweeper->result->items[sweeper->current];
        const struct candidate *candidate = &sweeper->candidates[sweeper->current];

        (void)memcpy(item->sqlstate, outcome->sqlstate, sizeof(item->sqlstate));
        sightings_set_claimed(sweeper->sightings, candidate->target->name, candidate->schema,
                              outcome->verdict == SWEEP_UNKNOWN, outcome->torn, outcome->backend);
        note_failure(sweeper, candidate, outcome);
        sweeper->drop = drop_free(sweeper->drop);
        if (outcome->verdict == SWEEP_KEPT && outcome->reason == KEPT_ACTIVE_DETECTION_INCOMPLETE)
                fall_short(sweeper, outcome->detail);
        /* Gone already, and not by us: then there is nothing to say but that it is gone. */
        sweep_conclude(sweeper, item, outcome->gone ? SWEEP_DROPPED : outcome->verdict, outcome->reason,
                       outcome->detail);
        if (outcome->ledger_failed)
                sweeper->halt = "the ledger cannot be written";
        sweeper->current++;
        next_candidate(sweeper);
}

/* A dry run looks at what would keep the schema after all, and leaves it at that. */
static void dependents_listed(void *owner, const struct pg_answer *answer)
{
        struct sweeper *sweeper = owner;
        struct sweep_item *item = &sweeper->result->items[sweeper->current++];
        struct drop_reach reach;
        char *dependents = answer->outcome == PG_OK ? drop_dependents(answer, &reach) : NULL;

        if (answer->outcome != PG_OK)
                sweep_conclude(sweeper, item, SWEEP_KEPT, KEPT_ACTIVE_DETECTION_INCOMPLETE,
                               alloc_printf("what depends on it could not be listed: %s", answer->message));
        else if (dependents)
                sweep_conclude(sweeper, item, SWEEP_KEPT, KEPT_EXTERNAL_DEPENDENTS, dependents);
        else
                sweep_conclude(sweeper, item, SWEEP_WOULD_DROP, DROP_ALLOWED, NULL);
        next_candidate(sweeper);
}

/*
 * Older than it may be, taken over connections of which one has been lost since, or from before the end of
 * the lease: then a backend that a dead run left in another cluster may have come after it.
 */
static bool is_stale(struct sweeper *sweeper)
{
        const struct candidate *candidate = &sweeper->candidates[sweeper->current];
        uint64_t taken = census_taken(sweeper->census);

        for (unsigned i = 0; i < census_n_targets(sweeper->census); i++)
                if (!census_target_at(sweeper->census, i)->connection)
                        return true;
        return boottime(sweeper) - taken > CENSUS_MAX_AGE_USEC ||
               leases_ended_at(sweeper->tools.leases, candidate->schema->parsed.namespace) >= taken;
}

static void take_census(struct sweeper *sweeper)
{
        _cleanup_free_ char *reason = unsettled(sweeper);

        census_take(sweeper->census, reason);
}

/* False: it makes no sense any more, because the census is too old as soon as it has been taken. */
static bool look_again(struct sweeper *sweeper)
{
        if (sweeper->n_looks++ < LOOKS_MAX)
                take_census(sweeper);
        else
                sweeper->halt = "the census takes longer than it may be old";
        return !sweeper->halt;
}

static void judge_again(struct sweeper *sweeper)
{
        enum drop_reason reason = sweep_decide(sweeper, &sweeper->candidates[sweeper->current]);

        sweeper->n_looks = 0; /* a big schema takes many a transaction, each with a census young enough */
        if (reason == DROP_ALLOWED)
                drop_go(sweeper->drop);
        else
                drop_cancel(sweeper->drop, reason,
                            alloc_string(live_report_incomplete(census_report(sweeper->census))));
}

/* A drop waits for its slot behind every run, and the machine may have slept meanwhile. */
static void drop_is_ready(void *owner)
{
        struct sweeper *sweeper = owner;

        look_at_ourselves(sweeper);
        if (!sweeper->halt && census_live(sweeper->census) && is_stale(sweeper) && look_again(sweeper))
                return;
        if (sweeper->halt)
                drop_cancel(sweeper->drop, KEPT_ACTIVE_DETECTION_INCOMPLETE, alloc_string(sweeper->halt));
        else
                judge_again(sweeper);
}

static void say_longer(struct sweeper *sweeper, const struct census_target *target)
{
        uint64_t used = drop_lock_timeout(&sweeper->tools, target->cluster);
        uint64_t configured = sweeper->tools.settings->lock_timeout;

        if (used == configured || sweeper->has_said_longer)
                return;
        sweeper->has_said_longer = true;
        log_warning(
                "lock_timeout is not above the server's deadlock_timeout, so autovacuum would never yield: "
                "database=%s lock_timeout=%llu ms; drops wait for %llu ms; raise lock_timeout",
                target->name, (unsigned long long)(configured / USEC_PER_MSEC),
                (unsigned long long)(used / USEC_PER_MSEC));
}

static void start_drop(struct sweeper *sweeper, struct sweep_item *item, const struct candidate *candidate)
{
        struct census_target *target = candidate->target;
        const struct sighting *claim;

        if (sweeper->result->dry_run) {
                census_ask(target, PG_DROP_DEPENDENTS, item->schema, item->namespace,
                           sweeper->tools.settings->statement_timeout, dependents_listed, sweeper);
                return;
        }
        claim = sightings_claim(sweeper->sightings, target->name, candidate->schema);
        if (claim && claim->unsettled) {
                sweep_conclude(sweeper, item, SWEEP_UNKNOWN, DROP_ALLOWED,
                               alloc_string("an earlier drop of it may still be under way on the server"));
                sweeper->current++;
                next_candidate(sweeper);
                return;
        }
        say_longer(sweeper, target);
        /* Claimed and settled: it is missing a part. */
        sweeper->drop = drop_start(&sweeper->tools, target, candidate->schema, claim != NULL,
                                   sweeper->result->id, drop_is_ready, dropped, sweeper);
}

static void next_candidate(struct sweeper *sweeper)
{
        for (; sweeper->current < sweeper->result->n_items; sweeper->current++) {
                struct sweep_item *item = &sweeper->result->items[sweeper->current];
                const struct candidate *candidate = &sweeper->candidates[sweeper->current];
                const struct failure *failure;
                enum drop_reason reason;

                if (!candidate->allowed)
                        continue;
                look_at_ourselves(sweeper);
                if (!sweeper->halt && census_live(sweeper->census) && is_stale(sweeper) &&
                    look_again(sweeper))
                        return;
                sweeper->n_looks = 0;
                if (sweeper->halt) {
                        fall_short(sweeper, sweeper->halt);
                        sweep_conclude(sweeper, item, SWEEP_KEPT, KEPT_ACTIVE_DETECTION_INCOMPLETE,
                                       alloc_string(sweeper->halt));
                        continue;
                }
                reason = sweep_decide(sweeper, candidate);
                if (reason == DROP_ALLOWED && !sweeper->by_hand &&
                    (failure = sightings_postponed(sweeper->sightings, candidate->target->name,
                                                   candidate->schema))) {
                        sweep_conclude_postponed(sweeper, item, failure);
                        continue;
                }
                if (reason == DROP_ALLOWED) {
                        start_drop(sweeper, item, candidate);
                        return;
                }
                sweep_conclude_kept(sweeper, item, reason);
        }
        finish(sweeper);
}

/* ---- the census has been taken ---- */

static void unclaim(void *owner, const char *namespace)
{
        struct sweeper *sweeper = owner;

        leases_unclaim(sweeper->tools.leases, namespace);
}

static bool has_foreign_sweep(const struct sweeper *sweeper)
{
        for (unsigned i = 0; i < census_n_targets(sweeper->census); i++)
                if (census_target_at(sweeper->census, i)->foreign_sweep)
                        return true;
        return false;
}

/* What a complete look at everything allows us to conclude besides. */
static void learn(struct sweeper *sweeper)
{
        const struct live_set *live = census_live(sweeper->census);

        if (!live)
                return;
        leases_census(sweeper->tools.leases, live, census_taken(sweeper->census));
        leases_forget_ended(sweeper->tools.leases, census_has_namespace, sweeper->census);
        sightings_free_claims(sweeper->sightings, sweeper->census, unclaim, sweeper);
        if (!has_foreign_sweep(sweeper))
                sightings_forget_gone(sweeper->sightings, sweeper->census, unclaim, sweeper);
}

static void census_done(void *owner)
{
        struct sweeper *sweeper = owner;
        bool first = !sweeper->result->n_databases && !sweeper->result->live;

        sweep_result_set_census(sweeper->result, sweeper->census, sweeper->tools.leases);
        if (first)
                sightings_note_begun(sweeper->sightings, sweeper->census);
        learn(sweeper);
        if (first)
                sweep_judge(sweeper);
        if (sweeper->drop)
                drop_is_ready(sweeper);
        else
                next_candidate(sweeper);
}

/* ---- starting and stopping ---- */

int sweeper_start(struct sweeper *sweeper, const struct sweep_request *request)
{
        const struct drop_tools *tools = &sweeper->tools;

        if (sweeper->result || sweeper->stopping)
                return SWEEP_E_RUNNING;
        if (request->database && !databases_find(sweeper->databases, request->database))
                return SWEEP_E_NO_SUCH_DATABASE;
        tools->env->ops->timer_disarm(sweeper->timer);
        if (!request->dry_run && !request->database)
                sweeper->soon = false;
        sweeper->result = sweep_result_new(sweeper->next_id++, request->dry_run, env_realtime(tools->env));
        sweeper->caller = request->caller;
        sweeper->by_hand = request->caller != 0;
        sweeper->only = alloc_string(request->database);
        sweeper->current = 0;
        sweeper->n_looks = 0;
        settling_watch(sweeper->settling, true);
        sweeper->census =
                census_new(tools->env, tools->pg, sweeper->databases, tools->settings, census_done, sweeper);
        census_suspect(sweeper->census, sightings_may_drop, sweeper->sightings);
        take_census(sweeper);
        return 0;
}

static void on_timer(void *owner)
{
        struct sweeper *sweeper = owner;

        if (sweeper->stopping) {
                if (sweeper->drop && drop_waits(sweeper->drop))
                        drop_is_ready(sweeper);
                return;
        }
        settling_was_due(sweeper->settling, sweeper->due);
        if (settling_until(sweeper->settling)) {
                arm(sweeper, 0); /* a timer may be early (os/env_linux.h), and a sweep now would be refused */
        } else {
                (void)sweeper_start(sweeper, &(struct sweep_request){.caller = 0});
        }
}

void sweeper_stop(struct sweeper *sweeper)
{
        sweeper->stopping = true;
        sweeper->halt = "berthd is stopping";
        /* A drop that waits for its slot behind the runs would hold up the stop: it is ended, by the loop. */
        sweeper->tools.env->ops->timer_arm(sweeper->timer, 0);
}

void sweeper_held_up(struct sweeper *sweeper)
{
        settling_held_up(sweeper->settling);
}

char *sweeper_doubt(struct sweeper *sweeper)
{
        return settling_doubt(sweeper->settling);
}

bool sweeper_busy(const struct sweeper *sweeper)
{
        return sweeper->result != NULL;
}

uint64_t sweeper_running_since(const struct sweeper *sweeper)
{
        return sweeper->result ? sweeper->result->started_usec : 0;
}

uint64_t sweeper_next(const struct sweeper *sweeper)
{
        uint64_t now = boottime(sweeper), wait = sweeper->due > now ? sweeper->due - now : 0;

        return sweeper->due && !sweeper->result ? env_realtime(sweeper->tools.env) + wait : 0;
}

const struct sweep_result *sweeper_last(const struct sweeper *sweeper)
{
        return sweeper->last;
}

void sweeper_configure(struct sweeper *sweeper, const struct settings *settings)
{
        sweeper->tools.settings = settings;
        settling_configure(sweeper->settling, settings->start_grace);
        sweeper->has_said_longer = false;
        sweeper->soon = true;
        if (!sweeper->result)
                arm(sweeper, SOON_USEC);
        else if (!sweeper->stopping) /* a database that was added has not been asked */
                sweeper->halt = "the configuration was read again meanwhile";
}

void sweeper_load(struct sweeper *sweeper, const struct ledger_change *row)
{
        if (row->kind == LEDGER_SIGHTED || row->kind == LEDGER_CLAIMED)
                sightings_load(sweeper->sightings, row);
        if (row->kind == LEDGER_CLAIMED)
                (void)leases_claim(sweeper->tools.leases, row->namespace);
}

void sweeper_loaded(struct sweeper *sweeper, const struct ledger_numbers *next)
{
        sweeper->next_id = next->sweep;
        arm(sweeper, SOON_USEC);
}

struct sweeper *sweeper_new(struct env *env, struct pg *pg, struct ledger *ledger,
                            struct databases *databases, struct leases *leases, struct slots *slots,
                            const struct settings *settings, const struct sweep_events *events, void *owner)
{
        struct sweeper *sweeper = NEW(struct sweeper);
        struct settling *settling = settling_new(env, settings->start_grace);

        *sweeper = (struct sweeper){.tools = {.env = env,
                                              .pg = pg,
                                              .ledger = ledger,
                                              .leases = leases,
                                              .slots = slots,
                                              .databases = databases,
                                              .settings = settings,
                                              .settling = settling},
                                    .databases = databases,
                                    .sightings = sightings_new(env, ledger),
                                    .events = events,
                                    .owner = owner,
                                    .timer = env->ops->timer_new(env, on_timer, sweeper),
                                    .settling = settling,
                                    .next_id = 1};
        return sweeper;
}

struct sweeper *sweeper_free(struct sweeper *sweeper)
{
        if (!sweeper)
                return NULL;
        drop_free(sweeper->drop);
        census_free(sweeper->census);
        sweep_result_free(sweeper->result);
        sweep_result_free(sweeper->last);
        sightings_free(sweeper->sightings);
        sweeper->tools.env->ops->timer_free(sweeper->timer);
        free(sweeper->candidates);
        free(sweeper->only);
        free(sweeper->doubt);
        settling_free(sweeper->settling);
        free(sweeper);
        return NULL;
}
