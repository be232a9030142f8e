/* SPDX-License-Identifier: MIT */
#include "startup.h"

#include "util/alloc.h"
#include "util/cleanup.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define OTHER_DESCRIPTORS 512 /* databases, the ledger, pidfds of members that have closed */

int startup_make_folder(const char *path, mode_t mode)
{
        _cleanup_free_ char *part = alloc_string(path);

        for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = '\0';
                if (mkdir(part, mode) < 0 && errno != EEXIST)
                        return -errno;
                *slash = '/';
        }
        return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

int startup_raise_descriptors(unsigned n_connections)
{
        rlim_t wanted = 2 * (rlim_t)n_connections + OTHER_DESCRIPTORS;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return -errno;
        if (limit.rlim_cur >= wanted)
                return 0;
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

int startup_find_group(const char *name, gid_t *ret)
{
        const struct group *group;

        *ret = (gid_t)-1;
        if (!*name)
                return 0;
        group = getgrnam(name);
        if (!group)
                return -ENOENT;
        *ret = group->gr_gid;
        return 0;
}

int startup_read_credential(const char *name, char **ret)
{
        const char *folder = getenv("CREDENTIALS_DIRECTORY");
        _cleanup_free_ char *path = folder && *name ? alloc_printf("%s/%s", folder, name) : NULL;
        _cleanup_free_ char *line = NULL;
        size_t size = 0;
        FILE *file;

        *ret = NULL;
        if (!path)
                return 0;
        file = fopen(path, "re");
        if (!file)
                return errno == ENOENT ? 0 : -errno;
        if (getline(&line, &size, file) > 0)
                line[strcspn(line, "\n")] = '\0';
        (void)fclose(file);
        if (line && *line)
                *ret = TAKE(line);
        return 0;
}
