/* SPDX-License-Identifier: MIT */
#include "service/occupancy.h"

#include "proto/names.h"
#include "service/survey.h"
#include "util/alloc.h"
#include "util/hash.h"

#include <stdlib.h>
#include <string.h>

#define CALLER 1 /* there is only one */

struct tenant {
        char namespace[NAMES_NAMESPACE_MAX + 1];
        unsigned n_sessions, n_schemas;
        UT_hash_handle hh;
};

struct occupancy {
        struct databases *databases;
        struct survey *sessions, *schemas;
        occupancy_done_fn *done;
        void *owner;
        struct tenant *heard, *coming; /* of the last look, and of the one that is under way */
        unsigned n_asked;              /* surveys that have not ended */
        bool has_heard;
        bool *is_counted; /* by cluster: any of its databases knows the sessions of all */
        unsigned n_clusters;
};

static void forget(struct tenant **table)
{
        struct tenant *tenant, *next;

        HASH_ITER (hh, *table, tenant, next) {
                HASH_DEL(*table, tenant);
                free(tenant);
        }
}

static struct tenant *tenant_of(struct tenant **table, const char *namespace)
{
        struct tenant *tenant;

        HASH_FIND_STR(*table, namespace, tenant);
        if (tenant)
                return tenant;
        tenant = NEW(struct tenant);
        (void)strcpy(tenant->namespace, namespace);
        HASH_ADD_STR(*table, namespace, tenant);
        return tenant;
}

static void end_one(struct occupancy *occupancy)
{
        if (--occupancy->n_asked > 0)
                return;
        forget(&occupancy->heard);
        occupancy->heard = occupancy->coming;
        occupancy->coming = NULL;
        occupancy->has_heard = true;
        occupancy->done(occupancy->owner);
}

/* Whether this answer is the first of its cluster. */
static bool is_first(struct occupancy *occupancy, const char *name)
{
        const struct database *database = databases_find(occupancy->databases, name);

        if (!database || database->cluster == 0 || database->cluster > occupancy->n_clusters ||
            occupancy->is_counted[database->cluster - 1])
                return false;
        occupancy->is_counted[database->cluster - 1] = true;
        return true;
}

static void on_sessions(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct occupancy *occupancy = owner;
        struct berth_name name;

        (void)caller;
        if (!answer) {
                end_one(occupancy);
                return;
        }
        if (answer->outcome != PG_OK || !is_first(occupancy, database))
                return;
        for (unsigned i = 0; i < answer->n_rows; i++) {
                const char *label = pg_cell(answer, i, 0);

                if (label && names_parse_application_name(label, &name))
                        tenant_of(&occupancy->coming, name.namespace)->n_sessions++;
        }
}

static void on_schemas(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct occupancy *occupancy = owner;
        struct berth_name name;

        (void)caller, (void)database;
        if (!answer) {
                end_one(occupancy);
                return;
        }
        for (unsigned i = 0; answer->outcome == PG_OK && i < answer->n_rows; i++) {
                const char *schema = pg_cell(answer, i, 0);

                if (schema && names_parse_schema(schema, &name))
                        tenant_of(&occupancy->coming, name.namespace)->n_schemas++;
        }
}

void occupancy_ask(struct occupancy *occupancy)
{
        occupancy->n_asked = 2;
        occupancy->n_clusters = databases_n_clusters(occupancy->databases);
        occupancy->is_counted =
                alloc_array(occupancy->is_counted, occupancy->n_clusters + 1, sizeof(*occupancy->is_counted));
        memset(occupancy->is_counted, 0, (occupancy->n_clusters + 1) * sizeof(*occupancy->is_counted));
        (void)survey_ask(occupancy->sessions, CALLER, NULL);
        (void)survey_ask(occupancy->schemas, CALLER, NULL);
}

void occupancy_rest(struct occupancy *occupancy)
{
        survey_forget_caller(occupancy->sessions, CALLER);
        survey_forget_caller(occupancy->schemas, CALLER);
        forget(&occupancy->coming);
        occupancy->n_asked = 0;
}

bool occupancy_of(const struct occupancy *occupancy, const char *namespace, unsigned *ret_sessions,
                  unsigned *ret_schemas)
{
        const struct tenant *tenant;

        HASH_FIND_STR(occupancy->heard, namespace, tenant);
        *ret_sessions = tenant ? tenant->n_sessions : 0;
        *ret_schemas = tenant ? tenant->n_schemas : 0;
        return occupancy->has_heard;
}

struct occupancy *occupancy_new(struct env *env, struct pg *pg, struct databases *databases,
                                const struct settings *settings, occupancy_done_fn *done, void *owner)
{
        struct occupancy *occupancy = NEW(struct occupancy);

        occupancy->databases = databases;
        occupancy->done = done;
        occupancy->owner = owner;
        occupancy->sessions = survey_new(env, pg, databases, settings, PG_SESSIONS, on_sessions, occupancy);
        occupancy->schemas = survey_new(env, pg, databases, settings, PG_SCHEMAS, on_schemas, occupancy);
        return occupancy;
}

struct occupancy *occupancy_free(struct occupancy *occupancy)
{
        if (!occupancy)
                return NULL;
        survey_free(occupancy->sessions);
        survey_free(occupancy->schemas);
        forget(&occupancy->heard);
        forget(&occupancy->coming);
        free(occupancy->is_counted);
        free(occupancy);
        return NULL;
}
