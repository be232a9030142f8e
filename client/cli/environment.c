/* SPDX-License-Identifier: MIT */

#include "client/cli/environment.h"

#include "client/cli/fail.h"
#include "client/cli/report_folder.h"

#include "proto/protocol.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_ALIASES "BERTH_NAMESPACE_ENV"

extern char **environ;

/* An outer run's workers and controller are not this run's; its forced name is used up. */
static void forget_outer_run(void)
{
        static const char prefix[] = "PYTEST_XDIST_";

        (void)unsetenv("BERTH_CONTROLLER_PID");
        (void)unsetenv(BERTH_ENV_FORCE);
        for (char **variable = environ; *variable;) {
                char name[128];

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

static bool is_variable(const char *name)
{
        if (!isalpha((unsigned char)*name) && *name != '_')
                return false;
        for (; *name; name++)
                if (!isalnum((unsigned char)*name) && *name != '_')
                        return false;
        return true;
}

static int export_aliases(struct cli *cli, const char *namespace)
{
        const char *aliases = getenv(ENV_ALIASES);
        char *copy = strdup(aliases ? aliases : ""), *rest = copy, *name;
        int r = CLI_OK;

        while (!r && rest && (name = strsep(&rest, ","))) {
                name += strspn(name, " ");
                name[strcspn(name, " ")] = '\0';
                if (*name && !is_variable(name))
                        r = cli_fail_as(cli, "BadConfiguration", CLI_CONFIGURATION,
                                        "write names of variables with commas between",
                                        "bad " ENV_ALIASES "; %s is no name of a variable", name);
                else if (*name)
                        (void)setenv(name, namespace, 1);
        }
        free(copy);
        return r;
}

int environment_export(struct cli *cli, const struct berth_lease *lease)
{
        forget_outer_run();
        (void)setenv(BERTH_ENV_NAMESPACE, berth_lease_namespace(lease), 1);
        (void)setenv(BERTH_ENV_SECRET, berth_lease_secret(lease), 1);
        (void)setenv(BERTH_ENV_SOCKET, berth_lease_socket(lease), 1);
        export_report_dir();
        return export_aliases(cli, berth_lease_namespace(lease));
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
