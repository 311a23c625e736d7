/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a redirect response leads to (Fetch, "HTTP-redirect fetch"; RFC 9110 §15.4): where, with
 * which method, with or without the body, and what must not go along.
 *
 * Stricter than browsers in one point: whatever was set for the first origin stays there, so a
 * caller's own Cookie, Authorization and Host fields go at the first step to another origin and
 * do not come back, even if a later step leads home (Go CVE-2024-45336).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "http/headers.h"
#include "http/url.h"

#define REDIRECTS_MAX 20 /* Fetch */

/* curl's --post301, --post302 and --post303. */
#define REDIRECT_POST_301 1U
#define REDIRECT_POST_302 2U
#define REDIRECT_POST_303 4U

enum redirect_outcome {
    REDIRECT_DELIVER = 0, /* no redirect, or not to be followed: the response is the answer */
    REDIRECT_FOLLOW,
    /* The request fails. redirect_outcome_is_refusal() */
    REDIRECT_REFUSED_TOO_MANY, /* FAILURE_REDIRECT */
    REDIRECT_REFUSED_LOCATION, /* FAILURE_REDIRECT: no URL, or several */
    REDIRECT_REFUSED_SCHEME,   /* FAILURE_POLICY: neither http nor https */
    REDIRECT_REFUSED_REWIND,   /* FAILURE_REWIND: the body would have to be sent again */
};

static inline bool redirect_outcome_is_refusal(int outcome)
{
    return outcome >= REDIRECT_REFUSED_TOO_MANY;
}

/**
 * redirect_hide_userinfo() - the fields of an answer, as others may see them
 * @base: whose answer it is
 * @ret:  gets every line, a Location without the login it brings: that is for its hop alone
 *        (RD12). One with an '@' that is no URL is left out.
 * Return: 0, or as headers_add().
 */
MUST_CHECK int
redirect_hide_userinfo(const struct headers *from, const struct url *base, struct headers *ret);

/* For people: "the redirect leads to a scheme other than http and https". */
const char *redirect_outcome_text(int outcome);

struct redirect_input {
    const struct url *url; /* what the request asked for */
    struct span method;
    unsigned status;
    const struct headers *headers; /* of the response */
    unsigned followed;             /* redirects so far */
    unsigned followed_max;         /* REDIRECTS_MAX, or what the caller said */
    unsigned keeps_post;  /* REDIRECT_POST_…: POST stays POST, which Fetch does not */
    bool trusts_hosts;    /* what was set for the first origin goes along, but not from https to
                             http */
    bool has_body;        /* the request has one */
    bool body_can_rewind; /* and it can be sent again from its start */
};

struct redirect {
    struct url url;       /* owned; end it with redirect_done(). May hold userinfo, which is
                             for this step alone and never told */
    struct span method;   /* borrowed from the input, or "GET" */
    bool drops_body;      /* and with it the fields that describe it */
    bool rewinds_body;    /* the body goes out again, from its start */
    bool is_cross_origin; /* scheme, host or port differ */
    bool leaves_secrets;  /* what was set for the first origin stays there, for good */
    bool is_downgrade;    /* from https to http: no Referer */
};

/**
 * redirect_next() - what follows from a response
 * @ret: filled on REDIRECT_FOLLOW only
 * Return: one of enum redirect_outcome, or -ENOMEM.
 */
MUST_CHECK int redirect_next(const struct redirect_input *input, struct redirect *ret);
void redirect_done(struct redirect *redirect);
struct redirect *redirect_free(struct redirect *redirect); /* of the heap; NULL */
#define CLEANUP_REDIRECT __attribute__((cleanup(redirect_done)))

/* Whether a status can be a redirect at all: 301, 302, 303, 307, 308. */
bool redirect_is_status(unsigned status);

/**
 * redirect_keeps_header() - whether a field the caller set goes along
 * @name: of a field of the request that was redirected
 */
bool redirect_keeps_header(const struct redirect *redirect, struct span name);

/* Takes out of the caller's fields what redirect_keeps_header() says no to. */
void redirect_strip_headers(const struct redirect *redirect, struct headers *headers);
