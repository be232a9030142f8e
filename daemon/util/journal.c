/* SPDX-License-Identifier: MIT */
#include "util/journal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Subjects that systemd/berth.catalog explains; tests/lint compares the two. */
static const struct {
        const char *subject, *id;
} catalog[] = {
        {"lease granted", "91b4958d88664da389d2a00f394dc307"},
        {"lease recovered", "c0e1a7ae596c49ee92b049dd76549469"},
        {"lease ended", "7e794b9b6877447da4abd2b3c87a6705"},
        {"lease revoked", "08da93e69f9f40baabba89cbe49ae70b"},
        {"lease not granted", "9d68b57c63a64498a25c9b95bd51c8f1"},
        {"slot handed on all the same", "04532fca3f2d4e76aecd9773914f3c73"},
        {"slot not claimed again", "bc6210f2383145a2990a234666e73311"},
        {"lock table nearly too small", "01969e0ae70b4c049c81ec23c4003d16"},
        {"sweep refused", "3de7c3583f9d4f1abf0f400842d02e2d"},
        {"schema dropped", "030c7eb033fb4c4fb531923ed29c8545"},
        {"drop failed", "0c10c66d411e44f78a4398bb6f34429e"},
        {"public written", "a3b3be5f0a4a4d7c9d6c1d0a6c2f7e15"},
        {"connections turned away", "e92e5a7df65f498881996017d736346f"},
};

struct message {
        char *at;
        size_t used;
};

static void add(struct message *message, const char *name, const char *value, size_t n)
{
        size_t room = JOURNAL_MESSAGE_MAX - message->used, length = strlen(name);

        if (length + n + 2 > room)
                return;
        memcpy(message->at + message->used, name, length);
        message->at[message->used + length] = '=';
        memcpy(message->at + message->used + length + 1, value, n);
        message->at[message->used + length + 1 + n] = '\n';
        message->used += length + n + 2;
}

static void add_id(struct message *message, const char *subject, size_t n)
{
        for (size_t i = 0; i < sizeof(catalog) / sizeof(*catalog); i++)
                if (strlen(catalog[i].subject) == n && memcmp(catalog[i].subject, subject, n) == 0)
                        add(message, "MESSAGE_ID", catalog[i].id, strlen(catalog[i].id));
}

static bool is_somebody_s_text(const char *key, size_t n)
{
        static const char *const keys[] = {"reason", "detail", "message"};

        for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
                if (strlen(keys[i]) == n && memcmp(keys[i], key, n) == 0)
                        return true;
        return false;
}

static void add_fact(struct message *message, const char *key, size_t n_key, const char *value, size_t n)
{
        char name[48] = "BERTH_";
        size_t length = strlen(name);

        if (n_key == strlen("lease") && memcmp(key, "lease", n_key) == 0) {
                add(message, "BERTH_LEASE_ID", value, n);
                return;
        }
        if (n_key >= sizeof(name) - length)
                return;
        for (size_t i = 0; i < n_key; i++)
                name[length + i] = (char)toupper((unsigned char)key[i]);
        name[length + n_key] = '\0';
        add(message, name, value, n);
}

/* "key=value key=\"a value\" ...". */
static void add_facts(struct message *message, const char *at, const char *end)
{
        while (at < end) {
                size_t n_key = strspn(at, "abcdefghijklmnopqrstuvwxyz_"), n;
                const char *value = at + n_key + 1;
                bool is_quoted = value < end && *value == '"';

                if (n_key == 0 || at[n_key] != '=' || (!is_quoted && is_somebody_s_text(at, n_key)))
                        return;
                value += is_quoted;
                n = strcspn(value, is_quoted ? "\"" : " ;");
                add_fact(message, at, n_key, value, n);
                at = value + n + is_quoted;
                if (at >= end || *at != ' ')
                        return;
                at++;
        }
}

size_t journal_format(int priority, const char *text, size_t n, char ret[JOURNAL_MESSAGE_MAX])
{
        struct message message = {.at = ret};
        const char digit = (char)('0' + priority);
        const char *colon;

        add(&message, "MESSAGE", text, n);
        add(&message, "PRIORITY", &digit, 1);
        add(&message, "SYSLOG_IDENTIFIER", "berthd", strlen("berthd"));
        colon = memmem(text, n, ": ", 2);
        if (colon) {
                add_id(&message, text, (size_t)(colon - text));
                add_facts(&message, colon + 2, text + n);
        }
        return message.used;
}

bool journal_is_stderr(void)
{
        const char *stream = getenv("JOURNAL_STREAM");
        unsigned long long device, inode;
        struct stat status;

        if (!stream || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(STDERR_FILENO, &status))
                return false;
        return status.st_dev == device && status.st_ino == inode;
}

bool journal_send(int priority, const char *text, size_t n)
{
        static const struct sockaddr_un address = {AF_UNIX, "/run/systemd/journal/socket"};
        char message[JOURNAL_MESSAGE_MAX];
        size_t length = journal_format(priority, text, n, message);
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ssize_t sent = -1;

        if (fd < 0)
                return false;
        sent = sendto(fd, message, length, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address,
                      sizeof(address));
        (void)close(fd);
        return sent == (ssize_t)length;
}
