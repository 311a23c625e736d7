/* SPDX-License-Identifier: MIT */
#include "http/url.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/url_priv.h"

/* WHATWG URL standard §3.1 "special scheme". */
static const struct {
    const char *name;
    int32_t port;
} special_schemes[] = {
    {"https", 443}, {"http", 80}, {"wss", 443},
    {"ws", 80},     {"ftp", 21},  {"file", URL_PORT_NONE},
};

bool url_scheme_is_special(struct span scheme)
{
    for (size_t i = 0; i < sizeof(special_schemes) / sizeof(special_schemes[0]); i++) {
        if (span_eq(scheme, span_of(special_schemes[i].name)))
            return true;
    }
    return false;
}

int32_t url_scheme_port(struct span scheme)
{
    for (size_t i = 0; i < sizeof(special_schemes) / sizeof(special_schemes[0]); i++) {
        if (span_eq(scheme, span_of(special_schemes[i].name)))
            return special_schemes[i].port;
    }
    return URL_PORT_NONE;
}

void url_done(struct url *url)
{
    /* A password may be in there. */
    if (url->href)
        mem_free_secret(url->href, url->href_len);
    *url = (struct url){.port = URL_PORT_NONE};
}

/* The same part of a copy. */
static struct span moved(struct span part, const char *from, const char *to)
{
    return (struct span){part.ptr ? to + (part.ptr - from) : NULL, part.len};
}

struct url *url_free(struct url *url)
{
    if (url)
        url_done(url);
    return mem_free(url);
}

int url_copy(const struct url *url, struct url *ret)
{
    struct url copy = *url;

    copy.href = mem_dup(url_href(url));
    if (!copy.href)
        return fault(-ENOMEM);
    copy.scheme = moved(url->scheme, url->href, copy.href);
    copy.username = moved(url->username, url->href, copy.href);
    copy.password = moved(url->password, url->href, copy.href);
    copy.host = moved(url->host, url->href, copy.href);
    copy.path = moved(url->path, url->href, copy.href);
    copy.query = moved(url->query, url->href, copy.href);
    copy.fragment = moved(url->fragment, url->href, copy.href);
    *ret = copy;
    return 0;
}

const char *url_outcome_text(int outcome)
{
    switch (outcome) {
    case URL_OK: return "a URL";
    case URL_E_TOO_LONG: return "the URL is longer than 256 KiB; send long data in the body";
    case URL_E_NO_SCHEME:
        return "the URL has no scheme; write http:// or https:// in front of it";
    case URL_E_OPAQUE_BASE:
        return "the URL is relative, and what it is relative to has no path; write the whole "
               "URL";
    case URL_E_NO_HOST: return host_outcome_text(HOST_E_EMPTY);
    case URL_E_HOST_TOO_LONG: return host_outcome_text(HOST_E_TOO_LONG);
    case URL_E_HOST_CHARACTER: return host_outcome_text(HOST_E_CHARACTER);
    case URL_E_HOST_IDNA: return host_outcome_text(HOST_E_IDNA);
    case URL_E_HOST_IPV4: return host_outcome_text(HOST_E_IPV4);
    case URL_E_HOST_IPV6: return host_outcome_text(HOST_E_IPV6);
    case URL_E_PORT: return "the port is not a number from 0 to 65535; write host:8080";
    default: return "not a URL";
    }
}

struct span url_without_fragment(const struct url *url)
{
    struct span href = url_href(url);

    return url->has_fragment ? span_take(href, href.len - url->fragment.len - 1) : href;
}

struct span url_request_target(const struct url *url)
{
    struct span head = url_without_fragment(url);

    return span_drop(head, (size_t)(url->path.ptr - head.ptr));
}

static int append_userinfo(const struct url *url, struct buf *out)
{
    int r = buf_append(out, url->username);

    if (r == 0 && url->password.len > 0) {
        r = buf_append_char(out, ':');
        if (r == 0)
            r = buf_append(out, url->password);
    }
    return r == 0 ? buf_append_char(out, '@') : r;
}

/* "//user:password@host:port", or the "/." that keeps a path from looking like one. */
static int append_authority(const struct url *url, unsigned flags, struct buf *out)
{
    if (!url->has_host) {
        bool is_guarded = !url->has_opaque_path && span_starts_with(url->path, SPAN_LIT("//"));

        return is_guarded ? buf_append_str(out, "/.") : 0;
    }
    int r = buf_append_str(out, "//");
    if (r == 0 && url_has_credentials(url) && !(flags & URL_WITHOUT_USERINFO))
        r = append_userinfo(url, out);
    if (r == 0)
        r = buf_append(out, url->host);
    if (r == 0 && url->port != URL_PORT_NONE) {
        r = buf_append_char(out, ':');
        if (r == 0)
            r = buf_append_u64(out, (uint64_t)url->port);
    }
    return r;
}

static int append_marked(struct buf *out, char mark, struct span text)
{
    int r = buf_append_char(out, mark);

    return r == 0 ? buf_append(out, text) : r;
}

int url_format(const struct url *url, unsigned flags, struct buf *out)
{
    int r = buf_reserve(out, url->href_len);

    if (r == 0)
        r = buf_append(out, url->scheme);
    if (r == 0)
        r = buf_append_char(out, ':');
    if (r == 0)
        r = append_authority(url, flags, out);
    if (r == 0)
        r = buf_append(out, url->path);
    if (r == 0 && url->has_query && !(flags & URL_WITHOUT_QUERY))
        r = append_marked(out, '?', url->query);
    if (r == 0 && url->has_fragment && !(flags & URL_WITHOUT_FRAGMENT))
        r = append_marked(out, '#', url->fragment);
    return r;
}

int32_t url_effective_port(const struct url *url)
{
    return url->port != URL_PORT_NONE ? url->port : url_scheme_port(url->scheme);
}
