/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a 401 offers, to be shown to whoever is asked for a login: every challenge with its
 * realm, and which of them a user and a password would answer.
 */

#include "base/buf.h"
#include "base/cleanup.h"
#include "policy/auth_choice.h"

#define AUTH_OFFERS_MAX      8    /* more are not told of */
#define AUTH_OFFER_NAME_MAX  64   /* bytes of a scheme's name */
#define AUTH_OFFER_REALM_MAX 1024 /* bytes; a longer one is cut */

struct auth_offer {
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: one that we do not have */
    struct span name;        /* as the server wrote it; borrows from the headers */
    size_t realm_at;         /* in the offers' text */
    size_t realm_len;
};

struct auth_offers {
    struct buf text;
    size_t count;
    struct auth_offer at[AUTH_OFFERS_MAX];
    size_t best;     /* what user and password answer; not below count: nothing */
    bool has_bearer; /* a token would be an answer */
};

/**
 * auth_offers_read() - the challenges of an answer
 * @headers: of the 401; must outlive @ret
 * @ret:     to be ended with auth_offers_done(), whatever the result
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int auth_offers_read(const struct headers *headers,
                                const struct auth_question *question,
                                struct auth_offers *ret);
void auth_offers_done(struct auth_offers *offers);

/* Borrowed. */
struct span auth_offers_realm(const struct auth_offers *offers, size_t index);

/* Whether anybody could answer at all. */
static inline bool auth_offers_can_be_answered(const struct auth_offers *offers)
{
    return offers->best < offers->count || offers->has_bearer;
}
