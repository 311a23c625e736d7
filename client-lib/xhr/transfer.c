/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "bar.h"
#include "files.h"
#include "netrc.h"
#include "output.h"
#include "report.h"
#include "retry.h"
#include "saving.h"
#include "target.h"
#include "writeout.h"

/* With -f the body of an error answer is read and thrown away, so that the connection stays
 * usable for the next one; but only so much of it and for so long. */
#define DISCARD_BYTES_MAX 65536
#define DISCARD_US_MAX    500000

struct transfer {
    struct session *session;
    const struct cli_options *options;
    struct xhr_request *request;
    const char *url; /* as given */
    struct strbuf target;
    size_t index;
    struct output body;
    struct output header; /* of -D */
    struct bar bar;
    struct trouble trouble;
    bool done;
    bool discarding;
    bool by_library; /* libxhr writes the file of a success */
    uint64_t discarded_bytes;
    uint64_t discard_by_us;
    uint64_t start_us;
    uint64_t redirect_us;
    struct retry *retry;
    int64_t again_ms; /* another try after so long; -1: none */
};

/* What a later failure must not hide: the first reason stays. */
static void fail(struct transfer *t, const struct trouble *why)
{
    if (t->trouble.exit_code == 0)
        t->trouble = *why;
}

/* Ours: the disk is full, the reader is gone, a signal came. */
static void fail_write(struct transfer *t, const struct output *output, int error)
{
    struct trouble why;

    if (error == -EINTR) /* the loop sees the signal itself */
        return;
    (void)output_trouble(output, error, &why);
    fail(t, &why);
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

static void t_on_waiting(struct xhr_request *request,
                         enum xhr_wait_reason reason,
                         uint64_t monotonic_us,
                         void *user)
{
    struct transfer *t = user;

    (void)request;
    t->bar.waiting = xhr_wait_reason_name(reason);
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

/* What is shown beside the result; if nobody can read it, the transfer goes on. */
static void say(struct strbuf *text)
{
    if (!text->failed && text->len > 0)
        (void)write_all(STDERR_FILENO, text->bytes, text->len);
    strbuf_done(text);
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
    say(&text);
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

static void write_head(struct transfer *t)
{
    struct strbuf text = {0};

    if (!shows_fields(t))
        return;
    report_head(&text, t->request);
    write_fields(t, &text);
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

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

static bool goes_on(const struct transfer *t)
{
    return t->options->continue_auto || t->options->continue_offset > 0;
}

static int64_t wait_for_another_try(const struct transfer *t, int exit_code, int sys_errno)
{
    struct retry_outcome outcome = {
        .exit_code = exit_code,
        .sys_errno = sys_errno,
        .now_s = time(NULL),
        .now_us = now_us(),
    };
    const struct postdata *postdata = &t->session->postdata;

    if (!t->request || t->retry->left == 0 ||
        (postdata->kind == POSTDATA_PIPE && postdata->taken))
        return -1;
    if (exit_code == EXIT_OK || exit_code == EXIT_HTTP_STATUS) {
        outcome.status = xhr_request_status(t->request);
        outcome.retry_after = xhr_request_response_header(t->request, "Retry-After");
    }
    return retry_wait(t->retry, t->options, &outcome);
}

/* With -f, or when it is asked for again: read and thrown away. */
static bool is_to_be_discarded(struct transfer *t)
{
    bool is_error = xhr_request_status(t->request) >= 400;
    bool fails = is_error && (t->options->fail || t->options->fail_with_body);

    t->again_ms = wait_for_another_try(t, fails ? EXIT_HTTP_STATUS : EXIT_OK, 0);
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
    fail(t, &why);
    (void)xhr_request_abort(t->request);
    return false;
}

static void t_on_headers(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct strbuf text = {0};

    event_log_head(&t->session->events, request);
    if (t->options->verbose)
        report_exchange(&text, request, t->target.bytes);
    say(&text);
    t->discarding = is_to_be_discarded(t);
    if (t->discarding)
        t->discard_by_us = now_us() + DISCARD_US_MAX;
    if (t->again_ms < 0)
        write_head(t);
    if (t->trouble.exit_code == 0)
        (void)is_the_rest(t);
}

/* -J. libxhr asks for the path when the head is in. */
static const char *t_choose_path(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct trouble why;

    if (saving_choose(&t->body, t->options,
                      xhr_request_response_header(request, "Content-Disposition"), &why) != 0) {
        fail(t, &why);
        (void)xhr_request_abort(request);
    }
    return strbuf_text(&t->body.path);
}

static void fail_status(struct transfer *t)
{
    struct trouble why;

    (void)trouble_set(&why, EXIT_HTTP_STATUS, "the requested URL returned error: %d",
                      xhr_request_status(t->request));
    fail(t, &why);
}

static void discard(struct transfer *t, size_t len)
{
    t->discarded_bytes += len;
    if (t->discarded_bytes <= DISCARD_BYTES_MAX)
        return;
    fail_status(t);
    (void)xhr_request_abort(t->request);
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
}

static void finish(struct transfer *t, struct output *output)
{
    struct trouble why;
    int r = output_finish(output);

    if (r == 0)
        return;
    (void)output_trouble(output, r, &why);
    fail(t, &why);
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
        fail_status(t);
    } else {
        (void)trouble_of_error(&why, error, t->target.bytes);
        if (t->options->interface && error->kind == XHR_ERROR_CONNECT &&
            error->sys_errno == EADDRNOTAVAIL)
            why.exit_code = EXIT_INTERFACE;
        fail(t, &why);
    }
    end(t, error);
}

static void t_on_abort(struct xhr_request *request, void *user)
{
    struct transfer *t = user;
    struct trouble why;

    (void)request;
    (void)trouble_set(&why, EXIT_ABORTED, "interrupted; the request was aborted");
    fail(t, &why);
    end(t, NULL);
}

/* ---- the request ------------------------------------------------------------------------ */

static bool is_header(const char *line, const char *name)
{
    size_t len = strlen(name);

    return strncasecmp(line, name, len) == 0 && (line[len] == ':' || line[len] == ';');
}

static bool has_header(const struct session *session, const char *name)
{
    for (size_t i = 0; i < session->headers.count; i++) {
        if (is_header(session->headers.items[i], name))
            return true;
    }
    return false;
}

static int refuse_header(int error, const char *line, struct trouble *why)
{
    if (error == -ENOMEM)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    if (error == -EPERM)
        return trouble_set(why, EXIT_USAGE,
                           "-H '%s': this field is the daemon's own; --connect-to or --resolve "
                           "leads to another server, --no-keepalive closes",
                           line);
    return trouble_set(why, EXIT_USAGE,
                       "'%s' is no header: a name of letters, digits and - is "
                       "wanted, and no line end in the value",
                       line);
}

/* @value: NULL removes the field. A field given by -H goes before ours. */
static int
set_header(struct transfer *t, const char *name, const char *value, struct trouble *why)
{
    if (has_header(t->session, name))
        return 0;
    int r = xhr_request_set_header(t->request, name, value);
    return r < 0 ? refuse_header(r, name, why) : 0;
}

static int set_header_line(struct transfer *t, const char *line, struct trouble *why)
{
    size_t len = strcspn(line, ":;");
    char *name = strndup(line, len);
    const char *value = line + len + 1;
    int r = -ENOMEM;

    value += strspn(value, " \t");
    if (line[len] == ':' && value[0] == '\0')
        value = NULL;
    if (name)
        r = xhr_request_set_header(t->request, name, value);
    free(name);
    return r < 0 ? refuse_header(r, line, why) : 0;
}

static int set_headers(struct transfer *t, struct trouble *why)
{
    const struct session *session = t->session;
    const struct cli_options *options = t->options;
    const char *agent = options->user_agent;
    const char *referer = options->referer;
    int r = 0;

    if (agent)
        r = set_header(t, "User-Agent", agent[0] ? agent : NULL, why);
    if (r == 0 && referer && referer[0])
        r = set_header(t, "Referer", referer, why);
    if (r == 0 && session->range.len > 0 && !t->body.appends)
        r = set_header(t, "Range", session->range.bytes, why);
    if (r == 0 && session->postdata.json)
        r = set_header(t, "Accept", "application/json", why);
    if (r == 0 && session->cookie.len > 0) {
        int set = xhr_request_set_header(t->request, "Cookie", session->cookie.bytes);

        r = set < 0 ? refuse_header(set, session->cookie.bytes, why) : 0;
    }
    for (size_t i = 0; i < session->headers.count && r == 0; i++)
        r = set_header_line(t, session->headers.items[i], why);
    return r;
}

static const char *method_of(const struct session *session)
{
    const struct cli_options *options = session->options;

    if (options->method)
        return options->method;
    if (options->head)
        return "HEAD";
    if (options->upload_file)
        return "PUT";
    return (options->n_data > 0 || options->n_form > 0) && !options->get ? "POST" : "GET";
}

static int set_file(struct transfer *t)
{
    struct xhr_file file;

    saving_file(&t->body, t->options, t_choose_path, t, &file);
    return xhr_request_set_file(t->request, &file);
}

/* The login that the .netrc names for this host; a URL that brings its own keeps it. */
static int
find_login(const struct transfer *t, char **ret_user, char **ret_password, struct trouble *why)
{
    struct strbuf host = {0};
    unsigned line;

    target_add_host(&host, t->target.bytes);
    if (host.failed)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    char *name = host.bytes;
    size_t len = host.len;
    if (len > 1 && name[0] == '[' && name[len - 1] == ']') {
        name[len - 1] = '\0';
        name++;
    }
    int r = netrc_find(strbuf_text(&t->session->netrc), name, ret_user, ret_password, &line);
    strbuf_done(&host);
    if (r == NETRC_E_SYNTAX)
        return trouble_set(why, EXIT_READ,
                           "%s, line %u: wants machine NAME, default, login, password, account "
                           "or macdef, each with its value",
                           t->session->netrc_name, line);
    return r < 0 ? trouble_set(why, EXIT_RESOURCES, "out of memory") : 0;
}

static void free_secret(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

/* Return: 0; an exit code with *why filled; what xhr_request_set_options() says. */
static int set_options(struct transfer *t, struct trouble *why)
{
    struct xhr_request_options options = t->session->request_options;
    char *user = NULL;
    char *password = NULL;
    int r = 0;

    if (t->session->netrc.len > 0 && !target_has_userinfo(t->target.bytes))
        r = find_login(t, &user, &password, why);
    if (r == 0) {
        if (user) {
            options.username = user;
            options.password = password;
            options.preemptive_auth = options.auth_scheme == XHR_AUTH_BASIC;
        }
        r = xhr_request_set_options(t->request, &options);
    }
    free_secret(user);
    free_secret(password);
    return r;
}

static int set_up(struct transfer *t, struct trouble *why)
{
    bool watched = t->options->events || t->bar.wanted;
    struct xhr_callbacks callbacks = {
        .size = sizeof(callbacks),
        .onreadystatechange = t->options->events ? t_on_ready_state : NULL,
        .onload = t_on_load,
        .onerror = t_on_error,
        .onabort = t_on_abort,
        .ondatastream = watched ? t_on_download : NULL,
        .onsendstream = watched ? t_on_upload : NULL,
        .on_redirected = t_on_redirected,
        .on_headers = t_on_headers,
        .on_body = t_on_body,
        .on_waiting = watched ? t_on_waiting : NULL,
    };
    int r = xhr_request_new(t->session->client, &t->request);

    if (r == 0)
        r = xhr_request_set_callbacks(t->request, &callbacks, t);
    if (r == 0)
        r = set_options(t, why);
    if (r > 0)
        return r;
    if (r == 0 && t->by_library)
        r = set_file(t);
    if (r == -ENODEV || r == -EADDRNOTAVAIL)
        return trouble_set(why, EXIT_INTERFACE,
                           "--interface '%s': %s; write a local address, or a device that ip "
                           "address shows",
                           t->options->interface,
                           r == -ENODEV ? "no such device" : "the device has no address");
    if (r == -EINVAL)
        return trouble_set(why, EXIT_USAGE,
                           "--jar, --resolve, --connect-to or --cacert: the "
                           "library refuses a value: %s",
                           t->options->jar ? t->options->jar : "");
    return r < 0 ? trouble_set(why, EXIT_RESOURCES, "%s", strerror(-r)) : 0;
}

static int open_request(struct transfer *t, struct trouble *why)
{
    const char *method = method_of(t->session);

    event_log_begin(&t->session->events, t->index + 1, method, t->target.bytes);
    int r = xhr_request_open(t->request, method, t->target.bytes, true);
    if (r == -EINVAL)
        return trouble_set(why, EXIT_USAGE, "-X '%s': not a method", method);
    return r < 0 ? trouble_set(why, EXIT_RESOURCES, "%s", strerror(-r)) : 0;
}

static int send_form(struct transfer *t, struct trouble *why)
{
    struct xhr_form *form = t->session->formdata.form;
    int r = xhr_request_send_form(t->request, form);

    if (r < 0 && xhr_form_error_text(form)[0])
        return trouble_set(why, EXIT_READ, "%s", xhr_form_error_text(form));
    return r;
}

static int send_body(struct transfer *t)
{
    struct postdata *postdata = &t->session->postdata;
    struct xhr_body body;

    postdata_body(postdata, has_header(t->session, "Content-Type"), &body);
    return xhr_request_send(t->request, body.kind == XHR_BODY_NONE ? NULL : &body);
}

/* What xhr_request_send() says of the target of an answer, and of nothing else. */
static bool is_about_file(int error)
{
    return error != -EINVAL && error != -EBADF && error != -EMSGSIZE && error != -ENOMEM &&
           error != -ENOTCONN && error != -EDEADLK;
}

static int send_request(struct transfer *t, struct trouble *why)
{
    const struct postdata *postdata = &t->session->postdata;
    int r = t->session->formdata.form ? send_form(t, why) : send_body(t);

    if (r > 0)
        return r;
    if (r == -EMSGSIZE)
        return trouble_set(why, EXIT_USAGE,
                           "URL, header, --cacert and the other options are more than 1 MiB "
                           "together");
    if (r < 0 && t->by_library && is_about_file(r))
        return output_trouble(&t->body, r, why);
    if (r == -EBADF)
        return trouble_set(why, EXIT_READ,
                           "could not read the data from %s: not open for "
                           "reading, or not a file",
                           postdata->name);
    return r < 0 ? trouble_set(why, EXIT_USAGE, "%s: %s", t->target.bytes, strerror(-r)) : 0;
}

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

/* Signals that end the program come in only while waiting: none is lost between the look at
 * @interrupted and the sleep. */
static void wait_ready(struct pollfd *fds, nfds_t n, int ms)
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

    wait_ready(fds, 2, timeout_ms(t));
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
        fail_status(t);
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
                    strcmp(method_of(t->session), "HEAD") != 0;
    if (t->options->dump_header)
        output_to(&t->header, t->options->dump_header, t->index > 0);
    t->start_us = now_us();
    bar_start(&t->bar, wants_bar(t), t->options->progress_bar, t->start_us);
    r = set_up(t, why);
    if (r == 0)
        r = open_request(t, why);
    if (r == 0)
        r = set_headers(t, why);
    return r == 0 ? send_request(t, why) : r;
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
    say(&err);
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
        say(&text);
    }
}

/* Going on with the next URL would only say the same again. */
static bool is_last(const struct transfer *t)
{
    const struct xhr_error *error = t->request ? xhr_request_error(t->request) : NULL;

    return interrupted || (error && (error->kind == XHR_ERROR_DAEMON_UNREACHABLE ||
                                     error->kind == XHR_ERROR_DAEMON_REFUSED));
}

/* ---- another try ------------------------------------------------------------------------- */

/* What came of this try is taken back, as far as it was written. */
static bool wants_another_try(struct transfer *t)
{
    const struct xhr_error *error = t->request ? xhr_request_error(t->request) : NULL;

    if (interrupted)
        return false;
    if (t->again_ms < 0 && t->trouble.exit_code != EXIT_OK && !t->discarding)
        t->again_ms =
            wait_for_another_try(t, t->trouble.exit_code, error ? error->sys_errno : 0);
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
    say(&text);
}

static void rest(int64_t ms)
{
    uint64_t until = now_us() + (uint64_t)ms * 1000;

    for (uint64_t now = now_us(); now < until && !interrupted; now = now_us())
        wait_ready(NULL, 0, (int)((until - now) / 1000) + 1);
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
        fail(&t, &why);
        if (t.request) /* it was opened, or nearly: events end with an event */
            event_log_end(&session->events, t.request, NULL, &t.trouble);
    }
    while (t.trouble.exit_code == 0 && !t.done)
        turn(&t);
    bool again = wants_another_try(&t);
    if (again) {
        say_retry(&t);
        retry_count(retry, t.options);
        rest(t.again_ms);
    } else {
        conclude(&t, ret_stop);
    }
    *ret_code = t.trouble.exit_code;
    (void)xhr_request_free(t.request);
    output_done(&t.body);
    output_done(&t.header);
    strbuf_done(&t.target);
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
