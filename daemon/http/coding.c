/* SPDX-License-Identifier: MIT */
#include "http/coding.h"

#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/coding_stage_priv.h"
#include "http/field.h"

#define LINK_BYTES ((size_t)16 * 1024) /* between two stages */

/* What one stage has given and the next has not taken yet. Refilled only when empty. */
struct link_buffer {
    struct span unread;
    char *storage; /* LINK_BYTES; part of the decoder's own block */
};

struct decoder {
    int error;
    size_t count;
    struct stage stages[DECODER_CODINGS_MAX];          /* [0] takes the body as it came */
    struct link_buffer links[DECODER_CODINGS_MAX - 1]; /* [i] lies between stages i and i + 1 */
    char storage[];
};

static const struct {
    struct span name;
    enum coding coding;
} codings[] = {
    {{"gzip", 4}, CODING_GZIP},       {{"x-gzip", 6}, CODING_GZIP}, /* RFC 9110 §8.4.1.3 */
    {{"deflate", 7}, CODING_DEFLATE}, {{"br", 2}, CODING_BR},       {{"zstd", 4}, CODING_ZSTD},
};

struct decoder_options decoder_options_default(void)
{
    return (struct decoder_options){
        .codings_max = DECODER_CODINGS_MAX,
        .window_bytes_max = (size_t)8 * 1024 * 1024,
        .idle_bytes_max = (size_t)1024 * 1024,
    };
}

struct span coding_accept_value(void)
{
    return SPAN_LIT("gzip, br, zstd");
}

const char *decoder_outcome_text(int outcome)
{
    switch (outcome) {
    case DECODER_NEED_INPUT: return "needs more input";
    case DECODER_OUTPUT_FULL: return "needs more room";
    case DECODER_DONE: return "the body is whole";
    case DECODER_E_CORRUPT: return "the body is not what Content-Encoding says";
    case DECODER_E_LIMIT: return "the body's coding wants more memory or work than we give";
    case DECODER_E_TRUNCATED: return "the coded body ended early";
    default: return "internal error";
    }
}

static bool find_coding(struct span name, enum coding *ret)
{
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        if (span_ieq(name, codings[i].name)) {
            *ret = codings[i].coding;
            return true;
        }
    }
    return false;
}

/* In the order they were applied. Return: an enum decoder_new_outcome. */
static int parse_codings(struct span list,
                         size_t count_max,
                         enum coding ret[static DECODER_CODINGS_MAX],
                         size_t *ret_count)
{
    struct span name;
    size_t count = 0;

    while (field_list_next(&list, &name)) {
        enum coding coding;

        if (span_ieq(name, SPAN_LIT("identity")))
            continue;
        if (!find_coding(name, &coding))
            return DECODER_NEW_E_UNKNOWN;
        if (count == count_max || count == DECODER_CODINGS_MAX)
            return DECODER_NEW_E_LIMIT;
        ret[count++] = coding;
    }
    *ret_count = count;
    return count > 0 ? DECODER_NEW_OK : DECODER_NEW_IDENTITY;
}

int decoder_new(struct span content_encoding,
                const struct decoder_options *options,
                struct decoder **ret)
{
    CLEANUP(decoder_free) struct decoder *decoder = NULL;
    enum coding applied[DECODER_CODINGS_MAX];
    size_t count;

    int r = parse_codings(content_encoding, options->codings_max, applied, &count);
    if (r != DECODER_NEW_OK)
        return r;
    decoder = mem_alloc(sizeof(*decoder) + (count - 1) * LINK_BYTES);
    if (!decoder)
        return fault(-ENOMEM);

    *decoder = (struct decoder){.count = count};
    decoder->stages[0].is_first = true;
    for (size_t i = 0; i < count - 1; i++)
        decoder->links[i].storage = decoder->storage + i * LINK_BYTES;
    for (size_t i = 0; i < count; i++) {
        r = stage_init(&decoder->stages[i], applied[count - 1 - i], options);
        if (r < 0)
            return r;
    }
    *ret = TAKE(decoder);
    return DECODER_NEW_OK;
}

struct decoder *decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return NULL;
    for (size_t i = 0; i < decoder->count; i++)
        stage_done(&decoder->stages[i]);
    return mem_free(decoder);
}

/* What would be the same if nothing had moved. */
struct footprint {
    size_t unread;
    size_t room;
    enum stage_state state;
    bool may_hold_output;
};

static bool footprint_eq(struct footprint a, struct footprint b)
{
    return a.unread == b.unread && a.room == b.room && a.state == b.state &&
           a.may_hold_output == b.may_hold_output;
}

/* Steps stage @i. *moved is set when anything moved. */
static int step_stage(
    struct decoder *decoder, size_t i, struct span *input, struct room *room, bool *moved)
{
    struct stage *stage = &decoder->stages[i];
    struct span *from = i > 0 ? &decoder->links[i - 1].unread : input;
    struct footprint before = {from->len, room->len, stage->state, stage->may_hold_output};

    int r = stage_step(stage, from, room);
    struct footprint after = {from->len, room->len, stage->state, stage->may_hold_output};
    *moved = *moved || !footprint_eq(before, after);
    return r;
}

/* Into the link behind it, if that is empty. */
static int step_into_link(struct decoder *decoder, size_t i, struct span *input, bool *moved)
{
    struct link_buffer *link = &decoder->links[i];
    size_t room_before = link->unread.len > 0 ? 0 : LINK_BYTES;
    struct room room = {link->storage, room_before};

    int r = step_stage(decoder, i, input, &room, moved);
    if (room_before > 0)
        link->unread = (struct span){link->storage, room_before - room.len};
    return r;
}

/* Every stage once, the last one first: what lies there is taken before more is made. */
static int pump(struct decoder *decoder, struct span *input, struct room *room, bool *moved)
{
    int r = step_stage(decoder, decoder->count - 1, input, room, moved);

    for (size_t i = decoder->count - 1; i-- > 0 && r == 0 && room->len > 0;)
        r = step_into_link(decoder, i, input, moved);
    return r;
}

/* Whether input lies somewhere that could not be moved on, although there was room. */
static bool is_stuck(const struct decoder *decoder, struct span input)
{
    for (size_t i = 0; i < decoder->count - 1; i++) {
        if (decoder->links[i].unread.len > 0)
            return true;
    }
    return input.len > 0;
}

static int fail(struct decoder *decoder, int error)
{
    decoder->error = error;
    return error;
}

/* clang-tidy 14 does not see that the room's pointer is written through. */
int decoder_feed(struct decoder *decoder,
                 struct span *input,
                 char *out, /* NOLINT(readability-non-const-parameter) */
                 size_t out_size,
                 size_t *ret_written)
{
    struct room room = {.ptr = out, .len = out_size};
    bool moved = true;

    if (decoder->error)
        return decoder->error;
    while (moved && room.len > 0) {
        moved = false;
        int r = pump(decoder, input, &room, &moved);
        if (r != 0)
            return fail(decoder, r);
    }
    if (room.len > 0 && is_stuck(decoder, *input))
        return fail(decoder, DECODER_E_CORRUPT);

    *ret_written = out_size - room.len;
    if (room.len == 0)
        return DECODER_OUTPUT_FULL;
    return decoder->stages[decoder->count - 1].state == STAGE_DONE ? DECODER_DONE
                                                                   : DECODER_NEED_INPUT;
}

int decoder_finish(struct decoder *decoder)
{
    if (decoder->error)
        return decoder->error;
    for (size_t i = 0; i < decoder->count; i++) {
        if (!stage_is_whole(&decoder->stages[i]))
            return fail(decoder, DECODER_E_TRUNCATED);
    }
    return 0;
}
