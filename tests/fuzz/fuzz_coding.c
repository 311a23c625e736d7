/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "http/coding.h"

#define OUTPUT_MAX ((size_t)128 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COMPLETE = 100, ENOUGH };

static void check(bool ok)
{
    if (!ok)
        abort();
}

static int
run(struct span names, struct span in, size_t piece_max, size_t room_max, struct buf *out)
{
    CLEANUP(decoder_free) struct decoder *decoder = NULL;
    struct decoder_options options = decoder_options_default();
    static char room[4096];
    int r = DECODER_NEED_INPUT;

    check(decoder_new(names, &options, &decoder) == DECODER_NEW_OK);
    while (in.len > 0 || r == DECODER_OUTPUT_FULL) {
        struct span piece = span_take(in, piece_max);
        struct span given = piece;
        size_t written = SIZE_MAX;

        r = decoder_feed(decoder, &piece, room, room_max, &written);
        if (r >= DECODER_E_CORRUPT) {
            struct span more = SPAN_LIT("more");
            check(decoder_feed(decoder, &more, room, room_max, &written) == r);
            check(decoder_finish(decoder) == r);
            return r;
        }
        check(r >= 0 && written <= room_max);
        check(r == DECODER_OUTPUT_FULL ? written == room_max : piece.len == 0);
        check(piece.len == 0 || piece.ptr + piece.len == given.ptr + given.len);
        check(buf_append(out, (struct span){room, written}) == 0);
        in = span_drop(in, given.len - piece.len);
        if (out->len > OUTPUT_MAX)
            return ENOUGH;
    }
    r = decoder_finish(decoder);
    return r == 0 ? COMPLETE : r;
}

/* The first byte chooses the codings, the rest is the body. In big pieces and in small ones it
 * decodes to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {
        "gzip",     "deflate",       "br",
        "zstd",     "gzip, gzip",    "br, gzip",
        "zstd, br", "deflate, zstd", "gzip, deflate, br, zstd, gzip"};
    CLEANUP_BUF struct buf big = BUF_INIT(0);
    CLEANUP_BUF struct buf small = BUF_INIT(0);

    if (size == 0)
        return 0;
    struct span content_encoding = span_of(names[data[0] % (sizeof(names) / sizeof(names[0]))]);
    struct span in = {(const char *)data + 1, size - 1};
    int r_big = run(content_encoding, in, SIZE_MAX, 4096, &big);
    int r_small = run(content_encoding, in, 1 + data[0] / 64, 1 + data[0] / 32, &small);

    /* Where the idle limit strikes depends on the pieces; what was decoded before does not. */
    size_t common = big.len < small.len ? big.len : small.len;
    check(span_eq(span_take(buf_span(&big), common), span_take(buf_span(&small), common)));
    if (r_big < COMPLETE && r_small < COMPLETE && r_big != DECODER_E_LIMIT &&
        r_small != DECODER_E_LIMIT)
        check(r_big == r_small);
    if (r_big == COMPLETE && r_small == COMPLETE)
        check(big.len == small.len);
    check((r_big == COMPLETE) == (r_small == COMPLETE));
    return 0;
}
