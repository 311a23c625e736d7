/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where clients come in: descriptors that systemd or a client handed over, or a path of our
 * own. And the way out of a per-user daemon that clients started: under the lock that they take
 * to start one, so that nobody falls between two daemons.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SOCKETS_MAX       16
#define SOCKET_PATH_BYTES 108 /* sun_path */

/* What was handed over when we were started: descriptors from 3 on, and what they are for. */
struct passed {
    char **names;
    int n;
};

/* Once. Return: 0 or -errno. */
MUST_CHECK int passed_take(struct passed *ret);
void passed_done(struct passed *passed); /* of the names; the descriptors are others' by then */

struct sockets {
    int fds[SOCKETS_MAX];
    unsigned count;
    char path[SOCKET_PATH_BYTES]; /* of the first; "" when it has none */
    bool is_ours;                 /* nobody else holds it: ours to unlink when we leave idle */
    bool is_bound_here;           /* made by us, not handed over: unlinked in any case */
    uint64_t device; /* of the file at path, so that we take away none but our own */
    uint64_t inode;
    int lock_fd; /* held while we leave, -1 before */
};

/**
 * sockets_open() - those handed over, else bind @path
 * @passed: NULL: nothing was
 * @path: NULL when it was not given
 * @for_everyone: who may connect to @path: all users, or our own alone
 * Return: 0; -ENOENT: neither; -EADDRINUSE: a daemon is there; -EEXIST: what is there is no
 * socket; -errno.
 */
MUST_CHECK int sockets_open(struct sockets *ret,
                            const struct passed *passed,
                            const char *path,
                            bool for_everyone);

enum sockets_leave {
    SOCKETS_LEFT = 0, /* nobody can connect any more, and nobody was left waiting */
    SOCKETS_STAY = 1, /* a client is connecting, or starting a daemon just now */
};

/* Takes the socket away if it is ours. Return: enum sockets_leave. */
MUST_CHECK int sockets_leave(struct sockets *sockets);

/* Descriptors that a listener took are its own: set them to -1 before. */
void sockets_done(struct sockets *sockets);
