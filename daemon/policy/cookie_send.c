/* SPDX-License-Identifier: MIT */
/*
 * Sending: which cookies a request carries (RFC 6265bis §5.8.3). One verdict for each cookie,
 * in one place: what is sent and what is told of it (cookie_jar_explain()) cannot differ.
 */
#include <errno.h>

#include "base/fault.h"
#include "policy/cookie_jar_priv.h"
#include "policy/cookie_match.h"

#define DAY_S INT64_C(86400)

/* A Cookie field while it grows. */
struct sending {
    const struct cookie_request *request;
    struct cookie_place place;
    bool is_same_site;
    struct span partition_key; /* empty until it is asked for */
    char partition_text[COOKIE_PARTITION_MAX];
    size_t count;
    size_t bytes;
};

/* Return: whether cookies can belong to its host. */
static bool sending_init(struct sending *sending,
                         const struct cookie_jar *jar,
                         const struct cookie_request *request)
{
    sending->request = request;
    sending->place = (struct cookie_place){0};
    sending->is_same_site = true;
    sending->partition_key = (struct span){0};
    sending->count = sending->bytes = 0;
    if (!jar_place(jar, request->host, &sending->place))
        return false;
    sending->is_same_site = cookie_is_same_site(jar, request, &sending->place);
    return true;
}

/* RFC 6265bis §5.8.3: what is not None stays away from cross-site requests, but for Lax and
 * Default on safe navigations of the top level. */
static bool site_allows(const struct sending *sending, const struct cookie *cookie)
{
    const struct cookie_request *request = sending->request;

    if (sending->is_same_site || cookie->same_site == SAME_SITE_NONE)
        return true;
    return cookie->same_site != SAME_SITE_STRICT && request->is_navigation &&
           !request->is_unsafe && !request->is_not_http;
}

static bool is_of_partition(const struct cookie_jar *jar,
                            struct sending *sending,
                            const struct cookie *cookie)
{
    if (cookie->partition_key.len == 0)
        return true;
    if (sending->partition_key.len == 0)
        sending->partition_key = cookie_partition_key(jar, sending->request, &sending->place,
                                                      sending->partition_text);
    return span_eq(cookie->partition_key, sending->partition_key);
}

static enum cookie_verdict judge_host(const struct cookie *cookie, struct span host)
{
    if (span_eq(host, cookie->domain))
        return COOKIE_GOES;
    if (!cookie_domain_matches(host, cookie->domain))
        return COOKIE_STAYS_DOMAIN;
    return cookie->host_only ? COOKIE_STAYS_HOST_ONLY : COOKIE_GOES;
}

static size_t sent_len(const struct cookie *cookie, bool is_first)
{
    return cookie->name.len + cookie->value.len + (cookie->name.len > 0 ? 1 : 0) +
           (is_first ? 0 : 2);
}

static enum cookie_verdict
judge(struct cookie_jar *jar, struct sending *sending, const struct cookie *cookie)
{
    const struct cookie_request *request = sending->request;
    enum cookie_verdict verdict = judge_host(cookie, sending->place.host);

    jar->looks++;
    if (verdict != COOKIE_GOES)
        return verdict;
    if (!cookie_path_matches(request->path, cookie->path))
        return COOKIE_STAYS_PATH;
    if (cookie->secure && !request->is_secure)
        return COOKIE_STAYS_SECURE;
    if (cookie->http_only && request->is_not_http)
        return COOKIE_STAYS_HTTP_ONLY;
    if (!site_allows(sending, cookie))
        return COOKIE_STAYS_SAME_SITE;
    if (!is_of_partition(jar, sending, cookie))
        return COOKIE_STAYS_PARTITION;
    if (jar_has_expired(jar, cookie, request->now_s))
        return COOKIE_STAYS_EXPIRED;
    if (sending->count >= jar->options.header_cookies_max)
        return COOKIE_STAYS_TOO_MANY;
    if (sending->bytes + sent_len(cookie, sending->count == 0) > jar->options.header_bytes_max)
        return COOKIE_STAYS_NO_ROOM;
    return COOKIE_GOES;
}

static void count_sent(struct sending *sending, const struct cookie *cookie)
{
    sending->bytes += sent_len(cookie, sending->count == 0);
    sending->count++;
}

/* Return: 0 or what buf_append() says. */
static int append_cookie(struct buf *out, const struct cookie *cookie, bool is_first)
{
    int r = is_first ? 0 : buf_append(out, SPAN_LIT("; "));

    if (r == 0)
        r = buf_append(out, cookie->name);
    if (r == 0 && cookie->name.len > 0)
        r = buf_append_char(out, '=');
    if (r == 0)
        r = buf_append(out, cookie->value);
    return r;
}

/* The day of the last access is all that is worth a write: eviction needs no more. */
static void touch(struct cookie_jar *jar, struct jar_cookie *at, int64_t now_s)
{
    bool is_new_day = at->cookie.last_access_s / DAY_S != now_s / DAY_S;

    at->cookie.last_access_s = now_s;
    jar_mark_used(jar, at);
    if (is_new_day)
        jar_tell(jar, COOKIE_CAUSE_ACCESSED, &at->cookie, &at->cookie);
}

/* Return: how many, or what append_cookie() says. */
static int append_site(struct cookie_jar *jar,
                       struct cookie_site *site,
                       struct sending *sending,
                       struct buf *out)
{
    /* Nothing here may end the site while it is walked: what has expired is only passed over,
     * cookie_jar_expire() takes it. */
    LIST_FOREACH (link, &site->cookies) {
        struct jar_cookie *at = jar_cookie_in_site(link);
        enum cookie_verdict verdict = judge(jar, sending, &at->cookie);

        if (verdict == COOKIE_STAYS_TOO_MANY)
            break;
        if (verdict != COOKIE_GOES)
            continue;
        int r = append_cookie(out, &at->cookie, sending->count == 0);
        if (r < 0)
            return r;
        count_sent(sending, &at->cookie);
        touch(jar, at, sending->request->now_s);
    }
    return (int)sending->count;
}

int cookie_jar_header_for(struct cookie_jar *jar,
                          const struct cookie_request *request,
                          struct buf *out)
{
    struct sending sending;
    size_t start = out->len;

    if (jar->count == 0 || !sending_init(&sending, jar, request))
        return 0;
    (void)cookie_jar_expire(jar, request->now_s);
    struct cookie_site *site = jar_find_site(jar, sending.place.site);
    if (!site)
        return 0;
    int r = append_site(jar, site, &sending, out);
    if (r < 0)
        out->len = start;
    return r;
}

struct explaining {
    struct cookie_jar *jar;
    struct sending sending;
    bool (*fn)(void *arg, const struct cookie *cookie, enum cookie_verdict verdict);
    void *arg;
};

static bool explain_one(struct explaining *explaining, const struct cookie *cookie)
{
    enum cookie_verdict verdict = judge(explaining->jar, &explaining->sending, cookie);

    if (verdict == COOKIE_GOES)
        count_sent(&explaining->sending, cookie);
    return explaining->fn(explaining->arg, cookie, verdict);
}

static bool explain_site(const struct cookie_site *site, struct explaining *explaining)
{
    LIST_FOREACH (link, &site->cookies) {
        if (!explain_one(explaining, &jar_cookie_in_site(link)->cookie))
            return false;
    }
    return true;
}

void cookie_jar_explain(struct cookie_jar *jar,
                        const struct cookie_request *request,
                        bool (*fn)(void *arg,
                                   const struct cookie *cookie,
                                   enum cookie_verdict verdict),
                        void *arg)
{
    struct explaining explaining = {.jar = jar, .fn = fn, .arg = arg};
    struct cookie_site *site = NULL;

    if (sending_init(&explaining.sending, jar, request))
        site = jar_find_site(jar, explaining.sending.place.site);
    if (site && !explain_site(site, &explaining))
        return;
    LIST_FOREACH (link, &jar->in_use) {
        const struct jar_cookie *at = jar_cookie_in_use(link);

        if (at->site != site && !explain_one(&explaining, &at->cookie))
            return;
    }
}

const char *cookie_verdict_text(enum cookie_verdict verdict)
{
    static const char *const texts[] = {
        [COOKIE_GOES] = "it goes along",
        [COOKIE_STAYS_DOMAIN] = "the host does not belong to its domain",
        [COOKIE_STAYS_HOST_ONLY] = "it is for its own host alone, not for hosts below it",
        [COOKIE_STAYS_PATH] = "the path of the URL is not below its path",
        [COOKIE_STAYS_SECURE] = "it is Secure and the URL is not https",
        [COOKIE_STAYS_HTTP_ONLY] = "it is HttpOnly and was not asked for by HTTP",
        [COOKIE_STAYS_SAME_SITE] = "the request is made on behalf of another site",
        [COOKIE_STAYS_PARTITION] = "it is for another top-level site",
        [COOKIE_STAYS_EXPIRED] = "it has expired",
        [COOKIE_STAYS_TOO_MANY] = "as many cookies as a request may carry go before it",
        [COOKIE_STAYS_NO_ROOM] = "it does not fit into the Cookie field any more",
    };

    return texts[verdict];
}
