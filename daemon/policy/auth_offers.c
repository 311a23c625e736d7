/* SPDX-License-Identifier: MIT */
#include "policy/auth_offers.h"

#include "http/challenge.h"

struct candidate {
    size_t index;
    unsigned rank; /* 0: cannot be answered */
};

static enum auth_scheme scheme_of(struct span name)
{
    if (span_ieq(name, SPAN_LIT("Basic")))
        return AUTH_SCHEME_BASIC;
    if (span_ieq(name, SPAN_LIT("Digest")))
        return AUTH_SCHEME_DIGEST;
    return span_ieq(name, SPAN_LIT("Bearer")) ? AUTH_SCHEME_BEARER : AUTH_SCHEME_NONE;
}

/* As auth_choose() ranks them. Return: 0 cannot be answered, 1 Basic, 2 MD5, 3 SHA-256;
 * -ENOMEM. */
static int rank_of(const struct challenge *challenge,
                   enum auth_scheme scheme,
                   const struct auth_question *question)
{
    CLEANUP(digest_session_free) struct digest_session *session = NULL;

    if (scheme == AUTH_SCHEME_BASIC)
        return 1;
    if (scheme != AUTH_SCHEME_DIGEST)
        return 0;
    int r = digest_session_new(&session, challenge);
    if (r != DIGEST_OK)
        return r < 0 ? r : 0;
    if (!digest_session_fits(session, question->has_body_bytes))
        return 0;
    return session->algorithm == DIGEST_SHA256 ? 3 : 2;
}

static int add(struct auth_offers *offers,
               const struct challenge *challenge,
               const struct auth_question *question,
               int *best_rank)
{
    struct auth_offer *offer = &offers->at[offers->count];

    *offer = (struct auth_offer){.scheme = scheme_of(challenge->scheme),
                                 .name = span_take(challenge->scheme, AUTH_OFFER_NAME_MAX),
                                 .realm_at = offers->text.len};
    int r = challenge_realm(challenge, &offers->text);
    if (r < 0)
        return r;
    offer->realm_len = offers->text.len - offer->realm_at;
    if (offer->realm_len > AUTH_OFFER_REALM_MAX)
        offer->realm_len = AUTH_OFFER_REALM_MAX;
    int rank = rank_of(challenge, offer->scheme, question);
    if (rank < 0)
        return rank;
    if (rank > *best_rank) {
        *best_rank = rank;
        offers->best = offers->count;
    }
    offers->has_bearer |= offer->scheme == AUTH_SCHEME_BEARER;
    offers->count++;
    return 0;
}

int auth_offers_read(const struct headers *headers,
                     const struct auth_question *question,
                     struct auth_offers *ret)
{
    struct challenge_reader reader;
    struct challenge challenge;
    int best_rank = 0;
    int r = 0;

    *ret = (struct auth_offers){.text = BUF_INIT(0), .best = AUTH_OFFERS_MAX};
    challenge_reader_init(&reader, headers, auth_field(question->is_proxy));
    while (r == 0 && ret->count < AUTH_OFFERS_MAX && challenge_next(&reader, &challenge))
        r = add(ret, &challenge, question, &best_rank);
    return r;
}

void auth_offers_done(struct auth_offers *offers)
{
    buf_done(&offers->text);
}

struct span auth_offers_realm(const struct auth_offers *offers, size_t index)
{
    const struct auth_offer *offer = &offers->at[index];

    return span_take(span_drop(buf_span(&offers->text), offer->realm_at), offer->realm_len);
}
