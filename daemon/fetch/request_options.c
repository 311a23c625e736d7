/* SPDX-License-Identifier: MIT */
#include "fetch/request_options.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/fd_sink.h"
#include "fetch/passed_stream.h"
#include "http/auth_basic.h"
#include "http/auth_bearer.h"
#include "loop/answerer.h"

void request_options_init(struct request_options *options)
{
    *options = (struct request_options){
        .body_fd = -1,
        .response_fd = -1,
        .follow_redirects = true,
        .redirects_max = 20,
    };
    headers_init(&options->headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
}

static void free_resolve(struct request_options *options)
{
    for (size_t i = 0; i < options->n_resolve; i++) {
        struct request_resolve *entry = &options->resolve[i];

        for (size_t k = 0; k < entry->n_addresses; k++)
            mem_free(entry->addresses[k]);
        mem_free(entry->host);
    }
    mem_free(options->resolve);
}

static void free_connect_to(struct request_options *options)
{
    for (size_t i = 0; i < options->n_connect_to; i++) {
        mem_free(options->connect_to[i].host);
        mem_free(options->connect_to[i].to_host);
    }
    mem_free(options->connect_to);
}

static void sites_free(struct request_sites *sites)
{
    if (!sites)
        return;
    url_done(&sites->site);
    url_done(&sites->top_level);
    mem_free(sites);
}

static void own_proxies_free(struct request_own_proxies *own)
{
    if (!own)
        return;
    proxy_done(&own->http);
    proxy_done(&own->https);
    mem_free(own->no_proxy);
    mem_free(own);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void request_options_done(struct request_options *options)
{
    url_done(&options->url);
    mem_free(options->jar);
    mem_free(options->source);
    sites_free(options->sites);
    headers_done(&options->headers);
    mem_free(options->body_memory);
    close_fd(&options->body_fd);
    close_fd(&options->response_fd);
    mem_free(options->ca_pem_bytes);
    options->tls.answerer = answerer_unref(options->tls.answerer);
    mem_free_secret(options->identity_bytes, options->tls.identity.len);
    mem_free_secret(options->passphrase_bytes, options->tls.passphrase.len);
    mem_free(options->pin_bytes);
    own_proxies_free(options->proxies);
    mem_free(options->user);
    mem_free(options->domain);
    if (options->password)
        mem_free_secret(options->password, strlen(options->password));
    if (options->bearer_token)
        mem_free_secret(options->bearer_token, strlen(options->bearer_token));
    free_resolve(options);
    free_connect_to(options);
    request_options_init(options);
}

static int no_memory(struct failure *ret_why)
{
    failure_set(ret_why, FAILURE_INTERNAL, "out of memory");
    return fault(-ENOMEM);
}

/* What a caller wrote, cut so that the reason behind it still fits. */
static int shown(struct span text)
{
    return text.len > 60 ? 60 : (int)text.len;
}

int request_options_set_method(struct request_options *options,
                               struct span method,
                               struct failure *ret_why)
{
    if (!method_is_token(method)) {
        failure_set(ret_why, FAILURE_ARGUMENT,
                    "method \"%.*s\": wants 1 to %d letters, digits or !#$%%&'*+-.^_`|~",
                    shown(method), method.ptr, METHOD_BYTES_MAX);
        return -EINVAL;
    }
    if (method_is_forbidden(method)) {
        failure_set(ret_why, FAILURE_ARGUMENT, "method %.*s is not a caller's to use",
                    shown(method), method.ptr);
        return -EINVAL;
    }
    method = method_normalise(method);
    memcpy(options->method, method.ptr, method.len);
    options->method[method.len] = '\0';
    return 0;
}

int request_options_set_url(struct request_options *options,
                            struct span text,
                            bool as_given,
                            struct failure *ret_why)
{
    int r = url_parse(text, NULL, &options->url);

    if (r == -ENOMEM)
        return no_memory(ret_why);
    if (r != URL_OK) {
        failure_set(ret_why, FAILURE_URL, "\"%.*s\": %s", shown(text), text.ptr,
                    url_outcome_text(r));
        return -EINVAL;
    }
    if (!url_is_http(&options->url)) {
        failure_set(ret_why, FAILURE_POLICY, "scheme \"%.*s\": only http and https are fetched",
                    shown(options->url.scheme), options->url.scheme.ptr);
        return -EINVAL;
    }
    if (as_given && !span_eq(url_href(&options->url), text)) {
        failure_set(ret_why, FAILURE_URL,
                    "the URL is not in its encoded form; that would be %.*s",
                    shown(url_href(&options->url)), options->url.href);
        return -EINVAL;
    }
    return 0;
}

static int
set_origin(struct url *url, const char *name, struct span text, struct failure *ret_why)
{
    if (text.len == 0)
        return 0;
    int r = url_parse(text, NULL, url);
    if (r < 0)
        return no_memory(ret_why);
    if (r == URL_OK && url->host.len > 0 &&
        (span_eq(url->scheme, SPAN_LIT("https")) || span_eq(url->scheme, SPAN_LIT("http"))))
        return 0;
    failure_set(ret_why, FAILURE_ARGUMENT,
                "%s \"%.*s\": wants an http or https origin, as https://example.com", name,
                shown(text), text.ptr);
    return -EINVAL;
}

int request_options_set_jar(struct request_options *options,
                            struct span jar,
                            struct failure *ret_why)
{
    mem_free(options->jar);
    options->jar = jar.len > 0 ? mem_dup(jar) : NULL;
    return options->jar || jar.len == 0 ? 0 : no_memory(ret_why);
}

int request_options_set_site(struct request_options *options,
                             struct span site,
                             struct span top_level,
                             struct failure *ret_why)
{
    if (site.len == 0 && top_level.len == 0)
        return 0;
    if (!options->sites)
        options->sites = mem_zalloc(sizeof(*options->sites));
    if (!options->sites)
        return no_memory(ret_why);
    int r = set_origin(&options->sites->site, "site", site, ret_why);
    return r < 0 ? r
                 : set_origin(&options->sites->top_level, "top_level_site", top_level, ret_why);
}

int request_options_add_header(struct request_options *options,
                               struct span name,
                               struct span value,
                               struct failure *ret_why)
{
    const char *wrong = NULL;

    if (!header_name_is_token(name))
        wrong = "wants letters, digits or !#$%&'*+-.^_`|~ as its name";
    else if (!header_value_is_valid(value))
        wrong = "its value holds a line break or NUL";
    else if (header_is_forbidden_for_caller(name))
        wrong = span_ieq(name, SPAN_LIT("Proxy-Authorization"))
                    ? "is the engine's to set; the login of a proxy is an option of its own"
                    : "is the engine's to set";
    if (wrong) {
        failure_set(ret_why, FAILURE_ARGUMENT, "header \"%.*s\": %s", shown(name), name.ptr,
                    wrong);
        return -EINVAL;
    }
    int r = headers_add(&options->headers, name, span_trim_ows(value));
    if (r == 0)
        return 0;
    if (r == -EMSGSIZE)
        failure_set(ret_why, FAILURE_LIMIT, "more than %d headers or %d bytes of them",
                    HEADERS_COUNT_MAX, HEADERS_BYTES_MAX);
    else
        failure_set(ret_why, FAILURE_INTERNAL, "out of memory");
    return r == -EMSGSIZE ? -EINVAL : r;
}

int request_options_omit_header(struct request_options *options,
                                struct span name,
                                struct failure *ret_why)
{
    if (span_ieq(name, SPAN_LIT("Accept"))) {
        options->omit |= REQUEST_OMIT_ACCEPT;
    } else if (span_ieq(name, SPAN_LIT("Accept-Encoding"))) {
        options->omit |= REQUEST_OMIT_ACCEPT_ENCODING;
    } else if (span_ieq(name, SPAN_LIT("User-Agent"))) {
        options->omit |= REQUEST_OMIT_USER_AGENT;
    } else if (span_ieq(name, SPAN_LIT("Expect"))) {
        options->omit |= REQUEST_OMIT_EXPECT;
    } else if (header_is_forbidden_for_caller(name)) {
        failure_set(ret_why, FAILURE_ARGUMENT, "header \"%.*s\" cannot be left out",
                    shown(name), name.ptr);
        return -EINVAL;
    }
    return 0;
}

int request_options_set_inline_body(struct request_options *options,
                                    struct span bytes,
                                    struct failure *ret_why)
{
    char *copy = mem_dup(bytes);

    if (!copy)
        return no_memory(ret_why);
    request_options_lend_inline_body(options, (struct span){copy, bytes.len});
    options->body_memory = copy;
    return 0;
}

void request_options_lend_inline_body(struct request_options *options, struct span bytes)
{
    options->body_bytes = bytes.ptr;
    options->body_kind = REQUEST_BODY_INLINE;
    options->body_has_length = true;
    options->body_length = bytes.len;
}

/* O_PATH can do neither. */
static bool fd_is_open_for(int fd, int unwanted_mode, struct stat *ret_st)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != unwanted_mode &&
           fstat(fd, ret_st) == 0;
}

static bool is_file_or_stream(int fd, const struct stat *ret_st)
{
    return S_ISREG(ret_st->st_mode) || S_ISFIFO(ret_st->st_mode) ||
           (S_ISSOCK(ret_st->st_mode) && passed_stream_is_socket(fd));
}

static int refuse_fd(int fd, struct failure *ret_why, bool is_answers)
{
    const char *whose = is_answers ? "the answer's" : "the body's";

    if (fd < 0)
        failure_set(ret_why, FAILURE_ARGUMENT, "%s descriptor did not come along", whose);
    else
        failure_set(ret_why, FAILURE_ARGUMENT,
                    "%s descriptor: wants a regular file, a pipe%s or a connected stream "
                    "socket, open for %s",
                    whose, is_answers ? ", the null device" : "",
                    is_answers ? "writing" : "reading");
    return -EINVAL;
}

static int refuse_place(struct failure *ret_why, const char *whose, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "%s descriptor: %s", whose, what);
    return -EINVAL;
}

int request_options_set_fd_body(struct request_options *options,
                                int fd,
                                struct failure *ret_why)
{
    struct stat st;

    close_fd(&options->body_fd);
    options->body_fd = fd;
    options->body_kind = REQUEST_BODY_FD;
    if (fd < 0 || !fd_is_open_for(fd, O_WRONLY, &st) || !is_file_or_stream(fd, &st))
        return refuse_fd(fd, ret_why, false);
    if (!S_ISREG(st.st_mode) && options->body_offset > 0)
        return refuse_place(ret_why, "the body's", "a pipe or a socket wants offset 0");
    if (S_ISREG(st.st_mode) && !options->body_has_length) {
        uint64_t size = (uint64_t)st.st_size;

        options->body_has_length = true;
        options->body_length = size > options->body_offset ? size - options->body_offset : 0;
    }
    return 0;
}

int request_options_set_response_fd(struct request_options *options,
                                    int fd,
                                    struct failure *ret_why)
{
    struct stat st;

    close_fd(&options->response_fd);
    options->response_fd = fd;
    if (fd < 0 || !fd_is_open_for(fd, O_RDONLY, &st) ||
        (!is_file_or_stream(fd, &st) && !fd_sink_is_null(&st)))
        return refuse_fd(fd, ret_why, true);
    if (!S_ISREG(st.st_mode) && (options->response_offset > 0 || options->response_sync ||
                                 options->has_response_size_max))
        return refuse_place(ret_why, "the answer's",
                            "what is no regular file wants offset 0, no sync and no size_max");
    if (options->response_at_position &&
        (options->response_offset > 0 || options->has_response_size_max ||
         !(S_ISREG(st.st_mode) || fd_sink_is_null(&st))))
        return refuse_place(ret_why, "the answer's",
                            "at_position is of a regular file or the null device, and wants "
                            "offset 0 and no size_max");
    if ((options->response_offset > 0 || options->has_response_size_max) &&
        (fcntl(fd, F_GETFL) & O_APPEND))
        return refuse_place(
            ret_why, "the answer's",
            "opened with O_APPEND it is written behind its end and wants offset 0 and "
            "no size_max");
    return 0;
}

static int refuse_credentials(struct failure *ret_why, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "credentials: %s", what);
    return -EINVAL;
}

static int take_token(struct request_options *options,
                      const struct request_credentials *from,
                      struct failure *ret_why)
{
    if (from->user.len + from->password.len + from->domain.len > 0 || from->preemptive)
        return refuse_credentials(ret_why, "a bearer token has no user and no password and "
                                           "always goes ahead; give the token alone");
    if (!auth_bearer_is_token(from->token))
        return refuse_credentials(ret_why, "a bearer token wants 1 to 16384 printable ASCII "
                                           "characters and no blanks");
    options->bearer_token = mem_dup(from->token);
    return options->bearer_token ? 0 : no_memory(ret_why);
}

/* What Basic cannot carry is refused for Digest, too: the server may offer either. */
static int check_user(const struct request_credentials *from, struct failure *ret_why)
{
    CLEANUP_BUF struct buf value = BUF_INIT(0);
    int r = auth_basic_format(&value, from->user, from->password);

    if (value.storage)
        explicit_bzero(value.storage, value.capacity);
    if (r < 0)
        return no_memory(ret_why);
    return r == AUTH_BASIC_OK ? 0 : refuse_credentials(ret_why, auth_basic_outcome_text(r));
}

/* It goes before the user's name, behind a '\\' that is ours. */
static bool domain_is_fine(struct span domain)
{
    for (size_t i = 0; i < domain.len; i++) {
        unsigned char c = (unsigned char)domain.ptr[i];

        if (c < 0x20 || c == 0x7f || c == ':' || c == '\\' || c == '@')
            return false;
    }
    return domain.len <= REQUEST_DOMAIN_MAX;
}

int request_check_login(const struct request_credentials *from, struct failure *ret_why)
{
    if (!domain_is_fine(from->domain))
        return refuse_credentials(ret_why, "domain: wants at most 255 bytes without ':', "
                                           "'\\\\', '@' and control characters");
    if (from->domain.len > 0 && from->user.len == 0)
        return refuse_credentials(ret_why, "a domain wants a user");
    return check_user(from, ret_why);
}

static int take_user(struct request_options *options,
                     const struct request_credentials *from,
                     struct failure *ret_why)
{
    int r = request_check_login(from, ret_why);

    if (r < 0)
        return r;
    options->user = mem_dup(from->user);
    options->password = mem_dup(from->password);
    if (from->domain.len > 0) {
        options->domain = mem_dup(from->domain);
        if (!options->domain)
            return no_memory(ret_why);
    }
    options->auth_preemptive = from->preemptive;
    return options->user && options->password ? 0 : no_memory(ret_why);
}

int request_options_set_credentials(struct request_options *options,
                                    const struct request_credentials *from,
                                    struct failure *ret_why)
{
    bool is_basic = from->scheme == AUTH_SCHEME_BASIC;

    options->auth_scheme = from->scheme;
    if (from->scheme == AUTH_SCHEME_BEARER)
        return take_token(options, from, ret_why);
    if (from->token.len > 0)
        return refuse_credentials(ret_why, "a token wants AUTH_SCHEME_BEARER");
    if (from->preemptive && !is_basic)
        return refuse_credentials(ret_why, "only AUTH_SCHEME_BASIC can be preemptive");
    if (!is_basic && from->user.len + from->password.len + from->domain.len == 0)
        return 0; /* those of the URL */
    return take_user(options, from, ret_why);
}

int request_options_set_tls(struct request_options *options,
                            bool insecure,
                            struct span ca_pem,
                            struct failure *ret_why)
{
    if (ca_pem.len > REQUEST_CA_PEM_MAX) {
        failure_set(ret_why, FAILURE_LIMIT, "CA bundle: more than %u bytes",
                    REQUEST_CA_PEM_MAX);
        return -EINVAL;
    }
    options->tls.insecure = insecure;
    if (ca_pem.len == 0)
        return 0;
    options->ca_pem_bytes = mem_dup(ca_pem);
    if (!options->ca_pem_bytes)
        return no_memory(ret_why);
    options->tls.ca_pem = (struct span){options->ca_pem_bytes, ca_pem.len};
    return 0;
}

static int refuse_tls(struct failure *ret_why, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "tls: %s", what);
    return -EINVAL;
}

static bool is_version(unsigned version)
{
    return version == 0 || (version >= 0x0301 && version <= 0x0304);
}

static int check_terms(const struct request_tls *from, struct failure *ret_why)
{
    unsigned min = from->min_version ? from->min_version : 0x0301;

    if (!is_version(from->min_version) || !is_version(from->max_version))
        return refuse_tls(ret_why, "a version is 0x0301 (TLS 1.0) to 0x0304 (TLS 1.3)");
    if (from->max_version && from->max_version < min)
        return refuse_tls(ret_why, "the highest version is below the lowest");
    if (from->identity.len > REQUEST_IDENTITY_MAX ||
        from->passphrase.len > REQUEST_PASSPHRASE_MAX)
        return refuse_tls(ret_why,
                          "client certificate: at most 256 KiB, and a passphrase 1 KiB");
    if (from->n_pins > REQUEST_PINS_MAX)
        return refuse_tls(ret_why, "pins: at most 16");
    for (size_t i = 0; i < from->n_pins; i++) {
        if (from->pins[i].len != REQUEST_PIN_BYTES)
            return refuse_tls(ret_why, "pins: a SHA-256 digest has 32 bytes");
    }
    return 0;
}

static int copy_span(struct span from, char **ret_bytes, struct span *ret)
{
    if (from.len == 0)
        return 0;
    *ret_bytes = mem_dup(from);
    if (!*ret_bytes)
        return -ENOMEM;
    *ret = (struct span){*ret_bytes, from.len};
    return 0;
}

static int copy_pins(struct request_options *options, const struct request_tls *from)
{
    size_t len = from->n_pins * REQUEST_PIN_BYTES;

    if (len == 0)
        return 0;
    options->pin_bytes = mem_alloc(len);
    if (!options->pin_bytes)
        return -ENOMEM;
    for (size_t i = 0; i < from->n_pins; i++)
        memcpy(options->pin_bytes + i * REQUEST_PIN_BYTES, from->pins[i].ptr,
               REQUEST_PIN_BYTES);
    options->tls.pins = (struct span){options->pin_bytes, len};
    return 0;
}

/* RFC 8996: who asks for no version gets 1.2 at least; below is for those who name it. */
int request_options_set_tls_terms(struct request_options *options,
                                  const struct request_tls *from,
                                  struct failure *ret_why)
{
    int r = check_terms(from, ret_why);

    if (r < 0)
        return r;
    if (from->status && options->tls.insecure)
        return refuse_tls(ret_why, "status: with insecure there is no issuer to trust for it");
    options->tls.min_version = (uint16_t)from->min_version;
    options->tls.max_version = (uint16_t)from->max_version;
    options->tls.status = from->status;
    options->tls.answer_handle = from->answer_handle;
    if (from->answerer)
        options->tls.answerer = answerer_ref(from->answerer);
    if (from->max_version && !from->min_version && from->max_version < 0x0303)
        options->tls.min_version = 0x0301;
    r = copy_span(from->identity, &options->identity_bytes, &options->tls.identity);
    if (r == 0)
        r = copy_span(from->passphrase, &options->passphrase_bytes, &options->tls.passphrase);
    if (r == 0)
        r = copy_pins(options, from);
    return r < 0 ? no_memory(ret_why) : 0;
}

/* Such connections are never resumed: there is no verified chain to show then. */
int request_options_set_verdict(struct request_options *options,
                                uint32_t timeout_ms,
                                struct failure *ret_why)
{
    if (timeout_ms > REQUEST_VERDICT_MS_MAX) {
        failure_set(ret_why, FAILURE_ARGUMENT,
                    "verdict: a connection is held for it, ten minutes at most");
        return -EINVAL;
    }
    options->tls.in_full = true;
    options->verdict_timeout_us =
        (timeout_ms ? timeout_ms : REQUEST_VERDICT_MS) * INT64_C(1000);
    return 0;
}

static int refuse_proxy(struct failure *ret_why, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "proxy: %s", what);
    return -EINVAL;
}

static int
take_proxy(struct proxy *to, const struct request_proxy_choice *from, struct failure *ret_why)
{
    if (!from)
        return 0;
    int r = proxy_parse(from->url, to);
    /* A login in the URL is that proxy's own. */
    struct span user = r == PROXY_OK && to->user ? (struct span){0} : from->user;
    struct span password = r == PROXY_OK && to->user ? (struct span){0} : from->password;
    if (r == PROXY_OK && from->scheme != AUTH_SCHEME_NONE)
        r = proxy_set_login(to, from->scheme, user, password);
    if (r == PROXY_OK)
        return 0;
    return r < 0 ? no_memory(ret_why) : refuse_proxy(ret_why, proxy_outcome_text(r));
}

int request_options_set_proxies(struct request_options *options,
                                const struct request_proxies *from,
                                struct failure *ret_why)
{
    if (from->direct && (from->http || from->https || from->no_proxy.len > 0 || from->tunnel))
        return refuse_proxy(ret_why, "direct contradicts everything else said of proxies");
    if (from->no_proxy.len > PROXY_NO_PROXY_MAX ||
        (from->no_proxy.len > 0 && memchr(from->no_proxy.ptr, '\0', from->no_proxy.len)))
        return refuse_proxy(ret_why, "exceptions are text of at most 16384 bytes");
    options->has_proxies = from->direct || from->http || from->https;
    options->proxy_tunnel = from->tunnel;
    if (!from->http && !from->https && from->no_proxy.len == 0)
        return 0; /* directly, or as the daemon does */
    struct request_own_proxies *own = mem_zalloc(sizeof(*own));
    options->proxies = own;
    if (own && from->no_proxy.len > 0)
        own->no_proxy = mem_dup(from->no_proxy);
    if (!own || (from->no_proxy.len > 0 && !own->no_proxy))
        return no_memory(ret_why);
    int r = take_proxy(&own->http, from->http, ret_why);
    return r < 0 ? r : take_proxy(&own->https, from->https, ret_why);
}

static int refuse_route(struct failure *ret_why, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "%s", what);
    return -EINVAL;
}

int request_options_add_source(struct request_options *options,
                               struct span address,
                               struct failure *ret_why)
{
    struct host_name name;
    bool is_literal = host_name_parse(address, &name) == HOST_OK && name.kind != HOST_DOMAIN;
    bool is_v6 = is_literal && name.kind == HOST_IPV6;
    size_t size = is_v6 ? POOL_V6_SIZE : POOL_V4_SIZE;

    if (!is_literal || strlen(name.text) >= size)
        return refuse_route(ret_why, "local address: wants one such as 192.0.2.1 or ::1");
    if (!options->source)
        options->source = mem_zalloc(sizeof(*options->source));
    if (!options->source)
        return no_memory(ret_why);
    char *to = is_v6 ? options->source->v6 : options->source->v4;
    if (to[0] != '\0')
        return refuse_route(ret_why, "local address: one of each family is enough");
    memcpy(to, name.text, strlen(name.text) + 1);
    return 0;
}

int request_options_add_resolve(struct request_options *options,
                                struct span host,
                                uint32_t port,
                                const struct span *addresses,
                                size_t n_addresses,
                                struct failure *ret_why)
{
    if (options->n_resolve == REQUEST_ROUTES_MAX)
        return refuse_route(ret_why, "resolve: more than 64 entries");
    if (host.len == 0 || port == 0 || port > UINT16_MAX)
        return refuse_route(ret_why, "resolve: wants a host and a port from 1 to 65535");
    if (n_addresses == 0 || n_addresses > REQUEST_ADDRESSES_MAX)
        return refuse_route(ret_why, "resolve: wants 1 to 8 addresses");
    if (!options->resolve)
        options->resolve = mem_array(REQUEST_ROUTES_MAX, sizeof(*options->resolve));
    if (!options->resolve)
        return no_memory(ret_why);

    struct request_resolve *entry = &options->resolve[options->n_resolve++];
    struct host_name name;
    entry->port = (uint16_t)port;
    if (host_name_parse(host, &name) != HOST_OK)
        return refuse_route(ret_why, "resolve: that is no host name");
    entry->host = mem_dup(span_of(name.text));
    for (size_t i = 0; i < n_addresses; i++) {
        struct host_name address;

        if (host_name_parse(addresses[i], &address) != HOST_OK || address.kind == HOST_DOMAIN)
            return refuse_route(ret_why, "resolve: wants addresses such as 127.0.0.1 or ::1");
        entry->addresses[i] = mem_dup(span_of(address.text));
        entry->n_addresses = i + 1;
        if (!entry->addresses[i])
            return no_memory(ret_why);
    }
    return entry->host ? 0 : no_memory(ret_why);
}

static char *dup_host(const char *host)
{
    struct host_name name;

    if (!host || host[0] == '\0')
        return mem_dup((struct span){0});
    return host_name_parse(span_of(host), &name) == HOST_OK ? mem_dup(span_of(name.text))
                                                            : NULL;
}

int request_options_add_connect_to(struct request_options *options,
                                   const struct request_connect_to *from,
                                   struct failure *ret_why)
{
    if (options->n_connect_to == REQUEST_ROUTES_MAX)
        return refuse_route(ret_why, "connect-to: more than 64 entries");
    if (!options->connect_to)
        options->connect_to = mem_array(REQUEST_ROUTES_MAX, sizeof(*options->connect_to));
    if (!options->connect_to)
        return no_memory(ret_why);

    struct request_connect_to *entry = &options->connect_to[options->n_connect_to++];
    *entry = (struct request_connect_to){.port = from->port, .to_port = from->to_port};
    entry->host = dup_host(from->host);
    entry->to_host = dup_host(from->to_host);
    return entry->host && entry->to_host ? 0
                                         : refuse_route(ret_why, "connect-to: no host name");
}

int request_options_check(struct request_options *options, struct failure *ret_why)
{
    struct origin origin;
    int r = origin_of_url(&options->url, &origin);

    if (r != ORIGIN_OK) {
        failure_set(ret_why, FAILURE_URL, "%s", origin_outcome_text(r));
        return -EINVAL;
    }
    return 0;
}
