/* SPDX-License-Identifier: MIT */

#include "client/cli/findings.h"

#include "client/cli/print.h"

#include "proto/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
        const char *level;
        enum print_color color;
} levels[] = {
        [FINDING_OK] = {"ok", PRINT_FAINT},
        [FINDING_WARNING] = {"warning", PRINT_WARNING},
        [FINDING_PROBLEM] = {"problem", PRINT_BAD},
};

void findings_add(struct doctor_session *session, enum finding_level level, const char *what, const char *why,
                  const char *fix)
{
        struct cJSON *object = json_object();

        (void)json_add_string(object, "check", session->check);
        (void)json_add_string(object, "level", levels[level].level);
        (void)json_add_string(object, "what", what);
        (void)json_add_string(object, "why", why);
        (void)json_add_string(object, "fix", fix);
        (void)json_append(session->findings, object);
}

void findings_add_error(struct doctor_session *session, const struct berth_error *error)
{
        char what[sizeof(error->message)], *why;

        (void)snprintf(what, sizeof(what), "%s", error->message);
        why = strstr(what, "; ");
        if (why) {
                *why = '\0';
                why += 2;
        }
        findings_add(session, FINDING_PROBLEM, what, why ? why : "berth cannot go on", error->fix);
}

static enum finding_level level_of(const struct cJSON *finding)
{
        const char *level = json_get_string(finding, "level");

        for (size_t i = 0; level && i < sizeof(levels) / sizeof(levels[0]); i++)
                if (!strcmp(levels[i].level, level))
                        return (enum finding_level)i;
        return FINDING_PROBLEM;
}

int findings_count(const struct cJSON *findings)
{
        int n = 0;

        for (const struct cJSON *finding = json_first(findings); finding; finding = json_next(finding))
                n += level_of(finding) != FINDING_OK;
        return n;
}

static const char *text_of(const struct cJSON *finding, const char *name)
{
        const char *text = json_get_string(finding, name);

        return text ? text : "";
}

/* "problem: what; why; what to type" */
static void print_bad(const struct cli *cli, const struct cJSON *findings, enum finding_level level)
{
        for (const struct cJSON *finding = json_first(findings); finding; finding = json_next(finding))
                if (level_of(finding) == level)
                        (void)printf("%s%s%s: %s; %s; %s\n", print_start(cli, levels[level].color),
                                     levels[level].level, print_stop(cli), text_of(finding, "what"),
                                     text_of(finding, "why"), text_of(finding, "fix"));
}

static bool is_of(const struct cJSON *finding, const char *check)
{
        return level_of(finding) == FINDING_OK && !strcmp(text_of(finding, "check"), check);
}

/* "ok: reachable: platform, tenant1" where databases have been looked at one by one, else what it says. */
static void print_well(const struct cli *cli, const struct cJSON *first)
{
        const char *check = text_of(first, "check"), *database = json_get_string(first, "database");
        char line[1000], *cut;
        int n = snprintf(line, sizeof(line), "ok: %s", database ? check : text_of(first, "what"));
        const char *separator = ": ";

        for (const struct cJSON *finding = first; database && finding; finding = json_next(finding)) {
                if (!is_of(finding, check) || n < 0 || n >= (int)sizeof(line))
                        continue;
                n += snprintf(line + n, sizeof(line) - (size_t)n, "%s%s", separator,
                              text_of(finding, "database"));
                separator = ", ";
        }
        cut = print_cut(line, print_width());
        (void)printf("%s%s%s\n", print_start(cli, PRINT_FAINT), cut ? cut : line, print_stop(cli));
        free(cut);
}

static bool was_printed(const struct cJSON *findings, const struct cJSON *finding)
{
        for (const struct cJSON *before = json_first(findings); before != finding; before = json_next(before))
                if (json_get_string(finding, "database") && is_of(before, text_of(finding, "check")))
                        return true;
        return false;
}

void findings_print(const struct cli *cli, const struct cJSON *findings)
{
        int n = findings_count(findings);

        print_bad(cli, findings, FINDING_PROBLEM);
        print_bad(cli, findings, FINDING_WARNING);
        for (const struct cJSON *finding = json_first(findings); finding; finding = json_next(finding))
                if (level_of(finding) == FINDING_OK && !was_printed(findings, finding))
                        print_well(cli, finding);
        (void)printf("%s%d finding%s%s\n", print_start(cli, n ? PRINT_BAD : PRINT_GOOD), n, n == 1 ? "" : "s",
                     print_stop(cli));
}
