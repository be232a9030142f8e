/* SPDX-License-Identifier: MIT */

/*
 * Clients that take and give back without a pause, one call in work on each connection:
 *
 *      bench_load slots|leases SOCKET CLIENTS MILLISECONDS [bare]
 *
 * slots: AcquireSlot and ReleaseSlot, by runs of four workers; leases: Acquire and Release. Each pair is two
 * round trips. bare: the peer knows of no leases, so none is taken before. One thread serves all clients, so
 * that one core is left to whom it measures. A line of "name value" each: pairs, seconds, and of what an
 * acquire took (microseconds) median, p99 and longest; least and most are the shares of clients, as parts of
 * an equal one.
 */

#include "wire.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define CLIENTS_MAX     1024
#define WORKERS_A_LEASE 4
#define WARM_UP_NSEC    100000000
#define EVENTS_MAX      64

struct message {
        const char *text;
        size_t size;
};

#define MESSAGE(literal)                                                                                     \
        {                                                                                                    \
                literal, sizeof(literal)                                                                     \
        }

/* What is taken, and given back. */
static const struct kind {
        const char *name;
        struct message take, give;
} kinds[] = {
        {"slots", MESSAGE("{\"method\":\"io.berth.lease.AcquireSlot\",\"parameters\":{\"worker\":\"gw0\"}}"),
         MESSAGE("{\"method\":\"io.berth.lease.ReleaseSlot\",\"parameters\":{}}")},
        {"leases",
         MESSAGE("{\"method\":\"io.berth.lease.Acquire\",\"parameters\":{\"label\":\"benchmark\"}}"),
         MESSAGE("{\"method\":\"io.berth.lease.Release\",\"parameters\":{}}")},
};

static const struct kind *kind;

static struct client {
        int fd;
        bool holds; /* it gives back now */
        uint64_t asked_nsec;
        uint64_t n_pairs;
} clients[CLIENTS_MAX];
static unsigned n_clients;

static uint64_t *waits_nsec; /* how long each acquire took */
static size_t n_waits, n_waits_allocated;

static void note_wait(uint64_t nsec)
{
        if (n_waits == n_waits_allocated) {
                n_waits_allocated = n_waits_allocated ? 2 * n_waits_allocated : 1 << 16;
                waits_nsec = realloc(waits_nsec, n_waits_allocated * sizeof(*waits_nsec));
                if (!waits_nsec)
                        wire_die("memory");
        }
        waits_nsec[n_waits++] = nsec;
}

static void take(struct client *client, uint64_t now)
{
        client->asked_nsec = now;
        wire_send(client->fd, kind->take.text, kind->take.size);
}

static void give(struct client *client)
{
        wire_send(client->fd, kind->give.text, kind->give.size);
}

/* One reply is there, or will be. False: this client is done. */
static bool go_on(struct client *client, uint64_t start, uint64_t end)
{
        static char reply[WIRE_SIZE];
        uint64_t now;

        (void)wire_receive(client->fd, reply);
        now = wire_now_nsec();
        client->holds = !client->holds;
        if (client->holds) {
                give(client);
                if (client->asked_nsec >= start && now < end)
                        note_wait(now - client->asked_nsec);
                return true;
        }
        if (now >= start && now < end)
                client->n_pairs++;
        if (now >= end)
                return false;
        take(client, now);
        return true;
}

static void run_one(uint64_t start, uint64_t end)
{
        take(&clients[0], wire_now_nsec());
        while (go_on(&clients[0], start, end))
                ;
}

static void run_many(uint64_t start, uint64_t end)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event events[EVENTS_MAX];
        unsigned left = n_clients;

        for (unsigned i = 0; i < n_clients; i++) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};

                if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
                        wire_die("epoll");
                take(&clients[i], wire_now_nsec());
        }
        while (left) {
                int n = epoll_wait(epoll, events, EVENTS_MAX, -1);

                for (int i = 0; i < n; i++)
                        left -= !go_on(events[i].data.ptr, start, end);
        }
}

static void connect_all(const char *path, bool with_leases)
{
        int fds[CLIENTS_MAX];

        for (unsigned i = 0; i < n_clients; i++)
                clients[i].fd = fds[i] = wire_connect(path);
        for (unsigned i = 0; with_leases && i < n_clients; i += WORKERS_A_LEASE)
                wire_share_lease(fds + i, n_clients - i < WORKERS_A_LEASE ? n_clients - i : WORKERS_A_LEASE);
}

static void report(double seconds)
{
        uint64_t pairs = 0, least = UINT64_MAX, most = 0;
        double equal;

        for (unsigned i = 0; i < n_clients; i++) {
                pairs += clients[i].n_pairs;
                least = clients[i].n_pairs < least ? clients[i].n_pairs : least;
                most = clients[i].n_pairs > most ? clients[i].n_pairs : most;
        }
        equal = (double)pairs / n_clients;
        (void)printf("pairs %llu\nseconds %.6f\n", (unsigned long long)pairs, seconds);
        (void)printf("median %.1f\n", (double)wire_quantile(waits_nsec, n_waits, 0.5) / 1000);
        (void)printf("p99 %.1f\n", (double)wire_quantile(waits_nsec, n_waits, 0.99) / 1000);
        (void)printf("longest %.1f\n", (double)wire_quantile(waits_nsec, n_waits, 1) / 1000);
        (void)printf("least %.4f\nmost %.4f\n", (double)least / equal, (double)most / equal);
}

int main(int argc, char **argv)
{
        uint64_t start, end;
        bool is_bare = argc == 6 && strcmp(argv[5], "bare") == 0;

        if (argc < 5 || argc > 6 || (argc == 6 && !is_bare)) {
                (void)fprintf(stderr, "usage: bench_load slots|leases SOCKET CLIENTS MILLISECONDS [bare]\n");
                return 64;
        }
        kind = strcmp(argv[1], kinds[0].name) == 0 ? &kinds[0] : &kinds[1];
        n_clients = (unsigned)strtoul(argv[3], NULL, 10);
        if (n_clients < 1 || n_clients > CLIENTS_MAX)
                wire_die("number of clients");
        connect_all(argv[2], kind == &kinds[0] && !is_bare);
        start = wire_now_nsec() + WARM_UP_NSEC;
        end = start + strtoul(argv[4], NULL, 10) * 1000000;
        (n_clients == 1 ? run_one : run_many)(start, end);
        report((double)(end - start) / 1e9);
        return 0;
}
