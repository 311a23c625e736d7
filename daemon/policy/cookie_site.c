/* SPDX-License-Identifier: MIT */
/*
 * On whose behalf a request is made: same-site or cross-site (RFC 6265bis §5.2), and which
 * top-level site partitions its cookies. A site is a scheme and a registrable domain
 * (HTML, "same site"); where a host has none it is the host.
 */
#include "policy/cookie_jar_priv.h"

bool cookie_is_same_site(const struct cookie_jar *jar,
                         const struct cookie_request *request,
                         const struct cookie_place *place)
{
    struct cookie_place client;

    if (request->site.host.len == 0)
        return true; /* it has no client, as what is typed into an address bar */
    return request->site.is_https == request->is_secure &&
           jar_place(jar, request->site.host, &client) && span_eq(client.site, place->site);
}

static struct span append(char *storage, size_t at, struct span text)
{
    size_t room = COOKIE_PARTITION_MAX - at;
    size_t len = text.len < room ? text.len : room;

    memcpy(storage + at, text.ptr, len);
    return (struct span){storage, at + len};
}

struct span cookie_partition_key(const struct cookie_jar *jar,
                                 const struct cookie_request *request,
                                 const struct cookie_place *place,
                                 char storage[COOKIE_PARTITION_MAX])
{
    const struct cookie_origin *top =
        request->top_level.host.len > 0 ? &request->top_level : &request->site;
    bool is_https = top->host.len > 0 ? top->is_https : request->is_secure;
    struct span scheme = is_https ? SPAN_LIT("https://") : SPAN_LIT("http://");
    struct cookie_place seen = *place;

    if (top->host.len > 0 && !jar_place(jar, top->host, &seen))
        seen.site = top->host; /* no cookie can be its own, but those below it are apart */
    return append(storage, append(storage, 0, scheme).len, seen.site);
}
