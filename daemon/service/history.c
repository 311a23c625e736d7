/* SPDX-License-Identifier: MIT */
#include "service/history.h"

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/request.h"
#include "service/mask.h"

#define ALIGNED(n) (((n) + 7) & ~(size_t)7)

/* Records lie in the order they were made, around the block: from .first, .count of them, up to
 * .end. */
struct history {
    uint32_t uid;
    uint32_t first;
    uint32_t end;
    uint32_t count;
    uint64_t used; /* histories->uses at that time */
    _Alignas(8) char block[HISTORY_BYTES];
};

/* ---- the block -----------------------------------------------------------------------------
 */

static struct record *record_at(struct history *history, uint32_t at)
{
    return (struct record *)(void *)(history->block + at);
}

/* Nobody's any more: what goes on makes another at its end. */
static void disown(struct record *record)
{
    if (record->is_gap || !record->holder)
        return;
    *record->holder = NULL;
    record->holder = NULL;
}

static void forget_first(struct history *history)
{
    struct record *first = record_at(history, history->first);

    disown(first);
    history->first += first->size;
    history->count--;
    if (history->first == HISTORY_BYTES)
        history->first = 0;
}

/* What is left behind .end is one record that says nothing. */
static void close_gap(struct history *history)
{
    if (history->end < HISTORY_BYTES) {
        struct record *gap = record_at(history, history->end);

        gap->size = HISTORY_BYTES - history->end;
        gap->is_gap = true;
        history->count++;
    }
    history->end = 0;
}

/* @size: a multiple of 8, far less than the block. */
static struct record *take_place(struct history *history, uint32_t size)
{
    for (;;) {
        if (history->count == 0)
            history->first = history->end = 0;
        bool is_straight = history->count == 0 || history->first < history->end;
        uint32_t room = (is_straight ? HISTORY_BYTES : history->first) - history->end;

        if (room >= size)
            break;
        if (is_straight)
            close_gap(history);
        else
            forget_first(history);
    }
    struct record *record = record_at(history, history->end);
    history->end += size;
    history->count++;
    return record;
}

/* ---- a record ------------------------------------------------------------------------------
 */

static uint32_t lines_of(const struct headers *headers)
{
    return headers->count < RECORD_LINES_MAX ? headers->count : RECORD_LINES_MAX;
}

static size_t text_of(const struct headers *headers)
{
    return headers->live_bytes < RECORD_TEXT_MAX ? headers->live_bytes : RECORD_TEXT_MAX;
}

static struct span put_text(char **at, struct span text, size_t max)
{
    struct span copy = {*at, text.len < max ? text.len : max};

    if (copy.len > 0)
        memcpy(*at, text.ptr, copy.len);
    *at += copy.len;
    return copy;
}

/* All in one piece: as they were added, one after the other. */
static void
put_whole(struct record *record, const struct headers *headers, uint32_t at, char **to)
{
    uint32_t base = (uint32_t)(*to - record->text);

    if (headers->count == 0)
        return;
    memcpy(record->slots + at, headers->slots, headers->count * sizeof(*headers->slots));
    memcpy(*to, headers->arena, headers->arena_len);
    *to += headers->arena_len;
    for (uint32_t i = at; i < at + headers->count; i++) {
        record->slots[i].name_at += base;
        record->slots[i].value_at += base;
    }
}

/* Return: how many fitted. */
static uint32_t
put_each(struct record *record, const struct headers *headers, uint32_t at, char **to)
{
    const char *end = *to + text_of(headers);
    uint32_t n = 0;

    for (; n < lines_of(headers); n++) {
        struct header header = headers_at(headers, n);
        struct header_slot *slot = &record->slots[at + n];

        if (header.name.len + header.value.len > (size_t)(end - *to))
            break;
        slot->name_at = (uint32_t)(*to - record->text);
        slot->name_len = (uint32_t)put_text(to, header.name, SIZE_MAX).len;
        slot->value_at = (uint32_t)(*to - record->text);
        slot->value_len = (uint32_t)put_text(to, header.value, SIZE_MAX).len;
    }
    record->n_left_out += headers->count - n;
    return n;
}

/* Return: how many lines are in the record now, secrets hidden. */
static uint32_t
put_lines(struct record *record, const struct headers *headers, uint32_t at, char **to)
{
    bool fits = headers->count <= RECORD_LINES_MAX && headers->arena_len <= RECORD_TEXT_MAX &&
                headers->arena_len == headers->live_bytes;
    uint32_t n = headers->count;

    if (fits)
        put_whole(record, headers, at, to);
    else
        n = put_each(record, headers, at, to);
    for (uint32_t i = at; i < at + n; i++) {
        struct header_slot *slot = &record->slots[i];

        slot->value_len =
            (uint32_t)mask_field((struct span){record->text + slot->name_at, slot->name_len},
                                 record->text + slot->value_at, slot->value_len);
    }
    return n;
}

static size_t size_of_record(const struct record_source *source)
{
    const struct request_head *head = source->head;
    size_t size = sizeof(struct record) + RECORD_URL_MAX + RECORD_WORD_MAX;

    if (source->url.len < RECORD_URL_MAX)
        size -= RECORD_URL_MAX - source->url.len;
    if (source->program.len < RECORD_WORD_MAX)
        size -= RECORD_WORD_MAX - source->program.len;
    if (!head)
        return ALIGNED(size);
    const struct exchange_info *info = head->exchange;
    struct span words[] = {head->reason, head->proxy, info->remote_address, info->tls_version,
                           info->tls_cipher};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        size += span_take(words[i], RECORD_WORD_MAX).len;
    size +=
        (lines_of(head->sent) + (size_t)lines_of(head->headers)) * sizeof(struct header_slot);
    return ALIGNED(size + text_of(head->sent) + text_of(head->headers));
}

static void put_head(struct record *record, const struct request_head *head, char **to)
{
    const struct exchange_info *info = head->exchange;

    record->has_head = true;
    record->status = head->status;
    record->http_version = head->http_version;
    record->redirects = head->redirects;
    record->from_cache = head->from_cache != REQUEST_FROM_NETWORK;
    record->connection_id = info->connection_id;
    record->reused = info->reused;
    record->tls_resumed = info->tls_resumed;
    record->remote_port = info->remote_port;
    record->reason = put_text(to, head->reason, RECORD_WORD_MAX);
    record->proxy = put_text(to, head->proxy, RECORD_WORD_MAX);
    record->address = put_text(to, info->remote_address, RECORD_WORD_MAX);
    record->tls_version = put_text(to, info->tls_version, RECORD_WORD_MAX);
    record->tls_cipher = put_text(to, info->tls_cipher, RECORD_WORD_MAX);
    record->n_sent = put_lines(record, head->sent, 0, to);
    record->n_received = put_lines(record, head->headers, record->n_sent, to);
}

static void fill(struct record *record, const struct record_source *source, size_t size)
{
    const struct request_head *head = source->head;
    size_t slots = head ? lines_of(head->sent) + (size_t)lines_of(head->headers) : 0;
    char *to = (char *)(record + 1) + slots * sizeof(struct header_slot);

    *record = (struct record){
        .size = (uint32_t)size,
        .holder = source->holder,
        .id = source->id,
        .client_id = source->client_id,
        .begun_us = source->begun_us,
        .partition = *source->partition,
        .slots = (struct header_slot *)(void *)(record + 1),
        .text = to,
    };
    memcpy(record->method, source->method.ptr,
           source->method.len < METHOD_BYTES_MAX ? source->method.len : METHOD_BYTES_MAX);
    record->url = put_text(&to, source->url, RECORD_URL_MAX);
    record->url.len = mask_url((char *)(uintptr_t)record->url.ptr, record->url.len);
    record->program = put_text(&to, source->program, RECORD_WORD_MAX);
    if (head)
        put_head(record, head, &to);
}

struct record *record_make(const struct record_source *source, void *block, size_t size)
{
    struct record *record = block;
    size_t wanted = size_of_record(source);

    if (wanted > size)
        return NULL;
    fill(record, source, wanted);
    record->holder = NULL;
    return record;
}

void record_end(struct record *record,
                const struct failure *why,
                const struct request_totals *totals,
                const struct request_timing *timing)
{
    record->is_over = true;
    record->body_bytes = totals->body_bytes;
    record->wire_bytes = totals->wire_bytes;
    record->upload_bytes = totals->upload_bytes;
    record->header_bytes = totals->header_bytes;
    record->request_bytes = totals->request_bytes;
    record->timing = *timing;
    if (why)
        record->failure = *why;
    disown(record);
}

/* ---- whose ---------------------------------------------------------------------------------
 */

static struct history *history_free(struct history *history)
{
    while (history && history->count > 0)
        forget_first(history);
    return mem_free(history);
}

void histories_done(struct histories *histories)
{
    for (size_t i = 0; i < HISTORY_USERS; i++)
        histories->at[i] = history_free(histories->at[i]);
}

uint64_t history_bytes(const struct histories *histories, uint32_t uid)
{
    for (size_t i = 0; i < HISTORY_USERS; i++) {
        if (histories->at[i] && histories->at[i]->uid == uid)
            return sizeof(struct history);
    }
    return 0;
}

/* The first that is free, else the one used longest ago. */
static size_t find_place(const struct histories *histories)
{
    size_t best = 0;

    for (size_t i = 0; i < HISTORY_USERS; i++) {
        if (!histories->at[i])
            return i;
        if (histories->at[i]->used < histories->at[best]->used)
            best = i;
    }
    return best;
}

static struct history *history_of(struct histories *histories, uint32_t uid)
{
    for (size_t i = 0; i < HISTORY_USERS && histories->at[i]; i++) {
        if (histories->at[i]->uid == uid)
            return histories->at[i];
    }
    struct history *history = mem_alloc(sizeof(*history)); /* its pages come as they are used */
    if (!history)
        return NULL;
    history->uid = uid;
    history->first = history->end = history->count = 0;
    size_t place = find_place(histories);
    histories->at[place] = history_free(histories->at[place]);
    histories->at[place] = history;
    return history;
}

struct record *history_add(struct histories *histories, const struct record_source *source)
{
    struct history *history = history_of(histories, source->partition->uid);
    size_t size = size_of_record(source);

    if (!history)
        return NULL;
    _Static_assert(
        sizeof(struct record) + RECORD_URL_MAX + 8 * RECORD_WORD_MAX +
                2 * (RECORD_TEXT_MAX + RECORD_LINES_MAX * sizeof(struct header_slot)) <
            HISTORY_BYTES / 4,
        "a record is far less than the block");
    history->used = ++histories->uses;
    struct record *record = take_place(history, (uint32_t)size);
    fill(record, source, size);
    if (record->holder)
        *record->holder = record;
    return record;
}

static const struct record *find_in(struct history *history, uint64_t id)
{
    uint32_t at = history->first;

    for (uint32_t i = 0; i < history->count; i++) {
        const struct record *record = record_at(history, at);

        if (!record->is_gap && record->id == id)
            return record;
        at += record->size;
        if (at == HISTORY_BYTES)
            at = 0;
    }
    return NULL;
}

const struct record *
history_find(const struct histories *histories, uint32_t uid, bool any_uid, uint64_t id)
{
    for (size_t i = 0; i < HISTORY_USERS && histories->at[i]; i++) {
        const struct record *found =
            any_uid || histories->at[i]->uid == uid ? find_in(histories->at[i], id) : NULL;

        if (found)
            return found;
    }
    return NULL;
}
