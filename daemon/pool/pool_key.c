/* SPDX-License-Identifier: MIT */
#include "pool/pool_key.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "net/tls_context.h"
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

static bool tls_is_default(const struct pool_tls *tls)
{
    return !tls->insecure && tls->ca_pem.len == 0 && tls->min_version == 0 &&
           tls->max_version == 0;
}

/* One byte for what nearly everyone wants, else the digest that net/ itself compares by. */
static int put_tls(struct buf *out, const struct pool_key *key)
{
    uint8_t mark = !key->origin.is_https ? 0 : tls_is_default(&key->tls) ? 1 : 2;

    int r = put(out, &mark, sizeof(mark));
    if (r < 0 || mark != 2)
        return r;
    struct tls_config config = pool_tls_config(&key->tls);
    struct tls_digest digest;
    r = tls_config_digest(&config, &digest);
    if (r < 0)
        return r;
    return put(out, digest.bytes, sizeof(digest.bytes));
}

struct tls_config pool_tls_config(const struct pool_tls *tls)
{
    return (struct tls_config){.insecure = tls->insecure,
                               .ca_pem = tls->ca_pem,
                               .min_version = tls->min_version,
                               .max_version = tls->max_version};
}

int pool_key_encode(struct buf *out, const struct pool_key *key)
{
    uint8_t scheme = key->origin.is_https;
    size_t len = out->len;

    int r = put(out, &key->partition.uid, sizeof(key->partition.uid));
    if (r == 0)
        r = put_span(out, span_of(key->partition.profile));
    if (r == 0)
        r = put(out, &scheme, sizeof(scheme));
    if (r == 0)
        r = put_span(out, origin_host(&key->origin));
    if (r == 0)
        r = put(out, &key->origin.port, sizeof(key->origin.port));
    if (r == 0)
        r = put(out, &key->proxy.kind, sizeof(key->proxy.kind));
    if (r == 0)
        r = put(out, key->proxy.identity, sizeof(key->proxy.identity));
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

int pool_key_copy(struct pool_key *ret, const struct pool_key *key, void **ret_storage)
{
    size_t n = key->route.n_addresses;
    size_t size = n * sizeof(struct span) + key->route.host.len + key->tls.ca_pem.len;

    for (size_t i = 0; i < n; i++)
        size += key->route.addresses[i].len;
    struct span *spans = mem_alloc(size);
    if (!spans)
        return fault(-ENOMEM);
    char *at = (char *)(spans + n);
    *ret = *key;
    ret->route.host = store(&at, key->route.host);
    ret->tls.ca_pem = store(&at, key->tls.ca_pem);
    for (size_t i = 0; i < n; i++)
        spans[i] = store(&at, key->route.addresses[i]);
    ret->route.addresses = spans;
    *ret_storage = spans;
    return 0;
}
