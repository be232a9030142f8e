/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The slots that are held at this moment, in a file that is mapped into memory.
 *
 * A slot's reply does not wait for the disk, and must be known all the same to whoever comes after a kill -9: else a
 * holder builds on, and its slot is given to somebody else. What has been stored into a shared mapping belongs to the
 * kernel, so it outlives the process; that it does not outlive the machine is no loss, since no holder does either.
 *
 *      ledger.held     one header (this boot's id), then records of one size; a record counts once its grant
 *                      is not 0, which is stored last
 *
 * The ledger has the same slots a little later, with their history. After a start on the same boot this file is right
 * about which of them are held. It is never read after a reboot.
 */

#include "seam/ledger.h"

struct held {
        struct held_file *file; /* NULL: there is none, the ledger alone knows */
        unsigned n_used;        /* records below this one may be in use */
        bool is_known;          /* what an earlier life held has been found */
};

/* Maps the file of the directory, and makes it if need be. 0, or -errno: the ledger alone knows. */
int held_open(struct held *held, const char *directory);
void held_close(struct held *held);

/* Of LEDGER_SLOT_GRANTED and LEDGER_SLOT_FREED; other kinds are none of its business. */
void held_note(struct held *held, const struct ledger_change *change);

/* Only with is_known. change: filled in, its texts stand in the file. */
bool held_find(const struct held *held, int64_t grant, struct ledger_change *change);
/* Each that is held, in no order. */
void held_each(const struct held *held, ledger_load_fn *each, void *owner);
