/* SPDX-License-Identifier: MIT */

/* Hosts; what is done with certificates is in test_io_tls.c, where there are some. */
#include <errno.h>
#include <string.h>

#include "net/tls_verify.h"
#include "support/test.h"

static void test_hosts_are_brought_into_the_form_that_certificates_use(void **state)
{
    static const struct {
        const char *in;
        const char *name;
        bool is_ip;
    } rows[] = {
        {"example.com", "example.com", false},
        {"EXAMPLE.Com.", "example.com", false},
        {"xn--mnchen-3ya.de", "xn--mnchen-3ya.de", false},
        {"a_b.example", "a_b.example", false},
        {"localhost", "localhost", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"[2001:DB8::1]", "2001:db8::1", true},
        {"2001:db8::1", "2001:db8::1", true},
        {"fe80::1%lo", "fe80::1", true},
        {"127.1", "127.1", false}, /* no literal; matches no certificate */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tls_host host;

        assert_int_equal(tls_host_parse(span_of(rows[i].in), &host), 0);
        assert_string_equal(host.name, rows[i].name);
        assert_int_equal(host.is_ip, rows[i].is_ip);
    }
}

static void test_tv09_tv10_tv11_ur15_what_no_host_can_be_is_refused(void **state)
{
    static const struct span rows[] = {
        {"", 0},
        {".", 1},
        {"..", 2},
        {".example.com", 12},
        {"a..b", 4},
        {"example.com..", 13},
        {"user@example.com", 16},
        {"example.com:443", 15},
        {"example.com/", 12},
        {"*.example.com", 13},
        {"exam ple", 8},
        {"example.com\0.evil.test", 22},
        {"m\xc3\xbcnchen.de", 11},
        {"a\nb", 3},
        {"[::1", 4},
        {"[example.com]", 13},
    };
    struct tls_host host = {.name = "untouched"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(tls_host_parse(rows[i], &host), -EINVAL);
    assert_string_equal(host.name, "untouched");
}

static void test_names_and_labels_are_bounded(void **state)
{
    char name[300];
    struct tls_host host;

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_int_equal(tls_host_parse((struct span){name, 63}, &host), 0);
    assert_int_equal(tls_host_parse((struct span){name, 64}, &host), -EINVAL);
    for (size_t i = 49; i < sizeof(name); i += 50)
        name[i] = '.';
    assert_int_equal(tls_host_parse((struct span){name, 253}, &host), 0);
    name[253] = '.';
    assert_int_equal(tls_host_parse((struct span){name, 254}, &host), 0); /* the root's dot */
    assert_int_equal(strlen(host.name), 253);
    name[253] = 'a';
    assert_int_equal(tls_host_parse((struct span){name, 254}, &host), -EINVAL);
    assert_int_equal(tls_host_parse((struct span){name, 299}, &host), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_are_brought_into_the_form_that_certificates_use),
        cmocka_unit_test(test_tv09_tv10_tv11_ur15_what_no_host_can_be_is_refused),
        cmocka_unit_test(test_names_and_labels_are_bounded),
    };

    return cmocka_run_group_tests_name("net/tls_verify", tests, NULL, NULL);
}
