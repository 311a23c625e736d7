/* SPDX-License-Identifier: MIT */
/* A program's options, copied whole, so that what it gave may go when the call returns. */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define IDENTITY_MAX   (256U * 1024)
#define PINS_MAX       16
#define VERDICT_MS_MAX 600000u
#define LIST_MAX       256     /* overrides of names and of where to connect */
#define CA_PEM_MAX     786432u /* it must fit a message of 1 MiB */

int xhr_take_sized(void *to, size_t to_size, const void *from)
{
    size_t size = *(const size_t *)from;
    const uint8_t *bytes = from;

    if (size < sizeof(size_t))
        return -EINVAL;
    /* A program made for a later version may only use what we know of. */
    for (size_t i = to_size; i < size; i++)
        if (bytes[i])
            return -EINVAL;
    memset(to, 0, to_size);
    memcpy(to, from, size < to_size ? size : to_size);
    return 0;
}

bool xhr_is_body_types(enum xhr_body_types types)
{
    return types == XHR_BODY_TYPES_DEFAULT || types == XHR_BODY_TYPES_ANDROID ||
           types == XHR_BODY_TYPES_IOS;
}

bool xhr_is_cache_mode(enum xhr_cache_mode mode)
{
    return mode == XHR_CACHE_DEFAULT || mode == XHR_CACHE_OFF || mode == XHR_CACHE_ON;
}

static bool is_sane_login(const struct xhr_request_options *set)
{
    bool is_bearer = set->auth_scheme == XHR_AUTH_BEARER;

    return set->auth_scheme >= XHR_AUTH_BASIC && set->auth_scheme <= XHR_AUTH_BEARER &&
           !(set->password && !set->username) && is_bearer == (set->bearer_token != NULL) &&
           !(is_bearer && set->username) && !(set->domain && !set->username) &&
           !(set->preemptive_auth && set->auth_scheme != XHR_AUTH_BASIC);
}

/* A login goes to a proxy that is named here, not to the daemon's. */
static bool is_sane_proxy(const struct xhr_request_options *set)
{
    bool is_named = (set->proxy && set->proxy[0]) || (set->https_proxy && set->https_proxy[0]);

    return set->proxy_auth_scheme >= XHR_AUTH_BASIC && set->proxy_auth_scheme <= XHR_AUTH_ANY &&
           !(set->proxy_password && !set->proxy_username) &&
           !(set->proxy_username && !is_named);
}

static bool is_tls_version(unsigned version)
{
    return version == 0 || (version >= XHR_TLS_1_0 && version <= XHR_TLS_1_3);
}

static bool are_sane_fds(const struct xhr_request_options *set)
{
    return set->ca_fd >= 0 && set->client_certificate_fd >= 0 &&
           !(set->ca_fd && set->ca_pem_len > 0) &&
           !(set->client_certificate_fd && set->client_certificate_len > 0);
}

static bool is_sane_tls(const struct xhr_request_options *set)
{
    bool has_certificate = set->client_certificate_len > 0 || set->client_certificate_fd > 0;

    return is_tls_version(set->tls_version_min) && is_tls_version(set->tls_version_max) &&
           (set->tls_version_max == 0 || set->tls_version_max >= set->tls_version_min) &&
           set->client_certificate_len <= IDENTITY_MAX && set->n_pinned_keys <= PINS_MAX &&
           (set->client_certificate || set->client_certificate_len == 0) &&
           (set->pinned_keys || set->n_pinned_keys == 0) &&
           !(set->certificate_status && set->insecure) && are_sane_fds(set) &&
           set->verdict_timeout_ms <= VERDICT_MS_MAX &&
           !(set->passphrase && (!has_certificate || set->client_signs)) &&
           !(set->client_signs && !has_certificate);
}

static bool is_sane(const struct xhr_request_options *set)
{
    return is_sane_tls(set) && (set->family == 0 || set->family == 4 || set->family == 6) &&
           set->cookies >= XHR_COOKIES_SEND_AND_STORE && set->cookies <= XHR_COOKIES_NONE &&
           set->http >= XHR_HTTP_BEST && set->http <= XHR_HTTP_2 &&
           xhr_is_body_types(set->body_types) && xhr_is_cache_mode(set->cache) &&
           set->n_resolve <= LIST_MAX && set->n_connect_to <= LIST_MAX &&
           set->ca_pem_len <= CA_PEM_MAX && (set->ca_pem || set->ca_pem_len == 0) &&
           is_sane_login(set) && is_sane_proxy(set);
}

static void free_resolve(struct xhr_resolve *resolve)
{
    for (size_t i = 0; i < resolve->n_addresses; i++)
        free(xhr_unconst(resolve->addresses[i]));
    free(xhr_unconst(resolve->addresses));
    free(xhr_unconst(resolve->host));
}

static int copy_resolve(struct xhr_resolve *to, const struct xhr_resolve *from)
{
    char *text = NULL;

    if (!from->host || from->n_addresses == 0 || from->n_addresses > LIST_MAX)
        return -EINVAL;
    to->port = from->port;
    if (xhr_dup_string(from->host, &text) < 0)
        return -ENOMEM;
    to->host = text;
    const char **addresses = calloc(from->n_addresses, sizeof(*addresses));
    if (!addresses)
        return -ENOMEM;
    to->addresses = addresses;
    for (; to->n_addresses < from->n_addresses; to->n_addresses++) {
        if (!from->addresses[to->n_addresses])
            return -EINVAL;
        if (xhr_dup_string(from->addresses[to->n_addresses], &text) < 0)
            return -ENOMEM;
        addresses[to->n_addresses] = text;
    }
    return 0;
}

static int copy_connect_to(struct xhr_connect_to *to, const struct xhr_connect_to *from)
{
    char *host = NULL;
    char *to_host = NULL;
    int r = xhr_dup_string(from->host, &host);

    to->host = host;
    if (r == 0)
        r = xhr_dup_string(from->to_host, &to_host);
    to->to_host = to_host;
    to->port = from->port;
    to->to_port = from->to_port;
    return r;
}

static int copy_lists(struct xhr_options *options, const struct xhr_request_options *from)
{
    int r = 0;

    options->resolve = calloc(from->n_resolve + 1, sizeof(*options->resolve));
    options->connect_to = calloc(from->n_connect_to + 1, sizeof(*options->connect_to));
    if (!options->resolve || !options->connect_to)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < from->n_resolve; i++) {
        options->set.n_resolve++;
        r = copy_resolve(&options->resolve[i], &from->resolve[i]);
    }
    for (size_t i = 0; r == 0 && i < from->n_connect_to; i++) {
        options->set.n_connect_to++;
        r = copy_connect_to(&options->connect_to[i], &from->connect_to[i]);
    }
    return r;
}

/* They are bytes from here on. */
static int read_fds(struct xhr_options *options, const struct xhr_request_options *from)
{
    struct xhr_request_options *set = &options->set;
    int r = 0;

    set->ca_fd = 0;
    set->client_certificate_fd = 0;
    if (from->ca_fd)
        r = xhr_take_contents(from->ca_fd, CA_PEM_MAX, &options->ca_pem, &set->ca_pem_len);
    if (r == 0 && from->client_certificate_fd)
        r = xhr_take_contents(from->client_certificate_fd, IDENTITY_MAX,
                              &options->client_certificate, &set->client_certificate_len);
    return r;
}

static int copy_tls(struct xhr_options *options, const struct xhr_request_options *from)
{
    int r = read_fds(options, from);

    if (r < 0)
        return r;
    if (from->client_certificate_len > 0)
        options->client_certificate =
            xhr_dup(from->client_certificate, from->client_certificate_len);
    if (from->n_pinned_keys > 0)
        options->pinned_keys = xhr_dup(from->pinned_keys, from->n_pinned_keys * XHR_PIN_BYTES);
    if ((from->client_certificate_len > 0 && !options->client_certificate) ||
        (from->n_pinned_keys > 0 && !options->pinned_keys))
        return -ENOMEM;
    return xhr_dup_string(from->passphrase, &options->passphrase);
}

static int copy_proxy(struct xhr_options *options, const struct xhr_request_options *from)
{
    int r = xhr_dup_string(from->proxy, &options->proxy);

    r = r < 0 ? r : xhr_dup_string(from->https_proxy, &options->https_proxy);
    r = r < 0 ? r : xhr_dup_string(from->proxy_username, &options->proxy_username);
    r = r < 0 ? r : xhr_dup_string(from->proxy_password, &options->proxy_password);
    return r < 0 ? r : xhr_dup_string(from->no_proxy, &options->no_proxy);
}

static int copy(struct xhr_options *options, const struct xhr_request_options *from)
{
    int r = xhr_dup_string(from->username, &options->username);

    r = r < 0 ? r : xhr_dup_string(from->password, &options->password);
    r = r < 0 ? r : xhr_dup_string(from->bearer_token, &options->bearer_token);
    r = r < 0 ? r : xhr_dup_string(from->domain, &options->domain);
    r = r < 0 ? r : xhr_dup_string(from->jar, &options->jar);
    r = r < 0 ? r : xhr_dup_string(from->site, &options->site);
    r = r < 0 ? r : xhr_dup_string(from->top_level_site, &options->top_level_site);
    r = r < 0 ? r : xhr_dup_string(from->interface, &options->interface);
    if (r == 0 && from->interface)
        r = xhr_source_find(&options->source, from->interface);
    r = r < 0 ? r : copy_proxy(options, from);
    if (r == 0 && from->ca_pem_len > 0) {
        options->ca_pem = xhr_dup(from->ca_pem, from->ca_pem_len);
        r = options->ca_pem ? 0 : -ENOMEM;
    }
    r = r < 0 ? r : copy_tls(options, from);
    if (r == 0 && (from->n_resolve > 0 || from->n_connect_to > 0))
        r = copy_lists(options, from);
    options->set.username = options->username;
    options->set.password = options->password;
    options->set.bearer_token = options->bearer_token;
    options->set.domain = options->domain;
    options->set.jar = options->jar;
    options->set.site = options->site;
    options->set.top_level_site = options->top_level_site;
    options->set.proxy = options->proxy;
    options->set.https_proxy = options->https_proxy;
    options->set.proxy_username = options->proxy_username;
    options->set.proxy_password = options->proxy_password;
    options->set.no_proxy = options->no_proxy;
    options->set.ca_pem = options->ca_pem;
    options->set.client_certificate = options->client_certificate;
    options->set.passphrase = options->passphrase;
    options->set.pinned_keys = options->pinned_keys;
    options->set.resolve = options->resolve;
    options->set.connect_to = options->connect_to;
    options->set.interface = options->interface;
    return r;
}

int xhr_options_take(struct xhr_options *options, const struct xhr_request_options *from)
{
    struct xhr_options fresh = {.set.size = sizeof(fresh.set)};
    struct xhr_request_options given;
    int r;

    if (from) {
        r = xhr_take_sized(&given, sizeof(given), from);
        if (r == 0 && !is_sane(&given))
            r = -EINVAL;
        if (r < 0)
            return r;
        fresh.set = given;
        fresh.set.n_resolve = 0;
        fresh.set.n_connect_to = 0;
        r = copy(&fresh, &given);
        if (r < 0) {
            xhr_options_done(&fresh);
            return r;
        }
    }
    xhr_options_done(options);
    *options = fresh;
    return 0;
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

void xhr_options_done(struct xhr_options *options)
{
    for (size_t i = 0; i < options->set.n_resolve; i++)
        free_resolve(&options->resolve[i]);
    for (size_t i = 0; i < options->set.n_connect_to; i++) {
        free(xhr_unconst(options->connect_to[i].host));
        free(xhr_unconst(options->connect_to[i].to_host));
    }
    free(options->resolve);
    free(options->connect_to);
    free(options->username);
    free_secret(options->password);
    free_secret(options->bearer_token);
    free(options->domain);
    free_secret(options->proxy); /* a URL may hold a password */
    free_secret(options->https_proxy);
    free(options->proxy_username);
    free_secret(options->proxy_password);
    free(options->no_proxy);
    free(options->jar);
    free(options->site);
    free(options->top_level_site);
    free(options->interface);
    free(options->ca_pem);
    if (options->client_certificate)
        explicit_bzero(options->client_certificate, options->set.client_certificate_len);
    free(options->client_certificate);
    free_secret(options->passphrase);
    free(options->pinned_keys);
    *options = (struct xhr_options){.set.size = sizeof(options->set)};
}
