/* SPDX-License-Identifier: MIT */

/*
 * Is it still there, and tell me when it ends.
 *
 * A watch holds a pidfd, opened first and compared with the identity afterwards: what passes is the process
 * meant, whatever becomes of its pid. Where no pidfd can be had for lack of descriptors or of a kernel that
 * has them, the watch looks again every second instead.
 */
#include "os/env_linux_internal.h"
#include "os/process.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define START_TOLERANCE_USEC 1000000

struct process_watch {
        struct env *env;
        struct process_id process;
        struct event *event; /* of the pidfd, or of the next look */
        int pidfd;           /* or -1 */
        process_gone_fn *gone;
        void *owner;
        uint64_t id;
};

/* With the pidfd open: is it the process meant? -ENOENT or -ESRCH: it is hidden. */
static enum process_state compare(int pidfd, const struct process_id *process)
{
        uint64_t inode = process_pidfd_inode(pidfd);
        struct process_stat stat;
        int r;

        r = process_has_ended(pidfd);
        if (r)
                return r < 0 ? PROCESS_UNKNOWN : PROCESS_GONE;
        /* It tells all alone, and /proc is the dearer one to read. */
        if (inode && process->pidfd_inode)
                return inode == process->pidfd_inode ? PROCESS_ALIVE : PROCESS_GONE;
        r = process_read_stat(process->pid, &stat);
        if (r)
                return process_has_ended(pidfd) > 0 ? PROCESS_GONE : PROCESS_UNKNOWN;
        return stat.start_ticks == process->start_ticks ? PROCESS_ALIVE : PROCESS_GONE;
}

/* *ret_pidfd stays -1 unless a descriptor could be had. */
static enum process_state look(struct env *env, const struct process_id *process, int *ret_pidfd)
{
        struct process_stat stat;
        int pidfd;

        if (process->pid <= 0)
                return PROCESS_UNKNOWN;
        if (strcmp(process->boot_id, env_linux(env)->boot_id) != 0)
                return PROCESS_GONE;
        pidfd = process_open(process->pid);
        if (pidfd >= 0) {
                *ret_pidfd = pidfd;
                return compare(pidfd, process);
        }
        /* -EINVAL: a thread has this number now, so no process has. */
        if (pidfd == -ESRCH || pidfd == -EINVAL)
                return PROCESS_GONE;
        if (process_read_stat(process->pid, &stat) == 0)
                return stat.start_ticks == process->start_ticks ? PROCESS_ALIVE : PROCESS_GONE;
        return process_exists(process->pid) == 0 ? PROCESS_GONE : PROCESS_UNKNOWN;
}

static void watch_look(struct process_watch *watch);

static void on_watch(evutil_socket_t fd, short what, void *argument)
{
        struct process_watch *watch = argument;

        (void)fd;
        if (what & EV_TIMEOUT) {
                watch_look(watch);
                return;
        }
        (void)event_del(watch->event);
        watch->gone(watch->owner, watch->id); /* may free the watch */
}

static void watch_look(struct process_watch *watch)
{
        static const struct timeval again = {.tv_sec = 1};
        enum process_state state = look(watch->env, &watch->process, &watch->pidfd);

        if (event_assign(watch->event, env_linux(watch->env)->base, watch->pidfd,
                         watch->pidfd >= 0 ? EV_READ | EV_PERSIST : 0, on_watch, watch))
                alloc_failed();
        if (state == PROCESS_GONE)
                event_active(watch->event, EV_READ, 0);
        else if (event_add(watch->event, watch->pidfd >= 0 ? NULL : &again))
                alloc_failed();
}

struct process_watch *env_linux_process_watch(struct env *env, const struct process_id *process,
                                              process_gone_fn *gone, void *owner, uint64_t id)
{
        struct process_watch *watch;

        if (process->pid <= 0)
                return NULL;
        watch = NEW(struct process_watch);
        watch->env = env;
        watch->process = *process;
        watch->pidfd = -1;
        watch->gone = gone;
        watch->owner = owner;
        watch->id = id;
        watch->event = event_new(env_linux(env)->base, -1, 0, on_watch, watch);
        if (!watch->event)
                alloc_failed();
        watch_look(watch);
        return watch;
}

void env_linux_process_unwatch(struct process_watch *watch)
{
        if (!watch)
                return;
        event_free(watch->event);
        if (watch->pidfd >= 0)
                (void)close(watch->pidfd);
        free(watch);
}

enum process_state env_linux_process_state(struct env *env, const struct process_id *process)
{
        _cleanup_close_ int pidfd = -1;

        return look(env, process, &pidfd);
}

bool env_linux_process_started_by(struct env *env, pid_t pid, uint64_t realtime_usec)
{
        const uint64_t ticks_per_second = (uint64_t)sysconf(_SC_CLK_TCK);
        _cleanup_close_ int pidfd = -1;
        struct process_stat stat;
        uint64_t started, now;

        if (pid <= 0)
                return false;
        pidfd = process_open(pid);
        if (pidfd >= 0 && process_has_ended(pidfd) > 0)
                return false; /* nobody has asked yet how it ended, but it runs no more */
        if (process_read_stat(pid, &stat))
                return process_exists(pid) != 0; /* hidden from us: take it for the one meant */
        started = stat.start_ticks / ticks_per_second * 1000000 +
                  stat.start_ticks % ticks_per_second * 1000000 / ticks_per_second;
        now = env->ops->boottime(env);
        /* How long it has run is the same on every clock; only then the wall clock is asked. */
        return env->ops->realtime(env) <=
               realtime_usec + START_TOLERANCE_USEC + (now > started ? now - started : 0);
}
