/* SPDX-License-Identifier: MIT */
#include "har.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "show.h"
#include "version.h"

#define LOG_END "]}}\n"

/* ---- pieces ---- */

struct text {
    const char *ptr;
    size_t len;
};

static struct text text_of(ProtobufCBinaryData bytes)
{
    return (struct text){(const char *)bytes.data, bytes.len};
}

static bool is_name(const Xhrd__V1__Header *header, const char *name)
{
    return header->name.len == strlen(name) &&
           strncasecmp((const char *)header->name.data, name, header->name.len) == 0;
}

static struct text find_header(Xhrd__V1__Header *const *headers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (is_name(headers[i], name))
            return text_of(headers[i]->value);
    }
    return (struct text){"", 0};
}

/* Cuts *rest at @sep. Return: whether there was anything. */
static bool next_part(struct text *rest, char sep, struct text *ret)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->ptr, sep, rest->len);
    size_t n = end ? (size_t)(end - rest->ptr) : rest->len;

    *ret = (struct text){rest->ptr, n};
    rest->ptr += end ? n + 1 : n;
    rest->len -= end ? n + 1 : n;
    while (ret->len > 0 && ret->ptr[0] == ' ')
        ret->ptr++, ret->len--;
    return true;
}

static void split(struct text pair, struct text *name, struct text *value)
{
    *value = pair;
    if (!next_part(value, '=', name))
        *name = (struct text){"", 0};
}

static void add_pair(struct json *json, struct text name, struct text value)
{
    json_object_begin(json, NULL);
    json_bytes(json, "name", name.ptr, name.len);
    json_bytes(json, "value", value.ptr, value.len);
    json_object_end(json);
}

static void add_headers(struct json *json, Xhrd__V1__Header *const *headers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_pair(json, text_of(headers[i]->name), text_of(headers[i]->value));
}

static const char *version_name(uint32_t version)
{
    switch (version) {
    case 10: return "HTTP/1.0";
    case 11: return "HTTP/1.1";
    case 20: return "HTTP/2";
    default: return "";
    }
}

static void add_date(struct json *json, const char *key, int64_t us)
{
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    char date[32] = "1970-01-01T00:00:00";
    struct strbuf text = {0};

    if (gmtime_r(&seconds, &tm))
        (void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    strbuf_add_text(&text, date);
    strbuf_add_char(&text, '.');
    strbuf_add_padded(&text, (uint64_t)(us < 0 ? 0 : us / 1000 % 1000), 3);
    strbuf_add_char(&text, 'Z');
    json_text(json, key, strbuf_text(&text));
    json->out->failed |= text.failed;
    strbuf_done(&text);
}

/* ---- the request ---- */

/* "host:port" of the URL: what stands between "//" and the path. */
static struct text authority_of(struct text url)
{
    const char *slashes = memmem(url.ptr, url.len, "://", 3);
    struct text rest = {"", 0};
    static const char ends[] = {'/', '?', '#'};
    size_t n = 0;

    if (!slashes)
        return rest;
    rest.ptr = slashes + 3;
    rest.len = url.len - (size_t)(rest.ptr - url.ptr);
    while (n < rest.len && !memchr(ends, rest.ptr[n], sizeof(ends)))
        n++;
    rest.len = n;
    const char *login = memrchr(rest.ptr, '@', rest.len);
    if (login) {
        rest.len -= (size_t)(login + 1 - rest.ptr);
        rest.ptr = login + 1;
    }
    return rest;
}

static void add_query(struct json *json, struct text url)
{
    const char *mark = memchr(url.ptr, '?', url.len);
    struct text rest = {mark ? mark + 1 : "", 0};
    struct text part = {"", 0}, name, value;

    if (!mark)
        return;
    rest.len = url.len - (size_t)(rest.ptr - url.ptr);
    (void)next_part(&rest, '#', &part);
    rest = part;
    while (next_part(&rest, '&', &part)) {
        split(part, &name, &value);
        add_pair(json, name, value);
    }
}

static void add_sent_cookies(struct json *json, Xhrd__V1__Header *const *headers, size_t n)
{
    struct text part, name, value;

    for (size_t i = 0; i < n; i++) {
        struct text rest = text_of(headers[i]->value);

        while (is_name(headers[i], "Cookie") && next_part(&rest, ';', &part)) {
            split(part, &name, &value);
            add_pair(json, name, value);
        }
    }
}

static void add_request(struct json *json, const Xhrd__V1__RequestRecord *record)
{
    struct text url = text_of(record->url);
    struct text host = authority_of(url);

    json_object_begin(json, "request");
    json_bytes(json, "method", (const char *)record->method.data, record->method.len);
    json_bytes(json, "url", url.ptr, url.len);
    json_text(json, "httpVersion", version_name(record->http_version));
    json_array_begin(json, "cookies");
    add_sent_cookies(json, record->sent, record->n_sent);
    json_array_end(json);
    json_array_begin(json, "headers");
    if (record->connection_id && record->http_version < 20)
        add_pair(json, (struct text){"Host", 4}, host);
    add_headers(json, record->sent, record->n_sent);
    json_array_end(json);
    json_array_begin(json, "queryString");
    add_query(json, url);
    json_array_end(json);
    json_i64(json, "headersSize", -1);
    json_u64(json, "bodySize", record->upload_bytes);
    json_object_end(json);
}

/* ---- the answer ---- */

static bool equals(struct text text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.ptr, word, text.len) == 0;
}

/* "sid=***; Path=/; HttpOnly" */
static void add_set_cookie(struct json *json, struct text field)
{
    struct text part, name, value;

    if (!next_part(&field, ';', &part))
        return;
    split(part, &name, &value);
    json_object_begin(json, NULL);
    json_bytes(json, "name", name.ptr, name.len);
    json_bytes(json, "value", value.ptr, value.len);
    bool http_only = false, secure = false, has_path = false, has_domain = false;
    while (next_part(&field, ';', &part)) {
        split(part, &name, &value);
        http_only |= equals(name, "HttpOnly");
        secure |= equals(name, "Secure");
        if (equals(name, "Path") && !has_path)
            json_bytes(json, "path", value.ptr, value.len), has_path = true;
        if (equals(name, "Domain") && !has_domain)
            json_bytes(json, "domain", value.ptr, value.len), has_domain = true;
    }
    json_bool(json, "httpOnly", http_only);
    json_bool(json, "secure", secure);
    json_object_end(json);
}

static void add_content(struct json *json, const Xhrd__V1__RequestRecord *record)
{
    struct text type = find_header(record->received, record->n_received, "Content-Type");

    json_object_begin(json, "content");
    json_u64(json, "size", record->body_bytes);
    if (record->body_bytes > record->wire_bytes && record->wire_bytes > 0)
        json_u64(json, "compression", record->body_bytes - record->wire_bytes);
    json_bytes(json, "mimeType", type.ptr, type.len);
    json_object_end(json);
}

static void add_response(struct json *json, const Xhrd__V1__RequestRecord *record)
{
    struct text location = find_header(record->received, record->n_received, "Location");

    json_object_begin(json, "response");
    json_u64(json, "status", record->status);
    json_bytes(json, "statusText", (const char *)record->reason.data, record->reason.len);
    json_text(json, "httpVersion", version_name(record->http_version));
    json_array_begin(json, "cookies");
    for (size_t i = 0; i < record->n_received; i++) {
        if (is_name(record->received[i], "Set-Cookie"))
            add_set_cookie(json, text_of(record->received[i]->value));
    }
    json_array_end(json);
    json_array_begin(json, "headers");
    add_headers(json, record->received, record->n_received);
    json_array_end(json);
    add_content(json, record);
    json_bytes(json, "redirectURL", location.ptr, location.len);
    json_i64(json, "headersSize",
             record->header_bytes > 0 ? (int64_t)record->header_bytes : -1);
    if (record->is_hop)
        json_i64(json, "bodySize", -1); /* it was not waited for */
    else
        json_u64(json, "bodySize", record->wire_bytes);
    json_object_end(json);
}

/* ---- times ---- */

/* 12.345; -1: does not apply. */
static void add_ms(struct json *json, const char *key, int64_t us)
{
    if (us < 0) {
        json_i64(json, key, -1);
        return;
    }
    json_milliseconds(json, key, (uint64_t)us);
}

/* When a step was over, never before the one before it; what did not happen took no time. */
static int64_t after(int64_t before, uint64_t step)
{
    int64_t us = (int64_t)step; /* negative: others had done it before */

    return us > before ? us : before;
}

/* From @begin on they add up to @total; ssl is a part of connect. */
static void
add_timings(struct json *json, const Xhrd__V1__Timing *timing, int64_t begin, int64_t total)
{
    int64_t dns = after(begin, timing->name_lookup_us);
    int64_t tcp = after(dns, timing->connect_us);
    int64_t connected = after(tcp, timing->tls_us);
    int64_t ready = after(connected, timing->queued_us);
    int64_t sent = after(ready, timing->sent_us);
    int64_t first = timing->first_byte_us ? after(sent, timing->first_byte_us) : total;

    first = first > total ? total : first;
    sent = sent > first ? first : sent;
    ready = ready > sent ? sent : ready;
    connected = connected > ready ? ready : connected;
    tcp = tcp > connected ? connected : tcp;
    dns = dns > tcp ? tcp : dns;
    json_object_begin(json, "timings");
    add_ms(json, "blocked", ready - connected);
    add_ms(json, "dns", timing->name_lookup_us ? dns - begin : -1);
    add_ms(json, "connect", timing->connect_us ? connected - dns : -1);
    add_ms(json, "ssl", timing->tls_us ? connected - tcp : -1);
    add_ms(json, "send", sent - ready);
    add_ms(json, "wait", first - sent);
    add_ms(json, "receive", total - first);
    json_object_end(json);
}

/* ---- an entry, an archive ---- */

static void add_more(struct json *json, const Xhrd__V1__RequestRecord *record)
{
    struct strbuf connection = {0};

    if (record->remote_address.len > 0)
        json_bytes(json, "serverIPAddress", (const char *)record->remote_address.data,
                   record->remote_address.len);
    if (record->connection_id) {
        strbuf_add_u64(&connection, record->connection_id);
        json_text(json, "connection", strbuf_text(&connection));
        json->out->failed |= connection.failed;
        strbuf_done(&connection);
    }
    json_u64(json, "_request", record->request);
    json_u64(json, "_uid", record->uid);
    json_text(json, "_profile", record->profile);
    json_bytes(json, "_program", (const char *)record->program.data, record->program.len);
    json_bool(json, "_reusedConnection", record->reused);
    json_bytes(json, "_tls", (const char *)record->tls.data, record->tls.len);
    json_text(json, "_earlyData", xhr_early_data_name((enum xhr_early_data)record->early_data));
    json_bytes(json, "_proxy", (const char *)record->proxy.data, record->proxy.len);
    json_u64(json, "_redirects", record->redirects);
    json_u64(json, "_linesLeftOut", record->lines_left_out);
    if (record->failure)
        json_bytes(json, "_error", (const char *)record->failure->text.data,
                   record->failure->text.len);
}

static void add_entry(struct json *json, const Xhrd__V1__RequestRecord *record)
{
    static const Xhrd__V1__Timing none;
    const Xhrd__V1__Timing *timing = record->timing ? record->timing : &none;
    int64_t begin = (int64_t)record->hop_us;
    int64_t total = after(begin, timing->total_us);

    json_object_begin(json, NULL);
    add_date(json, "startedDateTime", record->started_us + begin);
    add_ms(json, "time", total - begin);
    add_request(json, record);
    add_response(json, record);
    json_object_begin(json, "cache");
    json_object_end(json);
    add_timings(json, timing, begin, total);
    add_more(json, record);
    json_object_end(json);
}

static void add_log_begin(struct json *json)
{
    json_object_begin(json, NULL);
    json_object_begin(json, "log");
    json_text(json, "version", "1.2");
    json_object_begin(json, "creator");
    json_text(json, "name", "xhrctl");
    json_text(json, "version", XHR_VERSION_TEXT);
    json_object_end(json);
    json_array_begin(json, "entries");
}

/* ---- a file that grows ---- */

/* @text, and behind it what makes the archive whole. */
static int put(struct har *har, struct strbuf *text)
{
    size_t len = text->len;
    size_t at = 0;

    strbuf_add_text(text, LOG_END);
    if (text->failed)
        return -ENOMEM;
    while (at < text->len) {
        ssize_t n = pwrite(har->fd, text->bytes + at, text->len - at, (off_t)(har->end + at));

        if (n < 0 && errno != EINTR)
            return -errno;
        at += n > 0 ? (size_t)n : 0;
    }
    har->end += len;
    return 0;
}

int har_open(struct har *har, const char *name)
{
    struct strbuf text = {0};
    struct json json = {.out = &text};

    *har = (struct har){.fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (har->fd < 0)
        return -errno;
    add_log_begin(&json);
    int r = put(har, &text);
    strbuf_done(&text);
    return r;
}

int har_add(struct har *har, const Xhrd__V1__RequestRecord *record)
{
    struct strbuf text = {0};
    struct json json = {.out = &text};

    strbuf_add_text(&text, har->comma ? ",\n" : "\n");
    add_entry(&json, record);
    int r = put(har, &text);
    har->comma |= r == 0;
    strbuf_done(&text);
    return r;
}

int har_close(struct har *har)
{
    int fd = har->fd;

    har->fd = -1;
    return fd > 0 && close(fd) < 0 ? -errno : 0;
}

/* ---- har REQUEST ---- */

struct asking {
    struct strbuf *out;
    struct trouble *why;
    int result;
    bool has_begun;
};

/* One answer of the request; a last one ends the archive. */
static void add_answer(struct asking *asking, const Xhrd__V1__RequestRecord *record, bool more)
{
    struct json json = {.out = asking->out};

    if (asking->has_begun)
        strbuf_add_text(asking->out, ",\n");
    else
        add_log_begin(&json);
    json = (struct json){.out = asking->out};
    add_entry(&json, record);
    asking->has_begun = true;
    if (!more)
        strbuf_add_text(asking->out, LOG_END);
}

static void
on_reply(const Xhrd__V1__AdminReply *reply, const struct xhr_error *error, void *user)
{
    struct asking *asking = user;

    if (error)
        asking->result = ctl_trouble(error, asking->why);
    else if (reply && reply->record)
        add_answer(asking, reply->record, reply->more);
}

static bool parse_request(const char *text, uint64_t *ret)
{
    uint64_t number = 0;

    text += text[0] == '#';
    for (const char *at = text; *at; at++) {
        if (*at < '0' || *at > '9' || number > (UINT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(*at - '0');
    }
    *ret = number;
    return text[0] != '\0';
}

int har_run(struct xhr_client *client,
            const struct ctl_options *options,
            struct strbuf *out,
            struct trouble *why)
{
    static const struct xhr_admin_events events = {.on_reply = on_reply};
    struct asking asking = {.out = out, .why = why};
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HISTORY;
    if (!parse_request(options->argument, &what.request))
        return trouble_set(why, EXIT_USAGE,
                           "har %s: wants the number of a request, as xhrctl monitor and the "
                           "journal (XHRD_REQUEST=) show it",
                           options->argument);
    int r = xhr_admin_ask_for(client, &what, &events, &asking);
    if (asking.result == 0 && r < 0)
        asking.result = trouble_set(why, EXIT_DAEMON, "%s", strerror(-r));
    return asking.result;
}
