/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    rand_bytes(seed, sizeof(seed));
}

void map_fix_seed(uint64_t k0, uint64_t k1)
{
    pthread_once(&seed_once, make_seed);
    seed[0] = k0;
    seed[1] = k1;
}

static uint64_t rotl(uint64_t x, unsigned b)
{
    return (x << b) | (x >> (64 - b));
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

/* SipHash-2-4, Aumasson and Bernstein 2012. */
uint64_t map_hash(struct span key)
{
    pthread_once(&seed_once, make_seed);

    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                     seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    uint64_t word = 0;
    size_t i = 0;

    for (; i + 8 <= key.len; i += 8) {
        memcpy(&word, key.ptr + i, 8);
        sip_word(v, word);
    }
    word = (uint64_t)key.len << 56;
    for (unsigned shift = 0; i < key.len; i++, shift += 8)
        word |= (uint64_t)(unsigned char)key.ptr[i] << shift;
    sip_word(v, word);
    v[2] ^= 0xff;
    for (int round = 0; round < 4; round++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_done(struct map *map)
{
    mem_free(map->buckets);
    *map = MAP_INIT;
}

struct map_node *map_find(const struct map *map, struct span key)
{
    if (map->count == 0)
        return NULL;

    uint64_t hash = map_hash(key);
    struct map_node *node = map->buckets[hash & (map->n_buckets - 1)];
    while (node && (node->hash != hash || !span_eq(node->key, key)))
        node = node->next;
    return node;
}

static void insert(struct map *map, struct map_node *node)
{
    struct map_node **slot = &map->buckets[node->hash & (map->n_buckets - 1)];

    node->next = *slot;
    *slot = node;
}

static int grow(struct map *map)
{
    struct map bigger = {.n_buckets = map->n_buckets ? map->n_buckets * 2 : 16,
                         .count = map->count};

    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    bigger.buckets = mem_array(bigger.n_buckets, sizeof(*bigger.buckets));
    if (!bigger.buckets)
        return fault(-ENOMEM);
    for (size_t i = 0; i < map->n_buckets; i++) {
        struct map_node *node = map->buckets[i];

        while (node) {
            struct map_node *next = node->next;

            insert(&bigger, node);
            node = next;
        }
    }
    mem_free(map->buckets);
    *map = bigger;
    return 0;
}

int map_add(struct map *map, struct map_node *node, struct span key)
{
    if (map->count >= map->n_buckets) {
        int r = grow(map);
        if (r < 0)
            return r;
    }
    node->key = key;
    node->hash = map_hash(key);
    insert(map, node);
    map->count++;
    return 0;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **slot = &map->buckets[node->hash & (map->n_buckets - 1)];

    while (*slot != node) {
        INVARIANT(*slot);
        slot = &(*slot)->next;
    }
    *slot = node->next;
    node->next = NULL;
    map->count--;
}

void map_each(struct map *map, bool (*fn)(struct map_node *node, void *arg), void *arg)
{
    for (size_t i = 0; i < map->n_buckets; i++) {
        struct map_node *node = map->buckets[i];

        while (node) {
            struct map_node *next = node->next;

            if (!fn(node, arg))
                return;
            node = next;
        }
    }
}
