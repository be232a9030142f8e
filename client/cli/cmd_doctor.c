/* SPDX-License-Identifier: MIT */

/*
 * berth doctor: what this side sees, then what berthd sees. Where no daemon answers, berthd is run once to look at the
 * same things without serving.
 */

#include "client/cli/fail.h"
#include "client/cli/findings.h"
#include "client/cli/oneshot.h"
#include "client/cli/print.h"
#include "client/cli/query.h"

#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 60000 /* it asks every database, each by its deadline */

static int take(void *userdata, const struct cJSON *reply)
{
        struct doctor_session *session = userdata;

        if (json_get(reply, "check"))
                (void)json_append(session->findings, json_copy(reply));
        return CLI_OK;
}

static int ask_daemon(struct doctor_session *session)
{
        struct query query = {
                .method = "io.berth.manage.Diagnose",
                .more = true,
                .timeout_ms = ANSWER_MS,
                .waiting = "asking every database",
                .take = take,
                .userdata = session,
        };

        return query_run(session->cli, &query);
}

static void take_line(void *userdata, const char *line)
{
        struct doctor_session *session = userdata;
        char why[JSON_MESSAGE_SIZE];
        struct cJSON *finding = json_parse(line, strlen(line), why);

        if (!session->cli->options.json)
                json_edit_strings(finding, print_make_plain);
        if (json_is_object(finding))
                (void)take(session, finding);
        json_free(finding);
}

static void ask_program(struct doctor_session *session)
{
        struct berth_error error;
        char *said = NULL;
        int status;

        session->check = "program";
        if (oneshot_run(session->cli, "--diagnose", take_line, session, &status, &said, &error))
                findings_add_error(session, &error);
        else if (status != 0 && status != CLI_FAILED && status != CLI_CONFIGURATION)
                findings_add(session, FINDING_PROBLEM, "berthd --diagnose does not come to its end",
                             said ? said : "it does not say why", "type berthd --diagnose as root");
        free(said);
}

static void show(const struct cli *cli, struct cJSON *findings)
{
        struct cJSON *object;

        if (!cli->options.json) {
                findings_print(cli, findings);
                return;
        }
        object = json_object();
        (void)json_add(object, "findings", json_copy(findings));
        print_json(object);
        json_free(object);
}

int cmd_doctor(struct cli *cli)
{
        struct doctor_session session = {.cli = cli, .findings = json_array()};
        int r = findings_check_host(&session);

        if (!r && session.is_connected && !cli->options.config)
                r = ask_daemon(&session);
        else if (!r)
                ask_program(&session);
        if (!r) {
                show(cli, session.findings);
                r = findings_count(session.findings) ? CLI_FAILED : CLI_OK;
        }
        json_free(session.findings);
        return r;
}
