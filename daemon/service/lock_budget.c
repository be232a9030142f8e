/* SPDX-License-Identifier: MIT */
#include "service/lock_budget.h"

#include "service/cluster_link.h"
#include "util/alloc.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define YOUNG_USEC    (200 * USEC_PER_MSEC) /* so long a holder is left alone */
#define OFTEN_USEC    (250 * USEC_PER_MSEC)
#define SELDOM_USEC   (4 * USEC_PER_SEC)
#define TIGHT_PERCENT 80
#define OWN_LABEL     "berthd-"

/* One cluster. */
struct watch {
        TAILQ_ENTRY(watch) link; /* lock_budget::watches */
        struct lock_budget *budget;
        unsigned cluster;
        struct cluster_link *server;
        struct timer *timer;
        uint64_t due; /* that the timer is armed for; 0: it is not */
        bool is_asking;
        uint64_t interval;
        int64_t now, peak, warned; /* now: of all holders together */
};

struct lock_budget {
        struct env *env;
        struct pg *pg;
        struct databases *databases;
        struct slots *slots;
        const struct settings *settings;
        TAILQ_HEAD(, watch) watches;
};

/* ---- who holds ---- */

struct oldest {
        uint64_t granted_usec; /* 0: nobody holds */
};

static void find_oldest(void *owner, const struct slot_use *use, unsigned position)
{
        struct oldest *oldest = owner;

        (void)position;
        if (use->state != SLOT_WAITING && (!oldest->granted_usec || use->granted_usec < oldest->granted_usec))
                oldest->granted_usec = use->granted_usec;
}

static bool is_held(const struct watch *watch, uint64_t *ret_age)
{
        struct oldest oldest = {0};

        slots_each(watch->budget->slots, watch->cluster, find_oldest, &oldest);
        *ret_age = env_boottime(watch->budget->env) - oldest.granted_usec;
        return oldest.granted_usec;
}

/* ---- what they have locked ---- */

static bool is_label_of(const struct slot_use *use, const char *application_name)
{
        struct berth_name name;

        if (!application_name)
                return false;
        if (!*use->worker)
                return !strncmp(application_name, OWN_LABEL, strlen(OWN_LABEL));
        return names_parse_application_name(application_name, &name) &&
               !strcmp(name.namespace, use->namespace) && !strcmp(name.worker, use->worker);
}

struct look {
        const struct pg_answer *answer;
        int64_t most, all;
};

static void look_at(void *owner, const struct slot_use *use, unsigned position)
{
        struct look *look = owner;
        int64_t n = 0;

        (void)position;
        if (use->state == SLOT_WAITING)
                return;
        for (unsigned i = 0; i < look->answer->n_rows; i++)
                if (is_label_of(use, pg_cell(look->answer, i, 0)))
                        n += strtoll(pg_cell(look->answer, i, 1), NULL, 10);
        look->all += n;
        if (n > look->most)
                look->most = n;
}

/* Once for each new height; a build is seen growing, so the next one must be clearly above the last. */
static void warn(struct watch *watch)
{
        const struct cluster *cluster = databases_cluster(watch->budget->databases, watch->cluster);
        unsigned n_slots = watch->budget->settings->ddl_slots;

        if (!cluster || !cluster->lock_table || watch->peak <= watch->warned + watch->warned / 10 ||
            n_slots * watch->peak * 100 <= cluster->lock_table * TIGHT_PERCENT)
                return;
        watch->warned = watch->peak;
        log_warning(
                "lock table nearly too small: system_identifier=%s ddl_slots=%u peak=%lld lock_table=%lld; "
                "raise max_locks_per_transaction of the server, or lower ddl_slots",
                cluster->system_identifier, n_slots, (long long)watch->peak, (long long)cluster->lock_table);
}

/* ---- when ---- */

static void arm(struct watch *watch, uint64_t delay_usec)
{
        watch->due = env_boottime(watch->budget->env) + delay_usec;
        watch->budget->env->ops->timer_arm(watch->timer, delay_usec);
}

static void rest(struct watch *watch)
{
        watch->budget->env->ops->timer_disarm(watch->timer);
        watch->due = 0;
        watch->is_asking = false;
        watch->now = 0;
        cluster_link_rest(watch->server);
}

static void on_answer(void *owner, const struct pg_answer *answer)
{
        struct watch *watch = owner;
        struct look look = {.answer = answer};

        watch->is_asking = false;
        if (!answer) {
                arm(watch, SELDOM_USEC);
                return;
        }
        slots_each(watch->budget->slots, watch->cluster, look_at, &look);
        watch->interval = look.all > watch->now ? OFTEN_USEC : 2 * watch->interval;
        if (watch->interval > SELDOM_USEC)
                watch->interval = SELDOM_USEC;
        watch->now = look.all;
        if (look.most > watch->peak)
                watch->peak = look.most;
        warn(watch);
        arm(watch, watch->interval);
}

static void on_timer(void *owner)
{
        static const char *const none[PG_PARAMETERS_MAX];
        struct watch *watch = owner;
        uint64_t age;

        watch->due = 0;
        if (!is_held(watch, &age)) {
                rest(watch);
                return;
        }
        if (age < YOUNG_USEC) {
                arm(watch, YOUNG_USEC - age);
                return;
        }
        watch->is_asking = cluster_link_ask(watch->server, PG_LOCK_COUNTS, none,
                                            watch->budget->settings->connect_timeout);
}

static struct watch *find(const struct lock_budget *budget, unsigned cluster)
{
        struct watch *watch;

        TAILQ_FOREACH (watch, &budget->watches, link)
                if (watch->cluster == cluster)
                        return watch;
        return NULL;
}

static struct watch *get(struct lock_budget *budget, unsigned cluster)
{
        struct watch *watch = find(budget, cluster);

        if (watch)
                return watch;
        watch = NEW(struct watch);
        watch->budget = budget;
        watch->cluster = cluster;
        watch->server = cluster_link_new(budget->pg, budget->databases, cluster, on_answer, watch);
        watch->timer = budget->env->ops->timer_new(budget->env, on_timer, watch);
        TAILQ_INSERT_TAIL(&budget->watches, watch, link);
        return watch;
}

void lock_budget_changed(struct lock_budget *budget, unsigned cluster)
{
        struct watch *watch = get(budget, cluster);
        uint64_t age, now = env_boottime(budget->env);

        if (!is_held(watch, &age)) {
                rest(watch);
                return;
        }
        watch->interval = OFTEN_USEC;
        if (!watch->is_asking && (!watch->due || watch->due > now + OFTEN_USEC))
                arm(watch, age < YOUNG_USEC ? YOUNG_USEC - age : OFTEN_USEC);
}

int64_t lock_budget_peak(const struct lock_budget *budget, unsigned cluster)
{
        const struct watch *watch = find(budget, cluster);

        return watch ? watch->peak : 0;
}

/* ---- life ---- */

struct lock_budget *lock_budget_new(struct env *env, struct pg *pg, struct databases *databases,
                                    struct slots *slots, const struct settings *settings)
{
        struct lock_budget *budget = NEW(struct lock_budget);

        *budget = (struct lock_budget){
                .env = env, .pg = pg, .databases = databases, .slots = slots, .settings = settings};
        TAILQ_INIT(&budget->watches);
        return budget;
}

struct lock_budget *lock_budget_free(struct lock_budget *budget)
{
        struct watch *watch;

        if (!budget)
                return NULL;
        while ((watch = TAILQ_FIRST(&budget->watches))) {
                TAILQ_REMOVE(&budget->watches, watch, link);
                cluster_link_free(watch->server);
                budget->env->ops->timer_free(watch->timer);
                free(watch);
        }
        free(budget);
        return NULL;
}
