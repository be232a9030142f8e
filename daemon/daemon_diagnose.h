/* SPDX-License-Identifier: MIT */
#pragma once

/* What a daemon says of itself when asked for its health, and the same without one: berthd --diagnose, --show-config. */

#include "config.h"
#include "daemon.h"
#include "service/finding.h"

/* reload_error: why the file could not be read again, or NULL. */
void diagnose_configuration(const struct config *config, const char *reload_error, finding_fn *tell,
                            void *listener);

/* Each prints JSON to stdout and returns the exit status; the log has no part of it. */
int diagnose_once(const struct daemon_options *options);
int diagnose_show_config(const struct daemon_options *options);
