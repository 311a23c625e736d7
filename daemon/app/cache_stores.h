/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The caches of all partitions, each opened when it is first asked for, joined to what fetch/
 * and service/ want to know of them. A uid that is nobody's for long has none, and neither has
 * a uid's seventeenth profile, or root with a user's own daemon.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "policy/cache_access.h"
#include "store/cache_store.h"

#define CACHE_PROFILES_MAX 16 /* of a uid */

struct cache_stores;
struct uid_limits;

struct cache_stores_options {
    const char *state_dir; /* borrowed; "": there is no cache */
    bool per_user;         /* "cache" in the state directory, else in a folder for each uid */
    const struct uid_limits *limits; /* borrowed: what each profile of a uid may keep */
};

/* @names: one thread; @bodies: some. Return: 0 or -ENOMEM. */
MUST_CHECK int cache_stores_new(struct cache_stores **ret,
                                struct loop *loop,
                                struct worker_pool *names,
                                struct worker_pool *bodies,
                                const struct cache_stores_options *options);
/* What has everything is still stored. No request may be left. */
struct cache_stores *cache_stores_free(struct cache_stores *stores);
DEFINE_CLEANUP(cache_stores, cache_stores_free)

/* The limits of @uid, or (CACHE_EVERY_UID) of all, are others than before. */
#define CACHE_EVERY_UID UINT32_MAX
void cache_stores_take_limits(struct cache_stores *stores, uint32_t uid);

/* What is stored for any open profile of @uid goes, and what is being written. Return: 0 with
 * *ret_removed; 1: on_ready will be called, ask again then. */
int cache_stores_purge(struct cache_stores *stores,
                       uint32_t uid,
                       struct cache_wait *wait,
                       uint64_t *ret_removed);

struct cache_access cache_stores_access(struct cache_stores *stores);
