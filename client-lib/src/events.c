/* SPDX-License-Identifier: MIT */
/*
 * What comes for a request, and the callbacks that tell of it: readyState forward only and each
 * once, exactly one of load, error and abort, nothing after it. A daemon that says things in
 * another order is not believed, and the connection ends.
 */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

struct xhr_request *xhr_request_of_slot(struct xhr_slot *slot)
{
    return (struct xhr_request *)(void *)slot;
}

static int refuse(struct xhr_failure *why, const char *what)
{
    xhr_failure_set(why, XHR_ERROR_DAEMON_PROTOCOL, "the daemon sent %s", what);
    return -EPROTO;
}

bool xhr_request_is_same(struct xhr_request *request, uint32_t epoch)
{
    bool same = !request->is_freed && request->epoch == epoch;

    xhr_request_release(request);
    return same;
}

bool xhr_request_enter_state(struct xhr_request *request,
                             enum xhr_ready_state state,
                             uint64_t monotonic_us)
{
    enum xhr_wait_reason reason = state == XHR_OPENED ? request->reason : XHR_WAIT_NONE;
    struct xhr_ready_state_event event = {state, monotonic_us, reason};
    uint32_t epoch = request->epoch;

    request->state = state;
    if (!request->callbacks.onreadystatechange)
        return true;
    xhr_request_hold(request);
    request->callbacks.onreadystatechange(request, &event, request->user);
    return xhr_request_is_same(request, epoch);
}

static bool fire_headers(struct xhr_request *request)
{
    uint32_t epoch = request->epoch;

    if (!request->callbacks.on_headers)
        return true;
    xhr_request_hold(request);
    request->callbacks.on_headers(request, request->user);
    return xhr_request_is_same(request, epoch);
}

/* Every state on the way is told. Return: whether the request is still the same. */
static bool advance(struct xhr_request *request, enum xhr_ready_state to, uint64_t monotonic_us)
{
    if (request->state < XHR_HEADERS_RECEIVED && to >= XHR_HEADERS_RECEIVED &&
        !(xhr_request_enter_state(request, XHR_HEADERS_RECEIVED, monotonic_us) &&
          fire_headers(request)))
        return false;
    if (request->state < XHR_LOADING && to >= XHR_LOADING)
        return xhr_request_enter_state(request, XHR_LOADING, monotonic_us);
    return true;
}

/* ---- the end ---- */

static void fire_terminal(struct xhr_request *request)
{
    const struct xhr_callbacks *callbacks = &request->callbacks;

    if (request->slot.failure.kind == XHR_ERROR_NONE) {
        if (callbacks->onload)
            callbacks->onload(request, request->user);
    } else if (request->slot.failure.kind == XHR_ERROR_ABORTED) {
        if (callbacks->onabort)
            callbacks->onabort(request, request->user);
    } else if (callbacks->onerror) {
        callbacks->onerror(request, &request->error, request->user);
    }
}

void xhr_request_finish(struct xhr_request *request)
{
    struct xhr_sync *sync = request->sync;
    uint32_t epoch;

    xhr_upload_stop(request);
    xhr_download_end(request);
    xhr_rest_end(request);
    request->asked = XHR_ASKED_NOTHING;
    request->epoch++;
    epoch = request->epoch;
    if (request->slot.failure.kind != XHR_ERROR_NONE) {
        xhr_failure_show(&request->slot.failure, &request->error);
        request->has_error = true;
    }
    xhr_request_hold(request);
    if (xhr_request_enter_state(request, XHR_DONE, xhr_now_us())) {
        request->is_sent = false;
        request->sync = NULL;
        if (sync) {
            sync->is_done = true;
            sync->result = request->has_error ? xhr_error_errno(&request->error) : 0;
        }
        fire_terminal(request);
    }
    (void)xhr_request_is_same(request, epoch);
}

/* ---- progress ---- */

static void
fill_progress(struct xhr_progress *ret, uint64_t done, bool total_known, uint64_t total)
{
    ret->done_bytes = done;
    ret->total_known = total_known;
    ret->total_bytes = total_known ? total : 0;
    ret->ratio = !total_known || done > total ? -1.0
                 : total == 0                 ? 1.0
                                              : (double)done / (double)total;
}

static bool
fire_progress(struct xhr_request *request, bool upload, const struct xhr_progress *progress)
{
    uint32_t epoch = request->epoch;

    if (upload) {
        request->send_progress = *progress;
        request->has_send_progress = true;
    } else {
        request->data_progress = *progress;
        request->has_data_progress = true;
    }
    xhr_request_hold(request);
    if (upload && request->callbacks.onsendstream)
        request->callbacks.onsendstream(request, progress, request->user);
    else if (!upload && request->callbacks.ondatastream)
        request->callbacks.ondatastream(request, progress, request->user);
    return xhr_request_is_same(request, epoch);
}

static int on_progress(struct xhr_request *request, const Xhrd__V1__Progress *message)
{
    bool has = message->upload ? request->has_send_progress : request->has_data_progress;
    const struct xhr_progress *last =
        message->upload ? &request->send_progress : &request->data_progress;
    bool total_known = message->total_case == XHRD__V1__PROGRESS__TOTAL_TOTAL_BYTES;
    struct xhr_progress progress = {.wire_bytes = message->wire_bytes,
                                    .monotonic_us = message->monotonic_us};

    /* Of a body that goes to a descriptor no byte is seen here. */
    if (request->is_to_fd && !message->upload && message->done_bytes > 0 &&
        request->answer.has_head && !advance(request, XHR_LOADING, message->monotonic_us))
        return 0;
    fill_progress(&progress, message->done_bytes, total_known, message->total_bytes);
    bool is_last = total_known && message->done_bytes == message->total_bytes;
    bool is_new = !has || message->done_bytes != last->done_bytes;
    if (is_new &&
        (is_last || !has || message->monotonic_us >= last->monotonic_us + XHR_PROGRESS_US))
        (void)fire_progress(request, message->upload, &progress);
    return 0;
}

/* Whatever was let out on the way, the last one says all: the total is known now, unless an
 * answer came before the end of a stream. Return: whether the request is still the same. */
static bool
fire_last_progress(struct xhr_request *request, bool upload, const struct xhr_progress *end)
{
    const struct xhr_progress *last =
        upload ? &request->send_progress : &request->data_progress;
    bool has = upload ? request->has_send_progress : request->has_data_progress;
    struct xhr_progress progress = *end;

    if (has ? last->done_bytes == end->done_bytes && last->total_known == end->total_known
            : end->done_bytes == 0)
        return true;
    fill_progress(&progress, end->done_bytes, end->total_known, end->total_bytes);
    return fire_progress(request, upload, &progress);
}

static bool fire_last_of_upload(struct xhr_request *request, const Xhrd__V1__RequestDone *done)
{
    const struct xhr_progress end = {
        .done_bytes = done->upload_bytes,
        .total_known =
            done->upload_total_case == XHRD__V1__REQUEST_DONE__UPLOAD_TOTAL_UPLOAD_TOTAL_BYTES,
        .total_bytes = done->upload_total_bytes,
        .wire_bytes = done->upload_bytes,
        .monotonic_us = done->monotonic_us,
    };

    return fire_last_progress(request, true, &end);
}

static bool fire_last_of_download(struct xhr_request *request,
                                  const Xhrd__V1__RequestDone *done)
{
    const struct xhr_progress end = {
        .done_bytes = done->body_bytes,
        .total_known = true,
        .total_bytes = done->body_bytes,
        .wire_bytes = done->wire_bytes,
        .monotonic_us = done->monotonic_us,
    };

    return fire_last_progress(request, false, &end);
}

/* ---- messages ---- */

static int on_ready_state(struct xhr_request *request,
                          const Xhrd__V1__ReadyStateChange *change,
                          struct xhr_failure *why)
{
    switch (change->state) {
    case XHRD__V1__READY_STATE__READY_STATE_OPENED:
        if (request->state != XHR_OPENED || request->answer.has_head)
            return refuse(why, "a readyState that goes back");
        request->reason = (enum xhr_wait_reason)change->reason;
        if (change->rung)
            (void)xhr_rungs_add(&request->answer.rungs, change->rung); /* told, if not kept */
        if (request->callbacks.on_waiting) {
            xhr_request_hold(request);
            request->callbacks.on_waiting(request, request->reason, change->monotonic_us,
                                          request->user);
            xhr_request_release(request);
        }
        return 0;
    case XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED:
        if (request->state != XHR_OPENED || !request->answer.has_head)
            return refuse(why, "HEADERS_RECEIVED without a head, or twice");
        (void)advance(request, XHR_HEADERS_RECEIVED, change->monotonic_us);
        return 0;
    case XHRD__V1__READY_STATE__READY_STATE_LOADING:
        if (request->state != XHR_HEADERS_RECEIVED)
            return refuse(why, "LOADING out of order");
        (void)advance(request, XHR_LOADING, change->monotonic_us);
        return 0;
    case XHRD__V1__READY_STATE__READY_STATE_DONE:
    case XHRD__V1__READY_STATE__READY_STATE_UNSPECIFIED:
    default: return refuse(why, "a readyState that is not told");
    }
}

static int on_head(struct xhr_request *request,
                   const Xhrd__V1__ResponseHead *head,
                   struct xhr_failure *why)
{
    if (request->state != XHR_OPENED || request->answer.has_head)
        return refuse(why, "a second head");
    const Xhrd__V1__TlsInfo *tls = head->connection ? head->connection->tls : NULL;
    if (tls && !xhr_certificates_are_sane(tls->certificates, tls->n_certificates))
        return refuse(why, "certificates that cannot be");
    if (xhr_answer_take_head(&request->answer, head) < 0) {
        xhr_failure_set(why, XHR_ERROR_MEMORY, "no memory for the head of the answer");
        xhr_request_cut(request, why);
        return 0;
    }
    return request->download ? xhr_download_on_head(request) : 0;
}

/* The request shows the answer of the hop as long as the callback lasts. */
static int
on_hop(struct xhr_request *request, const Xhrd__V1__ResponseHead *head, struct xhr_failure *why)
{
    struct xhr_answer *answer = &request->answer;
    uint32_t epoch = request->epoch;

    if (request->state != XHR_OPENED || answer->has_head || !request->callbacks.on_hop)
        return refuse(why, "the head of a hop nobody wanted to hear of");
    if (xhr_answer_take_head(answer, head) < 0) {
        xhr_failure_set(why, XHR_ERROR_MEMORY, "no memory for the head of an answer");
        xhr_request_cut(request, why);
        return 0;
    }
    answer->has_head = false;
    xhr_request_hold(request);
    request->callbacks.on_hop(request, request->user);
    if (xhr_request_is_same(request, epoch))
        xhr_answer_forget_head(answer);
    return 0;
}

static int on_question(struct xhr_request *request,
                       const Xhrd__V1__Question *question,
                       struct xhr_failure *why)
{
    switch (question->what_case) {
    case XHRD__V1__QUESTION__WHAT_CHALLENGE:
        return xhr_request_on_challenge(request, question->challenge, why);
    case XHRD__V1__QUESTION__WHAT_VERDICT:
        return xhr_request_on_verdict(request, question->verdict, why);
    case XHRD__V1__QUESTION__WHAT_REWIND: return xhr_upload_rewind(request, why);
    case XHRD__V1__QUESTION__WHAT__NOT_SET:
    default: return refuse(why, "a question about nothing");
    }
}

static void judge_status(const struct xhr_request *request, struct xhr_failure *ret)
{
    const struct xhr_answer *answer = &request->answer;

    *ret = (struct xhr_failure){0};
    if (answer->status < 400 || request->options.set.http_errors_as_load)
        return;
    xhr_failure_set(ret, XHR_ERROR_HTTP_STATUS, "the server answered %d %s", answer->status,
                    answer->status_text ? answer->status_text : "");
    ret->status = answer->status;
    ret->phase = XHR_PHASE_HEAD;
}

static int
on_done(struct xhr_request *request, const Xhrd__V1__RequestDone *done, struct xhr_failure *why)
{
    struct xhr_answer *answer = &request->answer;

    if (!answer->has_head)
        return refuse(why, "an end without a head");
    if (!request->is_to_fd && done->body_bytes != request->received)
        return refuse(why, "another number of body bytes than it says");
    answer->totals = (struct xhr_totals){
        .body_bytes = done->body_bytes,
        .wire_bytes = done->wire_bytes,
        .upload_bytes = done->upload_bytes,
        .header_bytes = done->header_bytes,
        .request_bytes = done->request_bytes,
    };
    answer->cookies_not_persisted = done->cookies_not_persisted;
    xhr_answer_take_timing(answer, done->timing);
    if (xhr_lines_take(&answer->trailers, done->trailers, done->n_trailers) < 0) {
        xhr_failure_set(why, XHR_ERROR_MEMORY, "no memory for the trailers");
        xhr_request_cut(request, why);
        return 0;
    }
    if (!fire_last_of_upload(request, done) ||
        !advance(request, done->body_bytes > 0 ? XHR_LOADING : XHR_HEADERS_RECEIVED,
                 done->monotonic_us) ||
        !fire_last_of_download(request, done))
        return 0;
    judge_status(request, &request->slot.failure);
    if (request->download)
        (void)xhr_download_finish(request); /* slot.failure has it */
    xhr_client_remove_slot(request->client, &request->slot);
    xhr_request_finish(request);
    return 0;
}

static int on_failed(struct xhr_request *request,
                     const Xhrd__V1__RequestFailed *failed,
                     struct xhr_failure *why)
{
    struct xhr_failure failure;

    if (!failed->failure || xhr_failure_of_wire(failed->failure, &failure) < 0)
        return refuse(why, "a failure without a kind");
    request->answer.totals.body_bytes = failed->body_bytes;
    xhr_answer_take_timing(&request->answer, failed->timing);
    xhr_client_remove_slot(request->client, &request->slot);
    request->slot.failure = failure;
    xhr_request_finish(request);
    return 0;
}

int xhr_request_on_message(struct xhr_request *request,
                           const Xhrd__V1__ServerMessage *message,
                           struct xhr_failure *why)
{
    switch (message->kind_case) {
    case XHRD__V1__SERVER_MESSAGE__KIND_READY_STATE:
        return on_ready_state(request, message->ready_state, why);
    case XHRD__V1__SERVER_MESSAGE__KIND_HEAD: return on_head(request, message->head, why);
    case XHRD__V1__SERVER_MESSAGE__KIND_HOP: return on_hop(request, message->hop, why);
    case XHRD__V1__SERVER_MESSAGE__KIND_BODY:
        return xhr_request_on_body(request, message->body->data.data, message->body->data.len,
                                   why);
    case XHRD__V1__SERVER_MESSAGE__KIND_PROGRESS:
        return on_progress(request, message->progress);
    case XHRD__V1__SERVER_MESSAGE__KIND_CREDIT:
        request->upload.credit += message->credit->bytes;
        return 0;
    case XHRD__V1__SERVER_MESSAGE__KIND_DONE: return on_done(request, message->done, why);
    case XHRD__V1__SERVER_MESSAGE__KIND_FAILED: return on_failed(request, message->failed, why);
    case XHRD__V1__SERVER_MESSAGE__KIND_REDIRECTED:
        return xhr_request_on_redirected(request, message->redirected, why);
    case XHRD__V1__SERVER_MESSAGE__KIND_QUESTION:
        return on_question(request, message->question, why);
    case XHRD__V1__SERVER_MESSAGE__KIND__NOT_SET:
    case XHRD__V1__SERVER_MESSAGE__KIND_HELLO:
    case XHRD__V1__SERVER_MESSAGE__KIND_COOKIE:
    case XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES:
    case XHRD__V1__SERVER_MESSAGE__KIND_ADMIN:
    case XHRD__V1__SERVER_MESSAGE__KIND_NETWORK:
    case XHRD__V1__SERVER_MESSAGE__KIND_CONNECTION_QUESTION:
    case XHRD__V1__SERVER_MESSAGE__KIND_ERROR:
    default: return refuse(why, "a message that is not for a request");
    }
}

/* ---- body ---- */

uint64_t xhr_request_credit_at_start(const struct xhr_request *request)
{
    uint32_t wanted = request->options.set.credit_bytes;

    return wanted ? wanted : XHR_CREDIT_BYTES;
}

void xhr_request_grant(struct xhr_request *request)
{
    uint64_t half = xhr_request_credit_at_start(request) / 2;
    uint64_t batch = half < XHR_GRANT_BYTES ? half : XHR_GRANT_BYTES;
    struct xhr_failure why;
    bool has_rest = request->rest_fd >= 0;
    int r;

    if (request->is_paused || request->consumed == 0 || request->slot.id == 0 ||
        (!has_rest && request->consumed < batch))
        return;
    if (has_rest)
        r = xhr_rest_hand_over(request);
    else
        r = xhr_encode_simple(request->client, XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT,
                              request->slot.id, (uint32_t)request->consumed);
    if (r < 0) {
        xhr_failure_set(&why, XHR_ERROR_MEMORY, "no memory to go on with the answer");
        xhr_request_cut(request, &why);
    } else if (!has_rest) {
        request->credit += request->consumed;
        request->consumed = 0;
    }
}

static size_t memory_max(const struct xhr_request *request)
{
    size_t max = request->options.set.memory_bytes_max;

    return max ? max : XHR_MEMORY_BYTES;
}

/* Return: 0 or -errno. */
static int keep_in_file(struct xhr_answer *answer, const uint8_t *data, size_t len)
{
    int r = 0;

    if (!answer->spill.is_open) {
        r = xhr_spill_open(&answer->spill);
        if (r == 0 && answer->body.len > 0)
            r = xhr_spill_append(&answer->spill, xhr_bytes_at(&answer->body), answer->body.len);
        xhr_bytes_done(&answer->body);
    }
    return r < 0 ? r : xhr_spill_append(&answer->spill, data, len);
}

static int keep_in_memory(struct xhr_bytes *body, const uint8_t *data, size_t len)
{
    int r = xhr_bytes_reserve(body, len + 1); /* a NUL is kept behind the last byte */

    if (r < 0)
        return r;
    (void)xhr_bytes_append(body, data, len);
    *xhr_bytes_end(body) = '\0';
    return 0;
}

/* Return: whether the request is still the same. */
static bool keep(struct xhr_request *request, const uint8_t *data, size_t len)
{
    struct xhr_answer *answer = &request->answer;
    size_t max = memory_max(request);
    bool fits = len <= max && answer->body.len <= max - len && !answer->spill.is_open;
    struct xhr_failure why;
    int r;

    if (!fits && !request->options.set.spill) {
        xhr_failure_set(&why, XHR_ERROR_LIMIT, "an answer of more than %zu bytes", max);
    } else {
        r = fits ? keep_in_memory(&answer->body, data, len) : keep_in_file(answer, data, len);
        if (r == 0)
            return true;
        if (fits)
            xhr_failure_set(&why, XHR_ERROR_MEMORY, "no memory for the answer");
        else
            xhr_failure_set(&why, XHR_ERROR_WRITE, "a temporary file: %s", xhr_errno_text(-r));
        why.sys_errno = fits ? 0 : -r;
    }
    why.phase = XHR_PHASE_BODY;
    xhr_request_cut(request, &why);
    return false;
}

int xhr_request_on_body(struct xhr_request *request,
                        const uint8_t *data,
                        size_t len,
                        struct xhr_failure *why)
{
    uint32_t epoch = request->epoch;

    if (!request->answer.has_head)
        return refuse(why, "a body before the head");
    if (len > request->credit)
        return refuse(why, "more body than it had credit for");
    if (len == 0)
        return 0;
    request->credit -= len;
    request->received += len;
    if (!advance(request, XHR_LOADING, xhr_now_us()))
        return 0;
    if (request->callbacks.on_body) {
        xhr_request_hold(request);
        request->callbacks.on_body(request, data, len, request->user);
        if (!xhr_request_is_same(request, epoch))
            return 0;
    } else if (!keep(request, data, len)) {
        return 0;
    }
    request->consumed += len;
    xhr_request_grant(request);
    return 0;
}
