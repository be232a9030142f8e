/* SPDX-License-Identifier: MIT */
#pragma once

/* The .varlink files of this folder, as org.varlink.service hands them out. Built in from the files by
 * idl.cmake. */

/* "io.berth.lease" -> the text of its file. NULL: no such interface. */
const char *idl_text(const char *interface);

/* Names of all of them, the last followed by NULL; org.varlink.service first. */
extern const char *const idl_interfaces[];
