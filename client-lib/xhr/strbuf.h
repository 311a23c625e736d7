/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Text that grows, for two small programs: a run of bytes with a NUL behind it. Running out of
 * memory is remembered and looked at once, where the text is used: until then every call is
 * harmless. Numbers are written by hand: a fresh process should not pay for printf.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
    char *bytes; /* NULL while empty; else bytes[len] is NUL */
    size_t len;
    size_t cap;
    bool failed; /* no memory: bytes are missing */
};

void strbuf_done(struct strbuf *buf);
void strbuf_clear(struct strbuf *buf);

/* "" while empty; never NULL. */
const char *strbuf_text(const struct strbuf *buf);

void strbuf_add(struct strbuf *buf, const void *bytes, size_t len);
void strbuf_add_text(struct strbuf *buf, const char *text); /* NULL adds nothing */
void strbuf_add_char(struct strbuf *buf, char c);
void strbuf_add_u64(struct strbuf *buf, uint64_t number);
void strbuf_add_i64(struct strbuf *buf, int64_t number);

/* The last @digits digits of @number, zeros in front: 7 and 3 are "007". */
void strbuf_add_padded(struct strbuf *buf, uint64_t number, size_t digits);

/* 1234567 is "1.234567". */
void strbuf_add_seconds(struct strbuf *buf, uint64_t microseconds);

/* "512 B", "1.5 KiB", "20.1 MiB". */
void strbuf_add_size(struct strbuf *buf, uint64_t bytes);

/* As it may be shown on a terminal: control characters, and bytes that are no UTF-8, become
 * \xNN, so that no server can move the cursor. */
void strbuf_add_shown(struct strbuf *buf, const char *bytes, size_t len);

/* Percent-encoded but for letters, digits and -._~; blanks become +. As curl encodes data. */
void strbuf_add_urlencoded(struct strbuf *buf, const char *bytes, size_t len);

/* Room for @len more bytes at the end, to be filled and then counted with strbuf_grow().
 * Return: NULL when there is no memory. */
char *strbuf_room(struct strbuf *buf, size_t len);
void strbuf_grow(struct strbuf *buf, size_t len);

/* Bytes of the UTF-8 sequence at the front of @bytes (1 to 4), 0: it is none. */
size_t utf8_sequence(const char *bytes, size_t len);
