/* SPDX-License-Identifier: MIT */

#include "client/lib/describe.h"

#include "client/lib/berth.h"

#include "proto/json.h"

#include <inttypes.h>
#include <stdio.h>

/* The largest unit that leaves at least 1; a fraction only below ten seconds, where it tells something. */
const char *berth_format_duration(int64_t usec, char ret_text[BERTH_DURATION_SIZE])
{
        static const struct {
                int64_t sec;
                const char *unit;
        } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}};
        int64_t sec = usec / 1000000;

        if (usec < 0)
                usec = sec = 0;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
                if (sec >= 2 * units[i].sec) {
                        (void)snprintf(ret_text, BERTH_DURATION_SIZE, "%" PRId64 "%s", sec / units[i].sec,
                                       units[i].unit);
                        return ret_text;
                }
        }
        if (sec >= 10)
                (void)snprintf(ret_text, BERTH_DURATION_SIZE, "%" PRId64 "s", sec);
        else if (usec % 1000000 < 100000)
                (void)snprintf(ret_text, BERTH_DURATION_SIZE, "%" PRId64 "s", sec);
        else
                (void)snprintf(ret_text, BERTH_DURATION_SIZE, "%" PRId64 ".%" PRId64 "s", sec,
                               usec % 1000000 / 100000);
        return ret_text;
}

void describe_holders(const struct cJSON *holders, char *text, size_t size)
{
        size_t used = 0;

        *text = '\0';
        for (const struct cJSON *holder = json_first(holders); holder; holder = json_next(holder)) {
                const char *run = json_get_string(holder, "namespace"); /* empty: the sweep */
                const char *worker = json_get_string(holder, "worker");
                char held[BERTH_DURATION_SIZE];
                int n;

                n = snprintf(text + used, size - used, "%s%s%s%s for %s", used ? ", " : "",
                             worker ? worker : "", worker ? " of " : "", run && *run ? run : "the sweep",
                             berth_format_duration(json_get_integer(holder, "heldUSec", 0), held));
                if (n < 0 || (size_t)n >= size - used) {
                        text[used] = '\0'; /* only whole holders */
                        return;
                }
                used += (size_t)n;
        }
}

void describe_owner(const struct cJSON *holder, char *text, size_t size)
{
        const char *label = json_get_string(holder, "label");
        int64_t pid = json_get_integer(json_get(holder, "process"), "pid", 0);
        char held[BERTH_DURATION_SIZE], process[32] = "";

        if (!holder) {
                (void)snprintf(text, size, "its holder is not known");
                return;
        }
        if (pid > 0)
                (void)snprintf(process, sizeof(process), "pid %" PRId64 ", ", pid);
        (void)snprintf(text, size, "held by %.100s (%suid %" PRId64 ") for %s", label ? label : "a run",
                       process, json_get_integer(holder, "uid", -1),
                       berth_format_duration(json_get_integer(holder, "heldUSec", 0), held));
}
