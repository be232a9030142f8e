/* SPDX-License-Identifier: MIT */
#include "util/log.h"

#include "util/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* journald takes LINE_MAX bytes as one line; what is longer is cut here, with a mark. */
#define LINE_SIZE 2048

static enum log_level log_most = LOG_LEVEL_INFO;
static bool to_journal;

void log_set_level(enum log_level most)
{
        log_most = most;
}

void log_find_journal(void)
{
        to_journal = journal_is_stderr();
}

/* Bytes of UTF-8 stay; C0 and DEL, with which a text could begin a second line or
 * paint the terminal, do not. */
static void replace_control_bytes(char *text, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
                        text[i] = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
        char line[LINE_SIZE];
        const size_t most = sizeof(line) - 1; /* one byte for the end of the line */
        va_list arguments;
        size_t start, n;
        int written;

        if (level > log_most)
                return;
        start = (size_t)snprintf(line, most, "<%d>", (int)level);
        va_start(arguments, format);
        written = vsnprintf(line + start, most - start, format, arguments);
        va_end(arguments);
        if (written < 0)
                return;
        n = start + (size_t)written;
        if (n > most - 1) {
                n = most - 1;
                memcpy(line + n - 3, "...", 3);
        }
        replace_control_bytes(line + start, n - start);
        line[n] = '\0';
        if (to_journal && journal_send((int)level, line + start, n - start))
                return;
        line[n++] = '\n';
        /* One write for one line: lines of several threads do not mix. Nobody is left to tell if it fails. */
        if (write(STDERR_FILENO, line, n) < 0)
                return;
}
