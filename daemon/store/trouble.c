/* SPDX-License-Identifier: MIT */
#include "store/trouble.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

static void set(struct writer *writer, char text[LEDGER_MESSAGE_SIZE], const char *message)
{
        bool is_new;

        pthread_mutex_lock(&writer->lock);
        is_new = strcmp(text, message) != 0;
        if (is_new) {
                (void)snprintf(text, LEDGER_MESSAGE_SIZE, "%s", message);
                writer->has_news = true;
        }
        pthread_mutex_unlock(&writer->lock);
        if (is_new)
                (void)eventfd_write(writer->fd, 1);
}

static void set_parts(struct writer *writer, const char *what, const char *why, const char *fix)
{
        char message[LEDGER_MESSAGE_SIZE];

        (void)snprintf(message, sizeof(message), "%s; %s; %s", what, why, fix);
        set(writer, writer->message, message);
}

void trouble_set(struct writer *writer, const char *why, const char *fix)
{
        set_parts(writer, "the ledger cannot be written", why, fix);
}

void trouble_end(struct writer *writer)
{
        set(writer, writer->message, "");
}

void trouble_warn(struct writer *writer, const char *reader, int64_t wal_size)
{
        char warning[LEDGER_MESSAGE_SIZE] = "";

        if (reader)
                (void)snprintf(warning, sizeof(warning),
                               "the ledger's WAL has grown to %lld MiB; %s reads and does not end, so it "
                               "cannot be cut "
                               "back; end that program",
                               (long long)(wal_size >> 20), reader);
        set(writer, writer->warning, warning);
}

void trouble_set_doubtful(struct writer *writer, const char *why)
{
        set_parts(writer, "the ledger is in doubt", why, "the daemon starts again and goes on from the file");
        atomic_store(&writer->healthy, false);
        atomic_store(&writer->doubtful, true);
        (void)eventfd_write(writer->fd, 1);
}
