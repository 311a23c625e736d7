/* SPDX-License-Identifier: MIT */
#include "policy/cache_entry.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/date.h"
#include "http/url.h"
#include "policy/cache_rules.h"

/* The number is that of the form. */
#define MAGIC         SPAN_LIT("xhrdhc1\n")
#define KEPT_LINE_MAX 32768 /* of one text in the file */

void cache_entry_init(struct cache_entry *entry)
{
    *entry = (struct cache_entry){0};
    headers_init(&entry->headers, CACHE_HEAD_BYTES_MAX * 2, CACHE_HEADERS_MAX * 2);
}

void cache_entry_done(struct cache_entry *entry)
{
    mem_free(entry->url);
    mem_free(entry->vary);
    mem_free(entry->reason);
    headers_done(&entry->headers);
    cache_entry_init(entry);
}

/* ---- writing --------------------------------------------------------------------------- */

static int put_number(struct buf *out, uint64_t value)
{
    char bytes[8];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(unsigned char)(value >> (8 * i));
    return buf_append(out, (struct span){bytes, sizeof(bytes)});
}

static int put_digest(struct buf *out, const uint8_t digest[SHA256_BYTES])
{
    return buf_append(out, (struct span){(const char *)digest, SHA256_BYTES});
}

static int put_text(struct buf *out, struct span text)
{
    int r = put_number(out, text.len);

    return r == 0 ? buf_append(out, text) : r;
}

static int put_numbers(struct buf *out, const struct cache_entry *entry)
{
    const uint64_t numbers[] = {entry->status,
                                entry->http_version,
                                entry->had_credentials,
                                (uint64_t)entry->request_time_s,
                                (uint64_t)entry->response_time_s,
                                entry->body_bytes};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        r = put_number(out, numbers[i]);
    return r;
}

static int put_texts(struct buf *out, const struct cache_entry *entry)
{
    const struct span texts[] = {span_of(entry->url), span_of(entry->vary),
                                 span_of(entry->reason), span_of(entry->jar)};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
        r = put_text(out, texts[i]);
    return r;
}

static int put_headers(struct buf *out, const struct headers *headers)
{
    int r = put_number(out, headers_count(headers));

    for (size_t i = 0; r == 0 && i < headers_count(headers); i++) {
        struct header header = headers_at(headers, i);

        r = put_text(out, header.name);
        if (r == 0)
            r = put_text(out, header.value);
    }
    return r;
}

int cache_entry_encode(const struct cache_entry *entry, struct buf *out)
{
    size_t start = out->len;
    uint8_t digest[SHA256_BYTES];
    int r = buf_append(out, MAGIC);

    if (r == 0)
        r = put_numbers(out, entry);
    if (r == 0)
        r = put_digest(out, entry->context);
    if (r == 0)
        r = put_digest(out, entry->vary_digest);
    if (r == 0)
        r = put_digest(out, entry->body_digest);
    if (r == 0)
        r = put_texts(out, entry);
    if (r == 0)
        r = put_headers(out, &entry->headers);
    if (r == 0)
        r = sha256_of(span_drop(buf_span(out), start), digest);
    if (r == 0)
        r = put_digest(out, digest);
    if (r == 0 && out->len - start > CACHE_META_BYTES_MAX)
        r = -EMSGSIZE;
    if (r < 0)
        out->len = start;
    return r;
}

/* ---- reading --------------------------------------------------------------------------- */

/* Each takes from the front of @rest. Return: whether it was there. */
static bool take_number(struct span *rest, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;

    if (rest->len < 8)
        return false;
    for (size_t i = 8; i > 0; i--)
        value = value << 8 | (unsigned char)rest->ptr[i - 1];
    *rest = span_drop(*rest, 8);
    *ret = value;
    return value <= max;
}

static bool take_digest(struct span *rest, uint8_t ret[SHA256_BYTES])
{
    if (rest->len < SHA256_BYTES)
        return false;
    memcpy(ret, rest->ptr, SHA256_BYTES);
    *rest = span_drop(*rest, SHA256_BYTES);
    return true;
}

static bool take_text(struct span *rest, struct span *ret)
{
    uint64_t len;

    if (!take_number(rest, KEPT_LINE_MAX, &len) || len > rest->len)
        return false;
    *ret = span_take(*rest, (size_t)len);
    *rest = span_drop(*rest, (size_t)len);
    return true;
}

static bool take_numbers(struct span *rest, struct cache_entry *to)
{
    uint64_t status;
    uint64_t version;
    uint64_t had_credentials;
    uint64_t request_time;
    uint64_t response_time;

    if (!take_number(rest, 599, &status) || !take_number(rest, 30, &version) ||
        !take_number(rest, 1, &had_credentials) ||
        !take_number(rest, (uint64_t)DATE_MAX_S, &request_time) ||
        !take_number(rest, (uint64_t)DATE_MAX_S, &response_time) ||
        !take_number(rest, INT64_MAX, &to->body_bytes))
        return false;
    to->status = (unsigned)status;
    to->http_version = (unsigned)version;
    to->had_credentials = had_credentials == 1;
    to->request_time_s = (int64_t)request_time;
    to->response_time_s = (int64_t)response_time;
    return to->status >= 200;
}

/* A text of ours: no byte in it that a header could not hold. */
static int keep_text(struct span text, char **to)
{
    if (!header_value_is_valid(text))
        return CACHE_ENTRY_E_DAMAGED;
    *to = mem_dup(text);
    return *to ? CACHE_ENTRY_OK : fault(-ENOMEM);
}

static int take_texts(struct span *rest, struct cache_entry *to)
{
    struct span url;
    struct span vary;
    struct span reason;
    struct span jar;

    if (!take_text(rest, &url) || !take_text(rest, &vary) || !take_text(rest, &reason) ||
        !take_text(rest, &jar))
        return CACHE_ENTRY_E_DAMAGED;
    if (url.len > CACHE_URL_BYTES_MAX || vary.len > CACHE_VARY_BYTES_MAX ||
        reason.len > CACHE_REASON_BYTES_MAX || jar.len > CACHE_JAR_BYTES_MAX ||
        !header_value_is_valid(jar))
        return CACHE_ENTRY_E_DAMAGED;
    if (jar.len > 0)
        memcpy(to->jar, jar.ptr, jar.len);
    int r = keep_text(url, &to->url);
    if (r == CACHE_ENTRY_OK)
        r = keep_text(vary, &to->vary);
    if (r == CACHE_ENTRY_OK)
        r = keep_text(reason, &to->reason);
    return r;
}

static int take_headers(struct span *rest, struct headers *to)
{
    uint64_t count;

    if (!take_number(rest, CACHE_HEADERS_MAX * 2, &count))
        return CACHE_ENTRY_E_DAMAGED;
    for (uint64_t i = 0; i < count; i++) {
        struct span name;
        struct span value;

        if (!take_text(rest, &name) || !take_text(rest, &value) ||
            !header_name_is_token(name) || !header_value_is_valid(value))
            return CACHE_ENTRY_E_DAMAGED;
        int r = headers_add(to, name, value);
        if (r < 0)
            return r == -EMSGSIZE ? CACHE_ENTRY_E_DAMAGED : r;
    }
    return rest->len == 0 ? CACHE_ENTRY_OK : CACHE_ENTRY_E_DAMAGED;
}

/* Is the URL one that cache_key_of() would make? */
static int check_url(const struct cache_entry *entry)
{
    CLEANUP_BUF struct buf key = BUF_INIT(0);
    struct url url;
    int r = url_parse(span_of(entry->url), NULL, &url);

    if (r != URL_OK)
        return r < 0 ? r : CACHE_ENTRY_E_DAMAGED;
    bool is_http = url_is_http(&url);
    r = cache_key_of(&url, &key);
    url_done(&url);
    if (r < 0)
        return r == -EMSGSIZE ? CACHE_ENTRY_E_DAMAGED : r;
    return is_http && span_eq(buf_span(&key), span_of(entry->url)) ? CACHE_ENTRY_OK
                                                                   : CACHE_ENTRY_E_DAMAGED;
}

static int check_digest(struct span bytes, struct span *ret_content)
{
    uint8_t digest[SHA256_BYTES];

    if (bytes.len < MAGIC.len + SHA256_BYTES || bytes.len > CACHE_META_BYTES_MAX ||
        !span_starts_with(bytes, MAGIC))
        return CACHE_ENTRY_E_DAMAGED;
    struct span content = span_take(bytes, bytes.len - SHA256_BYTES);
    int r = sha256_of(content, digest);
    if (r < 0)
        return r;
    *ret_content = span_drop(content, MAGIC.len);
    return memcmp(digest, bytes.ptr + content.len, SHA256_BYTES) == 0 ? CACHE_ENTRY_OK
                                                                      : CACHE_ENTRY_E_DAMAGED;
}

int cache_entry_decode(struct span bytes, struct cache_entry *ret)
{
    struct span rest;
    int r = check_digest(bytes, &rest);

    if (r != CACHE_ENTRY_OK)
        return r;
    if (!take_numbers(&rest, ret) || !take_digest(&rest, ret->context) ||
        !take_digest(&rest, ret->vary_digest) || !take_digest(&rest, ret->body_digest))
        return CACHE_ENTRY_E_DAMAGED;
    r = take_texts(&rest, ret);
    if (r == CACHE_ENTRY_OK)
        r = take_headers(&rest, &ret->headers);
    return r == CACHE_ENTRY_OK ? check_url(ret) : r;
}

int cache_entry_copy(const struct cache_entry *from, struct cache_entry *to)
{
    struct headers headers = to->headers;

    *to = *from;
    to->headers = headers;
    to->url = mem_dup(span_of(from->url));
    to->vary = mem_dup(span_of(from->vary));
    to->reason = mem_dup(span_of(from->reason));
    if (!to->url || !to->vary || !to->reason)
        return fault(-ENOMEM);
    return headers_add_all(&to->headers, &from->headers);
}
