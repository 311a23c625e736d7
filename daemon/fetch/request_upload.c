/* SPDX-License-Identifier: MIT */
/*
 * The body that goes up: from the message itself, from a stream of the owner's, or from a
 * passed descriptor. Never more of it is here than one window or one block.
 */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request_priv.h"

#define ACKS_EACH_US 50000   /* how often the kernel is asked what has arrived */
#define STALL_US     1000000 /* nothing taken for so long is told as a wait */

static bool is_stream(const struct request *request)
{
    return request->options.body_kind == REQUEST_BODY_STREAM;
}

/* ---- progress: what the peer took, not what we queued -------------------------------------
 */

/* Never more than has arrived, never less than was said before. */
static void look_at_acks(struct request *request)
{
    struct upload *upload = request->upload;

    if (upload->acked >= upload->sent)
        return; /* nothing is under way: no reason to ask the kernel */
    uint64_t unacked = request->exchange ? exchange_unacked(request->exchange) : upload->sent;
    uint64_t acked = unacked < upload->sent ? upload->sent - unacked : 0;

    if (acked <= upload->acked)
        return;
    upload->acked = acked;
    upload->moved_us = loop_now_us(request->fetcher->loop);
    upload->stall_told = false;
    /* A slow link that moves is not idle. A timer that rests waits for the owner's next bytes,
     * not for these. */
    if ((request->state == REQUEST_SENDING || request->state == REQUEST_AWAITING) &&
        !request->draining && timer_is_armed(&request->phase))
        request_touch(request);
}

void upload_tell_progress(struct request *request, bool now)
{
    const struct request_options *options = &request->options;
    struct upload *upload = request->upload;

    if (!upload)
        return;
    look_at_acks(request);
    if (upload->acked < upload->sent && !timer_is_armed(&upload->acks) &&
        timer_arm(&upload->acks, ACKS_EACH_US) < 0)
        log_warning(&request->log, "no memory to watch the upload, it is told at its end");
    bool last = upload->acked == upload->taken &&
                (upload->end_told ||
                 (options->body_has_length && upload->acked == options->body_length));

    if (request_is_failing(request) || request->draining ||
        !request_progress_is_due(request, &request->up_told, upload->acked, last || now))
        return;
    struct request_progress progress = {
        .upload = true,
        .done_bytes = upload->acked,
        .has_total = options->body_has_length || upload->whole,
        .total_bytes = upload->whole ? upload->taken : options->body_length,
        .wire_bytes = upload->acked,
    };
    request->events->on_progress(request->owner, &progress);
}

static void tell_stall(struct request *request)
{
    struct upload *upload = request->upload;
    bool goes_up = request->state == REQUEST_SENDING || request->state == REQUEST_AWAITING;

    if (upload->stall_told || !goes_up || request->draining || request_is_failing(request) ||
        upload->acked == upload->sent ||
        loop_now_us(request->fetcher->loop) - upload->moved_us < STALL_US)
        return;
    upload->stall_told = true;
    request_tell_wait(request, REQUEST_WAIT_BACKPRESSURE);
}

static void request_on_acks(void *owner)
{
    struct request *request = owner;

    upload_tell_progress(request, false);
    if (request->state != REQUEST_DONE)
        tell_stall(request);
}

int upload_new(struct request *request)
{
    struct upload *upload;

    if (!request->has_body)
        return 0;
    upload = mem_zalloc(sizeof(*upload));
    if (!upload)
        return fault(-ENOMEM);
    timer_init(&upload->acks, request->fetcher->loop, request_on_acks, request);
    request->upload = upload;
    return 0;
}

void upload_free(struct request *request)
{
    if (request->upload)
        buf_done(&request->upload->pending);
    request->upload = mem_free(request->upload);
}

/* ---- the body, piece by piece --------------------------------------------------------------
 */

static void end_of_body(struct request *request)
{
    struct upload *upload = request->upload;
    const struct request_options *options = &request->options;

    upload->end_told = true;
    upload->whole = options->body_has_length && upload->taken == options->body_length;
    if (exchange_wants_body(request->exchange)) { /* else its length says so already */
        upload->whole = true;
        exchange_end_body(request->exchange);
    }
    if (request->state == REQUEST_SENDING) {
        request_enter_state(request, REQUEST_AWAITING);
        request_touch(request); /* now it is the server's turn */
    }
    upload_tell_progress(request, false);
}

/* While the head goes up nobody but the owner is waited for; an answer that has begun has a
 * timer of its own. */
static void wait_for_bytes(struct request *request)
{
    if (request->state == REQUEST_SENDING)
        request_rest(request);
}

static size_t hand_over(struct request *request, struct span bytes)
{
    size_t n = bytes.len ? exchange_write_body(request->exchange, bytes) : 0;

    request->upload->taken += n;
    if (bytes.len > 0 && request->state == REQUEST_SENDING)
        request_touch(request);
    return n;
}

static void tell_taken(struct request *request, size_t n)
{
    struct upload *upload = request->upload;

    upload->consumed = true;
    upload->not_told += n;
    if (upload->not_told < REQUEST_UPLOAD_WINDOW / 4 && upload->pending.len > 0)
        return;
    uint64_t taken = upload->not_told;
    upload->not_told = 0;
    request->events->on_upload_taken(request->owner, taken);
}

/* Return: whether the exchange can take more; telling the owner may have ended it. */
static bool pump_pending(struct request *request)
{
    struct upload *upload = request->upload;
    size_t had = upload->pending.len;
    size_t n = hand_over(request, buf_span(&upload->pending));

    buf_consume(&upload->pending, n);
    charge_give_back(&upload->bytes, n < upload->bytes.amount ? n : upload->bytes.amount);
    if (n > 0 && is_stream(request))
        tell_taken(request, n);
    return n == had && request->exchange;
}

static void pump_inline(struct request *request)
{
    struct upload *upload = request->upload;
    struct span rest = {request->options.body_bytes + upload->offset,
                        (size_t)(request->options.body_length - upload->offset)};
    size_t n = hand_over(request, rest);

    upload->offset += n;
    if (n == rest.len)
        end_of_body(request);
}

static void pump_stream(struct request *request)
{
    if (!pump_pending(request))
        return;
    const struct request_options *options = &request->options;
    if (request->upload->ended ||
        (options->body_has_length && request->upload->received == options->body_length))
        end_of_body(request);
    else
        wait_for_bytes(request);
}

static void pump_file(struct request *request)
{
    if (!pump_pending(request))
        return;
    if (request->upload->ended) {
        end_of_body(request);
        return;
    }
    wait_for_bytes(request);
    if (fd_source_read(request->upload->file) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "no thread to read the body");
}

void upload_pump(struct request *request)
{
    const struct upload *upload = request->upload;

    if (!request->exchange || !upload || !upload->wanted || upload->end_told ||
        request->draining || request->state == REQUEST_ASKING || request_is_failing(request))
        return;
    if (!exchange_wants_body(request->exchange)) { /* an answer came first */
        end_of_body(request);
        return;
    }
    switch (request->options.body_kind) {
    case REQUEST_BODY_INLINE: pump_inline(request); break;
    case REQUEST_BODY_STREAM: pump_stream(request); break;
    case REQUEST_BODY_FD: pump_file(request); break;
    case REQUEST_BODY_NONE: break;
    }
}

static void request_on_block(void *owner, struct span bytes, int err)
{
    struct request *request = owner;
    struct failure why;

    if (err != 0) {
        failure_set(&why, FAILURE_BODY_READ, "the body's descriptor: %s", strerrordesc_np(err));
        why.sys_errno = err;
        request_finish(request, &why);
        return;
    }
    if (bytes.len == 0)
        request->upload->ended = true;
    if (buf_append(&request->upload->pending, bytes) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "no memory for the body");
        return;
    }
    upload_pump(request);
}

void upload_begin(struct request *request)
{
    static const struct fd_source_events events = {.on_block = request_on_block};
    const struct request_options *options = &request->options;

    if (options->body_kind != REQUEST_BODY_FD || request->upload->file)
        return;
    struct fd_source_options source = {
        .loop = request->fetcher->loop,
        .workers = request->fetcher->files,
        .lane = request->options.partition.uid,
        .quota = request_quota_of(&request->options),
        .fd = options->body_fd,
        .offset = options->body_offset,
        .length = options->body_has_length ? options->body_length : UINT64_MAX,
    };
    int r = fd_source_new(&request->upload->file, &source, &events, request);
    if (r < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "the body's descriptor cannot be used");
}

bool upload_can_rewind(const struct request *request)
{
    switch (request->options.body_kind) {
    case REQUEST_BODY_STREAM:
        return !request->upload->consumed || request->options.body_can_rewind;
    case REQUEST_BODY_FD:
        return !request->upload->file || fd_source_can_rewind(request->upload->file);
    case REQUEST_BODY_NONE:
    case REQUEST_BODY_INLINE: break;
    }
    return true;
}

int upload_rewind(struct request *request)
{
    struct upload *upload = request->upload;

    if (!upload_can_rewind(request))
        return -ESPIPE;
    upload->offset = 0;
    upload->taken = 0;
    upload->sent = 0;
    upload->acked = 0;
    upload->whole = false;
    upload->stall_told = false;
    request->up_told.bytes = 0;
    upload->end_told = false;
    upload->wanted = false;
    if (is_stream(request) && !upload->consumed)
        return 0;
    buf_clear(&upload->pending);
    charge_release(&upload->bytes);
    upload->ended = false;
    if (is_stream(request)) {
        upload->received = upload->not_told = 0;
        upload->consumed = false;
        upload->rewinds = true;
        return 1;
    }
    if (upload->file) { /* a read may be under way: a new source has none */
        fd_source_close(upload->file);
        upload->file = NULL;
    }
    return 0;
}

void upload_done(struct request *request)
{
    struct upload *upload = request->upload;

    if (!upload)
        return;
    timer_disarm(&upload->acks);
    charge_release(&upload->bytes);
    if (upload->file)
        fd_source_close(upload->file);
    upload->file = NULL;
}

int request_write_body(struct request *request, struct span bytes)
{
    struct upload *upload = request->upload;
    const struct request_options *options = &request->options;

    if (!is_stream(request) || (upload->ended && !upload->rewinds))
        return -EINVAL;
    if (request->state == REQUEST_DONE || !request->has_body || upload->rewinds)
        return 0; /* an answer came first: the rest is not wanted */
    if (bytes.len > REQUEST_UPLOAD_WINDOW - upload->pending.len ||
        (options->body_has_length && bytes.len > options->body_length - upload->received))
        return -EMSGSIZE;
    struct quota *quota = request_quota_of(&request->options);
    int r = quota ? charge_take_spare(&upload->bytes, quota, QUOTA_BYTES, bytes.len) : 0;
    if (r == 0)
        r = buf_append(&upload->pending, bytes);
    if (r < 0)
        return r;
    upload->received += bytes.len;
    if (request->state == REQUEST_SENDING)
        request_touch(request); /* from here on it is the server's turn */
    request_later(request, REQUEST_STEP_UPLOAD);
    return 0;
}

bool request_awaits_body(const struct request *request)
{
    return is_stream(request) && request->has_body && !request->upload->ended &&
           !request->upload->end_told && request->state != REQUEST_DONE;
}

int request_end_body(struct request *request)
{
    const struct request_options *options = &request->options;

    if (!is_stream(request) || (request->upload->ended && !request->upload->rewinds))
        return -EINVAL;
    if (request->state == REQUEST_DONE || !request->has_body || request->upload->rewinds)
        return 0;
    if (options->body_has_length && request->upload->received < options->body_length)
        return -EMSGSIZE;
    request->upload->ended = true;
    request_later(request, REQUEST_STEP_UPLOAD);
    return 0;
}
