/* SPDX-License-Identifier: MIT */
#include "http/headers.h"

#include <errno.h>

#include "base/ascii.h"
#include "base/fault.h"
#include "base/mem.h"

#define ARENA_MAX      (UINT32_C(1) << 30) /* offsets stay far from wrapping */
#define ARENA_FIRST    1024
#define SLOTS_FIRST    16
#define SLOTS_MAX      (UINT32_C(1) << 24)
#define FORBIDDEN_NAME 24 /* bytes; the longest of the list below is shorter */

void headers_init(struct headers *headers, uint32_t bytes_max, uint32_t count_max)
{
    *headers = (struct headers){
        .bytes_max = bytes_max < ARENA_MAX ? bytes_max : ARENA_MAX,
        .count_max = count_max < SLOTS_MAX ? count_max : SLOTS_MAX,
    };
}

void headers_done(struct headers *headers)
{
    mem_free(headers->arena);
    mem_free(headers->slots);
    headers_init(headers, headers->bytes_max, headers->count_max);
}

void headers_clear(struct headers *headers)
{
    headers->arena_len = 0;
    headers->live_bytes = 0;
    headers->count = 0;
}

static struct span slot_name(const struct headers *headers, const struct header_slot *slot)
{
    return (struct span){headers->arena + slot->name_at, slot->name_len};
}

static struct span slot_value(const struct headers *headers, const struct header_slot *slot)
{
    return (struct span){headers->arena + slot->value_at, slot->value_len};
}

static uint32_t arena_put(struct headers *headers, struct span bytes)
{
    uint32_t at = headers->arena_len;

    if (bytes.len > 0)
        memmove(headers->arena + at, bytes.ptr, bytes.len);
    headers->arena_len += (uint32_t)bytes.len;
    return at;
}

/* Copies what lives to the front of a new arena; the old one is the caller's to free. */
static void arena_move(struct headers *headers, char *arena)
{
    struct headers from = *headers;

    headers->arena = arena;
    headers->arena_len = 0;
    for (uint32_t i = 0; i < headers->count; i++) {
        struct header_slot *slot = &headers->slots[i];
        struct span name = slot_name(&from, slot);
        struct span value = slot_value(&from, slot);

        slot->name_at = arena_put(headers, name);
        slot->value_at = arena_put(headers, value);
    }
}

/*
 * Makes room for @n more bytes. What is dead is left behind, and the new arena is twice what
 * lives, so that a move is paid for by the bytes written since the last one. *ret_old is freed
 * by the caller after it has copied its input, which may lie in there.
 */
static int arena_reserve(struct headers *headers, size_t n, char **ret_old)
{
    if (n > headers->bytes_max - headers->live_bytes)
        return fault(-EMSGSIZE);
    if (headers->arena && n <= headers->arena_capacity - headers->arena_len)
        return 0;

    size_t capacity = ((size_t)headers->live_bytes + n) * 2;
    if (capacity < ARENA_FIRST)
        capacity = ARENA_FIRST;
    char *arena = mem_alloc(capacity);
    if (!arena)
        return fault(-ENOMEM);
    *ret_old = headers->arena;
    arena_move(headers, arena);
    headers->arena_capacity = (uint32_t)capacity;
    return 0;
}

static int slots_reserve(struct headers *headers)
{
    if (headers->count >= headers->count_max)
        return fault(-EMSGSIZE);
    if (headers->count < headers->capacity)
        return 0;

    uint32_t capacity = headers->capacity ? headers->capacity * 2 : SLOTS_FIRST;
    struct header_slot *slots = mem_realloc(headers->slots, capacity * sizeof(*slots));
    if (!slots)
        return fault(-ENOMEM);
    headers->slots = slots;
    headers->capacity = capacity;
    return 0;
}

int headers_reserve(struct headers *headers, uint32_t bytes, uint32_t count)
{
    if (headers->arena || bytes == 0 || bytes > ARENA_MAX || count == 0 || count > SLOTS_MAX)
        return 0; /* the limits are headers_add()'s to see */
    char *arena = mem_alloc(bytes);
    struct header_slot *slots = mem_realloc(headers->slots, count * sizeof(*slots));

    if (slots) {
        headers->slots = slots;
        headers->capacity = count;
    }
    if (!arena || !slots) {
        mem_free(arena);
        return fault(-ENOMEM);
    }
    headers->arena = arena;
    headers->arena_capacity = bytes;
    return 0;
}

int headers_add(struct headers *headers, struct span name, struct span value)
{
    CLEANUP_MEM char *old = NULL;

    if (name.len > headers->bytes_max || value.len > headers->bytes_max)
        return fault(-EMSGSIZE);
    int r = slots_reserve(headers);
    if (r < 0)
        return r;
    r = arena_reserve(headers, name.len + value.len, &old);
    if (r < 0)
        return r;

    struct header_slot *slot = &headers->slots[headers->count++];
    slot->name_len = (uint32_t)name.len;
    slot->name_at = arena_put(headers, name);
    slot->value_len = (uint32_t)value.len;
    slot->value_at = arena_put(headers, value);
    headers->live_bytes += slot->name_len + slot->value_len;
    return 0;
}

/* Removes lines of that name from @first on, in one pass. */
static size_t remove_from(struct headers *headers, struct span name, uint32_t first)
{
    uint32_t kept = first;

    for (uint32_t i = first; i < headers->count; i++) {
        struct header_slot slot = headers->slots[i];

        if (span_ieq(slot_name(headers, &slot), name))
            headers->live_bytes -= slot.name_len + slot.value_len;
        else
            headers->slots[kept++] = slot;
    }

    size_t removed = headers->count - kept;
    headers->count = kept;
    if (kept == 0)
        headers->arena_len = 0;
    return removed;
}

/* Gives a line another value: over the old one if it fits there. */
static int replace_value(struct headers *headers, struct header_slot *slot, struct span value)
{
    CLEANUP_MEM char *old = NULL;

    if (value.len <= slot->value_len) {
        if (value.len > 0)
            memmove(headers->arena + slot->value_at, value.ptr, value.len);
    } else {
        uint32_t live_bytes = headers->live_bytes;

        if (value.len - slot->value_len > headers->bytes_max - live_bytes)
            return fault(-EMSGSIZE);
        /* While both are there the limit may be passed: it counts what stays. */
        uint32_t bytes_max = headers->bytes_max;
        headers->bytes_max = ARENA_MAX;
        int r = arena_reserve(headers, value.len, &old);
        headers->bytes_max = bytes_max;
        if (r < 0)
            return r;
        slot->value_at = arena_put(headers, value);
    }
    headers->live_bytes += (uint32_t)value.len - slot->value_len;
    slot->value_len = (uint32_t)value.len;
    return 0;
}

int headers_set(struct headers *headers, struct span name, struct span value)
{
    for (uint32_t i = 0; i < headers->count; i++) {
        struct header_slot *slot = &headers->slots[i];

        if (!span_ieq(slot_name(headers, slot), name))
            continue;
        /* @name may lie in the arena that replace_value() leaves behind. */
        int r = replace_value(headers, slot, value);
        if (r < 0)
            return r;
        (void)remove_from(headers, slot_name(headers, slot), i + 1);
        return 0;
    }
    return headers_add(headers, name, value);
}

size_t headers_remove(struct headers *headers, struct span name)
{
    return remove_from(headers, name, 0);
}

int headers_add_all(struct headers *headers, const struct headers *from)
{
    size_t count = headers_count(from);

    for (size_t i = 0; i < count; i++) {
        struct header line = headers_at(from, i);
        int r = headers_add(headers, line.name, line.value);

        if (r < 0)
            return r;
    }
    return 0;
}

bool headers_find_next(const struct headers *headers,
                       struct span name,
                       size_t *cursor,
                       struct span *ret_value)
{
    while (*cursor < headers->count) {
        const struct header_slot *slot = &headers->slots[(*cursor)++];

        if (span_ieq(slot_name(headers, slot), name)) {
            *ret_value = slot_value(headers, slot);
            return true;
        }
    }
    return false;
}

bool headers_find(const struct headers *headers, struct span name, struct span *ret_value)
{
    size_t cursor = 0;

    return headers_find_next(headers, name, &cursor, ret_value);
}

struct header headers_at(const struct headers *headers, size_t index)
{
    INVARIANT(index < headers->count);
    return (struct header){slot_name(headers, &headers->slots[index]),
                           slot_value(headers, &headers->slots[index])};
}

int headers_join(const struct headers *headers, struct span name, struct buf *out)
{
    struct span value;
    size_t bytes = 0;
    int count = 0;

    for (size_t cursor = 0; headers_find_next(headers, name, &cursor, &value); count++)
        bytes += value.len + 2;
    if (count == 0)
        return 0;
    int r = buf_reserve(out, bytes - 2);
    if (r < 0)
        return r;

    bool is_first = true;
    for (size_t cursor = 0; headers_find_next(headers, name, &cursor, &value);) {
        if (!is_first)
            r = buf_append(out, SPAN_LIT(", "));
        INVARIANT(r == 0);
        r = buf_append(out, value);
        INVARIANT(r == 0);
        is_first = false;
    }
    return count;
}

bool header_name_is_token(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!ascii_is_tchar(name.ptr[i]))
            return false;
    }
    return name.len > 0;
}

bool header_value_is_valid(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\r' || c == '\n' || c == '\0')
            return false;
    }
    return true;
}

bool header_is_forbidden_for_caller(struct span name)
{
    /* RFC 9110 §7.6.1 and the framing fields of RFC 9112; Fetch's "forbidden request-header"
     * without those that only make sense in a browser. */
    static const char names[][FORBIDDEN_NAME] = {
        "Connection",
        "Content-Length",
        "Expect",
        "Host",
        "HTTP2-Settings",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_ieq(name, span_of(names[i])))
            return true;
    }
    return false;
}
