/* SPDX-License-Identifier: MIT */
#include "policy/cache_rules.h"

#include <errno.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "http/field.h"
#include "http/method.h"
#include "policy/cache_freshness.h"

static bool is_one_of(struct span name, const char *const *names)
{
    for (; *names; names++) {
        if (span_ieq(name, span_of(*names)))
            return true;
    }
    return false;
}

/* ---- the request ----------------------------------------------------------------------- */

bool cache_takes_request(struct span method, const struct headers *fields)
{
    static const char *const own[] = {"If-Match",
                                      "If-None-Match",
                                      "If-Modified-Since",
                                      "If-Unmodified-Since",
                                      "If-Range",
                                      "Range",
                                      NULL};
    struct cache_control control;

    if (!span_eq(method, SPAN_LIT("GET")) && !span_eq(method, SPAN_LIT("HEAD")))
        return false;
    for (size_t i = 0; i < headers_count(fields); i++) {
        if (is_one_of(headers_at(fields, i).name, own))
            return false;
    }
    cache_control_of(fields, &control);
    return !control.no_store;
}

bool cache_has_credentials(const struct headers *fields)
{
    return headers_has(fields, SPAN_LIT("Authorization"));
}

/* ---- keeping --------------------------------------------------------------------------- */

bool cache_is_shared(const struct headers *headers)
{
    struct cache_control control;

    cache_control_of(headers, &control);
    return control.is_public || control.must_revalidate || control.s_maxage.is_given;
}

/* A part, nothing of its own, or a question that has to be put again. */
static bool is_keepable_status(unsigned status)
{
    return status >= 200 && status <= 599 && status != 206 && status != 304 && status != 401 &&
           status != 407;
}

bool cache_has_validator(const struct headers *headers)
{
    return headers_has(headers, SPAN_LIT("ETag")) ||
           headers_has(headers, SPAN_LIT("Last-Modified"));
}

/* §5.2.2.3: must-understand takes back no-store for those who know the status. */
static bool is_forbidden(const struct cache_candidate *candidate,
                         const struct cache_control *control)
{
    bool is_understood = cache_status_is_cacheable(candidate->status);

    if (control->must_understand)
        return !is_understood;
    return control->no_store;
}

static bool is_small_enough(const struct headers *headers)
{
    size_t bytes = 0;

    if (headers_count(headers) > CACHE_HEADERS_MAX)
        return false;
    for (size_t i = 0; i < headers_count(headers); i++) {
        struct header header = headers_at(headers, i);

        bytes += header.name.len + header.value.len;
    }
    return bytes <= CACHE_HEAD_BYTES_MAX;
}

/* Good for a while, or for a question. */
static bool is_worth_it(const struct cache_candidate *candidate,
                        const struct cache_control *control)
{
    struct cache_answer answer = {.status = candidate->status,
                                  .headers = candidate->headers,
                                  .request_time_s = candidate->response_time_s,
                                  .response_time_s = candidate->response_time_s};
    bool is_said = control->max_age.is_given || control->is_public ||
                   headers_has(candidate->headers, SPAN_LIT("Expires"));

    if (!is_said && !cache_status_is_cacheable(candidate->status))
        return false;
    if (cache_has_validator(candidate->headers))
        return true;
    return !control->no_cache && cache_lifetime_s(&answer) > 0;
}

bool cache_may_keep(const struct cache_candidate *candidate)
{
    struct cache_control control;

    cache_control_of(candidate->headers, &control);
    if (!is_keepable_status(candidate->status) || is_forbidden(candidate, &control) ||
        headers_has(candidate->headers, SPAN_LIT("Content-Range")))
        return false;
    if ((candidate->has_credentials || cache_has_credentials(candidate->request)) &&
        !cache_is_shared(candidate->headers))
        return false;
    return is_small_enough(candidate->headers) && is_worth_it(candidate, &control);
}

/* ---- which fields are kept ------------------------------------------------------------- */

/* §3.1, and what would set something anew. */
static bool is_dropped(struct span name)
{
    static const char *const names[] = {"Connection",
                                        "Keep-Alive",
                                        "Proxy-Connection",
                                        "Proxy-Authenticate",
                                        "Proxy-Authentication-Info",
                                        "Proxy-Authorization",
                                        "Authentication-Info",
                                        "TE",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "Set-Cookie",
                                        "Set-Cookie2",
                                        NULL};

    return is_one_of(name, names);
}

int cache_keep_headers(const struct headers *from, struct headers *to)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < headers_count(from); i++) {
        struct header header = headers_at(from, i);

        if (!is_dropped(header.name) &&
            !headers_list_has(from, SPAN_LIT("Connection"), header.name))
            r = headers_add(to, header.name, header.value);
    }
    return r;
}

/* ---- which requests it answers --------------------------------------------------------- */

int cache_vary_of(const struct headers *answer, struct buf *out)
{
    struct span accept_encoding = SPAN_LIT("Accept-Encoding");
    int r = headers_join(answer, SPAN_LIT("Vary"), out);

    if (r < 0)
        return r;
    if (field_list_has(buf_span(out), SPAN_LIT("*")))
        return -EMSGSIZE;
    if (headers_has(answer, SPAN_LIT("Content-Encoding")) &&
        !field_list_has(buf_span(out), accept_encoding)) {
        r = out->len > 0 ? buf_append_str(out, ", ") : 0;
        if (r == 0)
            r = buf_append(out, accept_encoding);
        if (r < 0)
            return r;
    }
    return out->len > CACHE_VARY_BYTES_MAX ? -EMSGSIZE : 0;
}

static void add_lower(struct sha256 *sha, struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.ptr[i]);

        sha256_add(sha, (struct span){&c, 1});
    }
}

/* "name", "=" if it is there at all, its elements, a line's end. */
static void add_field(struct sha256 *sha, struct span name, const struct headers *request)
{
    struct span value;

    add_lower(sha, name);
    if (headers_has(request, name))
        sha256_add(sha, SPAN_LIT("="));
    for (size_t cursor = 0; headers_find_next(request, name, &cursor, &value);) {
        struct span item;

        while (field_list_next(&value, &item)) {
            sha256_add(sha, item);
            sha256_add(sha, SPAN_LIT(","));
        }
    }
    sha256_add(sha, SPAN_LIT("\n"));
}

int cache_vary_digest(struct span vary,
                      const struct headers *request,
                      uint8_t ret[SHA256_BYTES])
{
    struct sha256 sha;
    struct span name;
    int r = sha256_begin(&sha);

    if (r < 0)
        return r;
    while (field_list_next(&vary, &name))
        add_field(&sha, name, request);
    return sha256_end(&sha, ret);
}

/* ---- asking again ---------------------------------------------------------------------- */

int cache_add_conditions(const struct headers *stored, struct headers *request)
{
    struct span value;
    int r = 0;

    if (headers_find(stored, SPAN_LIT("ETag"), &value))
        r = headers_set(request, SPAN_LIT("If-None-Match"), value);
    if (r == 0 && headers_find(stored, SPAN_LIT("Last-Modified"), &value))
        r = headers_set(request, SPAN_LIT("If-Modified-Since"), value);
    return r;
}

static struct span without_weakness(struct span tag)
{
    return span_starts_with(tag, SPAN_LIT("W/")) ? span_drop(tag, 2) : tag;
}

bool cache_304_fits(const struct headers *stored, const struct headers *answer)
{
    struct span etag = SPAN_LIT("ETag");
    struct span modified = SPAN_LIT("Last-Modified");
    struct span ours;
    struct span theirs;

    if (headers_find(answer, etag, &theirs))
        return headers_find(stored, etag, &ours) &&
               span_eq(without_weakness(ours), without_weakness(theirs));
    if (headers_find(answer, modified, &theirs))
        return !headers_find(stored, modified, &ours) || span_eq(ours, theirs);
    return true;
}

static bool differs(const struct headers *a, const struct headers *b, struct span name)
{
    struct span one;
    struct span other;

    return headers_find(a, name, &one) && headers_find(b, name, &other) &&
           !span_eq(without_weakness(one), without_weakness(other));
}

bool cache_head_contradicts(const struct headers *stored, const struct headers *answer)
{
    return differs(stored, answer, SPAN_LIT("ETag")) ||
           differs(stored, answer, SPAN_LIT("Last-Modified")) ||
           differs(stored, answer, SPAN_LIT("Content-Length"));
}

/* What says how the stored body has to be read, and that we keep it. */
static bool is_of_the_body(struct span name)
{
    static const char *const names[] = {"Content-Length", "Content-Encoding", "Content-Range",
                                        NULL};

    return is_one_of(name, names);
}

/* Date and Age belong to the answer that came last, whether it has them or not. */
static bool is_replaced(struct span name, const struct headers *answer)
{
    static const char *const names[] = {"Date", "Age", NULL};

    if (is_one_of(name, names))
        return true;
    return !is_of_the_body(name) && headers_has(answer, name);
}

int cache_merge_304(const struct headers *stored,
                    const struct headers *answer,
                    struct headers *ret)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < headers_count(stored); i++) {
        struct header header = headers_at(stored, i);

        if (!is_replaced(header.name, answer))
            r = headers_add(ret, header.name, header.value);
    }
    for (size_t i = 0; r == 0 && i < headers_count(answer); i++) {
        struct header header = headers_at(answer, i);

        if (!is_of_the_body(header.name) && !is_dropped(header.name) &&
            !headers_list_has(answer, SPAN_LIT("Connection"), header.name))
            r = headers_add(ret, header.name, header.value);
    }
    return r;
}

/* ---- what ends it ---------------------------------------------------------------------- */

bool cache_invalidates(struct span method, unsigned status)
{
    return !method_is_safe(method) && status >= 200 && status <= 399;
}

static bool is_same_origin(const struct url *a, const struct url *b)
{
    return span_eq(a->scheme, b->scheme) && span_eq(a->host, b->host) &&
           url_effective_port(a) == url_effective_port(b);
}

int cache_related_url(const struct url *target,
                      const struct headers *answer,
                      struct span name,
                      struct url *ret)
{
    struct span reference;
    struct url url;

    if (!headers_find(answer, name, &reference))
        return 0;
    int r = url_resolve(target, reference, &url);
    if (r != URL_OK)
        return r < 0 ? r : 0;
    if (!is_same_origin(target, &url)) {
        url_done(&url);
        return 0;
    }
    *ret = url;
    return 1;
}

int cache_key_of(const struct url *url, struct buf *out)
{
    int r = url_format(url, URL_WITHOUT_FRAGMENT | URL_WITHOUT_USERINFO, out);

    if (r < 0)
        return r;
    return out->len > CACHE_URL_BYTES_MAX ? -EMSGSIZE : 0;
}

static bool is_host(struct span authority, struct span what)
{
    struct span host = authority;

    if (span_ieq(authority, what))
        return true;
    for (size_t i = authority.len; i > 0 && authority.ptr[i - 1] != ']'; i--) {
        if (authority.ptr[i - 1] == ':') {
            host = span_take(authority, i - 1);
            break;
        }
    }
    return span_ieq(host, what);
}

bool cache_url_is(struct span url, struct span what)
{
    struct span rest = url;
    struct span authority;

    if (what.len == 0 || span_eq(url, what))
        return true;
    for (int i = 0; i < 2; i++) { /* "https:", "" */
        if (!span_split(&rest, '/', &authority))
            return false;
    }
    (void)span_split(&rest, '/', &authority);
    return is_host(authority, what);
}
