/* SPDX-License-Identifier: MIT */

#include "client/lib/hold.h"

#include "client/lib/describe.h"
#include "client/lib/error.h"

#include "proto/json.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define BACK_OFF_FIRST_MS 20 /* a restarted daemon is back after some 150 ms */
#define BACK_OFF_LAST_MS  2000
#define LOST_WAITING_MS   30000 /* nothing is held yet: then the caller shall know */
#define SILENT_MS         30000 /* the same of a daemon that takes the call and says nothing */
#define SLACK_MS          2000  /* the daemon counts the time; we only where it does not */
#define NO_WAIT_MS        10000 /* an answer "at once" may still wait for a disk */
#define ASIDE_MS          2000

static void end(struct hold *hold)
{
        hold->connection = berth_disconnect(hold->connection);
        hold->state = BERTH_ENDED;
        hold->changes++;
}

void hold_end(struct hold *hold, const struct berth_error *error)
{
        hold->ending = *error;
        end(hold);
}

static int64_t back_off_ms(unsigned failures)
{
        int64_t pause_ms = BACK_OFF_FIRST_MS;

        while (failures-- && pause_ms < BACK_OFF_LAST_MS)
                pause_ms *= 2;
        return pause_ms < BACK_OFF_LAST_MS ? pause_ms : BACK_OFF_LAST_MS;
}

/* The connection is gone, or there is none to be had; hold->ending says why. */
static void lose(struct hold *hold)
{
        int64_t now_ms = clock_ms();

        hold->connection = berth_disconnect(hold->connection);
        if (!hold->lost_at_ms)
                hold->lost_at_ms = now_ms;
        if (!hold->was_granted &&
            (!strcmp(hold->ending.code, "BadAnswer") || now_ms - hold->lost_at_ms >= LOST_WAITING_MS)) {
                end(hold);
                return;
        }
        hold->retry_at_ms = now_ms + back_off_ms(hold->failures++);
        if (hold->state == BERTH_HELD) {
                hold->state = BERTH_LOST;
                hold->changes++;
        }
}

/* How long the whole wait may be, once the daemon has said that it counts the time. */
static int64_t patience_ms(const struct hold *hold)
{
        if (hold->no_wait)
                return hold->asked_at_ms + NO_WAIT_MS;
        return hold->deadline_ms == INT64_MAX ? INT64_MAX : hold->deadline_ms + SLACK_MS;
}

static void wait_for_a_word(struct hold *hold)
{
        int64_t silent_ms = clock_ms() + SILENT_MS, whole_ms = patience_ms(hold);

        hold->patience_ms = silent_ms < whole_ms ? silent_ms : whole_ms;
}

static int ask(struct hold *hold, struct berth_error *error)
{
        const char *method;
        struct cJSON *parameters = hold->ops->ask(hold, &method);

        if (!parameters)
                return error_no_memory(error);
        if (!hold->was_granted)
                wait_for_a_word(hold);
        return connection_call(hold->connection, method, parameters, true, error);
}

int hold_start(struct hold *hold, const struct hold_ops *ops, const char *socket, bool no_wait,
               int64_t timeout_ms, struct berth_error *error)
{
        int64_t now_ms = clock_ms();

        hold->ops = ops;
        hold->state = BERTH_WAITING;
        hold->no_wait = no_wait;
        hold->asked_at_ms = now_ms;
        hold->deadline_ms = timeout_ms > 0 ? now_ms + timeout_ms : INT64_MAX;
        if (berth_connect(socket, &hold->connection, error))
                return -1;
        (void)snprintf(hold->socket, sizeof(hold->socket), "%s", berth_connection_path(hold->connection));
        if (ask(hold, error)) {
                hold_done(hold);
                return -1;
        }
        return 0;
}

void hold_done(struct hold *hold)
{
        hold->connection = berth_disconnect(hold->connection);
}

void hold_add_patience(const struct hold *hold, struct cJSON *parameters)
{
        int64_t left_ms = hold->deadline_ms - clock_ms();

        if (hold->no_wait)
                (void)json_add_bool(parameters, "noWait", true);
        if (hold->deadline_ms != INT64_MAX)
                (void)json_add_integer(parameters, "timeoutUSec", (left_ms > 1 ? left_ms : 1) * 1000);
}

static void take_error(struct hold *hold, const struct varlink_reply *reply)
{
        (void)error_from_reply(&hold->ending, reply);
        if (hold->was_granted && hold->ending.retryable)
                lose(hold);
        else
                end(hold);
}

static void take_queued(struct hold *hold, const struct cJSON *parameters)
{
        hold->position = (int)json_get_integer(parameters, "position", 0);
        describe_holders(json_get(parameters, "holders"), hold->holders, sizeof(hold->holders));
        hold->patience_ms = patience_ms(hold);
        hold->lost_at_ms = 0;
        hold->failures = 0;
        hold->changes++;
}

static void take_granted(struct hold *hold, const struct cJSON *parameters)
{
        if (!hold->ops->take(hold, parameters)) {
                (void)error_bad_answer(&hold->ending, hold->socket, "'granted' lacks what it grants");
                end(hold);
                return;
        }
        hold->state = BERTH_HELD;
        hold->was_granted = true;
        hold->patience_ms = INT64_MAX;
        hold->lost_at_ms = 0;
        hold->failures = 0;
        hold->position = 0;
        *hold->holders = '\0';
        hold->changes++;
}

static void take_ending(struct hold *hold, const struct cJSON *parameters)
{
        const char *state = json_get_string(parameters, "state");

        (void)error_ended(&hold->ending, !strcmp(state, "revoked"), json_get_string(parameters, "reason"));
        end(hold);
}

static void take_reply(struct hold *hold, const struct varlink_reply *reply)
{
        static const struct {
                const char *state;
                void (*take)(struct hold *hold, const struct cJSON *parameters);
        } replies[] = {
                {"queued", take_queued},
                {"granted", take_granted},
                {"released", take_ending},
                {"revoked", take_ending},
        };
        const char *state = json_get_string(reply->parameters, "state");

        if (reply->error) {
                take_error(hold, reply);
                return;
        }
        for (size_t i = 0; state && i < sizeof(replies) / sizeof(replies[0]); i++) {
                if (!strcmp(replies[i].state, state)) {
                        replies[i].take(hold, reply->parameters);
                        return;
                }
        }
        (void)error_bad_answer(&hold->ending, hold->socket, "a reply without a known state");
        lose(hold);
}

static void come_back(struct hold *hold)
{
        if (clock_ms() < hold->retry_at_ms)
                return;
        if (connection_try(hold->socket, &hold->connection, &hold->ending) || ask(hold, &hold->ending))
                lose(hold);
}

static void give_up_if_unanswered(struct hold *hold)
{
        struct berth_error unanswered;

        if (clock_ms() < hold->patience_ms)
                return;
        (void)error_unanswered(&unanswered, hold->socket, clock_ms() - hold->asked_at_ms);
        hold_end(hold, hold->lost_at_ms ? &hold->ending : &unanswered);
}

enum berth_state hold_dispatch(struct hold *hold, struct berth_error *error)
{
        struct varlink_reply reply;

        if (hold->state != BERTH_ENDED && !hold->connection)
                come_back(hold);
        while (hold->connection) {
                int r = connection_receive(hold->connection, 0, &reply, &hold->ending);

                if (!r)
                        break;
                if (r < 0) {
                        lose(hold);
                        break;
                }
                take_reply(hold, &reply);
                varlink_reply_done(&reply);
        }
        if (hold->state == BERTH_WAITING)
                give_up_if_unanswered(hold);
        if (hold->state == BERTH_ENDED && error)
                *error = hold->ending;
        return hold->state;
}

int hold_fd(const struct hold *hold)
{
        return hold->connection ? berth_connection_fd(hold->connection) : -1;
}

int hold_timeout(const struct hold *hold)
{
        int64_t next_ms = hold->state == BERTH_WAITING ? hold->patience_ms : INT64_MAX;
        int64_t left_ms;

        if (hold->state != BERTH_ENDED && !hold->connection && hold->retry_at_ms < next_ms)
                next_ms = hold->retry_at_ms;
        if (next_ms == INT64_MAX)
                return -1;
        left_ms = next_ms - clock_ms();
        return left_ms < 0 ? 0 : left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

enum berth_state hold_wait(struct hold *hold, int timeout_ms, struct berth_error *error)
{
        int64_t deadline_ms = timeout_ms < 0 ? INT64_MAX : clock_ms() + timeout_ms;
        unsigned changes = hold->changes;

        while (hold_dispatch(hold, error) != BERTH_ENDED && hold->changes == changes) {
                struct pollfd ready = {.fd = hold_fd(hold), .events = POLLIN};
                int64_t left_ms = deadline_ms == INT64_MAX ? INT_MAX : deadline_ms - clock_ms();
                int pause_ms = hold_timeout(hold);

                if (left_ms <= 0)
                        break;
                if (pause_ms < 0 || pause_ms > left_ms)
                        pause_ms = deadline_ms == INT64_MAX ? pause_ms : (int)left_ms;
                (void)poll(&ready, 1, pause_ms);
        }
        return hold->state;
}

static int call_once(struct hold *hold, const char *method, const struct cJSON *parameters, int wait_ms,
                     struct varlink_reply *ret_reply, bool *ret_sent, struct berth_error *error)
{
        struct berth_connection *connection = NULL;
        struct cJSON *copy;
        int r;

        if (connection_try(hold->socket, &connection, error))
                return -1;
        copy = json_copy(parameters);
        r = copy ? connection_call(connection, method, copy, false, error) : error_no_memory(error);
        if (!r) {
                *ret_sent = true;
                r = connection_receive(connection, wait_ms, ret_reply, error);
                if (!r)
                        (void)error_unanswered(error, hold->socket, ASIDE_MS);
                r = r == 1 ? 0 : -1;
        }
        (void)berth_disconnect(connection);
        return r;
}

int hold_call_aside(struct hold *hold, const char *method, struct cJSON *parameters,
                    struct varlink_reply *ret_reply, bool *ret_repeated, struct berth_error *error)
{
        int64_t left_ms, deadline_ms = clock_ms() + ASIDE_MS;
        struct berth_error scratch, *why = error ? error : &scratch;
        bool sent = false;
        unsigned failures = 0;
        int r;

        for (;;) {
                left_ms = deadline_ms - clock_ms();
                *ret_repeated = sent;
                r = call_once(hold, method, parameters, left_ms > 0 ? (int)left_ms : 0, ret_reply, &sent,
                              why);
                left_ms = deadline_ms - clock_ms();
                if (!r || !why->retryable || left_ms <= 0)
                        break;
                (void)poll(NULL, 0, (int)back_off_ms(failures++));
        }
        json_free(parameters);
        return r;
}
