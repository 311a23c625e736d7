/* SPDX-License-Identifier: MIT */
#include "fetch/request.h"

#include <errno.h>

#include "base/certificate.h"
#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request_priv.h"
#include "http/status.h"

#define PROGRESS_EACH_US (50 * 1000)
#define DRAIN_US         (1000 * 1000) /* for the rest of an answer that is not the last */

/* There may be thousands: what few of them have lies in blocks of its own. */
_Static_assert(sizeof(struct request) <= REQUEST_BYTES_MAX, "a request has grown");

void fetcher_init(struct fetcher *fetcher, struct loop *loop)
{
    *fetcher = (struct fetcher){.loop = loop,
                                .options = {.connect_timeout_us = INT64_C(60000000),
                                            .idle_timeout_us = INT64_C(60000000),
                                            .user_agent = "xhrd",
                                            .tls_min_version = 0x0301,
                                            .answer = ANSWER_LIMITS_DEFAULT}};
    link_init(&fetcher->requests);
    fetcher->spares = SPARES_INIT(sizeof(struct request));
    auth_cache_init(&fetcher->logins);
}

void fetcher_done(struct fetcher *fetcher)
{
    auth_cache_done(&fetcher->logins);
    fetcher->warned_of_tls = hsts_free(fetcher->warned_of_tls);
    known_origins_done(&fetcher->origins);
    spares_done(&fetcher->spares);
}

void request_enter_state(struct request *request, enum request_state next)
{
    INVARIANT(request_state_may_follow(request->state, next));
    log_debug(&request->log, "%s -> %s", request_state_name(request->state),
              request_state_name(next));
    request->state = next;
}

/* ---- steps and timers ------------------------------------------------------------------ */

static void fail_now(struct request *request);
static void go_on(struct request *request);

static void request_on_next(void *owner)
{
    static void (*const steps[REQUEST_STEP_COUNT])(struct request *) = {
        [REQUEST_STEP_FAIL] = fail_now,
        [REQUEST_STEP_DECIDE] = request_decide,
        [REQUEST_STEP_ANSWER] = request_on_answer,
        [REQUEST_STEP_NEXT_HOP] = request_next_hop,
        [REQUEST_STEP_UPLOAD] = upload_pump,
        [REQUEST_STEP_DELIVER] = go_on,
    };
    struct request *request = owner;
    unsigned due = request->due;

    request->due = 0;
    for (unsigned i = 0; i < REQUEST_STEP_COUNT && request->state != REQUEST_DONE; i++) {
        if (due & (1U << i))
            steps[i](request);
    }
}

void request_later(struct request *request, enum request_step step)
{
    request->due |= 1U << step;
    loop_defer(request->fetcher->loop, &request->next);
}

bool request_is_failing(const struct request *request)
{
    return request->due & (1U << REQUEST_STEP_FAIL);
}

void request_tell_wait(struct request *request, enum request_wait reason)
{
    request->waits_for = reason;
    request->events->on_wait(request->owner, reason);
}

void request_touch(struct request *request)
{
    if (request->options.idle_timeout_us == 0)
        return;
    if (timer_arm(&request->phase, request->options.idle_timeout_us) < 0)
        log_warning(&request->log, "no memory for the idle timer, going on without");
}

void request_rest(struct request *request)
{
    timer_disarm(&request->phase);
}

void request_drain(struct request *request)
{
    request->draining = true;
    request->drained_bytes = 0;
    if (timer_arm(&request->phase, DRAIN_US) < 0)
        request_later(request, REQUEST_STEP_NEXT_HOP);
}

static void request_on_idle(void *owner)
{
    struct request *request = owner;
    struct failure why;

    if (request->draining) { /* it does not come: a connection is not worth the wait */
        request_next_hop(request);
        return;
    }
    if (request_early_on_timer(request))
        return;
    if (request->state == REQUEST_ASKING && request->asking.question == QUESTION_VERDICT) {
        request_on_verdict_deadline(request);
        return;
    }
    failure_set(&why, FAILURE_TIMEOUT_IDLE,
                request->state == REQUEST_ASKING
                    ? "the client was asked and has not answered for %lld ms"
                    : "nothing moved for %lld ms",
                (long long)request->options.idle_timeout_us / 1000);
    request_break(request, &why);
}

static void request_on_total(void *owner)
{
    struct request *request = owner;
    struct failure why;

    bool is_offline =
        request->state == REQUEST_DECIDING && request->waits_for == REQUEST_WAIT_CONNECTIVITY;
    failure_set(&why, FAILURE_TIMEOUT_TOTAL, "not finished after %lld ms%s",
                (long long)request->options.total_timeout_us / 1000,
                is_offline ? ", there was no network" : "");
    request_finish(request, &why);
}

/* ---- the end --------------------------------------------------------------------------- */

/* Of a request that has no connection yet. */
static enum failure_phase phase_of_wait(enum request_wait waits_for)
{
    switch (waits_for) {
    case REQUEST_WAIT_DNS: return PHASE_DNS;
    case REQUEST_WAIT_CONNECT:
    case REQUEST_WAIT_CONNECTIVITY: return PHASE_CONNECT;
    case REQUEST_WAIT_TLS:
    case REQUEST_WAIT_VERDICT: return PHASE_TLS;
    case REQUEST_WAIT_QUEUED:
    case REQUEST_WAIT_AUTH:
    case REQUEST_WAIT_BACKPRESSURE: break;
    }
    return PHASE_QUEUED;
}

static enum failure_phase phase_of(struct request *request)
{
    switch (request->state) {
    case REQUEST_SENDING: return PHASE_SEND;
    case REQUEST_AWAITING:
        if (request->exchange)
            exchange_info(request->exchange, &request->info);
        if (request->upload && request->upload->acked < request->upload->sent)
            return PHASE_SEND; /* by us, but not taken by the peer */
        return request->info.first_byte_us > 0 ? PHASE_HEAD : PHASE_WAIT;
    case REQUEST_ASKING: return PHASE_WAIT;
    case REQUEST_RECEIVING: return PHASE_BODY;
    case REQUEST_WAITING: return phase_of_wait(request->waits_for);
    case REQUEST_DECIDING:
        return request->waits_for == REQUEST_WAIT_CONNECTIVITY ? PHASE_CONNECT : PHASE_QUEUED;
    case REQUEST_NEW:
    case REQUEST_DONE:
    case REQUEST_STATE_COUNT: break;
    }
    return PHASE_QUEUED;
}

/* With memory of their own, if there is some; else they are empty. */
static void move_words(struct request *request, bool are_wanted)
{
    struct exchange_info *info = &request->info;
    struct span *const words[] = {&info->remote_address, &info->local_address,
                                  &info->tls_version, &info->tls_cipher, &info->tls_alpn};
    struct kept_answer *kept = are_wanted ? request_keep(request) : NULL;
    size_t len = 0;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        len += words[i]->len;
    char *copy = kept ? mem_alloc(len) : NULL;
    char *at = copy;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (copy)
            memcpy(at, words[i]->ptr ? words[i]->ptr : "", words[i]->len);
        *words[i] = copy ? (struct span){at, words[i]->len} : (struct span){0};
        at += copy ? words[i]->len : 0;
    }
    if (!kept)
        return;
    mem_free(kept->words);
    kept->words = copy;
}

void request_note_exchange(struct request *request)
{
    exchange_info(request->exchange, &request->info);
    move_words(request,
               !request->head_told && !request->draining && request->state != REQUEST_DONE);
}

void request_drop_connection(struct request *request)
{
    if (request->exchange) { /* of HTTP/2 the stream alone: others are on the connection */
        request_note_exchange(request);
        exchange_close(TAKE(request->exchange));
    }
    if (request->lease)
        lease_release(request->lease);
    request->lease = NULL;
}

static void release(struct request *request)
{
    struct fetcher *fetcher = request->fetcher;

    request_drop_connection(request);
    fetcher->counters.bytes_down += request->pipeline.wire_bytes;
    fetcher->counters.bytes_up += request->upload ? request->upload->sent : 0;
    timer_disarm(&request->phase);
    timer_disarm(&request->total);
    loop_defer_cancel(fetcher->loop, &request->next);
    if (fetcher->network)
        network_wait_cancel(fetcher->network, &request->network_wait);
    jar_lease_close(&request->jar);
    fetcher->cookies.open_cancel(&request->cookie_wait);
    fetcher->cookies.commit_cancel(&request->cookie_commit);
    upload_done(request);
    charge_release(&request->rest_charge);
    if (request->sink)
        fd_sink_close(request->sink);
    request->sink = NULL;
    link_remove(&request->link);
    fetcher->n_requests--;
}

struct kept_answer *request_keep(struct request *request)
{
    struct kept_answer *kept = request->kept;

    if (kept)
        return kept;
    kept = request->kept = mem_zalloc(sizeof(*kept));
    if (!kept)
        return NULL;
    headers_init(&kept->headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    headers_init(&kept->masked, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    headers_init(&kept->trailers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    return kept;
}

static void kept_answer_free(struct kept_answer *kept)
{
    if (!kept)
        return;
    headers_done(&kept->headers);
    headers_done(&kept->masked);
    headers_done(&kept->trailers);
    buf_done(&kept->reason);
    mem_free(kept->words);
    mem_free(kept);
}

static void request_reap(struct reap *reap)
{
    struct request *request = (struct request *)(void *)reap;

    body_pipeline_done(&request->pipeline);
    headers_done(&request->sent);
    request_credential_done(request);
    kept_answer_free(request->kept);
    buf_done(&request->coding);
    upload_free(request);
    certificates_free(request->certificates);
    mem_free(request->cache);
    redirect_free(request->redirect);
    url_free(request->first_url);
    request_auth_done(request);
    request_proxy_done(request);
    request_options_done(&request->options);
    known_origins_put(&request->fetcher->origins, request->origin);
    failure_drop(request->failure);
    failure_drop(request->asking.broken);
    mem_free(request->rungs);
    spares_put(&request->fetcher->spares, request);
}

/* When the owner's last event has gone out: a client does not wait for the journal. */
static void log_end(void *owner)
{
    const struct request *request = owner;
    const struct failure *why = request->failure;
    long long ms = (long long)request->timing.total_us / 1000;

    if (why)
        log_info(&request->log, "%s %s%.*s failed in %lld ms: %s: %s", request->options.method,
                 known_origin_text(request->origin), (int)request->options.url.path.len,
                 request->options.url.path.ptr, ms, failure_kind_name(why->kind), why->text);
    else
        log_info(&request->log, "%s %s%.*s %u, %llu bytes in %lld ms%s",
                 request->options.method, known_origin_text(request->origin),
                 (int)request->options.url.path.len, request->options.url.path.ptr,
                 request->head.status, (unsigned long long)request->pipeline.body_bytes, ms,
                 request->from_cache != REQUEST_FROM_NETWORK ? ", stored"
                 : request->info.reused                      ? ", reused connection"
                                                             : "");
}

static void log_later(struct request *request, const struct failure *why)
{
    request->timing.total_us = loop_now_us(request->fetcher->loop) - request->begun_us;
    if (log_get_level() < LOG_LEVEL_INFO)
        return;
    request->failure =
        why ? failure_keep(request->failure, why) : failure_drop(request->failure);
    request->next.fn = log_end;
    loop_defer_last(request->fetcher->loop, &request->next);
}

void request_finish(struct request *request, const struct failure *why)
{
    struct failure copy;

    if (request->state == REQUEST_DONE || (why && request_cache_rescues(request, why)))
        return;
    request_cache_end(request, !why);
    if (why) {
        copy = *why;
        if (copy.phase == PHASE_NONE)
            copy.phase = phase_of(request);
        why = &copy;
        request->fetcher->counters.requests_failed++;
    }
    request_enter_state(request, REQUEST_DONE);
    release(request);
    log_later(request, why);
    request->events->on_done(request->owner, why);
    loop_defer_free(request->fetcher->loop, &request->reap, request_reap);
}

void request_finish_kind(struct request *request, enum failure_kind kind, const char *text)
{
    struct failure why;

    failure_set(&why, kind, "%s", text);
    request_finish(request, &why);
}

void request_own_body(struct request *request, char *memory)
{
    request->options.body_memory = memory;
}

void request_close(struct request *request)
{
    struct failure why;

    if (request->state == REQUEST_DONE)
        return;
    request_enter_state(request, REQUEST_DONE);
    request_cache_end(request, false);
    release(request);
    failure_set(&why, FAILURE_ABORTED, "its client went away");
    log_later(request, &why);
    loop_defer_free(request->fetcher->loop, &request->reap, request_reap);
}

static void fail_now(struct request *request)
{
    request_finish(request, request->failure);
}

void request_fail(struct request *request, const struct failure *why)
{
    if (request->state == REQUEST_DONE || request_is_failing(request))
        return;
    request->failure = failure_keep(request->failure, why);
    request_rest(request);
    if (request->exchange)
        exchange_pause(request->exchange); /* nothing more is told before the end */
    request_later(request, REQUEST_STEP_FAIL);
}

/* ---- the beginning --------------------------------------------------------------------- */

static int open_sink(struct request *request);

int request_new(struct request **ret,
                struct fetcher *fetcher,
                struct request_options *options,
                const struct request_events *events,
                void *owner)
{
    struct request *request = spares_take(&fetcher->spares);

    if (!request)
        return fault(-ENOMEM);
    memset(request, 0, sizeof(*request));
    request->fetcher = fetcher;
    request->events = events;
    request->owner = owner;
    request->options = *options;
    request->has_body = request->options.body_kind != REQUEST_BODY_NONE;
    int r = upload_new(request);
    if (r == 0)
        r = open_sink(request);
    if (r < 0) {
        upload_free(request);
        spares_put(&fetcher->spares, request);
        return r;
    }
    request_options_init(options); /* moved */
    if (request->options.ca_pem_bytes)
        request->options.tls.ca_pem.ptr = request->options.ca_pem_bytes;
    request->id = ++fetcher->last_id;
    request->begun_us = loop_now_us(fetcher->loop);
    request->log =
        (struct log_subject){.request_id = request->id,
                             .uid = request->options.partition.uid,
                             .has_uid = true,
                             .jar = request->options.jar ? request->options.jar : "default",
                             .unit = request->options.unit};
    headers_init(&request->sent, HEADERS_BYTES_MAX * 2, HEADERS_COUNT_MAX * 2);
    request->next = (struct deferred){.fn = request_on_next, .owner = request};
    timer_init(&request->phase, fetcher->loop, request_on_idle, request);
    timer_init(&request->total, fetcher->loop, request_on_total, request);
    body_pipeline_init(
        &request->pipeline, request->sink ? UINT64_MAX : request->options.response_credit,
        request->options.has_response_max ? request->options.response_max : UINT64_MAX);
    list_append(&fetcher->requests, &request->link);
    fetcher->n_requests++;
    fetcher->counters.requests_total++;
    request_later(request, REQUEST_STEP_DECIDE);
    *ret = request;
    return 0;
}

static int find_origin(struct request *request)
{
    struct known_origins *origins = &request->fetcher->origins;
    const struct origin *origin;
    int r = known_origins_get(origins, &request->options.url, &origin);

    if (r != ORIGIN_OK)
        return r;
    known_origins_put(origins, request->origin);
    request->origin = origin;
    request->log.origin = known_origin_text(origin);
    return ORIGIN_OK;
}

void request_decide(struct request *request)
{
    if (request->state == REQUEST_NEW) {
        request_enter_state(request, REQUEST_DECIDING);
        if (request->options.total_timeout_us > 0 &&
            timer_arm(&request->total, request->options.total_timeout_us) < 0) {
            request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
            return;
        }
    }
    if (!request_upgrade(request))
        return;
    int r = find_origin(request);
    if (r != ORIGIN_OK) {
        request_finish_kind(request, r < 0 ? FAILURE_INTERNAL : FAILURE_URL,
                            r < 0 ? "out of memory" : origin_outcome_text(r));
        return;
    }
    if (request_may_go(request) && request_open_jar(request) && request_cache_decide(request))
        request_acquire(request, false);
}

/* ---- the answer ------------------------------------------------------------------------ */

static size_t format_proxy(const struct request *request, char ret[PROXY_TEXT_SIZE])
{
    const struct proxy *proxy = request->proxy;

    return proxy ? proxy_format(proxy->kind, &proxy->origin, ret) : 0;
}

/* @proxy: storage of a text. */
static void
describe_head(struct request *request, char proxy[PROXY_TEXT_SIZE], struct request_head *ret)
{
    const struct response_head *head = &request->head;
    struct exchange_info *info = &request->info;

    if (request->exchange)
        exchange_info(request->exchange, info);
    *ret = (struct request_head){
        .status = head->status,
        .http_version = head->http_version,
        .reason = head->reason,
        .headers = head->headers,
        .url = &request->options.url,
        .redirects = request->redirects,
        .has_size = !request->pipeline.decoder && (head->has_length || !head->has_body),
        .size_bytes = head->has_body ? head->body_bytes : 0,
        .coding = request->pipeline.decoder ? buf_span(&request->coding) : (struct span){0},
        .sent = &request->sent,
        .exchange = info,
        .rungs = request->rungs,
        .is_old_tls = info->is_tls && request->tls_version < 0x0303,
        .early = request_early_outcome(request),
        .proxy = {proxy, format_proxy(request, proxy)},
        .is_tunnel =
            request->proxy_way == PROXY_WAY_CONNECT || request->proxy_way == PROXY_WAY_SOCKS5,
        .from_cache = request->from_cache,
        .age_s = request->stored_age_s,
        .certificates = request->certificates,
    };
}

void request_tell_hop(struct request *request)
{
    char proxy[PROXY_TEXT_SIZE];
    struct request_head told;
    struct headers shown;

    if (request->state == REQUEST_DONE)
        return;
    describe_head(request, proxy, &told);
    headers_init(&shown, 2 * HEADERS_BYTES_MAX, HEADERS_COUNT_MAX); /* encoding makes longer */
    told.headers = &shown;
    if (redirect_hide_userinfo(request->head.headers, &request->options.url, &shown) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
    else
        request->events->on_hop(request->owner, &told);
    headers_done(&shown);
}

void request_tell_head(struct request *request)
{
    char proxy[PROXY_TEXT_SIZE];
    struct request_head told;

    describe_head(request, proxy, &told);
    request->head_told = true;
    request->head_waits = false;
    request_enter_state(request, REQUEST_RECEIVING);
    request->events->on_head(request->owner, &told);
}

bool request_progress_is_due(struct request *request,
                             struct progress_told *told,
                             uint64_t bytes,
                             bool last)
{
    int64_t now_us = loop_now_us(request->fetcher->loop);

    if (bytes == told->bytes || !request->events->on_progress ||
        (!last && now_us - told->when_us < PROGRESS_EACH_US))
        return false;
    *told = (struct progress_told){now_us, bytes};
    return true;
}

static void tell_progress(struct request *request, bool last)
{
    if (!request_progress_is_due(request, &request->down_told, request->pipeline.body_bytes,
                                 last))
        return;
    struct request_progress progress = {
        .done_bytes = request->pipeline.body_bytes,
        .has_total = !request->pipeline.decoder && request->head.has_length,
        .total_bytes = request->head.body_bytes,
        .wire_bytes = request->pipeline.wire_bytes,
    };
    request->events->on_progress(request->owner, &progress);
}

static void give(struct request *request, struct span bytes)
{
    if (request->sink)
        fd_sink_write(request->sink, bytes);
    else
        request->events->on_body(request->owner, bytes);
    if (request->state != REQUEST_DONE && !request_is_failing(request))
        tell_progress(request, false);
}

static void finish_whole(struct request *request)
{
    tell_progress(request, true);
    if (!request_is_failing(request)) /* the owner may have had enough just now */
        request_finish(request, NULL);
}

static void complete(struct request *request)
{
    if (request->sink) {
        request_rest(request);
        fd_sink_flush(request->sink);
    } else {
        finish_whole(request);
    }
}

/* Return: the outcome that stopped it; DONE requests give BODY_BLOCKED. */
static int hand_over(struct request *request, struct span *input)
{
    struct span scratch = {request->fetcher->scratch, FETCH_SCRATCH_BYTES};
    struct failure why;
    int r = BODY_BLOCKED;

    while (request->state == REQUEST_RECEIVING && !request->congested &&
           !request_is_failing(request)) {
        struct span bytes;

        if (request->sink)
            request->pipeline.credit = fd_sink_room(request->sink);
        r = body_pipeline_next(&request->pipeline, input, scratch, &bytes, &why);
        if (r != BODY_BYTES)
            break;
        give(request, bytes);
        r = BODY_BLOCKED; /* should the loop end here */
    }
    if (r < 0) {
        request_finish(request, &why);
        return BODY_BLOCKED;
    }
    return request->state == REQUEST_RECEIVING ? r : BODY_BLOCKED;
}

void request_pay_for_rest(struct request *request)
{
    size_t rest = request->pipeline.rest.len;
    uint64_t paid = request->rest_charge.amount;

    if (rest < paid)
        charge_give_back(&request->rest_charge, paid - rest);
}

/* What the owner does not take now. A passed descriptor takes it before long, and there are few
 * of them: its user pays whatever he holds. */
static void keep_rest(struct request *request, struct span input)
{
    struct quota *quota = request_quota_of(&request->options);
    int r = 0;

    if (quota && request->sink)
        charge_take_anyway(&request->rest_charge, quota, QUOTA_BYTES, input.len);
    else if (quota)
        r = charge_take_spare(&request->rest_charge, quota, QUOTA_BYTES, input.len);
    if (r < 0)
        request_finish_kind(request, FAILURE_QUOTA, "too many bytes of this user are held");
    else if (body_pipeline_keep(&request->pipeline, input) < 0)
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
}

/* What had to wait, now that it may go on. */
static void hand_over_rest(struct request *request)
{
    struct span rest = buf_span(&request->pipeline.rest);
    int r = hand_over(request, &rest);

    if (request->state != REQUEST_RECEIVING)
        return;
    buf_consume(&request->pipeline.rest, request->pipeline.rest.len - rest.len);
    if (request->pipeline.rest.len == 0)
        buf_done(&request->pipeline.rest);
    request_pay_for_rest(request);
    if (r == BODY_WHOLE || (r == BODY_HUNGRY && request->is_broken)) {
        complete(request);
    } else if (r == BODY_HUNGRY) {
        request_touch(request);
        request_resume_input(request);
    }
}

void request_deliver(struct request *request, struct span input)
{
    if (request->pipeline.rest.len > 0) { /* behind what waits already */
        keep_rest(request, input);
        return;
    }
    int r = hand_over(request, &input);

    if (request->state != REQUEST_RECEIVING)
        return;
    if (r == BODY_WHOLE) {
        complete(request);
        return;
    }
    if (r == BODY_HUNGRY)
        return;
    request_rest(request); /* it is the owner's turn */
    if (request->exchange)
        exchange_pause(request->exchange);
    if (input.len > 0)
        keep_rest(request, input);
}

void request_break(struct request *request, const struct failure *why)
{
    if (!request->sink || request->state != REQUEST_RECEIVING || request_is_failing(request)) {
        request_finish(request, why);
        return;
    }
    struct failure copy = *why;
    if (why->phase == PHASE_NONE)
        copy.phase = PHASE_BODY;
    request->failure = failure_keep(request->failure, &copy);
    request->is_broken = true;
    request_rest(request);
    request_drop_connection(request);
    hand_over_rest(request);
}

static void go_on(struct request *request)
{
    if (request->state == REQUEST_RECEIVING && !request->congested)
        hand_over_rest(request);
}

void request_add_credit(struct request *request, uint64_t bytes)
{
    bool was_blocked = request->pipeline.credit == 0;

    body_pipeline_add_credit(&request->pipeline, bytes);
    if (was_blocked && request->state == REQUEST_RECEIVING)
        request_later(request, REQUEST_STEP_DELIVER);
}

void request_set_congested(struct request *request, bool congested)
{
    if (request->congested == congested)
        return;
    request->congested = congested;
    if (request->state != REQUEST_RECEIVING)
        return;
    if (congested && request->exchange) {
        request_rest(request);
        exchange_pause(request->exchange);
    } else if (!congested) {
        request_later(request, REQUEST_STEP_DELIVER);
    }
}

/* ---- the answer into a file ------------------------------------------------------------ */

static void request_on_sink_room(void *owner)
{
    go_on(owner);
}

static void request_on_sink_flushed(void *owner)
{
    struct request *request = owner;

    if (request->is_broken)
        request_finish(request, request->failure);
    else
        finish_whole(request);
}

static void request_on_sink_failed(void *owner, int err)
{
    struct failure why;

    failure_set(&why, FAILURE_WRITE, "the answer's descriptor: %s", strerrordesc_np(err));
    why.sys_errno = err;
    request_finish(owner, &why);
}

static int open_sink(struct request *request)
{
    static const struct fd_sink_events events = {
        .on_room = request_on_sink_room,
        .on_flushed = request_on_sink_flushed,
        .on_failed = request_on_sink_failed,
    };

    if (request->options.response_fd < 0)
        return 0;
    struct fd_sink_options sink = {
        .loop = request->fetcher->loop,
        .workers = request->fetcher->files,
        .lane = request->options.partition.uid,
        .quota = request_quota_of(&request->options),
        .fd = request->options.response_fd,
        .offset = request->options.response_offset,
        .sync = request->options.response_sync,
        .at_position = request->options.response_at_position,
        .size_max = request->options.has_response_size_max ? request->options.response_size_max
                                                           : UINT64_MAX,
    };
    return fd_sink_new(&request->sink, &sink, &events, request);
}

static int refuse_fd_now(struct failure *ret_why, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "body_to_fd: %s", what);
    return -EINVAL;
}

int request_give_to_fd(struct request *request,
                       int fd,
                       const struct response_place *place,
                       struct failure *ret_why)
{
    if (!request->sink) {
        request->options.response_offset = place->offset;
        request->options.response_sync = place->sync;
        request->options.response_at_position = place->at_position;
        request->options.has_response_size_max = place->has_size_max;
        request->options.response_size_max = place->size_max;
    }
    int r = request_options_set_response_fd(&request->options, fd, ret_why);
    if (r < 0)
        return r;
    if (request->sink)
        return refuse_fd_now(ret_why, "the body goes to a descriptor already");
    if (request->state != REQUEST_RECEIVING)
        return refuse_fd_now(ret_why, "wants to come after the head");
    if (request->pipeline.body_bytes > 0 && !place->at_position)
        return refuse_fd_now(ret_why, "bytes of the body were sent already; open with "
                                      "response_credit_bytes 0");
    if (place->at_position && request->pipeline.credit > 0)
        return refuse_fd_now(ret_why, "at_position wants all credit to be used up");
    r = open_sink(request);
    if (r < 0) {
        failure_set(ret_why, FAILURE_INTERNAL, "the answer's descriptor: %s",
                    strerrordesc_np(-r));
        return r;
    }
    request_later(request, REQUEST_STEP_DELIVER);
    return 0;
}

/* ---- questions ------------------------------------------------------------------------- */

uint64_t request_id(const struct request *request)
{
    return request->id;
}

void request_get_totals(const struct request *request, struct request_totals *ret)
{
    const struct upload *upload = request->upload;
    bool is_whole = upload && upload->whole;

    *ret = (struct request_totals){
        .body_bytes = request->pipeline.body_bytes,
        .wire_bytes = request->draining ? 0 : request->pipeline.wire_bytes, /* the hop's */
        .upload_bytes = upload ? upload->acked : 0,
        .has_upload_total = request->options.body_has_length || is_whole,
        .upload_total = is_whole ? upload->taken : request->options.body_length,
        .header_bytes = request->info.response_head_bytes,
        .request_bytes = request->info.request_bytes,
        .cookies_not_persisted = request->cookies_not_persisted,
    };
}

const struct headers *request_trailers(const struct request *request)
{
    static const struct headers none;

    return request->kept ? &request->kept->trailers : &none;
}

void request_get_timing(const struct request *request, struct request_timing *ret)
{
    *ret = request->timing;
    if (request->info.sent_us)
        ret->sent_us = request->info.sent_us - request->begun_us;
    if (request->info.first_byte_us)
        ret->first_byte_us = request->info.first_byte_us - request->begun_us;
}

void request_describe(struct request *request, struct request_row *ret)
{
    *ret = (struct request_row){
        .id = request->id,
        .uid = request->options.partition.uid,
        .method = request->options.method,
        .url = &request->options.url,
        .state = request_state_name(request->state),
        .age_us = loop_now_us(request->fetcher->loop) - request->begun_us,
        .body_bytes = request->pipeline.body_bytes,
        .connection_id = request->info.connection_id,
        .early = request_early_now(request),
        .owner = request->owner,
    };
}

void request_each(struct fetcher *fetcher,
                  bool (*fn)(void *arg, const struct request_row *row),
                  void *arg)
{
    LIST_FOREACH (at, &fetcher->requests) {
        struct request *request = CONTAINER_OF(at, struct request, link);

        if (request->exchange)
            exchange_info(request->exchange, &request->info);
        struct request_row row;

        request_describe(request, &row);
        if (!fn(arg, &row))
            return;
    }
}
