/* SPDX-License-Identifier: MIT */
/* Who blocks whom; see locks.h. One connection a database and question; each ends by its deadline. */
#include "service/locks.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct inquiry {
        TAILQ_ENTRY(inquiry) link; /* locks::inquiries */
        struct locks *locks;
        uint64_t caller;
        char *database;
        struct pg_connection *connection; /* NULL: there is no database to ask */
};

struct locks {
        struct env *env;
        struct pg *pg;
        struct databases *databases;
        const struct settings *settings;
        locks_fn *each;
        void *owner;
        struct timer *timer; /* for those who asked where there is no database */
        TAILQ_HEAD(, inquiry) inquiries;
};

static bool has_inquiry(const struct locks *locks, uint64_t caller)
{
        const struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &locks->inquiries, link)
                if (inquiry->caller == caller)
                        return true;
        return false;
}

static void inquiry_free(struct inquiry *inquiry)
{
        TAILQ_REMOVE(&inquiry->locks->inquiries, inquiry, link);
        inquiry->locks->pg->ops->close(inquiry->connection);
        free(inquiry->database);
        free(inquiry);
}

static void inquiry_end(struct inquiry *inquiry, const char *error)
{
        struct locks *locks = inquiry->locks;
        uint64_t caller = inquiry->caller;

        if (error)
                locks->each(locks->owner, caller, NULL, inquiry->database, error);
        inquiry_free(inquiry);
        if (!has_inquiry(locks, caller))
                locks->each(locks->owner, caller, NULL, NULL, NULL);
}

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
                            .transaction_usec = number(pg_cell(answer, row, PG_BLOCKER_TRANSACTION_USEC))},
                .wait_event = pg_cell(answer, row, PG_BLOCKED_WAIT_EVENT),
                .wait_usec = number(pg_cell(answer, row, PG_BLOCKED_WAIT_USEC)),
        };
}

static void answered(void *owner, const struct pg_answer *answer)
{
        static const char *const none[PG_PARAMETERS_MAX];
        struct inquiry *inquiry = owner;
        struct locks *locks = inquiry->locks;

        if (answer->outcome != PG_OK) {
                inquiry_end(inquiry, answer->message);
                return;
        }
        if (answer->question == PG_CONNECT) {
                locks->pg->ops->ask(inquiry->connection, PG_BLOCKERS, none, locks->settings->connect_timeout);
                return;
        }
        for (unsigned i = 0; i < answer->n_rows; i++) {
                struct lock_pair pair = pair_of(answer, i, inquiry->database);

                locks->each(locks->owner, inquiry->caller, &pair, NULL, NULL);
        }
        inquiry_end(inquiry, NULL);
}

static struct inquiry *unasked(struct locks *locks)
{
        struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &locks->inquiries, link)
                if (!inquiry->connection)
                        return inquiry;
        return NULL;
}

static void on_timer(void *owner)
{
        struct locks *locks = owner;
        struct inquiry *inquiry;

        while ((inquiry = unasked(locks)))
                inquiry_end(inquiry, NULL);
}

/* database NULL: there is none. */
static void inquiry_start(struct locks *locks, uint64_t caller, const struct database *database)
{
        struct inquiry *inquiry = NEW(struct inquiry);

        inquiry->locks = locks;
        inquiry->caller = caller;
        TAILQ_INSERT_TAIL(&locks->inquiries, inquiry, link);
        if (!database) {
                locks->env->ops->timer_arm(locks->timer, 0);
                return;
        }
        inquiry->database = alloc_string(database->name);
        inquiry->connection = locks->pg->ops->open(locks->pg, database->conninfo,
                                                   locks->settings->connect_timeout, answered, inquiry);
}

int locks_ask(struct locks *locks, uint64_t caller, const char *database)
{
        if (database && !databases_find(locks->databases, database))
                return DATABASES_E_NO_SUCH_DATABASE;
        for (unsigned i = 0; i < databases_count(locks->databases); i++) {
                const struct database *one = databases_at(locks->databases, i);

                if (!database || !strcmp(one->name, database))
                        inquiry_start(locks, caller, one);
        }
        if (!has_inquiry(locks, caller))
                inquiry_start(locks, caller, NULL);
        return 0;
}

void locks_forget_caller(struct locks *locks, uint64_t caller)
{
        struct inquiry *inquiry, *next;

        for (inquiry = TAILQ_FIRST(&locks->inquiries); inquiry; inquiry = next) {
                next = TAILQ_NEXT(inquiry, link);
                if (inquiry->caller == caller)
                        inquiry_free(inquiry);
        }
}

struct locks *locks_new(struct env *env, struct pg *pg, struct databases *databases,
                        const struct settings *settings, locks_fn *each, void *owner)
{
        struct locks *locks = NEW(struct locks);

        *locks = (struct locks){.env = env,
                                .pg = pg,
                                .databases = databases,
                                .settings = settings,
                                .each = each,
                                .owner = owner};
        locks->timer = env->ops->timer_new(env, on_timer, locks);
        TAILQ_INIT(&locks->inquiries);
        return locks;
}

struct locks *locks_free(struct locks *locks)
{
        struct inquiry *inquiry;

        if (!locks)
                return NULL;
        while ((inquiry = TAILQ_FIRST(&locks->inquiries)))
                inquiry_free(inquiry);
        locks->env->ops->timer_free(locks->timer);
        free(locks);
        return NULL;
}
