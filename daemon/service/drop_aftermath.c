/* SPDX-License-Identifier: MIT */
/* After a lost connection: what has become of the drop? See drop.h. */
#include "service/drop_record.h"

#include "util/alloc.h"

#include <stdlib.h>

/* How often, and how far apart, we look whether our backend has gone. */
#define AFTERMATH_TRIES      20
#define AFTERMATH_PAUSE_USEC (500 * USEC_PER_MSEC)

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
        if (drop->commit_sent) {
                drop->outcome.verdict = SWEEP_UNKNOWN;
                drop->outcome.backend = drop->backend_pid;
        }
        drop_settle(drop);
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
                        drop_set_outcome(drop, SWEEP_DROPPED, DROP_ALLOWED, NULL, NULL);
                drop_settle(drop);
        }
}

void drop_reconnect(struct drop *drop)
{
        drop->aftermath =
                drop->tools.pg->ops->open(drop->tools.pg, drop->target->conninfo,
                                          drop->tools.settings->connect_timeout, aftermath_answered, drop);
}

void drop_lost(struct drop *drop, const struct pg_answer *answer)
{
        drop_set_outcome(drop, SWEEP_FAILED, DROP_ALLOWED, NULL,
                         alloc_printf("connection lost while %s: %s", drop->step->name, answer->message));
        drop_reconnect(drop);
}
