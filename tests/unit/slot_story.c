/* SPDX-License-Identifier: MIT */
#include "slot_story.h"

#include "util/alloc.h"
#include "util/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct slot_telling *tell(struct slot_story *story, enum slot_told what, uint64_t connection,
                                 const struct slot_use *use)
{
        struct slot_telling *telling = &story->tellings[story->n_tellings % 8192];

        assert_true(fake_env_in_loop(story->fake));
        story->n_tellings++;
        *telling = (struct slot_telling){.what = what, .connection = connection, .slot = -1};
        if (use) {
                telling->slot = use->slot;
                telling->grant = use->grant;
                telling->lease = use->lease;
                telling->cluster = use->cluster;
        }
        return telling;
}

static void show(struct slot_story *story, const struct slot_telling *telling)
{
        if (story->watcher)
                story->watcher(story, telling);
}

static void on_queued(void *owner, uint64_t connection, const struct slot_use *use, unsigned position)
{
        struct slot_telling *telling = tell(owner, SLOT_TOLD_QUEUED, connection, use);

        telling->position = position;
        show(owner, telling);
}

static void on_granted(void *owner, uint64_t connection, const struct slot_use *use)
{
        show(owner, tell(owner, SLOT_TOLD_GRANTED, connection, use));
}

static void on_failed(void *owner, uint64_t connection, const struct slot_use *use, int error,
                      const char *message)
{
        struct slot_telling *telling = tell(owner, SLOT_TOLD_FAILED, connection, use);

        telling->error = error;
        (void)snprintf(telling->text, sizeof(telling->text), "%s", message ? message : "");
        show(owner, telling);
}

static void on_let_go(void *owner, uint64_t connection, const struct slot_use *use, bool revoked,
                      const char *reason)
{
        struct slot_telling *telling = tell(owner, SLOT_TOLD_LET_GO, connection, use);

        telling->revoked = revoked;
        (void)snprintf(telling->text, sizeof(telling->text), "%s", reason ? reason : "");
        show(owner, telling);
}

static void on_changed(void *owner, unsigned cluster)
{
        struct slot_telling *telling = tell(owner, SLOT_TOLD_CHANGED, 0, NULL);

        telling->cluster = cluster;
        show(owner, telling);
}

static const struct slot_events events = {
        .queued = on_queued,
        .granted = on_granted,
        .failed = on_failed,
        .let_go = on_let_go,
        .changed = on_changed,
};

static void start(struct slot_story *story)
{
        story->slots = slots_new(fake_env(story->fake), memory_ledger(story->memory), story->databases,
                                 fake_server_pg(story->server), &story->settings, &events, story);
}

int slot_story_setup(void **state)
{
        struct slot_story *story = NEW(struct slot_story);

        log_set_level(LOG_LEVEL_ERROR - 1);
        story->fake = fake_env_new();
        story->memory = memory_ledger_new(story->fake);
        story->databases = fake_databases_new(story->fake);
        story->server = fake_server_new(story->fake);
        fake_databases_add(story->databases, "main", 1, true);
        fake_databases_add(story->databases, "tenant", 1, true);
        fake_databases_add(story->databases, "other", 2, true);
        fake_databases_add(story->databases, "far", 3, false);
        story->settings = (struct settings){.ddl_slots = 2,
                                            .start_grace = START_GRACE,
                                            .statement_timeout = STATEMENT_TIMEOUT,
                                            .connect_timeout = CONNECT_TIMEOUT};
        start(story);
        slots_loaded(story->slots, &(struct ledger_numbers){1, 1, 1, 1});
        *state = story;
        return 0;
}

int slot_story_teardown(void **state)
{
        struct slot_story *story = *state;

        slots_free(story->slots);
        fake_server_free(story->server);
        fake_databases_free(story->databases);
        memory_ledger_free(story->memory);
        fake_env_free(story->fake);
        free(story);
        return 0;
}

void slot_story_settle(struct slot_story *story)
{
        while (fake_env_turn(story->fake) | memory_ledger_confirm(story->memory))
                ;
}

void slot_story_pass(struct slot_story *story, uint64_t usec)
{
        slot_story_settle(story);
        fake_env_pass(story->fake, usec);
        slot_story_settle(story);
}

static void load_row(void *owner, const struct ledger_change *row)
{
        slots_load(owner, row);
}

void slot_story_restart(struct slot_story *story)
{
        struct ledger_numbers numbers;

        slots_free(story->slots);
        memory_ledger_cut(story->memory);
        start(story);
        memory_ledger_load(story->memory, load_row, story->slots);
        numbers = memory_ledger_numbers(story->memory);
        slots_loaded(story->slots, &numbers);
}

struct peer slot_story_peer(struct slot_story *story)
{
        return (struct peer){.uid = 1000, .process = fake_env_spawn(story->fake)};
}

struct slot_request slot_story_request(struct slot_story *story, int64_t lease)
{
        return (struct slot_request){.connection = ++story->last_connection,
                                     .peer = slot_story_peer(story),
                                     .lease = lease,
                                     .namespace = "mydebug",
                                     .worker = "gw3",
                                     .database = "main"};
}

int slot_story_ask(struct slot_story *story, const struct slot_request *request, int64_t *ret_grant)
{
        const struct slot_use *use = NULL;
        int r = slots_acquire(story->slots, request, &use);

        if (r == 1) {
                assert_int_equal(use->connection, request->connection);
                assert_true(use->slot >= 0);
                assert_true(use->grant > 0);
                if (ret_grant)
                        *ret_grant = use->grant;
        }
        return r;
}

struct slot_request slot_story_hold(struct slot_story *story, int64_t lease, int64_t *ret_grant)
{
        struct slot_request request = slot_story_request(story, lease);

        assert_int_equal(slot_story_ask(story, &request, ret_grant), 1);
        return request;
}

struct slot_request slot_story_wait(struct slot_story *story, int64_t lease)
{
        struct slot_request request = slot_story_request(story, lease);

        assert_int_equal(slot_story_ask(story, &request, NULL), 0);
        return request;
}

int slot_story_release(struct slot_story *story, uint64_t connection)
{
        uint64_t held;

        return slots_release(story->slots, connection, 0, 0, &held);
}

static void on_sweep_granted(void *owner, uint64_t id)
{
        struct slot_story *story = owner;

        assert_true(fake_env_in_loop(story->fake));
        story->sweep_granted = id;
}

void slot_story_request_for_sweep(struct slot_story *story, unsigned cluster, uint64_t id)
{
        slots_request_for_sweep(story->slots, cluster, id, on_sweep_granted, story);
}

const struct slot_telling *slot_story_take(struct slot_story *story, uint64_t connection, enum slot_told what)
{
        for (unsigned i = 0; i < story->n_tellings && i < 8192; i++) {
                struct slot_telling *telling = &story->tellings[i];

                if (telling->connection != connection || telling->what != what)
                        continue;
                telling->what = 0;
                return telling;
        }
        return NULL;
}

unsigned slot_story_count(const struct slot_story *story, enum slot_told what)
{
        unsigned n = 0;

        for (unsigned i = 0; i < story->n_tellings && i < 8192; i++)
                n += story->tellings[i].what == what;
        return n;
}

static void count_held(void *owner, const struct slot_use *use, unsigned position)
{
        (void)position;
        *(unsigned *)owner += use->state != SLOT_WAITING;
}

unsigned slot_story_n_held(struct slot_story *story, unsigned cluster)
{
        unsigned n = 0;

        slots_each(story->slots, cluster, count_held, &n);
        return n;
}
