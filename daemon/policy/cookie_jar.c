/* SPDX-License-Identifier: MIT */
/*
 * Keeping: sites, order of sending, order of use, limits, observers. What may come in at all is
 * cookie_admit.c's to judge, what goes out cookie_send.c's.
 */
#include "policy/cookie_jar.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/cookie_jar_priv.h"

struct cookie_jar_options cookie_jar_options_default(void)
{
    return (struct cookie_jar_options){
        .cookies_max = 3000,
        .site_cookies_max = 180,
        .header_cookies_max = 150,
        .header_bytes_max = 8190,
        .response_cookies_max = 50,
        .lifetime_max_s = SET_COOKIE_AGE_LIMIT_S,
        .clock_sane_s = COOKIE_CLOCK_SANE_AFTER,
        .bytes_max = (size_t)16 << 20,
    };
}

int cookie_jar_new(struct cookie_jar **ret,
                   const struct suffix_rules *rules,
                   const struct cookie_jar_options *options)
{
    struct cookie_jar *jar = mem_zalloc(sizeof(*jar));

    if (!jar)
        return fault(-ENOMEM);
    jar->options = *options;
    if (!jar->options.order)
        jar->options.order = &jar->own_order;
    if (!jar->options.bytes)
        jar->options.bytes = &jar->own_bytes;
    jar->rules = rules;
    jar->next_expiry_s = INT64_MAX;
    link_init(&jar->in_use);
    link_init(&jar->observers);
    *ret = jar;
    return 0;
}

void cookie_options_set_limits(struct cookie_jar_options *options,
                               const struct cookie_jar_options *from)
{
    options->cookies_max = from->cookies_max;
    options->site_cookies_max = from->site_cookies_max;
    options->header_cookies_max = from->header_cookies_max;
    options->header_bytes_max = from->header_bytes_max;
    options->response_cookies_max = from->response_cookies_max;
    options->bytes_max = from->bytes_max;
}

void cookie_jar_set_limits(struct cookie_jar *jar, const struct cookie_jar_options *from)
{
    cookie_options_set_limits(&jar->options, from);
}

uint64_t cookie_jar_tag(const struct cookie_jar *jar)
{
    return jar->options.tag;
}

/* Of one allocation. */
static size_t cookie_size(const struct cookie *cookie)
{
    return sizeof(struct jar_cookie) + cookie->name.len + cookie->value.len +
           cookie->domain.len + cookie->path.len + cookie->partition_key.len +
           cookie->comment.len + cookie->original_url.len;
}

/* A value is as good as a password. */
static void cookie_free(struct jar_cookie *at)
{
    mem_free_secret(at, cookie_size(&at->cookie));
}

/* There is a cookie now that no disk has. */
static void note_unsaved(struct cookie_jar *jar, struct jar_cookie *at)
{
    if (jar->options.unsaved && at->cookie.is_persistent)
        at->batch = cookie_unsaved_add(jar->options.unsaved, cookie_size(&at->cookie));
}

static bool is_unsaved(const struct cookie_jar *jar, const struct jar_cookie *at)
{
    return jar->options.unsaved && cookie_unsaved_has(jar->options.unsaved, at->batch);
}

static void forget_unsaved(struct cookie_jar *jar, const struct jar_cookie *at)
{
    if (jar->options.unsaved)
        cookie_unsaved_remove(jar->options.unsaved, at->batch, cookie_size(&at->cookie));
}

/* Takes a cookie out of every list; frees its site with the last. */
static void unlink_cookie(struct cookie_jar *jar, struct jar_cookie *at)
{
    struct cookie_site *site = at->site;

    link_remove(&at->in_site);
    link_remove(&at->in_use);
    jar->count--;
    *jar->options.bytes -= cookie_size(&at->cookie);
    forget_unsaved(jar, at);
    if (--site->count > 0)
        return;
    map_remove(&jar->sites, &site->node);
    mem_free(site);
}

struct cookie_jar *cookie_jar_free(struct cookie_jar *jar)
{
    if (!jar)
        return NULL;
    LIST_FOREACH (at, &jar->in_use) {
        struct jar_cookie *cookie = jar_cookie_in_use(at);

        unlink_cookie(jar, cookie);
        cookie_free(cookie);
    }
    LIST_FOREACH (at, &jar->observers)
        link_remove(at);
    map_done(&jar->sites);
    return mem_free(jar);
}

void cookie_jar_observe(struct cookie_jar *jar, struct cookie_observer *observer)
{
    list_append(&jar->observers, &observer->link);
}

void cookie_jar_unobserve(struct cookie_observer *observer)
{
    if (observer->link.next)
        link_remove(&observer->link);
}

size_t cookie_jar_count(const struct cookie_jar *jar)
{
    return jar->count;
}

void jar_tell(struct cookie_jar *jar,
              enum cookie_cause cause,
              const struct cookie *before,
              const struct cookie *after)
{
    INVARIANT(!jar->is_telling);
    if ((before && before->is_persistent) || (after && after->is_persistent))
        jar->lasting_changes++;
    jar->sequence += cause != COOKIE_CAUSE_ACCESSED;
    jar->is_telling = true;
    LIST_FOREACH (at, &jar->observers) {
        struct cookie_observer *observer = CONTAINER_OF(at, struct cookie_observer, link);

        observer->changes->on_change(observer->owner, cause, before, after);
    }
    jar->is_telling = false;
}

uint64_t cookie_jar_sequence(const struct cookie_jar *jar)
{
    return jar->sequence;
}

void cookie_jar_tell_reset(struct cookie_jar *jar)
{
    jar->sequence++;
    LIST_FOREACH (at, &jar->observers) {
        struct cookie_observer *observer = CONTAINER_OF(at, struct cookie_observer, link);

        if (observer->changes->on_reset)
            observer->changes->on_reset(observer->owner);
    }
}

bool jar_place(const struct cookie_jar *jar, struct span host, struct cookie_place *ret)
{
    host = host_strip_dot(host_strip_brackets(host));
    bool is_ip = host_is_ip_literal(host);

    if (host.len == 0 || host.ptr[host.len - 1] == '.' || (!is_ip && !host_fits_dns(host)))
        return false;
    struct span site = is_ip ? host : suffix_registrable(jar->rules, host);

    *ret = (struct cookie_place){host, site.len > 0 ? site : host, is_ip};
    return true;
}

struct cookie_site *jar_find_site(const struct cookie_jar *jar, struct span key)
{
    struct map_node *node = map_find(&jar->sites, key);

    return node ? CONTAINER_OF(node, struct cookie_site, node) : NULL;
}

static struct cookie_site *get_site(struct cookie_jar *jar, struct span key)
{
    struct cookie_site *site = jar_find_site(jar, key);

    if (site)
        return site;
    site = mem_alloc(sizeof(*site) + key.len);
    if (!site)
        return NULL;
    memcpy(site->key, key.ptr, key.len);
    link_init(&site->cookies);
    site->count = 0;
    if (map_add(&jar->sites, &site->node, (struct span){site->key, key.len}) < 0)
        return mem_free(site);
    return site;
}

struct jar_cookie *site_find(const struct cookie_site *site, const struct cookie *like)
{
    LIST_FOREACH (link, &site->cookies) {
        struct jar_cookie *at = jar_cookie_in_site(link);

        if (span_eq(at->cookie.name, like->name) && span_eq(at->cookie.path, like->path) &&
            span_eq(at->cookie.domain, like->domain) &&
            at->cookie.host_only == like->host_only &&
            span_eq(at->cookie.partition_key, like->partition_key))
            return at;
    }
    return NULL;
}

bool jar_has_expired(const struct cookie_jar *jar, const struct cookie *cookie, int64_t now_s)
{
    return cookie->is_persistent && cookie->expires_s <= now_s &&
           now_s >= jar->options.clock_sane_s;
}

static struct span copy_text(char **at, struct span text)
{
    struct span copy = {*at, text.len};

    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

static struct jar_cookie *cookie_new(const struct cookie *from)
{
    struct jar_cookie *at = mem_alloc(cookie_size(from));

    if (!at)
        return NULL;
    char *end = at->text;

    at->batch = 0;
    at->cookie = *from;
    at->cookie.name = copy_text(&end, from->name);
    at->cookie.value = copy_text(&end, from->value);
    at->cookie.domain = copy_text(&end, from->domain);
    at->cookie.path = copy_text(&end, from->path);
    at->cookie.partition_key = copy_text(&end, from->partition_key);
    at->cookie.comment = copy_text(&end, from->comment);
    at->cookie.original_url = copy_text(&end, from->original_url);
    link_init(&at->in_site);
    link_init(&at->in_use);
    return at;
}

void jar_drop(struct cookie_jar *jar, struct jar_cookie *at, enum cookie_cause cause)
{
    unlink_cookie(jar, at);
    jar_tell(jar, cause, &at->cookie, NULL);
    cookie_free(at);
}

void jar_mark_used(struct cookie_jar *jar, struct jar_cookie *at)
{
    link_remove(&at->in_use);
    list_append(&jar->in_use, &at->in_use);
}

size_t cookie_jar_expire(struct cookie_jar *jar, int64_t now_s)
{
    size_t count = jar->count;

    if (now_s < jar->next_expiry_s || now_s < jar->options.clock_sane_s)
        return 0;
    jar->next_expiry_s = INT64_MAX;
    LIST_FOREACH (link, &jar->in_use) {
        struct jar_cookie *at = jar_cookie_in_use(link);

        if (jar_has_expired(jar, &at->cookie, now_s))
            jar_drop(jar, at, COOKIE_CAUSE_EXPIRED);
        else if (at->cookie.expires_s < jar->next_expiry_s)
            jar->next_expiry_s = at->cookie.expires_s;
    }
    return count - jar->count;
}

static bool is_of_partition(const struct jar_cookie *at, const struct cookie *cookie)
{
    return span_eq(at->cookie.partition_key, cookie->partition_key);
}

/* Each partition of a site has the whole number of places. */
static bool has_place(const struct cookie_jar *jar,
                      const struct cookie_site *site,
                      const struct cookie *cookie)
{
    size_t count = 0;

    if (site->count < jar->options.site_cookies_max)
        return true;
    LIST_FOREACH (link, &site->cookies)
        count += is_of_partition(jar_cookie_in_site(link), cookie);
    return count < jar->options.site_cookies_max;
}

/* RFC 6265bis §5.7, the order of eviction within one domain: what is not Secure, then what was
 * not used for longest. NULL: there is none. */
static struct jar_cookie *find_victim(const struct cookie_jar *jar,
                                      const struct cookie_site *site,
                                      const struct cookie *cookie)
{
    struct jar_cookie *oldest = NULL;

    LIST_FOREACH (link, &jar->in_use) {
        struct jar_cookie *at = jar_cookie_in_use(link);

        if (at->site != site || !is_of_partition(at, cookie))
            continue;
        if (!at->cookie.secure)
            return at;
        if (!oldest)
            oldest = at;
    }
    return oldest;
}

/* What goes next of a site that is full; NULL: nothing that may go for @cookie. */
static struct jar_cookie *find_leaver(const struct cookie_jar *jar,
                                      const struct cookie_site *site,
                                      const struct cookie *cookie,
                                      int64_t now_s)
{
    LIST_FOREACH (link, &site->cookies) {
        struct jar_cookie *at = jar_cookie_in_site(link);

        if (is_of_partition(at, cookie) && jar_has_expired(jar, &at->cookie, now_s))
            return at;
    }
    struct jar_cookie *victim = find_victim(jar, site, cookie);
    return victim && victim->cookie.secure && !cookie->secure ? NULL : victim;
}

/* What has expired goes before. The site goes with its last cookie. Return: whether there is a
 * place now for @cookie. */
static bool make_place_in_site(struct cookie_jar *jar,
                               struct span site_key,
                               const struct cookie *cookie,
                               int64_t now_s)
{
    const struct cookie_site *site;

    while ((site = jar_find_site(jar, site_key)) && !has_place(jar, site, cookie)) {
        struct jar_cookie *at = find_leaver(jar, site, cookie, now_s);

        if (!at)
            return false;
        jar_drop(jar, at,
                 jar_has_expired(jar, &at->cookie, now_s) ? COOKIE_CAUSE_EXPIRED
                                                          : COOKIE_CAUSE_EVICTED);
    }
    return true;
}

static void make_place_in_jar(struct cookie_jar *jar, int64_t now_s)
{
    struct link *oldest;

    if (jar->count >= jar->options.cookies_max)
        (void)cookie_jar_expire(jar, now_s);
    while (jar->count >= jar->options.cookies_max && (oldest = list_first(&jar->in_use)))
        jar_drop(jar, jar_cookie_in_use(oldest), COOKIE_CAUSE_EVICTED);
}

/* Lets the least recently used go until @cookie fits, but not @keep, which it replaces. */
static bool make_room(struct cookie_jar *jar,
                      const struct cookie *cookie,
                      const struct jar_cookie *keep,
                      int64_t now_s)
{
    size_t size = cookie_size(cookie) - (keep ? cookie_size(&keep->cookie) : 0);

    if (keep && cookie_size(cookie) <= cookie_size(&keep->cookie))
        return true;
    if (*jar->options.bytes + size > jar->options.bytes_max && !keep)
        (void)cookie_jar_expire(jar, now_s);
    LIST_FOREACH (link, &jar->in_use) {
        struct jar_cookie *at = jar_cookie_in_use(link);

        if (*jar->options.bytes + size <= jar->options.bytes_max)
            break;
        if (at != keep)
            jar_drop(jar, at, COOKIE_CAUSE_EVICTED);
    }
    return *jar->options.bytes + size <= jar->options.bytes_max;
}

/* The same for what no disk has, while the disk takes nothing. @size: more than there is. */
static bool
make_room_unsaved(struct cookie_jar *jar, size_t size, const struct jar_cookie *keep)
{
    const struct cookie_unsaved *unsaved = jar->options.unsaved;

    if (!unsaved || !unsaved->is_bounded)
        return true;
    LIST_FOREACH (link, &jar->in_use) {
        struct jar_cookie *at = jar_cookie_in_use(link);

        if (cookie_unsaved_bytes(unsaved) + size <= unsaved->bytes_max)
            break;
        if (at != keep && is_unsaved(jar, at))
            jar_drop(jar, at, COOKIE_CAUSE_EVICTED);
    }
    return cookie_unsaved_bytes(unsaved) + size <= unsaved->bytes_max;
}

void cookie_jar_trim_unsaved(struct cookie_jar *jar)
{
    (void)make_room_unsaved(jar, 0, NULL);
}

/* So many bytes more are unsaved with @cookie in place of @old. */
static size_t unsaved_size(const struct cookie_jar *jar,
                           const struct cookie *cookie,
                           const struct jar_cookie *old)
{
    size_t size = cookie->is_persistent ? cookie_size(cookie) : 0;
    size_t had = old && is_unsaved(jar, old) ? cookie_size(&old->cookie) : 0;

    return size > had ? size - had : 0;
}

static bool is_sent_before(const struct cookie *a, const struct cookie *b)
{
    if (a->path.len != b->path.len)
        return a->path.len > b->path.len;
    return a->order < b->order;
}

static void link_cookie(struct cookie_jar *jar, struct cookie_site *site, struct jar_cookie *at)
{
    struct link *before = site->cookies.prev; /* a new one is the youngest: look from the end */

    while (before != &site->cookies &&
           is_sent_before(&at->cookie, &jar_cookie_in_site(before)->cookie))
        before = before->prev;
    list_prepend(before, &at->in_site);
    at->site = site;
    site->count++;
    jar->count++;
    *jar->options.bytes += cookie_size(&at->cookie);
    jar_mark_used(jar, at);
    if (at->cookie.expires_s < jar->next_expiry_s)
        jar->next_expiry_s = at->cookie.expires_s;
}

static int replace(struct cookie_jar *jar,
                   struct jar_cookie *old,
                   const struct cookie *cookie,
                   int64_t now_s)
{
    if (!make_room(jar, cookie, old, now_s))
        return COOKIE_REFUSED_FULL;
    if (!make_room_unsaved(jar, unsaved_size(jar, cookie, old), old))
        return COOKIE_REFUSED_UNSAVED;
    struct jar_cookie *at = cookie_new(cookie);

    if (!at)
        return fault(-ENOMEM);
    at->cookie.order = old->cookie.order;
    at->cookie.created_s = old->cookie.created_s;
    at->site = old->site;
    list_append(&old->in_site, &at->in_site); /* same path, same age: same place */
    link_remove(&old->in_site);
    link_remove(&old->in_use);
    jar_mark_used(jar, at);
    if (at->cookie.expires_s < jar->next_expiry_s)
        jar->next_expiry_s = at->cookie.expires_s;
    *jar->options.bytes += cookie_size(&at->cookie) - cookie_size(&old->cookie);
    forget_unsaved(jar, old);
    note_unsaved(jar, at);
    jar_tell(jar, COOKIE_CAUSE_REPLACED, &old->cookie, &at->cookie);
    cookie_free(old);
    return COOKIE_REPLACED;
}

/* Places are made before the site is looked up for good: making them may end it. */
static int add(struct cookie_jar *jar,
               struct span site_key,
               const struct cookie *cookie,
               int64_t now_s,
               struct jar_cookie **ret)
{
    struct jar_cookie *at = cookie_new(cookie);

    if (!at)
        return fault(-ENOMEM);
    if (!make_place_in_site(jar, site_key, cookie, now_s) ||
        !make_room(jar, cookie, NULL, now_s)) {
        cookie_free(at);
        return COOKIE_REFUSED_FULL;
    }
    make_place_in_jar(jar, now_s);
    struct cookie_site *site = get_site(jar, site_key);
    if (!site) {
        cookie_free(at);
        return fault(-ENOMEM);
    }
    link_cookie(jar, site, at);
    *ret = at;
    return COOKIE_STORED;
}

int jar_put(struct cookie_jar *jar,
            struct span site_key,
            const struct cookie *cookie,
            int64_t now_s)
{
    struct cookie_site *site = jar_find_site(jar, site_key);
    struct jar_cookie *old = site ? site_find(site, cookie) : NULL;
    struct jar_cookie *at = NULL;
    struct cookie young = *cookie;

    if (old)
        return replace(jar, old, cookie, now_s);
    if (!make_room_unsaved(jar, unsaved_size(jar, cookie, NULL), NULL))
        return COOKIE_REFUSED_UNSAVED;
    young.order = *jar->options.order + 1;
    young.created_s = now_s;
    int r = add(jar, site_key, &young, now_s, &at);
    if (r != COOKIE_STORED)
        return r;
    *jar->options.order = young.order;
    note_unsaved(jar, at);
    jar_tell(jar, COOKIE_CAUSE_ADDED, NULL, &at->cookie);
    return r;
}

int jar_put_back(struct cookie_jar *jar,
                 struct span site_key,
                 const struct cookie *cookie,
                 int64_t now_s)
{
    struct jar_cookie *at = NULL;
    int r = add(jar, site_key, cookie, now_s, &at);

    if (r == COOKIE_STORED && cookie->order > *jar->options.order)
        *jar->options.order = cookie->order;
    return r;
}

void cookie_jar_renumber(struct cookie_jar *jar, uint64_t add)
{
    LIST_FOREACH (link, &jar->in_use)
        jar_cookie_in_use(link)->cookie.order += add;
}

const char *cookie_cause_name(enum cookie_cause cause)
{
    static const char *const names[] = {
        [COOKIE_CAUSE_ADDED] = "added",     [COOKIE_CAUSE_REPLACED] = "replaced",
        [COOKIE_CAUSE_REMOVED] = "removed", [COOKIE_CAUSE_EXPIRED] = "expired",
        [COOKIE_CAUSE_EVICTED] = "evicted", [COOKIE_CAUSE_ACCESSED] = "accessed",
    };

    return names[cause];
}
