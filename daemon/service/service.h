/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Messages to deeds, events to messages: serves the clients that the listener accepts.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/quota.h"
#include "ipc/peer.h"
#include "ipc/session.h"

struct fetcher;
struct service;

struct service_options {
    struct session_options session;
    struct quota limits;  /* of each uid */
    uint64_t clients_max; /* of all uids */
    bool per_user;        /* serves the daemon's own uid and root alone */
    const char *version;
    const char *state_dir;   /* "": nothing is kept; for listings */
    const char *socket_path; /* for listings */
};

struct service_events {
    /* No client is connected and no request under way; on every change to and from it. */
    void (*on_idle)(void *owner, bool idle);
    /* For status: how many cookies there are, and whether they are safe on disk. */
    void (*ask_cookies)(void *owner, uint64_t *ret_count, bool *ret_persistent);
};

/* @fetcher, strings: borrowed. Return: 0 or -ENOMEM. */
MUST_CHECK int service_new(struct service **ret,
                           struct fetcher *fetcher,
                           const struct service_options *options,
                           const struct service_events *events,
                           void *owner);

/* Every client is told that the daemon leaves; every request fails. Call it before the loop's
 * last rounds, then service_free(). */
void service_shut_down(struct service *service);
struct service *service_free(struct service *service);
DEFINE_CLEANUP(service, service_free)

/* A reload: limits for clients from now on. */
void service_set_options(struct service *service, const struct service_options *options);

/* @fd is taken: served, or told why not and closed. */
void service_accept(struct service *service, int fd, const struct peer *peer);

bool service_is_idle(const struct service *service);
