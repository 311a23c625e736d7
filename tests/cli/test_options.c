/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flags.h"
#include "options.h"
#include "strbuf.h"
#include "support/test.h"

#define ARGUMENTS_MAX 16

struct parsed {
    struct cli_options options;
    struct trouble why;
    int code;
    char *argv[ARGUMENTS_MAX + 2];
};

/* @line: arguments separated by a '|', so that they may hold blanks. */
static struct parsed *parse(const char *line)
{
    struct parsed *parsed = calloc(1, sizeof(*parsed));
    int argc = 1;

    assert_non_null(parsed);
    parsed->argv[0] = strdup("xhr");
    while (*line) {
        size_t len = strcspn(line, "|");

        assert_true(argc <= ARGUMENTS_MAX);
        parsed->argv[argc++] = strndup(line, len);
        line += len + (line[len] == '|');
    }
    parsed->code = cli_options_parse(argc, parsed->argv, &parsed->options, &parsed->why);
    return parsed;
}

static void done(struct parsed *parsed)
{
    cli_options_done(&parsed->options);
    for (size_t i = 0; parsed->argv[i]; i++)
        free(parsed->argv[i]);
    free(parsed);
}

static void test_refused_command_lines_say_what_is_wrong_and_what_would_be_right(void **state)
{
    static const struct {
        const char *line, *says;
        int code;
    } rows[] = {
        {"-s", "no URL", 2},
        {"", "no URL", 2},
        {"--hedaer|http://a/", "--hedaer; the nearest is --header", 2},
        {"--heade|http://a/", "nearest is --header", 2},
        {"--inseucre|http://a/", "nearest is --insecure", 2},
        {"--zzzzqqqq|http://a/", "unknown flag --zzzzqqqq; see", 2},
        {"-Z|http://a/", "unknown flag -Z", 2},
        {"-K|http://a/", "there is no -K here", 2},
        {"-M|http://a/", "nearest is -m, --max-time", 2},
        {"-sSZ|http://a/", "unknown flag -Z", 2},
        {"-F|a=b|-d|c|http://a/", "-d, -F and -T are bodies of their own", 2},
        {"-F|a=b|-T|c|http://a/", "take one of them", 2},
        {"-T|a|--json|{}|http://a/", "take one of them", 2},
        {"-I|-F|a=b|http://a/", "-I sends no body", 2},
        {"-G|-T|x|http://a/", "-G sends no body", 2},
        {"-T|x|http://a/|http://b/", "one file to one URL", 2},
        {"-T|x|-T|y|http://a/", "one file to one URL", 2},
        {"-T||http://a/", "the name of a file is missing", 2},
        {"--form-escape|http://a/", "as browsers do", 2},
        {"-C|x|http://a/", "-C 'x': write - to go on", 2},
        {"-C|5x|-o|a|http://a/", "-C '5x': write - to go on", 2},
        {"-C|99999999999999999999|http://a/", "how many bytes to leave out", 2},
        {"-C|-|-r|0-5|-o|a|http://a/", "-C and -r", 2},
        {"-C|5|-r|0-5|-o|a|http://a/", "-C and -r", 2},
        {"-C|-|--no-clobber|-o|a|http://a/", "want a new one", 2},
        {"-C|-|-d|x|-o|a|http://a/", "the body of a GET", 2},
        {"-C|-|-i|-o|a|http://a/", "the body of a GET", 2},
        {"-C|-|-X|PUT|-o|a|http://a/", "the body of a GET", 2},
        {"-J|http://a/", "add -O", 2},
        {"-J|-o|a|http://a/", "add -O", 2},
        {"-OJi|http://a/", "before its name is known", 2},
        {"--max-filesize|5x|http://a/", "write bytes", 2},
        {"--max-filesize|5kb|http://a/", "write bytes", 2},
        {"--max-filesize||http://a/", "write bytes", 2},
        {"--max-filesize|9999P|http://a/", "write bytes", 2},
        {"-c|jar|--jar|work|http://a/", "take one of them", 2},
        {"-b|jar|--jar|none|http://a/", "take one of them", 2},
        {"-c||http://a/", "the name of a file is missing", 2},
        {"-j|http://a/", "-b FILE, which is not given", 2},
        {"-X", "-X wants a value: -X METHOD", 2},
        {"http://a/|--max-time", "--max-time wants a value", 2},
        {"--max-time=5|http://a/", "write --max-time SECONDS, without =", 2},
        {"--silent=yes|http://a/", "--silent takes no value", 2},
        {"--nosuch=5|http://a/", "unknown flag --nosuch", 2},
        {"--events=|http://a/", "the name of a file is missing", 2},
        {"-m|soon|http://a/", "--max-time 'soon': write seconds", 2},
        {"-m|-1|http://a/", "write seconds", 2},
        {"-m|.|http://a/", "write seconds", 2},
        {"-m||http://a/", "write seconds", 2},
        {"-m|1.2.3|http://a/", "write seconds", 2},
        {"-m|99999999999|http://a/", "write seconds", 2},
        {"--max-redirs|many|http://a/", "write a number", 2},
        {"--max-redirs|-2|http://a/", "write a number", 2},
        {"--max-redirs||http://a/", "write a number", 2},
        {"--max-redirs|18446744073709551616|http://a/", "write a number", 2},
        {"-H|no colon|http://a/", "-H 'no colon': write 'Name: value'", 2},
        {"-H|: value|http://a/", "write 'Name: value'", 2},
        {"-H|Name; more|http://a/", "write 'Name: value'", 2},
        {"-r|5|http://a/", "-r '5': write bytes", 2},
        {"-r|a-b|http://a/", "write bytes", 2},
        {"--jar||http://a/", "name a jar", 2},
        {"-f|--fail-with-body|http://a/", "take one of them", 2},
        {"-I|-d|x|http://a/", "-I is HEAD and data is POST", 2},
        {"--raw|--compressed|http://a/", "contradict", 2},
        {"-o|a|-o|b|http://a/", "2 -o or -O, but only 1 URL", 2},
        {"--resolve|nonsense|http://a/", "write host:port:address", 2},
        {"--resolve|a:0:1.2.3.4|http://a/", "write host:port:address", 2},
        {"--resolve|a:65536:1.2.3.4|http://a/", "write host:port:address", 2},
        {"--resolve|a:80:|http://a/", "an address is missing", 2},
        {"--resolve|a:80:1.2.3.4,|http://a/", "an address is missing", 2},
        {"--resolve|-a:80|http://a/", "'-' is not supported", 2},
        {"--resolve|*:80:1.2.3.4|http://a/", "'*' is not supported", 2},
        {"--connect-to|a:b:c:d|http://a/", "write HOST1:PORT1:HOST2:PORT2", 2},
        {"--connect-to|a:80|http://a/", "", 0}, /* as curl: the rest is empty */
        {"--connect-to|[::1:80:b:81|http://a/", "write HOST1:PORT1:HOST2:PORT2", 2},
        {"-|http://a/", "'-' is not a URL", 2},
        {"-s|", "no URL", 2},
        {"-i|--|", "no URL", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct parsed *parsed = parse(rows[i].line);

        if (parsed->code != rows[i].code || !strstr(parsed->why.text, rows[i].says))
            fail_msg("%s: %d %s", rows[i].line, parsed->code, parsed->why.text);
        done(parsed);
    }
}

static void test_an_empty_url_is_no_url(void **state)
{
    char *argv[] = {(char[]){"xhr"}, (char[]){""}, NULL};
    struct cli_options options;
    struct trouble why;

    (void)state;
    assert_int_equal(cli_options_parse(2, argv, &options, &why), EXIT_URL);
    cli_options_done(&options);
}

static void test_letters_join_and_values_follow_at_once_or_next(void **state)
{
    struct parsed *p = parse("-sSfofile|-XPUT|-d|a|-db|http://a/|-mvalue");

    (void)state;
    assert_int_equal(p->code, EXIT_USAGE); /* -m takes "value" */
    done(p);
    p = parse("-sSfofile|-XPUT|-d|a|-db|http://a/|-m2");
    assert_int_equal(p->code, 0);
    assert_true(p->options.silent && p->options.show_error && p->options.fail);
    assert_int_equal(p->options.n_outputs, 1);
    assert_string_equal(p->options.outputs[0].file, "file");
    assert_string_equal(p->options.method, "PUT");
    assert_int_equal(p->options.n_data, 2);
    assert_string_equal(p->options.data[0].text, "a");
    assert_string_equal(p->options.data[1].text, "b");
    assert_int_equal(p->options.max_time_ms, 2000);
    done(p);
}

static void test_a_flag_may_stand_behind_the_url_and_two_dashes_end_them(void **state)
{
    struct parsed *p = parse("http://a/|-k|--|-k|--json");

    (void)state;
    assert_int_equal(p->code, 0);
    assert_true(p->options.insecure);
    assert_int_equal(p->options.urls.count, 3);
    assert_string_equal(p->options.urls.items[1], "-k");
    assert_string_equal(p->options.urls.items[2], "--json");
    done(p);
}

static void test_values_that_look_like_flags_are_values(void **state)
{
    struct parsed *p = parse("-d|-x|--data-raw|--json|-o|-|http://a/");

    (void)state;
    assert_int_equal(p->code, 0);
    assert_string_equal(p->options.data[0].text, "-x");
    assert_string_equal(p->options.data[1].text, "--json");
    assert_string_equal(p->options.outputs[0].file, "-");
    done(p);
}

static void test_seconds_have_parts_and_nothing_becomes_no_limit_by_rounding(void **state)
{
    static const struct {
        const char *text;
        uint32_t ms;
    } rows[] = {
        {"1", 1000},   {"0.5", 500},     {".25", 250},     {"2.", 2000},  {"0", 0},
        {"0.0001", 1}, {"1.0009", 1000}, {"0.0000001", 0}, {"007", 7000}, {"3600.001", 3600001},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[64];

        (void)snprintf(line, sizeof(line), "-m|%s|http://a/", rows[i].text);
        struct parsed *p = parse(line);
        assert_int_equal(p->code, 0);
        if (p->options.max_time_ms != rows[i].ms)
            fail_msg("%s: %u", rows[i].text, p->options.max_time_ms);
        assert_int_equal(p->options.connect_timeout_ms, TIME_NOT_GIVEN);
        done(p);
    }
}

static void test_switches_can_be_turned_off_again(void **state)
{
    struct parsed *p = parse("-k|--no-insecure|-s|--no-silent|--no-keepalive|--keepalive|-L|"
                             "--no-location|http://a/");

    (void)state;
    assert_int_equal(p->code, 0);
    assert_false(p->options.insecure || p->options.silent || p->options.no_keepalive);
    assert_true(p->options.no_location);
    done(p);
    p = parse("--no-location|-L|http://a/");
    assert_false(p->options.no_location);
    done(p);
    p = parse("--no-request|http://a/");
    assert_int_equal(p->code, EXIT_USAGE);
    done(p);
}

static void test_the_last_of_4_and_6_holds(void **state)
{
    struct parsed *p = parse("-4|-6|http://a/");

    (void)state;
    assert_true(p->options.ipv6 && !p->options.ipv4);
    done(p);
}

static void test_user_is_copied_and_wiped_from_the_arguments(void **state)
{
    static const char *const lines[] = {"-u|ann:secret|http://a/", "-uann:secret|http://a/",
                                        "--user|ann:secret|http://a/"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct parsed *p = parse(lines[i]);

        assert_int_equal(p->code, 0);
        assert_string_equal(p->options.user, "ann:secret");
        for (size_t j = 0; p->argv[j]; j++)
            assert_null(strstr(p->argv[j], "secret"));
        done(p);
    }
}

static void test_bearer_token_is_copied_and_wiped_from_the_arguments(void **state)
{
    struct parsed *p = parse("--oauth2-bearer|secret|http://a/");

    (void)state;
    assert_int_equal(p->code, 0);
    assert_string_equal(p->options.bearer, "secret");
    for (size_t j = 0; p->argv[j]; j++)
        assert_null(strstr(p->argv[j], "secret"));
    done(p);
}

static void test_one_way_to_log_in_is_taken(void **state)
{
    static const struct {
        const char *line;
        int code;
    } rows[] = {
        {"--digest|-u|a:b|http://a/", 0},
        {"--anyauth|http://a/", 0},
        {"--basic|--digest|http://a/", EXIT_USAGE},
        {"--digest|--anyauth|http://a/", EXIT_USAGE},
        {"--oauth2-bearer|t|-u|a:b|http://a/", EXIT_USAGE},
        {"--oauth2-bearer|t|--anyauth|http://a/", EXIT_USAGE},
        {"--oauth2-bearer||http://a/", EXIT_USAGE},
        {"--oauth2-bearer", EXIT_USAGE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct parsed *p = parse(rows[i].line);

        assert_int_equal(p->code, rows[i].code);
        done(p);
    }
}

static void test_events_go_to_stderr_or_to_a_file_and_take_no_next_word(void **state)
{
    struct parsed *p = parse("--events|http://a/");

    (void)state;
    assert_true(p->options.events && !p->options.events_file);
    assert_int_equal(p->options.urls.count, 1);
    done(p);
    p = parse("--events=log|http://a/");
    assert_string_equal(p->options.events_file, "log");
    done(p);
}

static void test_resolve_takes_addresses_with_and_without_brackets(void **state)
{
    struct parsed *p =
        parse("--resolve|a.example:443:127.0.0.1,[::1],::2|--resolve|+b:80:1.2.3.4|"
              "http://a/");

    (void)state;
    assert_int_equal(p->code, 0);
    assert_int_equal(p->options.n_resolve, 2);
    const struct resolve_choice *first = &p->options.resolve[0];
    assert_string_equal(first->host, "a.example");
    assert_int_equal(first->port, 443);
    assert_int_equal(first->n_addresses, 3);
    assert_string_equal(first->addresses[0], "127.0.0.1");
    assert_string_equal(first->addresses[1], "::1");
    assert_string_equal(first->addresses[2], "::2");
    assert_string_equal(p->options.resolve[1].host, "b");
    done(p);
}

static void test_connect_to_takes_empty_parts_and_brackets(void **state)
{
    static const struct {
        const char *text, *host, *to_host;
        uint16_t port, to_port;
    } rows[] = {
        {"a:80:b:81", "a", "b", 80, 81},
        {"::b:81", "", "b", 0, 81},
        {":::", "", "", 0, 0},
        {"a:80::", "a", "", 80, 0},
        {"[::1]:80:[::2]:81", "::1", "::2", 80, 81},
        {"a:80:b:", "a", "b", 80, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[64];

        (void)snprintf(line, sizeof(line), "--connect-to|%s|http://a/", rows[i].text);
        struct parsed *p = parse(line);
        if (p->code != 0)
            fail_msg("%s: %s", rows[i].text, p->why.text);
        const struct connect_choice *choice = &p->options.connect_to[0];
        assert_string_equal(choice->host, rows[i].host);
        assert_string_equal(choice->to_host, rows[i].to_host);
        assert_int_equal(choice->port, rows[i].port);
        assert_int_equal(choice->to_port, rows[i].to_port);
        done(p);
    }
}

static void test_help_shows_every_flag_once(void **state)
{
    struct strbuf help = {0};

    (void)state;
    cli_options_help(&help);
    assert_false(help.failed);
    for (size_t i = 0; i < n_flags; i++) {
        char text[64];

        (void)snprintf(text, sizeof(text), "--%s%s", flags[i].name,
                       !flags[i].value   ? " "
                       : flags[i].equals ? "[="
                                         : " ");
        if (!strstr(help.bytes, text))
            fail_msg("%s", text);
    }
    strbuf_done(&help);
}

static void test_letters_and_names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_flags; i++) {
        assert_ptr_equal(flag_find_name(flags[i].name), &flags[i]);
        if (flags[i].letter)
            assert_ptr_equal(flag_find_letter(flags[i].letter), &flags[i]);
        /* What curl has and we have not is none of ours. */
        assert_null(flag_instead(0, flags[i].name));
        if (flags[i].letter)
            assert_null(flag_instead(flags[i].letter, NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_command_lines_say_what_is_wrong_and_what_would_be_right),
        cmocka_unit_test(test_an_empty_url_is_no_url),
        cmocka_unit_test(test_letters_join_and_values_follow_at_once_or_next),
        cmocka_unit_test(test_a_flag_may_stand_behind_the_url_and_two_dashes_end_them),
        cmocka_unit_test(test_values_that_look_like_flags_are_values),
        cmocka_unit_test(test_seconds_have_parts_and_nothing_becomes_no_limit_by_rounding),
        cmocka_unit_test(test_switches_can_be_turned_off_again),
        cmocka_unit_test(test_the_last_of_4_and_6_holds),
        cmocka_unit_test(test_user_is_copied_and_wiped_from_the_arguments),
        cmocka_unit_test(test_bearer_token_is_copied_and_wiped_from_the_arguments),
        cmocka_unit_test(test_one_way_to_log_in_is_taken),
        cmocka_unit_test(test_events_go_to_stderr_or_to_a_file_and_take_no_next_word),
        cmocka_unit_test(test_resolve_takes_addresses_with_and_without_brackets),
        cmocka_unit_test(test_connect_to_takes_empty_parts_and_brackets),
        cmocka_unit_test(test_help_shows_every_flag_once),
        cmocka_unit_test(test_letters_and_names_are_unique),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
