/* SPDX-License-Identifier: MIT */
#include "run_internal.h"

/* ---- its databases ---- */

static void schema_name(const struct member *member, char ret[NAMES_MAX + 1])
{
        (void)names_make_schema(member->run->namespace, member->worker, member->n_builds % 2 ? NULL : "x",
                                ret, NULL);
}

static void application_name(const struct member *member, char ret[NAMES_MAX + 1])
{
        (void)names_make_application_name(member->run->namespace, member->worker, NULL, ret, NULL);
}

static void open_session(struct member *member, struct server_database *database)
{
        char name[NAMES_MAX + 1];

        application_name(member, name);
        member->session = session_open(member->run->sim, database, name);
}

static void close_session(struct member *member)
{
        session_close(member->session);
        member->session = NULL;
}

/* Its schema, made or found; false: somebody has a lock on it, or the server is gone. */
static bool build(struct member *member)
{
        struct sim *sim = member->run->sim;
        struct server_backend *backend = member->session->backend;
        struct server_schema *schema;
        char name[NAMES_MAX + 1];

        if (!backend)
                return false;
        schema_name(member, name);
        switch (server_create(&sim->server, backend, name)) {
        case SERVER_DONE:
                sim->counts.builds++;
                schema = backend->schema;
                if (chance_one_in(&sim->chance, 10)) /* its search_path reaches public */
                        server_write_public(backend->database);
                schema->may_drop = !chance_one_in(&sim->chance, 30);
                schema->has_dependents = chance_one_in(&sim->chance, 30);
                schema->reaches_outside = chance_one_in(&sim->chance, 8);
                schema->size =
                        (unsigned)(chance_one_in(&sim->chance, 4) ? chance_between(&sim->chance, 5200, 30000)
                                                                  : chance_between(&sim->chance, 10, 5000));
                return true;
        case SERVER_EXISTS:
                return server_use(backend, server_find(backend->database, name)) == SERVER_DONE;
        case SERVER_BLOCKED:
        case SERVER_MISSING:
        case SERVER_DENIED:
                break;
        }
        return false;
}

static void begin_build(struct member *member)
{
        open_session(member, member->endpoint->database);
        if (!build(member)) {
                close_session(member);
                member_plan(member, 20 * MSEC, 200 * MSEC);
                return;
        }
        member->session->commits = chance_one_in(chance_of(member), 3);
        member_plan(member, 20 * MSEC, 3 * SEC);
}

static void end_build(struct member *member)
{
        struct sim *sim = member->run->sim;

        if (member->session->backend)
                server_commit(&sim->server, member->session->backend);
        close_session(member);
        member->work = WORK_RELEASES;
        member_plan(member, 0, MSEC);
}

static void release_slot(struct member *member)
{
        if (!member->grant) { /* taken away meanwhile */
                member->work = WORK_NOTHING;
                member->n_builds--;
        } else if (can_call(member)) {
                member_call_slot_release(member);
                return;
        }
        member_plan(member, 10 * MSEC, 100 * MSEC);
}

static void test(struct member *member)
{
        struct sim *sim = member->run->sim;
        struct server_database *database =
                &sim->server.databases[chance_below(&sim->chance, sim->server.n_databases)];
        struct server_schema *schema;
        char name[NAMES_MAX + 1];

        if (member->session) {
                close_session(member);
                member->n_tests--;
                member_plan(member, 0, 2 * SEC); /* a pool that keeps nothing */
                return;
        }
        if (!member->n_tests) {
                member_exit(member);
                return;
        }
        open_session(member, database);
        schema_name(member, name);
        schema = server_find(database, name);
        if (schema && server_sees(member->session->backend, schema))
                (void)server_use(member->session->backend, schema);
        member_plan(member, 5 * MSEC, 3 * SEC);
}

void worker_step(struct member *member)
{
        struct run *run = member->run;
        struct sim *sim = run->sim;

        if (!member->process) {
                if (!is_alive(&run->members[0]) || run->is_revoked)
                        return;
                member_spawn(member);
                member_reconnect_soon(member);
                return;
        }
        if (!run_lives(run) || chance_one_in(&sim->chance, 60)) {
                member_exit(member);
                return;
        }
        switch (member->work) {
        case WORK_NOTHING:
                if (!can_call(member)) {
                        member_plan(member, 100 * MSEC, 500 * MSEC);
                } else if (member->n_builds) {
                        member->endpoint =
                                &sim->server.endpoints[chance_below(&sim->chance, sim->server.n_endpoints)];
                        member->work = WORK_WAITS_FOR_SLOT;
                        member->n_requests++;
                        member_call_slot(member);
                } else {
                        member->work = WORK_TESTS;
                        member_plan(member, 0, SEC);
                }
                break;
        case WORK_WAITS_FOR_SLOT:
                break;
        case WORK_BUILDS:
                if (member->session)
                        end_build(member);
                else
                        begin_build(member);
                break;
        case WORK_RELEASES:
                release_slot(member);
                break;
        case WORK_TESTS:
                test(member);
                break;
        case WORK_DONE:
                break;
        }
}
