/* SPDX-License-Identifier: MIT */
#include "policy/proxy_login.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/auth_basic.h"

void proxy_login_done(struct proxy_login *login)
{
    mem_free(login->realm);
    *login = (struct proxy_login){0};
}

static int keep_realm(struct proxy_login *login, const char *realm)
{
    char *copy = mem_dup(span_of(realm));

    if (!copy)
        return fault(-ENOMEM);
    mem_free(login->realm);
    login->realm = copy;
    return 0;
}

/* What Basic cannot carry was refused when the login was set. */
static int
add_basic(struct proxy_login *login, const struct proxy_login_ask *ask, struct buf *out)
{
    int r = auth_basic_format(out, ask->user, ask->password);

    login->sent = r == 0;
    return r < 0 ? r : 0;
}

static int add_digest(struct proxy_login *login,
                      struct auth_cache *cache,
                      const struct proxy_login_ask *ask,
                      const uint8_t chance[DIGEST_CHANCE_BYTES],
                      struct buf *out)
{
    struct digest_session *session = auth_cache_find(cache, &ask->place, login->realm);
    struct digest_proof proof;

    if (!session || !digest_session_fits(session, ask->has_body_bytes))
        return 0;
    struct digest_request what = {
        .user = ask->user,
        .password = ask->password,
        .method = ask->method,
        .target = ask->target,
        .body = ask->body,
        .has_body_bytes = ask->has_body_bytes,
    };
    digest_make_cnonce(chance, what.cnonce);
    int r = keep_realm(login, session->realm);
    if (r == 0)
        r = digest_format(session, &what, out, &proof);
    if (r != 0)
        return r < 0 ? r : 0;
    login->sent = true;
    login->sent_digest = true;
    if (login->answers == 0)
        login->went_early = true;
    return 0;
}

int proxy_login_format(struct proxy_login *login,
                       struct auth_cache *cache,
                       const struct proxy_login_ask *ask,
                       const uint8_t chance[DIGEST_CHANCE_BYTES],
                       struct buf *out)
{
    login->sent = false;
    login->sent_digest = false;
    if (ask->scheme == AUTH_SCHEME_NONE)
        return 0;
    if (ask->scheme == AUTH_SCHEME_BASIC || login->wants_basic)
        return add_basic(login, ask, out);
    return add_digest(login, cache, ask, chance, out);
}

/* Return: enum proxy_login_verdict or -ENOMEM; takes @session. */
static int answer_digest(struct proxy_login *login,
                         struct auth_cache *cache,
                         const struct proxy_login_ask *ask,
                         struct digest_session *session)
{
    /* Refused, and the nonce was neither old nor one of others: the password is wrong. */
    bool is_wrong = login->sent && !login->went_early && !session->is_stale;
    int r = is_wrong ? 0 : keep_realm(login, session->realm);

    if (!is_wrong && r == 0)
        r = auth_cache_store(cache, &ask->place, session);
    if (is_wrong || r < 0) {
        digest_session_free(session);
        return r < 0 ? r : PROXY_LOGIN_REFUSED;
    }
    return PROXY_LOGIN_AGAIN;
}

static int choose(struct proxy_login *login,
                  struct auth_cache *cache,
                  const struct proxy_login_ask *ask,
                  const struct headers *headers)
{
    struct auth_question question = {
        .scheme = ask->scheme,
        .is_https = ask->place.origin->is_https,
        .has_body_bytes = ask->has_body_bytes,
        .is_proxy = true,
    };
    struct digest_session *session = NULL;
    int r = auth_choose(headers, &question, &session);

    if (session)
        return answer_digest(login, cache, ask, session);
    if (r != AUTH_CHOICE_BASIC)
        return r < 0 ? r : PROXY_LOGIN_REFUSED;
    if (login->sent && !login->sent_digest)
        return PROXY_LOGIN_REFUSED;
    login->wants_basic = true;
    return PROXY_LOGIN_AGAIN;
}

int proxy_login_answer(struct proxy_login *login,
                       struct auth_cache *cache,
                       const struct proxy_login_ask *ask,
                       const struct headers *headers)
{
    if (ask->scheme == AUTH_SCHEME_NONE ||
        login->answers + login->went_early >= PROXY_LOGIN_TRIES_MAX)
        return PROXY_LOGIN_REFUSED;
    int r = choose(login, cache, ask, headers);
    if (r == PROXY_LOGIN_AGAIN)
        login->answers++;
    return r;
}
