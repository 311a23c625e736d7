/* SPDX-License-Identifier: MIT */
/* Numbers, escapes, JSON, the words for errors. */
#include <string.h>

#include "json.h"
#include "support/test.h"
#include "trouble.h"
#include "writeout.h"

static void test_numbers_are_written_without_printf(void **state)
{
    struct strbuf out = {0};

    (void)state;
    strbuf_add_u64(&out, UINT64_MAX);
    strbuf_add_char(&out, ' ');
    strbuf_add_i64(&out, INT64_MIN);
    strbuf_add_char(&out, ' ');
    strbuf_add_u64(&out, 0);
    strbuf_add_char(&out, ' ');
    strbuf_add_padded(&out, 7, 3);
    strbuf_add_char(&out, ' ');
    strbuf_add_seconds(&out, 1234567);
    strbuf_add_char(&out, ' ');
    strbuf_add_seconds(&out, 42);
    assert_string_equal(out.bytes, "18446744073709551615 -9223372036854775808 0 007 1.234567 "
                                   "0.000042");
    strbuf_done(&out);
}

static void test_sizes_are_short(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *want;
    } rows[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {1048575, "1023.9 KiB"},
        {1048576, "1.0 MiB"},
        {1ull << 40, "1.0 TiB"},
        {UINT64_MAX, "15.9 EiB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};

        strbuf_add_size(&out, rows[i].bytes);
        assert_string_equal(out.bytes, rows[i].want);
        strbuf_done(&out);
    }
}

static void test_control_characters_and_broken_utf8_never_reach_a_terminal(void **state)
{
    static const struct {
        const char *bytes, *shown, *json;
    } rows[] = {
        {"plain", "plain", "\"plain\""},
        {"\x1b[31m", "\\x1B[31m", "\"\\u001b[31m\""},
        {"a\tb\nc\r", "a\\x09b\\x0Ac\\x0D", "\"a\\tb\\nc\\r\""},
        {"\x7f", "\\x7F", "\"\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xc2\x9b", "\\xC2\\x9B", "\"\\u009b\""},
        {"\xff", "\\xFF", "\"\xef\xbf\xbd\""},
        {"\xc3", "\\xC3", "\"\xef\xbf\xbd\""},
        {"\xc0\xaf", "\\xC0\\xAF", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\\xED\\xA0\\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
        {"\xf4\x90\x80\x80", "\\xF4\\x90\\x80\\x80",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\"\\", "\"\\", "\"\\\"\\\\\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};
        struct json json = {.out = &out};

        strbuf_add_shown(&out, rows[i].bytes, strlen(rows[i].bytes));
        assert_string_equal(strbuf_text(&out), rows[i].shown);
        strbuf_clear(&out);
        json_text(&json, NULL, rows[i].bytes);
        assert_string_equal(strbuf_text(&out), rows[i].json);
        strbuf_done(&out);
    }
}

static void test_json_places_its_commas(void **state)
{
    struct strbuf out = {0};
    struct json json = {.out = &out};

    (void)state;
    json_object_begin(&json, NULL);
    json_array_begin(&json, "a");
    json_array_end(&json);
    json_array_begin(&json, "b");
    json_u64(&json, NULL, 1);
    json_object_begin(&json, NULL);
    json_bool(&json, "c", true);
    json_null(&json, "d");
    json_object_end(&json);
    json_array_end(&json);
    json_i64(&json, "e", -1);
    json_text(&json, "f", NULL);
    json_bytes(&json, "g", "\0x", 2);
    json_seconds(&json, "h", 1500000);
    json_object_end(&json);
    assert_string_equal(out.bytes,
                        "{\"a\":[],\"b\":[1,{\"c\":true,\"d\":null}],\"e\":-1,\"f\":null,"
                        "\"g\":\"\\u0000x\",\"h\":1.500000}");
    strbuf_done(&out);
}

static void test_ratios_have_four_decimals_and_stay_below_one(void **state)
{
    static const struct {
        uint64_t done, total;
        const char *want;
    } rows[] = {
        {0, 10, "0.0000"},
        {5, 10, "0.5000"},
        {1, 3, "0.3333"},
        {10, 10, "1.0000"},
        {11, 10, "1.0000"},
        {0, 0, "1.0000"},
        {99999, 100000, "0.9999"},
        {UINT64_MAX / 2, UINT64_MAX, "0.4999"},
        {UINT64_MAX - 1, UINT64_MAX, "0.9999"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};
        struct json json = {.out = &out};

        json_ratio(&json, NULL, rows[i].done, rows[i].total);
        if (strcmp(out.bytes, rows[i].want) != 0)
            fail_msg("%zu: %s", i, out.bytes);
        strbuf_done(&out);
    }
}

/* A proxy fails in more ways than its class tells apart. */
static void test_a_proxy_has_an_exit_code_for_each_way_to_fail(void **state)
{
    static const struct {
        enum xhr_error_class kind;
        enum xhr_phase phase;
        uint32_t detail;
        int code;
    } rows[] = {
        {XHR_ERROR_PROXY, XHR_PHASE_DNS, 2, 5},
        {XHR_ERROR_PROXY, XHR_PHASE_CONNECT, 0, 7},
        {XHR_ERROR_PROXY, XHR_PHASE_PROXY, 403, 56},
        {XHR_ERROR_PROXY, XHR_PHASE_PROXY, 0, 56},
        {XHR_ERROR_PROXY, XHR_PHASE_PROXY, 0x505, 97},
        {XHR_ERROR_PROTOCOL, XHR_PHASE_PROXY, 0, 97},
        {XHR_ERROR_PROTOCOL, XHR_PHASE_HEAD, 0, 8},
        {XHR_ERROR_LIMIT, XHR_PHASE_PROXY, 0, 63},
        {XHR_ERROR_TLS_VERIFY, XHR_PHASE_PROXY, 20, 60},
        {XHR_ERROR_TIMEOUT_CONNECT, XHR_PHASE_PROXY, 0, 28},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xhr_error error = {.kind = rows[i].kind,
                                  .phase = rows[i].phase,
                                  .detail = rows[i].detail,
                                  .name = "x",
                                  .text = "the reason"};
        struct trouble why;

        assert_int_equal(trouble_of_error(&why, &error, "http://h:1/x"), rows[i].code);
        assert_int_equal(why.exit_code, rows[i].code);
    }
}

/* curl's numbers, as shared/design/cli.md lists them. */
static void test_each_class_of_failure_has_its_exit_code_and_words(void **state)
{
    static const struct {
        enum xhr_error_class kind;
        int code;
    } rows[] = {
        {XHR_ERROR_ARGUMENT, 2},
        {XHR_ERROR_URL, 3},
        {XHR_ERROR_PROXY, 5},
        {XHR_ERROR_DNS, 6},
        {XHR_ERROR_CONNECT, 7},
        {XHR_ERROR_PROTOCOL, 8},
        {XHR_ERROR_TRUNCATED, 18},
        {XHR_ERROR_HTTP_STATUS, 22},
        {XHR_ERROR_WRITE, 23},
        {XHR_ERROR_BODY_READ, 26},
        {XHR_ERROR_MEMORY, 27},
        {XHR_ERROR_INTERNAL, 27},
        {XHR_ERROR_TIMEOUT_CONNECT, 28},
        {XHR_ERROR_TIMEOUT_IDLE, 28},
        {XHR_ERROR_TIMEOUT_TOTAL, 28},
        {XHR_ERROR_TLS, 35},
        {XHR_ERROR_TLS_VERSION, 35},
        {XHR_ERROR_ABORTED, 42},
        {XHR_ERROR_REDIRECT, 47},
        {XHR_ERROR_EMPTY_REPLY, 52},
        {XHR_ERROR_SEND, 55},
        {XHR_ERROR_RECEIVE, 56},
        {XHR_ERROR_TLS_VERIFY, 60},
        {XHR_ERROR_CODING, 61},
        {XHR_ERROR_LIMIT, 63},
        {XHR_ERROR_REWIND, 65},
        {XHR_ERROR_TLS_PIN, 90},
        {XHR_ERROR_TLS_STATUS, 91},
        {XHR_ERROR_TLS_VERDICT, 60},
        {XHR_ERROR_DAEMON_LOST, 100},
        {XHR_ERROR_DAEMON_REFUSED, 100},
        {XHR_ERROR_DAEMON_UNREACHABLE, 100},
        {XHR_ERROR_DAEMON_PROTOCOL, 100},
        {XHR_ERROR_SHUTDOWN, 100},
        {XHR_ERROR_POLICY, 101},
        {XHR_ERROR_QUOTA, 102},
        {XHR_ERROR_COOKIE_STORE, 23},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xhr_error error = {.kind = rows[i].kind, .name = "x", .text = "the reason"};
        struct trouble why;

        assert_int_equal(exit_code_of(rows[i].kind), rows[i].code);
        assert_int_equal(trouble_of_error(&why, &error, "http://h:1/x"), rows[i].code);
        assert_non_null(strstr(why.text, "the reason"));
        assert_null(strstr(why.text, "%s"));
        assert_null(strchr(why.text, '\n'));
    }
    assert_int_equal(exit_code_of((enum xhr_error_class)9999), EXIT_RESOURCES);
}

static void test_an_error_says_what_where_and_what_to_do_once(void **state)
{
    struct xhr_error error = {.kind = XHR_ERROR_CONNECT, .sys_errno = 111};
    struct trouble why;

    (void)state;
    (void)trouble_of_error(&why, &error, "http://u:p@localhost:1/x");
    assert_string_equal(why.text, "could not connect to localhost:1: Connection refused; check "
                                  "that the server runs and the port is right");
    error.text = "connection refused at 127.0.0.1; is the server running?";
    (void)trouble_of_error(&why, &error, "http://localhost:1/");
    assert_string_equal(why.text, "could not connect to localhost:1: connection refused at "
                                  "127.0.0.1; is the server running?");
    error.text = "bad\x1b[31m\ntext";
    (void)trouble_of_error(&why, &error, "http://localhost:1/");
    assert_null(strchr(why.text, '\x1b'));
    assert_null(strchr(why.text, '\n'));
}

static void test_unknown_write_out_variables_are_refused_before_anything_is_sent(void **state)
{
    static const struct {
        const char *format;
        int code;
    } rows[] = {
        {"%{http_code} %{json} %header{x} %{onerror}%{stderr}\\n", 0},
        {"100%% %x %{ 50% \\q %", 0},
        {"%{http_cod}", EXIT_USAGE},
        {"%{}", EXIT_USAGE},
        {"%{cert}", EXIT_USAGE},
        {"@/nonexistent/format", EXIT_READ},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf format = {0};
        struct trouble why;

        if (writeout_load(rows[i].format, &format, &why) != rows[i].code)
            fail_msg("%s", rows[i].format);
        strbuf_done(&format);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_written_without_printf),
        cmocka_unit_test(test_sizes_are_short),
        cmocka_unit_test(test_control_characters_and_broken_utf8_never_reach_a_terminal),
        cmocka_unit_test(test_json_places_its_commas),
        cmocka_unit_test(test_ratios_have_four_decimals_and_stay_below_one),
        cmocka_unit_test(test_a_proxy_has_an_exit_code_for_each_way_to_fail),
        cmocka_unit_test(test_each_class_of_failure_has_its_exit_code_and_words),
        cmocka_unit_test(test_an_error_says_what_where_and_what_to_do_once),
        cmocka_unit_test(test_unknown_write_out_variables_are_refused_before_anything_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
