/* SPDX-License-Identifier: MIT */
#include "service/drain.h"

#include "proto/names.h"
#include "service/cluster_link.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <stdio.h>
#include <stdlib.h>

#define AGAIN_USEC (100 * USEC_PER_MSEC)
#define LATE_USEC  USEC_PER_SEC

struct drain {
        struct env *env;
        struct cluster_link *link;
        char worker[NAMES_WORKER_MAX + 1], namespace[NAMES_NAMESPACE_MAX + 1];
        struct drain_limits limits;
        uint64_t began, heard; /* boottime; heard: the last answer, or the beginning */
        unsigned n_busy;       /* by the last answer */
        int pid;               /* one of them; 0: never heard */
        struct timer *again, *limit;
        drained_fn *drained;
        void *owner;
        uint64_t id;
};

struct drain *drain_free(struct drain *drain)
{
        if (!drain)
                return NULL;
        cluster_link_free(drain->link);
        drain->env->ops->timer_free(drain->again);
        drain->env->ops->timer_free(drain->limit);
        free(drain);
        return NULL;
}

/* Nothing may touch the drain after it. */
static void finish(struct drain *drain, const char *why)
{
        cluster_link_rest(drain->link);
        drain->env->ops->timer_disarm(drain->again);
        drain->env->ops->timer_disarm(drain->limit);
        drain->drained(drain->owner, drain->id, why);
}

static bool ask(struct drain *drain)
{
        const char *const parameters[PG_PARAMETERS_MAX] = {drain->worker, drain->namespace};

        return cluster_link_ask(drain->link, PG_HOLDER_BUSY, parameters, drain->limits.answer);
}

static uint64_t least(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static uint64_t ends(const struct drain *drain)
{
        return least(drain->began + drain->limits.busy, drain->heard + drain->limits.silent);
}

static void arm_limit(struct drain *drain)
{
        uint64_t now = env_boottime(drain->env), end = ends(drain);

        drain->env->ops->timer_arm(drain->limit, end > now ? end - now : 0);
}

static void on_limit(void *owner)
{
        struct drain *drain = owner;
        _cleanup_free_ char *why = NULL;
        uint64_t now = env_boottime(drain->env), end = ends(drain);

        /* We slept, or the loop stood still: nobody was asked meanwhile, and they slept too. */
        if (now > end + LATE_USEC)
                drain->began = drain->heard = now;
        if (now < ends(drain)) {
                arm_limit(drain);
                return;
        }
        if (now - drain->heard >= drain->limits.silent)
                why = alloc_string("its server does not answer");
        else
                why = alloc_printf("%u of its sessions had not finished after %llu s, one has pid %d",
                                   drain->n_busy, (unsigned long long)((now - drain->began) / USEC_PER_SEC),
                                   drain->pid);
        finish(drain, why);
}

static void on_answer(void *owner, const struct pg_answer *answer)
{
        struct drain *drain = owner;

        if (answer && !answer->n_rows) {
                finish(drain, NULL);
                return;
        }
        if (answer) {
                drain->heard = env_boottime(drain->env);
                drain->n_busy = answer->n_rows;
                drain->pid = atoi(pg_cell(answer, 0, 0));
                arm_limit(drain);
        }
        drain->env->ops->timer_arm(drain->again, AGAIN_USEC);
}

static void on_again(void *owner)
{
        struct drain *drain = owner;

        /* A reload has taken the last database of that cluster away. */
        if (!ask(drain))
                finish(drain, NULL);
}

struct drain *drain_start(struct env *env, struct pg *pg, struct databases *databases,
                          const struct drain_limits *limits, const struct drain_holder *holder,
                          drained_fn *drained, void *owner, uint64_t id)
{
        struct drain *drain = NEW(struct drain);

        *drain = (struct drain){.env = env, .limits = *limits, .drained = drained, .owner = owner, .id = id};
        (void)snprintf(drain->worker, sizeof(drain->worker), "%s", holder->worker);
        (void)snprintf(drain->namespace, sizeof(drain->namespace), "%s", holder->namespace);
        drain->began = drain->heard = env_boottime(env);
        drain->link = cluster_link_new(pg, databases, holder->cluster, on_answer, drain);
        drain->again = env->ops->timer_new(env, on_again, drain);
        drain->limit = env->ops->timer_new(env, on_limit, drain);
        if (!ask(drain))
                return drain_free(drain);
        arm_limit(drain);
        return drain;
}
