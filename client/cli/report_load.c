/* SPDX-License-Identifier: MIT */

#include "client/cli/report_load.h"

#include "client/cli/fail.h"
#include "client/cli/report_file.h"
#include "client/cli/report_folder.h"

#include "util/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_SLACK_USEC 2000000 /* the kernel tells a start by its ticks, and the boot by whole seconds */

/* ---- is it running? ---- */

static int64_t boot_usec(void)
{
        _cleanup_free_ char *line = NULL;
        FILE *stat = fopen("/proc/stat", "re");
        size_t size = 0;
        long long sec = 0;

        while (stat && !sec && getline(&line, &size, stat) > 0)
                (void)sscanf(line, "btime %lld", &sec);
        if (stat)
                (void)fclose(stat);
        return (int64_t)sec * 1000000;
}

/* When a process began, as CLOCK_REALTIME; 0: there is none, or it is a zombie. */
static int64_t process_start_usec(int64_t pid)
{
        char path[64], text[1024], state, *fields;
        unsigned long long ticks;
        ssize_t n;
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        n = read(fd, text, sizeof(text) - 1);
        (void)close(fd);
        text[n > 0 ? n : 0] = '\0';
        fields = strrchr(text, ')'); /* the name may hold anything */
        if (!fields ||
            sscanf(fields + 1,
                   " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
                   &ticks) != 2 ||
            state == 'Z' || state == 'X')
                return 0;
        return boot_usec() + (int64_t)(ticks * 1000000 / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* Of a run on another host nobody here knows; it is not called dead. */
static bool is_running(const struct report_lines *lines)
{
        int64_t opened_usec = report_read_time(json_get_string(lines->opened, "started_at"));
        const char *host = json_get_string(lines->opened, "host");
        char here[256] = "";
        int64_t start_usec;

        (void)gethostname(here, sizeof(here) - 1);
        if (host && strcmp(host, here) != 0)
                return !lines->closed;
        start_usec = process_start_usec(json_get_integer(lines->opened, "pid", 0));
        return start_usec && start_usec <= opened_usec + START_SLACK_USEC;
}

/* ---- one file ---- */

static struct cJSON *read_lines(const char *text, size_t length, char message[JSON_MESSAGE_SIZE])
{
        struct report_end end = {.written_by = "plugin", .status = "died", .exit_status = -1};
        struct report_lines lines;
        struct cJSON *report;

        if (!report_lines_read(text, length, &lines, message))
                return NULL;
        if (!lines.closed && is_running(&lines))
                end.status = "running";
        else
                end.ended_usec = lines.last_usec;
        report = report_lines_build(&lines, &end);
        report_lines_done(&lines);
        if (!report)
                (void)snprintf(message, JSON_MESSAGE_SIZE, "no memory");
        return report;
}

/* NULL: message says why. */
static struct cJSON *read_report(int folder_fd, const char *name, bool is_final,
                                 char message[JSON_MESSAGE_SIZE])
{
        _cleanup_(json_freep) struct cJSON *report = NULL;
        _cleanup_free_ char *text = NULL;
        size_t length;

        text = report_file_read(folder_fd, name, &length, message);
        if (!text)
                return NULL;
        report = is_final ? json_parse(text, length, message) : read_lines(text, length, message);
        if (!report || !report_check(report, message))
                return NULL;
        return TAKE(report);
}

static struct cJSON *open_report(const char *path, char message[JSON_MESSAGE_SIZE])
{
        size_t n = strlen(path);
        bool is_lines = n > 6 && !strcmp(path + n - 6, ".jsonl");
        struct cJSON *report = read_report(AT_FDCWD, path, !is_lines, message);

        (void)json_add_string(report, "file", path);
        return report;
}

/* ---- the folder ---- */

static bool has_failed(const struct cJSON *report)
{
        static const char *const others[] = {"passed", "no_tests", "running"};
        const char *status = json_get_string(report, "status");

        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                if (!strcmp(status, others[i]))
                        return false;
        return true;
}

static int take_files(const struct report_choice *choice, const char *path, int folder_fd,
                      const struct report_file *files, int n_files, struct cJSON *reports)
{
        char message[JSON_MESSAGE_SIZE], name[REPORT_FILE_SIZE], whole[REPORT_PATH_SIZE + REPORT_FILE_SIZE];
        int n = 0;

        for (int i = 0; i < n_files && n < choice->n_max; i++) {
                struct cJSON *report;

                (void)snprintf(name, sizeof(name), "%s.%s", files[i].stem,
                               files[i].is_final ? "json" : "jsonl");
                report = read_report(folder_fd, name, files[i].is_final, message);
                if (!report)
                        cli_warn("%s/%s is ignored; %s; remove it", path, name, message);
                if (!report || (choice->only_failed && !has_failed(report))) {
                        json_free(report);
                        continue;
                }
                (void)snprintf(whole, sizeof(whole), "%s/%s", path, name);
                (void)json_add_string(report, "file", whole);
                n += json_append(reports, report);
        }
        return CLI_OK;
}

int report_load(struct cli *cli, const struct report_choice *choice, struct cJSON *reports)
{
        _cleanup_free_ struct report_file *files = NULL;
        _cleanup_close_ int fd = -1;
        char path[REPORT_PATH_SIZE];
        int n;

        if (!report_folder_path(path))
                return CLI_OK;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        n = fd < 0 ? -1 : report_files_list(fd, choice->namespace, 0, &files);
        if (n < 0 && errno == ENOENT)
                return CLI_OK;
        if (n < 0 && errno == EACCES)
                return cli_fail_as(cli, "NotPermitted", CLI_NOT_PERMITTED,
                                   "set BERTH_REPORT_DIR to the folder of your reports",
                                   "cannot read %s; it is not this user's", path);
        if (n < 0)
                return cli_fail_as(cli, "NoReport", CLI_FAILED,
                                   "set BERTH_REPORT_DIR to the folder of the reports", "cannot read %s; %s",
                                   path, strerror(errno));
        return take_files(choice, path, fd, files, n, reports);
}

int report_fail_none(struct cli *cli, const char *namespace, bool only_failed)
{
        char path[REPORT_PATH_SIZE];

        if (!report_folder_path(path))
                return cli_fail_as(cli, "NoReport", CLI_FAILED, "set BERTH_REPORT_DIR to a folder",
                                   "no report of a run; reports are off, or HOME is not set");
        if (namespace)
                return cli_fail_as(cli, "NoReport", CLI_FAILED, "see 'berth report --last 20'",
                                   "no report of %s; none of its runs has one in %s", namespace, path);
        return cli_fail_as(cli, "NoReport", CLI_FAILED, "run your tests, or set BERTH_REPORT_DIR",
                           "no report of a %srun; there is none in %s", only_failed ? "failed " : "", path);
}

bool report_is_path(const char *word)
{
        return strpbrk(word, "/.");
}

struct cJSON *report_load_one(struct cli *cli, const char *word, int *ret_code)
{
        struct report_choice choice = {.namespace = word, .n_max = 1};
        char message[JSON_MESSAGE_SIZE];
        struct berth_error error;
        struct cJSON *found, *report = NULL;

        *ret_code = CLI_OK;
        if (report_is_path(word)) {
                report = open_report(word, message);
                if (!report)
                        *ret_code = cli_fail_as(cli, "NoReport", CLI_FAILED, "name a report, or a namespace",
                                                "cannot read %s; %s", word, message);
                return report;
        }
        if (berth_check_namespace(word, &error)) {
                *ret_code = cli_fail(cli, &error);
                return NULL;
        }
        found = json_array();
        *ret_code = report_load(cli, &choice, found);
        report = json_copy(json_first(found));
        json_free(found);
        if (!report && !*ret_code)
                *ret_code = report_fail_none(cli, word, false);
        return report;
}
