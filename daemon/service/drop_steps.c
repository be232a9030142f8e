/* SPDX-License-Identifier: MIT */
/*
 * One transaction of a drop, step by step; see drop.h for the machine. Each step asks when it is entered and takes
 * its answer.
 */
#include "service/drop_record.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Margin for an answer over what the server itself allows a statement. */
#define ANSWER_MARGIN_USEC (5 * USEC_PER_SEC)
/* For a table outside we queue shortly, and again: live readers queue behind us. */
#define SHARED_LOCK_TRIES      10
#define SHARED_LOCK_PAUSE_USEC (200 * USEC_PER_MSEC)
/* Lost against somebody who had it right: once more, a little later, and not in step with another sweep. */
#define DEADLOCK_PAUSE_USEC (100 * USEC_PER_MSEC)
#define DEADLOCK_TRIES      2
/* The lock table is full: whoever fills it may be gone soon. Doubled with each halving. */
#define FULL_PAUSE_USEC    (100 * USEC_PER_MSEC)
#define FULL_DOUBLINGS_MAX 4
#define DETAIL_MAX         10 /* names listed in a detail */

static void take_begun(struct drop *, const struct pg_answer *);
static void take_pinned(struct drop *, const struct pg_answer *);
static void take_sessions(struct drop *, const struct pg_answer *);
static void take_dependents(struct drop *, const struct pg_answer *);
static void take_dropped(struct drop *, const struct pg_answer *);
static void take_untied(struct drop *, const struct pg_answer *);
static void take_batch(struct drop *, const struct pg_answer *);
static void take_verified(struct drop *, const struct pg_answer *);
static void take_committed(struct drop *, const struct pg_answer *);
static void take_rolled_back(struct drop *, const struct pg_answer *);
static void take_holders(struct drop *, const struct pg_answer *);

static const struct drop_step beginning = {"beginning", PG_DROP_BEGIN, take_begun};
static const struct drop_step pinning = {"pinning", PG_DROP_PIN, take_pinned};
static const struct drop_step looking = {"looking at sessions", PG_SESSIONS, take_sessions};
static const struct drop_step checking = {"looking for dependents", PG_DROP_DEPENDENTS, take_dependents};
static const struct drop_step dropping = {"dropping", PG_DROP, take_dropped};
static const struct drop_step untying = {"untying", PG_DROP_UNTIE, take_untied};
static const struct drop_step emptying = {"dropping a part", PG_DROP_BATCH, take_batch};
static const struct drop_step verifying = {"looking it up", PG_LOOKUP, take_verified};
static const struct drop_step committing = {"committing", PG_COMMIT, take_committed};
static const struct drop_step rolling_back = {"rolling back", PG_ROLLBACK, take_rolled_back};
static const struct drop_step naming_holders = {"naming lock holders", PG_LOCK_HOLDERS, take_holders};

/* What each piece is taken away by; a mark is the pin itself. */
static const struct drop_step *const acts[] = {
        [DROP_WHOLE] = &dropping, [DROP_MARK] = &verifying, [DROP_TIES] = &untying, [DROP_BATCH] = &emptying};

/* ---- asking ---- */

static bool has_outlasted(const struct drop *drop)
{
        return drop->step == &rolling_back || drop->step == &naming_holders;
}

static bool is_refused_with(const struct drop *drop, const char *sqlstate)
{
        return drop->refused_at && !strcmp(drop->outcome.sqlstate, sqlstate);
}

/* In vain, but only for a moment: then it was a table outside that was waited for, and not one of the schema. */
static bool has_queued_outside(const struct drop *drop)
{
        return drop->refused_at == &untying && is_refused_with(drop, "55P03") &&
               drop->waited < drop_lock_timeout(&drop->tools, drop->target->cluster);
}

static void enter(struct drop *drop, const struct drop_step *step);

/* What the server's refusal means. */
static void refused(struct drop *drop, const struct pg_answer *answer)
{
        if (!strcmp(answer->sqlstate, "42501"))
                drop_set_outcome(drop, SWEEP_KEPT, KEPT_NOT_OWNER, NULL, alloc_string(answer->message));
        else
                drop_set_outcome(drop, SWEEP_FAILED, DROP_ALLOWED, answer->sqlstate,
                                 alloc_string(answer->message));
        /* Somebody was faster. Later the pin holds it, and a missing schema is one that a trigger looks for. */
        drop->outcome.gone = drop->step == &pinning && !strcmp(answer->sqlstate, "3F000");
        drop->refused_at = drop->step;
        drop->waited = env_boottime(drop->tools.env) - drop->asked;
        enter(drop, &rolling_back);
}

static void answered(void *owner, const struct pg_answer *answer)
{
        struct drop *drop = owner;

        if (answer->outcome == PG_LOST)
                drop_lost(drop, answer);
        else if (answer->outcome == PG_SQL_ERROR && !has_outlasted(drop))
                refused(drop, answer);
        else
                drop->step->take(drop, answer);
}

static const char *number(char buffer[24], uint64_t value)
{
        (void)snprintf(buffer, 24, "%llu", (unsigned long long)value);
        return buffer;
}

static void enter(struct drop *drop, const struct drop_step *step)
{
        const struct drop_tools *tools = &drop->tools;
        const char *first = drop->schema->name, *second = NULL;
        char buffers[2][24];

        drop->step = step;
        if (step == &beginning) {
                first = number(buffers[0], drop_lock_timeout(tools, drop->target->cluster) / USEC_PER_MSEC);
                second = number(buffers[1], tools->settings->statement_timeout / USEC_PER_MSEC);
        } else if (step == &checking || step == &untying) {
                second = drop->schema->parsed.namespace;
        } else if (step == &emptying) {
                second = number(buffers[1], (uint64_t)drop->room);
        } else if (step == &verifying) {
                first = drop->schema->oid;
        } else if (step == &naming_holders) {
                second = has_queued_outside(drop) ? "outside" : "inside";
        }
        /* From here on a part of it may be missing. */
        drop->torn |= step == &committing && (drop->piece == DROP_TIES || drop->piece == DROP_BATCH);
        drop->commit_sent |= step == &committing;
        drop->asked = env_boottime(tools->env);
        census_ask(drop->target, step->question, first, second,
                   tools->settings->statement_timeout + ANSWER_MARGIN_USEC, answered, drop);
}

static void keep(struct drop *drop, enum drop_reason reason, char *detail /* taken */)
{
        drop_set_outcome(drop, SWEEP_KEPT, reason, NULL, detail);
        enter(drop, &rolling_back);
}

static void fail(struct drop *drop, const char *why)
{
        drop_set_outcome(drop, SWEEP_FAILED, DROP_ALLOWED, NULL, alloc_string(why));
        enter(drop, &rolling_back);
}

/* ---- looking ---- */

void drop_begin(struct drop *drop)
{
        drop->commit_sent = false;
        drop->refused_at = NULL;
        enter(drop, &beginning);
}

static void take_begun(struct drop *drop, const struct pg_answer *answer)
{
        drop->backend_pid = answer->backend_pid;
        enter(drop, &pinning);
}

/* The pin lets nobody else drop or rename it from here on; but is it still the schema we judged? */
static void take_pinned(struct drop *drop, const struct pg_answer *answer)
{
        const char *oid = answer->n_rows ? pg_cell(answer, 0, 0) : NULL;

        if (oid && !strcmp(oid, drop->schema->oid)) {
                enter(drop, &looking);
                return;
        }
        /* What we had taken a part of is gone, then. */
        drop->torn = false;
        keep(drop, KEPT_LIVE, alloc_string("it was made anew after it was listed"));
}

static void take_sessions(struct drop *drop, const struct pg_answer *answer)
{
        char namespace[NAMES_NAMESPACE_MAX + 1];

        for (unsigned i = 0; i < answer->n_rows; i++) {
                const char *label = pg_cell(answer, i, 0);

                if (label && census_label(label, namespace) &&
                    !strcmp(namespace, drop->schema->parsed.namespace)) {
                        keep(drop, KEPT_LIVE, alloc_printf("session %s came before the drop", label));
                        return;
                }
        }
        enter(drop, &checking);
}

char *drop_dependents(const struct pg_answer *answer, struct drop_reach *ret_reach)
{
        enum { EFFECT, CLASS, OBJECT, HOME };
        _cleanup_free_ char *list = NULL;
        unsigned n = 0;

        *ret_reach = (struct drop_reach){};
        for (unsigned i = 0; i < answer->n_rows; i++) {
                const char *effect = pg_cell(answer, i, EFFECT), *object = pg_cell(answer, i, OBJECT);
                char *longer;

                if (effect && !strcmp(effect, "locked")) {
                        ret_reach->outside = true;
                        continue;
                }
                if (effect && !strcmp(effect, "size")) {
                        ret_reach->size = object ? strtoll(object, NULL, 10) : 0;
                        continue;
                }
                if (n++ >= DETAIL_MAX)
                        continue;
                longer = alloc_printf("%s%s%s", list ? list : "", list ? "; " : "", object);
                free(list);
                list = longer;
        }
        return n > DETAIL_MAX ? alloc_printf("%s; and %u more", list, n - DETAIL_MAX) : TAKE(list);
}

/* The ledger again, in the turn of the loop that sends what cannot be undone. */
static void last_look(struct drop *drop)
{
        enum lease_standing standing = leases_standing(drop->tools.leases, drop->schema->parsed.namespace);
        char *doubt = settling_doubt(drop->tools.settling); /* that we have been away since it was judged */

        if (doubt)
                keep(drop, KEPT_ACTIVE_DETECTION_INCOMPLETE, doubt);
        else if (standing == STANDING_UNKNOWN || standing == STANDING_ENDED)
                enter(drop, acts[drop->piece]);
        else
                keep(drop, standing == STANDING_KEPT ? KEPT_KEEP : KEPT_LIVE, NULL);
}

static void take_dependents(struct drop *drop, const struct pg_answer *answer)
{
        char *dependents = drop_dependents(answer, &drop->reach);

        if (dependents) {
                keep(drop, KEPT_EXTERNAL_DEPENDENTS, dependents);
                return;
        }
        drop_choose(drop);
        last_look(drop);
}

/* ---- dropping ---- */

static void take_dropped(struct drop *drop, const struct pg_answer *answer)
{
        (void)answer;
        enter(drop, &verifying);
}

static bool is_nothing(const struct pg_answer *answer)
{
        const char *n = answer->n_rows ? pg_cell(answer, 0, 0) : NULL;

        return !n || !strtoll(n, NULL, 10);
}

/* Each transaction must get further, or there would be no end. */
static void take_untied(struct drop *drop, const struct pg_answer *answer)
{
        if (is_nothing(answer))
                fail(drop, "it reaches tables outside, and nothing of that could be cut");
        else
                enter(drop, &verifying);
}

static void take_batch(struct drop *drop, const struct pg_answer *answer)
{
        if (!is_nothing(answer)) {
                enter(drop, &verifying);
                return;
        }
        drop->is_indivisible = true;
        drop->piece = DROP_WHOLE;
        last_look(drop);
}

static void take_verified(struct drop *drop, const struct pg_answer *answer)
{
        if (!answer->n_rows == (drop->piece == DROP_WHOLE))
                enter(drop, &committing);
        else
                fail(drop, answer->n_rows ? "DROP SCHEMA succeeded and it is still there"
                                          : "it vanished although it was pinned");
}

static void take_committed(struct drop *drop, const struct pg_answer *answer)
{
        (void)answer;
        if (drop->piece == DROP_WHOLE) {
                drop_set_outcome(drop, SWEEP_DROPPED, DROP_ALLOWED, NULL, NULL);
                drop_settle(drop);
                return;
        }
        drop->marked = true;
        if (drop->piece == DROP_BATCH)
                drop_grow(drop);
        drop->lock_tries = 0;
        drop_again(drop, 0);
}

/* ---- not so ---- */

static uint64_t jitter(struct drop *drop, uint64_t usec)
{
        uint32_t chance;

        drop->tools.env->ops->random(drop->tools.env, &chance, sizeof(chance));
        return usec + chance % usec;
}

/* The pause before another try; 0: there is none. */
static uint64_t pause_before_retry(struct drop *drop)
{
        if (is_refused_with(drop, "40P01") && ++drop->deadlocks < DEADLOCK_TRIES)
                return jitter(drop, DEADLOCK_PAUSE_USEC);
        if (has_queued_outside(drop) && ++drop->lock_tries < SHARED_LOCK_TRIES)
                return SHARED_LOCK_PAUSE_USEC;
        if (is_refused_with(drop, "53200") &&
            (drop->refused_at == &dropping || drop->refused_at == &emptying) && drop_halve(drop))
                return jitter(drop, FULL_PAUSE_USEC
                                            << (drop->n_halvings < FULL_DOUBLINGS_MAX ? drop->n_halvings
                                                                                      : FULL_DOUBLINGS_MAX));
        return 0;
}

static void take_rolled_back(struct drop *drop, const struct pg_answer *answer)
{
        uint64_t pause = pause_before_retry(drop);

        (void)answer;
        if (pause)
                drop_again(drop, pause);
        else if (is_refused_with(drop, "55P03") || is_refused_with(drop, "57014"))
                enter(drop, &naming_holders);
        else
                drop_settle(drop);
}

static void take_holders(struct drop *drop, const struct pg_answer *answer)
{
        enum { PID, APPLICATION_NAME, GID };

        for (unsigned i = 0; i < answer->n_rows && i < DETAIL_MAX && answer->outcome == PG_OK; i++) {
                const char *pid = pg_cell(answer, i, PID), *label = pg_cell(answer, i, APPLICATION_NAME);
                const char *gid = pg_cell(answer, i, GID);
                char *longer =
                        gid ? alloc_printf("%s; held by prepared transaction %s", drop->outcome.detail, gid)
                            : alloc_printf("%s; held by pid %s (%s)", drop->outcome.detail, pid ? pid : "?",
                                           label ? label : "");

                free(drop->outcome.detail);
                drop->outcome.detail = longer;
        }
        drop_settle(drop);
}
