/* SPDX-License-Identifier: MIT */
#include "pool/pool.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "pool/pool_priv.h"

#define BIT(n) (1U << (n))

static const struct {
    const char *name;
    uint32_t next;
} lease_table[LEASE_STATE_COUNT] = {
    [LEASE_QUEUED] = {"queued", BIT(LEASE_SPONSOR) | BIT(LEASE_READY) | BIT(LEASE_FAILED) |
                                    BIT(LEASE_GONE)},
    [LEASE_SPONSOR] = {"sponsor", BIT(LEASE_READY) | BIT(LEASE_FAILED) | BIT(LEASE_GONE)},
    /* back to the queue: its connection broke before anybody was told */
    [LEASE_READY] = {"ready", BIT(LEASE_QUEUED) | BIT(LEASE_HELD) | BIT(LEASE_GONE)},
    [LEASE_HELD] = {"held", BIT(LEASE_GONE)},
    [LEASE_FAILED] = {"failed", BIT(LEASE_GONE)},
    [LEASE_GONE] = {"gone", 0},
};

const char *lease_state_name(enum lease_state state)
{
    return lease_table[state].name;
}

bool lease_state_may_follow(enum lease_state from, enum lease_state to)
{
    return (lease_table[from].next & BIT(to)) != 0;
}

static bool is_waiting(enum lease_state state)
{
    return state == LEASE_QUEUED || state == LEASE_SPONSOR;
}

void lease_enter(struct lease *lease, enum lease_state next)
{
    INVARIANT(lease_state_may_follow(lease->state, next));
    int change = (int)is_waiting(next) - (int)is_waiting(lease->state);

    link_remove(&lease->in_queue);
    if (lease->entry) {
        lease->entry->n_waiting += (unsigned)change;
        lease->pool->counters.waiting += (uint64_t)(int64_t)change;
    }
    lease->state = next;
}

void lease_tell(struct lease *lease)
{
    if (!link_is_linked(&lease->in_news))
        list_append(&lease->pool->news, &lease->in_news);
    loop_defer(lease->pool->loop, &lease->pool->task);
}

void lease_give(struct lease *lease, struct pool_conn *pc)
{
    lease_enter(lease, LEASE_READY);
    lease->pc = pc;
    lease->is_reused = pc->n_leases > 0;
    lease->ready_us = loop_now_us(lease->pool->loop);
    pool_conn_give(pc, lease);
    lease_tell(lease);
}

void lease_fail(struct lease *lease, const struct failure *why)
{
    lease_enter(lease, LEASE_FAILED);
    lease->failure = failure_keep(NULL, why);
    lease->entry = NULL;
    lease_tell(lease);
}

static void lease_reap(struct reap *self)
{
    struct lease *lease = CONTAINER_OF(self, struct lease, reap);

    failure_drop(lease->failure);
    mem_free(lease);
}

static void lease_end(struct lease *lease)
{
    lease_enter(lease, LEASE_GONE);
    link_remove(&lease->in_news);
    lease->pool->n_leases--;
    loop_defer_free(lease->pool->loop, &lease->reap, lease_reap);
}

static void tell_waiting(struct lease *lease)
{
    enum wait_reason reason = lease->attempt ? lease->attempt->stage : WAIT_QUEUED;

    if ((int)reason == lease->reason_told)
        return;
    lease->reason_told = (int)reason;
    if (lease->events->on_wait)
        lease->events->on_wait(lease->owner, reason);
}

static void tell_one(struct lease *lease)
{
    switch (lease->state) {
    case LEASE_QUEUED:
    case LEASE_SPONSOR:
        if (lease_tell_rungs(lease))
            tell_waiting(lease);
        return;
    case LEASE_READY:
        lease_enter(lease, LEASE_HELD);
        lease->events->on_ready(lease->owner, lease);
        return;
    case LEASE_FAILED:
        lease_end(lease);
        lease->events->on_failed(lease->owner, lease->failure);
        return;
    case LEASE_HELD:
    case LEASE_GONE:
    case LEASE_STATE_COUNT: INVARIANT(false);
    }
}

static void pool_on_task(void *owner)
{
    struct pool *pool = owner;

    while (!list_is_empty(&pool->news)) {
        struct lease *lease = CONTAINER_OF(list_first(&pool->news), struct lease, in_news);

        link_remove(&lease->in_news);
        tell_one(lease);
    }
}

struct pool_options pool_options_default(void)
{
    return (struct pool_options){.per_host_max = 6,
                                 .idle_per_host_max = 6,
                                 .idle_per_uid_max = 256,
                                 .queue_per_key_max = 16384,
                                 .idle_timeout_us = 50 * 1000000LL};
}

int pool_new(struct pool **ret,
             struct loop *loop,
             struct connector *connector,
             const struct pool_options *options)
{
    struct pool *pool = mem_zalloc(sizeof(*pool));

    if (!pool)
        return fault(-ENOMEM);
    pool->loop = loop;
    pool->connector = connector;
    pool_set_options(pool, options);
    pool->key_bytes = BUF_INIT(POOL_KEY_BYTES_MAX);
    pool->task = (struct deferred){.fn = pool_on_task, .owner = pool};
    link_init(&pool->uids);
    link_init(&pool->idle);
    link_init(&pool->news);
    timer_init(&pool->idle_timer, loop, pool_on_idle_timer, pool);
    *ret = pool;
    return 0;
}

struct pool *pool_free(struct pool *pool)
{
    if (!pool)
        return NULL;
    INVARIANT(pool->n_leases == 0);
    LIST_FOREACH (at, &pool->uids) {
        struct pool_uid *uid = CONTAINER_OF(at, struct pool_uid, link);
        bool last = false;

        while (!last) { /* the uid goes with its last entry */
            last = uid->entries.next == uid->entries.prev;
            entry_free(CONTAINER_OF(list_first(&uid->entries), struct pool_entry, link));
        }
    }
    timer_disarm(&pool->idle_timer);
    loop_defer_cancel(pool->loop, &pool->task);
    map_done(&pool->entries);
    map_done(&pool->uid_map);
    map_done(&pool->groups);
    buf_done(&pool->key_bytes);
    return mem_free(pool);
}

void pool_set_options(struct pool *pool, const struct pool_options *options)
{
    pool->options = *options;
    if (pool->options.per_host_max == 0)
        pool->options.per_host_max = 1; /* none at all would let everybody wait for ever */
}

static int lease_new(struct pool *pool,
                     const struct pool_request *request,
                     const struct lease_events *events,
                     void *owner,
                     struct lease **ret)
{
    struct lease *lease = mem_zalloc(sizeof(*lease));

    if (!lease)
        return fault(-ENOMEM);
    lease->pool = pool;
    lease->events = events;
    lease->owner = owner;
    lease->kind = request->fresh_only ? LEASE_FRESH : LEASE_ORDINARY;
    lease->may_go_early = request->may_go_early;
    lease->connect_timeout_us = request->connect_timeout_us;
    lease->acquired_us = loop_now_us(pool->loop);
    lease->seq = ++pool->last_seq;
    lease->reason_told = -1;
    link_init(&lease->in_queue);
    link_init(&lease->in_news);
    link_init(&lease->in_conn);
    *ret = lease;
    return 0;
}

int pool_acquire(struct pool *pool,
                 const struct pool_request *request,
                 const struct lease_events *events,
                 void *owner,
                 struct lease **ret)
{
    struct pool_entry *entry = NULL;
    struct lease *lease = NULL;

    int r = entry_for_request(pool, request, owner, &entry);
    if (r < 0)
        return r;
    r = entry->n_waiting >= pool->options.queue_per_key_max
            ? POOL_QUEUE_FULL
            : lease_new(pool, request, events, owner, &lease);
    if (r != 0) {
        entry_pump(entry); /* goes if it is new */
        return r;
    }
    pool->n_leases++;
    entry->uid->has_limits = request->limits != NULL;
    if (request->limits)
        entry->uid->limits = *request->limits;
    entry_add_waiter(entry, lease);
    *ret = lease;
    return POOL_OK;
}

int lease_open_exchange(struct lease *lease,
                        const struct exchange_request *request,
                        const struct exchange_events *events,
                        void *owner,
                        struct exchange **ret)
{
    INVARIANT(lease->state == LEASE_HELD);
    return conn_open_exchange(lease->pc->conn, request, events, owner, ret);
}

bool lease_is_usable(const struct lease *lease)
{
    return lease->state == LEASE_HELD && conn_is_usable(lease->pc->conn);
}

void lease_retire_connection(struct lease *lease)
{
    INVARIANT(lease->state == LEASE_HELD);
    if (lease->is_guest) /* it serves its own name as before */
        pool_conn_leave_group(lease->pc);
    else
        lease->pc->is_retired = true;
}

void lease_release(struct lease *lease)
{
    struct pool_entry *entry = lease->entry;
    struct attempt *attempt = TAKE(lease->attempt);
    struct pool_conn *pc = TAKE(lease->pc);

    lease_end(lease);
    if (attempt)
        attempt_lost_sponsor(attempt, false);
    if (pc)
        pool_conn_release(pc, lease);
    else if (entry)
        entry_pump(entry);
}

static int64_t not_before(int64_t stamp_us, int64_t start_us)
{
    return stamp_us == 0 || stamp_us > start_us ? stamp_us : start_us;
}

void lease_timing(const struct lease *lease, struct lease_timing *ret)
{
    *ret =
        (struct lease_timing){.ready_us = lease->ready_us, .deadline_us = lease->deadline_us};
    if (!lease->pc || lease->is_reused)
        return;

    /* An attempt may be older than the lease that got its fruit. */
    const struct lease_timing *made = &lease->pc->timing;
    ret->name_lookup_us = not_before(made->name_lookup_us, lease->acquired_us);
    ret->connected_us = not_before(made->connected_us, lease->acquired_us);
    ret->tls_us = not_before(made->tls_us, lease->acquired_us);
}

int lease_certificates(const struct lease *lease, bool verified, struct certificates **ret)
{
    INVARIANT(lease->pc);
    return conn_certificates(lease->pc->conn, verified, ret);
}

bool lease_is_reused(const struct lease *lease)
{
    return lease->is_reused;
}

bool lease_is_early(const struct lease *lease)
{
    return lease->pc && lease->pc->is_early;
}
