/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <string.h>

static void add_escaped(struct strbuf *out, unsigned char c)
{
    static const char digits[] = "0123456789abcdef";
    char text[] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

    switch (c) {
    case '"': strbuf_add_text(out, "\\\""); return;
    case '\\': strbuf_add_text(out, "\\\\"); return;
    case '\n': strbuf_add_text(out, "\\n"); return;
    case '\r': strbuf_add_text(out, "\\r"); return;
    case '\t': strbuf_add_text(out, "\\t"); return;
    default: strbuf_add(out, text, sizeof(text)); return;
    }
}

static void add_string(struct strbuf *out, const char *bytes, size_t len)
{
    strbuf_add_char(out, '"');
    while (len > 0) {
        size_t sequence = utf8_sequence(bytes, len);
        unsigned char first = (unsigned char)bytes[0];

        if (sequence == 0)
            strbuf_add_text(out, "\xEF\xBF\xBD");
        else if (first < 0x20 || first == 0x7F || first == '"' || first == '\\')
            add_escaped(out, first);
        else if (first == 0xC2 && (unsigned char)bytes[1] < 0xA0) /* C1: moves some cursors */
            add_escaped(out, (unsigned char)bytes[1]);
        else
            strbuf_add(out, bytes, sequence);
        size_t taken = sequence > 0 ? sequence : 1;
        bytes += taken;
        len -= taken;
    }
    strbuf_add_char(out, '"');
}

static void begin_value(struct json *json, const char *key)
{
    if (json->comma)
        strbuf_add_char(json->out, ',');
    json->comma = true;
    if (!key)
        return;
    add_string(json->out, key, strlen(key));
    strbuf_add_char(json->out, ':');
}

static void open_level(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    strbuf_add_char(json->out, bracket);
    json->comma = false;
}

static void close_level(struct json *json, char bracket)
{
    strbuf_add_char(json->out, bracket);
    json->comma = true;
}

void json_object_begin(struct json *json, const char *key)
{
    open_level(json, key, '{');
}

void json_object_end(struct json *json)
{
    close_level(json, '}');
}

void json_array_begin(struct json *json, const char *key)
{
    open_level(json, key, '[');
}

void json_array_end(struct json *json)
{
    close_level(json, ']');
}

void json_bytes(struct json *json, const char *key, const char *bytes, size_t len)
{
    begin_value(json, key);
    add_string(json->out, bytes, len);
}

void json_text(struct json *json, const char *key, const char *text)
{
    if (text)
        json_bytes(json, key, text, strlen(text));
    else
        json_null(json, key);
}

void json_u64(struct json *json, const char *key, uint64_t number)
{
    begin_value(json, key);
    strbuf_add_u64(json->out, number);
}

void json_i64(struct json *json, const char *key, int64_t number)
{
    begin_value(json, key);
    strbuf_add_i64(json->out, number);
}

void json_bool(struct json *json, const char *key, bool yes)
{
    begin_value(json, key);
    strbuf_add_text(json->out, yes ? "true" : "false");
}

void json_null(struct json *json, const char *key)
{
    begin_value(json, key);
    strbuf_add_text(json->out, "null");
}

void json_milliseconds(struct json *json, const char *key, uint64_t microseconds)
{
    begin_value(json, key);
    strbuf_add_u64(json->out, microseconds / 1000);
    strbuf_add_char(json->out, '.');
    strbuf_add_padded(json->out, microseconds % 1000, 3);
}

void json_seconds(struct json *json, const char *key, uint64_t microseconds)
{
    begin_value(json, key);
    strbuf_add_seconds(json->out, microseconds);
}

void json_ratio(struct json *json, const char *key, uint64_t done, uint64_t total)
{
    begin_value(json, key);
    if (total == 0 || done >= total) {
        strbuf_add_text(json->out, "1.0000");
        return;
    }
    while (total > UINT64_MAX / 10000) { /* so large that the lowest bits do not show */
        total >>= 1;
        done >>= 1;
    }
    strbuf_add_text(json->out, "0.");
    uint64_t parts = done * 10000 / total;
    strbuf_add_padded(json->out, parts > 9999 ? 9999 : parts, 4);
}
