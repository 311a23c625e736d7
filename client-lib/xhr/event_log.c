/* SPDX-License-Identifier: MIT */
#include "event_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "certs.h"
#include "files.h"
#include "json.h"

uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int refuse(const struct event_log *log, int error, struct trouble *why)
{
    return trouble_set(why, EXIT_WRITE, "could not write the events to %s: %s",
                       log->file ? log->file : "stderr", strerror(-error));
}

int event_log_open(struct event_log *log, const char *file, struct trouble *why)
{
    *log = (struct event_log){.on = true, .fd = STDERR_FILENO, .file = file};
    if (!file)
        return 0;
    log->fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (log->fd >= 0)
        return 0;
    log->on = false;
    return refuse(log, -errno, why);
}

int event_log_close(struct event_log *log, struct trouble *why)
{
    int error = log->error;

    if (log->on && log->file && close(log->fd) < 0 && error == 0)
        error = -errno;
    strbuf_done(&log->line);
    log->on = false;
    return error < 0 ? refuse(log, error, why) : 0;
}

/* @us: the daemon's time; 0: now. Its clock is ours, but what it tells is older than what we
 * saw meanwhile: a line is never before the one above it. */
static struct json begin(struct event_log *log, const char *name, uint64_t us)
{
    struct json json = {.out = &log->line};

    if (us == 0)
        us = now_us();
    if (us > log->last_us)
        log->last_us = us;
    strbuf_clear(&log->line);
    json_object_begin(&json, NULL);
    json_text(&json, "event", name);
    json_u64(&json, "request", log->request);
    json_u64(&json, "monotonic_us", log->last_us);
    return json;
}

static void end(struct event_log *log, struct json *json)
{
    json_object_end(json);
    strbuf_add_char(&log->line, '\n');
    int r = log->line.failed ? -ENOMEM : write_all(log->fd, log->line.bytes, log->line.len);
    if (r < 0 && log->error == 0)
        log->error = r;
}

void event_log_begin(struct event_log *log,
                     uint64_t number,
                     const char *method,
                     const char *url)
{
    log->data_bytes = 0;
    log->request = number;
    if (!log->on)
        return;

    struct json json = begin(log, "open", 0);
    json_text(&json, "method", method);
    json_text(&json, "url", url);
    end(log, &json);
}

void event_log_retry(struct event_log *log, uint64_t wait_ms, uint64_t left)
{
    if (!log->on)
        return;

    struct json json = begin(log, "retry", 0);
    json_u64(&json, "wait_ms", wait_ms);
    json_u64(&json, "left", left);
    end(log, &json);
}

void event_log_ready_state(struct event_log *log, const struct xhr_ready_state_event *event)
{
    if (!log->on)
        return;

    struct json json = begin(log, "readystate", event->monotonic_us);
    json_u64(&json, "state", (uint64_t)event->state);
    json_text(&json, "name", xhr_ready_state_name(event->state));
    json_text(&json, "reason", xhr_wait_reason_name(event->reason));
    end(log, &json);
}

void event_log_waiting(struct event_log *log, enum xhr_wait_reason reason, uint64_t us)
{
    if (!log->on)
        return;

    struct json json = begin(log, "waiting", us);
    json_u64(&json, "state", XHR_OPENED);
    json_text(&json, "reason", xhr_wait_reason_name(reason));
    end(log, &json);
}

void event_log_rung(struct event_log *log, const struct xhr_tls_rung *rung, uint64_t us)
{
    if (!log->on)
        return;

    struct json json = begin(log, "tls_rung", us);
    json_text(&json, "version", rung->version[0] ? rung->version : NULL);
    json_u64(&json, "alert", rung->alert);
    json_text(&json, "cause", rung->cause[0] ? rung->cause : NULL);
    end(log, &json);
}

void event_log_redirect(struct event_log *log, const struct xhr_redirect *redirect)
{
    if (!log->on)
        return;

    struct json json = begin(log, "redirect", 0);
    json_i64(&json, "status", redirect->status);
    json_text(&json, "url", redirect->url);
    json_text(&json, "method", redirect->method);
    end(log, &json);
}

static void add_connection(struct json *json, const struct xhr_connection_info *connection)
{
    if (!connection) {
        json_null(json, "connection");
        return;
    }
    json_object_begin(json, "connection");
    json_u64(json, "id", connection->connection_id);
    json_bool(json, "reused", connection->reused);
    json_text(json, "remote_address", connection->remote_address);
    json_u64(json, "remote_port", connection->remote_port);
    json_text(json, "local_address", connection->local_address);
    json_u64(json, "local_port", connection->local_port);
    if (connection->proxy && connection->proxy[0]) {
        json_text(json, "proxy", connection->proxy);
        json_bool(json, "proxy_tunnel", connection->proxy_tunnel);
    }
    json_object_end(json);
}

static void add_from_cache(struct json *json, const struct xhr_request *request)
{
    enum xhr_from_cache from = xhr_request_from_cache(request);

    json_text(json, "from_cache", from == XHR_FROM_CACHE_NO ? NULL : xhr_from_cache_name(from));
    if (from == XHR_FROM_CACHE_NO)
        json_null(json, "age_s");
    else
        json_u64(json, "age_s", xhr_request_age_s(request));
}

static void add_headers(struct json *json,
                        const char *key,
                        const struct xhr_request *request,
                        bool (*at)(const struct xhr_request *request,
                                   size_t index,
                                   const char **ret_name,
                                   const char **ret_value))
{
    const char *name, *value;

    json_array_begin(json, key);
    for (size_t i = 0; at(request, i, &name, &value); i++) {
        json_array_begin(json, NULL);
        json_text(json, NULL, name);
        json_text(json, NULL, value);
        json_array_end(json);
    }
    json_array_end(json);
}

static void log_tls(struct event_log *log, const struct xhr_tls_info *tls)
{
    struct json json = begin(log, "tls", 0);

    json_text(&json, "version", tls->version);
    json_text(&json, "cipher", tls->cipher);
    json_text(&json, "alpn", tls->alpn);
    json_bool(&json, "resumed", tls->resumed);
    json_text(&json, "early_data", xhr_early_data_name(tls->early_data));
    json_bool(&json, "old", tls->old);
    json_u64(&json, "rungs", tls->rungs);
    json_u64(&json, "verify_result", tls->verify_result);
    certs_add_json(&json, tls);
    end(log, &json);
}

static void
log_answer(struct event_log *log, const char *event, const struct xhr_request *request)
{
    const struct xhr_connection_info *connection = xhr_request_connection(request);

    if (!log->on)
        return;
    if (connection && connection->tls)
        log_tls(log, connection->tls);

    struct json json = begin(log, event, 0);
    json_i64(&json, "status", xhr_request_status(request));
    json_text(&json, "status_text", xhr_request_status_text(request));
    json_i64(&json, "http_version", xhr_request_http_version(request));
    json_text(&json, "method", xhr_request_method(request));
    json_text(&json, "url", xhr_request_location(request));
    json_u64(&json, "redirects", xhr_request_redirect_count(request));
    json_text(&json, "content_coding", xhr_request_content_coding(request));
    add_from_cache(&json, request);
    add_connection(&json, connection);
    add_headers(&json, "headers", request, xhr_request_response_header_at);
    add_headers(&json, "sent_headers", request, xhr_request_sent_header_at);
    end(log, &json);
}

void event_log_hop(struct event_log *log, const struct xhr_request *request)
{
    log_answer(log, "hop", request);
}

void event_log_head(struct event_log *log, const struct xhr_request *request)
{
    log_answer(log, "head", request);
}

void event_log_data(struct event_log *log, size_t len)
{
    log->data_bytes += len;
    if (!log->on)
        return;

    struct json json = begin(log, "data", 0);
    json_u64(&json, "bytes", len);
    json_u64(&json, "done_bytes", log->data_bytes);
    end(log, &json);
}

void event_log_progress(struct event_log *log,
                        const char *direction,
                        const struct xhr_progress *progress)
{
    if (!log->on)
        return;

    struct json json = begin(log, "progress", progress->monotonic_us);
    json_text(&json, "direction", direction);
    json_u64(&json, "done_bytes", progress->done_bytes);
    if (progress->total_known && progress->done_bytes <= progress->total_bytes) {
        json_u64(&json, "total_bytes", progress->total_bytes);
        json_ratio(&json, "ratio", progress->done_bytes, progress->total_bytes);
    } else {
        json_null(&json, "total_bytes");
        json_i64(&json, "ratio", -1);
    }
    json_u64(&json, "wire_bytes", progress->wire_bytes);
    end(log, &json);
}

static void log_timing(struct event_log *log, const struct xhr_request *request)
{
    const struct xhr_timing *timing = xhr_request_timing(request);

    if (!timing)
        return;

    struct json json = begin(log, "timing", 0);
    json_u64(&json, "queued_us", timing->queued_us);
    json_u64(&json, "name_lookup_us", timing->name_lookup_us);
    json_u64(&json, "connect_us", timing->connect_us);
    json_u64(&json, "tls_us", timing->tls_us);
    json_u64(&json, "sent_us", timing->sent_us);
    json_u64(&json, "first_byte_us", timing->first_byte_us);
    json_u64(&json, "total_us", timing->total_us);
    end(log, &json);
}

static void log_load(struct event_log *log, const struct xhr_request *request)
{
    const struct xhr_totals *totals = xhr_request_totals(request);
    struct json json = begin(log, "load", 0);

    json_i64(&json, "status", xhr_request_status(request));
    if (totals) {
        json_u64(&json, "body_bytes", totals->body_bytes);
        json_u64(&json, "wire_bytes", totals->wire_bytes);
        json_u64(&json, "upload_bytes", totals->upload_bytes);
        json_u64(&json, "header_bytes", totals->header_bytes);
        json_u64(&json, "request_bytes", totals->request_bytes);
    }
    json_bool(&json, "cookies_not_persisted", xhr_request_cookies_not_persisted(request));
    add_headers(&json, "trailers", request, xhr_request_trailer_at);
    end(log, &json);
}

static void
log_error(struct event_log *log, const struct xhr_error *error, const struct trouble *trouble)
{
    struct json json = begin(log, "error", 0);

    if (error) {
        json_text(&json, "class", error->name);
        json_i64(&json, "code", error->code);
        json_text(&json, "phase", xhr_phase_name(error->phase));
        json_i64(&json, "errno", error->sys_errno);
        json_u64(&json, "detail", error->detail);
    } else { /* ours: the daemon knows nothing of it */
        json_text(&json, "class", trouble->exit_code == EXIT_WRITE ? "write" : "local");
    }
    json_i64(&json, "exit", trouble->exit_code);
    json_text(&json, "text", trouble->text);
    end(log, &json);
}

void event_log_end(struct event_log *log,
                   const struct xhr_request *request,
                   const struct xhr_error *error,
                   const struct trouble *trouble)
{
    if (!log->on)
        return;
    log_timing(log, request);
    if (trouble->exit_code == EXIT_ABORTED) {
        struct json json = begin(log, "abort", 0);

        end(log, &json);
    } else if (error || trouble->exit_code != 0) {
        log_error(log, error, trouble);
    } else {
        log_load(log, request);
    }
}
