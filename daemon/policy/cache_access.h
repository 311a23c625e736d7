/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The HTTP cache as a request sees it: what it asks, what it is given, what it hands over to be
 * kept. Declared here because both sides may know it; store/ does it, fetch/ calls it through
 * a table that app/ fills.
 *
 * Whatever goes wrong behind this (no disk, a full one, a slow one, a damaged file) shows up as
 * "nothing is stored": a cache can cost an answer time, never the answer.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/partition.h"
#include "policy/cache_entry.h"

/* Borrowed for the call. */
struct cache_question {
    struct span url;        /* as cache_key_of() makes it */
    const uint8_t *context; /* SHA256_BYTES: over which kind of connection it would be asked */
    struct span jar;        /* whose cookies would go with it; empty: nobody's */
    bool has_credentials;
    const struct headers *request; /* fields as they would go out */
};

/* A stored answer that was found whole. Stays good when the store lets go of it. */
struct cache_hit {
    struct cache_entry entry;
    uint64_t id;
    int body_fd;                               /* owned */
    void (*close_body)(struct cache_hit *hit); /* the filler's, which opened it */
    unsigned *n_open;                          /* the filler's: how many there are */
};

struct cache_hit *cache_hit_free(struct cache_hit *hit);

/* Embedded; zero is "does not wait". */
struct cache_lookup {
    /* @hit: the owner's from now on; NULL: nothing fits. */
    void (*on_found)(void *owner, struct cache_hit *hit);
    void *owner;
    void *find; /* the filler's */
};

enum cache_find_outcome {
    CACHE_FIND_NOTHING = 0,
    CACHE_FIND_WAIT = 1, /* on_found will be called, soon: a slow disk is not waited for */
};

struct cache_writer_events {
    void (*on_room)(void *owner); /* after cache_add had said that it is full */
};

struct cache_writer;

/* For listings; borrowed for the call. */
struct cache_row {
    struct span url;
    struct span vary;
    unsigned status;
    uint64_t body_bytes;
    int64_t age_s;
    int64_t lifetime_s;
    int64_t used_s; /* Unix time of the last use */
};

/* Waits until what is stored is known. Embedded; zero is "does not wait". */
struct cache_wait {
    struct link link;
    void (*on_ready)(void *owner);
    void *owner;
    void *store; /* the filler's */
};

struct cache_access {
    int (*find)(void *owner,
                const struct partition *who,
                const struct cache_question *question,
                struct cache_lookup *lookup);
    void (*find_cancel)(struct cache_lookup *lookup);

    /* Begins to keep an answer. @entry: moved from on success; its body_bytes are what was
     * announced, 0 without. Return: 0, or -errno: it is not kept. */
    int (*write)(void *owner,
                 const struct partition *who,
                 struct cache_entry *entry,
                 const struct cache_writer_events *events,
                 void *events_owner,
                 struct cache_writer **ret);
    /* Return: whether more may come now; else on_room will be called. */
    bool (*add)(struct cache_writer *writer, struct span bytes);
    /* Either ends the writer, for its owner. */
    void (*commit)(struct cache_writer *writer);
    void (*drop)(struct cache_writer *writer);

    /* The stored answer is still good, and this is what it says now. @entry: moved from. */
    void (*freshen)(void *owner,
                    const struct partition *who,
                    uint64_t id,
                    struct cache_entry *entry);
    void (*forget)(void *owner, const struct partition *who, struct span url, uint64_t id);
    /* Everything under that URL, and what is being written under it. */
    void (*invalidate)(void *owner, const struct partition *who, struct span url);

    /* For whoever looks after it. Return: 0: known; 1: on_ready will be called; -errno. */
    int (*open)(void *owner, const struct partition *who, struct cache_wait *wait);
    void (*open_cancel)(struct cache_wait *wait);
    void (*each)(void *owner,
                 const struct partition *who,
                 void (*fn)(void *arg, const struct cache_row *row),
                 void *arg);
    /* @what: a URL, a host, host:port, or empty for all. Return: how many went. */
    uint64_t (*clear)(void *owner, const struct partition *who, struct span what);
    void *owner; /* NULL: there is no cache */
};
