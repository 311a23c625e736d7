/* SPDX-License-Identifier: MIT */
#include "fetch/request_cache.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request_priv.h"
#include "http/field.h"
#include "policy/cache_rules.h"

#define TLS_LEAST_KEPT 0x0303 /* TLS 1.2 */

static const struct cache_access *access_of(const struct request *request)
{
    return &request->fetcher->cache;
}

static int64_t now_of(const struct request *request)
{
    return loop_wall_s(request->fetcher->loop);
}

static struct cache_answer answer_of(const struct cache_entry *entry)
{
    return (struct cache_answer){.status = entry->status,
                                 .headers = &entry->headers,
                                 .request_time_s = entry->request_time_s,
                                 .response_time_s = entry->response_time_s};
}

static void judge(const struct request *request, struct cache_judgement *ret)
{
    struct cache_answer answer = answer_of(&request->cache->hit->entry);

    cache_judge(&answer, &request->cache->control, now_of(request), ret);
}

/* ---- telling the owner what is stored -------------------------------------------------- */

static void serve_nothing(struct request *request)
{
    static const struct headers none;

    request->head = (struct response_head){.status = 504,
                                           .http_version = 11,
                                           .reason = SPAN_LIT("Gateway Timeout"),
                                           .headers = &none,
                                           .has_length = true};
    request->from_cache = REQUEST_FROM_NETWORK;
    request->cache->is_served = true;
    request_take_head(request);
    request_resume_input(request);
}

/* §5.1: how old it is, in place of how old it was. */
static int set_age(struct request *request)
{
    struct cache_entry *entry = &request->cache->hit->entry;
    struct cache_answer answer = answer_of(entry);
    CLEANUP_BUF struct buf text = BUF_INIT(0);

    request->stored_age_s = cache_age_s(&answer, now_of(request));
    int r = buf_append_u64(&text, (uint64_t)request->stored_age_s);
    return r == 0 ? headers_set(&entry->headers, SPAN_LIT("Age"), buf_span(&text)) : r;
}

static bool is_head(const struct request *request)
{
    return span_eq(span_of(request->options.method), SPAN_LIT("HEAD"));
}

/* To a HEAD, what is stored of the GET without its body. */
static void serve(struct request *request, enum request_from_cache from)
{
    struct request_cache *cache = request->cache;
    const struct cache_entry *entry = &cache->hit->entry;
    uint64_t body_bytes = is_head(request) ? 0 : entry->body_bytes;

    if (set_age(request) < 0) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return;
    }
    request_rest(request);
    request->from_cache = from;
    cache->is_served = true;
    cache->left = body_bytes;
    if (from != REQUEST_FROM_CACHE_STILL) { /* what was sent, and to whom, is not its story */
        headers_clear(&request->sent);
        request->info = (struct exchange_info){0};
    }
    request->head = (struct response_head){.status = entry->status,
                                           .http_version = entry->http_version,
                                           .reason = span_of(entry->reason),
                                           .headers = &entry->headers,
                                           .has_body = body_bytes > 0,
                                           .has_length = true,
                                           .body_bytes = body_bytes};
    if (request_goes_on(request, &request->head)) { /* a redirect */
        if (request->draining)
            request_later(request, REQUEST_STEP_NEXT_HOP);
        return;
    }
    request_take_head(request);
    request_resume_input(request);
}

/* ---- its body -------------------------------------------------------------------------- */

/* Somebody has cut it off since it was found. */
static void on_damage(struct request *request, int err)
{
    const struct cache_hit *hit = request->cache->hit;
    const struct cache_access *access = access_of(request);
    struct failure why;

    access->forget(access->owner, &request->options.partition, span_of(hit->entry.url),
                   hit->id);
    failure_set(&why, FAILURE_TRUNCATED, "the stored answer cannot be read: %s",
                err ? strerrordesc_np(err) : "it is too short");
    why.sys_errno = err;
    request_finish(request, &why);
}

static void request_on_block(void *owner, struct span bytes, int err)
{
    struct request *request = owner;
    struct request_cache *cache = request->cache;

    cache->is_reading = false;
    if (err || bytes.len == 0) {
        on_damage(request, err);
        return;
    }
    cache->left -= bytes.len;
    request_touch(request);
    request_deliver(request, bytes);
    if (request->state == REQUEST_RECEIVING && request->pipeline.rest.len == 0)
        request_resume_input(request);
}

static int open_source(struct request *request)
{
    static const struct fd_source_events events = {.on_block = request_on_block};
    struct fd_source_options options = {
        .loop = request->fetcher->loop,
        .workers = request->fetcher->cache_files,
        .is_ours = true,
        .quota = request_quota_of(&request->options),
        .fd = request->cache->hit->body_fd,
        .length = request->cache->left,
    };

    return fd_source_new(&request->cache->source, &options, &events, request);
}

static void read_more(struct request *request)
{
    struct request_cache *cache = request->cache;

    if (cache->left == 0) {
        if (request->pipeline.ended)
            return;
        body_pipeline_end(&request->pipeline);
        request_deliver(request, (struct span){0});
        return;
    }
    int r = cache->source ? 0 : open_source(request);
    if (r == 0)
        r = fd_source_read(cache->source);
    if (r < 0)
        on_damage(request, -r);
    else
        cache->is_reading = true;
}

void request_resume_input(struct request *request)
{
    const struct request_cache *cache = request->cache;

    if (request->exchange) {
        if (!cache || !cache->is_full)
            exchange_resume(request->exchange);
    } else if (cache && cache->is_served && !cache->is_reading && !request->congested &&
               request->state == REQUEST_RECEIVING && !request_is_failing(request)) {
        read_more(request);
    }
}

/* ---- before the network ---------------------------------------------------------------- */

static void request_on_found(void *owner, struct cache_hit *hit)
{
    struct request *request = owner;

    request->cache->hit = hit;
    request_later(request, REQUEST_STEP_DECIDE);
}

/* What the caller says of who he is, where a server could answer each of them something else:
 * a login, cookies of his own, or of a jar that is nobody else's. */
static bool has_credentials(const struct request *request)
{
    const struct request_options *options = &request->options;

    if (options->private_jar && headers_has(&request->sent, SPAN_LIT("Cookie")))
        return true;
    return cache_has_credentials(&options->headers) ||
           headers_has(&options->headers, SPAN_LIT("Cookie")) ||
           (options->auth_scheme != AUTH_SCHEME_NONE && !request->left_origin) ||
           url_has_credentials(&request->options.url);
}

static struct span jar_of(const struct request *request)
{
    if (!request->has_jar || request->options.private_jar)
        return (struct span){0};
    return request->options.jar ? span_of(request->options.jar) : SPAN_LIT("default");
}

/* Return: enum cache_find_outcome. */
static int find(struct request *request)
{
    const struct cache_access *access = access_of(request);
    struct request_cache *cache = request->cache;
    CLEANUP_BUF struct buf url = BUF_INIT(0);

    if (request_build_fields(request) < 0 || cache_key_of(&request->options.url, &url) < 0 ||
        request_connection_digest(request, cache->context) < 0)
        return CACHE_FIND_NOTHING;
    struct cache_question question = {.url = buf_span(&url),
                                      .context = cache->context,
                                      .jar = jar_of(request),
                                      .has_credentials = has_credentials(request),
                                      .request = &request->sent};
    cache->is_used = true;
    cache->lookup = (struct cache_lookup){.on_found = request_on_found, .owner = request};
    return access->find(access->owner, &request->options.partition, &question, &cache->lookup);
}

/* Return: whether it has to be waited for. */
static bool ask(struct request *request)
{
    struct request_cache *cache = request->cache;

    cache->was_asked = true;
    cache_control_of(&request->options.headers, &cache->control);
    if (request->has_body || request->options.verdict_timeout_us > 0 || /* nobody to judge */
        !cache_takes_request(span_of(request->options.method), &request->options.headers))
        return false;
    return find(request) == CACHE_FIND_WAIT;
}

/* With what was found. Return: whether to go to the network. */
static bool decide_hit(struct request *request)
{
    struct request_cache *cache = request->cache;
    struct cache_judgement judgement;

    judge(request, &judgement);
    log_debug(&request->log, "a stored answer, %lld of %lld s old", (long long)judgement.age_s,
              (long long)judgement.lifetime_s);
    if (judgement.verdict != CACHE_VALIDATE) {
        serve(request,
              judgement.verdict == CACHE_FRESH ? REQUEST_FROM_CACHE : REQUEST_FROM_CACHE_STALE);
        return false;
    }
    if (is_head(request)) /* no shorter to ask whether it is still good: the answer will say */
        return true;
    cache->validates = cache_has_validator(&cache->hit->entry.headers);
    if (!cache->validates && !judgement.serves_on_error)
        cache->hit = cache_hit_free(cache->hit);
    return true;
}

bool request_cache_decide(struct request *request)
{
    if (!request->options.cache || !access_of(request)->owner)
        return true;
    if (!request->cache)
        request->cache = mem_zalloc(sizeof(*request->cache));
    struct request_cache *cache = request->cache;
    if (!cache) {
        request_finish_kind(request, FAILURE_INTERNAL, "out of memory");
        return false;
    }
    if (!cache->was_asked && ask(request))
        return false;
    if (cache->lookup.find)
        return false; /* something else came first */
    bool goes_on = cache->hit ? decide_hit(request) : true;
    if (!goes_on || !cache->control.only_if_cached)
        return goes_on;
    serve_nothing(request); /* §5.2.1.7 */
    return false;
}

int request_cache_on_send(struct request *request)
{
    struct request_cache *cache = request->cache;

    request->from_cache = REQUEST_FROM_NETWORK; /* an earlier hop may have been another */
    if (!cache)
        return 0;
    cache->asked_s = now_of(request);
    return cache->validates && cache->hit
               ? cache_add_conditions(&cache->hit->entry.headers, &request->sent)
               : 0;
}

/* ---- keeping --------------------------------------------------------------------------- */

static void request_on_room(void *owner)
{
    struct request *request = owner;

    request->cache->is_full = false;
    if (request->draining && request->exchange)
        exchange_resume(request->exchange);
    else if (request->state == REQUEST_RECEIVING)
        request_later(request, REQUEST_STEP_DELIVER);
}

/* A body that ends with its connection may have been cut off: RFC 9112 §8. */
static bool says_its_end(const struct response_head *head)
{
    return !head->has_body || head->has_length || head->http_version >= 20 ||
           headers_list_has(head->headers, SPAN_LIT("Transfer-Encoding"), SPAN_LIT("chunked"));
}

/* Whose cookies made the answer, or are changed by it. */
static bool concerns_jar(const struct request *request, const struct response_head *head)
{
    return request->has_jar && (headers_has(&request->sent, SPAN_LIT("Cookie")) ||
                                headers_has(head->headers, SPAN_LIT("Set-Cookie")));
}

/* A jar of one connection has no name by which others could be kept from its answers. */
static bool is_personal(const struct request *request, const struct response_head *head)
{
    return has_credentials(request) || cache_has_credentials(&request->sent) ||
           (request->options.private_jar && concerns_jar(request, head));
}

static int describe(const struct request *request,
                    const struct response_head *head,
                    struct cache_entry *entry)
{
    CLEANUP_BUF struct buf url = BUF_INIT(0);
    CLEANUP_BUF struct buf vary = BUF_INIT(0);
    struct span jar = concerns_jar(request, head) ? jar_of(request) : (struct span){0};
    int r = cache_key_of(&request->options.url, &url);

    if (r == 0)
        r = cache_vary_of(head->headers, &vary);
    if (r == 0)
        r = cache_vary_digest(buf_span(&vary), &request->sent, entry->vary_digest);
    if (r == 0)
        r = cache_keep_headers(head->headers, &entry->headers);
    if (r < 0 || jar.len > CACHE_JAR_BYTES_MAX)
        return r < 0 ? r : -EMSGSIZE;
    memcpy(entry->context, request->cache->context, SHA256_BYTES);
    if (jar.len > 0)
        memcpy(entry->jar, jar.ptr, jar.len);
    entry->url = mem_dup(buf_span(&url));
    entry->vary = mem_dup(buf_span(&vary));
    entry->reason = mem_dup(span_take(head->reason, CACHE_REASON_BYTES_MAX));
    entry->status = head->status;
    entry->http_version = head->http_version;
    entry->had_credentials = is_personal(request, head);
    entry->request_time_s = request->cache->asked_s;
    entry->response_time_s = now_of(request);
    entry->body_bytes = head->has_body && head->has_length ? head->body_bytes : 0;
    return entry->url && entry->vary && entry->reason ? 0 : fault(-ENOMEM);
}

/* Who wants TLS 1.2 finds nothing here that came with less. */
static bool is_old_tls(const struct request *request)
{
    return request->tls_version != 0 && request->tls_version < TLS_LEAST_KEPT;
}

static void begin_keeping(struct request *request, const struct response_head *head)
{
    static const struct cache_writer_events events = {.on_room = request_on_room};
    const struct cache_access *access = access_of(request);
    struct cache_candidate candidate = {.status = head->status,
                                        .headers = head->headers,
                                        .request = &request->sent,
                                        .has_credentials = is_personal(request, head),
                                        .response_time_s = now_of(request)};
    struct cache_entry entry;

    if (!cache_may_keep(&candidate) || !says_its_end(head) || is_old_tls(request))
        return;
    cache_entry_init(&entry);
    int r = describe(request, head, &entry);
    if (r == 0)
        r = access->write(access->owner, &request->options.partition, &entry, &events, request,
                          &request->cache->writer);
    if (r < 0)
        log_debug(&request->log, "not kept: %s", strerrordesc_np(-r));
    cache_entry_done(&entry);
}

void request_cache_on_body(struct request *request, struct span bytes)
{
    struct request_cache *cache = request->cache;

    if (!cache || !cache->writer || access_of(request)->add(cache->writer, bytes))
        return;
    cache->is_full = true;
    exchange_pause(request->exchange);
}

/* ---- what the server says -------------------------------------------------------------- */

static void forget_url(struct request *request, const struct url *url)
{
    const struct cache_access *access = access_of(request);
    CLEANUP_BUF struct buf key = BUF_INIT(0);

    if (cache_key_of(url, &key) == 0)
        access->invalidate(access->owner, &request->options.partition, buf_span(&key));
}

/* §4.4. */
static void invalidate(struct request *request, const struct response_head *head)
{
    static const struct span names[] = {{"Location", 8}, {"Content-Location", 16}};

    forget_url(request, &request->options.url);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct url url;

        if (cache_related_url(&request->options.url, head->headers, names[i], &url) != 1)
            continue;
        forget_url(request, &url);
        url_done(&url);
    }
}

/* The hit says what the 304 says; the store hears of it. Return: 0 or -errno. */
static int take_304(struct request *request, const struct response_head *head)
{
    const struct cache_access *access = access_of(request);
    struct cache_entry *entry = &request->cache->hit->entry;
    CLEANUP_BUF struct buf vary = BUF_INIT(0);
    struct cache_entry copy;
    struct headers merged;

    headers_init(&merged, CACHE_HEAD_BYTES_MAX * 2, CACHE_HEADERS_MAX * 2);
    int r = cache_merge_304(&entry->headers, head->headers, &merged);
    if (r < 0) {
        headers_done(&merged);
        return r;
    }
    headers_done(&entry->headers);
    entry->headers = merged;
    entry->request_time_s = request->cache->asked_s;
    entry->response_time_s = now_of(request);
    cache_entry_init(&copy);
    r = cache_vary_of(&entry->headers, &vary);
    if (r == 0 && !span_eq(buf_span(&vary), span_of(entry->vary)))
        r = -ESTALE; /* good for this request, and for whom else is another question */
    if (r == 0)
        r = cache_entry_copy(entry, &copy);
    if (r == 0)
        access->freshen(access->owner, &request->options.partition, request->cache->hit->id,
                        &copy);
    else
        access->forget(access->owner, &request->options.partition, span_of(entry->url),
                       request->cache->hit->id);
    cache_entry_done(&copy);
    return 0;
}

static void on_304(struct request *request, const struct response_head *head)
{
    struct request_cache *cache = request->cache;

    cache->is_still_good = cache_304_fits(&cache->hit->entry.headers, head->headers) &&
                           take_304(request, head) == 0;
    cache->must_repeat = !cache->is_still_good;
}

/* What a HEAD says of what is stored. */
static void compare(struct request *request, const struct response_head *head)
{
    const struct cache_access *access = access_of(request);
    const struct cache_hit *hit = request->cache->hit;

    if (hit && head->status == hit->entry.status &&
        cache_head_contradicts(&hit->entry.headers, head->headers))
        access->forget(access->owner, &request->options.partition, span_of(hit->entry.url),
                       hit->id);
}

static bool is_server_error(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

static bool may_rescue(const struct request *request)
{
    struct cache_judgement judgement;

    if (!request->cache || !request->cache->hit || request->cache->is_served ||
        request->cache->must_repeat)
        return false;
    judge(request, &judgement);
    return judgement.serves_on_error;
}

bool request_cache_takes_head(struct request *request, const struct response_head *head)
{
    struct request_cache *cache = request->cache;

    if (!access_of(request)->owner)
        return false;
    if (cache_invalidates(span_of(request->options.method), head->status))
        invalidate(request, head);
    if (!cache || !cache->is_used)
        return false;
    if (cache->validates && cache->hit && head->status == 304) {
        on_304(request, head);
        return true;
    }
    if (is_server_error(head->status) && may_rescue(request)) {
        request_drop_connection(request);
        serve(request, REQUEST_FROM_CACHE_STALE);
        return true;
    }
    if (is_head(request))
        compare(request, head);
    cache->hit = cache_hit_free(cache->hit);
    if (!is_head(request))
        begin_keeping(request, head);
    return false;
}

bool request_cache_on_whole(struct request *request)
{
    struct request_cache *cache = request->cache;

    if (!cache)
        return false;
    cache->is_whole = cache->writer != NULL;
    if (cache->is_still_good) {
        serve(request, REQUEST_FROM_CACHE_STILL);
        return true;
    }
    if (!cache->must_repeat)
        return false;
    log_debug(&request->log, "a 304 about something else, asking for all of it");
    cache->hit = cache_hit_free(cache->hit);
    cache->must_repeat = false;
    cache->validates = false;
    request_rest(request);
    request_acquire(request, false);
    return true;
}

/* ---- trouble --------------------------------------------------------------------------- */

/* RFC 5861 §4: the server cannot be reached or makes no sense. A certificate that is wrong is
 * no such error: that has to be seen. */
static bool is_outage(enum failure_kind kind)
{
    return kind == FAILURE_DNS || kind == FAILURE_CONNECT || kind == FAILURE_PROXY ||
           kind == FAILURE_TIMEOUT_CONNECT || kind == FAILURE_TIMEOUT_IDLE ||
           kind == FAILURE_SEND || kind == FAILURE_RECEIVE || kind == FAILURE_EMPTY_REPLY ||
           kind == FAILURE_PROTOCOL;
}

bool request_cache_rescues(struct request *request, const struct failure *why)
{
    if (!is_outage(why->kind) || request->state >= REQUEST_ASKING || request->draining ||
        request->head_waits || request_is_failing(request) || !may_rescue(request))
        return false;
    log_info(&request->log, "%s: %s; a stored answer stands in", failure_kind_name(why->kind),
             why->text);
    request_drop_connection(request);
    serve(request, REQUEST_FROM_CACHE_STALE);
    return true;
}

void request_cache_end(struct request *request, bool good)
{
    const struct cache_access *access = access_of(request);
    struct request_cache *cache = request->cache;

    if (!cache)
        return;
    if (cache->lookup.find)
        access->find_cancel(&cache->lookup);
    if (cache->writer && good && cache->is_whole)
        access->commit(cache->writer);
    else if (cache->writer)
        access->drop(cache->writer);
    if (cache->source)
        fd_source_close(cache->source);
    cache_hit_free(cache->hit);
    *cache = (struct request_cache){0}; /* there until the end: somebody may look at it */
}
