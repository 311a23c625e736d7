/* SPDX-License-Identifier: MIT */
/*
 * Old versions of TLS. A key stands for TLS 1.2 or better; the same key with an old_version is
 * another one, for requests to hosts of which nothing is known yet, and for nobody else. So a
 * connection of TLS 1.1 never serves a request that must have better, and what is warm is found
 * with one look and without the question how old it may be: that is asked only when there is no
 * connection.
 *
 * An entry that was begun with an old_version and reached its server with TLS 1.2 becomes the
 * entry of the key without: nobody goes below any more.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "pool/pool_priv.h"

int entry_for_request(struct pool *pool,
                      const struct pool_request *request,
                      void *owner,
                      struct pool_entry **ret)
{
    struct pool_key key;
    uint16_t old;
    int r = entry_find(pool, request->key, ret);

    if (r < 0)
        return r;
    bool is_alive = *ret && (*ret)->n_busy + (*ret)->n_idle > 0;
    if (is_alive || !request->oldest_tls || !request->key->origin.is_https)
        return *ret ? 0 : entry_new(pool, request->key, ret);
    old = request->oldest_tls(owner);
    if (old == 0 && *ret)
        return 0;
    if (old == 0) /* the question may have asked the pool something, too */
        return entry_get(pool, request->key, ret);
    key = *request->key;
    key.tls.old_version = old;
    return entry_get(pool, &key, ret);
}

/* Without memory, or where there is such an entry, everything stays as it is. */
static void become_modern(struct pool_entry *entry)
{
    struct pool *pool = entry->pool;
    uint16_t old = entry->key.tls.old_version;
    char *bytes = NULL;

    entry->key.tls.old_version = 0;
    buf_clear(&pool->key_bytes);
    if (pool_key_encode(&pool->key_bytes, &entry->key) == 0 &&
        !map_find(&pool->entries, buf_span(&pool->key_bytes)))
        bytes = mem_dup(buf_span(&pool->key_bytes));
    if (!bytes) {
        entry->key.tls.old_version = old;
        return;
    }
    map_remove(&pool->entries, &entry->node);
    mem_free(entry->key_bytes);
    entry->key_bytes = bytes;
    int r = map_add(&pool->entries, &entry->node, (struct span){bytes, pool->key_bytes.len});
    INVARIANT(r == 0); /* there is the place of the one that went */
}

bool entry_takes_version(struct pool_entry *entry, uint16_t version)
{
    const struct pool_tls *tls = &entry->key.tls;
    uint16_t least = tls->min_version ? tls->min_version : TLS_VERSION_1_2;

    if (version == 0) /* no TLS */
        return true;
    if (tls->old_version && version >= TLS_VERSION_1_2)
        become_modern(entry);
    return version >= (tls->old_version ? tls->old_version : least);
}

void attempt_add_rung(struct attempt *attempt, const struct tls_rung *rung)
{
    if (!attempt->rungs)
        attempt->rungs = mem_zalloc(sizeof(*attempt->rungs));
    if (!attempt->rungs || attempt->rungs->n == TLS_RUNGS_MAX)
        return; /* without memory for the story the connection is made all the same */
    attempt->rungs->at[attempt->rungs->n++] = *rung;
}

const struct failure *attempt_first_failure(const struct attempt *attempt)
{
    const struct tls_rungs *rungs = attempt->rungs;

    for (unsigned i = 0; rungs && i < rungs->n; i++) {
        if (rungs->at[i].version != 0 && rungs->at[i].cause.kind != FAILURE_NONE)
            return &rungs->at[i].cause;
    }
    return NULL;
}

/* Return: whether the lease still waits. */
bool lease_tell_rungs(struct lease *lease)
{
    const struct tls_rungs *rungs;

    while (lease->attempt && (rungs = lease->attempt->rungs) && lease->n_rungs_told < rungs->n)
        if (lease->events->on_rung)
            lease->events->on_rung(lease->owner, &rungs->at[lease->n_rungs_told++]);
        else
            lease->n_rungs_told++;
    return lease->state == LEASE_QUEUED || lease->state == LEASE_SPONSOR;
}

const struct tls_rungs *lease_rungs(const struct lease *lease)
{
    return lease->pc ? lease->pc->rungs : NULL;
}

uint16_t lease_tls_version(const struct lease *lease)
{
    return lease->pc ? lease->pc->tls_number : 0;
}
