/* SPDX-License-Identifier: MIT */
/*
 * The real connector: name look-up, Happy Eyeballs, TLS, one after the other. The TLS context,
 * which may have to be made from a trust store first, is asked for beside all that.
 */
#include "pool/connector.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"
#include "net/io_tls.h"
#include "net/resolver.h"
#include "net/tls_context.h"
#include "pool/pool_priv.h"
#include "transport/conn.h"

#define ALPN_OFFER "http/1.1"

struct net_connector {
    struct connector base; /* first */
    struct net_connector_parts parts;
};

enum connect_state {
    CONNECT_LOOKUP,
    CONNECT_DIAL,
    CONNECT_CONTEXT, /* TCP is there, the TLS context is not */
    CONNECT_TLS,
    CONNECT_OVER,
    CONNECT_STATE_COUNT,
};

static const uint8_t connect_table[CONNECT_STATE_COUNT] = {
    [CONNECT_LOOKUP] = 1U << CONNECT_DIAL | 1U << CONNECT_OVER,
    [CONNECT_DIAL] = 1U << CONNECT_CONTEXT | 1U << CONNECT_TLS | 1U << CONNECT_OVER,
    [CONNECT_CONTEXT] = 1U << CONNECT_TLS | 1U << CONNECT_OVER,
    [CONNECT_TLS] = 1U << CONNECT_OVER,
};

struct connect_attempt {
    struct reap reap; /* first */
    const struct net_connector_parts *parts;
    const struct pool_key *key;
    const struct connect_events *events;
    void *owner;
    enum connect_state state;
    struct lookup lookup;
    struct dialer *dialer;
    struct tls_context_wait context_wait;
    struct tls_context *context;
    struct io *io; /* TCP, then TLS */
    struct lease_timing timing;
};

static void enter(struct connect_attempt *attempt, enum connect_state next)
{
    INVARIANT(connect_table[attempt->state] & 1U << next);
    attempt->state = next;
}

static void attempt_reap(struct reap *self)
{
    mem_free(CONTAINER_OF(self, struct connect_attempt, reap));
}

/* Lets go of everything; no call back reaches the attempt any more. */
static void end(struct connect_attempt *attempt)
{
    enter(attempt, CONNECT_OVER);
    resolver_cancel(&attempt->lookup);
    attempt->dialer = dialer_cancel(attempt->dialer);
    tls_contexts_cancel(&attempt->context_wait);
    if (attempt->context)
        attempt->context = tls_context_unref(attempt->context);
    attempt->io = io_close(attempt->io);
    loop_defer_free(attempt->parts->loop, &attempt->reap, attempt_reap);
}

static void fail(struct connect_attempt *attempt, const struct failure *why)
{
    struct failure copy = *why; /* may live in what end() closes */

    end(attempt);
    attempt->events->on_failed(attempt->owner, &copy);
}

static void fail_errno(struct connect_attempt *attempt, enum failure_phase phase, int r)
{
    struct failure why;

    failure_set(&why, FAILURE_INTERNAL, "cannot connect to %s", attempt->key->origin.host);
    why.phase = phase;
    why.sys_errno = -r;
    fail(attempt, &why);
}

static int64_t now_us(const struct connect_attempt *attempt)
{
    return loop_now_us(attempt->parts->loop);
}

static void connected(struct connect_attempt *attempt)
{
    struct conn *conn;

    int r = conn_new_h1(attempt->parts->transport, attempt->io, &conn);
    if (r < 0) {
        fail_errno(attempt, PHASE_CONNECT, r);
        return;
    }
    attempt->io = NULL;
    end(attempt);
    attempt->events->on_connected(attempt->owner, conn, &attempt->timing);
}

static void tls_on_connected(void *owner)
{
    struct connect_attempt *attempt = owner;

    attempt->timing.tls_us = now_us(attempt);
    connected(attempt);
}

static void tls_on_failed(void *owner, const struct failure *why)
{
    fail(owner, why);
}

static const struct io_events tls_events = {
    .on_connected = tls_on_connected,
    .on_failed = tls_on_failed,
};

/* Both TCP and context are there. The name that is verified is the URL's, wherever we dialled.
 */
static void start_tls(struct connect_attempt *attempt)
{
    struct io_tls_options options = {
        .context = attempt->context,
        .host = host_strip_brackets(origin_host(&attempt->key->origin)),
        .port = attempt->key->origin.port,
        .alpn = SPAN_LIT(ALPN_OFFER),
        .sessions = attempt->parts->tls_sessions,
        .partition = attempt->key->partition,
    };
    struct io *lower = attempt->io;

    enter(attempt, CONNECT_TLS);
    attempt->events->on_stage(attempt->owner, WAIT_TLS);
    int r = io_tls_new(lower, &options, &tls_events, attempt, &attempt->io);
    if (r < 0)
        fail_errno(attempt, PHASE_TLS, r);
}

static void lower_on_failed(void *owner, const struct failure *why)
{
    fail(owner, why);
}

/* While the context is made: nothing is read, so only real trouble is seen. */
static const struct io_events lower_events = {.on_failed = lower_on_failed};

static void dialer_on_connected(void *owner, struct io *io)
{
    struct connect_attempt *attempt = owner;

    attempt->dialer = NULL;
    attempt->io = io;
    attempt->timing.connected_us = now_us(attempt);
    if (!attempt->key->origin.is_https) {
        connected(attempt);
    } else if (attempt->context) {
        start_tls(attempt);
    } else {
        io_set_events(io, &lower_events, attempt);
        enter(attempt, CONNECT_CONTEXT);
    }
}

static void dialer_on_failed(void *owner, const struct failure *why)
{
    struct connect_attempt *attempt = owner;

    attempt->dialer = NULL;
    fail(attempt, why);
}

static const struct dialer_events dialer_events = {
    .on_connected = dialer_on_connected,
    .on_failed = dialer_on_failed,
};

static int bind_to_source(const struct pool_source *source, struct io_tcp_options *tcp)
{
    int r = 0;

    tcp->is_bound = source->v4[0] != '\0' || source->v6[0] != '\0';
    if (source->v4[0] != '\0')
        r = address_parse(span_of(source->v4), 0, &tcp->local_v4);
    if (r == 0 && source->v6[0] != '\0')
        r = address_parse(span_of(source->v6), 0, &tcp->local_v6);
    return r;
}

static int dial(struct connect_attempt *attempt, struct address_list addresses)
{
    struct dialer_options options = attempt->parts->dialer;
    int r = bind_to_source(&attempt->key->source, &options.tcp);

    if (r == 0)
        r = dialer_start(attempt->parts->loop, addresses, &options, &dialer_events, attempt,
                         &attempt->dialer);
    if (r < 0)
        return r;
    enter(attempt, CONNECT_DIAL);
    attempt->events->on_stage(attempt->owner, WAIT_CONNECT);
    return 0;
}

static void lookup_on_done(void *owner, struct address_list found, const struct failure *why)
{
    struct connect_attempt *attempt = owner;

    if (why) {
        fail(attempt, why);
        return;
    }
    attempt->timing.name_lookup_us = now_us(attempt);
    int r = dial(attempt, found);
    if (r < 0)
        fail_errno(attempt, PHASE_CONNECT, r);
}

static void context_on_done(void *owner, struct tls_context *context, const struct failure *why)
{
    struct connect_attempt *attempt = owner;

    if (!context) {
        fail(attempt, why);
        return;
    }
    attempt->context = tls_context_ref(context);
    if (attempt->state == CONNECT_CONTEXT)
        start_tls(attempt);
}

static int family_of(const struct pool_key *key)
{
    return key->family == 4 ? AF_INET : key->family == 6 ? AF_INET6 : AF_UNSPEC;
}

/* --resolve: these and no others, whatever their family. */
static int dial_given(struct connect_attempt *attempt, uint16_t port)
{
    const struct pool_route *route = &attempt->key->route;
    struct address addresses[POOL_ADDRESSES_MAX];

    for (size_t i = 0; i < route->n_addresses; i++) {
        int r = address_parse(route->addresses[i], port, &addresses[i]);
        if (r < 0)
            return r;
    }
    return dial(attempt, (struct address_list){addresses, route->n_addresses});
}

static int look_up(struct connect_attempt *attempt, uint16_t port)
{
    struct span host = attempt->key->route.host;

    if (host.len == 0)
        host = origin_host(&attempt->key->origin);
    attempt->events->on_stage(attempt->owner, WAIT_DNS);
    return resolver_lookup(attempt->parts->resolver, host, port, family_of(attempt->key),
                           &attempt->lookup);
}

static int begin(struct connect_attempt *attempt)
{
    const struct pool_key *key = attempt->key;
    uint16_t port = key->route.port ? key->route.port : key->origin.port;

    int r = key->route.n_addresses > 0 ? dial_given(attempt, port) : look_up(attempt, port);
    if (r < 0 || !key->origin.is_https)
        return r;
    struct tls_config config = pool_tls_config(&key->tls);
    return tls_contexts_get(attempt->parts->tls_contexts, &config, &attempt->context_wait);
}

static int net_start(struct connector *connector,
                     const struct pool_key *key,
                     const struct connect_events *events,
                     void *owner,
                     struct connect_attempt **ret)
{
    struct net_connector *net = (struct net_connector *)(void *)connector;
    struct connect_attempt *attempt = mem_zalloc(sizeof(*attempt));

    if (!attempt)
        return fault(-ENOMEM);
    attempt->parts = &net->parts;
    attempt->key = key;
    attempt->events = events;
    attempt->owner = owner;
    attempt->lookup.on_done = lookup_on_done;
    attempt->lookup.owner = attempt;
    attempt->context_wait.on_done = context_on_done;
    attempt->context_wait.owner = attempt;
    int r = begin(attempt);
    if (r < 0) {
        end(attempt);
        return r;
    }
    *ret = attempt;
    return 0;
}

static const struct connector_ops net_connector_ops = {.start = net_start, .cancel = end};

int net_connector_new(struct net_connector **ret, const struct net_connector_parts *parts)
{
    struct net_connector *net = mem_zalloc(sizeof(*net));

    if (!net)
        return fault(-ENOMEM);
    net->base.ops = &net_connector_ops;
    net->parts = *parts;
    *ret = net;
    return 0;
}

struct net_connector *net_connector_free(struct net_connector *connector)
{
    return mem_free(connector);
}

struct connector *net_connector_base(struct net_connector *connector)
{
    return &connector->base;
}
