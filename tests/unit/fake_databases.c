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
                struct database database;
        } list[MOST];
        bool none; /* is configured */
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

/* By identifier, else by name. Neither: the first, as the only one there is. -1: none. */
static int index_of(const struct databases *databases, const char *name, const char *system_identifier)
{
        for (unsigned i = 0; system_identifier && i < databases->n; i++)
                if (!strcmp(databases->list[i].cluster.system_identifier, system_identifier))
                        return (int)i;
        if (!name)
                return system_identifier ? -1 : 0;
        for (unsigned i = 0; i < databases->n; i++)
                if (!strcmp(databases->list[i].name, name))
                        return (int)i;
        return -1;
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
        server->lock_table = 6400;
        databases->list[databases->n].database = (struct database){
                .id = databases->n + 1,
                .name = (char *)name,
                .conninfo = (char *)name,
                .cluster = known ? cluster : 0,
        };
        databases->n++;
}

void fake_databases_add_clone(struct databases *databases, const char *name, unsigned cluster, unsigned of)
{
        struct cluster *server = &databases->list[databases->n].cluster;

        fake_databases_add(databases, name, cluster, true);
        (void)snprintf(server->system_identifier, sizeof(server->system_identifier), "70000000000%u", of);
}

void fake_databases_forget(struct databases *databases, const char *name)
{
        int i = index_of(databases, name, NULL);

        databases->list[i].known = false;
        databases->list[i].database.cluster = 0;
}

void fake_databases_configure_none(struct databases *databases)
{
        databases->none = true;
}

unsigned databases_count(const struct databases *databases)
{
        return databases->none ? 0 : databases->n;
}

const struct database *databases_at(const struct databases *databases, unsigned index)
{
        return &databases->list[index].database;
}

unsigned databases_n_clusters(const struct databases *databases)
{
        unsigned n = 0;

        for (unsigned i = 0; i < databases->n; i++)
                if (databases->list[i].known && databases->list[i].cluster.id > n)
                        n = databases->list[i].cluster.id;
        return n;
}

void databases_heard(struct databases *databases, unsigned id, const struct pg_answer *answer)
{
        databases->list[id - 1].database.reachable = answer->outcome == PG_OK;
}

unsigned databases_known_cluster(struct databases *databases, const char *name, const char *system_identifier)
{
        int i = index_of(databases, name, system_identifier);

        return i >= 0 && databases->list[i].known ? databases->list[i].cluster.id : 0;
}

int databases_resolve(struct databases *databases, const char *name, const char *system_identifier,
                      databases_resolved_fn *resolved, void *owner, uint64_t id)
{
        int i = index_of(databases, name, system_identifier);

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
                databases->list[question.database].database.cluster =
                        why ? 0 : databases->list[question.database].cluster.id;
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
