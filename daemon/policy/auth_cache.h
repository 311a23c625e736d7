/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Digest sessions that are good for another request: a nonce and how often it was used, by
 * partition, origin and realm. With them a request carries its credentials before it is asked.
 *
 * No user and no password is kept here, and nothing is found under another partition or origin
 * (RD09). At most AUTH_CACHE_ORIGINS_MAX origins of AUTH_CACHE_REALMS_MAX realms; the least
 * recently used goes, which costs its next request one round trip.
 */

#include "base/list.h"
#include "base/map.h"
#include "base/partition.h"
#include "http/auth_digest.h"
#include "http/origin.h"

#define AUTH_CACHE_ORIGINS_MAX 256
#define AUTH_CACHE_REALMS_MAX  4 /* of one origin */

/* Embedded; zero is not empty: auth_cache_init(). */
struct auth_cache {
    struct map origins;
    struct link in_use; /* least recently used first */
    size_t count;
};

struct auth_place {
    const struct partition *who;
    const struct origin *origin;
};

void auth_cache_init(struct auth_cache *cache); /* allocates nothing */
void auth_cache_done(struct auth_cache *cache);

/**
 * auth_cache_find() - the session to use next
 * @realm: NULL: the one used last at this origin
 * Return: borrowed until the next store or drop; NULL if there is none.
 */
struct digest_session *
auth_cache_find(struct auth_cache *cache, const struct auth_place *place, const char *realm);

/**
 * auth_cache_store() - a new session, in place of the one of its realm
 * @session: taken on success
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int auth_cache_store(struct auth_cache *cache,
                                const struct auth_place *place,
                                struct digest_session *session);

void auth_cache_drop(struct auth_cache *cache,
                     const struct auth_place *place,
                     const char *realm);
