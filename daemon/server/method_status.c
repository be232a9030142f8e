/* SPDX-License-Identifier: MIT */
#include "server/describe.h"
#include "server/methods.h"
#include "util/cleanup.h"

struct uses {
        struct services *services;
        struct cJSON *holders, *waiters;
};

static void add_use(void *owner, const struct slot_use *use, unsigned position)
{
        struct uses *uses = owner;

        (void)position;
        json_append(use->grant ? uses->holders : uses->waiters, describe_slot_use(uses->services, use));
}

static struct cJSON *names_of(struct services *services, unsigned cluster)
{
        struct cJSON *names = json_array();

        for (unsigned i = 0; i < databases_count(services->databases); i++) {
                const struct database *database = databases_at(services->databases, i);

                if (cluster && database->cluster == cluster)
                        json_append_string(names, database->name);
        }
        return names;
}

static struct cJSON *describe_cluster(struct services *services, unsigned id)
{
        const struct cluster *cluster = databases_cluster(services->databases, id);
        struct uses uses = {.services = services, .holders = json_array(), .waiters = json_array()};
        struct cJSON *object = json_object();

        slots_each(services->slots, id, add_use, &uses);
        json_add_string(object, "systemIdentifier", cluster ? cluster->system_identifier : "");
        json_add(object, "databases", names_of(services, id));
        json_add_integer(object, "slots", services->settings->ddl_slots);
        json_add(object, "holders", uses.holders);
        json_add(object, "waiters", uses.waiters);
        if (cluster && cluster->lock_table > 0)
                json_add_integer(object, "lockTable", cluster->lock_table);
        if (lock_budget_peak(services->lock_budget, id) > 0)
                json_add_integer(object, "lockPeak", lock_budget_peak(services->lock_budget, id));
        return object;
}

static void count_use(void *owner, const struct slot_use *use, unsigned position)
{
        (void)use;
        (void)position;
        ++*(unsigned *)owner;
}

/* One that was asked for while no database was configured, or whose databases have moved, and that nobody uses. */
static bool is_deserted(struct services *services, unsigned id)
{
        unsigned n_uses = 0;

        for (unsigned i = 0; i < databases_count(services->databases); i++)
                if (databases_at(services->databases, i)->cluster == id)
                        return false;
        slots_each(services->slots, id, count_use, &n_uses);
        return n_uses == 0 && databases_count(services->databases) > 0;
}

static struct cJSON *describe_clusters(struct services *services)
{
        struct cJSON *clusters = json_array();

        /* Without a configured database there is a cluster as soon as somebody asks for it: here it is. */
        if (databases_count(services->databases) == 0)
                (void)databases_known_cluster(services->databases, NULL, NULL);
        for (unsigned id = 1; id <= databases_n_clusters(services->databases); id++)
                if (!is_deserted(services, id))
                        json_append(clusters, describe_cluster(services, id));
        return clusters;
}

static struct cJSON *describe_databases(struct services *services)
{
        struct cJSON *databases = json_array();

        for (unsigned i = 0; i < databases_count(services->databases); i++) {
                const struct database *database = databases_at(services->databases, i);
                struct cJSON *object = json_object();

                json_add_string(object, "name", database->name);
                json_add_bool(object, "reachable", database->reachable);
                if (database->since_usec)
                        json_add_integer(object, "sinceUSec", (int64_t)database->since_usec);
                json_add_string(object, "sqlState", database->sqlstate[0] ? database->sqlstate : NULL);
                json_add_string(object, "message", database->asked ? database->message : "not asked yet");
                json_append(databases, object);
        }
        return databases;
}

static struct cJSON *describe_ledger(const struct services *services)
{
        struct cJSON *ledger = json_object();

        json_add_bool(ledger, "writable", !services->ledger_trouble);
        json_add_string(ledger, "message",
                        services->ledger_trouble ? services->ledger_trouble : services->ledger_warning);
        return ledger;
}

static void add_public_write(void *owner, const struct public_written *written)
{
        struct cJSON *object = json_object(), *namespaces = json_array();

        json_add_string(object, "database", written->database);
        json_add_string(object, "table", written->table);
        json_add_string(object, "kind", public_write_kind_name(written->kind));
        json_add_integer(object, "rows", (int64_t)written->rows);
        json_add_integer(object, "firstUSec", (int64_t)written->first_usec);
        json_add_integer(object, "lastUSec", (int64_t)written->last_usec);
        for (unsigned i = 0; i < written->n_namespaces; i++)
                json_append_string(namespaces, written->namespaces[i]);
        json_add(object, "namespaces", namespaces);
        json_append(owner, object);
}

struct cJSON *describe_public_writes(const struct services *services)
{
        struct cJSON *writes = json_array();

        public_watch_each(services->public_watch, add_public_write, writes);
        return writes;
}

struct cJSON *describe_status(struct services *services)
{
        const struct sweep_result *last = sweeper_last(services->sweeper);
        _cleanup_free_ char *doubt = sweeper_doubt(services->sweeper);
        struct cJSON *object = json_object();

        json_add_string(object, "version", BERTH_VERSION);
        json_add_integer(object, "startedUSec", (int64_t)services->started_usec);
        json_add_integer(object, "leases", leases_n_live(services->leases));
        json_add_integer(object, "queued",
                         leases_n_waiting(services->leases) + slots_n_waiting(services->slots));
        json_add(object, "clusters", describe_clusters(services));
        json_add(object, "databases", describe_databases(services));
        json_add(object, "ledger", describe_ledger(services));
        json_add_bool(object, "activeDetectionComplete", last && last->complete);
        json_add_string(object, "unsettled", doubt);
        json_add(object, "publicWrites", describe_public_writes(services));
        return object;
}

struct outcome *method_get_status(struct call *call, struct services *services)
{
        static const struct json_field fields[] = {{NULL}};
        const struct sweep_result *last = sweeper_last(services->sweeper);
        struct cJSON *parameters;
        char nothing;

        if (!call_read(call, fields, &nothing))
                return call_fail_parameter(call, NULL);
        parameters = describe_status(services);
        if (last)
                json_add(parameters, "lastSweep", sweep_result_json(last));
        return call_reply(call, parameters);
}
