/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What an operator has configured, as the rules and services see it. Filled by config.c from the option table.
 * All times in microseconds.
 */

#include <stdbool.h>
#include <stdint.h>

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC  1000000ULL

struct database_setting {
        char *name;     /* as in [databases]; unique */
        char *conninfo; /* libpq keyword/value string or URI */
};

struct settings {
        unsigned ddl_slots;
        unsigned max_leases; /* 0: no bound */
        uint64_t connect_timeout;
        uint64_t lock_timeout;
        uint64_t statement_timeout;
        uint64_t start_grace;
        uint64_t unleased_grace;
        uint64_t keep_for;
        uint64_t sweep_interval;
        uint64_t history;
        bool public_watch;
        char *namespace_env; /* variables that clients export the namespace under as well, with blanks between */
        struct database_setting *databases;
        unsigned n_databases;
};
