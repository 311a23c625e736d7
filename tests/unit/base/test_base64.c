/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/base64.h"
#include "support/test.h"

static void test_rfc_4648_section_10(void **state)
{
    static const char *const rows[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xff\xfe\xfb\xef\xbe", "///+++++"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);

        assert_int_equal(buf_append_char(&out, '>'), 0);
        assert_int_equal(base64_encode(&out, span_of(rows[i][0])), 0);
        assert_string_equal(buf_c_str(&out) + 1, rows[i][1]);
    }
}

static void test_it_takes_exactly_the_room_it_needs(void **state)
{
    (void)state;
    for (size_t len = 0; len < 10; len++) {
        CLEANUP_BUF struct buf exact = BUF_INIT(((len + 2) / 3 * 4) + 1);
        CLEANUP_BUF struct buf tight = BUF_INIT((len + 2) / 3 * 4);
        struct span bytes = {"0123456789", len};

        assert_int_equal(buf_append_char(&exact, '>'), 0);
        assert_int_equal(base64_encode(&exact, bytes), 0);
        if (tight.max == 0)
            continue; /* would be no cap at all */
        assert_int_equal(buf_append_char(&tight, '>'), 0);
        assert_int_equal(base64_encode(&tight, bytes), -EMSGSIZE);
        assert_string_equal(buf_c_str(&tight), ">");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_4648_section_10),
        cmocka_unit_test(test_it_takes_exactly_the_room_it_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
