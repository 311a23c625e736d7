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

/* One list on its way into a record: slots here, text there. */
struct lines {
    struct header_slot *slots;
    char *text;
    uint32_t n;
    uint32_t text_len;
};

/* All in one piece: as they were added, one after the other. */
static void put_whole(struct lines *lines, const struct headers *headers)
{
    memcpy(lines->slots, headers->slots, headers->count * sizeof(*headers->slots));
    memcpy(lines->text, headers->arena, headers->arena_len);
    lines->n = headers->count;
    lines->text_len = headers->arena_len;
}

static uint32_t put_bytes(struct lines *lines, struct span bytes)
{
    uint32_t at = lines->text_len;

    if (bytes.len > 0)
        memcpy(lines->text + at, bytes.ptr, bytes.len);
    lines->text_len += (uint32_t)bytes.len;
    return at;
}

static void put_each(struct lines *lines, const struct headers *headers)
{
    size_t room = text_of(headers);

    for (uint32_t i = 0; i < lines_of(headers); i++) {
        struct header header = headers_at(headers, i);

        if (header.name.len + header.value.len > room - lines->text_len)
            return;
        lines->slots[lines->n++] = (struct header_slot){
            .name_at = put_bytes(lines, header.name),
            .name_len = (uint32_t)header.name.len,
            .value_at = put_bytes(lines, header.value),
            .value_len = (uint32_t)header.value.len,
        };
    }
}

/* Secrets hidden. */
static struct lines
put_lines(const struct headers *headers, struct header_slot *slots, char *text)
{
    struct lines lines = {.slots = slots, .text = text};

    if (headers->count == 0)
        return lines;
    if (headers->count <= RECORD_LINES_MAX && headers->arena_len <= RECORD_TEXT_MAX &&
        headers->arena_len == headers->live_bytes)
        put_whole(&lines, headers);
    else
        put_each(&lines, headers);
    for (struct header_slot *slot = slots; slot < slots + lines.n; slot++) {
        const char *name = text + slot->name_at;

        if (mask_may_concern(name, slot->name_len))
            slot->value_len = (uint32_t)mask_field((struct span){name, slot->name_len},
                                                   text + slot->value_at, slot->value_len);
    }
    return lines;
}

struct header record_line(const struct record *record, uint32_t i)
{
    const struct header_slot *slot = &record->slots[i];
    const char *text = i < record->n_sent ? record->sent : record->received;

    return (struct header){{text + slot->name_at, slot->name_len},
                           {text + slot->value_at, slot->value_len}};
}

static size_t cut(size_t len)
{
    return len < RECORD_WORD_MAX ? len : RECORD_WORD_MAX;
}

/* What the words of a head take up; together they are hardly ever as long as one may be. */
static size_t words_of(const struct request_head *head)
{
    const struct exchange_info *info = head->exchange;
    size_t size = head->reason.len + head->proxy.len + info->remote_address.len +
                  info->tls_version.len + info->tls_cipher.len;

    if (size <= RECORD_WORD_MAX)
        return size;
    return cut(head->reason.len) + cut(head->proxy.len) + cut(info->remote_address.len) +
           cut(info->tls_version.len) + cut(info->tls_cipher.len);
}

static size_t size_of_record(const struct record_source *source)
{
    const struct request_head *head = source->head;
    size_t size = sizeof(struct record) + span_take(url_href(source->url), RECORD_URL_MAX).len +
                  cut(source->program.len) + cut(source->method.len);

    if (!head)
        return ALIGNED(size);
    size += words_of(head);
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
    record->early = (uint8_t)head->early;
    record->tls_resumed = info->tls_resumed;
    record->remote_port = info->remote_port;
    record->reason = put_text(to, head->reason, RECORD_WORD_MAX);
    record->proxy = put_text(to, head->proxy, RECORD_WORD_MAX);
    record->address = put_text(to, info->remote_address, RECORD_WORD_MAX);
    record->tls_version = put_text(to, info->tls_version, RECORD_WORD_MAX);
    record->tls_cipher = put_text(to, info->tls_cipher, RECORD_WORD_MAX);

    struct lines sent = put_lines(head->sent, record->slots, *to);
    struct lines received =
        put_lines(head->headers, record->slots + sent.n, sent.text + sent.text_len);
    record->sent = sent.text;
    record->n_sent = sent.n;
    record->received = received.text;
    record->n_received = received.n;
    record->n_left_out = head->sent->count + head->headers->count - sent.n - received.n;
}

/* Few have anything to hide. */
static struct span put_url(char **to, const struct url *url)
{
    struct span copy = put_text(to, url_href(url), RECORD_URL_MAX);

    if (url->has_query || url->has_fragment || url_has_credentials(url))
        copy.len = mask_url((char *)(uintptr_t)copy.ptr, copy.len);
    return copy;
}

static void put_no_head(struct record *record)
{
    record->has_head = record->reused = record->tls_resumed = record->from_cache = false;
    record->n_sent = record->n_received = record->n_left_out = 0;
    record->early = 0;
    record->status = record->http_version = record->redirects = 0;
    record->connection_id = record->remote_port = 0;
    record->reason = record->address = record->proxy = (struct span){0};
    record->tls_version = record->tls_cipher = (struct span){0};
}

/* Field by field: it is done for every request, and much of it is for the end. */
static void fill(struct record *record, const struct record_source *source, size_t size)
{
    const struct request_head *head = source->head;
    size_t slots = head ? lines_of(head->sent) + (size_t)lines_of(head->headers) : 0;
    char *to = (char *)(record + 1) + slots * sizeof(struct header_slot);

    record->size = (uint32_t)size;
    record->is_gap = record->is_over = false;
    record->holder = source->holder;
    record->id = source->id;
    record->client_id = source->client_id;
    record->begun_us = source->begun_us;
    record->hop_us = source->hop_us;
    record->is_hop = source->is_hop;
    record->partition = *source->partition;
    record->slots = (struct header_slot *)(void *)(record + 1);
    record->failure.kind = FAILURE_NONE;
    record->url = put_url(&to, source->url);
    record->method = put_text(&to, source->method, RECORD_WORD_MAX);
    record->program = put_text(&to, source->program, RECORD_WORD_MAX);
    if (head)
        put_head(record, head, &to);
    else
        put_no_head(record);
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

void history_forget(struct histories *histories, uint32_t uid)
{
    for (size_t i = 0; i < HISTORY_USERS && histories->at[i]; i++) {
        struct history *history = histories->at[i];

        if (history->uid != uid)
            continue;
        while (history->count > 0)
            forget_first(history);
        explicit_bzero(history->block, sizeof(history->block));
    }
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

/* The first of this id behind @after (NULL: of all), and with @is_whole one that is no hop. */
static const struct record *
find_in(struct history *history, uint64_t id, const struct record *after, bool is_whole)
{
    uint32_t at = history->first;
    bool is_behind = !after;

    for (uint32_t i = 0; i < history->count; i++) {
        const struct record *record = record_at(history, at);

        if (is_behind && !record->is_gap && record->id == id && !(is_whole && record->is_hop))
            return record;
        is_behind |= record == after;
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
        const struct record *found = any_uid || histories->at[i]->uid == uid
                                         ? find_in(histories->at[i], id, NULL, true)
                                         : NULL;

        if (found)
            return found;
    }
    return NULL;
}

const struct record *history_next_hop(const struct histories *histories,
                                      uint32_t uid,
                                      bool any_uid,
                                      uint64_t id,
                                      const struct record *before)
{
    for (size_t i = 0; i < HISTORY_USERS && histories->at[i]; i++) {
        const struct record *found = any_uid || histories->at[i]->uid == uid
                                         ? find_in(histories->at[i], id, before, false)
                                         : NULL;

        if (found)
            return found;
    }
    return NULL;
}
