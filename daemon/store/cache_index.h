/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is stored of a partition, in memory: enough to say which answer fits a question, and
 * which one goes when there is no room. Knows no disk and no clock.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "policy/cache_access.h"
#include "store/cache_disk.h"

#define CACHE_INDEX_BYTES_MAX                                                                  \
    (8U << 20)                /* of memory: the URLs of one partition and their kin */
#define CACHE_VARIANTS_MAX 16 /* answers of one URL */

struct cache_url {
    struct map_node node;
    struct link items; /* the newest first */
    size_t n_items;
    char text[]; /* NUL behind it */
};

struct cache_item {
    struct link sibling;   /* in url->items */
    struct link use;       /* in index->uses */
    struct cache_url *url; /* NULL: in no index */
    uint64_t id;
    uint64_t order; /* of those stored since the start; 0: read from disk */
    uint8_t context[SHA256_BYTES];
    uint8_t vary_digest[SHA256_BYTES];
    char *vary; /* owned */
    char *jar;  /* owned */
    bool had_credentials;
    bool is_shared; /* fits requests with credentials */
    unsigned status;
    uint64_t body_bytes;
    int64_t born_s; /* when it would have been of age 0 */
    int64_t lifetime_s;
    int64_t response_time_s;
    int64_t used_s;
    struct cache_body_mark mark; /* zero: nobody has read it yet */
};

struct cache_index {
    struct map urls;
    struct link uses; /* the longest unused first */
    size_t count;
    uint64_t disk_bytes;
    uint64_t memory_bytes;
};

void cache_index_init(struct cache_index *index);
void cache_index_done(struct cache_index *index);

/* An item of its own, in no index. Return: 0 or -ENOMEM. */
MUST_CHECK int
cache_item_new(struct cache_item **ret, uint64_t id, const struct cache_entry *entry);
struct cache_item *cache_item_free(struct cache_item *item);

/* Return: 0, or -ENOMEM: @item is the caller's still. */
MUST_CHECK int
cache_index_add(struct cache_index *index, struct cache_item *item, struct span url);
void cache_index_remove(struct cache_index *index, struct cache_item *item);
void cache_index_touch(struct cache_index *index, struct cache_item *item, int64_t now_s);

/* RFC 9111 §4.1: the newest that fits. NULL: none. */
struct cache_item *cache_index_find(const struct cache_index *index,
                                    const struct cache_question *question);
struct cache_item *
cache_index_by_id(const struct cache_index *index, struct span text, uint64_t id);
/* The answer in whose place @item comes; NULL: it is new. */
struct cache_item *cache_index_same(const struct cache_index *index,
                                    const struct cache_item *item,
                                    struct span text);
struct cache_url *cache_index_url(const struct cache_index *index, struct span url);

/* What has to go first; NULL: nothing is left. */
struct cache_item *cache_index_oldest(const struct cache_index *index);

uint64_t cache_item_disk_bytes(const struct cache_item *item);
