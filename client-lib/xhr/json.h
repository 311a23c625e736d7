/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writes JSON (RFC 8259) into a strbuf, commas by itself. What servers say need not be UTF-8:
 * bytes that are not become U+FFFD, so that every line parses.
 */

#include "strbuf.h"

struct json {
    struct strbuf *out;
    bool comma; /* something stands before, on this level */
};

/* @key: NULL inside arrays and at the top. */
void json_object_begin(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array_begin(struct json *json, const char *key);
void json_array_end(struct json *json);

void json_bytes(struct json *json, const char *key, const char *bytes, size_t len);
void json_text(struct json *json, const char *key, const char *text); /* NULL: null */
void json_u64(struct json *json, const char *key, uint64_t number);
void json_i64(struct json *json, const char *key, int64_t number);
void json_bool(struct json *json, const char *key, bool yes);
void json_null(struct json *json, const char *key);
void json_milliseconds(struct json *json, const char *key, uint64_t microseconds); /* 0.123 */
void json_seconds(struct json *json, const char *key, uint64_t microseconds); /* 0.000123 */
/* @done of @total with four decimals: 0.5000 */
void json_ratio(struct json *json, const char *key, uint64_t done, uint64_t total);
