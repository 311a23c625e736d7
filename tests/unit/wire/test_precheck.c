/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "wire/frame.h"
#include "wire/precheck.h"
#include "xhrd/v1/envelope.pb-c.h"

struct row {
    const char *name;
    uint8_t bytes[24];
    size_t len;
    enum wire_verdict expected;
};

static void
expect_rows(const ProtobufCMessageDescriptor *descriptor, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum wire_verdict verdict = wire_precheck(descriptor, rows[i].bytes, rows[i].len);

        if (verdict != rows[i].expected)
            fail_msg("%s: %s", rows[i].name, wire_verdict_text(verdict));
    }
}

static void test_what_protobuf_c_would_let_through_is_refused(void **state)
{
    static const struct row rows[] = {
        {"empty", {0}, 0, WIRE_FINE},
        {"redirect: follow", {0x12, 0x02, 0x30, 0x01}, 4, WIRE_FINE},
        {"redirect: 9", {0x12, 0x02, 0x30, 0x09}, 4, WIRE_UNKNOWN_ENUM},
        {"redirect: 2^32 + 1",
         {0x12, 6, 0x30, 0x81, 0x80, 0x80, 0x80, 0x10},
         8,
         WIRE_UNKNOWN_ENUM},
        {"redirect packed", {0x12, 0x03, 0x32, 0x01, 0x09}, 5, WIRE_UNKNOWN_ENUM},
        {"jar", {0x12, 0x03, 0x4a, 0x01, 'j'}, 5, WIRE_FINE},
        {"jar with NUL", {0x12, 0x05, 0x4a, 0x03, 'j', 0, 'x'}, 7, WIRE_BAD_STRING},
        {"url with NUL is bytes", {0x12, 0x05, 0x1a, 0x03, 'j', 0, 'x'}, 7, WIRE_FINE},
        {"unknown field", {0xfa, 0x07, 0x02, 0xff, 0xff}, 5, WIRE_FINE},
        {"cut varint", {0x12, 0x02, 0x30, 0x81}, 4, WIRE_BAD_SYNTAX},
        {"cut tag", {0x92}, 1, WIRE_BAD_SYNTAX},
        {"length past the end", {0x12, 0x03, 0x30, 0x01}, 4, WIRE_BAD_SYNTAX},
        {"inner length past the end", {0x12, 0x02, 0x1a, 0x05}, 4, WIRE_BAD_SYNTAX},
        {"group", {0x13, 0x14}, 2, WIRE_BAD_SYNTAX},
        {"field 0", {0x02, 0x00}, 2, WIRE_BAD_SYNTAX},
        {"wire type 7", {0x17}, 1, WIRE_BAD_SYNTAX},
        {"fixed64, cut", {0x11, 1, 2, 3}, 4, WIRE_BAD_SYNTAX},
        {"fixed32, cut", {0x15, 1, 2, 3}, 4, WIRE_BAD_SYNTAX},
    };

    (void)state;
    expect_rows(&xhrd__v1__client_message__descriptor, rows, sizeof(rows) / sizeof(*rows));
}

static void test_ip08_empty_submessages_by_the_hundred_thousand_are_refused(void **state)
{
    enum { ROWS = 500000 };
    size_t len = 2 * (size_t)ROWS;
    uint8_t *bytes = malloc(len + 4);

    (void)state;
    assert_non_null(bytes);
    /* OpenRequest.headers = 4, as often as they fit; the envelope's head before them. */
    bytes[0] = 0x12;
    size_t head = 1 + wire_frame_prefix(bytes + 1, len);
    for (size_t i = 0; i < ROWS; i++) {
        bytes[head + 2 * i] = 0x22;
        bytes[head + 2 * i + 1] = 0x00;
    }
    assert_int_equal(wire_precheck(&xhrd__v1__client_message__descriptor, bytes, head + len),
                     WIRE_TOO_MANY_FIELDS);

    /* At the limit, and one past it: the envelope's own field counts. */
    for (size_t extra = 0; extra < 2; extra++) {
        len = 2 * (size_t)(WIRE_FIELDS_MAX - 1 + extra);
        head = 1 + wire_frame_prefix(bytes + 1, len);
        for (size_t i = 0; i < len; i += 2) {
            bytes[head + i] = 0x22;
            bytes[head + i + 1] = 0x00;
        }
        assert_int_equal(
            wire_precheck(&xhrd__v1__client_message__descriptor, bytes, head + len),
            extra ? WIRE_TOO_MANY_FIELDS : WIRE_FINE);
    }
    free(bytes);
}

static void test_ip08_twenty_thousand_levels_are_not_followed(void **state)
{
    enum { LEVELS = 20000 };
    uint8_t *bytes = malloc(4 * (size_t)LEVELS);
    size_t start = 4 * (size_t)LEVELS;
    size_t len = 0;

    (void)state;
    assert_non_null(bytes);
    for (unsigned i = 0; i < LEVELS; i++) {
        uint8_t head[WIRE_FRAME_PREFIX_MAX + 1] = {0x12};
        size_t n = 1 + wire_frame_prefix(head + 1, len);

        start -= n;
        len += n;
        memcpy(bytes + start, head, n);
    }
    /* The schema does not recurse: below the second level they are bytes like any other. */
    assert_int_equal(wire_precheck(&xhrd__v1__client_message__descriptor, bytes + start, len),
                     WIRE_FINE);
    Xhrd__V1__ClientMessage *message =
        xhrd__v1__client_message__unpack(NULL, len, bytes + start);
    assert_non_null(message);
    xhrd__v1__client_message__free_unpacked(message, NULL);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_protobuf_c_would_let_through_is_refused),
        cmocka_unit_test(test_ip08_empty_submessages_by_the_hundred_thousand_are_refused),
        cmocka_unit_test(test_ip08_twenty_thousand_levels_are_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
