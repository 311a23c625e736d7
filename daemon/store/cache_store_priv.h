/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a cache store: what its files share. */

#include "base/log.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "store/cache_index.h"
#include "store/cache_store.h"

#define CACHE_PATIENCE_US (2 * 1000 * 1000) /* with a disk */
#define CACHE_CHORE_IDS   256               /* files removed in one job */
#define CACHE_INVALID_MAX 64 /* URLs named before it is known what there is; then all go */

struct cache_store {
    struct loop *loop;
    struct worker_pool *names;
    struct worker_pool *bodies;
    struct cache_limits limits;
    struct log_subject log;
    struct cache_disk disk;                                /* the names thread's */
    bool (*name_of)(uint32_t uid, char *ret, size_t size); /* or NULL */
    struct cache_index index;
    struct link finds;   /* struct cache_find */
    struct link writers; /* struct cache_writer */
    struct link waits;   /* struct cache_wait */
    struct link invalid; /* struct cache_invalid */
    unsigned n_invalid;
    unsigned n_writers;
    uint64_t n_committed; /* writers, as their owners ended them */
    unsigned n_finds;
    unsigned n_hits;
    unsigned n_slow; /* jobs nobody waits for any more */
    unsigned n_jobs;
    bool is_ready; /* the index says what there is */
    bool load_is_slow;
    bool all_invalid; /* more URLs than could be kept: what is loaded is dropped */
    bool is_closed;
    bool has_warned;
};

/* One of what the disk does not take, then silence. */
void cache_store_warn(struct cache_store *store, const char *what, int err);

/* Counts it. Return: 0, or -errno: it will not run. */
MUST_CHECK int
cache_store_submit(struct cache_store *store, struct worker_pool *pool, struct job *job);
void cache_store_job_done(struct cache_store *store);

/* Out of the index and off the disk. */
void cache_store_remove(struct cache_store *store, struct cache_item *item);
void cache_store_remove_files(struct cache_store *store, uint64_t id);
/* Makes room, should there be too much. */
void cache_store_evict(struct cache_store *store);

/* cache_find.c */
void cache_finds_go_on(struct cache_store *store); /* something they wait for has ended */
void cache_finds_close(struct cache_store *store);

/* cache_writer.c */
bool cache_writers_end(const struct cache_store *store,
                       struct span url); /* one is at its end */
void cache_writers_doom(struct cache_store *store, struct span what);
void cache_writers_close(struct cache_store *store);
