/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "config_options.h"
#include "proto/protocol.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX    (1024 * 1024)
#define LINE_MAX_   65000 /* below ini_max_line: inih would make two lines of a longer one */

/* One file while it is read. */
struct source {
        struct config *config;
        FILE *errors;
        const char *path;
        const char *text, *at; /* the whole file; where the reader is */
        unsigned line;         /* that was begun last */
        char **seen;           /* "section/name", each once a file */
        size_t n_seen;
        bool has_error; /* in this line */
};

static void complain(struct source *source, const char *message)
{
        source->has_error = true;
        (void)fprintf(source->errors, "%s:%u: %s\n", source->path, source->line, message);
}

/* ---- lines, before inih sees them ---- */

/* inih reads on where it does not understand, and takes what it should not;
 * so each line is looked at first. */
static const char *find_fault(const char *line, size_t length)
{
        size_t blanks = strspn(line, " \t\r");

        if (length > LINE_MAX_)
                return "line too long";
        if (blanks >= length || line[0] == ';' || line[0] == '#')
                return NULL;
        if (blanks > 0)
                return "begins with a blank; values cannot be continued on a second line";
        if (line[0] == '[') {
                if (!memchr(line, ']', length))
                        return "a section without its ]";
                if (strncmp(line, "[berthd]", 8) != 0 && strncmp(line, "[databases]", 11) != 0)
                        return "unknown section; there are [berthd] and [databases]";
                return NULL;
        }
        return memchr(line, '=', length) ? NULL : "neither \"name = value\" nor a section nor a comment";
}

/* As fgets(3). Counts lines, and gives inih an empty one in place of one that is wrong. */
static char *read_line(char *buffer, int size, void *stream)
{
        struct source *source = stream;
        size_t length = strcspn(source->at, "\n");
        const char *fault;

        if (!*source->at)
                return NULL;
        if (source->at == source->text || source->at[-1] == '\n') {
                source->line++;
                source->has_error = false;
                fault = find_fault(source->at, length);
                if (fault) {
                        complain(source, fault);
                        source->at += length + (source->at[length] == '\n');
                        return strcpy(buffer, "\n");
                }
        }
        length += source->at[length] == '\n';
        if (length > (size_t)size - 1)
                length = (size_t)size - 1;
        memcpy(buffer, source->at, length);
        buffer[length] = '\0';
        source->at += length;
        return buffer;
}

/* ---- what they say ---- */

static bool is_new(struct source *source, const char *section, const char *name)
{
        _cleanup_free_ char *key = alloc_printf("%s/%s", section, name);

        for (size_t i = 0; i < source->n_seen; i++)
                if (strcmp(source->seen[i], key) == 0)
                        return false;
        source->seen = alloc_array(source->seen, ++source->n_seen, sizeof(*source->seen));
        source->seen[source->n_seen - 1] = TAKE(key);
        return true;
}

static int take_value(void *user, const char *section, const char *name, const char *value)
{
        struct source *source = user;
        _cleanup_free_ char *message = NULL;
        bool ok;

        if (!*section)
                message = alloc_printf("%s stands before any section; there are [berthd] and [databases]",
                                       name);
        else if (!*name)
                message = alloc_string("a value without a name");
        else if (!is_new(source, section, name))
                message = alloc_printf("%s is set twice in this file", name);
        if (message) {
                complain(source, message);
                return 1;
        }
        if (strcmp(section, "databases") == 0)
                ok = config_set_database(source->config, name, value, &message);
        else
                ok = config_set(source->config, name, value, &message);
        if (!ok)
                complain(source, message);
        else if (strcmp(section, "databases") == 0)
                config_note_database(source->config, name, source->path, source->line);
        else
                config_note(source->config, name, value, source->path, source->line);
        return 1;
}

/* The library's own switches, of which there is one set for the process. */
static void set_up_inih(void)
{
        ini_use_stack = false;
        ini_allow_realloc = true;
        ini_max_line = 65536;
        ini_allow_inline_comments = false; /* " ;" may be part of a password */
        ini_allow_multiline = false;       /* a second line would look like the same name again */
}

static void parse(struct source *source)
{
        int line;

        set_up_inih();
        source->at = source->text;
        line = ini_parse_stream(read_line, source, take_value, source);
        if (line > 0 && !source->has_error) {
                source->line = (unsigned)line;
                complain(source, "cannot be understood");
        }
        for (size_t i = 0; i < source->n_seen; i++)
                free(source->seen[i]);
        free(source->seen);
}

/* ---- files ---- */

/* The whole file, ended by a NUL; NULL and errno. */
static char *read_file(const char *path, size_t *ret_size)
{
        FILE *file = fopen(path, "re");
        size_t n;
        char *text;

        if (!file)
                return NULL;
        text = alloc_zero(FILE_MAX + 2);
        n = fread(text, 1, FILE_MAX + 1, file);
        if (ferror(file) || n > FILE_MAX) {
                errno = n > FILE_MAX ? EFBIG : errno;
                free(text);
                text = NULL;
        }
        (void)fclose(file);
        *ret_size = n;
        return text;
}

/* The last one of a text. */
static unsigned line_of(const char *text)
{
        unsigned line = 1;

        for (; *text; text++)
                line += *text == '\n';
        return line;
}

static void read_config(struct config *config, const char *path, bool must_exist, FILE *errors)
{
        size_t size = 0;
        _cleanup_free_ char *text = read_file(path, &size);
        struct source source = {.config = config, .errors = errors, .path = path, .text = text};

        if (text) {
                config->files = alloc_array(config->files, ++config->n_files, sizeof(*config->files));
                config->files[config->n_files - 1] = alloc_string(path);
        }
        if (text && strlen(text) < size)
                (void)fprintf(errors, "%s:%u: a NUL byte\n", path, line_of(text));
        else if (text)
                parse(&source);
        else if (must_exist || errno != ENOENT)
                (void)fprintf(errors, "%s: cannot be read: %s\n", path, strerror(errno));
}

static int is_conf(const struct dirent *entry)
{
        size_t length = strlen(entry->d_name);

        return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".conf") == 0;
}

/* By bytes, whatever the locale is. */
static int by_name(const struct dirent **one, const struct dirent **other)
{
        return strcmp((*one)->d_name, (*other)->d_name);
}

static void read_folder(struct config *config, const char *file, FILE *errors)
{
        const char *slash = strrchr(file, '/');
        _cleanup_free_ char *folder = alloc_printf("%.*sconf.d", slash ? (int)(slash - file + 1) : 0, file);
        struct dirent **entries;
        int n = scandir(folder, &entries, is_conf, by_name);

        if (n < 0) {
                if (errno != ENOENT)
                        (void)fprintf(errors, "%s: cannot be read: %s\n", folder, strerror(errno));
                return;
        }
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = alloc_printf("%s/%s", folder, entries[i]->d_name);

                read_config(config, path, true, errors);
                free(entries[i]);
        }
        free(entries);
}

struct config *config_load(const char *path, bool user, char **ret_errors)
{
        _cleanup_(config_freep) struct config *config = config_new(user);
        _cleanup_free_ char *standard =
                user ? config_user_path("XDG_CONFIG_HOME", ".config", "berth/berth.conf")
                     : alloc_string(BERTH_SYSTEM_CONFIG);
        _cleanup_free_ char *text = NULL;
        size_t length = 0;
        FILE *errors = open_memstream(&text, &length);

        if (!errors)
                alloc_failed();
        read_config(config, path ? path : standard, path != NULL, errors);
        read_folder(config, path ? path : standard, errors);
        if (fclose(errors))
                alloc_failed();
        if (length == 0)
                return TAKE(config);
        text[length - 1] = '\0'; /* the last newline */
        *ret_errors = TAKE(text);
        return NULL;
}
