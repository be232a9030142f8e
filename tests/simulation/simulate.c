/* SPDX-License-Identifier: MIT */
/*
 * simulate [--seed S] [--schedules N] [--verbose] [--all]
 *
 * Runs N seeded schedules, seeds S, S + 1, ... The first violation ends it with status 1 and says how to see
 * it again; with --all it goes on and counts them.
 */
#include "sim.h"
#include "sqlite_memory.h"

#include "util/log.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu_seconds(void)
{
        return (double)clock() / CLOCKS_PER_SEC;
}

static void summarize(uint64_t n, const struct counts *c, double seconds)
{
#define U(x) ((unsigned long long)(x))
        printf("%llu schedules in %.1f s CPU (%.0f/s): %llu leases, %llu attaches, %llu slots, %llu builds, "
               "%llu refusals, "
               "%llu crashed runs, %llu revoked, %llu sweeps (%llu incomplete), %llu drops, %llu faults, "
               "%llu restarts, %llu writes into public told, "
               "%llu events\n",
               U(n), seconds, seconds > 0 ? (double)n / seconds : 0, U(c->leases), U(c->attaches),
               U(c->slots), U(c->builds), U(c->refused), U(c->crashes), U(c->revoked), U(c->sweeps),
               U(c->incomplete), U(c->drops), U(c->faults), U(c->restarts), U(c->public_writes), U(c->events));
#undef U
}

int main(int argc, char **argv)
{
        static const struct option options[] = {
                {"seed", required_argument, NULL, 's'},
                {"schedules", required_argument, NULL, 'n'},
                {"all", no_argument, NULL, 'a'},
                {"verbose", no_argument, NULL, 'v'},
                {NULL, 0, NULL, 0},
        };
        uint64_t seed = 1, n_schedules = 1000, n;
        struct counts counts = {0};
        bool verbose = false, all = false;
        unsigned n_violations = 0;
        int option;

        while ((option = getopt_long(argc, argv, "s:n:av", options, NULL)) != -1) {
                if (option == 's')
                        seed = strtoull(optarg, NULL, 0);
                else if (option == 'n')
                        n_schedules = strtoull(optarg, NULL, 0);
                else if (option == 'a')
                        all = true;
                else if (option == 'v')
                        verbose = true;
                else
                        return 64;
        }
        sqlite_memory_use_libc();
        (void)setvbuf(stdout, NULL, _IOLBF, 0); /* whatever ends this process, what was said stays said */
        log_set_level(verbose ? LOG_LEVEL_DEBUG : (enum log_level)0);
        printf("base seed %llu\n", (unsigned long long)seed);
        for (n = 0; n < n_schedules && (all || !n_violations); n++) {
                if (sim_run(seed + n, verbose, &counts))
                        continue;
                n_violations++;
                printf("to see it again: %s --seed %llu --schedules 1 --verbose\n", argv[0],
                       (unsigned long long)(seed + n));
        }
        summarize(n, &counts, cpu_seconds());
        if (n_violations)
                printf("%u schedules with a violation\n", n_violations);
        return n_violations != 0;
}
