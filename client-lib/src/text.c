/* SPDX-License-Identifier: MIT */
/*
 * responseText: bytes of some charset to UTF-8, never failing. The charset is told by, in this
 * order, a byte order mark, the charset parameter of Content-Type, the declaration at the top
 * of XML or HTML, and is UTF-8 otherwise (WHATWG XMLHttpRequest, "get a text response"). UTF-8,
 * UTF-16 and all charsets of single bytes are decoded here; those of China, Japan and Korea by
 * libc's iconv, which knows nearly the same as the WHATWG.
 */
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "charset.h"
#include "xhr_priv.h"

#define REPLACEMENT 0xFFFDu

struct input {
    const uint8_t *at;
    size_t left;
};

/* ---- out ---- */

static int put(struct xhr_bytes *out, uint32_t c)
{
    uint8_t bytes[4];
    size_t n = 0;

    if (c < 0x80) {
        bytes[n++] = (uint8_t)c;
    } else if (c < 0x800) {
        bytes[n++] = (uint8_t)(0xC0 | c >> 6);
        bytes[n++] = (uint8_t)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        bytes[n++] = (uint8_t)(0xE0 | c >> 12);
        bytes[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[n++] = (uint8_t)(0x80 | (c & 0x3F));
    } else {
        bytes[n++] = (uint8_t)(0xF0 | c >> 18);
        bytes[n++] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        bytes[n++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        bytes[n++] = (uint8_t)(0x80 | (c & 0x3F));
    }
    return xhr_bytes_append(out, bytes, n);
}

/* ---- decoders ---- */

/* How many bytes follow a lead byte, and what the first of them may be: Unicode table 3-7. */
static unsigned utf8_tail(uint8_t lead, uint8_t *ret_low, uint8_t *ret_high)
{
    *ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    *ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (lead >= 0xC2 && lead <= 0xDF)
        return 1;
    if (lead >= 0xE0 && lead <= 0xEF)
        return 2;
    return lead >= 0xF0 && lead <= 0xF4 ? 3 : 0;
}

/* Length of the sequence at the front; *ret_good says whether it is one. */
static size_t utf8_sequence(const struct input *in, bool *ret_good)
{
    uint8_t low;
    uint8_t high;
    unsigned tail = utf8_tail(in->at[0], &low, &high);
    size_t n = 1;

    *ret_good = in->at[0] < 0x80;
    if (tail == 0)
        return 1;
    while (n <= tail && n < in->left && in->at[n] >= low && in->at[n] <= high) {
        low = 0x80;
        high = 0xBF;
        n++;
    }
    *ret_good = n == tail + 1;
    return n;
}

static int decode_utf8(struct input in, struct xhr_bytes *out)
{
    const uint8_t *good = in.at;
    int r = 0;

    while (r == 0 && in.left > 0) {
        bool is_good;
        size_t n = utf8_sequence(&in, &is_good);

        if (!is_good) {
            r = xhr_bytes_append(out, good, (size_t)(in.at - good));
            good = in.at + n;
            r = r < 0 ? r : put(out, REPLACEMENT);
        }
        in.at += n;
        in.left -= n;
    }
    return r < 0 ? r : xhr_bytes_append(out, good, (size_t)(in.at - good));
}

int xhr_utf8_append(struct xhr_bytes *out, const char *text)
{
    return decode_utf8((struct input){(const uint8_t *)text, strlen(text)}, out);
}

static uint32_t unit16(const uint8_t *at, bool big)
{
    return big ? (uint32_t)at[0] << 8 | at[1] : (uint32_t)at[1] << 8 | at[0];
}

static int decode_utf16(struct input in, bool big, struct xhr_bytes *out)
{
    int r = 0;

    while (r == 0 && in.left > 0) {
        size_t n = in.left < 2 ? 1 : 2;
        uint32_t c = n == 2 ? unit16(in.at, big) : REPLACEMENT;

        if (c >= 0xD800 && c <= 0xDFFF) {
            uint32_t low = in.left >= 4 ? unit16(in.at + 2, big) : 0;

            if (c <= 0xDBFF && low >= 0xDC00 && low <= 0xDFFF) {
                c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
                n = 4;
            } else {
                c = REPLACEMENT;
            }
        }
        r = put(out, c);
        in.at += n;
        in.left -= n;
    }
    return r;
}

/* @table: of 0x80 to 0xff; NULL: they follow each other from @first on. */
static int
decode_bytes(struct input in, const uint16_t *table, uint32_t first, struct xhr_bytes *out)
{
    int r = 0;

    for (; r == 0 && in.left > 0; in.at++, in.left--) {
        uint8_t c = *in.at;

        r = put(out, c < 0x80 ? c : table ? table[c - 0x80] : first + (c - 0x80u));
    }
    return r;
}

static int decode_with(iconv_t converter, struct input in, struct xhr_bytes *out)
{
    char *at = xhr_unconst(in.at);
    int r = 0;

    while (r == 0 && in.left > 0) {
        r = xhr_bytes_reserve(out, in.left + 16);
        if (r < 0)
            break;
        char *to = (char *)xhr_bytes_end(out);
        size_t room = out->capacity - out->start - out->len;
        size_t had = room;
        size_t n = iconv(converter, &at, &in.left, &to, &room);

        out->len += had - room;
        if (n == (size_t)-1 && (errno == EILSEQ || errno == EINVAL)) {
            r = put(out, REPLACEMENT);
            at++;
            in.left--;
        }
    }
    return r;
}

/* ---- which charset ---- */

/* Return: 0 with *ret_bom the length of the mark that told it, or -ENOMEM. */
static int detect(struct xhr_answer *answer,
                  const struct input *in,
                  const struct xhr_charset **ret,
                  size_t *ret_bom)
{
    const struct xhr_charset *found = xhr_charset_of_mark(in->at, in->left, ret_bom);
    char *type = NULL;
    int r = found ? 0 : xhr_lines_join(&answer->headers, "content-type", &type);

    if (r == 0 && type) {
        found = xhr_charset_of_type(type);
        if (!found)
            found = xhr_charset_of_text(type, in->at, in->left);
    }
    free(type);
    *ret = found ? found : xhr_charset_find("utf-8", 5);
    return r;
}

/* A converter that is not installed leaves what is ASCII, and U+FFFD. */
static int decode_by_iconv(const char *name, struct input in, struct xhr_bytes *out)
{
    iconv_t converter = iconv_open("UTF-8", name);

    /* NOLINTNEXTLINE(performance-no-int-to-ptr): iconv's interface */
    if (converter == (iconv_t)-1)
        return decode_utf8(in, out);
    int r = decode_with(converter, in, out);
    (void)iconv_close(converter);
    return r;
}

static int decode_as(const struct xhr_charset *charset, struct input in, struct xhr_bytes *out)
{
    switch (charset->kind) {
    case XHR_CHARSET_UTF8: return decode_utf8(in, out);
    case XHR_CHARSET_UTF16LE: return decode_utf16(in, false, out);
    case XHR_CHARSET_UTF16BE: return decode_utf16(in, true, out);
    case XHR_CHARSET_TABLE: return decode_bytes(in, xhr_charset_tables[charset->table], 0, out);
    case XHR_CHARSET_USER_DEFINED: return decode_bytes(in, NULL, 0xF780, out);
    case XHR_CHARSET_ICONV: return decode_by_iconv(charset->iconv_name, in, out);
    case XHR_CHARSET_REPLACEMENT:
    default: return in.left > 0 ? put(out, REPLACEMENT) : 0;
    }
}

static int decode(struct xhr_answer *answer, struct xhr_bytes *out)
{
    size_t bom = 0;
    const struct xhr_charset *charset = NULL;
    struct input in = {0};
    int r;

    in.at = xhr_answer_body(answer, &in.left);
    if (!in.at)
        return -ENOMEM;
    r = detect(answer, &in, &charset, &bom);

    answer->charset = charset->name;
    in.at += bom;
    in.left -= bom;
    return r < 0 ? r : decode_as(charset, in, out);
}

const char *xhr_request_response_text(struct xhr_request *request, size_t *ret_len)
{
    struct xhr_answer *answer = &request->answer;
    struct xhr_bytes text = {0};
    uint64_t len = answer->spill.is_open ? answer->spill.len : answer->body.len;

    if (!answer->text || answer->text_of_len != len) {
        if (decode(answer, &text) < 0 || xhr_bytes_append(&text, "", 1) < 0) {
            xhr_bytes_done(&text);
            return NULL;
        }
        free(answer->text);
        answer->text = (char *)text.storage;
        answer->text_len = text.len - 1;
        answer->text_of_len = len;
    }
    if (ret_len)
        *ret_len = answer->text_len;
    return answer->text;
}

const char *xhr_request_response_charset(struct xhr_request *request)
{
    return xhr_request_response_text(request, NULL) ? request->answer.charset : "UTF-8";
}
