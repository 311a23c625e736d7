/* SPDX-License-Identifier: MIT */
#pragma once

/* The inside of a request, for the files of this room that share its work. */

#include "base/buf.h"
#include "base/log.h"
#include "base/quota.h"
#include "fetch/body_pipeline.h"
#include "fetch/fd_sink.h"
#include "fetch/fd_source.h"
#include "fetch/request.h"
#include "http/auth_digest.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "policy/hsts.h"
#include "policy/proxy.h"
#include "policy/proxy_login.h"
#include "policy/redirect.h"
#include "pool/pool.h"
#include "pool/reach.h"

/* What a request has to do from the loop, done in this order. Several may be due at once: a
 * client's open, body and abort can come in one read. */
enum request_step {
    REQUEST_STEP_FAIL, /* with request->failure; nothing is done after it */
    REQUEST_STEP_DECIDE,
    REQUEST_STEP_ANSWER, /* what the owner has answered */
    REQUEST_STEP_NEXT_HOP,
    REQUEST_STEP_UPLOAD,
    REQUEST_STEP_DELIVER, /* what waited for credit or for the owner */
    REQUEST_STEP_COUNT,
};

#define REQUEST_COMMIT_JAR   1U /* of the jar's owner */
#define REQUEST_COMMIT_HOSTS 2U /* of the request's own uid */

/* Who pays for what it holds; NULL: nobody. Not to be used when it has ended. */
static inline struct quota *request_quota_of(const struct request_options *options)
{
    return options->rights ? options->rights->quota : NULL;
}

/* Where the body that goes up stands. */
struct upload {
    struct buf pending;     /* streamed or read, not taken by the exchange yet */
    struct charge bytes;    /* of it, if it is streamed: a source pays for what is read */
    uint64_t offset;        /* of an inline body: what the exchange took */
    uint64_t received;      /* of a streamed body */
    uint64_t taken;         /* by the exchange */
    uint64_t sent;          /* taken by the connection */
    uint64_t acked;         /* of it: acknowledged by the peer */
    int64_t moved_us;       /* when that was another number last */
    bool stall_told;        /* the owner knows that it does not move */
    bool whole;             /* all of the body was taken by the exchange */
    uint64_t not_told;      /* taken, and the owner not told yet */
    bool ended;             /* the streamed body is complete */
    bool end_told;          /* exchange_end_body() was called */
    bool wanted;            /* the exchange has asked at least once */
    bool consumed;          /* bytes of a stream are gone: sent again only from its owner */
    bool rewinds;           /* the owner is asked to begin anew; what comes before is dropped */
    struct fd_source *file; /* of REQUEST_BODY_FD */
    struct timer acks;      /* looks what the peer has acknowledged */
};

/* What the owner was last told of one direction. */
struct progress_told {
    int64_t when_us;
    uint64_t bytes;
};

/* A login that the owner was asked for. All owned; user or token is NULL. */
struct asked_login {
    char *user;
    char *password;
    char *domain;
    char *token;
};

/* How the login of this hop stands. */
struct request_auth {
    unsigned answers; /* 401s that were answered */
    bool went_early;  /* Digest, with a nonce other requests had left */
    bool wants_basic; /* this origin has asked for it */
    bool sent;        /* credentials are on the request that is out */
    bool sent_digest; /* and they are Digest's */
    char *realm;      /* owned; of the Digest challenge, NULL: none yet */
    struct digest_proof proof;
    bool wants_domain; /* Basic: the realm names the user's domain */
    bool sent_domain;  /* and the credentials that are out had it */
    unsigned asked;    /* how often the owner was */
    struct asked_login login;
};

enum request_question {
    QUESTION_NONE,
    QUESTION_REDIRECT,  /* follow request->redirect? */
    QUESTION_UPGRADE,   /* go on over https? */
    QUESTION_CHALLENGE, /* who logs in? */
    QUESTION_REWIND,    /* the streamed body once more, for the next hop */
    QUESTION_RETRY,     /* the same, for another connection */
    QUESTION_VERDICT,   /* may the request go to who has these certificates? */
};

/* What the owner is asked in REQUEST_ASKING, and what came meanwhile. */
struct request_asking {
    enum request_question question; /* not answered yet */
    enum request_question answered; /* for REQUEST_STEP_ANSWER */
    bool yes;
    bool is_mute;                 /* the owner sends nothing any more */
    bool is_whole;                /* of the 401 that waits: all of it is here */
    const struct failure *broken; /* what cut it short; owned; NULL: nothing */
};

/* How it stands with early data on this hop. */
struct request_early_state {
    bool is_over;    /* it has had its chance */
    bool is_timed;   /* the phase timer is that of connecting */
    uint8_t outcome; /* enum request_early */
};

/* Of an answer, what outlives the exchange or is not as it came. */
struct kept_answer {
    struct headers headers; /* and reason: while something is waited for before the head */
    struct buf reason;
    struct headers masked; /* of a head that held secrets */
    struct headers trailers;
    char *words; /* of request->info, owned; NULL: they are the connection's, or empty */
};

#define REQUEST_BYTES_MAX 2176 /* of the struct alone */

struct request {
    struct reap reap; /* first */
    struct link link; /* in fetcher->requests */
    struct fetcher *fetcher;
    const struct request_events *events;
    void *owner;
    struct request_options options;
    struct log_subject log;
    enum request_state state;
    uint64_t id;
    int64_t begun_us;

    /* This hop. */
    struct url *first_url; /* the caller's, if it has a login and led elsewhere; owned, NULL */
    const struct origin *origin; /* of fetcher->origins; NULL: not decided yet */
    struct headers sent;
    struct lease *lease;
    struct network_waiter network_wait;
    struct exchange *exchange;
    struct exchange_info info; /* kept when the exchange is gone */
    struct tls_rungs *rungs;   /* that led to the hop's connection; NULL: none */
    uint16_t tls_version;      /* of it; 0: plain */
    struct request_early_state early;
    struct certificates *certificates; /* of this hop's server, if they are to be told */
    bool has_body;                     /* a redirect may drop it */
    bool expects;                      /* the body waits for 100-continue */
    bool retried;                      /* a dead connection was replaced once */
    bool left_origin; /* a redirect led elsewhere: the caller's credentials stay home */
    unsigned redirects;
    struct request_auth auth;
    struct request_asking asking;
    struct proxy *proxy; /* for this hop; owned, NULL: directly */
    enum proxy_way proxy_way;
    struct proxy_login proxy_login; /* of PROXY_WAY_FORWARD */
    struct request_cache *cache;    /* owned; NULL: it has not been asked */
    enum request_from_cache from_cache;
    int64_t stored_age_s; /* of what is from the cache */

    /* The answer to a hop that is not the last: its body is read a little and dropped. */
    bool draining;
    struct redirect *redirect; /* where to; owned, NULL: nowhere else */
    uint64_t drained_bytes;

    char *secrets; /* owned, erased; of the administrator's login: must not come back. NULL */
    size_t secrets_len;
    bool has_credential; /* it goes along on this hop */

    struct hsts *hosts;   /* known to want https; NULL until they were asked for */
    struct jar_lease jar; /* .jar is NULL again when it was taken away */
    bool has_jar;         /* it was asked for */
    struct cookie_wait cookie_wait;
    struct cookie_commit cookie_commit;
    unsigned must_commit; /* of REQUEST_COMMIT_: persistent, stored or learned since the last */
    bool has_new_cookies; /* ever: they are what the owner is told of */
    bool cookies_not_persisted;

    struct kept_answer *kept; /* owned; NULL: nothing of it */
    struct response_head head;
    struct buf coding;
    bool head_waits;

    struct body_pipeline pipeline;
    struct charge rest_charge; /* of pipeline.rest */
    struct upload *upload;     /* owned; NULL: it never had a body */
    struct fd_sink *sink;      /* the answer goes to a file */
    bool head_told;
    bool congested;
    bool exchange_whole; /* on_done came, without a failure */
    bool is_broken;      /* no more comes: with request->failure, when the sink has what came */

    struct timer phase; /* connect or idle */
    struct timer total;
    enum request_wait waits_for;   /* the last reason that was told */
    struct deferred next;          /* takes the steps that are due */
    unsigned due;                  /* a bit for each enum request_step */
    const struct failure *failure; /* for request_fail(); owned, NULL: none */
    struct progress_told up_told;
    struct progress_told down_told;
    struct request_timing timing;
};

/* request.c */
void request_enter_state(struct request *request, enum request_state next);
void request_finish(struct request *request, const struct failure *why); /* the only end */
void request_finish_kind(struct request *request, enum failure_kind kind, const char *text);
/* The network let us down. What came before goes to the file first: somebody may go on there.
 */
void request_break(struct request *request, const struct failure *why);
void request_later(struct request *request, enum request_step step);
/* The end has been asked for: nothing is told before it any more. */
bool request_is_failing(const struct request *request);
void request_decide(struct request *request);
void request_tell_wait(struct request *request, enum request_wait reason);
void request_touch(struct request *request); /* something moved: the idle timer begins anew */
/* Return: request->kept, made now if there was none; NULL: no memory. */
struct kept_answer *request_keep(struct request *request);
void request_rest(struct request *request);  /* we wait for the owner: no idle timer */
void request_drain(struct request *request); /* a moment for an answer nobody wants */
/* At most so often; @last: whatever was told before, if it is not the same. */
bool request_progress_is_due(struct request *request,
                             struct progress_told *told,
                             uint64_t bytes,
                             bool last);
void request_drop_connection(struct request *request);
/* Into request->info, whose words outlive the exchange then as far as they are to be told. */
void request_note_exchange(struct request *request);
/* pipeline.rest is shorter than it was. */
void request_pay_for_rest(struct request *request);
void request_deliver(struct request *request, struct span input);
void request_tell_head(struct request *request);
/* An answer that is not the last. Look at the state again. */
void request_tell_hop(struct request *request);

/* request_credential.c: a login of the administrator's, which nobody else sees */
/* Return: whether to go on; else the request has failed. */
bool request_may_have_credential(struct request *request);
/* Return: 1: it goes along, and no other login; 0; or -errno. */
int request_add_credential(struct request *request);
bool request_gets_credential(const struct request *request); /* on this hop */
/* Does a masked head lead to where the login stood? */
bool request_location_is_masked(const struct request *request,
                                const struct response_head *head);
/* The head without what must not come back. Return: 0 or -ENOMEM. */
int request_mask_head(struct request *request,
                      const struct response_head *head,
                      struct response_head *ret);
/* Fields, without that, behind what is in @to. Return: as headers_add_all(). */
int request_mask_fields(const struct request *request,
                        const struct headers *from,
                        struct headers *to);
void request_credential_done(struct request *request);

/* Things that lead a request elsewhere than its URL, or past the certificates. Return: one that
 * the caller wants, or NULL. */
const char *request_way_around(const struct request_options *options);

/* request_access.c: the administrator's rules, for each hop */
/* Return: whether to go on; else the request has failed. */
bool request_may_go(struct request *request);

/* request_early.c: before TLS is done */
bool request_may_go_early(const struct request *request);
/* The connection is there. Return: false: it will not do, and another one is asked for. */
bool request_early_on_lease(struct request *request);
void request_early_arm(struct request *request);
bool request_early_on_timer(struct request *request); /* Return: whether it was its timer */
void request_early_failed(struct request *request);   /* the handshake did */
int request_early_on_head(struct request *request);   /* Return: 0 or -ENOMEM */
/* Return: whether the request goes out again. */
bool request_is_too_early(struct request *request, const struct response_head *head);
enum request_early request_early_outcome(const struct request *request);
/* Of one that goes on. */
enum request_early request_early_now(const struct request *request);

/* request_send.c: a connection, the request head */
/* Each hop has a server of its own. Return: 0 or -ENOMEM. */
int request_note_certificates(struct request *request);
void request_send_on_lease(struct request *request);
/* What is reached in the origin's place: --connect-to, --resolve. Borrows from the request. */
struct request_route {
    struct pool_route dial; /* what the pool is told: empty unless something was overridden */
    struct span host;       /* what the next rule looks at */
    uint16_t port;
    struct span addresses[REQUEST_ADDRESSES_MAX];
};

void request_find_route(const struct request *request, struct request_route *ret);
/* What holds where the request says nothing itself. */
const struct fetch_options *request_defaults(const struct request *request);
void request_acquire(struct request *request, bool fresh_only);
/* request->sent without credentials. Return: 0, -ENOMEM, -EMSGSIZE. */
MUST_CHECK int request_build_fields(struct request *request);
/* Of everything a connection for this hop must be. Return: the same. */
MUST_CHECK int request_connection_digest(struct request *request, uint8_t ret[SHA256_BYTES]);

/* request_exchange.c: what the exchange tells */
extern const struct exchange_events request_exchange_events;
/* The head is borrowed from the exchange: kept while something is waited for. Return: 0 or
 * -ENOMEM. */
int request_keep_head(struct request *request);
void request_take_head(struct request *request); /* it is the answer */

/* request_tls.c: how old a TLS it may be */
struct pool_tls request_pool_tls(const struct request *request);
uint16_t request_oldest_tls(void *owner); /* of struct pool_request */
/* Return: false: what is wanted excludes itself, and the request has failed. */
bool request_tls_can_be(struct request *request);
void request_tls_explain(const struct request *request, struct failure *why);
/* The connection is there. Return: false: it will not do, and the request has failed. */
bool request_tls_on_lease(struct request *request);

/* request_upload.c */
void upload_begin(struct request *request);
void upload_pump(struct request *request);
/* @now: also when the last time is not long ago. */
void upload_tell_progress(struct request *request, bool now);
MUST_CHECK int upload_new(struct request *request); /* if it has a body. 0 or -ENOMEM */
void upload_free(struct request *request);
bool upload_can_rewind(const struct request *request);
/* Return: 0: it can go up again; 1: the owner has to begin anew first; -ESPIPE. */
int upload_rewind(struct request *request);
void upload_done(struct request *request);

/* request_auth.c */
int request_add_credentials(struct request *request);
bool request_has_login(const struct request *request); /* that goes to this origin, if asked */
/* Return: whether the request goes out again with an answer, or has failed. */
bool request_answers_challenge(struct request *request, const struct response_head *head);
/* Return: false: the request has failed. */
bool request_trusts_server(struct request *request, const struct headers *headers);
void request_auth_begin_hop(struct request *request, bool is_cross_origin);
void request_auth_done(struct request *request);
/* Return: whether the owner is asked for a login, or the request has failed. */
bool request_asks_login(struct request *request, const struct response_head *head);
/* Return: 0, or -errno with *ret_why set. */
int request_keep_login(struct request *request,
                       const struct request_credentials *from,
                       struct failure *ret_why);
void request_take_login(struct request *request); /* the one that was kept */
void request_refuse_rewind(struct request *request);

/* request_proxy.c: which way, and what the proxy is shown of a request it forwards */
/* @is_rerouted: the caller says what is to be reached in the origin's place. Return: 0 or
 * -ENOMEM. */
int request_choose_proxy(struct request *request, bool is_rerouted);
/* Return: the proxy for this hop, or NULL. */
const struct proxy *request_find_proxy(const struct request *request);
struct pool_proxy request_pool_proxy(const struct request *request); /* borrows */
/* Appends the request's target, absolute-form for a proxy that forwards. */
int request_format_target(const struct request *request, struct buf *out);
int request_add_proxy_credentials(struct request *request);
/* Return: whether the request goes out again with an answer to a 407, or has failed. */
bool request_answers_proxy(struct request *request, const struct response_head *head);
void request_proxy_done(struct request *request);

/* request_next.c: redirects and challenges */
bool request_goes_on(struct request *request, const struct response_head *head);
void request_next_hop(struct request *request);
void request_take_redirect(struct request *request); /* on to the next hop */
void request_begin_hop(struct request *request);

/* request_question.c: what the owner is asked */
/* Enters REQUEST_ASKING. Return: whether there is somebody to ask; else it has failed. */
bool request_ask(struct request *request, enum request_question question);
void request_on_answer(struct request *request); /* REQUEST_STEP_ANSWER */
/* Of the 401 that waits for a login. */
void request_hold_body(struct request *request, struct span bytes);
void request_hold_end(struct request *request, const struct failure *why);

/* request_verdict.c: the owner judges the server's certificates */
/* Of the lease that came. Return: whether he is asked, or the request has failed. */
bool request_asks_verdict(struct request *request);
void request_on_verdict(struct request *request);
void request_on_verdict_deadline(struct request *request);
void request_describe_mute_verdict(const struct request *request, struct failure *ret);

/* request_cookies.c */
bool request_open_jar(struct request *request); /* Return: whether to go on now. */
int request_add_cookies(struct request *request);
int request_store_cookies(struct request *request, const struct headers *headers);

/* request_hsts.c: hosts that want https (RFC 6797) */
bool request_upgrade(struct request *request); /* Return: whether to go on now. */
int request_learn_host(struct request *request, const struct headers *headers); /* or -ENOMEM */
