/* SPDX-License-Identifier: MIT */
/*
 * The real connector: name look-up, Happy Eyeballs, the proxy if there is one, TLS, one after
 * the other. TLS contexts, which may have to be made from a trust store first, are asked for
 * beside all that.
 *
 * A server that chokes on the hello is connected to once more, at the same address, with less
 * (pool/connect_ladder.h).
 *
 * A proxy is dialled in the origin's place; it may want TLS of its own, and it may have to be
 * asked for a tunnel. What goes wrong until the tunnel is open is the proxy's trouble and
 * called so.
 */
#include "pool/connector.h"

#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/host.h"
#include "net/io_tls.h"
#include "net/resolver.h"
#include "net/tls_context.h"
#include "net/tls_session_disk.h"
#include "pool/address_rules.h"
#include "pool/connect_ladder.h"
#include "pool/pool_priv.h"
#include "pool/proxy_step.h"
#include "transport/conn.h"

struct net_connector {
    struct connector base; /* first */
    struct net_connector_parts parts;
};

enum connect_state {
    CONNECT_LOOKUP,
    CONNECT_DIAL,
    CONNECT_CONTEXT,   /* TCP is there, the TLS context or what could be resumed is not */
    CONNECT_PROXY_TLS, /* with the proxy */
    CONNECT_TUNNEL,    /* the proxy has been asked for one */
    CONNECT_TLS,       /* with the origin */
    CONNECT_OVER,
    CONNECT_STATE_COUNT,
};

#define BIT(n) (1U << (n))
#define AFTER_TCP                                                                              \
    (BIT(CONNECT_CONTEXT) | BIT(CONNECT_PROXY_TLS) | BIT(CONNECT_TUNNEL) | BIT(CONNECT_TLS) |  \
     BIT(CONNECT_OVER))

static const uint8_t connect_table[CONNECT_STATE_COUNT] = {
    [CONNECT_LOOKUP] = BIT(CONNECT_DIAL) | BIT(CONNECT_OVER),
    [CONNECT_DIAL] = AFTER_TCP,
    [CONNECT_CONTEXT] =
        BIT(CONNECT_CONTEXT) | BIT(CONNECT_PROXY_TLS) | BIT(CONNECT_TLS) | BIT(CONNECT_OVER),
    [CONNECT_PROXY_TLS] = BIT(CONNECT_TUNNEL) | BIT(CONNECT_OVER),
    /* Back to the look-up: a 407, and a login that answers it. */
    [CONNECT_TUNNEL] =
        BIT(CONNECT_LOOKUP) | BIT(CONNECT_CONTEXT) | BIT(CONNECT_TLS) | BIT(CONNECT_OVER),
    /* Back to TCP: a rung of the ladder, or HTTP/1.1 where HTTP/2 may not be. */
    [CONNECT_TLS] = BIT(CONNECT_DIAL) | BIT(CONNECT_OVER),
};

/* A TLS context that is wanted, or there. */
struct context_slot {
    struct tls_context_wait wait;
    struct tls_context *context;
};

struct connect_attempt {
    struct reap reap; /* first */
    const struct net_connector_parts *parts;
    const struct pool_key *key;
    const struct connect_events *events;
    void *owner;
    enum connect_state state;
    bool proxy_tls_is_up;
    bool tunnel_is_open;
    bool without_http2; /* the server chose it below TLS 1.2 */
    struct address_rules rules;
    struct lookup lookup;
    struct dialer *dialer;
    struct context_slot origin_context;
    struct context_slot proxy_context;
    struct tls_session_wait sessions; /* they are being read from the disk */
    struct proxy_step proxy;
    struct connect_ladder ladder;
    struct io *io; /* TCP, then TLS, then TLS in TLS */
    struct lease_timing timing;
};

static bool is_proxied(const struct connect_attempt *attempt)
{
    return attempt->key->proxy.way != PROXY_WAY_DIRECT;
}

static void enter(struct connect_attempt *attempt, enum connect_state next)
{
    INVARIANT(connect_table[attempt->state] & BIT(next));
    attempt->state = next;
}

static void attempt_reap(struct reap *self)
{
    mem_free(CONTAINER_OF(self, struct connect_attempt, reap));
}

static void release_context(struct context_slot *slot)
{
    tls_contexts_cancel(&slot->wait);
    if (slot->context)
        slot->context = tls_context_unref(slot->context);
}

/* Lets go of everything; no call back reaches the attempt any more. */
static void end(struct connect_attempt *attempt)
{
    enter(attempt, CONNECT_OVER);
    resolver_cancel(&attempt->lookup);
    attempt->dialer = dialer_cancel(attempt->dialer);
    release_context(&attempt->origin_context);
    release_context(&attempt->proxy_context);
    tls_session_disk_cancel(&attempt->sessions);
    proxy_step_done(&attempt->proxy); /* before the stream it uses */
    attempt->io = io_close(attempt->io);
    loop_defer_free(attempt->parts->loop, &attempt->reap, attempt_reap);
}

static void fail(struct connect_attempt *attempt, const struct failure *why)
{
    struct failure copy = *connect_ladder_first(&attempt->ladder, why);

    end(attempt); /* @why may live in what it closes */
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

/* Trouble on the way to the proxy is the proxy's; what TLS says of it keeps its class. */
static void fail_on_way(struct connect_attempt *attempt,
                        enum failure_phase phase,
                        const struct failure *why)
{
    bool keeps_kind =
        why->kind == FAILURE_INTERNAL || why->kind == FAILURE_POLICY || phase == PHASE_PROXY;
    char name[PROXY_TEXT_SIZE];
    struct failure copy;

    if (!is_proxied(attempt)) {
        fail(attempt, why);
        return;
    }
    (void)pool_proxy_format(&attempt->key->proxy, name);
    failure_set(&copy, keeps_kind ? why->kind : FAILURE_PROXY, "the proxy %.79s: %s", name,
                why->text);
    copy.phase = phase;
    copy.sys_errno = why->sys_errno;
    copy.code = why->code;
    fail(attempt, &copy);
}

static int64_t now_us(const struct connect_attempt *attempt)
{
    return loop_now_us(attempt->parts->loop);
}

/* HTTP/2 wants TLS 1.2 (RFC 9113 §9.2). */
static struct span alpn_offer(const struct connect_attempt *attempt)
{
    uint16_t rung = attempt->ladder.steps.rung;
    bool may_be_http2 = !attempt->without_http2 && (rung == 0 || rung >= TLS_VERSION_1_2);

    switch (attempt->key->http) {
    case POOL_HTTP_BEST: return may_be_http2 ? SPAN_LIT("h2,http/1.1") : SPAN_LIT("http/1.1");
    case POOL_HTTP_1_1: return SPAN_LIT("http/1.1");
    case POOL_HTTP_2: return SPAN_LIT("h2");
    }
    return (struct span){0};
}

/* What the two agreed on; the handshake itself refuses what was not offered. A server that says
 * nothing speaks HTTP/1.1, and so does a proxy that forwards. */
static bool is_http2(const struct connect_attempt *attempt)
{
    const struct pool_key *key = attempt->key;

    if (key->origin.is_https)
        return strcmp(io_tls_info(attempt->io)->alpn, "h2") == 0;
    return key->http == POOL_HTTP_2 && key->proxy.way != PROXY_WAY_FORWARD;
}

static void fail_without_http2(struct connect_attempt *attempt)
{
    struct failure why;

    failure_set(&why, FAILURE_PROTOCOL, "%s does not speak HTTP/2%s", attempt->key->origin.host,
                attempt->key->proxy.way == PROXY_WAY_FORWARD ? " through a proxy that forwards"
                                                             : "");
    why.phase = PHASE_TLS;
    fail(attempt, &why);
}

static void connected(struct connect_attempt *attempt)
{
    struct conn *conn;
    bool is_h2 = is_http2(attempt);

    if (!is_h2 && attempt->key->http == POOL_HTTP_2) {
        fail_without_http2(attempt);
        return;
    }
    int r = is_h2 ? conn_new_h2(attempt->parts->transport, attempt->io, &conn)
                  : conn_new_h1(attempt->parts->transport, attempt->io, &conn);
    if (r < 0) {
        fail_errno(attempt, PHASE_CONNECT, r);
        return;
    }
    conn_set_user(conn, attempt->key->partition.uid);
    attempt->io = NULL;
    end(attempt);
    attempt->events->on_connected(attempt->owner, conn, &attempt->timing);
}

static void go_on(struct connect_attempt *attempt);

static void lower_on_failed(void *owner, const struct failure *why)
{
    fail(owner, why);
}

/* While a context is made: nothing is read, so only real trouble is seen. */
static const struct io_events lower_events = {.on_failed = lower_on_failed};

/* Return: whether the context is there, and no session is waited for. */
static bool has_context(struct connect_attempt *attempt, const struct context_slot *slot)
{
    if (slot->context && !attempt->sessions.is_waiting)
        return true;
    io_set_events(attempt->io, &lower_events, attempt);
    enter(attempt, CONNECT_CONTEXT);
    return false;
}

/* ---- TLS with the origin ----------------------------------------------------------------- */

static int dial(struct connect_attempt *attempt, struct address_list addresses);

/* The same again with another hello: through the same proxy, to the same address. */
static void redial(struct connect_attempt *attempt)
{
    struct address at = *io_remote(attempt->io);

    attempt->io = io_close(attempt->io);
    attempt->proxy_tls_is_up = false;
    attempt->tunnel_is_open = false;
    int r = dial(attempt, (struct address_list){&at, 1});
    if (r < 0)
        fail_errno(attempt, PHASE_CONNECT, r);
}

static bool tls_goes_early(void *owner)
{
    struct connect_attempt *attempt = owner;

    return attempt->events->goes_early(attempt->owner);
}

static void tls_on_connected(void *owner)
{
    struct connect_attempt *attempt = owner;

    if (is_http2(attempt) && io_tls_info(attempt->io)->version < TLS_VERSION_1_2 &&
        !attempt->without_http2) {
        attempt->without_http2 = true;
        redial(attempt);
        return;
    }
    attempt->timing.tls_us = now_us(attempt);
    if (!io_tls_info(attempt->io)->is_early)
        connect_ladder_worked(&attempt->ladder, attempt->io);
    connected(attempt);
}

static void tls_on_failed(void *owner, const struct failure *why)
{
    struct connect_attempt *attempt = owner;

    if (!connect_ladder_next(&attempt->ladder, attempt->io, why)) {
        fail(attempt, why);
        return;
    }
    attempt->events->on_rung(attempt->owner, &attempt->ladder.rung);
    redial(attempt);
}

static const struct io_events tls_events = {
    .on_connected = tls_on_connected,
    .on_failed = tls_on_failed,
};

/* What was resumed would have asked nobody. */
static struct tls_sessions *sessions_of(const struct connect_attempt *attempt)
{
    return attempt->key->tls.answerer ? NULL : attempt->parts->tls_sessions;
}

/* Stream and context are there. The name that is verified is the URL's, wherever we dialled. */
static void start_tls(struct connect_attempt *attempt)
{
    struct io_tls_options options = {
        .context = attempt->origin_context.context,
        .host = host_strip_brackets(origin_host(&attempt->key->origin)),
        .port = attempt->key->origin.port,
        .alpn = alpn_offer(attempt),
        .sessions = sessions_of(attempt),
        .partition = attempt->key->partition,
        .jar = attempt->key->jar,
        .private_jar = attempt->key->private_jar,
        .goes_early = tls_goes_early,
        .answerer = attempt->key->tls.answerer,
        .answer_handle = attempt->key->tls.answer_handle,
    };
    struct io *lower = attempt->io;

    connect_ladder_limit(&attempt->ladder, &options);
    enter(attempt, CONNECT_TLS);
    attempt->events->on_stage(attempt->owner, WAIT_TLS);
    int r = io_tls_new(lower, &options, &tls_events, attempt, &attempt->io);
    if (r < 0)
        fail_errno(attempt, PHASE_TLS, r);
}

/* ---- the proxy --------------------------------------------------------------------------- */

static void proxy_tls_on_connected(void *owner)
{
    struct connect_attempt *attempt = owner;

    attempt->proxy_tls_is_up = true;
    go_on(attempt);
}

static void proxy_tls_on_failed(void *owner, const struct failure *why)
{
    fail_on_way(owner, PHASE_PROXY, why);
}

static const struct io_events proxy_tls_events = {
    .on_connected = proxy_tls_on_connected,
    .on_failed = proxy_tls_on_failed,
};

/* Verified by the system's authorities, whatever the request says of its origin. Sessions are
 * not kept: no ticket of a proxy can ever be shown to an origin (CVE-2021-22890). */
static void start_proxy_tls(struct connect_attempt *attempt)
{
    const struct origin *at = &attempt->key->proxy.at;
    struct io_tls_options options = {
        .context = attempt->proxy_context.context,
        .host = host_strip_brackets(origin_host(at)),
        .port = at->port,
        .alpn = SPAN_LIT("http/1.1"),
        .partition = attempt->key->partition,
    };
    struct io *lower = attempt->io;

    enter(attempt, CONNECT_PROXY_TLS);
    int r = io_tls_new(lower, &options, &proxy_tls_events, attempt, &attempt->io);
    if (r < 0)
        fail_errno(attempt, PHASE_PROXY, r);
}

static void proxy_on_open(void *owner)
{
    struct connect_attempt *attempt = owner;

    attempt->tunnel_is_open = true;
    go_on(attempt);
}

static void start_over(struct connect_attempt *attempt);

static void proxy_on_again(void *owner)
{
    start_over(owner);
}

static void proxy_on_failed(void *owner, const struct failure *why)
{
    fail(owner, why);
}

static const struct proxy_step_events proxy_events = {
    .on_open = proxy_on_open,
    .on_again = proxy_on_again,
    .on_failed = proxy_on_failed,
};

static void start_tunnel(struct connect_attempt *attempt)
{
    enter(attempt, CONNECT_TUNNEL);
    int r = proxy_step_start(&attempt->proxy, attempt->io);
    if (r < 0)
        fail_errno(attempt, PHASE_PROXY, r);
}

/* What the stream still lacks, from the outside in. */
static void go_on(struct connect_attempt *attempt)
{
    const struct pool_key *key = attempt->key;

    if (is_proxied(attempt) && key->proxy.at.is_https && !attempt->proxy_tls_is_up) {
        if (has_context(attempt, &attempt->proxy_context))
            start_proxy_tls(attempt);
    } else if (proxy_step_is_needed(key) && !attempt->tunnel_is_open) {
        start_tunnel(attempt);
    } else if (!key->origin.is_https) {
        connected(attempt);
    } else if (has_context(attempt, &attempt->origin_context)) {
        start_tls(attempt);
    }
}

/* ---- name and TCP ------------------------------------------------------------------------ */

/* What a proxy is asked for by its address; of a name only the proxy knows where it leads. */
static bool target_is_refused(const struct connect_attempt *attempt, struct failure *ret_why)
{
    struct span host = attempt->key->route.host;
    struct address address;

    if (!is_proxied(attempt))
        return false;
    if (host.len == 0)
        host = host_strip_brackets(origin_host(&attempt->key->origin));
    return address_parse(host, attempt->key->origin.port, &address) == 0 &&
           address_is_refused(&attempt->rules, &address, ret_why);
}

static bool refuses(const void *rules, const struct address *address, struct failure *ret_why)
{
    return address_is_refused(rules, address, ret_why);
}

static void dialer_on_connected(void *owner, struct io *io)
{
    struct connect_attempt *attempt = owner;
    struct failure why;

    attempt->dialer = NULL;
    attempt->io = io;
    attempt->timing.connected_us = now_us(attempt);
    if (target_is_refused(attempt, &why)) {
        why.phase = PHASE_PROXY;
        fail(attempt, &why);
        return;
    }
    if (is_proxied(attempt))
        attempt->events->on_stage(attempt->owner, WAIT_PROXY);
    go_on(attempt);
}

static void dialer_on_failed(void *owner, const struct failure *why)
{
    struct connect_attempt *attempt = owner;

    attempt->dialer = NULL;
    fail_on_way(attempt, PHASE_CONNECT, why);
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

    options.refuses = refuses;
    options.rules = &attempt->rules;
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
        fail_on_way(attempt, PHASE_DNS, why);
        return;
    }
    attempt->timing.name_lookup_us = now_us(attempt);
    if (!is_proxied(attempt) && attempt->events->on_addresses(attempt->owner, found)) {
        end(attempt);
        return;
    }
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
    attempt->origin_context.context = tls_context_ref(context);
    if (attempt->state == CONNECT_CONTEXT)
        go_on(attempt);
}

static void
proxy_context_on_done(void *owner, struct tls_context *context, const struct failure *why)
{
    struct connect_attempt *attempt = owner;

    if (!context) {
        fail_on_way(attempt, PHASE_PROXY, why);
        return;
    }
    attempt->proxy_context.context = tls_context_ref(context);
    if (attempt->state == CONNECT_CONTEXT)
        go_on(attempt);
}

static void sessions_on_ready(void *owner)
{
    struct connect_attempt *attempt = owner;

    if (attempt->state == CONNECT_CONTEXT)
        go_on(attempt);
}

static void ask_sessions(struct connect_attempt *attempt)
{
    struct tls_session_disk *disk = attempt->parts->tls_session_disk;

    attempt->sessions.on_ready = sessions_on_ready;
    attempt->sessions.owner = attempt;
    if (disk && attempt->key->origin.is_https)
        (void)tls_session_disk_open(disk, attempt->key->partition.uid, &attempt->sessions);
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

static int look_up(struct connect_attempt *attempt, struct span host, uint16_t port)
{
    attempt->events->on_stage(attempt->owner, WAIT_DNS);
    return resolver_lookup(attempt->parts->resolver, host, port, family_of(attempt->key),
                           &attempt->lookup);
}

static int reach(struct connect_attempt *attempt)
{
    const struct pool_key *key = attempt->key;
    uint16_t port = key->route.port ? key->route.port : key->origin.port;

    if (is_proxied(attempt))
        return look_up(attempt, origin_host(&key->proxy.at), key->proxy.at.port);
    if (key->route.n_addresses > 0)
        return dial_given(attempt, port);
    return look_up(attempt,
                   key->route.host.len > 0 ? key->route.host : origin_host(&key->origin), port);
}

static int ask_contexts(struct connect_attempt *attempt)
{
    const struct pool_key *key = attempt->key;
    struct tls_config config = pool_tls_config(&key->tls);
    struct tls_config of_proxy = {0};
    int r = 0;

    if (key->origin.is_https)
        r = tls_contexts_get(attempt->parts->tls_contexts, &config,
                             &attempt->origin_context.wait);
    if (r == 0 && is_proxied(attempt) && key->proxy.at.is_https)
        r = tls_contexts_get(attempt->parts->tls_contexts, &of_proxy,
                             &attempt->proxy_context.wait);
    return r;
}

static int begin(struct connect_attempt *attempt)
{
    int r = reach(attempt);

    ask_sessions(attempt);
    return r < 0 ? r : ask_contexts(attempt);
}

/* To the same proxy, with a better login. */
static void start_over(struct connect_attempt *attempt)
{
    attempt->io = io_close(attempt->io);
    attempt->proxy_tls_is_up = false;
    enter(attempt, CONNECT_LOOKUP);
    int r = reach(attempt);
    if (r < 0)
        fail_errno(attempt, PHASE_PROXY, r);
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
    attempt->lookup.uid = key->partition.uid;
    attempt->origin_context.wait.on_done = context_on_done;
    attempt->origin_context.wait.owner = attempt;
    attempt->proxy_context.wait.on_done = proxy_context_on_done;
    attempt->proxy_context.wait.owner = attempt;
    attempt->rules = (struct address_rules){
        .deny = net->parts.deny, .networks = key->networks.at, .n_networks = key->networks.n};
    attempt->proxy = (struct proxy_step){
        .parts = &net->parts, .key = key, .events = &proxy_events, .owner = attempt};
    if (connect_ladder_init(&attempt->ladder, &net->parts, key))
        events->on_rung(owner, &attempt->ladder.rung);
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
