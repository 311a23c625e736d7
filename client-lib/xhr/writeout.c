/* SPDX-License-Identifier: MIT */
#include "writeout.h"

#include <string.h>
#include <strings.h>

#include "certs.h"
#include "files.h"
#include "json.h"
#include "target.h"

#define FORMAT_BYTES_MAX (1 << 20)

enum variable_type { TYPE_TEXT, TYPE_NUMBER, TYPE_STATUS, TYPE_SECONDS };

enum variable {
    VAR_AGE,
    VAR_CERTS,
    VAR_CONN_ID,
    VAR_CONTENT_TYPE,
    VAR_EARLY_DATA,
    VAR_ERRORMSG,
    VAR_EXITCODE,
    VAR_FILENAME_EFFECTIVE,
    VAR_FROM_CACHE,
    VAR_HTTP_CODE,
    VAR_HTTP_CONNECT,
    VAR_HTTP_VERSION,
    VAR_LOCAL_IP,
    VAR_LOCAL_PORT,
    VAR_METHOD,
    VAR_NUM_CERTS,
    VAR_NUM_CONNECTS,
    VAR_NUM_HEADERS,
    VAR_NUM_REDIRECTS,
    VAR_NUM_RETRIES,
    VAR_PROXY_SSL_VERIFY_RESULT,
    VAR_PROXY_USED,
    VAR_REDIRECT_URL,
    VAR_REFERER,
    VAR_REMOTE_IP,
    VAR_REMOTE_PORT,
    VAR_RESPONSE_CODE,
    VAR_SCHEME,
    VAR_SIZE_DOWNLOAD,
    VAR_SIZE_HEADER,
    VAR_SIZE_REQUEST,
    VAR_SIZE_UPLOAD,
    VAR_SPEED_DOWNLOAD,
    VAR_SPEED_UPLOAD,
    VAR_SSL_VERIFY_RESULT,
    VAR_TIME_APPCONNECT,
    VAR_TIME_CONNECT,
    VAR_TIME_NAMELOOKUP,
    VAR_TIME_POSTTRANSFER,
    VAR_TIME_PRETRANSFER,
    VAR_TIME_QUEUE,
    VAR_TIME_REDIRECT,
    VAR_TIME_STARTTRANSFER,
    VAR_TIME_TOTAL,
    VAR_TLS_ALPN,
    VAR_TLS_CIPHER,
    VAR_TLS_FIRST_ERROR,
    VAR_TLS_OLD,
    VAR_TLS_RESUMED,
    VAR_TLS_RUNGS,
    VAR_TLS_VERSION,
    VAR_URL,
    VAR_URL_EFFECTIVE,
    VAR_URLNUM,
    VAR_COUNT,
};

/* In the order of %{json}. */
static const struct {
    const char *name;
    enum variable_type type;
} variables[VAR_COUNT] = {
    [VAR_AGE] = {"age", TYPE_NUMBER},
    [VAR_CERTS] = {"certs", TYPE_TEXT},
    [VAR_CONN_ID] = {"conn_id", TYPE_NUMBER},
    [VAR_CONTENT_TYPE] = {"content_type", TYPE_TEXT},
    [VAR_EARLY_DATA] = {"early_data", TYPE_TEXT},
    [VAR_ERRORMSG] = {"errormsg", TYPE_TEXT},
    [VAR_EXITCODE] = {"exitcode", TYPE_NUMBER},
    [VAR_FILENAME_EFFECTIVE] = {"filename_effective", TYPE_TEXT},
    [VAR_FROM_CACHE] = {"from_cache", TYPE_TEXT},
    [VAR_HTTP_CODE] = {"http_code", TYPE_STATUS},
    [VAR_HTTP_CONNECT] = {"http_connect", TYPE_STATUS},
    [VAR_HTTP_VERSION] = {"http_version", TYPE_TEXT},
    [VAR_LOCAL_IP] = {"local_ip", TYPE_TEXT},
    [VAR_LOCAL_PORT] = {"local_port", TYPE_NUMBER},
    [VAR_METHOD] = {"method", TYPE_TEXT},
    [VAR_NUM_CERTS] = {"num_certs", TYPE_NUMBER},
    [VAR_NUM_CONNECTS] = {"num_connects", TYPE_NUMBER},
    [VAR_NUM_HEADERS] = {"num_headers", TYPE_NUMBER},
    [VAR_NUM_REDIRECTS] = {"num_redirects", TYPE_NUMBER},
    [VAR_NUM_RETRIES] = {"num_retries", TYPE_NUMBER},
    [VAR_PROXY_SSL_VERIFY_RESULT] = {"proxy_ssl_verify_result", TYPE_NUMBER},
    [VAR_PROXY_USED] = {"proxy_used", TYPE_NUMBER},
    [VAR_REDIRECT_URL] = {"redirect_url", TYPE_TEXT},
    [VAR_REFERER] = {"referer", TYPE_TEXT},
    [VAR_REMOTE_IP] = {"remote_ip", TYPE_TEXT},
    [VAR_REMOTE_PORT] = {"remote_port", TYPE_NUMBER},
    [VAR_RESPONSE_CODE] = {"response_code", TYPE_STATUS},
    [VAR_SCHEME] = {"scheme", TYPE_TEXT},
    [VAR_SIZE_DOWNLOAD] = {"size_download", TYPE_NUMBER},
    [VAR_SIZE_HEADER] = {"size_header", TYPE_NUMBER},
    [VAR_SIZE_REQUEST] = {"size_request", TYPE_NUMBER},
    [VAR_SIZE_UPLOAD] = {"size_upload", TYPE_NUMBER},
    [VAR_SPEED_DOWNLOAD] = {"speed_download", TYPE_NUMBER},
    [VAR_SPEED_UPLOAD] = {"speed_upload", TYPE_NUMBER},
    [VAR_SSL_VERIFY_RESULT] = {"ssl_verify_result", TYPE_NUMBER},
    [VAR_TIME_APPCONNECT] = {"time_appconnect", TYPE_SECONDS},
    [VAR_TIME_CONNECT] = {"time_connect", TYPE_SECONDS},
    [VAR_TIME_NAMELOOKUP] = {"time_namelookup", TYPE_SECONDS},
    [VAR_TIME_POSTTRANSFER] = {"time_posttransfer", TYPE_SECONDS},
    [VAR_TIME_PRETRANSFER] = {"time_pretransfer", TYPE_SECONDS},
    [VAR_TIME_QUEUE] = {"time_queue", TYPE_SECONDS},
    [VAR_TIME_REDIRECT] = {"time_redirect", TYPE_SECONDS},
    [VAR_TIME_STARTTRANSFER] = {"time_starttransfer", TYPE_SECONDS},
    [VAR_TIME_TOTAL] = {"time_total", TYPE_SECONDS},
    [VAR_TLS_ALPN] = {"tls_alpn", TYPE_TEXT},
    [VAR_TLS_CIPHER] = {"tls_cipher", TYPE_TEXT},
    [VAR_TLS_FIRST_ERROR] = {"tls_first_error", TYPE_TEXT},
    [VAR_TLS_OLD] = {"tls_old", TYPE_NUMBER},
    [VAR_TLS_RESUMED] = {"tls_resumed", TYPE_NUMBER},
    [VAR_TLS_RUNGS] = {"tls_rungs", TYPE_NUMBER},
    [VAR_TLS_VERSION] = {"tls_version", TYPE_TEXT},
    [VAR_URL] = {"url", TYPE_TEXT},
    [VAR_URL_EFFECTIVE] = {"url_effective", TYPE_TEXT},
    [VAR_URLNUM] = {"urlnum", TYPE_NUMBER},
};

/* What the finished request says, fetched once; never NULL but for @tls. */
struct facts {
    const struct writeout_view *view;
    const struct xhr_connection_info *connection;
    const struct xhr_timing *timing;
    const struct xhr_totals *totals;
};

static struct facts facts_of(const struct writeout_view *view)
{
    static const struct xhr_connection_info no_connection;
    static const struct xhr_timing no_timing;
    static const struct xhr_totals no_totals;
    struct facts facts = {
        .view = view,
        .connection = xhr_request_connection(view->request),
        .timing = xhr_request_timing(view->request),
        .totals = xhr_request_totals(view->request),
    };

    if (!facts.connection)
        facts.connection = &no_connection;
    if (!facts.timing)
        facts.timing = &no_timing;
    if (!facts.totals)
        facts.totals = &no_totals;
    return facts;
}

static uint64_t speed(uint64_t bytes, uint64_t us)
{
    if (us == 0)
        return 0;
    return bytes > UINT64_MAX / 1000000 ? bytes / us * 1000000 : bytes * 1000000 / us;
}

static uint64_t count_headers(const struct xhr_request *request)
{
    const char *name, *value;
    uint64_t n = 0;

    while (xhr_request_response_header_at(request, n, &name, &value))
        n++;
    return n;
}

static uint64_t failed_verify_result(const struct xhr_error *error, bool of_proxy)
{
    if (!error || error->kind != XHR_ERROR_TLS_VERIFY ||
        (error->phase == XHR_PHASE_PROXY) != of_proxy)
        return 0;
    return error->detail;
}

static uint64_t verify_result(const struct facts *facts)
{
    const struct xhr_tls_info *tls = facts->connection->tls;

    return tls ? tls->verify_result : failed_verify_result(facts->view->error, false);
}

static bool is_proxied(const struct facts *facts)
{
    return facts->connection->proxy && facts->connection->proxy[0];
}

/* The status of the CONNECT that this request made; 0: it made none. */
static uint64_t connect_status(const struct facts *facts)
{
    const struct xhr_connection_info *connection = facts->connection;
    const struct xhr_error *error = facts->view->error;

    if (error && error->kind == XHR_ERROR_PROXY && error->detail < 1000)
        return error->phase == XHR_PHASE_PROXY ? error->detail : 0;
    return is_proxied(facts) && connection->proxy_tunnel && !connection->reused &&
                   strncmp(connection->proxy, "http", 4) == 0
               ? 200
               : 0;
}

static const struct xhr_tls_info *tls_of(const struct facts *facts)
{
    static const struct xhr_tls_info none;

    return facts->connection->tls ? facts->connection->tls : &none;
}

static uint64_t count_rungs(const struct xhr_request *request)
{
    struct xhr_tls_rung rung;
    uint64_t n = 0;

    while (xhr_request_tls_rung_at(request, n, &rung))
        n++;
    return n;
}

/* Why there was a first rung; NULL: there was none, or it had worked before. */
static const char *first_error(const struct xhr_request *request)
{
    struct xhr_tls_rung rung;

    for (size_t i = 0; xhr_request_tls_rung_at(request, i, &rung); i++) {
        if (rung.cause[0])
            return rung.cause;
    }
    return NULL;
}

static uint64_t number_of(const struct facts *facts, enum variable which)
{
    const struct writeout_view *view = facts->view;

    /* The rest are no numbers. */
    switch ((int)which) {
    case VAR_AGE: return xhr_request_age_s(view->request);
    case VAR_CONN_ID: return facts->connection->connection_id;
    case VAR_EXITCODE: return (uint64_t)view->trouble->exit_code;
    case VAR_HTTP_CODE:
    case VAR_RESPONSE_CODE: return (uint64_t)xhr_request_status(view->request);
    case VAR_LOCAL_PORT: return facts->connection->local_port;
    case VAR_REMOTE_PORT: return facts->connection->remote_port;
    case VAR_NUM_CERTS:
        return facts->connection->tls ? facts->connection->tls->n_certificates : 0;
    case VAR_NUM_CONNECTS:
        return facts->connection->connection_id != 0 && !facts->connection->reused;
    case VAR_NUM_HEADERS: return count_headers(view->request);
    case VAR_NUM_REDIRECTS: return xhr_request_redirect_count(view->request);
    case VAR_NUM_RETRIES: return view->retries;
    case VAR_SIZE_DOWNLOAD: return facts->totals->wire_bytes;
    case VAR_SIZE_HEADER: return facts->totals->header_bytes;
    case VAR_SIZE_REQUEST: return facts->totals->request_bytes;
    case VAR_SIZE_UPLOAD: return facts->totals->upload_bytes;
    case VAR_SPEED_DOWNLOAD: return speed(facts->totals->wire_bytes, facts->timing->total_us);
    case VAR_SPEED_UPLOAD: return speed(facts->totals->upload_bytes, facts->timing->total_us);
    case VAR_HTTP_CONNECT: return connect_status(facts);
    case VAR_PROXY_SSL_VERIFY_RESULT: return failed_verify_result(view->error, true);
    case VAR_PROXY_USED: return is_proxied(facts);
    case VAR_SSL_VERIFY_RESULT: return verify_result(facts);
    case VAR_TLS_OLD: return tls_of(facts)->old;
    case VAR_TLS_RESUMED: return tls_of(facts)->resumed;
    case VAR_TLS_RUNGS: return count_rungs(view->request);
    case VAR_URLNUM: return view->number;
    default: return 0;
    }
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t seconds_of(const struct facts *facts, enum variable which)
{
    const struct xhr_timing *timing = facts->timing;

    switch ((int)which) {
    case VAR_TIME_APPCONNECT: return timing->tls_us;
    case VAR_TIME_CONNECT: return timing->connect_us;
    case VAR_TIME_NAMELOOKUP: return timing->name_lookup_us;
    case VAR_TIME_PRETRANSFER:
        return later(later(timing->queued_us, timing->connect_us), timing->tls_us);
    case VAR_TIME_POSTTRANSFER: return timing->sent_us;
    case VAR_TIME_QUEUE: return timing->queued_us;
    case VAR_TIME_REDIRECT: return facts->view->redirect_us;
    case VAR_TIME_STARTTRANSFER: return timing->first_byte_us;
    default: return timing->total_us;
    }
}

static const char *version_text(int version)
{
    switch (version) {
    case 10: return "1.0";
    case 11: return "1.1";
    case 20: return "2";
    case 30: return "3";
    default: return "0";
    }
}

static const char *effective_url(const struct writeout_view *view)
{
    const char *location = xhr_request_location(view->request);

    return location && location[0] ? location : view->effective_url;
}

/* curl tells where a redirect that was not followed would have gone. */
static const char *redirect_url(const struct writeout_view *view, struct strbuf *scratch)
{
    int status = xhr_request_status(view->request);
    const char *location = xhr_request_response_header(view->request, "Location");

    if (!location || status < 300 || status > 399)
        return NULL;
    target_add_resolved(scratch, effective_url(view), location);
    return strbuf_text(scratch);
}

static const char *scheme_of(const struct writeout_view *view, struct strbuf *scratch)
{
    target_add_scheme(scratch, effective_url(view));
    return strbuf_text(scratch);
}

static const char *certs_of(const struct facts *facts, struct strbuf *scratch)
{
    if (facts->connection->tls)
        certs_add_text(scratch, facts->connection->tls);
    return strbuf_text(scratch);
}

/* NULL: there is none. @scratch holds what must be made first. */
static const char *
text_of(const struct facts *facts, enum variable which, struct strbuf *scratch)
{
    const struct writeout_view *view = facts->view;

    switch ((int)which) {
    case VAR_CERTS: return certs_of(facts, scratch);
    case VAR_CONTENT_TYPE: return xhr_request_response_header(view->request, "Content-Type");
    case VAR_EARLY_DATA: return xhr_early_data_name(tls_of(facts)->early_data);
    case VAR_ERRORMSG: return view->trouble->exit_code != 0 ? view->trouble->text : NULL;
    case VAR_FILENAME_EFFECTIVE: return view->file;
    case VAR_FROM_CACHE: return xhr_from_cache_name(xhr_request_from_cache(view->request));
    case VAR_HTTP_VERSION: return version_text(xhr_request_http_version(view->request));
    case VAR_LOCAL_IP: return facts->connection->local_address;
    case VAR_REMOTE_IP: return facts->connection->remote_address;
    case VAR_METHOD: return xhr_request_method(view->request);
    case VAR_REDIRECT_URL: return redirect_url(view, scratch);
    case VAR_REFERER: return view->referer;
    case VAR_SCHEME: return scheme_of(view, scratch);
    case VAR_TLS_ALPN: return tls_of(facts)->alpn;
    case VAR_TLS_CIPHER: return tls_of(facts)->cipher;
    case VAR_TLS_FIRST_ERROR: return first_error(view->request);
    case VAR_TLS_VERSION: return tls_of(facts)->version;
    case VAR_URL: return view->url;
    case VAR_URL_EFFECTIVE: return effective_url(view);
    default: return NULL;
    }
}

static void add_variable(struct strbuf *out, const struct facts *facts, enum variable which)
{
    struct strbuf scratch = {0};

    switch (variables[which].type) {
    case TYPE_TEXT: strbuf_add_text(out, text_of(facts, which, &scratch)); break;
    case TYPE_NUMBER: strbuf_add_u64(out, number_of(facts, which)); break;
    case TYPE_STATUS: strbuf_add_padded(out, number_of(facts, which), 3); break;
    case TYPE_SECONDS: strbuf_add_seconds(out, seconds_of(facts, which)); break;
    }
    out->failed |= scratch.failed;
    strbuf_done(&scratch);
}

static void add_json(struct strbuf *out, const struct facts *facts)
{
    struct json json = {.out = out};

    json_object_begin(&json, NULL);
    for (enum variable which = 0; which < VAR_COUNT; which++) {
        const char *name = variables[which].name;
        struct strbuf scratch = {0};

        switch (variables[which].type) {
        case TYPE_TEXT: json_text(&json, name, text_of(facts, which, &scratch)); break;
        case TYPE_NUMBER:
        case TYPE_STATUS: json_u64(&json, name, number_of(facts, which)); break;
        case TYPE_SECONDS: json_seconds(&json, name, seconds_of(facts, which)); break;
        }
        out->failed |= scratch.failed;
        strbuf_done(&scratch);
    }
    json_object_end(&json);
}

static bool same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* Every value of the field that stands first at @first. */
static void add_values(struct json *json, const struct xhr_request *request, size_t first)
{
    const char *name, *other, *value;
    struct strbuf key = {0};

    if (!xhr_request_response_header_at(request, first, &name, &value))
        return;
    for (const char *c = name; *c; c++)
        strbuf_add_char(&key, (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c));
    json_array_begin(json, strbuf_text(&key));
    for (size_t i = first; xhr_request_response_header_at(request, i, &other, &value); i++) {
        if (same_name(name, other))
            json_text(json, NULL, value);
    }
    json_array_end(json);
    strbuf_done(&key);
}

static bool came_before(const struct xhr_request *request, size_t index, const char *name)
{
    const char *other, *value;

    for (size_t i = 0; i < index; i++) {
        if (xhr_request_response_header_at(request, i, &other, &value) &&
            same_name(name, other))
            return true;
    }
    return false;
}

static void add_header_json(struct strbuf *out, const struct xhr_request *request)
{
    const char *name, *value;
    struct json json = {.out = out};

    json_object_begin(&json, NULL);
    for (size_t i = 0; xhr_request_response_header_at(request, i, &name, &value); i++) {
        if (!came_before(request, i, name))
            add_values(&json, request, i);
    }
    json_object_end(&json);
}

/* ---- the language ---------------------------------------------------------------------- */

enum word_kind {
    WORD_TEXT, /* as it stands */
    WORD_VARIABLE,
    WORD_HEADER,
    WORD_SPECIAL, /* json, header_json, stdout, stderr, onerror */
    WORD_UNKNOWN,
};

struct word {
    enum word_kind kind;
    const char *text; /* the name, for all but TEXT */
    size_t len;
    enum variable variable;
};

static bool is_word(const struct word *word, const char *text)
{
    return strlen(text) == word->len && strncmp(word->text, text, word->len) == 0;
}

static enum word_kind classify(struct word *word)
{
    static const char *const special[] = {"json", "header_json", "stdout", "stderr", "onerror"};

    for (enum variable which = 0; which < VAR_COUNT; which++) {
        if (is_word(word, variables[which].name)) {
            word->variable = which;
            return WORD_VARIABLE;
        }
    }
    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        if (is_word(word, special[i]))
            return WORD_SPECIAL;
    }
    return WORD_UNKNOWN;
}

static struct word escape_word(const char **at)
{
    const char *text = *at;
    struct word word = {WORD_TEXT, text, 1, VAR_COUNT};

    switch (text[1]) {
    case 'n': word.text = "\n"; break;
    case 'r': word.text = "\r"; break;
    case 't': word.text = "\t"; break;
    case '\0': (*at)++; return word;
    default: word.len = 2; break;
    }
    *at += 2;
    return word;
}

static struct word percent_word(const char **at)
{
    static const char header[] = "%header{";
    const char *text = *at;
    bool is_header = strncmp(text, header, sizeof(header) - 1) == 0;
    const char *name = text + (is_header ? sizeof(header) - 1 : 2);
    const char *end = is_header || text[1] == '{' ? strchr(name, '}') : NULL;
    struct word word = {WORD_TEXT, text, 1, VAR_COUNT};

    if (text[1] == '%') {
        *at += 2;
        return word;
    }
    if (!end) {
        (*at)++;
        return word;
    }
    word.text = name;
    word.len = (size_t)(end - name);
    word.kind = is_header ? WORD_HEADER : classify(&word);
    *at = end + 1;
    return word;
}

static struct word next_word(const char **at)
{
    struct word word = {WORD_TEXT, *at, strcspn(*at, "%\\"), VAR_COUNT};

    if (word.len > 0) {
        *at += word.len;
        return word;
    }
    return **at == '%' ? percent_word(at) : escape_word(at);
}

static int check(const char *format, struct trouble *why)
{
    while (*format) {
        struct word word = next_word(&format);

        if (word.kind == WORD_UNKNOWN)
            return trouble_set(why, EXIT_USAGE,
                               "-w: there is no variable %%{%.*s}; xhr(1) lists them",
                               (int)(word.len > 64 ? 64 : word.len), word.text);
    }
    return 0;
}

int writeout_load(const char *format, struct strbuf *ret, struct trouble *why)
{
    if (format[0] != '@') {
        strbuf_add_text(ret, format);
    } else {
        int r = read_file(format + 1, FORMAT_BYTES_MAX, ret);

        if (r < 0)
            return trouble_set(why, EXIT_READ, "-w %s: %s", format, strerror(-r));
    }
    if (ret->failed)
        return trouble_set(why, EXIT_RESOURCES, "out of memory");
    return check(strbuf_text(ret), why);
}

bool writeout_wants_certificates(const char *format)
{
    while (*format) {
        struct word word = next_word(&format);

        if ((word.kind == WORD_VARIABLE &&
             (word.variable == VAR_CERTS || word.variable == VAR_NUM_CERTS)) ||
            (word.kind == WORD_SPECIAL && is_word(&word, "json")))
            return true;
    }
    return false;
}

static void add_header(struct strbuf *out, struct xhr_request *request, const struct word *word)
{
    struct strbuf name = {0};

    strbuf_add(&name, word->text, word->len);
    if (!name.failed)
        strbuf_add_text(out, xhr_request_response_header(request, name.bytes));
    out->failed |= name.failed;
    strbuf_done(&name);
}

void writeout_format(const char *format,
                     const struct writeout_view *view,
                     struct strbuf *out,
                     struct strbuf *err)
{
    struct facts facts = facts_of(view);
    struct strbuf *to = out;

    while (*format) {
        struct word word = next_word(&format);

        if (word.kind == WORD_TEXT)
            strbuf_add(to, word.text, word.len);
        else if (word.kind == WORD_VARIABLE)
            add_variable(to, &facts, word.variable);
        else if (word.kind == WORD_HEADER)
            add_header(to, view->request, &word);
        else if (is_word(&word, "json"))
            add_json(to, &facts);
        else if (is_word(&word, "header_json"))
            add_header_json(to, view->request);
        else if (is_word(&word, "stdout"))
            to = out;
        else if (is_word(&word, "stderr"))
            to = err;
        else if (is_word(&word, "onerror") && view->trouble->exit_code == 0)
            break;
    }
}
