/* SPDX-License-Identifier: MIT */

#include "client/cli/report_file.h"

#include "proto/names.h"

#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SIZE_MAX_READ (16 << 20)
#define STAMP_SHAPE   "00000000T000000.000000Z_"

/* ---- names ---- */

void report_make_stem(int64_t usec, const char *namespace, char ret_stem[REPORT_STEM_SIZE])
{
        time_t sec = (time_t)(usec / 1000000);
        char day[20] = "";
        struct tm utc;

        if (gmtime_r(&sec, &utc))
                (void)strftime(day, sizeof(day), "%Y%m%dT%H%M%S", &utc);
        (void)snprintf(ret_stem, REPORT_STEM_SIZE, "%.15s.%06uZ_%.32s", day, (unsigned)(usec % 1000000),
                       namespace);
}

static bool begins_with_stamp(const char *name)
{
        for (const char *shape = STAMP_SHAPE; *shape; shape++, name++)
                if (*shape == '0' ? *name < '0' || *name > '9' : *name != *shape)
                        return false;
        return true;
}

/* False: no name of a report's file. */
static bool read_name(const char *name, struct report_file *ret)
{
        const char *dot = strrchr(name, '.');
        struct report_file file = {.is_final = dot && !strcmp(dot, ".json")};
        size_t stamp = strlen(STAMP_SHAPE);

        if (!dot || (!file.is_final && strcmp(dot, ".jsonl") != 0) || !begins_with_stamp(name) ||
            (size_t)(dot - name) <= stamp || (size_t)(dot - name) >= sizeof(file.stem) ||
            (size_t)(dot - name) - stamp >= sizeof(file.namespace))
                return false;
        (void)snprintf(file.stem, sizeof(file.stem), "%.*s", (int)(dot - name), name);
        (void)snprintf(file.namespace, sizeof(file.namespace), "%.32s", file.stem + stamp);
        if (!names_check_namespace(file.namespace, NULL))
                return false;
        *ret = file;
        return true;
}

/* ---- the folder ---- */

/* The last run first, and of one stem the final file first. */
static int compare(const void *a, const void *b)
{
        const struct report_file *x = a, *y = b;
        int order = strcmp(y->stem, x->stem);

        return order ? order : y->is_final - x->is_final;
}

static int only_first_of_each_stem(struct report_file *files, int n)
{
        int n_kept = 0;

        for (int i = 0; i < n; i++)
                if (!n_kept || strcmp(files[n_kept - 1].stem, files[i].stem) != 0)
                        files[n_kept++] = files[i];
        return n_kept;
}

static void closedirp(DIR **folder)
{
        if (*folder)
                (void)closedir(*folder);
}

int report_files_list(int folder_fd, const char *namespace, int64_t since_usec,
                      struct report_file **ret_files)
{
        _cleanup_(closedirp) DIR *folder = NULL;
        _cleanup_free_ struct report_file *files = NULL;
        char since[REPORT_STEM_SIZE] = "";
        struct report_file file;
        struct dirent *entry;
        int n = 0, fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        folder = fd >= 0 ? fdopendir(fd) : NULL;
        if (!folder) {
                if (fd >= 0)
                        (void)close(fd);
                return -1;
        }
        if (since_usec)
                report_make_stem(since_usec, "", since);
        while ((entry = readdir(folder))) {
                struct report_file *grown;

                if (!read_name(entry->d_name, &file) || strcmp(file.stem, since) < 0 ||
                    (namespace && strcmp(file.namespace, namespace) != 0))
                        continue;
                grown = n & (n - 1) ? files : reallocarray(files, n ? 2 * (size_t)n : 1, sizeof(*files));
                if (!grown)
                        return -1;
                files = grown;
                files[n++] = file;
        }
        if (n)
                qsort(files, (size_t)n, sizeof(*files), compare);
        n = only_first_of_each_stem(files, n);
        *ret_files = TAKE(files);
        return n;
}

/* ---- one file ---- */

static char *refuse(char message[JSON_MESSAGE_SIZE], const char *why)
{
        (void)snprintf(message, JSON_MESSAGE_SIZE, "%s", why);
        return NULL;
}

char *report_file_read(int folder_fd, const char *name, size_t *ret_length, char message[JSON_MESSAGE_SIZE])
{
        /* Not to wait for the other side of a pipe. */
        _cleanup_close_ int fd =
                openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        _cleanup_free_ char *text = NULL;
        struct stat status;
        size_t length = 0;
        ssize_t n;

        if (fd < 0 || fstat(fd, &status) < 0)
                return refuse(message, errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        if (!S_ISREG(status.st_mode))
                return refuse(message, "it is no regular file");
        if (status.st_size > SIZE_MAX_READ)
                return refuse(message, "it has more than 16 MiB");
        text = malloc((size_t)status.st_size + 1);
        if (!text)
                return refuse(message, "no memory");
        while (length < (size_t)status.st_size &&
               (n = read(fd, text + length, (size_t)status.st_size - length)) > 0)
                length += (size_t)n;
        text[length] = '\0';
        *ret_length = length;
        return TAKE(text);
}

static const struct {
        const char *name;
        enum json_type type;
        bool may_be_null;
} members[] = {
        {"schema_version", JSON_INTEGER, false},
        {"written_by", JSON_STRING, false},
        {"namespace", JSON_STRING, false},
        {"status", JSON_STRING, false},
        {"exit_status", JSON_INTEGER, true},
        {"signal", JSON_INTEGER, true},
        {"host", JSON_STRING, false},
        {"uid", JSON_INTEGER, false},
        {"cwd", JSON_STRING, false},
        {"git_head", JSON_STRING, true},
        {"argv", JSON_ARRAY, false},
        {"label", JSON_STRING, true},
        {"source", JSON_STRING, true},
        {"started_at", JSON_STRING, false},
        {"ended_at", JSON_STRING, true},
        {"counts", JSON_OBJECT, false},
        {"workers", JSON_INTEGER, false},
        {"failures", JSON_ARRAY, false},
        {"slot_waits", JSON_ARRAY, false},
        {"worker_crashes", JSON_ARRAY, false},
        {"public_writes", JSON_ARRAY, false},
        {"databases", JSON_ARRAY, false},
        {"leftovers", JSON_ARRAY, false},
        {"stale_export", JSON_OBJECT, true},
};

static bool is_of_type(const struct cJSON *value, enum json_type type)
{
        int64_t number;

        switch (type) {
        case JSON_STRING:
                return json_string(value) != NULL;
        case JSON_INTEGER:
                return json_integer(value, &number);
        case JSON_ARRAY:
                return json_is_array(value);
        case JSON_OBJECT:
                return json_is_object(value);
        case JSON_BOOL:
                break;
        }
        return false;
}

bool report_check(const struct cJSON *report, char message[JSON_MESSAGE_SIZE])
{
        if (json_get_integer(report, "schema_version", 0) != 1) {
                (void)snprintf(message, JSON_MESSAGE_SIZE, "it is no report of version 1");
                return false;
        }
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
                const struct cJSON *value = json_get(report, members[i].name);

                if (value ? is_of_type(value, members[i].type) : members[i].may_be_null)
                        continue;
                (void)snprintf(message, JSON_MESSAGE_SIZE, "its %s is %s", members[i].name,
                               value ? "wrong" : "missing");
                return false;
        }
        return true;
}
