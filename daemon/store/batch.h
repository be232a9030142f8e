/* SPDX-License-Identifier: MIT */
#pragma once

/* What the writer's thread does with its backlog; it holds writer::store_lock and not writer::lock. */

#include "store/writer.h"

/*
 * Tries to write all of the backlog, in one transaction, and answers its questions. stop: the last attempts;
 * what stays in the backlog is tried again after writer::retry_at.
 */
void batch_write(struct writer *writer);
/* Nothing is urgent: forgets a step of history, moves the WAL into the file. */
void batch_tidy(struct writer *writer);

uint64_t batch_now(void); /* monotonic, usec */
