/* SPDX-License-Identifier: MIT */
#include "ipc/peer.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/fault.h"
#include "base/mem.h"

#define GROUPS_MAX 65536 /* the kernel's */

static void take_group(struct peer *peer, uint32_t gid)
{
    if (peer->n_gids < PEER_GROUPS_MAX && gid != peer->gid)
        peer->gids[peer->n_gids++] = gid;
}

/* More of them than we look at are asked for once more, with room for all. Return: 0 or -errno.
 */
static int take_groups(int fd, struct peer *peer)
{
    gid_t few[PEER_GROUPS_MAX];
    CLEANUP_MEM gid_t *many = NULL;
    gid_t *groups = few;
    socklen_t len = sizeof(few);
    int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, few, &len);

    if (r < 0 && errno == ERANGE && len <= GROUPS_MAX * sizeof(*many)) {
        groups = many = mem_alloc(len);
        if (!many)
            return fault(-ENOMEM);
        r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, many, &len);
    }
    if (r < 0)
        return fault(-errno);
    for (size_t i = 0; i < len / sizeof(*groups); i++)
        take_group(peer, groups[i]);
    return 0;
}

int peer_of_socket(int fd, struct peer *ret)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return fault(-errno);
    struct peer peer = {
        .uid = cred.uid, .gid = cred.gid, .pid = cred.pid, .gids = {cred.gid}, .n_gids = 1};
    int r = take_groups(fd, &peer);
    if (r == 0)
        *ret = peer;
    return r;
}
