/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "saving.h"
#include "target.h"
#include "transfer_priv.h"
#include "writeout.h"

/* ---- the loop --------------------------------------------------------------------------- */

static int sooner(int a_ms, int b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

static int timeout_ms(const struct transfer *t)
{
    int ms = xhr_client_timeout_ms(t->session->client);

    if (t->bar.wanted)
        ms = sooner(ms, bar_timeout_ms(&t->bar, now_us()));
    if (t->discarding) {
        uint64_t now = now_us();

        ms =
            sooner(ms, now < t->discard_by_us ? (int)((t->discard_by_us - now) / 1000) + 1 : 0);
    }
    return ms;
}

void transfer_wait_ready(struct pollfd *fds, nfds_t n, int ms)
{
    struct timespec timeout = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    sigset_t ending, old;

    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGINT);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ending, &old);
    if (!interrupted)
        (void)ppoll(fds, n, ms < 0 ? NULL : &timeout, &old);
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
}

/* What is to be sent and is not there yet; NULL: nothing. */
static struct postdata *waiting_for(const struct transfer *t)
{
    return t->session->postdata.waiting ? &t->session->postdata
                                        : formdata_waiting(&t->session->formdata);
}

static void turn(struct transfer *t)
{
    struct xhr_client *client = t->session->client;
    struct postdata *postdata = waiting_for(t);
    short events = POLLIN | (xhr_client_wants_write(client) ? POLLOUT : 0);
    struct pollfd fds[] = {
        {.fd = xhr_client_fd(client), .events = events},
        {.fd = postdata ? postdata->fd : -1, .events = POLLIN},
    };

    transfer_wait_ready(fds, 2, timeout_ms(t));
    if (interrupted) {
        (void)xhr_request_abort(t->request);
        return;
    }
    if (postdata && fds[1].revents) {
        postdata->waiting = false;
        (void)xhr_request_resume_upload(t->request);
    }
    (void)xhr_client_dispatch(client);
    if (t->done)
        return;
    if (t->bar.wanted)
        bar_tick(&t->bar, now_us());
    if (t->discarding && now_us() >= t->discard_by_us) {
        transfer_fail_status(t);
        (void)xhr_request_abort(t->request);
    }
}

static bool wants_bar(const struct transfer *t)
{
    return !t->options->silent && isatty(STDERR_FILENO) &&
           !(t->body.to_stdout && isatty(STDOUT_FILENO));
}

static int start(struct transfer *t, struct trouble *why)
{
    target_make(&t->target, t->url, strbuf_text(&t->session->query));
    if (t->options->upload_file && strcmp(t->options->upload_file, "-") != 0)
        target_add_upload_name(&t->target, t->options->upload_file);
    if (t->target.failed)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    int r = output_choose(&t->body, t->options, t->index, t->target.bytes, why);
    if (r != 0)
        return r;
    r = saving_prepare(&t->body, t->options, why);
    if (r != 0)
        return r;
    t->by_library = t->body.as_file && !t->options->include && !t->options->head &&
                    strcmp(transfer_method(t->session), "HEAD") != 0;
    if (t->options->dump_header)
        output_to(&t->header, t->options->dump_header, t->index > 0);
    t->start_us = now_us();
    bar_start(&t->bar, wants_bar(t), t->options->progress_bar, t->start_us);
    return transfer_send(t, why);
}

/* ---- afterwards -------------------------------------------------------------------------- */

static int write_out(struct transfer *t)
{
    struct writeout_view view = {
        .request = t->request,
        .url = t->url,
        .effective_url = t->target.bytes,
        .file = t->body.to_stdout ? NULL : strbuf_text(&t->body.path),
        .referer = t->options->referer,
        .number = t->index,
        .redirect_us = t->redirect_us,
        .retries = t->retry->done,
        .error = xhr_request_error(t->request),
        .trouble = &t->trouble,
    };
    struct strbuf out = {0}, err = {0};

    writeout_format(t->session->write_out.bytes, &view, &out, &err);
    int r = out.failed ? -ENOMEM : write_all(STDOUT_FILENO, out.bytes, out.len);
    strbuf_done(&out);
    transfer_say(&err);
    return r;
}

static void say_trouble(const struct transfer *t)
{
    struct strbuf text = {0};

    if (t->trouble.exit_code != 0 && (!t->options->silent || t->options->show_error))
        trouble_say(&t->trouble, "xhr");
    if (t->request && xhr_request_cookies_not_persisted(t->request) && !t->options->silent) {
        strbuf_add_text(&text, "xhr: cookies of this answer are in memory only, the daemon's "
                               "disk did not take them; see xhrctl status\n");
        transfer_say(&text);
    }
}

/* Going on with the next URL would only say the same again. */
static bool is_last(const struct transfer *t)
{
    const struct xhr_error *error = t->request ? xhr_request_error(t->request) : NULL;

    return interrupted || (error && (error->kind == XHR_ERROR_DAEMON_UNREACHABLE ||
                                     error->kind == XHR_ERROR_DAEMON_REFUSED));
}

static void conclude(struct transfer *t, bool *ret_stop)
{
    say_trouble(t);
    if (t->session->write_out.len > 0 && t->request && write_out(t) < 0 &&
        t->trouble.exit_code == 0) {
        (void)trouble_set(&t->trouble, EXIT_WRITE, "could not write to stdout");
        say_trouble(t);
    }
    *ret_stop = is_last(t);
}

/* One try. Return: whether there is to be another, before which it has rested. */
static bool try_once(
    struct session *session, size_t index, struct retry *retry, int *ret_code, bool *ret_stop)
{
    struct transfer t = {
        .session = session,
        .options = session->options,
        .url = session->options->urls.items[index],
        .index = index,
        .body.fd = -1,
        .header.fd = -1,
        .retry = retry,
        .again_ms = -1,
    };
    struct trouble why = {0};

    if (start(&t, &why) != 0) {
        transfer_fail(&t, &why);
        if (t.request) /* it was opened, or nearly: events end with an event */
            event_log_end(&session->events, t.request, NULL, &t.trouble);
    }
    while (t.trouble.exit_code == 0 && !t.done)
        turn(&t);
    bool again = transfer_retries(&t);
    if (again)
        transfer_rest(&t);
    else
        conclude(&t, ret_stop);
    *ret_code = t.trouble.exit_code;
    (void)xhr_request_free(t.request);
    output_done(&t.body);
    output_done(&t.header);
    strbuf_done(&t.target);
    strbuf_done(&t.hops);
    return again;
}

int transfer_run(struct session *session, size_t index, bool *ret_stop)
{
    struct retry retry;
    int code = EXIT_OK;

    *ret_stop = false;
    retry_start(&retry, session->options, now_us());
    while (try_once(session, index, &retry, &code, ret_stop)) {
        struct trouble why;

        if (!interrupted)
            continue;
        code = trouble_set(&why, EXIT_ABORTED, "interrupted; there was no other try");
        if (!session->options->silent || session->options->show_error)
            trouble_say(&why, "xhr");
        *ret_stop = true;
        break;
    }
    return code;
}
