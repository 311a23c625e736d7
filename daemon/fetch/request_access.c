/* SPDX-License-Identifier: MIT */
/*
 * The administrator's rules, asked of each hop before anything is asked of the network: the
 * method, the host and the port of the URL, whether certificates may go unchecked, and whatever
 * the caller names beside the URL that bytes would go to: his proxy, what is to be reached
 * instead. Addresses are judged where they are known, by the connector.
 */
#include "fetch/request_priv.h"
#include "policy/access_rules.h"

struct trial {
    const struct access_view *view;
    struct access_step step; /* the word that decided last */
};

static bool may_have_host(struct trial *trial, struct span host, uint16_t port)
{
    return access_allows_host(trial->view, ACCESS_ABOUT_HOST, host, port, NULL, &trial->step);
}

/* The daemon's own proxy is the administrator's choice. */
static bool may_use_proxy(struct trial *trial, const struct request *request)
{
    const struct proxy *proxy =
        request->options.has_proxies ? request_find_proxy(request) : NULL;

    if (!proxy)
        return true;
    return access_allows_host(
        trial->view,
        access_judges_proxies(trial->view) ? ACCESS_ABOUT_PROXY : ACCESS_ABOUT_HOST,
        origin_host(&proxy->origin), proxy->origin.port, NULL, &trial->step);
}

/* What is reached in the origin's place is a host like any other, be it written as an address.
 */
static bool may_reroute(struct trial *trial, const struct request *request)
{
    struct request_route route;

    request_find_route(request, &route);
    if ((route.dial.host.len > 0 || route.dial.port != 0) &&
        !(may_have_host(trial, route.host, route.port) &&
          access_allows_port(trial->view, route.port, NULL, &trial->step)))
        return false;
    for (size_t i = 0; i < route.dial.n_addresses; i++) {
        if (!may_have_host(trial, route.addresses[i], route.port))
            return false;
    }
    return true;
}

static bool may_go(struct trial *trial, const struct request *request)
{
    const struct origin *origin = request->origin;
    bool is_unchecked = origin->is_https && request->options.tls.insecure;

    return access_allows_method(trial->view, span_of(request->options.method), NULL,
                                &trial->step) &&
           may_have_host(trial, origin_host(origin), origin->port) &&
           access_allows_port(trial->view, origin->port, NULL, &trial->step) &&
           (!is_unchecked || access_allows_insecure(trial->view, NULL, &trial->step)) &&
           may_use_proxy(trial, request) && may_reroute(trial, request);
}

bool request_may_go(struct request *request)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    const struct fetch_rights *rights = request->options.rights;
    struct trial trial = {.view = rights ? rights->access : NULL};

    if (!trial.view)
        return true;
    if (may_go(&trial, request))
        return request_may_have_credential(request);
    const char *why = access_step_explain(&trial.step, &text) == 0 ? buf_c_str(&text) : NULL;
    request_finish_kind(request, FAILURE_POLICY, why ? why : "refused by the administrator");
    return false;
}
