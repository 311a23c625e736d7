/* SPDX-License-Identifier: MIT */
/*
 * What a request tells, as messages to the client whose it is, in order.
 */
#include <errno.h>

#include "base/certificate.h"
#include "base/fault.h"
#include "service/fetch_priv.h"
#include "service/tls_convert.h"
#include "wire/frame.h"

#define END_BYTES  256 /* of a message that tells of an end, but for trailers */
#define LINE_BYTES 16  /* of a field line in a message, but for name and value */

void client_request_send_failed(struct client *client,
                                uint32_t number,
                                const struct failure *why,
                                const Xhrd__V1__RequestFailed *more)
{
    Xhrd__V1__RequestFailed failed = XHRD__V1__REQUEST_FAILED__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__Failure failure;

    if (more)
        failed = *more;
    failure_to_pb(why, &failure);
    failed.request_id = number;
    failed.failure = &failure;
    failed.monotonic_us = (uint64_t)loop_now_us(client->service->loop);
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_FAILED;
    message.failed = &failed;
    client_send(client, &message);
}

static void fail_for_session(struct client_request *entry, int r)
{
    struct failure why;

    if (r == -EDQUOT)
        failure_set(&why, FAILURE_QUOTA, "too many bytes wait for this user's clients to read");
    else
        failure_set(&why, FAILURE_INTERNAL, "out of memory");
    entry->is_mute = true;
    request_fail(entry->request, &why);
}

/* What its owner must not miss. */
static void send_or_fail(struct client_request *entry, const Xhrd__V1__ServerMessage *message)
{
    int r = entry->is_mute ? 0 : client_send_if_room(entry->client, message);

    if (r < 0)
        fail_for_session(entry, r);
}

static void send_change(struct client_request *entry, Xhrd__V1__ReadyStateChange change)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    change.request_id = entry->number;
    change.monotonic_us = (uint64_t)loop_now_us(entry->client->service->loop);
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_READY_STATE;
    message.ready_state = &change;
    if (change.state != XHRD__V1__READY_STATE__READY_STATE_OPENED)
        send_or_fail(entry, &message);
    else if (!entry->is_mute && client_send_lazily(entry->client, &message) < 0)
        log_debug(&entry->client->log, "no room to tell what a request waits for");
}

static void send_ready_state(struct client_request *entry, Xhrd__V1__ReadyState state)
{
    Xhrd__V1__ReadyStateChange change = XHRD__V1__READY_STATE_CHANGE__INIT;

    change.state = state;
    send_change(entry, change);
}

static void
send_opened(struct client_request *entry, Xhrd__V1__WaitReason reason, Xhrd__V1__TlsRung *rung)
{
    Xhrd__V1__ReadyStateChange change = XHRD__V1__READY_STATE_CHANGE__INIT;

    change.state = XHRD__V1__READY_STATE__READY_STATE_OPENED;
    change.reason = reason;
    change.rung = rung;
    send_change(entry, change);
}

static void entry_on_wait(void *owner, enum request_wait reason)
{
    static const Xhrd__V1__WaitReason reasons[] = {
        [REQUEST_WAIT_QUEUED] = XHRD__V1__WAIT_REASON__WAIT_REASON_QUEUED,
        [REQUEST_WAIT_DNS] = XHRD__V1__WAIT_REASON__WAIT_REASON_DNS,
        [REQUEST_WAIT_CONNECT] = XHRD__V1__WAIT_REASON__WAIT_REASON_CONNECT,
        [REQUEST_WAIT_TLS] = XHRD__V1__WAIT_REASON__WAIT_REASON_TLS,
        [REQUEST_WAIT_AUTH] = XHRD__V1__WAIT_REASON__WAIT_REASON_AUTH,
        [REQUEST_WAIT_VERDICT] = XHRD__V1__WAIT_REASON__WAIT_REASON_VERDICT,
        [REQUEST_WAIT_CONNECTIVITY] = XHRD__V1__WAIT_REASON__WAIT_REASON_CONNECTIVITY,
        [REQUEST_WAIT_BACKPRESSURE] = XHRD__V1__WAIT_REASON__WAIT_REASON_BACKPRESSURE,
    };

    send_opened(owner, reasons[reason], NULL);
}

static void entry_on_rung(void *owner, const struct tls_rung *rung)
{
    struct client_request *entry = owner;
    Xhrd__V1__TlsRung told;

    tls_rung_to_pb(rung, &told);
    send_opened(entry, XHRD__V1__WAIT_REASON__WAIT_REASON_TLS_RUNG, &told);
}

static void entry_on_redirect(void *owner, const struct request_hop *hop)
{
    struct client_request *entry = owner;
    Xhrd__V1__Redirected redirected = XHRD__V1__REDIRECTED__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    CLEANUP_BUF struct buf url = BUF_INIT(0);

    if (url_format(hop->url, URL_WITHOUT_USERINFO, &url) < 0)
        log_warning(&entry->client->log, "no memory to tell of a redirect");
    note_redirected(entry, hop->status);
    redirected.request_id = entry->number;
    redirected.status = hop->status;
    redirected.url = bytes_of_span(buf_span(&url));
    redirected.method = bytes_of_span(span_of(hop->method));
    redirected.asks = hop->asks;
    redirected.upgrade = hop->upgrade;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_REDIRECTED;
    message.redirected = &redirected;
    send_or_fail(entry, &message);
}

static void send_question(struct client_request *entry, Xhrd__V1__Question *question)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    question->request_id = entry->number;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_QUESTION;
    message.question = question;
    send_or_fail(entry, &message);
}

static void entry_on_challenge(void *owner, const struct request_challenge *from)
{
    const struct auth_offers *offers = from->offers;
    Xhrd__V1__Question question = XHRD__V1__QUESTION__INIT;
    Xhrd__V1__Challenge challenge = XHRD__V1__CHALLENGE__INIT;
    Xhrd__V1__ChallengeOffer lines[AUTH_OFFERS_MAX];
    Xhrd__V1__ChallengeOffer *list[AUTH_OFFERS_MAX];

    for (size_t i = 0; i < offers->count; i++) {
        xhrd__v1__challenge_offer__init(&lines[i]);
        lines[i].scheme = scheme_to_pb(offers->at[i].scheme);
        lines[i].name = bytes_of_span(offers->at[i].name);
        lines[i].realm = bytes_of_span(auth_offers_realm(offers, i));
        list[i] = &lines[i];
    }
    challenge.n_offers = offers->count;
    challenge.offers = list;
    if (offers->best < offers->count) {
        challenge.scheme = lines[offers->best].scheme;
        challenge.realm = lines[offers->best].realm;
    }
    challenge.origin = bytes_of_span(span_of(from->origin));
    challenge.attempt = from->attempt;
    question.what_case = XHRD__V1__QUESTION__WHAT_CHALLENGE;
    question.challenge = &challenge;
    send_question(owner, &question);
}

static void entry_on_verdict(void *owner, const struct request_verdict *from)
{
    struct client_request *entry = owner;
    struct arena *arena = &entry->client->service->out;
    Xhrd__V1__Question question = XHRD__V1__QUESTION__INIT;
    Xhrd__V1__VerdictQuestion verdict = XHRD__V1__VERDICT_QUESTION__INIT;

    arena_reset(arena);
    int r = certificates_to_pb(arena, from->certificates, &verdict.certificates,
                               &verdict.n_certificates);
    if (r < 0) {
        fail_for_session(entry, r);
        return;
    }
    verdict.origin = bytes_of_span(span_of(from->origin));
    verdict.unverified = !from->is_verified;
    verdict.deadline_ms = (uint32_t)(from->deadline_us / 1000);
    question.what_case = XHRD__V1__QUESTION__WHAT_VERDICT;
    question.verdict = &verdict;
    send_question(entry, &question);
    arena_release(arena, verdict.certificates);
}

static void entry_on_rewind(void *owner)
{
    Xhrd__V1__Question question = XHRD__V1__QUESTION__INIT;
    Xhrd__V1__Rewind rewind = XHRD__V1__REWIND__INIT;

    question.what_case = XHRD__V1__QUESTION__WHAT_REWIND;
    question.rewind = &rewind;
    send_question(owner, &question);
}

static bool is_secret(struct span name)
{
    return span_ieq(name, SPAN_LIT("Cookie")) || span_ieq(name, SPAN_LIT("Authorization")) ||
           span_ieq(name, SPAN_LIT("Proxy-Authorization"));
}

/* Field lines as messages, in the arena; nothing when there are none. Return: 0 or -ENOMEM. */
static int list_headers(struct arena *arena,
                        const struct headers *headers,
                        bool hide_secrets,
                        Xhrd__V1__Header ***ret,
                        size_t *ret_count)
{
    size_t count = headers_count(headers);
    size_t n = 0;

    if (count == 0)
        return 0;
    Xhrd__V1__Header *lines = arena_alloc(arena, count * sizeof(*lines));
    // NOLINTNEXTLINE(bugprone-sizeof-expression): pointers they are
    Xhrd__V1__Header **list = arena_alloc(arena, count * sizeof(*list));
    if (!lines || !list) {
        arena_release(arena, lines);
        arena_release(arena, list);
        return fault(-ENOMEM);
    }
    list[0] = lines; /* what free_headers() releases */
    for (size_t i = 0; i < count; i++) {
        struct header header = headers_at(headers, i);

        if (hide_secrets && is_secret(header.name))
            continue;
        xhrd__v1__header__init(&lines[n]);
        lines[n].name = bytes_of_span(header.name);
        lines[n].value = bytes_of_span(header.value);
        list[n] = &lines[n];
        n++;
    }
    *ret = list;
    *ret_count = n;
    return 0;
}

static void free_headers(struct arena *arena, Xhrd__V1__Header **list)
{
    if (!list)
        return;
    arena_release(arena, list[0]); /* the lines are one piece */
    arena_release(arena, list);
}

static void describe_connection(const struct request_head *head,
                                Xhrd__V1__ConnectionInfo *ret,
                                struct tls_message *tls)
{
    const struct exchange_info *info = head->exchange;

    xhrd__v1__connection_info__init(ret);
    ret->connection_id = info->connection_id;
    ret->reused = info->reused;
    ret->remote_address = bytes_of_span(info->remote_address);
    ret->remote_port = info->remote_port;
    ret->local_address = bytes_of_span(info->local_address);
    ret->local_port = info->local_port;
    ret->proxy = bytes_of_span(head->proxy);
    ret->proxy_tunnel = head->is_tunnel;
    if (!info->is_tls)
        return;
    tls_info_to_pb(head, tls);
    ret->tls = &tls->info;
}

static Xhrd__V1__FromCache from_cache_to_pb(enum request_from_cache from)
{
    switch (from) {
    case REQUEST_FROM_CACHE: return XHRD__V1__FROM_CACHE__FROM_CACHE_HIT;
    case REQUEST_FROM_CACHE_STILL: return XHRD__V1__FROM_CACHE__FROM_CACHE_REVALIDATED;
    case REQUEST_FROM_CACHE_STALE: return XHRD__V1__FROM_CACHE__FROM_CACHE_STALE;
    case REQUEST_FROM_NETWORK: break;
    }
    return XHRD__V1__FROM_CACHE__FROM_CACHE_UNSPECIFIED;
}

/* @tls is part of @message. Return: 0 or -ENOMEM. */
static int send_with_certificates(struct client_request *entry,
                                  const struct certificates *certificates,
                                  Xhrd__V1__TlsInfo *tls,
                                  const Xhrd__V1__ServerMessage *message)
{
    struct arena *arena = &entry->client->service->out;
    int r = certificates_to_pb(arena, certificates, &tls->certificates, &tls->n_certificates);

    if (r < 0)
        return r;
    tls->certificates_left_out = (uint32_t)certificates->n_left_out;
    send_or_fail(entry, message);
    arena_release(arena, tls->certificates);
    return 0;
}

/* Return: 0, or -ENOMEM: a head that is not whole is not told. */
static int send_head(struct client_request *entry,
                     const struct request_head *head,
                     bool is_last,
                     Xhrd__V1__ResponseHead *to)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ConnectionInfo connection;
    struct tls_message tls;
    CLEANUP_BUF struct buf url = BUF_INIT(0);

    to->request_id = entry->number;
    to->status = head->status;
    to->http_version = head->http_version;
    to->reason = bytes_of_span(head->reason);
    if (!url_has_credentials(head->url) && !head->url->has_fragment)
        to->url = bytes_of_span(url_href(head->url));
    else if (url_format(head->url, URL_WITHOUT_USERINFO | URL_WITHOUT_FRAGMENT, &url) < 0)
        return fault(-ENOMEM);
    else
        to->url = bytes_of_span(buf_span(&url));
    to->redirects = head->redirects;
    if (head->has_size) {
        to->body_size_case = XHRD__V1__RESPONSE_HEAD__BODY_SIZE_BODY_BYTES;
        to->body_bytes = head->size_bytes;
    }
    to->content_coding = bytes_of_span(head->coding);
    if (head->from_cache != REQUEST_FROM_NETWORK) {
        to->from_cache = from_cache_to_pb(head->from_cache);
        to->age_s = (uint64_t)head->age_s;
    }
    describe_connection(head, &connection, &tls);
    if (head->exchange->connection_id != 0)
        to->connection = &connection;
    message.kind_case =
        is_last ? XHRD__V1__SERVER_MESSAGE__KIND_HEAD : XHRD__V1__SERVER_MESSAGE__KIND_HOP;
    message.head = to;
    int r = 0;
    if (!connection.tls || !head->certificates)
        send_or_fail(entry, &message);
    else
        r = send_with_certificates(entry, head->certificates, &tls.info, &message);
    to->connection = NULL;
    return r;
}

static void
tell_head(struct client_request *entry, const struct request_head *head, bool is_last)
{
    struct arena *arena = &entry->client->service->out;
    Xhrd__V1__ResponseHead to = XHRD__V1__RESPONSE_HEAD__INIT;
    struct headers shown;
    struct headers sent;
    uint32_t owner_uid = 0;
    enum jar_right right = request_jar_right(entry->request, &owner_uid);

    client_hold_session(entry->client, owner_uid);
    if (is_last)
        note_head(entry, head);
    headers_init(&sent, HEADERS_BYTES_MAX * 2, HEADERS_COUNT_MAX * 2);
    arena_reset(arena);
    headers_init(&shown, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    int r = right < JAR_RIGHT_WRITE ? cookie_mask_headers(head->headers, right, &shown) : 0;
    if (r == 0)
        r = list_headers(arena, right < JAR_RIGHT_WRITE ? &shown : head->headers, false,
                         &to.headers, &to.n_headers);

    if (r == 0 && entry->tell_sent)
        r = request_list_sent(entry->request, &sent);
    if (r == 0 && entry->tell_sent)
        r = list_headers(arena, &sent, true, &to.sent_headers, &to.n_sent_headers);
    if (r == 0)
        r = send_head(entry, head, is_last, &to);
    free_headers(arena, to.headers);
    free_headers(arena, to.sent_headers);
    headers_done(&shown);
    headers_done(&sent);
    if (r < 0)
        fail_for_session(entry, r);
    else if (is_last)
        send_ready_state(entry, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
}

static void entry_on_hop(void *owner, const struct request_head *head)
{
    struct client_request *entry = owner;

    note_hop(entry, head);
    if (entry->tell_hops)
        tell_head(entry, head, false);
}

static void entry_on_head(void *owner, const struct request_head *head)
{
    client_request_begin_flow(owner);
    tell_head(owner, head, true);
}

static void entry_on_body(void *owner, struct span bytes)
{
    struct client_request *entry = owner;
    uint8_t head[WIRE_BODY_HEAD_MAX];

    if (!entry->loading_told) {
        entry->loading_told = true;
        send_ready_state(entry, XHRD__V1__READY_STATE__READY_STATE_LOADING);
    }
    /* Who is being sent away has missed a message, maybe the head: nothing more is told. */
    while (bytes.len > 0 && !entry->is_mute && !entry->client->closed &&
           !deferred_is_queued(&entry->client->leave)) {
        struct span chunk = span_take(bytes, WIRE_BODY_DATA_MAX);
        size_t n = wire_body_head(head, WIRE_CLIENT, entry->number, chunk.len);
        int r = session_send_payload(entry->client->session,
                                     (struct span){(const char *)head, n}, chunk);

        if (r < 0) {
            fail_for_session(entry, r);
            return;
        }
        bytes = span_drop(bytes, chunk.len);
    }
}

static void entry_on_progress(void *owner, const struct request_progress *from)
{
    struct client_request *entry = owner;
    Xhrd__V1__Progress progress = XHRD__V1__PROGRESS__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    progress.request_id = entry->number;
    progress.upload = from->upload;
    progress.done_bytes = from->done_bytes;
    if (from->has_total) {
        progress.total_case = XHRD__V1__PROGRESS__TOTAL_TOTAL_BYTES;
        progress.total_bytes = from->total_bytes;
    }
    progress.wire_bytes = from->wire_bytes;
    progress.monotonic_us = (uint64_t)loop_now_us(entry->client->service->loop);
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_PROGRESS;
    message.progress = &progress;
    if (!entry->is_mute && client_send_if_room(entry->client, &message) < 0)
        log_debug(&entry->client->log, "no room to tell how far a request has come");
}

static void entry_on_upload_taken(void *owner, uint64_t bytes)
{
    struct client_request *entry = owner;
    Xhrd__V1__Credit credit = XHRD__V1__CREDIT__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;

    credit.request_id = entry->number;
    credit.bytes = (uint32_t)bytes;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_CREDIT;
    message.credit = &credit;
    client_send(entry->client, &message); /* for bytes that were read from the client */
}

void timing_to_pb(const struct request_timing *timing, Xhrd__V1__Timing *ret)
{
    xhrd__v1__timing__init(ret);
    ret->queued_us = (uint64_t)timing->queued_us;
    ret->name_lookup_us = (uint64_t)timing->name_lookup_us;
    ret->connect_us = (uint64_t)timing->connect_us;
    ret->tls_us = (uint64_t)timing->tls_us;
    ret->sent_us = (uint64_t)timing->sent_us;
    ret->first_byte_us = (uint64_t)timing->first_byte_us;
    ret->total_us = (uint64_t)timing->total_us;
}

static void send_done(struct client_request *entry,
                      const struct request_totals *totals,
                      const struct request_timing *times)
{
    Xhrd__V1__RequestDone done = XHRD__V1__REQUEST_DONE__INIT;
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    struct arena *arena = &entry->client->service->out;
    const struct headers *trailers = request_trailers(entry->request);
    Xhrd__V1__Timing timing;

    arena_reset(arena);
    if (headers_count(trailers) > 0 &&
        list_headers(arena, trailers, false, &done.trailers, &done.n_trailers) < 0)
        log_warning(&entry->client->log, "no memory to tell of an answer's trailers");
    timing_to_pb(times, &timing);
    done.request_id = entry->number;
    done.body_bytes = totals->body_bytes;
    done.wire_bytes = totals->wire_bytes;
    done.upload_bytes = totals->upload_bytes;
    if (totals->has_upload_total) {
        done.upload_total_case = XHRD__V1__REQUEST_DONE__UPLOAD_TOTAL_UPLOAD_TOTAL_BYTES;
        done.upload_total_bytes = totals->upload_total;
    }
    done.header_bytes = totals->header_bytes;
    done.request_bytes = totals->request_bytes;
    done.cookies_not_persisted = totals->cookies_not_persisted;
    done.timing = &timing;
    done.monotonic_us = (uint64_t)loop_now_us(entry->client->service->loop);
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_DONE;
    message.done = &done;
    client_send(entry->client, &message);
    free_headers(arena, done.trailers);
}

/* An end is short, but for the trailers in it. */
static bool has_room_for_end(const struct client_request *entry)
{
    const struct headers *trailers = request_trailers(entry->request);

    return headers_count(trailers) == 0 ||
           quota_has_spare(&entry->client->user->quota, QUOTA_BYTES,
                           trailers->live_bytes + (uint64_t)trailers->count * LINE_BYTES +
                               END_BYTES);
}

static void entry_on_done(void *owner, const struct failure *why)
{
    struct client_request *entry = owner;
    struct client *client = entry->client;
    struct request_totals totals;
    struct request_timing times;
    struct failure no_room;

    request_get_totals(entry->request, &totals);
    request_get_timing(entry->request, &times);
    if (!why && !has_room_for_end(entry)) {
        failure_set(&no_room, FAILURE_QUOTA, "no room for what came behind the answer's body");
        why = &no_room;
    }
    note_end(entry, why, &totals, &times);
    if (why) {
        Xhrd__V1__RequestFailed failed = XHRD__V1__REQUEST_FAILED__INIT;
        Xhrd__V1__Timing timing;

        timing_to_pb(&times, &timing);
        failed.timing = &timing;
        failed.body_bytes = totals.body_bytes;
        client_request_send_failed(client, entry->number, why, &failed);
    } else {
        send_done(entry, &totals, &times);
    }
    if (client->closed)
        return; /* and with it all its entries */
    client_request_forget(entry);
    client_check_done(client);
}

const struct request_events client_request_events = {
    .on_wait = entry_on_wait,
    .on_redirect = entry_on_redirect,
    .on_rung = entry_on_rung,
    .on_hop = entry_on_hop,
    .on_head = entry_on_head,
    .on_body = entry_on_body,
    .on_progress = entry_on_progress,
    .on_challenge = entry_on_challenge,
    .on_rewind = entry_on_rewind,
    .on_verdict = entry_on_verdict,
    .on_upload_taken = entry_on_upload_taken,
    .on_done = entry_on_done,
};
