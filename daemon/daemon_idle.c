/* SPDX-License-Identifier: MIT */

/*
 * A daemon that was started for one user's test runs goes when nobody has needed it for a while. It looks a few
 * times in that while, so that an idle daemon is hardly ever woken.
 */

#include "daemon_internal.h"
#include "os/notify.h"
#include "util/alloc.h"
#include "util/log.h"

#include <event2/event.h>

#define LOOKS 4 /* in idle_exit */

static bool is_needed(struct daemon *d)
{
        uint64_t n_before = d->n_accepted;

        d->n_accepted = server_n_accepted(d->services.server);
        return d->n_accepted != n_before || server_n_connections(d->services.server) ||
               leases_n_live(d->services.leases) || sweeper_busy(d->services.sweeper) || d->stop_until;
}

static void on_look(int fd, short what, void *owner)
{
        struct daemon *d = owner;

        (void)fd;
        (void)what;
        if (is_needed(d)) {
                d->n_idle_looks = 0;
                return;
        }
        if (++d->n_idle_looks < LOOKS || !listener_withdraw(&d->listener))
                return;
        log_info("stopping: nobody has needed it for idle_exit=%llus",
                 (unsigned long long)(d->config->idle_exit / USEC_PER_SEC));
        notify_stopping();
        (void)event_base_loopbreak(d->base);
}

void daemon_watch_idle(struct daemon *d)
{
        uint64_t usec = d->config->idle_exit / LOOKS;
        struct timeval interval = {.tv_sec = (time_t)(usec / USEC_PER_SEC),
                                   .tv_usec = (suseconds_t)(usec % USEC_PER_SEC)};

        d->n_idle_looks = 0;
        if (!d->on_idle_look)
                d->on_idle_look = event_new(d->base, -1, EV_PERSIST, on_look, d);
        if (!d->on_idle_look)
                alloc_failed();
        (void)event_del(d->on_idle_look);
        if (usec && event_add(d->on_idle_look, &interval))
                alloc_failed();
}
