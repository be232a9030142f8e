/* SPDX-License-Identifier: MIT */

#include "client/cli/autostart.h"

#include "client/cli/print.h"

#include "proto/protocol.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE AUTOSTART_PATH_SIZE

extern char **environ;

bool autostart_is_due(const struct cli *cli, const struct berth_error *error)
{
        const char *named = getenv(BERTH_ENV_SOCKET), *program = getenv(BERTH_ENV_DAEMON);

        if (cli->options.socket || (named && *named) || (program && !*program))
                return false;
        if (strcmp(error->code, "NoDaemon") != 0 && strcmp(error->code, "DeadSocket") != 0)
                return false;
        return access(BERTH_SYSTEM_SOCKET, F_OK) < 0 && errno == ENOENT;
}

/* ---- the program ---- */

static bool is_program(char ret[PATH_SIZE], const char *folder, size_t length, const char *name)
{
        int n = snprintf(ret, PATH_SIZE, "%.*s/%s", (int)length, folder, name);

        return n < PATH_SIZE && access(ret, X_OK) == 0;
}

static bool is_beside_us(char ret[PATH_SIZE])
{
        char self[PATH_SIZE];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        const char *slash;

        if (n <= 0)
                return false;
        self[n] = '\0';
        slash = strrchr(self, '/');
        return slash && (is_program(ret, self, (size_t)(slash - self), "berthd") ||
                         is_program(ret, self, (size_t)(slash - self), "../sbin/berthd"));
}

/* Where the sbin folders are not in a user's path. */
bool autostart_find_program(char ret[PATH_SIZE])
{
        const char *program = getenv(BERTH_ENV_DAEMON), *path = getenv("PATH");

        if (program && *program)
                return snprintf(ret, PATH_SIZE, "%s", program) < PATH_SIZE;
        if (is_beside_us(ret))
                return true;
        for (const char *at = path; at && *at; at += strspn(at, ":")) {
                size_t length = strcspn(at, ":");

                if (*at == '/' && is_program(ret, at, length, "berthd"))
                        return true;
                at += length;
        }
        return is_program(ret, "/usr/local/sbin", strlen("/usr/local/sbin"), "berthd") ||
               is_program(ret, "/usr/sbin", strlen("/usr/sbin"), "berthd");
}

/* ---- starting it ---- */

static int spawn(char *program, int messages, pid_t *ret_pid)
{
        char user[] = "--user", detach[] = "--detach";
        char *const argv[] = {program, user, detach, NULL};
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r)
                return r;
        if ((r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
            (r = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)) == 0 &&
            (r = posix_spawn_file_actions_adddup2(&actions, messages, STDERR_FILENO)) == 0)
                r = posix_spawn(ret_pid, program, &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

static int fail(struct berth_error *error, const char *why)
{
        *error = (struct berth_error){.code = "NoDaemon", .retryable = true, .exit_code = CLI_NO_DAEMON};
        (void)snprintf(error->message, sizeof(error->message),
                       "no daemon, and berthd --user could not be started; %.400s", why);
        (void)snprintf(error->fix, sizeof(error->fix),
                       "install berthd, 'systemctl start berthd.socket', or set BERTH_SOCKET");
        return -1;
}

/* The first line, without the level that journald reads. */
static const char *first_line(char *text)
{
        text[strcspn(text, "\n")] = '\0';
        if (text[0] == '<' && text[1] && text[2] == '>')
                text += 3;
        print_make_plain(text);
        return *text ? text : "it does not say why";
}

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* All of it, or as much as fits; false: the time was over before its end. */
static bool read_messages(int from, char *text, size_t size, int64_t deadline_ms)
{
        struct pollfd there = {.fd = from, .events = POLLIN};
        size_t length = 0;
        ssize_t n = 1;

        text[0] = '\0';
        while (n && length < size - 1) {
                int64_t left_ms = deadline_ms - now_ms();

                if (left_ms <= 0)
                        return false;
                if (poll(&there, 1, (int)left_ms) <= 0)
                        continue;
                n = read(from, text + length, size - 1 - length);
                if (n < 0 && errno != EINTR)
                        return true;
                length += n > 0 ? (size_t)n : 0;
                text[length] = '\0';
        }
        return true;
}

int autostart(int timeout_ms, struct berth_error *error)
{
        _cleanup_close_ int from = -1;
        char program[PATH_SIZE], text[512];
        int messages[2], status = -1, r;
        bool has_ended;
        pid_t pid;

        if (!autostart_find_program(program))
                return fail(error, "there is no berthd in PATH or /usr/sbin");
        if (pipe2(messages, O_CLOEXEC) < 0)
                return fail(error, strerror(errno));
        from = messages[0];
        r = spawn(program, messages[1], &pid);
        (void)close(messages[1]);
        if (r)
                return fail(error, strerror(r));
        has_ended = read_messages(from, text, sizeof(text), now_ms() + timeout_ms);
        /* Only the launcher: a daemon that comes up all the same serves whoever comes next. */
        if (!has_ended)
                (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return 0; /* SIGCHLD is ignored: whether it serves is for the next call to see */
        if (!has_ended)
                return fail(error, "it has not come up in time, or another one is being started; see ps");
        return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : fail(error, first_line(text));
}
