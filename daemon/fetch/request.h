/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One request from options to its single end: cookies and credentials are decided, a
 * connection is found, an exchange carried out, redirects followed, codings undone, cookies
 * stored, and the owner told in the order of XMLHttpRequest.
 *
 * Order of events: wait*, hop* and redirect* in any order, then head, body*, done; progress
 * anywhere before done. done comes exactly once, after it nothing. No event comes from inside a
 * call the owner makes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "fetch/fetcher.h"
#include "fetch/request_cache.h"
#include "fetch/request_options.h"
#include "fetch/request_state.h"
#include "fetch/timing.h"
#include "policy/auth_offers.h"
#include "pool/pool_rungs.h"
#include "transport/exchange.h"

struct certificates;
struct request;

enum request_wait {
    REQUEST_WAIT_QUEUED,
    REQUEST_WAIT_DNS,
    REQUEST_WAIT_CONNECT,
    REQUEST_WAIT_TLS,
    REQUEST_WAIT_AUTH,
    REQUEST_WAIT_VERDICT,      /* the owner judges the server's certificates */
    REQUEST_WAIT_CONNECTIVITY, /* there is no network */
    REQUEST_WAIT_BACKPRESSURE, /* the peer does not take the body */
};

/* What became of a request that its owner lets go before TLS is done (0-RTT). */
enum request_early {
    REQUEST_EARLY_NONE, /* it did not */
    REQUEST_EARLY_ACCEPTED,
    REQUEST_EARLY_REJECTED,  /* it went once more behind the handshake, or on another one */
    REQUEST_EARLY_TOO_EARLY, /* the server took it and answered 425: it went once more */
    REQUEST_EARLY_FORBIDDEN, /* by the administrator */
    REQUEST_EARLY_SENT,      /* the server has not said yet; of what goes on alone */
};

/* Everything is borrowed for the call. */
struct request_head {
    unsigned status;
    unsigned http_version; /* 10, 11, 20 */
    struct span reason;
    const struct headers *headers;
    const struct url *url; /* final; userinfo and fragment are not to be told */
    unsigned redirects;
    bool has_size;
    uint64_t size_bytes;        /* of the decoded body, when it is known beforehand */
    struct span coding;         /* what is being undone; empty: nothing */
    const struct headers *sent; /* as they went out, without credentials and cookies */
    const struct exchange_info *exchange;
    const struct tls_rungs *rungs; /* that led to its connection; NULL: none */
    bool is_old_tls;               /* below 1.2 */
    enum request_early early;
    struct span proxy; /* "http://proxy.example:3128"; empty: directly */
    bool is_tunnel;    /* it sees no more than whom we talk to */
    enum request_from_cache from_cache;
    int64_t age_s;                           /* of what is from the cache */
    const struct certificates *certificates; /* as they were sent; NULL: none, or not wanted */
};

struct request_hop {
    unsigned status;
    const struct url *url;
    const char *method;
    bool asks;    /* nothing goes on before request_answer_redirect() */
    bool upgrade; /* our own step to https, not a server's */
};

/* A 401 that nothing given so far answers. */
struct request_challenge {
    const struct auth_offers *offers;
    const char *origin; /* who asks */
    unsigned attempt;   /* 1, 2 … of this hop */
};

/* The server of a connection that is there and has carried nothing of the request. Borrowed for
 * the call. */
struct request_verdict {
    const struct certificates *certificates; /* at least one; the leaf first */
    const char *origin;                      /* "https://a.test:8443" */
    bool is_verified; /* the chain that was verified; else what the server sent, unverified */
    int64_t deadline_us;
};

struct request_progress {
    bool upload;
    uint64_t done_bytes;
    bool has_total;
    uint64_t total_bytes;
    uint64_t wire_bytes;
};

struct request_events {
    void (*on_wait)(void *owner, enum request_wait reason);
    void (*on_redirect)(void *owner, const struct request_hop *hop);
    /* Of options that say so: the head of an answer that is not the last, or not taken: of a
     * redirect, before on_redirect; of a 401, 407, 417 or 421 that is answered. */
    void (*on_hop)(void *owner, const struct request_head *head);
    /* The server chokes on TLS as it is and is asked with less. May be NULL. */
    void (*on_rung)(void *owner, const struct tls_rung *rung);
    void (*on_head)(void *owner, const struct request_head *head);
    void (*on_body)(void *owner, struct span bytes);
    void (*on_progress)(void *owner, const struct request_progress *progress);
    /* Of options that say so: request_answer_challenge() is to follow, at once or later. */
    void (*on_challenge)(void *owner, const struct request_challenge *challenge);
    /* Of options that say so, for each connection before the request goes over it:
     * request_answer_verdict() is to follow, before the deadline. */
    void (*on_verdict)(void *owner, const struct request_verdict *verdict);
    /* The streamed body is to come once more; request_answer_rewind() goes before it. What
     * comes before that is dropped, and the window is whole again. */
    void (*on_rewind)(void *owner);
    /* So many bytes of a streamed body have been taken: as many more may come. */
    void (*on_upload_taken)(void *owner, uint64_t bytes);
    /* NULL: the answer is whole, whatever its status. The request ends with the call. */
    void (*on_done)(void *owner, const struct failure *why);
};

/* Streamed body bytes that may be with us and not yet on their way. */
#define REQUEST_UPLOAD_WINDOW 65536U

/**
 * request_new() - begin
 * @options: moved from on success; the caller's otherwise
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int request_new(struct request **ret,
                           struct fetcher *fetcher,
                           struct request_options *options,
                           const struct request_events *events,
                           void *owner);

/* The body that its options had lent to them lies in @memory, which the request frees. To be
 * called right after request_new(). */
void request_own_body(struct request *request, char *memory);

/* Gone without an event; whatever it held is given back. */
void request_close(struct request *request);

/* on_done() with @why, from the loop; for an abort or a shutdown. Nothing after it. */
void request_fail(struct request *request, const struct failure *why);

void request_add_credit(struct request *request, uint64_t bytes);

/* Where in a descriptor an answer goes: see request_options_set_response_fd(). */
struct response_place {
    uint64_t offset;
    bool sync;        /* on the disk before on_done */
    bool at_position; /* where it stands */
    bool has_size_max;
    uint64_t size_max; /* of the file: beyond is EFBIG */
};

/**
 * request_give_to_fd() - from now on the body goes to a descriptor instead of on_body
 * @fd: taken, whatever the result
 * Between on_head and the first on_body; at_position also later, when all credit is used up:
 * then the owner has all there is before it.
 * Return: 0; -EINVAL or another -errno with *ret_why filled, and the request is as it was.
 */
MUST_CHECK int request_give_to_fd(struct request *request,
                                  int fd,
                                  const struct response_place *place,
                                  struct failure *ret_why);

/* Nothing goes to the owner while it is congested, and the network is not read. */
void request_set_congested(struct request *request, bool congested);

/**
 * request_write_body() - more of a REQUEST_BODY_STREAM
 * Return: 0; -EMSGSIZE when more than the window or the announced length came, -EINVAL when no
 * such body is wanted; -ENOMEM; -EDQUOT when its user holds too much. On error the request is
 * as it was.
 */
MUST_CHECK int request_write_body(struct request *request, struct span bytes);
MUST_CHECK int request_end_body(struct request *request);
/* Is more of a streamed body, or its end, still wanted? */
bool request_awaits_body(const struct request *request);

/*
 * Answers to what the owner was asked; the request goes on from the loop. While a redirect or a
 * rewind waits for its answer the idle timeout counts, for a login only the total one. Return:
 * 0; -EINVAL when that has not been asked (any more).
 */
MUST_CHECK int request_answer_redirect(struct request *request, bool follow);
MUST_CHECK int request_answer_verdict(struct request *request, bool trusted);
MUST_CHECK int request_answer_rewind(struct request *request, bool rewound);
/**
 * request_answer_challenge() - log in, or take the 401 for the answer
 * @login: NULL: nobody does. Its scheme and its preemptive mean nothing
 * Return: as above; -EINVAL and -ENOMEM with *ret_why set for a login that cannot be sent; else
 * ret_why->kind is FAILURE_NONE.
 */
MUST_CHECK int request_answer_challenge(struct request *request,
                                        const struct request_credentials *login,
                                        struct failure *ret_why);
/* The owner sends nothing any more: what is asked, now or later, has no answer. */
void request_owner_is_mute(struct request *request);

struct request_totals {
    uint64_t body_bytes; /* decoded, given to the owner */
    uint64_t wire_bytes;
    uint64_t upload_bytes; /* of the last hop, acknowledged by the peer */
    bool has_upload_total;
    uint64_t upload_total; /* how much there was to send */
    uint64_t header_bytes;
    uint64_t request_bytes;
    bool cookies_not_persisted;
};

uint64_t request_id(const struct request *request);
/* What the owner may see of the jar it goes with; WRITE without one. *ret_owner: whose it is.
 */
enum jar_right request_jar_right(const struct request *request, uint32_t *ret_owner);

/* The fields of the last exchange as they went out, Cookie and logins included, behind what is
 * in @ret. Nothing for a stored answer. Return: 0, -ENOMEM or -EMSGSIZE. */
MUST_CHECK int request_list_sent(const struct request *request, struct headers *ret);

void request_get_totals(const struct request *request, struct request_totals *ret);
/* What came behind the body; borrowed for the call. */
const struct headers *request_trailers(const struct request *request);
void request_get_timing(const struct request *request, struct request_timing *ret);

/* For listings; borrowed for the call. */
struct request_row {
    uint64_t id;
    uint32_t uid;
    const char *method;
    const struct url *url;
    const char *state;
    int64_t age_us;
    uint64_t body_bytes;
    uint64_t connection_id;
    enum request_early early;
    void *owner;
};

void request_describe(struct request *request, struct request_row *ret);
/* @fn returns whether to go on. */
void request_each(struct fetcher *fetcher,
                  bool (*fn)(void *arg, const struct request_row *row),
                  void *arg);

void fetcher_init(struct fetcher *fetcher, struct loop *loop);
void fetcher_done(struct fetcher *fetcher); /* what it keeps between requests */
