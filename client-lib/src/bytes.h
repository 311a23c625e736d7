/* SPDX-License-Identifier: MIT */
#pragma once

/* A growing run of bytes: written at the end, consumed at the front. Grows by doubling. */

#include <stddef.h>
#include <stdint.h>

struct xhr_bytes {
    uint8_t *storage;
    size_t start;
    size_t len;
    size_t capacity;
};

static inline uint8_t *xhr_bytes_at(const struct xhr_bytes *bytes)
{
    return bytes->storage + bytes->start;
}

static inline uint8_t *xhr_bytes_end(const struct xhr_bytes *bytes)
{
    return bytes->storage + bytes->start + bytes->len;
}

/* Room for @n more behind xhr_bytes_end(); moves what is there. Return: 0 or -ENOMEM. */
int xhr_bytes_reserve(struct xhr_bytes *bytes, size_t n);
int xhr_bytes_append(struct xhr_bytes *bytes, const void *from, size_t n);
void xhr_bytes_consume(struct xhr_bytes *bytes, size_t n);
void xhr_bytes_done(struct xhr_bytes *bytes); /* frees; empty and usable again */

/* A copy of @len bytes with a NUL behind them; NULL without memory. */
char *xhr_dup(const void *from, size_t len);
/* A copy of a string; NULL is 0 and *ret NULL. Return: 0 or -ENOMEM. */
int xhr_dup_string(const char *text, char **ret);

static inline char xhr_lower(char c) /* ASCII */
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* For interfaces that forgot a const (protobuf-c's structures, iovec) and for freeing what is
 * const to everybody else. */
static inline void *xhr_unconst(const void *pointer)
{
    return (void *)(uintptr_t)pointer; /* NOLINT(performance-no-int-to-ptr) */
}

/* CLOCK_MONOTONIC. */
uint64_t xhr_now_us(void);
