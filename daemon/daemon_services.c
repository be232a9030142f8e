/* SPDX-License-Identifier: MIT */
#include "daemon_internal.h"
#include "daemon_diagnose.h"
#include "os/notify.h"
#include "proto/json.h"
#include "server/http.h"
#include "server/measure.h"
#include "server/monitor.h"
#include "store/ledger_sqlite.h"
#include "util/log.h"

#include <sysexits.h>

/* ---- one service's news that concern another ---- */

static void on_lease_granted(void *owner, uint64_t connection, const struct lease *lease, const char *secret)
{
        struct daemon *d = owner;

        services_lease_events.granted(owner, connection, lease, secret);
        public_watch_granted(d->services.public_watch);
        daemon_touch_status(d);
}

static void on_lease_queued(void *owner, uint64_t connection, unsigned position)
{
        services_lease_events.queued(owner, connection, position);
        daemon_touch_status(owner);
}

static void on_lease_ended(void *owner, const struct lease *lease)
{
        static const char *const reasons[] = {
                [LEASE_CRASHED] = "its lease has crashed",
                [LEASE_RELEASED] = "its lease was released",
                [LEASE_REVOKED] = "its lease was revoked",
        };
        struct daemon *d = owner;

        slots_lease_ended(d->services.slots, lease->id, lease->state != LEASE_RELEASED,
                          reasons[lease->state]);
        sweeper_soon(d->services.sweeper);
        public_watch_ended(d->services.public_watch, lease);
        services_lease_events.ended(owner, lease);
        daemon_touch_status(d);
}

/* ---- making them ---- */

static void on_configuration(void *owner, finding_fn *tell, void *listener)
{
        const struct daemon *d = owner;

        diagnose_configuration(d->config, d->reload_error, tell, listener);
}

static struct doctor *make_doctor(struct daemon *d)
{
        const struct services *s = &d->services;
        const struct doctor_sources sources = {
                .env = s->env,
                .pg = d->pg,
                .databases = s->databases,
                .settings = &d->settings,
                .ledger = s->ledger,
                .lock_budget = s->lock_budget,
                .public_watch = s->public_watch,
                .sweeper = s->sweeper,
        };

        return doctor_new(&sources, on_configuration, d, services_diagnosed, &d->services);
}

void daemon_make_services(struct daemon *d)
{
        struct services *s = &d->services;
        struct server_limits limits;

        d->lease_events = services_lease_events;
        d->lease_events.granted = on_lease_granted;
        d->lease_events.queued = on_lease_queued;
        d->lease_events.ended = on_lease_ended;
        s->started_usec = env_realtime(s->env);
        s->settings = &d->settings;
        s->ledger = ledger_sqlite_seam(d->ledger);
        s->databases = databases_new(s->env, d->pg, &d->settings);
        s->leases = leases_new(s->env, s->ledger, &d->settings, &d->lease_events, s);
        s->slots = slots_new(s->env, s->ledger, s->databases, d->pg, &d->settings, &services_slot_events, s);
        s->public_watch = public_watch_new(s->env, d->pg, s->ledger, s->databases, s->leases, &d->settings);
        s->lock_budget = lock_budget_new(s->env, d->pg, s->databases, s->slots, &d->settings);
        s->sweeper = sweeper_new(s->env, d->pg, s->ledger, s->databases, s->leases, s->slots, &d->settings,
                                 &services_sweep_events, s);
        s->locks = locks_new(s->env, d->pg, s->databases, &d->settings, services_lock_found, s);
        s->holders = holders_new(s->env, d->pg, s->databases, &d->settings, services_holder_found, s);
        s->configuration = config_describe(d->config);
        s->explainer = explainer_new(s->env, d->pg, s->ledger, s->databases, s->leases, s->sweeper,
                                     &d->settings, services_explained, s);
        s->doctor = make_doctor(d);
        daemon_find_limits(d->config, &limits);
        s->server = server_new(d->base, services_methods, s, &limits, services_connection_closed);
        measure_begin(s);
        s->monitor = monitor_new(s, d->pg);
        d->http = http_new(d->base, s);
}

/* Users before what they use; nobody is told that anything ended, since nothing did. */
void daemon_free_services(struct daemon *d)
{
        struct services *s = &d->services;

        d->http = http_free(d->http);
        s->server = server_free(s->server);
        s->monitor = monitor_free(s->monitor);
        s->doctor = doctor_free(s->doctor);
        s->configuration = json_free(s->configuration);
        s->explainer = explainer_free(s->explainer);
        s->holders = holders_free(s->holders);
        s->locks = locks_free(s->locks);
        s->sweeper = sweeper_free(s->sweeper);
        s->lock_budget = lock_budget_free(s->lock_budget);
        s->public_watch = public_watch_free(s->public_watch);
        s->slots = slots_free(s->slots);
        s->leases = leases_free(s->leases);
        s->databases = databases_free(s->databases);
        measure_end(s);
}

/* ---- what they find, and what they show ---- */

static void load_row(void *owner, const struct ledger_change *row)
{
        struct daemon *d = owner;

        if (row->kind == LEDGER_SLOT_GRANTED)
                slots_load(d->services.slots, row);
        else if (row->kind == LEDGER_CLAIMED || row->kind == LEDGER_SIGHTED || row->kind == LEDGER_SWEPT)
                sweeper_load(d->services.sweeper, row);
        else
                leases_load(d->services.leases, row);
}

int daemon_load_ledger(struct daemon *d)
{
        struct ledger_numbers next;

        if (ledger_sqlite_load(d->ledger, load_row, d, &next)) {
                log_error("the ledger cannot be read; see the messages above; mend the disk, or restore it");
                return EX_CONFIG;
        }
        daemon_keep_connections(d);
        leases_loaded(d->services.leases, &next);
        slots_loaded(d->services.slots, &next);
        daemon_reclaim_slots(d);
        sweeper_loaded(d->services.sweeper, &next);
        public_watch_configure(d->services.public_watch);
        return 0;
}

void daemon_tell_status(struct daemon *d)
{
        unsigned n_leases = leases_n_live(d->services.leases);
        unsigned n_waiting = leases_n_waiting(d->services.leases) + slots_n_waiting(d->services.slots);

        notify_status("serving %u lease%s, %u waiting%s%s%s%s", n_leases, n_leases == 1 ? "" : "s", n_waiting,
                      d->services.ledger_trouble ? "; " : "",
                      d->services.ledger_trouble ? d->services.ledger_trouble : "",
                      d->reload_error ? "; the old configuration is kept: " : "",
                      d->reload_error ? d->reload_error : "");
}
