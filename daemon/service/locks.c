/* SPDX-License-Identifier: MIT */
/* Who blocks whom; see locks.h. */
#include "service/locks.h"

#include "service/survey.h"
#include "util/alloc.h"

#include <stdlib.h>

struct locks {
        struct survey *survey;
        locks_fn *each;
        void *owner;
};

static int64_t number(const char *text)
{
        return text ? strtoll(text, NULL, 10) : -1;
}

static struct lock_pair pair_of(const struct pg_answer *answer, unsigned row, const char *database)
{
        const char *blocker_pid = pg_cell(answer, row, PG_BLOCKER_PID);
        const char *blocked_pid = pg_cell(answer, row, PG_BLOCKED_PID);

        return (struct lock_pair){
                .database = database,
                .blocked = {.pid = blocked_pid ? atoi(blocked_pid) : 0,
                            .application_name = pg_cell(answer, row, PG_BLOCKED_APPLICATION_NAME),
                            .query = pg_cell(answer, row, PG_BLOCKED_QUERY),
                            .transaction_usec = number(pg_cell(answer, row, PG_BLOCKED_TRANSACTION_USEC))},
                .blocker = {.pid = blocker_pid ? atoi(blocker_pid) : 0,
                            .application_name = pg_cell(answer, row, PG_BLOCKER_APPLICATION_NAME),
                            .query = pg_cell(answer, row, PG_BLOCKER_QUERY),
                            .transaction_usec = number(pg_cell(answer, row, PG_BLOCKER_TRANSACTION_USEC)),
                            .gid = pg_cell(answer, row, PG_BLOCKER_GID),
                            .schema = pg_cell(answer, row, PG_BLOCKER_SCHEMA)},
                .wait_event = pg_cell(answer, row, PG_BLOCKED_WAIT_EVENT),
                .wait_usec = number(pg_cell(answer, row, PG_BLOCKED_WAIT_USEC)),
        };
}

static void heard(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct locks *locks = owner;

        if (!answer || answer->outcome != PG_OK) {
                locks->each(locks->owner, caller, NULL, database, answer ? answer->message : NULL);
                return;
        }
        for (unsigned i = 0; i < answer->n_rows; i++) {
                struct lock_pair pair = pair_of(answer, i, database);

                locks->each(locks->owner, caller, &pair, NULL, NULL);
        }
}

int locks_ask(struct locks *locks, uint64_t caller, const char *database)
{
        return survey_ask(locks->survey, caller, database);
}

void locks_forget_caller(struct locks *locks, uint64_t caller)
{
        survey_forget_caller(locks->survey, caller);
}

struct locks *locks_new(struct env *env, struct pg *pg, struct databases *databases,
                        const struct settings *settings, locks_fn *each, void *owner)
{
        struct locks *locks = NEW(struct locks);

        *locks = (struct locks){.each = each, .owner = owner};
        locks->survey = survey_new(env, pg, databases, settings, PG_BLOCKERS, heard, locks);
        return locks;
}

struct locks *locks_free(struct locks *locks)
{
        if (!locks)
                return NULL;
        survey_free(locks->survey);
        free(locks);
        return NULL;
}
