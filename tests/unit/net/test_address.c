/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "net/address.h"
#include "support/test.h"

static void test_literals_are_parsed_and_formatted(void **state)
{
    static const struct {
        const char *in;
        const char *out;
        int family;
    } rows[] = {
        {"127.0.0.1", "127.0.0.1:80", AF_INET},
        {"255.255.255.255", "255.255.255.255:80", AF_INET},
        {"::1", "[::1]:80", AF_INET6},
        {"[::1]", "[::1]:80", AF_INET6},
        {"[2001:DB8:0:0::1]", "[2001:db8::1]:80", AF_INET6},
        {"::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80", AF_INET6},
        {"fe80::1%lo", "[fe80::1%lo]:80", AF_INET6},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char text[ADDRESS_TEXT_MAX];
        struct address address;

        assert_int_equal(address_parse(span_of(rows[i].in), 80, &address), 0);
        assert_string_equal(address_format(&address, text), rows[i].out);
        assert_int_equal(address_family(&address), rows[i].family);
        assert_int_equal(address_port(&address), 80);
    }
}

static void test_what_is_no_literal_is_refused(void **state)
{
    static const char *const rows[] = {
        "",           "localhost",
        "127.1",      "0x7f.0.0.1",
        "1.2.3.4.5",  "1.2.3.256",
        "[::1",       "::1]",
        "[]",         "[127.0.0.1]",
        "1.2.3.4:80", "::1%",
        "::1%x",      "12345::",
        "1.2.3.4 ",   "1:2:3:4:5:6:7:8:9",
        "01.2.3.4",   "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
    };
    struct address address = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(address_parse(span_of(rows[i]), 80, &address), -EINVAL);
    assert_int_equal(address_parse((struct span){"1.2.3.4\0", 8}, 80, &address), -EINVAL);
    assert_int_equal(address_family(&address), AF_UNSPEC);
}

static void test_comparison_looks_at_family_address_and_port(void **state)
{
    struct address a;
    struct address b;

    (void)state;
    assert_int_equal(address_parse(span_of("192.0.2.1"), 80, &a), 0);
    b = a;
    assert_int_equal(address_compare(&a, &b), 0);
    address_set_port(&b, 81);
    assert_true(address_compare(&a, &b) < 0 && address_compare(&b, &a) > 0);
    assert_int_equal(address_parse(span_of("192.0.2.2"), 80, &b), 0);
    assert_true(address_compare(&a, &b) < 0);
    assert_int_equal(address_parse(span_of("::ffff:192.0.2.1"), 80, &b), 0);
    assert_true(address_compare(&a, &b) != 0);
    assert_int_equal(address_compare(&b, &b), 0);
}

static void test_loopback_is_known_in_all_its_forms(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } rows[] = {{"127.0.0.1", true},
                {"127.255.0.9", true},
                {"128.0.0.1", false},
                {"::1", true},
                {"::2", false},
                {"::ffff:127.0.0.1", true},
                {"::ffff:10.0.0.1", false},
                {"0.0.0.0", false}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct address address;

        assert_int_equal(address_parse(span_of(rows[i].text), 1, &address), 0);
        assert_int_equal(address_is_loopback(&address), rows[i].is);
    }
}

static void test_a_sockaddr_of_another_family_or_cut_short_is_refused(void **state)
{
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct address address;

    (void)state;
    assert_int_equal(address_from_sockaddr(&other, sizeof(other), &address), -EAFNOSUPPORT);
    assert_int_equal(address_from_sockaddr((struct sockaddr *)&v6, sizeof(v6) - 1, &address),
                     -EAFNOSUPPORT);
    assert_int_equal(address_from_sockaddr((struct sockaddr *)&v6, sizeof(v6), &address), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals_are_parsed_and_formatted),
        cmocka_unit_test(test_what_is_no_literal_is_refused),
        cmocka_unit_test(test_comparison_looks_at_family_address_and_port),
        cmocka_unit_test(test_loopback_is_known_in_all_its_forms),
        cmocka_unit_test(test_a_sockaddr_of_another_family_or_cut_short_is_refused),
    };

    return cmocka_run_group_tests_name("net/address", tests, NULL, NULL);
}
