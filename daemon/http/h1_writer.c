/* SPDX-License-Identifier: MIT */
#include "http/h1_writer.h"

#include "base/fault.h"
#include "http/headers.h"
#include "http/method.h"

#define LENGTH_DIGITS_MAX 20 /* of a uint64_t, decimal */

/* Writes into room that was reserved for all of it. */
struct pen {
    char *at;
};

static void put(struct pen *pen, struct span bytes)
{
    if (bytes.len > 0)
        memcpy(pen->at, bytes.ptr, bytes.len);
    pen->at += bytes.len;
}

static void put_field(struct pen *pen, struct span name, struct span value)
{
    put(pen, name);
    put(pen, SPAN_LIT(": "));
    put(pen, value);
    put(pen, SPAN_LIT("\r\n"));
}

static size_t field_len(struct span name, struct span value)
{
    return name.len + 2 + value.len + 2;
}

/* Visible ASCII: no byte that could end a target, a value or a line. */
static bool is_visible(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
            return false;
    }
    return text.len > 0;
}

static bool is_ours(struct span name)
{
    return span_ieq(name, SPAN_LIT("Host")) || span_ieq(name, SPAN_LIT("Connection")) ||
           span_ieq(name, SPAN_LIT("Content-Length")) ||
           span_ieq(name, SPAN_LIT("Transfer-Encoding"));
}

/* Checks every line and adds up what they take. @headers may be NULL. */
static int measure_fields(const struct headers *headers, size_t *ret_bytes)
{
    size_t count = headers ? headers_count(headers) : 0;
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++) {
        struct header line = headers_at(headers, i);

        if (!header_name_is_token(line.name) || !header_value_is_valid(line.value))
            return H1_WRITE_E_FIELD;
        if (is_ours(line.name))
            return H1_WRITE_E_FRAMING_FIELD;
        bytes += field_len(line.name, line.value);
    }
    *ret_bytes = bytes;
    return H1_WRITE_OK;
}

static void put_fields(struct pen *pen, const struct headers *headers)
{
    size_t count = headers ? headers_count(headers) : 0;

    for (size_t i = 0; i < count; i++) {
        struct header line = headers_at(headers, i);

        put_field(pen, line.name, line.value);
    }
}

static int check_start(const struct h1_request_head *head)
{
    if (!method_is_token(head->method))
        return H1_WRITE_E_METHOD;
    if (!is_visible(head->target))
        return H1_WRITE_E_TARGET;
    if (!is_visible(head->host))
        return H1_WRITE_E_HOST;
    if (!header_value_is_valid(head->connection))
        return H1_WRITE_E_FIELD;
    return H1_WRITE_OK;
}

/* The value of the framing field, and its name; no name: there is none. */
static int framing_field(const struct framing *framing,
                         char digits[static LENGTH_DIGITS_MAX],
                         struct header *ret)
{
    uint64_t rest = framing->content_length;
    size_t at = LENGTH_DIGITS_MAX;

    switch (framing->kind) {
    case BODY_NONE: *ret = (struct header){0}; return H1_WRITE_OK;
    case BODY_CHUNKED:
        *ret = (struct header){SPAN_LIT("Transfer-Encoding"), SPAN_LIT("chunked")};
        return H1_WRITE_OK;
    case BODY_LENGTH:
        do {
            digits[--at] = (char)('0' + rest % 10);
            rest /= 10;
        } while (rest > 0);
        *ret =
            (struct header){SPAN_LIT("Content-Length"), {digits + at, LENGTH_DIGITS_MAX - at}};
        return H1_WRITE_OK;
    case BODY_UNTIL_CLOSE:
    case BODY_TUNNEL: break;
    }
    return H1_WRITE_E_FRAMING_FIELD;
}

/* Everything that is not in the caller's list. The last of it is the framing field. */
static size_t fixed_len(const struct h1_request_head *head, const struct header *framing)
{
    size_t bytes = head->method.len + 1 + head->target.len + sizeof(" HTTP/1.1\r\n") - 1;

    bytes += field_len(SPAN_LIT("Host"), head->host);
    if (head->connection.len > 0)
        bytes += field_len(SPAN_LIT("Connection"), head->connection);
    if (framing->name.len > 0)
        bytes += field_len(framing->name, framing->value);
    return bytes + 2;
}

int h1_write_request_head(struct buf *buf, const struct h1_request_head *head)
{
    char digits[LENGTH_DIGITS_MAX];
    struct header framing;
    size_t bytes;

    int r = check_start(head);
    if (r == H1_WRITE_OK)
        r = framing_field(&head->framing, digits, &framing);
    if (r == H1_WRITE_OK)
        r = measure_fields(head->headers, &bytes);
    if (r != H1_WRITE_OK)
        return r;
    bytes += fixed_len(head, &framing);
    r = buf_reserve(buf, bytes);
    if (r < 0)
        return r;

    struct pen pen = {buf_tail(buf)};
    put(&pen, head->method);
    put(&pen, SPAN_LIT(" "));
    put(&pen, head->target);
    put(&pen, SPAN_LIT(" HTTP/1.1\r\n"));
    put_field(&pen, SPAN_LIT("Host"), head->host); /* first: RFC 9110 §7.2 */
    if (head->connection.len > 0)
        put_field(&pen, SPAN_LIT("Connection"), head->connection);
    put_fields(&pen, head->headers);
    if (framing.name.len > 0)
        put_field(&pen, framing.name, framing.value);
    put(&pen, SPAN_LIT("\r\n"));
    INVARIANT(pen.at == buf_tail(buf) + bytes);
    buf_commit(buf, bytes);
    return H1_WRITE_OK;
}

int h1_write_chunk_head(struct buf *buf, uint64_t size)
{
    static const char hex[] = "0123456789abcdef";
    char line[H1_CHUNK_OVERHEAD_MAX];
    size_t at = sizeof(line);

    INVARIANT(size > 0);
    line[--at] = '\n';
    line[--at] = '\r';
    do {
        line[--at] = hex[size & 15];
        size >>= 4;
    } while (size > 0);
    return buf_append(buf, (struct span){line + at, sizeof(line) - at});
}

int h1_write_chunk_end(struct buf *buf)
{
    return buf_append(buf, SPAN_LIT("\r\n"));
}

int h1_write_last_chunk(struct buf *buf, const struct headers *trailers)
{
    size_t bytes;

    int r = measure_fields(trailers, &bytes);
    if (r != H1_WRITE_OK)
        return r;
    bytes += sizeof("0\r\n\r\n") - 1;
    r = buf_reserve(buf, bytes);
    if (r < 0)
        return r;

    struct pen pen = {buf_tail(buf)};
    put(&pen, SPAN_LIT("0\r\n"));
    put_fields(&pen, trailers);
    put(&pen, SPAN_LIT("\r\n"));
    buf_commit(buf, bytes);
    return H1_WRITE_OK;
}
