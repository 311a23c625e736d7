/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Accepts clients on a listening Unix socket. When descriptors run out it stops listening for a
 * while instead of spinning on a socket that stays readable, and says so once.
 */

#include "base/cleanup.h"
#include "ipc/peer.h"

struct listener;
struct turns;
struct loop;

struct listener_events {
    /* @fd is the handler's to close. */
    void (*on_accept)(void *owner, int fd, const struct peer *peer);
};

/**
 * listener_new() - accept on @fd
 * @fd: a listening stream socket; taken on success, made non-blocking
 * Return: 0 or -errno.
 */
MUST_CHECK int listener_new(struct listener **ret,
                            struct loop *loop,
                            int fd,
                            const struct listener_events *events,
                            void *owner);
struct listener *listener_free(struct listener *listener);
DEFINE_CLEANUP(listener, listener_free)

/* Few at a time where several users are at work. */
void listener_share(struct listener *listener, const struct turns *turns);

int listener_fd(const struct listener *listener);
