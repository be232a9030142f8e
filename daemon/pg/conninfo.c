/* SPDX-License-Identifier: MIT */
#include "pg/conninfo.h"

#include "pg/text.h"
#include "util/alloc.h"
#include "util/cleanup.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/stat.h>

DEFINE_CLEANUP(PQconninfoOption *, PQconninfoFree)
DEFINE_CLEANUP(PGconn *, PQfinish)

/* The options of one host. NULL: as the connection string says. */
struct place {
        char *host, *hostaddr, *port;
};

static void place_done(struct place *place)
{
        free(place->host);
        free(place->hostaddr);
        free(place->port);
}

static const char *option_value(const PQconninfoOption *options, const char *keyword)
{
        for (const PQconninfoOption *option = options; option && option->keyword; option++)
                if (!strcmp(option->keyword, keyword))
                        return option->val && *option->val ? option->val : NULL;
        return NULL;
}

static unsigned list_length(const char *list)
{
        unsigned n = 0;

        if (!list)
                return 0;
        for (n = 1; (list = strchr(list, ',')); list++)
                n++;
        return n;
}

/* The index-th of a comma-separated list, a copy; NULL if there is no list. */
static char *list_at(const char *list, unsigned index)
{
        char *copy, *end;

        if (!list)
                return NULL;
        for (; index > 0; index--)
                list = strchr(list, ',') + 1;
        copy = alloc_string(list);
        end = strchr(copy, ',');
        if (end)
                *end = '\0';
        return copy;
}

/* hostaddr counts before host, as in libpq. 1 where the lists do not fit:
 * libpq says so better than we could. */
static unsigned count_hosts(const PQconninfoOption *options)
{
        unsigned n_hosts = list_length(option_value(options, "host"));
        unsigned n_addresses = list_length(option_value(options, "hostaddr"));
        unsigned n_ports = list_length(option_value(options, "port"));
        unsigned n = n_addresses ? n_addresses : n_hosts;

        if (n < 2 || (n_hosts && n_hosts != n) || (n_ports > 1 && n_ports != n))
                return 1;
        return n;
}

static void place_of(const PQconninfoOption *options, unsigned index, struct place *ret)
{
        const char *port = option_value(options, "port");

        ret->host = list_at(option_value(options, "host"), index);
        ret->hostaddr = list_at(option_value(options, "hostaddr"), index);
        ret->port = list_at(port, list_length(port) > 1 ? index : 0);
}

static bool is_address(const char *host)
{
        unsigned char address[sizeof(struct in6_addr)];

        return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

unsigned conninfo_n_hosts(const char *conninfo)
{
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = PQconninfoParse(conninfo, NULL);

        return count_hosts(options);
}

bool conninfo_may_block(const char *conninfo, unsigned attempt)
{
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
        _cleanup_(place_done) struct place place = {};

        if (option_value(options, "service"))
                return true;
        if (attempt < count_hosts(options))
                place_of(options, attempt, &place);
        if (!place.host || !*place.host || (place.hostaddr && *place.hostaddr))
                return false;
        return place.host[0] != '/' && place.host[0] != '@' && !is_address(place.host);
}

/*
 * What a service stands for only libpq knows, and it tells no earlier than PQconnectStart. So have it fail
 * there on purpose, after it has read everything and before it connects to anything.
 */
static PQconninfoOption *resolve_service(const char *conninfo)
{
        static const char *const keywords[] = {"dbname", "target_session_attrs", NULL};
        const char *const values[] = {conninfo, "none: only the options are wanted", NULL};
        _cleanup_(PQfinishp) PGconn *connection = PQconnectStartParams(keywords, values, 1);

        return PQconninfo(connection);
}

static void swallow_notice(void *nobody, const PGresult *notice)
{
        (void)nobody;
        (void)notice;
}

static PGconn *start_at(const char *conninfo, const char *application_name, const struct place *place)
{
        /* Later ones win, and empty ones do not count: what stands before dbname is a default. */
        const char *const keywords[] = {
                "gssencmode", "dbname", "application_name", "client_encoding", "host", "hostaddr",
                "port",       NULL};
        const char *const values[] = {/* libgssapi does not survive a failed allocation */
                                      "disable",   conninfo,        application_name, "UTF8",
                                      place->host, place->hostaddr, place->port,      NULL};
        PGconn *connection = PQconnectStartParams(keywords, values, 1);

        if (!connection)
                alloc_failed();
        /* A DROP of 250 tables has 4 kB to say about it, on stderr; so has a label that is cut. */
        (void)PQsetNoticeReceiver(connection, swallow_notice, NULL);
        return connection;
}

/* An @ in the password of a URL that should have been written %40 leaves the rest of it in the host. */
static bool has_part_of_password(const char *host)
{
        return host && host[0] != '/' && strchr(host + 1, '@');
}

PGconn *conninfo_start(const char *conninfo, const char *application_name, unsigned attempt,
                       unsigned *ret_n_hosts)
{
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
        _cleanup_(place_done) struct place place = {};

        *ret_n_hosts = 1;
        if (!options)
                return NULL;
        if (option_value(options, "service")) {
                PQconninfoFree(options);
                options = resolve_service(conninfo);
        }
        *ret_n_hosts = count_hosts(options);
        if (*ret_n_hosts > 1 && attempt < *ret_n_hosts) {
                place_of(options, attempt, &place);
                if (place.host && !*place.host)
                        return NULL; /* "a,,b": the default socket has no name that could be passed on */
        }
        if (has_part_of_password(option_value(options, "host")))
                return NULL;
        return start_at(conninfo, application_name, &place);
}

char *conninfo_why_no_password(PGconn *connection)
{
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = NULL;
        const char *file;
        struct stat stat_of;

        if (!PQconnectionNeedsPassword(connection))
                return NULL;
        options = PQconninfo(connection);
        file = option_value(options, "passfile");
        if (!file || stat(file, &stat_of) || !(stat_of.st_mode & (S_IRWXG | S_IRWXO)))
                return NULL;
        return alloc_printf(
                "the password file %s is ignored, because others than its owner may read it; chmod 0600 it",
                file);
}

void conninfo_redact(PGconn *connection, char *text)
{
        _cleanup_(PQconninfoFreep) PQconninfoOption *options = PQconninfo(connection);

        text_redact(text, option_value(options, "password"));
        text_redact(text, option_value(options, "sslpassword"));
}
