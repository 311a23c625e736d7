/* SPDX-License-Identifier: MIT */
#include "http/set_cookie.h"

#include "base/ascii.h"
#include "base/num.h"
#include "http/date.h"

static bool has_ctl(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

/* RFC 6265bis §5.6.2: not a number leaves the cookie alone; too big a number is cut. */
static void parse_max_age(struct set_cookie *cookie, struct span value)
{
    bool is_negative = value.len > 0 && value.ptr[0] == '-';
    size_t i = is_negative ? 1 : 0;
    int64_t seconds = 0;

    if (i == value.len)
        return;
    for (; i < value.len; i++) {
        if (!ascii_is_digit(value.ptr[i]))
            return;
        if (seconds < SET_COOKIE_AGE_LIMIT_S)
            seconds = seconds * 10 + (value.ptr[i] - '0');
    }
    if (seconds > SET_COOKIE_AGE_LIMIT_S)
        seconds = SET_COOKIE_AGE_LIMIT_S;
    cookie->has_max_age = true;
    cookie->max_age_s = is_negative ? -seconds : seconds;
}

/* RFC 6265bis §5.6.1: what is no date leaves the cookie alone. */
static void parse_expires(struct set_cookie *cookie, struct span value)
{
    int64_t date_s;

    if (cookie_date_parse(value, &date_s) < 0)
        return;
    cookie->has_expires = true;
    cookie->expires_s = date_s;
}

/* RFC 6265bis §5.6.3: one leading dot means nothing. */
static struct span parse_domain(struct span value)
{
    return value.len > 0 && value.ptr[0] == '.' ? span_drop(value, 1) : value;
}

/* RFC 6265bis §5.6.4: what does not begin with '/' stands for the default-path. */
static struct span parse_path(struct span value)
{
    return value.len > 0 && value.ptr[0] == '/' ? value : (struct span){0};
}

/* RFC 6265bis §5.6.7: an unknown word counts as the default, also after a known one. */
static enum same_site parse_same_site(struct span value)
{
    for (int i = SAME_SITE_NONE; i <= SAME_SITE_STRICT; i++) {
        if (span_ieq(value, span_of(same_site_name((enum same_site)i))))
            return (enum same_site)i;
    }
    return SAME_SITE_DEFAULT;
}

static void parse_version(struct set_cookie *cookie, struct span value)
{
    uint64_t version = 0;

    if (num_parse_u64(value, UINT32_MAX, &version) == 0)
        cookie->version = (uint32_t)version;
}

const char *same_site_name(enum same_site same_site)
{
    switch (same_site) {
    case SAME_SITE_NONE: return "None";
    case SAME_SITE_LAX: return "Lax";
    case SAME_SITE_STRICT: return "Strict";
    case SAME_SITE_DEFAULT: break;
    }
    return "";
}

static void apply_attribute(struct set_cookie *cookie, struct span name, struct span value)
{
    if (value.len > SET_COOKIE_ATTR_MAX)
        return;
    if (span_ieq(name, SPAN_LIT("Domain")))
        cookie->domain = parse_domain(value);
    else if (span_ieq(name, SPAN_LIT("Path")))
        cookie->path = parse_path(value), cookie->has_path = true;
    else if (span_ieq(name, SPAN_LIT("Max-Age")))
        parse_max_age(cookie, value);
    else if (span_ieq(name, SPAN_LIT("Expires")))
        parse_expires(cookie, value);
    else if (span_ieq(name, SPAN_LIT("Secure")))
        cookie->secure = true;
    else if (span_ieq(name, SPAN_LIT("HttpOnly")))
        cookie->http_only = true;
    else if (span_ieq(name, SPAN_LIT("SameSite")))
        cookie->same_site = parse_same_site(value);
    else if (span_ieq(name, SPAN_LIT("Partitioned")))
        cookie->partitioned = true;
    else if (span_ieq(name, SPAN_LIT("Comment")) && value.len <= SET_COOKIE_COMMENT_MAX)
        cookie->comment = value;
    else if (span_ieq(name, SPAN_LIT("Version")))
        parse_version(cookie, value);
}

/* "name=value"; without '=' all of it is the value. */
static void parse_pair(struct set_cookie *cookie, struct span pair)
{
    struct span head;

    if (span_split(&pair, '=', &head)) {
        cookie->name = span_trim_ows(head);
        cookie->value = span_trim_ows(pair);
    } else {
        cookie->value = span_trim_ows(head);
    }
}

int set_cookie_parse(struct span field, struct set_cookie *ret)
{
    struct set_cookie cookie = {0};
    struct span part;

    if (has_ctl(field))
        return SET_COOKIE_E_CTL;
    (void)span_split(&field, ';', &part);
    parse_pair(&cookie, part);
    if (cookie.name.len + cookie.value.len == 0)
        return SET_COOKIE_E_EMPTY;
    if (cookie.name.len + cookie.value.len > SET_COOKIE_PAIR_MAX)
        return SET_COOKIE_E_TOO_LONG;

    while (field.len > 0) {
        struct span name;

        (void)span_split(&field, ';', &part);
        (void)span_split(&part, '=', &name);
        apply_attribute(&cookie, span_trim_ows(name), span_trim_ows(part));
    }
    *ret = cookie;
    return SET_COOKIE_OK;
}

static int append_attribute(struct buf *out, const char *name, struct span value)
{
    int r = buf_append_str(out, "; ");

    if (r == 0)
        r = buf_append_str(out, name);
    if (r == 0 && value.len > 0)
        r = buf_append_char(out, '=');
    return r == 0 ? buf_append(out, value) : r;
}

static int append_lifetime(const struct set_cookie *cookie, struct buf *out)
{
    int r = 0;

    if (cookie->has_expires) {
        char date[HTTP_DATE_SIZE];

        http_date_format(cookie->expires_s, date);
        r = append_attribute(out, "Expires", span_of(date));
    }
    if (r == 0 && cookie->has_max_age) {
        bool is_negative = cookie->max_age_s < 0;

        r = append_attribute(out, is_negative ? "Max-Age=-" : "Max-Age=", (struct span){0});
        if (r == 0)
            r = buf_append_u64(
                out, (uint64_t)(is_negative ? -cookie->max_age_s : cookie->max_age_s));
    }
    return r;
}

static int append_flags(const struct set_cookie *cookie, struct buf *out)
{
    int r = 0;

    if (cookie->secure)
        r = append_attribute(out, "Secure", (struct span){0});
    if (r == 0 && cookie->http_only)
        r = append_attribute(out, "HttpOnly", (struct span){0});
    if (r == 0 && cookie->same_site != SAME_SITE_DEFAULT)
        r = append_attribute(out, "SameSite", span_of(same_site_name(cookie->same_site)));
    if (r == 0 && cookie->partitioned)
        r = append_attribute(out, "Partitioned", (struct span){0});
    if (r == 0 && cookie->comment.len > 0)
        r = append_attribute(out, "Comment", cookie->comment);
    if (r == 0 && cookie->version > 0) {
        r = append_attribute(out, "Version=", (struct span){0});
        if (r == 0)
            r = buf_append_u64(out, cookie->version);
    }
    return r;
}

int set_cookie_format(const struct set_cookie *cookie, struct buf *out)
{
    int r = buf_append(out, cookie->name);

    if (r == 0)
        r = buf_append_char(out, '=');
    if (r == 0)
        r = buf_append(out, cookie->value);
    if (r == 0 && cookie->domain.len > 0) {
        /* These would be taken off; a dot in front is taken off instead. */
        char first = cookie->domain.ptr[0];
        bool needs_dot = first == '.' || first == ' ' || first == '\t';

        r = append_attribute(out, needs_dot ? "Domain=." : "Domain=", (struct span){0});
        if (r == 0)
            r = buf_append(out, cookie->domain);
    }
    if (r == 0 && cookie->has_path)
        r = append_attribute(out, "Path", cookie->path);
    if (r == 0)
        r = append_lifetime(cookie, out);
    return r == 0 ? append_flags(cookie, out) : r;
}
