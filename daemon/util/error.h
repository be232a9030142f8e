/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How functions of the daemon report, everywhere:
 *
 *       0    done
 *      <0    -errno: unexpected. Passed up unchanged; the edge of a request or main() deals with it.
 *      >0    an outcome the function documents (LEASES_E_IN_USE). Its direct caller deals with it; it travels no
 *            further.
 *
 * Results are written to ret_ parameters, which come last, and only on success. A function logs or returns, never
 * both: util, core, store, pg and os return; service, server and main log.
 *
 * Out of memory is not handled: alloc.h ends the process in order. Every lease, slot and claim is in the ledger, and
 * a restarted daemon goes on where this one was (docs/decisions/0006-out-of-memory.md).
 */
