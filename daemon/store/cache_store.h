/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The stored answers of one partition: an index in memory (store/cache_index.h), files on disk
 * (store/cache_disk.h), and jobs between the two. Everything that touches names in the folder
 * runs on one thread in the order in which it was asked for, so what the index says is what the
 * files will be. Bodies are read and written by descriptor on other threads.
 *
 * A body that is being read outlives its name. Of two writers of one URL the one that ends last
 * wins. What is invalidated while it is written is not stored.
 *
 * Trouble costs caching only: a look-up that takes longer than two seconds found nothing, a
 * writer that is not given room for as long gives up, and a file that is not what it should be
 * is removed.
 */

#include "policy/cache_access.h"
#include "store/cache_disk.h"

#define CACHE_STORE_WRITERS_MAX 32  /* answers being written at a time; more are not stored */
#define CACHE_STORE_FINDS_MAX   256 /* look-ups at a time; for more the network is asked */
#define CACHE_STORE_READERS_MAX 64  /* stored answers in use; for more the network is asked */

struct cache_store;
struct loop;
struct worker_pool;

struct cache_limits {
    uint64_t bytes_max; /* on disk; 0: nothing is stored */
    uint64_t body_bytes_max;
};

struct cache_store_options {
    const char *state_dir;
    const char *parts[CACHE_DISK_PARTS]; /* folders below it; NULL: no more */
    struct worker_pool *names;           /* one thread */
    struct worker_pool *bodies;
    struct cache_limits limits;
    uint32_t uid;
    /* The name of the uid's user, on a thread: what was stored for a user of another name goes,
     * since a uid may be given to somebody else. Return: whether it is known. NULL: nobody
     * looks. */
    bool (*name_of)(uint32_t uid, char *ret, size_t size);
};

/* Begins to read what there is. Return: 0 or -ENOMEM. */
MUST_CHECK int cache_store_new(struct cache_store **ret,
                               struct loop *loop,
                               const struct cache_store_options *options);
/* Nothing new is begun. Drain the two pools until it is no longer busy, then free. */
void cache_store_close(struct cache_store *store);
bool cache_store_is_busy(const struct cache_store *store);
struct cache_store *cache_store_free(struct cache_store *store);
void cache_store_set_limits(struct cache_store *store, const struct cache_limits *limits);

/* The members of struct cache_access, for one partition. */
int cache_store_find(struct cache_store *store,
                     const struct cache_question *question,
                     struct cache_lookup *lookup);
void cache_store_find_cancel(struct cache_lookup *lookup);
MUST_CHECK int cache_store_write(struct cache_store *store,
                                 struct cache_entry *entry,
                                 const struct cache_writer_events *events,
                                 void *owner,
                                 struct cache_writer **ret);
bool cache_store_add(struct cache_writer *writer, struct span bytes);
void cache_store_commit(struct cache_writer *writer);
void cache_store_drop(struct cache_writer *writer);
void cache_store_freshen(struct cache_store *store, uint64_t id, struct cache_entry *entry);
void cache_store_forget(struct cache_store *store, struct span url, uint64_t id);
void cache_store_invalidate(struct cache_store *store, struct span text);
int cache_store_open(struct cache_store *store, struct cache_wait *wait);
void cache_store_open_cancel(struct cache_wait *wait);
void cache_store_each(struct cache_store *store,
                      void (*fn)(void *arg, const struct cache_row *row),
                      void *arg);
uint64_t cache_store_clear(struct cache_store *store, struct span what);
