/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A growing byte buffer with a hard cap. Bytes are appended at the tail and consumed at the
 * head; storage is compacted lazily, so consuming is O(1) amortised.
 */

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/span.h"

struct buf {
    char *storage;
    size_t start;    /* first unread byte */
    size_t len;      /* unread bytes */
    size_t capacity; /* bytes of storage */
    size_t max;      /* hard cap for len; 0: no cap */
};

#define BUF_INIT(cap) ((struct buf){.max = (cap)})

void buf_done(struct buf *buf);  /* frees the storage; usable again */
void buf_clear(struct buf *buf); /* empty, keeps the storage */

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->storage ? buf->storage + buf->start : "", buf->len};
}

/**
 * buf_reserve() - make room for @n more bytes
 * Return: 0, -ENOMEM, or -EMSGSIZE when the cap would be passed.
 */
MUST_CHECK int buf_reserve(struct buf *buf, size_t n);
/* Where to write after buf_reserve(); then buf_commit() what was written. */
char *buf_tail(struct buf *buf);
void buf_commit(struct buf *buf, size_t n);

MUST_CHECK int buf_append_slowly(struct buf *buf, struct span bytes); /* it has to grow */

MUST_CHECK static inline int buf_append(struct buf *buf, struct span bytes)
{
    size_t tail = buf->start + buf->len;

    if (bytes.len == 0)
        return 0;
    if (bytes.len > buf->capacity - tail || (buf->max && bytes.len > buf->max - buf->len))
        return buf_append_slowly(buf, bytes);
    memcpy(buf->storage + tail, bytes.ptr, bytes.len);
    buf->len += bytes.len;
    return 0;
}

MUST_CHECK int buf_append_str(struct buf *buf, const char *text);
MUST_CHECK int buf_append_char(struct buf *buf, char c);
MUST_CHECK int buf_append_u64(struct buf *buf, uint64_t value); /* decimal */
MUST_CHECK int buf_append_format(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

void buf_consume(struct buf *buf, size_t n);

/* The bytes with a NUL behind them, which is not counted. NULL for lack of memory. */
MUST_CHECK const char *buf_c_str(struct buf *buf);

#define CLEANUP_BUF __attribute__((cleanup(buf_done)))
