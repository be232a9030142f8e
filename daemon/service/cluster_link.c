/* SPDX-License-Identifier: MIT */
#include "service/cluster_link.h"

#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>

struct cluster_link {
        struct pg *pg;
        struct databases *databases;
        unsigned cluster;
        cluster_answered_fn *answered;
        void *owner;
        unsigned database; /* id of the last one tried; 0: none yet */
        struct pg_connection *connection;
        enum pg_question question;
        const char *parameters[PG_PARAMETERS_MAX];
        uint64_t timeout_usec;
};

struct cluster_link *cluster_link_new(struct pg *pg, struct databases *databases, unsigned cluster,
                                      cluster_answered_fn *answered, void *owner)
{
        struct cluster_link *link = NEW(struct cluster_link);

        *link = (struct cluster_link){
                .pg = pg, .databases = databases, .cluster = cluster, .answered = answered, .owner = owner};
        return link;
}

struct cluster_link *cluster_link_free(struct cluster_link *link)
{
        if (!link)
                return NULL;
        cluster_link_rest(link);
        free(link);
        return NULL;
}

void cluster_link_rest(struct cluster_link *link)
{
        link->pg->ops->close(link->connection);
        link->connection = NULL;
}

/* Those that answered when they were last asked go first; among equals the one behind the last one tried. */
static const struct database *next_database(const struct cluster_link *link)
{
        const struct database *best = NULL;
        unsigned best_rank = 0;

        for (unsigned i = 0; i < databases_count(link->databases); i++) {
                const struct database *database = databases_at(link->databases, i);
                unsigned rank = 1 + 2 * database->reachable + (database->id > link->database);

                if (database->cluster != link->cluster || rank <= best_rank)
                        continue;
                best = database;
                best_rank = rank;
        }
        return best;
}

static bool leads_there(const struct cluster_link *link, const struct pg_answer *answer)
{
        if (strcmp(pg_cell(answer, 0, PG_IDENTIFY_IN_RECOVERY), "f") != 0)
                return false;
        for (unsigned i = 0; i < databases_count(link->databases); i++)
                if (databases_at(link->databases, i)->id == link->database)
                        return databases_at(link->databases, i)->cluster == link->cluster;
        return false;
}

static void fail(struct cluster_link *link)
{
        cluster_link_rest(link);
        link->answered(link->owner, NULL);
}

static void ask_now(struct cluster_link *link)
{
        link->pg->ops->ask(link->connection, link->question, link->parameters, link->timeout_usec);
}

static void on_answer(void *owner, const struct pg_answer *answer)
{
        static const char *const none[PG_PARAMETERS_MAX];
        struct cluster_link *link = owner;

        if (answer->question == PG_CONNECT || answer->question == PG_IDENTIFY)
                databases_heard(link->databases, link->database, answer);
        if (answer->outcome != PG_OK)
                fail(link);
        else if (answer->question == PG_CONNECT)
                link->pg->ops->ask(link->connection, PG_IDENTIFY, none, link->timeout_usec);
        else if (answer->question != PG_IDENTIFY)
                link->answered(link->owner, answer);
        else if (leads_there(link, answer))
                ask_now(link);
        else
                fail(link);
}

bool cluster_link_ask(struct cluster_link *link, enum pg_question question,
                      const char *const parameters[PG_PARAMETERS_MAX], uint64_t timeout_usec)
{
        const struct database *database;

        link->question = question;
        for (unsigned i = 0; i < PG_PARAMETERS_MAX; i++)
                link->parameters[i] = parameters[i];
        link->timeout_usec = timeout_usec;
        if (link->connection) {
                ask_now(link);
                return true;
        }
        database = next_database(link);
        if (!database)
                return false;
        link->database = database->id;
        link->connection = link->pg->ops->open(link->pg, database->conninfo, timeout_usec, on_answer, link);
        return true;
}
