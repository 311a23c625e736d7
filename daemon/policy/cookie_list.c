/* SPDX-License-Identifier: MIT */
/* Looking into a jar and taking out of it, by filter. */
#include <errno.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"
#include "policy/cookie_jar_priv.h"
#include "policy/cookie_match.h"

/* A filter made ready: canonical, and with the one site it is about, if it is about one. */
struct sieve {
    const struct cookie_filter *filter; /* or NULL */
    struct span domain;
    struct cookie_place host;
    struct cookie_site *site; /* NULL: of the whole jar, unless is_empty */
    bool is_empty;            /* nothing can match */
    char domain_text[HOST_NAME_BYTES_MAX + 1];
};

/* Return: whether anything can match. */
static bool lower_domain(struct sieve *sieve, struct span text)
{
    text = host_strip_dot(host_strip_brackets(text));
    if (text.len > 0 && text.ptr[0] == '.')
        text = span_drop(text, 1);
    if (text.len == 0 || text.len > HOST_NAME_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        sieve->domain_text[i] = ascii_lower(text.ptr[i]);
    sieve->domain = (struct span){sieve->domain_text, text.len};
    return true;
}

static void sieve_init(struct sieve *sieve,
                       const struct cookie_jar *jar,
                       const struct cookie_filter *filter)
{
    struct cookie_place place;

    sieve->filter = filter;
    sieve->domain = (struct span){0};
    sieve->host = (struct cookie_place){0};
    sieve->site = NULL;
    sieve->is_empty = false;
    if (!filter || (filter->domain.len == 0 && filter->host.len == 0))
        return;
    if (filter->host.len > 0) {
        sieve->is_empty = !jar_place(jar, filter->host, &sieve->host);
        place = sieve->host;
    }
    if (filter->domain.len > 0 && !sieve->is_empty)
        sieve->is_empty =
            !lower_domain(sieve, filter->domain) || !jar_place(jar, sieve->domain, &place);
    if (!sieve->is_empty)
        sieve->site = jar_find_site(jar, place.site);
    sieve->is_empty |= !sieve->site;
}

static bool sieve_lets_through(const struct sieve *sieve, const struct cookie *cookie)
{
    const struct cookie_filter *filter = sieve->filter;

    if (!filter)
        return true;
    if ((filter->session_only && cookie->is_persistent) ||
        (filter->path.len > 0 && !span_eq(filter->path, cookie->path)) ||
        (filter->name.len > 0 && !span_eq(filter->name, cookie->name)) ||
        (filter->partition_key.len > 0 &&
         !span_eq(filter->partition_key, cookie->partition_key)) ||
        (filter->request_path.len > 0 &&
         !cookie_path_matches(filter->request_path, cookie->path)) ||
        (sieve->domain.len > 0 && !span_eq(sieve->domain, cookie->domain)))
        return false;
    if (sieve->host.host.len == 0)
        return true;
    return cookie->host_only ? span_eq(sieve->host.host, cookie->domain)
                             : cookie_domain_matches(sieve->host.host, cookie->domain);
}

void cookie_jar_each(struct cookie_jar *jar,
                     const struct cookie_filter *filter,
                     int64_t now_s,
                     bool (*fn)(void *arg, const struct cookie *cookie),
                     void *arg)
{
    struct sieve sieve;

    sieve_init(&sieve, jar, filter);
    if (sieve.is_empty)
        return;
    LIST_FOREACH (link, sieve.site ? &sieve.site->cookies : &jar->in_use) {
        const struct cookie *cookie =
            sieve.site ? &jar_cookie_in_site(link)->cookie : &jar_cookie_in_use(link)->cookie;

        if (!jar_has_expired(jar, cookie, now_s) && sieve_lets_through(&sieve, cookie) &&
            !fn(arg, cookie))
            return;
    }
}

static bool append_to_list(void *arg, const struct cookie *cookie)
{
    struct cookie_list *list = arg;

    list->cookies[list->count++] = cookie;
    return true;
}

static int compare_spans(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int r = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;

    return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

static int compare_cookies(const void *left, const void *right)
{
    const struct cookie *a = *(const struct cookie *const *)left;
    const struct cookie *b = *(const struct cookie *const *)right;
    int r = compare_spans(a->domain, b->domain);

    if (r == 0)
        r = compare_spans(a->path, b->path);
    if (r == 0)
        r = compare_spans(a->name, b->name);
    if (r == 0)
        r = compare_spans(a->partition_key, b->partition_key);
    return r != 0 ? r : (a->order > b->order) - (a->order < b->order);
}

int cookie_jar_list(struct cookie_jar *jar,
                    const struct cookie_filter *filter,
                    int64_t now_s,
                    struct cookie_list *ret)
{
    struct cookie_list list = {0};

    list.cookies = mem_array(jar->count, sizeof(void *));
    if (!list.cookies)
        return fault(-ENOMEM);
    cookie_jar_each(jar, filter, now_s, append_to_list, &list);
    qsort(list.cookies, list.count, sizeof(void *), compare_cookies);
    *ret = list;
    return 0;
}

void cookie_list_done(struct cookie_list *list)
{
    mem_free(list->cookies);
    *list = (struct cookie_list){0};
}

/* The site, if there is one, ends with its last cookie: count, do not look at its head. */
static size_t remove_from_site(struct cookie_jar *jar, const struct sieve *sieve)
{
    size_t left = sieve->site->count;
    size_t before = jar->count;

    for (struct link *link = sieve->site->cookies.next, *next; left > 0; left--, link = next) {
        struct jar_cookie *at = jar_cookie_in_site(link);

        next = link->next;
        if (sieve_lets_through(sieve, &at->cookie))
            jar_drop(jar, at, COOKIE_CAUSE_REMOVED);
    }
    return before - jar->count;
}

size_t cookie_jar_remove(struct cookie_jar *jar, const struct cookie_filter *filter)
{
    struct sieve sieve;
    size_t before = jar->count;

    sieve_init(&sieve, jar, filter);
    if (sieve.is_empty)
        return 0;
    if (sieve.site)
        return remove_from_site(jar, &sieve);
    LIST_FOREACH (link, &jar->in_use) {
        struct jar_cookie *at = jar_cookie_in_use(link);

        if (sieve_lets_through(&sieve, &at->cookie))
            jar_drop(jar, at, COOKIE_CAUSE_REMOVED);
    }
    return before - jar->count;
}

size_t cookie_jar_clear(struct cookie_jar *jar)
{
    return cookie_jar_remove(jar, NULL);
}

size_t cookie_jar_end_session(struct cookie_jar *jar)
{
    return cookie_jar_remove(jar, &(struct cookie_filter){.session_only = true});
}

bool cookie_filter_means(const struct cookie_jar *jar,
                         const struct cookie_filter *filter,
                         const struct cookie *cookie)
{
    struct sieve sieve;

    sieve_init(&sieve, jar, filter);
    return !sieve.is_empty && sieve_lets_through(&sieve, cookie);
}
