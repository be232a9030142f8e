/* SPDX-License-Identifier: MIT */

#include "client/cli/environment.h"

#include "client/cli/fail.h"
#include "client/cli/report_folder.h"

#include "proto/names.h"
#include "proto/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_ALIASES   "BERTH_NAMESPACE_ENV"
#define VARIABLE_SIZE 128

extern char **environ;

/* An outer run's workers and controller are not this run's; its forced name is used up. */
static void forget_outer_run(void)
{
        static const char prefix[] = "PYTEST_XDIST_";

        (void)unsetenv("BERTH_CONTROLLER_PID");
        (void)unsetenv(BERTH_ENV_FORCE);
        for (char **variable = environ; *variable;) {
                char name[VARIABLE_SIZE];

                if (strncmp(*variable, prefix, sizeof(prefix) - 1) ||
                    strcspn(*variable, "=") >= sizeof(name)) {
                        variable++;
                        continue;
                }
                (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(*variable, "="), *variable);
                (void)unsetenv(name); /* moves the rest up */
        }
}

/* Absolute, because the command may go elsewhere. */
static void export_report_dir(void)
{
        char path[REPORT_PATH_SIZE];

        if (report_folder_path(path))
                (void)setenv(BERTH_ENV_REPORT_DIR, path, 1);
}

/* Likewise; but one may be relative because it would be too long otherwise. */
static void export_socket(const char *path)
{
        char cwd[BERTH_SOCKET_PATH_MAX + 1], absolute[BERTH_SOCKET_PATH_MAX + 1];

        if (*path != '/' && getcwd(cwd, sizeof(cwd)) &&
            snprintf(absolute, sizeof(absolute), "%s/%s", cwd, path) < (int)sizeof(absolute))
                path = absolute;
        (void)setenv(BERTH_ENV_SOCKET, path, 1);
}

/* NAME_FORCE; false: it is too long to be anybody's. */
static bool make_force(const char *name, char ret_name[VARIABLE_SIZE])
{
        return snprintf(ret_name, VARIABLE_SIZE, "%s_FORCE", name) < VARIABLE_SIZE;
}

static int export_as(struct cli *cli, const char *name, const char *namespace)
{
        char force[VARIABLE_SIZE];

        if (!names_is_alias(name))
                return cli_fail_as(cli, "BadConfiguration", CLI_CONFIGURATION,
                                   "write names of variables with commas between",
                                   "bad " ENV_ALIASES "; %s is no name of a variable, or not berth's to set",
                                   name);
        (void)setenv(name, namespace, 1);
        if (make_force(name, force))
                (void)unsetenv(force);
        return CLI_OK;
}

/* What berthd is configured to, and what the user adds. Caller frees; NULL: no memory. */
static char *list_aliases(const char *configured)
{
        const char *mine = getenv(ENV_ALIASES);
        char *list = NULL;

        return asprintf(&list, "%s,%s", configured, mine ? mine : "") < 0 ? NULL : list;
}

static int export_aliases(struct cli *cli, const char *configured, const char *namespace)
{
        char *list = list_aliases(configured), *rest = list, *name;
        int r = CLI_OK;

        while (!r && (name = strsep(&rest, ", ")))
                if (*name)
                        r = export_as(cli, name, namespace);
        free(list);
        return r;
}

const char *environment_forced(const char *configured)
{
        const char *forced = getenv(BERTH_ENV_FORCE);
        char *list = list_aliases(configured), *rest = list, *name, variable[VARIABLE_SIZE];

        while (!(forced && *forced) && (name = strsep(&rest, ", ")))
                if (*name && make_force(name, variable))
                        forced = getenv(variable);
        free(list);
        return forced && *forced ? forced : NULL;
}

int environment_export(struct cli *cli, const struct berth_lease *lease)
{
        forget_outer_run();
        (void)setenv(BERTH_ENV_NAMESPACE, berth_lease_namespace(lease), 1);
        (void)setenv(BERTH_ENV_SECRET, berth_lease_secret(lease), 1);
        export_socket(berth_lease_socket(lease));
        export_report_dir();
        return export_aliases(cli, berth_lease_aliases(lease), berth_lease_namespace(lease));
}

char *environment_command_line(char *const *argv)
{
        char *line = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&line, &size);

        if (!stream)
                return NULL;
        for (size_t i = 0; argv[i]; i++)
                (void)fprintf(stream, "%s%s", i ? " " : "", argv[i]);
        (void)fclose(stream);
        return line;
}
