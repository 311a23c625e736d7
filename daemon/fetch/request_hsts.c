/* SPDX-License-Identifier: MIT */
/*
 * Hosts that want https (RFC 6797). What is known of them is asked before anything is asked of
 * the network, for the URL that was opened and for each a redirect leads to; the owner is told
 * of the step as of a redirect with status 307, as Fetch and browsers show it. It is none of
 * the server's: it is followed whatever was said about redirects, does not count as one, and
 * what the caller set for the host goes along.
 */
#include <errno.h>

#include "fetch/request_priv.h"
#include "http/hsts_header.h"

#define STATUS_INTERNAL_REDIRECT 307

static void request_on_hosts_ready(void *owner)
{
    request_later(owner, REQUEST_STEP_DECIDE);
}

/* Return: whether to go on now. */
static bool open_hosts(struct request *request)
{
    const struct cookie_access *cookies = &request->fetcher->cookies;

    request->cookie_wait.on_ready = request_on_hosts_ready;
    request->cookie_wait.owner = request;
    int r = cookies->open_hosts(cookies->owner, &request->options.partition,
                                &request->cookie_wait, &request->hosts);
    if (r == COOKIE_OPEN_READY)
        return true;
    if (r == -EDQUOT)
        request_finish_kind(request, FAILURE_QUOTA, "too many profiles");
    else if (r < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    return false;
}

bool request_upgrade(struct request *request)
{
    struct url url;

    if (!request->hosts && !open_hosts(request))
        return false;
    if (!span_eq(request->options.url.scheme, SPAN_LIT("http")) ||
        !hsts_is_secure(request->hosts, request->options.url.host,
                        loop_wall_s(request->fetcher->loop)))
        return true;
    int r = hsts_upgrade(&request->options.url, &url);
    if (r != URL_OK) {
        request_finish_kind(request, r < 0 ? FAILURE_INTERNAL : FAILURE_URL,
                            r < 0 ? "out of memory" : url_outcome_text(r));
        return false;
    }
    url_done(&request->options.url);
    request->options.url = url;
    struct request_hop hop = {
        .status = STATUS_INTERNAL_REDIRECT,
        .url = &request->options.url,
        .method = request->options.method,
        .asks = request->options.asks_redirects,
        .upgrade = true,
    };
    if (hop.asks && !request_ask(request, QUESTION_UPGRADE))
        return false;
    request->events->on_redirect(request->owner, &hop);
    return request->state != REQUEST_DONE && !hop.asks;
}

/* §8.1: the first field of an answer over TLS, if the certificate was held to everything. */
int request_learn_host(struct request *request, const struct headers *headers)
{
    struct hsts_header header;
    struct span field;

    if (!request->origin->is_https || request->options.tls.insecure ||
        !headers_find(headers, SPAN_LIT("Strict-Transport-Security"), &field))
        return 0;
    int r = hsts_header_parse(field, &header);
    if (r != HSTS_HEADER_OK) {
        log_debug(&request->log, "Strict-Transport-Security ignored: %s",
                  hsts_header_outcome_text(r));
        return 0;
    }
    r = hsts_note(request->hosts, request->options.url.host, header.max_age_s,
                  header.include_subdomains, loop_wall_s(request->fetcher->loop));
    request->must_commit |= r == HSTS_CHANGED ? REQUEST_COMMIT_HOSTS : 0;
    return r < 0 ? r : 0;
}
