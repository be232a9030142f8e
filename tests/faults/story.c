/* SPDX-License-Identifier: MIT */
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#define NAME_SIZE 32

/* What may come, and how often; the second of a pair ends one of the first. */
static const struct chance {
        enum ledger_change_kind kind;
        unsigned weight;
        bool is_waited_for;
        enum ledger_change_kind ends; /* LEDGER_CHANGE_MAX_: none */
} chances[] = {
        {LEDGER_LEASE_GRANTED, 6, true, LEDGER_CHANGE_MAX_},
        {LEDGER_LEASE_ENDED, 4, false, LEDGER_LEASE_GRANTED},
        {LEDGER_MEMBER_JOINED, 4, true, LEDGER_CHANGE_MAX_},
        {LEDGER_MEMBER_LEFT, 3, false, LEDGER_MEMBER_JOINED},
        {LEDGER_SLOT_GRANTED, 6, false, LEDGER_CHANGE_MAX_},
        {LEDGER_SLOT_FREED, 5, false, LEDGER_SLOT_GRANTED},
        {LEDGER_CLAIMED, 3, true, LEDGER_CHANGE_MAX_},
        {LEDGER_UNCLAIMED, 2, false, LEDGER_CLAIMED},
        {LEDGER_SWEPT, 2, false, LEDGER_CHANGE_MAX_},
        {LEDGER_NOTED, 1, true, LEDGER_CHANGE_MAX_},
};

#define N_CHANCES (sizeof(chances) / sizeof(*chances))

/* Where what a change began is to be found, until what ends it has come. */
static const struct table {
        enum ledger_change_kind begins, ends;
        const char *ids;
} tables[] = {
        {LEDGER_LEASE_GRANTED, LEDGER_LEASE_ENDED, "SELECT id FROM lease WHERE ended_usec IS NULL"},
        {LEDGER_MEMBER_JOINED, LEDGER_MEMBER_LEFT,
         "SELECT id FROM member WHERE left_usec IS NULL AND id > 1000000"},
        {LEDGER_SLOT_GRANTED, LEDGER_SLOT_FREED, "SELECT grant FROM slot"},
        {LEDGER_CLAIMED, LEDGER_UNCLAIMED, "SELECT sweep FROM claim"},
        {LEDGER_SWEPT, LEDGER_CHANGE_MAX_, "SELECT id FROM sweep"},
};

#define N_TABLES (sizeof(tables) / sizeof(*tables))

void story_begin(struct story *story, unsigned seed)
{
        memset(story, 0, sizeof(*story));
        (void)pthread_mutex_init(&story->lock, NULL);
        story->seed = seed;
        story->next = (struct ledger_numbers){.lease = 1, .member = 1000001, .grant = 1, .sweep = 1};
}

unsigned story_random(struct story *story, unsigned below)
{
        return (unsigned)rand_r(&story->seed) % below;
}

/* ---- changes ---- */

static int64_t *number_of(struct story *story, enum ledger_change_kind kind)
{
        switch ((int)kind) {
        case LEDGER_LEASE_GRANTED:
                return &story->next.lease;
        case LEDGER_MEMBER_JOINED:
                return &story->next.member;
        case LEDGER_SLOT_GRANTED:
                return &story->next.grant;
        default:
                return &story->next.sweep;
        }
}

/* The last one of that kind that has not been ended and was not refused; 0: none. */
static int64_t find_open(const struct story *story, enum ledger_change_kind begins,
                         enum ledger_change_kind ends)
{
        for (unsigned i = story->n; i-- > 0;) {
                const struct story_change *change = &story->changes[i];
                bool has_ended = change->kind != begins || change->state >= STORY_FAILED ||
                                 (change->is_waited_for && change->state != STORY_ACKNOWLEDGED);

                for (unsigned j = i + 1; j < story->n && !has_ended; j++)
                        has_ended = story->changes[j].kind == ends && story->changes[j].id == change->id;
                if (!has_ended)
                        return change->id;
        }
        return 0;
}

static void on_done(void *owner, uint64_t ticket, int error)
{
        struct story *story = owner;

        pthread_mutex_lock(&story->lock);
        story->changes[ticket].state = error ? STORY_FAILED : STORY_ACKNOWLEDGED;
        story->n_waiting--;
        pthread_mutex_unlock(&story->lock);
}

static void fill(struct story *story, struct ledger_change *change, char text[NAME_SIZE], char *long_text,
                 size_t size)
{
        (void)snprintf(text, NAME_SIZE, "p%lldt1r%08x", (long long)change->lease, story->n);
        change->namespace = text;
        change->worker = "gw0";
        change->cluster = "7312";
        change->exit_status = -1;
        change->process = (struct process_id){.pid = 4711, .start_ticks = 99, .boot_id = "b007"};
        if (change->kind == LEDGER_CLAIMED || change->kind == LEDGER_UNCLAIMED) {
                (void)snprintf(text, NAME_SIZE, "test_c%lld_gw0", (long long)change->sweep);
                change->database = "platform";
                change->schema = text;
                change->namespace = NULL;
        }
        change->detail = "released";
        if (change->kind == LEDGER_SWEPT) {
                memset(long_text, 'x', size);
                long_text[story_random(story, (unsigned)size)] = '\0';
                long_text[size - 1] = '\0';
                change->detail = long_text;
        }
}

static void submit_one(struct story *story, const struct chance *chance, int64_t id)
{
        struct story_change *kept = &story->changes[story->n];
        struct ledger_change change = {.kind = chance->kind, .time_usec = STORY_NOW + story->n};
        char text[NAME_SIZE], long_text[8000];
        unsigned ticket = story->n;

        switch ((int)chance->kind) {
        case LEDGER_LEASE_GRANTED:
        case LEDGER_LEASE_ENDED:
                change.lease = id;
                break;
        case LEDGER_MEMBER_JOINED:
        case LEDGER_MEMBER_LEFT:
                change.member = id;
                change.lease = 1;
                break;
        case LEDGER_SLOT_GRANTED:
        case LEDGER_SLOT_FREED:
                change.grant = id;
                break;
        default:
                change.sweep = id;
        }
        fill(story, &change, text, long_text, sizeof(long_text));
        *kept = (struct story_change){.kind = chance->kind, .id = id, .is_waited_for = chance->is_waited_for};
        story->n++;
        story->n_waiting += chance->is_waited_for;
        story->ledger->ops->submit(story->ledger, &change, chance->is_waited_for ? on_done : NULL, story,
                                   ticket);
}

static void submit_some(struct story *story)
{
        unsigned total = 0, roll;
        const struct chance *chance = chances;
        int64_t id;

        for (size_t i = 0; i < N_CHANCES; i++)
                total += chances[i].weight;
        roll = story_random(story, total);
        for (; roll >= chance->weight; chance++)
                roll -= chance->weight;
        if (chance->ends == LEDGER_CHANGE_MAX_)
                id = (*number_of(story, chance->kind))++;
        else
                id = find_open(story, chance->ends, chance->kind);
        if (id && story->n < STORY_CHANGES)
                submit_one(story, chance, id);
}

void story_submit(struct story *story, unsigned n_changes)
{
        pthread_mutex_lock(&story->lock);
        while (n_changes--)
                submit_some(story);
        pthread_mutex_unlock(&story->lock);
}

void story_go_on_from(struct story *story, const struct story_image *image)
{
        for (unsigned i = 0; i < story->n; i++)
                if (!image->has[i])
                        story->changes[i].state = STORY_FORGOTTEN;
        story->n_waiting = 0;
}

/* ---- what a ledger holds ---- */

static char wrong[400];

static const char *say(const char *what, long long a, long long b)
{
        (void)snprintf(wrong, sizeof(wrong), "%s (%lld, %lld)", what, a, b);
        return wrong;
}

static int integer(sqlite3 *db, const char *sql, int64_t *ret)
{
        sqlite3_stmt *statement = NULL;
        int r = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

        if (!r && sqlite3_step(statement) == SQLITE_ROW)
                *ret = sqlite3_column_int64(statement, 0);
        else
                r = -1;
        (void)sqlite3_finalize(statement);
        return r;
}

static const char *read_events(const struct story *story, sqlite3 *db, struct story_image *image)
{
        sqlite3_stmt *statement = NULL;
        int64_t sound = 0;

        if (integer(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'", &sound) ||
            sound != 1)
                return say("its integrity_check is not ok", sound, 0);
        if (integer(db, "SELECT coalesce(max(id), 0) FROM event", &image->last_event) ||
            sqlite3_prepare_v2(db,
                               "SELECT time_usec FROM event WHERE event <> 'noted' OR detail = 'released'",
                               -1, &statement, NULL))
                return say("its events cannot be read", 0, 0);
        while (sqlite3_step(statement) == SQLITE_ROW) {
                const uint64_t i = (uint64_t)sqlite3_column_int64(statement, 0) - STORY_NOW;

                if (i >= story->n || image->has[i] || story->changes[i].state == STORY_FORGOTTEN) {
                        (void)sqlite3_finalize(statement);
                        return say("it has an event that never was, or has it twice", (long long)i, story->n);
                }
                image->has[i] = true;
                if (i >= image->last)
                        image->last = (unsigned)i + 1;
        }
        (void)sqlite3_finalize(statement);
        return NULL;
}

static bool ends_later(const struct story *story, const struct story_image *image, const struct table *table,
                       unsigned begin)
{
        for (unsigned i = begin + 1; i < story->n; i++)
                if (image->has[i] && story->changes[i].kind == table->ends &&
                    story->changes[i].id == story->changes[begin].id)
                        return true;
        return false;
}

/* By its events this is what stands; exactly that must be in the table. */
static const char *check_table(const struct story *story, sqlite3 *db, const struct story_image *image,
                               const struct table *table)
{
        char sql[200];
        int64_t found, count;
        unsigned expected = 0;

        for (unsigned i = 0; i < image->last; i++) {
                if (!image->has[i] || story->changes[i].kind != table->begins ||
                    ends_later(story, image, table, i))
                        continue;
                expected++;
                (void)snprintf(sql, sizeof(sql), "SELECT %lld IN (%s)", (long long)story->changes[i].id,
                               table->ids);
                if (integer(db, sql, &found) || !found)
                        return say("an event stands without what it says", i, story->changes[i].id);
        }
        (void)snprintf(sql, sizeof(sql), "SELECT count(*) FROM (%s)", table->ids);
        if (integer(db, sql, &count) || count != expected)
                return say(table->ids, count, expected);
        return NULL;
}

static const char *check_promises(const struct story *story, const struct story_image *image,
                                  const struct ledger_numbers *next)
{
        for (unsigned i = 0; i < story->n; i++) {
                const struct story_change *change = &story->changes[i];

                if (change->state == STORY_ACKNOWLEDGED && !image->has[i])
                        return say("LOST: it was acknowledged and is not there", i, image->last);
                if (change->state == STORY_FAILED && image->has[i])
                        return say("it was refused and is there", i, change->id);
                if (change->state == STORY_ACKNOWLEDGED && change->kind == LEDGER_LEASE_GRANTED &&
                    next->lease <= change->id)
                        return say("the number of a lease comes back", next->lease, change->id);
                /* A slot is granted before it is written: its number counts from the first. */
                if (!change->is_unreserved && change->state == STORY_SUBMITTED &&
                    change->kind == LEDGER_SLOT_GRANTED && next->grant <= change->id)
                        return say("the number of a slot's grant comes back", next->grant, change->id);
        }
        return NULL;
}

static void ignore_row(void *owner, const struct ledger_change *row)
{
        (void)owner, (void)row;
}

static const char *look(const struct story *story, const char *directory, struct story_image *image,
                        const struct ledger_numbers *next)
{
        char path[300];
        sqlite3 *db;
        const char *bad;

        (void)snprintf(path, sizeof(path), "%s/ledger.db", directory);
        /* One moment of it, whatever the daemon does meanwhile. */
        if (sqlite3_open(path, &db) || sqlite3_exec(db, "BEGIN", NULL, NULL, NULL))
                return say("it cannot be opened", 0, 0);
        bad = read_events(story, db, image);
        for (size_t i = 0; i < N_TABLES && !bad; i++)
                bad = check_table(story, db, image, &tables[i]);
        (void)sqlite3_close(db);
        return bad ? bad : check_promises(story, image, next);
}

void story_forget_held(const char *directory)
{
        char path[300];

        (void)snprintf(path, sizeof(path), "%s/ledger.held", directory);
        (void)unlink(path);
}

const char *story_check(const struct story *story, const char *directory, struct story_image *ret)
{
        char message[LEDGER_MESSAGE_SIZE];
        struct ledger_sqlite *ledger;
        struct ledger_numbers next;
        const char *bad;
        int r;

        story_forget_held(directory);
        r = ledger_sqlite_open(directory, false, &ledger, message);
        memset(ret, 0, sizeof(*ret));
        if (r) {
                (void)snprintf(wrong, sizeof(wrong), "the next start refuses it: %.300s (%d)", message, r);
                return wrong;
        }
        if (ledger_sqlite_load(ledger, ignore_row, NULL, &next))
                bad = say("it cannot be loaded", 0, 0);
        else
                bad = look(story, directory, ret, &next);
        (void)ledger_sqlite_close(ledger);
        return bad;
}

const char *story_missing(const struct story *story, const struct story_image *image)
{
        for (unsigned i = 0; i < story->n; i++) {
                const struct story_change *change = &story->changes[i];

                if (!image->has[i] && change->state == STORY_SUBMITTED &&
                    change->kind != LEDGER_SLOT_GRANTED && change->kind != LEDGER_SLOT_FREED)
                        return say("a clean stop has not written it", i, (long long)change->kind);
        }
        return NULL;
}
