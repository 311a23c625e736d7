/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Byte string to pointer, open hashing with intrusive nodes. The hash is SipHash-2-4 under a
 * key chosen at random when the process starts, because peers choose the keys.
 * Growth doubles the table; look-up, insert and remove are O(1) on average.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

/* Embedded in the element. @key borrows from the element and must not change while in a map. */
struct map_node {
    struct map_node *next;
    uint64_t hash;
    struct span key;
};

struct map {
    struct map_node **buckets;
    size_t n_buckets; /* a power of two, or 0 */
    size_t count;
};

#define MAP_INIT ((struct map){0})

void map_done(struct map *map); /* the elements are the caller's */
struct map_node *map_find(const struct map *map, struct span key);

/**
 * map_add() - add a node whose key is not in the map yet
 * Return: 0, or -ENOMEM (nothing changed).
 */
MUST_CHECK int map_add(struct map *map, struct map_node *node, struct span key);
void map_remove(struct map *map, struct map_node *node);

/* Any order; @fn may remove the node it is given, nothing else. Stops when @fn says false. */
void map_each(struct map *map, bool (*fn)(struct map_node *node, void *arg), void *arg);

uint64_t map_hash(struct span key);
/* Fuzz targets and tests: a fixed key, so that runs repeat. */
void map_fix_seed(uint64_t k0, uint64_t k1);
