/* SPDX-License-Identifier: MIT */
#include "http/host.h"

#include "base/ascii.h"
#include "base/fault.h"
#include "base/utf8.h"
#include "http/idna.h"
#include "http/ip_literal.h"
#include "http/percent.h"

#define HOST_ESCAPED_MAX 12288 /* HOST_INPUT_MAX bytes, each as %XX */

/* WHATWG "forbidden host code point". */
static bool is_forbidden(char c)
{
    return c == '\0' || c == '\t' || c == '\n' || c == '\r' || strchr(" #/:<>?@[\\]^|", c);
}

static bool holds_forbidden(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (is_forbidden(host.ptr[i]))
            return true;
    }
    return false;
}

/* WHATWG "forbidden domain code point": the above, C0 controls, '%' and DEL. */
static bool holds_forbidden_in_domain(struct span domain)
{
    for (size_t i = 0; i < domain.len; i++) {
        unsigned char c = (unsigned char)domain.ptr[i];

        if (c <= 0x1f || c == '%' || c == 0x7f || is_forbidden(domain.ptr[i]))
            return true;
    }
    return false;
}

static int parse_ipv6(struct span text, struct buf *out)
{
    uint16_t groups[8];
    char formatted[IPV6_TEXT_SIZE + 2] = "[";

    if (text.ptr[text.len - 1] != ']' || text.len < 2 ||
        ipv6_parse((struct span){text.ptr + 1, text.len - 2}, groups) < 0)
        return HOST_E_IPV6;
    size_t len = ipv6_format(groups, formatted + 1);
    formatted[len + 1] = ']';
    return buf_append(out, (struct span){formatted, len + 2});
}

/* "UTF-8 decode without BOM": ill-formed sequences become U+FFFD, which no name may hold. */
static int check_utf8(struct span text)
{
    return utf8_is_valid(text) ? HOST_OK : HOST_E_IDNA;
}

static int decode_domain(struct span text, struct buf *ret)
{
    if (text.len > HOST_ESCAPED_MAX)
        return HOST_E_TOO_LONG;
    int r = percent_decode(ret, text);
    if (r < 0)
        return r;
    if (ret->len > HOST_INPUT_MAX)
        return HOST_E_TOO_LONG;
    if (memchr(buf_span(ret).ptr, '\0', ret->len))
        return HOST_E_CHARACTER;
    return check_utf8(buf_span(ret));
}

/* @ascii: the tail of @out, replaced by the address's one spelling. */
static int finish_ipv4(struct buf *out, struct span ascii)
{
    char formatted[IPV4_TEXT_SIZE];
    uint32_t address;

    if (ipv4_parse(ascii, &address) < 0)
        return HOST_E_IPV4;
    size_t len = ipv4_format(address, formatted);
    out->len -= ascii.len;
    return buf_append(out, (struct span){formatted, len});
}

/* Appends the ASCII form; may leave bytes in @out when it fails. */
static int parse_domain(struct span text, struct buf *out, enum host_kind *ret_kind)
{
    CLEANUP_BUF struct buf decoded = BUF_INIT(0);
    size_t before = out->len;

    int r = decode_domain(text, &decoded);
    if (r != HOST_OK)
        return r;
    r = idna_to_ascii(buf_span(&decoded), out);
    if (r < 0)
        return r;
    if (r != DOMAIN_OK)
        return HOST_E_IDNA;

    struct span ascii = span_drop(buf_span(out), before);
    if (ascii.len == 0)
        return HOST_E_EMPTY;
    if (holds_forbidden_in_domain(ascii))
        return HOST_E_CHARACTER;
    *ret_kind = ipv4_is_meant(ascii) ? HOST_IPV4 : HOST_DOMAIN;
    return *ret_kind == HOST_IPV4 ? finish_ipv4(out, ascii) : HOST_OK;
}

static int parse_opaque(struct span text, struct buf *out)
{
    if (holds_forbidden(text))
        return HOST_E_CHARACTER;
    return percent_encode(out, text, PERCENT_C0_CONTROL);
}

int host_parse(struct span text, bool is_special, struct buf *out, enum host_kind *ret_kind)
{
    enum host_kind kind = HOST_OPAQUE;
    size_t before = out->len;
    int r;

    if (text.len > 0 && text.ptr[0] == '[') {
        kind = HOST_IPV6;
        r = parse_ipv6(text, out);
    } else if (!is_special) {
        r = parse_opaque(text, out);
    } else if (text.len == 0) {
        return HOST_E_EMPTY;
    } else {
        r = parse_domain(text, out, &kind);
    }
    if (r != HOST_OK) {
        out->len = before;
        return r;
    }
    *ret_kind = kind;
    return HOST_OK;
}

const char *host_outcome_text(int outcome)
{
    switch (outcome) {
    case HOST_OK: return "a host";
    case HOST_E_EMPTY: return "there is no host; write a name or an address";
    case HOST_E_TOO_LONG:
        return "the host is longer than DNS can carry; labels have 1 to 63 bytes, a name 253";
    case HOST_E_CHARACTER:
        return "the host holds a character that no host can hold; letters, digits, '-', '.' "
               "and '_' are safe";
    case HOST_E_IDNA:
        return "the host is no internationalised name by UTS #46; write its xn-- form if it "
               "has one";
    case HOST_E_IPV4:
        return "the host ends in a number and is no IPv4 address; write four numbers from 0 to "
               "255 with dots between them";
    case HOST_E_IPV6:
        return "the brackets do not hold an IPv6 address; write [::1] with nothing behind but "
               "a port";
    default: return "not a host";
    }
}

struct span host_strip_dot(struct span host)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;
    return host;
}

struct span host_strip_brackets(struct span host)
{
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return (struct span){host.ptr + 1, host.len - 2};
    return host;
}

bool host_is_ip_literal(struct span host)
{
    return host.len > 0 &&
           (host.ptr[0] == '[' || memchr(host.ptr, ':', host.len) || ipv4_is_meant(host));
}

bool host_fits_dns(struct span host)
{
    host = host_strip_dot(host);
    if (host.len > HOST_NAME_BYTES_MAX)
        return false;
    for (bool more = true; more;) {
        struct span label;

        more = span_split(&host, '.', &label);
        if (label.len == 0 || label.len > HOST_LABEL_MAX)
            return false;
    }
    return true;
}

static int parse_name(struct span text, struct buf *out, enum host_kind *ret_kind)
{
    uint16_t groups[8];

    /* People leave the brackets out; a colon can mean nothing else here. */
    if (text.len > 0 && text.ptr[0] != '[' && memchr(text.ptr, ':', text.len)) {
        char formatted[IPV6_TEXT_SIZE];

        if (ipv6_parse(text, groups) < 0)
            return HOST_E_IPV6;
        *ret_kind = HOST_IPV6;
        return buf_append(out, (struct span){formatted, ipv6_format(groups, formatted)});
    }
    /* This is no URL: '%' is not an escape here, and nothing else either. */
    if (text.len > 0 && memchr(text.ptr, '%', text.len))
        return HOST_E_CHARACTER;
    return host_parse(text, true, out, ret_kind);
}

int host_name_parse(struct span text, struct host_name *ret)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct host_name name = {0};

    int r = parse_name(text, &out, &name.kind);
    if (r != HOST_OK)
        return r;

    struct span canonical = host_strip_brackets(host_strip_dot(buf_span(&out)));
    if (name.kind == HOST_DOMAIN &&
        (!host_fits_dns(canonical) || canonical.ptr[canonical.len - 1] == '.'))
        return HOST_E_TOO_LONG;
    INVARIANT(canonical.len < sizeof(name.text));
    memcpy(name.text, canonical.ptr, canonical.len);
    *ret = name;
    return HOST_OK;
}

bool host_name_is_plain(const struct host_name *name)
{
    for (const char *at = name->text; name->kind == HOST_DOMAIN && *at; at++) {
        if (!ascii_is_alnum(*at) && *at != '.' && *at != '-' && *at != '_')
            return false;
    }
    return true;
}
