/* SPDX-License-Identifier: MIT */
/* What is told of a request, turned into output, events and an exit code. */
#include <errno.h>
#include <unistd.h>

#include "files.h"
#include "report.h"
#include "saving.h"
#include "transfer_priv.h"

/* With -f the body of an error answer is read and thrown away, so that the connection stays
 * usable for the next one; but only so much of it and for so long. */
#define DISCARD_BYTES_MAX 65536
#define DISCARD_US_MAX    500000

/* Short answers pay nothing for what long ones gain. */
#define REST_BYTES_MIN 65536

void transfer_fail(struct transfer *t, const struct trouble *why)
{
    if (t->trouble.exit_code == 0)
        t->trouble = *why;
}

void transfer_fail_status(struct transfer *t)
{
    struct trouble why;

    (void)trouble_set(&why, EXIT_HTTP_STATUS, "the requested URL returned error: %d",
                      xhr_request_status(t->request));
    transfer_fail(t, &why);
}

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

void transfer_say(struct strbuf *text)
{
    if (!text->failed && text->len > 0)
        (void)write_all(STDERR_FILENO, text->bytes, text->len);
    strbuf_done(text);
}

/* Ours: the disk is full, the reader is gone, a signal came. */
static void fail_write(struct transfer *t, const struct output *output, int error)
{
    struct trouble why;

    if (error == -EINTR) /* the loop sees the signal itself */
        return;
    (void)output_trouble(output, error, &why);
    transfer_fail(t, &why);
    (void)xhr_request_abort(t->request);
}

/* ---- what is told about the request ---------------------------------------------------- */

static void t_on_ready_state(struct xhr_request *request,
                             const struct xhr_ready_state_event *event,
                             void *user)
{
    struct transfer *t = user;

    (void)request;
    event_log_ready_state(&t->session->events, event);
}

/* The last of them. */
static void tell_rung(struct transfer *t, const struct xhr_request *request, uint64_t us)
{
    struct xhr_tls_rung rung;
    struct strbuf text = {0};
    size_t n = 0;

    while (xhr_request_tls_rung_at(request, n, &rung))
        n++;
    if (n == 0) /* there was no memory to keep it */
        return;
    event_log_rung(&t->session->events, &rung, us);
    if (t->options->verbose)
        report_rung(&text, &rung);
    transfer_say(&text);
}

static void t_on_waiting(struct xhr_request *request,
                         enum xhr_wait_reason reason,
                         uint64_t monotonic_us,
                         void *user)
{
    struct transfer *t = user;

    t->bar.waiting = xhr_wait_reason_name(reason);
    if (reason == XHR_WAIT_TLS_RUNG)
        tell_rung(t, request, monotonic_us);
    else
        event_log_waiting(&t->session->events, reason, monotonic_us);
}

static void
t_on_download(struct xhr_request *request, const struct xhr_progress *progress, void *user)
{
    struct transfer *t = user;

    (void)request;
    t->bar.upload = false;
    t->bar.done_bytes = progress->done_bytes;
    t->bar.total_known = progress->total_known;
    t->bar.total_bytes = progress->total_bytes;
    event_log_progress(&t->session->events, "download", progress);
}

static void
t_on_upload(struct xhr_request *request, const struct xhr_progress *progress, void *user)
{
    struct transfer *t = user;

    (void)request;
    t->bar.upload = true;
    t->bar.done_bytes = progress->done_bytes;
    t->bar.total_known = progress->total_known;
    t->bar.total_bytes = progress->total_bytes;
    event_log_progress(&t->session->events, "upload", progress);
}

static void
t_on_redirected(struct xhr_request *request, const struct xhr_redirect *redirect, void *user)
{
    struct transfer *t = user;
    struct strbuf text = {0};

    (void)request;
    t->redirect_us = now_us() - t->start_us;
    event_log_redirect(&t->session->events, redirect);
    if (t->options->verbose)
        report_redirect(&text, redirect);
    transfer_say(&text);
}

/* -i, -I and -D. Uses up @text. */
static void write_fields(struct transfer *t, struct strbuf *text)
{
    bool in_body = t->options->include || t->options->head;
    int r = text->failed ? -ENOMEM : 0;

    if (r < 0)
        fail_write(t, &t->body, r);
    if (t->options->dump_header && r == 0) {
        r = output_write(&t->header, text->bytes, text->len);
        if (r < 0)
            fail_write(t, &t->header, r);
    }
    if (in_body && r == 0) {
        r = output_write(&t->body, text->bytes, text->len);
        if (r < 0)
            fail_write(t, &t->body, r);
    }
    strbuf_done(text);
}

static bool shows_fields(const struct transfer *t)
{
    return t->options->include || t->options->head || t->options->dump_header;
}

/* Behind those of the answers before it. */
static void write_head(struct transfer *t)
{
    if (!shows_fields(t))
        return;
    report_head(&t->hops, t->request);
    write_fields(t, &t->hops);
}

/* There was no last answer, and there will be none. */
static void write_hops(struct transfer *t)
{
    const struct xhr_error *error = xhr_request_error(t->request);

    transfer_judge_retry(t, t->trouble.exit_code, error ? error->sys_errno : 0);
    if (t->again_ms < 0)
        write_fields(t, &t->hops);
}

static void write_trailers(struct transfer *t)
{
    struct strbuf text = {0};

    if (!shows_fields(t) || t->discarding)
        return;
    report_trailers(&text, t->request);
    if (text.len > 0 || text.failed)
        write_fields(t, &text);
}

static bool goes_on(const struct transfer *t)
{
    return t->options->continue_auto || t->options->continue_offset > 0;
}

/* With -f, or when it is asked for again: read and thrown away. */
static bool is_to_be_discarded(struct transfer *t)
{
    bool is_error = xhr_request_status(t->request) >= 400;
    bool fails = is_error && (t->options->fail || t->options->fail_with_body);

    transfer_judge_retry(t, fails ? EXIT_HTTP_STATUS : EXIT_OK, 0);
    return t->again_ms >= 0 || (t->options->fail && is_error);
}

/* -C OFFSET where libxhr does not know of it: the answer must be the rest. */
static bool is_the_rest(struct transfer *t)
{
    struct trouble why;

    if (t->options->continue_offset == 0 || t->body.appends ||
        !is_success(xhr_request_status(t->request)) ||
        saving_range_fits(t->request, t->options->continue_offset))
        return true;
    (void)trouble_set(&why, EXIT_RANGE,
                      "the server does not send parts, or not the one from %llu on; without -C "
                      "it is fetched whole",
                      (unsigned long long)t->options->continue_offset);
    transfer_fail(t, &why);
    (void)xhr_request_abort(t->request);
    return false;
}

/* An answer that is not the last. Its head is kept: should it come to another try of the whole,
 * standard output has nothing that cannot be taken back. */
static void t_on_hop(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct strbuf text = {0};

    event_log_hop(&t->session->events, request);
    if (t->options->verbose)
        report_exchange(&text, request, t->target.bytes);
    transfer_say(&text);
    if (shows_fields(t))
        report_head(&t->hops, request);
}

static void t_on_headers(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct strbuf text = {0};

    event_log_head(&t->session->events, request);
    if (t->options->verbose)
        report_exchange(&text, request, t->target.bytes);
    transfer_say(&text);
    t->discarding = is_to_be_discarded(t);
    if (t->discarding)
        t->discard_by_us = now_us() + DISCARD_US_MAX;
    if (t->again_ms < 0)
        write_head(t);
    if (t->trouble.exit_code == 0)
        (void)is_the_rest(t);
}

/* -J. libxhr asks for the path when the head is in. */
const char *transfer_choose_path(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct trouble why;

    if (saving_choose(&t->body, t->options,
                      xhr_request_response_header(request, "Content-Disposition"), &why) != 0) {
        transfer_fail(t, &why);
        (void)xhr_request_abort(request);
    }
    return strbuf_text(&t->body.path);
}

static void discard(struct transfer *t, size_t len)
{
    t->discarded_bytes += len;
    if (t->discarded_bytes <= DISCARD_BYTES_MAX)
        return;
    transfer_fail_status(t);
    (void)xhr_request_abort(t->request);
}

/* What is long and goes to a file need not come through here: see xhr_request_set_rest_fd().
 * --events tells of each piece as it comes. */
static void share_rest(struct transfer *t)
{
    if (t->is_rest_settled || t->body.size < REST_BYTES_MIN)
        return;
    t->is_rest_settled = true;
    if (!t->options->events && output_may_be_shared(&t->body))
        t->body.is_shared = xhr_request_set_rest_fd(t->request, t->body.fd) == 0;
}

static void t_on_body(struct xhr_request *request, const void *bytes, size_t len, void *user)
{
    struct transfer *t = user;

    (void)request;
    if (interrupted) /* the loop aborts */
        return;
    event_log_data(&t->session->events, len);
    if (t->discarding) {
        discard(t, len);
        return;
    }
    if (goes_on(t) && !is_success(xhr_request_status(request)))
        return; /* no part of what is there */
    int r = output_write(&t->body, bytes, len);
    if (r < 0)
        fail_write(t, &t->body, r);
    else
        share_rest(t);
}

static void finish(struct transfer *t, struct output *output)
{
    struct trouble why;
    int r = output_finish(output);

    if (r == 0)
        return;
    (void)output_trouble(output, r, &why);
    transfer_fail(t, &why);
}

static void finish_outputs(struct transfer *t)
{
    bool has_answer = t->trouble.exit_code == 0 || t->trouble.exit_code == EXIT_HTTP_STATUS;

    bool is_done = t->by_library && (is_success(xhr_request_status(t->request)) || goes_on(t));

    bar_end(&t->bar, now_us());
    if (t->trouble.exit_code == EXIT_ABORTED || (t->body.as_file && !has_answer))
        output_discard(&t->body);
    else if (t->body.fd >= 0 || (has_answer && !t->discarding && !is_done))
        finish(t, &t->body);
    if (t->header.fd >= 0)
        finish(t, &t->header);
}

static void end(struct transfer *t, const struct xhr_error *error)
{
    if (t->hops.len > 0)
        write_hops(t);
    finish_outputs(t);
    event_log_end(&t->session->events, t->request, error, &t->trouble);
    t->done = true;
}

static void t_on_load(struct xhr_request *request, void *user)
{
    (void)request;
    write_trailers(user);
    end(user, NULL);
}

static void t_on_error(struct xhr_request *request, const struct xhr_error *error, void *user)
{
    struct transfer *t = user;
    struct trouble why;

    (void)request;
    if (error->kind == XHR_ERROR_HTTP_STATUS) {
        transfer_fail_status(t);
    } else {
        (void)trouble_of_error(&why, error, t->target.bytes);
        if (t->options->interface && error->kind == XHR_ERROR_CONNECT &&
            error->sys_errno == EADDRNOTAVAIL)
            why.exit_code = EXIT_INTERFACE;
        transfer_fail(t, &why);
    }
    end(t, error);
}

static void t_on_abort(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct trouble why;

    (void)request;
    (void)trouble_set(&why, EXIT_ABORTED, "interrupted; the request was aborted");
    transfer_fail(t, &why);
    end(t, NULL);
}

void transfer_callbacks(const struct transfer *t, struct xhr_callbacks *ret)
{
    bool watched = t->options->events || t->bar.wanted;
    *ret = (struct xhr_callbacks){
        .size = sizeof(*ret),
        .onreadystatechange = t->options->events ? t_on_ready_state : NULL,
        .onload = t_on_load,
        .onerror = t_on_error,
        .onabort = t_on_abort,
        .ondatastream = watched ? t_on_download : NULL,
        .onsendstream = watched ? t_on_upload : NULL,
        .on_redirected = t_on_redirected,
        .on_hop =
            t->options->events || t->options->verbose || shows_fields(t) ? t_on_hop : NULL,
        .on_headers = t_on_headers,
        .on_body = t_on_body,
        .on_waiting = watched || t->options->verbose ? t_on_waiting : NULL,
    };
}
