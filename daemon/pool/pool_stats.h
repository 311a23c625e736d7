/* SPDX-License-Identifier: MIT */
#pragma once

/* What the pool holds, for the admin listings. */

#include <stdbool.h>
#include <stdint.h>

#include "base/early_data.h"
#include "base/partition.h"
#include "base/span.h"
#include "pool/pool.h"

struct pool_counters {
    uint64_t connections_open;   /* now, connecting ones not counted */
    uint64_t connections_opened; /* ever */
    uint64_t connections_reused; /* leases on a connection that had been leased before */
    uint64_t connections_failed; /* attempts that came to nothing */
    uint64_t tls_handshakes_full;
    uint64_t tls_handshakes_resumed;
    uint64_t early_data_accepted; /* connections that began with a request */
    uint64_t early_data_rejected;
    uint64_t coalesced; /* leases on a connection made for another name */
    uint64_t waiting;   /* leases without a connection, now */
};

void pool_counters(const struct pool *pool, struct pool_counters *ret);

enum connection_state { CONNECTION_CONNECTING, CONNECTION_BUSY, CONNECTION_IDLE };
const char *connection_state_name(enum connection_state state);

struct connection_row {
    uint64_t connection_id; /* 0: connecting */
    const struct partition *partition;
    struct span origin; /* "https://example.com:8443" */
    struct span remote_address;
    uint16_t remote_port;
    enum connection_state state;
    uint64_t exchanges;
    uint64_t age_s;
    uint64_t idle_s;
    struct span tls_version; /* empty: plain */
    struct span tls_cipher;
    enum early_data early_data;
    struct span proxy; /* "http://proxy.example:3128"; empty: none */
};

struct pool_row {
    const struct partition *partition;
    struct span origin;
    unsigned connecting;
    unsigned busy;
    unsigned idle;
    unsigned waiting;
    unsigned limit;
    struct span proxy;
};

/* Rows of one uid, or of all with POOL_EVERY_UID; everything in a row is borrowed for the
 * call. @fn must not use the pool; it returns false to stop. */
void pool_each_connection(const struct pool *pool,
                          uint32_t uid,
                          bool (*fn)(void *arg, const struct connection_row *row),
                          void *arg);
void pool_each_key(const struct pool *pool,
                   uint32_t uid,
                   bool (*fn)(void *arg, const struct pool_row *row),
                   void *arg);
