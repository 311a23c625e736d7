/* SPDX-License-Identifier: MIT */
/*
 * Judging: whether a cookie that a response, the owner or an earlier life asks for may enter
 * the jar (RFC 6265bis §5.7), and with which domain, path and life time.
 */
#include <errno.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "policy/cookie_jar_priv.h"
#include "policy/cookie_match.h"

/* What is asked for, while it is judged. */
struct wish {
    struct cookie cookie;
    struct cookie_place place;         /* of the host it is asked for */
    const struct cookie_request *from; /* only time and means count if by_owner */
    struct span asked_domain;          /* without a leading dot; empty: none */
    bool by_owner;                     /* no response: scheme and host bind nothing */
    bool names_path;                   /* a Path was written, not supplied */
    bool partitioned;
    char partition_text[COOKIE_PARTITION_MAX]; /* what cookie.partition_key may borrow from */
    char domain_text[HOST_NAME_BYTES_MAX + 1]; /* what cookie.domain may borrow from */
};

static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static bool has_char(struct span text, char c)
{
    return text.len > 0 && memchr(text.ptr, c, text.len);
}

static bool starts_with_icase(struct span text, struct span prefix)
{
    return text.len >= prefix.len && span_ieq(span_take(text, prefix.len), prefix);
}

/* Return: 0 or a refusal. The grammar has seen to most of it already when a server asks; the
 * owner's hand must not write what would be read as two cookies. */
static int judge_text(const struct cookie *cookie)
{
    if (cookie->name.len + cookie->value.len == 0)
        return COOKIE_REFUSED_EMPTY;
    if (cookie->name.len > SET_COOKIE_PAIR_MAX || cookie->value.len > SET_COOKIE_PAIR_MAX ||
        cookie->name.len + cookie->value.len > SET_COOKIE_PAIR_MAX)
        return COOKIE_REFUSED_TOO_LONG;
    if (has_control(cookie->name) || has_control(cookie->value) ||
        has_char(cookie->name, ';') || has_char(cookie->name, '=') ||
        has_char(cookie->value, ';'))
        return COOKIE_REFUSED_CTL;
    if (cookie->path.len > COOKIE_PATH_MAX || cookie->path.len == 0 ||
        cookie->path.ptr[0] != '/' || has_control(cookie->path))
        return COOKIE_REFUSED_PATH;
    if (cookie->comment.len > COOKIE_COMMENT_MAX || cookie->original_url.len > COOKIE_URL_MAX ||
        cookie->partition_key.len > COOKIE_PARTITION_MAX)
        return COOKIE_REFUSED_TOO_LONG;
    if (has_control(cookie->comment) || has_control(cookie->original_url) ||
        has_char(cookie->comment, ';'))
        return COOKIE_REFUSED_CTL;
    return 0;
}

/* RFC 6265bis §4.1.3; without regard to case, as servers' own parsers have none. A nameless
 * cookie is sent as its value alone, so the value must not pass for such a name either. */
static int judge_prefix(const struct wish *wish)
{
    const struct cookie *cookie = &wish->cookie;
    struct span name = cookie->name.len > 0 ? cookie->name : cookie->value;
    bool is_host = starts_with_icase(name, SPAN_LIT("__Host-"));

    if (!is_host && !starts_with_icase(name, SPAN_LIT("__Secure-")))
        return 0;
    if (cookie->name.len == 0 || !cookie->secure)
        return COOKIE_REFUSED_PREFIX;
    if (is_host && (wish->asked_domain.len > 0 || !cookie->host_only || !wish->names_path ||
                    !span_eq(cookie->path, SPAN_LIT("/"))))
        return COOKIE_REFUSED_PREFIX;
    return 0;
}

/* A Domain as it stands in the jar. Return: whether it can be one. A name ending in a dot is
 * refused here: libpsl would take "co.uk." for nobody's (CVE-2022-27779). */
static bool
copy_domain(struct span text, char ret[HOST_NAME_BYTES_MAX + 1], struct span *ret_domain)
{
    if (text.len == 0 || text.len > HOST_NAME_BYTES_MAX || text.ptr[text.len - 1] == '.')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false; /* RFC 6265bis §5.7: a Domain is ASCII or the cookie is ignored */
        ret[i] = ascii_lower(text.ptr[i]);
    }
    ret[text.len] = '\0';
    *ret_domain = (struct span){ret, text.len};
    return true;
}

static int make_host_only(struct wish *wish)
{
    wish->cookie.domain = wish->place.host;
    wish->cookie.host_only = true;
    return 0;
}

/* RFC 6265bis §5.7 steps on the domain-attribute. Return: 0 or a refusal; fills domain and
 * host_only. */
static int judge_domain(const struct cookie_jar *jar, struct wish *wish)
{
    struct span domain;
    struct cookie_place place;

    if (wish->asked_domain.len == 0)
        return make_host_only(wish);
    if (!copy_domain(wish->asked_domain, wish->domain_text, &domain))
        return COOKIE_REFUSED_DOMAIN;
    if (wish->place.is_ip)
        return span_eq(host_strip_brackets(domain), wish->place.host) ? make_host_only(wish)
                                                                      : COOKIE_REFUSED_DOMAIN;
    if (!host_fits_dns(domain))
        return COOKIE_REFUSED_DOMAIN;
    if (suffix_is_public(jar->rules, domain))
        return span_eq(domain, wish->place.host) ? make_host_only(wish)
                                                 : COOKIE_REFUSED_PUBLIC_SUFFIX;
    if (!cookie_domain_matches(wish->place.host, domain))
        return COOKIE_REFUSED_DOMAIN;
    /* The list has suffixes below names that are none (compute.amazonaws.com): a domain of
     * another site than the host's has other owners than the host. */
    if (!jar_place(jar, domain, &place) || !span_eq(place.site, wish->place.site))
        return COOKIE_REFUSED_PUBLIC_SUFFIX;
    wish->cookie.domain = domain;
    wish->cookie.host_only = false;
    return 0;
}

/* "Leave secure cookies alone": what came in the clear must not stand in for a Secure cookie.
 * Wider than RFC 6265bis §5.7, which lets a cookie of a shorter path than the Secure one's
 * pass: both go to the longer path, and servers differ in which they read (CVE-2025-9086). */
static bool hides_secure_cookie(const struct cookie_site *site, const struct cookie *cookie)
{
    LIST_FOREACH (link, &site->cookies) {
        const struct cookie *old = &jar_cookie_in_site(link)->cookie;

        if (old->secure && span_eq(old->name, cookie->name) &&
            (cookie_domain_matches(old->domain, cookie->domain) ||
             cookie_domain_matches(cookie->domain, old->domain)) &&
            (cookie_path_matches(cookie->path, old->path) ||
             cookie_path_matches(old->path, cookie->path)))
            return true;
    }
    return false;
}

/* Return: 0 or a refusal. */
static int judge_site(const struct cookie_site *site, const struct wish *wish)
{
    const struct cookie *cookie = &wish->cookie;

    if (!site)
        return 0;
    if (!cookie->secure && !wish->from->is_secure && !wish->by_owner &&
        hides_secure_cookie(site, cookie))
        return COOKIE_REFUSED_OVERLAY;
    const struct jar_cookie *old = site_find(site, cookie);
    return old && old->cookie.http_only && wish->from->is_not_http ? COOKIE_REFUSED_HTTP_ONLY
                                                                   : 0;
}

/* RFC 6265bis §5.7 step 18: an answer made on behalf of another site sets what is None, or what
 * comes with a navigation. */
static bool site_allows(const struct cookie_jar *jar, const struct wish *wish)
{
    return wish->by_owner || wish->cookie.same_site == SAME_SITE_NONE ||
           (wish->from->is_navigation && !wish->from->is_not_http) ||
           cookie_is_same_site(jar, wish->from, &wish->place);
}

static void wish_partition(const struct cookie_jar *jar, struct wish *wish)
{
    struct cookie_request from = *wish->from;

    wish->cookie.partition_key = (struct span){0};
    if (!wish->partitioned)
        return;
    from.is_secure |= wish->by_owner; /* it says no scheme; partitioned cookies are of https */
    wish->cookie.partition_key =
        cookie_partition_key(jar, &from, &wish->place, wish->partition_text);
}

/* Everything after the domain. Return: 0 or a refusal. */
static int judge(const struct cookie_jar *jar, const struct wish *wish)
{
    int r = judge_text(&wish->cookie);

    if (r != 0)
        return r;
    if (wish->cookie.secure && !wish->from->is_secure && !wish->by_owner)
        return COOKIE_REFUSED_SECURE;
    if (wish->cookie.http_only && wish->from->is_not_http)
        return COOKIE_REFUSED_HTTP_ONLY;
    if (!site_allows(jar, wish))
        return COOKIE_REFUSED_SAME_SITE;
    if (wish->cookie.same_site == SAME_SITE_NONE && !wish->cookie.secure)
        return COOKIE_REFUSED_NONE_INSECURE; /* RFC 6265bis §5.7 step 19 */
    r = judge_prefix(wish);
    if (r != 0)
        return r;
    if (wish->partitioned && !wish->cookie.secure)
        return COOKIE_REFUSED_PARTITIONED;
    return judge_site(jar_find_site(jar, wish->place.site), wish);
}

/* Cuts the life time; puts the cookie in, or takes out what it would replace. */
static int fulfil(struct cookie_jar *jar, struct wish *wish)
{
    struct cookie *cookie = &wish->cookie;
    int64_t now_s = wish->from->now_s;

    cookie->last_access_s = now_s;
    if (!cookie->is_persistent) {
        cookie->expires_s = COOKIE_EXPIRES_NEVER;
    } else if (cookie->expires_s <= now_s) {
        struct cookie_site *site = jar_find_site(jar, wish->place.site);
        struct jar_cookie *old = site ? site_find(site, cookie) : NULL;

        if (old)
            jar_drop(jar, old, COOKIE_CAUSE_REMOVED);
        return COOKIE_REMOVED;
    } else if (cookie->expires_s - now_s > jar->options.lifetime_max_s) {
        cookie->expires_s = now_s + jar->options.lifetime_max_s;
    }
    return jar_put(jar, wish->place.site, cookie, now_s);
}

static void wish_expiry(struct cookie *cookie, const struct set_cookie *set, int64_t now_s)
{
    cookie->is_persistent = set->has_max_age || set->has_expires;
    if (!set->has_max_age)
        cookie->expires_s = set->expires_s;
    else if (set->max_age_s <= 0)
        cookie->expires_s = INT64_MIN;
    else if (__builtin_add_overflow(now_s, set->max_age_s, &cookie->expires_s))
        cookie->expires_s = INT64_MAX - 1;
}

int cookie_jar_store(struct cookie_jar *jar,
                     const struct cookie_request *from,
                     const struct set_cookie *set)
{
    struct wish wish = {
        .cookie = {.name = set->name,
                   .value = set->value,
                   .path = set->path.len > 0 && set->path.ptr[0] == '/'
                               ? set->path
                               : cookie_default_path(from->path),
                   .comment = set->comment,
                   .original_url =
                       from->url.len <= COOKIE_URL_MAX ? from->url : (struct span){0},
                   .version = set->version,
                   .same_site = (uint8_t)set->same_site,
                   .secure = set->secure,
                   .http_only = set->http_only},
        .from = from,
        .asked_domain = set->domain, /* the grammar has dropped its leading dot */
        .names_path = set->has_path,
        .partitioned = set->partitioned,
    };

    (void)cookie_jar_expire(jar, from->now_s); /* what has expired is not there to replace */
    wish_expiry(&wish.cookie, set, from->now_s);
    if (!jar_place(jar, from->host, &wish.place))
        return COOKIE_REFUSED_HOST;
    wish_partition(jar, &wish);
    int r = judge_domain(jar, &wish);
    if (r == 0)
        r = judge(jar, &wish);
    return r != 0 ? r : fulfil(jar, &wish);
}

/* Return: 0 or a refusal. */
static int parse_field(struct span field, struct set_cookie *ret)
{
    switch (set_cookie_parse(field, ret)) {
    case SET_COOKIE_OK: return 0;
    case SET_COOKIE_E_EMPTY: return COOKIE_REFUSED_EMPTY;
    case SET_COOKIE_E_CTL: return COOKIE_REFUSED_CTL;
    default: return COOKIE_REFUSED_TOO_LONG;
    }
}

static void tell_group(struct cookie_jar *jar, bool begins)
{
    LIST_FOREACH (at, &jar->observers) {
        struct cookie_observer *observer = CONTAINER_OF(at, struct cookie_observer, link);

        if (observer->changes->on_group)
            observer->changes->on_group(observer->owner, begins);
    }
}

/* Return: a refusal, another outcome, or -ENOMEM. */
static int store_field(struct cookie_jar *jar,
                       const struct cookie_request *from,
                       struct span field,
                       struct cookie_summary *summary)
{
    struct set_cookie set;
    unsigned n = summary->changed + summary->refused;
    int r = n < jar->options.response_cookies_max ? parse_field(field, &set)
                                                  : COOKIE_REFUSED_TOO_MANY;

    if (r == 0)
        r = cookie_jar_store(jar, from, &set);
    if (r < 0)
        return r;
    if (cookie_outcome_is_refusal(r))
        summary->refused++;
    else
        summary->changed++;
    summary->must_be_saved |= r == COOKIE_REFUSED_UNSAVED;
    return r;
}

int cookie_jar_store_response(struct cookie_jar *jar,
                              const struct cookie_request *from,
                              const struct headers *headers,
                              const struct cookie_refusals *refusals,
                              struct cookie_summary *ret)
{
    struct cookie_summary summary = {0};
    uint64_t lasting = jar->lasting_changes;
    bool is_group = false;
    struct span field;
    size_t cursor = 0;
    int r = 0;

    while (r >= 0 && headers_find_next(headers, SPAN_LIT("Set-Cookie"), &cursor, &field)) {
        if (!is_group)
            tell_group(jar, true);
        is_group = true;
        r = store_field(jar, from, field, &summary);
        if (cookie_outcome_is_refusal(r) && refusals)
            refusals->on_refused(refusals->owner, field, r);
    }
    if (is_group)
        tell_group(jar, false);
    summary.must_be_saved |= jar->lasting_changes != lasting;
    *ret = summary;
    return r < 0 ? r : 0;
}

static struct span without_leading_dot(struct span domain)
{
    return domain.len > 0 && domain.ptr[0] == '.' ? span_drop(domain, 1) : domain;
}

/* Where the owner wants the cookie. Return: 0, a refusal, or -ENOMEM. */
static int wish_place(const struct cookie_jar *jar,
                      struct wish *wish,
                      const struct cookie *draft,
                      struct host_name *name)
{
    struct span domain = without_leading_dot(draft->domain);

    if (wish->by_owner) {
        int r = host_name_parse(domain, name);

        if (r < 0)
            return r;
        if (r != HOST_OK || !jar_place(jar, span_of(name->text), &wish->place))
            return COOKIE_REFUSED_DOMAIN;
        wish->asked_domain = draft->host_only ? (struct span){0} : wish->place.host;
        return 0;
    }
    if (!jar_place(jar, wish->from->host, &wish->place))
        return COOKIE_REFUSED_HOST;
    if (draft->host_only && domain.len > 0) {
        if (!span_ieq(host_strip_brackets(domain), wish->place.host))
            return COOKIE_REFUSED_DOMAIN;
        domain = (struct span){0};
    }
    wish->asked_domain = domain;
    return 0;
}

bool cookie_jar_is_shared_domain(const struct cookie_jar *jar, struct span domain)
{
    struct host_name name;
    struct cookie_place place;

    return host_name_parse(without_leading_dot(domain), &name) == HOST_OK &&
           jar_place(jar, span_of(name.text), &place) && !place.is_ip &&
           suffix_is_public(jar->rules, place.host);
}

int cookie_jar_set(struct cookie_jar *jar,
                   const struct cookie *draft,
                   const struct cookie_request *from)
{
    struct host_name name;
    struct wish wish = {
        .cookie = *draft,
        .from = from,
        .by_owner = from->host.len == 0,
        .names_path = draft->path.len > 0,
        .partitioned = draft->partition_key.len > 0,
    };

    (void)cookie_jar_expire(jar, from->now_s);
    if (draft->path.len == 0)
        wish.cookie.path = wish.by_owner ? SPAN_LIT("/") : cookie_default_path(from->path);
    int r = wish_place(jar, &wish, draft, &name);
    if (r == 0)
        r = judge_domain(jar, &wish);
    /* __Host- forbids a Domain; the owner's draft names one to say whose the cookie is. */
    if (r == 0 && wish.cookie.host_only)
        wish.asked_domain = (struct span){0};
    if (r == 0) {
        wish_partition(jar, &wish);
        r = judge(jar, &wish);
    }
    return r != 0 ? r : fulfil(jar, &wish);
}

/* Return: 0 or a refusal. */
static int
judge_saved(const struct cookie_jar *jar, const struct cookie *saved, struct cookie_place *ret)
{
    int r = judge_text(saved);

    if (r != 0)
        return r;
    if (!jar_place(jar, saved->domain, ret) || !span_eq(ret->host, saved->domain) ||
        (ret->is_ip && !saved->host_only))
        return COOKIE_REFUSED_DOMAIN;
    if (!saved->host_only && suffix_is_public(jar->rules, saved->domain))
        return COOKIE_REFUSED_PUBLIC_SUFFIX; /* the list has grown since */
    const struct cookie_site *site = jar_find_site(jar, ret->site);
    return site && site_find(site, saved) ? COOKIE_REFUSED_OVERLAY : 0;
}

int cookie_jar_restore(struct cookie_jar *jar, const struct cookie *saved, int64_t now_s)
{
    struct cookie cookie = *saved;
    struct cookie_place place;
    int r = judge_saved(jar, saved, &place);

    if (r != 0)
        return r;
    if (!cookie.is_persistent)
        cookie.expires_s = COOKIE_EXPIRES_NEVER;
    else if (jar_has_expired(jar, &cookie, now_s))
        return COOKIE_REFUSED_EXPIRED;
    else if (now_s >= jar->options.clock_sane_s &&
             cookie.expires_s - now_s > jar->options.lifetime_max_s)
        cookie.expires_s = now_s + jar->options.lifetime_max_s;
    return jar_put_back(jar, place.site, &cookie, now_s);
}

uint64_t cookie_jar_make_way(struct cookie_jar *jar, const struct cookie *saved)
{
    struct cookie_place place;
    struct cookie_site *site =
        jar_place(jar, saved->domain, &place) ? jar_find_site(jar, place.site) : NULL;
    struct jar_cookie *at = site ? site_find(site, saved) : NULL;

    if (!at)
        return 0;
    uint64_t order = at->cookie.order;
    jar_drop(jar, at, COOKIE_CAUSE_REMOVED);
    return order;
}

const char *cookie_outcome_text(int outcome)
{
    static const char *const texts[] = {
        [COOKIE_STORED] = "stored",
        [COOKIE_REPLACED] = "replaced",
        [COOKIE_REMOVED] = "removed",
        [COOKIE_REFUSED_EMPTY] = "it has neither a name nor a value",
        [COOKIE_REFUSED_CTL] = "its name or value holds a character no cookie may hold",
        [COOKIE_REFUSED_TOO_LONG] =
            "name and value are longer than 4096 bytes, or its comment or URL too long",
        [COOKIE_REFUSED_PATH] = "its path is longer than 1024 bytes or does not begin with /",
        [COOKIE_REFUSED_HOST] = "no cookie can belong to that host",
        [COOKIE_REFUSED_DOMAIN] = "the host does not belong to the cookie's domain",
        [COOKIE_REFUSED_PUBLIC_SUFFIX] = "the domain is a public suffix",
        [COOKIE_REFUSED_SECURE] = "it is Secure and did not come over https",
        [COOKIE_REFUSED_OVERLAY] = "it could hide a Secure cookie and did not come over https",
        [COOKIE_REFUSED_HTTP_ONLY] = "it is HttpOnly and did not come by HTTP",
        [COOKIE_REFUSED_PREFIX] = "it does not keep what __Host- or __Secure- promises",
        [COOKIE_REFUSED_PARTITIONED] = "it is Partitioned and not Secure",
        [COOKIE_REFUSED_SAME_SITE] = "another site asked for it, and it is not SameSite=None",
        [COOKIE_REFUSED_NONE_INSECURE] = "it is SameSite=None and not Secure",
        [COOKIE_REFUSED_FULL] = "there is no place left for it",
        [COOKIE_REFUSED_UNSAVED] =
            "the disk takes no cookies, and as much as may wait for it waits",
        [COOKIE_REFUSED_TOO_MANY] = "it comes after the 50th of its response",
        [COOKIE_REFUSED_EXPIRED] = "it has expired",
    };

    if (outcome < COOKIE_STORED || (size_t)outcome >= sizeof(texts) / sizeof(*texts))
        return "out of memory";
    return texts[outcome];
}
