/* SPDX-License-Identifier: MIT */

#include "client/cli/run_report.h"

#include "client/cli/fail.h"
#include "client/cli/git_head.h"
#include "client/cli/print.h"
#include "client/cli/report_file.h"
#include "client/cli/report_folder.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODE 0640

/* ---- writing ---- */

static int write_all(int fd, const char *text, size_t length)
{
        while (length) {
                ssize_t n = write(fd, text, length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? errno : EIO;
                text += n;
                length -= (size_t)n;
        }
        return 0;
}

/* Never over another file; where the file system cannot promise that by a rename, by a link. */
static int put_in_place(int folder_fd, const char *from, const char *to)
{
        if (renameat2(folder_fd, from, folder_fd, to, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return errno;
        return linkat(folder_fd, from, folder_fd, to, 0) < 0 ? errno : 0;
}

/* The whole file, or none. 0 or an errno; EEXIST: somebody has written it meanwhile. */
static int write_file(int folder_fd, const char *name, const char *text)
{
        char temporary[REPORT_FILE_SIZE + sizeof(".part.")];
        int fd, r;

        (void)snprintf(temporary, sizeof(temporary), ".%s.part", name);
        fd = openat(folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
        if (fd < 0)
                return errno;
        r = write_all(fd, text, strlen(text));
        if (!r)
                r = write_all(fd, "\n", 1);
        if (close(fd) < 0 && !r)
                r = errno;
        if (!r)
                r = put_in_place(folder_fd, temporary, name);
        (void)unlinkat(folder_fd, temporary, 0); /* gone already, if it was renamed */
        return r;
}

/* ---- what we know of the run ---- */

static struct cJSON *words(char *const *argv)
{
        struct cJSON *array = json_array();

        for (; *argv; argv++)
                (void)json_append_string(array, *argv);
        return array;
}

static void add_text(struct cJSON *object, const char *name, const char *text)
{
        (void)(text ? json_add_string(object, name, text) : json_add_null(object, name));
}

/* The line that a pytest would have begun with. */
static struct cJSON *opening(const struct run_report *run)
{
        char host[256] = "", cwd[REPORT_PATH_SIZE], head[GIT_HEAD_SIZE], at[REPORT_TIME_SIZE];
        struct cJSON *line = json_object();

        (void)gethostname(host, sizeof(host) - 1);
        add_text(line, "namespace", run->namespace);
        add_text(line, "host", host);
        (void)json_add_integer(line, "uid", geteuid());
        add_text(line, "cwd", getcwd(cwd, sizeof(cwd)) ? cwd : "");
        add_text(line, "git_head", git_head(head) ? head : NULL);
        (void)json_add(line, "argv", words(run->argv));
        add_text(line, "label", run->label);
        add_text(line, "source", "berth run");
        add_text(line, "started_at", report_time(run->started_usec, at));
        (void)json_add(line, "databases", json_array());
        (void)json_add_null(line, "stale_export");
        return line;
}

static struct report_end end_of(const struct run_report *run, bool had_pytest)
{
        int status = run->wait_status;
        bool by_signal = WIFSIGNALED(status);

        return (struct report_end){
                .written_by = "runner",
                .status = had_pytest || by_signal ? "died"
                          : WEXITSTATUS(status)   ? "failed"
                                                  : "passed",
                .exit_status = by_signal ? -1 : WEXITSTATUS(status),
                .signal = by_signal ? WTERMSIG(status) : 0,
                .ended_usec = print_now_usec(),
        };
}

/* ---- the folder ---- */

struct folder {
        int fd;
        char path[REPORT_PATH_SIZE];
};

static void warn(const struct folder *folder, const char *namespace, const char *why)
{
        cli_warn("the report of %s is not written; %s: %s; set BERTH_REPORT_DIR to a folder of yours, or to "
                 "off",
                 namespace, folder->path, why);
}

static void write_report(const struct folder *folder, const char *namespace, const char *stem,
                         struct cJSON *report)
{
        char name[REPORT_FILE_SIZE], *text = report ? json_print_pretty(report) : NULL;
        int r;

        (void)snprintf(name, sizeof(name), "%.63s.json", stem);
        r = text ? write_file(folder->fd, name, text) : ENOMEM;
        if (r && r != EEXIST)
                warn(folder, namespace, strerror(r));
        free(text);
        json_free(report);
}

static void write_own(const struct folder *folder, const struct run_report *run)
{
        struct report_end end = end_of(run, false);
        struct cJSON *line = opening(run);
        struct report_lines lines = {.opened = line};
        char stem[REPORT_STEM_SIZE];

        report_make_stem(run->started_usec, run->namespace, stem);
        write_report(folder, run->namespace, stem, report_lines_build(&lines, &end));
        json_free(line);
}

/* From the lines of a pytest that did not come to its end. False: they are of no use. */
static bool complete(const struct folder *folder, const struct run_report *run, const char *stem)
{
        char name[REPORT_FILE_SIZE], message[JSON_MESSAGE_SIZE];
        struct report_end end = end_of(run, true);
        _cleanup_free_ char *text = NULL;
        struct report_lines lines;
        struct cJSON *report;
        size_t length;

        (void)snprintf(name, sizeof(name), "%.63s.jsonl", stem);
        text = report_file_read(folder->fd, name, &length, message);
        if (!text || !report_lines_read(text, length, &lines, message))
                return false;
        report = report_lines_build(&lines, &end);
        report_lines_done(&lines);
        if (report && !report_check(report, message)) {
                json_free(report);
                return false;
        }
        write_report(folder, run->namespace, stem, report);
        return true;
}

/* A run may have several pytests, one after the other: each has a stem of its own. */
static void finish_in(const struct folder *folder, const struct run_report *run)
{
        _cleanup_free_ struct report_file *files = NULL;
        int n = report_files_list(folder->fd, run->namespace, run->started_usec, &files);
        bool is_reported = false;

        for (int i = 0; i < n; i++)
                if (files[i].is_final || complete(folder, run, files[i].stem))
                        is_reported = true;
        if (n < 0)
                warn(folder, run->namespace, strerror(errno));
        else if (!is_reported)
                write_own(folder, run);
}

void run_report_finish(const struct run_report *run)
{
        struct folder folder;
        const char *why;

        if (!report_folder_path(folder.path))
                return;
        folder.fd = report_folder_open(folder.path, &why);
        if (folder.fd < 0) {
                warn(&folder, run->namespace, why);
                return;
        }
        finish_in(&folder, run);
        (void)close(folder.fd);
}
