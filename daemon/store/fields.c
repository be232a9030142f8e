/* SPDX-License-Identifier: MIT */
#include "store/fields.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum type {
        NUMBER, /* int64_t; 0 is NULL */
        USEC,   /* uint64_t, and anything else that is one */
        TEXT,
        INTEGER,
        STATUS, /* int; -1 is NULL */
        UNSIGNED,
        FLAG,
        ROLE,
        PID,  /* 0 is NULL: no identity */
        BOOT, /* "" is NULL */
        HASH,
        EVENT, /* of struct field_source; only bound */
        SUMMARY,
};

struct field {
        const char *name;
        enum type type;
        size_t offset;
};

#define FIELD(name, type)                                                                                    \
        {                                                                                                    \
#name, type, offsetof(struct ledger_change, name)                                            \
        }
#define PROCESS_FIELD(name, type)                                                                            \
        {                                                                                                    \
#name, type, offsetof(struct ledger_change, process.name)                                    \
        }

static const struct field fields[] = {
        {"event", EVENT, 0},
        {"summary", SUMMARY, 0},
        FIELD(time_usec, USEC),
        FIELD(lease, NUMBER),
        FIELD(member, NUMBER),
        FIELD(grant, NUMBER),
        FIELD(sweep, NUMBER),
        FIELD(namespace, TEXT),
        FIELD(label, TEXT),
        FIELD(worker, TEXT),
        FIELD(request, TEXT),
        FIELD(cluster, TEXT),
        FIELD(database, TEXT),
        FIELD(schema, TEXT),
        FIELD(oid, TEXT),
        FIELD(detail, TEXT),
        FIELD(reason, TEXT),
        FIELD(message, TEXT),
        FIELD(sqlstate, TEXT),
        FIELD(role, ROLE),
        FIELD(uid, UNSIGNED),
        PROCESS_FIELD(pid, PID),
        PROCESS_FIELD(start_ticks, USEC),
        PROCESS_FIELD(pidfd_inode, USEC),
        PROCESS_FIELD(boot_id, BOOT),
        FIELD(secret_hash, HASH),
        FIELD(forced, FLAG),
        FIELD(dry_run, FLAG),
        FIELD(complete, FLAG),
        FIELD(exit_status, STATUS),
        FIELD(slot, INTEGER),
        FIELD(until_usec, USEC),
        FIELD(since_usec, USEC),
};

#define N_FIELDS (sizeof(fields) / sizeof(*fields))

static const char *const roles[] = {
        [ROLE_RUNNER] = "runner",
        [ROLE_CONTROLLER] = "controller",
        [ROLE_WORKER] = "worker",
        [ROLE_CHILD] = "child",
};

const char *field_role_name(enum role role)
{
        return roles[role];
}

static enum role role_of(const char *name)
{
        for (size_t i = 0; name && i < sizeof(roles) / sizeof(*roles); i++)
                if (!strcmp(roles[i], name))
                        return (enum role)i;
        return ROLE_RUNNER;
}

const struct field *field_find(const char *name)
{
        for (size_t i = 0; i < N_FIELDS; i++)
                if (!strcmp(fields[i].name, name))
                        return &fields[i];
        return NULL;
}

static int bind_text(sqlite3_stmt *statement, int index, const char *text)
{
        return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC); /* NULL is NULL */
}

static int bind_unless(sqlite3_stmt *statement, int index, int64_t value, int64_t null)
{
        return value == null ? sqlite3_bind_null(statement, index)
                             : sqlite3_bind_int64(statement, index, value);
}

int field_bind(sqlite3_stmt *statement, int index, const struct field *field,
               const struct field_source *source)
{
        const char *at = (const char *)source->change + field->offset;

        switch (field->type) {
        case NUMBER:
                return bind_unless(statement, index, *(const int64_t *)at, 0);
        case USEC:
                return sqlite3_bind_int64(statement, index, (int64_t) * (const uint64_t *)at);
        case TEXT:
                return bind_text(statement, index, *(const char *const *)at);
        case INTEGER:
                return sqlite3_bind_int(statement, index, *(const int *)at);
        case STATUS:
                return bind_unless(statement, index, *(const int *)at, -1);
        case UNSIGNED:
                return sqlite3_bind_int64(statement, index, *(const unsigned *)at);
        case FLAG:
                return sqlite3_bind_int(statement, index, *(const bool *)at);
        case ROLE:
                return bind_text(statement, index, field_role_name(*(const enum role *)at));
        case PID:
                return bind_unless(statement, index, *(const pid_t *)at, 0);
        case BOOT:
                return bind_text(statement, index, *at ? at : NULL);
        case HASH:
                return sqlite3_bind_blob(statement, index, at, LEDGER_SECRET_HASH_SIZE, SQLITE_STATIC);
        case EVENT:
                return bind_text(statement, index, source->event);
        case SUMMARY:
                return bind_text(statement, index, source->summary);
        }
        return SQLITE_MISUSE;
}

static void read_hash(sqlite3_stmt *statement, int column, void *at)
{
        const void *blob = sqlite3_column_blob(statement, column);

        if (blob && sqlite3_column_bytes(statement, column) == LEDGER_SECRET_HASH_SIZE)
                memcpy(at, blob, LEDGER_SECRET_HASH_SIZE);
}

static void read_boot(const char *text, char *at)
{
        (void)snprintf(at, sizeof(((struct process_id *)0)->boot_id), "%s", text ? text : "");
}

void field_read(sqlite3_stmt *statement, int column, const struct field *field, struct ledger_change *change)
{
        char *at = (char *)change + field->offset;
        const bool null = sqlite3_column_type(statement, column) == SQLITE_NULL;
        const int64_t number = sqlite3_column_int64(statement, column);

        switch (field->type) {
        case NUMBER:
                *(int64_t *)at = number;
                break;
        case USEC:
                *(uint64_t *)at = (uint64_t)number;
                break;
        case TEXT:
                *(const char **)at = (const char *)sqlite3_column_text(statement, column);
                break;
        case INTEGER:
                *(int *)at = (int)number;
                break;
        case STATUS:
                *(int *)at = null ? -1 : (int)number;
                break;
        case UNSIGNED:
                *(unsigned *)at = (unsigned)number;
                break;
        case FLAG:
                *(bool *)at = number != 0;
                break;
        case ROLE:
                *(enum role *)at = role_of((const char *)sqlite3_column_text(statement, column));
                break;
        case PID:
                *(pid_t *)at = (pid_t)number;
                break;
        case BOOT:
                read_boot((const char *)sqlite3_column_text(statement, column), at);
                break;
        case HASH:
                read_hash(statement, column, at);
                break;
        case EVENT:
        case SUMMARY:
                break;
        }
}
