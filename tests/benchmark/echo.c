/* SPDX-License-Identifier: MIT */

/*
 * What a slot costs at least on this machine: a bare server of libevent and cJSON that answers the same
 * messages with messages of the same form, and knows nothing of leases, processes or a ledger.
 *
 *      bench_echo SOCKET [SLOTS]
 *
 * Without SLOTS every call is answered at once; with them AcquireSlot waits in one line for one of so many.
 */

#include "wire.h"

#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct peer {
        struct event *readable;
        struct evbuffer *in;
        bool holds, waits;
        TAILQ_ENTRY(peer) link; /* waiting, while it waits */
};

static struct event_base *base;
static bool has_slots;
static unsigned n_free;
static double n_grants;
static TAILQ_HEAD(, peer) waiting = TAILQ_HEAD_INITIALIZER(waiting);

static void reply(struct peer *peer, cJSON *parameters)
{
        cJSON *message = cJSON_CreateObject();
        char *text;

        cJSON_AddItemToObject(message, "parameters", parameters);
        text = cJSON_PrintUnformatted(message);
        cJSON_Delete(message);
        /* It fits into any socket's buffer, so there is no event for writing. */
        wire_send(event_get_fd(peer->readable), text, strlen(text) + 1);
        free(text);
}

static void grant(struct peer *peer)
{
        cJSON *parameters = cJSON_CreateObject();

        peer->holds = true;
        cJSON_AddStringToObject(parameters, "state", "granted");
        cJSON_AddNumberToObject(parameters, "slot", 0);
        cJSON_AddNumberToObject(parameters, "grant", ++n_grants);
        cJSON_AddNumberToObject(parameters, "waitedUSec", 0);
        reply(peer, parameters);
}

static void acquire(struct peer *peer)
{
        if (!has_slots) {
                grant(peer);
                return;
        }
        if (n_free) {
                n_free--;
                grant(peer);
                return;
        }
        peer->waits = true;
        TAILQ_INSERT_TAIL(&waiting, peer, link);
}

static void hand_on(struct peer *peer)
{
        struct peer *next = TAILQ_FIRST(&waiting);

        if (!has_slots || !peer->holds)
                return;
        peer->holds = false;
        if (!next) {
                n_free++;
                return;
        }
        TAILQ_REMOVE(&waiting, next, link);
        next->waits = false;
        grant(next);
}

static void release(struct peer *peer)
{
        cJSON *parameters = cJSON_CreateObject();

        cJSON_AddNumberToObject(parameters, "heldUSec", 12);
        reply(peer, parameters);
        hand_on(peer);
}

static void answer(struct peer *peer, const char *frame, size_t length)
{
        cJSON *message = cJSON_ParseWithLength(frame, length);
        const char *method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(message, "method"));

        if (!method)
                wire_die("no method");
        if (strcmp(method, "io.berth.lease.AcquireSlot") == 0)
                acquire(peer);
        else
                release(peer);
        cJSON_Delete(message);
}

static void end(struct peer *peer)
{
        if (peer->waits)
                TAILQ_REMOVE(&waiting, peer, link);
        hand_on(peer);
        (void)close(event_get_fd(peer->readable));
        event_free(peer->readable);
        evbuffer_free(peer->in);
        free(peer);
}

static void on_readable(evutil_socket_t fd, short what, void *owner)
{
        struct peer *peer = owner;
        struct evbuffer_ptr nul;
        char inbox[4096];
        /* evbuffer_read() would ask the kernel first how much there is: one call more, and a peer that is too easy. */
        ssize_t n = recv(fd, inbox, sizeof(inbox), 0);

        (void)what;
        if (n <= 0) {
                end(peer);
                return;
        }
        if (evbuffer_add(peer->in, inbox, (size_t)n))
                wire_die("memory");
        while ((nul = evbuffer_search(peer->in, "", 1, NULL)).pos >= 0) {
                answer(peer, (const char *)evbuffer_pullup(peer->in, nul.pos + 1), (size_t)nul.pos);
                (void)evbuffer_drain(peer->in, (size_t)nul.pos + 1);
        }
}

static void on_acceptable(evutil_socket_t listen_fd, short what, void *owner)
{
        struct peer *peer = calloc(1, sizeof(*peer));
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        (void)what;
        (void)owner;
        if (fd < 0 || !peer)
                wire_die("accept");
        peer->in = evbuffer_new();
        peer->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, peer);
        if (!peer->in || !peer->readable || event_add(peer->readable, NULL))
                wire_die("memory");
}

int main(int argc, char **argv)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct event *acceptable;

        if (argc < 2 || argc > 3 || strlen(argv[1]) >= sizeof(address.sun_path)) {
                (void)fprintf(stderr, "usage: bench_echo SOCKET [SLOTS]\n");
                return 64;
        }
        has_slots = argc == 3;
        n_free = has_slots ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
        (void)signal(SIGPIPE, SIG_IGN);
        (void)stpcpy(address.sun_path, argv[1]);
        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
            listen(fd, SOMAXCONN) < 0)
                wire_die(argv[1]);
        base = event_base_new();
        acceptable = event_new(base, fd, EV_READ | EV_PERSIST, on_acceptable, NULL);
        if (event_add(acceptable, NULL))
                wire_die("memory");
        return event_base_dispatch(base);
}
