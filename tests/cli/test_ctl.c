/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "ctl_options.h"
#include "listing.h"
#include "support/test.h"

#define WORDS_MAX 8

static int parse(const char *const words[], struct ctl_options *ret, struct trouble *why)
{
    static char copies[WORDS_MAX][32]; /* the options point into them */
    char *argv[WORDS_MAX + 2] = {(char[]){"xhrctl"}};

    for (size_t i = 0; i < WORDS_MAX && words[i]; i++) {
        memcpy(copies[i], words[i], strlen(words[i]) + 1);
        argv[i + 1] = copies[i];
    }
    return ctl_options_parse(argv, ret, why);
}

static void test_commands_and_flags_in_any_order(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        enum ctl_command command;
        const char *argument;
    } rows[] = {
        {{"status"}, CTL_STATUS, NULL},
        {{"har", "7"}, CTL_HAR, "7"},
        {{"log-level"}, CTL_LOG_LEVEL, NULL},
        {{"log-level", "debug", "--json"}, CTL_LOG_LEVEL, "debug"},
        {{"drain", "--exit"}, CTL_DRAIN, NULL},
        {{"monitor", "--har", "f", "--profile", "p"}, CTL_MONITOR, NULL},
        {{"metrics", "--textfile", "f"}, CTL_METRICS, NULL},
        {{"--json", "status"}, CTL_STATUS, NULL},
        {{"show", "clients"}, CTL_SHOW_CLIENTS, NULL},
        {{"show", "--json", "requests"}, CTL_SHOW_REQUESTS, NULL},
        {{"show", "connections", "--socket", "/x"}, CTL_SHOW_CONNECTIONS, NULL},
        {{"show", "pools"}, CTL_SHOW_POOLS, NULL},
        {{"show", "tls-sessions"}, CTL_SHOW_TLS_SESSIONS, NULL},
        {{"cookies", "list", "--jar", "work", "--values"}, CTL_COOKIES_LIST, NULL},
        {{"cookies", "--domain", "a.example", "clear"}, CTL_COOKIES_CLEAR, NULL},
        {{"cookies", "list", "--why", "http://a/"}, CTL_COOKIES_LIST, NULL},
        {{"cookies", "get", "sid", "--host", "a.example"}, CTL_COOKIES_GET, "sid"},
        {{"cookies", "set", "a=1", "--url", "http://a/", "--secure"}, CTL_COOKIES_SET, "a=1"},
        {{"cookies", "rm", "a"}, CTL_COOKIES_RM, "a"},
        {{"cookies", "import", "-"}, CTL_COOKIES_IMPORT, "-"},
        {{"cookies", "export"}, CTL_COOKIES_EXPORT, NULL},
        {{"cookies", "export", "file", "--json"}, CTL_COOKIES_EXPORT, "file"},
        {{"cookies", "watch", "--jar", "w"}, CTL_COOKIES_WATCH, NULL},
        {{"jar", "list"}, CTL_JAR_LIST, NULL},
        {{"jar", "list", "ann"}, CTL_JAR_LIST, "ann"},
        {{"jar", "create", "w"}, CTL_JAR_CREATE, "w"},
        {{"jar", "rm", "w"}, CTL_JAR_RM, "w"},
        {{"jar", "grant", "w", "@staff", "use"}, CTL_JAR_GRANT, "w"},
        {{"jar", "revoke", "w", "ann"}, CTL_JAR_REVOKE, "w"},
        {{"session", "end"}, CTL_SESSION_END, NULL},
        {{"hsts", "list"}, CTL_HSTS_LIST, NULL},
        {{"hsts", "rm", "a.example", "--json"}, CTL_HSTS_RM, "a.example"},
        {{"policy", "check", "http://a/", "--as", "ann"}, CTL_POLICY_CHECK, "http://a/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_options options;
        struct trouble why;

        assert_int_equal(parse(rows[i].words, &options, &why), 0);
        assert_int_equal(options.command, rows[i].command);
        assert_int_equal(options.argument != NULL, rows[i].argument != NULL);
        if (rows[i].argument)
            assert_string_equal(options.argument, rows[i].argument);
    }
}

static void test_refusals_name_what_there_is(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *says;
    } rows[] = {
        {{NULL}, "no command"},
        {{"frobnicate"},
         "there are status, show, top, monitor, har, metrics, drain, reload, log-level, "
         "cookies"},
        {{"har"}, "har wants a word more: har REQUEST"},
        {{"reload", "x"}, "takes no further word"},
        {{"metrics", "--json"}, "--json does not go with metrics"},
        {{"drain", "--har", "f"}, "--har does not go with drain"},
        {{"show"}, "there is show clients, requests, connections, pools, tls-sessions"},
        {{"show", "nonsense"}, "there is show clients"},
        {{"cookies", "eat"},
         "there is cookies list, get, set, rm, clear, import, export, watch"},
        {{"status", "now"}, "status takes no further word"},
        {{"show", "clients", "now"}, "one word too many"},
        {{"hsts", "rm", "a.example", "b.example"}, "one word too many: b.example"},
        {{"hsts", "rm"}, "wants a word more: hsts rm HOST"},
        {{"hsts", "list", "a.example"}, "one word too many"},
        {{"hsts"}, "there is hsts list, rm"},
        {{"cache"}, "there is cache show, clear"},
        {{"cache", "show", "a.example", "b.example"}, "one word too many: b.example"},
        {{"cookies", "get"}, "wants a word more: cookies get NAME"},
        {{"cookies", "get", "a", "--name", "b"}, "--name does not go with cookies get"},
        {{"cookies", "clear", "--why", "http://a/"}, "--why does not go with cookies clear"},
        {{"cookies", "list", "--url", "http://a/"}, "--url does not go with cookies list"},
        {{"jar", "grant", "w", "ann"}, "wants a word more: jar grant NAME WHO RIGHT"},
        {{"jar", "grant", "w", "ann", "use", "now"}, "one word too many: now"},
        {{"jar"}, "there is jar list, create, rm, grant, revoke"},
        {{"session", "end", "--values"}, "--values does not go with session end"},
        {{"status", "--jason"}, "nearest is --json"},
        {{"status", "-q"}, "unknown flag -q"},
        {{"status", "--socket"}, "--socket wants a value"},
        {{"cookies", "list", "--name"}, "--name wants a value"},
        {{"policy", "check", "http://a/", "--as", ""}, "--as wants a value: --as USER"},
        {{"policy", "check", "http://a/", "--as="}, "--as wants a value: --as USER"},
        {{"status", "--json=yes"}, "--json takes no value"},
        {{"status", "--jsonly"}, "nearest is --json"},
        {{"purge"}, "purge-user"},
        {{"status", "--jar", "x"}, "--jar does not go with status"},
        {{"cookies", "clear", "--values"}, "--values does not go with cookies clear"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ctl_options options;
        struct trouble why = {0};

        if (parse(rows[i].words, &options, &why) != EXIT_USAGE ||
            !strstr(why.text, rows[i].says))
            fail_msg("%zu: %s", i, why.text);
    }
}

static void test_a_value_stands_behind_a_blank_or_an_equals_sign(void **state)
{
    static const char *const rows[][6] = {{"policy", "check", "http://a/", "--as", "ann"},
                                          {"--as=ann", "policy", "check", "http://a/"}};
    struct ctl_options options;
    struct trouble why = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(parse(rows[i], &options, &why), 0);
        assert_string_equal(options.as, "ann");
        assert_string_equal(options.argument, "http://a/");
    }
    static const char *const empty[6] = {"cookies", "list", "--name="};
    assert_int_equal(parse(empty, &options, &why), 0);
    assert_string_equal(options.name, "");
}

static struct cell text(const char *key, const char *value)
{
    return (struct cell){.key = key, .kind = CELL_TEXT, .bytes = value, .len = strlen(value)};
}

static void add_rows(struct listing *listing)
{
    const struct cell first[] = {
        text("name", "long\x1b[31m"),
        {.key = "n", .kind = CELL_NUMBER, .number = 5},
        {.key = "age_s", .kind = CELL_SECONDS, .number = 3725},
        {.key = "only_json", .kind = CELL_BOOL, .flags = CELL_OF_JSON, .number = 1},
    };
    const struct cell second[] = {
        text("name", ""),
        {.key = "n", .kind = CELL_NUMBER, .number = 12345},
        {.key = "age_s", .kind = CELL_SECONDS, .flags = CELL_NONE},
        {.key = "only_json", .kind = CELL_BOOL, .flags = CELL_OF_JSON, .number = 0},
    };

    listing_add(listing, first, 4);
    listing_add(listing, second, 4);
}

static void test_a_table_is_aligned_and_escaped(void **state)
{
    struct listing listing;
    struct strbuf out = {0};

    (void)state;
    listing_begin(&listing, false);
    add_rows(&listing);
    listing_end(&listing, "nothing", &out);
    assert_string_equal(out.bytes, "NAME              N  AGE S\n"
                                   "long\\x1B[31m      5  1h02m\n"
                                   "-             12345      -\n");
    listing_done(&listing);
    strbuf_done(&out);
}

static void test_json_is_one_array_with_an_object_a_line(void **state)
{
    struct listing listing;
    struct strbuf out = {0};

    (void)state;
    listing_begin(&listing, true);
    add_rows(&listing);
    listing_end(&listing, "nothing", &out);
    assert_string_equal(
        out.bytes, "[\n{\"name\":\"long\\u001b[31m\",\"n\":5,\"age_s\":3725,\"only_json\":true}"
                   ",\n{\"name\":\"\",\"n\":12345,\"age_s\":null,\"only_json\":false}\n]\n");
    listing_done(&listing);
    strbuf_clear(&out);
    listing_begin(&listing, true);
    listing_end(&listing, "nothing", &out);
    assert_string_equal(out.bytes, "[]\n");
    listing_done(&listing);
    strbuf_done(&out);
}

static void test_an_empty_table_says_so(void **state)
{
    struct listing listing;
    struct strbuf out = {0};

    (void)state;
    listing_begin(&listing, false);
    listing_end(&listing, "no clients", &out);
    assert_string_equal(out.bytes, "no clients\n");
    listing_done(&listing);
    strbuf_done(&out);
}

static void test_durations_and_dates_are_short(void **state)
{
    static const struct {
        struct cell cell;
        const char *want;
    } rows[] = {
        {{.kind = CELL_SECONDS, .number = 0}, "0s"},
        {{.kind = CELL_SECONDS, .number = 59}, "59s"},
        {{.kind = CELL_SECONDS, .number = 61}, "1m01s"},
        {{.kind = CELL_SECONDS, .number = 90061}, "1d01h"},
        {{.kind = CELL_MICROSECONDS, .number = 999}, "0ms"},
        {{.kind = CELL_MICROSECONDS, .number = 12345}, "12ms"},
        {{.kind = CELL_MICROSECONDS, .number = 1540000}, "1.5s"},
        {{.kind = CELL_MICROSECONDS, .number = 61000000}, "1m01s"},
        {{.kind = CELL_DATE, .number = 0}, "1970-01-01T00:00:00Z"},
        {{.kind = CELL_DATE, .number = 1790000000}, "2026-09-21T14:13:20Z"},
        {{.kind = CELL_DATE, .number = INT64_MAX}, "9223372036854775807"},
        {{.kind = CELL_HIDDEN}, "****"},
        {{.kind = CELL_BYTES, .number = 2048}, "2.0 KiB"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cell cell = rows[i].cell;
        struct strbuf out = {0};

        cell.key = "x";
        listing_show_one(&cell, 1, false, &out);
        assert_true(out.len > 26);
        out.bytes[out.len - 1] = '\0';
        assert_string_equal(out.bytes + 26, rows[i].want);
        strbuf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_and_flags_in_any_order),
        cmocka_unit_test(test_refusals_name_what_there_is),
        cmocka_unit_test(test_a_value_stands_behind_a_blank_or_an_equals_sign),
        cmocka_unit_test(test_a_table_is_aligned_and_escaped),
        cmocka_unit_test(test_json_is_one_array_with_an_object_a_line),
        cmocka_unit_test(test_an_empty_table_says_so),
        cmocka_unit_test(test_durations_and_dates_are_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
