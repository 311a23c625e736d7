/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "bar.h"
#include "support/test.h"

static void test_the_line_says_how_much_how_fast_and_how_long(void **state)
{
    static const struct {
        struct bar bar;
        uint64_t now_us;
        unsigned columns;
        const char *want;
    } rows[] = {
        {{.done_bytes = 0, .waiting = "dns"}, 3000000, 80, "dns  0:03"},
        {{.done_bytes = 3 << 20}, 2000000, 80, "3.0 MiB  1.5 MiB/s  0:02"},
        {{.done_bytes = 1 << 20, .total_known = true, .total_bytes = 4 << 20},
         1000000,
         62,
         "[==        ] 25.0%  1.0 MiB of 4.0 MiB  1.0 MiB/s  0:03 left"},
        {{.done_bytes = 4 << 20, .total_known = true, .total_bytes = 4 << 20},
         1000000,
         40,
         "100.0%  4.0 MiB of 4.0 MiB  4.0 MiB/s"},
        {{.done_bytes = 5, .upload = true, .total_known = true, .total_bytes = 10},
         1000000,
         40,
         "50.0%  5 B of 10 B sent  5 B/s  0:01 le"},
        {{.simple = true, .done_bytes = 5, .total_known = true, .total_bytes = 10},
         0,
         28,
         "##########            50.0%"},
        {{.simple = true, .done_bytes = 10, .total_known = true, .total_bytes = 10},
         0,
         28,
         "#################### 100.0%"},
        {{.simple = true, .done_bytes = 2048}, 0, 28, "2.0 KiB"},
        {{.simple = true, .done_bytes = 20, .total_known = true, .total_bytes = 10},
         0,
         28,
         "#################### 100.0%"},
        {{.simple = true, .total_known = true}, 0, 28, "#################### 100.0%"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};

        bar_format(&rows[i].bar, rows[i].now_us, rows[i].columns, &out);
        assert_true(out.len < rows[i].columns);
        if (strncmp(strbuf_text(&out), rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("%zu: '%.*s'", i, (int)out.len, strbuf_text(&out));
        strbuf_done(&out);
    }
}

static void test_it_waits_a_second_and_then_draws_ten_times_in_one(void **state)
{
    struct bar bar;

    (void)state;
    bar_start(&bar, false, false, 5000000);
    assert_int_equal(bar_timeout_ms(&bar, 5000000), -1);
    bar_start(&bar, true, false, 5000000);
    assert_int_equal(bar_timeout_ms(&bar, 5000000), 1000);
    assert_int_equal(bar_timeout_ms(&bar, 5999999), 1);
    assert_int_equal(bar_timeout_ms(&bar, 6000000), 0);
    bar_tick(&bar, 5500000);
    assert_false(bar.shown);
    bar_start(&bar, true, true, 5000000);
    assert_int_equal(bar_timeout_ms(&bar, 5000000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line_says_how_much_how_fast_and_how_long),
        cmocka_unit_test(test_it_waits_a_second_and_then_draws_ten_times_in_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
