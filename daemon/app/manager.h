/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The way to the service manager (NOTIFY_SOCKET). libsystemd's sd_notify() waits while the
 * manager's queue is full, and everybody whom the daemon serves would wait with it: here it is
 * said that nothing was sent, and whoever wants to says it again.
 *
 * The socket is opened once, so that a daemon without a free descriptor still feeds its
 * watchdog.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

struct manager {
    int fd; /* -1: there is no manager */
    socklen_t name_len;
    struct sockaddr_un name;
};

/* As NOTIFY_SOCKET says. Return: 0, also where there is no manager, or -errno. */
MUST_CHECK int manager_init(struct manager *manager);
void manager_done(struct manager *manager);

static inline bool manager_is_there(const struct manager *manager)
{
    return manager->fd >= 0;
}

/**
 * manager_tell() - one message, whole or not at all
 * @state: lines as of sd_notify(3)
 * @fd:    goes along; -1: none
 *
 * Return: 0; -EAGAIN: it does not listen just now; -ENOTCONN: there is none; -errno.
 */
MUST_CHECK int manager_tell(const struct manager *manager, const char *state, int fd);
