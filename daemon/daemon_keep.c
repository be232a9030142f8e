/* SPDX-License-Identifier: MIT */

/*
 * Connections that the manager has stored, and the ledger: who is at the other end, and what it holds. What a
 * record says and the ledger does not know is not believed; the client is hung up on, and asks again.
 */

#include "daemon_internal.h"
#include "os/fd_store.h"
#include "os/notify.h"
#include "os/process.h"
#include "util/log.h"

#include <string.h>
#include <sys/socket.h>

static void find_holds(struct services *services, uint64_t connection, struct server_hold *ret)
{
        unsigned n;

        ret->member = leases_member_on(services->leases, connection);
        n = slots_held_on(services->slots, connection, ret->grants, SERVER_HOLD_GRANTS);
        ret->has_more = n > SERVER_HOLD_GRANTS;
        ret->n_grants = ret->has_more ? SERVER_HOLD_GRANTS : n;
}

/* The kernel remembers who connected; a pid that it remembers may be another's by now, so that is the ledger's. */
static bool is_user(int fd, unsigned uid)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == uid;
}

static bool adopt(struct services *services, uint64_t connection, const struct server_hold *hold, int fd,
                  struct peer *ret)
{
        const struct peer *peer =
                hold->member ? leases_recovering_peer(services->leases, hold->member) : NULL;

        for (unsigned i = 0; !hold->member && i < hold->n_grants && !peer; i++)
                peer = slots_lost_peer(services->slots, hold->grants[i]);
        if (!peer || !is_user(fd, peer->uid))
                return false;
        *ret = *peer;
        if (hold->member)
                leases_adopt(services->leases, hold->member, connection);
        return true;
}

/*
 * A slot that is not on record any more: its client must learn it. But for the one whose process has gone, and its
 * slot with it: what is left of its run still carries the lease by an inherited copy of the connection.
 */
static bool reclaim(struct services *services, uint64_t connection, const struct peer *peer,
                    const struct server_hold *hold)
{
        struct env *env = services->env;

        for (unsigned i = 0; i < hold->n_grants; i++)
                if (slots_adopt(services->slots, hold->grants[i], connection) < 0)
                        return hold->member && env->ops->process_state(env, &peer->process) == PROCESS_GONE;
        return true;
}

void daemon_keep_connections(struct daemon *d)
{
        int table_fd = -1;
        unsigned n = 0, n_stored = 0;

        for (unsigned i = 0; i < d->inherited.n; i++)
                if (strcmp(d->inherited.fds[i].name, FD_STORE_TABLE) == 0)
                        table_fd = d->inherited.fds[i].fd;
        server_keep(d->services.server, table_fd, find_holds);
        for (unsigned i = 0; i < d->inherited.n; i++) {
                struct inherited_fd *one = &d->inherited.fds[i];

                if (!fd_store_number(one->name))
                        continue;
                n_stored++;
                n += server_restore(d->services.server, one->name, one->fd, adopt);
                one->fd = -1;
        }
        if (n_stored)
                log_info("connections go on: n=%u closed=%u", n, n_stored - n);
}

void daemon_reclaim_slots(struct daemon *d)
{
        server_restored(d->services.server, reclaim);
}
