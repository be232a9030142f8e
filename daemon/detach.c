/* SPDX-License-Identifier: MIT */
#include "detach.h"

#include "startup.h"
#include "util/alloc.h"
#include "util/cleanup.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define TRIES         100
#define PAUSE_MSEC    100
#define FIRST_FD      3
#define MESSAGE_BYTES 4096 /* of what a daemon that did not come up has said */
#define READY         '+'
#define NOT_INHERITED (-1)

/* Of the daemon, until it is ready: the launcher's lock, and where it waits for the word. */
static int start_lock = NOT_INHERITED, ready_pipe = NOT_INHERITED;

static bool is_served(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
                return false;
        (void)stpcpy(address.sun_path, path);
        /* A full backlog is somebody's. */
        return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
}

/* The lock, or -errno. */
static int take_turn(const char *socket_path)
{
        _cleanup_free_ char *copy = alloc_string(socket_path);
        _cleanup_free_ char *path = alloc_printf("%s.start", socket_path);
        int r = startup_make_folder(dirname(copy), 0700), fd;

        if (r)
                return r;
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        do
                r = flock(fd, LOCK_EX) < 0 ? -errno : 0;
        while (r == -EINTR);
        if (r == 0)
                return fd;
        (void)close(fd);
        return r;
}

static bool become_daemon(int lock, int ready, int messages)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)setsid();
        (void)umask(077);
        if (chdir("/") < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
            dup2(messages, STDERR_FILENO) < 0)
                _exit(EX_OSERR);
        (void)close(null);
        (void)close(messages);
        start_lock = lock;
        ready_pipe = ready;
        return true;
}

/* 0 if it serves, else its exit status, and what it said. */
static int wait_for(pid_t child, int ready, int messages, char ret_text[MESSAGE_BYTES])
{
        size_t length = 0;
        ssize_t n;
        char word = 0;
        int status;

        do
                n = read(ready, &word, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1 && word == READY)
                return EX_OK;
        while ((n = read(messages, ret_text + length, MESSAGE_BYTES - 1 - length)) > 0 ||
               (n < 0 && errno == EINTR))
                if (n > 0)
                        length += (size_t)n;
        ret_text[length] = '\0';
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return EX_OSERR;
        return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
}

/* true: we are the child. */
static bool launch(int lock, int *ret_status, char ret_text[MESSAGE_BYTES])
{
        int ready[2], messages[2];
        pid_t child;

        if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(messages, O_CLOEXEC) < 0)
                return (*ret_status = EX_OSERR, false);
        child = fork();
        if (child == 0) {
                (void)close(ready[0]);
                (void)close(messages[0]);
                return become_daemon(lock, ready[1], messages[1]);
        }
        (void)close(ready[1]);
        (void)close(messages[1]);
        *ret_status = child < 0 ? EX_OSERR : wait_for(child, ready[0], messages[0], ret_text);
        (void)close(ready[0]);
        (void)close(messages[0]);
        return false;
}

bool detach_start(const char *socket_path, int *ret_exit_status)
{
        char text[MESSAGE_BYTES] = "";
        int lock;

        (void)close_range(FIRST_FD, ~0U, 0);
        lock = take_turn(socket_path);
        if (lock < 0) {
                log_error("cannot lock %s.start; %s; set XDG_RUNTIME_DIR to a folder of your own",
                          socket_path, strerror(-lock));
                *ret_exit_status = EX_CANTCREAT;
                return false;
        }
        for (unsigned i = 0; i < TRIES; i++) {
                *ret_exit_status = EX_OK;
                if (is_served(socket_path) || launch(lock, ret_exit_status, text))
                        break;
                /* Somebody who was not started by a launcher has a lock: it will answer, or end, soon. */
                if (*ret_exit_status != EX_UNAVAILABLE)
                        break;
                (void)poll(NULL, 0, PAUSE_MSEC);
        }
        if (ready_pipe != NOT_INHERITED)
                return true;
        if (*ret_exit_status)
                (void)fputs(text, stderr);
        (void)close(lock);
        return false;
}

void detach_ready(const char *log_path)
{
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        const char word = READY;

        if (log >= 0) {
                (void)dup2(log, STDERR_FILENO);
                (void)close(log);
        } else {
                log_warning("cannot write %s; %s; messages are lost", log_path, strerror(errno));
                (void)dup2(STDOUT_FILENO, STDERR_FILENO);
        }
        if (write(ready_pipe, &word, 1) < 0)
                log_info("the launcher has not waited");
        (void)close(ready_pipe);
        (void)close(start_lock);
        ready_pipe = start_lock = NOT_INHERITED;
}
