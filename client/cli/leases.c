/* SPDX-License-Identifier: MIT */

#include "client/cli/leases.h"

#include "client/cli/print.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool leases_read(const struct cJSON *reply, struct lease_view *ret_view)
{
        const struct cJSON *context = json_get(reply, "context"), *runtime = json_get(reply, "runtime");
        struct lease_view view = {
                .namespace = json_get_string(context, "namespace"),
                .label = json_get_string(context, "label"),
                .state = json_get_string(runtime, "state"),
                .lease = json_get_integer(runtime, "lease", 0),
                .uid = json_get_integer(runtime, "uid", -1),
                .position = json_get_integer(runtime, "position", 0),
                .since_usec = json_get_integer(runtime, "sinceUSec", 0),
                .ended_usec = json_get_integer(runtime, "endedUSec", 0),
                .kept_until_usec = json_get_integer(runtime, "keptUntilUSec", 0),
                .sessions = json_get_integer(runtime, "sessions", -1),
                .schemas = json_get_integer(runtime, "schemas", -1),
                .members = json_get(runtime, "members"),
        };

        if (!view.namespace || !view.state)
                return false;
        for (const struct cJSON *member = json_first(view.members); member; member = json_next(member)) {
                view.n_members++;
                view.n_connected += json_get_bool(member, "connected", false);
        }
        *ret_view = view;
        return true;
}

enum print_color leases_color(const char *state)
{
        static const struct {
                const char *state;
                enum print_color color;
        } colors[] = {
                {"live", PRINT_GOOD},   {"queued", PRINT_WARNING}, {"recovering", PRINT_WARNING},
                {"crashed", PRINT_BAD}, {"revoked", PRINT_BAD},    {"released", PRINT_FAINT},
        };

        for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
                if (!strcmp(colors[i].state, state))
                        return colors[i].color;
        return PRINT_PLAIN;
}

static void print_member(struct print_field *field, const struct cJSON *member)
{
        const char *role = json_get_string(member, "role"), *worker = json_get_string(member, "worker");
        int64_t pid = json_get_integer(json_get(member, "process"), "pid", 0);
        bool connected = json_get_bool(member, "connected", false);
        char process[32] = "";

        if (pid > 0)
                (void)snprintf(process, sizeof(process), " pid %" PRId64, pid);
        print_field_item(field, connected ? PRINT_PLAIN : PRINT_WARNING, ", ", "%s%s%s",
                         worker ? worker
                         : role ? role
                                : "runner",
                         process, connected ? "" : " (not connected)");
}

static void print_members(const struct cli *cli, const struct lease_view *view)
{
        struct print_field field;

        print_field_begin(&field, cli, "Members");
        for (const struct cJSON *member = json_first(view->members); member; member = json_next(member))
                print_member(&field, member);
        print_field_end(&field);
}

static void print_when(const struct lease_view *view)
{
        char at[PRINT_TIME_SIZE], age[BERTH_DURATION_SIZE];

        (void)printf("      Since: %s; %s ago\n", print_time(view->since_usec, at),
                     print_age(view->since_usec, age));
        if (view->ended_usec)
                (void)printf("      Ended: %s; %s ago\n", print_time(view->ended_usec, at),
                             print_age(view->ended_usec, age));
        if (view->kept_until_usec)
                (void)printf("       Kept: until %s\n", print_time(view->kept_until_usec, at));
}

void leases_print(const struct cli *cli, const struct lease_view *view)
{
        enum print_color color = leases_color(view->state);
        char user[PRINT_USER_SIZE], *label;

        (void)printf("%s%s%s %s - %s%s%s", print_start(cli, color), print_bullet(), print_stop(cli),
                     view->namespace, print_start(cli, color), view->state, print_stop(cli));
        if (view->position)
                (void)printf(", number %" PRId64 " in the queue", view->position);
        label = print_cut(view->label ? view->label : "-", print_width() - 14);
        (void)printf("\n      Label: %s\n      Owner: %s\n", label ? label : "?",
                     print_user(view->uid, user));
        free(label);
        print_when(view);
        print_members(cli, view);
        if (view->sessions >= 0)
                (void)printf("   Sessions: %" PRId64 "\n", view->sessions);
        if (view->schemas >= 0)
                (void)printf("    Schemas: %" PRId64 "\n", view->schemas);
}
