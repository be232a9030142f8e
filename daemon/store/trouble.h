/* SPDX-License-Identifier: MIT */
#pragma once

/* What is wrong with the ledger, for the people who read the log and 'berth status'. Told by any thread. */

#include "store/writer.h"

/* It cannot be written. Told once, however often it is tried again. */
void trouble_set(struct writer *writer, const char *why, const char *fix);
void trouble_end(struct writer *writer);
/* reader keeps the WAL from being cut back; NULL: no longer. */
void trouble_warn(struct writer *writer, const char *reader, int64_t wal_size);
/* Nobody knows what is on the disk: the loop is to end the process. */
void trouble_set_doubtful(struct writer *writer, const char *why);
