/* SPDX-License-Identifier: MIT */
#include "pool/pool_key.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/answerer.h"
#include "net/tls_context.h"
#include "net/tls_digest.h"
#include "pool/pool_priv.h"

static int put(struct buf *out, const void *bytes, size_t len)
{
    return buf_append(out, (struct span){bytes, len});
}

/* Its length first, or "ab","c" would be "a","bc". */
static int put_span(struct buf *out, struct span bytes)
{
    uint32_t len = (uint32_t)bytes.len;

    int r = put(out, &len, sizeof(len));
    return r < 0 ? r : buf_append(out, bytes);
}

static int put_route(struct buf *out, const struct pool_route *route)
{
    uint8_t n = (uint8_t)route->n_addresses;

    if (route->n_addresses > POOL_ADDRESSES_MAX)
        return fault(-EMSGSIZE);
    int r = put_span(out, route->host);
    if (r == 0)
        r = put(out, &route->port, sizeof(route->port));
    if (r == 0)
        r = put(out, &n, sizeof(n));
    for (size_t i = 0; r == 0 && i < route->n_addresses; i++)
        r = put_span(out, route->addresses[i]);
    return r;
}

/* A password is compared by its digest: keys are kept, and looked at by administrators. */
static int put_login(struct buf *out, const struct pool_proxy *proxy)
{
    struct buf login = BUF_INIT(0);
    uint8_t scheme = (uint8_t)proxy->scheme;
    uint8_t digest[32];
    /* Reserved in one piece: growing would leave copies of the password behind. */
    int r = buf_reserve(&login, 2 * sizeof(uint32_t) + proxy->user.len + proxy->password.len);

    if (r == 0)
        r = put_span(&login, proxy->user);
    if (r == 0)
        r = put_span(&login, proxy->password);
    if (r == 0)
        r = tls_sha256(buf_span(&login), digest);
    if (login.storage)
        explicit_bzero(login.storage, login.capacity);
    buf_done(&login);
    if (r == 0)
        r = put(out, &scheme, sizeof(scheme));
    return r < 0 ? r : put(out, digest, sizeof(digest));
}

static int put_proxy(struct buf *out, const struct pool_proxy *proxy)
{
    uint8_t way = (uint8_t)proxy->way;
    uint8_t is_https = proxy->at.is_https;

    int r = put(out, &way, sizeof(way));
    if (r < 0 || way == PROXY_WAY_DIRECT)
        return r;
    r = put(out, &is_https, sizeof(is_https));
    if (r == 0)
        r = put_span(out, origin_host(&proxy->at));
    if (r == 0)
        r = put(out, &proxy->at.port, sizeof(proxy->at.port));
    return r < 0 ? r : put_login(out, proxy);
}

static bool tls_is_default(const struct pool_tls *tls)
{
    return !tls->insecure && tls->ca_pem.len == 0 && tls->min_version == 0 &&
           tls->max_version == 0 && tls->identity.len == 0 && tls->pins.len == 0 &&
           !tls->status && !tls->in_full && !tls->answerer;
}

static int put_answerer(struct buf *out, const struct pool_tls *tls)
{
    uint64_t names[2] = {answerer_id(tls->answerer), tls->answer_handle};

    return put(out, names, sizeof(names));
}

enum tls_mark { TLS_MARK_PLAIN, TLS_MARK_DEFAULT, TLS_MARK_TERMS, TLS_MARK_ANSWERED };

static enum tls_mark tls_mark(const struct pool_key *key)
{
    if (!key->origin.is_https)
        return TLS_MARK_PLAIN;
    if (tls_is_default(&key->tls))
        return TLS_MARK_DEFAULT;
    return key->tls.answerer ? TLS_MARK_ANSWERED : TLS_MARK_TERMS;
}

/* One byte for what nearly everyone wants, else the digest that net/ itself compares by. */
static int put_tls(struct buf *out, const struct pool_key *key)
{
    uint8_t mark = (uint8_t)tls_mark(key);
    uint8_t both = (uint8_t)(mark | (key->tls.old_version & 0xf) << 4); /* 0, 1 or 2: TLS 1.x */

    int r = put(out, &both, sizeof(both));
    if (r < 0 || mark < TLS_MARK_TERMS)
        return r;
    struct tls_config config = pool_tls_config(&key->tls);
    struct tls_digest digest;
    r = tls_config_digest(&config, &digest);
    if (r < 0)
        return r;
    r = put(out, digest.bytes, sizeof(digest.bytes));
    return r < 0 || mark != TLS_MARK_ANSWERED ? r : put_answerer(out, &key->tls);
}

struct tls_config pool_tls_config(const struct pool_tls *tls)
{
    return (struct tls_config){.insecure = tls->insecure,
                               .ca_pem = tls->ca_pem,
                               .min_version = tls->min_version,
                               .max_version = tls->max_version,
                               .identity = tls->identity,
                               .key_is_elsewhere = tls->answerer != NULL,
                               .passphrase = tls->passphrase,
                               .pins = tls->pins,
                               .status = tls->status,
                               .in_full = tls->in_full};
}

/* A private jar's name is no other jar's, so what stands behind it is not taken for anything
 * else. */
static int put_jar(struct buf *out, const struct pool_key *key)
{
    int r = put_span(out, key->jar);

    return r == 0 && key->private_jar ? put(out, &key->private_jar, sizeof(key->private_jar))
                                      : r;
}

int pool_key_encode(struct buf *out, const struct pool_key *key)
{
    uint8_t scheme = key->origin.is_https;
    uint8_t http = (uint8_t)key->http;
    size_t len = out->len;

    int r = put(out, &key->partition.uid, sizeof(key->partition.uid));
    if (r == 0)
        r = put_span(out, span_of(key->partition.profile));
    if (r == 0)
        r = put_jar(out, key);
    if (r == 0)
        r = put(out, &scheme, sizeof(scheme));
    if (r == 0)
        r = put_span(out, origin_host(&key->origin));
    if (r == 0)
        r = put(out, &key->origin.port, sizeof(key->origin.port));
    if (r == 0)
        r = put_proxy(out, &key->proxy);
    if (r == 0)
        r = put_route(out, &key->route);
    if (r == 0)
        r = put_tls(out, key);
    if (r == 0)
        r = put(out, &key->family, sizeof(key->family));
    if (r == 0)
        r = put_span(out, span_of(key->source.v4));
    if (r == 0)
        r = put_span(out, span_of(key->source.v6));
    if (r == 0)
        r = put(out, &http, sizeof(http));
    if (r == 0 && key->networks.n > 0) /* the last member: nothing where there are none */
        r = put(out, key->networks.digest, sizeof(key->networks.digest));
    if (r < 0)
        out->len = len;
    return r;
}

static struct span store(char **at, struct span bytes)
{
    struct span copy = {*at, bytes.len};

    if (bytes.len > 0)
        memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
    return copy;
}

/* What a copy's spans point into. Holds a password, so its size is known when it goes. */
struct key_storage {
    size_t size;
    struct answerer *answerer;
    struct span addresses[]; /* the networks behind them, then bytes */
};

int pool_key_copy(struct pool_key *ret, const struct pool_key *key, void **ret_storage)
{
    size_t n = key->route.n_addresses;
    size_t networks_size = key->networks.n * sizeof(*key->networks.at);
    size_t size = sizeof(struct key_storage) + n * sizeof(struct span) + networks_size +
                  key->jar.len + key->route.host.len + key->tls.ca_pem.len +
                  key->tls.identity.len + key->tls.passphrase.len + key->tls.pins.len +
                  key->proxy.user.len + key->proxy.password.len;

    for (size_t i = 0; i < n; i++)
        size += key->route.addresses[i].len;
    struct key_storage *storage = mem_alloc(size);
    if (!storage)
        return fault(-ENOMEM);
    storage->size = size;
    storage->answerer = key->tls.answerer ? answerer_ref(key->tls.answerer) : NULL;
    char *at = (char *)(storage->addresses + n);
    *ret = *key;
    if (networks_size > 0)
        memcpy(at, key->networks.at, networks_size);
    ret->networks.at = (const struct access_network *)(const void *)at;
    at += networks_size;
    ret->jar = store(&at, key->jar);
    ret->route.host = store(&at, key->route.host);
    ret->tls.ca_pem = store(&at, key->tls.ca_pem);
    ret->tls.identity = store(&at, key->tls.identity);
    ret->tls.passphrase = store(&at, key->tls.passphrase);
    ret->tls.pins = store(&at, key->tls.pins);
    ret->proxy.user = store(&at, key->proxy.user);
    ret->proxy.password = store(&at, key->proxy.password);
    for (size_t i = 0; i < n; i++)
        storage->addresses[i] = store(&at, key->route.addresses[i]);
    ret->route.addresses = storage->addresses;
    *ret_storage = storage;
    return 0;
}

void pool_key_storage_free(void *storage)
{
    struct key_storage *of_key = storage;

    if (!of_key)
        return;
    of_key->answerer = answerer_unref(of_key->answerer);
    mem_free_secret(of_key, of_key->size);
}
