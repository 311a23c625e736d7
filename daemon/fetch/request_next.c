/* SPDX-License-Identifier: MIT */
/*
 * Answers that are not the last word: a redirect to be followed (Fetch, "HTTP-redirect
 * fetch"), a 401 that request_auth.c can answer. What is left of such an answer
 * is read a little, so that the connection can be used again, and dropped.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request_priv.h"
#include "http/status.h"

#define DRAIN_KNOWN_MAX 65536 /* a longer announced body is not waited for */

static bool refuse(struct request *request, int outcome)
{
    enum failure_kind kind = FAILURE_REDIRECT;

    if (outcome < 0)
        kind = FAILURE_INTERNAL;
    else if (outcome == REDIRECT_REFUSED_SCHEME)
        kind = FAILURE_POLICY;
    else if (outcome == REDIRECT_REFUSED_REWIND)
        kind = FAILURE_REWIND;
    request_tell_hop(request);
    if (request->state == REQUEST_DONE)
        return true;
    request_finish_kind(request, kind,
                        outcome < 0 ? "out of memory" : redirect_outcome_text(outcome));
    return true;
}

/* Where it leads is not known here any more, and must not be. */
static bool refuse_masked(struct request *request)
{
    request_tell_hop(request);
    if (request->state != REQUEST_DONE)
        request_finish_kind(request, FAILURE_REDIRECT,
                            "the server repeats the administrator's login in Location; such a "
                            "redirect is not followed");
    return true;
}

/* Moved from. Return: REDIRECT_FOLLOW or -ENOMEM. */
static int keep_redirect(struct request *request, struct redirect *redirect)
{
    request->redirect = mem_alloc(sizeof(*redirect));
    if (!request->redirect) {
        redirect_done(redirect);
        return fault(-ENOMEM);
    }
    *request->redirect = *redirect;
    return REDIRECT_FOLLOW;
}

/* What it asked for, within what the administrator allows. */
static unsigned redirects_max(const struct request *request)
{
    unsigned allowed = request_defaults(request)->answer.redirects_max;
    unsigned asked = request->options.redirects_max;

    return asked < allowed ? asked : allowed;
}

/* Return: whether the answer is not the last: the request goes on, or has failed. */
static bool is_redirect(struct request *request, const struct response_head *head)
{
    struct redirect_input input = {
        .url = &request->options.url,
        .method = span_of(request->options.method),
        .status = head->status,
        .headers = head->headers,
        .followed = request->redirects,
        .followed_max = redirects_max(request),
        .keeps_post = request->options.keeps_post,
        .trusts_hosts = request->options.trusts_redirects,
        .has_body = request->has_body,
        .body_can_rewind = upload_can_rewind(request),
    };

    struct redirect redirect;

    if (!request->options.follow_redirects || !redirect_is_status(head->status))
        return false;
    if (request_location_is_masked(request, head))
        return refuse_masked(request);
    int r = redirect_next(&input, &redirect);
    if (r == REDIRECT_DELIVER)
        return false;
    if (r == REDIRECT_FOLLOW)
        r = keep_redirect(request, &redirect);
    return r == REDIRECT_FOLLOW ? true : refuse(request, r);
}

/* Not worth reading: a long answer, or a proxy's to a body. squid 5 says "keep-alive" when it
 * refuses a body it has not read, and then never answers on that connection again. */
static bool drops_connection(const struct request *request, const struct response_head *head)
{
    return (head->status == 407 && request->has_body) ||
           (head->has_body && head->has_length && head->body_bytes > DRAIN_KNOWN_MAX);
}

/* RFC 9110 §10.1.1: who does not meet expectations is asked without. */
static bool drops_expectation(struct request *request, const struct response_head *head)
{
    if (head->status != STATUS_EXPECTATION_FAILED || !request->expects ||
        !upload_can_rewind(request))
        return false;
    request->options.omit |= REQUEST_OMIT_EXPECT;
    return true;
}

bool request_goes_on(struct request *request, const struct response_head *head)
{
    if (!request_trusts_server(request, head->headers))
        return true;
    if (drops_expectation(request, head) || request_is_too_early(request, head)) {
        request_tell_hop(request);
        if (request->state != REQUEST_DONE)
            request_drain(request);
        if (request->state != REQUEST_DONE && drops_connection(request, head))
            request_next_hop(request);
        return true;
    }
    bool again =
        request_answers_challenge(request, head) || request_answers_proxy(request, head);
    if (!again && request_asks_login(request, head))
        return true;
    if (!again && !is_redirect(request, head))
        return false;
    request_tell_hop(request);
    if (request->state == REQUEST_DONE)
        return true;
    request_drain(request);
    if (again)
        request_tell_wait(request, REQUEST_WAIT_AUTH);
    if (request->state != REQUEST_DONE && drops_connection(request, head))
        request_next_hop(request);
    return true;
}

/* The caller's credentials and fields meant for the first origin stay there, for good. */
static void leave_origin(struct request *request)
{
    const struct redirect *redirect = request->redirect;

    request->left_origin |= redirect->leaves_secrets;
    request_auth_begin_hop(request, redirect->is_cross_origin);
    proxy_login_done(&request->proxy_login);
    redirect_strip_headers(redirect, &request->options.headers);
}

/* Never from https to http (RFC 9110 §10.1.3). Without memory the field is missing, which it
 * may be. */
static void refer_to_last(struct request *request)
{
    CLEANUP_BUF struct buf url = BUF_INIT(0);
    unsigned without = URL_WITHOUT_FRAGMENT | URL_WITHOUT_USERINFO;

    if (!request->options.auto_referer || request->redirect->is_downgrade)
        return;
    int r = url_format(&request->options.url, without, &url);
    if (r == 0)
        r = headers_set(&request->options.headers, SPAN_LIT("Referer"), buf_span(&url));
    if (r < 0)
        log_debug(&request->log, "no Referer after a redirect: it does not fit");
}

static void tell_redirect(struct request *request, const struct url *url, const char *method)
{
    struct request_hop hop = {
        .status = request->head.status,
        .url = url,
        .method = method,
        .asks = request->options.asks_redirects,
    };

    request->events->on_redirect(request->owner, &hop);
}

static void name_method(const struct redirect *redirect, char ret[METHOD_BYTES_MAX + 1])
{
    memcpy(ret, redirect->method.ptr, redirect->method.len);
    ret[redirect->method.len] = '\0';
}

/* Nothing of the next hop is begun before the owner has said so. */
static void ask_redirect(struct request *request)
{
    char method[METHOD_BYTES_MAX + 1];

    name_method(request->redirect, method);
    if (request_ask(request, QUESTION_REDIRECT))
        tell_redirect(request, &request->redirect->url, method);
}

/* The login in the caller's URL may be wanted again where it led. Return: 0 or -ENOMEM. */
static int leave_url(struct request *request)
{
    if (request->redirects > 0 || !url_has_credentials(&request->options.url))
        return 0;
    request->first_url = mem_zalloc(sizeof(*request->first_url));
    return request->first_url ? url_copy(&request->options.url, request->first_url)
                              : fault(-ENOMEM);
}

static void take_redirect(struct request *request)
{
    struct redirect *redirect = request->redirect;
    char method[METHOD_BYTES_MAX + 1] = "";

    if (leave_url(request) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return;
    }
    name_method(redirect, method); /* may be our own */
    memcpy(request->options.method, method, sizeof(method));
    leave_origin(request);
    refer_to_last(request);
    if (redirect->drops_body) {
        request->has_body = false;
        upload_done(request);
    }
    url_done(&request->options.url);
    request->options.url = redirect->url;
    redirect->url = (struct url){0};
    request->redirect = redirect_free(redirect);
    request->redirects++;
    request->retried = false;
    request->early = (struct request_early_state){0};
    if (!request->options.asks_redirects)
        tell_redirect(request, &request->options.url, request->options.method);
}

/* The body from its beginning, then the way of a new request. */
void request_begin_hop(struct request *request)
{
    int r = request->has_body ? upload_rewind(request) : 0;

    if (r < 0) {
        request_finish_kind(request, FAILURE_REWIND, "the body cannot be sent again");
    } else if (r > 0) {
        if (request_ask(request, QUESTION_REWIND))
            request->events->on_rewind(request->owner);
    } else {
        request_enter_state(request, REQUEST_DECIDING);
        request_decide(request);
    }
}

void request_take_redirect(struct request *request)
{
    take_redirect(request);
    if (request->state != REQUEST_DONE)
        request_begin_hop(request);
}

void request_next_hop(struct request *request)
{
    if (!request->draining) /* two reasons to go on, in one round */
        return;
    request_drop_connection(request);
    request->draining = false;
    request->fetcher->counters.bytes_down += request->pipeline.wire_bytes;
    if (request->upload) {
        request->fetcher->counters.bytes_up += request->upload->sent;
        request->upload->sent = 0;
    }
    request->pipeline.wire_bytes = 0;
    request->info = (struct exchange_info){0}; /* of the answer that was not the last */
    request_rest(request);
    request_cache_end(request, true);
    if (!request->redirect)
        request_begin_hop(request);
    else if (request->options.asks_redirects)
        ask_redirect(request);
    else
        request_take_redirect(request);
}
