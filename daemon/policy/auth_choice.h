/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which of the challenges of a 401 or 407 is answered: the strongest that the caller allows and
 * this request can do. Digest before Basic, SHA-256 before MD5 (RFC 7616 §3.7). Basic shows the
 * password to whoever listens, so over plain http it wants the caller's explicit word (AU07).
 */

#include <stdbool.h>

#include "base/cleanup.h"
#include "http/auth_digest.h"
#include "http/headers.h"

/* What a caller asked for. */
enum auth_scheme {
    AUTH_SCHEME_NONE = 0,
    AUTH_SCHEME_BASIC,
    AUTH_SCHEME_DIGEST,
    AUTH_SCHEME_ANY,    /* what is offered, the strongest */
    AUTH_SCHEME_BEARER, /* sent unasked; no challenge changes it */
};

enum auth_choice {
    AUTH_CHOICE_NONE = 0, /* the 401 is the answer */
    AUTH_CHOICE_BASIC,
    AUTH_CHOICE_BASIC_IN_DOMAIN, /* and the realm wants the user's domain */
    AUTH_CHOICE_DIGEST,
};

struct auth_question {
    enum auth_scheme scheme;
    bool is_https;
    bool may_be_basic;   /* with AUTH_SCHEME_ANY: over http, too; the caller knows */
    bool has_body_bytes; /* digest_session_fits() */
    bool is_proxy;       /* a 407: Proxy-Authenticate */
    struct span domain;  /* of the user; empty: none */
};

/* The field that holds the challenges of a 401, of a 407. */
struct span auth_field(bool is_proxy);

/**
 * auth_realm_wants_domain() - whether a user of @domain is DOMAIN\user to this realm
 *
 * It is if the realm names the domain: is equal to it without case, or is longer and goes on
 * with '\' or '.' ("CORP", "corp.example.com" and "CORP\intranet" all name CORP).
 */
bool auth_realm_wants_domain(struct span realm, struct span domain);

/**
 * auth_choose() - read the challenges and take one
 * @headers:     of the 401 or 407
 * @ret_session: owned by the caller, on AUTH_CHOICE_DIGEST only
 * Return: one of enum auth_choice, or -ENOMEM.
 */
MUST_CHECK int auth_choose(const struct headers *headers,
                           const struct auth_question *question,
                           struct digest_session **ret_session);
