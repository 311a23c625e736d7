/* SPDX-License-Identifier: MIT */
#include "target.h"

#include <string.h>

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* Bytes of "scheme:" at the front, 0: there is none. RFC 3986 §3.1. */
static size_t scheme_len(const char *url)
{
    size_t len = 0;

    if (!is_alpha(url[0]))
        return 0;
    while (is_alpha(url[len]) || (url[len] >= '0' && url[len] <= '9') || url[len] == '+' ||
           url[len] == '-' || url[len] == '.')
        len++;
    return url[len] == ':' ? len + 1 : 0;
}

/* Where the authority of "scheme://authority" begins; NULL: it has none. */
static const char *authority_of(const char *url)
{
    size_t scheme = scheme_len(url);

    return scheme > 0 && url[scheme] == '/' && url[scheme + 1] == '/' ? url + scheme + 2 : NULL;
}

/* Where the path begins: behind the authority. */
static const char *path_of(const char *url)
{
    const char *authority = authority_of(url);

    return authority ? authority + strcspn(authority, "/?#") : url;
}

void target_make(struct strbuf *out, const char *url, const char *query)
{
    size_t start = out->len;

    if (!authority_of(url))
        strbuf_add_text(out, "http://");
    if (!query || query[0] == '\0') {
        strbuf_add_text(out, url);
        return;
    }
    size_t without_fragment = strcspn(url, "#");
    strbuf_add(out, url, without_fragment);
    if (out->failed)
        return;
    const char *old = strchr(path_of(out->bytes + start), '?');
    if (!old)
        strbuf_add_char(out, '?');
    else if (old[1] != '\0' && out->bytes[out->len - 1] != '&')
        strbuf_add_char(out, '&');
    strbuf_add_text(out, query);
    strbuf_add_text(out, url + without_fragment);
}

static bool has_port(const char *host, size_t len)
{
    for (size_t i = len; i-- > 0 && host[i] != ']';) {
        if (host[i] == ':')
            return true;
    }
    return false;
}

/* Host and port as they stand, without userinfo; the whole URL when it has no host. */
static const char *host_of(const char *url, size_t *ret_len)
{
    const char *host = authority_of(url);
    const char *end = path_of(url);

    if (!host) {
        *ret_len = strlen(url);
        return url;
    }
    for (const char *at = host; at < end; at++) {
        if (*at == '@')
            host = at + 1;
    }
    *ret_len = (size_t)(end - host);
    return host;
}

bool target_has_userinfo(const char *url)
{
    const char *authority = authority_of(url);
    size_t len;

    return authority && host_of(url, &len) != authority;
}

void target_add_authority(struct strbuf *out, const char *url)
{
    size_t len;
    const char *host = host_of(url, &len);

    strbuf_add(out, host, len);
    if (authority_of(url) && !has_port(host, len))
        strbuf_add_text(out, scheme_len(url) == sizeof("https:") - 1 ? ":443" : ":80");
}

void target_add_host(struct strbuf *out, const char *url)
{
    size_t len;
    const char *host = host_of(url, &len);

    if (authority_of(url) && has_port(host, len)) {
        while (host[--len] != ':')
            continue;
    }
    strbuf_add(out, host, len);
}

void target_add_path(struct strbuf *out, const char *url)
{
    const char *path = path_of(url);

    if (*path != '/')
        strbuf_add_char(out, '/');
    strbuf_add(out, path, strcspn(path, "#"));
}

void target_add_scheme(struct strbuf *out, const char *url)
{
    size_t len = scheme_len(url);

    for (size_t i = 0; i + 1 < len; i++)
        strbuf_add_char(out, (char)(is_alpha(url[i]) ? url[i] & ~0x20 : url[i]));
}

void target_add_file_name(struct strbuf *out, const char *url)
{
    const char *path = path_of(url);
    size_t len = strcspn(path, "?#");
    size_t start = len;

    while (start > 0 && path[start - 1] != '/')
        start--;
    strbuf_add(out, path + start, len - start);
}

void target_add_upload_name(struct strbuf *url, const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *path = path_of(strbuf_text(url));
    size_t path_len = strcspn(path, "?#");
    size_t end = (size_t)(path - strbuf_text(url)) + path_len;
    struct strbuf made = {0};

    if (path_len > 0 && path[path_len - 1] != '/')
        return;
    strbuf_add(&made, strbuf_text(url), end);
    if (path_len == 0)
        strbuf_add_char(&made, '/');
    for (const char *at = slash ? slash + 1 : file; *at; at++) {
        if (*at == ' ')
            strbuf_add_text(&made, "%20");
        else
            strbuf_add_urlencoded(&made, at, 1);
    }
    strbuf_add_text(&made, strbuf_text(url) + end);
    strbuf_done(url);
    *url = made;
}

/* RFC 3986 §5.2.4, in place on what stands in @out from @start: a path with its query. */
static void remove_dots(struct strbuf *out, size_t start)
{
    char *path = out->bytes + start;
    size_t end = strcspn(path, "?"), to = 0;

    for (size_t from = 0; from < end;) {
        size_t segment = 1 + strcspn(path + from + 1, "/?");
        bool one = segment == 2 && path[from + 1] == '.';
        bool two = segment == 3 && path[from + 1] == '.' && path[from + 2] == '.';
        bool last = from + segment >= end;

        while (two && to > 0 && path[--to] != '/')
            continue;
        if (!one && !two) {
            memmove(path + to, path + from, segment);
            to += segment;
        } else if (last) {
            path[to++] = '/';
        }
        from += segment;
    }
    memmove(path + to, path + end, strlen(path + end) + 1);
    out->len = start + to + strlen(path + to);
}

void target_add_resolved(struct strbuf *out, const char *base, const char *reference)
{
    const char *path = path_of(base);
    size_t path_len = strcspn(path, "?#");

    if (scheme_len(reference) > 0) {
        strbuf_add_text(out, reference);
        return;
    }
    if (reference[0] == '/' && reference[1] == '/') {
        strbuf_add(out, base, scheme_len(base));
        strbuf_add_text(out, reference);
        return;
    }
    strbuf_add(out, base, (size_t)(path - base));
    size_t start = out->len;
    if (reference[0] != '/') {
        if (reference[0] != '?' && reference[0] != '#' && reference[0] != '\0')
            while (path_len > 0 && path[path_len - 1] != '/')
                path_len--;
        if (path_len == 0)
            strbuf_add_char(out, '/');
        strbuf_add(out, path, path_len);
        if (reference[0] == '#' || reference[0] == '\0')
            strbuf_add(out, path + path_len, strcspn(path + path_len, "#"));
    }
    strbuf_add(out, reference, strcspn(reference, "#"));
    if (!out->failed)
        remove_dots(out, start);
}
