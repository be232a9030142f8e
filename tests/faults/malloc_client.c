/* SPDX-License-Identifier: MIT */

/*
 * libberth while every allocation of a script fails, one after the other; once, and for ever from there on. Each call
 * returns an error or does what it says; nothing crashes, nothing is left behind, and no reply is made up.
 *
 * The script leases, asks, takes and gives back a slot, attaches and releases, against a daemon that always agrees.
 */

#include "oom.h"

#include "client/lib/berth.h"
#include "proto/json.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMESPACE "p42t1745178234r3af93d71"
#define SECRET    "0123456789abcdef0123456789abcdef"
#define WAIT_MSEC 20000 /* until the daemon has answered, on a busy machine */
#define STEP_MSEC 200
#define SECONDS   60

/* ---- a daemon that agrees; it has nothing but fixed texts and so no allocation ---- */

static const struct {
        const char *method, *reply;
} replies[] = {
        {".Acquire\"", "{\"parameters\":{\"state\":\"granted\",\"secret\":\"" SECRET
                       "\",\"context\":{\"namespace\":\"" NAMESPACE
                       "\",\"databases\":[\"platform\"]}},\"continues\":true}"},
        {".Attach\"", "{\"parameters\":{\"state\":\"granted\",\"context\":{\"namespace\":\"" NAMESPACE
                      "\",\"databases\":[\"platform\"]}},\"continues\":true}"},
        {".AcquireSlot\"", "{\"parameters\":{\"state\":\"granted\",\"slot\":1,\"grant\":7,\"waitedUSec\":0},"
                           "\"continues\":true}"},
        {".ReleaseSlot\"", "{\"parameters\":{\"heldUSec\":5}}"},
        {".Release\"", "{\"parameters\":{}}"},
        {".GetStatus\"",
         "{\"parameters\":{\"version\":\"1\",\"leases\":1,\"databases\":[{\"name\":\"platform\"}]}}"},
};

static void answer(int fd, const char *frame)
{
        for (size_t i = 0; i < sizeof(replies) / sizeof(*replies); i++)
                if (strstr(frame, replies[i].method) &&
                    send(fd, replies[i].reply, strlen(replies[i].reply) + 1, MSG_NOSIGNAL) < 0)
                        return;
}

static void serve(int fd)
{
        char frame[4096];
        size_t n = 0;

        while (n < sizeof(frame) && read(fd, frame + n, 1) == 1)
                if (frame[n++] == '\0') {
                        answer(fd, frame);
                        n = 0;
                }
        _exit(0);
}

static pid_t start_daemon(const char *path)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t pid;

        (void)stpcpy(address.sun_path, path);
        if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) ||
            listen(listener, 64))
                exit(2);
        pid = fork();
        if (pid)
                return pid;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)signal(SIGCHLD, SIG_IGN);
        for (;;) {
                const int fd = accept(listener, NULL, NULL);

                if (fd >= 0 && !fork())
                        serve(fd);
                (void)close(fd);
        }
}

/* ---- the script; each part returns false on an error that says what it is ---- */

static const char *socket_path;
static pid_t daemon_pid;

static void lie(const char *what)
{
        (void)printf("WRONG: %s (at allocation %ld)\n", what, oom_count());
        (void)fflush(stdout);
        _exit(1);
}

static char last_error[600] = "an end without a word";

/* Where memory has failed it may wait for ever; where not, the daemon will answer. */
static enum berth_state wait_for_lease(struct berth_lease *lease, struct berth_error *error)
{
        enum berth_state state = BERTH_WAITING;

        for (int msec = 0; msec < WAIT_MSEC && state != BERTH_HELD && state != BERTH_ENDED;
             msec += STEP_MSEC) {
                state = berth_lease_wait(lease, STEP_MSEC, error);
                if (oom_has_failed())
                        break;
        }
        return state;
}

static enum berth_state wait_for_slot(struct berth_slot *slot, struct berth_error *error)
{
        enum berth_state state = BERTH_WAITING;

        for (int msec = 0; msec < WAIT_MSEC && state != BERTH_HELD && state != BERTH_ENDED;
             msec += STEP_MSEC) {
                state = berth_slot_wait(slot, STEP_MSEC, error);
                if (oom_has_failed())
                        break;
        }
        return state;
}

/* Waiting, or lost and on its way back, says nothing: there is no memory for more. */
static bool held(enum berth_state state, const struct berth_error *error)
{
        if (state == BERTH_ENDED && !error->message[0])
                lie("an end without a word");
        return state == BERTH_HELD;
}

static bool said(const struct berth_error *error)
{
        (void)snprintf(last_error, sizeof(last_error), "fails without any help: %s", error->message);
        if (!error->message[0])
                lie("an error without a word");
        return false;
}

static bool ask_status(void)
{
        struct berth_connection *connection;
        struct berth_error error = {.message = ""};
        char *reply = NULL;
        int r = berth_connect(socket_path, &connection, &error);

        if (r)
                return said(&error);
        r = berth_call(connection, "io.berth.manage.GetStatus", "{}", WAIT_MSEC, &reply, &error);
        if (!r && !strstr(reply, "\"platform\""))
                lie("half a reply");
        free(reply);
        berth_disconnect(connection);
        return r ? said(&error) : true;
}

static bool use_slot(void)
{
        struct berth_slot_request request = BERTH_SLOT_REQUEST_INIT;
        struct berth_error error = {.message = ""};
        struct berth_slot *slot;
        bool good;

        request.socket = socket_path;
        request.namespace_ = NAMESPACE;
        request.secret = SECRET;
        request.worker = "gw3";
        if (berth_slot_request(&request, &slot, &error))
                return said(&error);
        good = held(wait_for_slot(slot, &error), &error);
        if (good && berth_slot_number(slot) != 1)
                lie("another slot than was granted");
        good = good ? !berth_slot_release(slot, &error) || said(&error) : false;
        berth_slot_free(slot);
        return good;
}

static bool attach(void)
{
        struct berth_error error = {.message = ""};
        struct berth_lease *lease;
        bool good;

        if (berth_lease_attach(socket_path, NAMESPACE, SECRET, "worker", "gw3", &lease, &error))
                return said(&error);
        good = held(wait_for_lease(lease, &error), &error);
        berth_lease_free(lease);
        return good;
}

static bool lease(void)
{
        struct berth_lease_request request = BERTH_LEASE_REQUEST_INIT;
        struct berth_release release = BERTH_RELEASE_INIT;
        struct berth_error error = {.message = ""};
        struct berth_lease *mine;
        bool good;

        request.socket = socket_path;
        request.label = "a label";
        if (berth_lease_request(&request, &mine, &error))
                return said(&error);
        good = held(wait_for_lease(mine, &error), &error);
        if (good &&
            (strcmp(berth_lease_namespace(mine), NAMESPACE) || strcmp(berth_lease_secret(mine), SECRET)))
                lie("another lease than was granted");
        good = good && use_slot() && attach();
        release.exit_status = 0;
        if (berth_lease_release(mine, &release, NULL, &error))
                good = said(&error);
        berth_lease_free(mine);
        return good;
}

static bool script(void)
{
        const bool one = ask_status(), two = lease();

        return one && two;
}

/* ---- the loop ---- */

#define AT_ONCE      32 /* without memory much is waited for */
#define DID_WELL     20 /* exit statuses of a run: an allocation failed, and the script ended so; */
#define HAS_ERRORS   21
#define NEVER_FAILED 10 /* or no allocation had that number */

static void one_run(long at, bool for_ever)
{
        const long before = oom_live();
        bool good;

        (void)alarm(SECONDS);
        oom_arm(at, for_ever);
        good = script();
        oom_disarm();
        if (!oom_has_failed() && !good)
                lie(last_error);
        if (oom_live() != before)
                lie("something is left behind");
        if (!oom_has_failed())
                _exit(NEVER_FAILED);
        _exit(good ? DID_WELL : HAS_ERRORS);
}

struct tally {
        int n_running, n_well, n_errors, n_bad;
        bool is_over;
};

static void reap(struct tally *tally)
{
        int status, code;

        while (wait(&status) == daemon_pid)
                ;
        tally->n_running--;
        code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (code == NEVER_FAILED)
                tally->is_over = true;
        else if (code == DID_WELL)
                tally->n_well++;
        else if (code == HAS_ERRORS)
                tally->n_errors++;
        else
                tally->n_bad++;
}

static int loop(bool for_ever)
{
        struct tally tally = {.is_over = false};

        for (long at = 1; !tally.is_over && !tally.n_bad; at++) {
                const pid_t pid = fork();

                if (pid < 0)
                        abort();
                if (!pid)
                        one_run(at, for_ever);
                if (++tally.n_running >= AT_ONCE)
                        reap(&tally);
        }
        while (tally.n_running)
                reap(&tally);
        (void)printf("libberth %-8s %4d points: %d errors, %d did well all the same, %d bad\n",
                     for_ever ? "for ever" : "once", tally.n_errors + tally.n_well + tally.n_bad,
                     tally.n_errors, tally.n_well, tally.n_bad);
        (void)fflush(stdout);
        return tally.n_bad;
}

int main(void)
{
        char folder[] = "/tmp/berth-malloc-XXXXXX", path[64];
        int n_bad;

        if (!mkdtemp(folder))
                return 2;
        (void)snprintf(path, sizeof(path), "%s/s", folder);
        socket_path = path;
        daemon_pid = start_daemon(path);
        json_use_allocator(oom_allocate, oom_release);
        n_bad = loop(false) + loop(true);
        (void)kill(daemon_pid, SIGKILL);
        (void)waitpid(daemon_pid, NULL, 0);
        (void)unlink(path);
        (void)rmdir(folder);
        return n_bad != 0;
}
