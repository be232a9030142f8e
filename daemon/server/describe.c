/* SPDX-License-Identifier: MIT */
#include "server/describe.h"

#include <string.h>

/* Whoever waits for one of a thousand leases is told of the oldest. */
#define HOLDERS_MAX 16

static int64_t since(uint64_t now, uint64_t then)
{
        return now > then ? (int64_t)(now - then) : 0;
}

void describe_add_time(struct cJSON *object, const char *name, int64_t time)
{
        if (time >= 0)
                json_add_integer(object, name, time);
}

struct cJSON *describe_process(const struct process_id *process)
{
        struct cJSON *object;

        if (process->pid == 0)
                return NULL;
        object = json_object();
        json_add_integer(object, "pid", process->pid);
        json_add_integer(object, "startTicks", (int64_t)process->start_ticks);
        if (process->pidfd_inode)
                json_add_integer(object, "pidfdId", (int64_t)process->pidfd_inode);
        if (process->boot_id[0])
                json_add_string(object, "bootId", process->boot_id);
        return object;
}

static void add_process(struct cJSON *object, const struct process_id *process)
{
        struct cJSON *described = describe_process(process);

        if (described)
                json_add(object, "process", described);
}

/* ---- holders ---- */

static struct cJSON *holder(const char *namespace, const char *worker, const char *label,
                            const struct peer *peer, int64_t held_usec)
{
        struct cJSON *object = json_object();

        json_add_string(object, "namespace", namespace);
        json_add_string(object, "worker", worker);
        json_add_string(object, "label", label);
        json_add_integer(object, "uid", peer->uid);
        add_process(object, &peer->process);
        json_add_integer(object, "heldUSec", held_usec);
        return object;
}

/* member NULL: it has none any more. */
static struct cJSON *describe_member_holder(struct services *services, const struct lease *lease,
                                            const struct lease_member *member, uint64_t since_usec)
{
        struct peer peer = {.uid = lease->uid};

        if (member)
                peer.process = member->peer.process;
        return holder(lease->namespace, NULL, lease->label, &peer,
                      since(env_realtime(services->env), since_usec));
}

struct cJSON *describe_lease_holder(struct services *services, const struct lease *lease)
{
        return describe_member_holder(services, lease, lease->n_members ? lease->members : NULL,
                                      lease->since_usec);
}

struct cJSON *describe_lease_controller(struct services *services, const struct lease *lease)
{
        for (unsigned i = 0; i < lease->n_members; i++)
                if (lease->members[i].role == ROLE_CONTROLLER)
                        return describe_member_holder(services, lease, &lease->members[i],
                                                      lease->members[i].since_usec);
        return describe_lease_holder(services, lease);
}

struct holders {
        struct services *services;
        struct cJSON *array;
        unsigned n;
};

static void add_lease_holder(void *owner, const struct lease *lease)
{
        struct holders *holders = owner;

        if (lease->state != LEASE_WAITING && holders->n++ < HOLDERS_MAX)
                json_append(holders->array, describe_lease_holder(holders->services, lease));
}

struct cJSON *describe_lease_holders(struct services *services)
{
        struct holders holders = {.services = services, .array = json_array()};

        leases_each(services->leases, add_lease_holder, &holders);
        return holders.array;
}

static void add_slot_holder(void *owner, const struct slot_use *use, unsigned position)
{
        struct holders *holders = owner;
        uint64_t now = env_boottime(holders->services->env);

        (void)position;
        if (use->grant == 0 || holders->n++ >= HOLDERS_MAX)
                return;
        json_append(holders->array, holder(use->namespace, use->worker[0] ? use->worker : NULL, use->label,
                                           &use->peer, since(now, use->granted_usec)));
}

struct cJSON *describe_slot_holders(struct services *services, unsigned cluster)
{
        struct holders holders = {.services = services, .array = json_array()};

        slots_each(services->slots, cluster, add_slot_holder, &holders);
        return holders.array;
}

/* ---- leases ---- */

struct cJSON *describe_lease_context(struct services *services, const struct lease *lease)
{
        struct cJSON *object = json_object(), *names = json_array();

        json_add_string(object, "namespace", lease->namespace);
        json_add_string(object, "label", lease->label);
        for (unsigned i = 0; i < databases_count(services->databases); i++)
                json_append_string(names, databases_at(services->databases, i)->name);
        json_add(object, "databases", names);
        return object;
}

static struct cJSON *describe_member(const struct lease_member *member)
{
        static const char *const roles[] = {
                [ROLE_RUNNER] = NULL,
                [ROLE_CONTROLLER] = "controller",
                [ROLE_WORKER] = "worker",
                [ROLE_CHILD] = "child",
        };
        struct cJSON *object = json_object();

        json_add_string(object, "role", roles[member->role]);
        json_add_string(object, "worker", member->worker[0] ? member->worker : NULL);
        add_process(object, &member->peer.process);
        json_add_bool(object, "connected", member->connection != 0);
        json_add_integer(object, "sinceUSec", (int64_t)member->since_usec);
        return object;
}

static const char *const lease_states[] = {
        [LEASE_WAITING] = "queued",        [LEASE_GRANTING] = "queued", [LEASE_LIVE] = "live",
        [LEASE_RECOVERING] = "recovering", [LEASE_RELEASING] = "live",  [LEASE_CRASHED] = "crashed",
        [LEASE_RELEASED] = "released",     [LEASE_REVOKED] = "revoked",
};

const char *describe_lease_state(enum lease_state state)
{
        return lease_states[state];
}

struct cJSON *describe_lease_runtime(struct services *services, const struct lease *lease)
{
        uint64_t kept_until = leases_kept_until(services->leases, lease->namespace);
        struct cJSON *object = json_object(), *members = json_array();

        json_add_integer(object, "lease", lease->id);
        json_add_string(object, "state", lease_states[lease->state]);
        json_add_integer(object, "uid", lease->uid);
        if (lease->state == LEASE_WAITING)
                json_add_integer(object, "position", lease->position);
        for (unsigned i = 0; i < lease->n_members; i++)
                if (lease->members[i].connection || !lease->members[i].gone)
                        json_append(members, describe_member(&lease->members[i]));
        json_add(object, "members", members);
        json_add_integer(object, "sinceUSec", (int64_t)lease->since_usec);
        if (lease->state >= LEASE_CRASHED)
                json_add_integer(object, "endedUSec", (int64_t)env_realtime(services->env));
        if (kept_until)
                json_add_integer(object, "keptUntilUSec", (int64_t)kept_until);
        return object;
}

struct cJSON *describe_lease_past(const struct lease_past *past)
{
        struct cJSON *object = json_object(), *context = json_object(), *runtime = json_object();

        json_add_string(context, "namespace", past->namespace);
        json_add_string(context, "label", past->label);
        json_add(context, "databases", json_array());
        json_add(object, "context", context);
        json_add_integer(runtime, "lease", past->id);
        json_add_string(runtime, "state", lease_states[past->state]);
        json_add_integer(runtime, "uid", past->uid);
        json_add(runtime, "members", json_array());
        json_add_integer(runtime, "sinceUSec",
                         (int64_t)(past->since_usec ? past->since_usec : past->ended_usec));
        json_add_integer(runtime, "endedUSec", (int64_t)past->ended_usec);
        if (past->kept_until_usec)
                json_add_integer(runtime, "keptUntilUSec", (int64_t)past->kept_until_usec);
        json_add(object, "runtime", runtime);
        return object;
}

/* ---- slots ---- */

/* Any database of that cluster: who asked for "the cluster" named none. */
static const char *database_of(struct services *services, const struct slot_use *use)
{
        if (use->database)
                return use->database;
        for (unsigned i = 0; i < databases_count(services->databases); i++)
                if (databases_at(services->databases, i)->cluster == use->cluster)
                        return databases_at(services->databases, i)->name;
        return "";
}

struct cJSON *describe_slot_use(struct services *services, const struct slot_use *use)
{
        uint64_t then = use->grant ? use->granted_usec : use->asked_usec;
        int64_t held = since(env_boottime(services->env), then);
        struct cJSON *object = json_object();

        json_add_string(object, "namespace", use->namespace);
        json_add_string(object, "worker", use->worker[0] ? use->worker : NULL);
        if (use->grant)
                json_add_integer(object, "slot", use->slot);
        if (use->state == SLOT_DRAINING)
                json_add_bool(object, "draining", true);
        json_add_string(object, "database", database_of(services, use));
        json_add_integer(object, "sinceUSec", (int64_t)env_realtime(services->env) - held);
        return object;
}

struct cJSON *describe_finding(const struct finding *finding)
{
        struct cJSON *object = json_object();

        json_add_string(object, "check", finding->check);
        json_add_string(object, "database", finding->database);
        json_add_string(object, "level", finding_level_name(finding->level));
        json_add_string(object, "what", finding->what);
        json_add_string(object, "why", finding->why);
        json_add_string(object, "fix", finding->fix);
        return object;
}
