/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whom a connection may serve. Two requests may share one only if every member is the same:
 * there is one comparison, over all of it, and no "compatible" keys.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/partition.h"
#include "http/origin.h"

#define POOL_DIGEST_BYTES 32

/* How the world is reached when not directly; not used yet, but compared from the start. */
struct pool_proxy {
    uint8_t kind; /* 0: direct */
    uint8_t identity[POOL_DIGEST_BYTES];
};

struct pool_key {
    struct partition partition; /* who asks */
    struct origin origin;       /* scheme, host, port as in the URL */
    struct pool_proxy proxy;
    uint8_t tls_digest[POOL_DIGEST_BYTES];   /* of the TLS configuration; zero: plain */
    uint8_t route_digest[POOL_DIGEST_BYTES]; /* of --resolve and --connect-to; zero: none */
    uint8_t family;                          /* 0 either, 4, 6 */
};

bool pool_key_eq(const struct pool_key *a, const struct pool_key *b);

#define POOL_KEY_BYTES_MAX sizeof(struct pool_key)

/* The canonical bytes: equal exactly when the keys are. Return: how many. */
size_t pool_key_encode(const struct pool_key *key, char ret[POOL_KEY_BYTES_MAX]);
