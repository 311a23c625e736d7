/* SPDX-License-Identifier: MIT */
#include "service/counters.h"

#include "base/mem.h"

const int64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {1000,   5000,    25000,    100000,
                                                       500000, 2500000, 10000000, 60000000};
const char *const histogram_bound_names[HISTOGRAM_BOUNDS + 1] = {
    "0.001", "0.005", "0.025", "0.1", "0.5", "2.5", "10.0", "60.0", "+Inf"};

void counters_init(struct counters_table *table)
{
    *table = (struct counters_table){.map = MAP_INIT, .rest = {.is_rest = true}};
    link_init(&table->list);
}

void counters_done(struct counters_table *table)
{
    LIST_FOREACH (at, &table->list)
        mem_free(CONTAINER_OF(at, struct counters, link));
    map_done(&table->map);
    link_init(&table->list);
}

static struct span key_of(const struct partition *partition)
{
    return (struct span){(const char *)partition, sizeof(*partition)};
}

/* Only for a partition that is new: there are as many of these as the table has rows. */
static bool has_room(const struct counters_table *table, uint32_t uid)
{
    unsigned of_uid = 0;

    if (table->map.count >= COUNTERS_PARTITIONS_MAX)
        return false;
    LIST_FOREACH (at, &table->list)
        of_uid += CONTAINER_OF(at, struct counters, link)->partition.uid == uid;
    return of_uid < COUNTERS_PROFILES_MAX;
}

struct counters *counters_of(struct counters_table *table, const struct partition *partition)
{
    struct map_node *node = map_find(&table->map, key_of(partition));

    if (node)
        return CONTAINER_OF(node, struct counters, node);
    struct counters *counters =
        has_room(table, partition->uid) ? mem_zalloc(sizeof(*counters)) : NULL;
    if (!counters)
        return &table->rest;
    counters->partition = *partition;
    if (map_add(&table->map, &counters->node, key_of(&counters->partition)) < 0) {
        mem_free(counters);
        return &table->rest;
    }
    list_append(&table->list, &counters->link);
    return counters;
}
