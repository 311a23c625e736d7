/* SPDX-License-Identifier: MIT */
/*
 * Proxies, seen from a request: which one this hop goes through, and how. What a proxy is shown
 * beyond that is only of concern where it forwards the request itself: then the target is the
 * whole URL, and Proxy-Authorization goes along. Through a tunnel neither does: the login was
 * the connector's affair, and what is said inside is not the proxy's (CVE-2003-1605).
 *
 * Looked at anew for every hop, so a redirect that leads to another proxy, or to none, takes
 * nothing of the first one's login along (CVE-2026-6253).
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"
#include "fetch/request_priv.h"

const struct proxy *request_find_proxy(const struct request *request)
{
    const struct request_own_proxies *own = request->options.proxies;
    const struct fetch_options *defaults = request_defaults(request);
    struct proxy_rules rules = {.http = defaults->proxy, .https = defaults->proxy};

    if (own)
        rules.no_proxy = span_of(own->no_proxy);
    if (request->options.has_proxies) {
        rules.http = own ? &own->http : NULL;
        rules.https = own ? &own->https : NULL;
    } else if (no_proxy_matches(defaults->no_proxy, request->origin)) {
        return NULL;
    }
    return proxy_choose(&rules, request->origin);
}

int request_choose_proxy(struct request *request, bool is_rerouted)
{
    const struct proxy *proxy = request_find_proxy(request);

    request->proxy = proxy_free(request->proxy);
    request->proxy_way =
        proxy_way_for(proxy, request->origin, request->options.proxy_tunnel || is_rerouted);
    if (!proxy)
        return 0;
    request->proxy = mem_zalloc(sizeof(*request->proxy));
    return request->proxy ? proxy_copy(proxy, request->proxy) : fault(-ENOMEM);
}

struct pool_proxy request_pool_proxy(const struct request *request)
{
    const struct proxy *proxy = request->proxy;

    if (request->proxy_way == PROXY_WAY_DIRECT)
        return (struct pool_proxy){0};
    return (struct pool_proxy){
        .way = request->proxy_way,
        .at = proxy->origin,
        .scheme = proxy->scheme,
        .user = span_of(proxy->user),
        .password = span_of(proxy->password),
    };
}

int request_format_target(const struct request *request, struct buf *out)
{
    if (request->proxy_way != PROXY_WAY_FORWARD)
        return buf_append(out, url_request_target(&request->options.url));
    return url_format(&request->options.url, URL_WITHOUT_USERINFO | URL_WITHOUT_FRAGMENT, out);
}

static struct proxy_login_ask ask_of(const struct request *request, struct span target)
{
    const struct request_options *options = &request->options;
    const struct proxy *proxy = request->proxy;
    bool is_inline = request->has_body && options->body_kind == REQUEST_BODY_INLINE;

    return (struct proxy_login_ask){
        .place = {&options->partition, &proxy->origin},
        .scheme = proxy->scheme,
        .user = span_of(proxy->user),
        .password = span_of(proxy->password),
        .method = span_of(request->options.method),
        .target = target,
        .body = is_inline ? (struct span){options->body_bytes, (size_t)options->body_length}
                          : (struct span){0},
        .has_body_bytes = is_inline || !request->has_body,
    };
}

int request_add_proxy_credentials(struct request *request)
{
    CLEANUP_BUF struct buf target = BUF_INIT(0);
    struct buf value = BUF_INIT(0);
    uint8_t chance[DIGEST_CHANCE_BYTES];

    if (request->proxy_way != PROXY_WAY_FORWARD || !proxy_has_login(request->proxy))
        return 0;
    int r = request_format_target(request, &target);
    struct proxy_login_ask ask = ask_of(request, buf_span(&target));
    rand_bytes(chance, sizeof(chance));
    if (r == 0)
        r = proxy_login_format(&request->proxy_login, request->fetcher->proxy_logins, &ask,
                               chance, &value);
    if (r == 0 && value.len > 0)
        r = headers_set(&request->sent, SPAN_LIT("Proxy-Authorization"), buf_span(&value));
    if (value.storage)
        explicit_bzero(value.storage, value.capacity);
    buf_done(&value);
    return r;
}

bool request_answers_proxy(struct request *request, const struct response_head *head)
{
    if (head->status != 407 || request->proxy_way != PROXY_WAY_FORWARD)
        return false;
    struct proxy_login_ask ask = ask_of(request, (struct span){0});
    int r = proxy_login_answer(&request->proxy_login, request->fetcher->proxy_logins, &ask,
                               head->headers);
    if (r < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    if (r == PROXY_LOGIN_AGAIN && request->has_body && !upload_can_rewind(request))
        request_refuse_rewind(request);
    return r != PROXY_LOGIN_REFUSED;
}

void request_proxy_done(struct request *request)
{
    request->proxy = proxy_free(request->proxy);
    proxy_login_done(&request->proxy_login);
}
