/* SPDX-License-Identifier: MIT */

#include "client/cli/report_folder.h"

#include "proto/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_FOLDER_MODE 0700

static bool fits(int length)
{
        return length > 0 && length < REPORT_PATH_SIZE;
}

/* The command may go to another folder before it writes. */
static bool make_absolute(const char *path, char ret_path[REPORT_PATH_SIZE])
{
        char here[REPORT_PATH_SIZE];

        if (*path == '/')
                return fits(snprintf(ret_path, REPORT_PATH_SIZE, "%s", path));
        return getcwd(here, sizeof(here)) && fits(snprintf(ret_path, REPORT_PATH_SIZE, "%s/%s", here, path));
}

static bool default_path(char ret_path[REPORT_PATH_SIZE])
{
        const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

        if (state && *state)
                return *state == '/' && fits(snprintf(ret_path, REPORT_PATH_SIZE, "%s/berth/reports", state));
        return home && *home == '/' &&
               fits(snprintf(ret_path, REPORT_PATH_SIZE, "%s/.local/state/berth/reports", home));
}

bool report_folder_path(char ret_path[REPORT_PATH_SIZE])
{
        const char *given = getenv(BERTH_ENV_REPORT_DIR);

        if (given && *given)
                return strcmp(given, "off") != 0 && make_absolute(given, ret_path);
        return default_path(ret_path);
}

/* With every folder above it. */
static int make(const char *path)
{
        char part[REPORT_PATH_SIZE];

        for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
                (void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
                if (*part && mkdir(part, OWN_FOLDER_MODE) < 0 && errno != EEXIST && errno != EROFS &&
                    errno != EACCES)
                        return -1;
        }
        return mkdir(path, OWN_FOLDER_MODE) < 0 && errno != EEXIST ? -1 : 0;
}

/* Others may know its name beforehand. */
static bool is_default(const char *path)
{
        char own[REPORT_PATH_SIZE];

        return default_path(own) && !strcmp(path, own);
}

int report_folder_open(const char *path, const char **ret_why)
{
        bool must_be_own = is_default(path);
        int fd, flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (must_be_own ? O_NOFOLLOW : 0);
        struct stat status;

        fd = open(path, flags);
        if (fd < 0 && errno == ENOENT && make(path) == 0)
                fd = open(path, flags);
        if (fd < 0 || fstat(fd, &status) < 0)
                *ret_why = strerror(errno);
        else if (must_be_own && status.st_uid != geteuid())
                *ret_why = "it belongs to another user";
        else
                return fd;
        if (fd >= 0)
                (void)close(fd);
        return -1;
}
