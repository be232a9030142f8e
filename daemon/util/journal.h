/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The journal's own protocol, where stderr is the journal: a line's facts become fields, so that
 * journalctl BERTH_NAMESPACE=p18... finds them, and a subject that the catalog explains gets its MESSAGE_ID. The fact
 * "namespace=x" is the field BERTH_NAMESPACE, "lease=5" is BERTH_LEASE_ID (BERTH_LEASE is a secret's name).
 *
 * Facts end where somebody else's text begins: at an unquoted reason=, detail= or message=, and at ';'.
 */

#include <stdbool.h>
#include <stddef.h>

#define JOURNAL_MESSAGE_MAX 8192

/* Is stderr connected to the journal? */
bool journal_is_stderr(void);
/* text: one line. False: it was not sent, say it elsewhere. */
bool journal_send(int priority, const char *text, size_t n);
/* What is sent for it; returns its length. */
size_t journal_format(int priority, const char *text, size_t n, char ret[JOURNAL_MESSAGE_MAX]);
