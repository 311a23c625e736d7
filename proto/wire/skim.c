/* SPDX-License-Identifier: MIT */
#include "wire/skim.h"

#include "wire/frame.h"
#include "wire/reader_priv.h"

/* Members of ClientMessage (xhrd/v1/envelope.proto), a bit each; other fields are skipped. */
#define KINDS (0x1bfeu | 1u << 16 | 1u << 18)

enum want { WANT_FRAME = 0, WANT_TAG, WANT_NUMBER, WANT_LENGTH, WANT_REST, WANT_NOTHING };

/* What does not make sense is let go by with the rest of the frame. */
static void give_up(struct wire_skim *skim)
{
    skim->is_broken = true;
    skim->skip = skim->left[0];
    skim->depth = 0;
    skim->want = skim->skip > 0 ? WANT_REST : WANT_NOTHING;
}

static void pass(struct wire_skim *skim, uint64_t n)
{
    for (unsigned i = 0; i <= skim->depth; i++)
        skim->left[i] -= n;
}

/* A field is over. */
static void go_on(struct wire_skim *skim)
{
    if (skim->depth == 1 && skim->left[1] == 0)
        skim->depth = 0;
    skim->want = skim->left[skim->depth] > 0 ? WANT_TAG : WANT_NOTHING;
}

static void skip(struct wire_skim *skim, uint64_t n)
{
    skim->skip = n;
    if (n > skim->left[skim->depth])
        give_up(skim);
    else if (n > 0)
        skim->want = WANT_REST;
    else
        go_on(skim);
}

static void on_tag(struct wire_skim *skim)
{
    bool is_last = skim->left[skim->depth] == 0;

    skim->tag = (uint32_t)skim->value;
    if (skim->value > UINT32_MAX || skim->tag >> 3 == 0 || is_last) {
        give_up(skim);
        return;
    }
    switch (skim->tag & 7u) {
    case VARINT: skim->want = WANT_NUMBER; return;
    case DELIMITED: skim->want = WANT_LENGTH; return;
    case FIXED64: skip(skim, 8); return;
    case FIXED32: skip(skim, 4); return;
    default: give_up(skim); return;
    }
}

static void on_length(struct wire_skim *skim)
{
    uint32_t field = skim->tag >> 3;
    bool is_kind = skim->depth == 0 && field < 32 && (KINDS >> field & 1u);

    if (!is_kind || skim->value > skim->left[0]) {
        skip(skim, skim->value);
        return;
    }
    skim->kind = field; /* in place of another that came before, as protobuf-c has it */
    skim->id = 0;
    skim->left[1] = skim->value;
    skim->depth = 1;
    go_on(skim);
}

static void on_number(struct wire_skim *skim)
{
    switch ((enum want)skim->want) {
    case WANT_FRAME:
        if (skim->value >
            WIRE_FRAME_BYTES_MAX) { /* its length had not come when it was let go */
            give_up(skim);
            return;
        }
        skim->left[0] = skim->value;
        go_on(skim);
        return;
    case WANT_TAG: on_tag(skim); return;
    case WANT_LENGTH: on_length(skim); return;
    case WANT_NUMBER:
        if (skim->depth == 1 && skim->tag >> 3 == 1)
            skim->id = skim->value;
        go_on(skim);
        return;
    case WANT_REST:
    case WANT_NOTHING: return;
    }
}

static void take_byte(struct wire_skim *skim, uint8_t byte)
{
    if (skim->want != WANT_FRAME)
        pass(skim, 1);
    if (skim->n == 0)
        skim->value = 0;
    skim->value |= (uint64_t)(byte & 0x7fu) << (7 * skim->n++);
    if (!(byte & 0x80u)) {
        skim->n = 0;
        on_number(skim);
    } else if (skim->n == VARINT_BYTES_MAX ||
               (skim->want != WANT_FRAME && skim->left[skim->depth] == 0)) {
        give_up(skim);
    }
}

size_t wire_skim_feed(struct wire_skim *skim, const uint8_t *bytes, size_t len)
{
    size_t at = 0;

    while (at < len && skim->want != WANT_NOTHING) {
        if (skim->want != WANT_REST) {
            take_byte(skim, bytes[at++]);
            continue;
        }
        size_t n = len - at < skim->skip ? len - at : (size_t)skim->skip;

        pass(skim, n);
        skim->skip -= n;
        at += n;
        if (skim->skip == 0)
            go_on(skim);
    }
    return at;
}

bool wire_skim_is_whole(const struct wire_skim *skim)
{
    return skim->want == WANT_NOTHING;
}

uint64_t wire_skim_missing(const struct wire_skim *skim)
{
    return skim->left[0];
}
