/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One line a call on stderr, with the "<N>" prefix journald understands (sd-daemon(3)). Subject first, then facts as
 * key=value, always the same keys: "lease granted: namespace=p18...d71 pid=18234 uid=1000". Control bytes in the
 * text are written as '?', so that one call can never become two lines.
 */

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Where stderr is the journal, lines go there with their facts as fields (util/journal.h). To be called at start. */
void log_find_journal(void);
void log_set_level(enum log_level most);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
