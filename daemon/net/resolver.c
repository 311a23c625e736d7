/* SPDX-License-Identifier: MIT */
#include "net/resolver.h"

#include <errno.h>
#include <string.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/worker.h"

#define KEY_HEAD (sizeof(uint32_t) + 1)             /* user, family */
#define KEY_MAX  (KEY_HEAD + RESOLVER_HOST_MAX + 1) /* host, root's dot */

struct resolver {
    struct loop *loop;
    struct worker_pool *pool;
    struct resolver_options options;
    struct map queries; /* those that a new lookup may join: under way, or kept */
    struct map users;   /* who has queries under way */
    struct link kept;   /* answered ones in the map, oldest first */
    unsigned n_kept;
};

struct resolver_user {
    struct map_node node;
    uint32_t uid;
    unsigned n_under_way; /* jobs, those that nobody waits for included */
};

/*
 * One user's name and family. It is in the map while lookups may join it, and lives on outside
 * as long as its job runs or lookups hang on it.
 */
struct resolver_query {
    struct job job; /* first */
    struct map_node node;
    struct link kept;    /* in resolver->kept */
    struct link lookups; /* that wait for it */
    struct resolver *resolver;
    struct resolver_user *user; /* while it is under way */
    int64_t expires_us;
    bool is_in_map;
    bool is_under_way;
    bool is_answering;
    int family;
    int code;      /* EAI_ value or 0 */
    int sys_errno; /* with EAI_SYSTEM */
    size_t n_found;
    struct address *found;
    char key[KEY_MAX + 1]; /* the uid, a letter for the family, then the host in lower case */
};

static const char *host_of(const struct resolver_query *query)
{
    return query->key + KEY_HEAD;
}

static int
query_system(const char *host, int family, struct address *ret, size_t max, size_t *ret_n)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    size_t n = 0;

    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0)
        return code;
    for (struct addrinfo *at = found; at && n < max; at = at->ai_next) {
        struct address address;
        bool known = address_from_sockaddr(at->ai_addr, at->ai_addrlen, &address) < 0;

        for (size_t i = 0; i < n && !known; i++)
            known = address_compare(&ret[i], &address) == 0;
        if (!known)
            ret[n++] = address;
    }
    freeaddrinfo(found);
    *ret_n = n;
    return n > 0 ? 0 : EAI_NONAME;
}

/* On a thread. */
static void query_run(struct job *job)
{
    struct resolver_query *query = (struct resolver_query *)(void *)job;
    struct address found[RESOLVER_ADDRESSES_MAX];
    size_t n = 0;

    query->code = query->resolver->options.query(host_of(query), query->family, found,
                                                 RESOLVER_ADDRESSES_MAX, &n);
    query->sys_errno = query->code == EAI_SYSTEM ? errno : 0;
    if (query->code != 0)
        return;
    query->found = mem_array(n, sizeof(*found));
    if (!query->found) {
        query->code = EAI_MEMORY;
        return;
    }
    memcpy(query->found, found, n * sizeof(*found));
    query->n_found = n;
}

/* Return: found or made; NULL for lack of memory. */
static struct resolver_user *join_user(struct resolver *resolver, uint32_t uid)
{
    struct map_node *node =
        map_find(&resolver->users, (struct span){(const char *)&uid, sizeof(uid)});
    struct resolver_user *user =
        node ? CONTAINER_OF(node, struct resolver_user, node) : mem_zalloc(sizeof(*user));

    if (!user)
        return NULL;
    user->n_under_way++;
    if (node)
        return user;
    user->uid = uid;
    if (map_add(&resolver->users, &user->node,
                (struct span){(const char *)&user->uid, sizeof(user->uid)}) == 0)
        return user;
    return mem_free(user);
}

/* The last of his queries takes him along. */
static void leave_user(struct resolver *resolver, struct resolver_user *user)
{
    if (--user->n_under_way > 0)
        return;
    map_remove(&resolver->users, &user->node);
    mem_free(user);
}

static bool has_too_many(const struct resolver *resolver, uint32_t uid)
{
    struct map_node *node =
        map_find(&resolver->users, (struct span){(const char *)&uid, sizeof(uid)});

    return node && CONTAINER_OF(node, struct resolver_user, node)->n_under_way >=
                       resolver->options.queries_max;
}

static void query_leave_map(struct resolver_query *query)
{
    if (!query->is_in_map)
        return;
    map_remove(&query->resolver->queries, &query->node);
    query->is_in_map = false;
    if (link_is_linked(&query->kept))
        query->resolver->n_kept--;
    link_remove(&query->kept);
}

static void query_free_if_unused(struct resolver_query *query)
{
    if (query->is_in_map || query->is_under_way || query->is_answering ||
        !list_is_empty(&query->lookups))
        return;
    mem_free(query->found);
    mem_free(query);
}

static void query_failure(struct failure *ret, const struct resolver_query *query)
{
    const char *host = host_of(query);
    char reason[64];

    switch (query->code) {
    case EAI_NONAME:
        failure_set(ret, FAILURE_DNS, "no such host: %s; check the spelling", host);
        break;
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        failure_set(ret, FAILURE_DNS, "host %s has no %saddress", host,
                    query->family == AF_INET    ? "IPv4 "
                    : query->family == AF_INET6 ? "IPv6 "
                                                : "");
        break;
    case EAI_AGAIN:
        failure_set(ret, FAILURE_DNS,
                    "no name server answered for %s; is the network up? Try again later", host);
        break;
    case EAI_MEMORY:
        failure_set(ret, FAILURE_INTERNAL, "out of memory while looking up %s", host);
        break;
    case EAI_SYSTEM:
        failure_set(ret, FAILURE_DNS, "cannot look up %s: %s", host,
                    strerror_r(query->sys_errno, reason, sizeof(reason)));
        break;
    default:
        failure_set(ret, FAILURE_DNS, "cannot look up %s: %s", host, gai_strerror(query->code));
        break;
    }
    ret->phase = PHASE_DNS;
    ret->sys_errno = query->sys_errno;
    ret->code = (uint32_t)-query->code;
}

/* The lookup is idle from here on, and may be gone after. */
static void answer(struct lookup *lookup, struct address_list found, const struct failure *why)
{
    lookup->resolver = NULL;
    lookup->query = NULL;
    lookup->on_done(lookup->owner, found, why);
}

static void answer_from_query(struct lookup *lookup, const struct resolver_query *query)
{
    struct address found[RESOLVER_ADDRESSES_MAX];
    struct failure why;

    link_remove(&lookup->link);
    if (query->code != 0) {
        query_failure(&why, query);
        answer(lookup, (struct address_list){0}, &why);
        return;
    }
    for (size_t i = 0; i < query->n_found; i++) {
        found[i] = query->found[i];
        address_set_port(&found[i], lookup->port);
    }
    answer(lookup, (struct address_list){found, query->n_found}, NULL);
}

static void keep(struct resolver_query *query)
{
    struct resolver *resolver = query->resolver;

    query->expires_us = loop_now_us(resolver->loop) + resolver->options.cache_us;
    list_append(&resolver->kept, &query->kept);
    resolver->n_kept++;
    while (resolver->n_kept > resolver->options.cache_max) {
        struct link *first = list_first(&resolver->kept);
        struct resolver_query *oldest = CONTAINER_OF(first, struct resolver_query, kept);

        query_leave_map(oldest);
        query_free_if_unused(oldest);
    }
}

/* Lookups that a callback adds to a kept query have tasks of their own: only those that
 * waited for the job are answered here. */
static void query_done(struct job *job)
{
    struct resolver_query *query = (struct resolver_query *)(void *)job;
    struct link waiting;

    query->is_under_way = false;
    leave_user(query->resolver, TAKE(query->user));
    query->is_answering = true;
    if (job->cancelled)
        query->code = EAI_AGAIN;
    if (query->code == 0 && query->resolver->options.cache_us > 0 && query->is_in_map)
        keep(query);
    else
        query_leave_map(query);

    link_init(&waiting);
    while (!list_is_empty(&query->lookups)) {
        struct link *link = list_first(&query->lookups);

        link_remove(link);
        list_append(&waiting, link);
    }
    while (!list_is_empty(&waiting))
        answer_from_query(CONTAINER_OF(list_first(&waiting), struct lookup, link), query);
    query->is_answering = false;
    query_free_if_unused(query);
}

static struct span query_key(char ret[KEY_MAX + 1], uint32_t uid, int family, struct span host)
{
    memcpy(ret, &uid, sizeof(uid));
    ret[KEY_HEAD - 1] = (char)(family == AF_INET ? '4' : family == AF_INET6 ? '6' : '*');
    for (size_t i = 0; i < host.len; i++)
        ret[KEY_HEAD + i] = ascii_lower(host.ptr[i]);
    ret[KEY_HEAD + host.len] = '\0';
    return (struct span){ret, KEY_HEAD + host.len};
}

static int query_start(struct resolver_query *query, uint32_t uid)
{
    struct resolver *resolver = query->resolver;

    query->user = join_user(resolver, uid);
    if (!query->user)
        return fault(-ENOMEM);
    query->job.lane = uid;
    int r = worker_submit(resolver->pool, &query->job);
    if (r < 0)
        leave_user(resolver, TAKE(query->user));
    query->is_under_way = r == 0;
    return r;
}

static int
query_new(struct lookup *lookup, struct resolver *resolver, struct span key, int family)
{
    CLEANUP_MEM struct resolver_query *query = mem_zalloc(sizeof(*query));

    if (!query)
        return fault(-ENOMEM);
    query->job.run = query_run;
    query->job.done = query_done;
    query->resolver = resolver;
    query->family = family;
    link_init(&query->kept);
    link_init(&query->lookups);
    memcpy(query->key, key.ptr, key.len);
    int r = map_add(&resolver->queries, &query->node, (struct span){query->key, key.len});
    if (r < 0)
        return r;
    query->is_in_map = true;
    r = query_start(query, lookup->uid);
    if (r < 0) {
        query_leave_map(query);
        return r;
    }
    lookup->query = TAKE(query);
    return 0;
}

static void drop_expired(struct resolver *resolver)
{
    while (!list_is_empty(&resolver->kept)) {
        struct link *first = list_first(&resolver->kept);
        struct resolver_query *query = CONTAINER_OF(first, struct resolver_query, kept);

        if (query->expires_us > loop_now_us(resolver->loop))
            return;
        query_leave_map(query);
        query_free_if_unused(query);
    }
}

/* Answered without a query: literals, localhost, and what no resolver needs to be asked. */
static void lookup_on_task(void *owner)
{
    struct lookup *lookup = owner;
    struct resolver_query *query = lookup->query;
    struct failure why;

    if (query) {
        answer_from_query(lookup, query);
        query_free_if_unused(query);
        return;
    }
    if (lookup->n_literal > 0) {
        struct address found[2] = {lookup->literal[0], lookup->literal[1]};

        answer(lookup, (struct address_list){found, lookup->n_literal}, NULL);
        return;
    }
    if (lookup->refusal == EAI_AGAIN)
        failure_set(&why, FAILURE_DNS,
                    "this user has too many look-ups under way; try again later");
    else if (lookup->refusal == EAI_ADDRFAMILY)
        failure_set(&why, FAILURE_DNS, "the address is not of the family asked for");
    else
        failure_set(&why, FAILURE_DNS, "not a host name: empty, too long, or with a NUL");
    why.phase = PHASE_DNS;
    why.code = (uint32_t)-lookup->refusal;
    answer(lookup, (struct address_list){0}, &why);
}

/* RFC 6761 §6.3: "localhost." and everything below it is this machine, whoever is asked. */
static bool is_localhost(struct span host)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    if (span_ieq(host, SPAN_LIT("localhost")))
        return true;
    return host.len > 10 && span_ieq(span_drop(host, host.len - 10), SPAN_LIT(".localhost"));
}

static bool is_host(struct span host)
{
    size_t dot = host.len > 0 && host.ptr[host.len - 1] == '.';

    return host.len > dot && host.len - dot <= RESOLVER_HOST_MAX &&
           !memchr(host.ptr, '\0', host.len);
}

static void add_literal(struct lookup *lookup, struct address address, int family)
{
    if (family == AF_UNSPEC || family == address_family(&address))
        lookup->literal[lookup->n_literal++] = address;
}

/* Return: whether @host needs no query. */
static bool answer_without_query(struct lookup *lookup, struct span host, int family)
{
    static const struct address v6 = {
        .in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
    struct address v4 = {
        .in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    struct address literal;

    lookup->n_literal = 0;
    lookup->refusal = EAI_NONAME;
    if (!is_host(host))
        return true;
    if (is_localhost(host)) {
        add_literal(lookup, v6, family);
        add_literal(lookup, v4, family);
    } else if (address_parse(host, lookup->port, &literal) == 0) {
        lookup->refusal = EAI_ADDRFAMILY;
        add_literal(lookup, literal, family);
    } else {
        return false;
    }
    for (size_t i = 0; i < lookup->n_literal; i++)
        address_set_port(&lookup->literal[i], lookup->port);
    return true;
}

int resolver_lookup(struct resolver *resolver,
                    struct span host,
                    uint16_t port,
                    int family,
                    struct lookup *lookup)
{
    char key_text[KEY_MAX + 1];

    INVARIANT(!lookup->resolver);
    link_init(&lookup->link);
    lookup->port = port;
    lookup->query = NULL;
    lookup->task = (struct deferred){.fn = lookup_on_task, .owner = lookup};
    drop_expired(resolver);
    if (answer_without_query(lookup, host, family))
        goto answer_soon;

    struct span key = query_key(key_text, lookup->uid, family, host);
    struct map_node *node = map_find(&resolver->queries, key);
    if (node) {
        lookup->query = CONTAINER_OF(node, struct resolver_query, node);
    } else if (has_too_many(resolver, lookup->uid)) {
        lookup->refusal = EAI_AGAIN;
        goto answer_soon;
    } else {
        int r = query_new(lookup, resolver, key, family);
        if (r < 0)
            return r;
    }
    lookup->resolver = resolver;
    list_append(&lookup->query->lookups, &lookup->link);
    if (!lookup->query->is_under_way)
        loop_defer(resolver->loop, &lookup->task);
    return 0;

answer_soon:
    lookup->resolver = resolver;
    loop_defer(resolver->loop, &lookup->task);
    return 0;
}

void resolver_cancel(struct lookup *lookup)
{
    struct resolver *resolver = lookup->resolver;
    struct resolver_query *query = lookup->query;

    if (!resolver)
        return;
    loop_defer_cancel(resolver->loop, &lookup->task);
    link_remove(&lookup->link);
    lookup->resolver = NULL;
    lookup->query = NULL;
    if (!query)
        return;
    if (query->is_under_way && list_is_empty(&query->lookups)) {
        query_leave_map(query); /* who asks next gets a query that was not cancelled */
        worker_cancel(resolver->pool, &query->job);
    }
    query_free_if_unused(query);
}

void resolver_flush(struct resolver *resolver)
{
    while (!list_is_empty(&resolver->kept)) {
        struct link *first = list_first(&resolver->kept);
        struct resolver_query *query = CONTAINER_OF(first, struct resolver_query, kept);

        query_leave_map(query);
        query_free_if_unused(query);
    }
}

int resolver_new(struct resolver **ret,
                 struct loop *loop,
                 const struct resolver_options *options)
{
    CLEANUP(resolver_free) struct resolver *resolver = mem_zalloc(sizeof(*resolver));

    if (!resolver)
        return fault(-ENOMEM);
    resolver->loop = loop;
    resolver->options = *options;
    if (!resolver->options.query)
        resolver->options.query = query_system;
    link_init(&resolver->kept);
    int r = worker_pool_new(&resolver->pool, loop, options->n_threads);
    if (r < 0)
        return r;
    worker_pool_set_lanes(resolver->pool, options->n_threads_each);

    *ret = TAKE(resolver);
    return 0;
}

struct resolver *resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return NULL;
    if (worker_pool_leave(resolver->pool, WORKER_LEAVE_US))
        return NULL; /* a name server hangs, and with it a thread that uses the rest */
    resolver_flush(resolver);
    INVARIANT(resolver->queries.count == 0);
    map_done(&resolver->queries);
    map_done(&resolver->users);
    return mem_free(resolver);
}
