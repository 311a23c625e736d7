/* SPDX-License-Identifier: MIT */
#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CAPACITY_MIN 512

int xhr_bytes_reserve(struct xhr_bytes *bytes, size_t n)
{
    /* Moving pays only if it frees more than it moves: else many small steps are quadratic. */
    if (bytes->start > 0 && bytes->start >= bytes->len) {
        memmove(bytes->storage, xhr_bytes_at(bytes), bytes->len);
        bytes->start = 0;
    }
    size_t used = bytes->start + bytes->len;
    if (bytes->capacity - used >= n)
        return 0;
    if (n > SIZE_MAX / 2 - used)
        return -ENOMEM;
    size_t capacity = bytes->capacity ? bytes->capacity : CAPACITY_MIN;
    while (capacity < used + n)
        capacity *= 2;
    uint8_t *storage = realloc(bytes->storage, capacity);
    if (!storage)
        return -ENOMEM;
    bytes->storage = storage;
    bytes->capacity = capacity;
    return 0;
}

int xhr_bytes_append(struct xhr_bytes *bytes, const void *from, size_t n)
{
    int r = xhr_bytes_reserve(bytes, n);

    if (r < 0 || n == 0)
        return r;
    memcpy(xhr_bytes_end(bytes), from, n);
    bytes->len += n;
    return 0;
}

void xhr_bytes_consume(struct xhr_bytes *bytes, size_t n)
{
    bytes->len -= n;
    bytes->start = bytes->len > 0 ? bytes->start + n : 0;
}

void xhr_bytes_done(struct xhr_bytes *bytes)
{
    free(bytes->storage);
    *bytes = (struct xhr_bytes){0};
}

char *xhr_dup(const void *from, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        return NULL;
    if (len > 0)
        memcpy(copy, from, len);
    copy[len] = '\0';
    return copy;
}

int xhr_dup_string(const char *text, char **ret)
{
    char *copy = NULL;

    if (text) {
        copy = xhr_dup(text, strlen(text));
        if (!copy)
            return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

uint64_t xhr_now_us(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        return 0;
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}
