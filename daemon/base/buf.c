/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"

void buf_done(struct buf *buf)
{
    mem_free(buf->storage);
    *buf = (struct buf){.max = buf->max};
}

void buf_clear(struct buf *buf)
{
    buf->start = 0;
    buf->len = 0;
}

static void compact(struct buf *buf)
{
    if (buf->start == 0)
        return;
    memmove(buf->storage, buf->storage + buf->start, buf->len);
    buf->start = 0;
}

int buf_reserve(struct buf *buf, size_t n)
{
    if (n > SIZE_MAX / 4 - buf->len || (buf->max && n > buf->max - buf->len))
        return fault(-EMSGSIZE);
    if (buf->start + buf->len + n <= buf->capacity)
        return 0;
    /* Moving down is worth it when it makes the room and moves no more than it frees. */
    if (buf->len + n <= buf->capacity && buf->start >= buf->len) {
        compact(buf);
        return 0;
    }

    size_t want = buf->start + buf->len + n;
    size_t capacity = want + want / 2 + 64;
    char *storage = mem_realloc(buf->storage, capacity);
    if (!storage)
        return fault(-ENOMEM);
    buf->storage = storage;
    buf->capacity = capacity;
    return 0;
}

char *buf_tail(struct buf *buf)
{
    return buf->storage + buf->start + buf->len;
}

void buf_commit(struct buf *buf, size_t n)
{
    INVARIANT(buf->start + buf->len + n <= buf->capacity);
    buf->len += n;
}

int buf_append_slowly(struct buf *buf, struct span bytes)
{
    int r = buf_reserve(buf, bytes.len);
    if (r < 0)
        return r;
    memcpy(buf_tail(buf), bytes.ptr, bytes.len);
    buf_commit(buf, bytes.len);
    return 0;
}

int buf_append_str(struct buf *buf, const char *text)
{
    return buf_append(buf, span_of(text));
}

int buf_append_char(struct buf *buf, char c)
{
    return buf_append(buf, (struct span){&c, 1});
}

int buf_append_u64(struct buf *buf, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return buf_append(buf, (struct span){digits + at, sizeof(digits) - at});
}

int buf_append_format(struct buf *buf, const char *fmt, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, fmt);
    int n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        return fault(-ENOMEM);
    int r = buf_append(buf, (struct span){text, (size_t)n});
    mem_free(text);
    return r;
}

void buf_consume(struct buf *buf, size_t n)
{
    INVARIANT(n <= buf->len);
    buf->start += n;
    buf->len -= n;
    if (buf->len == 0)
        buf->start = 0;
}

const char *buf_c_str(struct buf *buf)
{
    if (buf->start + buf->len + 1 > buf->capacity) {
        size_t max = buf->max;

        buf->max = 0; /* the NUL is ours, not the peer's */
        int r = buf_reserve(buf, 1);
        buf->max = max;
        if (r < 0)
            return NULL;
    }
    *buf_tail(buf) = '\0';
    return buf->storage + buf->start;
}
