/* SPDX-License-Identifier: MIT */
#include "pool/pool_stats.h"

#include "pool/pool_priv.h"
#include "pool/proxy_step.h"

#define US_PER_S 1000000

void pool_counters(const struct pool *pool, struct pool_counters *ret)
{
    *ret = pool->counters;
}

const char *connection_state_name(enum connection_state state)
{
    static const char *const names[] = {
        [CONNECTION_CONNECTING] = "connecting",
        [CONNECTION_BUSY] = "busy",
        [CONNECTION_IDLE] = "idle",
    };

    return names[state];
}

typedef bool entry_fn(const struct pool_entry *entry, void *arg);

static bool each_entry_of(const struct pool_uid *uid, entry_fn *fn, void *arg)
{
    LIST_FOREACH (at, &uid->entries) {
        if (!fn(CONTAINER_OF(at, struct pool_entry, link), arg))
            return false;
    }
    return true;
}

static void each_entry(const struct pool *pool, uint32_t uid, entry_fn *fn, void *arg)
{
    LIST_FOREACH (at, &pool->uids) {
        const struct pool_uid *one = CONTAINER_OF(at, struct pool_uid, link);

        if ((uid == POOL_EVERY_UID || uid == one->uid) && !each_entry_of(one, fn, arg))
            return;
    }
}

struct connection_visit {
    bool (*fn)(void *arg, const struct connection_row *row);
    void *arg;
    int64_t now_us;
    const struct pool_entry *entry;
    struct span origin;
    struct span proxy;
};

static uint64_t seconds_since(const struct connection_visit *visit, int64_t then_us)
{
    return (uint64_t)((visit->now_us - then_us) / US_PER_S);
}

static bool visit_conn(const struct connection_visit *visit, const struct pool_conn *pc)
{
    struct conn_info info;

    conn_info(pc->conn, &info);
    return visit->fn(visit->arg,
                     &(struct connection_row){
                         .connection_id = info.id,
                         .partition = &visit->entry->key.partition,
                         .origin = visit->origin,
                         .remote_address = info.remote_address,
                         .remote_port = info.remote_port,
                         .state = pc->n_held > 0 ? CONNECTION_BUSY : CONNECTION_IDLE,
                         .exchanges = info.exchanges,
                         .age_s = seconds_since(visit, pc->made_us),
                         .idle_s = pc->n_held > 0 ? 0 : seconds_since(visit, pc->idle_since_us),
                         .tls_version = info.tls_version,
                         .tls_cipher = info.tls_cipher,
                         .early_data = info.early_data,
                         .proxy = visit->proxy,
                     });
}

static bool visit_attempt(const struct connection_visit *visit, const struct attempt *attempt)
{
    return visit->fn(visit->arg, &(struct connection_row){
                                     .partition = &visit->entry->key.partition,
                                     .origin = visit->origin,
                                     .state = CONNECTION_CONNECTING,
                                     .age_s = seconds_since(visit, attempt->started_us),
                                     .proxy = visit->proxy,
                                 });
}

static bool visit_conns(const struct connection_visit *visit, const struct link *list)
{
    LIST_FOREACH (at, list) {
        if (!visit_conn(visit, CONTAINER_OF(at, struct pool_conn, in_entry)))
            return false;
    }
    return true;
}

static bool visit_attempts(const struct connection_visit *visit, const struct link *list)
{
    LIST_FOREACH (at, list) {
        if (!visit_attempt(visit, CONTAINER_OF(at, struct attempt, link)))
            return false;
    }
    return true;
}

static bool connections_of_entry(const struct pool_entry *entry, void *arg)
{
    struct connection_visit *visit = arg;
    char text[ORIGIN_TEXT_SIZE];
    char proxy[PROXY_TEXT_SIZE];

    visit->entry = entry;
    visit->origin = (struct span){text, origin_format(&entry->key.origin, text)};
    visit->proxy = (struct span){proxy, pool_proxy_format(&entry->key.proxy, proxy)};
    return visit_attempts(visit, &entry->attempts) && visit_attempts(visit, &entry->orphans) &&
           visit_conns(visit, &entry->busy) && visit_conns(visit, &entry->shared) &&
           visit_conns(visit, &entry->idle);
}

void pool_each_connection(const struct pool *pool,
                          uint32_t uid,
                          bool (*fn)(void *arg, const struct connection_row *row),
                          void *arg)
{
    struct connection_visit visit = {.fn = fn, .arg = arg, .now_us = loop_now_us(pool->loop)};

    each_entry(pool, uid, connections_of_entry, &visit);
}

struct key_visit {
    bool (*fn)(void *arg, const struct pool_row *row);
    void *arg;
};

static bool row_of_entry(const struct pool_entry *entry, void *arg)
{
    const struct key_visit *visit = arg;
    char text[ORIGIN_TEXT_SIZE];
    char proxy[PROXY_TEXT_SIZE];

    return visit->fn(visit->arg,
                     &(struct pool_row){
                         .partition = &entry->key.partition,
                         .origin = {text, origin_format(&entry->key.origin, text)},
                         .connecting = entry->n_attempts,
                         .busy = entry->n_busy,
                         .idle = entry->n_idle,
                         .waiting = entry->n_waiting,
                         .limit = entry_per_host_max(entry),
                         .proxy = {proxy, pool_proxy_format(&entry->key.proxy, proxy)},
                     });
}

void pool_each_key(const struct pool *pool,
                   uint32_t uid,
                   bool (*fn)(void *arg, const struct pool_row *row),
                   void *arg)
{
    struct key_visit visit = {fn, arg};

    each_entry(pool, uid, row_of_entry, &visit);
}
