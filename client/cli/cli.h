/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The berth command: one table of verbs (verbs.c), each with its options, its help and the function that runs
 * it. Results go to stdout, all else to stderr. Every failure is one line, "berth: what; why; do this", or
 * with --json one object on stdout.
 */

#include "client/lib/berth.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* sysexits and timeout(1); berth(1) lists them */
enum {
        CLI_OK = 0,
        CLI_FAILED = 1,
        CLI_INCOMPLETE = 3, /* sweep: refused, because not every database was heard */
        CLI_USAGE = 64,
        CLI_NO_DAEMON = 69,
        CLI_NOT_IN_TIME = 75,
        CLI_NOT_PERMITTED = 77,
        CLI_CONFIGURATION = 78,
        CLI_BERTH_FAILED = 125,
        CLI_CANNOT_EXECUTE = 126,
        CLI_NOT_FOUND = 127,
};

/* What options can say, for all verbs. */
struct options {
        const char *socket;
        const char *color; /* auto, always, never */
        bool json;
        bool help;
        bool version;

        const char *namespace;
        const char *label;
        const char *worker;
        const char *database;
        const char *reason;
        const char *config;
        const char *output;
        bool svg;
        bool keep, no_wait;
        bool all, watch, dot;
        bool dry_run;
        bool application;
        bool failed, diff, junit, github;
        int64_t wait_ms, since_ms, for_ms; /* 0: not given */
        int64_t limit, last; /* 0: not given */
};

enum option_type { OPTION_FLAG, OPTION_TEXT, OPTION_DURATION, OPTION_NUMBER };

struct option_row {
        const char *name;
        char letter; /* 0: none */
        enum option_type type;
        size_t offset;        /* in struct options */
        const char *argument; /* "DURATION"; NULL: a flag */
        const char *help;
};

struct cli {
        const struct verb *verb; /* NULL while there is none */
        struct options options;
        char **operands; /* ends with NULL */
        int n_operands;
};

struct verb {
        const char *name;
        const char *summary;
        const char *usage;                /* what follows the options: "[--] COMMAND [ARGUMENT]..." */
        const char *examples;             /* lines, each with its own indent */
        const char *notes;                /* below the options; NULL: none */
        const struct option_row *options; /* ends with a row without a name; NULL: only the common ones */
        const char *schemas; /* what --json prints: files of docs/schema; NULL: nothing, it is for errors alone */
        int n_min, n_max; /* operands; n_max -1: a command and its arguments, whose options are not ours */
        int (*run)(struct cli *cli); /* gives the exit code */
};

const struct verb *verbs(size_t *ret_n);

/* cmd_*.c */
int cmd_run(struct cli *cli);
int cmd_slot(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_list(struct cli *cli);
int cmd_locks(struct cli *cli);
int cmd_sweep(struct cli *cli);
int cmd_explain(struct cli *cli);
int cmd_history(struct cli *cli);
int cmd_report(struct cli *cli);
int cmd_revoke(struct cli *cli);
int cmd_keep(struct cli *cli);
int cmd_name(struct cli *cli);
int cmd_doctor(struct cli *cli);
int cmd_config(struct cli *cli);
int cmd_metrics(struct cli *cli);
int cmd_top(struct cli *cli);
int cmd_timeline(struct cli *cli);
