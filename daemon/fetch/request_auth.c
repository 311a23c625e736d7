/* SPDX-License-Identifier: MIT */
/*
 * Credentials: which go out with a request, what a 401 changes, what the server proves.
 *
 * The caller's are for the origin he opened and stay there for good once a redirect has led
 * elsewhere (unless he trusts where it leads); those in a URL are for its hop alone. At most
 * two requests of a hop carry any (AU06): the second because a nonce was too old, because
 * Digest went ahead with a nonce that other requests had left, or because the realm wants the
 * user's domain. Where nothing given is an answer the owner may be asked, some times, and each
 * of his answers counts like the first. None of it is ever logged.
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
#define ASKS_MAX  5 /* of a hop: then the 401 is the answer */

/* Who logs in on this hop, and how. */
struct login {
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: nobody */
    bool early;              /* Basic need not be asked for */
    bool is_asked;           /* for this challenge: Basic, too, is his word */
    struct span user;
    struct span password;
    struct span domain; /* of the user */
    struct buf decoded; /* of the URL's, holds both; or DOMAIN\user */
};

static void login_done(struct login *login)
{
    if (login->decoded.storage)
        explicit_bzero(login->decoded.storage, login->decoded.capacity);
    buf_done(&login->decoded);
}

/* A user without a password has the empty one, never that of the options (AU01). */
static int take_from_url(const struct url *url, struct login *login)
{
    struct span user = url->username;
    struct span password = url->password;
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

/* The URL whose userinfo logs in: this hop's, else the caller's while at his origin. */
static const struct url *login_url(const struct request *request)
{
    if (url_has_credentials(&request->options.url))
        return &request->options.url;
    return request->left_origin ? NULL : request->first_url;
}

/* A user that has a domain already keeps his. */
static struct span domain_for(const char *domain, struct span user)
{
    if (user.len > 0 && (memchr(user.ptr, '\\', user.len) || memchr(user.ptr, '@', user.len)))
        return (struct span){0};
    return span_of(domain);
}

static void take_from_asked(const struct asked_login *asked, struct login *login)
{
    login->scheme = AUTH_SCHEME_ANY;
    login->is_asked = true;
    login->user = span_of(asked->user);
    login->password = span_of(asked->password);
    login->domain = domain_for(asked->domain, login->user);
}

bool request_has_login(const struct request *request)
{
    const struct request_options *options = &request->options;

    return request->auth.login.user || request->auth.login.token || login_url(request) ||
           (!request->left_origin && (options->user || options->bearer_token));
}

/* Return: 0 or -ENOMEM; login_done() in any case. */
static int find_login(const struct request *request, struct login *ret)
{
    const struct request_options *options = &request->options;
    enum auth_scheme scheme = options->auth_scheme;

    *ret = (struct login){.scheme = AUTH_SCHEME_NONE};
    if (request->auth.login.user) {
        take_from_asked(&request->auth.login, ret);
        return 0;
    }
    const struct url *url = login_url(request);
    if (url) {
        bool may_be_digest = scheme == AUTH_SCHEME_DIGEST || scheme == AUTH_SCHEME_ANY;

        ret->scheme = may_be_digest ? scheme : AUTH_SCHEME_BASIC;
        return take_from_url(url, ret);
    }
    if (request->left_origin || !options->user)
        return 0;
    ret->scheme = scheme;
    ret->early = options->auth_preemptive;
    ret->user = span_of(options->user);
    ret->password = span_of(options->password);
    ret->domain = domain_for(options->domain, ret->user);
    return 0;
}

/* The realm wants it: DOMAIN\user. */
static int use_domain(struct login *login)
{
    int r = buf_append(&login->decoded, login->domain);

    if (r == 0)
        r = buf_append_char(&login->decoded, '\\');
    if (r == 0)
        r = buf_append(&login->decoded, login->user);
    login->user = buf_span(&login->decoded);
    return r;
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

/* NULL: there is none, or it stays at its origin. */
static const char *bearer_token_of(const struct request *request)
{
    if (request->auth.login.token)
        return request->auth.login.token;
    if (request->auth.login.user || request->options.auth_scheme != AUTH_SCHEME_BEARER ||
        request->left_origin)
        return NULL;
    return request->options.bearer_token;
}

static int add_bearer(struct request *request, const char *token)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    int r = auth_bearer_format(&value, span_of(token));

    return r == 0 ? set_authorization(request, &value) : r;
}

static int add_basic(struct request *request, struct login *login)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    int r = request->auth.wants_domain ? use_domain(login) : 0;

    request->auth.sent_domain = request->auth.wants_domain;
    if (r == 0)
        r = auth_basic_format(&value, login->user, login->password);

    if (r > 0)
        log_debug(&request->log, "credentials not sent: %s", auth_basic_outcome_text(r));
    return r == 0 ? set_authorization(request, &value) : (r < 0 ? r : 0);
}

static struct auth_place place_of(const struct request *request)
{
    return (struct auth_place){&request->options.partition, request->origin};
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
        .method = span_of(request->options.method),
        .target = url_request_target(&request->options.url),
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
static int add_digest(struct request *request, struct login *login)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    struct request_auth *auth = &request->auth;
    struct auth_place place = place_of(request);
    struct digest_session *session =
        auth_cache_find(&request->fetcher->logins, &place, auth->realm);

    if (!session || !digest_session_fits(session, has_body_bytes(request)))
        return 0;
    int r = keep_realm(request, session->realm);
    if (r == 0 && auth_realm_wants_domain(span_of(session->realm), login->domain))
        r = use_domain(login);
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

static int add_login(struct request *request, struct login *login)
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
    const char *token = bearer_token_of(request);
    if (token)
        return add_bearer(request, token);

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

static bool answer_basic(struct request *request, bool wants_domain)
{
    struct request_auth *auth = &request->auth;

    /* Refused, and not for lack of the domain: the password is wrong. */
    if (auth->sent && !auth->sent_digest && auth->sent_domain == wants_domain)
        return false;
    auth->wants_basic = true;
    auth->wants_domain = wants_domain;
    return true;
}

static int choose(const struct request *request,
                  const struct headers *headers,
                  struct digest_session **ret_session)
{
    struct login login;
    int r = find_login(request, &login);
    struct auth_question question = {
        .scheme = login.scheme,
        .is_https = request->origin->is_https,
        .may_be_basic = login.is_asked,
        .has_body_bytes = has_body_bytes(request),
        .domain = login.domain,
    };

    if (r == 0 && question.scheme != AUTH_SCHEME_NONE)
        r = auth_choose(headers, &question, ret_session);
    login_done(&login);
    return r;
}

static bool answer(struct request *request, const struct headers *headers)
{
    struct digest_session *session = NULL;
    int r = choose(request, headers, &session);

    if (r < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return true;
    }
    if (session)
        return answer_digest(request, session);
    return (r == AUTH_CHOICE_BASIC || r == AUTH_CHOICE_BASIC_IN_DOMAIN) &&
           answer_basic(request, r == AUTH_CHOICE_BASIC_IN_DOMAIN);
}

void request_refuse_rewind(struct request *request)
{
    struct failure why;

    request_tell_hop(request);
    if (request->state == REQUEST_DONE)
        return;
    failure_set(&why, FAILURE_REWIND,
                "the %s asks for a login and wants the body again, which has gone and cannot "
                "be read twice",
                request->head.status == 407 ? "proxy" : "server");
    request_finish(request, &why);
}

bool request_answers_challenge(struct request *request, const struct response_head *head)
{
    struct request_auth *auth = &request->auth;

    if (head->status != 401 || request->has_credential ||
        auth->answers + auth->went_early >= TRIES_MAX)
        return false;
    if (bearer_token_of(request))
        return false; /* there is no other token */
    if (!answer(request, head->headers))
        return false;
    auth->answers++;
    if (request->has_body && !upload_can_rewind(request))
        request_refuse_rewind(request);
    return true;
}

/* ---- what the owner is asked ------------------------------------------------------------- */

static void tell_challenge(struct request *request, const struct auth_offers *offers)
{
    struct request_challenge challenge = {
        .offers = offers,
        .origin = known_origin_text(request->origin),
        .attempt = request->auth.asked,
    };

    request_tell_wait(request, REQUEST_WAIT_AUTH);
    request->events->on_challenge(request->owner, &challenge);
}

/* Return: whether it is asked, or has failed. */
static bool ask_login(struct request *request, const struct auth_offers *offers)
{
    if (!auth_offers_can_be_answered(offers))
        return false;
    if (request->has_body && !upload_can_rewind(request)) {
        request_refuse_rewind(request);
        return true;
    }
    if (request_keep_head(request) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return true;
    }
    if (!request_ask(request, QUESTION_CHALLENGE))
        return true;
    request->auth.asked++;
    tell_challenge(request, offers);
    return true;
}

bool request_asks_login(struct request *request, const struct response_head *head)
{
    struct auth_question question = {
        .scheme = AUTH_SCHEME_ANY,
        .may_be_basic = true,
        .has_body_bytes = has_body_bytes(request),
    };
    struct auth_offers offers;

    if (head->status != 401 || request->has_credential || !request->options.asks_challenges ||
        request->asking.is_mute || request->auth.asked >= ASKS_MAX)
        return false;
    bool taken = true;
    if (auth_offers_read(head->headers, &question, &offers) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    else
        taken = ask_login(request, &offers);
    auth_offers_done(&offers);
    return taken;
}

static void asked_login_done(struct asked_login *login)
{
    mem_free(login->user);
    mem_free(login->domain);
    if (login->password)
        mem_free_secret(login->password, strlen(login->password));
    if (login->token)
        mem_free_secret(login->token, strlen(login->token));
    *login = (struct asked_login){0};
}

static char *dup_or_null(struct span text)
{
    return text.ptr && text.len > 0 ? mem_dup(text) : NULL;
}

static int check_answer(const struct request_credentials *from, struct failure *ret_why)
{
    if (from->token.len == 0)
        return request_check_login(from, ret_why);
    if (from->user.len + from->password.len + from->domain.len == 0 &&
        auth_bearer_is_token(from->token))
        return 0;
    failure_set(ret_why, FAILURE_ARGUMENT,
                "credentials: a bearer token goes alone, and has no blanks and only printable "
                "ASCII characters");
    return -EINVAL;
}

int request_keep_login(struct request *request,
                       const struct request_credentials *from,
                       struct failure *ret_why)
{
    struct asked_login *login = &request->auth.login;
    int r = check_answer(from, ret_why);

    if (r < 0)
        return r;
    asked_login_done(login);
    login->token = dup_or_null(from->token);
    login->domain = dup_or_null(from->domain);
    if (from->token.len == 0) {
        login->user = mem_dup(from->user);
        login->password = mem_dup(from->password);
    }
    if ((from->token.len > 0 && !login->token) || (from->domain.len > 0 && !login->domain) ||
        (from->token.len == 0 && (!login->user || !login->password))) {
        failure_set(ret_why, FAILURE_INTERNAL, "out of memory");
        return fault(-ENOMEM);
    }
    return 0;
}

/* The challenge is the one that was kept. */
void request_take_login(struct request *request)
{
    struct request_auth *auth = &request->auth;

    auth->answers = 1;
    auth->went_early = auth->sent = auth->sent_digest = auth->sent_domain = false;
    auth->wants_basic = auth->wants_domain = false;
    request_tell_hop(request);
    if (request->state == REQUEST_DONE)
        return;
    if (auth->login.token || answer(request, &request->kept->headers))
        return;
    request_finish_kind(request, FAILURE_ARGUMENT,
                        "credentials: the server offers nothing that a user and a password "
                        "answer");
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

/* At another origin nothing is known yet, and who was asked was asked for this one. */
void request_auth_begin_hop(struct request *request, bool is_cross_origin)
{
    struct request_auth *auth = &request->auth;
    struct asked_login login = auth->login;
    bool wants_basic = auth->wants_basic && !is_cross_origin;
    bool wants_domain = auth->wants_domain && !is_cross_origin;

    if (is_cross_origin)
        asked_login_done(&login);
    mem_free(auth->realm);
    *auth = (struct request_auth){
        .wants_basic = wants_basic, .wants_domain = wants_domain, .login = login};
}

void request_auth_done(struct request *request)
{
    mem_free(request->auth.realm);
    request->auth.realm = NULL;
    asked_login_done(&request->auth.login);
}
