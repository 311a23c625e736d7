/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The jar's insides, shared by what judges (cookie_admit.c), what keeps (cookie_jar.c), what
 * sends (cookie_send.c), what looks (cookie_list.c) and whose side a request is on
 * (cookie_site.c).
 */

#include "base/list.h"
#include "base/map.h"
#include "http/host.h"
#include "policy/cookie_jar.h"

struct cookie_site;

/* A cookie and where it lies; one allocation, the text of its spans behind it. */
struct jar_cookie {
    struct cookie cookie;
    struct cookie_site *site;
    struct link in_site; /* longest path first, then oldest: the order of sending */
    struct link in_use;  /* of the whole jar, least recently used first */
    uint64_t batch;      /* that takes it to the disk, see cookie_unsaved.h; 0: none */
    char text[];
};

/* All cookies of one registrable domain, or of one host that has none. */
struct cookie_site {
    struct map_node node;
    struct link cookies;
    size_t count; /* never 0 between two calls */
    char key[];
};

struct cookie_jar {
    struct cookie_jar_options options;
    const struct suffix_rules *rules;
    struct map sites;
    struct link in_use;
    struct link observers;
    size_t count;
    uint64_t looks;           /* cookies looked at so far, to find those a request carries */
    uint64_t sequence;        /* of changes, but for accesses */
    uint64_t lasting_changes; /* that a disk would want to hear of */
    uint64_t own_order;
    size_t own_bytes;
    int64_t next_expiry_s; /* no cookie expires before it */
    bool is_telling;       /* observers are being called: nothing may change */
};

/* A host as the jar sees it: no brackets, no trailing dot. */
struct cookie_place {
    struct span host;
    struct span site; /* part of host, or all of it */
    bool is_ip;
};

/* Whether a request of @place is same-site (RFC 6265bis §5.2): of the scheme and the site it is
 * made on behalf of, or on nobody's. */
bool cookie_is_same_site(const struct cookie_jar *jar,
                         const struct cookie_request *request,
                         const struct cookie_place *place);

/* The key of what is partitioned for a request of @place. Return: a part of @storage. */
struct span cookie_partition_key(const struct cookie_jar *jar,
                                 const struct cookie_request *request,
                                 const struct cookie_place *place,
                                 char storage[COOKIE_PARTITION_MAX]);

/* Return: whether cookies can belong to @host at all. */
bool jar_place(const struct cookie_jar *jar, struct span host, struct cookie_place *ret);
struct cookie_site *jar_find_site(const struct cookie_jar *jar, struct span key);

/* The cookie that one of this name, domain, path and host_only would replace, or NULL. */
struct jar_cookie *site_find(const struct cookie_site *site, const struct cookie *like);

/* Return: COOKIE_STORED, COOKIE_REPLACED, COOKIE_REFUSED_FULL or _UNSAVED, or -ENOMEM. */
int jar_put(struct cookie_jar *jar,
            struct span site_key,
            const struct cookie *cookie,
            int64_t now_s);
/* Puts a cookie in as it is; observers are told nothing. Return: as jar_put(). */
int jar_put_back(struct cookie_jar *jar,
                 struct span site_key,
                 const struct cookie *cookie,
                 int64_t now_s);
void jar_drop(struct cookie_jar *jar, struct jar_cookie *at, enum cookie_cause cause);

/* The cookie was used just now: it is the last that eviction would take. */
void jar_mark_used(struct cookie_jar *jar, struct jar_cookie *at);
void jar_tell(struct cookie_jar *jar,
              enum cookie_cause cause,
              const struct cookie *before,
              const struct cookie *after);

bool jar_has_expired(const struct cookie_jar *jar, const struct cookie *cookie, int64_t now_s);

static inline struct jar_cookie *jar_cookie_in_site(struct link *link)
{
    return CONTAINER_OF(link, struct jar_cookie, in_site);
}

static inline struct jar_cookie *jar_cookie_in_use(struct link *link)
{
    return CONTAINER_OF(link, struct jar_cookie, in_use);
}
