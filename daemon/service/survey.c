/* SPDX-License-Identifier: MIT */
#include "service/survey.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct inquiry {
        TAILQ_ENTRY(inquiry) link; /* survey::inquiries */
        struct survey *survey;
        uint64_t caller;
        char *database;
        struct pg_connection *connection; /* NULL: there is no database to ask */
};

struct survey {
        struct env *env;
        struct pg *pg;
        struct databases *databases;
        const struct settings *settings;
        enum pg_question question;
        survey_fn *each;
        void *owner;
        struct timer *timer; /* for those who asked where there is no database */
        TAILQ_HEAD(, inquiry) inquiries;
};

static bool has_inquiry(const struct survey *survey, uint64_t caller)
{
        const struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &survey->inquiries, link)
                if (inquiry->caller == caller)
                        return true;
        return false;
}

static void inquiry_free(struct inquiry *inquiry)
{
        TAILQ_REMOVE(&inquiry->survey->inquiries, inquiry, link);
        inquiry->survey->pg->ops->close(inquiry->connection);
        free(inquiry->database);
        free(inquiry);
}

/* answer NULL: there was nobody to ask. */
static void inquiry_end(struct inquiry *inquiry, const struct pg_answer *answer)
{
        struct survey *survey = inquiry->survey;
        uint64_t caller = inquiry->caller;

        if (answer)
                survey->each(survey->owner, caller, inquiry->database, answer);
        inquiry_free(inquiry);
        if (!has_inquiry(survey, caller))
                survey->each(survey->owner, caller, NULL, NULL);
}

static void answered(void *owner, const struct pg_answer *answer)
{
        static const char *const none[PG_PARAMETERS_MAX];
        struct inquiry *inquiry = owner;
        struct survey *survey = inquiry->survey;

        if (answer->outcome == PG_OK && answer->question == PG_CONNECT)
                survey->pg->ops->ask(inquiry->connection, survey->question, none,
                                     survey->settings->connect_timeout);
        else
                inquiry_end(inquiry, answer);
}

static struct inquiry *unasked(struct survey *survey)
{
        struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &survey->inquiries, link)
                if (!inquiry->connection)
                        return inquiry;
        return NULL;
}

static void on_timer(void *owner)
{
        struct survey *survey = owner;
        struct inquiry *inquiry;

        while ((inquiry = unasked(survey)))
                inquiry_end(inquiry, NULL);
}

/* database NULL: there is none. */
static void inquiry_start(struct survey *survey, uint64_t caller, const struct database *database)
{
        struct inquiry *inquiry = NEW(struct inquiry);

        inquiry->survey = survey;
        inquiry->caller = caller;
        TAILQ_INSERT_TAIL(&survey->inquiries, inquiry, link);
        if (!database) {
                survey->env->ops->timer_arm(survey->timer, 0);
                return;
        }
        inquiry->database = alloc_string(database->name);
        inquiry->connection = survey->pg->ops->open(survey->pg, database->conninfo,
                                                    survey->settings->connect_timeout, answered, inquiry);
}

int survey_ask(struct survey *survey, uint64_t caller, const char *database)
{
        if (database && !databases_find(survey->databases, database))
                return DATABASES_E_NO_SUCH_DATABASE;
        for (unsigned i = 0; i < databases_count(survey->databases); i++) {
                const struct database *one = databases_at(survey->databases, i);

                if (!database || !strcmp(one->name, database))
                        inquiry_start(survey, caller, one);
        }
        if (!has_inquiry(survey, caller))
                inquiry_start(survey, caller, NULL);
        return 0;
}

void survey_forget_caller(struct survey *survey, uint64_t caller)
{
        struct inquiry *inquiry, *next;

        for (inquiry = TAILQ_FIRST(&survey->inquiries); inquiry; inquiry = next) {
                next = TAILQ_NEXT(inquiry, link);
                if (inquiry->caller == caller)
                        inquiry_free(inquiry);
        }
}

struct survey *survey_new(struct env *env, struct pg *pg, struct databases *databases,
                          const struct settings *settings, enum pg_question question, survey_fn *each,
                          void *owner)
{
        struct survey *survey = NEW(struct survey);

        *survey = (struct survey){.env = env,
                                  .pg = pg,
                                  .databases = databases,
                                  .settings = settings,
                                  .question = question,
                                  .each = each,
                                  .owner = owner};
        survey->timer = env->ops->timer_new(env, on_timer, survey);
        TAILQ_INIT(&survey->inquiries);
        return survey;
}

struct survey *survey_free(struct survey *survey)
{
        struct inquiry *inquiry;

        if (!survey)
                return NULL;
        while ((inquiry = TAILQ_FIRST(&survey->inquiries)))
                inquiry_free(inquiry);
        survey->env->ops->timer_free(survey->timer);
        free(survey);
        return NULL;
}
