/* SPDX-License-Identifier: MIT */
#pragma once

/* Who is at the other end of a connection, as the kernel says (SO_PEERCRED), never as the client says. */

#include "seam/env.h"

struct peer {
        unsigned uid;
        struct process_id process; /* pid 0: in a pid namespace we cannot see */
};
