/* SPDX-License-Identifier: MIT */
#include "daemon_internal.h"
#include "detach.h"
#include "os/env_linux.h"
#include "os/life.h"
#include "os/notify.h"
#include "pg/connection.h"
#include "server/monitor.h"
#include "startup.h"
#include "store/ledger_sqlite.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define PRUNE_EVERY_SEC 3600
/* Within TimeoutStopSec= of the unit; a drop that is cut off is claimed in the ledger, and looked up at the
 * next start. */
#define STOP_WAIT_MAX (15 * USEC_PER_SEC)

static const struct timeval status_delay = {.tv_usec = 200000}; /* several changes make one line */
static const struct timeval stop_look = {.tv_usec = 20000};

/* ---- status ---- */

static void on_status(int fd, short what, void *owner)
{
        (void)fd;
        (void)what;
        daemon_tell_status(owner);
}

void daemon_touch_status(struct daemon *d)
{
        monitor_touch(d->services.monitor);
        if (!evtimer_pending(d->on_status, NULL))
                (void)evtimer_add(d->on_status, &status_delay);
}

/* ---- the ledger ---- */

static int open_ledger(struct daemon *d)
{
        const char *folder = d->config->state_dir;
        char message[LEDGER_MESSAGE_SIZE];
        int r;

        r = startup_make_folder(folder, d->options->user ? 0700 : 0755);
        if (r) {
                log_error("cannot make the state directory %s; %s; make it, or set state_dir", folder,
                          strerror(-r));
                return EX_CONFIG;
        }
        r = ledger_sqlite_open(folder, d->options->create_ledger, &d->ledger, message);
        if (r == 0)
                return 0;
        log_error("%s", message);
        if (r == LEDGER_E_LOCKED)
                return EX_UNAVAILABLE;
        return r == LEDGER_E_IO ? EX_IOERR : EX_CONFIG;
}

/* A line of the log for what has begun or ended, and the last word for 'berth status'. */
static void tell_ledger(struct daemon *d, const struct ledger_news *news)
{
        struct services *s = &d->services;
        const bool was_writable = !s->ledger_trouble;

        if (*news->trouble && (was_writable || strcmp(s->ledger_trouble, news->trouble) != 0))
                log_error("%s", news->trouble);
        if (!*news->trouble && !was_writable)
                log_info("the ledger can be written again");
        if (*news->warning && !s->ledger_warning)
                log_warning("%s", news->warning);
        free(s->ledger_trouble);
        free(s->ledger_warning);
        s->ledger_trouble = *news->trouble ? alloc_string(news->trouble) : NULL;
        s->ledger_warning = *news->warning ? alloc_string(news->warning) : NULL;
        daemon_touch_status(d);
}

static void on_ledger(int fd, short what, void *owner)
{
        struct daemon *d = owner;
        int r = ledger_sqlite_dispatch(d->ledger);
        struct ledger_news news;

        (void)fd;
        (void)what;
        if (ledger_sqlite_news(d->ledger, &news))
                tell_ledger(d, &news);
        if (r == 0)
                return;
        /* What the last commit has written nobody knows but the file: a new daemon reads it. */
        d->exit_status = EX_SOFTWARE;
        (void)event_base_loopbreak(d->base);
}

static void on_prune(int fd, short what, void *owner)
{
        struct daemon *d = owner;
        uint64_t now = env_realtime(d->services.env);

        (void)fd;
        (void)what;
        if (now > d->settings.history)
                ledger_sqlite_prune(d->ledger, now - d->settings.history);
}

/* ---- signals ---- */

/* Whoever is sent this was stopped, for who knows how long. */
static void on_continue(int fd, short what, void *owner)
{
        struct daemon *d = owner;

        (void)fd;
        (void)what;
        sweeper_held_up(d->services.sweeper);
}

static void on_hup(int fd, short what, void *owner)
{
        struct daemon *d = owner;

        (void)fd;
        (void)what;
        if (!d->stop_until)
                daemon_reload(d);
}

/* A drop in flight is waited for, but not for ever. */
static void on_stop_look(int fd, short what, void *owner)
{
        struct daemon *d = owner;

        (void)fd;
        (void)what;
        if (sweeper_busy(d->services.sweeper) && env_boottime(d->services.env) < d->stop_until)
                (void)evtimer_add(d->on_stop_look, &stop_look);
        else
                (void)event_base_loopbreak(d->base);
}

static void on_stop(int fd, short what, void *owner)
{
        struct daemon *d = owner;
        uint64_t wait = d->settings.statement_timeout;

        (void)what;
        if (d->stop_until)
                return;
        log_info("stopping: signal=%s leases=%u", strsignal(fd), leases_n_live(d->services.leases));
        d->stop_until = env_boottime(d->services.env) + (wait < STOP_WAIT_MAX ? wait : STOP_WAIT_MAX);
        notify_stopping();
        server_stop(d->services.server);
        sweeper_stop(d->services.sweeper);
        on_stop_look(-1, 0, d);
}

/* ---- starting ---- */

static void on_watchdog(int fd, short what, void *owner)
{
        (void)fd;
        (void)what;
        (void)owner;
        notify_watchdog();
}

static struct event *every(struct daemon *d, event_callback_fn tick, uint64_t usec)
{
        struct timeval interval = {.tv_sec = (time_t)(usec / USEC_PER_SEC),
                                   .tv_usec = (suseconds_t)(usec % USEC_PER_SEC)};
        struct event *event = event_new(d->base, -1, EV_PERSIST, tick, d);

        if (!event || event_add(event, &interval))
                alloc_failed();
        return event;
}

static struct event *on_signal(struct daemon *d, int number, event_callback_fn caught)
{
        struct event *event = evsignal_new(d->base, number, caught, d);

        if (!event || event_add(event, NULL))
                alloc_failed();
        return event;
}

static void make_events(struct daemon *d)
{
        uint64_t watchdog = notify_watchdog_interval();

        d->on_term = on_signal(d, SIGTERM, on_stop);
        d->on_int = on_signal(d, SIGINT, on_stop);
        d->on_hup = on_signal(d, SIGHUP, on_hup);
        d->on_cont = on_signal(d, SIGCONT, on_continue);
        d->on_ledger = event_new(d->base, ledger_sqlite_fd(d->ledger), EV_READ | EV_PERSIST, on_ledger, d);
        d->on_status = evtimer_new(d->base, on_status, d);
        d->on_stop_look = evtimer_new(d->base, on_stop_look, d);
        if (!d->on_ledger || event_add(d->on_ledger, NULL) || !d->on_status || !d->on_stop_look)
                alloc_failed();
        d->on_prune = every(d, on_prune, PRUNE_EVERY_SEC * USEC_PER_SEC);
        if (watchdog)
                d->on_watchdog = every(d, on_watchdog, watchdog);
}

/* libpq takes PG* of the environment as defaults; pg_new has cleared all of them, and this is the only one of
 * ours. */
static int offer_password(struct daemon *d)
{
        _cleanup_free_ char *password = NULL;
        int r = startup_read_credential(d->config->password_credential, &password);

        if (r) {
                log_error("cannot read the credential %s; %s; see LoadCredential= of the unit",
                          d->config->password_credential, strerror(-r));
                return EX_CONFIG;
        }
        if (password && setenv("PGPASSWORD", password, 1))
                return EX_OSERR;
        return 0;
}

/* The label says whose connections they are, and tells those of a daemon that has died from them. */
static int make_pg(struct daemon *d)
{
        char life[NAMES_NAMESPACE_MAX + 1];
        _cleanup_free_ char *label = NULL;

        life_token(d->services.env, life);
        label = alloc_printf("%s-%s", d->options->user ? "user" : "system", life);
        return pg_new(d->base, label, &d->pg);
}

static int make_seams(struct daemon *d)
{
        int r;

        d->base = event_base_new();
        if (!d->base)
                return EX_OSERR;
        r = env_linux_new(d->base, &d->services.env);
        if (r == 0)
                r = make_pg(d);
        if (r) {
                log_error("cannot start; %s; see the unit's sandbox (ProcSubset=) and LimitNOFILE=",
                          strerror(-r));
                return EX_OSERR;
        }
        r = offer_password(d);
        return r ? r : open_ledger(d);
}

static int listen_somewhere(struct daemon *d)
{
        _cleanup_free_ char *message = NULL;
        int fd = notify_take_listener(&d->inherited), r;

        notify_inherited_done(&d->inherited);
        if (fd >= 0) {
                server_listen(d->services.server, fd);
                return 0;
        }
        if (fd != -ENOENT) {
                log_error("cannot use the socket that was handed over; %s; see the .socket unit",
                          strerror(-fd));
                return EX_CONFIG;
        }
        r = listener_open(&d->listener, d->config->socket, d->options->user, &message);
        if (r) {
                log_error("%s", message);
                return r == -EADDRINUSE ? EX_UNAVAILABLE : EX_CONFIG;
        }
        server_listen(d->services.server, d->listener.fd);
        return 0;
}

static void go_to_background(const struct daemon *d)
{
        _cleanup_free_ char *log = alloc_printf("%s/berthd.log", d->config->state_dir);

        detach_ready(log);
}

static int start(struct daemon *d)
{
        int r = notify_inherit(&d->inherited);

        if (r)
                return EX_OSERR;
        r = make_seams(d);
        if (r)
                return r;
        daemon_make_services(d);
        r = daemon_load_ledger(d);
        if (r)
                return r;
        make_events(d);
        databases_identify(d->services.databases);
        r = listen_somewhere(d);
        if (r)
                return r;
        daemon_serve_metrics(d);
        notify_ready();
        daemon_tell_status(d);
        daemon_watch_idle(d);
        on_prune(-1, 0, d);
        log_info("serving: version=%s socket=%s state_dir=%s databases=%u leases=%u", BERTH_VERSION,
                 d->listener.path ? d->listener.path : "inherited", d->config->state_dir,
                 d->settings.n_databases, leases_n_live(d->services.leases));
        if (d->options->detach)
                go_to_background(d);
        return 0;
}

/* ---- ending ---- */

static void free_events(struct daemon *d)
{
        struct event *events[] = {d->on_ledger,    d->on_term,     d->on_int,      d->on_hup,
                                  d->on_cont,      d->on_status,   d->on_watchdog, d->on_prune,
                                  d->on_stop_look, d->on_idle_look};

        for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
                if (events[i])
                        event_free(events[i]);
}

static void done(struct daemon *d)
{
        listener_remove(&d->listener);
        notify_inherited_done(&d->inherited);
        daemon_free_services(d);
        free_events(d);
        if (ledger_sqlite_close(d->ledger))
                log_error("the ledger could not be written at the end; the next start will find members that "
                          "have left");
        d->pg = pg_free(d->pg);
        d->services.env = env_linux_free(d->services.env);
        if (d->base)
                event_base_free(d->base);
        free(d->reload_error);
        free(d->services.ledger_trouble);
        free(d->services.ledger_warning);
        (void)config_free(d->config);
}

int daemon_run(const struct daemon_options *options, struct config *config)
{
        struct daemon d = {
                .options = options,
                .config = config,
                .settings = config->settings,
                .listener = {.fd = -1, .lock_fd = -1},
        };
        int r;

        (void)signal(SIGPIPE, SIG_IGN);
        (void)startup_raise_descriptors(config->max_connections);
        r = start(&d);
        if (r == 0) {
                (void)event_base_dispatch(d.base);
                r = d.exit_status;
        }
        done(&d);
        if (r == 0)
                log_info("stopped");
        return r;
}
