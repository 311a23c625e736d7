/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Field lines in the order they came (RFC 9110 §5): names compare without case, repeats are
 * kept apart. All bytes of a list lie in one arena, so a head costs two allocations, and
 * every operation is one pass at most, however often a name repeats.
 *
 * Nothing is checked on the way in; the grammar has its own functions below.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"

/* Of one head: 256 KiB of names and values, and field lines. */
#define HEADERS_BYTES_MAX 262144
#define HEADERS_COUNT_MAX 1000

/* Borrowed from the list; any change of the list ends it. */
struct header {
    struct span name;
    struct span value;
};

/* Offsets, not pointers: the arena moves when it grows. */
/* How much of an answer is read before its body; more than that fails. */
struct head_limits {
    uint32_t bytes_max;      /* all heads of an exchange, 1xx included: CVE-2023-38039 */
    uint32_t line_bytes_max; /* one field line or status line, with its folds */
    uint32_t fields_max;     /* field lines in one head: CVE-2025-58186 */
};

#define HEAD_LINE_BYTES_MAX 65536
#define HEAD_LIMITS_DEFAULT                                                                    \
    ((struct head_limits){HEADERS_BYTES_MAX, HEAD_LINE_BYTES_MAX, HEADERS_COUNT_MAX})

struct header_slot {
    uint32_t name_at;
    uint32_t name_len;
    uint32_t value_at;
    uint32_t value_len;
};

struct headers {
    char *arena;
    uint32_t arena_len; /* written; with what removed lines left behind */
    uint32_t arena_capacity;
    uint32_t live_bytes; /* names and values of the lines there are */
    uint32_t count;
    uint32_t capacity;
    uint32_t count_max;
    uint32_t bytes_max;
    struct header_slot *slots;
};

/**
 * headers_init() - an empty list; allocates nothing
 * @bytes_max: most bytes of all names and values together, at most 1 GiB
 * @count_max: most field lines
 */
void headers_init(struct headers *headers, uint32_t bytes_max, uint32_t count_max);
void headers_done(struct headers *headers);  /* empty; usable again */
void headers_clear(struct headers *headers); /* empty, keeps the storage */

/**
 * headers_reserve() - an empty list gets just so much storage, which may still grow
 *
 * For lists that stay; a list that has storage keeps it.
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int headers_reserve(struct headers *headers, uint32_t bytes, uint32_t count);

/**
 * headers_add() - append a field line
 * @name, @value: copied; may borrow from @headers itself
 *
 * Return: 0, -ENOMEM, or -EMSGSIZE when a limit would be passed. Nothing changes on error.
 */
MUST_CHECK int headers_add(struct headers *headers, struct span name, struct span value);

/**
 * headers_set() - leave exactly one line of that name
 *
 * The first one keeps its place and its spelling and gets the value, later ones go; without any
 * it is appended. Return: as headers_add().
 */
MUST_CHECK int headers_set(struct headers *headers, struct span name, struct span value);

/* Return: how many lines went. */
size_t headers_remove(struct headers *headers, struct span name);

/* Appends every line of @from. Return: as headers_add(); on error a part may have been added.
 */
MUST_CHECK int headers_add_all(struct headers *headers, const struct headers *from);

/* The first value of that name. *ret_value is written only when there is one. */
bool headers_find(const struct headers *headers, struct span name, struct span *ret_value);

/**
 * headers_find_next() - walk the values of one name
 * @cursor: 0 before the first call
 *
 * Return: whether there was one more.
 */
bool headers_find_next(const struct headers *headers,
                       struct span name,
                       size_t *cursor,
                       struct span *ret_value);

static inline bool headers_has(const struct headers *headers, struct span name)
{
    struct span value;

    return headers_find(headers, name, &value);
}

static inline size_t headers_count(const struct headers *headers)
{
    return headers->count;
}

/* @index: less than headers_count(). */
struct header headers_at(const struct headers *headers, size_t index);

/**
 * headers_join() - append all values of a name, ", " between them (RFC 9110 §5.3)
 *
 * Never for Set-Cookie, whose values hold commas.
 * Return: how many values there were, or -ENOMEM / -EMSGSIZE (@out unchanged).
 */
MUST_CHECK int headers_join(const struct headers *headers, struct span name, struct buf *out);

/* token of RFC 9110 §5.6.2: at least one tchar. */
bool header_name_is_token(struct span name);

/* Neither CR, LF nor NUL; other bytes are the server's to judge (Fetch "header value"). */
bool header_value_is_valid(struct span value);

/* Fields that belong to the engine because they say how the message is framed, where it goes
 * or how the connection is used: a caller who sets one gets an error. */
bool header_is_forbidden_for_caller(struct span name);
