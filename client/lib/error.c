/* SPDX-License-Identifier: MIT */

/* Errors that happen on this side. Each errno of a connect tells its story, with what to do about it. */

#include "client/lib/error.h"

#include "proto/protocol.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct kind {
        const char *code;
        int exit_code;
        bool retryable;
};

__attribute__((format(printf, 4, 5))) static int set(struct berth_error *error, const struct kind *kind,
                                                     const char *fix, const char *format, ...)
{
        va_list arguments;

        if (!error)
                return -1;
        *error = (struct berth_error){.exit_code = kind->exit_code, .retryable = kind->retryable};
        (void)snprintf(error->code, sizeof(error->code), "%s", kind->code);
        (void)snprintf(error->fix, sizeof(error->fix), "%s", fix);
        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, arguments);
        va_end(arguments);
        return -1;
}

int error_no_memory(struct berth_error *error)
{
        static const struct kind kind = {"NoMemory", EXIT_CODE_BERTH_FAILED, true};

        return set(error, &kind, "free some memory and try again", "no memory; an allocation failed");
}

int error_bad_argument(struct berth_error *error, const char *message)
{
        static const struct kind kind = {"BadArgument", EXIT_CODE_USAGE, false};

        return set(error, &kind, "see berth.h", "wrong argument; %s", message);
}

int error_path_too_long(struct berth_error *error, const char *path)
{
        static const struct kind kind = {"PathTooLong", EXIT_CODE_USAGE, false};

        return set(error, &kind, "use a shorter path, or a symbolic link to its directory",
                   "cannot connect to %.60s...; socket path too long (%zu > %d)", path, strlen(path),
                   BERTH_SOCKET_PATH_MAX);
}

static int connect_failed(struct berth_error *error, const char *path, int number)
{
        static const struct kind kind = {"NotConnected", EXIT_CODE_NO_DAEMON, true};

        return set(error, &kind, "see that berthd listens there", "cannot connect to %s; %s", path,
                   strerror(number));
}

int error_from_connect(struct berth_error *error, const char *path, bool in_socket_call, int number)
{
        static const struct kind none = {"NoDaemon", EXIT_CODE_NO_DAEMON, true};
        static const struct kind dead = {"DeadSocket", EXIT_CODE_NO_DAEMON, true};
        static const struct kind denied = {"NotPermitted", EXIT_CODE_NOT_PERMITTED, false};
        static const struct kind sandbox = {"SandboxForbidsSockets", EXIT_CODE_NOT_PERMITTED, false};
        static const struct kind busy = {"Busy", EXIT_CODE_NOT_IN_TIME, true};

        /* Sandboxes refuse the family, or the call: by seccomp EPERM or EACCES, by RestrictAddressFamilies=
         * the third. */
        if (number == EPERM || (in_socket_call && (number == EACCES || number == EAFNOSUPPORT)))
                return set(error, &sandbox, "run it outside the sandbox, or allow Unix sockets there",
                           "cannot reach %s; this sandbox forbids Unix sockets (seccomp)", path);
        switch (number) {
        case ENOENT:
        case ENOTDIR:
                return set(error, &none, "'systemctl start berthd.socket' or set BERTH_SOCKET",
                           "no socket at %s; berthd is not running", path);
        case ECONNREFUSED:
                return set(error, &dead, "restart berthd",
                           "nobody listens at %s; a dead daemon left its socket", path);
        case EACCES:
                return set(error, &denied,
                           "add the user to group berth (usermod -aG berth NAME), then log in again",
                           "no access to %s; uid %u may not use it", path, (unsigned)geteuid());
        case EAGAIN:
                return set(error, &busy, "try again", "no room at %s; berthd does not answer (backlog full)",
                           path);
        default:
                return connect_failed(error, path, number);
        }
}

int error_lost(struct berth_error *error, const char *path, int number)
{
        static const struct kind kind = {"ConnectionLost", EXIT_CODE_NO_DAEMON, true};

        return set(error, &kind, "try again; 'systemctl status berthd' tells more",
                   "connection to %s lost; %s", path, number ? strerror(number) : "berthd closed it");
}

int error_bad_answer(struct berth_error *error, const char *path, const char *why)
{
        static const struct kind kind = {"BadAnswer", EXIT_CODE_BERTH_FAILED, false};

        return set(error, &kind, "see that berthd and berth are of one version",
                   "cannot read the answer from %s; %s", path, why);
}

int error_unanswered(struct berth_error *error, const char *path, int64_t waited_ms)
{
        static const struct kind kind = {"Unanswered", EXIT_CODE_NOT_IN_TIME, true};
        char waited[BERTH_DURATION_SIZE];

        return set(error, &kind, "try again; 'systemctl status berthd' tells more",
                   "no answer from %s within %s; berthd is stopped or overloaded", path,
                   berth_format_duration(waited_ms * 1000, waited));
}

int error_bad_name(struct berth_error *error, const char *message, const char *fix)
{
        static const struct kind kind = {"BadName", EXIT_CODE_USAGE, false};

        return set(error, &kind, fix, "%s", message);
}

int error_ended(struct berth_error *error, bool revoked, const char *reason)
{
        static const struct kind released = {"Released", EXIT_CODE_FAILED, false};
        static const struct kind ended = {"Revoked", EXIT_CODE_FAILED, false};

        if (!revoked)
                return set(error, &released, "take a new one", "the hold has ended; it was released");
        return set(error, &ended, "see 'berth history'", "the hold was revoked; %s",
                   reason ? reason : "berthd gave no reason");
}
