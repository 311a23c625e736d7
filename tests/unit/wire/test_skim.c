/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <xhrd/v1/envelope.pb-c.h>

#include "support/test.h"
#include "wire/frame.h"
#include "wire/skim.h"

struct row {
    const char *name;
    const char *bytes; /* with the frame's length */
    size_t len;
    uint32_t kind;
    uint64_t id;
    bool is_broken;
};

#define BYTES(s) s, sizeof(s) - 1

static const struct row rows[] = {
    {"an empty message", BYTES("\x00"), 0, 0, false},
    {"abort", BYTES("\x04\x32\x02\x08\x07"), 6, 7, false},
    {"open, the id behind the url", BYTES("\x08\x12\x06\x1a\x02hi\x08\x05"), 2, 5, false},
    {"a long number", BYTES("\x06\x32\x04\x08\xff\xff\x03"), 6, 0xffff, false},
    {"no id", BYTES("\x04\x3a\x02\x12\x00"), 7, 0, false},
    {"an id of another type", BYTES("\x05\x3a\x03\x0a\x01x"), 7, 0, false},
    {"an empty member", BYTES("\x02\x12\x00"), 2, 0, false},
    {"an unknown kind", BYTES("\x05\xa2\x06\x02\x08\x01"), 0, 0, false},
    {"an unknown field behind it", BYTES("\x08\x32\x02\x08\x07\x8a\x06\x01x"), 6, 7, false},
    {"fixed numbers",
     BYTES("\x12\x12\x10\x29"
           "12345678\x2d"
           "1234\x08\x09"),
     2, 9, false},
    {"two members", BYTES("\x08\x32\x02\x08\x07\x2a\x02\x10\x01"), 5, 0, false},
    {"one member twice", BYTES("\x08\x32\x02\x08\x07\x32\x02\x10\x01"), 6, 0, false},
    {"a group", BYTES("\x03\x0b\x0c\x00"), 0, 0, true},
    {"field 0", BYTES("\x02\x00\x00"), 0, 0, true},
    {"a member past the end", BYTES("\x04\x32\x09\x08\x07"), 0, 0, true},
    {"a field past its member", BYTES("\x05\x32\x03\x0a\x09x"), 6, 0, true},
    {"a tag and no more", BYTES("\x03\x32\x01\x08"), 6, 0, true},
    {"half a number", BYTES("\x04\x32\x02\x08\x87"), 6, 0, true},
    {"a fixed number past the end", BYTES("\x04\x12\x02\x29\x01"), 2, 0, true},
    {"eleven bytes of a number",
     BYTES("\x0e\x32\x0c\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), 6, 0, true},
};

static void check(const struct row *row, const struct wire_skim *skim, size_t eaten)
{
    if (!wire_skim_is_whole(skim) || eaten != row->len || skim->is_broken != row->is_broken ||
        (!row->is_broken && (skim->kind != row->kind || skim->id != row->id)))
        fail_msg("%s: %zu eaten, kind %u, id %llu%s", row->name, eaten, skim->kind,
                 (unsigned long long)skim->id, skim->is_broken ? ", broken" : "");
}

static void test_kind_and_number_are_found_wherever_they_stand_and_nothing_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        char *exact = malloc(row->len + 1); /* what is behind it is the next frame's */

        assert_non_null(exact);
        memcpy(exact, row->bytes, row->len);
        exact[row->len] = '\x05';
        for (size_t piece = 1; piece <= row->len + 1; piece++) {
            struct wire_skim skim = {0};
            size_t eaten = 0;

            for (size_t at = 0; at < row->len + 1 && eaten == at; at += piece) {
                size_t n = row->len + 1 - at < piece ? row->len + 1 - at : piece;

                eaten += wire_skim_feed(&skim, (const uint8_t *)exact + at, n);
            }
            check(row, &skim, eaten);
        }
        free(exact);
    }
}

static void test_what_is_missing_is_known_with_the_length(void **state)
{
    struct wire_skim skim = {0};

    (void)state;
    assert_int_equal(wire_skim_missing(&skim), 0);
    assert_int_equal(wire_skim_feed(&skim, (const uint8_t *)"\x80", 1), 1);
    assert_int_equal(wire_skim_missing(&skim), 0);
    assert_int_equal(wire_skim_feed(&skim, (const uint8_t *)"\x02\x1a", 2), 2);
    assert_int_equal(wire_skim_missing(&skim), 255);
    assert_false(wire_skim_is_whole(&skim));
}

/* What the skimmer takes for a member of ClientMessage is all there are, each with a number. */
static void
test_every_member_of_the_envelope_is_known_and_has_its_number_in_field_1(void **state)
{
    const ProtobufCMessageDescriptor *type = &xhrd__v1__client_message__descriptor;

    (void)state;
    for (uint32_t kind = 1; kind < 40; kind++) {
        uint8_t bytes[] = {5, (uint8_t)(kind << 3 & 0x7fu) | 0x82u, (uint8_t)(kind >> 4), 2, 8,
                           9};
        struct wire_skim skim = {0};
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(type, kind);

        assert_int_equal(wire_skim_feed(&skim, bytes, sizeof(bytes)), sizeof(bytes));
        assert_int_equal(skim.kind, field ? kind : 0);
        if (!field)
            continue;
        const ProtobufCFieldDescriptor *number =
            protobuf_c_message_descriptor_get_field(field->descriptor, 1);
        assert_int_equal(skim.id, 9);
        if (kind != 1) /* hello has none */
            assert_non_null(strstr(number->name ? number->name : "_id", "_id"));
        assert_true(number->type == PROTOBUF_C_TYPE_UINT32 ||
                    number->type == PROTOBUF_C_TYPE_UINT64);
    }
}

static void test_a_length_that_no_frame_may_have_is_broken(void **state)
{
    static const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 0x0f};
    struct wire_skim skim = {0};

    (void)state;
    assert_int_equal(wire_skim_feed(&skim, bytes, sizeof(bytes)), sizeof(bytes));
    assert_true(wire_skim_is_whole(&skim));
    assert_true(skim.is_broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_kind_and_number_are_found_wherever_they_stand_and_nothing_is_kept),
        cmocka_unit_test(test_what_is_missing_is_known_with_the_length),
        cmocka_unit_test(test_a_length_that_no_frame_may_have_is_broken),
        cmocka_unit_test(
            test_every_member_of_the_envelope_is_known_and_has_its_number_in_field_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
