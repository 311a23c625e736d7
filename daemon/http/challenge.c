/* SPDX-License-Identifier: MIT */
#include "http/challenge.h"

#include "base/ascii.h"

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

static struct span skip_ows(struct span text)
{
    size_t i = 0;

    while (i < text.len && is_ows(text.ptr[i]))
        i++;
    return span_drop(text, i);
}

/* #rule lets elements be empty: RFC 9110 §5.6.1.2. */
static struct span skip_separators(struct span text)
{
    size_t i = 0;

    while (i < text.len && (is_ows(text.ptr[i]) || text.ptr[i] == ','))
        i++;
    return span_drop(text, i);
}

static bool ends_element(struct span text)
{
    return text.len == 0 || text.ptr[0] == ',';
}

static bool take_token(struct span *rest, struct span *ret)
{
    size_t n = 0;

    while (n < rest->len && ascii_is_tchar(rest->ptr[n]))
        n++;
    if (n == 0)
        return false;
    *ret = span_take(*rest, n);
    *rest = span_drop(*rest, n);
    return true;
}

/* With its quotes. Return: false without a closing quote, or with a control character. */
static bool take_quoted(struct span *rest, struct span *ret)
{
    for (size_t i = 1; i < rest->len; i++) {
        unsigned char c = (unsigned char)rest->ptr[i];

        if (c == '"') {
            *ret = span_take(*rest, i + 1);
            *rest = span_drop(*rest, i + 1);
            return true;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
        if (c == '\\')
            i++;
    }
    return false;
}

static bool is_token68(char c)
{
    return ascii_is_alnum(c) || (c != '\0' && strchr("-._~+/", c));
}

/* Only where nothing but the end of the element follows: "realm=x" begins like one. */
static bool take_token68(struct span *rest, struct span *ret)
{
    size_t n = 0;

    while (n < rest->len && is_token68(rest->ptr[n]))
        n++;
    if (n == 0)
        return false;
    while (n < rest->len && rest->ptr[n] == '=')
        n++;
    struct span after = skip_ows(span_drop(*rest, n));
    if (!ends_element(after))
        return false;
    *ret = span_take(*rest, n);
    *rest = after;
    return true;
}

/* Whether a parameter begins here, and no scheme. */
static bool begins_param(struct span text)
{
    struct span name;

    if (!take_token(&text, &name))
        return false;
    text = skip_ows(text);
    return text.len > 0 && text.ptr[0] == '=';
}

/* Up to the end of the element. Return: false where the grammar is broken. */
static bool take_param(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    struct span at = *rest;

    if (!take_token(&at, ret_name))
        return false;
    at = skip_ows(at);
    if (at.len == 0 || at.ptr[0] != '=')
        return false;
    at = skip_ows(span_drop(at, 1));
    bool is_quoted = at.len > 0 && at.ptr[0] == '"';
    if (is_quoted ? !take_quoted(&at, ret_value) : !take_token(&at, ret_value))
        return false;
    at = skip_ows(at);
    if (!ends_element(at))
        return false;
    *rest = at;
    return true;
}

/* *rest ends up at the next challenge or at the end. */
static bool take_params(struct span *rest, struct span *ret)
{
    struct span begin = *rest;

    do {
        struct span name;
        struct span value;

        if (!take_param(rest, &name, &value))
            return false;
        *ret = span_take(begin, begin.len - rest->len);
        *rest = skip_separators(*rest);
    } while (begins_param(*rest));
    return true;
}

/* @rest: at the first character of a scheme. */
static bool take_challenge(struct span *rest, struct challenge *ret)
{
    *ret = (struct challenge){0};
    if (!take_token(rest, &ret->scheme))
        return false;
    struct span after = skip_ows(*rest);
    bool has_space = after.len < rest->len;
    *rest = after;
    if (ends_element(after))
        return true;
    if (!has_space || after.ptr[0] == '=')
        return false;
    return take_token68(rest, &ret->token68) || take_params(rest, &ret->params);
}

/* Return: whether there is a line to read. */
static bool next_line(struct challenge_reader *reader)
{
    struct span value;

    while (headers_find_next(reader->headers, reader->name, &reader->cursor, &value)) {
        if (value.len > CHALLENGE_BYTES_MAX - reader->bytes)
            continue;
        reader->bytes += value.len;
        reader->rest = skip_separators(value);
        if (reader->rest.len > 0)
            return true;
    }
    return false;
}

void challenge_reader_init(struct challenge_reader *reader,
                           const struct headers *headers,
                           struct span name)
{
    *reader = (struct challenge_reader){.headers = headers, .name = name};
}

bool challenge_next(struct challenge_reader *reader, struct challenge *ret)
{
    while (reader->count < CHALLENGES_MAX) {
        struct challenge found;

        if (reader->rest.len == 0 && !next_line(reader))
            return false;
        reader->count++; /* a broken one counts: reading goes on for so long only */
        if (!take_challenge(&reader->rest, &found)) {
            reader->rest = (struct span){0};
            continue;
        }
        reader->rest = skip_separators(reader->rest);
        *ret = found;
        return true;
    }
    return false;
}

bool challenge_param_next(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    struct span at = skip_separators(*rest);
    struct span name;
    struct span value;

    if (at.len == 0) {
        *rest = at;
        return false;
    }
    if (!take_param(&at, &name, &value))
        return false;
    *rest = at;
    *ret_name = name;
    *ret_value = value;
    return true;
}

int challenge_value(struct span value, struct buf *out)
{
    if (value.len < 2 || value.ptr[0] != '"')
        return buf_append(out, value);
    int r = buf_reserve(out, value.len);
    for (size_t i = 1; r == 0 && i + 1 < value.len; i++) {
        if (value.ptr[i] == '\\')
            i++;
        r = buf_append_char(out, value.ptr[i]);
    }
    return r;
}

int challenge_realm(const struct challenge *challenge, struct buf *out)
{
    struct span params = challenge->params;
    struct span name;
    struct span value;

    while (challenge_param_next(&params, &name, &value)) {
        if (span_ieq(name, SPAN_LIT("realm")))
            return challenge_value(value, out);
    }
    return 0;
}

int challenge_quote(struct span text, struct buf *out)
{
    int r = buf_append_char(out, '"');

    for (size_t i = 0; r == 0 && i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\')
            r = buf_append_char(out, '\\');
        if (r == 0)
            r = buf_append_char(out, text.ptr[i]);
    }
    return r == 0 ? buf_append_char(out, '"') : r;
}
