/* SPDX-License-Identifier: MIT */
#include "store/holders.h"

#include "util/cleanup.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Of the WAL's index: 120 is the writer's, from 123 on those of readers (https://sqlite.org/walformat.html). */
static const struct {
        long first, last;
} bytes[] = {
        [HOLDER_WRITES] = {120, 120},
        [HOLDER_READS] = {123, 127},
};

static void fclosep(FILE **file)
{
        if (*file)
                (void)fclose(*file);
}

/* "1: POSIX  ADVISORY  WRITE 4711 fe:01:131073 120 120" */
static long holder_of(const char *line, const struct stat *st, enum holder holder)
{
        unsigned major, minor;
        unsigned long inode;
        long pid, start, end;

        if (sscanf(line, "%*d: POSIX %*s %*s %ld %x:%x:%lu %ld %ld", &pid, &major, &minor, &inode, &start,
                   &end) != 6)
                return 0;
        if (inode != st->st_ino || major != major(st->st_dev) || minor != minor(st->st_dev) ||
            pid == getpid())
                return 0;
        return start <= bytes[holder].last && end >= bytes[holder].first ? pid : 0;
}

/* To open the index, and close it again, would lose SQLite's own locks on it: the system is asked. */
static long find(const struct place *place, enum holder holder)
{
        _cleanup_(fclosep) FILE *locks = NULL;
        struct stat st;
        char line[160];
        long pid = 0;

        if (stat(place->paths[PLACE_INDEX], &st))
                return 0;
        locks = fopen("/proc/locks", "re");
        while (locks && !pid && fgets(line, sizeof(line), locks))
                pid = holder_of(line, &st, holder);
        return pid;
}

const char *holders_name(const struct place *place, enum holder holder, char text[HOLDER_SIZE])
{
        _cleanup_(fclosep) FILE *file = NULL;
        const long pid = find(place, holder);
        char path[40], name[24] = "";

        if (!pid)
                return strcpy(text, "a program that holds its lock");
        (void)snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
        file = fopen(path, "re");
        if (file && fgets(name, sizeof(name), file))
                name[strcspn(name, "\n")] = '\0';
        (void)snprintf(text, HOLDER_SIZE, *name ? "pid %ld (%s)" : "pid %ld", pid, name);
        return text;
}
