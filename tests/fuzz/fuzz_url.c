/* SPDX-License-Identifier: MIT */
/* A base and a reference, divided by a NUL: what comes out parses to itself and holds its
 * parts. */
#include <assert.h>
#include <stdint.h>

#include "http/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct url *url)
{
    struct span href = url_href(url);
    struct span parts[] = {url->scheme, url->username, url->password, url->host,
                           url->path,   url->query,    url->fragment};
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct origin origin;
    struct url again;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert(parts[i].ptr >= href.ptr && parts[i].ptr + parts[i].len <= href.ptr + href.len);
    assert(url_format(url, 0, &out) == 0 && span_eq(buf_span(&out), href));
    assert(url_parse(href, NULL, &again) == URL_OK && span_eq(url_href(&again), href));
    url_done(&again);
    assert(origin_of_url(url, &origin) != ORIGIN_OK || host_fits_dns(origin_host(&origin)) ||
           origin.is_ip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span reference = {(const char *)data, size};
    struct url base = {0};
    struct url url;
    struct span head;

    bool has_base =
        span_split(&reference, '\0', &head) && url_parse(head, NULL, &base) == URL_OK;
    if (url_parse(has_base ? reference : head, has_base ? &base : NULL, &url) == URL_OK) {
        check(&url);
        url_done(&url);
    }
    url_done(&base);
    return 0;
}
