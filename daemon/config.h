/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The configuration: one table of options (config_options.c) gives the names, the defaults, the checks and
 * berthd --help-config; the file reader (config.c) gives every error its file and line.
 *
 *      /etc/berth/berth.conf, then conf.d/ *.conf beside it in order of name; a later file wins
 *      user instance: $XDG_CONFIG_HOME/berth/berth.conf in place of the first
 */

#include "core/settings.h"

#include <stdbool.h>
#include <stdio.h>

/* Where a value was set. */
struct config_origin {
        char *text; /* as it was written; NULL: nowhere, it is as in the table */
        char *file; /* NULL: by the command line */
        unsigned line;
        bool is_standard; /* text is the default of a user's own instance */
};

struct config {
        struct config_origin *origins;          /* of the options, by their place in the table */
        struct config_origin *database_origins; /* by their place in the settings */
        char **files;                           /* that were read, in that order */
        unsigned n_files;
        struct settings settings;
        char *socket;
        char *state_dir;
        char *operator_group; /* "": none */
        char *password_credential;
        char *metrics_listen; /* "": nowhere */
        uint64_t idle_exit;   /* 0: never */
        unsigned max_connections;
        unsigned max_connections_per_uid;
};

/*
 * path NULL: the default, which need not exist; a file that was named must. user: the instance of one user.
 * NULL: *ret_errors has one line "file:line: message" for each thing that is wrong; the caller frees it.
 */
struct config *config_load(const char *path, bool user, char **ret_errors);
struct config *config_free(struct config *config);

static inline void config_freep(struct config **config)
{
        config_free(*config);
}

/* What a running daemon cannot take over from a new file; NULL: nothing. */
const char *config_needs_restart(const struct config *old, const struct config *new);
void config_print_help(FILE *out);

/* As io.berth.manage.GetConfiguration replies it; no passwords. The caller owns it. */
struct cJSON *config_describe(const struct config *config);
/* The first file that holds a password and may be read by everybody, or NULL. */
const char *config_exposed_file(const struct config *config);
