/* SPDX-License-Identifier: MIT */
/*
 * A look at all databases; see census.h.
 *
 *      CONNECTING ─▶ IDENTIFYING ─▶ LISTING ─▶ LISTED ┄all┄▶ LOOKING ─▶ LOOKED ┄all┄▶ done
 *           │             │            │                      │  ▲
 *           │             │            │                      │  └──▶ ENDING what a dead life of ours left behind
 *           └─────────────┴────────────┴──────────────────────┴──▶ FAILED
 *
 * LISTED, LOOKED and FAILED are where a target stops and the whole decides (barrier). When the census is
 * taken again, a target whose connection lives starts at LISTED, and one that lost it at CONNECTING.
 */
#include "service/census.h"

#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_USEC   (250 * USEC_PER_MSEC)
#define ENDINGS_MAX 3                  /* one for each life that has left something */
#define STALL_USEC  (1 * USEC_PER_SEC) /* a tick that late, or a suspend that long, is a stall */

struct census_stage {
        const char *name;
        enum pg_question question;
        const struct census_stage *(*take)(struct census_target *target, const struct pg_answer *answer);
};

struct census {
        struct env *env;
        struct pg *pg;
        struct databases *databases;
        uint64_t connect_timeout, start_grace;
        census_done_fn *done;
        void *owner;
        census_suspect_fn *may_drop; /* or NULL */
        void *may_drop_owner;

        unsigned n_targets, n_running;
        struct census_target *targets;
        struct live_report *report;
        const struct live_set *live;
        bool looking; /* past the first barrier */
        uint64_t taken;
        struct timer *tick;
        uint64_t last_tick, suspended; /* boottime; boottime - monotonic */
};

static void enter(struct census_target *target, const struct census_stage *stage);
static const struct census_stage *take_connected(struct census_target *, const struct pg_answer *);
static const struct census_stage *take_identity(struct census_target *, const struct pg_answer *);
static const struct census_stage *take_schemas(struct census_target *, const struct pg_answer *);
static const struct census_stage *take_sessions(struct census_target *, const struct pg_answer *);
static const struct census_stage *take_ended(struct census_target *, const struct pg_answer *);

static const struct census_stage connecting = {"connecting", PG_CONNECT, take_connected};
static const struct census_stage identifying = {"identifying", PG_IDENTIFY, take_identity};
static const struct census_stage listing = {"listing", PG_SCHEMAS, take_schemas};
static const struct census_stage listed = {"listed", PG_QUESTION_MAX_, NULL};
static const struct census_stage looking = {"looking", PG_SESSIONS, take_sessions};
static const struct census_stage ending = {"ending orphans", PG_END_SWEEP, take_ended};
static const struct census_stage looked = {"looked", PG_QUESTION_MAX_, NULL};
static const struct census_stage failed = {"failed", PG_QUESTION_MAX_, NULL};

/* ---- one target ---- */

static const struct census_stage *fail(struct census_target *target, char *error /* taken */)
{
        struct census *census = target->census;
        _cleanup_free_ char *reason = alloc_printf("%s: %s", target->name, error);

        live_report_failed(census->report, reason);
        free(target->error);
        target->error = error;
        return &failed;
}

static const struct census_stage *take_connected(struct census_target *target, const struct pg_answer *answer)
{
        target->backend_pid = answer->backend_pid;
        return &identifying;
}

static uint64_t number(const struct pg_answer *answer, enum pg_identify_column column)
{
        const char *text = pg_cell(answer, 0, column);

        return text ? strtoull(text, NULL, 10) : 0;
}

static bool is_true(const struct pg_answer *answer, enum pg_identify_column column)
{
        const char *text = pg_cell(answer, 0, column);

        return text && text[0] == 't';
}

/* Why this server's word on who is connected cannot be taken; NULL: it can. */
static char *unbelievable(const struct census *census, const struct database *database,
                          const struct pg_answer *answer)
{
        const char *text = pg_cell(answer, 0, PG_IDENTIFY_UPTIME_USEC);
        uint64_t uptime = number(answer, PG_IDENTIFY_UPTIME_USEC);

        if (is_true(answer, PG_IDENTIFY_IN_RECOVERY))
                return alloc_string("hot standby: it shows the schemas and none of the primary's sessions; "
                                    "configure the primary");
        if (number(answer, PG_IDENTIFY_BACKEND_PID) != (uint64_t)answer->backend_pid)
                return alloc_string(
                        "a pooler is in between: it hides who is connected; configure a direct connection");
        if (is_true(answer, PG_IDENTIFY_READ_ONLY))
                return alloc_string(
                        "default_transaction_read_only is on; configure a primary that may be written");
        /* By the server's clock, which somebody may have set back since the start. */
        if (!text || *text < '0' || *text > '9')
                return alloc_string(
                        "how long the server has been up is not known, its clock was set back; sweeps "
                        "go on when it has passed the server's start");
        if (uptime < census->start_grace)
                return alloc_printf(
                        "the server started %llu s ago; its clients have start_grace (%llu s) to come back",
                        (unsigned long long)(uptime / USEC_PER_SEC),
                        (unsigned long long)(census->start_grace / USEC_PER_SEC));
        /* A clone, by a virtual address that moved: who is connected to the one before is not seen here. */
        if (database && database->moved && env_boottime(census->env) - database->moved < census->start_grace)
                return alloc_printf(
                        "another server than before answers since %llu s; runs have start_grace (%llu s) "
                        "to come to it",
                        (unsigned long long)((env_boottime(census->env) - database->moved) / USEC_PER_SEC),
                        (unsigned long long)(census->start_grace / USEC_PER_SEC));
        return NULL;
}

/* Two names for one database: its schemas are looked at once, under the first name that is heard. */
static bool has_twin(const struct census_target *target)
{
        const struct database *mine = databases_find(target->census->databases, target->name);

        for (const struct census_target *other = target->census->targets; mine && other < target; other++) {
                const struct database *theirs = databases_find(target->census->databases, other->name);

                if (other->listed && theirs && theirs->cluster == mine->cluster &&
                    !strcmp(theirs->oid, mine->oid))
                        return true;
        }
        return false;
}

static bool is_same(const struct census_target *target, const struct database *database)
{
        return target->cluster == database->cluster && !strcmp(target->oid, database->oid);
}

bool census_is_same(struct census_target *target, const struct pg_answer *identity)
{
        const struct database *database;

        databases_heard(target->census->databases, target->database, identity);
        database = databases_find(target->census->databases, target->name);
        return database && database->id == target->database && is_same(target, database);
}

static const struct census_stage *take_identity(struct census_target *target, const struct pg_answer *answer)
{
        const struct database *database = databases_find(target->census->databases, target->name);
        char *doubt = unbelievable(target->census, database, answer);

        target->reachable = true;
        if (doubt) /* it goes on: what is kept for that reason is to be named */
                (void)fail(target, doubt);
        if (!database || database->id != target->database)
                return fail(target, alloc_string("taken out of the configuration meanwhile"));
        if (target->listed && !is_same(target, database))
                return fail(
                        target,
                        alloc_string("it is another server or database now than the one that was listed"));
        target->cluster = database->cluster;
        (void)memcpy(target->oid, database->oid, sizeof(target->oid));
        return target->listed ? &listed : &listing;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct census_schema *)a)->name, ((const struct census_schema *)b)->name);
}

static const struct census_stage *take_schemas(struct census_target *target, const struct pg_answer *answer)
{
        enum { NAME, OID, OWNER, MAY_DROP, BEGUN };

        target->listed = true;
        target->schemas = alloc_array(NULL, answer->n_rows + 1, sizeof(*target->schemas));
        for (unsigned i = 0; i < answer->n_rows; i++) {
                struct census_schema *schema = &target->schemas[target->n_schemas];
                const char *may_drop = pg_cell(answer, i, MAY_DROP), *begun = pg_cell(answer, i, BEGUN);

                if (!names_parse_schema(pg_cell(answer, i, NAME), &schema->parsed))
                        continue;
                schema->name = alloc_string(pg_cell(answer, i, NAME));
                schema->oid = alloc_string(pg_cell(answer, i, OID));
                schema->may_drop = may_drop && may_drop[0] == 't';
                schema->begun = begun && begun[0] == 't';
                target->n_schemas++;
        }
        qsort(target->schemas, target->n_schemas, sizeof(*target->schemas), by_name);
        return &listed;
}

bool census_label(const char *application_name, char ret[NAMES_NAMESPACE_MAX + 1])
{
        struct berth_name name;
        char worker[NAMES_WORKER_MAX + 1];
        int end = 0;

        if (names_parse_application_name(application_name, &name)) {
                (void)memcpy(ret, name.namespace, sizeof(name.namespace));
                return true;
        }
        /* Cut at 63 bytes, or with a suffix of somebody's taste: who is meant is plain all the same. */
        if (sscanf(application_name, "pytest_%16[a-z0-9]_%32[a-z0-9]%n", worker, ret, &end) == 2 && end > 0)
                return names_check_worker(worker, NULL);
        return false;
}

/* One of this census, on the same cluster. */
static bool is_ours(const struct census_target *target, const char *pid)
{
        const struct census *census = target->census;

        for (unsigned i = 0; i < census->n_targets; i++)
                if (pid && census->targets[i].connection && census->targets[i].cluster == target->cluster &&
                    census->targets[i].backend_pid == atoi(pid))
                        return true;
        return false;
}

/* The life of a daemon, from the label of its connection. */
static bool life_of(const char *label, struct berth_token *ret)
{
        const char *life = strrchr(label, '-');

        return life && names_parse_token(life + 1, ret);
}

static const char *own_label(const struct census_target *target, const struct pg_answer *sessions)
{
        enum { APPLICATION_NAME, PID };

        for (unsigned i = 0; i < sessions->n_rows; i++) {
                const char *pid = pg_cell(sessions, i, PID);

                if (pid && atoi(pid) == target->backend_pid)
                        return pg_cell(sessions, i, APPLICATION_NAME);
        }
        return NULL;
}

/* Ours, and not of this census. Is it a drop that we have lost, or does it look at something else? */
static bool may_drop(const struct census *census, const char *pid)
{
        return !census->may_drop || !pid || census->may_drop(census->may_drop_owner, atoi(pid));
}

/*
 * A connection of a daemon that is not one of this census. Of another daemon that lives on this host: its own
 * affair, for of two on one ledger only one can live. Of one that died here: an orphan. Otherwise nothing can be
 * said of it.
 */
static void take_sweep(struct census_target *target, const char *own, const char *label, const char *pid)
{
        struct env *env = target->census->env;
        struct berth_token us, them;
        bool from_here = own && life_of(own, &us) && life_of(label, &them) && us.random == them.random;

        if (from_here && !strcmp(own, label) && !may_drop(target->census, pid))
                return;
        if (from_here && strcmp(own, label) != 0) {
                if (env->ops->process_started_by(env, (pid_t)them.pid, them.epoch_sec * USEC_PER_SEC))
                        return;
                (void)snprintf(target->orphan, sizeof(target->orphan), "%s", label);
        }
        target->foreign_sweep = true;
}

static const struct census_stage *take_sessions(struct census_target *target, const struct pg_answer *answer)
{
        enum { APPLICATION_NAME, PID };
        const char *own = own_label(target, answer);
        char namespace[NAMES_NAMESPACE_MAX + 1];

        target->foreign_sweep = false;
        target->orphan[0] = '\0';
        for (unsigned i = 0; i < answer->n_rows; i++) {
                const char *label = pg_cell(answer, i, APPLICATION_NAME);

                if (!label)
                        continue;
                if (census_label(label, namespace))
                        live_report_add(target->census->report, namespace);
                else if (!strncmp(label, "berthd-", 7) && !is_ours(target, pg_cell(answer, i, PID)))
                        take_sweep(target, own, label, pg_cell(answer, i, PID));
        }
        if (target->orphan[0] && target->n_endings++ < ENDINGS_MAX)
                return &ending;
        live_report_heard(target->census->report);
        return &looked;
}

static const struct census_stage *take_ended(struct census_target *target, const struct pg_answer *answer)
{
        log_info("connections of a daemon that has died were ended: database=%s label=%s connections=%u",
                 target->name, target->orphan, answer->n_rows);
        return &looking;
}

static void answered(void *owner, const struct pg_answer *answer)
{
        struct census_target *target = owner;
        struct census *census = target->census;

        if (target->borrower) {
                pg_answered_fn *borrower = target->borrower;

                if (answer->outcome == PG_LOST) {
                        census->pg->ops->close(target->connection);
                        target->connection = NULL;
                }
                target->borrower = NULL;
                borrower(target->borrower_owner, answer);
                return;
        }
        if (answer->question == PG_CONNECT || answer->question == PG_IDENTIFY || answer->outcome != PG_OK)
                databases_heard(census->databases, target->database, answer);
        if (answer->outcome == PG_OK) {
                enter(target, target->stage->take(target, answer));
                return;
        }
        target->reachable = false;
        census->pg->ops->close(target->connection);
        target->connection = NULL;
        enter(target, fail(target, alloc_string(answer->message)));
}

static void ask(struct census_target *target)
{
        struct census *census = target->census;
        const struct pg_ops *ops = census->pg->ops;
        const char *parameters[PG_PARAMETERS_MAX] = {NULL};
        char msec[24];

        if (target->stage == &connecting) {
                target->connection =
                        ops->open(census->pg, target->conninfo, census->connect_timeout, answered, target);
                return;
        }
        if (target->stage == &ending) {
                (void)snprintf(msec, sizeof(msec), "%llu",
                               (unsigned long long)(census->connect_timeout / USEC_PER_MSEC / 5));
                parameters[0] = target->orphan;
                parameters[1] = msec;
        }
        ops->ask(target->connection, target->stage->question, parameters, census->connect_timeout);
}

/* ---- all of them ---- */

/* Were we away, or asleep? Then what we heard before may be old. */
static void look_at_clocks(struct census *census)
{
        uint64_t now = env_boottime(census->env);
        uint64_t suspended = env_suspended(census->env);

        if (now - census->last_tick > TICK_USEC + STALL_USEC)
                live_report_failed(census->report, "the daemon was held up meanwhile");
        if (suspended > census->suspended + STALL_USEC)
                live_report_failed(census->report, "the machine was suspended meanwhile");
        census->last_tick = now;
}

/* The last answer may be read before the timer that is due has its turn. */
static void finish(struct census *census)
{
        look_at_clocks(census);
        census->env->ops->timer_disarm(census->tick);
        census->live = live_set_seal(census->report);
        census->done(census->owner);
}

static void barrier(struct census *census)
{
        if (census->looking) {
                finish(census);
                return;
        }
        census->looking = true;
        census->taken = env_boottime(census->env);
        for (unsigned i = 0; i < census->n_targets; i++) {
                census->targets[i].twin = has_twin(&census->targets[i]);
                census->n_running += census->targets[i].stage == &listed;
        }
        if (!census->n_running) {
                finish(census);
                return;
        }
        /* Candidates of every database are known: only now is anybody asked who is alive. */
        for (unsigned i = 0; i < census->n_targets; i++)
                if (census->targets[i].stage == &listed)
                        enter(&census->targets[i], &looking);
}

static void enter(struct census_target *target, const struct census_stage *stage)
{
        target->stage = stage;
        if (stage->take)
                ask(target);
        else if (--target->census->n_running == 0)
                barrier(target->census);
}

/* Runs while a census is under way. */
static void tick(void *owner)
{
        struct census *census = owner;

        look_at_clocks(census);
        census->env->ops->timer_arm(census->tick, TICK_USEC);
        /* Nothing to connect to: no databases, or all connections kept. Careful: this may free the census. */
        if (!census->n_running)
                barrier(census);
}

/* A server that was not believed is asked again who it is: a kept connection would be believed unasked. */
static void forget_doubt(struct census *census, struct census_target *target)
{
        if (!target->error)
                return;
        free(target->error);
        target->error = NULL;
        census->pg->ops->close(target->connection);
        target->connection = NULL;
}

void census_take(struct census *census, const char *unsettled)
{
        live_report_free(census->report);
        census->report = live_report_new(census->n_targets);
        census->live = NULL;
        if (unsettled)
                live_report_failed(census->report, unsettled);
        census->looking = false;
        census->last_tick = env_boottime(census->env);
        census->suspended = env_suspended(census->env);
        census->n_running = 0;
        for (unsigned i = 0; i < census->n_targets; i++) {
                forget_doubt(census, &census->targets[i]);
                census->n_running += !census->targets[i].connection;
        }
        /* With every connection kept the first barrier is passed already: from the timer, not from inside. */
        census->env->ops->timer_arm(census->tick, census->n_running ? TICK_USEC : 0);
        for (unsigned i = 0; i < census->n_targets; i++) {
                struct census_target *target = &census->targets[i];

                target->n_endings = 0;
                target->stage = target->connection ? &listed : &connecting;
                if (!target->connection)
                        ask(target);
        }
}

/* ---- looking, lending, life ---- */

const struct live_set *census_live(const struct census *census)
{
        return census->live;
}

const struct live_report *census_report(const struct census *census)
{
        return census->report;
}

uint64_t census_taken(const struct census *census)
{
        return census->taken;
}

unsigned census_n_targets(const struct census *census)
{
        return census->n_targets;
}

struct census_target *census_target_at(struct census *census, unsigned index)
{
        return &census->targets[index];
}

bool census_has_namespace(void *owner, const char *namespace)
{
        const struct census *census = owner;

        for (unsigned i = 0; i < census->n_targets; i++)
                for (unsigned k = 0; k < census->targets[i].n_schemas; k++)
                        if (!strcmp(census->targets[i].schemas[k].parsed.namespace, namespace))
                                return true;
        return false;
}

void census_ask(struct census_target *target, enum pg_question question, const char *first,
                const char *second, uint64_t timeout_usec, pg_answered_fn *borrower, void *owner)
{
        const char *const parameters[PG_PARAMETERS_MAX] = {first, second};

        target->borrower = borrower;
        target->borrower_owner = owner;
        target->census->pg->ops->ask(target->connection, question, parameters, timeout_usec);
}

struct census *census_new(struct env *env, struct pg *pg, struct databases *databases,
                          const struct settings *settings, census_done_fn *done, void *owner)
{
        struct census *census = NEW(struct census);

        *census = (struct census){.env = env,
                                  .pg = pg,
                                  .databases = databases,
                                  .connect_timeout = settings->connect_timeout,
                                  .start_grace = settings->start_grace,
                                  .done = done,
                                  .owner = owner,
                                  .n_targets = databases_count(databases)};
        census->targets = alloc_array(NULL, census->n_targets + 1, sizeof(*census->targets));
        for (unsigned i = 0; i < census->n_targets; i++) {
                const struct database *database = databases_at(databases, i);

                census->targets[i] = (struct census_target){.census = census,
                                                            .name = alloc_string(database->name),
                                                            .conninfo = alloc_string(database->conninfo),
                                                            .database = database->id,
                                                            .cluster = database->cluster};
        }
        census->tick = env->ops->timer_new(env, tick, census);
        return census;
}

void census_suspect(struct census *census, census_suspect_fn *suspect, void *owner)
{
        census->may_drop = suspect;
        census->may_drop_owner = owner;
}

static void target_clear(struct census_target *target)
{
        target->census->pg->ops->close(target->connection);
        for (unsigned i = 0; i < target->n_schemas; i++) {
                free(target->schemas[i].name);
                free(target->schemas[i].oid);
        }
        free(target->schemas);
        free(target->name);
        free(target->conninfo);
        free(target->error);
}

struct census *census_free(struct census *census)
{
        if (!census)
                return NULL;
        for (unsigned i = 0; i < census->n_targets; i++)
                target_clear(&census->targets[i]);
        census->env->ops->timer_free(census->tick);
        live_report_free(census->report);
        free(census->targets);
        free(census);
        return NULL;
}
