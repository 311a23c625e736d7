/* SPDX-License-Identifier: MIT */
/*
 * Connections, and what happens to those nobody uses: kept for a while, the one used last
 * offered first (its TCP window and the server's caches are warm), the one unused longest
 * given up first.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "pool/pool_priv.h"

#define CALM_US_MIN 1000000 /* RFC 9113 §7 leaves it to us how long */
#define CALM_US_MAX 60000000

static void leave_lists(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;

    if (link_is_linked(&pc->in_pool)) {
        entry->n_idle--;
        entry->uid->n_idle--;
    } else if (link_is_linked(&pc->in_entry)) {
        entry->n_busy--;
    }
    entry->n_multi -= pc->is_counted;
    pc->is_counted = false;
    link_remove(&pc->in_entry);
    link_remove(&pc->in_uid);
    link_remove(&pc->in_pool);
}

static bool is_usable(const struct pool_conn *pc)
{
    return !pc->is_retired && conn_is_usable(pc->conn);
}

bool pool_conn_has_room(const struct pool_conn *pc)
{
    return !pc->is_early && is_usable(pc) && pc->n_held < conn_capacity(pc->conn);
}

static void count_multi(struct pool_conn *pc)
{
    pc->is_counted = pc->is_multi && is_usable(pc);
    pc->entry->n_multi += pc->is_counted;
}

/* Somebody holds it. */
static void place(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;

    leave_lists(pc);
    list_append(pool_conn_has_room(pc) ? &entry->shared : &entry->busy, &pc->in_entry);
    entry->n_busy++;
    count_multi(pc);
}

/* Those who have not been told of it yet go back to where they came from, in their order. */
static void requeue_untold(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;
    struct link *before;

    for (struct link *at = pc->leases.prev; at != &pc->leases; at = before) {
        struct lease *lease = CONTAINER_OF(at, struct lease, in_conn);

        before = at->prev;
        if (lease->state != LEASE_READY || lease->is_guest)
            continue;
        link_remove(at);
        pc->n_held--;
        lease->pc = NULL;
        lease_enter(lease, LEASE_QUEUED);
        list_prepend(&entry->waiting[lease->kind][WAITING_QUEUED], &lease->in_queue);
    }
}

/* The server has too much of us (ENHANCE_YOUR_CALM): each time twice as long without. */
static void heed_calm(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;
    struct conn_info info;

    conn_info(pc->conn, &info);
    if (!info.asks_for_calm || timer_is_armed(&entry->calm_timer))
        return;
    entry->calm_us = entry->calm_us ? entry->calm_us * 2 : CALM_US_MIN;
    if (entry->calm_us > CALM_US_MAX)
        entry->calm_us = CALM_US_MAX;
    if (timer_arm(&entry->calm_timer, entry->calm_us) < 0) {
        /* no memory for patience: the next attempt is made at once */
        return;
    }
}

/* Leases that are held stay: their owners see, and let go. */
static void conn_on_broken(void *owner)
{
    struct pool_conn *pc = owner;
    struct pool_entry *entry = pc->entry;

    requeue_untold(pc);
    heed_calm(pc);
    if (pc->n_held == 0)
        pool_conn_close(pc);
    else
        place(pc);
    entry_pump(entry);
}

static void conn_on_changed(void *owner)
{
    struct pool_conn *pc = owner;
    struct pool_entry *entry = pc->entry;

    if (!is_usable(pc)) {
        requeue_untold(pc);
        heed_calm(pc);
    }
    if (pc->n_held == 0 && !is_usable(pc)) {
        pool_conn_close(pc);
    } else {
        if (pc->n_held > 0)
            place(pc);
        pool_conn_share(pc);
    }
    entry_pump(entry);
}

/* The handshake is done: from now on it is as any other. */
static void conn_on_settled(void *owner)
{
    struct pool_conn *pc = owner;
    struct pool_entry *entry = pc->entry;
    struct conn_info info;

    conn_info(pc->conn, &info);
    pc->is_early = false;
    pool_count_handshake(entry->pool, &info);
    if (pc->n_held > 0)
        place(pc);
    if (pc->is_multi)
        pool_conn_share(pc);
    entry_pump(entry);
}

static const struct conn_events pool_conn_events = {
    .on_broken = conn_on_broken,
    .on_changed = conn_on_changed,
    .on_settled = conn_on_settled,
};

int pool_conn_new(struct pool_entry *entry, struct conn *conn, struct pool_conn **ret)
{
    struct pool_conn *pc = mem_zalloc(sizeof(*pc));
    struct conn_info info;

    if (!pc)
        return fault(-ENOMEM);
    conn_info(conn, &info);
    pc->entry = entry;
    pc->conn = conn;
    pc->is_multi = info.http_version == 20;
    pc->is_early = info.is_early;
    pc->tls_number = info.tls_number;
    pc->made_us = loop_now_us(entry->pool->loop);
    link_init(&pc->leases);
    link_init(&pc->in_entry);
    link_init(&pc->in_uid);
    link_init(&pc->in_pool);
    link_init(&pc->in_group);
    conn_set_events(conn, &pool_conn_events, pc);
    pool_conn_join_group(pc);
    entry->pool->counters.connections_open++;
    *ret = pc;
    return 0;
}

void pool_conn_close(struct pool_conn *pc)
{
    pc->entry->pool->counters.connections_open--;
    leave_lists(pc);
    pool_conn_leave_group(pc);
    conn_close(pc->conn);
    mem_free(pc->rungs);
    mem_free(pc);
}

void pool_conn_give(struct pool_conn *pc, struct lease *lease)
{
    list_append(&pc->leases, &lease->in_conn);
    pc->n_held++;
    if (pc->n_leases++ > 0)
        pc->entry->pool->counters.connections_reused++;
    place(pc);
}

void pool_conn_share(struct pool_conn *pc)
{
    struct lease *taker;

    while (pool_conn_has_room(pc) && (taker = entry_next_sharer(pc->entry)))
        lease_give(taker, pc);
}

static struct pool_conn *oldest_of_uid(struct pool_uid *uid)
{
    return CONTAINER_OF(list_first(&uid->idle), struct pool_conn, in_uid);
}

/* Closing the last of another key's connections takes that key with it. */
static void evict(struct pool_conn *pc, const struct pool_entry *keep)
{
    struct pool_entry *entry = pc->entry;

    pool_conn_close(pc);
    if (entry != keep)
        entry_pump(entry);
}

static void arm_idle_timer(struct pool *pool)
{
    struct link *first = list_first(&pool->idle);

    if (!first || timer_is_armed(&pool->idle_timer))
        return;
    int64_t due_us = CONTAINER_OF(first, struct pool_conn, in_pool)->idle_since_us +
                     pool->options.idle_timeout_us;
    if (timer_arm(&pool->idle_timer, due_us - loop_now_us(pool->loop)) < 0) {
        /* no memory: the next one that becomes idle tries again */
        return;
    }
}

/* The key stays, whatever is closed; the caller pumps it. */
void pool_conn_set_idle(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;
    struct pool *pool = entry->pool;
    struct pool_uid *uid = entry->uid;

    leave_lists(pc);
    count_multi(pc);
    pc->idle_since_us = loop_now_us(pool->loop);
    list_prepend(&entry->idle, &pc->in_entry);
    list_append(&uid->idle, &pc->in_uid);
    list_append(&pool->idle, &pc->in_pool);
    entry->n_idle++;
    uid->n_idle++;
    unsigned total = entry->n_attempts + entry->n_busy + entry->n_idle;
    unsigned idle_max =
        uid->has_limits ? uid->limits.per_host_max : pool->options.idle_per_host_max;
    if (entry->n_idle > idle_max || total > entry_per_host_max(entry))
        evict(CONTAINER_OF(entry->idle.prev, struct pool_conn, in_entry), entry);
    while (uid->n_idle > uid_idle_max(pool, uid))
        evict(oldest_of_uid(uid), entry);
    arm_idle_timer(pool);
}

/* It has a single place, and that is free. */
static void pass_on(struct pool_conn *pc)
{
    bool must_close = false;
    struct lease *taker = entry_next_taker(pc->entry, &must_close);

    if (taker)
        lease_give(taker, pc);
    else if (must_close)
        pool_conn_close(pc);
    else
        pool_conn_set_idle(pc);
}

void pool_conn_release(struct pool_conn *pc, struct lease *lease)
{
    struct pool_entry *entry = pc->entry;

    link_remove(&lease->in_conn);
    pc->n_held--;
    if (pc->n_held == 0 && (pc->is_early || !is_usable(pc))) {
        heed_calm(pc);
        pool_conn_close(pc);
    } else if (!pc->is_multi) {
        pass_on(pc);
    } else {
        pool_conn_share(pc);
        if (pc->n_held > 0)
            place(pc);
        else
            pool_conn_set_idle(pc);
    }
    entry_pump(entry);
}

void pool_on_idle_timer(void *owner)
{
    struct pool *pool = owner;
    int64_t until_us = loop_now_us(pool->loop) - pool->options.idle_timeout_us;
    struct link *first;

    while ((first = list_first(&pool->idle))) {
        struct pool_conn *pc = CONTAINER_OF(first, struct pool_conn, in_pool);

        if (pc->idle_since_us > until_us)
            break;
        evict(pc, NULL);
    }
    arm_idle_timer(pool);
}

void pool_close_idle(struct pool *pool, uint32_t uid)
{
    LIST_FOREACH (at, &pool->uids) {
        struct pool_uid *one = CONTAINER_OF(at, struct pool_uid, link);
        unsigned left = uid == POOL_EVERY_UID || uid == one->uid ? one->n_idle : 0;

        while (left-- > 0) /* the uid may go with the last one */
            evict(oldest_of_uid(one), NULL);
    }
}

/* The keys of its user are looked at; NULL: there is none, or it is still in use. */
static struct pool_entry *
find_key_of_jar(const struct pool *pool, uint32_t uid, uint64_t private_jar)
{
    struct map_node *node =
        map_find(&pool->uid_map, (struct span){(const char *)&uid, sizeof(uid)});

    if (!node)
        return NULL;
    LIST_FOREACH (at, &CONTAINER_OF(node, struct pool_uid, node)->entries) {
        struct pool_entry *entry = CONTAINER_OF(at, struct pool_entry, link);

        if (entry->key.private_jar == private_jar && entry->n_waiting + entry->n_busy == 0)
            return entry;
    }
    return NULL;
}

void pool_close_jar(struct pool *pool, uint32_t uid, uint64_t private_jar)
{
    struct pool_entry *entry;

    while ((entry = find_key_of_jar(pool, uid, private_jar))) /* the user may go with it */
        entry_free(entry);
}
