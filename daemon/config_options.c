/* SPDX-License-Identifier: MIT */
#include "config_options.h"

#include "pg/check.h"
#include "proto/names.h"
#include "proto/place.h"
#include "proto/protocol.h"
#include "server/http.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATABASE_NAME_MAX 63
#define NAME_CHARACTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

#define SECOND USEC_PER_SEC
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)

struct option;

typedef bool parse_fn(const struct option *option, const char *value, void *field, char **ret_message);

struct option {
        const char *name;
        parse_fn *parse;
        const char *standard; /* the default, as it would be written */
        const char *help;
        size_t offset; /* in struct config */
        uint64_t least, most;
};

/* ---- values ---- */

static bool parse_count(const struct option *option, const char *value, void *field, char **ret_message)
{
        unsigned long long number;
        char *end;

        errno = 0;
        number = strtoull(value, &end, 10);
        if (!isdigit((unsigned char)*value) || *end || errno || number < option->least ||
            number > option->most) {
                *ret_message =
                        alloc_printf("%s: \"%s\" is no number from %llu to %llu", option->name, value,
                                     (unsigned long long)option->least, (unsigned long long)option->most);
                return false;
        }
        *(unsigned *)field = (unsigned)number;
        return true;
}

static const struct {
        const char *suffix;
        uint64_t usec;
} units[] = {
        {"ms", USEC_PER_MSEC}, {"s", SECOND}, {"min", 60 * SECOND}, {"h", HOUR}, {"d", DAY},
};

static bool read_duration(const char *value, uint64_t *ret)
{
        unsigned long long number;
        char *end;

        errno = 0;
        number = strtoull(value, &end, 10);
        if (!isdigit((unsigned char)*value) || errno)
                return false;
        for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
                if (strcmp(end, units[i].suffix) == 0)
                        return !__builtin_mul_overflow((uint64_t)number, units[i].usec, ret);
        return false;
}

/* "30s", in the largest unit that is exact. */
static char *print_duration(uint64_t usec)
{
        for (size_t i = sizeof(units) / sizeof(*units) - 1; i > 0; i--)
                if (usec >= units[i].usec && usec % units[i].usec == 0)
                        return alloc_printf("%llu%s", (unsigned long long)(usec / units[i].usec),
                                            units[i].suffix);
        return alloc_printf("%llums", (unsigned long long)(usec / USEC_PER_MSEC));
}

static bool parse_duration(const struct option *option, const char *value, void *field, char **ret_message)
{
        _cleanup_free_ char *least = print_duration(option->least), *most = print_duration(option->most);
        uint64_t usec;

        if (!read_duration(value, &usec)) {
                *ret_message = alloc_printf("%s: \"%s\" is no time; write 500ms, 30s, 5min, 12h or 30d",
                                            option->name, value);
                return false;
        }
        if (usec < option->least || usec > option->most) {
                *ret_message =
                        alloc_printf("%s: %s is not between %s and %s", option->name, value, least, most);
                return false;
        }
        *(uint64_t *)field = usec;
        return true;
}

static bool parse_switch(const struct option *option, const char *value, void *field, char **ret_message)
{
        if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0) {
                *ret_message = alloc_printf("%s: \"%s\" is neither on nor off", option->name, value);
                return false;
        }
        *(bool *)field = strcmp(value, "on") == 0;
        return true;
}

static void replace(void *field, const char *value)
{
        char **text = field;

        free(*text);
        *text = alloc_string(value);
}

static bool parse_path(const struct option *option, const char *value, void *field, char **ret_message)
{
        if (*value != '/') {
                *ret_message = alloc_printf("%s: \"%s\" is no absolute path", option->name, value);
                return false;
        }
        replace(field, value);
        return true;
}

static bool parse_socket(const struct option *option, const char *value, void *field, char **ret_message)
{
        if (strlen(value) > BERTH_SOCKET_PATH_MAX) {
                *ret_message = alloc_printf("%s: the path has %zu bytes, the limit is %d", option->name,
                                            strlen(value), BERTH_SOCKET_PATH_MAX);
                return false;
        }
        return parse_path(option, value, field, ret_message);
}

static bool parse_group(const struct option *option, const char *value, void *field, char **ret_message)
{
        if (*value && !getgrnam(value)) {
                *ret_message = alloc_printf("%s: there is no group \"%s\"", option->name, value);
                return false;
        }
        replace(field, value);
        return true;
}

/* A file's name in $CREDENTIALS_DIRECTORY: no path leads out of there. */
static bool parse_credential(const struct option *option, const char *value, void *field, char **ret_message)
{
        if (value[strspn(value, NAME_CHARACTERS)] || *value == '.') {
                *ret_message = alloc_printf("%s: \"%s\" is no name of a credential", option->name, value);
                return false;
        }
        replace(field, value);
        return true;
}

static bool parse_aliases(const struct option *option, const char *value, void *field, char **ret_message)
{
        for (const char *at = value + strspn(value, " \t"); *at; at += strspn(at, " \t")) {
                size_t length = strcspn(at, " \t");
                _cleanup_free_ char *name = alloc_printf("%.*s", (int)length, at);

                if (!names_is_alias(name)) {
                        *ret_message = alloc_printf(
                                "%s: \"%s\" is no name of an environment variable, or one that is "
                                "not berth's to set",
                                option->name, name);
                        return false;
                }
                at += length;
        }
        replace(field, value);
        return true;
}

static bool parse_http_address(const struct option *option, const char *value, void *field,
                               char **ret_message)
{
        const char *wrong = *value ? http_check_address(value) : NULL;

        if (wrong) {
                *ret_message = alloc_printf("%s: \"%s\": %s", option->name, value, wrong);
                return false;
        }
        replace(field, value);
        return true;
}

/* ---- the table ---- */

#define FIELD(member)              offsetof(struct config, member), 0, 0
#define RANGE(member, least, most) offsetof(struct config, member), least, most

static const struct option options[] = {
        {"socket", parse_socket, BERTH_SYSTEM_SOCKET,
         "Where clients connect, unless systemd hands the socket over. Of a user's own instance: "
         "$XDG_RUNTIME_DIR/" BERTH_SOCKET_NAME ".",
         FIELD(socket)},
        {"state_dir", parse_path, "/var/lib/berth",
         "Where the ledger is. Of a user's own instance: ${XDG_STATE_HOME:-~/.local/state}/berth.",
         FIELD(state_dir)},
        {"operator_group", parse_group, "",
         "Whose members may end and sweep what is another user's, beside root and the daemon's user. Not the "
         "group "
         "that may connect.",
         FIELD(operator_group)},
        {"ddl_slots", parse_count, "2",
         "How many schema builds or drops may run at once on one database server.",
         RANGE(settings.ddl_slots, 1, 64)},
        {"max_leases", parse_count, "0",
         "How many leases may be live; later ones wait their turn. 0: no bound.",
         RANGE(settings.max_leases, 0, 1000000)},
        {"max_connections", parse_count, "4096", "How many clients may be connected.",
         RANGE(max_connections, 1, 1000000)},
        {"max_connections_per_uid", parse_count, "1024", "How many of them may be one user's.",
         RANGE(max_connections_per_uid, 1, 1000000)},
        {"connect_timeout", parse_duration, "5s", "How long one database may take to answer.",
         RANGE(settings.connect_timeout, 10 * USEC_PER_MSEC, HOUR)},
        {"lock_timeout", parse_duration, "5s",
         "How long a drop waits for a lock. Above deadlock_timeout (1s), so that autovacuum yields.",
         RANGE(settings.lock_timeout, 10 * USEC_PER_MSEC, HOUR)},
        {"statement_timeout", parse_duration, "30s", "How long one drop may take.",
         RANGE(settings.statement_timeout, 10 * USEC_PER_MSEC, DAY)},
        {"start_grace", parse_duration, "60s",
         "How long after a start nothing is swept, and leases without a provable process may come back.",
         RANGE(settings.start_grace, 0, DAY)},
        {"unleased_grace", parse_duration, "12h",
         "How old a schema must be whose namespace the ledger does not know, before it is swept.",
         RANGE(settings.unleased_grace, 0, 3650 * DAY)},
        {"keep_for", parse_duration, "24h", "How long schemas stay that were asked to be kept.",
         RANGE(settings.keep_for, SECOND, 3650 * DAY)},
        {"sweep_interval", parse_duration, "5min", "How often to sweep when nothing else asks for it.",
         RANGE(settings.sweep_interval, 100 * USEC_PER_MSEC, 365 * DAY)},
        {"idle_exit", parse_duration, "0s",
         "After how long without a connection or a live lease to end; 0s: never. Of a user's own instance: "
         "15min.",
         RANGE(idle_exit, 0, 365 * DAY)},
        {"history", parse_duration, "30d", "How long ended leases, sweeps and events are remembered.",
         RANGE(settings.history, HOUR, 3650 * DAY)},
        {"metrics_listen", parse_http_address, "",
         "Where GET /metrics is answered over HTTP: 127.0.0.1:PORT, [::1]:PORT or unix:PATH; empty: nowhere. "
         "'berth metrics' prints the same.",
         FIELD(metrics_listen)},
        {"namespace_env", parse_aliases, "",
         "Environment variables, with blanks between, that 'berth run' and the pytest plugin export the "
         "namespace under "
         "as well, for suites that read one of their own.",
         FIELD(settings.namespace_env)},
        {"password_credential", parse_credential, "pgpass",
         "Credential (systemd's LoadCredential=) whose first line is the password of databases that name "
         "none.",
         FIELD(password_credential)},
        {"public_watch", parse_switch, "on",
         "Whether to say, and to whom it may be laid, when tables appear or rows are written in schema "
         "public of "
         "a test database while leases live.",
         FIELD(settings.public_watch)},
};

#define N_OPTIONS (sizeof(options) / sizeof(*options))

bool config_set(struct config *config, const char *name, const char *value, char **ret_message)
{
        for (size_t i = 0; i < N_OPTIONS; i++)
                if (strcmp(options[i].name, name) == 0)
                        return options[i].parse(&options[i], value, (char *)config + options[i].offset,
                                                ret_message);
        *ret_message = alloc_printf("there is no option \"%s\"; see berthd --help-config", name);
        return false;
}

const char *config_option_name(size_t i, const char **ret_standard)
{
        if (i >= N_OPTIONS)
                return NULL;
        *ret_standard = options[i].standard;
        return options[i].name;
}

static void forget(struct config_origin *origin)
{
        free(origin->text);
        free(origin->file);
}

static void note(struct config_origin *origin, const char *text, const char *file, unsigned line)
{
        forget(origin);
        *origin = (struct config_origin){.text = alloc_string(text), .file = alloc_string(file), .line = line};
}

void config_note(struct config *config, const char *name, const char *text, const char *file, unsigned line)
{
        for (size_t i = 0; i < N_OPTIONS; i++)
                if (strcmp(options[i].name, name) == 0)
                        note(&config->origins[i], text, file, line);
}

void config_note_database(struct config *config, const char *name, const char *file, unsigned line)
{
        const struct settings *settings = &config->settings;

        for (unsigned i = 0; i < settings->n_databases; i++)
                if (strcmp(settings->databases[i].name, name) == 0)
                        note(&config->database_origins[i], settings->databases[i].conninfo, file, line);
}

bool config_set_database(struct config *config, const char *name, const char *conninfo, char **ret_message)
{
        struct settings *settings = &config->settings;
        _cleanup_free_ char *why = NULL;
        unsigned i = 0;

        if (strlen(name) > DATABASE_NAME_MAX || name[strspn(name, NAME_CHARACTERS)]) {
                *ret_message = alloc_printf(
                        "\"%s\" is no name of a database: at most %d of a-z, A-Z, 0-9, _, . and -", name,
                        DATABASE_NAME_MAX);
                return false;
        }
        if (!*conninfo) {
                *ret_message = alloc_printf("database %s: an empty connection string", name);
                return false;
        }
        if (!pg_check_conninfo(conninfo, &why)) {
                *ret_message = alloc_printf("database %s: %s", name, why);
                return false;
        }
        while (i < settings->n_databases && strcmp(settings->databases[i].name, name) != 0)
                i++;
        if (i == settings->n_databases) {
                settings->databases = alloc_array(settings->databases, ++settings->n_databases,
                                                  sizeof(*settings->databases));
                settings->databases[i] = (struct database_setting){.name = alloc_string(name)};
                config->database_origins = alloc_array(config->database_origins, settings->n_databases,
                                                       sizeof(*config->database_origins));
                config->database_origins[i] = (struct config_origin){.text = NULL};
        }
        free(settings->databases[i].conninfo);
        settings->databases[i].conninfo = alloc_string(conninfo);
        return true;
}

/* ---- a whole configuration ---- */

char *config_user_path(const char *variable, const char *below_home, const char *name)
{
        const char *folder = getenv(variable), *home = getenv("HOME");

        if (folder && *folder == '/')
                return alloc_printf("%s/%s", folder, name);
        return alloc_printf("%s/%s/%s", home && *home == '/' ? home : "", below_home, name);
}

static void note_standard(struct config *config, const char *name, const char *text)
{
        for (size_t i = 0; i < N_OPTIONS; i++)
                if (strcmp(options[i].name, name) == 0)
                        config->origins[i] =
                                (struct config_origin){.text = alloc_string(text), .is_standard = true};
}

static char *user_socket(void)
{
        char path[PATH_MAX];

        (void)place_user_socket(getenv("XDG_RUNTIME_DIR"), geteuid(), path, sizeof(path));
        return alloc_string(path);
}

struct config *config_new(bool user)
{
        struct config *config = NEW(struct config);
        char *message;

        config->origins = alloc_zero(N_OPTIONS * sizeof(*config->origins));

        for (size_t i = 0; i < N_OPTIONS; i++)
                if (!config_set(config, options[i].name, options[i].standard, &message))
                        abort(); /* a mistake in the table, found by its test */
        if (user) {
                free(config->socket);
                free(config->state_dir);
                config->socket = user_socket();
                config->state_dir = config_user_path("XDG_STATE_HOME", ".local/state", "berth");
                config->idle_exit = 15 * 60 * SECOND;
                note_standard(config, "socket", config->socket);
                note_standard(config, "state_dir", config->state_dir);
                note_standard(config, "idle_exit", "15min");
        }
        return config;
}

struct config *config_free(struct config *config)
{
        if (!config)
                return NULL;
        for (unsigned i = 0; i < config->settings.n_databases; i++) {
                free(config->settings.databases[i].name);
                free(config->settings.databases[i].conninfo);
        }
        for (size_t i = 0; i < N_OPTIONS; i++)
                forget(&config->origins[i]);
        for (unsigned i = 0; i < config->settings.n_databases; i++)
                forget(&config->database_origins[i]);
        for (unsigned i = 0; i < config->n_files; i++)
                free(config->files[i]);
        free(config->origins);
        free(config->database_origins);
        free(config->files);
        free(config->settings.databases);
        free(config->socket);
        free(config->state_dir);
        free(config->operator_group);
        free(config->settings.namespace_env);
        free(config->password_credential);
        free(config->metrics_listen);
        free(config);
        return NULL;
}

const char *config_needs_restart(const struct config *old, const struct config *new)
{
        if (strcmp(old->socket, new->socket) != 0)
                return "socket";
        if (strcmp(old->state_dir, new->state_dir) != 0)
                return "state_dir";
        return strcmp(old->password_credential, new->password_credential) != 0 ? "password_credential" : NULL;
}

#define HELP_WIDTH 78

/* Words of a comment, broken into lines. */
static void print_comment(FILE *out, const char *words)
{
        for (const char *at = words; *at; at += strspn(at, " ")) {
                size_t length = strlen(at);

                if (length > HELP_WIDTH) {
                        length = HELP_WIDTH;
                        while (length > 0 && at[length] != ' ')
                                length--;
                        if (!length)
                                length = strcspn(at, " ");
                }
                (void)fprintf(out, "; %.*s\n", (int)length, at);
                at += length;
        }
}

void config_print_help(FILE *out)
{
        print_comment(out, "Configuration of berthd(8); berth.conf(5) tells more. Every option stands here "
                           "with its default: remove the ; in front of one to change it. Then say berthd "
                           "--check-config, and systemctl reload berthd.");
        (void)fputs("\n[berthd]\n", out);
        for (size_t i = 0; i < N_OPTIONS; i++) {
                print_comment(out, options[i].help);
                (void)fprintf(out, ";%s =%s%s\n\n", options[i].name, *options[i].standard ? " " : "",
                              options[i].standard);
        }
        (void)fputs("[databases]\n", out);
        print_comment(out, "name = connection string of libpq, a service name for choice. Name every "
                           "database that test runs use: a sweep hears all of them before it drops "
                           "anything.");
        (void)fputs(";platform = service=test_platform\n"
                    ";tenant1 = host=/run/postgresql dbname=tenant1\n",
                    out);
}
