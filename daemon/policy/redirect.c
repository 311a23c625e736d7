/* SPDX-License-Identifier: MIT */
#include "policy/redirect.h"

#include <errno.h>

#include "base/buf.h"
#include "base/fault.h"

bool redirect_is_status(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The one Location of a response. Return: false when there are several that differ. */
static bool find_location(const struct headers *headers, struct span *ret, bool *ret_found)
{
    struct span location = {0};
    struct span other;
    size_t cursor = 0;

    *ret_found = headers_find_next(headers, SPAN_LIT("Location"), &cursor, &location);
    while (headers_find_next(headers, SPAN_LIT("Location"), &cursor, &other)) {
        if (!span_eq(location, other))
            return false;
    }
    *ret = location;
    return true;
}

/* The fragment of where one was goes along unless the Location has its own: Fetch, "location
 * URL" step 4. Return: 0 or -ENOMEM; @url is good either way. */
static int inherit_fragment(const struct url *from, struct url *url)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    struct url whole;

    if (url->has_fragment || !from->has_fragment)
        return 0;
    int r = buf_append(&text, url_href(url));
    if (r == 0)
        r = buf_append_char(&text, '#');
    if (r == 0)
        r = buf_append(&text, from->fragment);
    if (r == 0)
        r = url_parse(buf_span(&text), NULL, &whole);
    if (r != 0)
        return r < 0 ? r : 0; /* too long with it: go without */
    url_done(url);
    *url = whole;
    return 0;
}

/* Userinfo is not inherited, as it is by WHATWG's "/path" (RD12): what a Location brought is
 * for its hop alone, and whose login the caller's is, is not for a URL to say. */
static int resolve(const struct url *base, struct span location, struct url *ret)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    struct url bare;

    if (!url_has_credentials(base))
        return url_resolve(base, location, ret);
    int r = url_format(base, URL_WITHOUT_USERINFO, &text);
    if (r == 0)
        r = url_parse(buf_span(&text), NULL, &bare);
    if (r != 0)
        return r;
    r = url_resolve(&bare, location, ret);
    url_done(&bare);
    return r;
}

/* Return: 0; 1: it is to be left out; or -ENOMEM. @bare: storage. */
static int hide_login(const struct url *base, struct span location, struct buf *bare)
{
    struct url url;
    int r = resolve(base, location, &url);

    if (r != 0)
        return r < 0 ? r : 1;
    r = url_has_credentials(&url) ? url_format(&url, URL_WITHOUT_USERINFO, bare)
                                  : buf_append(bare, location);
    url_done(&url);
    return r;
}

int redirect_hide_userinfo(const struct headers *from,
                           const struct url *base,
                           struct headers *ret)
{
    int r = 0;

    for (size_t i = 0; i < headers_count(from) && r == 0; i++) {
        CLEANUP_BUF struct buf bare = BUF_INIT(0);
        struct header field = headers_at(from, i);
        bool may_have = span_ieq(field.name, SPAN_LIT("Location")) && field.value.len > 0 &&
                        memchr(field.value.ptr, '@', field.value.len);

        if (may_have)
            r = hide_login(base, field.value, &bare);
        if (r == 0)
            r = headers_add(ret, field.name, may_have ? buf_span(&bare) : field.value);
        else if (r == 1)
            r = 0;
    }
    return r;
}

static bool is_same_origin(const struct url *a, const struct url *b)
{
    return span_eq(a->scheme, b->scheme) && span_eq(a->host, b->host) &&
           url_effective_port(a) == url_effective_port(b);
}

static bool keeps_post(const struct redirect_input *input)
{
    switch (input->status) {
    case 301: return input->keeps_post & REDIRECT_POST_301;
    case 302: return input->keeps_post & REDIRECT_POST_302;
    case 303: return input->keeps_post & REDIRECT_POST_303;
    default: return false;
    }
}

static void choose_method(const struct redirect_input *input, struct redirect *redirect)
{
    bool is_post = span_eq(input->method, SPAN_LIT("POST"));
    bool is_head = span_eq(input->method, SPAN_LIT("HEAD"));

    redirect->method = input->method;
    if (is_post && keeps_post(input)) {
        redirect->rewinds_body = input->has_body;
        return;
    }
    if (input->status == 303 || (is_post && (input->status == 301 || input->status == 302))) {
        redirect->method = is_head ? input->method : SPAN_LIT("GET");
        redirect->drops_body = true;
    }
    redirect->rewinds_body = input->has_body && !redirect->drops_body;
}

/* Everything but the URL. Return: REDIRECT_FOLLOW or a refusal. */
static int judge(const struct redirect_input *input, struct redirect *redirect)
{
    if (!url_is_http(&redirect->url))
        return REDIRECT_REFUSED_SCHEME;
    if (input->followed >= input->followed_max)
        return REDIRECT_REFUSED_TOO_MANY;
    choose_method(input, redirect);
    if (redirect->rewinds_body && !input->body_can_rewind)
        return REDIRECT_REFUSED_REWIND;
    redirect->is_cross_origin = !is_same_origin(input->url, &redirect->url);
    redirect->is_downgrade = span_eq(input->url->scheme, SPAN_LIT("https")) &&
                             span_eq(redirect->url.scheme, SPAN_LIT("http"));
    redirect->leaves_secrets =
        redirect->is_cross_origin && (redirect->is_downgrade || !input->trusts_hosts);
    return REDIRECT_FOLLOW;
}

int redirect_next(const struct redirect_input *input, struct redirect *ret)
{
    CLEANUP_REDIRECT struct redirect redirect = {0};
    struct span location;
    bool found;

    if (!redirect_is_status(input->status))
        return REDIRECT_DELIVER;
    if (!find_location(input->headers, &location, &found))
        return REDIRECT_REFUSED_LOCATION;
    if (!found)
        return REDIRECT_DELIVER;

    int r = resolve(input->url, location, &redirect.url);
    if (r != URL_OK)
        return r < 0 ? r : REDIRECT_REFUSED_LOCATION;
    r = inherit_fragment(input->url, &redirect.url);
    if (r < 0)
        return r;
    r = judge(input, &redirect);
    if (r != REDIRECT_FOLLOW)
        return r;

    *ret = redirect;
    redirect.url = (struct url){0}; /* ret's now */
    return REDIRECT_FOLLOW;
}

void redirect_done(struct redirect *redirect)
{
    url_done(&redirect->url);
}

struct redirect *redirect_free(struct redirect *redirect)
{
    if (redirect)
        redirect_done(redirect);
    return mem_free(redirect);
}

static bool is_one_of(struct span name, const char *const *names)
{
    for (; *names; names++) {
        if (span_ieq(name, span_of(*names)))
            return true;
    }
    return false;
}

/* RFC 9110 §15.4: fields that describe the content, Content-* by their first word. */
static bool describes_body(struct span name)
{
    static const char *const names[] = {
        "Transfer-Encoding", "Trailer",       "Expect", "Digest",
        "Repr-Digest",       "Last-Modified", NULL};

    return span_ieq(span_take(name, 8), SPAN_LIT("Content-")) || is_one_of(name, names);
}

/* What was meant for the first origin alone. */
static bool is_confidential(struct span name)
{
    static const char *const names[] = {"Authorization", "Cookie", "Cookie2", "Host", NULL};

    return is_one_of(name, names);
}

bool redirect_keeps_header(const struct redirect *redirect, struct span name)
{
    if (redirect->drops_body && describes_body(name))
        return false;
    if (redirect->leaves_secrets && is_confidential(name))
        return false;
    if (redirect->is_downgrade && span_ieq(name, SPAN_LIT("Referer")))
        return false;
    /* A proxy's, never an origin's: CVE-2024-28849. */
    return !span_ieq(name, SPAN_LIT("Proxy-Authorization"));
}

void redirect_strip_headers(const struct redirect *redirect, struct headers *headers)
{
    for (size_t i = 0; i < headers_count(headers);) {
        struct span name = headers_at(headers, i).name;

        if (redirect_keeps_header(redirect, name))
            i++;
        else
            (void)headers_remove(headers, name);
    }
}

const char *redirect_outcome_text(int outcome)
{
    switch (outcome) {
    case REDIRECT_DELIVER: return "no redirect";
    case REDIRECT_FOLLOW: return "a redirect";
    case REDIRECT_REFUSED_TOO_MANY: return "too many redirects";
    case REDIRECT_REFUSED_LOCATION:
        return "the redirect's Location is no URL, or there are several";
    case REDIRECT_REFUSED_SCHEME:
        return "the redirect leads to a scheme other than http and https";
    case REDIRECT_REFUSED_REWIND:
        return "the redirect wants the request body again, which cannot be read twice";
    default: return "out of memory";
    }
}
