/* SPDX-License-Identifier: MIT */
#include "policy/hsts.h"

#include <errno.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "http/host.h"

struct known_host {
    struct map_node node; /* key: the host */
    struct link in_use;
    struct hsts_host host;
    int64_t told_s; /* the expiry that the observer knows */
    char text[];
};

struct hsts {
    struct hsts_options options;
    struct map hosts;
    struct link in_use;    /* least recently used first */
    size_t own_count;      /* options.all, unless that is shared */
    int64_t next_expiry_s; /* none ends before; one that was dropped may have been the first */
    const struct hsts_changes *changes;
    void *owner;
};

struct hsts_options hsts_options_default(void)
{
    return (struct hsts_options){.hosts_max = 1000, .all_max = 16384};
}

int hsts_new(struct hsts **ret, const struct hsts_options *options)
{
    struct hsts *set = mem_zalloc(sizeof(*set));

    if (!set)
        return fault(-ENOMEM);
    set->options = *options;
    if (!set->options.all)
        set->options.all = &set->own_count;
    link_init(&set->in_use);
    set->next_expiry_s = INT64_MAX;
    *ret = set;
    return 0;
}

static struct known_host *known_host_in_use(struct link *link)
{
    return CONTAINER_OF(link, struct known_host, in_use);
}

static void take_out(struct hsts *set, struct known_host *at)
{
    map_remove(&set->hosts, &at->node);
    link_remove(&at->in_use);
    (*set->options.all)--;
}

struct hsts *hsts_free(struct hsts *set)
{
    if (!set)
        return NULL;
    LIST_FOREACH (link, &set->in_use) {
        struct known_host *at = known_host_in_use(link);

        take_out(set, at);
        mem_free(at);
    }
    map_done(&set->hosts);
    return mem_free(set);
}

void hsts_observe(struct hsts *set, const struct hsts_changes *changes, void *owner)
{
    set->changes = changes;
    set->owner = owner;
}

size_t hsts_count(const struct hsts *set)
{
    return set->hosts.count;
}

static void
tell(struct hsts *set, const struct hsts_host *before, const struct hsts_host *after)
{
    if (set->changes)
        set->changes->on_change(set->owner, before, after);
}

static void drop(struct hsts *set, struct known_host *at)
{
    take_out(set, at);
    tell(set, &at->host, NULL);
    mem_free(at);
}

static void mark_used(struct hsts *set, struct known_host *at)
{
    link_remove(&at->in_use);
    list_append(&set->in_use, &at->in_use);
}

static struct known_host *find(const struct hsts *set, struct span host)
{
    struct map_node *node = map_find(&set->hosts, host);

    return node ? CONTAINER_OF(node, struct known_host, node) : NULL;
}

/* The key of a host. Return: whether it can be a known one (§8.1.1: no addresses). */
static bool is_name(const struct hsts *set, struct span host, struct span *ret)
{
    if (set->options.any_text) {
        *ret = host;
        return host.len > 0 && host.len <= HSTS_TEXT_MAX;
    }
    *ret = host_strip_dot(host);
    return ret->len > 0 && !host_is_ip_literal(*ret) && host_fits_dns(*ret);
}

/* Return: whether there is a place for one more. */
static bool make_place(struct hsts *set, int64_t now_s)
{
    if (set->hosts.count < set->options.hosts_max && *set->options.all < set->options.all_max)
        return true;
    if (hsts_expire(set, now_s) > 0)
        return true;
    struct link *oldest = list_first(&set->in_use);
    if (!oldest)
        return false;
    drop(set, known_host_in_use(oldest));
    return true;
}

static void note_expiry(struct hsts *set, const struct known_host *at)
{
    if (at->host.expires_s < set->next_expiry_s)
        set->next_expiry_s = at->host.expires_s;
}

/* Return: 0 or -ENOMEM. */
static int add(struct hsts *set, const struct hsts_host *host, struct known_host **ret)
{
    struct known_host *at = mem_zalloc(sizeof(*at) + host->host.len);

    if (!at)
        return fault(-ENOMEM);
    memcpy(at->text, host->host.ptr, host->host.len);
    at->host = *host;
    at->host.host = (struct span){at->text, host->host.len};
    at->told_s = host->expires_s;
    link_init(&at->in_use);
    if (map_add(&set->hosts, &at->node, at->host.host) < 0) {
        mem_free(at);
        return fault(-ENOMEM);
    }
    list_append(&set->in_use, &at->in_use);
    (*set->options.all)++;
    note_expiry(set, at);
    *ret = at;
    return 0;
}

static int change(struct hsts *set,
                  struct known_host *at,
                  const struct hsts_host *wanted,
                  int64_t max_age_s)
{
    struct hsts_host before = at->host;
    bool is_longer = wanted->expires_s >= at->told_s;

    mark_used(set, at);
    at->host.expires_s = wanted->expires_s;
    at->host.include_subdomains = wanted->include_subdomains;
    note_expiry(set, at);
    if (before.include_subdomains == wanted->include_subdomains && is_longer &&
        wanted->expires_s - at->told_s <= max_age_s / 64)
        return HSTS_UNCHANGED;
    at->told_s = wanted->expires_s;
    tell(set, &before, &at->host);
    return HSTS_CHANGED;
}

int hsts_note(struct hsts *set,
              struct span host,
              int64_t max_age_s,
              bool include_subdomains,
              int64_t now_s)
{
    struct hsts_host wanted = {.expires_s = now_s + max_age_s,
                               .include_subdomains = include_subdomains};
    struct known_host *at = NULL;

    if (!is_name(set, host, &wanted.host))
        return HSTS_REFUSED;
    at = find(set, wanted.host);
    if (max_age_s == 0) {
        if (at)
            drop(set, at);
        return at ? HSTS_CHANGED : HSTS_UNCHANGED;
    }
    if (at)
        return change(set, at, &wanted, max_age_s);
    if (!make_place(set, now_s))
        return HSTS_REFUSED;
    int r = add(set, &wanted, &at);
    if (r < 0)
        return r;
    tell(set, NULL, &at->host);
    return HSTS_CHANGED;
}

/* The entry of exactly this name, unless it has expired. */
static struct known_host *find_alive(struct hsts *set, struct span name, int64_t now_s)
{
    struct known_host *at = find(set, name);

    if (!at || at->host.expires_s > now_s)
        return at;
    drop(set, at);
    return NULL;
}

bool hsts_is_secure(struct hsts *set, struct span host, int64_t now_s)
{
    struct span name;

    if (set->hosts.count == 0 || !is_name(set, host, &name))
        return false;
    for (bool is_above = false; name.len > 0; is_above = true) {
        struct known_host *at = find_alive(set, name, now_s);
        struct span label;

        if (at && (!is_above || at->host.include_subdomains)) {
            mark_used(set, at);
            return true;
        }
        if (!span_split(&name, '.', &label))
            return false;
    }
    return false;
}

bool hsts_has(struct hsts *set, struct span host, int64_t now_s)
{
    struct span name;

    if (set->hosts.count == 0 || !is_name(set, host, &name))
        return false;
    struct known_host *at = find_alive(set, name, now_s);
    if (at)
        mark_used(set, at);
    return at;
}

int hsts_restore(struct hsts *set, const struct hsts_host *saved, int64_t now_s)
{
    struct hsts_host wanted = *saved;
    struct known_host *at = NULL;

    if (!is_name(set, saved->host, &wanted.host) || saved->expires_s <= now_s)
        return HSTS_REFUSED;
    if (find(set, wanted.host))
        return HSTS_UNCHANGED;
    if (set->hosts.count >= set->options.hosts_max || *set->options.all >= set->options.all_max)
        return HSTS_REFUSED;
    int r = add(set, &wanted, &at);
    return r < 0 ? r : HSTS_CHANGED;
}

size_t hsts_remove(struct hsts *set, struct span host)
{
    struct known_host *at = find(set, host_strip_dot(host));

    if (!at)
        return 0;
    drop(set, at);
    return 1;
}

/* Those that end at or before @now_s. A set that is full asks for each host that is new: they
 * are looked through when one has ended, not each time. */
size_t hsts_expire(struct hsts *set, int64_t now_s)
{
    size_t count = set->hosts.count;

    if (now_s < set->next_expiry_s)
        return 0;
    set->next_expiry_s = INT64_MAX;
    LIST_FOREACH (link, &set->in_use) {
        struct known_host *at = known_host_in_use(link);

        if (at->host.expires_s <= now_s)
            drop(set, at);
        else
            note_expiry(set, at);
    }
    return count - set->hosts.count;
}

size_t hsts_clear(struct hsts *set)
{
    return hsts_expire(set, INT64_MAX);
}

void hsts_each(struct hsts *set, bool (*fn)(void *arg, const struct hsts_host *host), void *arg)
{
    LIST_FOREACH (link, &set->in_use) {
        if (!fn(arg, &known_host_in_use(link)->host))
            return;
    }
}

int hsts_upgrade(const struct url *url, struct url *ret)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    int r = buf_append(&text, SPAN_LIT("https"));

    if (r == 0)
        r = buf_append(&text, span_drop(url_href(url), url->scheme.len));
    return r < 0 ? r : url_parse(buf_span(&text), NULL, ret);
}
