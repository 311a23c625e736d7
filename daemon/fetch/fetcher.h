/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What every request needs, made and joined by app/: the pool, the cookies, threads for file
 * bodies, the defaults. And what is counted over all requests.
 */

#include <stdint.h>

#include "base/list.h"
#include "base/partition.h"
#include "base/span.h"
#include "base/spare.h"
#include "fetch/known_origins.h"
#include "http/coding.h"
#include "http/headers.h"
#include "policy/auth_cache.h"
#include "policy/cache_access.h"
#include "policy/jar_rights.h"
#include "pool/pool.h"
#include "pool/pool_key.h"

struct access_view;
struct cookie_jar;
struct hsts;
struct loop;
struct network;
struct pool;
struct proxy;
struct worker_pool;

/* Waits until a uid's cookies and known hosts are in memory. Embedded; zero is "does not wait".
 */
struct cookie_wait {
    struct link link;
    void (*on_ready)(void *owner);
    void *owner;
    void *store; /* the filler's */
};

/* Waits until what was stored is on disk. Embedded; zero is "does not wait". */
struct cookie_commit {
    void (*on_committed)(void *owner, bool saved);
    void *owner;
    void *store;   /* the filler's; NULL when not waiting */
    bool to_power; /* until it survives loss of power, too */
};

enum cookie_open_outcome {
    COOKIE_OPEN_READY = 0,
    COOKIE_OPEN_WAIT = 1,   /* on_ready will be called: ask again then */
    COOKIE_OPEN_DENIED = 2, /* no right, or nothing to have a right on: nobody learns which */
};

/* Who asks for a jar. Borrowed for the call; gids for as long as the jar is in hand. */
struct jar_asker {
    const struct partition *partition;
    const uint32_t *gids; /* groups of its process */
    size_t n_gids;
};

enum jar_deed_kind {
    JAR_DEED_CREATE,
    JAR_DEED_REMOVE,
    JAR_DEED_GRANT,
    JAR_DEED_REVOKE,
    JAR_DEED_END_SESSION, /* jar empty: of all jars of the asker's partition */
};

/* What is done to a jar as a whole. */
struct jar_deed {
    enum jar_deed_kind kind;
    struct span jar;
    struct jar_grant grant; /* of GRANT; of REVOKE all but its right */
    /* told when it was done: */
    uint32_t owner_uid;
    uint64_t changed; /* jars, grants or cookies */
};

/* A jar, as far as it is told of. Borrowed. */
struct jar_row {
    const struct jar_ref *ref;
    const struct jar_grants *grants; /* NULL: not this asker's to know */
    enum jar_right right;
    size_t count; /* of cookies */
    int64_t created_s;
};

enum cookie_commit_outcome {
    COOKIE_COMMIT_SAVED = 0,
    COOKIE_COMMIT_NOT_SAVED = 1, /* in memory only: the disk does not take it */
    COOKIE_COMMIT_WAIT = 2,      /* on_committed will be called */
};

/* Told of jars, one by one. */
struct jar_listener {
    void (*on_row)(void *owner, const struct jar_row *row);
    void *owner;
};

/* The jars and the hosts that want https, seen from here. app/ fills it with store/. */
struct cookie_access {
    /* Into @ret's hand: jar, right and owner are filled in. @jar: see jar_ref_parse().
     * Return: an outcome; -EINVAL: no jar can have this name; -EDQUOT: too many; -ENOMEM. */
    int (*open)(void *owner,
                const struct jar_asker *asker,
                struct span jar,
                struct cookie_wait *wait,
                struct jar_lease *ret);
    /* Return: as open(). */
    int (*do_deed)(void *owner,
                   const struct jar_asker *asker,
                   struct jar_deed *deed,
                   struct cookie_wait *wait);
    /* Jars of the asker's partition and the system's; with @of_uid those of that user's unnamed
     * profile the asker has a right on. Return: as open(). */
    int (*list)(void *owner,
                const struct jar_asker *asker,
                const uint32_t *of_uid,
                struct cookie_wait *wait,
                const struct jar_listener *listener);
    /* Somebody is there who uses jars of @uid: their session lasts until the last of these has
     * left, and a while longer. */
    void (*session_hold)(void *owner, uint32_t uid);
    void (*session_release)(void *owner, uint32_t uid);
    /* The known hosts of a partition. Return: an outcome; -EDQUOT: too many profiles; -ENOMEM.
     */
    int (*open_hosts)(void *owner,
                      const struct partition *who,
                      struct cookie_wait *wait,
                      struct hsts **ret);
    /* Of its servers those that were seen at TLS 1.2 (policy/tls_seen.h). Only when
     * open_hosts() has been READY. Return: 0 or -errno. */
    int (*open_seen)(void *owner, const struct partition *who, struct hsts **ret);
    void (*open_cancel)(struct cookie_wait *wait); /* of either */
    /* A jar that is nobody else's and never on disk, with a tag of its own; all of a uid share
     * a limit of memory. To be given to cookie_jar_free(). Return: 0 or -ENOMEM. */
    int (*make_private)(void *owner, const struct partition *who, struct cookie_jar **ret);
    /* The limits of @who may be others. */
    void (*limit_private)(void *owner, const struct partition *who, struct cookie_jar *jar);
    /* Of all that was stored or learned. Return: an outcome. */
    int (*commit)(void *owner, uint32_t uid, struct cookie_commit *commit);
    void (*commit_cancel)(struct cookie_commit *commit);
    void *owner;
};

/* How much of what servers say is taken. */
struct answer_limits {
    struct head_limits head;
    unsigned codings_max;   /* of a body, one over another */
    unsigned redirects_max; /* that one request follows, whatever it asks for */
};

#define ANSWER_LIMITS_DEFAULT                                                                  \
    ((struct answer_limits){HEAD_LIMITS_DEFAULT, DECODER_CODINGS_MAX, 1000})

struct fetch_options {
    const struct proxy *proxy;  /* of requests that say nothing about one; NULL: none */
    struct span no_proxy;       /* exceptions to it */
    int64_t connect_timeout_us; /* 60 s; for requests that do not say */
    int64_t idle_timeout_us;    /* 60 s */
    const char *user_agent;
    uint16_t tls_min_version; /* nobody goes below: 0x0301 … 0x0304 */
    bool forbids_early_data;
    bool has_limits; /* of connections, other than the pool's */
    struct pool_limits limits;
    struct answer_limits answer;
};

/* What one client is held to, and what his requests get that say nothing. All zero: the
 * fetcher's options, and no rules. */
struct fetch_rights {
    const struct access_view *access;    /* NULL: no rules */
    const struct fetch_options *options; /* NULL: the fetcher's */
    struct quota *quota; /* who pays for the bytes that are held; outlives the request; NULL:
                            nobody */
};

struct fetch_counters {
    uint64_t requests_total;
    uint64_t requests_failed;
    uint64_t bytes_down; /* body bytes from the network */
    uint64_t bytes_up;
};

/* Decoded bytes are made here and passed on before anyone else writes to it. */
#define FETCH_SCRATCH_BYTES 65536

struct fetcher {
    struct loop *loop;
    struct pool *pool;
    struct network *network;         /* NULL: nobody waits for one */
    struct worker_pool *files;       /* reads and writes passed regular files */
    struct worker_pool *cache_files; /* reads stored bodies */
    struct cookie_access cookies;
    struct cache_access cache; /* owner NULL: there is none */
    struct fetch_options options;
    struct fetch_counters counters;
    struct auth_cache logins;
    struct hsts *warned_of_tls;      /* hosts, for a day each; NULL until there is one */
    struct auth_cache *proxy_logins; /* shared with the connector: nonces of proxies alone */
    struct link requests;            /* all that are not done */
    uint64_t n_requests;
    uint64_t last_id;
    struct known_origins origins;
    struct spares spares; /* memory of requests that are done */
    char scratch[FETCH_SCRATCH_BYTES];
};
