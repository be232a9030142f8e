/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The daemon in files: daemon.c has the loop, from the start to the end; daemon_services.c makes the
 * services and passes the news of one to another; daemon_config.c reads the configuration, and reads it
 * again; daemon_keep.c goes on with the connections of the daemon before.
 */

#include "config.h"
#include "daemon.h"
#include "os/notify.h"
#include "server/listener.h"
#include "server/server.h"
#include "server/services.h"

struct event;
struct http;
struct event_base;
struct ledger_sqlite;
struct pg;

struct daemon {
        struct services services; /* first: what the services' events come back with is this */
        const struct daemon_options *options;
        struct config *config;
        struct settings settings; /* the copy that the services look at: its place never changes */
        struct event_base *base;
        struct pg *pg;
        struct ledger_sqlite *ledger;
        struct listener listener;
        struct http *http;
        struct inherited inherited; /* of systemd, until it is taken */
        struct lease_events lease_events;

        struct event *on_ledger, *on_term, *on_int, *on_hup, *on_cont, *on_status, *on_watchdog, *on_prune,
                *on_stop_look, *on_idle_look;
        unsigned n_idle_looks; /* so many have found nobody */
        uint64_t n_accepted;   /* connections there had been at the last one */
        char *reload_error;    /* shown until a reload succeeds */
        uint64_t stop_until;   /* boottime; 0: not stopping */
        int exit_status;
};

/* ---- daemon.c ---- */

void daemon_touch_status(struct daemon *daemon); /* its line may have changed */

/* ---- daemon_services.c ---- */

void daemon_make_services(struct daemon *daemon);
void daemon_free_services(struct daemon *daemon);
/* What was there at the last stop. 0, or an exit status. */
int daemon_load_ledger(struct daemon *daemon);
void daemon_tell_status(struct daemon *daemon);

/* ---- daemon_idle.c ---- */

void daemon_watch_idle(struct daemon *daemon); /* after the configuration has been read */

/* ---- daemon_keep.c ---- */

/* Between loading the ledger and telling the services that all of it is there. */
void daemon_keep_connections(struct daemon *daemon);
/* After that. */
void daemon_reclaim_slots(struct daemon *daemon);

/* ---- daemon_config.c ---- */

void daemon_find_limits(const struct config *config, struct server_limits *ret);
/* Serves metrics where the configuration says; that it cannot is said, and is no reason not to serve runs. */
void daemon_serve_metrics(struct daemon *daemon);
/* Reads it again; what is wrong keeps the old one, and is said in the log and in the status. */
void daemon_reload(struct daemon *daemon);
