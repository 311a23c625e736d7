/* SPDX-License-Identifier: MIT */
#include "policy/rung_memory.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* uid, profile, host, port: as text, with a character between that none of them can have. */
#define KEY_SIZE (PARTITION_PROFILE_MAX + ORIGIN_TEXT_SIZE + 32)

struct remembered {
    struct map_node node; /* key: see format_key() */
    struct link in_use;
    int64_t expires_s;
    uint16_t rung;
    char key[];
};

void rung_memory_init(struct rung_memory *memory)
{
    *memory = (struct rung_memory){0};
    link_init(&memory->in_use);
}

static void forget(struct rung_memory *memory, struct remembered *at)
{
    map_remove(&memory->rungs, &at->node);
    link_remove(&at->in_use);
    memory->count--;
    mem_free(at);
}

static struct remembered *oldest(const struct rung_memory *memory)
{
    return CONTAINER_OF(list_first(&memory->in_use), struct remembered, in_use);
}

void rung_memory_done(struct rung_memory *memory)
{
    while (memory->count > 0)
        forget(memory, oldest(memory));
    map_done(&memory->rungs);
}

static struct span format_key(const struct tls_place *place, char ret[KEY_SIZE])
{
    int len = snprintf(ret, KEY_SIZE, "%u|%s|%s|%u", place->who->uid, place->who->profile,
                       place->origin->host, place->origin->port);

    return (struct span){ret, len < KEY_SIZE ? (size_t)len : KEY_SIZE - 1};
}

static struct remembered *find(const struct rung_memory *memory, const struct tls_place *place)
{
    char key[KEY_SIZE];
    struct map_node *node =
        memory->count > 0 ? map_find(&memory->rungs, format_key(place, key)) : NULL;

    return node ? CONTAINER_OF(node, struct remembered, node) : NULL;
}

uint16_t
rung_memory_find(struct rung_memory *memory, const struct tls_place *place, int64_t now_s)
{
    struct remembered *at = find(memory, place);

    if (!at)
        return 0;
    if (at->expires_s <= now_s || at->expires_s > now_s + RUNG_MEMORY_LIFETIME_S) {
        forget(memory, at); /* or the clock was set back */
        return 0;
    }
    link_remove(&at->in_use);
    list_append(&memory->in_use, &at->in_use);
    return at->rung;
}

void rung_memory_note(struct rung_memory *memory,
                      const struct tls_place *place,
                      uint16_t rung,
                      int64_t now_s)
{
    char text[KEY_SIZE];
    struct span key = format_key(place, text);
    struct remembered *at = NULL;

    rung_memory_drop(memory, place);
    at = mem_zalloc(sizeof(*at) + key.len);
    if (!at)
        return;
    memcpy(at->key, key.ptr, key.len);
    at->rung = rung;
    at->expires_s = now_s + RUNG_MEMORY_LIFETIME_S;
    link_init(&at->in_use);
    if (map_add(&memory->rungs, &at->node, (struct span){at->key, key.len}) < 0) {
        mem_free(at);
        return;
    }
    list_append(&memory->in_use, &at->in_use);
    memory->count++;
    if (memory->count > RUNG_MEMORY_MAX)
        forget(memory, oldest(memory));
}

void rung_memory_drop(struct rung_memory *memory, const struct tls_place *place)
{
    struct remembered *at = find(memory, place);

    if (at)
        forget(memory, at);
}
