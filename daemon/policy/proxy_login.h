/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Logging in to a proxy: which Proxy-Authorization goes out, and what a 407 changes. The same
 * for a request that the proxy forwards and for the CONNECT of a tunnel.
 *
 * Basic goes without being asked, as curl does it: the caller named the proxy himself. Digest
 * waits for the challenge, or uses the nonce that an earlier request of this partition was
 * given by this very proxy. At most two tries carry a login.
 */

#include "http/headers.h"
#include "policy/auth_cache.h"
#include "policy/auth_choice.h"

#define PROXY_LOGIN_TRIES_MAX 2

/* Of one request or one connection. Embedded; zero is the beginning. */
struct proxy_login {
    unsigned answers; /* 407s that were answered */
    bool went_early;  /* Digest, with a nonce others had left */
    bool wants_basic; /* of AUTH_SCHEME_ANY: the proxy has asked for it */
    bool sent;        /* a login is on the request that is out */
    bool sent_digest; /* and it is Digest's */
    char *realm;      /* owned; of the Digest challenge, NULL: none yet */
};

struct proxy_login_ask {
    struct auth_place place; /* partition, and the proxy as origin */
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: there is no login */
    struct span user;
    struct span password;
    struct span method;
    struct span target;  /* as in the request line */
    struct span body;    /* all of it, for auth-int */
    bool has_body_bytes; /* there is none, or it is here */
};

void proxy_login_done(struct proxy_login *login); /* is at the beginning afterwards */

/**
 * proxy_login_format() - append the value of Proxy-Authorization
 * @cache:  of proxies alone; what is in it is found by @ask->place
 * @chance: fresh
 *
 * Return: 0 (@out unchanged: nothing is to be sent), -ENOMEM.
 */
MUST_CHECK int proxy_login_format(struct proxy_login *login,
                                  struct auth_cache *cache,
                                  const struct proxy_login_ask *ask,
                                  const uint8_t chance[DIGEST_CHANCE_BYTES],
                                  struct buf *out);

enum proxy_login_verdict {
    PROXY_LOGIN_REFUSED = 0, /* the 407 is the last word */
    PROXY_LOGIN_AGAIN = 1,   /* another try has a better answer */
};

/**
 * proxy_login_answer() - a 407 came
 * @headers: of it
 * Return: enum proxy_login_verdict, or -ENOMEM.
 */
MUST_CHECK int proxy_login_answer(struct proxy_login *login,
                                  struct auth_cache *cache,
                                  const struct proxy_login_ask *ask,
                                  const struct headers *headers);
