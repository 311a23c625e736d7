/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * URLs by the WHATWG URL standard: any text in, a serialisation and its parts out, the same
 * for every room that asks. A struct url owns its href; the parts are spans of it, so a copy of
 * the struct is a move, and url_done() is for one of the copies.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "http/host.h"

/* 256 KiB of input and of href: 64 KiB fit even when each byte of them becomes %XX. */
#define URL_BYTES_MAX 262144

#define URL_PORT_NONE (-1)

enum url_outcome {
    URL_OK = 0,
    URL_E_TOO_LONG,      /* longer than URL_BYTES_MAX */
    URL_E_NO_SCHEME,     /* relative, and nothing it could be relative to */
    URL_E_OPAQUE_BASE,   /* relative to something like "mailto:a@b" */
    URL_E_NO_HOST,       /* nothing where the host belongs */
    URL_E_HOST_TOO_LONG, /* the next five: see enum host_outcome */
    URL_E_HOST_CHARACTER,
    URL_E_HOST_IDNA,
    URL_E_HOST_IPV4,
    URL_E_HOST_IPV6,
    URL_E_PORT, /* not a number from 0 to 65535 */
};

struct url {
    char *href; /* owned, NUL behind it; NULL after url_done() */
    size_t href_len;
    struct span scheme;   /* lower case, without ':' */
    struct span username; /* percent-encoded; len 0: none */
    struct span password; /* percent-encoded; len 0: none */
    struct span host;     /* canonical, IPv6 in brackets */
    struct span path;     /* begins with '/' if is_special */
    struct span query;    /* without '?' */
    struct span fragment; /* without '#' */
    int32_t port;         /* URL_PORT_NONE: the scheme's own */
    enum host_kind host_kind;
    bool has_host; /* there is a "//", even if nothing follows */
    bool has_query;
    bool has_fragment;
    bool has_opaque_path; /* "mailto:a@b" */
    bool is_special;      /* http https ws wss ftp file */
};

/**
 * url_parse() - the basic URL parser
 * @text: any bytes; ill-formed UTF-8 is read as U+FFFD
 * @base: what a relative reference is relative to, or NULL; only read
 * @ret:  filled on URL_OK, untouched otherwise; end it with url_done()
 *
 * Return: URL_OK, another of enum url_outcome, or -ENOMEM.
 */
MUST_CHECK int url_parse(struct span text, const struct url *base, struct url *ret);
void url_done(struct url *url); /* also fine on a zeroed one */

/* A Location, a link: url_parse() said from the other side. */
MUST_CHECK static inline int
url_resolve(const struct url *base, struct span reference, struct url *ret)
{
    return url_parse(reference, base, ret);
}

struct url *url_free(struct url *url); /* of the heap, with what it owns; NULL */
MUST_CHECK int url_copy(const struct url *url, struct url *ret); /* 0 or -ENOMEM */

/* What was wrong and what would be right. */
const char *url_outcome_text(int outcome);

/* These borrow from the URL. */
static inline struct span url_href(const struct url *url)
{
    return (struct span){url->href, url->href_len};
}
struct span url_without_fragment(const struct url *url);
struct span url_request_target(const struct url *url); /* "/path?query" of a special URL */

enum url_format_flags {
    URL_WITHOUT_FRAGMENT = 1 << 0,
    URL_WITHOUT_USERINFO = 1 << 1, /* for logs, events, Referer */
    URL_WITHOUT_QUERY = 1 << 2,    /* for logs above debug */
};

/* Appends the href without the parts named. Return: 0, or -ENOMEM / -EMSGSIZE. */
MUST_CHECK int url_format(const struct url *url, unsigned flags, struct buf *out);

/* The port to connect to: the URL's, else the scheme's, else URL_PORT_NONE. */
int32_t url_effective_port(const struct url *url);

static inline bool url_is_http(const struct url *url) /* or https */
{
    return span_eq(url->scheme, SPAN_LIT("http")) || span_eq(url->scheme, SPAN_LIT("https"));
}

static inline bool url_has_credentials(const struct url *url)
{
    return url->username.len + url->password.len > 0;
}
