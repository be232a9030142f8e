/* SPDX-License-Identifier: MIT */

/* What the configuration takes, and that whatever it does not take is said with file and line. */

#include "config.h"
#include "config_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND USEC_PER_SEC

static char folder[64];

static const char *path_of(const char *name)
{
        static char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
        return path;
}

static void write_bytes(const char *name, const char *bytes, size_t n)
{
        FILE *file = fopen(path_of(name), "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, n, file), n);
        assert_int_equal(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
        write_bytes(name, text, strlen(text));
}

static int setup(void **state)
{
        (void)state;
        (void)strcpy(folder, "/tmp/berth-test-config-XXXXXX");
        assert_non_null(mkdtemp(folder));
        assert_int_equal(mkdir(path_of("conf.d"), 0700), 0);
        return 0;
}

static int teardown(void **state)
{
        static const char *const names[] = {
                "berth.conf",     "conf.d/10.conf", "conf.d/9.conf", "conf.d/a.conf",
                "conf.d/a.conf~", "conf.d/.b.conf", "conf.d",        "."};

        (void)state;
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                (void)remove(path_of(names[i]));
        (void)rmdir(folder);
        return 0;
}

static struct config *load(void)
{
        char *errors = NULL;
        struct config *config = config_load(path_of("berth.conf"), false, &errors);

        if (!config)
                print_error("%s\n", errors);
        assert_non_null(config);
        return config;
}

/* lines: what is to be said, each line behind "FOLDER/". */
static void assert_refused(const char *lines)
{
        char *errors = NULL, *shown, *at;
        struct config *config = config_load(path_of("berth.conf"), false, &errors);

        assert_null(config);
        shown = calloc(1, strlen(errors) + 1);
        at = shown;
        for (char *line = strtok(errors, "\n"); line; line = strtok(NULL, "\n")) {
                assert_true(strncmp(line, folder, strlen(folder)) == 0);
                at += sprintf(at, "%s%s", at > shown ? "\n" : "", line + strlen(folder) + 1);
        }
        assert_string_equal(shown, lines);
        free(shown);
        free(errors);
}

static void refuse(const char *text, const char *lines)
{
        write_file("berth.conf", text);
        assert_refused(lines);
}

/* ---- what is taken ---- */

static void every_default_is_what_the_contract_says(void **state)
{
        struct config *config;

        (void)state;
        write_file("berth.conf", "");
        config = load();
        assert_string_equal(config->socket, "/run/berth/io.berth.lease");
        assert_string_equal(config->state_dir, "/var/lib/berth");
        assert_string_equal(config->operator_group, "");
        assert_int_equal(config->settings.ddl_slots, 2);
        assert_int_equal(config->settings.max_leases, 0);
        assert_int_equal(config->settings.connect_timeout, 5 * SECOND);
        assert_int_equal(config->settings.lock_timeout, 5 * SECOND);
        assert_int_equal(config->settings.statement_timeout, 30 * SECOND);
        assert_int_equal(config->settings.start_grace, 60 * SECOND);
        assert_int_equal(config->settings.unleased_grace, 12 * 3600 * SECOND);
        assert_int_equal(config->settings.keep_for, 24 * 3600 * SECOND);
        assert_int_equal(config->settings.sweep_interval, 300 * SECOND);
        assert_int_equal(config->settings.history, 30 * 86400 * SECOND);
        assert_true(config->settings.public_watch);
        assert_int_equal(config->settings.n_databases, 0);
        (void)config_free(config);
}

static void durations_are_read_in_every_unit(void **state)
{
        struct config *config;

        (void)state;
        write_file("berth.conf", "[berthd]\nconnect_timeout = 500ms\nlock_timeout=7s\nsweep_interval = 5min\n"
                                 "unleased_grace = 12h\nhistory = 31d\nstart_grace = 0s\n");
        config = load();
        assert_int_equal(config->settings.connect_timeout, 500000);
        assert_int_equal(config->settings.lock_timeout, 7 * SECOND);
        assert_int_equal(config->settings.sweep_interval, 300 * SECOND);
        assert_int_equal(config->settings.unleased_grace, 43200 * SECOND);
        assert_int_equal(config->settings.history, 31 * 86400 * SECOND);
        assert_int_equal(config->settings.start_grace, 0);
        (void)config_free(config);
}

static void databases_keep_their_order_and_all_of_their_text(void **state)
{
        char text[600], *conninfo;
        struct config *config;

        (void)state;
        conninfo =
                text + sprintf(text, "; a comment\n# another\n\n[databases]\nzebra = service=test_platform\n"
                                     "tenant-1 = host=/run/postgresql password='a ; b # c=d' dbname=");
        memset(conninfo, 'x', 400);
        (void)strcpy(conninfo + 400, "\r\n");
        write_file("berth.conf", text);
        config = load();
        assert_int_equal(config->settings.n_databases, 2);
        assert_string_equal(config->settings.databases[0].name, "zebra");
        assert_string_equal(config->settings.databases[0].conninfo, "service=test_platform");
        assert_string_equal(config->settings.databases[1].name, "tenant-1");
        assert_non_null(strstr(config->settings.databases[1].conninfo, "password='a ; b # c=d'"));
        assert_int_equal(strlen(config->settings.databases[1].conninfo),
                         strlen("host=/run/postgresql password='a ; b # c=d' dbname=") + 400);
        (void)config_free(config);
}

static void a_later_file_overrides_and_others_are_not_read(void **state)
{
        struct config *config;

        (void)state;
        write_file("berth.conf", "[berthd]\nddl_slots = 3\n[databases]\na = dbname=a\nb = dbname=b\n");
        write_file("conf.d/10.conf", "[berthd]\nddl_slots = 4\nmax_leases = 1\n");
        write_file("conf.d/9.conf", "[berthd]\nddl_slots = 5\n[databases]\na = dbname=c\n");
        write_file("conf.d/a.conf~", "[berthd]\nddl_slots = 6\n");
        write_file("conf.d/.b.conf", "[berthd]\nddl_slots = 7\n");
        config = load();
        assert_int_equal(config->settings.ddl_slots, 5);
        assert_int_equal(config->settings.max_leases, 1);
        assert_int_equal(config->settings.n_databases, 2);
        assert_string_equal(config->settings.databases[0].conninfo, "dbname=c");
        (void)config_free(config);
}

static void nothing_at_all_is_a_configuration(void **state)
{
        char *errors = NULL;
        struct config *config;

        (void)state;
        assert_int_equal(setenv("XDG_CONFIG_HOME", folder, 1), 0);
        assert_int_equal(setenv("XDG_RUNTIME_DIR", "/run/user/7", 1), 0);
        assert_int_equal(setenv("XDG_STATE_HOME", "/home/x/state", 1), 0);
        config = config_load(NULL, true, &errors);
        assert_non_null(config);
        assert_string_equal(config->socket, "/run/user/7/berth/io.berth.lease");
        assert_string_equal(config->state_dir, "/home/x/state/berth");
        (void)config_free(config);
}

/* ---- what is not ---- */

static void a_file_that_was_named_must_exist(void **state)
{
        char *errors = NULL;

        (void)state;
        assert_null(config_load(path_of("berth.conf"), false, &errors));
        assert_non_null(strstr(errors, "berth.conf: cannot be read: No such file or directory"));
        free(errors);
}

static void unknown_names_are_refused(void **state)
{
        (void)state;
        refuse("[berthd]\nddl_slot = 2\n",
               "berth.conf:2: there is no option \"ddl_slot\"; see berthd --help-config");
        refuse("\n[berth]\n", "berth.conf:2: unknown section; there are [berthd] and [databases]");
        refuse("[databases]\nbad name = dbname=x\n", "berth.conf:2: \"bad name\" is no name of a database: "
                                                     "at most 63 of a-z, A-Z, 0-9, _, . and -");
}

static void bad_values_are_refused(void **state)
{
        static const struct {
                const char *line, *message;
        } cases[] = {
                {"ddl_slots = 0", "ddl_slots: \"0\" is no number from 1 to 64"},
                {"ddl_slots = 2x", "ddl_slots: \"2x\" is no number from 1 to 64"},
                {"ddl_slots = -1", "ddl_slots: \"-1\" is no number from 1 to 64"},
                {"ddl_slots =", "ddl_slots: \"\" is no number from 1 to 64"},
                {"ddl_slots = 99999999999999999999",
                 "ddl_slots: \"99999999999999999999\" is no number from 1 to 64"},
                {"connect_timeout = 5",
                 "connect_timeout: \"5\" is no time; write 500ms, 30s, 5min, 12h or 30d"},
                {"connect_timeout = 5 s",
                 "connect_timeout: \"5 s\" is no time; write 500ms, 30s, 5min, 12h or 30d"},
                {"connect_timeout = 0s", "connect_timeout: 0s is not between 10ms and 1h"},
                {"connect_timeout = 2h", "connect_timeout: 2h is not between 10ms and 1h"},
                {"history = 999999999999999999d",
                 "history: \"999999999999999999d\" is no time; write 500ms, 30s, 5min, 12h or 30d"},
                {"socket = run/x", "socket: \"run/x\" is no absolute path"},
                {"operator_group = no-such-group-here",
                 "operator_group: there is no group \"no-such-group-here\""},
                {"namespace_env = GOOD 1BAD", "namespace_env: \"1BAD\" is no name of an environment "
                                              "variable, or one that is not berth's to "
                                              "set"},
                {"namespace_env = LD_PRELOAD",
                 "namespace_env: \"LD_PRELOAD\" is no name of an environment variable, "
                 "or one that is not berth's to set"},
                {"password_credential = ../x", "password_credential: \"../x\" is no name of a credential"},
                {"metrics_listen = 0.0.0.0:9187", "metrics_listen: \"0.0.0.0:9187\": it is neither "
                                                  "127.0.0.1:PORT nor [::1]:PORT nor unix:PATH"},
                {"metrics_listen = 127.0.0.1:0", "metrics_listen: \"127.0.0.1:0\": it is neither "
                                                 "127.0.0.1:PORT nor [::1]:PORT nor unix:PATH"},
                {"metrics_listen = [::1]:65536", "metrics_listen: \"[::1]:65536\": it is neither "
                                                 "127.0.0.1:PORT nor [::1]:PORT nor unix:PATH"},
                {"metrics_listen = localhost:80", "metrics_listen: \"localhost:80\": it is neither "
                                                  "127.0.0.1:PORT nor [::1]:PORT nor unix:PATH"},
                {"metrics_listen = unix:metrics",
                 "metrics_listen: \"unix:metrics\": the path of its Unix socket is not absolute"},
                {"public_watch = yes", "public_watch: \"yes\" is neither on nor off"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char text[256], expected[256];

                (void)snprintf(text, sizeof(text), "[berthd]\n\n%s\n", cases[i].line);
                (void)snprintf(expected, sizeof(expected), "berth.conf:3: %s", cases[i].message);
                refuse(text, expected);
        }
}

static void a_socket_path_that_is_too_long_is_refused_with_its_length(void **state)
{
        char text[256];

        (void)state;
        (void)snprintf(text, sizeof(text), "[berthd]\nsocket = /%0107d\n", 0);
        refuse(text, "berth.conf:2: socket: the path has 108 bytes, the limit is 107");
}

static void a_conninfo_is_checked_and_never_quoted(void **state)
{
        (void)state;
        refuse("[databases]\na = hots=x\n", "berth.conf:2: database a: invalid connection option \"hots\"");
        refuse("[databases]\na = password=se cret\n",
               "berth.conf:2: database a: not a connection string that libpq understands");
        refuse("[databases]\na =\n", "berth.conf:2: database a: an empty connection string");
}

static void a_key_twice_in_one_file_is_refused(void **state)
{
        (void)state;
        refuse("[berthd]\nddl_slots = 2\n[databases]\na = dbname=a\n[berthd]\nddl_slots = 2\n[databases]\na "
               "= dbname=a\n",
               "berth.conf:6: ddl_slots is set twice in this file\nberth.conf:8: a is set twice in this "
               "file");
}

static void lines_that_inih_would_misread_are_refused(void **state)
{
        (void)state;
        refuse("[databases]\na = host=x\n  port=5432\n",
               "berth.conf:3: begins with a blank; values cannot be continued on a second line");
        refuse("[berthd]\nddl_slots\n", "berth.conf:2: neither \"name = value\" nor a section nor a comment");
        refuse("[berthd\n", "berth.conf:1: a section without its ]");
        refuse("ddl_slots = 2\n",
               "berth.conf:1: ddl_slots stands before any section; there are [berthd] and [databases]");
        refuse("[berthd]\n = 2\n",
               "berth.conf:2: begins with a blank; values cannot be continued on a second line");
        refuse("[berthd]\n= 2\n", "berth.conf:2: a value without a name");
        write_bytes("berth.conf", "[berthd]\nddl_slots = 2\0\n", 24);
        assert_refused("berth.conf:2: a NUL byte");
}

static void a_line_of_any_length_keeps_the_count(void **state)
{
        char *text = malloc(70100);

        (void)state;
        (void)strcpy(text, "[databases]\na = dbname=");
        memset(text + 23, 'x', 60000);
        (void)strcpy(text + 60023, "\nbad\n");
        refuse(text, "berth.conf:3: neither \"name = value\" nor a section nor a comment");
        memset(text + 23, 'x', 70000);
        (void)strcpy(text + 70023, "\nbad\n");
        refuse(text, "berth.conf:2: line too long\nberth.conf:3: neither \"name = value\" nor a section nor "
                     "a comment");
        free(text);
}

static void every_error_of_every_file_is_told(void **state)
{
        (void)state;
        write_file("conf.d/a.conf", "[berthd]\nlock_timeout = 1\n");
        refuse("[berthd]\nddl_slots = x\nfoo = 1\n",
               "berth.conf:2: ddl_slots: \"x\" is no number from 1 to 64\n"
               "berth.conf:3: there is no option \"foo\"; see berthd --help-config\n"
               "conf.d/a.conf:2: lock_timeout: \"1\" is no time; write 500ms, 30s, 5min, 12h or 30d");
}

/* ---- the rest ---- */

static void the_help_is_a_configuration_that_changes_nothing(void **state)
{
        struct config *config;
        FILE *file;

        (void)state;
        file = fopen(path_of("berth.conf"), "w");
        config_print_help(file);
        assert_int_equal(fclose(file), 0);
        config = load();
        assert_int_equal(config->settings.ddl_slots, 2);
        assert_int_equal(config->settings.n_databases, 0);
        (void)config_free(config);
}

/* ";name = default" with the ; gone is a line that is taken. */
static void the_help_shows_every_option_as_one_would_write_it(void **state)
{
        struct config *config;
        char *text = NULL;
        size_t length;
        FILE *file = open_memstream(&text, &length);

        (void)state;
        config_print_help(file);
        assert_int_equal(fclose(file), 0);
        for (char *at = text; (at = strstr(at, "\n;")); at++)
                if (at[2] != ' ')
                        at[1] = ' ';
        for (char *at = text; (at = strstr(at, "\n "));) /* a line must not begin with white space */
                memmove(at + 1, at + 2, strlen(at + 1));
        write_file("berth.conf", text);
        config = load();
        assert_int_equal(config->settings.history, 30 * 24 * 3600 * SECOND);
        assert_string_equal(config->state_dir, "/var/lib/berth");
        assert_int_equal(config->settings.n_databases, 2);
        (void)config_free(config);
        free(text);
}

static void what_needs_a_restart_is_named(void **state)
{
        struct config *old, *new;

        (void)state;
        write_file("berth.conf", "");
        old = load();
        write_file("berth.conf", "[berthd]\nddl_slots = 3\n");
        new = load();
        assert_null(config_needs_restart(old, new));
        (void)config_free(new);
        write_file("berth.conf", "[berthd]\nsocket = /tmp/x\n");
        new = load();
        assert_string_equal(config_needs_restart(old, new), "socket");
        (void)config_free(new);
        (void)config_free(old);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                STORY(every_default_is_what_the_contract_says),
                STORY(durations_are_read_in_every_unit),
                STORY(databases_keep_their_order_and_all_of_their_text),
                STORY(a_later_file_overrides_and_others_are_not_read),
                STORY(nothing_at_all_is_a_configuration),
                STORY(a_file_that_was_named_must_exist),
                STORY(unknown_names_are_refused),
                STORY(bad_values_are_refused),
                STORY(a_socket_path_that_is_too_long_is_refused_with_its_length),
                STORY(a_conninfo_is_checked_and_never_quoted),
                STORY(a_key_twice_in_one_file_is_refused),
                STORY(lines_that_inih_would_misread_are_refused),
                STORY(a_line_of_any_length_keeps_the_count),
                STORY(every_error_of_every_file_is_told),
                STORY(the_help_is_a_configuration_that_changes_nothing),
                STORY(the_help_shows_every_option_as_one_would_write_it),
                STORY(what_needs_a_restart_is_named),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
