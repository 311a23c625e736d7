/* SPDX-License-Identifier: MIT */
/* SOCKS5, byte by byte: what is said, and what is made of answers cut anywhere (PX08, PX09). */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "net/socks5.h"
#include "support/span_test.h"

static char too_long[SOCKS5_NAME_MAX + 2];

static void assert_bytes(struct buf *buf, const void *bytes, size_t len)
{
    assert_int_equal(buf->len, len);
    assert_memory_equal(buf_span(buf).ptr, bytes, len);
    buf_done(buf);
}

static void test_words_are_those_of_rfc_1928_and_1929(void **state)
{
    struct buf out = BUF_INIT(0);

    (void)state;
    assert_int_equal(socks5_format_hello(&out, false), 0);
    assert_bytes(&out, "\x05\x01\x00", 3);
    assert_int_equal(socks5_format_hello(&out, true), 0);
    assert_bytes(&out, "\x05\x02\x00\x02", 4);
    assert_int_equal(socks5_format_login(&out, SPAN_LIT("ann"), SPAN_LIT("pw")), 0);
    assert_bytes(&out,
                 "\x01\x03"
                 "ann\x02pw",
                 8);
    assert_int_equal(socks5_format_login(&out, SPAN_LIT("ann"), (struct span){0}), 0);
    assert_bytes(&out,
                 "\x01\x03"
                 "ann\x00",
                 6);
    assert_int_equal(socks5_format_connect(&out, SPAN_LIT("a.com"), 443), 0);
    assert_bytes(&out,
                 "\x05\x01\x00\x03\x05"
                 "a.com\x01\xbb",
                 12);
    assert_int_equal(socks5_format_connect(&out, SPAN_LIT("127.0.0.1"), 80), 0);
    assert_bytes(&out, "\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", 10);
    assert_int_equal(socks5_format_connect(&out, SPAN_LIT("[::1]"), 80), 0);
    assert_bytes(&out, "\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50", 22);
    /* An address in an unusual form is a name: it is the proxy's to make sense of it. */
    assert_int_equal(socks5_format_connect(&out, SPAN_LIT("127.1"), 80), 0);
    assert_bytes(&out,
                 "\x05\x01\x00\x03\x05"
                 "127.1\x00\x50",
                 12);
}

static void test_px08_a_name_of_256_bytes_is_refused_and_writes_nothing(void **state)
{
    struct buf out = BUF_INIT(0);
    struct span longest = {too_long, SOCKS5_NAME_MAX};

    (void)state;
    memset(too_long, 'a', sizeof(too_long) - 1);
    assert_int_equal(socks5_format_connect(&out, span_of(too_long), 80), -EINVAL);
    assert_int_equal(socks5_format_connect(&out, (struct span){0}, 80), -EINVAL);
    assert_int_equal(socks5_format_connect(&out, SPAN_LIT("fe80::1%eth0"), 80), -EINVAL);
    assert_int_equal(socks5_format_login(&out, span_of(too_long), SPAN_LIT("x")), -EINVAL);
    assert_int_equal(socks5_format_login(&out, SPAN_LIT("x"), span_of(too_long)), -EINVAL);
    assert_int_equal(socks5_format_login(&out, (struct span){0}, SPAN_LIT("x")), -EINVAL);
    assert_int_equal(out.len, 0);
    assert_int_equal(socks5_format_connect(&out, longest, 80), 0);
    assert_int_equal(out.len, 4 + 1 + 255 + 2);
    assert_int_equal((uint8_t)buf_span(&out).ptr[4], 255);
    buf_done(&out);
}

static void test_a_method_is_one_of_those_offered(void **state)
{
    static const struct {
        struct span have;
        bool with_login;
        int want;
        enum socks5_method method;
    } rows[] = {
        {{"\x05\x00", 2}, false, SOCKS5_OK, SOCKS5_METHOD_NONE},
        {{"\x05\x00", 2}, true, SOCKS5_OK, SOCKS5_METHOD_NONE},
        {{"\x05\x02", 2}, true, SOCKS5_OK, SOCKS5_METHOD_LOGIN},
        {{"\x05\x02", 2}, false, SOCKS5_E_METHOD, 0},
        {{"\x05\x01", 2}, true, SOCKS5_E_METHOD, 0},
        {{"\x05\xff", 2}, false, SOCKS5_OK, SOCKS5_METHOD_REFUSED},
        {{"\x04\x5a", 2}, false, SOCKS5_E_VERSION, 0},
        {{"H", 1}, false, SOCKS5_E_VERSION, 0},
        {{"\x05", 1}, false, SOCKS5_MORE, 0},
        {{"", 0}, false, SOCKS5_MORE, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum socks5_method method = SOCKS5_METHOD_REFUSED;
        size_t need = 0;

        assert_int_equal(socks5_parse_method(rows[i].have, rows[i].with_login, &method, &need),
                         rows[i].want);
        if (rows[i].want == SOCKS5_OK)
            assert_int_equal(method, rows[i].method);
        if (rows[i].want == SOCKS5_MORE)
            assert_int_equal(need, 2);
        assert_true(strlen(socks5_outcome_text(rows[i].want)) > 0);
    }
}

static void test_a_login_succeeds_with_0_alone(void **state)
{
    uint8_t status = 99;
    size_t need = 0;

    (void)state;
    assert_int_equal(socks5_parse_login((struct span){"\x01\x00", 2}, &status, &need), 0);
    assert_int_equal(status, 0);
    assert_int_equal(socks5_parse_login((struct span){"\x01\xff", 2}, &status, &need), 0);
    assert_int_equal(status, 255);
    assert_int_equal(socks5_parse_login((struct span){"\x05\x00", 2}, &status, &need),
                     SOCKS5_E_VERSION);
    assert_int_equal(socks5_parse_login((struct span){"\x01", 1}, &status, &need), SOCKS5_MORE);
    assert_int_equal(need, 2);
}

/* Feeds it no more than it asks for. Return: the outcome when there is no more to give. */
static int feed(struct span all, uint8_t *ret_reply, size_t *ret_taken)
{
    size_t have = 0;
    size_t need = 0;
    int r;

    while ((r = socks5_parse_reply(span_take(all, have), ret_reply, &need)) == SOCKS5_MORE) {
        assert_true(need > have && need <= SOCKS5_REPLY_MAX);
        if (have == all.len)
            break;
        have = need < all.len ? need : all.len;
    }
    *ret_taken = have;
    return r;
}

static void test_px09_a_reply_may_be_cut_at_each_byte_and_lie(void **state)
{
    static char named[SOCKS5_REPLY_MAX] = {5, 0, 0, 3, (char)255};
    static const struct {
        struct span bytes;
        int want;
        uint8_t reply;
        size_t taken; /* SOCKS5_OK: not a byte of what lies behind the reply */
    } rows[] = {
        {{"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50HTTP/1.1", 18}, SOCKS5_OK, 0, 10},
        {{"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50H", 23}, SOCKS5_OK, 0, 22},
        {{"\x05\x00\x00\x03\x01"
          "a\x00\x50H",
          9},
         SOCKS5_OK,
         0,
         8},
        {{"\x05\x00\x00\x03\x00\x00\x50H", 8}, SOCKS5_OK, 0, 7},
        {{named, sizeof(named)}, SOCKS5_OK, 0, sizeof(named)}, /* len 255 */
        {{named, sizeof(named) - 1}, SOCKS5_MORE, 0, 0},
        {{"\x05\x05", 2}, SOCKS5_OK, 5, 2}, /* hung up behind it */
        {{"\x05\xff\x00\x01\0\0\0\0\0\0", 10}, SOCKS5_OK, 255, 2},
        {{"\x05\x00\x00\x02\0\0\0\0\0\0", 10}, SOCKS5_E_ADDRESS, 0, 0}, /* bad atyp */
        {{"\x05\x00\x00\x00\0\0\0\0\0\0", 10}, SOCKS5_E_ADDRESS, 0, 0},
        {{"\x05\x00\x00\xff\0\0\0\0\0\0", 10}, SOCKS5_E_ADDRESS, 0, 0},
        {{"\x04\x5a\0\0\0\0\0\0", 8}, SOCKS5_E_VERSION, 0, 0},
        {{"HTTP/1.1 400 Bad Request\r\n\r\n", 28}, SOCKS5_E_VERSION, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t reply = 0;
        size_t taken;

        assert_int_equal(feed(rows[i].bytes, &reply, &taken), rows[i].want);
        if (rows[i].want != SOCKS5_OK)
            continue;
        assert_int_equal(reply, rows[i].reply);
        assert_int_equal(taken, rows[i].taken);
        for (size_t cut = 0; cut < rows[i].taken; cut++)
            assert_int_equal(feed(span_take(rows[i].bytes, cut), &reply, &taken), SOCKS5_MORE);
    }
}

static void test_every_reply_has_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++)
        assert_true(strlen(socks5_reply_text((uint8_t)i)) > 0);
    assert_string_equal(socks5_reply_text(5), "connection refused");
}

static void test_lack_of_memory_is_told(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct buf out = BUF_INIT(0);

        mem_fail_at(n);
        int r = socks5_format_hello(&out, true);
        if (r == 0)
            r = socks5_format_login(&out, SPAN_LIT("ann"), SPAN_LIT("pw"));
        if (r == 0)
            r = socks5_format_connect(&out, SPAN_LIT("a.com"), 443);
        mem_fail_at(0);
        buf_done(&out);
        if (r == 0)
            return;
        assert_int_equal(r, -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_those_of_rfc_1928_and_1929),
        cmocka_unit_test(test_px08_a_name_of_256_bytes_is_refused_and_writes_nothing),
        cmocka_unit_test(test_a_method_is_one_of_those_offered),
        cmocka_unit_test(test_a_login_succeeds_with_0_alone),
        cmocka_unit_test(test_px09_a_reply_may_be_cut_at_each_byte_and_lie),
        cmocka_unit_test(test_every_reply_has_words),
        cmocka_unit_test(test_lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
