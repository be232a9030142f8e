/* SPDX-License-Identifier: MIT */
#include "service/survey.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct inquiry {
        TAILQ_ENTRY(inquiry) link; /* survey::inquiries */
        struct survey *survey;
        uint64_t caller;
        char *database, *conninfo; /* NULL: there is no database to ask */
        bool is_asked;             /* the look that is under way answers it */
};

/* A database that is being asked, for all who had come before. */
struct look {
        TAILQ_ENTRY(look) link; /* survey::looks */
        struct survey *survey;
        char *database;
        struct pg_connection *connection;
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
        TAILQ_HEAD(, look) looks;
};

static bool has_inquiry(const struct survey *survey, uint64_t caller)
{
        const struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &survey->inquiries, link)
                if (inquiry->caller == caller)
                        return true;
        return false;
}

static struct inquiry *find_inquiry(const struct survey *survey, const char *database, bool is_asked)
{
        struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &survey->inquiries, link)
                if (inquiry->is_asked == is_asked && inquiry->database &&
                    !strcmp(inquiry->database, database))
                        return inquiry;
        return NULL;
}

static struct look *find_look(const struct survey *survey, const char *database)
{
        struct look *look;

        TAILQ_FOREACH (look, &survey->looks, link)
                if (!strcmp(look->database, database))
                        return look;
        return NULL;
}

static void inquiry_free(struct inquiry *inquiry)
{
        TAILQ_REMOVE(&inquiry->survey->inquiries, inquiry, link);
        free(inquiry->database);
        free(inquiry->conninfo);
        free(inquiry);
}

static void look_free(struct look *look)
{
        TAILQ_REMOVE(&look->survey->looks, look, link);
        look->survey->pg->ops->close(look->connection);
        free(look->database);
        free(look);
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

static void answered(void *owner, const struct pg_answer *answer);

/* For whoever waits for that database, unless it is being asked; those who come now wait for the next look. */
static void look_start(struct survey *survey, const char *database)
{
        struct inquiry *inquiry = find_inquiry(survey, database, false);
        struct look *look;

        if (!inquiry || find_look(survey, database))
                return;
        look = NEW(struct look);
        look->survey = survey;
        look->database = alloc_string(database);
        TAILQ_INSERT_TAIL(&survey->looks, look, link);
        look->connection = survey->pg->ops->open(survey->pg, inquiry->conninfo,
                                                 survey->settings->connect_timeout, answered, look);
        for (; inquiry; inquiry = find_inquiry(survey, look->database, false))
                inquiry->is_asked = true;
}

static void look_end(struct look *look)
{
        struct survey *survey = look->survey;
        _cleanup_free_ char *database = alloc_string(look->database);

        look_free(look);
        look_start(survey, database);
}

static void answered(void *owner, const struct pg_answer *answer)
{
        static const char *const none[PG_PARAMETERS_MAX];
        struct look *look = owner;
        struct survey *survey = look->survey;
        struct inquiry *inquiry;

        if (answer->outcome == PG_OK && answer->question == PG_CONNECT) {
                survey->pg->ops->ask(look->connection, survey->question, none,
                                     survey->settings->connect_timeout);
                return;
        }
        while ((inquiry = find_inquiry(survey, look->database, true)))
                inquiry_end(inquiry, answer);
        look_end(look);
}

static struct inquiry *unaskable(struct survey *survey)
{
        struct inquiry *inquiry;

        TAILQ_FOREACH (inquiry, &survey->inquiries, link)
                if (!inquiry->database)
                        return inquiry;
        return NULL;
}

static void on_timer(void *owner)
{
        struct survey *survey = owner;
        struct inquiry *inquiry;

        while ((inquiry = unaskable(survey)))
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
        inquiry->conninfo = alloc_string(database->conninfo);
        look_start(survey, database->name);
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
        struct look *look, *next_look;

        for (inquiry = TAILQ_FIRST(&survey->inquiries); inquiry; inquiry = next) {
                next = TAILQ_NEXT(inquiry, link);
                if (inquiry->caller == caller)
                        inquiry_free(inquiry);
        }
        for (look = TAILQ_FIRST(&survey->looks); look; look = next_look) {
                next_look = TAILQ_NEXT(look, link);
                if (!find_inquiry(survey, look->database, true))
                        look_end(look);
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
        TAILQ_INIT(&survey->looks);
        return survey;
}

struct survey *survey_free(struct survey *survey)
{
        struct inquiry *inquiry;
        struct look *look;

        if (!survey)
                return NULL;
        while ((look = TAILQ_FIRST(&survey->looks)))
                look_free(look);
        while ((inquiry = TAILQ_FIRST(&survey->inquiries)))
                inquiry_free(inquiry);
        survey->env->ops->timer_free(survey->timer);
        free(survey);
        return NULL;
}
