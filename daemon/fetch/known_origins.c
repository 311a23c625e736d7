/* SPDX-License-Identifier: MIT */
#include "fetch/known_origins.h"

#include <errno.h>

#include "base/fault.h"
#include "base/list.h"
#include "base/mem.h"

static struct known_origin *known_of(const struct origin *origin)
{
    return CONTAINER_OF((struct origin *)(uintptr_t)origin, struct known_origin, origin);
}

static bool is_of(const struct origin *origin, const struct url *url)
{
    return url_is_http(url) && origin->is_https == (url->scheme.len == 5) &&
           origin->port == url_effective_port(url) && span_eq(origin_host(origin), url->host);
}

static void leave(struct known_origins *origins, struct known_origin *known)
{
    if (--known->n_users > 0)
        return;
    map_remove(&origins->map, &known->node);
    mem_free(known);
}

static struct known_origin *use(struct known_origins *origins, struct known_origin *known)
{
    if (origins->last != known) {
        known->n_users++;
        if (origins->last)
            leave(origins, origins->last);
        origins->last = known;
    }
    known->n_users++;
    return known;
}

static int add(struct known_origins *origins,
               const struct origin *origin,
               struct span text,
               struct known_origin **ret)
{
    struct known_origin *known = mem_zalloc(sizeof(*known));

    if (!known)
        return fault(-ENOMEM);
    known->origin = *origin;
    memcpy(known->text, text.ptr, text.len);
    int r = map_add(&origins->map, &known->node, (struct span){known->text, text.len});
    if (r < 0) {
        mem_free(known);
        return r;
    }
    *ret = known;
    return 0;
}

static int
find_or_add(struct known_origins *origins, const struct url *url, struct known_origin **ret)
{
    char text[ORIGIN_TEXT_SIZE];
    struct origin origin;
    int r = origin_of_url(url, &origin);

    if (r != ORIGIN_OK)
        return r;
    size_t len = origin_format(&origin, text);
    struct map_node *node = map_find(&origins->map, (struct span){text, len});
    if (!node)
        return add(origins, &origin, (struct span){text, len}, ret);
    *ret = CONTAINER_OF(node, struct known_origin, node);
    return 0;
}

int known_origins_get(struct known_origins *origins,
                      const struct url *url,
                      const struct origin **ret)
{
    struct known_origin *known = origins->last;

    if (!known || !is_of(&known->origin, url)) {
        int r = find_or_add(origins, url, &known);

        if (r != ORIGIN_OK)
            return r;
    }
    *ret = &use(origins, known)->origin;
    return ORIGIN_OK;
}

void known_origins_put(struct known_origins *origins, const struct origin *origin)
{
    if (origin)
        leave(origins, known_of(origin));
}

void known_origins_done(struct known_origins *origins)
{
    if (origins->last)
        leave(origins, origins->last);
    INVARIANT(origins->map.count == 0);
    map_done(&origins->map);
    *origins = KNOWN_ORIGINS_INIT;
}

const char *known_origin_text(const struct origin *origin)
{
    return origin ? known_of(origin)->text : "";
}
