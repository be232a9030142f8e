/* SPDX-License-Identifier: MIT */
#include "proto/place.h"

#include "proto/protocol.h"

#include <stdio.h>

int place_user_socket(const char *runtime_dir, unsigned uid, char *ret, size_t size)
{
        if (runtime_dir && *runtime_dir == '/')
                return snprintf(ret, size, "%s/" BERTH_SOCKET_NAME, runtime_dir);
        return snprintf(ret, size, "/run/user/%u/" BERTH_SOCKET_NAME, uid);
}
