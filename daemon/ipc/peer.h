/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who is at the other end of a Unix socket: what the kernel says of the moment it connected
 * (SO_PEERCRED, SO_PEERGROUPS), never what a message says. The pid is for people; no decision
 * rests on it.
 */

#include <stdint.h>

#include "base/cleanup.h"

#define PEER_GROUPS_MAX 64 /* who is in more has the rights of the first of them */

struct peer {
    uint32_t uid;
    uint32_t gid;
    int32_t pid;
    uint32_t gids[PEER_GROUPS_MAX]; /* all of them, gid is the first */
    unsigned n_gids;
};

/* Return: 0 or -errno. */
MUST_CHECK int peer_of_socket(int fd, struct peer *ret);
