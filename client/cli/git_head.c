/* SPDX-License-Identifier: MIT */

/*
 * Git's files, as gitrepository-layout(5) has them. .git is a folder, or in a linked work tree a file "gitdir: PATH";
 * HEAD there is a commit, or "ref: NAME"; the ref is a file in that folder or in the common one, or a line of
 * packed-refs. To ask git itself would cost a process for each run.
 */

#include "client/cli/git_head.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_MAX_READ (64 << 20)

/* Anybody may have put a .git above a folder in /tmp: nothing that one would wait for is read. -1: it is no file. */
static int open_file(const char *folder, const char *name)
{
        char path[PATH_MAX];
        struct stat status;
        int fd;

        if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
                return -1;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 || (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= SIZE_MAX_READ))
                return fd;
        (void)close(fd);
        return -1;
}

/* The first line of a small file, without white space behind it. */
static bool read_line(const char *folder, const char *name, char *ret_line, size_t size)
{
        int fd = open_file(folder, name);
        ssize_t n;

        if (fd < 0)
                return false;
        n = read(fd, ret_line, size - 1);
        (void)close(fd);
        ret_line[n > 0 ? n : 0] = '\0';
        ret_line[strcspn(ret_line, "\r\n")] = '\0';
        return *ret_line;
}

static bool take_commit(const char *text, char ret_head[GIT_HEAD_SIZE])
{
        size_t n = strspn(text, "0123456789abcdef");

        if (n != 40 && n != 64)
                return false;
        (void)snprintf(ret_head, GIT_HEAD_SIZE, "%.*s", (int)n, text);
        return true;
}

static bool find_packed(const char *folder, const char *ref, char ret_head[GIT_HEAD_SIZE])
{
        int fd = open_file(folder, "packed-refs");
        FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
        char *line = NULL, *space;
        bool is_found = false;
        size_t size = 0;

        while (file && !is_found && getline(&line, &size, file) > 0) {
                line[strcspn(line, "\r\n")] = '\0';
                space = strchr(line, ' ');
                is_found = space && !strcmp(space + 1, ref) && take_commit(line, ret_head);
        }
        free(line);
        if (file)
                (void)fclose(file);
        else if (fd >= 0)
                (void)close(fd);
        return is_found;
}

/* A path in one of git's files may be relative to the folder that the file is in. */
static bool join(const char *folder, const char *path, char ret_path[PATH_MAX])
{
        return snprintf(ret_path, PATH_MAX, "%s%s%s", *path == '/' ? "" : folder, *path == '/' ? "" : "/",
                        path) < PATH_MAX;
}

static bool find_folder(char ret_folder[PATH_MAX])
{
        char here[PATH_MAX], line[PATH_MAX], *slash;
        struct stat status;

        if (!getcwd(here, sizeof(here)) || *here != '/')
                return false;
        for (;;) {
                if (!join(here, ".git", ret_folder))
                        return false;
                if (stat(ret_folder, &status) == 0)
                        break;
                slash = strrchr(here, '/');
                if (!slash || !here[1])
                        return false;
                slash[slash == here ? 1 : 0] = '\0';
        }
        if (S_ISDIR(status.st_mode))
                return true;
        return read_line(here, ".git", line, sizeof(line)) && !strncmp(line, "gitdir: ", 8) &&
               join(here, line + 8, ret_folder);
}

bool git_head(char ret_head[GIT_HEAD_SIZE])
{
        char folder[PATH_MAX], common[PATH_MAX], head[PATH_MAX], line[PATH_MAX];
        const char *ref;

        if (!find_folder(folder) || !read_line(folder, "HEAD", head, sizeof(head)))
                return false;
        if (strncmp(head, "ref: ", 5))
                return take_commit(head, ret_head);
        ref = head + 5;
        if (strstr(ref, "..")) /* no name of git's */
                return false;
        if (read_line(folder, ref, line, sizeof(line)))
                return take_commit(line, ret_head);
        if (!read_line(folder, "commondir", line, sizeof(line)) || !join(folder, line, common))
                (void)snprintf(common, sizeof(common), "%s", folder);
        if (read_line(common, ref, line, sizeof(line)))
                return take_commit(line, ret_head);
        return find_packed(common, ref, ret_head);
}
