/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A fetcher whose network is in memory: the real pool and the real HTTP/1.1, over io_pair, with
 * the test as every server, a clock it moves by hand and a cookie jar whose disk it plays.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "fetch/fetcher.h"
#include "fetch/request.h"
#include "policy/proxy.h"
#include "policy/public_suffix.h"
#include "pool/connector.h"
#include "pool/reach.h"
#include "support/fd_count.h"

#define WORLD_SERVERS_MAX 64
#define WORLD_COMMITS_MAX 8

struct io;

/* The other end of one connection. */
struct fake_server {
    struct io *io; /* NULL: closed by us */
    struct buf seen;
    char host[512];
    uint16_t port;
    bool is_over;      /* the daemon has hung up */
    bool may_be_early; /* who took the connection might have gone before TLS was done */
    enum proxy_way way;
    char proxy[PROXY_TEXT_SIZE]; /* "" without */
    char proxy_login[64];        /* "user:password" */
};

struct fetch_world {
    struct fake_clock clock;
    struct loop *loop;
    struct transport *transport;
    struct connector connector;
    struct pool *pool;
    struct worker_pool *files;
    struct network *network;
    struct network_probe probe;
    bool is_offline;
    struct fetcher *fetcher;
    struct auth_cache proxy_logins;

    struct suffix_table suffixes;
    struct cookie_jar *jar;
    enum jar_right jar_right; /* on the jar; WRITE */
    uint32_t jar_owner;       /* 0: who asks */
    struct link leases;
    struct jar_deed last_deed;
    unsigned n_jars; /* to be listed; 1 */
    int n_holds;
    uint32_t last_held;
    uint32_t last_committed;
    struct hsts *hosts;
    struct hsts *seen;                                /* at TLS 1.2 */
    int hosts_result;                                 /* as open_result */
    int open_result;                                  /* enum cookie_open_outcome or -errno */
    struct link cookie_waiters;                       /* struct cookie_wait */
    int commit_result;                                /* enum cookie_commit_outcome */
    struct cookie_commit *commits[WORLD_COMMITS_MAX]; /* that wait */
    unsigned n_commits;

    struct link attempts;
    unsigned n_attempts;
    bool hold_connects;       /* leave attempts alone: world_connect() and world_refuse() */
    enum failure_kind refuse; /* not FAILURE_NONE: every attempt fails like this */
    struct fake_server servers[WORLD_SERVERS_MAX];
    unsigned servers_max; /* further attempts are refused; 0: a test counts for itself */
    unsigned n_servers;   /* ever; the last is servers[n_servers - 1] */
};

void world_init(struct fetch_world *world);
/* Every request must have ended; nothing may be left over anywhere. */
void world_done(struct fetch_world *world);

/* A few rounds, connecting what wants to be connected. */
void world_turn(struct fetch_world *world);
/* The same, with whatever the file threads have to do. */
void world_settle_files(struct fetch_world *world);
void world_pass_ms(struct fetch_world *world, int64_t ms);

void world_stage(struct fetch_world *world, enum wait_reason stage); /* of the first attempt */
void world_connect(struct fetch_world *world);                       /* the first attempt */
/* The errno of attempts refused with FAILURE_CONNECT; ECONNREFUSED anew in each world. */
extern int world_errno;
void world_refuse(struct fetch_world *world, enum failure_kind kind);

/* How many addresses the first attempt was given instead of a name. */
size_t world_dialled_addresses(struct fetch_world *world);

void world_cookies_ready(struct fetch_world *world);
/* From all hands, as when it is removed. */
void world_take_jar(struct fetch_world *world);
void world_cookies_committed(struct fetch_world *world, bool saved);

/* The last server, unless said otherwise. */
struct fake_server *world_server(struct fetch_world *world);
/* What the daemon wrote since the last call, with a NUL behind it. */
const char *server_hears(struct fetch_world *world, struct fake_server *server);
/* Says it all, as far as the daemon reads. Return: bytes that went. */
size_t
server_says_bytes(struct fetch_world *world, struct fake_server *server, struct span bytes);
void server_says(struct fetch_world *world, const char *text);
void server_ends(struct fetch_world *world);
void server_breaks(struct fetch_world *world, int err);

/* ---- an owner that writes down what it is told ------------------------------------------ */

enum teller_act {
    ACT_NONE,
    ACT_CLOSE,
    ACT_FAIL,
    ACT_CONGEST,
    ACT_CREDIT,
    ACT_WRITE, /* to a streamed body, and its end */
};

struct teller {
    struct fetch_world *world;
    struct request *request; /* NULL: over */
    char story[4096];
    size_t story_len;
    bool tell_waits; /* else they are not part of the story */
    bool tell_hops;
    bool tell_taken;
    bool into_fd; /* no on_body comes */
    bool follows; /* says yes to redirects, from inside the question */
    enum teller_act act;
    int act_at; /* in the event of this number, from 0; -1: never */
    int n_events;
    int n_heads;
    int n_done;
    bool has_failed;
    struct failure failure;
    uint64_t body_bytes;
    uint64_t body_sum; /* of all bytes with their places */
    uint64_t taken;
    struct request_progress last_up;
    struct request_progress last_down;
    int n_progress;
    enum ready_state ready;
    size_t n_trailers;
    struct request_totals totals;
    struct request_timing timing;
    struct request_head head; /* plain members only are good afterwards */
    char remote_begins;       /* the address it came from */
};

void teller_init(struct teller *teller, struct fetch_world *world);
/* Options of a GET with all the credit there is; to be changed before teller_send(). */
void options_get(struct request_options *options, const char *url);
void teller_send(struct teller *teller, struct request_options *options);
/* Without a round after it. Return: request_new()'s. */
MUST_CHECK int teller_try(struct teller *teller, struct request_options *options);
void teller_get(struct teller *teller, const char *url);

uint64_t body_sum(uint64_t sum, uint64_t at, struct span bytes);

#define assert_story(teller, text) assert_string_equal((teller)->story, text)
