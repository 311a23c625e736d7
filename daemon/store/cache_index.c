/* SPDX-License-Identifier: MIT */
#include "store/cache_index.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "policy/cache_freshness.h"
#include "policy/cache_rules.h"

#define FILES_BYTES 8192 /* two files round up to blocks */

void cache_index_init(struct cache_index *index)
{
    *index = (struct cache_index){0};
    link_init(&index->uses);
}

void cache_index_done(struct cache_index *index)
{
    struct cache_item *item;

    while ((item = cache_index_oldest(index))) {
        cache_index_remove(index, item);
        cache_item_free(item);
    }
    map_done(&index->urls);
}

/* ---- items ----------------------------------------------------------------------------- */

int cache_item_new(struct cache_item **ret, uint64_t id, const struct cache_entry *entry)
{
    struct cache_item *item = mem_zalloc(sizeof(*item));

    if (!item)
        return fault(-ENOMEM);
    struct cache_answer answer = {.status = entry->status,
                                  .headers = &entry->headers,
                                  .request_time_s = entry->request_time_s,
                                  .response_time_s = entry->response_time_s};
    link_init(&item->sibling);
    link_init(&item->use);
    item->id = id;
    memcpy(item->context, entry->context, SHA256_BYTES);
    memcpy(item->vary_digest, entry->vary_digest, SHA256_BYTES);
    item->vary = mem_dup(span_of(entry->vary));
    item->jar = mem_dup(span_of(entry->jar));
    item->had_credentials = entry->had_credentials;
    item->is_shared = cache_is_shared(&entry->headers);
    item->status = entry->status;
    item->body_bytes = entry->body_bytes;
    item->response_time_s = entry->response_time_s;
    item->born_s = entry->response_time_s - cache_age_s(&answer, entry->response_time_s);
    item->lifetime_s = cache_lifetime_s(&answer);
    item->used_s = entry->response_time_s;
    if (!item->vary || !item->jar) {
        cache_item_free(item);
        return fault(-ENOMEM);
    }
    *ret = item;
    return 0;
}

struct cache_item *cache_item_free(struct cache_item *item)
{
    if (!item)
        return NULL;
    mem_free(item->vary);
    mem_free(item->jar);
    return mem_free(item);
}

uint64_t cache_item_disk_bytes(const struct cache_item *item)
{
    return item->body_bytes + FILES_BYTES;
}

static size_t memory_of(const struct cache_item *item)
{
    return sizeof(*item) + sizeof(*item->url) + strlen(item->url->text) + strlen(item->vary) +
           strlen(item->jar);
}

/* ---- URLs ------------------------------------------------------------------------------ */

struct cache_url *cache_index_url(const struct cache_index *index, struct span url)
{
    struct map_node *node = map_find(&index->urls, url);

    return node ? CONTAINER_OF(node, struct cache_url, node) : NULL;
}

static int add_url(struct cache_index *index, struct span text, struct cache_url **ret)
{
    struct cache_url *url = mem_zalloc(sizeof(*url) + text.len + 1);

    if (!url)
        return fault(-ENOMEM);
    memcpy(url->text, text.ptr, text.len);
    link_init(&url->items);
    int r = map_add(&index->urls, &url->node, (struct span){url->text, text.len});
    if (r < 0) {
        mem_free(url);
        return r;
    }
    *ret = url;
    return 0;
}

static void drop_url_if_empty(struct cache_index *index, struct cache_url *url)
{
    if (!list_is_empty(&url->items))
        return;
    map_remove(&index->urls, &url->node);
    mem_free(url);
}

/* ---- the index ------------------------------------------------------------------------- */

int cache_index_add(struct cache_index *index, struct cache_item *item, struct span text)
{
    struct cache_url *url = cache_index_url(index, text);
    int r = url ? 0 : add_url(index, text, &url);

    if (r < 0)
        return r;
    item->url = url;
    list_prepend(&url->items, &item->sibling);
    list_append(&index->uses, &item->use);
    url->n_items++;
    index->count++;
    index->disk_bytes += cache_item_disk_bytes(item);
    index->memory_bytes += memory_of(item);
    return 0;
}

void cache_index_remove(struct cache_index *index, struct cache_item *item)
{
    index->count--;
    index->disk_bytes -= cache_item_disk_bytes(item);
    index->memory_bytes -= memory_of(item);
    link_remove(&item->sibling);
    link_remove(&item->use);
    item->url->n_items--;
    drop_url_if_empty(index, item->url);
    item->url = NULL;
}

void cache_index_touch(struct cache_index *index, struct cache_item *item, int64_t now_s)
{
    item->used_s = now_s;
    link_remove(&item->use);
    list_append(&index->uses, &item->use);
}

/* Logins and jars are kept apart: policy/cache_rules.h says how. */
static bool may_see(const struct cache_item *item, const struct cache_question *question)
{
    if ((question->has_credentials || item->had_credentials) && !item->is_shared)
        return false;
    return item->jar[0] == '\0' || span_eq(span_of(item->jar), question->jar);
}

static bool fits(const struct cache_item *item, const struct cache_question *question)
{
    uint8_t digest[SHA256_BYTES];

    if (memcmp(item->context, question->context, SHA256_BYTES) != 0 || !may_see(item, question))
        return false;
    return cache_vary_digest(span_of(item->vary), question->request, digest) == 0 &&
           memcmp(item->vary_digest, digest, SHA256_BYTES) == 0;
}

struct cache_item *cache_index_find(const struct cache_index *index,
                                    const struct cache_question *question)
{
    struct cache_url *url = cache_index_url(index, question->url);

    if (!url)
        return NULL;
    LIST_FOREACH (at, &url->items) {
        struct cache_item *item = CONTAINER_OF(at, struct cache_item, sibling);

        if (fits(item, question))
            return item;
    }
    return NULL;
}

struct cache_item *
cache_index_by_id(const struct cache_index *index, struct span text, uint64_t id)
{
    struct cache_url *url = cache_index_url(index, text);

    if (!url)
        return NULL;
    LIST_FOREACH (at, &url->items) {
        struct cache_item *item = CONTAINER_OF(at, struct cache_item, sibling);

        if (item->id == id)
            return item;
    }
    return NULL;
}

static bool is_same(const struct cache_item *a, const struct cache_item *b)
{
    return memcmp(a->context, b->context, SHA256_BYTES) == 0 &&
           memcmp(a->vary_digest, b->vary_digest, SHA256_BYTES) == 0 &&
           strcmp(a->vary, b->vary) == 0 && strcmp(a->jar, b->jar) == 0;
}

struct cache_item *cache_index_same(const struct cache_index *index,
                                    const struct cache_item *item,
                                    struct span text)
{
    struct cache_url *url = cache_index_url(index, text);

    if (!url)
        return NULL;
    LIST_FOREACH (at, &url->items) {
        struct cache_item *other = CONTAINER_OF(at, struct cache_item, sibling);

        if (other != item && is_same(other, item))
            return other;
    }
    return NULL;
}

struct cache_item *cache_index_oldest(const struct cache_index *index)
{
    struct link *first = list_first(&index->uses);

    return first ? CONTAINER_OF(first, struct cache_item, use) : NULL;
}
