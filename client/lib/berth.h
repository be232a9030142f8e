/* SPDX-License-Identifier: MIT */
#ifndef BERTH_H
#define BERTH_H

/*
 * libberth: leases of test namespaces and DDL slots, from berthd.
 *
 * CONCEPTS
 *
 * A *namespace* is a short token that nobody else has while you hold its *lease*; the schemas, application
 * names and files of a test run carry it. A *DDL slot* is the right to build or drop a schema on a PostgreSQL
 * server; a server has few (two, unless configured otherwise), because each build fills much of its lock
 * table.
 *
 * Both are held by a *connection* to the daemon that stays open, the lifeline. There is nothing to renew and
 * nothing expires: a process may stand in a debugger for days. When the process dies, the kernel tells the
 * daemon.
 *
 *      berth_lease_request()          berth_lease_wait() or berth_lease_dispatch()
 *              |                                    |
 *              v                                    v
 *        BERTH_WAITING ----granted----> BERTH_HELD <----> BERTH_LOST      (reconnects and attaches by itself)
 *              |                            |                 |
 *              +------refused, timed out----+-----------------+-----> BERTH_ENDED   (the error says why)
 *
 * BERTH_LOST is no reason to stop: the daemon was restarted, the lease is in its ledger, and the library
 * comes back to it, with growing pauses, for as long as it takes. Do not end a test run for it.
 *
 * EVENT LOOPS. Watch berth_lease_fd() for input and sleep no longer than berth_lease_timeout(); then call
 * berth_lease_dispatch(), which never blocks. The descriptor changes when the library reconnects and is -1
 * while there is none: ask for both before every sleep. Programs without a loop use berth_lease_wait().
 *
 * ERRORS. Functions that can fail take a struct berth_error, filled when they fail and untouched otherwise.
 * It may be NULL. Functions that return int give 0 for done and -1 for failed, unless they say otherwise.
 *
 * OWNERSHIP. What a function stores through a ret_ argument is yours, to be given to the function it names.
 * Strings that accessors return belong to the object and live until its next wait, dispatch or free.
 * Arguments are copied.
 *
 * THREADS. Objects are independent of each other; one object may be used by one thread at a time. There is no
 * global state. FORK: descriptors are close-on-exec. In the child of a fork free what you inherited: that
 * closes the child's copies and does not end what the parent holds. A child that is to keep a lease alive
 * after its parent's death, as with flock(1), inherits berth_lease_fd() across exec: clear FD_CLOEXEC on a
 * duplicate, in the child. SIGNALS: none are caught or raised (no SIGPIPE). Waiting is not cut short by a
 * signal whose handler returns.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define BERTH_NAMESPACE_SIZE 33 /* a namespace and its NUL */
#define BERTH_NAME_SIZE      64 /* a schema or application name and its NUL */
#define BERTH_DURATION_SIZE  24 /* see berth_format_duration() */

/* ---- errors ---- */

struct berth_error {
        /*
         * A word to test for. From the library: NoDaemon, DeadSocket, NotPermitted, SandboxForbidsSockets,
         * PathTooLong, NotConnected, Unanswered, ConnectionLost, BadAnswer, BadArgument, NoMemory. From the
         * end of a hold: Released, Revoked. From the daemon: the last word of an io.berth or
         * org.varlink.service error (Busy, NamespaceInUse, NoSuchLease, LedgerUnavailable, PermissionDenied
         * ...), or the whole name of any other.
         */
        char code[64];
        char message[512]; /* "what; why", one line without a full stop */
        char fix[256];     /* "do this" */
        int retryable;     /* the same call may succeed later */
        int exit_code;     /* what the berth command would exit with */
};

/* ---- connections and calls: for programs that ask; leases and slots below bring their own ---- */

struct berth_connection;

/*
 * path: NULL, or a path (also "unix:PATH"). NULL means $BERTH_SOCKET, else the first of
 * $XDG_RUNTIME_DIR/berth/io.berth.lease (/run/user/UID/... if that is not set) and
 * /run/berth/io.berth.lease that answers. Waits at most two
 * seconds, and only for a daemon whose backlog is full. The caller owes berth_disconnect().
 */
int berth_connect(const char *path, struct berth_connection **ret_connection, struct berth_error *error);
/* Takes NULL. Returns NULL, so that c = berth_disconnect(c). */
struct berth_connection *berth_disconnect(struct berth_connection *connection);
/* The path that answered. */
const char *berth_connection_path(const struct berth_connection *connection);
/* To poll for input; owned by the connection. */
int berth_connection_fd(const struct berth_connection *connection);

enum { BERTH_CALL_MORE = 1 }; /* ask for a stream of replies */

/*
 * Sends a Varlink call. method: "io.berth.manage.GetStatus". parameters: a JSON object as text, or NULL.
 * Every call must be read to its end by berth_call_next() before the next one.
 */
int berth_call_start(struct berth_connection *connection, const char *method, const char *parameters,
                     int flags, struct berth_error *error);
/*
 * One reply. timeout_ms < 0: for ever. Returns 1 with the parameters as JSON text ("{}" if there are none),
 * which the caller gives to free(3); 0 if the time has passed (ask again); -1 on an error of the connection
 * or an error reply, which is the end of the call. *ret_continues: more replies follow.
 */
int berth_call_next(struct berth_connection *connection, int timeout_ms, char **ret_reply, int *ret_continues,
                    struct berth_error *error);
/* Both, for one reply; running out of time is the error Unanswered. ret_reply may be NULL. */
int berth_call(struct berth_connection *connection, const char *method, const char *parameters,
               int timeout_ms, char **ret_reply, struct berth_error *error);

/* ---- leases ---- */

enum berth_state {
        BERTH_WAITING, /* in a queue, or not answered yet */
        BERTH_HELD,
        BERTH_LOST,  /* held, and the daemon is away; the library is on its way back */
        BERTH_ENDED, /* refused, timed out, released or revoked */
};

struct berth_lease;

struct berth_lease_request {
        size_t size;            /* sizeof(struct berth_lease_request): lets the struct grow */
        const char *socket;     /* as for berth_connect() */
        const char *namespace_; /* a forced name; NULL: a fresh one */
        const char *label;      /* free text for those who look; cut at 200 bytes; NULL: none */
        const char *role;       /* "controller": the caller is pytest itself; NULL: a runner */
        int no_wait;            /* Busy at once instead of a place in the queue */
        int64_t timeout_ms;     /* Busy after this time; 0: as long as it takes */
};
#define BERTH_LEASE_REQUEST_INIT                                                                             \
        {                                                                                                    \
                .size = sizeof(struct berth_lease_request)                                                   \
        }

/* Connects and asks; returns in state BERTH_WAITING. The caller owes berth_lease_free(). */
int berth_lease_request(const struct berth_lease_request *request, struct berth_lease **ret_lease,
                        struct berth_error *error);
/*
 * Carries a lease on one more connection: what a worker or child does with BERTH_NAMESPACE and BERTH_LEASE.
 * role: NULL (the runner), "controller" (exclusive), "worker" (worker is then its xdist id) or "child". As
 * above: BERTH_WAITING.
 */
int berth_lease_attach(const char *socket, const char *namespace_, const char *secret, const char *role,
                       const char *worker, struct berth_lease **ret_lease, struct berth_error *error);

/*
 * Returns the state as soon as something has changed (also the place in the queue), or when timeout_ms have
 * passed
 * (< 0: never). With BERTH_ENDED, now and on every later call, error says why.
 */
enum berth_state berth_lease_wait(struct berth_lease *lease, int timeout_ms, struct berth_error *error);
/* The same without waiting. */
enum berth_state berth_lease_dispatch(struct berth_lease *lease, struct berth_error *error);
int berth_lease_fd(const struct berth_lease *lease);      /* -1: none at the moment */
int berth_lease_timeout(const struct berth_lease *lease); /* milliseconds, -1: none */

enum berth_state berth_lease_state(const struct berth_lease *lease);
const char *berth_lease_namespace(const struct berth_lease *lease); /* "" until granted */
const char *berth_lease_secret(const struct berth_lease *lease);    /* "" until granted. Do not log it. */
const char *berth_lease_socket(const struct berth_lease *lease);
/*
 * Variables to export the namespace under as well, with blanks between, as berthd is configured; "": none, and until
 * granted.
 */
const char *berth_lease_aliases(const struct berth_lease *lease);
int berth_lease_position(const struct berth_lease *lease);        /* 1 is next; 0: not queued */
const char *berth_lease_holders(const struct berth_lease *lease); /* "gw3 of p18… for 1.2s, …", or "" */

struct berth_release {
        size_t size;     /* sizeof(struct berth_release) */
        int exit_status; /* of the run, for the ledger; -1: none */
        int keep;        /* leave the schemas for inspection */
        int64_t keep_ms; /* for how long; 0: as the daemon is configured */
};
#define BERTH_RELEASE_INIT                                                                                   \
        {                                                                                                    \
                .size = sizeof(struct berth_release), .exit_status = -1                                      \
        }

/*
 * Ends the lease: nobody can attach any more, and its schemas are dropped in the background as soon as no
 * other connection carries it. Waits for the answer, and two seconds for a daemon that is away; failing, the
 * daemon ends the lease itself once it sees that the processes are gone. how may be NULL.
 * *ret_kept_until_usec (may be NULL): CLOCK_REALTIME, 0 without keep. The object stays, in state BERTH_ENDED.
 */
int berth_lease_release(struct berth_lease *lease, const struct berth_release *how,
                        int64_t *ret_kept_until_usec, struct berth_error *error);
/*
 * Closes the lifeline. Without a release this looks like a crash, and the schemas wait for the sweep. Takes
 * NULL, returns NULL.
 */
struct berth_lease *berth_lease_free(struct berth_lease *lease);

/* ---- DDL slots ---- */

struct berth_slot;

struct berth_slot_request {
        size_t size;                   /* sizeof(struct berth_slot_request) */
        const char *socket;            /* as for berth_connect() */
        const char *namespace_;        /* whose slot: the namespace ... */
        const char *secret;            /* ... and secret of a lease that is held */
        const char *worker;            /* xdist id; NULL: gw0 */
        const char *database;          /* the cluster: by a configured database on it, ... */
        const char *system_identifier; /* ... or by pg_control_system(); both NULL: the only one */
        int no_wait;
        int64_t timeout_ms;
};
#define BERTH_SLOT_REQUEST_INIT                                                                              \
        {                                                                                                    \
                .size = sizeof(struct berth_slot_request)                                                    \
        }

/* As berth_lease_request(). A slot that is BERTH_LOST is reserved by the daemon and claimed again by the
 * library. */
int berth_slot_request(const struct berth_slot_request *request, struct berth_slot **ret_slot,
                       struct berth_error *error);
enum berth_state berth_slot_wait(struct berth_slot *slot, int timeout_ms, struct berth_error *error);
enum berth_state berth_slot_dispatch(struct berth_slot *slot, struct berth_error *error);
int berth_slot_fd(const struct berth_slot *slot);
int berth_slot_timeout(const struct berth_slot *slot);
enum berth_state berth_slot_state(const struct berth_slot *slot);
int berth_slot_position(const struct berth_slot *slot);
const char *berth_slot_holders(const struct berth_slot *slot);
int berth_slot_number(const struct berth_slot *slot); /* 0, 1, ...; -1 until granted */
/*
 * Gives the slot back. To be preferred to freeing it while held: a closed connection looks like a death, and
 * the next in the queue then waits until the daemon has asked PostgreSQL.
 */
int berth_slot_release(struct berth_slot *slot, struct berth_error *error);
struct berth_slot *berth_slot_free(struct berth_slot *slot);

/* ---- names: no daemon needed ---- */

/* [a-z0-9]{1,32}. The error is BadName; its message quotes the rule, its fix proposes a name where there is
 * one. */
int berth_check_namespace(const char *text, struct berth_error *error);
/* An xdist worker id, [a-z][a-z0-9]{0,15}. */
int berth_check_worker(const char *text, struct berth_error *error);
/* test_{namespace}_{worker}[_{suffix}]; suffix may be NULL. More than 63 bytes is an error: PostgreSQL would
 * cut it. */
int berth_schema_name(const char *namespace_, const char *worker, const char *suffix,
                      char ret_name[BERTH_NAME_SIZE], struct berth_error *error);
/* pytest_{worker}_{namespace}[_{suffix}] */
int berth_application_name(const char *namespace_, const char *worker, const char *suffix,
                           char ret_name[BERTH_NAME_SIZE], struct berth_error *error);

/* ---- small things ---- */

/* A time as berth's messages spell it: 0.3s, 12s, 5min, 3h, 9d. Returns ret_text. */
const char *berth_format_duration(int64_t usec, char ret_text[BERTH_DURATION_SIZE]);
/* Version of the library, "0.1.0". */
const char *berth_version(void);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
