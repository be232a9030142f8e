/* SPDX-License-Identifier: MIT */

/*
 * Holders that all arrive at once, and each hold for a while:
 *
 *      bench_holders slots|lanes SOCKET|FOLDER HOLDERS MILLISECONDS SLOTS own|same
 *
 * slots: of berthd, each holder a run of its own. lanes: without a daemon, the usual way: a lock file for
 * each slot, and a worker takes the one that its number falls on (flock). own: workers are called gw0, gw1,
 * ...; same: all are gw0, as sixteen undistributed runs are. Prints "used PART": for what part of the time
 * until the last one has finished the slots were held.
 */

#include "wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <time.h>

#define HOLDERS_MAX 1024

static struct holder {
        pthread_t thread;
        int fd;
        char request[128];
        uint64_t from_nsec, until_nsec;
} holders[HOLDERS_MAX];

static bool is_lanes;
static struct timespec hold;
static pthread_barrier_t all_here;

static void hold_slot(struct holder *holder)
{
        static __thread char reply[WIRE_SIZE];

        wire_call(holder->fd, holder->request, reply);
        holder->from_nsec = wire_now_nsec();
        (void)nanosleep(&hold, NULL);
        holder->until_nsec = wire_now_nsec();
        wire_call(holder->fd, "{\"method\":\"io.berth.lease.ReleaseSlot\",\"parameters\":{}}", reply);
}

static void hold_lane(struct holder *holder)
{
        if (flock(holder->fd, LOCK_EX))
                wire_die("flock");
        holder->from_nsec = wire_now_nsec();
        (void)nanosleep(&hold, NULL);
        holder->until_nsec = wire_now_nsec();
        (void)flock(holder->fd, LOCK_UN);
}

static void *run(void *owner)
{
        (void)prctl(PR_SET_TIMERSLACK, 1);
        (void)pthread_barrier_wait(&all_here);
        (is_lanes ? hold_lane : hold_slot)(owner);
        return NULL;
}

static int open_lane(const char *folder, unsigned lane)
{
        char path[4096];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/lane.%u", folder, lane);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                wire_die(path);
        return fd;
}

static void prepare(struct holder *holder, const char *target, unsigned worker, unsigned n_slots)
{
        if (is_lanes) {
                holder->fd = open_lane(target, worker % n_slots);
                return;
        }
        holder->fd = wire_connect(target);
        wire_share_lease(&holder->fd, 1);
        (void)snprintf(holder->request, sizeof(holder->request),
                       "{\"method\":\"io.berth.lease.AcquireSlot\",\"parameters\":{\"worker\":\"gw%u\"}}",
                       worker);
}

int main(int argc, char **argv)
{
        unsigned n, n_slots;
        unsigned long msec;
        uint64_t start, end = 0;
        double held = 0;

        if (argc != 7) {
                (void)fprintf(stderr,
                              "usage: bench_holders slots|lanes SOCKET|FOLDER HOLDERS MILLISECONDS SLOTS "
                              "own|same\n");
                return 64;
        }
        is_lanes = strcmp(argv[1], "lanes") == 0;
        n = (unsigned)strtoul(argv[3], NULL, 10);
        msec = strtoul(argv[4], NULL, 10);
        n_slots = (unsigned)strtoul(argv[5], NULL, 10);
        if (n < 1 || n > HOLDERS_MAX || n_slots < 1)
                wire_die("number of holders or slots");
        hold = (struct timespec){.tv_sec = (time_t)(msec / 1000), .tv_nsec = (long)(msec % 1000) * 1000000};
        (void)pthread_barrier_init(&all_here, NULL, n + 1);
        for (unsigned i = 0; i < n; i++) {
                prepare(&holders[i], argv[2], strcmp(argv[6], "same") == 0 ? 0 : i, n_slots);
                if (pthread_create(&holders[i].thread, NULL, run, &holders[i]))
                        wire_die("thread");
        }
        start = wire_now_nsec();
        (void)pthread_barrier_wait(&all_here);
        for (unsigned i = 0; i < n; i++) {
                (void)pthread_join(holders[i].thread, NULL);
                held += (double)(holders[i].until_nsec - holders[i].from_nsec);
                end = holders[i].until_nsec > end ? holders[i].until_nsec : end;
        }
        (void)printf("used %.5f\n", held / n_slots / (double)(end - start));
        return 0;
}
