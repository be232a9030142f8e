/* SPDX-License-Identifier: MIT */

#include "client/cli/timeline.h"

#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const struct cJSON *object, const char *name)
{
        const char *text = json_get_string(object, name);

        return text ? text : "";
}

static char *copy(struct timeline *timeline, const char *text)
{
        char *new = text ? strdup(text) : NULL;

        timeline->has_failed = timeline->has_failed || (text && !new);
        return new;
}

static void *make(struct timeline *timeline, size_t size)
{
        void *new = calloc(1, size);

        timeline->has_failed = timeline->has_failed || !new;
        return new;
}

/* ---- runs ---- */

static struct timeline_run *find_lease(const struct timeline *timeline, int64_t lease)
{
        struct timeline_run *run;

        TAILQ_FOREACH (run, &timeline->runs, link)
                if (run->lease == lease)
                        return run;
        return NULL;
}

const struct timeline_run *timeline_find_run(const struct timeline *timeline, int64_t lease,
                                             const char *namespace)
{
        const struct timeline_run *run = lease ? find_lease(timeline, lease) : NULL;

        if (run || !namespace)
                return run;
        TAILQ_FOREACH_REVERSE (run, &timeline->runs, timeline_runs, link)
                if (!strcmp(run->namespace, namespace))
                        return run;
        return NULL;
}

/* By age. */
static struct timeline_run *add_run(struct timeline *timeline, int64_t lease, const char *namespace,
                                    int64_t from)
{
        struct timeline_run *run = make(timeline, sizeof(*run)), *before;

        if (!run)
                return NULL;
        run->lease = lease;
        run->from = from;
        run->to = timeline->now;
        run->namespace = copy(timeline, namespace);
        (void)strcpy(run->outcome, "live");
        before = TAILQ_LAST(&timeline->runs, timeline_runs);
        while (before && before->from > from)
                before = TAILQ_PREV(before, timeline_runs, link);
        if (before)
                TAILQ_INSERT_AFTER(&timeline->runs, before, run, link);
        else
                TAILQ_INSERT_HEAD(&timeline->runs, run, link);
        return run;
}

/* detail: "crashed", or "revoked: by whom", or "released; exit status 1" */
static void end_run(struct timeline *timeline, struct timeline_run *run, int64_t to, const char *detail)
{
        size_t length = strcspn(detail, ":; ");

        run->to = to;
        if (!length || length >= sizeof(run->outcome))
                return;
        (void)memcpy(run->outcome, detail, length);
        run->outcome[length] = '\0';
        free(run->why);
        run->why = detail[length] ? copy(timeline, detail) : NULL;
}

static void take_lease_granted(struct timeline *timeline, const struct cJSON *event)
{
        int64_t lease = json_get_integer(event, "lease", 0);

        if (!find_lease(timeline, lease))
                (void)add_run(timeline, lease, text_of(event, "namespace"),
                              json_get_integer(event, "timeUSec", 0));
}

static void take_lease_ended(struct timeline *timeline, const struct cJSON *event)
{
        int64_t lease = json_get_integer(event, "lease", 0), to = json_get_integer(event, "timeUSec", 0);
        struct timeline_run *run = find_lease(timeline, lease);

        if (!run)
                run = add_run(timeline, lease, text_of(event, "namespace"),
                              json_get_integer(event, "sinceUSec", to));
        if (run)
                end_run(timeline, run, to, text_of(event, "detail"));
}

/* What ListLeases says: labels, and runs that nothing has happened to. */
static void take_lease(struct timeline *timeline, const struct cJSON *reply)
{
        const struct cJSON *context = json_get(reply, "context"), *runtime = json_get(reply, "runtime");
        int64_t lease = json_get_integer(runtime, "lease", 0),
                from = json_get_integer(runtime, "sinceUSec", 0),
                ended = json_get_integer(runtime, "endedUSec", 0);
        struct timeline_run *run = find_lease(timeline, lease);

        if (!lease || (ended && ended < timeline->from))
                return;
        if (!run)
                run = add_run(timeline, lease, text_of(context, "namespace"), from);
        if (!run)
                return;
        if (!run->label)
                run->label = copy(timeline, json_get_string(context, "label"));
        if (ended && !strcmp(run->outcome, "live"))
                end_run(timeline, run, ended, text_of(runtime, "state"));
}

/* ---- clusters and slots ---- */

static struct timeline_cluster *add_cluster(struct timeline *timeline, const char *key)
{
        struct timeline_cluster *cluster = make(timeline, sizeof(*cluster));

        if (!cluster)
                return NULL;
        cluster->key = copy(timeline, key);
        TAILQ_INSERT_TAIL(&timeline->clusters, cluster, link);
        return cluster;
}

/* Events name a cluster by its system_identifier and, behind '@', by its place. */
static struct timeline_cluster *find_cluster(struct timeline *timeline, const char *key)
{
        struct timeline_cluster *cluster;
        size_t length = strcspn(key, "@");

        TAILQ_FOREACH (cluster, &timeline->clusters, link)
                if (cluster->key && !strcmp(cluster->key, key))
                        return cluster;
        TAILQ_FOREACH (cluster, &timeline->clusters, link) {
                if (cluster->key || !cluster->identifier || strlen(cluster->identifier) != length ||
                    strncmp(cluster->identifier, key, length) != 0)
                        continue;
                cluster->key = copy(timeline, key);
                return cluster;
        }
        return add_cluster(timeline, key);
}

static struct timeline_hold *add_hold(struct timeline *timeline, const struct cJSON *event,
                                      struct timeline_cluster *cluster)
{
        struct timeline_hold *hold = make(timeline, sizeof(*hold));

        if (!hold)
                return NULL;
        hold->cluster = cluster;
        hold->lease = json_get_integer(event, "lease", 0);
        hold->slot = (int)json_get_integer(event, "slot", -1);
        hold->namespace = copy(timeline, text_of(event, "namespace"));
        hold->worker = copy(timeline, text_of(event, "worker"));
        hold->to = timeline->now;
        if (cluster && hold->slot >= cluster->n_slots)
                cluster->n_slots = hold->slot + 1;
        TAILQ_INSERT_TAIL(&timeline->holds, hold, link);
        return hold;
}

static struct timeline_hold *find_open(const struct timeline *timeline,
                                       const struct timeline_cluster *cluster, int slot)
{
        struct timeline_hold *hold;

        TAILQ_FOREACH (hold, &timeline->holds, link)
                if (hold->is_open && hold->cluster == cluster && hold->slot == slot)
                        return hold;
        return NULL;
}

/* Ledgers of before have events without a slot: nothing can be drawn of them. */
static struct timeline_cluster *cluster_of(struct timeline *timeline, const struct cJSON *event)
{
        const char *key = json_get_string(event, "cluster");

        return key && json_get_integer(event, "slot", -1) >= 0 ? find_cluster(timeline, key) : NULL;
}

static void take_slot_granted(struct timeline *timeline, const struct cJSON *event)
{
        struct timeline_cluster *cluster = cluster_of(timeline, event);
        struct timeline_hold *hold;

        if (!cluster)
                return;
        hold = find_open(timeline, cluster, (int)json_get_integer(event, "slot", -1));
        if (hold) { /* its end is not on record */
                hold->is_open = false;
                hold->to = json_get_integer(event, "timeUSec", 0);
        }
        hold = add_hold(timeline, event, cluster);
        if (!hold)
                return;
        hold->from = json_get_integer(event, "timeUSec", 0);
        hold->asked = json_get_integer(event, "sinceUSec", 0);
        hold->is_open = true;
}

static void take_slot_freed(struct timeline *timeline, const struct cJSON *event)
{
        struct timeline_cluster *cluster = cluster_of(timeline, event);
        struct timeline_hold *hold;

        if (!cluster)
                return;
        hold = find_open(timeline, cluster, (int)json_get_integer(event, "slot", -1));
        if (!hold) {
                hold = add_hold(timeline, event, cluster);
                if (hold)
                        hold->from = json_get_integer(event, "sinceUSec", 0);
        }
        if (!hold)
                return;
        hold->is_open = false;
        hold->to = json_get_integer(event, "timeUSec", 0);
        hold->why = copy(timeline, text_of(event, "detail"));
}

/* ---- sweeps and drops ---- */

static struct timeline_sweep *add_sweep(struct timeline *timeline, const struct cJSON *event, int64_t from)
{
        struct timeline_sweep *sweep = make(timeline, sizeof(*sweep));

        if (!sweep)
                return NULL;
        sweep->from = from;
        sweep->to = json_get_integer(event, "timeUSec", 0);
        sweep->database = copy(timeline, json_get_string(event, "database"));
        sweep->schema = copy(timeline, json_get_string(event, "schema"));
        sweep->detail = copy(timeline, text_of(event, "detail"));
        TAILQ_INSERT_TAIL(&timeline->sweeps, sweep, link);
        return sweep;
}

static void take_swept(struct timeline *timeline, const struct cJSON *event)
{
        struct timeline_sweep *sweep =
                add_sweep(timeline, event,
                          json_get_integer(event, "sinceUSec", json_get_integer(event, "timeUSec", 0)));

        if (sweep)
                sweep->is_bad = strstr(text_of(event, "detail"), "incomplete") != NULL;
}

static void take_claimed(struct timeline *timeline, const struct cJSON *event)
{
        struct timeline_sweep *drop = add_sweep(timeline, event, json_get_integer(event, "timeUSec", 0));

        if (!drop)
                return;
        drop->is_open = true;
        drop->to = timeline->now;
}

static void take_verdict(struct timeline *timeline, const struct cJSON *event)
{
        const char *detail = text_of(event, "detail");
        struct timeline_sweep *drop;

        TAILQ_FOREACH (drop, &timeline->sweeps, link) {
                if (!drop->is_open ||
                    strcmp(drop->schema ? drop->schema : "", text_of(event, "schema")) != 0 ||
                    strcmp(drop->database ? drop->database : "", text_of(event, "database")) != 0)
                        continue;
                drop->is_open = false;
                drop->to = json_get_integer(event, "timeUSec", 0);
                drop->is_bad = strncmp(detail, "dropped", 7) != 0;
                free(drop->detail);
                drop->detail = copy(timeline, detail);
                return;
        }
}

/* ---- now ---- */

static char *join_names(struct timeline *timeline, const struct cJSON *names)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out) {
                timeline->has_failed = true;
                return NULL;
        }
        for (const struct cJSON *name = json_first(names); name; name = json_next(name))
                (void)fprintf(out, "%s%s", name == json_first(names) ? "" : ", ",
                              json_string(name) ? json_string(name) : "?");
        (void)fclose(out);
        return text;
}

static void take_cluster(struct timeline *timeline, const struct cJSON *told)
{
        struct timeline_cluster *cluster = add_cluster(timeline, NULL);

        if (!cluster)
                return;
        cluster->identifier = copy(timeline, text_of(told, "systemIdentifier"));
        cluster->names = join_names(timeline, json_get(told, "databases"));
        cluster->n_slots = (int)json_get_integer(told, "slots", 0);
}

/* Whoever waits now is not in the ledger yet. */
static void take_waiters(struct timeline *timeline, const struct cJSON *told)
{
        struct timeline_cluster *cluster;

        TAILQ_FOREACH (cluster, &timeline->clusters, link)
                if (cluster->identifier && !strcmp(cluster->identifier, text_of(told, "systemIdentifier")))
                        break;
        for (const struct cJSON *use = json_first(json_get(told, "waiters")); use; use = json_next(use)) {
                struct timeline_hold *hold =
                        cluster && json_get_string(use, "worker") ? add_hold(timeline, use, cluster) : NULL;

                if (hold)
                        hold->asked = json_get_integer(use, "sinceUSec", 0);
        }
}

/* ---- all of it ---- */

static void take_event(struct timeline *timeline, const struct cJSON *event)
{
        static const struct {
                const char *event;
                void (*take)(struct timeline *timeline, const struct cJSON *event);
        } takers[] = {
                {"lease_granted", take_lease_granted},
                {"lease_ended", take_lease_ended},
                {"slot_granted", take_slot_granted},
                {"slot_freed", take_slot_freed},
                {"claimed", take_claimed},
                {"verdict", take_verdict},
                {"swept", take_swept},
        };

        for (size_t i = 0; i < sizeof(takers) / sizeof(takers[0]); i++)
                if (!strcmp(takers[i].event, text_of(event, "event")))
                        takers[i].take(timeline, event);
}

/* From a little before the first thing to a little after the last. */
static void fit(struct timeline *timeline)
{
        int64_t first = timeline->now, last = 0, room;
        const struct timeline_run *run;
        const struct timeline_sweep *sweep;
        const struct timeline_hold *hold;

        TAILQ_FOREACH (run, &timeline->runs, link) {
                first = run->from < first ? run->from : first;
                last = run->to > last ? run->to : last;
        }
        TAILQ_FOREACH (sweep, &timeline->sweeps, link) {
                first = sweep->from < first ? sweep->from : first;
                last = sweep->to > last ? sweep->to : last;
        }
        TAILQ_FOREACH (hold, &timeline->holds, link)
                last = hold->to > last ? hold->to : last;
        room = (last - first) / 50 + 1000;
        if (last && last + room < timeline->now)
                timeline->to = last + room;
        if (first - room > timeline->from)
                timeline->from = first - room;
        if (timeline->to <= timeline->from)
                timeline->to = timeline->from + 1000000;
}

struct timeline *timeline_new(const struct cJSON *events, const struct cJSON *leases,
                              const struct cJSON *status, int64_t from, int64_t now)
{
        struct timeline *timeline = calloc(1, sizeof(*timeline));
        struct timeline_run *run;

        if (!timeline)
                return NULL;
        *timeline = (struct timeline){.from = from, .to = now, .now = now};
        TAILQ_INIT(&timeline->runs);
        TAILQ_INIT(&timeline->holds);
        TAILQ_INIT(&timeline->clusters);
        TAILQ_INIT(&timeline->sweeps);
        for (const struct cJSON *one = json_first(json_get(status, "clusters")); one; one = json_next(one))
                take_cluster(timeline, one);
        for (const struct cJSON *one = json_first(events); one; one = json_next(one))
                take_event(timeline, one);
        for (const struct cJSON *one = json_first(json_get(status, "clusters")); one; one = json_next(one))
                take_waiters(timeline, one);
        for (const struct cJSON *one = json_first(leases); one; one = json_next(one))
                take_lease(timeline, one);
        TAILQ_FOREACH (run, &timeline->runs, link)
                run->number = timeline->n_runs++;
        fit(timeline);
        return timeline;
}

#define FREE_ALL(list, ...)                                                                                  \
        do {                                                                                                 \
                __typeof__(TAILQ_FIRST(list)) one;                                                           \
                while ((one = TAILQ_FIRST(list))) {                                                          \
                        char *texts[] = {__VA_ARGS__};                                                       \
                        TAILQ_REMOVE(list, one, link);                                                       \
                        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)                        \
                                free(texts[i]);                                                              \
                        free(one);                                                                           \
                }                                                                                            \
        } while (0)

struct timeline *timeline_free(struct timeline *timeline)
{
        if (!timeline)
                return NULL;
        FREE_ALL(&timeline->runs, one->namespace, one->label, one->why);
        FREE_ALL(&timeline->holds, one->namespace, one->worker, one->why);
        FREE_ALL(&timeline->clusters, one->key, one->names, one->identifier);
        FREE_ALL(&timeline->sweeps, one->database, one->schema, one->detail);
        free(timeline);
        return NULL;
}
