/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Messages to deeds, events to messages: serves the clients that the listener accepts.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/failure.h"
#include "base/partition.h"
#include "base/quota.h"
#include "fetch/fetcher.h"
#include "ipc/peer.h"
#include "ipc/session.h"
#include "policy/access_rules.h"

struct buf;
struct fetcher;
struct jar_grants;
struct partition;
struct service;

/*
 * Who has the sockets of clients, too, so that their connections outlive this process, and
 * remembers what the next one must know of them. What it gives for a client is where to say
 * whether something is under way with it: such a connection is no good to the next process.
 */
struct client_keeper {
    void *owner;
    /* *ret: where to say so, 1 at first. Return: 0; -EAGAIN: ask again; -errno: not kept. */
    int (*keep)(void *owner,
                int fd,
                const struct partition *partition,
                const char *program,
                volatile uint8_t **ret);
    void (*drop)(void *owner, volatile uint8_t *busy);
};

/* What is known of a client that another process has greeted. Borrowed. */
struct kept_client {
    volatile uint8_t *busy;
    const char *profile;
    const char *program;
};

struct service_options {
    struct session_options session;
    struct quota limits;  /* of each uid */
    uint64_t clients_max; /* of all uids */
    bool per_user;        /* serves the daemon's own uid and root alone */
    /* Who is shown everything, beside root; borrowed, NULL: nobody. */
    const struct jar_grants *administrators;
    const char *version;
    const char *state_dir;              /* "": nothing is kept; for listings */
    const char *socket_path;            /* for listings */
    const struct client_keeper *keeper; /* NULL: there is none */
};

/* A TLS session that is kept; borrowed for the call. */
struct tls_session_listed {
    const struct partition *partition;
    const char *host;
    uint16_t port;
    const char *version;
    const char *cipher;
    int64_t age_s;
    int64_t left_s;
    uint64_t uses;
    bool is_persistent;
};

/* What went of a user, see purge_user(). */
struct user_purged {
    uint64_t cookies;
    uint64_t hosts; /* known ones */
    uint64_t answers;
    bool is_saved; /* from the disk as well */
};

/* Embedded at who wants to hear of it. */
struct user_purge {
    void (*on_purged)(struct user_purge *self, const struct user_purged *what);
    void *filler; /* the filler's; NULL when nothing is under way */
};

/* What the configuration says of one client. */
struct service_rights {
    struct fetch_rights fetch;
    struct quota limits;     /* of its uid */
    const char *kept_out_by; /* NULL: it is served; else the rule that says no */
};

/* What one rule says of one thing. Borrowed. */
struct policy_row {
    enum access_word word;
    struct span text;    /* for people */
    struct span section; /* "[User alice]"; empty: no rule decided */
    struct span key;
    unsigned line;
};

/* A question about the rules. */
struct policy_check {
    const struct peer *peer; /* who asks */
    struct span user;        /* whom it is about, name or number; empty: who asks */
    struct span url, method; /* these are read while it is begun; no method: GET */
    bool insecure;
    bool may_ask_others;
    void (*on_row)(void *owner, const struct policy_row *row);
    void (*on_done)(void *owner, const struct failure *why); /* once; NULL: it was judged */
    void *owner;
    bool allowed; /* told with on_done */
    uint32_t uid;
    struct failure why; /* of a question that was not begun */
    void *job;          /* the filler's */
};

struct service_events {
    /* No client is connected and no request under way; on every change to and from it. */
    void (*on_idle)(void *owner, bool idle);
    /* For status: how many cookies there are of @uid, or (POOL_EVERY_UID) of all, and whether
     * they are safe on disk. */
    void (*ask_cookies)(void *owner, uint32_t uid, uint64_t *ret_count, bool *ret_persistent);
    /* All that is kept for @uid goes, in memory and on disk; on_purged() says when, perhaps
     * before this returns. Return: 0 or -errno. */
    int (*purge_user)(void *owner, uint32_t uid, struct user_purge *purge);
    /* on_purged() is not called; what began goes on. */
    void (*purge_user_cancel)(struct user_purge *purge);
    /* A client has gone, and its private jar with it: what was kept for that goes. May be NULL.
     */
    void (*on_private_jar_end)(void *owner, uint32_t uid, uint64_t tag);
    /* Those of a uid, or (POOL_EVERY_UID) of all. */
    void (*each_tls_session)(void *owner,
                             uint32_t uid,
                             bool (*fn)(void *arg, const struct tls_session_listed *listed),
                             void *arg);
    /* An administrator wants the configuration read anew. Return: 0; -errno: nothing has
     * changed, *ret_error says why. */
    int (*reload)(void *owner, struct buf *ret_error);
    /* Nothing is taken any more, nothing runs, and we are to leave. From the loop. */
    void (*on_drained)(void *owner);
    /* Of each client, and again with service_set_options(); *ret holds the service's options
     * already. @knows_names: @who has those the policy goes by. Return: 0 or -ENOMEM. NULL: all
     * are equal. */
    int (*find_rights)(void *owner,
                       const struct access_person *who,
                       bool knows_names,
                       struct service_rights *ret);
    /* Begins; on_done comes later, unless it is cancelled. Return: 0, or -errno with why set.
     */
    int (*start_check)(void *owner, struct policy_check *check);
    void (*cancel_check)(void *owner, struct policy_check *check); /* fine when it is over */
};

/* @fetcher, strings: borrowed. Return: 0 or -ENOMEM. */
MUST_CHECK int service_new(struct service **ret,
                           struct fetcher *fetcher,
                           const struct service_options *options,
                           const struct service_events *events,
                           void *owner);

/* Every request fails; every client is told that the daemon leaves, but those that are kept and
 * have nothing under way: they need not know. Call it before the loop's
 * last rounds, then service_free(). */
void service_shut_down(struct service *service);
struct service *service_free(struct service *service);
DEFINE_CLEANUP(service, service_free)

/* A reload: limits and rules, for who is there as well. */
void service_set_options(struct service *service, const struct service_options *options);

/* @fd is taken: served, or told why not and closed. @names: of the peer and its groups, or
 * NULL; copied. */
void service_accept(struct service *service,
                    int fd,
                    const struct peer *peer,
                    const struct access_person *names);

/* The same for a client that a process before us greeted and kept. */
void service_adopt(struct service *service,
                   int fd,
                   const struct peer *peer,
                   const struct kept_client *kept);

/* What is remembered of the last requests of @uid goes. */
void service_forget_user(struct service *service, uint32_t uid);

bool service_is_idle(const struct service *service);
