/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who is at the other end of a Unix socket: what the kernel says of the moment it connected
 * (SO_PEERCRED), never what a message says. The pid is for people; no decision rests on it.
 */

#include <stdint.h>

#include "base/cleanup.h"

struct peer {
    uint32_t uid;
    uint32_t gid;
    int32_t pid;
};

/* Return: 0 or -errno. */
MUST_CHECK int peer_of_socket(int fd, struct peer *ret);
