/* SPDX-License-Identifier: MIT */

/* Arguments, configuration, and the daemon. */

#include "config.h"
#include "daemon.h"
#include "detach.h"
#include "daemon_diagnose.h"
#include "proto/json.h"
#include "util/alloc.h"
#include "util/log.h"

#include <argp.h>
#include <stdlib.h>
#include <sysexits.h>

/* libc looks for this one by name: it must not be hidden as everything else is. */
__attribute__((visibility("default"))) const char *argp_program_version = "berthd " BERTH_VERSION;

enum { KEY_HELP_CONFIG = 256, KEY_CHECK_CONFIG, KEY_CREATE_LEDGER, KEY_DETACH, KEY_DIAGNOSE, KEY_SHOW_CONFIG };

static const struct argp_option argp_options[] = {
        {"config", 'c', "FILE", 0, "Read FILE, and conf.d/*.conf beside it (/etc/berth/berth.conf)", 0},
        {"user", 'u', NULL, 0, "The instance of one user: socket, ledger and configuration of their own", 0},
        {"socket", 's', "PATH", 0, "Listen there, whatever the configuration says", 0},
        {"state-dir", 'S', "PATH", 0, "Keep the ledger there, whatever the configuration says", 0},
        {"detach", KEY_DETACH, NULL, 0, "Serve in the background; return as soon as somebody serves the socket", 0},
        {"create-ledger", KEY_CREATE_LEDGER, NULL, 0, "Begin an empty ledger where the old one is missing",
         0},
        {"check-config", KEY_CHECK_CONFIG, NULL, 0, "Say what is wrong with the configuration, and exit", 0},
        {"show-config", KEY_SHOW_CONFIG, NULL, 0,
         "Print the configuration in force and where each value comes from, as JSON, and exit", 0},
        {"diagnose", KEY_DIAGNOSE, NULL, 0,
         "Look for what is wrong, without a daemon: a line of JSON for each finding; exit", 0},
        {"help-config", KEY_HELP_CONFIG, NULL, 0, "Show every option of the configuration, and exit", 0},
        {"debug", 'd', NULL, 0, "Log more", 0},
        {0},
};

struct arguments {
        struct daemon_options options;
        bool check_config, help_config, show_config, diagnose, debug;
};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
        struct arguments *arguments = state->input;

        switch (key) {
        case 'c':
                arguments->options.config_path = value;
                return 0;
        case 'u':
                arguments->options.user = true;
                return 0;
        case 's':
                arguments->options.socket = value;
                return 0;
        case 'S':
                arguments->options.state_dir = value;
                return 0;
        case 'd':
                arguments->debug = true;
                return 0;
        case KEY_DETACH:
                arguments->options.detach = true;
                return 0;
        case KEY_CREATE_LEDGER:
                arguments->options.create_ledger = true;
                return 0;
        case KEY_CHECK_CONFIG:
                arguments->check_config = true;
                return 0;
        case KEY_DIAGNOSE:
                arguments->diagnose = true;
                return 0;
        case KEY_SHOW_CONFIG:
                arguments->show_config = true;
                return 0;
        case KEY_HELP_CONFIG:
                arguments->help_config = true;
                return 0;
        case ARGP_KEY_ARG:
                argp_usage(state);
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static void *allocate(size_t size)
{
        return alloc_array(NULL, 1, size);
}

int main(int argc, char *argv[])
{
        static const struct argp argp = {
                .options = argp_options,
                .parser = parse_option,
                .doc = "Leases test namespaces, hands out DDL slots, and sweeps what crashed test runs left.",
        };
        struct arguments arguments = {.debug = false};
        struct config *config;
        int status;

        argp_err_exit_status = EX_USAGE;
        (void)argp_parse(&argp, argc, argv, 0, NULL, &arguments);
        log_find_journal();
        log_set_level(arguments.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        json_use_allocator(allocate, free);
        if (arguments.help_config) {
                config_print_help(stdout);
                return EX_OK;
        }
        if (arguments.diagnose)
                return diagnose_once(&arguments.options);
        if (arguments.show_config)
                return diagnose_show_config(&arguments.options);
        config = daemon_load_config(&arguments.options);
        if (!config)
                return EX_CONFIG;
        if (arguments.check_config) {
                (void)config_free(config);
                return EX_OK;
        }
        if (arguments.options.detach && !detach_start(config->socket, &status)) {
                (void)config_free(config);
                return status;
        }
        return daemon_run(&arguments.options, config);
}
