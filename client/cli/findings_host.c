/* SPDX-License-Identifier: MIT */

/* What berth doctor sees by itself: the socket, who may use it, and whether both sides are of one version. */

#include "client/cli/findings.h"
#include "client/cli/query.h"

#include "proto/json.h"
#include "proto/place.h"
#include "proto/protocol.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER_MS  5000
#define GROUPS_MAX 1024

static int check_socket(struct doctor_session *session)
{
        const char *named =
                session->cli->options.socket ? session->cli->options.socket : getenv(BERTH_ENV_SOCKET);
        struct berth_connection *connection;
        struct berth_error error;
        char what[200];

        (void)snprintf(session->path, sizeof(session->path), "%s",
                       named && *named ? named : BERTH_SYSTEM_SOCKET);
        if (berth_connect(session->cli->options.socket, &connection, &error)) {
                findings_add_error(session, &error);
                return CLI_OK;
        }
        session->is_connected = true;
        (void)snprintf(session->path, sizeof(session->path), "%s", berth_connection_path(connection));
        (void)snprintf(what, sizeof(what), "berthd answers at %s", session->path);
        findings_add(session, FINDING_OK, what, NULL, NULL);
        (void)berth_disconnect(connection);
        return CLI_OK;
}

static bool session_is_in(gid_t group)
{
        static gid_t groups[GROUPS_MAX];
        int n = getgroups(GROUPS_MAX, groups);

        for (int i = 0; i < n; i++)
                if (groups[i] == group)
                        return true;
        return getegid() == group;
}

/* As the next log-in will see it. */
static bool user_is_in(const struct passwd *user, gid_t group)
{
        static gid_t groups[GROUPS_MAX];
        int n = GROUPS_MAX;

        if (!user || getgrouplist(user->pw_name, user->pw_gid, groups, &n) < 0)
                return false;
        for (int i = 0; i < n; i++)
                if (groups[i] == group)
                        return true;
        return false;
}

/* Of a socket that is there and not everybody's. */
static int check_group(struct doctor_session *session)
{
        const struct passwd *user = getpwuid(geteuid());
        const struct group *group;
        const char *name, *who = user ? user->pw_name : "this user";
        struct stat status;
        char what[200], fix[200];

        if (stat(session->path, &status) < 0 || !S_ISSOCK(status.st_mode))
                return CLI_OK; /* said by the check before */
        if (geteuid() == 0 || geteuid() == status.st_uid || (status.st_mode & S_IWOTH) ||
            session_is_in(status.st_gid)) {
                (void)snprintf(what, sizeof(what), "%s may connect to %s", who, session->path);
                findings_add(session, FINDING_OK, what, NULL, NULL);
                return CLI_OK;
        }
        group = getgrgid(status.st_gid);
        name = group ? group->gr_name : "of the socket";
        (void)snprintf(fix, sizeof(fix), "usermod -aG %s %s, then log in again", name, who);
        (void)snprintf(what, sizeof(what), "%s is not in group %s", who, name);
        if (user_is_in(user, status.st_gid))
                findings_add(session, FINDING_PROBLEM, what,
                             "this session began before it was added, so no run here gets a lease",
                             "log in again, or type newgrp");
        else
                findings_add(session, FINDING_PROBLEM, what,
                             "only members may connect, so no run gets a lease", fix);
        return CLI_OK;
}

static int check_versions(struct doctor_session *session)
{
        struct cJSON *status = NULL;
        const char *theirs;
        char what[200];
        int r;

        if (!session->is_connected)
                return CLI_OK;
        r = query_one(session->cli, "io.berth.manage.GetStatus", NULL, ANSWER_MS, &status);
        if (r)
                return r;
        theirs = json_get_string(status, "version");
        (void)snprintf(what, sizeof(what), "berth is %s, berthd is %s", berth_version(),
                       theirs ? theirs : "?");
        if (theirs && !strcmp(theirs, berth_version()))
                findings_add(session, FINDING_OK, what, NULL, NULL);
        else
                findings_add(session, FINDING_WARNING, what, "one may not know what the other says",
                             "install one version of both, then systemctl restart berthd; no lease is lost");
        json_free(status);
        return CLI_OK;
}

static const struct {
        const char *name;
        int (*run)(struct doctor_session *session);
} checks[] = {
        {"socket", check_socket},
        {"group", check_group},
        {"versions", check_versions},
};

int findings_check_host(struct doctor_session *session)
{
        int r = CLI_OK;

        for (size_t i = 0; !r && i < sizeof(checks) / sizeof(checks[0]); i++) {
                session->check = checks[i].name;
                r = checks[i].run(session);
        }
        return r;
}
