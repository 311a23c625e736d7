/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a request was asked to be, checked: a method that is a token, a URL that can be fetched,
 * fields a caller may set. service/ fills it from a message, field by field; each setter says
 * in a struct failure what was wrong and what would be right.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "base/partition.h"
#include "http/headers.h"
#include "http/method.h"
#include "http/origin.h"
#include "http/url.h"
#include "policy/auth_choice.h"
#include "policy/jar_rights.h"
#include "policy/proxy.h"
#include "pool/pool_key.h"

struct fetch_rights;

#define REQUEST_ROUTES_MAX     64 /* --resolve and --connect-to entries */
#define REQUEST_ADDRESSES_MAX  8  /* of one --resolve entry */
#define REQUEST_DOMAIN_MAX     255
#define REQUEST_CA_PEM_MAX     (2U << 20) /* bytes: ten times Debian's bundle */
#define REQUEST_IDENTITY_MAX   (256U * 1024)
#define REQUEST_PASSPHRASE_MAX 1024
#define REQUEST_PINS_MAX       16
#define REQUEST_PIN_BYTES      32
#define REQUEST_VERDICT_MS     60000U  /* unless the owner says otherwise */
#define REQUEST_VERDICT_MS_MAX 600000U /* a connection is held meanwhile */

enum request_body_kind {
    REQUEST_BODY_NONE,
    REQUEST_BODY_INLINE, /* body_bytes */
    REQUEST_BODY_STREAM, /* request_write_body() */
    REQUEST_BODY_FD,     /* body_fd */
};

enum request_cookies {
    REQUEST_COOKIES_SEND_AND_STORE,
    REQUEST_COOKIES_SEND,
    REQUEST_COOKIES_NONE
};

/* Default fields left out on demand. */
#define REQUEST_OMIT_ACCEPT          1U
#define REQUEST_OMIT_ACCEPT_ENCODING 2U
#define REQUEST_OMIT_USER_AGENT      4U
#define REQUEST_OMIT_EXPECT          8U /* a long body goes without asking */

/* curl's --resolve: this name at this port is at these addresses. */
struct request_resolve {
    char *host;
    char *addresses[REQUEST_ADDRESSES_MAX];
    size_t n_addresses;
    uint16_t port;
};

/* curl's --connect-to. Empty or 0 matches or keeps anything. */
struct request_connect_to {
    char *host;
    char *to_host;
    uint16_t port;
    uint16_t to_port;
};

struct request_credentials {
    enum auth_scheme scheme;
    struct span user; /* empty, with Digest or any: those of the URL, if it has some */
    struct span password;
    struct span domain; /* of the user: auth_realm_wants_domain() */
    struct span token;  /* of AUTH_SCHEME_BEARER alone */
    bool preemptive;    /* of AUTH_SCHEME_BASIC alone */
};

/* A caller's word about proxies, as it came. */
struct request_proxy_choice {
    struct span url;         /* as proxy_parse() reads it */
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: as the URL says */
    struct span user;
    struct span password;
};

struct request_proxies {
    bool direct;                              /* no proxy, not even the daemon's */
    const struct request_proxy_choice *http;  /* for http URLs; both NULL: the daemon's */
    const struct request_proxy_choice *https; /* for https URLs */
    struct span no_proxy;                     /* exceptions, see no_proxy_matches() */
    bool tunnel;                              /* CONNECT for http URLs, too */
};

/* The same, as it is kept. */
struct request_own_proxies {
    struct proxy http;
    struct proxy https;
    char *no_proxy; /* owned; NULL: no exceptions of the caller's, to the daemon's neither */
};

/* On whose behalf. */
struct request_sites {
    struct url site;      /* RFC 6265bis §5.2; no href: same-site */
    struct url top_level; /* what the user sees; no href: site, else the URL's own */
};

/* There is one for each request in flight: what few set lies in a block of its own. */
struct request_options {
    struct partition partition;
    char method[METHOD_BYTES_MAX + 1]; /* both of the hop, when it is under way */
    struct url url;
    struct headers headers;
    unsigned omit;

    enum request_body_kind body_kind;
    const char *body_bytes; /* of REQUEST_BODY_INLINE; they lie in … */
    char *body_memory;      /* owned; NULL: they are borrowed yet, see request_own_body() */
    int body_fd;            /* owned, -1: none */
    uint64_t body_offset;
    bool body_has_length;
    uint64_t body_length;
    bool body_can_rewind; /* of REQUEST_BODY_STREAM: the owner can begin anew */

    int response_fd; /* owned, -1: none */
    uint64_t response_offset;
    bool response_sync;
    bool response_at_position; /* written where it stands; no offset, no size_max */
    bool has_response_size_max;
    uint64_t response_size_max; /* of the file it is written to */
    bool has_response_max;
    uint64_t response_max; /* decoded bytes */
    uint64_t response_credit;
    bool raw;

    bool follow_redirects;
    unsigned redirects_max;
    unsigned keeps_post;   /* REDIRECT_POST_… */
    bool trusts_redirects; /* credentials go along to other origins */
    bool asks_redirects;   /* the owner is to answer before each step */
    bool auto_referer;     /* each step says where it came from */
    bool cache;            /* answer from it, and keep in it (RFC 9111) */
    enum request_cookies cookies;
    char *jar;            /* owned; see jar_ref_parse(); NULL: the default one */
    const uint32_t *gids; /* groups of its process: borrowed, outlive the request */
    size_t n_gids;
    const char *unit; /* of its process, for the log: borrowed likewise; NULL */
    const struct fetch_rights *rights; /* of who asks; borrowed, outlive the request; NULL: all.
                                          What they point to changes with a reload */
    struct request_sites *sites;       /* owned; NULL: same-site, and the URL's own */
    bool top_level_navigation;
    struct cookie_jar *private_jar; /* instead; borrowed, outlives the request */

    int64_t connect_timeout_us;  /* 0: none */
    int64_t idle_timeout_us;     /* 0: none */
    int64_t total_timeout_us;    /* 0: none */
    bool waits_for_connectivity; /* where there is no network: until there is one */

    struct pool_tls tls;  /* its spans point to the next four */
    char *ca_pem_bytes;   /* owned */
    char *identity_bytes; /* owned, erased */
    char *passphrase_bytes;
    char *pin_bytes;

    enum auth_scheme auth_scheme;
    char *user; /* owned, NULL: none */
    char *password;
    char *domain;         /* owned, NULL: none */
    bool auth_preemptive; /* Basic without being asked */
    bool asks_challenges; /* the owner is asked for what answers a 401 */
    char *bearer_token;   /* owned; of AUTH_SCHEME_BEARER */

    bool has_proxies;                    /* the caller's, or none at all: not the daemon's */
    struct request_own_proxies *proxies; /* owned; NULL: it names none */
    bool proxy_tunnel;

    uint8_t family; /* 0, 4, 6 */
    enum pool_http http;
    struct pool_source *source; /* owned; NULL: as the kernel likes */
    struct request_resolve *resolve;
    size_t n_resolve;
    struct request_connect_to *connect_to;
    size_t n_connect_to;
    bool no_keep_alive;
    bool tells_certificates; /* of the server, with the head */
    bool early_data;         /* it may be heard twice: GET and HEAD go before TLS is done */
    int64_t
        verdict_timeout_us; /* the owner judges them first, within so long; 0: he does not */
};

void request_options_init(struct request_options *options);
void request_options_done(struct request_options *options);

/* All of these. Return: 0; -EINVAL with *ret_why filled; -ENOMEM (*ret_why filled too). */
MUST_CHECK int request_options_set_method(struct request_options *options,
                                          struct span method,
                                          struct failure *ret_why);
/* @as_given: refuse a URL that parsing would change (autoEncodeUrl off). */
MUST_CHECK int request_options_set_url(struct request_options *options,
                                       struct span text,
                                       bool as_given,
                                       struct failure *ret_why);
MUST_CHECK int request_options_add_header(struct request_options *options,
                                          struct span name,
                                          struct span value,
                                          struct failure *ret_why);
MUST_CHECK int request_options_omit_header(struct request_options *options,
                                           struct span name,
                                           struct failure *ret_why);
MUST_CHECK int request_options_set_inline_body(struct request_options *options,
                                               struct span bytes,
                                               struct failure *ret_why);
/* The same without a copy: @bytes stay where they are until request_own_body(). */
void request_options_lend_inline_body(struct request_options *options, struct span bytes);
/* @fd: taken, whatever the result; a regular file, a pipe or a connected stream socket. The
 * rest of a file is its length, from body_offset on, unless body_has_length says how much of
 * it; only a file has an offset. */
MUST_CHECK int
request_options_set_fd_body(struct request_options *options, int fd, struct failure *ret_why);
/* The same for the answer, or the null device: response_offset, response_sync and
 * response_at_position are of a regular file, no offset of one that is open with O_APPEND. */
MUST_CHECK int request_options_set_response_fd(struct request_options *options,
                                               int fd,
                                               struct failure *ret_why);
MUST_CHECK int request_options_set_credentials(struct request_options *options,
                                               const struct request_credentials *from,
                                               struct failure *ret_why);
/* Whether user, password and domain can be sent by either scheme. */
MUST_CHECK int request_check_login(const struct request_credentials *from,
                                   struct failure *ret_why);
MUST_CHECK int request_options_set_tls(struct request_options *options,
                                       bool insecure,
                                       struct span ca_pem,
                                       struct failure *ret_why);

struct request_tls {
    unsigned min_version; /* 0x0301 … 0x0304; 0: the default */
    unsigned max_version; /* 0: the highest there is */
    struct span identity; /* client certificate and key, PEM or PKCS#12 */
    struct span passphrase;
    const struct span *pins; /* SHA-256 of public keys */
    size_t n_pins;
    bool status;               /* the server must prove that its certificate is not revoked */
    struct answerer *answerer; /* keeps the identity's key; NULL: it is there */
    uint64_t answer_handle;
};

/* Copies everything. */
MUST_CHECK int request_options_set_tls_terms(struct request_options *options,
                                             const struct request_tls *from,
                                             struct failure *ret_why);
/* The owner judges the server's certificates, within @timeout_ms; 0: REQUEST_VERDICT_MS. */
MUST_CHECK int request_options_set_verdict(struct request_options *options,
                                           uint32_t timeout_ms,
                                           struct failure *ret_why);
/* An address literal to leave from, once for each family. */
MUST_CHECK int request_options_add_source(struct request_options *options,
                                          struct span address,
                                          struct failure *ret_why);
MUST_CHECK int request_options_set_proxies(struct request_options *options,
                                           const struct request_proxies *from,
                                           struct failure *ret_why);
MUST_CHECK int request_options_add_resolve(struct request_options *options,
                                           struct span host,
                                           uint32_t port,
                                           const struct span *addresses,
                                           size_t n_addresses,
                                           struct failure *ret_why);
MUST_CHECK int request_options_add_connect_to(struct request_options *options,
                                              const struct request_connect_to *from,
                                              struct failure *ret_why);

/* The name of one, as jar_ref_parse() takes it; empty: the default one. */
MUST_CHECK int request_options_set_jar(struct request_options *options,
                                       struct span jar,
                                       struct failure *ret_why);

/* @site, @top_level: an http or https URL each, of which scheme and host count; or empty. */
MUST_CHECK int request_options_set_site(struct request_options *options,
                                        struct span site,
                                        struct span top_level,
                                        struct failure *ret_why);

/* What only shows when all is set: an ftp URL, a body that GET cannot frame. */
MUST_CHECK int request_options_check(struct request_options *options, struct failure *ret_why);
