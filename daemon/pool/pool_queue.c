/* SPDX-License-Identifier: MIT */
/*
 * One key's queue. A waiting lease either sponsors an attempt or queues behind those who do;
 * both lists are in order of arrival, and whoever sponsors came before whoever only queues.
 * That is what makes "the oldest first" a look at the heads of the lists.
 *
 * Verdict: an attempt that fails with nothing alive blocks those who queue, for more attempts
 * would only tell the same; if the last one under way fails too, they all fail, without each
 * waiting out a timeout of its own. A connection, or the end of the attempts by other means,
 * unblocks them.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "pool/pool_priv.h"

static int uid_get(struct pool *pool, uint32_t id, struct pool_uid **ret)
{
    struct map_node *node = map_find(&pool->uid_map, (struct span){(char *)&id, sizeof(id)});

    if (node) {
        *ret = CONTAINER_OF(node, struct pool_uid, node);
        return 0;
    }
    struct pool_uid *uid = mem_zalloc(sizeof(*uid));
    if (!uid)
        return fault(-ENOMEM);
    uid->uid = id;
    link_init(&uid->entries);
    link_init(&uid->idle);
    int r =
        map_add(&pool->uid_map, &uid->node, (struct span){(char *)&uid->uid, sizeof(uid->uid)});
    if (r < 0) {
        mem_free(uid);
        return r;
    }
    list_append(&pool->uids, &uid->link);
    *ret = uid;
    return 0;
}

static void uid_drop_if_empty(struct pool *pool, struct pool_uid *uid)
{
    if (!list_is_empty(&uid->entries))
        return;
    map_remove(&pool->uid_map, &uid->node);
    link_remove(&uid->link);
    mem_free(uid);
}

static void entry_init_lists(struct pool_entry *entry)
{
    for (int kind = 0; kind < LEASE_KIND_COUNT; kind++) {
        for (int list = 0; list < WAITING_LIST_COUNT; list++)
            link_init(&entry->waiting[kind][list]);
    }
    link_init(&entry->attempts);
    link_init(&entry->orphans);
    link_init(&entry->busy);
    link_init(&entry->shared);
    link_init(&entry->idle);
}

static void on_calm_timer(void *owner)
{
    entry_pump(owner);
}

static enum pool_speaks known_beforehand(const struct pool_key *key)
{
    if (key->http == POOL_HTTP_2)
        return SPEAKS_HTTP2;
    return key->origin.is_https && key->http == POOL_HTTP_BEST ? SPEAKS_UNKNOWN : SPEAKS_HTTP1;
}

static int entry_fill(struct pool_entry *entry, const struct pool_key *key)
{
    struct span bytes = buf_span(&entry->pool->key_bytes);

    int r = pool_key_copy(&entry->key, key, &entry->key_storage);
    if (r < 0)
        return r;
    entry->key_bytes = mem_dup(bytes);
    if (!entry->key_bytes)
        return fault(-ENOMEM);
    return map_add(&entry->pool->entries, &entry->node,
                   (struct span){entry->key_bytes, bytes.len});
}

int entry_new(struct pool *pool, const struct pool_key *key, struct pool_entry **ret)
{
    struct pool_uid *uid = NULL;
    struct pool_entry *entry = mem_zalloc(sizeof(*entry));

    if (!entry)
        return fault(-ENOMEM);
    entry->pool = pool;
    entry_init_lists(entry);
    entry->speaks = known_beforehand(key);
    timer_init(&entry->calm_timer, pool->loop, on_calm_timer, entry);
    int r = uid_get(pool, key->partition.uid, &uid);
    if (r == 0) {
        r = entry_fill(entry, key);
        if (r < 0)
            uid_drop_if_empty(pool, uid);
    }
    if (r < 0) {
        pool_key_storage_free(entry->key_storage);
        mem_free(entry->key_bytes);
        mem_free(entry);
        return r;
    }
    entry->uid = uid;
    list_append(&uid->entries, &entry->link);
    *ret = entry;
    return 0;
}

int entry_find(struct pool *pool, const struct pool_key *key, struct pool_entry **ret)
{
    buf_clear(&pool->key_bytes);
    int r = pool_key_encode(&pool->key_bytes, key);
    if (r < 0)
        return r;
    struct map_node *node = map_find(&pool->entries, buf_span(&pool->key_bytes));
    *ret = node ? CONTAINER_OF(node, struct pool_entry, node) : NULL;
    return 0;
}

int entry_get(struct pool *pool, const struct pool_key *key, struct pool_entry **ret)
{
    int r = entry_find(pool, key, ret);

    return r == 0 && !*ret ? entry_new(pool, key, ret) : r;
}

static void attempt_free(struct attempt *attempt)
{
    link_remove(&attempt->link);
    timer_disarm(&attempt->timeout);
    attempt->entry->n_attempts--;
    mem_free(attempt->rungs);
    mem_free(attempt);
}

static void attempt_cancel(struct attempt *attempt)
{
    connector_cancel(attempt->entry->pool->connector, attempt->handle);
    attempt_free(attempt);
}

static void cancel_all(struct link *attempts)
{
    while (!list_is_empty(attempts))
        attempt_cancel(CONTAINER_OF(list_first(attempts), struct attempt, link));
}

static void close_all(struct link *connections)
{
    while (!list_is_empty(connections))
        pool_conn_close(CONTAINER_OF(list_first(connections), struct pool_conn, in_entry));
}

void entry_free(struct pool_entry *entry)
{
    struct pool_uid *uid = entry->uid;

    INVARIANT(entry->n_waiting == 0);
    cancel_all(&entry->attempts);
    cancel_all(&entry->orphans);
    close_all(&entry->busy);
    close_all(&entry->shared);
    close_all(&entry->idle);
    timer_disarm(&entry->calm_timer);
    map_remove(&entry->pool->entries, &entry->node);
    link_remove(&entry->link);
    uid_drop_if_empty(entry->pool, uid);
    pool_key_storage_free(entry->key_storage);
    mem_free(entry->key_bytes);
    mem_free(entry);
}

static struct lease *
first_of(struct pool_entry *entry, enum lease_kind kind, enum waiting_list list)
{
    struct link *link = list_first(&entry->waiting[kind][list]);

    return link ? CONTAINER_OF(link, struct lease, in_queue) : NULL;
}

static struct lease *older(struct lease *a, struct lease *b)
{
    if (!a || !b)
        return a ? a : b;
    return a->seq < b->seq ? a : b;
}

static struct lease *oldest_of(struct pool_entry *entry, enum waiting_list list)
{
    return older(first_of(entry, LEASE_ORDINARY, list), first_of(entry, LEASE_FRESH, list));
}

/* The whole of @from goes before or behind what is on @to. */
static void splice(struct link *from, struct link *to, bool before)
{
    if (list_is_empty(from))
        return;
    struct link *at = before ? to : to->prev; /* comes in behind this one */
    from->next->prev = at;
    from->prev->next = at->next;
    at->next->prev = from->prev;
    at->next = from->next;
    link_init(from);
}

static bool has_blocked(const struct pool_entry *entry)
{
    return !list_is_empty(&entry->waiting[LEASE_ORDINARY][WAITING_BLOCKED]) ||
           !list_is_empty(&entry->waiting[LEASE_FRESH][WAITING_BLOCKED]);
}

static bool is_alive(const struct pool_entry *entry)
{
    return entry->n_busy + entry->n_idle > 0;
}

static void block(struct pool_entry *entry)
{
    for (int kind = 0; kind < LEASE_KIND_COUNT; kind++) {
        struct link *lists = entry->waiting[kind];

        splice(&lists[WAITING_QUEUED], &lists[WAITING_BLOCKED], false);
    }
}

static void unblock(struct pool_entry *entry)
{
    for (int kind = 0; kind < LEASE_KIND_COUNT; kind++) {
        struct link *lists = entry->waiting[kind];

        splice(&lists[WAITING_BLOCKED], &lists[WAITING_QUEUED], true);
    }
}

/* All who were there when the last attempt began share its fate. */
static void
pass_verdict(struct pool_entry *entry, uint64_t up_to_seq, const struct failure *why)
{
    for (int kind = 0; kind < LEASE_KIND_COUNT; kind++) {
        struct lease *lease;

        while ((lease = first_of(entry, (enum lease_kind)kind, WAITING_BLOCKED)) &&
               lease->seq <= up_to_seq)
            lease_fail(lease, why);
    }
    unblock(entry);
}

static void arm_deadline(struct attempt *attempt, int64_t deadline_us)
{
    timer_disarm(&attempt->timeout);
    if (deadline_us == 0)
        return;
    int64_t delay_us = deadline_us - loop_now_us(attempt->entry->pool->loop);
    if (timer_arm(&attempt->timeout, delay_us) < 0) {
        /* no memory for a timeout: the connection is made all the same */
        return;
    }
}

/* The lease's clock starts with its first attempt and is not set back by another. */
static void set_sponsor(struct attempt *attempt, struct lease *lease)
{
    struct pool_entry *entry = attempt->entry;

    if (lease->deadline_us == 0 && lease->connect_timeout_us > 0)
        lease->deadline_us = loop_now_us(entry->pool->loop) + lease->connect_timeout_us;
    attempt->sponsor = lease;
    lease->attempt = attempt;
    lease->n_rungs_told = 0;
    link_remove(&attempt->link);
    list_append(&entry->attempts, &attempt->link);
    arm_deadline(attempt, lease->deadline_us);
    lease_tell(lease);
}

static void sponsor_from_queue(struct attempt *attempt, struct lease *lease)
{
    lease_enter(lease, LEASE_SPONSOR);
    list_append(&attempt->entry->waiting[lease->kind][WAITING_SPONSOR], &lease->in_queue);
    set_sponsor(attempt, lease);
}

void attempt_lost_sponsor(struct attempt *attempt, bool was_served)
{
    struct lease *heir = oldest_of(attempt->entry, WAITING_QUEUED);

    attempt->sponsor = NULL;
    link_remove(&attempt->link);
    list_append(&attempt->entry->orphans, &attempt->link);
    if (heir)
        sponsor_from_queue(attempt, heir);
    else if (!was_served)
        attempt_cancel(attempt); /* nobody would have asked for it */
}

static void attempt_on_stage(void *owner, enum wait_reason stage)
{
    struct attempt *attempt = owner;

    attempt->stage = stage;
    if (attempt->sponsor)
        lease_tell(attempt->sponsor);
}

static void attempt_on_rung(void *owner, const struct tls_rung *rung)
{
    struct attempt *attempt = owner;

    attempt_add_rung(attempt, rung);
    if (attempt->sponsor)
        lease_tell(attempt->sponsor);
}

static bool attempt_on_addresses(void *owner, struct address_list found)
{
    struct attempt *attempt = owner;
    struct pool_entry *entry = attempt->entry;

    if (!attempt_is_needless(attempt, found))
        return false;
    attempt_free(attempt);
    entry_pump(entry);
    return true;
}

static void attempt_failed(struct attempt *attempt, const struct failure *why)
{
    struct pool_entry *entry = attempt->entry;
    uint64_t started_seq = attempt->started_seq;
    struct lease *sponsor = attempt->sponsor;

    entry->pool->counters.connections_failed++;
    attempt_free(attempt);
    if (sponsor) {
        sponsor->attempt = NULL;
        lease_fail(sponsor, why);
    }
    if (!is_alive(entry)) {
        block(entry);
        if (entry->n_attempts == 0)
            pass_verdict(entry, started_seq, why);
    }
    entry_pump(entry);
}

static void attempt_on_failed(void *owner, const struct failure *why)
{
    attempt_failed(owner, why);
}

static void attempt_on_timeout(void *owner)
{
    static const struct {
        const char *doing;
        enum failure_phase phase;
    } stages[] = {
        [WAIT_QUEUED] = {"connecting", PHASE_CONNECT},
        [WAIT_DNS] = {"looking up the name", PHASE_DNS},
        [WAIT_CONNECT] = {"connecting", PHASE_CONNECT},
        [WAIT_TLS] = {"shaking hands for TLS", PHASE_TLS},
        [WAIT_PROXY] = {"waiting for the proxy", PHASE_PROXY},
    };
    struct attempt *attempt = owner;
    struct failure why;

    failure_set(&why, FAILURE_TIMEOUT_CONNECT, "timed out while %s (%s)",
                stages[attempt->stage].doing, attempt->entry->key.origin.host);
    why.phase = stages[attempt->stage].phase;
    if (attempt_first_failure(attempt))
        why = *attempt_first_failure(attempt);
    connector_cancel(attempt->entry->pool->connector, attempt->handle);
    attempt_failed(attempt, &why);
}

void pool_count_handshake(struct pool *pool, const struct conn_info *info)
{
    if (info->is_early)
        return;
    pool->counters.early_data_accepted += info->early_data == EARLY_DATA_ACCEPTED;
    pool->counters.early_data_rejected += info->early_data == EARLY_DATA_REJECTED;
    if (info->is_tls && info->tls_resumed)
        pool->counters.tls_handshakes_resumed++;
    else if (info->is_tls)
        pool->counters.tls_handshakes_full++;
}

/* Whoever would take the connection now. */
static bool attempt_goes_early(void *owner)
{
    const struct attempt *attempt = owner;
    const struct lease *taker = oldest_of(attempt->entry, WAITING_SPONSOR);

    if (!taker)
        taker = oldest_of(attempt->entry, WAITING_QUEUED);
    return taker && taker->may_go_early;
}

/* The oldest sponsor takes it; the one whose attempt it was goes on with the taker's. */
static struct lease *choose_taker(struct attempt *done)
{
    struct lease *taker = oldest_of(done->entry, WAITING_SPONSOR);
    struct lease *sponsor = done->sponsor;

    if (!taker)
        return oldest_of(done->entry, WAITING_QUEUED);
    struct attempt *others = TAKE(taker->attempt);
    if (others == done)
        return taker;
    if (sponsor)
        set_sponsor(others, sponsor);
    else
        attempt_lost_sponsor(others, true);
    return taker;
}

/* Begun before it was known that the server can do better. */
static void refuse_old(struct attempt *attempt, struct conn *conn)
{
    struct failure why;

    failure_set(&why, FAILURE_TLS_VERSION,
                "%s answers with an older TLS than it has been reached with",
                attempt->entry->key.origin.host);
    why.phase = PHASE_TLS;
    conn_close(conn);
    attempt_failed(attempt, &why);
}

static void
attempt_on_connected(void *owner, struct conn *conn, const struct lease_timing *timing)
{
    struct attempt *attempt = owner;
    struct pool_entry *entry = attempt->entry;
    struct pool_conn *pc;
    struct conn_info info;

    conn_info(conn, &info);
    if (!entry_takes_version(entry, info.tls_number)) {
        refuse_old(attempt, conn);
        return;
    }
    if (pool_conn_new(entry, conn, &pc) < 0) {
        struct failure why;

        failure_set(&why, FAILURE_INTERNAL, "out of memory");
        conn_close(conn);
        attempt_failed(attempt, &why);
        return;
    }
    pc->timing = *timing;
    pc->rungs = TAKE(attempt->rungs);
    entry->pool->counters.connections_opened++;
    pool_count_handshake(entry->pool, &info);
    entry->speaks = pc->is_multi ? SPEAKS_HTTP2 : SPEAKS_HTTP1;
    unblock(entry);
    struct lease *taker = choose_taker(attempt);
    attempt_free(attempt);
    if (taker)
        lease_give(taker, pc);
    else
        pool_conn_set_idle(pc);
    if (taker && pc->is_multi)
        pool_conn_share(pc);
    entry_pump(entry);
}

static const struct connect_events attempt_events = {
    .on_stage = attempt_on_stage,
    .on_rung = attempt_on_rung,
    .on_addresses = attempt_on_addresses,
    .goes_early = attempt_goes_early,
    .on_connected = attempt_on_connected,
    .on_failed = attempt_on_failed,
};

static int attempt_start(struct pool_entry *entry, struct lease *lease)
{
    struct attempt *attempt = mem_zalloc(sizeof(*attempt));

    if (!attempt)
        return fault(-ENOMEM);
    attempt->entry = entry;
    attempt->stage = WAIT_CONNECT;
    attempt->started_seq = entry->pool->last_seq;
    attempt->started_us = loop_now_us(entry->pool->loop);
    link_init(&attempt->link);
    timer_init(&attempt->timeout, entry->pool->loop, attempt_on_timeout, attempt);
    int r = connector_start(entry->pool->connector, &entry->key, &attempt_events, attempt,
                            &attempt->handle);
    if (r < 0) {
        mem_free(attempt);
        return r;
    }
    entry->n_attempts++;
    sponsor_from_queue(attempt, lease);
    return 0;
}

static void start_or_fail(struct pool_entry *entry, struct lease *lease)
{
    struct failure why;
    int r = attempt_start(entry, lease);

    if (r == 0)
        return;
    failure_set(&why, FAILURE_INTERNAL, "cannot begin to connect");
    why.sys_errno = -r;
    why.phase = PHASE_CONNECT;
    lease_fail(lease, &why);
}

/* May one more attempt begin, if there is a place for it? */
static bool may_connect(const struct pool_entry *entry)
{
    if (timer_is_armed(&entry->calm_timer) || entry->n_multi > 0)
        return false;
    return entry->speaks == SPEAKS_HTTP1 || entry->n_attempts == 0;
}

/* @lease is the oldest that queues. Return: whether it has moved on. */
static bool serve(struct pool_entry *entry, struct lease *lease)
{
    struct link *orphan = list_first(&entry->orphans);
    unsigned total = entry->n_attempts + entry->n_busy + entry->n_idle;

    if (orphan) {
        sponsor_from_queue(CONTAINER_OF(orphan, struct attempt, link), lease);
        return true;
    }
    if (total >= entry_per_host_max(entry) && entry->n_idle > 0) { /* it wants a fresh one */
        pool_conn_close(CONTAINER_OF(entry->idle.prev, struct pool_conn, in_entry));
        total--;
    }
    if (total >= entry_per_host_max(entry) || !may_connect(entry))
        return false;
    start_or_fail(entry, lease);
    return true;
}

void entry_pump(struct pool_entry *entry)
{
    struct lease *lease;

    if (has_blocked(entry) && (entry->n_attempts == 0 || is_alive(entry)))
        unblock(entry);
    while ((lease = oldest_of(entry, WAITING_QUEUED)) && serve(entry, lease))
        ;
    if (entry->n_waiting + entry->n_attempts + entry->n_busy + entry->n_idle == 0 &&
        !timer_is_armed(&entry->calm_timer))
        entry_free(entry);
}

/* A connection that the lease may have now. NULL: it has to wait. */
static struct pool_conn *find_conn(struct pool_entry *entry, enum lease_kind kind)
{
    struct link *link = list_first(&entry->shared);

    if (!link)
        link = list_first(&entry->idle);
    if (!link)
        return NULL;
    struct pool_conn *pc = CONTAINER_OF(link, struct pool_conn, in_entry);
    bool suits = pc->is_multi || kind == LEASE_ORDINARY;
    return suits && pool_conn_has_room(pc) ? pc : NULL;
}

void entry_add_waiter(struct pool_entry *entry, struct lease *lease)
{
    struct pool_conn *pc = find_conn(entry, lease->kind);

    lease->entry = entry;
    lease->state = LEASE_QUEUED;
    entry->n_waiting++;
    entry->pool->counters.waiting++;
    if (pc) {
        lease_give(lease, pc);
        return;
    }
    list_append(&entry->waiting[lease->kind][WAITING_QUEUED], &lease->in_queue);
    lease_tell(lease);
    entry_pump(entry);
}

struct lease *entry_next_taker(struct pool_entry *entry, bool *ret_must_close)
{
    struct lease *sponsor = first_of(entry, LEASE_ORDINARY, WAITING_SPONSOR);
    struct lease *queued = first_of(entry, LEASE_ORDINARY, WAITING_QUEUED);
    struct lease *fresh = first_of(entry, LEASE_FRESH, WAITING_QUEUED);
    struct lease *taker = sponsor ? sponsor : queued;

    *ret_must_close = fresh && older(fresh, taker) == fresh;
    if (*ret_must_close || !taker)
        return NULL;
    if (taker->attempt)
        attempt_lost_sponsor(TAKE(taker->attempt), true);
    return taker;
}

struct lease *entry_next_sharer(struct pool_entry *entry)
{
    struct lease *taker = oldest_of(entry, WAITING_SPONSOR);

    if (!taker)
        taker = oldest_of(entry, WAITING_QUEUED);
    if (taker && taker->attempt)
        attempt_lost_sponsor(TAKE(taker->attempt), false);
    return taker;
}

struct lease *entry_next_guest(struct pool_entry *entry)
{
    struct lease *guest = older(first_of(entry, LEASE_ORDINARY, WAITING_SPONSOR),
                                first_of(entry, LEASE_ORDINARY, WAITING_QUEUED));

    if (guest && guest->attempt)
        attempt_lost_sponsor(TAKE(guest->attempt), true);
    return guest;
}
