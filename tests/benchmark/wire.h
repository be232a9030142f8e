/* SPDX-License-Identifier: MIT */
#pragma once

/* The least of a Varlink client: whole messages over a blocking socket. Whatever goes wrong ends the program.
 */

#include <stddef.h>
#include <stdint.h>

#define WIRE_SIZE 65536

_Noreturn void wire_die(const char *what); /* and errno */

int wire_connect(const char *path);
void wire_send(int fd, const char *message, size_t size); /* size: with its NUL */
/* One reply into WIRE_SIZE bytes, NUL included; an error in it ends the program. Returns its size. */
size_t wire_receive(int fd, char *buffer);
/* Both, for what is not measured. */
void wire_call(int fd, const char *message, char *buffer);

/* Acquires a lease on fd; the others carry it as gw1, gw2, ... */
void wire_share_lease(const int *fds, unsigned n);

uint64_t wire_now_nsec(void);
/* Sorts. fraction 0.5: the median; 1: the largest. 0 if there are none. */
uint64_t wire_quantile(uint64_t *values, size_t n, double fraction);
