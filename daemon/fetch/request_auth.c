/* SPDX-License-Identifier: MIT */
/*
 * Credentials: which go out with a request, what a 401 changes, what the server proves.
 *
 * The caller's are for the origin he opened and stay there for good once a redirect has led
 * elsewhere; those in a URL are for its hop alone. At most two requests of a hop carry any
 * (AU06): the second because a nonce was too old, or because Digest went ahead with a nonce
 * that other requests had left. None of it is ever logged.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"
#include "fetch/request_priv.h"
#include "http/auth_basic.h"
#include "http/auth_bearer.h"
#include "http/percent.h"

#define TRIES_MAX 2

/* Who logs in on this hop, and how. */
struct login {
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: nobody */
    bool early;              /* Basic need not be asked for */
    struct span user;
    struct span password;
    struct buf decoded; /* of the URL's; holds both */
};

static void login_done(struct login *login)
{
    if (login->decoded.storage)
        explicit_bzero(login->decoded.storage, login->decoded.capacity);
    buf_done(&login->decoded);
}

/* A user without a password has the empty one, never that of the options (AU01). */
static int take_from_url(const struct request *request, struct login *login)
{
    struct span user = request->url.username;
    struct span password = request->url.password;
    /* Reserved in one piece: growing would leave copies of the password behind. */
    int r = buf_reserve(&login->decoded, user.len + password.len);

    if (r == 0)
        r = percent_decode(&login->decoded, user);
    size_t user_len = login->decoded.len;
    if (r == 0)
        r = percent_decode(&login->decoded, password);
    login->user = span_take(buf_span(&login->decoded), user_len);
    login->password = span_drop(buf_span(&login->decoded), user_len);
    login->early = true;
    return r;
}

/* Return: 0 or -ENOMEM; login_done() in any case. */
static int find_login(const struct request *request, struct login *ret)
{
    const struct request_options *options = &request->options;
    enum auth_scheme scheme = options->auth_scheme;

    *ret = (struct login){.scheme = AUTH_SCHEME_NONE};
    if (url_has_credentials(&request->url)) {
        bool may_be_digest = scheme == AUTH_SCHEME_DIGEST || scheme == AUTH_SCHEME_ANY;

        ret->scheme = may_be_digest ? scheme : AUTH_SCHEME_BASIC;
        return take_from_url(request, ret);
    }
    if (request->left_origin || !options->user)
        return 0;
    ret->scheme = scheme;
    ret->early = options->auth_preemptive;
    ret->user = span_of(options->user);
    ret->password = span_of(options->password);
    return 0;
}

/* ---- what goes out ---------------------------------------------------------------------- */

static int set_authorization(struct request *request, struct buf *value)
{
    int r = headers_set(&request->sent, SPAN_LIT("Authorization"), buf_span(value));

    if (value->storage)
        explicit_bzero(value->storage, value->capacity);
    request->auth.sent = r == 0;
    return r;
}

static int add_bearer(struct request *request)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    int r = auth_bearer_format(&value, span_of(request->options.bearer_token));

    return r == 0 ? set_authorization(request, &value) : r;
}

static int add_basic(struct request *request, const struct login *login)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    int r = auth_basic_format(&value, login->user, login->password);

    if (r > 0)
        log_debug(&request->log, "credentials not sent: %s", auth_basic_outcome_text(r));
    return r == 0 ? set_authorization(request, &value) : (r < 0 ? r : 0);
}

static struct auth_place place_of(const struct request *request)
{
    return (struct auth_place){&request->options.partition, &request->origin};
}

static bool has_body_bytes(const struct request *request)
{
    return !request->has_body || request->options.body_kind == REQUEST_BODY_INLINE;
}

static int format_digest(struct request *request,
                         const struct login *login,
                         struct digest_session *session,
                         struct buf *out)
{
    struct digest_request what = {
        .user = login->user,
        .password = login->password,
        .method = span_of(request->method),
        .target = url_request_target(&request->url),
        .has_body_bytes = has_body_bytes(request),
    };
    uint8_t chance[DIGEST_CHANCE_BYTES];

    rand_bytes(chance, sizeof(chance));
    digest_make_cnonce(chance, what.cnonce);
    if (request->has_body && what.has_body_bytes)
        what.body =
            (struct span){request->options.body_bytes, (size_t)request->options.body_length};
    return digest_format(session, &what, out, &request->auth.proof);
}

static int keep_realm(struct request *request, const char *realm)
{
    char *copy = mem_dup(span_of(realm));

    if (!copy)
        return fault(-ENOMEM);
    mem_free(request->auth.realm);
    request->auth.realm = copy;
    return 0;
}

/* With the nonce of the challenge, or before there is one with what the origin gave others. */
static int add_digest(struct request *request, const struct login *login)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    struct request_auth *auth = &request->auth;
    struct auth_place place = place_of(request);
    struct digest_session *session =
        auth_cache_find(&request->fetcher->logins, &place, auth->realm);

    if (!session || !digest_session_fits(session, has_body_bytes(request)))
        return 0;
    int r = keep_realm(request, session->realm);
    if (r == 0)
        r = format_digest(request, login, session, &value);
    if (r == 0)
        r = set_authorization(request, &value);
    if (r != 0)
        return r < 0 ? r : 0;
    auth->sent_digest = true;
    if (auth->answers == 0)
        auth->went_early = true;
    return 0;
}

static int add_login(struct request *request, const struct login *login)
{
    if (login->scheme == AUTH_SCHEME_NONE)
        return 0;
    if (request->auth.wants_basic || (login->scheme == AUTH_SCHEME_BASIC && login->early))
        return add_basic(request, login);
    return login->scheme == AUTH_SCHEME_BASIC ? 0 : add_digest(request, login);
}

int request_add_credentials(struct request *request)
{
    request->auth.sent = false;
    request->auth.sent_digest = false;
    if (request->options.auth_scheme == AUTH_SCHEME_BEARER && !request->left_origin)
        return add_bearer(request);

    struct login login;
    int r = find_login(request, &login);

    if (r == 0)
        r = add_login(request, &login);
    login_done(&login);
    return r;
}

/* ---- what comes back -------------------------------------------------------------------- */

/* Return: whether the request goes on (or has failed); false: the 401 is the answer. */
static bool answer_digest(struct request *request, struct digest_session *session)
{
    struct request_auth *auth = &request->auth;
    struct auth_place place = place_of(request);

    /* Refused, and the nonce was neither old nor one of others: the password is wrong. */
    if (auth->sent && !auth->went_early && !session->is_stale) {
        digest_session_free(session);
        return false;
    }
    int r = keep_realm(request, session->realm);
    if (r == 0)
        r = auth_cache_store(&request->fetcher->logins, &place, session);
    if (r < 0) {
        digest_session_free(session);
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    }
    return true;
}

static bool answer_basic(struct request *request)
{
    struct request_auth *auth = &request->auth;

    if (auth->sent && !auth->sent_digest)
        return false;
    auth->wants_basic = true;
    return true;
}

static bool answer(struct request *request, const struct response_head *head)
{
    struct login login;
    int r = find_login(request, &login);
    struct auth_question question = {
        .scheme = login.scheme,
        .is_https = request->origin.is_https,
        .has_body_bytes = has_body_bytes(request),
    };
    struct digest_session *session = NULL;

    login_done(&login);
    if (r == 0 && question.scheme == AUTH_SCHEME_NONE)
        return false;
    if (r == 0)
        r = auth_choose(head->headers, &question, &session);
    if (r < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return true;
    }
    if (session)
        return answer_digest(request, session);
    return r == AUTH_CHOICE_BASIC && answer_basic(request);
}

bool request_answers_challenge(struct request *request, const struct response_head *head)
{
    struct request_auth *auth = &request->auth;

    if (head->status != 401 || auth->answers + auth->went_early >= TRIES_MAX)
        return false;
    if (request->options.auth_scheme == AUTH_SCHEME_BEARER && !request->left_origin)
        return false; /* there is no other token */
    if (request->has_body && !upload_can_rewind(request))
        return false; /* the 401 is the answer then */
    if (!answer(request, head))
        return false;
    auth->answers++;
    return true;
}

bool request_trusts_server(struct request *request, const struct headers *headers)
{
    struct request_auth *auth = &request->auth;
    struct auth_place place = place_of(request);
    struct span value;

    if (!auth->sent_digest || !headers_find(headers, SPAN_LIT("Authentication-Info"), &value))
        return true;
    struct digest_session *session =
        auth_cache_find(&request->fetcher->logins, &place, auth->realm);
    int r = digest_info(value, session, &auth->proof);
    if (r == DIGEST_INFO_OK)
        return true;
    auth_cache_drop(&request->fetcher->logins, &place, auth->realm);
    if (r == DIGEST_INFO_WRONG)
        request_finish_kind(request, FAILURE_POLICY,
                            "the server does not know the password: its rspauth is wrong");
    else
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    return false;
}

void request_auth_begin_hop(struct request *request, bool is_cross_origin)
{
    struct request_auth *auth = &request->auth;
    bool wants_basic = auth->wants_basic && !is_cross_origin;

    request_auth_done(request);
    *auth = (struct request_auth){.wants_basic = wants_basic};
}

void request_auth_done(struct request *request)
{
    mem_free(request->auth.realm);
    request->auth.realm = NULL;
}
