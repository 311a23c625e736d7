/* SPDX-License-Identifier: MIT */
#include "policy/auth_choice.h"

#include "http/challenge.h"

struct span auth_field(bool is_proxy)
{
    return is_proxy ? SPAN_LIT("Proxy-Authenticate") : SPAN_LIT("WWW-Authenticate");
}

static bool allows_digest(const struct auth_question *question)
{
    return question->scheme == AUTH_SCHEME_DIGEST || question->scheme == AUTH_SCHEME_ANY;
}

static bool allows_basic(const struct auth_question *question)
{
    return question->scheme == AUTH_SCHEME_BASIC ||
           (question->scheme == AUTH_SCHEME_ANY &&
            (question->is_https || question->may_be_basic));
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

bool auth_realm_wants_domain(struct span realm, struct span domain)
{
    if (domain.len == 0 || !span_ieq(span_take(realm, domain.len), domain))
        return false;
    return realm.len == domain.len || realm.ptr[domain.len] == '\\' ||
           realm.ptr[domain.len] == '.';
}

/* Return: 1, 0, or -ENOMEM. */
static int basic_wants_domain(const struct challenge *challenge, struct span domain)
{
    CLEANUP_BUF struct buf realm = BUF_INIT(0);
    int r = domain.len > 0 ? challenge_realm(challenge, &realm) : 0;

    return r < 0 ? r : auth_realm_wants_domain(buf_span(&realm), domain);
}

int auth_choose(const struct headers *headers,
                const struct auth_question *question,
                struct digest_session **ret_session)
{
    CLEANUP(digest_session_free) struct digest_session *best = NULL;
    struct challenge_reader reader;
    struct challenge challenge;
    int basic = AUTH_CHOICE_NONE;
    int r = 0;

    challenge_reader_init(&reader, headers, auth_field(question->is_proxy));
    while (r == 0 && challenge_next(&reader, &challenge)) {
        if (!span_ieq(challenge.scheme, SPAN_LIT("Basic"))) {
            r = allows_digest(question) ? consider_digest(&challenge, question, &best) : 0;
        } else if (basic == AUTH_CHOICE_NONE) {
            r = basic_wants_domain(&challenge, question->domain);
            basic = r > 0 ? AUTH_CHOICE_BASIC_IN_DOMAIN : AUTH_CHOICE_BASIC;
            r = r < 0 ? r : 0;
        }
    }
    if (r < 0)
        return r;
    if (best) {
        *ret_session = TAKE(best);
        return AUTH_CHOICE_DIGEST;
    }
    return allows_basic(question) ? basic : AUTH_CHOICE_NONE;
}
