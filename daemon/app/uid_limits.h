/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What each uid may keep: jars, cookies, stored answers. Most have the same; those for whom the
 * configuration says otherwise are remembered from the moment one of their processes connects,
 * for what they keep outlasts the connection, and others may ask for it.
 *
 * After a reload who is not connected has what he had until he comes again.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "policy/cookie_jar.h"
#include "store/cache_store.h"

struct config;

struct kept_limits {
    size_t jars_max;
    int64_t session_grace_us;      /* how long session cookies outlast the last client */
    struct cookie_jar_options jar; /* see cookie_options_set_limits() */
    struct cache_limits cache;
};

struct uid_limits {
    struct kept_limits general;
    struct map by_uid; /* of whom something else is said */
};

/* What a configuration says. */
struct kept_limits kept_limits_of(const struct config *config);

void uid_limits_init(struct uid_limits *limits, const struct kept_limits *general);
void uid_limits_done(struct uid_limits *limits);

/* @keeps_others: those of whom something else was said have it still. */
void uid_limits_set_general(struct uid_limits *limits,
                            const struct kept_limits *general,
                            bool keeps_others);

/**
 * uid_limits_set() - what one uid may keep from now on
 * @of: NULL: as all
 * Return: 1 when that is something else than before, 0, or -ENOMEM: it has what it had.
 */
MUST_CHECK int
uid_limits_set(struct uid_limits *limits, uint32_t uid, const struct kept_limits *of);

const struct kept_limits *uid_limits_of(const struct uid_limits *limits, uint32_t uid);
