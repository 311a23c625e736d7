/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A request and the cache (RFC 9111): asked before the network is, told when a stored answer is
 * still good, given what may be stored, and a way out when the network has failed. What all
 * that means is decided in policy/cache_rules.h and policy/cache_freshness.h.
 *
 * Only requests that ask for it are answered from the cache or kept in it; what an unsafe
 * method has changed is forgotten whoever sent it (§4.4).
 */

#include <stdbool.h>
#include <stdint.h>

#include "policy/cache_access.h"
#include "policy/cache_freshness.h"

struct failure;
struct fd_source;
struct request;
struct response_head;

/* Where the answer is from. */
enum request_from_cache {
    REQUEST_FROM_NETWORK = 0,
    REQUEST_FROM_CACHE,       /* and nobody was asked */
    REQUEST_FROM_CACHE_STILL, /* the server said that it is still good */
    REQUEST_FROM_CACHE_STALE, /* old: max-stale, or stale-if-error */
};

/* Of one hop. */
struct request_cache {
    struct cache_control control; /* the caller's */
    struct cache_lookup lookup;
    struct cache_hit *hit;       /* owned */
    struct cache_writer *writer; /* owned */
    struct fd_source *source;    /* owned; the stored body on its way out */
    uint64_t left;               /* of that body */
    uint8_t context[SHA256_BYTES];
    int64_t asked_s;    /* when the request went out */
    bool was_asked;     /* the cache, for this hop */
    bool is_used;       /* this hop may be answered from it, and kept */
    bool validates;     /* the request carries conditions of ours */
    bool is_still_good; /* a 304 said so: the hit is served when the exchange has ended */
    bool must_repeat;   /* a 304 about something else: ask again, without conditions */
    bool is_served;     /* the answer is the hit */
    bool is_reading;
    bool is_full;  /* the writer takes no more for now */
    bool is_whole; /* the writer has everything */
};

/* Return: whether to go to the network now. */
bool request_cache_decide(struct request *request);

/* The request goes out now: conditions into its fields. Return: 0, -ENOMEM, -EMSGSIZE. */
MUST_CHECK int request_cache_on_send(struct request *request);

/* Return: whether the answer is not what the owner is told: something stored is, now or when
 * the exchange ends. */
bool request_cache_takes_head(struct request *request, const struct response_head *head);

/* Bytes as they came. */
void request_cache_on_body(struct request *request, struct span bytes);

/* The exchange has ended well. Return: whether the request goes on from here. */
bool request_cache_on_whole(struct request *request);

/* Return: whether something stored is told instead of the failure. */
bool request_cache_rescues(struct request *request, const struct failure *why);

/* There is room for more of the answer: from the network or from the cache. */
void request_resume_input(struct request *request);

/* The end of a hop. @good: an answer that came whole is worth keeping. */
void request_cache_end(struct request *request, bool good);
