/* SPDX-License-Identifier: MIT */
#include "http/framing.h"

#include "base/num.h"
#include "http/field.h"
#include "http/headers.h"

/*
 * RFC 9112 §6.3 rule 5: a list, or several lines, of the same valid number is that number.
 * Empty elements are not skipped here as in other lists: nobody means them, and readers differ.
 */
static int read_content_length(const struct headers *headers, struct framing *framing)
{
    struct span rest;

    for (size_t cursor = 0;
         headers_find_next(headers, SPAN_LIT("Content-Length"), &cursor, &rest);) {
        bool more = true;

        while (more) {
            struct span item;
            uint64_t length;

            more = span_split(&rest, ',', &item);
            if (num_parse_u64(span_trim_ows(item), CONTENT_LENGTH_MAX, &length) != 0)
                return FRAMING_E_CONTENT_LENGTH;
            if (framing->has_content_length && framing->content_length != length)
                return FRAMING_E_CONTENT_LENGTH;
            framing->has_content_length = true;
            framing->content_length = length;
        }
    }
    return FRAMING_OK;
}

/* One line with the one word. Everything else, "gzip, chunked" included, is read differently by
 * different readers, and we never ask for it (RFC 9112 §6.1, §7). */
static int read_transfer_encoding(const struct headers *headers, bool *ret_is_chunked)
{
    struct span name = SPAN_LIT("Transfer-Encoding");
    struct span value;
    size_t cursor = 0;

    *ret_is_chunked = false;
    if (!headers_find_next(headers, name, &cursor, &value))
        return FRAMING_OK;
    if (!span_ieq(value, SPAN_LIT("chunked")) ||
        headers_find_next(headers, name, &cursor, &value))
        return FRAMING_E_TRANSFER_ENCODING;
    *ret_is_chunked = true;
    return FRAMING_OK;
}

/* Rules 1, 2 and the tunnel that 101 opens: what follows the head is not HTTP's. A success of
 * CONNECT makes its framing fields void, whatever they say. */
static bool opens_tunnel(unsigned status, enum response_to to)
{
    return (to == RESPONSE_TO_CONNECT && status >= 200 && status <= 299) ||
           (to == RESPONSE_TO_UPGRADE && status == 101);
}

static bool has_no_body(unsigned status, enum response_to to)
{
    return to == RESPONSE_TO_HEAD || status < 200 || status == 204 || status == 304;
}

int framing_of_response(const struct headers *headers,
                        unsigned status,
                        unsigned http_version,
                        enum response_to to,
                        struct framing *ret)
{
    struct framing framing = {0};
    bool is_chunked;

    if (opens_tunnel(status, to)) {
        *ret = (struct framing){.kind = BODY_TUNNEL, .must_close = true};
        return FRAMING_OK;
    }
    int r = read_content_length(headers, &framing);
    if (r != FRAMING_OK)
        return r;
    r = read_transfer_encoding(headers, &is_chunked);
    if (r != FRAMING_OK)
        return r;

    /* HEAD and 304 may say "chunked" of the body they leave out; 1xx and 204 must not. */
    bool may_be_chunked = http_version >= 11 && status >= 200 && status != 204;
    framing.must_close = is_chunked && (framing.has_content_length || !may_be_chunked);
    if (has_no_body(status, to)) {
        framing.kind = BODY_NONE;
    } else if (is_chunked) {
        framing = (struct framing){.kind = BODY_CHUNKED, .must_close = framing.must_close};
    } else if (framing.has_content_length) {
        framing.kind = BODY_LENGTH;
    } else {
        framing = (struct framing){.kind = BODY_UNTIL_CLOSE, .must_close = true};
    }
    *ret = framing;
    return FRAMING_OK;
}

bool framing_is_persistent(const struct headers *headers, unsigned http_version)
{
    struct span name = SPAN_LIT("Connection");

    if (headers_list_has(headers, name, SPAN_LIT("close")))
        return false;
    return http_version >= 11 || headers_list_has(headers, name, SPAN_LIT("keep-alive"));
}

static bool method_expects_content(struct span method)
{
    return span_eq(method, SPAN_LIT("POST")) || span_eq(method, SPAN_LIT("PUT")) ||
           span_eq(method, SPAN_LIT("PATCH"));
}

struct framing
framing_of_request(struct span method, bool has_body, bool length_known, uint64_t length)
{
    if (!has_body && !method_expects_content(method))
        return (struct framing){.kind = BODY_NONE};
    if (!has_body)
        return (struct framing){.kind = BODY_LENGTH, .has_content_length = true};
    if (!length_known || length > CONTENT_LENGTH_MAX)
        return (struct framing){.kind = BODY_CHUNKED};
    return (struct framing){
        .kind = BODY_LENGTH, .has_content_length = true, .content_length = length};
}
