/* SPDX-License-Identifier: MIT */
#include "http/origin.h"

int origin_of_url(const struct url *url, struct origin *ret)
{
    struct origin origin = {0};

    if (!url_is_http(url))
        return ORIGIN_E_SCHEME;
    if (url->host_kind == HOST_DOMAIN && !host_fits_dns(url->host))
        return ORIGIN_E_HOST_LONG;
    if (url->host.len >= sizeof(origin.host))
        return ORIGIN_E_HOST_LONG;
    int32_t port = url_effective_port(url);
    if (port == 0)
        return ORIGIN_E_PORT_ZERO;

    origin.is_https = url->scheme.len == 5;
    origin.is_ip = url->host_kind != HOST_DOMAIN;
    origin.port = (uint16_t)port;
    memcpy(origin.host, url->host.ptr, url->host.len);
    *ret = origin;
    return ORIGIN_OK;
}

const char *origin_outcome_text(int outcome)
{
    switch (outcome) {
    case ORIGIN_OK: return "an origin";
    case ORIGIN_E_SCHEME: return "the scheme is not one that is fetched; use http or https";
    case ORIGIN_E_HOST_LONG: return host_outcome_text(HOST_E_TOO_LONG);
    case ORIGIN_E_PORT_ZERO: return "nothing listens on port 0; write one from 1 to 65535";
    default: return "not an origin";
    }
}

bool origin_eq(const struct origin *a, const struct origin *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static size_t put(char *ret, size_t at, struct span text)
{
    memcpy(ret + at, text.ptr, text.len);
    return at + text.len;
}

static size_t put_authority(const struct origin *origin, char *ret, size_t at)
{
    at = put(ret, at, origin_host(origin));
    if (!origin_has_default_port(origin)) {
        char digits[5];
        size_t n = sizeof(digits);
        unsigned port = origin->port;

        for (; port > 0; port /= 10)
            digits[--n] = (char)('0' + port % 10);
        ret[at++] = ':';
        at = put(ret, at, (struct span){digits + n, sizeof(digits) - n});
    }
    ret[at] = '\0';
    return at;
}

size_t origin_format(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE])
{
    size_t at = put(ret, 0, origin->is_https ? SPAN_LIT("https://") : SPAN_LIT("http://"));

    return put_authority(origin, ret, at);
}

size_t origin_format_authority(const struct origin *origin, char ret[ORIGIN_TEXT_SIZE])
{
    return put_authority(origin, ret, 0);
}
