/* SPDX-License-Identifier: MIT */
/*
 * Labels of charsets, and where they stand: MIME Sniffing's "parse a MIME type" for the
 * parameter, HTML's "prescan a byte stream to determine its encoding" and "get an XML encoding"
 * for what the text says of itself.
 */
#include "charset.h"

#include <string.h>

#include "bytes.h"

#define PRESCAN_BYTES 1024
#define LABEL_MAX     64

/* ---- labels
 * ----------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

const struct xhr_charset *xhr_charset_find(const char *label, size_t len)
{
    char text[LABEL_MAX];
    size_t low = 0;
    size_t high = xhr_n_charset_labels;

    while (len > 0 && is_blank(*label))
        label++, len--;
    while (len > 0 && is_blank(label[len - 1]))
        len--;
    if (len == 0 || len >= sizeof(text))
        return NULL;
    for (size_t i = 0; i < len; i++)
        text[i] = xhr_lower(label[i]);
    text[len] = '\0';
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(text, xhr_charset_labels[middle].label);

        if (order == 0)
            return &xhr_charsets[xhr_charset_labels[middle].charset];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static const struct xhr_charset *find(const char *label)
{
    return xhr_charset_find(label, strlen(label));
}

const struct xhr_charset *xhr_charset_of_mark(const uint8_t *text, size_t len, size_t *ret_len)
{
    *ret_len = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 2;
    if (*ret_len == 3)
        return find("utf-8");
    if (len >= 2 && memcmp(text, "\xFF\xFE", 2) == 0)
        return find("utf-16le");
    if (len >= 2 && memcmp(text, "\xFE\xFF", 2) == 0)
        return find("utf-16be");
    *ret_len = 0;
    return NULL;
}

/* ---- Content-Type
 * ------------------------------------------------------------------------------ */

/* A value that is "quoted", with its escapes, or goes to the next semicolon. Return: behind it;
 * *ret_len of a value that does not fit is 0. */
static const char *take_value(const char *at, char ret[LABEL_MAX], size_t *ret_len)
{
    bool is_quoted = *at == '"';
    size_t n = 0;

    for (at += is_quoted; *at && *at != (is_quoted ? '"' : ';'); at++) {
        if (is_quoted && *at == '\\' && at[1])
            at++;
        if (n < LABEL_MAX)
            ret[n] = *at;
        n++;
    }
    *ret_len = n < LABEL_MAX ? n : 0;
    return at;
}

const struct xhr_charset *xhr_charset_of_type(const char *type)
{
    const char *at = type + strcspn(type, ";");

    while (*at == ';') {
        char value[LABEL_MAX];
        size_t value_len = 0;

        at++;
        while (is_blank(*at))
            at++;
        const char *name = at;
        at += strcspn(at, ";=");
        bool is_charset = at - name == 7 && *at == '=';
        for (size_t i = 0; is_charset && i < 7; i++)
            is_charset = xhr_lower(name[i]) == "charset"[i];
        if (*at == '=')
            at = take_value(at + 1, value, &value_len);
        if (is_charset) /* the first one counts */
            return xhr_charset_find(value, value_len);
        at += strcspn(at, ";");
    }
    return NULL;
}

static bool has_word(const char *text, size_t len, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= len; i++) {
        size_t j = 0;

        while (j < n && xhr_lower(text[i + j]) == word[j])
            j++;
        if (j == n)
            return true;
    }
    return false;
}

/* ---- what the text says of itself
 * --------------------------------------------------------------- */

struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

static bool is_at(const struct scan *scan, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(scan->end - scan->at) < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (xhr_lower((char)scan->at[i]) != word[i])
            return false;
    return true;
}

static void skip_to(struct scan *scan, const char *word)
{
    while (scan->at < scan->end && !is_at(scan, word))
        scan->at++;
}

static void skip_blanks(struct scan *scan)
{
    while (scan->at < scan->end && is_blank((char)*scan->at))
        scan->at++;
}

struct text_span {
    const uint8_t *at;
    size_t len;
};

static bool is_word(const struct text_span *span, const char *word)
{
    return span->len == strlen(word) && has_word((const char *)span->at, span->len, word);
}

static void take_attribute_value(struct scan *scan, struct text_span *ret)
{
    uint8_t quote = 0;

    skip_blanks(scan);
    if (scan->at < scan->end && (*scan->at == '"' || *scan->at == '\''))
        quote = *scan->at++;
    ret->at = scan->at;
    while (scan->at < scan->end &&
           (quote ? *scan->at != quote : !is_blank((char)*scan->at) && *scan->at != '>'))
        scan->at++;
    ret->len = (size_t)(scan->at - ret->at);
    if (quote && scan->at < scan->end)
        scan->at++;
}

/* HTML, "get an attribute". Return: false: there is none more. */
static bool next_attribute(struct scan *scan, struct text_span *ret_name, struct text_span *ret)
{
    while (scan->at < scan->end && (is_blank((char)*scan->at) || *scan->at == '/'))
        scan->at++;
    if (scan->at == scan->end || *scan->at == '>')
        return false;
    ret_name->at = scan->at;
    do
        scan->at++;
    while (scan->at < scan->end && !strchr("= \t\n\f\r/>", *scan->at));
    ret_name->len = (size_t)(scan->at - ret_name->at);
    *ret = (struct text_span){scan->at, 0};
    skip_blanks(scan);
    if (scan->at < scan->end && *scan->at == '=') {
        scan->at++;
        take_attribute_value(scan, ret);
    }
    return true;
}

/* HTML, "extracting a character encoding from a meta element". */
static const struct xhr_charset *of_content(const struct text_span *content)
{
    struct scan scan = {content->at, content->at + content->len};
    struct text_span value;

    for (;;) {
        skip_to(&scan, "charset");
        if (scan.at == scan.end)
            return NULL;
        scan.at += 7;
        skip_blanks(&scan);
        if (scan.at < scan.end && *scan.at == '=')
            break;
    }
    scan.at++;
    skip_blanks(&scan);
    bool is_quoted = scan.at < scan.end && (*scan.at == '"' || *scan.at == '\'');
    const uint8_t *start = scan.at;
    take_attribute_value(&scan, &value);
    if (is_quoted && value.at + value.len == scan.end && scan.end > start)
        return NULL; /* it does not end */
    if (!is_quoted)
        for (size_t i = 0; i < value.len; i++)
            value.len = value.at[i] == ';' ? i : value.len;
    return xhr_charset_find((const char *)value.at, value.len);
}

/* A text whose ASCII we could read is in no UTF-16, whatever it says. */
static const struct xhr_charset *as_readable(const struct xhr_charset *charset)
{
    if (charset &&
        (charset->kind == XHR_CHARSET_UTF16LE || charset->kind == XHR_CHARSET_UTF16BE))
        return find("utf-8");
    if (charset && charset->kind == XHR_CHARSET_USER_DEFINED)
        return find("windows-1252");
    return charset;
}

static const struct xhr_charset *of_meta(struct scan *scan)
{
    struct text_span name;
    struct text_span value;
    const struct xhr_charset *by_charset = NULL;
    const struct xhr_charset *by_content = NULL;
    bool has_charset = false;
    bool has_content = false;
    bool got_pragma = false;

    while (next_attribute(scan, &name, &value)) {
        if (is_word(&name, "http-equiv")) {
            got_pragma |= is_word(&value, "content-type");
        } else if (is_word(&name, "content") && !has_content) {
            by_content = of_content(&value);
            has_content = true;
        } else if (is_word(&name, "charset") && !has_charset) {
            by_charset = xhr_charset_find((const char *)value.at, value.len);
            has_charset = true;
        }
    }
    return as_readable(has_charset ? by_charset : got_pragma ? by_content : NULL);
}

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* HTML, "prescan a byte stream to determine its encoding". */
static const struct xhr_charset *of_html(struct scan scan)
{
    struct text_span name;
    struct text_span value;

    for (skip_to(&scan, "<"); scan.at < scan.end; skip_to(&scan, "<")) {
        bool is_meta = is_at(&scan, "<meta") && scan.end - scan.at > 5 &&
                       (is_blank((char)scan.at[5]) || scan.at[5] == '/');
        size_t tag = scan.end - scan.at > 1 && scan.at[1] == '/' ? 2 : 1;

        if (is_at(&scan, "<!--")) {
            scan.at += 2; /* the dashes may be the comment's end, too */
            skip_to(&scan, "-->");
        } else if (is_meta) {
            scan.at += 5;
            const struct xhr_charset *found = of_meta(&scan);
            if (found)
                return found;
        } else if ((size_t)(scan.end - scan.at) > tag && is_letter(scan.at[tag])) {
            while (scan.at < scan.end && !is_blank((char)*scan.at) && *scan.at != '>')
                scan.at++;
            while (next_attribute(&scan, &name, &value))
                continue;
        } else if (is_at(&scan, "<!") || is_at(&scan, "</") || is_at(&scan, "<?")) {
            skip_to(&scan, ">");
        }
        if (scan.at < scan.end)
            scan.at++;
    }
    return NULL;
}

/* HTML, "get an XML encoding", which is as in XML 1.0 §4.3.3 but for blanks. */
static const struct xhr_charset *of_xml(struct scan scan)
{
    struct text_span value;

    if (!is_at(&scan, "<?xml"))
        return NULL;
    struct scan end = scan;
    skip_to(&end, "?>");
    scan.end = end.at;
    skip_to(&scan, "encoding");
    if (scan.at == scan.end)
        return NULL;
    scan.at += 8;
    skip_blanks(&scan);
    if (scan.at == scan.end || *scan.at != '=')
        return NULL;
    scan.at++;
    skip_blanks(&scan);
    if (scan.at == scan.end || (*scan.at != '"' && *scan.at != '\''))
        return NULL;
    take_attribute_value(&scan, &value);
    return as_readable(xhr_charset_find((const char *)value.at, value.len));
}

const struct xhr_charset *xhr_charset_of_text(const char *type, const uint8_t *text, size_t len)
{
    struct scan scan = {text, text + (len < PRESCAN_BYTES ? len : PRESCAN_BYTES)};
    size_t type_len = strcspn(type, ";");
    bool is_html = has_word(type, type_len, "html");
    bool is_xml = has_word(type, type_len, "xml");
    const struct xhr_charset *found = is_html || is_xml ? of_xml(scan) : NULL;

    return found || !is_html ? found : of_html(scan);
}
