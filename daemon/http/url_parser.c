/* SPDX-License-Identifier: MIT */
/*
 * The basic URL parser (WHATWG URL standard §4.4). The standard's states are functions here:
 * each takes its part off the head of the input and writes it, encoded, to the end of the
 * serialisation, whose parts come in the same order. A path is text too: ".." cuts it at its
 * last '/', so each byte is written and cut once at most.
 */
#include <errno.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "http/percent.h"
#include "http/url.h"
#include "http/url_priv.h"

/* A part of the serialisation while that still moves. */
struct part {
    size_t at;
    size_t len;
};

struct parser {
    struct span in; /* what is left: valid UTF-8, no tab, no newline */
    const struct url *base;
    struct buf out;
    struct part scheme, username, password, host, path, query, fragment;
    struct url url; /* all but href and its spans */
    bool is_file;
};

static char peek(const struct parser *p)
{
    return (char)(p->in.len ? p->in.ptr[0] : 0);
}

static bool next_is(const struct parser *p, char c)
{
    return p->in.len > 0 && p->in.ptr[0] == c;
}

/* '/', and for special schemes '\' too. */
static bool next_is_slash(const struct parser *p)
{
    return next_is(p, '/') || (p->url.is_special && next_is(p, '\\'));
}

static void skip(struct parser *p, size_t n)
{
    p->in = span_drop(p->in, n);
}

/* What may end a part; for special schemes a '\\' is a slash. */
enum {
    STOP_SLASH = 1 << 0,
    STOP_QUESTION = 1 << 1,
    STOP_HASH = 1 << 2,
    STOP_AUTHORITY = STOP_SLASH | STOP_QUESTION | STOP_HASH,
};

static struct span take_until(struct parser *p, unsigned stops)
{
    size_t n = 0;

    for (; n < p->in.len; n++) {
        char c = p->in.ptr[n];

        if ((c == '/' && stops & STOP_SLASH) || (c == '?' && stops & STOP_QUESTION) ||
            (c == '#' && stops & STOP_HASH) ||
            (c == '\\' && stops & STOP_SLASH && p->url.is_special))
            break;
    }

    struct span taken = span_take(p->in, n);
    skip(p, n);
    return taken;
}

static int write_part(struct parser *p, struct part *part, struct span text)
{
    part->at = p->out.len;
    part->len = text.len;
    return buf_append(&p->out, text);
}

static int
write_encoded(struct parser *p, struct part *part, struct span text, enum percent_set set)
{
    part->at = p->out.len;
    int r = percent_encode(&p->out, text, set);
    part->len = p->out.len - part->at;
    return r;
}

/* Scheme state. Return: whether the input begins with one, which is then taken. */
static bool take_scheme(struct parser *p, struct span *ret)
{
    struct span in = p->in;
    size_t n = 0;

    if (!ascii_is_alpha(peek(p)))
        return false;
    while (n < in.len && (ascii_is_alnum(in.ptr[n]) || in.ptr[n] == '+' || in.ptr[n] == '-' ||
                          in.ptr[n] == '.'))
        n++;
    if (n == in.len || in.ptr[n] != ':')
        return false;
    *ret = span_take(in, n);
    skip(p, n + 1);
    return true;
}

static int write_scheme(struct parser *p, struct span scheme)
{
    int r = write_part(p, &p->scheme, scheme);

    if (r == 0)
        r = buf_append_char(&p->out, ':');
    if (r < 0)
        return r;

    char *text = p->out.storage + p->out.start;
    for (size_t i = 0; i < scheme.len; i++)
        text[i] = ascii_lower(text[i]);
    p->url.is_special = url_scheme_is_special((struct span){text, scheme.len});
    p->is_file = span_eq((struct span){text, scheme.len}, SPAN_LIT("file"));
    return 0;
}

static bool base_has_our_scheme(const struct parser *p)
{
    struct span ours = {buf_span(&p->out).ptr, p->scheme.len};

    return p->base && span_eq(p->base->scheme, ours);
}

/* ---- behind the path -------------------------------------------------------------------- */

static int write_query(struct parser *p, struct span query)
{
    p->url.has_query = true;
    int r = buf_append_char(&p->out, '?');
    if (r < 0)
        return r;
    return write_encoded(p, &p->query, query,
                         p->url.is_special ? PERCENT_SPECIAL_QUERY : PERCENT_QUERY);
}

/* What stands before a path that could be taken for a host is "/.". */
static int guard_path(struct parser *p)
{
    struct span path = span_drop(buf_span(&p->out), p->path.at);

    if (p->url.has_host || p->url.has_opaque_path || !span_starts_with(path, SPAN_LIT("//")))
        return 0;
    int r = buf_append(&p->out, SPAN_LIT("/."));
    if (r < 0)
        return r;
    char *at = p->out.storage + p->out.start + p->path.at;
    memmove(at + 2, at, path.len);
    at[1] = '.';
    p->path.at += 2;
    return 0;
}

static void end_path(struct parser *p)
{
    p->path.len = p->out.len - p->path.at;
}

/* Fragment state, when there is a '#'. */
static int parse_fragment(struct parser *p)
{
    if (!next_is(p, '#'))
        return 0;
    skip(p, 1);
    p->url.has_fragment = true;
    int r = buf_append_char(&p->out, '#');
    if (r < 0)
        return r;
    r = write_encoded(p, &p->fragment, p->in, PERCENT_FRAGMENT);
    skip(p, p->in.len);
    return r;
}

/* Ends the path; query state and fragment state. */
static int parse_tail(struct parser *p)
{
    int r = guard_path(p);

    end_path(p);
    if (r == 0 && next_is(p, '?')) {
        skip(p, 1);
        r = write_query(p, take_until(p, STOP_HASH));
    }
    return r == 0 ? parse_fragment(p) : r;
}

/* ---- path ------------------------------------------------------------------------------- */

static void begin_path(struct parser *p)
{
    p->path.at = p->out.len;
}

static struct span path_so_far(const struct parser *p)
{
    return span_drop(buf_span(&p->out), p->path.at);
}

/* Windows drive letter; a normalised one has ':' and not '|'. */
static bool is_drive_letter(struct span text)
{
    return text.len == 2 && ascii_is_alpha(text.ptr[0]) &&
           (text.ptr[1] == ':' || text.ptr[1] == '|');
}

static bool starts_with_drive_letter(struct span text)
{
    return is_drive_letter(span_take(text, 2)) &&
           (text.len == 2 || (text.ptr[2] && strchr("/\\?#", text.ptr[2])));
}

/* "/C:" and nothing more. */
static bool is_only_drive(struct span path)
{
    return path.len == 3 && path.ptr[2] == ':' && is_drive_letter(span_drop(path, 1));
}

static void shorten_path(struct parser *p)
{
    struct span path = path_so_far(p);
    const char *slash = path.len ? memrchr(path.ptr, '/', path.len) : NULL;

    if (!slash || (p->is_file && is_only_drive(path)))
        return;
    p->out.len = p->path.at + (size_t)(slash - path.ptr);
}

/* How many dots a segment is, counting %2e; 0 when it is something else. */
static int count_dots(struct span segment)
{
    int dots = 0;

    while (segment.len > 0) {
        if (segment.ptr[0] == '.')
            segment = span_drop(segment, 1);
        else if (span_ieq(span_take(segment, 3), SPAN_LIT("%2e")))
            segment = span_drop(segment, 3);
        else
            return 0;
        if (++dots > 2)
            return 0;
    }
    return dots;
}

static int write_segment(struct parser *p, struct span segment)
{
    bool is_drive = p->is_file && path_so_far(p).len == 0 && is_drive_letter(segment);
    int r = buf_append_char(&p->out, '/');

    if (r == 0)
        r = percent_encode(&p->out, segment, PERCENT_PATH);
    if (r == 0 && is_drive) {
        /* "C|" may have become "C%7C" in a stricter set; it is one byte in this one. */
        p->out.len = p->path.at + 2;
        r = buf_append_char(&p->out, ':');
    }
    return r;
}

/* Path state. */
static int parse_path(struct parser *p)
{
    for (;;) {
        struct span segment = take_until(p, STOP_AUTHORITY);
        bool more = next_is_slash(p);
        int dots = count_dots(segment);
        int r = 0;

        if (dots == 2)
            shorten_path(p);
        if (dots == 0)
            r = write_segment(p, segment);
        else if (!more)
            r = buf_append_char(&p->out, '/');
        if (r < 0)
            return r;
        if (!more)
            return parse_tail(p);
        skip(p, 1);
    }
}

/* Path start state. */
static int parse_path_start(struct parser *p)
{
    begin_path(p);
    if (!p->url.is_special && (p->in.len == 0 || next_is(p, '?') || next_is(p, '#')))
        return parse_tail(p);
    if (next_is_slash(p))
        skip(p, 1);
    return parse_path(p);
}

/* Opaque path state: nothing in there is anybody's structure but its scheme's. A space at the
 * very end would be lost by whoever trims the URL. */
static int parse_opaque_path(struct parser *p)
{
    p->url.has_opaque_path = true;
    begin_path(p);

    struct span text = take_until(p, STOP_QUESTION | STOP_HASH);
    bool ends_in_space = p->in.len > 0 && text.len > 0 && text.ptr[text.len - 1] == ' ';
    int r =
        percent_encode(&p->out, span_take(text, text.len - ends_in_space), PERCENT_C0_CONTROL);

    if (r == 0 && ends_in_space)
        r = buf_append(&p->out, SPAN_LIT("%20"));
    return r == 0 ? parse_tail(p) : r;
}

/* ---- authority -------------------------------------------------------------------------- */

static int write_userinfo(struct parser *p, struct span userinfo)
{
    struct span username;

    (void)span_split(&userinfo, ':', &username);
    if (username.len + userinfo.len == 0)
        return 0;
    int r = write_encoded(p, &p->username, username, PERCENT_USERINFO);
    if (r == 0 && userinfo.len > 0) {
        r = buf_append_char(&p->out, ':');
        if (r == 0)
            r = write_encoded(p, &p->password, userinfo, PERCENT_USERINFO);
    }
    return r == 0 ? buf_append_char(&p->out, '@') : r;
}

static int url_outcome_of_host(int r)
{
    switch (r) {
    case HOST_E_EMPTY: return URL_E_NO_HOST;
    case HOST_E_TOO_LONG: return URL_E_HOST_TOO_LONG;
    case HOST_E_CHARACTER: return URL_E_HOST_CHARACTER;
    case HOST_E_IDNA: return URL_E_HOST_IDNA;
    case HOST_E_IPV4: return URL_E_HOST_IPV4;
    case HOST_E_IPV6: return URL_E_HOST_IPV6;
    default: return r;
    }
}

static int write_host(struct parser *p, struct span host)
{
    p->host.at = p->out.len;
    int r = host_parse(host, p->url.is_special, &p->out, &p->url.host_kind);
    if (r != HOST_OK)
        return url_outcome_of_host(r);
    p->host.len = p->out.len - p->host.at;
    if (p->host.len == 0)
        p->url.host_kind = HOST_NONE;
    return URL_OK;
}

/* Port state. Any number of leading zeros is fine. */
static int write_port(struct parser *p, struct span digits)
{
    int32_t port = 0;

    for (size_t i = 0; i < digits.len; i++) {
        if (!ascii_is_digit(digits.ptr[i]))
            return URL_E_PORT;
        port = port * 10 + (digits.ptr[i] - '0');
        if (port > UINT16_MAX)
            return URL_E_PORT;
    }

    struct span scheme = {buf_span(&p->out).ptr, p->scheme.len};
    if (digits.len == 0 || port == url_scheme_port(scheme))
        return URL_OK;
    p->url.port = port;
    int r = buf_append_char(&p->out, ':');
    return r == 0 ? buf_append_u64(&p->out, (uint64_t)port) : r;
}

/* Where the host ends: at the first ':' outside brackets. */
static size_t host_length(struct span authority)
{
    bool in_brackets = false;
    size_t n = 0;

    for (; n < authority.len; n++) {
        char c = authority.ptr[n];

        if (c == ':' && !in_brackets)
            break;
        if (c == '[' || c == ']')
            in_brackets = c == '[';
    }
    return n;
}

static int begin_authority(struct parser *p)
{
    p->url.has_host = true;
    return buf_append(&p->out, SPAN_LIT("//"));
}

/* Authority state, host state and port state; then the path. */
static int parse_authority(struct parser *p)
{
    struct span authority = take_until(p, STOP_AUTHORITY);
    const char *at = authority.len ? memrchr(authority.ptr, '@', authority.len) : NULL;
    struct span userinfo = {0};

    if (at) {
        userinfo = span_take(authority, (size_t)(at - authority.ptr));
        authority = span_drop(authority, userinfo.len + 1);
    }

    struct span host = span_take(authority, host_length(authority));
    bool has_port = host.len < authority.len;
    if (host.len == 0 && (at || has_port || p->url.is_special))
        return URL_E_NO_HOST;
    int r = begin_authority(p);
    if (r == 0)
        r = write_userinfo(p, userinfo);
    if (r == 0)
        r = write_host(p, host);
    if (r == URL_OK && has_port)
        r = write_port(p, span_drop(authority, host.len + 1));
    return r == URL_OK ? parse_path_start(p) : r;
}

/* Special authority ignore slashes state. */
static int parse_authority_behind_slashes(struct parser *p)
{
    while (next_is_slash(p))
        skip(p, 1);
    return parse_authority(p);
}

/* ---- relative to a base ----------------------------------------------------------------- */

static int copy_authority(struct parser *p)
{
    const struct url *base = p->base;

    if (!base->has_host)
        return 0;
    int r = begin_authority(p);
    if (r == 0 && url_has_credentials(base)) {
        r = write_part(p, &p->username, base->username);
        if (r == 0 && base->password.len > 0) {
            r = buf_append_char(&p->out, ':');
            if (r == 0)
                r = write_part(p, &p->password, base->password);
        }
        if (r == 0)
            r = buf_append_char(&p->out, '@');
    }
    if (r == 0)
        r = write_part(p, &p->host, base->host);
    p->url.host_kind = base->host_kind;
    p->url.port = base->port;
    if (r == 0 && base->port != URL_PORT_NONE) {
        r = buf_append_char(&p->out, ':');
        if (r == 0)
            r = buf_append_u64(&p->out, (uint64_t)base->port);
    }
    return r;
}

/* The reference has no path of its own: the base's stays, its query unless there is a new one.
 */
static int keep_path(struct parser *p)
{
    if (next_is(p, '?'))
        return parse_tail(p);
    int r = guard_path(p);

    end_path(p);
    if (r == 0 && p->base->has_query) {
        p->url.has_query = true;
        r = buf_append_char(&p->out, '?');
        if (r == 0)
            r = write_part(p, &p->query, p->base->query);
    }
    return r == 0 ? parse_fragment(p) : r;
}

static int copy_path(struct parser *p)
{
    begin_path(p);
    return buf_append(&p->out, p->base->path);
}

/* Relative state and relative slash state. The scheme is written. */
static int parse_relative(struct parser *p)
{
    int r;

    if (next_is_slash(p)) {
        skip(p, 1);
        if (next_is_slash(p) && p->url.is_special)
            return parse_authority_behind_slashes(p);
        if (next_is_slash(p)) {
            skip(p, 1);
            return parse_authority(p);
        }
        r = copy_authority(p);
        begin_path(p);
        return r == 0 ? parse_path(p) : r;
    }
    r = copy_authority(p);
    if (r == 0)
        r = copy_path(p);
    if (r < 0)
        return r;
    if (p->in.len == 0 || next_is(p, '?') || next_is(p, '#'))
        return keep_path(p);
    shorten_path(p);
    return parse_path(p);
}

/* ---- file ------------------------------------------------------------------------------- */

static int copy_file_host(struct parser *p, bool from_base)
{
    int r = begin_authority(p);

    if (r == 0 && from_base) {
        r = write_part(p, &p->host, p->base->host);
        p->url.host_kind = p->base->host_kind;
    }
    return r;
}

/* File host state: "file://host/path". */
static int parse_file_host(struct parser *p)
{
    struct span in = p->in;
    struct span host = take_until(p, STOP_AUTHORITY);
    int r = begin_authority(p);

    if (r < 0)
        return r;
    if (is_drive_letter(host)) {
        p->in = in; /* the drive is no host but the first segment of a path */
        begin_path(p);
        return parse_path(p);
    }
    if (host.len > 0) {
        r = write_host(p, host);
        if (r != URL_OK)
            return r;
        if (span_eq(span_drop(buf_span(&p->out), p->host.at), SPAN_LIT("localhost"))) {
            p->out.len = p->host.at;
            p->host.len = 0;
            p->url.host_kind = HOST_NONE;
        }
    }
    return parse_path_start(p);
}

/* File slash state, one slash taken: "file:/path", on the base's drive if there is one. */
static int parse_file_slash(struct parser *p)
{
    bool from_base = base_has_our_scheme(p);

    if (next_is_slash(p)) {
        skip(p, 1);
        return parse_file_host(p);
    }
    int r = copy_file_host(p, from_base);
    begin_path(p);
    if (r == 0 && from_base && !starts_with_drive_letter(p->in)) {
        struct span drive = span_take(p->base->path, 3);

        if (is_only_drive(drive) && (p->base->path.len == 3 || p->base->path.ptr[3] == '/'))
            r = buf_append(&p->out, drive);
    }
    return r == 0 ? parse_path(p) : r;
}

/* File state. The scheme is written. */
static int parse_file(struct parser *p)
{
    bool from_base = base_has_our_scheme(p);

    if (next_is_slash(p)) {
        skip(p, 1);
        return parse_file_slash(p);
    }
    int r = copy_file_host(p, from_base);
    if (r == 0 && from_base)
        r = copy_path(p);
    else
        begin_path(p);
    if (r < 0)
        return r;
    if (from_base && (p->in.len == 0 || next_is(p, '?') || next_is(p, '#')))
        return keep_path(p);
    if (starts_with_drive_letter(p->in))
        p->out.len = p->path.at;
    else
        shorten_path(p);
    return parse_path(p);
}

/* ---- the whole -------------------------------------------------------------------------- */

/* Scheme state, behind the ':'. */
static int parse_absolute(struct parser *p)
{
    bool has_two_slashes = span_starts_with(p->in, SPAN_LIT("//"));

    if (p->is_file)
        return parse_file(p);
    if (p->url.is_special && base_has_our_scheme(p) && !has_two_slashes)
        return parse_relative(p);
    if (p->url.is_special)
        return parse_authority_behind_slashes(p);
    if (has_two_slashes) {
        skip(p, 2);
        return parse_authority(p);
    }
    if (next_is(p, '/')) {
        skip(p, 1);
        begin_path(p);
        return parse_path(p);
    }
    return parse_opaque_path(p);
}

/* No scheme state. */
static int parse_without_scheme(struct parser *p)
{
    if (!p->base)
        return URL_E_NO_SCHEME;
    if (p->base->has_opaque_path && !next_is(p, '#'))
        return URL_E_OPAQUE_BASE;
    int r = write_scheme(p, p->base->scheme);
    if (r < 0)
        return r;
    if (p->base->has_opaque_path) {
        p->url.has_opaque_path = true;
        r = copy_path(p);
        return r == 0 ? keep_path(p) : r;
    }
    return p->is_file ? parse_file(p) : parse_relative(p);
}

static int parse_url(struct parser *p)
{
    struct span scheme;

    if (!take_scheme(p, &scheme))
        return parse_without_scheme(p);
    int r = write_scheme(p, scheme);
    return r == 0 ? parse_absolute(p) : r;
}

static bool is_tab_or_newline(char c)
{
    return c == '\t' || c == '\n' || c == '\r';
}

/* Ends of C0 controls and spaces go, then tabs and newlines everywhere. Without any of these,
 * and in valid UTF-8, the input is used as it lies there. */
static int prepare(struct span text, struct buf *clean, struct span *ret)
{
    bool is_clean = utf8_is_valid(text);

    while (text.len > 0 && (unsigned char)text.ptr[0] <= 0x20)
        text = span_drop(text, 1);
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= 0x20)
        text.len--;
    for (size_t i = 0; i < text.len && is_clean; i++)
        is_clean = !is_tab_or_newline(text.ptr[i]);
    *ret = text;
    if (is_clean)
        return 0;

    int r = buf_reserve(clean, text.len);
    while (r == 0 && text.len > 0) {
        bool is_bad;
        uint32_t c = utf8_next(&text, &is_bad);

        if (c > 0x20 || !is_tab_or_newline((char)c))
            r = utf8_append(clean, c);
    }
    *ret = buf_span(clean);
    return r;
}

static struct span part_span(const struct parser *p, struct part part)
{
    return (struct span){p->out.storage + part.at, part.len};
}

/* Hands the serialisation over. */
static int finish(struct parser *p, struct url *ret)
{
    if (p->out.len > URL_BYTES_MAX)
        return URL_E_TOO_LONG;
    if (!buf_c_str(&p->out))
        return fault(-ENOMEM);
    INVARIANT(p->out.start == 0);

    p->url.href_len = p->out.len;
    p->url.href = mem_realloc(p->out.storage, p->out.len + 1);
    if (!p->url.href)
        return fault(-ENOMEM);
    p->out.storage = p->url.href;
    p->url.scheme = part_span(p, p->scheme);
    p->url.username = part_span(p, p->username);
    p->url.password = part_span(p, p->password);
    p->url.host = part_span(p, p->host);
    p->url.path = part_span(p, p->path);
    p->url.query = part_span(p, p->query);
    p->url.fragment = part_span(p, p->fragment);
    p->out = BUF_INIT(0);
    *ret = p->url;
    return URL_OK;
}

int url_parse(struct span text, const struct url *base, struct url *ret)
{
    CLEANUP_BUF struct buf clean = BUF_INIT(0);
    struct parser p = {.base = base, .url = {.port = URL_PORT_NONE}};

    if (text.len > URL_BYTES_MAX)
        return URL_E_TOO_LONG;
    int r = prepare(text, &clean, &p.in);
    if (r == 0)
        r = buf_reserve(&p.out, p.in.len + (base ? base->href_len : 0) + 8);
    if (r == 0)
        r = parse_url(&p);
    if (r == URL_OK)
        r = finish(&p, ret);
    buf_done(&p.out);
    return r;
}
