/* SPDX-License-Identifier: MIT */
/* Golden bytes of every message: protobuf-c reads them, finds nothing wrong, and writes the
 * same. tests/tools/check_golden.py holds them against protobuf itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "wire/codec.h"
#include "wire/frame.h"
#include "wire/planned.h"
#include "wire/precheck.h"
#include "xhrd/v1/envelope.pb-c.h"

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct wire_plans plans;

/* Our own packers and unpacker do what protobuf-c does. */
static void check_codec(const char *name,
                        const ProtobufCMessageDescriptor *type,
                        const uint8_t *bytes,
                        size_t len)
{
    _Alignas(16) uint8_t block[16384];
    uint8_t packed[4096];
    uint8_t *at = NULL;

    ProtobufCMessage *message = wire_unpack(type, bytes, len, block, sizeof(block));
    if (!message)
        fail_msg("%s: is left to protobuf-c", name);
    assert_int_equal(protobuf_c_message_get_packed_size(message), len);
    assert_int_equal(protobuf_c_message_pack(message, packed), len);
    if (memcmp(packed, bytes, len) != 0)
        fail_msg("%s: unpacks to something else", name);
    assert_int_equal(wire_pack(message, packed, sizeof(packed), &at), len);
    if (len > 0 && memcmp(at, bytes, len) != 0)
        fail_msg("%s: is packed to other bytes", name);
    for (int again = 0; again < 2; again++) { /* the first time it is planned */
        assert_int_equal(wire_pack_planned(&plans, message, packed, sizeof(packed), &at), len);
        if (len > 0 && memcmp(at, bytes, len) != 0)
            fail_msg("%s: is packed to other bytes by plan", name);
    }
    for (size_t room = 0; room < len; room++)
        assert_int_equal(wire_pack(message, packed, room, &at), 0);
    for (size_t room = 0; room < len; room++)
        assert_int_equal(wire_pack_planned(&plans, message, packed, room, &at), 0);
    for (size_t room = 0; room < 1024; room += 8)
        if (wire_unpack(type, bytes, len, block, room))
            return;
    assert_non_null(wire_unpack(type, bytes, len, block, sizeof(block)));
}

static void check_bytes(const char *name,
                        const ProtobufCMessageDescriptor *type,
                        const uint8_t *bytes,
                        size_t len)
{
    uint8_t packed[4096];

    enum wire_verdict verdict = wire_precheck(type, bytes, len);
    if (verdict != WIRE_FINE)
        fail_msg("%s: %s", name, wire_verdict_text(verdict));
    ProtobufCMessage *message = protobuf_c_message_unpack(type, NULL, len, bytes);
    if (!message)
        fail_msg("%s: does not unpack", name);
    assert_int_equal(protobuf_c_message_get_packed_size(message), len);
    assert_true(len <= sizeof(packed));
    assert_int_equal(protobuf_c_message_pack(message, packed), len);
    if (memcmp(packed, bytes, len) != 0)
        fail_msg("%s: packs to other bytes", name);
    protobuf_c_message_free_unpacked(message, NULL);
    check_codec(name, type, bytes, len);
}

/* The hand-written head of a body chunk is what the library writes. */
static void
check_body(const char *name, enum wire_reader reader, const uint8_t *bytes, size_t len)
{
    uint8_t framed[4096];
    uint8_t head[WIRE_BODY_HEAD_MAX];
    struct wire_frame frame;
    struct wire_body body;

    size_t prefix = wire_frame_prefix(framed, len);
    memcpy(framed + prefix, bytes, len);
    assert_int_equal(wire_frame_next(framed, prefix + len, &frame), WIRE_READY);
    if (!wire_body_parse(&frame, reader, &body))
        fail_msg("%s: is not seen as a body chunk", name);
    assert_int_equal(wire_body_head(head, reader, body.request_id, body.data_len),
                     body.head_len);
    assert_memory_equal(head, framed, body.head_len);
}

static void test_golden_bytes_come_through_protobuf_c_unchanged(void **state)
{
    FILE *file = fopen(GOLDEN, "re");
    static char line[8192];
    unsigned count = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        char name[64];
        char type[64];
        static char digits[8000];
        static uint8_t bytes[4000];
        size_t len = 0;

        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%63s %63s %7999s", name, type, digits), 3);
        for (; digits[2 * len]; len++)
            bytes[len] = (uint8_t)(digit(digits[2 * len]) << 4 | digit(digits[2 * len + 1]));
        bool from_client = strcmp(type, "ClientMessage") == 0;
        check_bytes(name,
                    from_client ? &xhrd__v1__client_message__descriptor
                                : &xhrd__v1__server_message__descriptor,
                    bytes, len);
        if (strncmp(name, "body_up", 7) == 0 || strncmp(name, "body_down", 9) == 0)
            check_body(name, from_client ? WIRE_DAEMON : WIRE_CLIENT, bytes, len);
        count++;
    }
    (void)fclose(file);
    assert_true(count >= 25);
}

/* Types for which there is no place are packed all the same. */
static void test_full_plans_change_no_byte(void **state)
{
    (void)state;
    plans.n_steps = WIRE_STEPS_MAX;
    memset(plans.plans, 0, sizeof(plans.plans));
    test_golden_bytes_come_through_protobuf_c_unchanged(state);
    assert_int_equal(plans.n_steps, WIRE_STEPS_MAX);
    plans.n_steps = WIRE_STEPS_MAX - 40; /* for some there is */
    test_golden_bytes_come_through_protobuf_c_unchanged(state);
    assert_in_range(plans.n_steps, WIRE_STEPS_MAX - 39, WIRE_STEPS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_plans_change_no_byte),
        cmocka_unit_test(test_golden_bytes_come_through_protobuf_c_unchanged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
