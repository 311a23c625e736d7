/* SPDX-License-Identifier: MIT */
/* create, open, setRequestHeader and send, in one message. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "form.h"
#include "xhr_priv.h"

#define FORM_TYPE "application/x-www-form-urlencoded"
#define JSON_TYPE "application/json"

/* The message and everything it points to; packed before it goes out of scope. */
struct parts {
    Xhrd__V1__ClientMessage message;
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__RequestBody body;
    Xhrd__V1__StreamBody stream;
    Xhrd__V1__FdBody fd;
    Xhrd__V1__Timeouts timeouts;
    Xhrd__V1__TlsOptions tls;
    Xhrd__V1__VerdictOptions verdict;
    ProtobufCBinaryData pins[16];
    Xhrd__V1__Credentials credentials;
    Xhrd__V1__RedirectOptions redirects;
    Xhrd__V1__NetworkOptions network;
    Xhrd__V1__ProxyOptions proxies;
    Xhrd__V1__Proxy http_proxy;
    Xhrd__V1__Proxy https_proxy;
    Xhrd__V1__ResponseFd response_fd;
    Xhrd__V1__Header *headers;
    Xhrd__V1__Header **header_list;
    ProtobufCBinaryData *suppressed;
    Xhrd__V1__ResolveOverride *resolve;
    Xhrd__V1__ResolveOverride **resolve_list;
    Xhrd__V1__ConnectTo *connect_to;
    Xhrd__V1__ConnectTo **connect_to_list;
    ProtobufCBinaryData local_addresses[2];
    struct xhr_frame_fds fds;
};

static ProtobufCBinaryData borrow(const void *bytes, size_t len)
{
    return (ProtobufCBinaryData){len, xhr_unconst(bytes)};
}

static ProtobufCBinaryData borrow_text(const char *text)
{
    return borrow(text, text ? strlen(text) : 0);
}

static void parts_done(struct parts *parts)
{
    for (size_t i = 0; i < parts->network.n_resolve; i++)
        free(parts->resolve[i].addresses);
    free(parts->resolve);
    free(parts->resolve_list);
    free(parts->connect_to);
    free(parts->connect_to_list);
    free(parts->headers);
    free(parts->header_list);
    free(parts->suppressed);
}

static bool uses_cache(const struct xhr_request *request)
{
    enum xhr_cache_mode mode = request->options.set.cache;

    return (mode == XHR_CACHE_DEFAULT ? request->client->cache : mode) == XHR_CACHE_ON;
}

/* ---- header ---- */

/* Text and bytes of no said type: a form, as Android sends them, or nothing, as iOS. */
static enum xhr_body_types types_of(const struct xhr_request *request)
{
    return request->options.set.body_types ? request->options.set.body_types
                                           : request->client->body_types;
}

static const char *default_type(const struct xhr_request *request, const struct xhr_body *body)
{
    if (body->content_type)
        return body->content_type;
    if (body->kind == XHR_BODY_JSON)
        return JSON_TYPE;
    if (body->kind == XHR_BODY_PATH)
        return xhr_form_guess_type(body->path ? body->path : "", NULL);
    if (body->kind != XHR_BODY_STRING && body->kind != XHR_BODY_BYTES)
        return NULL;
    return types_of(request) == XHR_BODY_TYPES_IOS ? NULL : FORM_TYPE;
}

static void add_header(struct parts *parts, const char *name, const char *value)
{
    Xhrd__V1__Header *header = &parts->headers[parts->open.n_headers];

    xhrd__v1__header__init(header);
    header->name = borrow_text(name);
    header->value = borrow_text(value);
    parts->header_list[parts->open.n_headers++] = header;
}

static int put_headers(struct parts *parts,
                       const struct xhr_request *request,
                       const struct xhr_outgoing *out)
{
    const struct xhr_fields *fields = &request->fields;
    const char *type = default_type(request, &out->body);
    struct xhr_field more[3];
    size_t n_more = xhr_download_headers(request, more);

    if (fields->count == 0 && n_more == 0 && !type)
        return 0;
    parts->headers = calloc(fields->count + n_more + 1, sizeof(*parts->headers));
    parts->header_list = calloc(fields->count + n_more + 1, sizeof(Xhrd__V1__Header *));
    parts->suppressed = calloc(fields->count + 1, sizeof(*parts->suppressed));
    if (!parts->headers || !parts->header_list || !parts->suppressed)
        return -ENOMEM;
    for (size_t i = 0; i < fields->count; i++) {
        const struct xhr_field *field = &fields->at[i];

        if (out->forced_type && xhr_name_eq(field->name, "content-type"))
            add_header(parts, field->name, out->forced_type);
        else if (field->value)
            add_header(parts, field->name, field->value);
        else
            parts->suppressed[parts->open.n_suppressed_headers++] = borrow_text(field->name);
    }
    if (type && !xhr_fields_find(fields, "content-type"))
        add_header(parts, "Content-Type", type);
    for (size_t i = 0; i < n_more; i++)
        add_header(parts, more[i].name, more[i].value);
    parts->open.headers = parts->header_list;
    parts->open.suppressed_headers = parts->suppressed;
    return 0;
}

/* ---- body ---- */

/* A file in memory: unlike bytes on the socket it can be read again for a redirect. */
static int new_memfd(const uint8_t *bytes, size_t len)
{
    int fd = memfd_create("xhr-body", MFD_CLOEXEC);
    size_t done = 0;

    if (fd < 0)
        return -errno;
    while (done < len) {
        ssize_t n = write(fd, bytes + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int r = n < 0 ? -errno : -EIO;

            (void)close(fd);
            return r;
        }
        done += (size_t)n;
    }
    return fd;
}

static int put_fd(struct parts *parts, int fd, uint64_t offset, uint64_t length)
{
    if (fd < 0)
        return fd;
    parts->fds.fds[parts->fds.count++] = fd;
    xhrd__v1__fd_body__init(&parts->fd);
    parts->fd.offset = offset;
    if (length != XHR_LENGTH_UNKNOWN) {
        parts->fd.length_case = XHRD__V1__FD_BODY__LENGTH_LENGTH_BYTES;
        parts->fd.length_bytes = length;
    }
    parts->body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_FD;
    parts->body.fd = &parts->fd;
    return 0;
}

static int put_bytes(struct parts *parts, const struct xhr_body *body)
{
    uint64_t len = body->length;

    if (!body->bytes && (len > 0 || body->kind != XHR_BODY_BYTES))
        return -EINVAL;
    if (len == 0 && body->kind != XHR_BODY_BYTES)
        len = strlen(body->bytes);
    if (len > SIZE_MAX / 2)
        return -EINVAL;
    if (len > XHR_INLINE_BYTES)
        return put_fd(parts, new_memfd(body->bytes, (size_t)len), 0, len);
    parts->body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_INLINE_BYTES;
    parts->body.inline_bytes = borrow(body->bytes, (size_t)len);
    return 0;
}

static int put_stream(struct parts *parts, const struct xhr_body *body)
{
    if (!body->read)
        return -EINVAL;
    xhrd__v1__stream_body__init(&parts->stream);
    parts->stream.can_rewind = body->rewind != NULL;
    if (body->length != XHR_LENGTH_UNKNOWN) {
        parts->stream.length_case = XHRD__V1__STREAM_BODY__LENGTH_LENGTH_BYTES;
        parts->stream.length_bytes = body->length;
    }
    parts->body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_STREAM;
    parts->body.stream = &parts->stream;
    return 0;
}

/* Return: a descriptor or -errno. */
static int open_regular(const char *path)
{
    int fd = path && *path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    struct stat status;
    int r = 0;

    if (fd < 0)
        return path && *path ? -errno : -EINVAL;
    if (fstat(fd, &status) < 0)
        r = -errno;
    else if (!S_ISREG(status.st_mode))
        r = S_ISDIR(status.st_mode) ? -EISDIR : -ESPIPE;
    if (r == 0)
        return fd;
    (void)close(fd);
    return r;
}

static int put_body(struct parts *parts, const struct xhr_body *body)
{
    int fd;

    if (body->kind == XHR_BODY_NONE)
        return 0;
    xhrd__v1__request_body__init(&parts->body);
    parts->open.body = &parts->body;
    switch (body->kind) {
    case XHR_BODY_STRING:
    case XHR_BODY_BYTES:
    case XHR_BODY_JSON: return put_bytes(parts, body);
    case XHR_BODY_STREAM: return put_stream(parts, body);
    case XHR_BODY_FD:
        fd = body->fd < 0 ? -EBADF : fcntl(body->fd, F_DUPFD_CLOEXEC, 3);
        return put_fd(parts, fd == -1 ? -errno : fd, body->offset, body->length);
    case XHR_BODY_PATH:
        return put_fd(parts, open_regular(body->path), body->offset, XHR_LENGTH_UNKNOWN);
    case XHR_BODY_NONE:
    default: return -EINVAL;
    }
}

/* ---- options ---- */

static void put_timeouts(struct parts *parts, const struct xhr_request_options *set)
{
    Xhrd__V1__Timeouts *timeouts = &parts->timeouts;
    uint32_t connect = set->timeout_connect_ms ? set->timeout_connect_ms : set->timeout_ms;
    uint32_t idle = set->timeout_idle_ms ? set->timeout_idle_ms : set->timeout_ms;
    uint32_t total = set->timeout_for_resource_ms;

    if (!connect && !idle && !total && !set->waits_for_connectivity)
        return;
    xhrd__v1__timeouts__init(timeouts);
    if (connect) {
        timeouts->connect_case = XHRD__V1__TIMEOUTS__CONNECT_CONNECT_MS;
        timeouts->connect_ms = connect == XHR_NO_TIMEOUT ? 0 : connect;
    }
    if (idle) {
        timeouts->idle_case = XHRD__V1__TIMEOUTS__IDLE_IDLE_MS;
        timeouts->idle_ms = idle == XHR_NO_TIMEOUT ? 0 : idle;
    }
    if (total && total != XHR_NO_TIMEOUT) {
        timeouts->total_case = XHRD__V1__TIMEOUTS__TOTAL_TOTAL_MS;
        timeouts->total_ms = total;
    }
    timeouts->waits_for_connectivity = set->waits_for_connectivity;
    parts->open.timeouts = timeouts;
}

static int put_resolve(struct parts *parts, const struct xhr_request_options *set)
{
    parts->resolve = calloc(set->n_resolve, sizeof(*parts->resolve));
    parts->resolve_list = calloc(set->n_resolve, sizeof(Xhrd__V1__ResolveOverride *));
    if (!parts->resolve || !parts->resolve_list)
        return -ENOMEM;
    for (size_t i = 0; i < set->n_resolve; i++) {
        const struct xhr_resolve *from = &set->resolve[i];
        Xhrd__V1__ResolveOverride *to = &parts->resolve[i];

        xhrd__v1__resolve_override__init(to);
        parts->network.n_resolve++;
        to->host = borrow_text(from->host);
        to->port = from->port;
        to->addresses = calloc(from->n_addresses, sizeof(*to->addresses));
        if (!to->addresses)
            return -ENOMEM;
        for (size_t j = 0; j < from->n_addresses; j++)
            to->addresses[to->n_addresses++] = borrow_text(from->addresses[j]);
        parts->resolve_list[i] = to;
    }
    parts->network.resolve = parts->resolve_list;
    return 0;
}

static int put_connect_to(struct parts *parts, const struct xhr_request_options *set)
{
    parts->connect_to = calloc(set->n_connect_to, sizeof(*parts->connect_to));
    parts->connect_to_list = calloc(set->n_connect_to, sizeof(Xhrd__V1__ConnectTo *));
    if (!parts->connect_to || !parts->connect_to_list)
        return -ENOMEM;
    for (size_t i = 0; i < set->n_connect_to; i++) {
        const struct xhr_connect_to *from = &set->connect_to[i];
        Xhrd__V1__ConnectTo *to = &parts->connect_to[i];

        xhrd__v1__connect_to__init(to);
        to->host = borrow_text(from->host);
        to->port = from->port;
        to->to_host = borrow_text(from->to_host);
        to->to_port = from->to_port;
        parts->connect_to_list[i] = to;
    }
    parts->network.n_connect_to = set->n_connect_to;
    parts->network.connect_to = parts->connect_to_list;
    return 0;
}

static Xhrd__V1__Proxy *
put_proxy(Xhrd__V1__Proxy *to, const char *url, const struct xhr_request_options *set)
{
    static const Xhrd__V1__AuthScheme schemes[] = {
        [XHR_AUTH_BASIC] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC,
        [XHR_AUTH_DIGEST] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST,
        [XHR_AUTH_ANY] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_ANY,
    };

    if (!url || !url[0])
        return NULL;
    xhrd__v1__proxy__init(to);
    to->url = borrow_text(url);
    if (set->proxy_username || set->proxy_auth_scheme != XHR_AUTH_BASIC)
        to->scheme = schemes[set->proxy_auth_scheme];
    to->user = borrow_text(set->proxy_username);
    to->password = borrow_text(set->proxy_password);
    return to;
}

static bool says_proxies(const struct xhr_request_options *set)
{
    return set->proxy || set->https_proxy || set->proxy_tunnel ||
           (set->no_proxy && set->no_proxy[0]);
}

static void put_proxies(struct parts *parts, const struct xhr_request_options *set)
{
    Xhrd__V1__ProxyOptions *to = &parts->proxies;

    if (!says_proxies(set))
        return;
    xhrd__v1__proxy_options__init(to);
    parts->network.proxy = to;
    to->http = put_proxy(&parts->http_proxy, set->proxy, set);
    to->https =
        put_proxy(&parts->https_proxy, set->https_proxy ? set->https_proxy : set->proxy, set);
    to->direct = (set->proxy || set->https_proxy) && !to->http && !to->https;
    if (to->direct) /* then there is nothing to tunnel through, and no exception to it */
        return;
    to->no_proxy = borrow_text(set->no_proxy);
    to->tunnel = set->proxy_tunnel;
}

static void put_source(struct parts *parts, const struct xhr_source *source)
{
    const char *const addresses[] = {source->v4, source->v6};
    size_t n = 0;

    for (size_t i = 0; i < 2; i++) {
        if (addresses[i][0])
            parts->local_addresses[n++] = borrow_text(addresses[i]);
    }
    parts->network.local_addresses = parts->local_addresses;
    parts->network.n_local_addresses = n;
}

static int put_network(struct parts *parts, const struct xhr_options *options)
{
    const struct xhr_request_options *set = &options->set;
    int r = 0;

    if (set->family == 0 && set->n_resolve == 0 && set->n_connect_to == 0 && !set->interface &&
        !says_proxies(set))
        return 0;
    xhrd__v1__network_options__init(&parts->network);
    parts->open.network = &parts->network;
    put_proxies(parts, set);
    if (set->family)
        parts->network.family = set->family == 4
                                    ? XHRD__V1__ADDRESS_FAMILY__ADDRESS_FAMILY_IPV4
                                    : XHRD__V1__ADDRESS_FAMILY__ADDRESS_FAMILY_IPV6;
    put_source(parts, &options->source);
    if (set->n_resolve > 0)
        r = put_resolve(parts, set);
    if (r == 0 && set->n_connect_to > 0)
        r = put_connect_to(parts, set);
    return r;
}

static void put_security(struct parts *parts, const struct xhr_request_options *set)
{
    if (!set->insecure && set->ca_pem_len == 0 && set->client_certificate_len == 0 &&
        set->n_pinned_keys == 0 && set->tls_version_min == 0 && set->tls_version_max == 0 &&
        !set->certificate_status && !set->early_data)
        return;
    xhrd__v1__tls_options__init(&parts->tls);
    parts->tls.insecure = set->insecure;
    parts->tls.ca_pem = borrow(set->ca_pem, set->ca_pem_len);
    parts->tls.min_version = set->tls_version_min;
    parts->tls.max_version = set->tls_version_max;
    parts->tls.client_certificate =
        borrow(set->client_certificate, set->client_certificate_len);
    parts->tls.passphrase = borrow_text(set->passphrase);
    for (size_t i = 0; i < set->n_pinned_keys; i++)
        parts->pins[i] =
            borrow((const char *)set->pinned_keys + i * XHR_PIN_BYTES, XHR_PIN_BYTES);
    parts->tls.n_pins = set->n_pinned_keys;
    parts->tls.status = set->certificate_status;
    parts->tls.early_data = set->early_data;
    parts->tls.client_signs = set->client_signs;
    parts->tls.sign_handle = set->client_key;
    parts->tls.pins = parts->pins;
    parts->open.tls = &parts->tls;
}

static void put_credentials(struct parts *parts, const struct xhr_request_options *set)
{
    static const Xhrd__V1__AuthScheme schemes[] = {
        [XHR_AUTH_BASIC] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BASIC,
        [XHR_AUTH_DIGEST] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_DIGEST,
        [XHR_AUTH_ANY] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_ANY,
        [XHR_AUTH_BEARER] = XHRD__V1__AUTH_SCHEME__AUTH_SCHEME_BEARER,
    };

    if (!set->username && set->auth_scheme == XHR_AUTH_BASIC)
        return;
    xhrd__v1__credentials__init(&parts->credentials);
    parts->credentials.scheme = schemes[set->auth_scheme];
    parts->credentials.user = borrow_text(set->username);
    parts->credentials.password = borrow_text(set->password);
    parts->credentials.domain = borrow_text(set->domain);
    parts->credentials.preemptive = set->preemptive_auth;
    parts->credentials.bearer_token = borrow_text(set->bearer_token);
    parts->open.credentials = &parts->credentials;
}

static void put_redirects(struct parts *parts, const struct xhr_request *request)
{
    const struct xhr_request_options *set = &request->options.set;
    Xhrd__V1__RedirectOptions *redirects = &parts->redirects;

    xhrd__v1__redirect_options__init(redirects);
    redirects->ask = request->callbacks.onredirect != NULL;
    redirects->trust_hosts = set->location_trusted;
    redirects->auto_referer = set->auto_referer;
    redirects->keep_post_301 = set->keep_post_301;
    redirects->keep_post_302 = set->keep_post_302;
    redirects->keep_post_303 = set->keep_post_303;
    if (redirects->ask || redirects->trust_hosts || redirects->auto_referer ||
        redirects->keep_post_301 || redirects->keep_post_302 || redirects->keep_post_303)
        parts->open.redirect_options = redirects;
}

static void put_choices(Xhrd__V1__OpenRequest *open, const struct xhr_request_options *set)
{
    static const Xhrd__V1__HttpVersion versions[] = {
        [XHR_HTTP_BEST] = XHRD__V1__HTTP_VERSION__HTTP_VERSION_UNSPECIFIED,
        [XHR_HTTP_1_1] = XHRD__V1__HTTP_VERSION__HTTP_VERSION_1_1,
        [XHR_HTTP_2] = XHRD__V1__HTTP_VERSION__HTTP_VERSION_2,
    };
    static const Xhrd__V1__CookieMode modes[] = {
        [XHR_COOKIES_SEND_AND_STORE] = XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_AND_STORE,
        [XHR_COOKIES_SEND_ONLY] = XHRD__V1__COOKIE_MODE__COOKIE_MODE_SEND_ONLY,
        [XHR_COOKIES_NONE] = XHRD__V1__COOKIE_MODE__COOKIE_MODE_NONE,
    };

    open->redirect = set->no_redirect ? XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_STOP
                                      : XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_FOLLOW;
    if (set->redirects_max) {
        open->redirects_case = XHRD__V1__OPEN_REQUEST__REDIRECTS_REDIRECTS_MAX;
        open->redirects_max = set->redirects_max == XHR_NO_REDIRECTS ? 0 : set->redirects_max;
    }
    open->cookies = modes[set->cookies];
    if (set->jar)
        open->jar = xhr_unconst(set->jar);
    open->site = borrow_text(set->site);
    open->top_level_site = borrow_text(set->top_level_site);
    open->top_level_navigation = set->top_level_navigation;
    open->raw = set->raw;
    open->no_keep_alive = set->no_keep_alive;
    open->http_version = versions[set->http];
    open->tell_sent_headers = set->sent_headers;
    open->tell_certificates = set->tell_certificates;
    open->url_as_given = set->url_as_given;
    if (set->response_bytes_max) {
        open->body_limit_case = XHRD__V1__OPEN_REQUEST__BODY_LIMIT_RESPONSE_BYTES_MAX;
        open->response_bytes_max = set->response_bytes_max;
    }
}

static void put_response(struct parts *parts, struct xhr_request *request)
{
    uint32_t credit = request->options.set.credit_bytes;

    request->is_to_fd = request->response_fd >= 0;
    if (request->is_to_fd) {
        xhrd__v1__response_fd__init(&parts->response_fd);
        parts->response_fd.offset = request->response_offset;
        parts->open.response_fd = &parts->response_fd;
        return;
    }
    request->credit = 0;
    if (request->download) /* where it goes is decided when the head is in */
        return;
    request->credit = credit ? credit : XHR_CREDIT_BYTES;
    parts->open.response_credit_bytes = (uint32_t)request->credit;
}

static int
put_all(struct parts *parts, struct xhr_request *request, const struct xhr_outgoing *out)
{
    const struct xhr_request_options *set = &request->options.set;
    int r;

    xhrd__v1__client_message__init(&parts->message);
    xhrd__v1__open_request__init(&parts->open);
    parts->message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_OPEN;
    parts->message.open = &parts->open;
    parts->open.request_id = request->slot.id;
    parts->open.method = borrow_text(request->method);
    parts->open.url = borrow_text(request->url);
    put_choices(&parts->open, set);
    put_redirects(parts, request);
    parts->open.tell_hops = request->callbacks.on_hop != NULL;
    parts->open.ask_challenges = request->callbacks.on_challenge != NULL;
    if (request->callbacks.on_verdict) {
        xhrd__v1__verdict_options__init(&parts->verdict);
        parts->verdict.deadline_ms = request->options.set.verdict_timeout_ms;
        parts->open.verdict = &parts->verdict;
    }
    parts->open.cache = uses_cache(request);
    put_timeouts(parts, set);
    put_security(parts, set);
    put_credentials(parts, set);
    put_response(parts, request);
    r = put_headers(parts, request, out);
    r = r < 0 ? r : put_network(parts, &request->options);
    return r < 0 ? r : put_body(parts, &out->body);
}

int xhr_encode_open(struct xhr_request *request, const struct xhr_outgoing *out)
{
    struct parts parts = {0};
    unsigned own = 0;
    int r = put_all(&parts, request, out);

    own = parts.fds.count;
    if (r == 0) {
        if (request->response_fd >= 0) /* after the body's */
            parts.fds.fds[parts.fds.count++] = request->response_fd;
        r = xhr_link_queue(request->client, &parts.message, &request->slot, &parts.fds);
    }
    if (r < 0 && own > 0)
        (void)close(parts.fds.fds[0]);
    parts_done(&parts);
    return r;
}

int xhr_encode_body_to_fd(struct xhr_request *request,
                          const struct xhr_fd_place *place,
                          const struct xhr_frame_fds *fds)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__BodyToFd body_to_fd = XHRD__V1__BODY_TO_FD__INIT;
    Xhrd__V1__ResponseFd to = XHRD__V1__RESPONSE_FD__INIT;

    to.offset = place->offset;
    to.sync = place->sync;
    to.at_position = place->is_at_position;
    if (place->has_size_max) {
        to.limit_case = XHRD__V1__RESPONSE_FD__LIMIT_SIZE_MAX;
        to.size_max = place->size_max;
    }
    body_to_fd.request_id = request->slot.id;
    body_to_fd.to = &to;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD;
    message.body_to_fd = &body_to_fd;
    return xhr_link_queue(request->client, &message, NULL, fds);
}

int xhr_encode_simple(struct xhr_client *client,
                      Xhrd__V1__ClientMessage__KindCase kind,
                      uint32_t request_id,
                      uint32_t bytes)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AbortRequest abort_request = XHRD__V1__ABORT_REQUEST__INIT;
    Xhrd__V1__Credit credit = XHRD__V1__CREDIT__INIT;
    Xhrd__V1__BodyEnd body_end = XHRD__V1__BODY_END__INIT;

    message.kind_case = kind;
    abort_request.request_id = credit.request_id = body_end.request_id = request_id;
    credit.bytes = bytes;
    if (kind == XHRD__V1__CLIENT_MESSAGE__KIND_ABORT)
        message.abort = &abort_request;
    else if (kind == XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT)
        message.credit = &credit;
    else
        message.body_end = &body_end;
    return xhr_link_queue(client, &message, NULL, NULL);
}
