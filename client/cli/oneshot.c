/* SPDX-License-Identifier: MIT */

#include "client/cli/oneshot.h"

#include "client/cli/autostart.h"
#include "client/cli/print.h"

#include "proto/protocol.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 5

extern char **environ;

bool oneshot_is_user(const struct cli *cli)
{
        if (cli->options.config || geteuid() == 0)
                return false;
        return access(BERTH_SYSTEM_SOCKET, F_OK) < 0 && access(BERTH_SYSTEM_CONFIG, F_OK) < 0;
}

static int fail(struct berth_error *error, const char *why)
{
        *error = (struct berth_error){.code = "NoDaemon", .retryable = true, .exit_code = CLI_NO_DAEMON};
        (void)snprintf(error->message, sizeof(error->message),
                       "no daemon answers, and berthd could not be run; %.300s", why);
        (void)snprintf(error->fix, sizeof(error->fix), "install berthd");
        return -1;
}

static int spawn(char *const *argv, int out, int said, pid_t *ret_pid)
{
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r)
                return r;
        if ((r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO)) == 0)
                r = posix_spawn(ret_pid, argv[0], &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

static void read_lines(FILE *stream, void (*take)(void *userdata, const char *line), void *userdata)
{
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (getline(&line, &size, stream) > 0) {
                line[strcspn(line, "\n")] = '\0';
                take(userdata, line);
        }
}

/* Without the level that journald reads. */
static char *first_line(FILE *stream)
{
        char *line = NULL;
        size_t size = 0;

        rewind(stream);
        if (getline(&line, &size, stream) <= 0) {
                free(line);
                return NULL;
        }
        line[strcspn(line, "\n")] = '\0';
        print_make_plain(line);
        if (line[0] == '<' && line[1] && line[2] == '>')
                memmove(line, line + 3, strlen(line + 3) + 1);
        return line;
}

/* What it logs goes to a file, so that neither of us waits for the other. */
static int run(char *const *argv, FILE *said, void (*take)(void *userdata, const char *line), void *userdata,
               int *ret_status)
{
        FILE *from;
        pid_t pid;
        int out[2], status = 0, r;

        if (pipe2(out, O_CLOEXEC) < 0)
                return errno;
        r = spawn(argv, out[1], fileno(said), &pid);
        (void)close(out[1]);
        from = r ? NULL : fdopen(out[0], "r");
        if (from) {
                read_lines(from, take, userdata);
                (void)fclose(from);
        } else {
                (void)close(out[0]);
        }
        while (!r && waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return errno;
        *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return r;
}

int oneshot_run(const struct cli *cli, const char *option, void (*take)(void *userdata, const char *line),
                void *userdata, int *ret_status, char **ret_said, struct berth_error *error)
{
        char program[AUTOSTART_PATH_SIZE];
        const char *argv[ARGUMENTS_MAX + 1] = {program, option};
        FILE *said = tmpfile();
        int r, n = 2;

        if (cli->options.config) {
                argv[n++] = "--config";
                argv[n++] = cli->options.config;
        } else if (oneshot_is_user(cli)) {
                argv[n++] = "--user";
        }
        if (!said)
                return fail(error, strerror(errno));
        if (!autostart_find_program(program)) {
                (void)fclose(said);
                return fail(error, "there is no berthd in PATH or /usr/sbin");
        }
        r = run((char *const *)argv, said, take, userdata, ret_status);
        *ret_said = first_line(said);
        (void)fclose(said);
        return r ? fail(error, strerror(r)) : 0;
}
