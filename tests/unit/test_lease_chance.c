/* SPDX-License-Identifier: MIT */

/*
 * Anything in any order, against an oracle that knows every connection and every process:
 *   - a lease that was granted is in the ledger, and no two leases have one namespace;
 *   - it crashes only when every member has closed and every process is gone, and then it does;
 *   - a restart of the daemon ends none whose process lives;
 *   - whoever asks is answered once, unless he hangs up.
 */

#include "lease_story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS       3000
#define STEPS       250
#define PROCESSES   6
#define CONNECTIONS 24
#define LEASES      512

struct known_lease {
        char namespace[NAMES_NAMESPACE_MAX + 1];
        char secret[BERTH_SECRET_SIZE];
        bool over, released, revoked;
        bool carried_by[PROCESSES][4]; /* process, and its generation */
};

struct connection {
        uint64_t id; /* 0: closed */
        unsigned process, generation;
        bool asks;
        int attaches_to; /* index + 1, 0: it acquires */
        int lease;       /* index, -1: carries none */
};

struct oracle {
        struct story *story;
        unsigned seed, step;
        uint64_t chance;
        struct peer peers[PROCESSES];
        bool alive[PROCESSES];
        unsigned generations[PROCESSES];
        struct connection connections[CONNECTIONS];
        struct known_lease leases[LEASES];
        unsigned n_leases;
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

static struct connection *find_connection(uint64_t id)
{
        for (unsigned i = 0; i < CONNECTIONS; i++)
                if (oracle.connections[i].id == id)
                        return &oracle.connections[i];
        return NULL;
}

static int find_lease(const char *namespace)
{
        for (unsigned i = 0; i < oracle.n_leases; i++)
                if (!oracle.leases[i].over && !strcmp(oracle.leases[i].namespace, namespace))
                        return (int)i;
        return -1;
}

static void joins(struct connection *connection, int lease)
{
        connection->lease = lease;
        oracle.leases[lease].carried_by[connection->process][connection->generation] = true;
}

static void on_granted(const struct telling *telling)
{
        struct connection *connection = find_connection(telling->connection);
        struct known_lease *lease = &oracle.leases[oracle.n_leases];

        REQUIRE(connection && connection->asks);
        if (connection->attaches_to) {
                connection->asks = false;
                joins(connection, connection->attaches_to - 1);
                return;
        }
        REQUIRE(find_lease(telling->namespace) < 0);
        REQUIRE(memory_ledger_has_lease(oracle.story->memory, telling->namespace));
        REQUIRE(oracle.n_leases < LEASES);
        connection->asks = false;
        *lease = (struct known_lease){0};
        strcpy(lease->namespace, telling->namespace);
        strcpy(lease->secret, telling->secret);
        joins(connection, (int)oracle.n_leases++);
}

static bool is_carried(int lease)
{
        for (unsigned i = 0; i < CONNECTIONS; i++)
                if (oracle.connections[i].id && oracle.connections[i].lease == lease)
                        return true;
        for (unsigned i = 0; i < PROCESSES; i++)
                if (oracle.alive[i] && oracle.leases[lease].carried_by[i][oracle.generations[i]])
                        return true;
        return false;
}

/* Of a lease that was never told (its caller hung up first) the oracle knows nothing. */
static void on_ended(const struct telling *telling)
{
        int lease = find_lease(telling->namespace);

        if (lease < 0)
                return;
        REQUIRE(telling->state != LEASE_CRASHED || !is_carried(lease));
        REQUIRE(telling->state != LEASE_RELEASED || oracle.leases[lease].released);
        REQUIRE(telling->state != LEASE_REVOKED || oracle.leases[lease].revoked);
        oracle.leases[lease].over = true;
        for (unsigned i = 0; i < CONNECTIONS; i++)
                REQUIRE(!oracle.connections[i].id || oracle.connections[i].lease != lease);
}

static void watch(struct story *story, const struct telling *telling)
{
        struct connection *connection = telling->connection ? find_connection(telling->connection) : NULL;

        (void)story;
        REQUIRE(!telling->connection || connection);
        if (telling->what == TOLD_GRANTED)
                on_granted(telling);
        else if (telling->what == TOLD_ENDED)
                on_ended(telling);
        else if (telling->what == TOLD_QUEUED)
                REQUIRE(connection->asks && telling->position > 0);
        else if (telling->what == TOLD_FAILED)
                connection->asks = false;
        else if (telling->what == TOLD_LET_GO)
                connection->lease = -1;
}

static struct connection *open_connection(void)
{
        struct connection *connection = find_connection(0);
        unsigned process = draw(PROCESSES);

        if (!connection || !oracle.alive[process])
                return NULL;
        *connection = (struct connection){.id = ++oracle.story->last_connection,
                                          .process = process,
                                          .generation = oracle.generations[process],
                                          .lease = -1};
        return connection;
}

static void acquire(void)
{
        static const char *const names[] = {NULL, NULL, "one", "two"};
        struct connection *connection = open_connection();
        struct lease_request request;
        char message[NAMES_MESSAGE_SIZE];
        int r;

        if (!connection)
                return;
        request = (struct lease_request){.connection = connection->id,
                                         .peer = oracle.peers[connection->process],
                                         .namespace = names[draw(4)],
                                         .role = draw(2) ? ROLE_RUNNER : ROLE_CONTROLLER,
                                         .no_wait = !draw(4),
                                         .timeout_usec = draw(3) ? 0 : 1 + draw(3 * USEC_PER_SEC)};
        r = leases_acquire(oracle.story->leases, &request, message);
        connection->asks = !r;
        REQUIRE(!r || r == LEASES_E_BUSY || (r == LEASES_E_IN_USE && request.namespace));
}

static void attach(void)
{
        struct connection *connection = oracle.n_leases ? open_connection() : NULL;
        unsigned lease = oracle.n_leases ? draw(oracle.n_leases) : 0;
        const struct lease *attached;
        struct lease_request request;
        int r;

        if (!connection)
                return;
        request = (struct lease_request){.connection = connection->id,
                                         .peer = oracle.peers[connection->process],
                                         .namespace = oracle.leases[lease].namespace,
                                         .secret = oracle.leases[lease].secret,
                                         .role = (enum role)draw(4)};
        if (request.role == ROLE_WORKER)
                request.worker = draw(2) ? "gw0" : "gw1";
        r = leases_attach(oracle.story->leases, &request, &attached);
        connection->asks = r == LEASES_LATER;
        connection->attaches_to = (int)lease + 1;
        REQUIRE(r <= 0 || r == LEASES_E_NO_SUCH_LEASE ||
                (r == LEASES_E_ALREADY_ATTACHED && request.role == ROLE_CONTROLLER));
        REQUIRE(r != LEASES_E_NO_SUCH_LEASE || !is_carried((int)lease) || oracle.leases[lease].released ||
                oracle.leases[lease].revoked);
        if (!r)
                joins(connection, (int)lease);
}

static void close_one(void)
{
        struct connection *connection = &oracle.connections[draw(CONNECTIONS)];
        uint64_t id = connection->id;

        if (!id)
                return;
        connection->id = 0;
        leases_connection_closed(oracle.story->leases, id);
}

static void kill_one(void)
{
        unsigned i = draw(PROCESSES);

        if (oracle.alive[i])
                fake_env_kill(oracle.story->fake, &oracle.peers[i].process);
        oracle.alive[i] = false;
}

static void start_one(void)
{
        unsigned i = draw(PROCESSES);

        if (oracle.alive[i] || oracle.generations[i] == 3)
                return;
        oracle.peers[i].process = draw(2) ? fake_env_spawn(oracle.story->fake)
                                          : fake_env_reuse_pid(oracle.story->fake, &oracle.peers[i].process);
        oracle.generations[i]++;
        oracle.alive[i] = true;
}

static void release(void)
{
        struct connection *connection = &oracle.connections[draw(CONNECTIONS)];
        struct known_lease *lease = &oracle.leases[connection->lease < 0 ? 0 : connection->lease];
        int r;

        if (!connection->id || connection->lease < 0)
                return;
        r = story_release(oracle.story, connection->id);
        /* Let go already, and not told yet. */
        REQUIRE(!r || lease->released || lease->revoked);
        lease->released = true;
        connection->lease = -1;
}

static void revoke(void)
{
        unsigned i = oracle.n_leases ? draw(oracle.n_leases) : 0;
        int r;

        if (!oracle.n_leases || draw(4))
                return;
        r = leases_revoke(oracle.story->leases, oracle.leases[i].namespace, 1000, false, "why not");
        if (!r && find_lease(oracle.leases[i].namespace) >= 0)
                oracle.leases[find_lease(oracle.leases[i].namespace)].revoked = true;
}

static void turn(void)
{
        (void)fake_env_turn(oracle.story->fake);
}

static void confirm(void)
{
        (void)memory_ledger_confirm(oracle.story->memory);
}

static void refuse(void)
{
        if (!draw(4))
                (void)memory_ledger_refuse(oracle.story->memory);
}

static void pass(void)
{
        fake_env_pass(oracle.story->fake, draw(USEC_PER_SEC));
}

/* Of what is under way nobody has been told. */
static void restart(void)
{
        if (draw(8))
                return;
        story_settle(oracle.story);
        acquire();
        attach();
        for (unsigned i = 0; i < CONNECTIONS; i++)
                oracle.connections[i] = (struct connection){.lease = -1};
        story_restart(oracle.story);
        for (unsigned i = 0; i < oracle.n_leases; i++)
                if (!oracle.leases[i].over && is_carried((int)i))
                        REQUIRE(leases_find(oracle.story->leases, oracle.leases[i].namespace));
}

static void (*const moves[])(void) = {acquire,   acquire,  attach,    attach,  attach, close_one, close_one,
                                      close_one, kill_one, start_one, release, revoke, turn,      turn,
                                      confirm,   confirm,  refuse,    pass,    restart};

static void nobody_is_forgotten(void)
{
        for (unsigned i = 0; i < CONNECTIONS; i++)
                REQUIRE(!oracle.connections[i].id || !oracle.connections[i].asks ||
                        leases_n_waiting(oracle.story->leases));
        for (unsigned i = 0; i < oracle.n_leases; i++)
                if (!oracle.leases[i].over && is_carried((int)i) && !oracle.leases[i].released)
                        REQUIRE(leases_find(oracle.story->leases, oracle.leases[i].namespace));
}

static void all_comes_to_an_end(void)
{
        for (unsigned i = 0; i < PROCESSES; i++)
                fake_env_kill(oracle.story->fake, &oracle.peers[i].process);
        memset(oracle.alive, 0, sizeof(oracle.alive));
        for (unsigned i = 0; i < CONNECTIONS; i++) {
                uint64_t id = oracle.connections[i].id;

                oracle.connections[i].id = 0;
                if (id)
                        leases_connection_closed(oracle.story->leases, id);
        }
        story_pass(oracle.story, USEC_PER_SEC);
        REQUIRE(!leases_n_live(oracle.story->leases));
        REQUIRE(!leases_n_waiting(oracle.story->leases));
        for (unsigned i = 0; i < oracle.n_leases; i++)
                REQUIRE(oracle.leases[i].over);
}

static void play(unsigned seed)
{
        void *state;

        oracle = (struct oracle){.seed = seed, .chance = seed * 0x9e3779b97f4a7c15};
        REQUIRE(!story_setup(&state));
        oracle.story = state;
        oracle.story->watcher = watch;
        oracle.story->settings.max_leases = draw(3) * 2;
        leases_configure(oracle.story->leases, &oracle.story->settings);
        for (unsigned i = 0; i < PROCESSES; i++) {
                oracle.peers[i] = story_peer(oracle.story);
                oracle.alive[i] = true;
        }
        for (oracle.step = 0; oracle.step < STEPS; oracle.step++)
                moves[draw(sizeof(moves) / sizeof(*moves))]();
        story_settle(oracle.story);
        nobody_is_forgotten();
        all_comes_to_an_end();
        (void)story_teardown(&state);
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
