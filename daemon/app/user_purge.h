/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Everything that is kept for a uid goes: jars, known hosts, stored answers, idle connections
 * and TLS sessions, in memory and on disk. Requests and watches of that uid that are under way
 * go on without their jars. For an administrator who removes a user, and for uids that are
 * nobody's for long when the last client has left: the uid may be given to somebody else.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "service/service.h"

struct cache_stores;
struct cookie_stores;
struct pool;
struct tls_session_disk;
struct worker_pool;

/* Embedded at the daemon; all borrowed. */
struct user_purges {
    struct cookie_stores *cookies;
    struct cache_stores *caches;
    struct pool *pool;
    struct tls_session_disk *tls_sessions;
    struct worker_pool *names; /* one thread, the caches' */
    const char *state_dir;     /* "": nothing is kept */
    bool per_user;
    struct link running;
};

void user_purges_init(struct user_purges *purges);
/* While the stores are still there. Waits for what is with a thread; nobody is called. */
void user_purges_done(struct user_purges *purges);

/* As service_events.purge_user and .purge_user_cancel. @purge: NULL: nobody wants to hear. */
MUST_CHECK int
user_purge_start(struct user_purges *purges, uint32_t uid, struct user_purge *purge);
void user_purge_cancel(struct user_purge *purge);
