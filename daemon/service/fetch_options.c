/* SPDX-License-Identifier: MIT */
/* OpenRequest to struct request_options: every field judged, in the order of the message. */
#include <errno.h>

#include "fetch/request_options.h"
#include "ipc/session.h"
#include "policy/redirect.h"
#include "service/service_priv.h"

#define LENT_BODY_MIN (128 << 10) /* shorter ones are copied in microseconds */

typedef Xhrd__V1__OpenRequest open_message;

static int refuse(struct failure *why, const char *what)
{
    failure_set(why, FAILURE_ARGUMENT, "%s", what);
    return -EINVAL;
}

static int refuse_fd(struct failure *why)
{
    failure_set(why, FAILURE_QUOTA, "too many descriptors of this user are held");
    return -EDQUOT;
}

static int
take_headers(const open_message *message, struct request_options *to, struct failure *why)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < message->n_headers; i++)
        r = request_options_add_header(to, span_of_bytes(message->headers[i]->name),
                                       span_of_bytes(message->headers[i]->value), why);
    for (size_t i = 0; r == 0 && i < message->n_suppressed_headers; i++)
        r = request_options_omit_header(to, span_of_bytes(message->suppressed_headers[i]), why);
    return r;
}

static int take_fd_body(struct client *client,
                        const Xhrd__V1__FdBody *fd,
                        struct request_options *to,
                        struct failure *why)
{
    to->body_offset = fd->offset;
    if (fd->length_case == XHRD__V1__FD_BODY__LENGTH_LENGTH_BYTES) {
        to->body_has_length = true;
        to->body_length = fd->length_bytes;
    }
    int taken = session_take_fd(client->session);
    return taken == -EDQUOT ? refuse_fd(why) : request_options_set_fd_body(to, taken, why);
}

/* A long body stays in the memory of its frame, which becomes the request's when it begins:
 * to copy it would take the loop hundreds of times what a request takes. Who may not hold so
 * much costs no copy either. */
static int take_inline_body(struct client *client,
                            struct span bytes,
                            struct request_options *to,
                            struct failure *why)
{
    if (!quota_has_spare(&client->user->quota, QUOTA_BYTES, bytes.len)) {
        failure_set(why, FAILURE_QUOTA, "too many bytes of this user are held");
        return -EDQUOT;
    }
    if (bytes.len < LENT_BODY_MIN || !session_frame_holds(client->session, bytes))
        return request_options_set_inline_body(to, bytes, why);
    request_options_lend_inline_body(to, bytes);
    return 0;
}

static int take_body(struct client *client,
                     const open_message *message,
                     struct request_options *to,
                     struct failure *why)
{
    const Xhrd__V1__RequestBody *body = message->body;

    if (!body)
        return 0;
    switch (body->source_case) {
    case XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES:
        return take_inline_body(client, span_of_bytes(body->inline_bytes), to, why);
    case XHRD__V1__REQUEST_BODY__SOURCE_STREAM:
        to->body_kind = REQUEST_BODY_STREAM;
        if (body->stream->length_case == XHRD__V1__STREAM_BODY__LENGTH_LENGTH_BYTES) {
            to->body_has_length = true;
            to->body_length = body->stream->length_bytes;
        }
        to->body_can_rewind = body->stream->can_rewind;
        return 0;
    case XHRD__V1__REQUEST_BODY__SOURCE_FD: return take_fd_body(client, body->fd, to, why);
    case XHRD__V1__REQUEST_BODY__SOURCE__NOT_SET:
    case _XHRD__V1__REQUEST_BODY__SOURCE__CASE_IS_INT_SIZE: break;
    }
    return refuse(why, "body: none of inline_bytes, stream and fd is set");
}

static int take_response(struct client *client,
                         const open_message *message,
                         struct request_options *to,
                         struct failure *why)
{
    to->response_credit = message->response_credit_bytes;
    to->raw = message->raw;
    if (message->body_limit_case == XHRD__V1__OPEN_REQUEST__BODY_LIMIT_RESPONSE_BYTES_MAX) {
        to->has_response_max = true;
        to->response_max = message->response_bytes_max;
    }
    if (!message->response_fd)
        return 0;
    to->response_offset = message->response_fd->offset;
    to->response_sync = message->response_fd->sync;
    to->response_at_position = message->response_fd->at_position;
    to->has_response_size_max =
        message->response_fd->limit_case == XHRD__V1__RESPONSE_FD__LIMIT_SIZE_MAX;
    to->response_size_max = message->response_fd->size_max;
    int taken = session_take_fd(client->session);
    return taken == -EDQUOT ? refuse_fd(why) : request_options_set_response_fd(to, taken, why);
}

/* Return: 0, or -EINVAL. */
static int
take_http(const open_message *message, struct request_options *to, struct failure *why)
{
    switch (message->http_version) {
    case XHRD__V1__HTTP_VERSION__HTTP_VERSION_UNSPECIFIED: to->http = POOL_HTTP_BEST; return 0;
    case XHRD__V1__HTTP_VERSION__HTTP_VERSION_1_1: to->http = POOL_HTTP_1_1; return 0;
    case XHRD__V1__HTTP_VERSION__HTTP_VERSION_2: to->http = POOL_HTTP_2; return 0;
    case _XHRD__V1__HTTP_VERSION_IS_INT_SIZE: break;
    }
    return refuse(why, "http_version: wants one of the HTTP_VERSION values");
}

static int
take_modes(const open_message *message, struct request_options *to, struct failure *why)
{
    if (message->redirect == XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_UNSPECIFIED)
        return refuse(why, "redirect: wants REDIRECT_MODE_FOLLOW or REDIRECT_MODE_STOP");
    to->follow_redirects = message->redirect == XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_FOLLOW;
    if (message->redirects_case == XHRD__V1__OPEN_REQUEST__REDIRECTS_REDIRECTS_MAX)
        to->redirects_max = message->redirects_max;
    switch (message->cookies) {
    case XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_AND_STORE:
        to->cookies = REQUEST_COOKIES_SEND_AND_STORE;
        break;
    case XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_ONLY:
        to->cookies = REQUEST_COOKIES_SEND;
        break;
    case XHRD__V1__COOKIE_MODE__COOKIE_MODE_NONE: to->cookies = REQUEST_COOKIES_NONE; break;
    case XHRD__V1__COOKIE_MODE__COOKIE_MODE_UNSPECIFIED:
    case _XHRD__V1__COOKIE_MODE_IS_INT_SIZE:
        return refuse(why, "cookies: wants one of the COOKIE_MODE values");
    }
    struct jar_ref ref;
    size_t jar_len = strlen(message->jar);
    if (jar_len >= JAR_TEXT_MAX ||
        (strcmp(message->jar, CLIENT_PRIVATE_JAR) != 0 &&
         jar_ref_parse(span_of(message->jar), &to->partition, &ref) < 0))
        return refuse(why, JAR_REF_WANTS);
    int r = request_options_set_jar(to, (struct span){message->jar, jar_len}, why);
    if (r < 0)
        return r;
    to->top_level_navigation = message->top_level_navigation;
    return request_options_set_site(to, span_of_bytes(message->site),
                                    span_of_bytes(message->top_level_site), why);
}

static void take_redirects(const Xhrd__V1__RedirectOptions *from, struct request_options *to)
{
    if (!from)
        return;
    to->asks_redirects = from->ask;
    to->trusts_redirects = from->trust_hosts;
    to->auto_referer = from->auto_referer;
    to->keeps_post = (from->keep_post_301 ? REDIRECT_POST_301 : 0) |
                     (from->keep_post_302 ? REDIRECT_POST_302 : 0) |
                     (from->keep_post_303 ? REDIRECT_POST_303 : 0);
}

static void
take_timeouts(struct client *client, const Xhrd__V1__Timeouts *from, struct request_options *to)
{
    const struct fetch_options *own = client->rights.fetch.options;
    const struct fetch_options *defaults = own ? own : &client->service->fetcher->options;

    to->connect_timeout_us = defaults->connect_timeout_us;
    to->idle_timeout_us = defaults->idle_timeout_us;
    if (!from)
        return;
    if (from->connect_case == XHRD__V1__TIMEOUTS__CONNECT_CONNECT_MS)
        to->connect_timeout_us = (int64_t)from->connect_ms * 1000;
    if (from->idle_case == XHRD__V1__TIMEOUTS__IDLE_IDLE_MS)
        to->idle_timeout_us = (int64_t)from->idle_ms * 1000;
    if (from->total_case == XHRD__V1__TIMEOUTS__TOTAL_TOTAL_MS)
        to->total_timeout_us = (int64_t)from->total_ms * 1000;
    to->waits_for_connectivity = from->waits_for_connectivity;
}

static enum auth_scheme scheme_of(Xhrd__V1__AuthScheme scheme)
{
    switch (scheme) {
    case XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC: return AUTH_SCHEME_BASIC;
    case XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST: return AUTH_SCHEME_DIGEST;
    case XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_ANY: return AUTH_SCHEME_ANY;
    case XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BEARER: return AUTH_SCHEME_BEARER;
    case XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_UNSPECIFIED:
    case _XHRD__V1__AUTH_SCHEME_IS_INT_SIZE: break;
    }
    return AUTH_SCHEME_NONE;
}

static int take_credentials(const Xhrd__V1__Credentials *from,
                            struct request_options *to,
                            struct failure *why)
{
    if (!from)
        return 0;
    struct request_credentials credentials = {
        .scheme = scheme_of(from->scheme),
        .user = span_of_bytes(from->user),
        .password = span_of_bytes(from->password),
        .domain = span_of_bytes(from->domain),
        .token = span_of_bytes(from->bearer_token),
        .preemptive = from->preemptive,
    };
    if (credentials.scheme == AUTH_SCHEME_NONE)
        return refuse(why, "credentials: wants one of the AUTH_SCHEME values");
    return request_options_set_credentials(to, &credentials, why);
}

static int take_resolve(const Xhrd__V1__ResolveOverride *from,
                        struct request_options *to,
                        struct failure *why)
{
    struct span addresses[REQUEST_ADDRESSES_MAX];

    if (from->n_addresses > REQUEST_ADDRESSES_MAX)
        return refuse(why, "resolve: wants 1 to 8 addresses");
    for (size_t i = 0; i < from->n_addresses; i++)
        addresses[i] = span_of_bytes(from->addresses[i]);
    return request_options_add_resolve(to, span_of_bytes(from->host), from->port, addresses,
                                       from->n_addresses, why);
}

/* A name in the message, with a NUL behind it. */
static bool copy_name(ProtobufCBinaryData from, char *to, size_t size)
{
    to[0] = '\0';
    if (from.len == 0)
        return true;
    if (from.len >= size || memchr(from.data, '\0', from.len))
        return false;
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
    return true;
}

static int take_connect_to(const Xhrd__V1__ConnectTo *from,
                           struct request_options *to,
                           struct failure *why)
{
    char host[ORIGIN_HOST_SIZE];
    char to_host[ORIGIN_HOST_SIZE];

    if (from->port > UINT16_MAX || from->to_port > UINT16_MAX)
        return refuse(why, "connect-to: ports go from 1 to 65535");
    if (!copy_name(from->host, host, sizeof(host)) ||
        !copy_name(from->to_host, to_host, sizeof(to_host)))
        return refuse(why, "connect-to: that is no host name");
    struct request_connect_to entry = {.host = host,
                                       .to_host = to_host,
                                       .port = (uint16_t)from->port,
                                       .to_port = (uint16_t)from->to_port};
    return request_options_add_connect_to(to, &entry, why);
}

/* *ret: NULL if there is none in the message. Return: 0 or -EINVAL. */
static int take_proxy(const Xhrd__V1__Proxy *from,
                      struct request_proxy_choice *storage,
                      const struct request_proxy_choice **ret,
                      struct failure *why)
{
    if (!from)
        return 0;
    *storage = (struct request_proxy_choice){
        .url = span_of_bytes(from->url),
        .scheme = scheme_of(from->scheme),
        .user = span_of_bytes(from->user),
        .password = span_of_bytes(from->password),
    };
    bool is_known = from->scheme == XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_UNSPECIFIED ||
                    storage->scheme != AUTH_SCHEME_NONE;
    if (!is_known || storage->scheme == AUTH_SCHEME_BEARER)
        return refuse(why, "proxy: logs in by AUTH_SCHEME_BASIC, _DIGEST or _ANY");
    if (storage->scheme == AUTH_SCHEME_NONE && storage->user.len + storage->password.len > 0)
        storage->scheme = AUTH_SCHEME_BASIC;
    *ret = storage;
    return 0;
}

static int take_proxies(const Xhrd__V1__ProxyOptions *from,
                        struct request_options *to,
                        struct failure *why)
{
    struct request_proxy_choice http;
    struct request_proxy_choice https;
    struct request_proxies proxies = {0};

    if (!from)
        return 0;
    proxies.direct = from->direct;
    proxies.no_proxy = span_of_bytes(from->no_proxy);
    proxies.tunnel = from->tunnel;
    int r = take_proxy(from->http, &http, &proxies.http, why);
    if (r == 0)
        r = take_proxy(from->https, &https, &proxies.https, why);
    return r < 0 ? r : request_options_set_proxies(to, &proxies, why);
}

static int take_network(const Xhrd__V1__NetworkOptions *from,
                        struct request_options *to,
                        struct failure *why)
{
    int r = 0;

    if (!from)
        return 0;
    to->family = (uint8_t)from->family;
    for (size_t i = 0; r == 0 && i < from->n_resolve; i++)
        r = take_resolve(from->resolve[i], to, why);
    for (size_t i = 0; r == 0 && i < from->n_connect_to; i++)
        r = take_connect_to(from->connect_to[i], to, why);
    for (size_t i = 0; r == 0 && i < from->n_local_addresses; i++)
        r = request_options_add_source(to, span_of_bytes(from->local_addresses[i]), why);
    return r < 0 ? r : take_proxies(from->proxy, to, why);
}

static int take_private_jar(struct client *client,
                            const open_message *message,
                            struct request_options *to,
                            struct failure *why)
{
    int r = client_find_private_jar(client, span_of(message->jar), &to->private_jar);

    if (r >= 0)
        return 0;
    failure_set(why, FAILURE_INTERNAL, "out of memory");
    return r;
}

/* Whoever is to sign: the client that asks. */
static int take_signer(struct client *client,
                       const Xhrd__V1__TlsOptions *message,
                       struct request_tls *terms,
                       struct failure *why)
{
    if (!message->client_signs)
        return 0;
    if (terms->identity.len == 0 || terms->passphrase.len > 0) {
        failure_set(why, FAILURE_ARGUMENT,
                    "tls: client_signs goes with a client_certificate, which has no key and "
                    "wants no passphrase");
        return -EINVAL;
    }
    terms->answer_handle = message->sign_handle;
    int r = client_answerer(client, &terms->answerer);
    if (r < 0)
        failure_set(why, FAILURE_INTERNAL, "out of memory");
    return r;
}

static int take_tls(struct client *client,
                    const Xhrd__V1__TlsOptions *message,
                    struct request_options *to,
                    struct failure *why)
{
    struct span pins[REQUEST_PINS_MAX];
    struct request_tls terms = {
        .min_version = message->min_version,
        .max_version = message->max_version,
        .identity = span_of_bytes(message->client_certificate),
        .passphrase = span_of_bytes(message->passphrase),
        .pins = pins,
        .n_pins = message->n_pins,
        .status = message->status,
    };

    for (size_t i = 0; i < message->n_pins && i < REQUEST_PINS_MAX; i++)
        pins[i] = span_of_bytes(message->pins[i]);
    int r = request_options_set_tls(to, message->insecure, span_of_bytes(message->ca_pem), why);
    if (r == 0)
        r = take_signer(client, message, &terms, why);
    return r < 0 ? r : request_options_set_tls_terms(to, &terms, why);
}

/* Descriptors first: whatever else is wrong, they leave the session's queue with the message.
 */
int fetch_options_of_message(struct client *client,
                             const open_message *message,
                             struct request_options *ret,
                             struct failure *why)
{
    int r_body = take_body(client, message, ret, why);
    struct failure response_why;
    int r = take_response(client, message, ret, &response_why);

    if (r_body < 0)
        return r_body;
    if (r < 0) {
        *why = response_why;
        return r;
    }
    ret->partition = client->partition;
    ret->gids = client->peer.gids;
    ret->n_gids = client->peer.n_gids;
    ret->unit = client_unit(client);
    ret->rights = &client->rights.fetch;
    ret->no_keep_alive = message->no_keep_alive;
    ret->asks_challenges = message->ask_challenges;
    ret->tells_certificates = message->tell_certificates;
    ret->early_data = message->tls && message->tls->early_data;
    take_redirects(message->redirect_options, ret);
    ret->cache = message->cache;
    take_timeouts(client, message->timeouts, ret);
    r = request_options_set_method(ret, span_of_bytes(message->method), why);
    if (r == 0)
        r = request_options_set_url(ret, span_of_bytes(message->url), message->url_as_given,
                                    why);
    if (r == 0)
        r = take_headers(message, ret, why);
    if (r == 0)
        r = take_modes(message, ret, why);
    if (r == 0)
        r = take_http(message, ret, why);
    if (r == 0)
        r = take_private_jar(client, message, ret, why);
    if (r == 0 && message->tls)
        r = take_tls(client, message->tls, ret, why);
    if (r == 0 && message->verdict)
        r = request_options_set_verdict(ret, message->verdict->deadline_ms, why);
    if (r == 0)
        r = take_credentials(message->credentials, ret, why);
    if (r == 0)
        r = take_network(message->network, ret, why);
    return r == 0 ? request_options_check(ret, why) : r;
}
