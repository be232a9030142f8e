/* SPDX-License-Identifier: MIT */
#include "service/public_watch.h"

#include "service/public_record.h"
#include "service/survey.h"
#include "util/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define PERIOD_USEC (10 * USEC_PER_SEC)
/* So long the statistics of a session that has ended may be on their way; a look before that could be blind. */
#define LAG_USEC  (1 * USEC_PER_SEC)
#define GAP_USEC  (2 * USEC_PER_SEC) /* between two looks, however many leases end */
#define PASTS_MAX 256

/* A lease that has ended, and whose writes may not have been seen yet. */
struct past {
        int64_t lease;
        char namespace[NAMES_NAMESPACE_MAX + 1];
        uint64_t seen_from; /* boottime: a look from then on sees all of it */
};

/* The last look at one database that was answered. */
struct place {
        TAILQ_ENTRY(place) link; /* public_watch::places */
        unsigned database;       /* its id */
        uint64_t asked;          /* boottime */
        struct public_look *look;
};

/* Who has asked for a look. */
struct asker {
        TAILQ_ENTRY(asker) link; /* public_watch::askers */
        uint64_t caller;
        public_looked_fn *looked;
        void *owner;
        bool is_asked; /* the look that is under way is theirs */
};

enum state { RESTING, LOOKING, WAITING };

struct public_watch {
        struct env *env;
        struct leases *leases;
        struct databases *databases;
        const struct settings *settings;
        struct survey *survey;
        struct public_record *record;
        struct timer *timer; /* WAITING */
        enum state state;
        uint64_t asked; /* boottime of the last look; LOOKING: of this one */
        uint64_t due;   /* WAITING */
        TAILQ_HEAD(, asker) askers;
        TAILQ_HEAD(, place) places;
        struct past pasts[PASTS_MAX]; /* a ring */
        unsigned first_past, n_pasts;
};

/* ---- leases that have ended ---- */

static struct past *past_at(struct public_watch *watch, unsigned i)
{
        return &watch->pasts[(watch->first_past + i) % PASTS_MAX];
}

static void drop_first_past(struct public_watch *watch)
{
        watch->first_past = (watch->first_past + 1) % PASTS_MAX;
        watch->n_pasts--;
}

/* Those whose writes every database has shown that was ever looked at. */
static void forget_pasts(struct public_watch *watch)
{
        const struct place *place;
        uint64_t asked = watch->asked;

        TAILQ_FOREACH (place, &watch->places, link)
                if (place->asked < asked)
                        asked = place->asked;
        while (watch->n_pasts && past_at(watch, 0)->seen_from <= asked)
                drop_first_past(watch);
}

/* ---- who is suspected ---- */

static void suspect_live(void *owner, const struct lease *lease)
{
        if (lease->state != LEASE_WAITING && lease->state != LEASE_GRANTING)
                public_suspects_add(owner, lease->id, lease->namespace);
}

/* Whoever lived between a look asked for at that time and now. */
static void find_suspects(struct public_watch *watch, uint64_t since, struct public_suspects *ret)
{
        *ret = (struct public_suspects){0};
        leases_each(watch->leases, suspect_live, ret);
        for (unsigned i = 0; i < watch->n_pasts; i++)
                if (past_at(watch, i)->seen_from > since)
                        public_suspects_add(ret, past_at(watch, i)->lease, past_at(watch, i)->namespace);
}

/* ---- one database ---- */

static void place_free(struct public_watch *watch, struct place *place)
{
        TAILQ_REMOVE(&watch->places, place, link);
        (void)public_look_free(place->look);
        free(place);
}

static struct place *place_of(struct public_watch *watch, unsigned database)
{
        struct place *place;

        TAILQ_FOREACH (place, &watch->places, link)
                if (place->database == database)
                        return place;
        place = NEW(struct place);
        place->database = database;
        TAILQ_INSERT_TAIL(&watch->places, place, link);
        return place;
}

/* NULL: not what was asked for. */
static struct public_look *read_look(const struct pg_answer *answer)
{
        struct public_look *look;

        if (!answer->n_rows || answer->n_columns != PG_PUBLIC_COLUMNS_)
                return NULL;
        look = public_look_new(pg_cell(answer, 0, PG_PUBLIC_PLACE),
                               pg_cell(answer, 0, PG_PUBLIC_COUNTED_SINCE));
        for (unsigned i = 0; i < answer->n_rows; i++) {
                const char *oid = pg_cell(answer, i, PG_PUBLIC_OID),
                           *name = pg_cell(answer, i, PG_PUBLIC_TABLE),
                           *is_partition = pg_cell(answer, i, PG_PUBLIC_IS_PARTITION),
                           *writes = pg_cell(answer, i, PG_PUBLIC_WRITES);

                if (!oid && answer->n_rows == 1)
                        break;
                if (!oid || !name || !is_partition || !writes ||
                    !public_look_add(look, (uint32_t)strtoul(oid, NULL, 10), name, *is_partition == 't',
                                     strtoull(writes, NULL, 10)))
                        return public_look_free(look);
        }
        return look;
}

static void compare(struct public_watch *watch, const char *database, const struct place *place,
                    const struct public_look *look)
{
        struct public_suspects suspects;
        struct public_writes writes;

        public_look_compare(place->look, look, &writes);
        if (!writes.n)
                return;
        find_suspects(watch, place->asked, &suspects);
        public_record_add(watch->record, database, &writes, &suspects);
}

static void take_answer(struct public_watch *watch, const char *name, const struct pg_answer *answer)
{
        const struct database *database = databases_find(watch->databases, name);
        struct public_look *look = answer->outcome == PG_OK ? read_look(answer) : NULL;
        struct place *place;

        if (!look || !database) {
                (void)public_look_free(look);
                return;
        }
        place = place_of(watch, database->id);
        if (place->look)
                compare(watch, name, place, look);
        (void)public_look_free(place->look);
        place->look = look;
        place->asked = watch->asked;
}

/* ---- who has asked ---- */

static void asker_free(struct public_watch *watch, struct asker *asker)
{
        TAILQ_REMOVE(&watch->askers, asker, link);
        free(asker);
}

static struct asker *find_answered(const struct public_watch *watch)
{
        struct asker *asker;

        TAILQ_FOREACH (asker, &watch->askers, link)
                if (asker->is_asked || watch->state == RESTING)
                        return asker;
        return NULL;
}

static void answer_askers(struct public_watch *watch)
{
        struct asker *asker;

        while ((asker = find_answered(watch))) {
                struct asker told = *asker;

                asker_free(watch, asker); /* being told may make others leave */
                told.looked(told.owner, told.caller);
        }
}

void public_watch_forget_caller(struct public_watch *watch, uint64_t caller)
{
        struct asker *asker, *next;

        for (asker = TAILQ_FIRST(&watch->askers); asker; asker = next) {
                next = TAILQ_NEXT(asker, link);
                if (asker->caller == caller)
                        asker_free(watch, asker);
        }
}

/* ---- when ---- */

static void look(struct public_watch *watch)
{
        struct asker *asker;

        TAILQ_FOREACH (asker, &watch->askers, link)
                asker->is_asked = true;
        watch->state = LOOKING;
        watch->asked = env_boottime(watch->env);
        (void)survey_ask(watch->survey, 0, NULL);
}

static void rest(struct public_watch *watch)
{
        struct place *place;

        watch->state = RESTING;
        watch->n_pasts = 0;
        watch->env->ops->timer_disarm(watch->timer);
        while ((place = TAILQ_FIRST(&watch->places)))
                place_free(watch, place);
        answer_askers(watch);
}

static void wait_until(struct public_watch *watch, uint64_t due)
{
        uint64_t now = env_boottime(watch->env);

        if (due < watch->asked + GAP_USEC)
                due = watch->asked + GAP_USEC;
        watch->state = WAITING;
        watch->due = due;
        watch->env->ops->timer_arm(watch->timer, due > now ? due - now : 0);
}

static void look_now(struct public_watch *watch)
{
        watch->env->ops->timer_disarm(watch->timer);
        look(watch);
}

/* What a reload has taken away is not waited for. */
static void forget_places(struct public_watch *watch)
{
        struct place *place, *next;

        for (place = TAILQ_FIRST(&watch->places); place; place = next) {
                bool is_there = false;

                next = TAILQ_NEXT(place, link);
                for (unsigned i = 0; i < databases_count(watch->databases); i++)
                        is_there |= databases_at(watch->databases, i)->id == place->database;
                if (!is_there)
                        place_free(watch, place);
        }
}

static void look_ended(struct public_watch *watch)
{
        const struct past *last = watch->n_pasts ? past_at(watch, watch->n_pasts - 1) : NULL;
        bool is_owed = last && last->seen_from > watch->asked;

        if ((!leases_n_live(watch->leases) && !is_owed) || !databases_count(watch->databases)) {
                rest(watch);
                return;
        }
        wait_until(watch, is_owed ? last->seen_from : watch->asked + PERIOD_USEC);
        forget_places(watch);
        forget_pasts(watch);
        answer_askers(watch);
        if (watch->state == WAITING && !TAILQ_EMPTY(&watch->askers)) /* who came while we were looking */
                look_now(watch);
}

static void heard(void *owner, uint64_t caller, const char *database, const struct pg_answer *answer)
{
        struct public_watch *watch = owner;

        (void)caller;
        if (answer)
                take_answer(watch, database, answer);
        else
                look_ended(watch);
}

static void on_timer(void *owner)
{
        look(owner);
}

void public_watch_granted(struct public_watch *watch)
{
        if (watch->settings->public_watch && watch->state == RESTING && databases_count(watch->databases))
                look(watch);
}

void public_watch_ended(struct public_watch *watch, const struct lease *lease)
{
        struct past *past;
        uint64_t seen_from = env_boottime(watch->env) + LAG_USEC;

        if (watch->state == RESTING)
                return;
        if (watch->n_pasts == PASTS_MAX)
                drop_first_past(watch);
        past = past_at(watch, watch->n_pasts++);
        *past = (struct past){.lease = lease->id, .seen_from = seen_from};
        (void)memcpy(past->namespace, lease->namespace, sizeof(past->namespace));
        if (watch->state == WAITING && watch->due > seen_from)
                wait_until(watch, seen_from);
}

bool public_watch_ask(struct public_watch *watch, uint64_t caller, public_looked_fn *looked, void *owner)
{
        struct asker *asker;

        if (watch->state == RESTING)
                return false;
        asker = NEW(struct asker);
        *asker = (struct asker){.caller = caller, .looked = looked, .owner = owner};
        TAILQ_INSERT_TAIL(&watch->askers, asker, link);
        if (watch->state == WAITING)
                look_now(watch);
        return true;
}

void public_watch_configure(struct public_watch *watch)
{
        if (!watch->settings->public_watch) {
                survey_forget_caller(watch->survey, 0);
                rest(watch);
                public_record_clear(watch->record);
        } else if (leases_n_live(watch->leases)) {
                public_watch_granted(watch);
        }
}

void public_watch_each(const struct public_watch *watch, public_written_fn *each, void *owner)
{
        public_record_each(watch->record, each, owner);
}

/* ---- life ---- */

struct public_watch *public_watch_new(struct env *env, struct pg *pg, struct ledger *ledger,
                                      struct databases *databases, struct leases *leases,
                                      const struct settings *settings)
{
        struct public_watch *watch = NEW(struct public_watch);

        watch->env = env;
        watch->leases = leases;
        watch->databases = databases;
        watch->settings = settings;
        watch->survey = survey_new(env, pg, databases, settings, PG_PUBLIC, heard, watch);
        watch->record = public_record_new(env, ledger);
        watch->timer = env->ops->timer_new(env, on_timer, watch);
        TAILQ_INIT(&watch->askers);
        TAILQ_INIT(&watch->places);
        return watch;
}

struct public_watch *public_watch_free(struct public_watch *watch)
{
        struct asker *asker;

        if (!watch)
                return NULL;
        while ((asker = TAILQ_FIRST(&watch->askers)))
                asker_free(watch, asker);
        rest(watch);
        (void)survey_free(watch->survey);
        (void)public_record_free(watch->record);
        watch->env->ops->timer_free(watch->timer);
        free(watch);
        return NULL;
}
