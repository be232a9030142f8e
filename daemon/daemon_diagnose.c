/* SPDX-License-Identifier: MIT */
#include "daemon_diagnose.h"

#include "os/env_linux.h"
#include "pg/connection.h"
#include "server/describe.h"
#include "service/doctor.h"
#include "store/ledger_sqlite.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- the configuration ---- */

static void tell_exposed(const char *file, finding_fn *tell, void *listener)
{
        _cleanup_free_ char *what = alloc_printf("everybody may read a password in %s", file);
        _cleanup_free_ char *fix = alloc_printf("chmod o-rwx %s, or use a service of pg_service.conf", file);
        struct finding finding = {"passwords",
                                  NULL,
                                  FINDING_PROBLEM,
                                  what,
                                  "whoever has it can do to the databases what berthd can",
                                  fix};

        tell(listener, &finding);
}

void diagnose_configuration(const struct config *config, const char *reload_error, finding_fn *tell,
                            void *listener)
{
        static const struct finding hidden = {
                "passwords", NULL, FINDING_OK, "no password stands where everybody may read it", NULL, NULL};
        struct finding finding = {"configuration", NULL, FINDING_OK, NULL, NULL, NULL};
        _cleanup_free_ char *what = NULL;
        const char *exposed = config_exposed_file(config);

        if (reload_error) {
                what = alloc_string("the configuration has changed and is not in force");
                finding.level = FINDING_PROBLEM;
                finding.why = reload_error;
                finding.fix = "mend that line, then systemctl reload berthd";
        } else if (config->n_files) {
                what = alloc_printf("%s is understood%s", config->files[0],
                                    config->n_files > 1 ? ", and what conf.d has" : "");
        } else {
                what = alloc_string("there is no file of configuration; every option has its default");
        }
        finding.what = what;
        tell(listener, &finding);
        if (exposed)
                tell_exposed(exposed, tell, listener);
        else
                tell(listener, &hidden);
}

/* ---- without a daemon ---- */

struct once {
        struct config *config;
        struct event_base *base;
        struct doctor_sources sources;
        bool is_done, has_finding;
};

static void print_json_line(struct cJSON *value)
{
        _cleanup_free_ char *text = json_print(value);

        (void)puts(text);
        (void)json_free(value);
}

static void print_finding(void *owner, const struct finding *finding)
{
        struct once *once = owner;

        once->has_finding = once->has_finding || finding->level != FINDING_OK;
        print_json_line(describe_finding(finding));
}

static void on_finding(void *owner, uint64_t caller, const struct finding *finding)
{
        struct once *once = owner;

        (void)caller;
        if (finding)
                print_finding(once, finding);
        else
                once->is_done = true;
}

static void on_configuration(void *owner, finding_fn *tell, void *listener)
{
        const struct once *once = owner;

        diagnose_configuration(once->config, NULL, tell, listener);
}

static bool all_asked(const struct databases *databases)
{
        for (unsigned i = 0; i < databases_count(databases); i++)
                if (!databases_at(databases, i)->asked)
                        return false;
        return true;
}

/* Which of them are on one server has to be known first. */
static void ask(struct once *once)
{
        struct doctor *doctor = doctor_new(&once->sources, on_configuration, once, on_finding, once);

        databases_identify(once->sources.databases);
        while (!all_asked(once->sources.databases) && event_base_loop(once->base, EVLOOP_ONCE) == 0)
                continue;
        doctor_ask(doctor, 1);
        while (!once->is_done && event_base_loop(once->base, EVLOOP_ONCE) == 0)
                continue;
        (void)doctor_free(doctor);
}

static void inspect_ledger(struct once *once)
{
        const char *folder = once->config->state_dir;
        _cleanup_free_ char *what = NULL;
        struct ledger_inspection inspection;
        struct finding finding = {"ledger", NULL, FINDING_OK, NULL, NULL, NULL};
        int r = ledger_sqlite_inspect_file(folder, &inspection);

        if (r == -ENOENT) {
                what = alloc_printf("there is no ledger in %s yet", folder);
        } else if (r == -EACCES) {
                what = alloc_printf("the ledger in %s could not be looked at", folder);
                finding.level = FINDING_WARNING;
                finding.why = "only the operator group and berthd's user may read it";
                finding.fix = "run berth doctor as root";
        } else {
                doctor_tell_ledger(&inspection, r, print_finding, once);
                return;
        }
        finding.what = what;
        print_finding(once, &finding);
}

static int look(struct once *once)
{
        once->base = event_base_new();
        if (!once->base || env_linux_new(once->base, &once->sources.env) ||
            pg_new(once->base, "doctor", &once->sources.pg))
                return EX_OSERR;
        once->sources.settings = &once->config->settings;
        once->sources.databases = databases_new(once->sources.env, once->sources.pg, &once->config->settings);
        ask(once);
        inspect_ledger(once);
        (void)databases_free(once->sources.databases);
        (void)pg_free(once->sources.pg);
        (void)env_linux_free(once->sources.env);
        event_base_free(once->base);
        return once->has_finding ? 1 : EX_OK;
}

static void print_errors(struct once *once, char *errors)
{
        for (char *rest = errors, *line; (line = strsep(&rest, "\n"));) {
                struct finding finding = {"configuration",
                                          NULL,
                                          FINDING_PROBLEM,
                                          "the configuration is wrong",
                                          line,
                                          "mend that line, then systemctl restart berthd"};

                if (strstr(line, strerror(EACCES))) {
                        finding.level = FINDING_WARNING;
                        finding.what = "the configuration could not be looked at";
                        finding.fix = "run berth doctor as root";
                }
                print_finding(once, &finding);
        }
}

int diagnose_once(const struct daemon_options *options)
{
        struct once once = {.is_done = false};
        _cleanup_free_ char *errors = NULL;
        int r = EX_CONFIG;

        once.config = daemon_read_config(options, &errors);
        if (once.config)
                r = look(&once);
        else
                print_errors(&once, errors);
        (void)config_free(once.config);
        return r;
}

int diagnose_show_config(const struct daemon_options *options)
{
        struct config *config = daemon_load_config(options);

        if (!config)
                return EX_CONFIG;
        print_json_line(config_describe(config));
        (void)config_free(config);
        return EX_OK;
}
