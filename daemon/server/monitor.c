/* SPDX-License-Identifier: MIT */
#include "server/monitor.h"

#include "server/describe.h"
#include "server/methods.h"
#include "service/occupancy.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct watcher {
        TAILQ_ENTRY(watcher) link; /* monitor::watchers */
        uint64_t connection;
        bool is_due;    /* there may be something it has not been told */
        bool is_new;    /* has been told nothing yet */
        bool is_behind; /* has not taken what it was told last */
};

/* Of one database. */
struct blocked {
        char *database;
        int pid; /* the last one */
        int64_t n;
};

/* What the databases said, in one look. */
struct look {
        struct cJSON *pairs, *unheard;
        unsigned n_pairs, n_left_out;
        struct blocked *blocked; /* also those that were left out */
        unsigned n_blocked;
        uint64_t usec; /* real time of its end; 0: none yet */
};

struct monitor {
        struct services *services;
        TAILQ_HEAD(, watcher) watchers;
        unsigned n_watchers;
        struct timer *tell_timer, *look_timer;
        bool is_tell_armed, is_look_armed;
        uint64_t told;   /* boottime */
        char *last_told; /* as text, but for the times of its making */

        struct occupancy *occupancy;
        struct look last, coming;
        unsigned n_asked; /* of locks and occupancy: what has not ended */
        uint64_t looked;  /* boottime of the last look's end; 0: none yet */
};

static uint64_t boottime(const struct monitor *monitor)
{
        return env_boottime(monitor->services->env);
}

/* ---- what is told ---- */

struct listing {
        struct monitor *monitor;
        struct cJSON *leases;
        unsigned n, n_left_out;
};

static void count_members(struct cJSON *object, const struct lease *lease)
{
        unsigned n = 0, n_connected = 0, n_workers = 0, n_workers_connected = 0;

        for (unsigned i = 0; i < lease->n_members; i++) {
                const struct lease_member *member = &lease->members[i];

                if (!member->connection && member->gone)
                        continue;
                n++;
                n_connected += member->connection != 0;
                n_workers += member->role == ROLE_WORKER;
                n_workers_connected += member->role == ROLE_WORKER && member->connection;
        }
        json_add_integer(object, "members", n);
        json_add_integer(object, "connected", n_connected);
        json_add_integer(object, "workers", n_workers);
        json_add_integer(object, "workersConnected", n_workers_connected);
}

static void add_lease(void *owner, const struct lease *lease)
{
        struct listing *listing = owner;
        struct services *services = listing->monitor->services;
        uint64_t kept_until = leases_kept_until(services->leases, lease->namespace);
        unsigned n_sessions, n_schemas;
        struct cJSON *object;

        if (listing->n++ >= MONITOR_LEASES_MAX) {
                listing->n_left_out++;
                return;
        }
        object = json_object();
        json_add_string(object, "namespace", lease->namespace);
        json_add_string(object, "label", lease->label);
        json_add_string(object, "state", describe_lease_state(lease->state));
        json_add_integer(object, "uid", lease->uid);
        json_add_integer(object, "sinceUSec", (int64_t)lease->since_usec);
        if (lease->state == LEASE_WAITING)
                json_add_integer(object, "position", lease->position);
        if (kept_until)
                json_add_integer(object, "keptUntilUSec", (int64_t)kept_until);
        count_members(object, lease);
        if (occupancy_of(listing->monitor->occupancy, lease->namespace, &n_sessions, &n_schemas)) {
                json_add_integer(object, "sessions", n_sessions);
                json_add_integer(object, "schemas", n_schemas);
        }
        json_append(listing->leases, object);
}

static struct cJSON *describe_counts(const struct sweep_result *result)
{
        int64_t n[SWEEP_UNKNOWN + 1] = {0};
        struct cJSON *object;

        if (!result)
                return NULL;
        object = json_object();
        for (unsigned i = 0; i < result->n_items; i++)
                n[result->items[i].verdict]++;
        json_add_integer(object, "finishedUSec", (int64_t)result->finished_usec);
        json_add_bool(object, "dryRun", result->dry_run);
        json_add_bool(object, "complete", result->complete);
        json_add_string(object, "why", result->complete ? NULL : result->incomplete_reason);
        for (int verdict = 0; verdict <= SWEEP_UNKNOWN; verdict++)
                if (verdict != SWEEP_WOULD_DROP)
                        json_add_integer(object, sweep_verdict_name(verdict), n[verdict]);
        return object;
}

static struct cJSON *describe(struct monitor *monitor)
{
        struct services *services = monitor->services;
        struct listing listing = {.monitor = monitor, .leases = json_array()};
        struct cJSON *object = json_object(), *sweep = describe_counts(sweeper_last(services->sweeper));
        uint64_t sweeping = sweeper_running_since(services->sweeper);

        leases_each(services->leases, add_lease, &listing);
        json_add(object, "status", describe_status(services));
        json_add(object, "leases", listing.leases);
        json_add_integer(object, "leasesLeftOut", listing.n_left_out);
        json_add(object, "locks", monitor->last.pairs ? json_copy(monitor->last.pairs) : json_array());
        json_add_integer(object, "locksLeftOut", monitor->last.n_left_out);
        json_add(object, "unheard", monitor->last.unheard ? json_copy(monitor->last.unheard) : json_array());
        if (sweep)
                json_add(object, "sweep", sweep);
        if (sweeping)
                json_add_integer(object, "sweepingUSec", (int64_t)sweeping);
        return object;
}

/* ---- telling ---- */

static void arm_tell(struct monitor *monitor)
{
        uint64_t now = boottime(monitor), due = monitor->told + MONITOR_TELL_USEC;

        if (monitor->is_tell_armed)
                return;
        monitor->is_tell_armed = true;
        monitor->services->env->ops->timer_arm(monitor->tell_timer, due > now ? due - now : 0);
}

/* Is it news? A look at the databases mostly finds what the last one has found. */
static bool has_changed(struct monitor *monitor, const struct cJSON *all)
{
        _cleanup_free_ char *text = json_print(all);
        bool is_same = text && monitor->last_told && strcmp(text, monitor->last_told) == 0;

        free(monitor->last_told);
        monitor->last_told = TAKE(text);
        return !is_same;
}

/* False: it has not taken what it was told before, and gets the latest when it has. */
static bool tell(struct monitor *monitor, struct watcher *watcher, const struct cJSON *all, bool is_news)
{
        struct call *call = call_find(monitor->services->server, watcher->connection, method_monitor);

        if (!call || !watcher->is_due || !(is_news || watcher->is_new || watcher->is_behind))
                return true;
        watcher->is_behind = call_is_behind(call);
        if (watcher->is_behind)
                return false;
        watcher->is_due = watcher->is_new = false;
        call_progress(call, json_copy(all));
        return true;
}

static void on_tell(void *owner)
{
        struct monitor *monitor = owner;
        struct cJSON *all = describe(monitor);
        bool is_news = has_changed(monitor, all), is_left = false;
        struct watcher *watcher;

        monitor->is_tell_armed = false;
        monitor->told = boottime(monitor);
        json_add_integer(all, "timeUSec", (int64_t)env_realtime(monitor->services->env));
        if (monitor->last.usec)
                json_add_integer(all, "lookedUSec", (int64_t)monitor->last.usec);
        TAILQ_FOREACH (watcher, &monitor->watchers, link)
                is_left = !tell(monitor, watcher, all, is_news) || is_left;
        json_free(all);
        if (is_left)
                arm_tell(monitor);
}

void monitor_touch(struct monitor *monitor)
{
        struct watcher *watcher;

        if (!monitor || monitor->n_watchers == 0)
                return;
        TAILQ_FOREACH (watcher, &monitor->watchers, link)
                watcher->is_due = true;
        arm_tell(monitor);
}

/* ---- looking at the databases ---- */

static void look_clear(struct look *look)
{
        json_free(look->pairs);
        json_free(look->unheard);
        for (unsigned i = 0; i < look->n_blocked; i++)
                free(look->blocked[i].database);
        free(look->blocked);
        *look = (struct look){.pairs = NULL};
}

/* A look for metrics needs no more than the locks. */
static void start_look(struct monitor *monitor)
{
        bool is_watched = monitor->n_watchers > 0;

        if (monitor->n_asked > 0)
                return;
        monitor->n_asked = is_watched ? 2 : 1;
        look_clear(&monitor->coming);
        monitor->coming.pairs = json_array();
        monitor->coming.unheard = json_array();
        (void)locks_ask(monitor->services->locks, MONITOR_CALLER, NULL);
        if (is_watched)
                occupancy_ask(monitor->occupancy);
}

static void arm_look(struct monitor *monitor)
{
        if (monitor->n_watchers == 0 || monitor->is_look_armed)
                return;
        monitor->is_look_armed = true;
        monitor->services->env->ops->timer_arm(monitor->look_timer, MONITOR_LOOK_USEC);
}

static void on_look(void *owner)
{
        struct monitor *monitor = owner;

        monitor->is_look_armed = false;
        if (monitor->n_watchers > 0)
                start_look(monitor);
}

static void look_ended(struct monitor *monitor)
{
        if (--monitor->n_asked > 0)
                return;
        look_clear(&monitor->last);
        monitor->last = monitor->coming;
        monitor->last.usec = env_realtime(monitor->services->env);
        monitor->coming = (struct look){.pairs = NULL};
        monitor->looked = boottime(monitor);
        arm_look(monitor);
        monitor_touch(monitor);
}

static void on_occupancy(void *owner)
{
        look_ended(owner);
}

/* There is a pair for each blocker; those of a session come together, and those of a database do. */
static void count_blocked(struct look *look, const struct lock_pair *pair)
{
        struct blocked *last = look->n_blocked ? &look->blocked[look->n_blocked - 1] : NULL;

        if (!last || strcmp(last->database, pair->database) != 0) {
                look->blocked = alloc_array(look->blocked, look->n_blocked + 1, sizeof(*look->blocked));
                last = &look->blocked[look->n_blocked++];
                *last = (struct blocked){.database = alloc_string(pair->database)};
        }
        last->n += last->pid != pair->blocked.pid;
        last->pid = pair->blocked.pid;
}

void monitor_lock_found(struct monitor *monitor, const struct lock_pair *pair, const char *database,
                        const char *error)
{
        struct look *look = &monitor->coming;
        struct cJSON *unheard;

        if (pair)
                count_blocked(look, pair);
        if (pair && look->n_pairs++ >= MONITOR_LOCKS_MAX) {
                look->n_left_out++;
        } else if (pair) {
                json_append(look->pairs, describe_lock_pair(pair));
        } else if (error) {
                unheard = json_object();
                json_add_string(unheard, "name", database);
                json_add_string(unheard, "message", error);
                json_append(look->unheard, unheard);
        } else {
                look_ended(monitor);
        }
}

void monitor_look_for_metrics(struct monitor *monitor)
{
        if (monitor->n_asked > 0 ||
            (monitor->looked && boottime(monitor) - monitor->looked < MONITOR_SCRAPE_USEC))
                return;
        start_look(monitor);
}

int64_t monitor_blocked(const struct monitor *monitor, const char *database)
{
        const struct look *last = &monitor->last;

        if (!last->usec)
                return -1;
        for (const struct cJSON *one = json_first(last->unheard); one; one = json_next(one))
                if (strcmp(json_get_string(one, "name"), database) == 0)
                        return -1;
        for (unsigned i = 0; i < last->n_blocked; i++)
                if (strcmp(last->blocked[i].database, database) == 0)
                        return last->blocked[i].n;
        return 0;
}

/* ---- watchers ---- */

bool monitor_watch(struct monitor *monitor, uint64_t connection)
{
        struct watcher *watcher;

        if (monitor->n_watchers >= MONITOR_WATCHERS_MAX)
                return false;
        watcher = NEW(struct watcher);
        *watcher = (struct watcher){.connection = connection, .is_new = true, .is_due = true};
        TAILQ_INSERT_TAIL(&monitor->watchers, watcher, link);
        monitor->n_watchers++;
        arm_tell(monitor);
        start_look(monitor);
        return true;
}

static void rest(struct monitor *monitor)
{
        const struct env_ops *ops = monitor->services->env->ops;

        ops->timer_disarm(monitor->tell_timer);
        ops->timer_disarm(monitor->look_timer);
        monitor->is_tell_armed = monitor->is_look_armed = false;
        locks_forget_caller(monitor->services->locks, MONITOR_CALLER);
        occupancy_rest(monitor->occupancy);
        monitor->n_asked = 0;
}

void monitor_connection_closed(struct monitor *monitor, uint64_t connection)
{
        struct watcher *watcher;

        TAILQ_FOREACH (watcher, &monitor->watchers, link)
                if (watcher->connection == connection)
                        break;
        if (!watcher)
                return;
        TAILQ_REMOVE(&monitor->watchers, watcher, link);
        free(watcher);
        if (--monitor->n_watchers == 0)
                rest(monitor);
}

struct monitor *monitor_new(struct services *services, struct pg *pg)
{
        struct monitor *monitor = NEW(struct monitor);
        struct env *env = services->env;

        monitor->services = services;
        TAILQ_INIT(&monitor->watchers);
        monitor->tell_timer = env->ops->timer_new(env, on_tell, monitor);
        monitor->look_timer = env->ops->timer_new(env, on_look, monitor);
        monitor->occupancy =
                occupancy_new(env, pg, services->databases, services->settings, on_occupancy, monitor);
        return monitor;
}

struct monitor *monitor_free(struct monitor *monitor)
{
        const struct env_ops *ops;
        struct watcher *watcher;

        if (!monitor)
                return NULL;
        ops = monitor->services->env->ops;
        while ((watcher = TAILQ_FIRST(&monitor->watchers))) {
                TAILQ_REMOVE(&monitor->watchers, watcher, link);
                free(watcher);
        }
        ops->timer_free(monitor->tell_timer);
        ops->timer_free(monitor->look_timer);
        occupancy_free(monitor->occupancy);
        look_clear(&monitor->last);
        look_clear(&monitor->coming);
        free(monitor->last_told);
        free(monitor);
        return NULL;
}
