/* SPDX-License-Identifier: MIT */
#define ZLIB_CONST
#include <brotli/encode.h>
#include <errno.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "http/coding.h"
#include "support/test.h"

#define MIB ((size_t)1024 * 1024)

/* How a test makes a coded body; with the bare deflate that servers send under the same name.
 */
enum encoding { GZIP, ZLIB, RAW_DEFLATE, BR, ZSTD };

static void encode_zlib(int window_bits, struct span in, struct buf *out)
{
    z_stream zlib = {0};

    assert_int_equal(deflateInit2(&zlib, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    assert_int_equal(buf_reserve(out, deflateBound(&zlib, in.len)), 0);
    zlib.next_in = (const Bytef *)in.ptr;
    zlib.avail_in = (unsigned)in.len;
    zlib.next_out = (Bytef *)buf_tail(out);
    zlib.avail_out = (unsigned)deflateBound(&zlib, in.len);
    assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    buf_commit(out, zlib.total_out);
    (void)deflateEnd(&zlib);
}

static void encode_br(int window_bits, struct span in, struct buf *out)
{
    size_t size = BrotliEncoderMaxCompressedSize(in.len) + 16;

    assert_int_equal(buf_reserve(out, size), 0);
    assert_true(BrotliEncoderCompress(5, window_bits, BROTLI_MODE_GENERIC, in.len,
                                      (const uint8_t *)in.ptr, &size,
                                      (uint8_t *)buf_tail(out)));
    buf_commit(out, size);
}

static void encode_zstd(struct span in, struct buf *out)
{
    size_t bound = ZSTD_compressBound(in.len);

    assert_int_equal(buf_reserve(out, bound), 0);
    size_t size = ZSTD_compress(buf_tail(out), bound, in.ptr, in.len, 3);
    assert_false(ZSTD_isError(size));
    buf_commit(out, size);
}

static void encode(enum encoding encoding, struct span in, struct buf *out)
{
    switch (encoding) {
    case GZIP: encode_zlib(31, in, out); break;
    case ZLIB: encode_zlib(15, in, out); break;
    case RAW_DEFLATE: encode_zlib(-15, in, out); break;
    case BR: encode_br(18, in, out); break;
    case ZSTD: encode_zstd(in, out); break;
    }
}

static struct decoder *get_decoder(const char *content_encoding)
{
    struct decoder_options options = decoder_options_default();
    struct decoder *decoder = NULL;

    assert_int_equal(decoder_new(span_of(content_encoding), &options, &decoder), 0);
    assert_non_null(decoder);
    return decoder;
}

enum { COMPLETE = 100 }; /* decoder_finish() was content */

struct cut {
    size_t piece; /* bytes of input at a time; 0: random */
    size_t room;  /* bytes of output at a time; 0: random */
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16 & 0x7fff;
}

/* Decodes all of @in in pieces. Return: COMPLETE, or the error. */
static int decode(const char *content_encoding, struct span in, struct cut cut, struct buf *out)
{
    CLEANUP(decoder_free) struct decoder *decoder = get_decoder(content_encoding);
    static char room[65536];
    unsigned seed = 7;
    int r = DECODER_NEED_INPUT;

    while (in.len > 0 || r == DECODER_OUTPUT_FULL) {
        struct span piece = span_take(in, cut.piece ? cut.piece : next_random(&seed) % 50);
        struct span rest = span_drop(in, piece.len);
        size_t size = cut.room ? cut.room : 1 + next_random(&seed) % 100;
        size_t written;

        r = decoder_feed(decoder, &piece, room, size, &written);
        if (r >= DECODER_E_CORRUPT)
            return r;
        assert_true(written <= size);
        assert_true(r == DECODER_OUTPUT_FULL ? written == size : piece.len == 0);
        assert_int_equal(buf_append(out, (struct span){room, written}), 0);
        in = (struct span){piece.len ? piece.ptr : rest.ptr, piece.len + rest.len};
    }
    r = decoder_finish(decoder);
    return r == 0 ? COMPLETE : r;
}

static void
check_decoded(const char *content_encoding, struct span in, struct span want, int want_r)
{
    static const struct cut cuts[] = {{65536, 65536}, {1, 65536}, {65536, 1}, {1, 1}, {0, 0}};

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);

        assert_int_equal(decode(content_encoding, in, cuts[i], &out), want_r);
        if (want_r == COMPLETE)
            assert_true(span_eq(buf_span(&out), want));
    }
}

/* Text that compresses as text does: some repetition, some noise. */
static void fill_text(struct buf *buf, size_t size)
{
    unsigned seed = 3;

    while (buf->len < size) {
        assert_int_equal(buf_append_u64(buf, next_random(&seed) % 500), 0);
        assert_int_equal(buf_append_str(buf, " and then "), 0);
    }
}

static const struct {
    const char *content_encoding;
    enum encoding applied[5];
    size_t count;
} chains[] = {
    {"gzip", {GZIP}, 1},
    {"x-gzip", {GZIP}, 1},
    {"GZip", {GZIP}, 1},
    {"deflate", {ZLIB}, 1},
    {"deflate", {RAW_DEFLATE}, 1},
    {"br", {BR}, 1},
    {"zstd", {ZSTD}, 1},
    {"identity, gzip,, identity", {GZIP}, 1},
    {"gzip, br", {GZIP, BR}, 2},
    {"br , gzip", {BR, GZIP}, 2},
    {"zstd,zstd", {ZSTD, ZSTD}, 2},
    {"deflate, zstd, deflate", {RAW_DEFLATE, ZSTD, ZLIB}, 3},
    {"gzip, deflate, br, zstd, gzip", {GZIP, ZLIB, BR, ZSTD, GZIP}, 5},
};
#define CHAINS (sizeof(chains) / sizeof(chains[0]))

static void apply(size_t chain, struct span body, struct buf *out)
{
    CLEANUP_BUF struct buf in = BUF_INIT(0);

    assert_int_equal(buf_append(out, body), 0);
    for (size_t i = 0; i < chains[chain].count; i++) {
        buf_clear(&in);
        assert_int_equal(buf_append(&in, buf_span(out)), 0);
        buf_clear(out);
        encode(chains[chain].applied[i], buf_span(&in), out);
    }
}

static void test_every_chain_undoes_what_was_applied_however_it_is_cut(void **state)
{
    static const size_t sizes[] = {0, 1, 3, 1000, 40000};

    (void)state;
    for (size_t i = 0; i < CHAINS; i++) {
        for (size_t j = 0; j < sizeof(sizes) / sizeof(sizes[0]); j++) {
            CLEANUP_BUF struct buf body = BUF_INIT(0);
            CLEANUP_BUF struct buf coded = BUF_INIT(0);

            fill_text(&body, sizes[j]);
            apply(i, buf_span(&body), &coded);
            check_decoded(chains[i].content_encoding, buf_span(&coded), buf_span(&body),
                          COMPLETE);
        }
    }
}

static void test_a_body_cut_anywhere_is_truncated_and_an_empty_one_is_fine(void **state)
{
    (void)state;
    for (size_t i = 0; i < CHAINS; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT(0);
        CLEANUP_BUF struct buf coded = BUF_INIT(0);
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct cut cut = {65536, 65536};

        fill_text(&body, 300);
        apply(i, buf_span(&body), &coded);
        for (size_t len = 1; len < coded.len; len++) {
            buf_clear(&out);
            assert_int_equal(
                decode(chains[i].content_encoding, span_take(buf_span(&coded), len), cut, &out),
                DECODER_E_TRUNCATED);
        }
        buf_clear(&out);
        assert_int_equal(decode(chains[i].content_encoding, (struct span){"", 0}, cut, &out),
                         COMPLETE);
        assert_int_equal(out.len, 0);
    }
}

static void test_a_flipped_bit_never_gives_another_body(void **state)
{
    static const enum encoding with_checksum[] = {GZIP, ZLIB};
    static const char *const names[] = {"gzip", "deflate"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CLEANUP_BUF struct buf body = BUF_INIT(0);
        CLEANUP_BUF struct buf coded = BUF_INIT(0);

        fill_text(&body, 100);
        encode(with_checksum[i], buf_span(&body), &coded);
        for (size_t bit = 0; bit < coded.len * 8; bit++) {
            CLEANUP_BUF struct buf out = BUF_INIT(0);
            char *byte = coded.storage + coded.start + bit / 8;

            *byte = (char)(*byte ^ 1 << bit % 8);
            int r = decode(names[i], buf_span(&coded), (struct cut){65536, 65536}, &out);
            *byte = (char)(*byte ^ 1 << bit % 8);
            assert_true(r == DECODER_E_CORRUPT || r == DECODER_E_TRUNCATED ||
                        (r == COMPLETE && span_eq(buf_span(&out), buf_span(&body))));
        }
    }
}

static void test_other_names_are_unknown_and_identity_is_nothing(void **state)
{
    static const struct {
        const char *content_encoding;
        int outcome;
    } rows[] = {
        {"", DECODER_NEW_IDENTITY},          {" , ", DECODER_NEW_IDENTITY},
        {"identity", DECODER_NEW_IDENTITY},  {"Identity, identity", DECODER_NEW_IDENTITY},
        {"compress", DECODER_NEW_E_UNKNOWN}, {"gzip, foo", DECODER_NEW_E_UNKNOWN},
        {"gzip;q=1", DECODER_NEW_E_UNKNOWN}, {"gzip br", DECODER_NEW_E_UNKNOWN},
        {"\"gzip\"", DECODER_NEW_E_UNKNOWN}, {"none", DECODER_NEW_E_UNKNOWN},
    };
    struct decoder_options options = decoder_options_default();

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decoder *decoder = NULL;

        assert_int_equal(decoder_new(span_of(rows[i].content_encoding), &options, &decoder),
                         rows[i].outcome);
        assert_null(decoder);
    }
    assert_null(decoder_free(NULL));
    assert_true(span_eq(coding_accept_value(), SPAN_LIT("gzip, br, zstd")));
}

static void test_ex04_six_codings_are_refused_and_five_pass(void **state)
{
    struct decoder_options options = decoder_options_default();
    struct decoder *decoder = NULL;

    (void)state;
    assert_int_equal(
        decoder_new(SPAN_LIT("gzip, gzip, gzip, gzip, gzip, gzip"), &options, &decoder),
        DECODER_NEW_E_LIMIT);
    assert_null(decoder);
    assert_int_equal(
        decoder_new(SPAN_LIT("gzip, gzip, identity, gzip, gzip, gzip"), &options, &decoder),
        DECODER_NEW_OK);
    assert_null(decoder_free(decoder));
    decoder = NULL;
    options.codings_max = 1;
    assert_int_equal(decoder_new(SPAN_LIT("br, br"), &options, &decoder), DECODER_NEW_E_LIMIT);
    assert_int_equal(decoder_new(SPAN_LIT("br"), &options, &decoder), DECODER_NEW_OK);
    assert_null(decoder_free(decoder));
}

/* @size zero bytes through deflate, without ever holding them. */
static void make_bomb(size_t size, int window_bits, struct buf *out)
{
    static unsigned char zeros[65536];
    z_stream zlib = {0};

    assert_int_equal(deflateInit2(&zlib, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    for (size_t done = 0; done <= size; done += sizeof(zeros)) {
        zlib.next_in = zeros;
        zlib.avail_in = done < size ? sizeof(zeros) : 0;
        do {
            assert_int_equal(buf_reserve(out, 65536), 0);
            zlib.next_out = (Bytef *)buf_tail(out);
            zlib.avail_out = 65536;
            assert_int_not_equal(deflate(&zlib, done < size ? Z_NO_FLUSH : Z_FINISH),
                                 Z_STREAM_ERROR);
            buf_commit(out, 65536 - zlib.avail_out);
        } while (zlib.avail_out == 0);
    }
    (void)deflateEnd(&zlib);
}

static void test_ex06_a_double_bomb_costs_only_what_is_read(void **state)
{
    CLEANUP_BUF struct buf once = BUF_INIT(0);
    CLEANUP_BUF struct buf twice = BUF_INIT(0);
    CLEANUP(decoder_free) struct decoder *decoder = get_decoder("gzip, gzip");
    static char room[65536];
    size_t total = 0;
    uint64_t allocations = 0;
    int r = DECODER_OUTPUT_FULL;

    (void)state;
    make_bomb(100 * MIB, 31, &once);
    encode(GZIP, buf_span(&once), &twice);
    assert_true(twice.len < 2048);

    struct span in = buf_span(&twice);
    mem_fail_at(UINT64_MAX); /* counts, and fails nothing */
    while (r == DECODER_OUTPUT_FULL) {
        size_t written;

        r = decoder_feed(decoder, &in, room, sizeof(room), &written);
        total += written;
        if (total == sizeof(room)) /* one room's worth: nothing ran ahead of the reader */
            assert_true(in.len > twice.len / 2);
        if (total == MIB)
            allocations = mem_alloc_count();
    }
    assert_int_equal(r, DECODER_NEED_INPUT);
    assert_int_equal(decoder_finish(decoder), 0);
    assert_int_equal(total, 100 * MIB);
    /* 99 MiB later it holds no more than after the first */
    assert_int_equal(mem_alloc_count(), allocations);
    mem_fail_at(0);
}

static void repeat(struct buf *buf, struct span unit, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_append(buf, unit), 0);
}

/* Feeds @unit until something other than NEED_INPUT comes. Return: the bytes eaten. */
static size_t feed_for_ever(struct decoder *decoder, struct span unit, int *ret_r)
{
    CLEANUP_BUF struct buf block = BUF_INIT(0);
    static char room[4096];
    size_t eaten = 0;
    size_t written;

    repeat(&block, unit, 60000 / unit.len);
    do {
        struct span in = buf_span(&block);

        *ret_r = decoder_feed(decoder, &in, room, sizeof(room), &written);
        eaten += block.len;
    } while (*ret_r == DECODER_NEED_INPUT && eaten < 1024 * MIB);
    return eaten;
}

static void feed_start(struct decoder *decoder, struct span bytes)
{
    char room[16];
    size_t written = 0;

    assert_int_equal(decoder_feed(decoder, &bytes, room, sizeof(room), &written),
                     DECODER_NEED_INPUT);
    assert_int_equal(written, 0);
}

static void test_ex07_a_gzip_file_name_without_end_is_refused(void **state)
{
    CLEANUP(decoder_free) struct decoder *decoder = get_decoder("gzip");
    int r;

    (void)state;
    feed_start(decoder, SPAN_LIT("\x1f\x8b\x08\x08\0\0\0\0\0\x03"));
    assert_in_range(feed_for_ever(decoder, SPAN_LIT("name"), &r), MIB, MIB + 130000);
    assert_int_equal(r, DECODER_E_LIMIT);
}

static void test_ex07_members_follow_each_other_in_linear_time(void **state)
{
    CLEANUP_BUF struct buf member = BUF_INIT(0);
    CLEANUP_BUF struct buf many = BUF_INIT(0);
    CLEANUP_BUF struct buf want = BUF_INIT(0);
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct cut cut = {65536, 65536};

    (void)state;
    encode(GZIP, SPAN_LIT("ab"), &member);
    repeat(&many, buf_span(&member), 3);
    check_decoded("gzip", buf_span(&many), SPAN_LIT("ababab"), COMPLETE);

    buf_clear(&many);
    buf_clear(&member);
    encode(GZIP, SPAN_LIT("a"), &member);
    repeat(&many, buf_span(&member), 100000);
    repeat(&want, SPAN_LIT("a"), 100000);
    assert_int_equal(decode("gzip", buf_span(&many), cut, &out), COMPLETE);
    assert_true(span_eq(buf_span(&out), buf_span(&want)));

    /* empty ones are work without result */
    buf_clear(&many);
    buf_clear(&member);
    encode(GZIP, (struct span){"", 0}, &member);
    repeat(&many, buf_span(&member), 100000);
    assert_int_equal(decode("gzip", buf_span(&many), cut, &out), DECODER_E_LIMIT);
    assert_int_equal(
        decode("gzip", span_take(buf_span(&many), MIB - MIB % member.len), cut, &out),
        COMPLETE);

    buf_clear(&many);
    encode(ZSTD, SPAN_LIT("ab"), &many);
    repeat(&many, SPAN_LIT("\x50\x2a\x4d\x18\x02\0\0\0xx"), 2); /* skippable frames */
    encode(ZSTD, SPAN_LIT("cd"), &many);
    check_decoded("zstd", buf_span(&many), SPAN_LIT("abcd"), COMPLETE);
}

static void test_ex07_junk_behind_a_whole_stream_is_dropped(void **state)
{
    static const struct span junk[] = {{"x", 1}, {"\0\0\0\0", 4}, {"</html>\n", 8}};

    (void)state;
    for (size_t i = 0; i < CHAINS; i++) {
        for (size_t j = 0; j < sizeof(junk) / sizeof(junk[0]); j++) {
            CLEANUP_BUF struct buf coded = BUF_INIT(0);

            apply(i, SPAN_LIT("body"), &coded);
            assert_int_equal(buf_append(&coded, junk[j]), 0);
            check_decoded(chains[i].content_encoding, buf_span(&coded), SPAN_LIT("body"),
                          COMPLETE);
        }
    }
}

static void test_ex07_what_begins_another_member_must_be_one(void **state)
{
    CLEANUP_BUF struct buf coded = BUF_INIT(0);

    (void)state;
    encode(GZIP, SPAN_LIT("body"), &coded);
    assert_int_equal(buf_append_str(&coded, "\x1fjunk"), 0);
    check_decoded("gzip", buf_span(&coded), (struct span){0}, DECODER_E_CORRUPT);
    coded.len -= 4;
    check_decoded("gzip", buf_span(&coded), (struct span){0}, DECODER_E_TRUNCATED);
}

static void test_ex07_a_wrong_checksum_or_length_is_corrupt(void **state)
{
    (void)state;
    for (size_t at = 1; at <= 8; at++) { /* CRC32 and ISIZE */
        CLEANUP_BUF struct buf coded = BUF_INIT(0);

        encode(GZIP, SPAN_LIT("body"), &coded);
        coded.storage[coded.start + coded.len - at] ^= 1;
        check_decoded("gzip", buf_span(&coded), (struct span){0}, DECODER_E_CORRUPT);
    }
}

static void test_what_is_no_such_stream_is_corrupt(void **state)
{
    static const char *const names[] = {"gzip", "deflate", "br", "zstd", "gzip, zstd"};
    static const char zstd_v07[] = "\x27\xb5\x2f\xfd\0\0\0\0\0\0";

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        check_decoded(names[i], SPAN_LIT("\xff\xff\xff plain text"), (struct span){0},
                      i == 2 ? DECODER_E_LIMIT : DECODER_E_CORRUPT);
    check_decoded("br", SPAN_LIT("plain text, and no br"), (struct span){0}, DECODER_E_CORRUPT);
    check_decoded("zstd", (struct span){zstd_v07, sizeof(zstd_v07) - 1}, (struct span){0},
                  DECODER_E_CORRUPT);
    /* a preset dictionary, of which nobody has told us: FDICT, RFC 1950 §2.2 */
    check_decoded("deflate", SPAN_LIT("\x78\x20\0\0\0\0\x03\0"), (struct span){0},
                  DECODER_E_CORRUPT);
}

static void test_ex08_windows_over_8_mib_are_refused(void **state)
{
    static const char zstd_8_mib[] = "\x28\xb5\x2f\xfd\x00\x68\x09\0\0a";
    static const char zstd_9_mib[] = "\x28\xb5\x2f\xfd\x00\x69\x09\0\0a";
    CLEANUP_BUF struct buf body = BUF_INIT(0);

    (void)state;
    check_decoded("zstd", (struct span){zstd_8_mib, sizeof(zstd_8_mib) - 1}, SPAN_LIT("a"),
                  COMPLETE);
    check_decoded("zstd", (struct span){zstd_9_mib, sizeof(zstd_9_mib) - 1}, (struct span){0},
                  DECODER_E_LIMIT);

    fill_text(&body, 20000);
    for (int bits = BROTLI_MIN_WINDOW_BITS; bits <= BROTLI_MAX_WINDOW_BITS; bits++) {
        CLEANUP_BUF struct buf coded = BUF_INIT(0);

        encode_br(bits, buf_span(&body), &coded);
        check_decoded("br", buf_span(&coded), buf_span(&body),
                      bits <= 23 ? COMPLETE : DECODER_E_LIMIT);
    }
    /* the large-window extension, which nobody may send unasked */
    check_decoded("br", SPAN_LIT("\x11\x1e\x01"), (struct span){0}, DECODER_E_LIMIT);
}

static void test_ex12_work_without_result_is_bounded(void **state)
{
    static const struct {
        const char *content_encoding;
        struct span start;
        struct span unit;
    } rows[] = {
        /* stored blocks of no bytes; fixed-Huffman blocks of nothing but their end */
        {"deflate", {"\x78\x9c", 2}, {"\0\0\0\xff\xff", 5}},
        {"deflate", {"\x78\x9c", 2}, {"\x02\x08\x20\x80\x00", 5}},
        {"gzip", {"\x1f\x8b\x08\0\0\0\0\0\0\x03", 10}, {"\0\0\0\xff\xff", 5}},
        /* raw blocks of no bytes */
        {"zstd", {"\x28\xb5\x2f\xfd\x00\x58", 6}, {"\0\0\0", 3}},
        /* metadata blocks of no bytes */
        {"br", {"\x0c", 1}, {"\x06", 1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP(decoder_free)
        struct decoder *decoder = get_decoder(rows[i].content_encoding);
        char room[16];
        size_t written;
        int r;

        feed_start(decoder, rows[i].start);
        assert_in_range(feed_for_ever(decoder, rows[i].unit, &r), MIB, MIB + 130000);
        assert_int_equal(r, DECODER_E_LIMIT);
        struct span more = rows[i].unit;
        assert_int_equal(decoder_feed(decoder, &more, room, sizeof(room), &written),
                         DECODER_E_LIMIT);
        assert_int_equal(decoder_finish(decoder), DECODER_E_LIMIT);
    }
}

static void test_ex12_nor_can_an_outer_coding_make_such_work_cheap(void **state)
{
    CLEANUP_BUF struct buf blocks = BUF_INIT(0);
    CLEANUP_BUF struct buf coded = BUF_INIT(0);
    CLEANUP_BUF struct buf junk = BUF_INIT(0);
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct cut cut = {65536, 65536};

    (void)state;
    assert_int_equal(buf_append(&blocks, SPAN_LIT("\x78\x9c")), 0);
    repeat(&blocks, SPAN_LIT("\0\0\0\xff\xff"), 4 * MIB / 5);
    encode(GZIP, buf_span(&blocks), &coded);
    assert_true(coded.len < 32768);
    assert_int_equal(decode("deflate, gzip", buf_span(&coded), cut, &out), DECODER_E_LIMIT);

    /* nor junk behind the inner stream: its unpacking is not free */
    buf_clear(&coded);
    encode(BR, SPAN_LIT("body"), &junk);
    repeat(&junk, SPAN_LIT("12345678"), MIB / 4);
    encode(GZIP, buf_span(&junk), &coded);
    assert_int_equal(decode("br, gzip", buf_span(&coded), cut, &out), DECODER_E_LIMIT);
}

static void test_no_room_gives_nothing_and_loses_nothing(void **state)
{
    CLEANUP(decoder_free) struct decoder *decoder = get_decoder("gzip");
    CLEANUP_BUF struct buf coded = BUF_INIT(0);
    char room[16];
    size_t written = 1;

    (void)state;
    encode(GZIP, SPAN_LIT("body"), &coded);
    struct span in = buf_span(&coded);
    assert_int_equal(decoder_feed(decoder, &in, room, 0, &written), DECODER_OUTPUT_FULL);
    assert_int_equal(written, 0);
    assert_int_equal(decoder_feed(decoder, &in, room, 4, &written), DECODER_OUTPUT_FULL);
    assert_int_equal(written, 4);
    assert_int_equal(decoder_feed(decoder, &in, room, 16, &written), DECODER_NEED_INPUT);
    assert_int_equal(written, 0);
    assert_int_equal(decoder_finish(decoder), 0);
}

static void test_failed_allocations_are_reported(void **state)
{
    static const char *const names[] = {"gzip", "deflate", "br", "gzip, br, deflate"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CLEANUP_BUF struct buf body = BUF_INIT(0);
        CLEANUP_BUF struct buf coded = BUF_INIT(0);
        struct decoder_options options = decoder_options_default();
        unsigned failed = 0;
        int r = -ENOMEM;

        fill_text(&body, 20000);
        encode(i == 0 ? GZIP : i == 1 ? ZLIB : i == 2 ? BR : ZLIB, buf_span(&body), &coded);
        for (unsigned n = 1; r == -ENOMEM && n < 200; n++) {
            CLEANUP(decoder_free) struct decoder *decoder = NULL;
            struct span in = buf_span(&coded);
            static char room[65536];
            size_t written;

            mem_fail_at(n);
            r = decoder_new(span_of(names[i]), &options, &decoder);
            if (r == 0)
                r = decoder_feed(decoder, &in, room, sizeof(room), &written);
            mem_fail_at(0);
            failed += r == -ENOMEM;
        }
        assert_true(r >= 0);
        assert_true(failed >= 2);
    }
}

static void test_outcomes_have_texts(void **state)
{
    (void)state;
    for (int outcome = 0; outcome <= DECODER_E_TRUNCATED; outcome++)
        assert_string_not_equal(decoder_outcome_text(outcome), "internal error");
    assert_string_equal(decoder_outcome_text(-ENOMEM), "internal error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chain_undoes_what_was_applied_however_it_is_cut),
        cmocka_unit_test(test_a_body_cut_anywhere_is_truncated_and_an_empty_one_is_fine),
        cmocka_unit_test(test_a_flipped_bit_never_gives_another_body),
        cmocka_unit_test(test_other_names_are_unknown_and_identity_is_nothing),
        cmocka_unit_test(test_ex04_six_codings_are_refused_and_five_pass),
        cmocka_unit_test(test_ex06_a_double_bomb_costs_only_what_is_read),
        cmocka_unit_test(test_ex07_a_gzip_file_name_without_end_is_refused),
        cmocka_unit_test(test_ex07_members_follow_each_other_in_linear_time),
        cmocka_unit_test(test_ex07_junk_behind_a_whole_stream_is_dropped),
        cmocka_unit_test(test_ex07_what_begins_another_member_must_be_one),
        cmocka_unit_test(test_ex07_a_wrong_checksum_or_length_is_corrupt),
        cmocka_unit_test(test_what_is_no_such_stream_is_corrupt),
        cmocka_unit_test(test_ex08_windows_over_8_mib_are_refused),
        cmocka_unit_test(test_ex12_work_without_result_is_bounded),
        cmocka_unit_test(test_ex12_nor_can_an_outer_coding_make_such_work_cheap),
        cmocka_unit_test(test_no_room_gives_nothing_and_loses_nothing),
        cmocka_unit_test(test_failed_allocations_are_reported),
        cmocka_unit_test(test_outcomes_have_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
