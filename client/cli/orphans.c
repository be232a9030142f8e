/* SPDX-License-Identifier: MIT */

#include "client/cli/orphans.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TERM_MS  2000 /* from TERM to KILL */
#define KILL_MS  5000 /* from KILL to giving up */
#define PAUSE_MS 100

struct pids {
        pid_t *list;
        size_t n;
};

struct orphans {
        struct pids before; /* children we had at first */
        struct pids told;   /* have got TERM */
};

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool contains(const struct pids *pids, pid_t pid)
{
        for (size_t i = 0; i < pids->n; i++)
                if (pids->list[i] == pid)
                        return true;
        return false;
}

static void add(struct pids *pids, pid_t pid)
{
        pid_t *grown = reallocarray(pids->list, pids->n + 1, sizeof(*grown));

        if (!grown)
                return;
        pids->list = grown;
        pids->list[pids->n++] = pid;
}

static bool have_children(void)
{
        siginfo_t unused;

        return waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

/* Parent and state of a process from /proc/PID/stat:
 * "PID (any name, also with parentheses) STATE PPID ..." */
static bool is_living_child(const char *pid)
{
        char path[64], text[512], state;
        const char *after_name;
        ssize_t n;
        int fd, parent;

        (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        text[n > 0 ? n : 0] = '\0';
        after_name = strrchr(text, ')');
        return after_name && sscanf(after_name + 1, " %c %d", &state, &parent) == 2 && parent == getpid() &&
               state != 'Z' && state != 'X';
}

/* Costs a look at every process of the machine, so only where there is a child at all. */
static struct pids list_children(void)
{
        struct pids children = {.n = 0};
        struct dirent *entry;
        DIR *proc;

        if (!have_children())
                return children;
        proc = opendir("/proc");
        while (proc && (entry = readdir(proc)))
                if (isdigit((unsigned char)*entry->d_name) && is_living_child(entry->d_name))
                        add(&children, (pid_t)strtol(entry->d_name, NULL, 10));
        if (proc)
                (void)closedir(proc);
        return children;
}

struct orphans *orphans_new(void)
{
        struct orphans *orphans = calloc(1, sizeof(*orphans));

        if (orphans)
                orphans->before = list_children();
        return orphans;
}

struct orphans *orphans_free(struct orphans *orphans)
{
        if (!orphans)
                return NULL;
        free(orphans->before.list);
        free(orphans->told.list);
        free(orphans);
        return NULL;
}

/* A stopped process takes its TERM only when it goes on. */
static void end_one(struct orphans *orphans, pid_t pid, bool kill_it)
{
        if (kill_it) {
                (void)kill(pid, SIGKILL);
        } else if (!contains(&orphans->told, pid)) {
                (void)kill(pid, SIGTERM);
                (void)kill(pid, SIGCONT);
                add(&orphans->told, pid);
        }
}

/* True: somebody had died since we looked last. */
static bool reap(void)
{
        bool any = false;

        while (waitpid(-1, NULL, WNOHANG) > 0)
                any = true;
        return any;
}

/* Returns how many were seen. Not yet waited for, none of the numbers can be another process's by now. */
static size_t tell_all(struct orphans *orphans, bool kill_them)
{
        struct pids children = list_children();
        size_t n_seen = 0;

        for (size_t i = 0; i < children.n; i++) {
                if (contains(&orphans->before, children.list[i]))
                        continue;
                end_one(orphans, children.list[i], kill_them);
                n_seen++;
        }
        free(children.list);
        return n_seen;
}

/*
 * One round; returns how many are left. Careful: the list of /proc is older than the look at each of its processes, so
 * one that was forked in between is missed, and if its parent died of our TERM meanwhile, so is that. But then there is
 * somebody to be waited for.
 */
static size_t end_all(struct orphans *orphans, bool kill_them)
{
        size_t n_left;

        do {
                (void)reap();
                n_left = tell_all(orphans, kill_them);
        } while (!n_left && reap());
        return n_left;
}

/* True: somebody is in a hurry. */
static bool take_signals(int signal_fd)
{
        static const int hurries[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP};
        struct signalfd_siginfo signal;
        bool hurry = false;

        while (read(signal_fd, &signal, sizeof(signal)) == sizeof(signal))
                for (size_t i = 0; i < sizeof(hurries) / sizeof(hurries[0]); i++)
                        hurry = hurry || (int)signal.ssi_signo == hurries[i];
        return hurry;
}

bool orphans_end(struct orphans *orphans, int signal_fd)
{
        int64_t kill_at_ms = now_ms() + TERM_MS;
        struct pollfd ready = {.fd = signal_fd, .events = POLLIN};

        while (end_all(orphans, now_ms() >= kill_at_ms)) {
                int64_t left_ms = kill_at_ms - now_ms();

                if (left_ms < -KILL_MS)
                        return false;
                (void)poll(&ready, 1, left_ms > 0 && left_ms < PAUSE_MS ? (int)left_ms : PAUSE_MS);
                if (take_signals(signal_fd) && now_ms() < kill_at_ms)
                        kill_at_ms = now_ms();
        }
        return true;
}
