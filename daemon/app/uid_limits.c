/* SPDX-License-Identifier: MIT */
#include "app/uid_limits.h"

#include <errno.h>
#include <string.h>

#include "app/config.h"
#include "base/fault.h"
#include "base/mem.h"

struct one {
    struct map_node node;
    uint32_t uid;
    struct kept_limits limits;
};

struct kept_limits kept_limits_of(const struct config *config)
{
    struct kept_limits limits = {
        .jars_max = config->jars_per_user,
        .session_grace_us = config->session_grace_us,
        .jar = cookie_jar_options_default(),
        .cache = {config->cache_bytes, config->cache_answer_bytes},
    };

    limits.jar.cookies_max = config->cookies_per_jar;
    limits.jar.site_cookies_max = config->cookies_per_site;
    limits.jar.header_cookies_max = config->cookies_per_request;
    limits.jar.header_bytes_max = config->cookie_bytes_per_request;
    limits.jar.response_cookies_max = config->set_cookies_per_answer;
    limits.jar.bytes_max = config->cookie_bytes_per_user;
    return limits;
}

void uid_limits_init(struct uid_limits *limits, const struct kept_limits *general)
{
    *limits = (struct uid_limits){.general = *general};
}

static bool drop(struct map_node *node, void *arg)
{
    map_remove(arg, node);
    mem_free(CONTAINER_OF(node, struct one, node));
    return true;
}

void uid_limits_done(struct uid_limits *limits)
{
    map_each(&limits->by_uid, drop, &limits->by_uid);
    map_done(&limits->by_uid);
}

void uid_limits_set_general(struct uid_limits *limits,
                            const struct kept_limits *general,
                            bool keeps_others)
{
    limits->general = *general;
    if (!keeps_others)
        map_each(&limits->by_uid, drop, &limits->by_uid);
}

static struct one *find(const struct uid_limits *limits, uint32_t uid)
{
    struct map_node *node =
        map_find(&limits->by_uid, (struct span){(const char *)&uid, sizeof(uid)});

    return node ? CONTAINER_OF(node, struct one, node) : NULL;
}

/* Member by member: there may be holes between them. */
static bool are_same(const struct kept_limits *a, const struct kept_limits *b)
{
    return a->jars_max == b->jars_max && a->session_grace_us == b->session_grace_us &&
           a->jar.cookies_max == b->jar.cookies_max &&
           a->jar.site_cookies_max == b->jar.site_cookies_max &&
           a->jar.header_cookies_max == b->jar.header_cookies_max &&
           a->jar.header_bytes_max == b->jar.header_bytes_max &&
           a->jar.response_cookies_max == b->jar.response_cookies_max &&
           a->jar.bytes_max == b->jar.bytes_max && a->cache.bytes_max == b->cache.bytes_max &&
           a->cache.body_bytes_max == b->cache.body_bytes_max;
}

static int add(struct uid_limits *limits, uint32_t uid, const struct kept_limits *of)
{
    struct one *one = mem_zalloc(sizeof(*one));

    if (!one)
        return fault(-ENOMEM);
    one->uid = uid;
    one->limits = *of;
    int r = map_add(&limits->by_uid, &one->node,
                    (struct span){(const char *)&one->uid, sizeof(one->uid)});
    if (r < 0)
        mem_free(one);
    return r;
}

int uid_limits_set(struct uid_limits *limits, uint32_t uid, const struct kept_limits *of)
{
    const struct kept_limits wanted = of ? *of : limits->general;
    struct one *one = find(limits, uid);
    bool is_other = !are_same(&wanted, one ? &one->limits : &limits->general);

    if (are_same(&wanted, &limits->general)) {
        if (one)
            drop(&one->node, &limits->by_uid);
        return is_other;
    }
    if (one)
        one->limits = wanted;
    int r = one ? 0 : add(limits, uid, of);
    return r < 0 ? r : is_other;
}

const struct kept_limits *uid_limits_of(const struct uid_limits *limits, uint32_t uid)
{
    const struct one *one = find(limits, uid);

    return one ? &one->limits : &limits->general;
}
