/* SPDX-License-Identifier: MIT */
#include "host_internal.h"

#include "oracle.h"
#include "run.h"

#include <string.h>

/* ---- replies ---- */

static void on_reply(void *owner, uint64_t id)
{
        struct link *link = host_find(owner, id);

        if (!link || link->is_cut)
                return;
        link->is_busy = false;
        if (link->events)
                link->events->replied(link->owner, link, &link->reply);
}

static void answer(struct link *link, const struct reply *reply)
{
        if (link->pending != reply->kind)
                oracle_fail(link->sim, "connection %llu: an answer of kind %d to a call of kind %d",
                            (unsigned long long)link->id, (int)reply->kind, (int)link->pending);
        link->pending = CALL_NONE;
        link->reply = *reply;
        host_mail(&link->sim->host, on_reply, link->id);
}

static void answer_error(struct link *link, int error)
{
        const struct reply reply = {.kind = link->pending, .error = error};

        link->sim->counts.refused++;
        answer(link, &reply);
}

static void on_lease_let_go(void *owner, uint64_t id)
{
        struct link *link = host_find(owner, id);

        if (link && link->events && !link->is_cut)
                link->events->let_go(link->owner, link, false, true);
}

static void on_slot_let_go(void *owner, uint64_t id)
{
        struct link *link = host_find(owner, id);

        if (link && link->events && !link->is_cut)
                link->events->let_go(link->owner, link, true, true);
}

/* ---- the services' events ---- */

static void lease_queued(void *owner, uint64_t connection, unsigned position)
{
        struct host *host = owner;
        struct link *link = host_find(host, connection);

        if (!position || (link && link->pending != CALL_ACQUIRE))
                oracle_fail(host->sim, "place %u in a queue nobody stands in", position);
}

static void fill(struct reply *reply, const struct lease *lease, const char *secret)
{
        reply->lease = lease->id;
        (void)strcpy(reply->namespace, lease->namespace);
        (void)strcpy(reply->secret, secret ? secret : "");
}

static void attached(struct link *link, const struct lease *lease)
{
        struct reply reply = {.kind = CALL_ATTACH};

        link->sim->counts.attaches++;
        run_on_attached(link, lease);
        fill(&reply, lease, NULL);
        answer(link, &reply);
}

static void lease_granted(void *owner, uint64_t connection, const struct lease *lease, const char *secret)
{
        struct host *host = owner;
        struct link *link = host_find(host, connection);
        struct reply reply = {.kind = CALL_ACQUIRE};

        public_watch_granted(host->public_watch);
        if (!link || !link->is_read)
                return;
        if (!secret) {
                attached(link, lease);
                return;
        }
        host->sim->counts.leases++;
        run_on_granted(link, lease);
        fill(&reply, lease, secret);
        answer(link, &reply);
}

static void lease_failed(void *owner, uint64_t connection, int error)
{
        struct link *link = host_find(owner, connection);

        if (link && link->is_read)
                answer_error(link, error);
}

static void lease_kept(void *owner, uint64_t connection, uint64_t until_usec, int error)
{
        struct host *host = owner;
        struct link *link = host_find(host, connection);
        const struct reply reply = {.kind = CALL_RELEASE};

        (void)until_usec;
        if (!link || !link->is_read)
                return; /* an operator's */
        if (error)
                oracle_fail(host->sim, "connection %llu: a release fails for what is to be kept",
                            (unsigned long long)connection);
        answer(link, &reply);
}

static void lease_let_go(void *owner, uint64_t connection, enum lease_state state, const char *reason)
{
        struct link *link = host_find(owner, connection);

        (void)reason;
        if (link && state == LEASE_REVOKED)
                host_mail(owner, on_lease_let_go, connection);
}

static void lease_ended(void *owner, const struct lease *lease)
{
        struct host *host = owner;

        sim_say(host->sim, "lease %lld of %s has ended: state %d", (long long)lease->id, lease->namespace,
                (int)lease->state);
        run_on_ended(host->sim, lease);
        slots_lease_ended(host->slots, lease->id, lease->state != LEASE_RELEASED, "its lease has ended");
        sweeper_soon(host->sweeper);
        public_watch_ended(host->public_watch, lease);
}

static void lease_changed(void *owner, const struct lease *lease)
{
        (void)owner;
        (void)lease;
}

static void slot_queued(void *owner, uint64_t connection, const struct slot_use *use, unsigned position)
{
        struct host *host = owner;
        struct link *link = host_find(host, connection);

        (void)use;
        if (!position || (link && link->pending != CALL_SLOT))
                oracle_fail(host->sim, "place %u in a queue for slots nobody stands in", position);
}

static void slot_granted(void *owner, uint64_t connection, const struct slot_use *use)
{
        struct host *host = owner;
        struct link *link = host_find(host, connection);
        const struct reply reply = {.kind = CALL_SLOT, .grant = use->grant};

        if (!link || !link->is_read)
                return;
        host->sim->counts.slots++;
        run_on_slot(link, use);
        answer(link, &reply);
}

static void slot_failed(void *owner, uint64_t connection, const struct slot_use *use, int error,
                        const char *message)
{
        struct link *link = host_find(owner, connection);

        (void)use;
        (void)message;
        if (link && link->is_read)
                answer_error(link, error);
}

static void slot_let_go(void *owner, uint64_t connection, const struct slot_use *use, bool revoked,
                        const char *reason)
{
        struct link *link = host_find(owner, connection);

        (void)use;
        (void)reason;
        if (link && link->is_read)
                run_on_slot_let_go(link);
        if (link && revoked)
                host_mail(owner, on_slot_let_go, connection);
}

static void slot_changed(void *owner, unsigned cluster)
{
        (void)owner;
        (void)cluster;
}

static void sweep_verdict(void *owner, uint64_t caller, const struct sweep_item *item)
{
        (void)owner;
        (void)caller;
        (void)item;
}

static void sweep_finished(void *owner, uint64_t caller, const struct sweep_result *result)
{
        struct host *host = owner;

        (void)caller;
        host->n_sweeps++;
        oracle_on_swept(host->sim, result);
}

const struct lease_events host_lease_events = {
        .queued = lease_queued,
        .granted = lease_granted,
        .failed = lease_failed,
        .let_go = lease_let_go,
        .kept = lease_kept,
        .ended = lease_ended,
        .changed = lease_changed,
};
const struct slot_events host_slot_events = {
        .queued = slot_queued,
        .granted = slot_granted,
        .failed = slot_failed,
        .let_go = slot_let_go,
        .changed = slot_changed,
};
const struct sweep_events host_sweep_events = {.verdict = sweep_verdict, .finished = sweep_finished};

/* ---- calls ---- */

static const char *or_null(const char *text)
{
        return *text ? text : NULL;
}

static struct peer peer_of(const struct link *link)
{
        return (struct peer){.uid = link->uid, .process = world_identify(&link->sim->world, link->process)};
}

static void acquire(struct host *host, struct link *link, const struct call *call)
{
        const struct lease_request request = {
                .connection = link->id,
                .peer = peer_of(link),
                .namespace = or_null(call->namespace),
                .request = or_null(call->request),
                .role = call->role,
                .no_wait = call->no_wait,
                .timeout_usec = call->timeout_usec,
        };
        char message[NAMES_MESSAGE_SIZE];
        int r = leases_acquire(host->leases, &request, message);

        if (r)
                answer_error(link, r);
}

static void attach(struct host *host, struct link *link, const struct call *call)
{
        const struct lease_request request = {
                .connection = link->id,
                .peer = peer_of(link),
                .namespace = call->namespace,
                .secret = call->secret,
                .role = call->role,
                .worker = or_null(call->worker),
        };
        const struct lease *lease;
        int r = leases_attach(host->leases, &request, &lease);

        if (r == LEASES_LATER)
                return;
        if (r) {
                run_on_refused(link, r);
                answer_error(link, r);
                return;
        }
        attached(link, lease);
}

static void release(struct host *host, struct link *link, const struct call *call)
{
        const struct lease_release request = {
                .connection = link->id,
                .namespace = or_null(call->namespace),
                .secret = or_null(call->secret),
                .keep = call->keep,
                .exit_status = -1,
        };
        const struct reply reply = {.kind = CALL_RELEASE};
        uint64_t until;
        int r = leases_release(host->leases, &request, &until);

        if (r && r != LEASES_LATER) {
                answer_error(link, r);
                return;
        }
        run_on_released(link);
        if (!r)
                answer(link, &reply);
}

static void acquire_slot(struct host *host, struct link *link, const struct call *call)
{
        const struct lease *lease =
                leases_resolve(host->leases, link->id, or_null(call->namespace), or_null(call->secret));
        const struct slot_use *use;
        struct slot_request request;
        int r;

        if (!lease) {
                answer_error(link, LEASES_E_NO_SUCH_LEASE);
                return;
        }
        request = (struct slot_request){
                .connection = link->id,
                .peer = peer_of(link),
                .lease = lease->id,
                .namespace = lease->namespace,
                .worker = or_null(call->worker),
                .database = call->database,
                .no_wait = call->no_wait,
                .timeout_usec = call->timeout_usec,
                .reclaim = call->grant,
                .request = or_null(call->request),
        };
        r = slots_acquire(host->slots, &request, &use);
        if (r < 0)
                answer_error(link, -r);
        else if (r > 0)
                slot_granted(host, link->id, use);
}

static void release_slot(struct host *host, struct link *link, const struct call *call)
{
        const struct lease *lease = leases_resolve(host->leases, link->id, NULL, NULL);
        const struct reply reply = {.kind = CALL_SLOT_RELEASE};
        uint64_t held;
        int r = slots_release(host->slots, link->id, lease ? lease->id : 0, call->grant, &held);

        if (r) {
                answer_error(link, r);
                return;
        }
        run_on_slot_released(link);
        answer(link, &reply);
}

void host_on_call(void *owner, uint64_t id)
{
        static void (*const methods[])(struct host *, struct link *, const struct call *) = {
                [CALL_ACQUIRE] = acquire,           [CALL_ATTACH] = attach,
                [CALL_RELEASE] = release,           [CALL_SLOT] = acquire_slot,
                [CALL_SLOT_RELEASE] = release_slot,
        };
        struct link *link = host_find(owner, id);

        if (!link || !link->is_read)
                return;
        link->pending = link->call.kind;
        methods[link->pending](owner, link, &link->call);
}
