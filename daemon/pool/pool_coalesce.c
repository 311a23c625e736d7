/* SPDX-License-Identifier: MIT */
/*
 * One HTTP/2 connection for several names (RFC 9113 §9.1.1), where the administrator allows it:
 * everything but the host is the same (partition, jar, port, route, TLS as everybody has it),
 * one of the name's addresses is the one we are connected to, and the certificate is good for
 * the name, too.
 *
 * A lease of another name is a guest. From then on it belongs to the connection's entry; should
 * the connection break before the guest has been told, its exchange fails as one that never
 * left, and its owner asks anew. A connection on which a guest was told that it is misdirected
 * (421) takes no others.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"
#include "pool/pool_priv.h"

/* The HTTP/2 connections to one address that are the same but for the host. */
struct pool_group {
    struct map_node node;
    struct link conns; /* the newest first */
    char *key;
};

#define LOOKED_AT_MAX 16 /* connections of a group, for one lease */

/* Where the client itself has a part in the handshake, that was said of one name. */
static bool may_share_names(const struct pool_key *key)
{
    const struct pool_tls *tls = &key->tls;

    return key->origin.is_https && key->http != POOL_HTTP_1_1 &&
           !host_is_ip_literal(origin_host(&key->origin)) &&
           key->proxy.way == PROXY_WAY_DIRECT && key->route.n_addresses == 0 &&
           !tls->insecure && tls->identity.len == 0 && !tls->answerer;
}

/* Into pool->key_bytes. Return: 0 or -errno. */
static int
encode_group(struct pool *pool, const struct pool_key *key, const struct address *address)
{
    struct pool_key hostless = *key;
    char text[ADDRESS_TEXT_MAX];

    hostless.origin.host[0] = '\0';
    hostless.tls.old_version =
        0; /* HTTP/2 has TLS 1.2 at least: as good as who would take less */
    buf_clear(&pool->key_bytes);
    int r = pool_key_encode(&pool->key_bytes, &hostless);
    return r < 0 ? r : buf_append_str(&pool->key_bytes, address_format(address, text));
}

static struct pool_group *find_group(struct pool *pool)
{
    struct map_node *node = map_find(&pool->groups, buf_span(&pool->key_bytes));

    return node ? CONTAINER_OF(node, struct pool_group, node) : NULL;
}

static struct pool_group *new_group(struct pool *pool)
{
    struct span key = buf_span(&pool->key_bytes);
    struct pool_group *group = mem_zalloc(sizeof(*group));

    if (!group)
        return NULL;
    link_init(&group->conns);
    group->key = mem_dup(key);
    if (!group->key ||
        map_add(&pool->groups, &group->node, (struct span){group->key, key.len}) < 0) {
        mem_free(group->key);
        return mem_free(group);
    }
    return group;
}

void pool_conn_join_group(struct pool_conn *pc)
{
    struct pool *pool = pc->entry->pool;
    const struct address *address =
        pool->options.coalesce && pc->is_multi ? conn_remote(pc->conn) : NULL;

    if (!address || !may_share_names(&pc->entry->key) ||
        encode_group(pool, &pc->entry->key, address) < 0)
        return;
    pc->group = find_group(pool);
    if (!pc->group)
        pc->group = new_group(pool);
    if (pc->group) /* without memory it carries its own name alone */
        list_prepend(&pc->group->conns, &pc->in_group);
}

void pool_conn_leave_group(struct pool_conn *pc)
{
    struct pool_group *group = TAKE(pc->group);

    link_remove(&pc->in_group);
    if (!group || !list_is_empty(&group->conns))
        return;
    map_remove(&pc->entry->pool->groups, &group->node);
    mem_free(group->key);
    mem_free(group);
}

static struct pool_conn *find_in_group(const struct pool_group *group, struct span host)
{
    unsigned left = LOOKED_AT_MAX;

    LIST_FOREACH (at, &group->conns) {
        struct pool_conn *pc = CONTAINER_OF(at, struct pool_conn, in_group);

        if (left-- == 0)
            break;
        if (pool_conn_has_room(pc) && conn_covers_host(pc->conn, host))
            return pc;
    }
    return NULL;
}

static struct pool_conn *find_host(struct pool_entry *entry, struct address_list found)
{
    struct pool *pool = entry->pool;
    struct pool_conn *pc = NULL;

    if (!pool->options.coalesce || pool->groups.count == 0 || !may_share_names(&entry->key))
        return NULL;
    for (size_t i = 0; i < found.n && !pc; i++) {
        struct pool_group *group =
            encode_group(pool, &entry->key, &found.at[i]) == 0 ? find_group(pool) : NULL;

        if (group)
            pc = find_in_group(group, origin_host(&entry->key.origin));
    }
    return pc;
}

bool attempt_is_needless(struct attempt *attempt, struct address_list found)
{
    struct pool_entry *entry = attempt->entry;
    struct pool_conn *pc = find_host(entry, found);
    struct lease *guest;

    if (!pc)
        return false;
    while (pool_conn_has_room(pc) && (guest = entry_next_guest(entry))) {
        lease_give(guest, pc);
        guest->entry = pc->entry;
        guest->is_guest = true;
        entry->pool->counters.coalesced++;
    }
    return !attempt->sponsor;
}
