/* SPDX-License-Identifier: MIT */
/* Another try of the same URL: whether, and the rest before it. */
#include <time.h>

#include "files.h"
#include "transfer_priv.h"

void transfer_judge_retry(struct transfer *t, int exit_code, int sys_errno)
{
    struct retry_outcome outcome = {
        .exit_code = exit_code,
        .sys_errno = sys_errno,
        .now_s = time(NULL),
        .now_us = now_us(),
    };
    const struct postdata *postdata = &t->session->postdata;

    if (t->again_ms >= 0 || interrupted || !t->request || t->retry->left == 0 ||
        (postdata->kind == POSTDATA_PIPE && postdata->taken))
        return;
    if (exit_code == EXIT_OK || exit_code == EXIT_HTTP_STATUS) {
        outcome.status = xhr_request_status(t->request);
        outcome.retry_after = xhr_request_response_header(t->request, "Retry-After");
    }
    const struct xhr_error *error = xhr_request_error(t->request);
    outcome.daemon_leaves = error && error->kind == XHR_ERROR_SHUTDOWN;
    t->again_ms = retry_wait(t->retry, t->options, &outcome);
}

bool transfer_retries(struct transfer *t)
{
    const struct xhr_error *error = t->request ? xhr_request_error(t->request) : NULL;

    if (interrupted)
        return false;
    if (t->trouble.exit_code != EXIT_OK && !t->discarding)
        transfer_judge_retry(t, t->trouble.exit_code, error ? error->sys_errno : 0);
    return t->again_ms >= 0 && output_rewind(&t->body) && output_rewind(&t->header);
}

static void say_retry(const struct transfer *t)
{
    struct strbuf text = {0};

    event_log_retry(&t->session->events, (uint64_t)t->again_ms, t->retry->left - 1);
    if (t->options->silent)
        return;
    strbuf_add_text(&text, "xhr: ");
    if (t->trouble.exit_code == EXIT_OK || t->trouble.exit_code == EXIT_HTTP_STATUS) {
        strbuf_add_text(&text, "status ");
        strbuf_add_i64(&text, xhr_request_status(t->request));
    } else {
        strbuf_add_text(&text, t->trouble.text);
    }
    strbuf_add_text(&text, "; trying again in ");
    strbuf_add_u64(&text, (uint64_t)t->again_ms / 1000);
    strbuf_add_char(&text, '.');
    strbuf_add_u64(&text, (uint64_t)t->again_ms / 100 % 10);
    strbuf_add_text(&text, " s, ");
    strbuf_add_u64(&text, t->retry->left);
    strbuf_add_text(&text, t->retry->left == 1 ? " try left\n" : " tries left\n");
    transfer_say(&text);
}

void transfer_rest(struct transfer *t)
{
    uint64_t until = now_us() + (uint64_t)t->again_ms * 1000;

    say_retry(t);
    retry_count(t->retry, t->options);
    for (uint64_t now = now_us(); now < until && !interrupted; now = now_us())
        transfer_wait_ready(NULL, 0, (int)((until - now) / 1000) + 1);
}
