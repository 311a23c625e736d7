/* SPDX-License-Identifier: MIT */
/*
 * responseText: bytes of some charset to UTF-8, never failing. The charset is told by, in this
 * order, a byte order mark, the charset parameter of Content-Type, the declaration at the top
 * of XML or HTML, and is UTF-8 otherwise (WHATWG XMLHttpRequest, "get a text response"). UTF-8,
 * UTF-16 and what the WHATWG calls windows-1252 are decoded here; the rest by libc's iconv.
 */
#include <iconv.h>
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define REPLACEMENT   0xFFFDu
#define PRESCAN_BYTES 1024

struct input {
    const uint8_t *at;
    size_t left;
};

/* 0x80 to 0x9f of windows-1252 (WHATWG Encoding, index windows-1252). */
static const uint16_t windows_1252[32] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
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

static int decode_windows_1252(struct input in, struct xhr_bytes *out)
{
    int r = 0;

    for (; r == 0 && in.left > 0; in.at++, in.left--)
        r = put(out, *in.at >= 0x80 && *in.at < 0xA0 ? windows_1252[*in.at - 0x80] : *in.at);
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

static size_t find_word(const uint8_t *text, size_t len, const char *word, size_t from)
{
    size_t n = strlen(word);

    for (size_t i = from; i + n <= len; i++) {
        size_t j = 0;

        while (j < n && xhr_lower((char)text[i + j]) == word[j])
            j++;
        if (j == n)
            return i;
    }
    return len;
}

static bool is_label_char(char c)
{
    char lower = xhr_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.:+()", c));
}

/* What stands behind the "charset" or "encoding" at @at: = "label". */
static bool take_label(const uint8_t *text, size_t len, size_t at, char *ret, size_t ret_size)
{
    size_t n = 0;

    while (at < len && (text[at] == ' ' || text[at] == '\t'))
        at++;
    if (at == len || text[at] != '=')
        return false;
    at++;
    while (at < len && (text[at] == ' ' || text[at] == '"' || text[at] == '\''))
        at++;
    while (at < len && n + 1 < ret_size && is_label_char((char)text[at]))
        ret[n++] = (char)text[at++];
    ret[n] = '\0';
    return n > 0;
}

static bool label_after(const uint8_t *text,
                        size_t len,
                        const char *element,
                        const char *word,
                        struct xhr_answer *answer)
{
    size_t at = find_word(text, len, element, 0);

    at = at < len ? find_word(text, len, word, at) : len;
    return at < len && take_label(text, len, at + strlen(word), answer->charset_name,
                                  sizeof(answer->charset_name));
}

static bool is_one_of(const char *label, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (xhr_name_eq(label, names[i]))
            return true;
    return false;
}

static const char *canonical(const char *label)
{
    static const char *const latin[] = {"windows-1252", "cp1252",  "iso-8859-1", "iso8859-1",
                                        "iso_8859-1",   "latin1",  "l1",         "us-ascii",
                                        "ascii",        "x-cp1252"};
    static const char *const utf8[] = {"utf-8", "utf8", "unicode-1-1-utf-8"};
    static const char *const utf16[] = {"utf-16", "utf-16le", "ucs-2", "unicode"};

    if (is_one_of(label, utf8, sizeof(utf8) / sizeof(*utf8)))
        return "UTF-8";
    if (is_one_of(label, latin, sizeof(latin) / sizeof(*latin)))
        return "windows-1252";
    if (is_one_of(label, utf16, sizeof(utf16) / sizeof(*utf16)))
        return "UTF-16LE";
    return xhr_name_eq(label, "utf-16be") ? "UTF-16BE" : label;
}

/* Return: the charset; *ret_bom the length of the mark that told it. */
static const char *
detect(struct xhr_answer *answer, const uint8_t *body, size_t len, size_t *ret_bom)
{
    char *type = NULL;
    size_t scan = len < PRESCAN_BYTES ? len : PRESCAN_BYTES;
    const uint8_t *header;
    size_t header_len;

    *ret_bom = 3;
    if (len >= 3 && memcmp(body, "\xEF\xBB\xBF", 3) == 0)
        return "UTF-8";
    *ret_bom = 2;
    if (len >= 2 && memcmp(body, "\xFF\xFE", 2) == 0)
        return "UTF-16LE";
    if (len >= 2 && memcmp(body, "\xFE\xFF", 2) == 0)
        return "UTF-16BE";
    *ret_bom = 0;

    const char *found = "UTF-8";
    if (xhr_lines_join(&answer->headers, "content-type", &type) < 0 || !type)
        return found;
    header = (const uint8_t *)type;
    header_len = strlen(type);
    bool is_markup = find_word(header, header_len, "xml", 0) < header_len ||
                     find_word(header, header_len, "html", 0) < header_len;
    if (label_after(header, header_len, ";", "charset", answer) ||
        (is_markup && (label_after(body, scan, "<?xml", "encoding", answer) ||
                       label_after(body, scan, "<meta", "charset", answer))))
        found = canonical(answer->charset_name);
    free(type);
    return found;
}

static int decode(struct xhr_answer *answer, struct xhr_bytes *out)
{
    size_t bom = 0;
    const uint8_t *body =
        answer->body.len > 0 ? xhr_bytes_at(&answer->body) : (const uint8_t *)"";
    struct input in = {body, answer->body.len};

    answer->charset = detect(answer, body, in.left, &bom);
    in.at += bom;
    in.left -= bom;
    if (strcmp(answer->charset, "UTF-8") == 0)
        return decode_utf8(in, out);
    if (strcmp(answer->charset, "windows-1252") == 0)
        return decode_windows_1252(in, out);
    if (strncmp(answer->charset, "UTF-16", 6) == 0)
        return decode_utf16(in, answer->charset[6] == 'B', out);
    iconv_t converter = iconv_open("UTF-8", answer->charset);
    /* Nobody knows it. NOLINTNEXTLINE(performance-no-int-to-ptr): iconv's interface */
    if (converter == (iconv_t)-1) {
        answer->charset = "UTF-8";
        return decode_utf8(in, out);
    }
    int r = decode_with(converter, in, out);
    (void)iconv_close(converter);
    return r;
}

const char *xhr_request_response_text(struct xhr_request *request, size_t *ret_len)
{
    struct xhr_answer *answer = &request->answer;
    struct xhr_bytes text = {0};

    if (!answer->text || answer->text_of_len != answer->body.len) {
        if (decode(answer, &text) < 0 || xhr_bytes_append(&text, "", 1) < 0) {
            xhr_bytes_done(&text);
            return NULL;
        }
        free(answer->text);
        answer->text = (char *)text.storage;
        answer->text_len = text.len - 1;
        answer->text_of_len = answer->body.len;
    }
    if (ret_len)
        *ret_len = answer->text_len;
    return answer->text;
}

const char *xhr_request_response_charset(struct xhr_request *request)
{
    /* Which one it is shows in the decoding: a name nobody knows is UTF-8. */
    return xhr_request_response_text(request, NULL) ? request->answer.charset : "UTF-8";
}
