/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <zstd_errors.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/coding_stage_priv.h"

#define STEP_INPUT_MAX ((size_t)64 * 1024) /* between two looks at the idle limit */
#define STEP_ROOM_MAX  ((size_t)1 << 30)   /* zlib counts in unsigned int */

/* Input bytes that one byte of output pays for. No encoder needs so many: one gzip member for
 * every byte comes to 21. */
#define IDLE_CREDIT       32

#define GZIP_MAGIC        0x1f
#define ZSTD_MAGIC        0x28
#define ZSTD_SKIP_MAGIC   0x50 /* to 0x5f: skippable frames, RFC 8878 §3.1.2 */
#define ZLIB_WINDOW_BITS  15
#define ZLIB_GZIP_WRAPPER 16

static void *zlib_alloc(void *opaque, unsigned items, unsigned size)
{
    (void)opaque;
    return mem_alloc((size_t)items * size);
}

static void *br_alloc(void *opaque, size_t size)
{
    (void)opaque;
    return mem_alloc(size);
}

static void any_free(void *opaque, void *ptr)
{
    (void)opaque;
    mem_free(ptr);
}

static int init_zlib(struct stage *stage, int window_bits)
{
    stage->u.zlib.zalloc = zlib_alloc;
    stage->u.zlib.zfree = any_free;
    if (inflateInit2(&stage->u.zlib, window_bits) != Z_OK)
        return fault(-ENOMEM);
    stage->is_initialised = true;
    return 0;
}

static int init_br(struct stage *stage)
{
    stage->u.br = BrotliDecoderCreateInstance(br_alloc, any_free, NULL);
    if (!stage->u.br)
        return fault(-ENOMEM);
    stage->is_initialised = true;
    return 0;
}

/* The context's own memory comes from malloc: handing it another is an unstable interface. */
static int init_zstd(struct stage *stage)
{
    int window_log = 10; /* zstd knows no smaller one */

    stage->u.zstd = ZSTD_createDCtx();
    if (!stage->u.zstd)
        return fault(-ENOMEM);
    stage->is_initialised = true;
    while (window_log < 31 && (size_t)2 << window_log <= stage->window_bytes_max)
        window_log++;
    INVARIANT(
        !ZSTD_isError(ZSTD_DCtx_setParameter(stage->u.zstd, ZSTD_d_windowLogMax, window_log)));
    return 0;
}

int stage_init(struct stage *stage, enum coding coding, const struct decoder_options *options)
{
    stage->coding = coding;
    stage->window_bytes_max = options->window_bytes_max;
    stage->idle_bytes_max = options->idle_bytes_max;
    switch (coding) {
    case CODING_GZIP: return init_zlib(stage, ZLIB_WINDOW_BITS + ZLIB_GZIP_WRAPPER);
    case CODING_DEFLATE: return init_zlib(stage, ZLIB_WINDOW_BITS);
    case CODING_BR: return init_br(stage);
    case CODING_ZSTD: return init_zstd(stage);
    }
    return fault(-EINVAL);
}

void stage_done(struct stage *stage)
{
    if (!stage->is_initialised)
        return;
    switch (stage->coding) {
    case CODING_GZIP:
    case CODING_DEFLATE: (void)inflateEnd(&stage->u.zlib); break;
    case CODING_BR: BrotliDecoderDestroyInstance(stage->u.br); break;
    case CODING_ZSTD: (void)ZSTD_freeDCtx(stage->u.zstd); break;
    }
    stage->is_initialised = false;
}

static void room_use(struct room *room, size_t n)
{
    room->ptr += n;
    room->len -= n;
}

static size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int step_zlib(struct stage *stage, struct span *input, struct room *room)
{
    z_stream *zlib = &stage->u.zlib;
    size_t given = input->len;
    size_t free_before = size_min(room->len, STEP_ROOM_MAX);

    zlib->next_in = (const unsigned char *)input->ptr;
    zlib->avail_in = (unsigned)given;
    zlib->next_out = (unsigned char *)room->ptr;
    zlib->avail_out = (unsigned)free_before;
    int r = inflate(zlib, Z_NO_FLUSH);
    *input = span_drop(*input, given - zlib->avail_in);
    room_use(room, free_before - zlib->avail_out);

    switch (r) {
    case Z_OK:
    case Z_BUF_ERROR: /* nothing moved */ return 0;
    case Z_STREAM_END:
        stage->state = stage->coding == CODING_GZIP ? STAGE_BOUNDARY : STAGE_DONE;
        return 0;
    case Z_MEM_ERROR: return fault(-ENOMEM);
    default: /* Z_NEED_DICT too: nobody has told us of one */ return DECODER_E_CORRUPT;
    }
}

/*
 * "deflate" means zlib's format (RFC 9110 §8.4.1.2), but many servers send bare deflate data.
 * The first two bytes tell: RFC 1950 §2.2 has 8 in the low half of the first and makes the two
 * a multiple of 31. No sane encoder begins bare data so: it would be a stored block with set
 * padding.
 */
static int step_deflate(struct stage *stage, struct span *input, struct room *room)
{
    while (stage->sniff_len < 2 && input->len > 0) {
        stage->sniff[stage->sniff_len++] = (unsigned char)input->ptr[0];
        *input = span_drop(*input, 1);
        if (stage->sniff_len < 2)
            continue;
        bool is_wrapped = (stage->sniff[0] & 0x0f) == Z_DEFLATED &&
                          (stage->sniff[0] * 256 + stage->sniff[1]) % 31 == 0;
        if (!is_wrapped && inflateReset2(&stage->u.zlib, -ZLIB_WINDOW_BITS) != Z_OK)
            return fault(-ENOMEM);
    }
    if (stage->sniff_len < 2)
        return 0;
    if (stage->sniff_used < 2) {
        struct span sniffed = {(const char *)stage->sniff + stage->sniff_used,
                               2U - stage->sniff_used};
        int r = step_zlib(stage, &sniffed, room);

        stage->sniff_used = (uint8_t)(2 - sniffed.len);
        return r;
    }
    return step_zlib(stage, input, room);
}

/* WBITS of RFC 7932 §9.1; the large-window extension's mark counts as larger than anything. */
static unsigned br_window_bits(unsigned char first)
{
    if (!(first & 1))
        return 16;
    if (first >> 1 & 7)
        return 17 + (first >> 1 & 7U);
    switch (first >> 4 & 7) {
    case 0: return 17;
    case 1: return 30;
    default: return 8 + (first >> 4 & 7U);
    }
}

static int br_error(const struct stage *stage)
{
    BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(stage->u.br);

    /* The codes for lack of memory are one range: brotli/decode.h. */
    if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
        code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
        return fault(-ENOMEM);
    return DECODER_E_CORRUPT;
}

static int step_br(struct stage *stage, struct span *input, struct room *room)
{
    const unsigned char *next_in = (const unsigned char *)input->ptr;
    unsigned char *next_out = (unsigned char *)room->ptr;
    size_t left_in = input->len;
    size_t left_out = room->len;

    if (stage->state == STAGE_NEW &&
        ((size_t)1 << br_window_bits(next_in[0])) - 16 > stage->window_bytes_max)
        return DECODER_E_LIMIT;
    BrotliDecoderResult r = BrotliDecoderDecompressStream(stage->u.br, &left_in, &next_in,
                                                          &left_out, &next_out, NULL);
    *input = span_drop(*input, input->len - left_in);
    room_use(room, room->len - left_out);
    if (r == BROTLI_DECODER_RESULT_ERROR)
        return br_error(stage);
    if (r == BROTLI_DECODER_RESULT_SUCCESS)
        stage->state = STAGE_DONE;
    return 0;
}

static int zstd_error(size_t code)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return fault(-ENOMEM);
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return DECODER_E_LIMIT;
    return DECODER_E_CORRUPT;
}

static int step_zstd(struct stage *stage, struct span *input, struct room *room)
{
    ZSTD_inBuffer in = {.src = input->ptr, .size = input->len};
    ZSTD_outBuffer out = {.dst = room->ptr, .size = room->len};

    size_t r = ZSTD_decompressStream(stage->u.zstd, &out, &in);
    if (ZSTD_isError(r))
        return zstd_error(r);
    *input = span_drop(*input, in.pos);
    room_use(room, out.pos);
    if (r == 0)
        stage->state = STAGE_BOUNDARY;
    return 0;
}

/* A byte that may begin a stream. zstd: also keeps the formats from before RFC 8878 away from
 * the library, which would read them. */
static bool begins_stream(enum coding coding, unsigned char byte)
{
    if (coding == CODING_ZSTD)
        return byte == ZSTD_MAGIC || (byte & 0xf0) == ZSTD_SKIP_MAGIC;
    return byte == GZIP_MAGIC;
}

/* With at least one byte of input: opens the first stream, or the next, or decides that there
 * is none. */
static int stage_open(struct stage *stage, unsigned char byte)
{
    bool has_magic = stage->coding == CODING_GZIP || stage->coding == CODING_ZSTD;

    if (has_magic && !begins_stream(stage->coding, byte)) {
        if (stage->state == STAGE_NEW)
            return DECODER_E_CORRUPT;
        stage->state = STAGE_DONE;
        return 0;
    }
    if (stage->state == STAGE_BOUNDARY && stage->coding == CODING_GZIP)
        INVARIANT(inflateReset(&stage->u.zlib) == Z_OK);
    if (stage->state == STAGE_BOUNDARY)
        stage->state = STAGE_OPEN;
    return 0;
}

static int stage_decode(struct stage *stage, struct span *input, struct room *room)
{
    enum stage_state before = stage->state;
    int r = 0;

    switch (stage->coding) {
    case CODING_GZIP: r = step_zlib(stage, input, room); break;
    case CODING_DEFLATE: r = step_deflate(stage, input, room); break;
    case CODING_BR: r = step_br(stage, input, room); break;
    case CODING_ZSTD: r = step_zstd(stage, input, room); break;
    }
    if (before == STAGE_NEW && stage->state == STAGE_NEW)
        stage->state = STAGE_OPEN;
    return r;
}

static int stage_pay(struct stage *stage, size_t eaten, size_t given)
{
    size_t credit = given < SIZE_MAX / IDLE_CREDIT ? given * IDLE_CREDIT : SIZE_MAX;

    stage->idle_bytes += eaten;
    stage->idle_bytes -= size_min(stage->idle_bytes, credit);
    return stage->idle_bytes > stage->idle_bytes_max ? DECODER_E_LIMIT : 0;
}

/* Junk from the wire costs nothing to drop; junk that an earlier coding has unpacked does. */
static int stage_drop(struct stage *stage, struct span *input)
{
    size_t n = size_min(input->len, STEP_INPUT_MAX);

    *input = span_drop(*input, n);
    return stage->is_first ? 0 : stage_pay(stage, n, 0);
}

int stage_step(struct stage *stage, struct span *input, struct room *room)
{
    if ((stage->state == STAGE_NEW || stage->state == STAGE_BOUNDARY) && input->len > 0) {
        int r = stage_open(stage, (unsigned char)input->ptr[0]);
        if (r != 0)
            return r;
    }
    if (stage->state == STAGE_DONE)
        return stage_drop(stage, input);
    if (room->len == 0 || (input->len == 0 && !stage->may_hold_output))
        return 0;

    size_t room_before = room->len;
    struct span slice = span_take(*input, STEP_INPUT_MAX);
    size_t slice_before = slice.len;
    int r = stage_decode(stage, &slice, room);
    *input = span_drop(*input, slice_before - slice.len);
    stage->may_hold_output = room->len == 0 && stage->state == STAGE_OPEN;
    return r != 0 ? r : stage_pay(stage, slice_before - slice.len, room_before - room->len);
}
