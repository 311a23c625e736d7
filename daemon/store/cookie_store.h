/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All cookie jars of one uid and the hosts it knows to want https, kept on disk. The jars
 * answer from memory; every change of a persistent cookie is noted, and what has been noted in
 * a round of the loop goes to the disk in one transaction on a worker thread, one at a time.
 * cookie_store_sync() tells when.
 *
 * A disk that does not take it costs persistence, never a request: the cookies stay in memory,
 * one warning is logged, and the store tries again until the disk takes them.
 *
 * Session cookies are never written to a disk. Where there is memory that outlives the process
 * (store/session_log.h) they are noted there, in the same call that changes the jar.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/partition.h"
#include "base/span.h"
#include "policy/cookie_jar.h"
#include "policy/hsts.h"
#include "policy/jar_rights.h"
#include "policy/public_suffix.h"

struct cookie_store;
struct loop;
struct session_book;
struct worker_pool;

enum cookie_durability {
    COOKIE_DURABILITY_PROCESS = 0, /* survives any death of the daemon; of the last second, not
                                      of the machine */
    COOKIE_DURABILITY_POWER, /* survives loss of power as well: an fsync for each commit */
};

struct cookie_store_options {
    uint32_t uid;       /* whose cookies */
    const char *path;   /* ".../cookies.sqlite", copied; its folder is made if missing (0700).
                           NULL: memory only */
    size_t jars_max;    /* 256 */
    int64_t retry_us;   /* 2 s: how soon a disk that failed is asked again */
    int64_t lock_us;    /* 5 s: how long to wait for another daemon to let go of the file */
    size_t unsaved_max; /* 4 MiB: memory for what a disk that failed does not take; beyond it
                           the least recently used of that goes */
    int64_t flush_us;   /* 1 s: how old a commit gets before it is flushed against power loss */
    enum cookie_durability durability;
    /* The name of the uid's user, on a worker thread: a file that was of a user of another name
     * is set aside, since a uid may be given to somebody else. Return: whether it is known.
     * NULL: nobody looks. */
    bool (*name_of)(uint32_t uid, char *ret, size_t size);
    struct session_book *sessions; /* borrowed, of the uid; NULL: session cookies end with us */
    struct cookie_jar_options jar; /* .order, .bytes and .unsaved are the store's */
};

struct cookie_store_options cookie_store_options_default(void);

/**
 * cookie_store_open() - begin to load
 * @pool:  borrowed; best one of the stores' own with one thread, so that a hanging disk keeps
 *         nothing else waiting
 * @rules: borrowed
 *
 * Return: 0, or -ENOMEM / -EINVAL. What is wrong with the disk is told by
 * cookie_store_is_persistent() later; the store works without it.
 */
MUST_CHECK int cookie_store_open(struct cookie_store **ret,
                                 struct loop *loop,
                                 struct worker_pool *pool,
                                 const struct suffix_rules *rules,
                                 const struct cookie_store_options *options);

/**
 * cookie_store_free() - flush and close; waits for the disk
 *
 * Jars end with it. Those who still wait are called first: for a sync with what became of it.
 */
struct cookie_store *cookie_store_free(struct cookie_store *store);
DEFINE_CLEANUP(cookie_store, cookie_store_free)

/* A reload: at most so many jars, and the limits of each and of all together (see
 * cookie_options_set_limits()), from now on. */
void cookie_store_set_limits(struct cookie_store *store,
                             size_t jars_max,
                             const struct cookie_jar_options *jar);

/* Whether what was on disk is in the jars. Until then requests should wait. */
bool cookie_store_is_ready(const struct cookie_store *store);

/* Embedded at who waits for the store to be ready. Zero is "does not wait". */
struct cookie_store_wait {
    struct link link;
    void (*on_ready)(void *owner); /* on the loop, once */
    void *owner;
};

/* Not when it is ready already. */
void cookie_store_wait(struct cookie_store *store, struct cookie_store_wait *wait);
void cookie_store_wait_cancel(struct cookie_store_wait *wait);

/* Whether the last word of the disk was good. False for a store in memory. */
bool cookie_store_is_persistent(const struct cookie_store *store);

/* Whether there is a disk to go to at all. */
bool cookie_store_has_disk(const struct cookie_store *store);

/* In persistent cookies that are not on disk. */
size_t cookie_store_unsaved_bytes(const struct cookie_store *store);

/**
 * cookie_store_jar() - the jar of a name, made when it is asked for the first time
 * @who:  of the store's uid
 * @name: see jar_name_is_valid(); empty is "default". Only a key, never part of a path.
 * @ret:  borrowed; lives as long as the store
 *
 * Return: 0, -EINVAL for a name of another shape, -EDQUOT past jars_max, -ENOMEM.
 */
MUST_CHECK int cookie_store_jar(struct cookie_store *store,
                                const struct partition *who,
                                struct span name,
                                struct cookie_jar **ret);

/* Whether there is such a jar; makes none. NULL: no. */
struct cookie_jar *cookie_store_find_jar(const struct cookie_store *store,
                                         const struct partition *who,
                                         struct span name);

struct jar_book;

/* All of its jars, with who else may use them. Not before the store is ready. */
struct jar_book *cookie_store_jars(struct cookie_store *store);

struct cookie_store_purged {
    uint64_t cookies;
    uint64_t hosts;
};

/* Everything goes: jars with their cookies and grants, known hosts; who has a jar in hand has
 * it no longer. The next commit leaves nothing of it on the disk, not in the -wal either. Not
 * before the store is ready. */
void cookie_store_purge(struct cookie_store *store, struct cookie_store_purged *ret);

/* Session cookies go, of all jars. Return: how many. */
uint64_t cookie_store_end_session(struct cookie_store *store);
uint64_t cookie_store_end_session_of(struct cookie_store *store, struct cookie_jar *jar);

/* All jars, in no particular order. */
void cookie_store_each_jar(
    struct cookie_store *store,
    void (*fn)(void *arg, const char *profile, const char *name, struct cookie_jar *jar),
    void *arg);

/**
 * cookie_store_hosts() - the known hosts of a partition (RFC 6797); they last like cookies
 * @who: of the store's uid
 * @ret: borrowed; lives as long as the store
 * Return: 0, -EDQUOT past HSTS_BOOK_SETS_MAX profiles, -ENOMEM.
 */
MUST_CHECK int
cookie_store_hosts(struct cookie_store *store, const struct partition *who, struct hsts **ret);

/* The servers of a partition that were seen at TLS 1.2 (policy/tls_seen.h); the same. */
MUST_CHECK int
cookie_store_seen(struct cookie_store *store, const struct partition *who, struct hsts **ret);

enum cookie_sync_outcome {
    COOKIE_SYNC_SAVED = 0, /* nothing is left to be saved */
    COOKIE_SYNC_NOT_SAVED, /* in memory only: the disk does not take it */
    COOKIE_SYNC_PENDING,   /* on_synced() will tell */
};

/* Embedded at who waits for the disk. Zero is "does not wait". */
struct cookie_sync {
    struct link link;
    uint64_t change; /* the store's: the last change it waits for */
    bool to_power;   /* until it survives loss of power, too: it may take a flush */
    void (*on_synced)(void *owner, bool saved);
    void *owner;
};

/**
 * cookie_store_sync() - learn when every change made before this call is on disk
 * @sync: not waiting already; its callback comes on the loop, once, and only on PENDING
 * Return: one of enum cookie_sync_outcome.
 */
int cookie_store_sync(struct cookie_store *store, struct cookie_sync *sync);
void cookie_sync_cancel(struct cookie_sync *sync);
