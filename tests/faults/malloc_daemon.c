/* SPDX-License-Identifier: MIT */

/*
 * Linked into a berthd of its own: gives SQLite and libevent allocations that can fail.
 *
 *      BERTH_FAIL_ALLOCATION=N[+]      the N-th from SIGUSR2 on fails, and with a plus all that follow; 0: none
 *
 * At the end the number of allocations goes to the file that BERTH_COUNT_ALLOCATIONS names.
 */

#include "oom.h"

#include <event2/event.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__wrap_realloc(void *old, size_t size);

#define HEADER 16 /* SQLite asks for the size of what it got */

static void *sqlite_allocate(int size)
{
        char *memory = oom_allocate((size_t)size + HEADER);

        if (!memory)
                return NULL;
        memcpy(memory, &size, sizeof(size));
        return memory + HEADER;
}

static void sqlite_release(void *memory)
{
        if (memory)
                oom_release((char *)memory - HEADER);
}

static void *sqlite_reallocate(void *memory, int size)
{
        char *other = __wrap_realloc((char *)memory - HEADER, (size_t)size + HEADER);

        if (!other)
                return NULL;
        memcpy(other, &size, sizeof(size));
        return other + HEADER;
}

static int sqlite_size(void *memory)
{
        int size;

        memcpy(&size, (char *)memory - HEADER, sizeof(size));
        return size;
}

static int round_up(int size)
{
        return (size + 7) & ~7;
}

static int begin(void *unused)
{
        (void)unused;
        return SQLITE_OK;
}

static void end(void *unused)
{
        (void)unused;
}

static void write_count(void)
{
        const char *path = getenv("BERTH_COUNT_ALLOCATIONS");
        FILE *file;

        oom_disarm();
        file = path ? fopen(path, "we") : NULL;
        if (!file)
                return;
        (void)fprintf(file, "%ld\n", oom_count());
        (void)fclose(file);
}

static void on_signal(int number)
{
        const char *which = getenv("BERTH_FAIL_ALLOCATION");

        (void)number;
        oom_arm(atol(which), strchr(which, '+') != NULL);
}

static void __attribute__((constructor)) install(void)
{
        static const sqlite3_mem_methods methods = {
                sqlite_allocate, sqlite_release, sqlite_reallocate, sqlite_size, round_up, begin, end, NULL};

        if (!getenv("BERTH_FAIL_ALLOCATION"))
                return;
        if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods))
                abort();
        event_set_mem_functions(oom_allocate, __wrap_realloc, oom_release);
        (void)atexit(write_count);
        (void)signal(SIGUSR2, on_signal);
}
