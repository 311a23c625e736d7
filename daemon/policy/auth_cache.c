/* SPDX-License-Identifier: MIT */
#include "policy/auth_cache.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"

#define KEY_SIZE (sizeof(uint32_t) + PARTITION_PROFILE_MAX + ORIGIN_TEXT_SIZE)

struct auth_origin {
    struct map_node node;
    struct link link; /* in cache->in_use */
    size_t n_realms;
    struct digest_session *realms[AUTH_CACHE_REALMS_MAX]; /* last used first */
    char key[KEY_SIZE];
};

/* Partition first, both of its parts of one length: no two places have one key. */
static struct span encode_key(const struct auth_place *place, char key[KEY_SIZE])
{
    size_t at = sizeof(place->who->uid);

    memcpy(key, &place->who->uid, at);
    memcpy(key + at, place->who->profile, PARTITION_PROFILE_MAX);
    at += PARTITION_PROFILE_MAX;
    at += origin_format(place->origin, key + at);
    return (struct span){key, at};
}

void auth_cache_init(struct auth_cache *cache)
{
    *cache = (struct auth_cache){.origins = MAP_INIT};
    link_init(&cache->in_use);
}

static void remove_realm(struct auth_origin *origin, size_t i)
{
    digest_session_free(origin->realms[i]);
    origin->n_realms--;
    for (; i < origin->n_realms; i++)
        origin->realms[i] = origin->realms[i + 1];
}

static void remove_origin(struct auth_cache *cache, struct auth_origin *origin)
{
    while (origin->n_realms > 0)
        remove_realm(origin, origin->n_realms - 1);
    map_remove(&cache->origins, &origin->node);
    link_remove(&origin->link);
    cache->count--;
    mem_free(origin);
}

static void remove_oldest(struct auth_cache *cache)
{
    remove_origin(cache, CONTAINER_OF(list_first(&cache->in_use), struct auth_origin, link));
}

void auth_cache_done(struct auth_cache *cache)
{
    while (cache->count > 0)
        remove_oldest(cache);
    map_done(&cache->origins);
}

static struct auth_origin *find_origin(struct auth_cache *cache, const struct auth_place *place)
{
    char key[KEY_SIZE];
    struct map_node *node = map_find(&cache->origins, encode_key(place, key));

    return node ? CONTAINER_OF(node, struct auth_origin, node) : NULL;
}

/* Return: n_realms if it is not there. */
static size_t find_realm(const struct auth_origin *origin, const char *realm)
{
    size_t i = 0;

    while (realm && i < origin->n_realms && strcmp(origin->realms[i]->realm, realm) != 0)
        i++;
    return i;
}

static void put_first(struct auth_origin *origin, size_t i)
{
    struct digest_session *session = origin->realms[i];

    for (; i > 0; i--)
        origin->realms[i] = origin->realms[i - 1];
    origin->realms[0] = session;
}

static void touch(struct auth_cache *cache, struct auth_origin *origin)
{
    link_remove(&origin->link);
    list_append(&cache->in_use, &origin->link);
}

struct digest_session *
auth_cache_find(struct auth_cache *cache, const struct auth_place *place, const char *realm)
{
    struct auth_origin *origin = find_origin(cache, place);

    if (!origin)
        return NULL;
    size_t i = find_realm(origin, realm);
    if (i == origin->n_realms)
        return NULL;
    put_first(origin, i);
    touch(cache, origin);
    return origin->realms[0];
}

static int
add_origin(struct auth_cache *cache, const struct auth_place *place, struct auth_origin **ret)
{
    struct auth_origin *origin = mem_zalloc(sizeof(*origin));

    if (!origin)
        return fault(-ENOMEM);
    int r = map_add(&cache->origins, &origin->node, encode_key(place, origin->key));
    if (r < 0) {
        mem_free(origin);
        return r;
    }
    link_init(&origin->link);
    cache->count++;
    *ret = origin;
    return 0;
}

int auth_cache_store(struct auth_cache *cache,
                     const struct auth_place *place,
                     struct digest_session *session)
{
    struct auth_origin *origin = find_origin(cache, place);
    int r = origin ? 0 : add_origin(cache, place, &origin);

    if (r < 0)
        return r;
    size_t i = find_realm(origin, session->realm);
    if (i == AUTH_CACHE_REALMS_MAX)
        i--; /* the one not used for longest */
    if (i < origin->n_realms)
        remove_realm(origin, i);
    i = origin->n_realms++;
    origin->realms[i] = session;
    put_first(origin, i);
    touch(cache, origin);
    if (cache->count > AUTH_CACHE_ORIGINS_MAX)
        remove_oldest(cache);
    return 0;
}

void auth_cache_drop(struct auth_cache *cache,
                     const struct auth_place *place,
                     const char *realm)
{
    struct auth_origin *origin = find_origin(cache, place);

    if (!origin)
        return;
    size_t i = find_realm(origin, realm);
    if (i < origin->n_realms)
        remove_realm(origin, i);
    if (origin->n_realms == 0)
        remove_origin(cache, origin);
}
