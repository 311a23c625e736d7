/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the requests of a partition came to, as plain numbers that only grow: a client finds its
 * partition's once, when it says hello, and its requests add to them without looking, locking
 * or allocating.
 *
 * There are few of them, whoever comes: who finds no room shares the last, "the rest". They
 * stay until the service ends, so that a sum never falls.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/failure.h"
#include "base/list.h"
#include "base/map.h"
#include "base/partition.h"

#define COUNTERS_PARTITIONS_MAX 512 /* in all */
#define COUNTERS_PROFILES_MAX   16  /* of a uid */

#define HISTOGRAM_BOUNDS        8

/* How long it took: how many took so long at most, the last more than all. */
struct histogram {
    uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* not added up */
    uint64_t sum_us;
};

/* In rising order, as text for people and programs. */
extern const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS];
extern const char *const histogram_bound_names[HISTOGRAM_BOUNDS + 1]; /* "0.001" … "+Inf" */

static inline void histogram_add(struct histogram *histogram, int64_t us)
{
    unsigned at = 0;

    while (at < HISTOGRAM_BOUNDS && us > histogram_bounds_us[at])
        at++;
    histogram->counts[at]++;
    histogram->sum_us += (uint64_t)us;
}

struct counters {
    struct map_node node;
    struct link link;
    struct partition partition;
    bool is_rest;                      /* of all for whom there was no room */
    uint64_t started;                  /* requests */
    uint64_t over[FAILURE_KIND_COUNT]; /* by their end; FAILURE_NONE: done */
    uint64_t closed;                   /* their client went away */
    uint64_t refused;                  /* never begun */
    uint64_t answers[6];               /* heads, by the status' first digit; 0: another */
    uint64_t reused;                   /* answers on a connection that had carried others */
    uint64_t opened;                   /* and on a new one */
    uint64_t stored;                   /* and from the cache */
    uint64_t tls_full;                 /* handshakes of the new ones */
    uint64_t tls_resumed;
    uint64_t bytes_down; /* of bodies, as they came */
    uint64_t bytes_up;
    struct histogram queue; /* until there was a connection */
    struct histogram whole; /* until the end */
};

struct counters_table {
    struct map map;
    struct link list;
    struct counters rest;
};

void counters_init(struct counters_table *table);
void counters_done(struct counters_table *table);

/* Those of @partition; the rest's when there is no room, or no memory. Never NULL. */
struct counters *counters_of(struct counters_table *table, const struct partition *partition);
