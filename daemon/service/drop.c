/* SPDX-License-Identifier: MIT */
/* The drop of one schema; see drop.h for the machine.
 * Each step asks when it is entered and takes its answer. */
#include "service/drop.h"

#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Margin for an answer over what the server itself allows a statement. */
#define ANSWER_MARGIN_USEC (5 * USEC_PER_SEC)
/* On tables outside that a foreign key of ours reaches, a live reader would queue behind us: short, and
 * again. */
#define SHARED_LOCK_TIMEOUT_MSEC 300
#define SHARED_LOCK_TRIES        10
#define SHARED_LOCK_PAUSE_USEC   (200 * USEC_PER_MSEC)
/* Lost against somebody who had it right: once more, a little later, and not in step with another sweep. */
#define DEADLOCK_PAUSE_USEC (100 * USEC_PER_MSEC)
#define DEADLOCK_TRIES      2
/* After a lost connection: how often, and how far apart, we look whether our backend has gone. */
#define AFTERMATH_TRIES      20
#define AFTERMATH_PAUSE_USEC (500 * USEC_PER_MSEC)
#define DETAIL_MAX           10 /* names listed in a detail */

struct drop {
        struct drop_tools tools;
        struct census_target *target;
        const struct census_schema *schema;
        int64_t sweep;
        drop_ready_fn *ready;
        drop_done_fn *done;
        void *owner;

        const struct drop_step *step;
        struct drop_outcome outcome; /* as it stands */
        bool claimed, slot_asked, slot_granted, commit_sent, reaches_outside;
        unsigned lock_tries, deadlocks, aftermath_tries;
        int backend_pid;
        struct pg_connection *aftermath;
        struct timer *timer; /* pauses */
};

struct drop_step {
        const char *name;
        enum pg_question question;
        void (*take)(struct drop *drop, const struct pg_answer *answer);
};

static void enter(struct drop *drop, const struct drop_step *step);
static void take_begun(struct drop *, const struct pg_answer *);
static void take_pinned(struct drop *, const struct pg_answer *);
static void take_sessions(struct drop *, const struct pg_answer *);
static void take_dependents(struct drop *, const struct pg_answer *);
static void last_look(struct drop *, const struct pg_answer *);
static void take_dropped(struct drop *, const struct pg_answer *);
static void take_verified(struct drop *, const struct pg_answer *);
static void take_committed(struct drop *, const struct pg_answer *);
static void take_rolled_back(struct drop *, const struct pg_answer *);
static void take_holders(struct drop *, const struct pg_answer *);

static const struct drop_step beginning = {"beginning", PG_DROP_BEGIN, take_begun};
static const struct drop_step pinning = {"pinning", PG_DROP_PIN, take_pinned};
static const struct drop_step looking = {"looking at sessions", PG_SESSIONS, take_sessions};
static const struct drop_step checking = {"looking for dependents", PG_DROP_DEPENDENTS, take_dependents};
static const struct drop_step shortening = {"shortening lock_timeout", PG_DROP_LOCK_TIMEOUT, last_look};
static const struct drop_step dropping = {"dropping", PG_DROP, take_dropped};
static const struct drop_step verifying = {"looking it up", PG_LOOKUP, take_verified};
static const struct drop_step committing = {"committing", PG_COMMIT, take_committed};
static const struct drop_step rolling_back = {"rolling back", PG_ROLLBACK, take_rolled_back};
static const struct drop_step naming_holders = {"naming lock holders", PG_LOCK_HOLDERS, take_holders};

/* ---- the end ---- */

static void change(struct drop *drop, enum ledger_change_kind kind, ledger_done_fn *done)
{
        const struct ledger_change claim = {.kind = kind,
                                            .time_usec = env_realtime(drop->tools.env),
                                            .database = drop->target->name,
                                            .schema = drop->schema->name,
                                            .oid = drop->schema->oid,
                                            .namespace = drop->schema->parsed.namespace,
                                            .sweep = drop->sweep};

        drop->tools.ledger->ops->submit(drop->tools.ledger, &claim, done, drop, 0);
}

/* A drop whose outcome is unknown keeps its claim: nobody is granted the name before the next look. */
static void settle(struct drop *drop)
{
        const struct drop_outcome outcome = drop->outcome;

        if (drop->claimed && drop->outcome.verdict != SWEEP_UNKNOWN) {
                leases_unclaim(drop->tools.leases, drop->schema->parsed.namespace);
                change(drop, LEDGER_UNCLAIMED, NULL);
        }
        if (drop->slot_asked)
                slots_done_for_sweep(drop->tools.slots, (uint64_t)drop->sweep);
        drop->outcome.detail = NULL; /* the receiver's now; and it frees the drop */
        drop->done(drop->owner, &outcome);
}

static void set_outcome(struct drop *drop, enum sweep_verdict verdict, enum drop_reason reason,
                        const char *sqlstate, char *detail /* taken */)
{
        free(drop->outcome.detail);
        drop->outcome.verdict = verdict;
        drop->outcome.reason = reason;
        (void)snprintf(drop->outcome.sqlstate, sizeof(drop->outcome.sqlstate), "%s",
                       sqlstate ? sqlstate : "");
        drop->outcome.detail = detail;
}

static void keep(struct drop *drop, enum drop_reason reason, char *detail /* taken */)
{
        set_outcome(drop, SWEEP_KEPT, reason, NULL, detail);
        enter(drop, &rolling_back);
}

/* What the server's refusal means. */
static void refused(struct drop *drop, const struct pg_answer *answer)
{
        if (!strcmp(answer->sqlstate, "42501"))
                set_outcome(drop, SWEEP_KEPT, KEPT_NOT_OWNER, NULL, alloc_string(answer->message));
        else
                set_outcome(drop, SWEEP_FAILED, DROP_ALLOWED, answer->sqlstate,
                            alloc_string(answer->message));
        /* Somebody was faster. Later the pin holds it, and a missing schema is one that a trigger looks for. */
        drop->outcome.gone = drop->step == &pinning && !strcmp(answer->sqlstate, "3F000");
        enter(drop, &rolling_back);
}

/* ---- after a lost connection: what has become of it? ---- */

static void aftermath_again(struct drop *drop)
{
        drop->tools.pg->ops->close(drop->aftermath);
        drop->aftermath = NULL;
        if (++drop->aftermath_tries < AFTERMATH_TRIES) {
                drop->tools.env->ops->timer_arm(drop->timer, AFTERMATH_PAUSE_USEC);
                return;
        }
        /* A DROP whose COMMIT was never sent can only be rolled back; one whose COMMIT was sent may still
         * come. */
        if (drop->commit_sent)
                drop->outcome.verdict = SWEEP_UNKNOWN;
        settle(drop);
}

static bool has_backend(const struct pg_answer *answer, int pid)
{
        enum { APPLICATION_NAME, PID };

        for (unsigned i = 0; i < answer->n_rows; i++)
                if (pg_cell(answer, i, PID) && atoi(pg_cell(answer, i, PID)) == pid)
                        return true;
        return false;
}

/* Through a pooler, on a standby, or on a clone in its place, our backend would not be shown, and be taken for gone. */
static bool shows_our_backend(struct drop *drop, const struct pg_answer *identity)
{
        const char *in_recovery = pg_cell(identity, 0, PG_IDENTIFY_IN_RECOVERY);
        const char *pid = pg_cell(identity, 0, PG_IDENTIFY_BACKEND_PID);

        return in_recovery && *in_recovery == 'f' && pid && atoi(pid) == identity->backend_pid &&
               census_is_same(drop->target, identity);
}

static void aftermath_answered(void *owner, const struct pg_answer *answer)
{
        struct drop *drop = owner;
        const char *const parameters[PG_PARAMETERS_MAX] = {drop->schema->oid, NULL};
        const struct pg_ops *ops = drop->tools.pg->ops;
        uint64_t timeout = drop->tools.settings->connect_timeout;

        if (answer->outcome != PG_OK ||
            (answer->question == PG_IDENTIFY && !shows_our_backend(drop, answer)) ||
            (answer->question == PG_SESSIONS && has_backend(answer, drop->backend_pid))) {
                aftermath_again(drop);
        } else if (answer->question == PG_CONNECT) {
                ops->ask(drop->aftermath, PG_IDENTIFY, parameters, timeout);
        } else if (answer->question == PG_IDENTIFY) {
                ops->ask(drop->aftermath, PG_SESSIONS, parameters, timeout);
        } else if (answer->question == PG_SESSIONS) {
                ops->ask(drop->aftermath, PG_LOOKUP, parameters, timeout);
        } else {
                if (!answer->n_rows)
                        set_outcome(drop, SWEEP_DROPPED, DROP_ALLOWED, NULL, NULL);
                settle(drop);
        }
}

static void reconnect(struct drop *drop)
{
        drop->aftermath =
                drop->tools.pg->ops->open(drop->tools.pg, drop->target->conninfo,
                                          drop->tools.settings->connect_timeout, aftermath_answered, drop);
}

static void lost(struct drop *drop, const struct pg_answer *answer)
{
        set_outcome(drop, SWEEP_FAILED, DROP_ALLOWED, NULL,
                    alloc_printf("connection lost while %s: %s", drop->step->name, answer->message));
        reconnect(drop);
}

/* ---- the steps ---- */

static void answered(void *owner, const struct pg_answer *answer)
{
        struct drop *drop = owner;

        if (answer->outcome == PG_LOST)
                lost(drop, answer);
        else if (answer->outcome == PG_SQL_ERROR && drop->step != &rolling_back &&
                 drop->step != &naming_holders)
                refused(drop, answer);
        else
                drop->step->take(drop, answer);
}

static void enter(struct drop *drop, const struct drop_step *step)
{
        const struct settings *settings = drop->tools.settings;
        const char *first = drop->schema->name, *second = NULL;
        char number[2][24];

        drop->step = step;
        if (step == &beginning) {
                (void)snprintf(number[0], sizeof(number[0]), "%llu",
                               (unsigned long long)(settings->lock_timeout / USEC_PER_MSEC));
                (void)snprintf(number[1], sizeof(number[1]), "%llu",
                               (unsigned long long)(settings->statement_timeout / USEC_PER_MSEC));
                first = number[0];
                second = number[1];
        } else if (step == &shortening) {
                (void)snprintf(number[0], sizeof(number[0]), "%d", SHARED_LOCK_TIMEOUT_MSEC);
                first = number[0];
        } else if (step == &checking) {
                second = drop->schema->parsed.namespace;
        } else if (step == &verifying) {
                first = drop->schema->oid;
        }
        drop->commit_sent |= step == &committing;
        census_ask(drop->target, step->question, first, second,
                   settings->statement_timeout + ANSWER_MARGIN_USEC, answered, drop);
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

char *drop_dependents(const struct pg_answer *answer, bool *ret_reaches_outside)
{
        enum { EFFECT, CLASS, OBJECT, HOME };
        _cleanup_free_ char *list = NULL;
        unsigned n = 0;

        *ret_reaches_outside = false;
        for (unsigned i = 0; i < answer->n_rows; i++) {
                const char *effect = pg_cell(answer, i, EFFECT);
                char *longer;

                if (effect && !strcmp(effect, "locked")) {
                        *ret_reaches_outside = true;
                        continue;
                }
                if (n++ >= DETAIL_MAX)
                        continue;
                longer = alloc_printf("%s%s%s", list ? list : "", list ? "; " : "",
                                      pg_cell(answer, i, OBJECT));
                free(list);
                list = longer;
        }
        return n > DETAIL_MAX ? alloc_printf("%s; and %u more", list, n - DETAIL_MAX) : TAKE(list);
}

static void take_dependents(struct drop *drop, const struct pg_answer *answer)
{
        char *dependents = drop_dependents(answer, &drop->reaches_outside);

        if (dependents)
                keep(drop, KEPT_EXTERNAL_DEPENDENTS, dependents);
        else if (drop->reaches_outside)
                enter(drop, &shortening);
        else
                last_look(drop, answer);
}

/* The ledger again, in the turn of the loop that sends the DROP. */
static void last_look(struct drop *drop, const struct pg_answer *answer)
{
        enum lease_standing standing = leases_standing(drop->tools.leases, drop->schema->parsed.namespace);
        char *doubt = settling_doubt(drop->tools.settling); /* that we have been away since it was judged */

        (void)answer;
        if (doubt)
                keep(drop, KEPT_ACTIVE_DETECTION_INCOMPLETE, doubt);
        else if (standing == STANDING_UNKNOWN || standing == STANDING_ENDED)
                enter(drop, &dropping);
        else
                keep(drop, standing == STANDING_KEPT ? KEPT_KEEP : KEPT_LIVE, NULL);
}

static void take_dropped(struct drop *drop, const struct pg_answer *answer)
{
        (void)answer;
        enter(drop, &verifying);
}

static void take_verified(struct drop *drop, const struct pg_answer *answer)
{
        if (!answer->n_rows) {
                enter(drop, &committing);
                return;
        }
        set_outcome(drop, SWEEP_FAILED, DROP_ALLOWED, NULL,
                    alloc_string("DROP SCHEMA succeeded and it is still there"));
        enter(drop, &rolling_back);
}

static void take_committed(struct drop *drop, const struct pg_answer *answer)
{
        (void)answer;
        set_outcome(drop, SWEEP_DROPPED, DROP_ALLOWED, NULL, NULL);
        settle(drop);
}

static uint64_t jitter(struct drop *drop, uint64_t usec)
{
        uint32_t chance;

        drop->tools.env->ops->random(drop->tools.env, &chance, sizeof(chance));
        return usec + chance % usec;
}

static void take_rolled_back(struct drop *drop, const struct pg_answer *answer)
{
        bool deadlocked = !strcmp(drop->outcome.sqlstate, "40P01");
        bool waited = !strcmp(drop->outcome.sqlstate, "55P03") || !strcmp(drop->outcome.sqlstate, "57014");

        (void)answer;
        if (deadlocked && ++drop->deadlocks < DEADLOCK_TRIES)
                drop->tools.env->ops->timer_arm(drop->timer, jitter(drop, DEADLOCK_PAUSE_USEC));
        else if (waited && drop->reaches_outside && ++drop->lock_tries < SHARED_LOCK_TRIES)
                drop->tools.env->ops->timer_arm(drop->timer, SHARED_LOCK_PAUSE_USEC);
        else if (waited)
                enter(drop, &naming_holders);
        else
                settle(drop);
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
        settle(drop);
}

/* ---- claim, slot, start ---- */

static void slot_granted(void *owner, uint64_t id)
{
        struct drop *drop = owner;

        (void)id;
        drop->slot_granted = true;
        drop->ready(drop->owner);
}

bool drop_waits(const struct drop *drop)
{
        return drop->slot_asked && !drop->slot_granted;
}

void drop_go(struct drop *drop)
{
        enter(drop, &beginning);
}

void drop_cancel(struct drop *drop, enum drop_reason reason, char *detail /* taken */)
{
        set_outcome(drop, SWEEP_KEPT, reason, NULL, detail);
        settle(drop);
}

static void ask_slot(struct drop *drop)
{
        drop->slot_asked = true;
        slots_request_for_sweep(drop->tools.slots, drop->target->cluster, (uint64_t)drop->sweep, slot_granted,
                                drop);
}

static void claimed(void *owner, uint64_t ticket, int error)
{
        struct drop *drop = owner;

        (void)ticket;
        if (!error) {
                ask_slot(drop);
                return;
        }
        leases_unclaim(drop->tools.leases, drop->schema->parsed.namespace);
        drop->claimed = false;
        drop->outcome.ledger_failed = true;
        set_outcome(drop, SWEEP_KEPT, KEPT_ACTIVE_DETECTION_INCOMPLETE, NULL,
                    alloc_string("the ledger cannot be written"));
        settle(drop);
}

/* From the loop: after a pause, or because somebody has the name. */
static void go_on(void *owner)
{
        struct drop *drop = owner;

        if (drop->aftermath_tries)
                reconnect(drop);
        else if (drop->claimed)
                drop->ready(drop->owner);
        else
                settle(drop);
}

struct drop *drop_start(const struct drop_tools *tools, struct census_target *target,
                        const struct census_schema *schema, int64_t sweep, drop_ready_fn *ready,
                        drop_done_fn *done, void *owner)
{
        struct drop *drop = NEW(struct drop);

        *drop = (struct drop){.tools = *tools,
                              .target = target,
                              .schema = schema,
                              .sweep = sweep,
                              .ready = ready,
                              .done = done,
                              .owner = owner,
                              .timer = tools->env->ops->timer_new(tools->env, go_on, drop)};
        drop->claimed = leases_claim(tools->leases, schema->parsed.namespace);
        if (drop->claimed) {
                change(drop, LEDGER_CLAIMED, claimed);
                return drop;
        }
        set_outcome(drop, SWEEP_KEPT, KEPT_LIVE, NULL, alloc_string("leased since it was listed"));
        tools->env->ops->timer_arm(drop->timer, 0);
        return drop;
}

struct drop *drop_free(struct drop *drop)
{
        if (!drop)
                return NULL;
        drop->tools.pg->ops->close(drop->aftermath);
        drop->tools.env->ops->timer_free(drop->timer);
        free(drop->outcome.detail);
        free(drop);
        return NULL;
}
