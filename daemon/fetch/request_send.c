/* SPDX-License-Identifier: MIT */
/*
 * From a decided hop to an exchange on its way: which connection is asked for, and which fields
 * go out. Cookies and credentials are looked up when the connection is there, not when the
 * request queues for it: a login that finished meanwhile counts.
 */
#include <errno.h>

#include "base/certificate.h"
#include "base/fault.h"
#include "fetch/request_priv.h"
#include "http/coding.h"
#include "policy/access_rules.h"
#include "policy/cookie_jar.h"

#define DEFAULT_FIELDS       4             /* User-Agent, Accept, Accept-Encoding, Cookie */
#define DEFAULT_FIELDS_BYTES 160           /* of them, without a Cookie */
#define EXPECT_ABOVE_BYTES   (1024 * 1024) /* a longer body asks before it goes */

/* ---- where to ---------------------------------------------------------------------------- */

const struct fetch_options *request_defaults(const struct request *request)
{
    const struct fetch_rights *rights = request->options.rights;

    return rights && rights->options ? rights->options : &request->fetcher->options;
}

static void apply_connect_to(const struct request_options *options, struct request_route *route)
{
    for (size_t i = 0; i < options->n_connect_to; i++) {
        const struct request_connect_to *entry = &options->connect_to[i];
        bool host_fits = !entry->host[0] || span_eq(span_of(entry->host), route->host);
        bool port_fits = !entry->port || entry->port == route->port;

        if (!host_fits || !port_fits)
            continue;
        if (entry->to_host[0])
            route->host = route->dial.host = span_of(entry->to_host);
        if (entry->to_port)
            route->port = route->dial.port = entry->to_port;
        return;
    }
}

static void apply_resolve(const struct request_options *options, struct request_route *route)
{
    for (size_t i = 0; i < options->n_resolve; i++) {
        const struct request_resolve *entry = &options->resolve[i];

        if (entry->port != route->port || !span_eq(span_of(entry->host), route->host))
            continue;
        for (size_t k = 0; k < entry->n_addresses; k++)
            route->addresses[k] = span_of(entry->addresses[k]);
        route->dial.addresses = route->addresses;
        route->dial.n_addresses = entry->n_addresses;
        return;
    }
}

void request_find_route(const struct request *request, struct request_route *ret)
{
    *ret = (struct request_route){
        .host = host_strip_dot(host_strip_brackets(origin_host(request->origin))),
        .port = request->origin->port,
    };
    apply_connect_to(&request->options, ret);
    apply_resolve(&request->options, ret);
}

/* A proxy that forwards goes by the URL: what else is to be reached wants a tunnel. */
static bool route_is_given(const struct request_route *route)
{
    return route->dial.host.len > 0 || route->dial.port != 0 || route->dial.n_addresses > 0;
}

/* ---- which fields ------------------------------------------------------------------------ */

static int
add_default(struct request *request, unsigned omit, struct span name, struct span value)
{
    if ((request->options.omit & omit) || headers_has(&request->sent, name))
        return 0;
    return headers_add(&request->sent, name, value);
}

static int add_defaults(struct request *request)
{
    int r = add_default(request, REQUEST_OMIT_USER_AGENT, SPAN_LIT("User-Agent"),
                        span_of(request_defaults(request)->user_agent));

    if (r == 0)
        r = add_default(request, REQUEST_OMIT_ACCEPT, SPAN_LIT("Accept"), SPAN_LIT("*/*"));
    if (r == 0 && !request->options.raw)
        r = add_default(request, REQUEST_OMIT_ACCEPT_ENCODING, SPAN_LIT("Accept-Encoding"),
                        coding_accept_value());
    return r;
}

int request_build_fields(struct request *request)
{
    const struct headers *own = &request->options.headers;

    headers_clear(&request->sent);
    int r = headers_reserve(&request->sent, own->live_bytes + DEFAULT_FIELDS_BYTES,
                            own->count + DEFAULT_FIELDS);
    if (r == 0)
        r = headers_add_all(&request->sent, own);
    if (r == 0)
        r = add_defaults(request);
    if (r == 0)
        r = request_add_cookies(request);
    return r;
}

static int build_headers(struct request *request)
{
    int r = request_build_fields(request);

    if (r == 0)
        r = request_add_credential(request);
    if (r == 0)
        r = request_add_credentials(request);
    if (r > 0) /* the administrator's */
        r = 0;
    if (r == 0)
        r = request_add_proxy_credentials(request);
    if (r == 0)
        r = request_cache_on_send(request);
    return r;
}

/* ---- the exchange ------------------------------------------------------------------------ */

static void describe_body(struct request *request, struct exchange_request *ret)
{
    const struct request_options *options = &request->options;

    ret->body = EXCHANGE_BODY_NONE;
    request->expects = false;
    if (!request->has_body)
        return;
    ret->body = options->body_has_length ? EXCHANGE_BODY_KNOWN : EXCHANGE_BODY_CHUNKED;
    ret->body_bytes = options->body_length;
    ret->expect_continue =
        !(options->omit & REQUEST_OMIT_EXPECT) &&
        (!options->body_has_length || options->body_length > EXPECT_ABOVE_BYTES);
    request->expects = ret->expect_continue;
}

static void note_times(struct request *request)
{
    struct lease_timing times;

    lease_timing(request->lease, &times);
    request->timing.queued_us = times.ready_us ? times.ready_us - request->begun_us : 0;
    request->timing.name_lookup_us =
        times.name_lookup_us ? times.name_lookup_us - request->begun_us : 0;
    request->timing.connect_us =
        times.connected_us ? times.connected_us - request->begun_us : 0;
    request->timing.tls_us = times.tls_us ? times.tls_us - request->begun_us : 0;
}

static int open_exchange(struct request *request)
{
    CLEANUP_BUF struct buf target = BUF_INIT(0);
    char authority[ORIGIN_TEXT_SIZE];
    size_t authority_len = origin_format_authority(request->origin, authority);
    int r = request_format_target(request, &target);

    if (r < 0)
        return r;
    struct exchange_request what = {
        .method = span_of(request->options.method),
        .target = buf_span(&target),
        .authority = {authority, authority_len},
        .headers = &request->sent,
        .close_after = request->options.no_keep_alive,
        .limits = &request_defaults(request)->answer.head,
        .quota = request->sink ? NULL : request_quota_of(&request->options),
    };

    describe_body(request, &what);
    return lease_open_exchange(request->lease, &what, &request_exchange_events, request,
                               &request->exchange);
}

int request_note_certificates(struct request *request)
{
    request->certificates = certificates_free(request->certificates);
    return request->options.tells_certificates
               ? lease_certificates(request->lease, false, &request->certificates)
               : 0;
}

static void request_on_lease_ready(void *owner, struct lease *lease)
{
    struct request *request = owner;

    request->lease = lease;
    note_times(request);
    if (request_early_on_lease(request) && request_tls_on_lease(request) &&
        !request_asks_verdict(request))
        request_send_on_lease(request);
}

void request_send_on_lease(struct request *request)
{
    request_enter_state(request, REQUEST_SENDING);
    int r = request_note_certificates(request);
    if (r == 0)
        r = build_headers(request);
    if (r == 0)
        r = open_exchange(request);
    if (r == -EMSGSIZE) {
        request_finish_kind(request, FAILURE_LIMIT, "the request's headers are too long");
        return;
    }
    if (r < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "the request cannot be put together");
        return;
    }
    request_touch(request);
    request_early_arm(request);
    if (request->has_body)
        upload_begin(request);
    else
        request_enter_state(request, REQUEST_AWAITING);
}

/* Spans of the route are borrowed: it must live as long as the key. */
/* Two jars are two logins, perhaps two people: a server must not see that they come from one
 * machine's pool. */
static struct span jar_of(const struct request *request)
{
    struct span jar = span_of(request->options.jar);

    return span_eq(jar, SPAN_LIT("default")) ? (struct span){0} : jar;
}

/* Who asks has rules of addresses: what was made by others is not for him. */
static struct pool_networks networks_of(const struct request *request)
{
    const struct fetch_rights *rights = request->options.rights;
    const struct access_view *view = rights ? rights->access : NULL;
    struct pool_networks networks = {0};

    if (!view || view->n_networks == 0)
        return networks;
    networks.at = view->networks;
    networks.n = view->n_networks;
    memcpy(networks.digest, view->networks_digest, sizeof(networks.digest));
    return networks;
}

static void
make_key(const struct request *request, struct request_route *route, struct pool_key *ret)
{
    request_find_route(request, route);
    *ret = (struct pool_key){
        .partition = request->options.partition,
        .jar = jar_of(request),
        .private_jar =
            request->options.private_jar ? cookie_jar_tag(request->options.private_jar) : 0,
        .origin = *request->origin,
        .proxy = request_pool_proxy(request),
        .route = route->dial,
        .tls = request_pool_tls(request),
        .family = request->options.family,
        .http = request->options.http,
        .networks = networks_of(request),
    };
    if (request->options.source)
        ret->source = *request->options.source;
}

static void request_on_network(void *owner)
{
    request_later(owner, REQUEST_STEP_DECIDE);
}

/* No timer but the total one runs meanwhile: there is nobody to be late. Return: whether it
 * waits now. */
static bool waits_for_network(struct request *request, const struct failure *why)
{
    struct network *network = request->fetcher->network;
    struct pool_key key;
    struct request_route route;

    if (!request->options.waits_for_connectivity || !network || request_is_failing(request))
        return false;
    make_key(request, &route, &key);
    if (!reach_is_missing(network, &key, why))
        return false;
    log_debug(&request->log, "waits for a network: %s", why->text);
    request_enter_state(request, REQUEST_DECIDING);
    request->network_wait.on_ready = request_on_network;
    request->network_wait.owner = request;
    reach_wait(network, &key, &request->network_wait);
    request_tell_wait(request, REQUEST_WAIT_CONNECTIVITY);
    return true;
}

static void request_on_lease_failed(void *owner, const struct failure *why)
{
    struct request *request = owner;
    struct failure told = *why;

    request->lease = NULL;
    if (waits_for_network(request, why))
        return;
    request_tls_explain(request, &told);
    request_finish(request, &told);
}

static void request_on_lease_rung(void *owner, const struct tls_rung *rung)
{
    const struct request *request = owner;

    if (request->events->on_rung)
        request->events->on_rung(request->owner, rung);
}

static void request_on_lease_wait(void *owner, enum wait_reason reason)
{
    static const enum request_wait reasons[] = {
        [WAIT_QUEUED] = REQUEST_WAIT_QUEUED,   [WAIT_DNS] = REQUEST_WAIT_DNS,
        [WAIT_CONNECT] = REQUEST_WAIT_CONNECT, [WAIT_TLS] = REQUEST_WAIT_TLS,
        [WAIT_PROXY] = REQUEST_WAIT_CONNECT,
    };
    struct request *request = owner;

    request_tell_wait(request, reasons[reason]);
}

static const struct lease_events lease_events = {
    .on_wait = request_on_lease_wait,
    .on_rung = request_on_lease_rung,
    .on_ready = request_on_lease_ready,
    .on_failed = request_on_lease_failed,
};

/* Borrows from @request and from @route. */
static int find_key(struct request *request, struct request_route *route, struct pool_key *ret)
{
    int r;

    request_find_route(request, route);
    r = request_choose_proxy(request, route_is_given(route));
    if (r == 0)
        make_key(request, route, ret);
    return r;
}

/* On whose behalf the request is made counts, too: what a server is told then differs. */
static int put_site(struct buf *out, const struct url *site)
{
    int r = buf_append_char(out, '|');

    return r == 0 && site && site->href ? buf_append(out, url_href(site)) : r;
}

static int put_sites(struct buf *out, const struct request_sites *sites)
{
    int r = put_site(out, sites ? &sites->site : NULL);

    return r == 0 ? put_site(out, sites ? &sites->top_level : NULL) : r;
}

int request_connection_digest(struct request *request, uint8_t ret[SHA256_BYTES])
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(0);
    struct request_route route;
    struct pool_key key = {.private_jar = 0};
    int r = find_key(request, &route, &key);

    key.private_jar = 0; /* what is stored has nothing to do with any */
    if (r == 0)
        r = pool_key_encode(&bytes, &key);
    if (r == 0)
        r = put_sites(&bytes, request->options.sites);
    return r == 0 ? sha256_of(buf_span(&bytes), ret) : r;
}

void request_acquire(struct request *request, bool fresh_only)
{
    struct request_route route;
    struct pool_key key;

    if (!request_tls_can_be(request))
        return;
    if (find_key(request, &route, &key) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return;
    }
    request->waits_for = REQUEST_WAIT_QUEUED;
    struct pool_request asked = {
        .key = &key,
        .limits =
            request_defaults(request)->has_limits ? &request_defaults(request)->limits : NULL,
        .connect_timeout_us = request->options.connect_timeout_us,
        .fresh_only = fresh_only,
        .may_go_early = request_may_go_early(request),
        .oldest_tls = request_oldest_tls,
    };
    int r =
        pool_acquire(request->fetcher->pool, &asked, &lease_events, request, &request->lease);
    if (r == POOL_QUEUE_FULL)
        request_finish_kind(request, FAILURE_QUOTA,
                            "too many requests wait for a connection to this host");
    else if (r < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "no connection can be asked for");
    else
        request_enter_state(request, REQUEST_WAITING);
}
