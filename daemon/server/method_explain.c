/* SPDX-License-Identifier: MIT */
#include "server/describe.h"
#include "server/methods.h"

#include <stddef.h>
#include <string.h>

/* Who asks of a forced name with a thousand schemas wants the newest. */
#define VERDICTS_MAX 50
#define SCHEMAS_MAX  500

static void add_time(struct cJSON *object, const char *name, uint64_t usec)
{
        if (usec)
                json_add_integer(object, name, (int64_t)usec);
}

/* ---- leases and slots ---- */

static struct cJSON *describe_lease(struct services *services, const struct explanation *e,
                                    const struct explain_lease *lease)
{
        const struct lease *live = leases_find(services->leases, e->parsed.namespace);
        bool is_live = live && live->id == lease->id;
        struct cJSON *object = json_object(),
                     *runtime = is_live ? describe_lease_runtime(services, live) : NULL;

        json_add_integer(object, "lease", lease->id);
        json_add_string(object, "state", is_live ? json_get_string(runtime, "state") : lease->how);
        json_add_string(object, "label", lease->label);
        json_add_integer(object, "uid", lease->uid);
        json_add_bool(object, "forced", lease->forced);
        add_time(object, "sinceUSec", lease->since_usec);
        add_time(object, "endedUSec", lease->ended_usec);
        json_add_string(object, "reason", lease->reason);
        if (lease->exit_status >= 0)
                json_add_integer(object, "exitStatus", lease->exit_status);
        json_add_integer(object, "joined", lease->n_joined);
        if (is_live)
                json_add(object, "members", json_copy(json_get(runtime, "members")));
        json_free(runtime);
        return object;
}

struct uses {
        struct services *services;
        const char *namespace;
        struct cJSON *array;
};

static void add_use(void *owner, const struct slot_use *use, unsigned position)
{
        struct uses *uses = owner;

        (void)position;
        if (!strcmp(use->namespace, uses->namespace))
                json_append(uses->array, describe_slot_use(uses->services, use));
}

static struct cJSON *describe_slots(struct services *services, const char *namespace)
{
        struct uses uses = {.services = services, .namespace = namespace, .array = json_array()};

        for (unsigned id = 1; id <= databases_n_clusters(services->databases); id++)
                slots_each(services->slots, id, add_use, &uses);
        return uses.array;
}

/* ---- schemas ---- */

static struct cJSON *describe_verdict(const struct explain_verdict *verdict)
{
        struct cJSON *object = json_object();

        json_add_integer(object, "sweep", verdict->sweep);
        json_add_string(object, "verdict", verdict->verdict);
        json_add_string(object, "reason", verdict->reason);
        json_add_string(object, "sqlState", verdict->sqlstate);
        json_add_string(object, "detail", verdict->detail);
        json_add_string(object, "oid", verdict->oid);
        json_add_integer(object, "timeUSec", (int64_t)verdict->time_usec);
        json_add_integer(object, "lastUSec", (int64_t)verdict->last_usec);
        return object;
}

static struct cJSON *describe_schema(const struct explain_schema *schema)
{
        unsigned first = schema->n_verdicts > VERDICTS_MAX ? schema->n_verdicts - VERDICTS_MAX : 0;
        struct cJSON *object = json_object(), *verdicts = json_array();

        json_add_string(object, "database", schema->database);
        json_add_string(object, "schema", schema->schema);
        if (schema->presence != PRESENCE_NOT_HEARD)
                json_add_bool(object, "exists", schema->presence == PRESENCE_PRESENT);
        json_add_string(object, "oid", schema->oid);
        json_add_string(object, "standing", explain_standing_name(schema->standing));
        add_time(object, "firstSeenUSec", schema->first_seen_usec);
        for (unsigned i = first; i < schema->n_verdicts; i++)
                json_append(verdicts, describe_verdict(&schema->verdicts[i]));
        json_add(object, "verdicts", verdicts);
        return object;
}

static struct cJSON *describe_written(const struct explain_written *written)
{
        struct cJSON *object = json_object();

        json_add_integer(object, "lease", written->lease);
        json_add_string(object, "database", written->database);
        json_add_string(object, "what", written->what);
        json_add_integer(object, "timeUSec", (int64_t)written->time_usec);
        return object;
}

static struct cJSON *describe_unheard(const struct explain_unheard *unheard)
{
        struct cJSON *object = json_object();

        json_add_string(object, "name", unheard->database);
        json_add_bool(object, "reachable", false);
        json_add_string(object, "message", unheard->message);
        return object;
}

/* Without the schemas of all other namespaces. */
static struct cJSON *describe_sweep(const struct cJSON *sweep)
{
        static const char *const lists[] = {"dropped", "failed", "unknown", "kept"};
        struct cJSON *object = json_object(), *databases = json_array();
        const struct cJSON *member;

        for (member = json_first(sweep); member; member = json_next(member))
                if (strcmp(json_name(member), "databases") != 0)
                        json_add(object, json_name(member), json_copy(member));
        for (member = json_first(json_get(sweep, "databases")); member; member = json_next(member)) {
                struct cJSON *database = json_object();

                json_add(database, "name", json_copy(json_get(member, "name")));
                json_add(database, "reachable", json_copy(json_get(member, "reachable")));
                json_add(database, "error", json_copy(json_get(member, "error")));
                for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
                        json_add(database, lists[i], json_array());
                json_append(databases, database);
        }
        json_add(object, "databases", databases);
        return object;
}

/* ---- the call ---- */

static struct cJSON *describe(struct services *services, const struct explanation *e)
{
        struct cJSON *object = json_object(), *leases = json_array(), *schemas = json_array(),
                     *written = json_array(), *unheard = json_array();

        for (unsigned i = 0; i < e->n_leases; i++)
                json_append(leases, describe_lease(services, e, &e->leases[i]));
        for (unsigned i = 0; i < e->n_schemas && i < SCHEMAS_MAX; i++)
                json_append(schemas, describe_schema(&e->schemas[i]));
        for (unsigned i = 0; i < e->n_written; i++)
                json_append(written, describe_written(&e->written[i]));
        for (unsigned i = 0; i < e->n_unheard; i++)
                json_append(unheard, describe_unheard(&e->unheard[i]));
        json_add_string(object, "name", e->name);
        json_add_string(object, "kind", explain_kind_name(e->kind));
        json_add_string(object, "namespace", e->parsed.namespace[0] ? e->parsed.namespace : NULL);
        json_add_string(object, "worker", e->parsed.worker[0] ? e->parsed.worker : NULL);
        json_add_string(object, "standing", explain_standing_name(e->standing));
        json_add_string(object, "answer", e->text);
        json_add_string(object, "advice", e->advice);
        json_add(object, "leases", leases);
        json_add(object, "slots", describe_slots(services, e->parsed.namespace));
        add_time(object, "keptUntilUSec", e->kept_until_usec);
        json_add(object, "schemas", schemas);
        json_add(object, "publicWrites", written);
        json_add(object, "unheard", unheard);
        if (e->sweep)
                json_add(object, "lastSweep", describe_sweep(e->sweep));
        json_add_bool(object, "sweepRunning", e->sweep_runs);
        add_time(object, "nextSweepUSec", e->next_sweep_usec);
        return object;
}

void services_explained(void *owner, uint64_t caller, const struct explanation *explanation, int error)
{
        struct services *services = owner;
        struct call *call = call_find(services->server, caller, method_explain);

        if (call && !error)
                call_reply(call, describe(services, explanation));
        else if (call)
                method_fail_ledger(call);
}

struct outcome *method_explain(struct call *call, struct services *services)
{
        struct {
                const char *name;
        } in = {.name = NULL};
        static const struct json_field fields[] = {
                {"name", JSON_STRING, offsetof(__typeof__(in), name), true, 0},
                {NULL},
        };

        if (!call_read(call, fields, &in))
                return call_fail_parameter(call, NULL);
        explainer_ask(services->explainer, call_connection(call), in.name);
        return call_later(call);
}
