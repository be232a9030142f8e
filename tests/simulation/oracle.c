/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include "run.h"
#include "sim.h"
#include "stray.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The contract's 5 s, and what it takes to get from there to the server. */
#define CENSUS_AGE_MAX (6 * SEC)

void oracle_fail(struct sim *sim, const char *format, ...)
{
        va_list arguments;

        if (*sim->violation)
                return;
        va_start(arguments, format);
        (void)vsnprintf(sim->violation, sizeof(sim->violation), format, arguments);
        va_end(arguments);
        sim_say(sim, "VIOLATION: %s", sim->violation);
}

const struct run *oracle_live(const struct sim *sim, const char *namespace, const struct run *except)
{
        const struct run *run;

        TAILQ_FOREACH (run, &sim->runs, link)
                if (run != except && !strcmp(run->namespace, namespace) && run_lives(run))
                        return run;
        return NULL;
}

static const struct stray *live_stray(const struct sim *sim, const char *namespace)
{
        const struct stray *stray;

        TAILQ_FOREACH (stray, &sim->strays, link)
                if (stray->process->alive && !stray->is_excused && !strcmp(stray->namespace, namespace))
                        return stray;
        return NULL;
}

static bool had_lease(struct sim *sim, const char *namespace)
{
        const struct run *run;

        TAILQ_FOREACH (run, &sim->runs, link)
                if (!strcmp(run->namespace, namespace))
                        return true;
        return fake_ledger_knows(&sim->ledger, namespace);
}

/* Ours by name: a lease's, or with a numbered worker. */
static bool is_ours(struct sim *sim, const struct server_schema *schema)
{
        struct berth_name name;

        if (!names_parse_schema(schema->name, &name))
                return false;
        return had_lease(sim, name.namespace) || names_worker_number(name.worker) >= 0;
}

static void check_users(struct sim *sim, const struct server_schema *schema, const char *when)
{
        const struct run *run = oracle_live(sim, schema->namespace, NULL);

        if (run)
                oracle_fail(sim, "%s %s (oid %u) is %s, and run %u lives in it", schema->name,
                            schema->database->cluster->address, schema->oid, when, run->number);
        if (live_stray(sim, schema->namespace))
                oracle_fail(sim, "%s (oid %u) is %s, and an unleased run lives in it", schema->name,
                            schema->oid, when);
}

static void check_census(struct sim *sim, const struct server_schema *schema)
{
        if (!schema->listed)
                oracle_fail(sim, "%s is dropped under an oid that was never listed: %u", schema->name,
                            schema->oid);
        for (unsigned i = 0; i < sim->server.n_endpoints; i++) {
                const struct endpoint *endpoint = &sim->server.endpoints[i];

                if (endpoint->looked_at <= schema->listed)
                        oracle_fail(sim,
                                    "%s is dropped, and %s was not believably asked who is alive since it "
                                    "was listed",
                                    schema->name, endpoint->name);
        }
}

/* Of the cluster by the look in the drop's transaction, of the others by the census. */
static void check_sessions(struct sim *sim, const struct server_schema *schema, uint64_t looked_at)
{
        const struct server_cluster *cluster = schema->database->cluster;

        if (!looked_at)
                oracle_fail(sim, "%s is dropped, and its transaction did not look at the sessions",
                            schema->name);
        if (server_has_session(cluster, schema->namespace, looked_at))
                oracle_fail(sim, "%s is dropped, and a session of it is connected", schema->name);
        for (unsigned i = 0; i < sim->server.n_endpoints; i++) {
                const struct endpoint *endpoint = &sim->server.endpoints[i];

                if (endpoint->database->cluster != cluster &&
                    server_has_session(endpoint->database->cluster, schema->namespace, endpoint->looked_at))
                        oracle_fail(sim, "%s is dropped, and a session of it is connected to %s",
                                    schema->name, endpoint->database->cluster->address);
        }
}

void oracle_on_drop(struct sim *sim, const struct server_schema *schema, uint64_t looked_at)
{
        uint64_t now = sim->clock.now;
        const struct kept *kept = sim_kept(sim, schema->namespace);

        sim_say(sim, "DROP SCHEMA %s, oid %u", schema->name, schema->oid);
        check_users(sim, schema, "dropped");
        check_census(sim, schema);
        check_sessions(sim, schema, looked_at);
        if (!is_ours(sim, schema))
                oracle_fail(sim, "%s is dropped, and is none of ours", schema->name);
        if (schema->has_dependents)
                oracle_fail(sim, "%s is dropped, and something outside depends on it", schema->name);
        if (now - sim->host.started < sim->settings.start_grace)
                oracle_fail(sim, "%s is dropped within the grace after a start", schema->name);
        if (sim->resumed_at && looked_at > sim->resumed_at &&
            looked_at - sim->resumed_at < sim->settings.start_grace)
                oracle_fail(sim, "%s is dropped within the grace after a resume", schema->name);
        if (kept && kept->until > world_realtime(&sim->world) && !sim->has_clock_stepped)
                oracle_fail(sim, "%s is dropped, and it was to be kept for %llu s more", schema->name,
                            (unsigned long long)((kept->until - world_realtime(&sim->world)) / SEC));
        if (!had_lease(sim, schema->namespace) && now - schema->born < sim->settings.unleased_grace &&
            !sim->has_clock_stepped)
                oracle_fail(sim, "%s is dropped %llu s after it was made, and nobody leased it", schema->name,
                            (unsigned long long)((now - schema->born) / SEC));
}

void oracle_on_torn(struct sim *sim, const struct server_schema *schema)
{
        check_users(sim, schema, "half empty");
}

static void check_whole(struct sim *sim, const char *namespace)
{
        const struct server_schema *schema;

        for (unsigned i = 0; i < sim->server.n_databases; i++)
                TAILQ_FOREACH (schema, &sim->server.databases[i].schemas, link)
                        if (schema->is_torn && !strcmp(schema->namespace, namespace))
                                oracle_fail(sim, "%s is granted, and %s is half empty", namespace,
                                            schema->name);
}

void oracle_on_gone(struct sim *sim, const struct server_schema *schema)
{
        sim->counts.drops++;
        check_users(sim, schema, "gone");
}

/* What a dead holder has left on the server, and has not finished. */
static bool still_builds(const struct session *session, const struct server_cluster *cluster)
{
        const struct server_backend *backend = session->backend;

        return session->grant && backend && backend->database->cluster == cluster && backend->schema &&
               backend->schema->maker == backend;
}

static void describe_holders(struct sim *sim, const struct server_cluster *cluster)
{
        const struct session *session;
        const struct run *run;

        TAILQ_FOREACH (session, &sim->sessions, link)
                if (still_builds(session, cluster))
                        sim_say(sim, "builds: pid %d, %s, grant %lld", session->backend->pid,
                                session->backend->application_name, (long long)session->grant);
        TAILQ_FOREACH (run, &sim->runs, link)
                for (unsigned i = 1; i < run->n_members; i++)
                        if (member_holds_slot(&run->members[i]))
                                sim_say(sim, "holds: run %u (%s), member %u, grant %lld", run->number,
                                        run->namespace, i, (long long)run->members[i].grant);
}

static void check_slots(struct sim *sim, const struct server_cluster *cluster)
{
        unsigned n = fake_pg_n_drops(&sim->pg, cluster), n_drops = n;
        const struct run *run;
        const struct session *session;

        TAILQ_FOREACH (session, &sim->sessions, link)
                n += still_builds(session, cluster);
        TAILQ_FOREACH (run, &sim->runs, link)
                for (unsigned i = 1; i < run->n_members; i++)
                        n += member_holds_slot(&run->members[i]) &&
                             run->members[i].endpoint->database->cluster == cluster;
        if (n > sim->settings.ddl_slots)
                describe_holders(sim, cluster);
        if (n > sim->settings.ddl_slots)
                oracle_fail(sim, "%u hold slots of %s, %u of them drops; there are %u", n, cluster->address,
                            n_drops, sim->settings.ddl_slots);
}

/* Handed on all the same, and said so. */
void oracle_on_noted(struct sim *sim, const struct ledger_change *change)
{
        char name[NAMES_MAX + 1];
        struct session *session;

        if (!change->worker ||
            !names_make_application_name(change->namespace, change->worker, NULL, name, NULL))
                return;
        TAILQ_FOREACH (session, &sim->sessions, link)
                if (session->backend && !strcmp(session->backend->application_name, name))
                        session->grant = 0;
}

void oracle_on_written(struct sim *sim, const struct ledger_change *change)
{
        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                if (!strcmp(sim->server.endpoints[i].name, change->database) &&
                    !sim->server.endpoints[i].database->is_public_written)
                        oracle_fail(sim, "%s is said to have written into public of %s, and nobody has",
                                    change->namespace, change->database);
        sim->counts.public_writes++;
}

void oracle_on_begin(struct sim *sim, const struct server_cluster *cluster)
{
        check_slots(sim, cluster);
        for (unsigned i = 0; i < sim->server.n_endpoints; i++)
                if (sim->server.endpoints[i].looked_at + CENSUS_AGE_MAX < sim->clock.now)
                        oracle_fail(
                                sim, "a drop begins, and the census of %s is %llu ms old",
                                sim->server.endpoints[i].name,
                                (unsigned long long)((sim->clock.now - sim->server.endpoints[i].looked_at) /
                                                     MSEC));
}

void oracle_on_slot(struct sim *sim, const struct server_cluster *cluster)
{
        check_slots(sim, cluster);
}

void oracle_on_granted(struct sim *sim, const struct run *run, const char *namespace, int64_t lease)
{
        const struct run *other = oracle_live(sim, namespace, run);

        if (other)
                oracle_fail(sim, "%s is granted to run %u, and run %u has it", namespace,
                            run ? run->number : 0, other->number);
        if (!fake_ledger_has_lease(&sim->ledger, lease, namespace))
                oracle_fail(sim, "lease %lld of %s is granted, and the ledger does not have it",
                            (long long)lease, namespace);
        check_whole(sim, namespace);
        sim_forget_kept(sim, namespace);
}

void oracle_on_swept(struct sim *sim, const struct sweep_result *result)
{
        sim->counts.sweeps++;
        sim->counts.incomplete += !result->complete;
        sim_say(sim, "sweep %lld: %u candidates%s%s", (long long)result->id, result->n_items,
                result->complete ? "" : ", incomplete: ",
                result->incomplete_reason ? result->incomplete_reason : "");
        for (unsigned i = 0; i < result->n_items; i++) {
                const struct sweep_item *item = &result->items[i];

                sim_say(sim, "    %s.%s: verdict %d, %s, %s %s", item->database, item->schema,
                        (int)item->verdict,
                        drop_reason_name(item->reason) ? drop_reason_name(item->reason) : "-", item->sqlstate,
                        item->detail ? item->detail : "");
                if (item->verdict == SWEEP_KEPT && !drop_reason_name(item->reason))
                        oracle_fail(sim, "%s is kept for no reason", item->schema);
                if (item->verdict == SWEEP_DROPPED && result->dry_run)
                        oracle_fail(sim, "%s is dropped in a dry run", item->schema);
        }
}

/* ---- at the end ---- */

static bool may_stay(struct sim *sim, const struct server_schema *schema)
{
        return !schema->may_drop || schema->has_dependents || !is_ours(sim, schema);
}

void oracle_at_end(struct sim *sim)
{
        const struct server_schema *schema;

        for (unsigned i = 0; i < sim->server.n_databases; i++)
                TAILQ_FOREACH (schema, &sim->server.databases[i].schemas, link)
                        if (!may_stay(sim, schema))
                                oracle_fail(sim, "%s (oid %u) is stale, and still there after two sweeps",
                                            schema->name, schema->oid);
        if (leases_n_live(sim->host.leases) || leases_n_waiting(sim->host.leases))
                oracle_fail(sim, "every run is over, and %u leases live and %u wait",
                            leases_n_live(sim->host.leases), leases_n_waiting(sim->host.leases));
        if (slots_n_waiting(sim->host.slots))
                oracle_fail(sim, "every run is over, and %u wait for a slot",
                            slots_n_waiting(sim->host.slots));
}
