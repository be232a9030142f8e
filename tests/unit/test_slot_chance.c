/* SPDX-License-Identifier: MIT */

/*
 * Anything in any order, against an oracle that knows every holder:
 *   - never more holders of a cluster than it has slots, restarts of the daemon counted in, and no slot held
 * twice;
 *   - nobody is granted to who has hung up, whose process is gone, or whose lease has ended;
 *   - whoever asks is answered once; when holders give back or die, every waiter has had its turn.
 */

#include "slot_story.h"

#include <string.h>

#define SEEDS       3000
#define STEPS       250
#define CONNECTIONS 24
#define LEASES      4
#define SLOTS       2

struct client {
        struct slot_request request; /* connection 0: closed */
        bool alive, waits, holds;
        unsigned cluster;
        int slot;
        int64_t grant;
};

struct oracle {
        struct slot_story *story;
        unsigned seed, step;
        uint64_t chance, sweep, last_sweep;
        struct client clients[CONNECTIONS];
};

static struct oracle oracle;

#define REQUIRE(condition)                                                                                   \
        do {                                                                                                 \
                if (!(condition))                                                                            \
                        fail_msg("seed %u, step %u: %s", oracle.seed, oracle.step, #condition);              \
        } while (0)

static unsigned draw(unsigned below)
{
        oracle.chance = oracle.chance * 6364136223846793005 + 1442695040888963407;
        return (unsigned)((oracle.chance >> 33) % below);
}

static struct client *find_client(uint64_t connection)
{
        for (unsigned i = 0; i < CONNECTIONS; i++)
                if (oracle.clients[i].request.connection == connection)
                        return &oracle.clients[i];
        return NULL;
}

/* Whoever may be building right now: told a slot, alive, not let go. */
static void at_most_so_many_hold(void)
{
        for (unsigned cluster = 1; cluster <= 2; cluster++) {
                unsigned n = 0;
                bool taken[SLOTS] = {0};

                for (unsigned i = 0; i < CONNECTIONS; i++) {
                        const struct client *client = &oracle.clients[i];

                        if (!client->holds || client->cluster != cluster)
                                continue;
                        REQUIRE(client->slot >= 0 && client->slot < SLOTS && !taken[client->slot]);
                        taken[client->slot] = true;
                        n++;
                }
                REQUIRE(n <= SLOTS);
        }
}

static void holds(struct client *client, unsigned cluster, int slot, int64_t grant)
{
        client->waits = false;
        client->holds = true;
        client->cluster = cluster;
        client->slot = slot;
        client->grant = grant;
        at_most_so_many_hold();
}

static void watch(struct slot_story *story, const struct slot_telling *telling)
{
        struct client *client = telling->connection ? find_client(telling->connection) : NULL;

        (void)story;
        if (telling->what == SLOT_TOLD_CHANGED)
                return;
        REQUIRE(client);
        if (telling->what == SLOT_TOLD_LET_GO) {
                client->holds = client->holds && client->grant != telling->grant;
                at_most_so_many_hold();
                return;
        }
        REQUIRE(client->waits);
        if (telling->what == SLOT_TOLD_QUEUED)
                REQUIRE(telling->position > 0);
        if (telling->what == SLOT_TOLD_FAILED)
                client->waits = false;
        if (telling->what == SLOT_TOLD_GRANTED)
                holds(client, telling->cluster, telling->slot, telling->grant);
}

static void ask_as(struct client *client)
{
        const struct slot_use *use;
        int r = slots_acquire(oracle.story->slots, &client->request, &use);

        REQUIRE(r >= 0 || (r == -SLOTS_E_BUSY && client->request.no_wait) ||
                (r == -SLOTS_E_GONE && !client->alive));
        client->waits = r == 0;
        if (r == 1)
                holds(client, use->cluster, use->slot, use->grant);
}

static void ask(void)
{
        static const char *const names[] = {"main", "tenant", "other"};
        struct client *client = &oracle.clients[draw(CONNECTIONS)];

        if (client->waits || client->holds)
                return;
        if (!client->request.connection) {
                client->request = slot_story_request(oracle.story, 1 + draw(LEASES));
                client->alive = true;
        }
        client->request.database = names[draw(3)];
        client->request.no_wait = !draw(5);
        client->request.timeout_usec = draw(3) ? 0 : 1 + draw(2 * USEC_PER_SEC);
        client->request.reclaim = 0;
        ask_as(client);
}

static void give_back(void)
{
        struct client *client = &oracle.clients[draw(CONNECTIONS)];
        uint64_t held;

        if (!client->holds || !client->alive || !client->request.connection)
                return;
        /* Refused only where it was let go and that is not told yet. */
        client->holds =
                slots_release(oracle.story->slots, client->request.connection, 0, client->grant, &held);
}

static void hang_up(void)
{
        struct client *client = &oracle.clients[draw(CONNECTIONS)];
        uint64_t connection = client->request.connection;

        if (!connection)
                return;
        *client = (struct client){0};
        slots_connection_closed(oracle.story->slots, connection);
}

static void die(void)
{
        struct client *client = &oracle.clients[draw(CONNECTIONS)];

        if (!client->request.connection || !client->alive || draw(3))
                return;
        client->alive = client->holds = false;
        fake_env_kill(oracle.story->fake, &client->request.peer.process);
}

static void end_lease(void)
{
        int64_t lease = 1 + draw(LEASES);

        if (draw(4))
                return;
        slots_lease_ended(oracle.story->slots, lease, draw(2), NULL);
        for (unsigned i = 0; i < CONNECTIONS; i++)
                if (oracle.clients[i].request.lease == lease)
                        oracle.clients[i].holds = false;
}

static void sweep(void)
{
        if (oracle.sweep)
                slots_done_for_sweep(oracle.story->slots, oracle.sweep);
        oracle.sweep = draw(2) ? ++oracle.last_sweep : 0;
        if (oracle.sweep)
                slot_story_request_for_sweep(oracle.story, 1 + draw(2), oracle.sweep);
}

static void turn(void)
{
        (void)fake_env_turn(oracle.story->fake);
}

static void confirm(void)
{
        (void)memory_ledger_confirm(oracle.story->memory);
}

static void pass(void)
{
        fake_env_pass(oracle.story->fake, draw(USEC_PER_SEC));
}

/* Who held goes on building, and half of them come back for their slots. */
static void restart(void)
{
        if (draw(10))
                return;
        slot_story_settle(oracle.story);
        oracle.sweep = 0;
        slot_story_restart(oracle.story);
        for (unsigned i = 0; i < CONNECTIONS; i++) {
                struct client *client = &oracle.clients[i];
                bool comes_back = client->holds && client->alive && draw(2);

                client->waits = false;
                client->request.connection = comes_back ? ++oracle.story->last_connection : 0;
                if (!comes_back && client->holds)
                        fake_env_kill(oracle.story->fake, &client->request.peer.process);
                client->request.reclaim = client->grant;
                client->request.database = client->cluster == 1 ? "main" : "other";
                client->request.no_wait = false;
                if (!comes_back) {
                        *client = (struct client){0};
                        continue;
                }
                client->holds = false;
                ask_as(client);
                REQUIRE(client->holds && client->grant == client->request.reclaim);
        }
}

static void (*const moves[])(void) = {ask,       ask,       ask,     ask,     ask,  give_back,
                                      give_back, give_back, hang_up, hang_up, die,  end_lease,
                                      sweep,     turn,      turn,    confirm, pass, restart};

/* Everybody who holds gives back, again and again: then everybody has been served. */
static void all_are_served(void)
{
        if (oracle.sweep)
                slots_done_for_sweep(oracle.story->slots, oracle.sweep);
        for (unsigned round = 0; round < CONNECTIONS; round++) {
                slot_story_settle(oracle.story);
                for (unsigned i = 0; i < CONNECTIONS; i++) {
                        struct client *client = &oracle.clients[i];
                        uint64_t held;

                        if (client->holds)
                                client->holds = slots_release(oracle.story->slots, client->request.connection,
                                                              0, client->grant, &held);
                }
        }
        slot_story_pass(oracle.story, 10 * USEC_PER_SEC);
        for (unsigned i = 0; i < CONNECTIONS; i++)
                REQUIRE(!oracle.clients[i].waits && !oracle.clients[i].holds);
        REQUIRE(!slots_n_waiting(oracle.story->slots));
        REQUIRE(!slot_story_n_held(oracle.story, 1) && !slot_story_n_held(oracle.story, 2));
        REQUIRE(memory_ledger_count(oracle.story->memory, LEDGER_SLOT_GRANTED) >=
                memory_ledger_count(oracle.story->memory, LEDGER_SLOT_FREED));
}

static void play(unsigned seed)
{
        void *state;

        oracle = (struct oracle){.seed = seed, .chance = seed * 0x9e3779b97f4a7c15};
        REQUIRE(!slot_story_setup(&state));
        oracle.story = state;
        oracle.story->watcher = watch;
        for (oracle.step = 0; oracle.step < STEPS; oracle.step++)
                moves[draw(sizeof(moves) / sizeof(*moves))]();
        all_are_served();
        (void)slot_story_teardown(&state);
}

static void whatever_happens_the_oracle_agrees(void **state)
{
        (void)state;
        for (unsigned seed = 1; seed <= SEEDS; seed++)
                play(seed);
}

int main(void)
{
        const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_happens_the_oracle_agrees)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
