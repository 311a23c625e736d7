/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A proxy as people write one, "http://user:password@proxy.example:3128", and which requests
 * go through it. Grammar and defaults are curl's: no scheme is http, no port is 1080 (443 for
 * https). One thing is not: a SOCKS5 proxy always looks the names up itself, whether it was
 * called socks5 or socks5h; a name that is looked up here has told its network what the proxy
 * was to keep from it.
 *
 * Who goes to a proxy's door, and with which credentials, is never mixed up with what lies
 * behind it: a login belongs to one struct proxy, and no other proxy is ever shown it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "http/origin.h"
#include "policy/auth_choice.h"

#define PROXY_URL_MAX         4096  /* bytes */
#define PROXY_NO_PROXY_MAX    16384 /* bytes of a list of exceptions */
#define PROXY_LOGIN_MAX       4096  /* bytes of a user or of a password */
#define PROXY_SOCKS_LOGIN_MAX 255   /* RFC 1929 §2: a length has one byte */

enum proxy_kind {
    PROXY_NONE = 0, /* directly */
    PROXY_HTTP,
    PROXY_HTTPS, /* TLS to the proxy */
    PROXY_SOCKS5,
};

/* How a proxy is used for one request. */
enum proxy_way {
    PROXY_WAY_DIRECT = 0,
    PROXY_WAY_FORWARD, /* the proxy is asked for the URL: RFC 9112 §3.2.2 */
    PROXY_WAY_CONNECT, /* a tunnel through it: RFC 9110 §9.3.6 */
    PROXY_WAY_SOCKS5,  /* a tunnel through it: RFC 1928 */
};

enum proxy_outcome {
    PROXY_OK = 0,
    PROXY_E_TOO_LONG,
    PROXY_E_URL,    /* nothing that url_parse() takes for a host and a port */
    PROXY_E_SCHEME, /* none of http, https, socks5, socks5h */
    PROXY_E_SOCKS4, /* spoken by nobody here: it has neither names nor logins */
    PROXY_E_PATH,   /* something behind the port */
    PROXY_E_LOGIN,  /* longer than can be sent, or empty where SOCKS5 wants something */
    PROXY_E_LOGIN_CHARACTER, /* a ':' in the user, or a control character */
    PROXY_E_SCHEME_OF_LOGIN, /* Digest to a SOCKS5 proxy */
};

/* Zero is none. */
struct proxy {
    enum proxy_kind kind;
    struct origin origin;    /* where it listens; is_https of PROXY_HTTPS */
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: no login */
    char *user;              /* owned; both or none */
    char *password;
};

/**
 * proxy_parse() - read a proxy's URL
 * @ret: filled on PROXY_OK, untouched otherwise; a login in the URL is Basic's until
 *       proxy_set_login() says otherwise. End it with proxy_done().
 *
 * Return: PROXY_OK, another of enum proxy_outcome, or -ENOMEM.
 */
MUST_CHECK int proxy_parse(struct span text, struct proxy *ret);

/**
 * proxy_set_login() - how to log in
 * @scheme: AUTH_SCHEME_BASIC, _DIGEST or _ANY
 * @user:   empty, with an empty password: those of the URL stay
 *
 * Return: PROXY_OK, PROXY_E_LOGIN, PROXY_E_LOGIN_CHARACTER, PROXY_E_SCHEME_OF_LOGIN, or
 * -ENOMEM.
 */
MUST_CHECK int proxy_set_login(struct proxy *proxy,
                               enum auth_scheme scheme,
                               struct span user,
                               struct span password);

void proxy_done(struct proxy *proxy); /* wipes the password; is none afterwards */
MUST_CHECK int proxy_copy(const struct proxy *proxy, struct proxy *ret); /* 0 or -ENOMEM */
struct proxy *proxy_free(struct proxy *proxy); /* of the heap, with what it owns; NULL */

static inline bool proxy_has_login(const struct proxy *proxy)
{
    return proxy->scheme != AUTH_SCHEME_NONE;
}

/* What was wrong and what would be right; never the text itself, which may hold a password. */
const char *proxy_outcome_text(int outcome);

#define PROXY_TEXT_SIZE (ORIGIN_TEXT_SIZE + 16)

/* "http://proxy.example:3128", the port always, the login never. Return: the length. */
size_t
proxy_format(enum proxy_kind kind, const struct origin *origin, char ret[PROXY_TEXT_SIZE]);

/**
 * no_proxy_matches() - is this origin an exception
 * @list: entries with commas or spaces between them; names (with all that is below them), "*"
 *        for everything, addresses, networks as 10.0.0.0/8 and fe80::/10. A leading "." or
 *        "*." is the same as none. Ports are not looked at; what is none of these matches
 *        nothing.
 */
bool no_proxy_matches(struct span list, const struct origin *origin);

/* Whether each entry could be met; else *ret_bad is the first that never is. Lists of programs
 * are not held to it, as curl's are not. */
bool no_proxy_is_right(struct span list, struct span *ret_bad);

/* What a caller, or the configuration, wants. Borrowed. */
struct proxy_rules {
    const struct proxy *http;  /* for http URLs; NULL or none: directly */
    const struct proxy *https; /* for https URLs */
    struct span no_proxy;
};

/* Return: one of the two, or NULL: directly. */
const struct proxy *proxy_choose(const struct proxy_rules *rules, const struct origin *origin);

/**
 * proxy_way_for() - how a proxy is used for an origin
 * @proxy:  NULL: none
 * @tunnel: asked for by the caller
 */
enum proxy_way
proxy_way_for(const struct proxy *proxy, const struct origin *origin, bool tunnel);
