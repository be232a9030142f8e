/* SPDX-License-Identifier: MIT */

#include "client/cli/fail.h"

#include "client/cli/print.h"
#include "client/cli/progress.h"

#include "proto/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void print_error_json(const struct berth_error *error)
{
        struct cJSON *object = json_object();
        char *text = NULL;

        if (json_add_string(object, "error", error->code) &&
            json_add_string(object, "message", error->message) &&
            json_add_string(object, "fix", error->fix) &&
            json_add_bool(object, "retryable", error->retryable))
                text = json_print(object);
        (void)puts(
                text ? text
                     : "{\"error\":\"NoMemory\",\"message\":\"no memory\",\"fix\":\"\",\"retryable\":true}");
        free(text);
        json_free(object);
}

int cli_fail(const struct cli *cli, const struct berth_error *error)
{
        struct berth_error shown = *error;

        /* What the user typed is in it. */
        print_make_plain(shown.message);
        print_make_plain(shown.fix);
        progress_clear();
        if (cli->options.json)
                print_error_json(&shown);
        else
                (void)fprintf(stderr, "berth: %s; %s\n", shown.message, shown.fix);
        return shown.exit_code;
}

int cli_fail_usage(const struct cli *cli, const char *fix, const char *format, ...)
{
        struct berth_error error = {.code = "Usage", .exit_code = CLI_USAGE};
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(error.message, sizeof(error.message), format, arguments);
        va_end(arguments);
        if (fix)
                (void)snprintf(error.fix, sizeof(error.fix), "%s", fix);
        else
                (void)snprintf(error.fix, sizeof(error.fix), "see 'berth %s%s--help'",
                               cli->verb ? cli->verb->name : "", cli->verb ? " " : "");
        return cli_fail(cli, &error);
}

int cli_fail_as(const struct cli *cli, const char *code, int exit_code, const char *fix, const char *format,
                ...)
{
        struct berth_error error = {
                .exit_code = exit_code,
                .retryable = exit_code == CLI_NOT_IN_TIME || exit_code == CLI_NO_DAEMON,
        };
        va_list arguments;

        (void)snprintf(error.code, sizeof(error.code), "%s", code);
        (void)snprintf(error.fix, sizeof(error.fix), "%s", fix);
        va_start(arguments, format);
        (void)vsnprintf(error.message, sizeof(error.message), format, arguments);
        va_end(arguments);
        return cli_fail(cli, &error);
}

void cli_warn(const char *format, ...)
{
        va_list arguments;

        progress_clear();
        (void)fputs("berth: ", stderr);
        va_start(arguments, format);
        (void)vfprintf(stderr, format, arguments);
        va_end(arguments);
        (void)fputc('\n', stderr);
}
