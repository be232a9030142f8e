/* SPDX-License-Identifier: MIT */
#pragma once

/* What a member of a lease is. On the wire a runner is an omitted role. */
enum role { ROLE_RUNNER, ROLE_CONTROLLER, ROLE_WORKER, ROLE_CHILD };
