/* SPDX-License-Identifier: MIT */
#pragma once

/* Which other program holds a lock on the ledger, for the message that asks to end it. */

#include "store/place.h"

enum holder { HOLDER_WRITES, HOLDER_READS };

#define HOLDER_SIZE 64

/* "pid 4711 (sqlite3)", or "a program that holds its lock" where the system does not say. Returns text. */
const char *holders_name(const struct place *place, enum holder holder, char text[HOLDER_SIZE]);
