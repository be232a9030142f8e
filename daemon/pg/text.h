/* SPDX-License-Identifier: MIT */
#pragma once

/* What servers say, made fit for a journal and for JSON. All in place: nothing gets longer. */

/* Bytes that are no UTF-8 become '?': a SQL_ASCII database sends whatever it has. */
void text_force_utf8(char *text);
/* As that, and one line: line ends and tabs become blanks, other control bytes '?', blanks at the end go. */
void text_force_line(char *text);
/* Every occurrence of the secret becomes asterisks. NULL and "" are no secrets. */
void text_redact(char *text, const char *secret);
