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

static void leave_lists(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;

    if (link_is_linked(&pc->in_pool)) {
        entry->n_idle--;
        entry->uid->n_idle--;
    } else if (link_is_linked(&pc->in_entry)) {
        entry->n_busy--;
    }
    link_remove(&pc->in_entry);
    link_remove(&pc->in_uid);
    link_remove(&pc->in_pool);
}

/* Nobody used it, or its lease has not been told of it yet. */
static void conn_on_broken(void *owner)
{
    struct pool_conn *pc = owner;
    struct pool_entry *entry = pc->entry;
    struct lease *lease = pc->lease;

    if (lease && lease->state == LEASE_HELD)
        return; /* its owner will see */
    if (lease) {
        lease->pc = NULL;
        lease_enter(lease, LEASE_QUEUED);
        list_prepend(&entry->waiting[lease->kind][WAITING_QUEUED], &lease->in_queue);
    }
    pool_conn_close(pc);
    entry_pump(entry);
}

static const struct conn_events pool_conn_events = {.on_broken = conn_on_broken};

int pool_conn_new(struct pool_entry *entry, struct conn *conn, struct pool_conn **ret)
{
    struct pool_conn *pc = mem_zalloc(sizeof(*pc));

    if (!pc)
        return fault(-ENOMEM);
    pc->entry = entry;
    pc->conn = conn;
    pc->made_us = loop_now_us(entry->pool->loop);
    link_init(&pc->in_entry);
    link_init(&pc->in_uid);
    link_init(&pc->in_pool);
    conn_set_events(conn, &pool_conn_events, pc);
    entry->pool->counters.connections_open++;
    *ret = pc;
    return 0;
}

void pool_conn_close(struct pool_conn *pc)
{
    pc->entry->pool->counters.connections_open--;
    leave_lists(pc);
    conn_close(pc->conn);
    mem_free(pc);
}

void pool_conn_set_busy(struct pool_conn *pc, struct lease *lease)
{
    leave_lists(pc);
    pc->lease = lease;
    if (pc->n_leases++ > 0)
        pc->entry->pool->counters.connections_reused++;
    list_append(&pc->entry->busy, &pc->in_entry);
    pc->entry->n_busy++;
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
    pc->lease = NULL;
    pc->idle_since_us = loop_now_us(pool->loop);
    list_prepend(&entry->idle, &pc->in_entry);
    list_append(&uid->idle, &pc->in_uid);
    list_append(&pool->idle, &pc->in_pool);
    entry->n_idle++;
    uid->n_idle++;
    unsigned total = entry->n_attempts + entry->n_busy + entry->n_idle;
    if (entry->n_idle > pool->options.idle_per_host_max || total > pool->options.per_host_max)
        evict(CONTAINER_OF(entry->idle.prev, struct pool_conn, in_entry), entry);
    while (uid->n_idle > pool->options.idle_per_uid_max)
        evict(oldest_of_uid(uid), entry);
    arm_idle_timer(pool);
}

void pool_conn_release(struct pool_conn *pc)
{
    struct pool_entry *entry = pc->entry;
    bool must_close = false;

    pc->lease = NULL;
    if (!conn_is_usable(pc->conn)) {
        pool_conn_close(pc);
        entry_pump(entry);
        return;
    }
    struct lease *taker = entry_next_taker(entry, &must_close);
    if (taker)
        lease_give(taker, pc);
    else if (must_close)
        pool_conn_close(pc);
    else
        pool_conn_set_idle(pc);
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
