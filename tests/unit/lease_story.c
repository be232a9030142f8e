/* SPDX-License-Identifier: MIT */
#include "lease_story.h"

#include "util/alloc.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct telling *tell(struct story *story, enum told what, uint64_t connection,
                            const struct lease *lease)
{
        struct telling *telling = &story->tellings[story->n_tellings % 8192];

        assert_true(fake_env_in_loop(story->fake));
        story->n_tellings++;
        *telling = (struct telling){.what = what, .connection = connection};
        if (lease) {
                telling->state = lease->state;
                (void)snprintf(telling->namespace, sizeof(telling->namespace), "%s", lease->namespace);
        }
        return telling;
}

static void show(struct story *story, const struct telling *telling)
{
        if (story->watcher)
                story->watcher(story, telling);
}

static void on_queued(void *owner, uint64_t connection, unsigned position)
{
        struct telling *telling = tell(owner, TOLD_QUEUED, connection, NULL);

        telling->position = position;
        show(owner, telling);
}

static void on_granted(void *owner, uint64_t connection, const struct lease *lease, const char *secret)
{
        struct telling *telling = tell(owner, TOLD_GRANTED, connection, lease);

        (void)snprintf(telling->secret, sizeof(telling->secret), "%s", secret ? secret : "");
        show(owner, telling);
}

static void on_failed(void *owner, uint64_t connection, int error)
{
        struct telling *telling = tell(owner, TOLD_FAILED, connection, NULL);

        telling->error = error;
        show(owner, telling);
}

static void on_let_go(void *owner, uint64_t connection, enum lease_state state, const char *reason)
{
        struct telling *telling = tell(owner, TOLD_LET_GO, connection, NULL);

        telling->state = state;
        (void)snprintf(telling->reason, sizeof(telling->reason), "%s", reason ? reason : "");
        show(owner, telling);
}

static void on_kept(void *owner, uint64_t connection, uint64_t until_usec, int error)
{
        struct telling *telling = tell(owner, TOLD_KEPT, connection, NULL);

        telling->error = error;
        telling->until = until_usec;
        show(owner, telling);
}

static void on_ended(void *owner, const struct lease *lease)
{
        show(owner, tell(owner, TOLD_ENDED, 0, lease));
}

static void on_changed(void *owner, const struct lease *lease)
{
        show(owner, tell(owner, TOLD_CHANGED, 0, lease));
}

static const struct lease_events events = {
        .queued = on_queued,
        .granted = on_granted,
        .failed = on_failed,
        .let_go = on_let_go,
        .kept = on_kept,
        .ended = on_ended,
        .changed = on_changed,
};

static void start(struct story *story)
{
        story->leases = leases_new(fake_env(story->fake), memory_ledger(story->memory), &story->settings,
                                   &events, story);
}

int story_setup(void **state)
{
        struct story *story = NEW(struct story);

        log_set_level(LOG_LEVEL_ERROR - 1);
        story->fake = fake_env_new();
        story->memory = memory_ledger_new(story->fake);
        story->settings = (struct settings){.start_grace = START_GRACE, .keep_for = KEEP_FOR};
        start(story);
        leases_loaded(story->leases, &(struct ledger_numbers){1, 1, 1, 1});
        *state = story;
        return 0;
}

int story_teardown(void **state)
{
        struct story *story = *state;

        leases_free(story->leases);
        memory_ledger_free(story->memory);
        fake_env_free(story->fake);
        free(story);
        return 0;
}

void story_settle(struct story *story)
{
        while (fake_env_turn(story->fake) | memory_ledger_confirm(story->memory))
                ;
}

void story_pass(struct story *story, uint64_t usec)
{
        story_settle(story);
        fake_env_pass(story->fake, usec);
        story_settle(story);
}

static void load_row(void *owner, const struct ledger_change *row)
{
        leases_load(owner, row);
}

void story_restart(struct story *story)
{
        struct ledger_numbers numbers;

        leases_free(story->leases);
        memory_ledger_cut(story->memory);
        start(story);
        memory_ledger_load(story->memory, load_row, story->leases);
        if (story->before_loaded)
                story->before_loaded(story);
        numbers = memory_ledger_numbers(story->memory);
        leases_loaded(story->leases, &numbers);
}

struct peer story_peer(struct story *story)
{
        return (struct peer){.uid = 1000, .process = fake_env_spawn(story->fake)};
}

struct peer story_nobody(void)
{
        return (struct peer){.uid = 1000, .process = {.boot_id = FAKE_BOOT_ID}};
}

struct lease_request story_request(struct story *story, const struct peer *peer)
{
        return (struct lease_request){.connection = ++story->last_connection, .peer = *peer};
}

struct lease_request story_acquire_name(struct story *story, const struct peer *peer, const char *namespace,
                                        struct telling *telling)
{
        struct lease_request request = story_request(story, peer);
        const struct telling *granted;
        char message[NAMES_MESSAGE_SIZE];

        request.namespace = namespace;
        assert_int_equal(leases_acquire(story->leases, &request, message), 0);
        story_settle(story);
        granted = story_take(story, request.connection, TOLD_GRANTED);
        assert_non_null(granted);
        if (telling)
                *telling = *granted;
        return request;
}

struct lease_request story_acquire(struct story *story, const struct peer *peer, struct telling *telling)
{
        return story_acquire_name(story, peer, NULL, telling);
}

struct lease_request story_attach_request(struct story *story, const struct peer *peer,
                                          const struct telling *lease, enum role role)
{
        struct lease_request request = story_request(story, peer);

        request.namespace = lease->namespace;
        request.secret = lease->secret;
        request.role = role;
        request.worker = role == ROLE_WORKER ? "gw0" : NULL;
        return request;
}

int story_attach(struct story *story, const struct lease_request *request)
{
        const struct lease *lease;
        const struct telling *failed;
        int r = leases_attach(story->leases, request, &lease);

        if (r != LEASES_LATER)
                return r;
        (void)memory_ledger_confirm(story->memory);
        failed = story_take(story, request->connection, TOLD_FAILED);
        if (failed)
                return failed->error;
        assert_non_null(story_take(story, request->connection, TOLD_GRANTED));
        return 0;
}

int story_keep(struct story *story, const char *namespace, unsigned uid, bool permitted, uint64_t keep_usec,
               uint64_t *ret_until)
{
        uint64_t connection = ++story->last_connection;
        int r = leases_keep(story->leases, connection, namespace, uid, permitted, keep_usec);
        const struct telling *kept;

        if (r != LEASES_LATER)
                return r;
        (void)memory_ledger_confirm(story->memory);
        kept = story_take(story, connection, TOLD_KEPT);
        assert_non_null(kept);
        *ret_until = kept->until;
        return kept->error;
}

int story_release(struct story *story, uint64_t connection)
{
        struct lease_release release = {.connection = connection, .exit_status = -1};
        uint64_t until;

        return leases_release(story->leases, &release, &until);
}

int story_release_by_secret(struct story *story, uint64_t connection, const char *namespace,
                            const char *secret)
{
        struct lease_release release = {
                .connection = connection, .namespace = namespace, .secret = secret, .exit_status = -1};
        uint64_t until;

        return leases_release(story->leases, &release, &until);
}

const struct telling *story_take(struct story *story, uint64_t connection, enum told what)
{
        for (unsigned i = 0; i < story->n_tellings; i++) {
                struct telling *telling = &story->tellings[i];

                if (telling->connection != connection || telling->what != what)
                        continue;
                telling->what = 0;
                return telling;
        }
        return NULL;
}

const struct telling *story_take_end(struct story *story, const char *namespace)
{
        for (unsigned i = 0; i < story->n_tellings; i++) {
                struct telling *telling = &story->tellings[i];

                if (telling->what != TOLD_ENDED || strcmp(telling->namespace, namespace) != 0)
                        continue;
                telling->what = 0;
                return telling;
        }
        return NULL;
}

unsigned story_count(const struct story *story, enum told what)
{
        unsigned n = 0;

        for (unsigned i = 0; i < story->n_tellings; i++)
                n += story->tellings[i].what == what;
        return n;
}

enum lease_state story_state(struct story *story, const char *namespace)
{
        const struct lease *lease = leases_find(story->leases, namespace);

        assert_non_null(lease);
        return lease->state;
}
