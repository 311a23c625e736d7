/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The cookie stores of all uids, each opened when it is first asked for, joined to what fetch/
 * and service/ want to know of cookies.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "fetch/fetcher.h"
#include "policy/public_suffix.h"

struct cookie_stores;
struct session_log;
struct uid_limits;
struct worker_pool;

struct cookie_stores_options {
    const char *state_dir; /* borrowed; "" keeps everything in memory */
    bool per_user;         /* one file in the state directory, not a folder for each uid */
    bool survive_power;    /* an fsync for each commit */
    const struct uid_limits *limits; /* borrowed: what each uid may keep */
    struct jar_grants system_grants; /* copied: who may what with the machine's jar */
    struct session_log *sessions;    /* borrowed, the same for life; NULL: session cookies end
                                        with the process */
};

/* The last client that used the jars of a uid that is nobody's for long has left, and the while
 * is over that session cookies last. */
typedef void cookie_stores_on_stranger_gone(void *owner, uint32_t uid);
void cookie_stores_observe(struct cookie_stores *stores,
                           cookie_stores_on_stranger_gone *fn,
                           void *owner);

/* @disk: one thread, for all stores; @rules: borrowed. Return: 0 or -ENOMEM. */
MUST_CHECK int cookie_stores_new(struct cookie_stores **ret,
                                 struct loop *loop,
                                 struct worker_pool *disk,
                                 const struct suffix_rules *rules,
                                 const struct cookie_stores_options *options);
/* Waits until the disk has everything. */
struct cookie_stores *cookie_stores_free(struct cookie_stores *stores);
DEFINE_CLEANUP(cookie_stores, cookie_stores_free)

/* A reload: rights on the machine's jar and the limits of everybody from now on, the rest for
 * stores that are opened from now on. Return: 0 or -ENOMEM, and nothing has changed. */
MUST_CHECK int cookie_stores_set_options(struct cookie_stores *stores,
                                         const struct cookie_stores_options *options);

/* The limits of @uid are others than before. */
void cookie_stores_take_limits(struct cookie_stores *stores, uint32_t uid);

struct cookie_access cookie_stores_access(struct cookie_stores *stores);

/* NULL: nothing is kept for @uid, in memory or on disk. Return: 0 or -errno. */
struct cookie_store;
MUST_CHECK int
cookie_stores_find(struct cookie_stores *stores, uint32_t uid, struct cookie_store **ret);

#define COOKIES_EVERY_UID UINT32_MAX

/* Of @uid, or of all; *ret_persistent: no disk has refused anything. */
void cookie_stores_ask(struct cookie_stores *stores,
                       uint32_t uid,
                       uint64_t *ret_count,
                       bool *ret_persistent);
