/* SPDX-License-Identifier: MIT */
/*
 * What the exchange tells, turned into what the owner is told. Cookies are stored, and hosts
 * that want https learned, the moment the head is in, and the head is not told before the disk
 * has those that are meant to last: whoever has seen HEADERS_RECEIVED can rely on them, in
 * every process and after a crash.
 */
#include <errno.h>

#include "base/fault.h"
#include "fetch/request_priv.h"

#define DRAIN_BYTES_MAX                                                                        \
    65536 /* of an answer nobody wants; more is not worth the connection                       \
           */

/* ---- head ----------------------------------------------------------------------------------
 */

int request_keep_head(struct request *request)
{
    struct response_head *head = &request->head;

    struct kept_answer *kept = request_keep(request);

    if (!kept)
        return fault(-ENOMEM);
    if (head->headers == &kept->headers)
        return 0;
    int r = headers_add_all(&kept->headers, head->headers);
    if (r == 0)
        r = buf_append(&kept->reason, head->reason);
    head->headers = &kept->headers;
    head->reason = buf_span(&kept->reason);
    return r;
}

static void tell_what_waited(struct request *request)
{
    request_tell_head(request);
    if (request->state != REQUEST_RECEIVING || request->congested)
        return;
    request_touch(request);
    if (request->exchange_whole || request->pipeline.rest.len > 0) /* of a 401 that waited */
        request_later(request, REQUEST_STEP_DELIVER);
    else
        request_resume_input(request);
}

/* Whose file is to be waited for; what is due with it is due no longer. */
static uint32_t next_to_commit(struct request *request)
{
    uint32_t own_uid = request->options.partition.uid;

    if ((request->must_commit & REQUEST_COMMIT_JAR) && request->jar.owner_uid != own_uid) {
        request->must_commit &= ~REQUEST_COMMIT_JAR;
        return request->jar.owner_uid;
    }
    request->must_commit = 0;
    return own_uid;
}

static void request_on_committed(void *owner, bool saved);

/* Return: false: request_on_committed() goes on. */
static bool commit(struct request *request)
{
    const struct cookie_access *cookies = &request->fetcher->cookies;

    request->cookie_commit.on_committed = request_on_committed;
    request->cookie_commit.owner = request;
    while (request->must_commit) {
        int r =
            cookies->commit(cookies->owner, next_to_commit(request), &request->cookie_commit);

        if (r == COOKIE_COMMIT_WAIT)
            return false;
        request->cookies_not_persisted |= r != COOKIE_COMMIT_SAVED && request->has_new_cookies;
    }
    return true;
}

static void request_on_committed(void *owner, bool saved)
{
    struct request *request = owner;

    request->cookies_not_persisted |= !saved && request->has_new_cookies;
    if (commit(request))
        tell_what_waited(request);
}

/* Return: whether the head can be told now. */
static bool commit_learned(struct request *request)
{
    if (commit(request))
        return true;
    request->head_waits = true;
    request_rest(request);
    if (request->exchange)
        exchange_pause(request->exchange);
    if (request_keep_head(request) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    return false;
}

static bool begin_decoding(struct request *request, const struct response_head *head)
{
    struct failure why;
    bool decodes = false;

    if (request->options.raw || !head->has_body ||
        !headers_has(head->headers, SPAN_LIT("Content-Encoding")))
        return true;
    int r = headers_join(head->headers, SPAN_LIT("Content-Encoding"), &request->coding);
    if (r >= 0)
        r = body_pipeline_set_coding(&request->pipeline, buf_span(&request->coding),
                                     request_defaults(request)->answer.codings_max, &decodes,
                                     &why);
    if (r == 0)
        return true;
    if (r != -EINVAL)
        failure_set(&why, FAILURE_INTERNAL, "out of memory");
    request_finish(request, &why);
    return false;
}

/* What says itself that it is too long need not be fetched to find out. */
static bool is_within_limit(struct request *request, const struct response_head *head)
{
    const struct request_options *options = &request->options;
    struct failure why;

    if (!options->has_response_max || request->pipeline.decoder || !head->has_body ||
        !head->has_length || head->body_bytes <= options->response_max)
        return true;
    failure_set(&why, FAILURE_LIMIT, "a body of %llu bytes, and no more than %llu are allowed",
                (unsigned long long)head->body_bytes,
                (unsigned long long)options->response_max);
    request_finish(request, &why);
    return false;
}

/* RFC 9112 §9.3.1: a kept connection that breaks under a request may have been closed before
 * the server saw it. */
static bool may_retry(const struct request *request, enum exchange_replay replay)
{
    bool had_its_chance = replay == REPLAY_EARLY ? request->early.is_over : request->retried;

    if (had_its_chance || request->state > REQUEST_AWAITING || request->head_waits ||
        request->draining)
        return false;
    if (replay == REPLAY_NO || (request->has_body && !upload_can_rewind(request)))
        return false;
    return replay == REPLAY_SAFE || method_is_idempotent(span_of(request->options.method));
}

static void retry(struct request *request)
{
    int r = request->has_body ? upload_rewind(request) : 0;

    request->retried = true;
    log_debug(&request->log, "trying again on another connection");
    request_rest(request);
    if (r < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "the body cannot be sent again");
    else if (r == 0)
        request_acquire(request, true);
    else if (request_ask(request, QUESTION_RETRY))
        request->events->on_rewind(request->owner);
}

/* RFC 9110 §15.5.20: the connection led to a server that does not answer for this host. Another
 * one, of its own, may lead to the right one; a first one would not be another. */
static bool is_misdirected(struct request *request, const struct response_head *head)
{
    struct exchange_info info;

    if (head->status != 421 || request->retried ||
        (request->has_body && !upload_can_rewind(request)))
        return false;
    exchange_info(request->exchange, &info);
    return info.reused;
}

static void request_on_head(void *owner, const struct response_head *head)
{
    struct request *request = owner;
    struct response_head masked;

    request_touch(request);
    if (request_early_on_head(request) < 0 || request_mask_head(request, head, &masked) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return;
    }
    head = &masked;
    request->head = *head;
    if (is_misdirected(request, head)) {
        request_tell_hop(request);
        if (request->state == REQUEST_DONE)
            return;
        lease_retire_connection(request->lease);
        request_drop_connection(request);
        retry(request);
        return;
    }
    /* A 407 is the proxy's own word: it sets no cookies in the origin's name. */
    bool is_origins = head->status != 407 || request->proxy_way != PROXY_WAY_FORWARD;
    if ((is_origins && request_store_cookies(request, head->headers) < 0) ||
        request_learn_host(request, head->headers) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "no memory for the answer's cookies");
        return;
    }
    if (request_cache_takes_head(request, head) || request_goes_on(request, head))
        return;
    request_take_head(request);
}

/* ---- body and end
 * ---------------------------------------------------------------------------- */

/* It is the last one: no redirect, nor anything to be answered. */
void request_take_head(struct request *request)
{
    upload_tell_progress(request, true); /* an answer acknowledges what it answers to */
    if (request->state == REQUEST_DONE || !begin_decoding(request, &request->head) ||
        !is_within_limit(request, &request->head))
        return;
    if (!request->must_commit || commit_learned(request))
        request_tell_head(request);
    if (request->state == REQUEST_RECEIVING && request->congested) {
        request_rest(request);
        if (request->exchange)
            exchange_pause(request->exchange);
    }
}

static void drain(struct request *request, size_t n)
{
    request->drained_bytes += n;
    if (request->drained_bytes > DRAIN_BYTES_MAX)
        request_next_hop(request);
}

static void request_on_body(void *owner, struct span bytes)
{
    struct request *request = owner;

    request->pipeline.wire_bytes += bytes.len;
    request_cache_on_body(request, bytes);
    if (request->draining) {
        drain(request, bytes.len);
        return;
    }
    if (request->state == REQUEST_ASKING) {
        request_hold_body(request, bytes);
        return;
    }
    request_touch(request);
    request_deliver(request, bytes);
}

static void request_on_trailers(void *owner, const struct headers *fields)
{
    struct request *request = owner;

    if (request->draining)
        return;
    struct kept_answer *kept = request_keep(request);
    if (!kept || request_mask_fields(request, fields, &kept->trailers) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "no memory for the answer's trailers");
}

static void
on_broken(struct request *request, const struct failure *why, enum exchange_replay replay)
{
    struct failure copy = *why;

    if (request->draining) {
        request_next_hop(request);
        return;
    }
    bool again = may_retry(request, replay);
    if (again && replay == REPLAY_EARLY)
        request_early_failed(request);
    request_drop_connection(request);
    if (request->state == REQUEST_ASKING) {
        request_hold_end(request, &copy);
        return;
    }
    if (again) {
        retry(request);
        return;
    }
    request_break(request, &copy);
}

static void request_on_exchange_done(void *owner, const struct failure *why)
{
    struct request *request = owner;
    enum exchange_replay replay = exchange_replay(request->exchange);

    request_note_exchange(request);
    upload_tell_progress(request, !why);
    if (request->state == REQUEST_DONE)
        return;
    request->exchange = NULL;
    if (why) {
        on_broken(request, why, replay);
        return;
    }
    lease_release(request->lease);
    request->lease = NULL;
    if (request_cache_on_whole(request))
        return;
    if (request->draining) {
        request_next_hop(request);
        return;
    }
    if (request->state == REQUEST_ASKING) {
        request_hold_end(request, NULL);
        return;
    }
    body_pipeline_end(&request->pipeline);
    request->exchange_whole = true;
    request_deliver(request, (struct span){0});
}

static void request_on_want_body(void *owner)
{
    struct request *request = owner;

    request->upload->wanted = true;
    upload_pump(request);
}

static void request_on_body_sent(void *owner, uint64_t total_bytes)
{
    struct request *request = owner;

    if (request->upload->sent == 0)
        request->upload->moved_us = loop_now_us(request->fetcher->loop);
    request->upload->sent = total_bytes;
    /* A timer that rests waits for the owner's next bytes, not for these. */
    if ((request->state == REQUEST_SENDING || request->state == REQUEST_AWAITING) &&
        !request->draining && timer_is_armed(&request->phase))
        request_touch(request);
    upload_tell_progress(request, false);
}

const struct exchange_events request_exchange_events = {
    .on_want_body = request_on_want_body,
    .on_body_sent = request_on_body_sent,
    .on_head = request_on_head,
    .on_body = request_on_body,
    .on_trailers = request_on_trailers,
    .on_done = request_on_exchange_done,
};
