/* SPDX-License-Identifier: MIT */
#include "config_options.h"
#include "daemon_internal.h"
#include "os/notify.h"
#include "proto/json.h"
#include "server/http.h"
#include "server/monitor.h"
#include "startup.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <stdlib.h>
#include <string.h>

static void log_lines(const char *lines)
{
        for (const char *at = lines; *at; at += strspn(at, "\n")) {
                size_t length = strcspn(at, "\n");

                log_error("%.*s", (int)length, at);
                at += length;
        }
}

static void override(struct config *config, const char *name, char **field, const char *value)
{
        if (!value)
                return;
        free(*field);
        *field = alloc_string(value);
        config_note(config, name, value, NULL, 0);
}

struct config *daemon_read_config(const struct daemon_options *options, char **ret_errors)
{
        struct config *config = config_load(options->config_path, options->user, ret_errors);

        if (config) {
                override(config, "socket", &config->socket, options->socket);
                override(config, "state_dir", &config->state_dir, options->state_dir);
        }
        return config;
}

struct config *daemon_load_config(const struct daemon_options *options)
{
        _cleanup_free_ char *errors = NULL;
        struct config *config = daemon_read_config(options, &errors);

        if (!config)
                log_lines(errors);
        return config;
}

void daemon_find_limits(const struct config *config, struct server_limits *ret)
{
        ret->max_connections = config->max_connections;
        ret->max_connections_per_uid = config->max_connections_per_uid;
        if (startup_find_group(config->operator_group, &ret->operator_gid))
                log_warning("there is no group %s any more; it has no operators", config->operator_group);
}

void daemon_serve_metrics(struct daemon *d)
{
        _cleanup_free_ char *message = NULL;

        if (http_listen(d->http, d->config->metrics_listen, d->options->user, &message))
                log_error("metrics are not served: %s", message);
        else if (*d->config->metrics_listen)
                log_info("metrics served: address=%s", d->config->metrics_listen);
}

static void apply_config(struct daemon *d, struct config *config)
{
        struct config *old = d->config;
        const char *restart = config_needs_restart(old, config);
        struct server_limits limits;

        if (restart)
                log_warning("configuration: %s has changed; that needs a restart", restart);
        d->config = config;
        d->settings = config->settings;
        daemon_find_limits(config, &limits);
        (void)startup_raise_descriptors(config->max_connections);
        databases_configure(d->services.databases, &d->settings);
        leases_configure(d->services.leases, &d->settings);
        slots_configure(d->services.slots, &d->settings);
        sweeper_configure(d->services.sweeper, &d->settings);
        public_watch_configure(d->services.public_watch);
        server_configure(d->services.server, &limits);
        databases_identify(d->services.databases);
        daemon_watch_idle(d);
        monitor_touch(d->services.monitor);
        if (strcmp(old->metrics_listen, config->metrics_listen) != 0 || !http_is_listening(d->http))
                daemon_serve_metrics(d);
        (void)json_free(d->services.configuration);
        d->services.configuration = config_describe(config);
        (void)config_free(old);
        log_info("configuration read again: databases=%u", d->settings.n_databases);
}

void daemon_reload(struct daemon *d)
{
        _cleanup_free_ char *errors = NULL;
        struct config *config;

        notify_reloading();
        config = daemon_read_config(d->options, &errors);
        free(d->reload_error);
        d->reload_error = NULL;
        if (config) {
                apply_config(d, config);
        } else {
                log_lines(errors);
                log_error("configuration not replaced: the old one is kept");
                d->reload_error = alloc_printf("%.*s", (int)strcspn(errors, "\n"), errors);
        }
        notify_ready();
        daemon_tell_status(d);
}
