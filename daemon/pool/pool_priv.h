/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * pool.c: the public face, leases, events. pool_queue.c: who waits in one key's queue,
 * attempts. pool_idle.c: connections, and what happens to those nobody uses. pool_tls.c: old
 * versions of TLS, and the way down to them. pool_coalesce.c: connections for several names.
 *
 * Nothing inside calls out: what an owner is to be told is put on pool->news and told from a
 * task at the end of the round, so every function here runs to its end on a pool that nobody
 * changes under its feet.
 */

#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/tls_context.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_key.h"
#include "pool/pool_stats.h"
#include "transport/conn.h"

enum lease_state {
    LEASE_QUEUED,  /* waits without an attempt of its own */
    LEASE_SPONSOR, /* waits, and an attempt is under way for it */
    LEASE_READY,   /* has a connection and will be told */
    LEASE_HELD,    /* has a connection and knows */
    LEASE_FAILED,  /* will be told */
    LEASE_GONE,
    LEASE_STATE_COUNT,
};

/* Which list of its key a waiting lease is on, per kind; the oldest is first on each. */
enum waiting_list {
    WAITING_QUEUED,
    WAITING_SPONSOR,
    WAITING_BLOCKED, /* LEASE_QUEUED too: no new attempt while those under way tell whether
                        there is anybody at all */
    WAITING_LIST_COUNT,
};

enum lease_kind { LEASE_ORDINARY, LEASE_FRESH, LEASE_KIND_COUNT };

struct pool {
    struct loop *loop;
    struct connector *connector;
    struct pool_options options;
    struct map entries;
    struct map uid_map;
    struct map groups; /* of HTTP/2 connections that may carry other names, too */
    struct link uids;
    struct link idle; /* all idle connections, the one unused longest first */
    struct timer idle_timer;
    struct link news; /* leases whose owner is to be told something */
    struct deferred task;
    struct buf key_bytes; /* of the look-up under way */
    uint64_t last_seq;
    uint64_t n_leases;
    struct pool_counters counters;
};

struct pool_uid {
    struct map_node node;
    struct link link; /* in pool->uids */
    uint32_t uid;
    struct link entries;
    struct link idle; /* the one unused longest first */
    unsigned n_idle;
    bool has_limits; /* as the last request said */
    struct pool_limits limits;
};

/* What the server of a key speaks, as far as is known. While it is not, one attempt at a time
 * finds out, and whoever waits is looked at again when it has. */
enum pool_speaks { SPEAKS_UNKNOWN, SPEAKS_HTTP1, SPEAKS_HTTP2 };

/* One key. Lives while it has waiters, attempts or connections. */
struct pool_entry {
    struct map_node node;
    struct pool *pool;
    struct pool_uid *uid;
    struct link link; /* in uid->entries */
    struct pool_key key;
    void *key_storage;
    char *key_bytes;
    struct link waiting[LEASE_KIND_COUNT][WAITING_LIST_COUNT];
    struct link attempts; /* with a sponsor */
    struct link orphans;  /* without */
    struct link busy;     /* leased, no room for another */
    struct link shared;   /* leased, and room for more: HTTP/2 */
    struct link idle;     /* the one used last first */
    unsigned n_waiting;
    unsigned n_attempts;
    unsigned n_busy; /* those shared counted in */
    unsigned n_idle;
    unsigned n_multi; /* usable connections that carry many: nobody opens another beside one */
    enum pool_speaks speaks;
    struct timer calm_timer; /* armed: the server asked for calm, nobody connects */
    int64_t calm_us;         /* how long the last time */
};

struct attempt {
    struct pool_entry *entry;
    struct link link; /* in entry->attempts or entry->orphans */
    struct connect_attempt *handle;
    struct lease *sponsor;
    struct timer timeout;
    enum wait_reason stage;
    struct tls_rungs *rungs; /* NULL: none was taken */
    uint64_t started_seq;    /* leases up to this one were there when it began */
    int64_t started_us;
};

struct pool_conn {
    struct pool_entry *entry;
    struct conn *conn;
    struct link leases; /* by lease->in_conn; empty: idle */
    unsigned n_held;
    bool is_multi;            /* HTTP/2 */
    bool is_counted;          /* in entry->n_multi */
    bool is_retired;          /* takes no lease any more */
    bool is_early;            /* TLS is not done: nobody but who has it may use it */
    struct pool_group *group; /* NULL: carries its own name alone */
    struct link in_group;
    struct link in_entry;
    struct link in_uid;
    struct link in_pool;
    uint64_t n_leases;
    int64_t made_us;
    int64_t idle_since_us;
    struct tls_rungs *rungs; /* of the attempt; NULL: none */
    uint16_t tls_number;     /* 0: plain */
    struct lease_timing timing;
};

struct lease {
    struct reap reap; /* first */
    struct pool_entry *entry;
    struct pool *pool;
    const struct lease_events *events;
    void *owner;
    enum lease_state state;
    enum lease_kind kind;
    struct link in_queue;
    struct link in_news;
    struct link in_conn;     /* LEASE_READY, LEASE_HELD */
    struct attempt *attempt; /* LEASE_SPONSOR */
    struct pool_conn *pc;    /* LEASE_READY, LEASE_HELD */
    uint64_t seq;
    int64_t acquired_us;
    int64_t ready_us;
    int64_t connect_timeout_us;
    int64_t deadline_us;   /* of connecting; 0: none, or not begun */
    int reason_told;       /* enum wait_reason, -1: none */
    unsigned n_rungs_told; /* of those of the attempt */
    bool is_reused;
    bool may_go_early;
    bool is_guest;                 /* on a connection made for another name */
    const struct failure *failure; /* of LEASE_FAILED; owned */
};

/* pool_key.c */
struct tls_config pool_tls_config(const struct pool_tls *tls);
/* A copy whose spans lie in *ret_storage (pool_key_storage_free()). */
MUST_CHECK int
pool_key_copy(struct pool_key *ret, const struct pool_key *key, void **ret_storage);
void pool_key_storage_free(void *storage); /* NULL is fine */

/* pool.c */
const char *lease_state_name(enum lease_state state);
bool lease_state_may_follow(enum lease_state from, enum lease_state to);
/* The door. Takes the lease off the queue; the caller puts it on another list. */
void lease_enter(struct lease *lease, enum lease_state next);
void lease_give(struct lease *lease, struct pool_conn *pc);
void lease_fail(struct lease *lease, const struct failure *why);
void lease_tell(struct lease *lease); /* at the end of the round */

/* pool_queue.c */
MUST_CHECK int
entry_get(struct pool *pool, const struct pool_key *key, struct pool_entry **ret);
/* *ret is NULL if there is none; entry_new() may follow at once. */
MUST_CHECK int
entry_find(struct pool *pool, const struct pool_key *key, struct pool_entry **ret);
MUST_CHECK int
entry_new(struct pool *pool, const struct pool_key *key, struct pool_entry **ret);
void entry_add_waiter(struct pool_entry *entry, struct lease *lease);
/* After any change: starts what can be started. The entry may be gone after it. */
void entry_pump(struct pool_entry *entry);
void entry_free(struct pool_entry *entry);
/* The waiting lease has gone: what becomes of its attempt? */
void attempt_lost_sponsor(struct attempt *attempt, bool was_served);
void pool_count_handshake(struct pool *pool, const struct conn_info *info);
/* Who takes a connection that has been used? NULL: nobody. *ret_must_close: somebody who waits
 * for a fresh one needs its place more. */
struct lease *entry_next_taker(struct pool_entry *entry, bool *ret_must_close);
/* Who takes a place on one that carries many? Such a connection tells by itself that it is
 * dead, so whoever wants a fresh one is content with it. */
struct lease *entry_next_sharer(struct pool_entry *entry);
/* Who takes a place on a connection for another name? Whoever wants a fresh one does not. */
struct lease *entry_next_guest(struct pool_entry *entry);

/* pool_tls.c */
/* The entry of the request's key, or of the key with an old version. Return: 0 or -errno. */
MUST_CHECK int entry_for_request(struct pool *pool,
                                 const struct pool_request *request,
                                 void *owner,
                                 struct pool_entry **ret);
/* A connection of this version has been made for the entry. Return: whether it is one of the
 * key's; the key may have become one without an old version. */
bool entry_takes_version(struct pool_entry *entry, uint16_t version);
void attempt_add_rung(struct attempt *attempt, const struct tls_rung *rung);
/* The one to be reported in place of a later one; NULL: there is none. */
const struct failure *attempt_first_failure(const struct attempt *attempt);
bool lease_tell_rungs(struct lease *lease); /* Return: whether it still waits */

/* pool_coalesce.c */
void pool_conn_join_group(struct pool_conn *pc); /* if it may carry other names */
void pool_conn_leave_group(struct pool_conn *pc);
/* The addresses are known. Return: whether those who wait have been given places on a
 * connection for another name, so that nobody needs the attempt any more. */
bool attempt_is_needless(struct attempt *attempt, struct address_list found);

/* pool_idle.c */
MUST_CHECK int
pool_conn_new(struct pool_entry *entry, struct conn *conn, struct pool_conn **ret);
void pool_conn_close(struct pool_conn *pc);
bool pool_conn_has_room(const struct pool_conn *pc);
void pool_conn_give(struct pool_conn *pc, struct lease *lease);
/* As many of those who wait as it can carry. */
void pool_conn_share(struct pool_conn *pc);
/* The lease holds it no more: to the next in the queue, to the idle ones, or closed. Calls
 * entry_pump(). */
void pool_conn_release(struct pool_conn *pc, struct lease *lease);
void pool_conn_set_idle(struct pool_conn *pc);
static inline unsigned entry_per_host_max(const struct pool_entry *entry)
{
    return entry->uid->has_limits ? entry->uid->limits.per_host_max
                                  : entry->pool->options.per_host_max;
}

static inline unsigned uid_idle_max(const struct pool *pool, const struct pool_uid *uid)
{
    return uid->has_limits ? uid->limits.idle_per_uid_max : pool->options.idle_per_uid_max;
}

void pool_on_idle_timer(void *owner);
