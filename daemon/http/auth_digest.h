/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Digest access authentication, RFC 7616: a challenge becomes a session, a session and a
 * request become an Authorization value, an Authentication-Info is checked against what was
 * sent.
 *
 * SHA-256, SHA-256-sess, MD5 and MD5-sess; qop auth and auth-int, and the challenge without qop
 * of RFC 2069 for the algorithms without -sess. Chance is a parameter. A session holds nothing
 * secret: it may serve every user of an origin.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "http/challenge.h"

#define DIGEST_PART_MAX     4096 /* bytes of a realm, nonce or opaque */
#define DIGEST_HEX_SIZE     65   /* SHA-256 in hexadecimal, and a NUL */
#define DIGEST_CHANCE_BYTES 16   /* what a cnonce is made of */
#define DIGEST_CNONCE_SIZE  65   /* with a NUL */

enum digest_outcome {
    DIGEST_OK = 0,
    DIGEST_E_SCHEME,    /* not a Digest challenge */
    DIGEST_E_MISSING,   /* no realm or no nonce */
    DIGEST_E_TWICE,     /* a parameter came twice */
    DIGEST_E_LONG,      /* a part longer than DIGEST_PART_MAX */
    DIGEST_E_CTL,       /* a control character would have to be sent back */
    DIGEST_E_ALGORITHM, /* one we do not have */
    DIGEST_E_QOP,       /* none that we know, or none that this request can do */
};

enum digest_algorithm {
    DIGEST_MD5, /* weaker first */
    DIGEST_SHA256,
};

#define DIGEST_QOP_AUTH     1U
#define DIGEST_QOP_AUTH_INT 2U

/* What holds until the next challenge of this realm. */
struct digest_session {
    char *realm; /* these four owned; the values, without quotes */
    char *nonce;
    char *opaque;        /* NULL: none */
    char *session_nonce; /* of the first use; NULL: not used yet */
    char session_cnonce[DIGEST_CNONCE_SIZE];
    uint32_t nc; /* requests that went out with this nonce */
    enum digest_algorithm algorithm;
    bool names_algorithm; /* the challenge did */
    bool is_sess;
    bool is_stale; /* the nonce was too old, user and password may be right */
    bool user_hash;
    bool is_utf8;
    unsigned qop; /* DIGEST_QOP_…; 0: RFC 2069 */
};

/**
 * digest_session_new() - what a challenge demands
 * Return: DIGEST_OK, another of enum digest_outcome, or -ENOMEM.
 */
MUST_CHECK int digest_session_new(struct digest_session **ret,
                                  const struct challenge *challenge);
struct digest_session *digest_session_free(struct digest_session *session);
DEFINE_CLEANUP(digest_session, digest_session_free)

/* Whether a request can answer it: without a body at hand auth-int cannot be computed. */
bool digest_session_fits(const struct digest_session *session, bool has_body_bytes);

struct digest_request {
    struct span user; /* UTF-8 */
    struct span password;
    struct span method;
    struct span target; /* as in the request line */
    struct span body;   /* all of it, for auth-int */
    bool has_body_bytes;
    char cnonce[DIGEST_CNONCE_SIZE]; /* printable: digest_make_cnonce() */
};

void digest_make_cnonce(const uint8_t chance[DIGEST_CHANCE_BYTES],
                        char ret[DIGEST_CNONCE_SIZE]);

/* What the server may prove later. */
struct digest_proof {
    char rspauth[DIGEST_HEX_SIZE]; /* "": cannot be known */
};

/**
 * digest_format() - append "Digest username=…", and count the nonce's use
 *
 * Return: DIGEST_OK, DIGEST_E_QOP, or -ENOMEM / -EMSGSIZE. @out is unchanged unless DIGEST_OK.
 */
MUST_CHECK int digest_format(struct digest_session *session,
                             const struct digest_request *request,
                             struct buf *out,
                             struct digest_proof *ret_proof);

enum digest_info_outcome {
    DIGEST_INFO_OK = 0,    /* right, or nothing said about it */
    DIGEST_INFO_WRONG = 1, /* the server does not know the password */
};

/**
 * digest_info() - read an Authentication-Info (RFC 7616 §3.5)
 * @value:   of the field
 * @session: NULL, or takes over nextnonce
 * @proof:   of the request this answers
 *
 * A value that breaks the grammar says nothing. Return: enum digest_info_outcome, or -ENOMEM.
 */
MUST_CHECK int digest_info(struct span value,
                           struct digest_session *session,
                           const struct digest_proof *proof);

/* What was wrong. */
const char *digest_outcome_text(int outcome);
