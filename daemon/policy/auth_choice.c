/* SPDX-License-Identifier: MIT */
#include "policy/auth_choice.h"

#include "http/challenge.h"

static bool allows_digest(const struct auth_question *question)
{
    return question->scheme == AUTH_SCHEME_DIGEST || question->scheme == AUTH_SCHEME_ANY;
}

static bool allows_basic(const struct auth_question *question)
{
    return question->scheme == AUTH_SCHEME_BASIC ||
           (question->scheme == AUTH_SCHEME_ANY && question->is_https);
}

/* Keeps the better one; of equals the first. Return: 0 or -ENOMEM. */
static int consider_digest(const struct challenge *challenge,
                           const struct auth_question *question,
                           struct digest_session **best)
{
    CLEANUP(digest_session_free) struct digest_session *session = NULL;
    int r = digest_session_new(&session, challenge);

    if (r != DIGEST_OK)
        return r < 0 ? r : 0; /* one that cannot be answered is as good as none */
    if (!digest_session_fits(session, question->has_body_bytes) ||
        (*best && (*best)->algorithm >= session->algorithm))
        return 0;
    digest_session_free(*best);
    *best = TAKE(session);
    return 0;
}

int auth_choose(const struct headers *headers,
                const struct auth_question *question,
                struct digest_session **ret_session)
{
    CLEANUP(digest_session_free) struct digest_session *best = NULL;
    struct challenge_reader reader;
    struct challenge challenge;
    bool has_basic = false;
    int r = 0;

    challenge_reader_init(&reader, headers, SPAN_LIT("WWW-Authenticate"));
    while (r == 0 && challenge_next(&reader, &challenge)) {
        if (span_ieq(challenge.scheme, SPAN_LIT("Basic")))
            has_basic = true;
        else if (allows_digest(question))
            r = consider_digest(&challenge, question, &best);
    }
    if (r < 0)
        return r;
    if (best) {
        *ret_session = TAKE(best);
        return AUTH_CHOICE_DIGEST;
    }
    return has_basic && allows_basic(question) ? AUTH_CHOICE_BASIC : AUTH_CHOICE_NONE;
}
