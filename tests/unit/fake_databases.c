/* SPDX-License-Identifier: MIT */
#include "fake_databases.h"

#include "util/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 16

struct question {
        bool used;
        unsigned database;
        databases_resolved_fn *resolved;
        void *owner;
        uint64_t id;
};

struct databases {
        struct fake_env *fake;
        unsigned n;
        struct {
                const char *name;
                bool known;
                struct cluster cluster;
        } list[MOST];
        struct question questions[MOST];
};

struct databases *fake_databases_new(struct fake_env *fake)
{
        struct databases *databases = NEW(struct databases);

        databases->fake = fake;
        return databases;
}

struct databases *fake_databases_free(struct databases *databases)
{
        if (fake_databases_n_asked(databases)) {
                (void)fprintf(stderr, "fake_databases: a question was left behind\n");
                abort();
        }
        free(databases);
        return NULL;
}

void fake_databases_add(struct databases *databases, const char *name, unsigned cluster, bool known)
{
        struct cluster *server = &databases->list[databases->n].cluster;

        databases->list[databases->n].name = name;
        databases->list[databases->n].known = known;
        server->id = cluster;
        (void)snprintf(server->system_identifier, sizeof(server->system_identifier), "70000000000%u",
                       cluster);
        (void)snprintf(server->address, sizeof(server->address), "5432 /run/%u", cluster);
        databases->n++;
}

/* NULL: the first, as the only one there is. -1: none. */
static int index_of(const struct databases *databases, const char *name)
{
        if (!name)
                return 0;
        for (unsigned i = 0; i < databases->n; i++)
                if (!strcmp(databases->list[i].name, name))
                        return (int)i;
        return -1;
}

unsigned databases_known_cluster(struct databases *databases, const char *name, const char *system_identifier)
{
        int i = index_of(databases, name);

        (void)system_identifier;
        return i >= 0 && databases->list[i].known ? databases->list[i].cluster.id : 0;
}

int databases_resolve(struct databases *databases, const char *name, const char *system_identifier,
                      databases_resolved_fn *resolved, void *owner, uint64_t id)
{
        int i = index_of(databases, name);

        (void)system_identifier;
        if (i < 0)
                return DATABASES_E_NO_SUCH_DATABASE;
        for (unsigned k = 0; k < MOST; k++) {
                if (databases->questions[k].used)
                        continue;
                databases->questions[k] = (struct question){true, (unsigned)i, resolved, owner, id};
                return 0;
        }
        abort();
}

void databases_forget_resolve(struct databases *databases, void *owner, uint64_t id)
{
        for (unsigned k = 0; k < MOST; k++) {
                struct question *question = &databases->questions[k];

                if (question->used && question->owner == owner && question->id == id)
                        question->used = false;
        }
}

const struct cluster *databases_cluster(const struct databases *databases, unsigned id)
{
        for (unsigned i = 0; i < databases->n; i++)
                if (databases->list[i].cluster.id == id)
                        return &databases->list[i].cluster;
        return NULL;
}

void fake_databases_answer(struct databases *databases, const char *why)
{
        for (unsigned k = 0; k < MOST; k++) {
                struct question question = databases->questions[k];

                if (!question.used)
                        continue;
                databases->questions[k].used = false;
                databases->list[question.database].known = !why;
                fake_env_enter(databases->fake);
                question.resolved(question.owner, question.id,
                                  why ? 0 : databases->list[question.database].cluster.id, why);
                fake_env_leave(databases->fake);
        }
}

unsigned fake_databases_n_asked(const struct databases *databases)
{
        unsigned n = 0;

        for (unsigned k = 0; k < MOST; k++)
                n += databases->questions[k].used;
        return n;
}
