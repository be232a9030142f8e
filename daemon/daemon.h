/* SPDX-License-Identifier: MIT */
#pragma once

/* The composition root: makes every module, connects them, stops them in order. */

#include <stdbool.h>

struct config;

struct daemon_options {
        const char *config_path; /* NULL: the default */
        bool user;               /* the instance of one user */
        const char *socket;      /* in place of the configuration's, or NULL */
        const char *state_dir;
        bool detach;         /* detach_start has made us what we are; detach_ready is owed */
        bool create_ledger; /* an operator wants an empty one in place of one that is missing */
};

/* NULL: it is wrong, *ret_errors has a line for each reason. */
struct config *daemon_read_config(const struct daemon_options *options, char **ret_errors);
/*
 * NULL: it is wrong, and the log has every reason. What the command line says is in it. The caller gives it
 * to daemon_run, or frees it.
 */
struct config *daemon_load_config(const struct daemon_options *options);

/* Serves until it is told to stop. Takes config. Returns the exit status, of sysexits.h. */
int daemon_run(const struct daemon_options *options, struct config *config);
