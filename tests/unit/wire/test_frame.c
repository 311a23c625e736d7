/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "wire/frame.h"

struct length_row {
    const char *name;
    uint8_t bytes[8];
    size_t len;
    enum wire_outcome expected;
};

static void test_ip07_lengths_past_the_cap_are_refused_before_the_rest_has_come(void **state)
{
    static const struct length_row rows[] = {
        {"nothing", {0}, 0, WIRE_MORE},
        {"cut", {0x80}, 1, WIRE_MORE},
        {"cap", {0x80, 0x80, 0x40}, 3, WIRE_MORE},
        {"cap + 1", {0x81, 0x80, 0x40}, 3, WIRE_E_TOO_LARGE},
        {"2^31", {0x80, 0x80, 0x80, 0x80, 0x08}, 5, WIRE_E_TOO_LARGE},
        {"0xffffffff", {0xff, 0xff, 0xff, 0xff, 0x0f}, 5, WIRE_E_TOO_LARGE},
        {"0xffffffff, cut", {0xff, 0xff, 0xff}, 3, WIRE_E_TOO_LARGE},
        {"six bytes", {0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 6, WIRE_E_LENGTH},
        {"padded to five", {0x81, 0x80, 0x80, 0x80, 0x00, 0x2a}, 6, WIRE_READY},
        {"empty message", {0x00}, 1, WIRE_READY},
        {"one byte and more", {0x01, 0x2a, 0x01}, 3, WIRE_READY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct wire_frame frame;
        struct wire_body body;
        enum wire_outcome outcome = wire_frame_next(rows[i].bytes, rows[i].len, &frame);

        if (outcome != rows[i].expected)
            fail_msg("%s: %d", rows[i].name, (int)outcome);
        outcome = wire_body_begin(rows[i].bytes, rows[i].len, WIRE_CLIENT, &body);
        if (rows[i].expected >= WIRE_E_TOO_LARGE && outcome != rows[i].expected)
            fail_msg("%s as a body: %d", rows[i].name, (int)outcome);
    }
}

static void test_ip10_a_frame_that_comes_byte_by_byte_is_ready_at_its_last(void **state)
{
    uint8_t bytes[300];
    struct wire_frame frame;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    size_t prefix = wire_frame_prefix(bytes, 200);
    assert_int_equal(prefix, 2);
    for (size_t len = 0; len < prefix + 200; len++) {
        assert_int_equal(wire_frame_next(bytes, len, &frame), WIRE_MORE);
        assert_int_equal(frame.frame_len, len < prefix ? 0 : 202);
    }
    assert_int_equal(wire_frame_next(bytes, sizeof(bytes), &frame), WIRE_READY);
    assert_ptr_equal(frame.bytes, bytes + prefix);
    assert_int_equal(frame.len, 200);
    assert_int_equal(frame.frame_len, 202);
}

static void expect_same_body(const struct wire_body *a, const struct wire_body *b)
{
    assert_int_equal(a->request_id, b->request_id);
    assert_ptr_equal(a->data, b->data);
    assert_int_equal(a->data_len, b->data_len);
    assert_int_equal(a->head_len, b->head_len);
}

static void test_a_body_chunk_is_recognised_whole_and_from_its_first_bytes(void **state)
{
    static const size_t lengths[] = {0, 1, 100, 127, 128, 16383, 16384, WIRE_BODY_DATA_MAX};
    static const uint32_t ids[] = {1, 127, 128, 0x7fffffff, UINT32_MAX};
    uint8_t *bytes = malloc(WIRE_BODY_HEAD_MAX + WIRE_BODY_DATA_MAX);

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        for (size_t j = 0; j < sizeof(ids) / sizeof(*ids); j++) {
            struct wire_frame frame;
            struct wire_body body;
            struct wire_body begun;

            size_t head = wire_body_head(bytes, WIRE_CLIENT, ids[j], lengths[i]);
            memset(bytes + head, 'b', lengths[i]);
            assert_int_equal(wire_frame_next(bytes, head + lengths[i], &frame), WIRE_READY);
            assert_int_equal(frame.frame_len, head + lengths[i]);
            assert_true(wire_body_parse(&frame, WIRE_CLIENT, &body));
            assert_false(wire_body_parse(&frame, WIRE_DAEMON, &begun));
            assert_int_equal(body.request_id, ids[j]);
            assert_int_equal(body.data_len, lengths[i]);
            assert_ptr_equal(body.data, bytes + head);
            for (size_t len = 0; len < head; len++)
                assert_int_equal(wire_body_begin(bytes, len, WIRE_CLIENT, &begun), WIRE_MORE);
            assert_int_equal(wire_body_begin(bytes, head, WIRE_CLIENT, &begun), WIRE_READY);
            expect_same_body(&begun, &body);
        }
    }
    free(bytes);
}

static void test_other_shapes_are_left_to_protobuf(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[16];
        size_t len;
    } rows[] = {
        {"another message", {0x02, 0x12, 0x00}, 3},
        {"no fields", {0x02, 0x22, 0x00}, 3},
        {"no request id", {0x05, 0x22, 0x03, 0x7a, 0x01, 'x'}, 6},
        {"data before the id", {0x07, 0x22, 0x05, 0x7a, 0x01, 'x', 0x08, 0x01}, 8},
        {"two messages", {0x09, 0x22, 0x05, 0x08, 0x01, 0x7a, 0x01, 'x', 0x12, 0x00}, 10},
        {"a field behind data",
         {0x09, 0x22, 0x07, 0x08, 0x01, 0x7a, 0x01, 'x', 0x10, 0x01},
         10},
        {"data past the frame", {0x07, 0x22, 0x05, 0x08, 0x01, 0x7a, 0x02, 'x'}, 8},
        {"cut in the head", {0x04, 0x22, 0x02, 0x08, 0x01}, 5},
        {"id of 33 bits",
         {0x0b, 0x22, 0x09, 0x08, 0xff, 0xff, 0xff, 0xff, 0x1f, 0x7a, 1, 'x'},
         12},
        {"empty", {0x00}, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct wire_frame frame;
        struct wire_body body;

        assert_int_equal(wire_frame_next(rows[i].bytes, rows[i].len, &frame), WIRE_READY);
        if (wire_body_parse(&frame, WIRE_CLIENT, &body) ||
            wire_body_begin(rows[i].bytes, rows[i].len, WIRE_CLIENT, &body) != WIRE_OTHER)
            fail_msg("%s", rows[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip07_lengths_past_the_cap_are_refused_before_the_rest_has_come),
        cmocka_unit_test(test_ip10_a_frame_that_comes_byte_by_byte_is_ready_at_its_last),
        cmocka_unit_test(test_a_body_chunk_is_recognised_whole_and_from_its_first_bytes),
        cmocka_unit_test(test_other_shapes_are_left_to_protobuf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
