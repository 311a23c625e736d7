/* SPDX-License-Identifier: MIT */
#include "http/h1_parser.h"

#include "base/ascii.h"
#include "base/fault.h"

#define STORAGE_KEPT_MAX 8192 /* bytes of each buffer that an idle connection may hold */

/* The beginning of every answer: a version we speak. The part before '1' says "HTTP". */
static const char magic[] = "HTTP/1.";
#define MAGIC_LEN      (sizeof(magic) - 1)
#define MAGIC_HTTP_LEN 5
#define STATUS_LEN     (MAGIC_LEN + sizeof("1 200") - 1)

static const struct {
    const char *text;
    enum failure_kind kind;
} errors[H1_ERROR_COUNT] = {
    [H1_OK] = {"no error", FAILURE_NONE},
    [H1_E_NOT_HTTP] = {"the answer is not HTTP", FAILURE_PROTOCOL},
    [H1_E_VERSION] = {"the answer's HTTP version is not 1.x", FAILURE_PROTOCOL},
    [H1_E_STATUS_LINE] = {"malformed status line", FAILURE_PROTOCOL},
    [H1_E_FIELD_LINE] = {"malformed field line", FAILURE_PROTOCOL},
    [H1_E_FIELD_NAME] = {"a field name is not a token", FAILURE_PROTOCOL},
    [H1_E_FORBIDDEN_BYTE] = {"NUL or a lone CR in the head", FAILURE_PROTOCOL},
    [H1_E_FOLDED_FRAMING] = {"a folded framing field", FAILURE_PROTOCOL},
    [H1_E_CONTENT_LENGTH] = {"bad Content-Length", FAILURE_PROTOCOL},
    [H1_E_TRANSFER_ENCODING] = {"Transfer-Encoding other than chunked", FAILURE_PROTOCOL},
    [H1_E_UNASKED_UPGRADE] = {"101 to a request without Upgrade", FAILURE_PROTOCOL},
    [H1_E_CHUNK_SIZE] = {"bad chunk size", FAILURE_PROTOCOL},
    [H1_E_CHUNK_LINE] = {"malformed chunk line", FAILURE_PROTOCOL},
    [H1_E_CHUNK_END] = {"chunk data longer than its size", FAILURE_PROTOCOL},
    [H1_E_HEAD_LIMIT] = {"the head is too long", FAILURE_LIMIT},
    [H1_E_LINE_LIMIT] = {"a line is too long", FAILURE_LIMIT},
    [H1_E_FIELDS_LIMIT] = {"too many fields", FAILURE_LIMIT},
    [H1_E_EXTENSION_LIMIT] = {"too much in chunk extensions", FAILURE_LIMIT},
    [H1_E_TRAILER_LIMIT] = {"the trailers are too long", FAILURE_LIMIT},
    [H1_E_TRUNCATED] = {"the answer ended early", FAILURE_TRUNCATED},
    [H1_E_EMPTY_REPLY] = {"the connection ended before an answer", FAILURE_EMPTY_REPLY},
};

/*
 * Trailer fields that would change what has been said already: framing, routing, request
 * modifiers, authentication, content (RFC 9110 §6.5.1). They are dropped. In lower case,
 * sorted.
 */
static const struct span not_in_trailers[] = {
    SPAN_LIT("age"),
    SPAN_LIT("alt-svc"),
    SPAN_LIT("authorization"),
    SPAN_LIT("cache-control"),
    SPAN_LIT("clear-site-data"),
    SPAN_LIT("connection"),
    SPAN_LIT("content-encoding"),
    SPAN_LIT("content-length"),
    SPAN_LIT("content-location"),
    SPAN_LIT("content-range"),
    SPAN_LIT("content-type"),
    SPAN_LIT("cookie"),
    SPAN_LIT("date"),
    SPAN_LIT("expires"),
    SPAN_LIT("host"),
    SPAN_LIT("keep-alive"),
    SPAN_LIT("location"),
    SPAN_LIT("pragma"),
    SPAN_LIT("proxy-authenticate"),
    SPAN_LIT("proxy-authorization"),
    SPAN_LIT("proxy-connection"),
    SPAN_LIT("range"),
    SPAN_LIT("refresh"),
    SPAN_LIT("retry-after"),
    SPAN_LIT("set-cookie"),
    SPAN_LIT("set-cookie2"),
    SPAN_LIT("strict-transport-security"),
    SPAN_LIT("te"),
    SPAN_LIT("trailer"),
    SPAN_LIT("transfer-encoding"),
    SPAN_LIT("upgrade"),
    SPAN_LIT("vary"),
    SPAN_LIT("www-authenticate"),
};

/* What one call of h1_parser_feed() works on. */
struct step {
    struct span *input;
    struct h1_event event;
    bool has_event;
};

struct h1_parser_options h1_parser_options_default(void)
{
    return (struct h1_parser_options){
        .head_bytes_max = HEADERS_BYTES_MAX,
        .line_bytes_max = HEAD_LINE_BYTES_MAX,
        .fields_max = HEADERS_COUNT_MAX,
        .chunk_extension_bytes_max = (size_t)16 * 1024,
        .trailer_bytes_max = (size_t)64 * 1024,
    };
}

const char *h1_error_text(int error)
{
    return error >= 0 && error < H1_ERROR_COUNT ? errors[error].text : "internal error";
}

enum failure_kind h1_error_kind(int error)
{
    return error >= 0 && error < H1_ERROR_COUNT ? errors[error].kind : FAILURE_INTERNAL;
}

static uint32_t clamp_u32(size_t n)
{
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void h1_parser_init(struct h1_parser *parser,
                    const struct h1_parser_options *options,
                    enum response_to to)
{
    *parser = (struct h1_parser){.options = *options, .to = to};
    line_reader_init(&parser->lines, options->line_bytes_max);
    headers_init(&parser->headers, clamp_u32(options->head_bytes_max),
                 clamp_u32(options->fields_max));
    headers_init(&parser->trailers, clamp_u32(options->trailer_bytes_max),
                 clamp_u32(options->fields_max));
}

void h1_parser_done(struct h1_parser *parser)
{
    line_reader_done(&parser->lines);
    buf_done(&parser->reason);
    headers_done(&parser->headers);
    headers_done(&parser->trailers);
}

static void trim_buf(struct buf *buf)
{
    if (buf->capacity > STORAGE_KEPT_MAX)
        buf_done(buf);
    else
        buf_clear(buf);
}

static void trim_headers(struct headers *headers)
{
    if (headers->arena_capacity > STORAGE_KEPT_MAX)
        headers_done(headers);
    else
        headers_clear(headers);
}

void h1_parser_reset(struct h1_parser *parser, enum response_to to)
{
    line_reader_reset(&parser->lines, STORAGE_KEPT_MAX);
    trim_buf(&parser->reason);
    trim_headers(&parser->headers);
    trim_headers(&parser->trailers);

    *parser = (struct h1_parser){
        .options = parser->options,
        .to = to,
        .lines = parser->lines,
        .reason = parser->reason,
        .headers = parser->headers,
        .trailers = parser->trailers,
    };
}

void h1_parser_set_limits(struct h1_parser *parser, const struct head_limits *limits)
{
    parser->options.head_bytes_max = limits->bytes_max;
    parser->options.line_bytes_max = limits->line_bytes_max;
    parser->options.fields_max = limits->fields_max;
    parser->lines.line_bytes_max = limits->line_bytes_max;
    parser->headers.bytes_max = limits->bytes_max;
    parser->headers.count_max = limits->fields_max;
    parser->trailers.count_max = limits->fields_max;
}

static void eat(struct step *step, size_t n)
{
    step->input->ptr += n;
    step->input->len -= n;
}

static void give(struct step *step, enum h1_event_kind kind)
{
    step->event.kind = kind;
    step->has_event = true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The errors of a section's lines. */
static int line_error(int r, bool is_trailer)
{
    switch (r) {
    case LINE_READER_E_SECTION_LIMIT: return is_trailer ? H1_E_TRAILER_LIMIT : H1_E_HEAD_LIMIT;
    case LINE_READER_E_LINE_LIMIT: return H1_E_LINE_LIMIT;
    case LINE_READER_E_BARE_LF: return H1_E_CHUNK_LINE;
    default: return r;
    }
}

static int read_head_line(struct h1_parser *parser,
                          struct span *input,
                          bool may_fold,
                          struct span *ret_line,
                          bool *ret_found)
{
    struct line_section section = {
        .bytes = &parser->head_bytes,
        .bytes_max = parser->options.head_bytes_max,
        .may_fold = may_fold,
    };

    return line_error(line_reader_next(&parser->lines, &section, input, ret_line, ret_found),
                      false);
}

static int read_trailer_line(struct h1_parser *parser,
                             struct span *input,
                             struct span *ret_line,
                             bool *ret_found)
{
    struct line_section section = {
        .bytes = &parser->trailer_bytes,
        .bytes_max = parser->options.trailer_bytes_max,
        .may_fold = true,
        .strict = true,
    };

    return line_error(line_reader_next(&parser->lines, &section, input, ret_line, ret_found),
                      true);
}

static bool has_forbidden_byte(struct span line)
{
    return line.len > 0 &&
           (memchr(line.ptr, '\0', line.len) || memchr(line.ptr, '\r', line.len));
}

/* Looks at the first bytes as soon as they are there: whoever talks another protocol is told so
 * at once, not after a line of any length (ICY, SSH, plain junk). What lies beyond the head's
 * limit is not looked at: the same bytes are the same error, however they were cut. */
static int check_magic(const struct h1_parser *parser, struct span input)
{
    size_t known = line_reader_kept(&parser->lines);

    input = span_take(input, parser->options.head_bytes_max - parser->head_bytes);

    for (size_t i = known; i < MAGIC_LEN && i - known < input.len; i++) {
        if (input.ptr[i - known] != magic[i])
            return i < MAGIC_HTTP_LEN ? H1_E_NOT_HTTP : H1_E_VERSION;
    }
    return 0;
}

/* status-line = HTTP-version SP status-code SP [ reason-phrase ]; the last SP may be missing
 * when there is no reason. A minor version we do not know is read as 1.1 (RFC 9110 §2.5). */
static int parse_status_line(struct h1_parser *parser, struct span line)
{
    if (has_forbidden_byte(line))
        return H1_E_FORBIDDEN_BYTE;
    if (line.len < STATUS_LEN || !ascii_is_digit(line.ptr[MAGIC_LEN]))
        return H1_E_STATUS_LINE;

    const char *digits = line.ptr + MAGIC_LEN + 2;
    if (line.ptr[MAGIC_LEN + 1] != ' ' || !ascii_is_digit(digits[0]) ||
        !ascii_is_digit(digits[1]) || !ascii_is_digit(digits[2]) || digits[0] == '0')
        return H1_E_STATUS_LINE;
    if (line.len > STATUS_LEN && line.ptr[STATUS_LEN] != ' ')
        return H1_E_STATUS_LINE;

    buf_clear(&parser->reason);
    int r = buf_append(&parser->reason, span_drop(line, STATUS_LEN + 1));
    if (r < 0)
        return r;
    headers_clear(&parser->headers);
    parser->fields = 0;
    parser->head = (struct h1_response_head){
        .status =
            (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0'),
        .http_version = line.ptr[MAGIC_LEN] == '0' ? 10 : 11,
        .reason = buf_span(&parser->reason),
        .headers = &parser->headers,
    };
    return 0;
}

/* @to: the list the field goes to. */
static int
parse_field(struct h1_parser *parser, struct span line, bool is_trailer, struct headers *to)
{
    if (has_forbidden_byte(line))
        return H1_E_FORBIDDEN_BYTE;
    if (++parser->fields > parser->options.fields_max)
        return H1_E_FIELDS_LIMIT;

    struct span value = line;
    struct span name;
    if (is_space(line.ptr[0]) || !span_split(&value, ':', &name))
        return H1_E_FIELD_LINE;
    if (!header_name_is_token(name))
        return H1_E_FIELD_NAME;
    if (parser->lines.is_folded && (span_ieq(name, SPAN_LIT("Content-Length")) ||
                                    span_ieq(name, SPAN_LIT("Transfer-Encoding"))))
        return H1_E_FOLDED_FRAMING;
    for (size_t i = 0; is_trailer && i < sizeof(not_in_trailers) / sizeof(struct span); i++) {
        if (span_ieq(name, not_in_trailers[i]))
            return 0;
    }
    return headers_add(to, name, span_trim_ows(value));
}

static int step_start_line(struct h1_parser *parser, struct step *step)
{
    struct span line;
    bool found;

    int r = check_magic(parser, *step->input);
    if (r == 0)
        r = read_head_line(parser, step->input, false, &line, &found);
    if (r != 0 || !found)
        return r;
    parser->state = H1_STATE_FIELDS;
    return parse_status_line(parser, line);
}

static enum h1_state state_after_head(struct h1_parser *parser)
{
    switch (parser->head.framing.kind) {
    case BODY_LENGTH:
        parser->remaining = parser->head.framing.content_length;
        return parser->remaining > 0 ? H1_STATE_BODY : H1_STATE_DONE;
    case BODY_UNTIL_CLOSE: parser->remaining = UINT64_MAX; return H1_STATE_BODY;
    case BODY_CHUNKED: return H1_STATE_CHUNK_SIZE;
    case BODY_NONE:
    case BODY_TUNNEL: break;
    }
    return H1_STATE_DONE;
}

static int end_informational(struct h1_parser *parser, struct step *step)
{
    if (parser->head.status == 101)
        return H1_E_UNASKED_UPGRADE;
    parser->lines.saw_bare_lf = false;
    parser->head_start = parser->head_bytes;
    parser->state = H1_STATE_START_LINE;
    give(step, H1_INFORMATIONAL);
    return 0;
}

static int end_head(struct h1_parser *parser, struct step *step)
{
    struct h1_response_head *head = &parser->head;
    bool is_upgrade = head->status == 101 && parser->to == RESPONSE_TO_UPGRADE;

    head->header_bytes = parser->head_bytes - parser->head_start;
    step->event.head = head;
    if (head->status < 200 && !is_upgrade)
        return end_informational(parser, step);

    int r = framing_of_response(head->headers, head->status, head->http_version, parser->to,
                                &head->framing);
    if (r == FRAMING_E_CONTENT_LENGTH)
        return H1_E_CONTENT_LENGTH;
    if (r == FRAMING_E_TRANSFER_ENCODING)
        return H1_E_TRANSFER_ENCODING;
    if (r != FRAMING_OK)
        return fault_fold(r);
    head->keep_alive = !head->framing.must_close && !parser->lines.saw_bare_lf &&
                       framing_is_persistent(head->headers, head->http_version);
    parser->state = state_after_head(parser);
    give(step, H1_HEAD);
    return 0;
}

static int step_fields(struct h1_parser *parser, struct step *step)
{
    for (;;) {
        struct span line;
        bool found;

        int r = read_head_line(parser, step->input, true, &line, &found);
        if (r != 0 || !found)
            return r;
        if (line.len == 0)
            return end_head(parser, step);
        r = parse_field(parser, line, false, &parser->headers);
        if (r != 0)
            return r;
    }
}

/* Of the body or of a chunk. */
static void give_body(struct h1_parser *parser, struct step *step)
{
    size_t n = step->input->len;

    if (n > parser->remaining)
        n = (size_t)parser->remaining;
    step->event.body = span_take(*step->input, n);
    eat(step, n);
    if (parser->head.framing.kind != BODY_UNTIL_CLOSE)
        parser->remaining -= n;
    give(step, H1_BODY);
}

static int step_body(struct h1_parser *parser, struct step *step)
{
    give_body(parser, step);
    if (parser->remaining == 0)
        parser->state = H1_STATE_DONE;
    return 0;
}

static int step_chunk_data(struct h1_parser *parser, struct step *step)
{
    give_body(parser, step);
    if (parser->remaining == 0)
        parser->state = H1_STATE_CHUNK_DATA_CR;
    return 0;
}

/* chunk-size = 1*HEXDIG. What comes after it is judged by the next state. */
static int step_chunk_size(struct h1_parser *parser, struct step *step)
{
    while (step->input->len > 0) {
        int digit = ascii_hex_value(step->input->ptr[0]);

        if (digit < 0 && parser->chunk_digits == 0)
            return H1_E_CHUNK_SIZE;
        if (digit < 0) {
            parser->state = H1_STATE_CHUNK_SPACE;
            return 0;
        }
        if (parser->chunk_digits == 16)
            return H1_E_CHUNK_SIZE;
        parser->chunk_digits++;
        parser->remaining = parser->remaining << 4 | (unsigned)digit;
        if (parser->remaining > CONTENT_LENGTH_MAX)
            return H1_E_CHUNK_SIZE;
        eat(step, 1);
    }
    return 0;
}

/*
 * One byte of a chunk line after the size. Extensions are read and dropped: nobody has ever
 * given one a meaning. White space with nothing behind it is bad form but known from old
 * servers.
 */
static int chunk_line_byte(struct h1_parser *parser, char c)
{
    unsigned char byte = (unsigned char)c;

    if (c == '\r') {
        parser->state = H1_STATE_CHUNK_LINE_LF;
        return 0;
    }
    if (parser->state == H1_STATE_CHUNK_SPACE && c == ';')
        parser->state = H1_STATE_CHUNK_EXTENSION;
    else if (parser->state == H1_STATE_CHUNK_SPACE && !is_space(c))
        return H1_E_CHUNK_LINE;
    if ((byte < 0x20 && c != '\t') || byte == 0x7f)
        return H1_E_CHUNK_LINE;
    if (++parser->extension_debt > parser->options.chunk_extension_bytes_max)
        return H1_E_EXTENSION_LIMIT;
    return 0;
}

static int step_chunk_extension(struct h1_parser *parser, struct step *step)
{
    while (step->input->len > 0 && parser->state != H1_STATE_CHUNK_LINE_LF) {
        int r = chunk_line_byte(parser, step->input->ptr[0]);

        if (r != 0)
            return r;
        eat(step, 1);
    }
    return 0;
}

/* Every byte of data pays for one of extension, so that a long honest stream never fails and
 * one-byte chunks with long extensions soon do. */
static void pay_extension_debt(struct h1_parser *parser)
{
    uint64_t size = parser->remaining;

    parser->extension_debt -=
        size < parser->extension_debt ? (size_t)size : parser->extension_debt;
}

static int step_chunk_line_lf(struct h1_parser *parser, struct step *step)
{
    if (step->input->ptr[0] != '\n')
        return H1_E_CHUNK_LINE;
    eat(step, 1);
    pay_extension_debt(parser);
    if (parser->remaining > 0) {
        parser->state = H1_STATE_CHUNK_DATA;
    } else {
        parser->state = H1_STATE_TRAILERS;
        parser->fields = 0;
    }
    return 0;
}

static int step_chunk_end(struct h1_parser *parser, struct step *step, char wanted)
{
    if (step->input->ptr[0] != wanted)
        return H1_E_CHUNK_END;
    eat(step, 1);
    parser->chunk_digits = 0;
    parser->state = wanted == '\r' ? H1_STATE_CHUNK_DATA_LF : H1_STATE_CHUNK_SIZE;
    return 0;
}

static int end_trailers(struct h1_parser *parser, struct step *step)
{
    parser->state = H1_STATE_DONE;
    if (headers_count(&parser->trailers) > 0) {
        step->event.trailers = &parser->trailers;
        give(step, H1_TRAILERS);
    }
    return 0;
}

static int step_trailers(struct h1_parser *parser, struct step *step)
{
    for (;;) {
        struct span line;
        bool found;

        int r = read_trailer_line(parser, step->input, &line, &found);
        if (r != 0 || !found)
            return r;
        if (line.len == 0)
            return end_trailers(parser, step);
        r = parse_field(parser, line, true, &parser->trailers);
        if (r != 0)
            return r;
    }
}

/* Needs input, save for H1_STATE_FAILED. */
static int step_once(struct h1_parser *parser, struct step *step)
{
    switch (parser->state) {
    case H1_STATE_START_LINE: return step_start_line(parser, step);
    case H1_STATE_FIELDS: return step_fields(parser, step);
    case H1_STATE_BODY: return step_body(parser, step);
    case H1_STATE_CHUNK_SIZE: return step_chunk_size(parser, step);
    case H1_STATE_CHUNK_SPACE:
    case H1_STATE_CHUNK_EXTENSION: return step_chunk_extension(parser, step);
    case H1_STATE_CHUNK_LINE_LF: return step_chunk_line_lf(parser, step);
    case H1_STATE_CHUNK_DATA: return step_chunk_data(parser, step);
    case H1_STATE_CHUNK_DATA_CR: return step_chunk_end(parser, step, '\r');
    case H1_STATE_CHUNK_DATA_LF: return step_chunk_end(parser, step, '\n');
    case H1_STATE_TRAILERS: return step_trailers(parser, step);
    case H1_STATE_DONE:
    case H1_STATE_FAILED: break;
    }
    return parser->error;
}

static int fail(struct h1_parser *parser, int error)
{
    parser->state = H1_STATE_FAILED;
    parser->error = error;
    return error;
}

int h1_parser_feed(struct h1_parser *parser, struct span *input, struct h1_event *ret)
{
    struct step step = {.input = input};

    if (parser->state == H1_STATE_FAILED)
        return parser->error;
    parser->any_byte = parser->any_byte || input->len > 0;
    while (!step.has_event) {
        if (parser->state == H1_STATE_DONE) {
            give(&step, H1_DONE);
        } else if (input->len == 0) {
            give(&step, H1_NEED_MORE);
        } else {
            int r = step_once(parser, &step);
            if (r != 0)
                return fail(parser, r);
        }
    }
    *ret = step.event;
    return 0;
}

int h1_parser_finish(struct h1_parser *parser, bool clean_eof)
{
    if (parser->state == H1_STATE_FAILED)
        return parser->error;
    if (parser->state == H1_STATE_DONE)
        return 0;
    if (!parser->any_byte)
        return fail(parser, H1_E_EMPTY_REPLY);
    if (parser->state == H1_STATE_BODY && parser->head.framing.kind == BODY_UNTIL_CLOSE &&
        clean_eof) {
        parser->state = H1_STATE_DONE;
        return 0;
    }
    return fail(parser, H1_E_TRUNCATED);
}

bool h1_parser_may_reuse(const struct h1_parser *parser, size_t unread_bytes)
{
    return parser->state == H1_STATE_DONE && parser->head.keep_alive && unread_bytes == 0;
}

uint64_t h1_parser_announced(const struct h1_parser *parser)
{
    bool is_inside = parser->state == H1_STATE_BODY || parser->state == H1_STATE_CHUNK_DATA;

    return is_inside ? parser->remaining : 0;
}

size_t h1_parser_header_bytes(const struct h1_parser *parser)
{
    return parser->head_bytes + parser->trailer_bytes;
}
