/* SPDX-License-Identifier: MIT */

#include "client/cli/child.h"

#include "client/cli/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELD_MAX       2
#define INHERITED_FD   64 /* above what shell scripts use */
#define FAILED_TO_EXEC 127

struct child {
        const struct child_plan *plan;
        pid_t pid;
        bool own_group;
        bool is_running;
        int wait_status;
        int signal_fd;
        sigset_t inherited_mask;
        struct sigaction inherited_chld;
};

static bool has_terminal(void)
{
        int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return false;
        (void)close(fd);
        return true;
}

/*
 * All signals come through a descriptor, but those that tell of a bug in ourselves and those we were started
 * to ignore (a blocked signal is delivered even if it is ignored).
 */
static int take_over_signals(struct child *child)
{
        static const int own[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL, SIGABRT,
                                  SIGSYS,  SIGTRAP, SIGKILL, SIGSTOP};
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigset_t mask;

        (void)sigaction(SIGCHLD, &action,
                        &child->inherited_chld); /* ignored, it would hide the command's status */
        (void)sigfillset(&mask);
        for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
                (void)sigdelset(&mask, own[i]);
        for (int signal_number = 1; signal_number < SIGRTMAX; signal_number++)
                if (!sigaction(signal_number, NULL, &action) && action.sa_handler == SIG_IGN)
                        (void)sigdelset(&mask, signal_number);
        (void)sigprocmask(SIG_BLOCK, &mask, &child->inherited_mask);
        child->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return child->signal_fd < 0 ? errno : 0;
}

static void give_back_signals(const struct child *child)
{
        (void)sigaction(SIGCHLD, &child->inherited_chld, NULL);
        (void)sigprocmask(SIG_SETMASK, &child->inherited_mask, NULL);
}

__attribute__((noreturn)) static void become_command(const struct child *child, int report_fd)
{
        sigset_t none;
        int failed;

        if (child->own_group)
                (void)setpgid(0, 0);
        give_back_signals(child);
        /* Whatever we were started with: a signal that is forwarded must arrive. */
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        if (child->plan->inherit_fd >= 0 && fcntl(child->plan->inherit_fd, F_DUPFD, INHERITED_FD) < 0)
                (void)fcntl(child->plan->inherit_fd, F_SETFD, 0);
        (void)execvp(child->plan->argv[0], child->plan->argv);
        failed = errno;
        (void)!write(report_fd, &failed, sizeof(failed));
        _exit(FAILED_TO_EXEC);
}

/* *ret_exec_errno: 0 once the command runs. */
static int start(struct child *child, int *ret_exec_errno)
{
        int ends[2], failed = 0;
        ssize_t n;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return errno;
        child->pid = fork();
        if (child->pid == 0)
                become_command(child, ends[1]);
        failed = child->pid < 0 ? errno : 0;
        (void)close(ends[1]);
        if (!failed) {
                child->is_running = true;
                if (child->own_group)
                        (void)setpgid(child->pid, child->pid); /* whoever of us is first */
                do
                        n = read(ends[0], ret_exec_errno, sizeof(*ret_exec_errno));
                while (n < 0 && errno == EINTR);
                if (n != sizeof(*ret_exec_errno))
                        *ret_exec_errno = 0;
        }
        (void)close(ends[0]);
        return failed;
}

static bool is_job_stop(int signal_number)
{
        return signal_number == SIGTSTP || signal_number == SIGTTIN || signal_number == SIGTTOU;
}

static void stop_ourselves(void)
{
        if (getpid() != 1)
                (void)raise(SIGSTOP);
}

/* The command stopped by ^Z: so do we, or the shell would not notice; and both go on together. */
static void follow_stop(const struct child *child, int wait_status)
{
        if (child->own_group || !is_job_stop(WSTOPSIG(wait_status)))
                return;
        stop_ourselves();
        (void)kill(child->pid, SIGCONT);
}

/* The command, and everything that was left to us. */
static void reap(struct child *child)
{
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
                if (pid != child->pid)
                        continue;
                if (WIFSTOPPED(status)) {
                        follow_stop(child, status);
                        continue;
                }
                child->wait_status = status;
                child->is_running = false;
        }
}

/*
 * What a process sends (SI_USER and below) only we get; a terminal signals the whole group (SI_KERNEL). But that it has
 * hung up it tells the leader of the session alone, which we are where no shell started us (xterm -e, ssh -t).
 */
static bool has_it_already(const struct child *child, const struct signalfd_siginfo *signal)
{
        bool is_leaders = signal->ssi_signo == SIGHUP && getsid(0) == getpid();

        return !child->own_group && signal->ssi_code > 0 && !is_leaders;
}

static void forward(const struct child *child, const struct signalfd_siginfo *signal)
{
        int number = (int)signal->ssi_signo;

        if (!child->is_running || has_it_already(child, signal))
                return;
        (void)kill(child->own_group ? -child->pid : child->pid, number);
        if (child->own_group && is_job_stop(number))
                stop_ourselves();
}

static void take_signals(struct child *child)
{
        struct signalfd_siginfo signal;

        while (read(child->signal_fd, &signal, sizeof(signal)) == sizeof(signal))
                if (signal.ssi_signo != SIGCHLD)
                        forward(child, &signal);
        reap(child);
}

static int add_held(const struct child_plan *plan, struct pollfd *fds)
{
        int timeout_ms = -1;

        for (size_t i = 0; i < plan->n_held; i++) {
                const struct held *held = &plan->held[i];
                int next_ms = held->timeout(held->object);

                fds[i] = (struct pollfd){.fd = held->fd(held->object), .events = POLLIN};
                if (next_ms >= 0 && (timeout_ms < 0 || next_ms < timeout_ms))
                        timeout_ms = next_ms;
        }
        return timeout_ms;
}

static void attend(struct child *child)
{
        const struct child_plan *plan = child->plan;
        struct pollfd fds[HELD_MAX + 1];
        int timeout_ms;

        while (child->is_running) {
                timeout_ms = add_held(plan, fds);
                fds[plan->n_held] = (struct pollfd){.fd = child->signal_fd, .events = POLLIN};
                (void)poll(fds, plan->n_held + 1, timeout_ms);
                take_signals(child);
                for (size_t i = 0; i < plan->n_held; i++)
                        (void)plan->held[i].dispatch(plan->held[i].object, NULL);
        }
}

int child_run(const struct child_plan *plan, struct child_end *ret_end)
{
        struct child child = {.plan = plan, .own_group = !has_terminal(), .signal_fd = -1};
        struct child_end end = {.wait_status = 0};
        struct orphans *orphans = NULL;
        int r;

        if (plan->adopt) {
                (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
                orphans = orphans_new();
        }
        r = take_over_signals(&child);
        if (!r)
                r = start(&child, &end.exec_errno);
        if (!r) {
                attend(&child);
                end.wait_status = child.wait_status;
                end.strays = orphans && !orphans_end(orphans, child.signal_fd);
                *ret_end = end;
        }
        orphans_free(orphans);
        if (child.signal_fd >= 0)
                (void)close(child.signal_fd);
        return r;
}

int child_exit_code(int wait_status)
{
        return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int child_repeat_end(int wait_status)
{
        struct rlimit no_core = {0, 0};
        sigset_t only;
        int number;

        if (WIFSIGNALED(wait_status) && getpid() != 1) {
                number = WTERMSIG(wait_status);
                (void)setrlimit(RLIMIT_CORE, &no_core); /* the command has left its own */
                (void)signal(number, SIG_DFL);
                (void)sigemptyset(&only);
                (void)sigaddset(&only, number);
                (void)sigprocmask(SIG_UNBLOCK, &only, NULL);
                (void)raise(number);
        }
        return child_exit_code(wait_status);
}
