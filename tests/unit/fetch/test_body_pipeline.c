/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/body_pipeline.h"
#include "http/coding.h"
#include "support/test.h"

/* "hello" by gzip -n, and the same with its checksum wrong. */
#define GZIP_HELLO                                                                             \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05" \
    "\x00\x00\x00"
#define GZIP_WRONG                                                                             \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x87\xa6\x10\x36\x05" \
    "\x00\x00\x00"

static char room[64];

static int next(struct body_pipeline *pipeline,
                struct span *input,
                struct span *ret_bytes,
                struct failure *ret_why)
{
    return body_pipeline_next(pipeline, input, (struct span){room, sizeof(room)}, ret_bytes,
                              ret_why);
}

static void test_plain_bytes_pass_uncopied_as_far_as_credit_goes(void **state)
{
    struct body_pipeline pipeline;
    struct span input = SPAN_LIT("HELLO");
    const char *first = input.ptr;
    struct span bytes;
    struct failure why;

    (void)state;
    body_pipeline_init(&pipeline, 2, UINT64_MAX);
    assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_BYTES);
    assert_ptr_equal(bytes.ptr, first);
    assert_int_equal(bytes.len, 2);
    assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_BLOCKED);
    assert_int_equal(input.len, 3);
    body_pipeline_add_credit(&pipeline, UINT64_MAX);
    body_pipeline_add_credit(&pipeline, UINT64_MAX); /* as much as there is, no wrap */
    assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_BYTES);
    assert_int_equal(bytes.len, 3);
    assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_HUNGRY);
    body_pipeline_end(&pipeline);
    assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_WHOLE);
    assert_int_equal(pipeline.body_bytes, 5);
    body_pipeline_done(&pipeline);
}

static void test_an_end_needs_no_credit(void **state)
{
    static const char *const codings[] = {"", "gzip", "br", "zstd"};

    (void)state;
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        struct body_pipeline pipeline;
        struct span none = {0};
        struct span bytes;
        struct failure why;
        bool decodes;

        body_pipeline_init(&pipeline, 0, UINT64_MAX);
        if (i > 0)
            assert_int_equal(body_pipeline_set_coding(&pipeline, span_of(codings[i]),
                                                      DECODER_CODINGS_MAX, &decodes, &why),
                             0);
        assert_int_equal(next(&pipeline, &none, &bytes, &why), BODY_HUNGRY);
        body_pipeline_end(&pipeline);
        assert_int_equal(next(&pipeline, &none, &bytes, &why), BODY_WHOLE);
        body_pipeline_done(&pipeline);
    }
}

static void test_decoded_bytes_obey_credit_and_room(void **state)
{
    (void)state;
    for (uint64_t step = 1; step <= 6; step++) {
        struct body_pipeline pipeline;
        struct span input = SPAN_LIT(GZIP_HELLO);
        char got[8] = "";
        size_t n = 0;
        struct span bytes;
        struct failure why;
        bool decodes = false;
        int r;

        body_pipeline_init(&pipeline, 0, UINT64_MAX);
        assert_int_equal(body_pipeline_set_coding(&pipeline, SPAN_LIT("x-gzip"),
                                                  DECODER_CODINGS_MAX, &decodes, &why),
                         0);
        assert_true(decodes);
        for (int i = 0; i < 20; i++) {
            uint64_t before = pipeline.body_bytes;

            r = next(&pipeline, &input, &bytes, &why);
            if (r == BODY_BYTES) {
                memcpy(got + n, bytes.ptr, bytes.len);
                n += bytes.len;
            } else if (r == BODY_BLOCKED) {
                body_pipeline_add_credit(&pipeline, step);
            } else {
                break;
            }
            assert_true(pipeline.body_bytes - before <= step);
        }
        assert_int_equal(r, BODY_HUNGRY);
        assert_int_equal(input.len, 0);
        body_pipeline_end(&pipeline);
        assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_WHOLE);
        assert_string_equal(got, "hello");
        body_pipeline_done(&pipeline);
    }
}

static void test_what_does_not_decode_is_told_by_its_kind(void **state)
{
    static const struct {
        const char *coding;
        struct span input;
        enum failure_kind kind;
    } rows[] = {
        {"gzip", SPAN_LIT(GZIP_WRONG), FAILURE_CODING},
        {"gzip", SPAN_LIT("hello"), FAILURE_CODING},
        {"br", SPAN_LIT("\xff\xff\xff\xff\xff"), FAILURE_LIMIT}, /* a window too large */
        {"br", SPAN_LIT("hello, this is no stream"), FAILURE_CODING},
        {"zstd", SPAN_LIT("hello, this is no frame"), FAILURE_CODING},
        {"gzip", SPAN_LIT("\x1f\x8b\x08"), FAILURE_TRUNCATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct body_pipeline pipeline;
        struct span input = rows[i].input;
        struct span bytes;
        struct failure why;
        bool decodes;
        int r;

        body_pipeline_init(&pipeline, UINT64_MAX, UINT64_MAX);
        assert_int_equal(body_pipeline_set_coding(&pipeline, span_of(rows[i].coding),
                                                  DECODER_CODINGS_MAX, &decodes, &why),
                         0);
        do
            r = next(&pipeline, &input, &bytes, &why);
        while (r == BODY_BYTES);
        if (r == BODY_HUNGRY) {
            body_pipeline_end(&pipeline);
            r = next(&pipeline, &input, &bytes, &why);
        }
        assert_int_equal(r, -EINVAL);
        if (why.kind != rows[i].kind)
            fail_msg("%s, row %zu: %s", rows[i].coding, i, failure_kind_name(why.kind));
        assert_true(why.text[0] != '\0');
        body_pipeline_done(&pipeline);
    }
}

static void test_ex04_five_codings_are_undone_and_six_refused(void **state)
{
    struct body_pipeline pipeline;
    struct failure why;
    bool decodes = false;

    (void)state;
    body_pipeline_init(&pipeline, 0, UINT64_MAX);
    assert_int_equal(body_pipeline_set_coding(&pipeline, SPAN_LIT("gzip,gzip,gzip,gzip,gzip"),
                                              DECODER_CODINGS_MAX, &decodes, &why),
                     0);
    assert_true(decodes);
    body_pipeline_done(&pipeline);
    body_pipeline_init(&pipeline, 0, UINT64_MAX);
    assert_int_equal(body_pipeline_set_coding(&pipeline,
                                              SPAN_LIT("gzip,gzip,gzip,gzip,gzip,gzip"),
                                              DECODER_CODINGS_MAX, &decodes, &why),
                     -EINVAL);
    assert_int_equal(why.kind, FAILURE_LIMIT);
    body_pipeline_done(&pipeline);
}

static void test_codings_that_nobody_knows_are_passed_on(void **state)
{
    static const char *const unknown[] = {"identity", "aes128gcm", "gzip, aes128gcm", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct body_pipeline pipeline;
        struct span input = SPAN_LIT("as it is");
        struct span bytes;
        struct failure why;
        bool decodes = true;

        body_pipeline_init(&pipeline, UINT64_MAX, UINT64_MAX);
        assert_int_equal(body_pipeline_set_coding(&pipeline, span_of(unknown[i]),
                                                  DECODER_CODINGS_MAX, &decodes, &why),
                         0);
        assert_false(decodes);
        assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_BYTES);
        assert_int_equal(bytes.len, 8);
        body_pipeline_done(&pipeline);
    }
}

static void test_ex06_the_limit_counts_decoded_bytes(void **state)
{
    (void)state;
    for (uint64_t max = 4; max <= 5; max++) {
        struct body_pipeline pipeline;
        struct span input = SPAN_LIT(GZIP_HELLO);
        struct span bytes;
        struct failure why;
        bool decodes;

        body_pipeline_init(&pipeline, UINT64_MAX, max);
        assert_int_equal(body_pipeline_set_coding(&pipeline, SPAN_LIT("gzip"),
                                                  DECODER_CODINGS_MAX, &decodes, &why),
                         0);
        int r = next(&pipeline, &input, &bytes, &why);
        assert_int_equal(r, max == 5 ? BODY_BYTES : -EINVAL);
        if (r < 0)
            assert_int_equal(why.kind, FAILURE_LIMIT);
        assert_true(pipeline.body_bytes <= max);
        body_pipeline_done(&pipeline);
    }
}

static void test_ex09_counts_go_past_32_bits(void **state)
{
    static char block[1 << 20];
    struct body_pipeline pipeline;
    const uint64_t total = (UINT64_C(1) << 32) + 1;
    struct span bytes;
    struct failure why;

    (void)state;
    body_pipeline_init(&pipeline, UINT64_MAX, total);
    for (uint64_t left = total; left > 0;) {
        struct span input = {block, left < sizeof(block) ? (size_t)left : sizeof(block)};

        left -= input.len;
        assert_int_equal(next(&pipeline, &input, &bytes, &why), BODY_BYTES);
    }
    assert_int_equal(pipeline.body_bytes, total);
    struct span input = {block, 1};
    assert_int_equal(next(&pipeline, &input, &bytes, &why), -EINVAL);
    assert_int_equal(why.kind, FAILURE_LIMIT);
    body_pipeline_done(&pipeline);
}

static void test_what_is_kept_comes_first_again(void **state)
{
    struct body_pipeline pipeline;
    struct span bytes;
    struct failure why;

    (void)state;
    body_pipeline_init(&pipeline, 0, UINT64_MAX);
    assert_int_equal(body_pipeline_keep(&pipeline, SPAN_LIT("ab")), 0);
    assert_int_equal(body_pipeline_keep(&pipeline, SPAN_LIT("cd")), 0);
    body_pipeline_add_credit(&pipeline, 3);
    struct span rest = buf_span(&pipeline.rest);
    assert_int_equal(next(&pipeline, &rest, &bytes, &why), BODY_BYTES);
    assert_true(span_eq(bytes, SPAN_LIT("abc")));
    mem_fail_at(1);
    static const char much[100000] = {0};
    assert_int_equal(body_pipeline_keep(&pipeline, (struct span){much, sizeof(much)}), -ENOMEM);
    mem_fail_at(0);
    assert_int_equal(pipeline.rest.len, 4);
    body_pipeline_done(&pipeline);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_bytes_pass_uncopied_as_far_as_credit_goes),
        cmocka_unit_test(test_an_end_needs_no_credit),
        cmocka_unit_test(test_decoded_bytes_obey_credit_and_room),
        cmocka_unit_test(test_what_does_not_decode_is_told_by_its_kind),
        cmocka_unit_test(test_ex04_five_codings_are_undone_and_six_refused),
        cmocka_unit_test(test_codings_that_nobody_knows_are_passed_on),
        cmocka_unit_test(test_ex06_the_limit_counts_decoded_bytes),
        cmocka_unit_test(test_ex09_counts_go_past_32_bits),
        cmocka_unit_test(test_what_is_kept_comes_first_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
