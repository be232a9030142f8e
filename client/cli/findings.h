/* SPDX-License-Identifier: MIT */
#pragma once

/* The checks of berth doctor that need no daemon, and how findings are shown. A finding is an object as
 * io.berth.manage.Diagnose replies it. */

#include "client/cli/cli.h"

struct cJSON;

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_PROBLEM };

struct doctor_session {
        struct cli *cli;
        struct cJSON *findings; /* an array */
        const char *check;      /* the row that runs */
        bool is_connected;
        char path[128]; /* of the socket that answered, or should */
};

/* what, why and fix; the last two NULL where all is well */
void findings_add(struct doctor_session *session, enum finding_level level, const char *what, const char *why,
                  const char *fix);
/* "what; why" as messages of errors have it. */
void findings_add_error(struct doctor_session *session, const struct berth_error *error);

/* Every check of the table, in order. 0, or an exit code: something has failed and is told. */
int findings_check_host(struct doctor_session *session);

/* How many are not ok. */
int findings_count(const struct cJSON *findings);
void findings_print(const struct cli *cli, const struct cJSON *findings);
