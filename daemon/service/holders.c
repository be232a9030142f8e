/* SPDX-License-Identifier: MIT */
#include "service/holders.h"

#include "service/survey.h"
#include "util/alloc.h"

#include <stdlib.h>

struct holders {
        struct survey *survey;
        holders_fn *each;
        void *owner;
};

static struct lock_holding holding_of(const struct pg_answer *answer, unsigned row, const char *database)
{
        const char *pid = pg_cell(answer, row, PG_HOLDER_PID);
        const char *transaction = pg_cell(answer, row, PG_HOLDER_TRANSACTION_USEC);

        return (struct lock_holding){
                .database = database,
                .locks = pg_cell(answer, row, PG_HOLDER_LOCKS),
                .holder = {.pid = pid ? atoi(pid) : 0,
                           .application_name = pg_cell(answer, row, PG_HOLDER_APPLICATION_NAME),
                           .query = pg_cell(answer, row, PG_HOLDER_QUERY),
                           .transaction_usec = transaction ? strtoll(transaction, NULL, 10) : -1},
        };
}

static void heard(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct holders *holders = owner;

        if (!answer || answer->outcome != PG_OK) {
                holders->each(holders->owner, caller, NULL, NULL, database, answer ? answer->message : NULL);
                return;
        }
        for (unsigned i = 0; i < answer->n_rows; i++) {
                struct lock_holding holding = holding_of(answer, i, database);

                holders->each(holders->owner, caller, &holding, pg_cell(answer, i, PG_HOLDER_SCHEMA), NULL,
                              NULL);
        }
}

void holders_ask(struct holders *holders, uint64_t caller)
{
        (void)survey_ask(holders->survey, caller, NULL);
}

void holders_forget_caller(struct holders *holders, uint64_t caller)
{
        survey_forget_caller(holders->survey, caller);
}

struct holders *holders_new(struct env *env, struct pg *pg, struct databases *databases,
                            const struct settings *settings, holders_fn *each, void *owner)
{
        struct holders *holders = NEW(struct holders);

        *holders = (struct holders){.each = each, .owner = owner};
        holders->survey = survey_new(env, pg, databases, settings, PG_HOLDERS, heard, holders);
        return holders;
}

struct holders *holders_free(struct holders *holders)
{
        if (!holders)
                return NULL;
        survey_free(holders->survey);
        free(holders);
        return NULL;
}
