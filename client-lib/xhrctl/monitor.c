/* SPDX-License-Identifier: MIT */
/* monitor: a line for every request that begins, goes on, is answered and over, until somebody
 * ends it. With --har those that are over go to a file as well. */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "har.h"
#include "internal.h"
#include "json.h"
#include "show.h"

struct monitoring {
    const struct ctl_options *options;
    struct trouble *why;
    struct strbuf line;
    struct har har;
    bool is_over;
    int code;
};

/* Ctrl-C is how it ends: the file is to be whole by then. */
static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void stop(struct monitoring *monitoring, int code)
{
    monitoring->is_over = true;
    monitoring->code = code;
}

static void write_line(struct monitoring *monitoring)
{
    struct strbuf *line = &monitoring->line;

    strbuf_add_char(line, '\n');
    int r = line->failed ? -ENOMEM : write_all(STDOUT_FILENO, line->bytes, line->len);
    strbuf_clear(line);
    if (r == -EINTR)
        stop(monitoring, 0);
    else if (r < 0)
        stop(monitoring, trouble_set(monitoring->why, EXIT_WRITE, "could not write to stdout"));
}

static const char *kind_name(Xhrd__V1__MonitorEvent__Kind kind)
{
    switch (kind) {
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_STARTED: return "started";
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_REDIRECTED: return "redirected";
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_HEAD: return "head";
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_CLOSED: return "closed";
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_HOP:
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_OVER:
    case XHRD__V1__MONITOR_EVENT__KIND__KIND_UNSPECIFIED:
    default: return "done";
    }
}

static const char *name_of(const Xhrd__V1__MonitorEvent *event)
{
    bool failed = event->kind == XHRD__V1__MONITOR_EVENT__KIND__KIND_OVER &&
                  event->record->failure != NULL;

    return failed ? "failed" : kind_name(event->kind);
}

/* ---- for programs ---- */

static void add_text_bytes(struct json *json, const char *key, ProtobufCBinaryData bytes)
{
    json_bytes(json, key, (const char *)bytes.data, bytes.len);
}

static void add_end(struct json *json, const Xhrd__V1__RequestRecord *record)
{
    json_u64(json, "body_bytes", record->body_bytes);
    json_u64(json, "wire_bytes", record->wire_bytes);
    json_u64(json, "upload_bytes", record->upload_bytes);
    json_u64(json, "total_us", record->timing ? record->timing->total_us : 0);
    if (!record->failure)
        return;
    json_text(json, "error", xhr_error_name((enum xhr_error_class)record->failure->kind));
    add_text_bytes(json, "message", record->failure->text);
}

static void add_json(struct strbuf *line, const Xhrd__V1__MonitorEvent *event)
{
    const Xhrd__V1__RequestRecord *record = event->record;
    struct json json = {.out = line};

    json_object_begin(&json, NULL);
    json_text(&json, "event", name_of(event));
    json_i64(&json, "when_us", event->when_us);
    json_u64(&json, "request", record->request);
    json_u64(&json, "client", record->client_id);
    json_u64(&json, "uid", record->uid);
    json_text(&json, "profile", record->profile);
    add_text_bytes(&json, "program", record->program);
    add_text_bytes(&json, "method", record->method);
    add_text_bytes(&json, "url", record->url);
    if (record->status)
        json_u64(&json, "status", record->status);
    if (record->connection_id) {
        json_u64(&json, "connection", record->connection_id);
        json_bool(&json, "reused", record->reused);
    }
    if (record->early_data)
        json_text(&json, "early_data",
                  xhr_early_data_name((enum xhr_early_data)record->early_data));
    if (record->from_cache)
        json_bool(&json, "from_cache", true);
    if (record->is_over)
        add_end(&json, record);
    json_object_end(&json);
}

/* ---- for people ---- */

static void add_clock(struct strbuf *line, int64_t when_us)
{
    time_t seconds = (time_t)(when_us / 1000000);
    struct tm tm;
    char text[16];

    if (localtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%H:%M:%S", &tm) > 0)
        strbuf_add_text(line, text);
    strbuf_add_char(line, '.');
    strbuf_add_padded(line, (uint64_t)(when_us / 1000 % 1000), 3);
}

static void add_outcome(struct strbuf *line, const Xhrd__V1__RequestRecord *record)
{
    if (record->status) {
        strbuf_add_char(line, ' ');
        strbuf_add_u64(line, record->status);
    }
    if (record->is_over) {
        strbuf_add_char(line, ' ');
        strbuf_add_size(line, record->body_bytes);
        strbuf_add_text(line, " in ");
        strbuf_add_seconds(line, record->timing ? record->timing->total_us : 0);
        strbuf_add_char(line, 's');
    }
    if (record->reused)
        strbuf_add_text(line, ", reused connection");
    if (record->from_cache)
        strbuf_add_text(line, ", stored");
    if (record->failure) {
        strbuf_add_text(line, ": ");
        strbuf_add_shown(line, (const char *)record->failure->text.data,
                         record->failure->text.len);
    }
}

/* "12:00:00.123 #7 uid 1000 curl-job done GET http://a/ 200 12 KiB in 0.012s" */
static void add_text(struct strbuf *line, const Xhrd__V1__MonitorEvent *event)
{
    const Xhrd__V1__RequestRecord *record = event->record;

    add_clock(line, event->when_us);
    strbuf_add_text(line, " #");
    strbuf_add_u64(line, record->request);
    strbuf_add_text(line, " uid ");
    strbuf_add_u64(line, record->uid);
    if (record->profile[0]) {
        strbuf_add_char(line, '/');
        strbuf_add_shown(line, record->profile, strlen(record->profile));
    }
    strbuf_add_char(line, ' ');
    strbuf_add_shown(line, (const char *)record->program.data, record->program.len);
    strbuf_add_char(line, ' ');
    strbuf_add_text(line, name_of(event));
    strbuf_add_char(line, ' ');
    strbuf_add_shown(line, (const char *)record->method.data, record->method.len);
    strbuf_add_char(line, ' ');
    strbuf_add_shown(line, (const char *)record->url.data, record->url.len);
    add_outcome(line, record);
}

static void say_lost(struct monitoring *monitoring, uint64_t lost)
{
    struct json json = {.out = &monitoring->line};

    if (monitoring->options->json) {
        json_object_begin(&json, NULL);
        json_text(&json, "event", "lost");
        json_u64(&json, "count", lost);
        json_object_end(&json);
    } else {
        strbuf_add_u64(&monitoring->line, lost);
        strbuf_add_text(&monitoring->line, " events lost: this reader is too slow");
    }
    write_line(monitoring);
}

/* ---- the watch ---- */

static void take_event(struct monitoring *monitoring, const Xhrd__V1__MonitorEvent *event)
{
    bool is_hop = event->kind == XHRD__V1__MONITOR_EVENT__KIND__KIND_HOP;

    if (monitoring->options->json && !is_hop)
        add_json(&monitoring->line, event);
    else if (!is_hop) /* a redirect is told anyway */
        add_text(&monitoring->line, event);
    if (!is_hop)
        write_line(monitoring);
    if (!monitoring->options->har || !event->record->is_over || monitoring->is_over)
        return;
    int r = har_add(&monitoring->har, event->record);
    if (r < 0)
        stop(monitoring, trouble_set(monitoring->why, EXIT_WRITE, "--har %s: %s",
                                     monitoring->options->har, strerror(-r)));
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct monitoring *monitoring = user;

    if (monitoring->is_over)
        return;
    if (error) {
        stop(monitoring, ctl_trouble(error, monitoring->why));
        return;
    }
    if (reply->lost > 0)
        say_lost(monitoring, reply->lost);
    if (reply->event && reply->event->record && !monitoring->is_over)
        take_event(monitoring, reply->event);
}

/* Until the watch is over or a signal ends it. */
static void wait_for_events(struct xhr_client *client,
                            struct monitoring *monitoring,
                            const sigset_t *waiting)
{
    while (!monitoring->is_over && !interrupted) {
        struct pollfd ready = {.fd = xhr_client_fd(client), .events = POLLIN};

        if (xhr_client_wants_write(client))
            ready.events |= POLLOUT;
        int timeout_ms = xhr_client_timeout_ms(client);
        struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
        if (ppoll(&ready, 1, timeout_ms < 0 ? NULL : &timeout, waiting) < 0 && errno != EINTR) {
            stop(monitoring,
                 trouble_set(monitoring->why, EXIT_RESOURCES, "poll: %s", strerror(errno)));
            return;
        }
        (void)xhr_client_dispatch(client); /* what goes wrong is told to on_reply() */
    }
}

/* They come while it waits, and at no other time. */
static void catch_signals(sigset_t *ret_waiting)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t both;

    (void)sigemptyset(&both);
    (void)sigaddset(&both, SIGINT);
    (void)sigaddset(&both, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &both, ret_waiting);
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static int begin(struct xhr_client *client, struct monitoring *monitoring)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    const struct ctl_options *options = monitoring->options;
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;
    int r = options->har ? har_open(&monitoring->har, options->har) : 0;

    if (r < 0)
        return trouble_set(monitoring->why, EXIT_WRITE, "--har %s: %s", options->har,
                           strerror(-r));
    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_MONITOR;
    what.with_headers = options->har != NULL;
    r = xhr_admin_send(client, &what, &events, monitoring);
    return r < 0 ? trouble_set(monitoring->why, EXIT_DAEMON, "%s", strerror(-r)) : 0;
}

int monitor_run(struct xhr_client *client,
                const struct ctl_options *options,
                struct trouble *why)
{
    static struct monitoring monitoring; /* the client's end is told to it, too */
    sigset_t waiting;

    monitoring = (struct monitoring){.options = options, .why = why};

    catch_signals(&waiting);
    monitoring.code = begin(client, &monitoring);
    if (monitoring.code == 0)
        wait_for_events(client, &monitoring, &waiting);
    int r = options->har ? har_close(&monitoring.har) : 0;
    if (r < 0 && monitoring.code == 0)
        monitoring.code =
            trouble_set(why, EXIT_WRITE, "--har %s: %s", options->har, strerror(-r));
    monitoring.is_over = true;
    strbuf_done(&monitoring.line);
    return monitoring.code;
}
