/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Host names to addresses by the system's resolver: getaddrinfo(3), with all that NSS is
 * configured for, on threads of its own.
 *
 * Whose name servers do not answer waits alone: queries are their user's, as are the kept
 * answers, from which nobody can tell by the time what another one asked. Of one user so many
 * run at once at most.
 *
 * Equal look-ups of a user share one query. Answers are kept for a few seconds only, because
 * getaddrinfo does not tell the TTL: enough for the burst of connections that one page opens.
 * Failures are not kept; failure.code is the EAI_ value without its sign. Address literals and
 * localhost (RFC 6761 §6.3) never reach a thread. Overrides (curl --resolve) are the caller's.
 */

#include <netdb.h>

#include "base/failure.h"
#include "base/list.h"
#include "loop/loop.h"
#include "net/address.h"

struct resolver;
struct resolver_query;

#define RESOLVER_HOST_MAX      253 /* bytes: RFC 1035 §2.3.4, without the root's dot */
#define RESOLVER_ADDRESSES_MAX 32  /* of one answer; the rest is dropped */

/* Blocking, on a thread. Writes at most @max. Return: 0 or an EAI_ value; errno for EAI_SYSTEM.
 */
typedef int
resolver_query_fn(const char *host, int family, struct address *ret, size_t max, size_t *ret_n);

struct resolver_options {
    unsigned n_threads;       /* look-ups at once; a dead name server holds one up for long */
    unsigned n_threads_each;  /* of one user */
    unsigned queries_max;     /* of one user: different names waiting or being looked up */
    unsigned cache_max;       /* answers kept */
    int64_t cache_us;         /* for how long; 0: not at all */
    resolver_query_fn *query; /* NULL: getaddrinfo(3). For tests */
};

static inline struct resolver_options resolver_options_default(void)
{
    return (struct resolver_options){
        .n_threads = 32,
        .n_threads_each = 8,
        .queries_max = 1024,
        .cache_max = 256,
        .cache_us = 5000000,
    };
}

/* One question. Embedded in the owner; set on_done, owner and uid, the rest is the resolver's.
 */
struct lookup {
    /* Exactly once, never from inside resolver_lookup(). @found has at least one address, in
     * the order of RFC 6724, with the port; it is empty and @why set on failure. Both are
     * borrowed for the call. The lookup may be used again or freed from inside it. */
    void (*on_done)(void *owner, struct address_list found, const struct failure *why);
    void *owner;
    uint32_t uid; /* who asks */

    struct link link;
    struct resolver *resolver;    /* set while it is under way */
    struct resolver_query *query; /* NULL: answered without a query */
    struct deferred task;
    int refusal; /* EAI_ value */
    uint16_t port;
    uint8_t n_literal;
    struct address literal[2];
};

MUST_CHECK int
resolver_new(struct resolver **ret, struct loop *loop, const struct resolver_options *options);

/* Every lookup must have ended or been cancelled. Waits for look-ups that threads are busy
 * with, which may take as long as resolv.conf says. */
struct resolver *resolver_free(struct resolver *resolver);
DEFINE_CLEANUP(resolver, resolver_free)

/**
 * resolver_lookup() - begin
 * @host:   name or address literal (brackets are fine); copied
 * @port:   put into the addresses
 * @family: AF_UNSPEC, AF_INET or AF_INET6
 * Return: 0 (on_done follows), -ENOMEM, -EAGAIN when no thread could be made.
 */
MUST_CHECK int resolver_lookup(struct resolver *resolver,
                               struct span host,
                               uint16_t port,
                               int family,
                               struct lookup *lookup);

/* on_done is not called any more; what the thread finds is dropped. Idle lookups are fine. */
void resolver_cancel(struct lookup *lookup);

static inline bool resolver_is_looking_up(const struct lookup *lookup)
{
    return lookup->resolver != NULL;
}

/* Forgets the kept answers: the network has changed. */
void resolver_flush(struct resolver *resolver);
