/* SPDX-License-Identifier: MIT */
#include "http/host.h"
#include "support/span_test.h"

struct host_row {
    const char *text;
    int outcome;
    enum host_kind kind;
    const char *canonical;
};

static void run(const struct host_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        enum host_kind kind = HOST_NONE;

        assert_int_equal(buf_append_str(&out, "kept:"), 0);
        int r = host_parse(span_of(rows[i].text), true, &out, &kind);
        if (r != rows[i].outcome)
            print_error("row %zu <%s>\n", i, rows[i].text);
        assert_int_equal(r, rows[i].outcome);
        assert_int_equal(kind, rows[i].kind);
        assert_span(span_drop(buf_span(&out), 5), rows[i].canonical ? rows[i].canonical : "");
    }
}

static void test_ur04_characters_no_host_can_hold_however_written(void **state)
{
    static const struct host_row rows[] = {
        {"a%2Fb", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%00b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%40b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%3Ab", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%5Cb", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a\\b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%0D%0Ab", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%20b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%zz", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a%2541", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a^b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a|b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a<b>", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a\x7f", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"\xef\xbc\x8f.com", HOST_E_CHARACTER, HOST_NONE, NULL}, /* fullwidth '/' */
        {"%41.com", HOST_OK, HOST_DOMAIN, "a.com"},
        {"a_b!$&'()*+,;=~.com", HOST_OK, HOST_DOMAIN, "a_b!$&'()*+,;=~.com"},
    };

    (void)state;
    run(rows, COUNT_OF(rows));
}

static void test_ur06_internationalised_names_keep_their_letters(void **state)
{
    static const struct host_row rows[] = {
        {"fa\xc3\x9f.de", HOST_OK, HOST_DOMAIN, "xn--fa-hia.de"},
        {"FA\xc3\x9f.DE", HOST_OK, HOST_DOMAIN, "xn--fa-hia.de"},
        {"fa%C3%9F.de", HOST_OK, HOST_DOMAIN, "xn--fa-hia.de"},
        {"XN--FA-HIA.de", HOST_OK, HOST_DOMAIN, "xn--fa-hia.de"},
        {"b\xc3\xbc\x63her.example.", HOST_OK, HOST_DOMAIN, "xn--bcher-kva.example."},
        {"B\xc3\x9c\x43HER.example", HOST_OK, HOST_DOMAIN, "xn--bcher-kva.example"},
        {"bu\xcc\x88\x63her.example", HOST_OK, HOST_DOMAIN, "xn--bcher-kva.example"},
        {"\xe5\x85\xac\xe5\x8f\xb8.cn", HOST_OK, HOST_DOMAIN, "xn--55qx5d.cn"},
        {"a\xe3\x80\x82"
         "b",
         HOST_OK, HOST_DOMAIN, "a.b"},
        {"a\xc2\xad"
         "b.de",
         HOST_OK, HOST_DOMAIN, "ab.de"},
        {"r4---sn-x.example", HOST_OK, HOST_DOMAIN, "r4---sn-x.example"},
        {"r4---sn-x.b\xc3\xbc\x63her", HOST_OK, HOST_DOMAIN, "r4---sn-x.xn--bcher-kva"},
        {"-a-.example", HOST_OK, HOST_DOMAIN, "-a-.example"},
    };

    (void)state;
    run(rows, COUNT_OF(rows));
}

/* libidn2 alone refuses these; what it does not check in symbols' labels is refused. */
static void test_symbols_are_names_too(void **state)
{
    static const struct host_row rows[] = {
        {"\xe2\x98\x83.net", HOST_OK, HOST_DOMAIN, "xn--n3h.net"},
        {"xn--n3h.net", HOST_OK, HOST_DOMAIN, "xn--n3h.net"},
        {"\xf0\x9f\x92\xa9.la", HOST_OK, HOST_DOMAIN, "xn--ls8h.la"},
        {"I\xe2\x9d\xa4.ws", HOST_OK, HOST_DOMAIN, "xn--i-7iq.ws"},
        {"b\xc3\xbc\x63her.\xe2\x98\x83", HOST_OK, HOST_DOMAIN, "xn--bcher-kva.xn--n3h"},
        {"a.\xe2\x98\x83.b.", HOST_OK, HOST_DOMAIN, "a.xn--n3h.b."},
        {"\xe2\x98\x83\xe2\x80\x8d.net", HOST_E_IDNA, HOST_NONE, NULL}, /* a joiner */
        {"\xe2\x98\x83\xd7\x90.net", HOST_E_IDNA, HOST_NONE, NULL},     /* Hebrew */
        {"xn--1ugz855pea.net", HOST_E_IDNA, HOST_NONE, NULL},           /* joined emoji */
        {"\xef\xb7\x90.net", HOST_E_IDNA, HOST_NONE, NULL},             /* U+FDD0 */
    };

    (void)state;
    run(rows, COUNT_OF(rows));
}

static void test_ur08_punycode_that_is_not_what_it_says_is_refused(void **state)
{
    static const struct host_row rows[] = {
        {"xn--example-.com", HOST_E_IDNA, HOST_NONE, NULL},
        {"xn--.com", HOST_E_IDNA, HOST_NONE, NULL},
        {"xn--a", HOST_E_IDNA, HOST_NONE, NULL},
        {"a.XN--EXAMPLE-.b", HOST_E_IDNA, HOST_NONE, NULL},
        {"xn--pokxncvks", HOST_E_IDNA, HOST_NONE, NULL},
        {"xn--wca.de", HOST_E_IDNA, HOST_NONE, NULL},    /* holds a capital */
        {"xn--e-xbb.de", HOST_E_IDNA, HOST_NONE, NULL},  /* not in normal form */
        {"xn--xy-j1t.de", HOST_E_IDNA, HOST_NONE, NULL}, /* a joiner out of place */
        {"a\xff.de", HOST_E_IDNA, HOST_NONE, NULL},
        {"a%ff.de", HOST_E_IDNA, HOST_NONE, NULL},
    };

    (void)state;
    run(rows, COUNT_OF(rows));
}

static void test_ur09_brackets_hold_an_ipv6_address_or_nothing(void **state)
{
    static const struct host_row rows[] = {
        {"[1.2.3.4]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[a.com]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1]x", HOST_E_IPV6, HOST_NONE, NULL},
        {"[]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[", HOST_E_IPV6, HOST_NONE, NULL},
        {"[:]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[:::]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1::]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[1:2:3:4:5:6:7]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[1:2:3:4:5:6:7:8:9]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[1:2:3:4:5:6:7:8::]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[1:2:3:4:5:6:7:]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[12345::]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[g::]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1.2.3]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1.2.3.4.5]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1.2.3.256]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1.2.3.04]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1.2.3.]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::.2.3.4]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[1:2:3:4:5:6:7:1.2.3.4]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[fe80::1%25eth0]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[fe80::1%25.a.com]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[%3A%3A1]", HOST_E_IPV6, HOST_NONE, NULL},
        {"[::1]", HOST_OK, HOST_IPV6, "[::1]"},
        {"[::]", HOST_OK, HOST_IPV6, "[::]"},
        {"[1::]", HOST_OK, HOST_IPV6, "[1::]"},
        {"[2001:DB8:0:0:1:0:0:1]", HOST_OK, HOST_IPV6, "[2001:db8::1:0:0:1]"},
        {"[1:0:0:2:0:0:0:3]", HOST_OK, HOST_IPV6, "[1:0:0:2::3]"},
        {"[1:0:2:3:4:5:6:7]", HOST_OK, HOST_IPV6, "[1:0:2:3:4:5:6:7]"},
        {"[1:2:3:4:5:6:7::]", HOST_OK, HOST_IPV6, "[1:2:3:4:5:6:7:0]"},
        {"[::2:3:4:5:6:7:8]", HOST_OK, HOST_IPV6, "[0:2:3:4:5:6:7:8]"},
        {"[::ffff:1.2.3.4]", HOST_OK, HOST_IPV6, "[::ffff:102:304]"},
        {"[1:2:3:4:5:6:1.2.3.4]", HOST_OK, HOST_IPV6, "[1:2:3:4:5:6:102:304]"},
    };

    (void)state;
    run(rows, COUNT_OF(rows));
}

static void test_ck07_every_spelling_of_an_ipv4_address_is_one_host(void **state)
{
    static const struct host_row rows[] = {
        {"127.0.0.1", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"0x7f.1", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"2130706433", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"127.1", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"127.0.1", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"017700000001", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"0X7F000001", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"127.0.0.1.", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"0", HOST_OK, HOST_IPV4, "0.0.0.0"},
        {"0x", HOST_OK, HOST_IPV4, "0.0.0.0"},
        {"255.255.255.255", HOST_OK, HOST_IPV4, "255.255.255.255"},
        {"4294967295", HOST_OK, HOST_IPV4, "255.255.255.255"},
        {"4294967296", HOST_E_IPV4, HOST_NONE, NULL},
        {"99999999999999999999999999999999", HOST_E_IPV4, HOST_NONE, NULL},
        {"256.1", HOST_E_IPV4, HOST_NONE, NULL},
        {"1.256.1.1", HOST_E_IPV4, HOST_NONE, NULL},
        {"1.2.3.256", HOST_E_IPV4, HOST_NONE, NULL},
        {"1.2.3.4.5", HOST_E_IPV4, HOST_NONE, NULL},
        {"1.2.3.08", HOST_E_IPV4, HOST_NONE, NULL},
        {"1..2", HOST_E_IPV4, HOST_NONE, NULL},
        {"a.1", HOST_E_IPV4, HOST_NONE, NULL},
        {"1.a", HOST_OK, HOST_DOMAIN, "1.a"},
        {"0x7g", HOST_OK, HOST_DOMAIN, "0x7g"},
    };

    (void)state;
    run(rows, COUNT_OF(rows));
}

static void test_ck07_names_for_cookies_have_one_spelling(void **state)
{
    static const struct host_row rows[] = {
        {"Example.COM", HOST_OK, HOST_DOMAIN, "example.com"},
        {"a.com.", HOST_OK, HOST_DOMAIN, "a.com"},
        {"0x7f.1", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"2130706433", HOST_OK, HOST_IPV4, "127.0.0.1"},
        {"[::1]", HOST_OK, HOST_IPV6, "::1"},
        {"0:0::1", HOST_OK, HOST_IPV6, "::1"},
        {"\xe5\x85\xac\xe5\x8f\xb8.cn", HOST_OK, HOST_DOMAIN, "xn--55qx5d.cn"},
        {"", HOST_E_EMPTY, HOST_NONE, NULL},
        {".", HOST_E_TOO_LONG, HOST_NONE, NULL},
        {"a.com..", HOST_E_TOO_LONG, HOST_NONE, NULL},
        {".a.com", HOST_E_TOO_LONG, HOST_NONE, NULL},
        {"a..com", HOST_E_TOO_LONG, HOST_NONE, NULL},
        {"%61.com", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a/b", HOST_E_CHARACTER, HOST_NONE, NULL},
        {"a:1", HOST_E_IPV6, HOST_NONE, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct host_name name = {.text = ""};

        assert_int_equal(host_name_parse(span_of(rows[i].text), &name), rows[i].outcome);
        assert_int_equal(name.kind, rows[i].kind);
        assert_string_equal(name.text, rows[i].canonical ? rows[i].canonical : "");
    }
}

static void test_ur14_names_longer_than_dns_carries_are_refused(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    enum host_kind kind;
    struct host_name name;
    char *text = repeat('a', 64 * 1024);

    (void)state;
    assert_int_equal(host_name_parse((struct span){text, 63}, &name), HOST_OK);
    assert_int_equal(host_name_parse((struct span){text, 64}, &name), HOST_E_TOO_LONG);
    assert_int_equal(host_name_parse((struct span){text, 300}, &name), HOST_E_TOO_LONG);
    for (size_t i = 63; i < 300; i += 64)
        text[i] = '.';
    assert_int_equal(host_name_parse((struct span){text, 253}, &name), HOST_OK);
    assert_int_equal(host_name_parse((struct span){text, 254}, &name), HOST_E_TOO_LONG);
    assert_false(host_fits_dns((struct span){text, 300}));
    for (size_t i = 0; i + 1 < 64 * 1024; i += 2)
        memcpy(text + i, "\xc3\xbc", 2);
    struct span idn = {text, 64 * 1024};
    assert_int_equal(host_parse(idn, true, &out, &kind), HOST_E_TOO_LONG);
    assert_int_equal(host_parse((struct span){text, HOST_INPUT_MAX}, true, &out, &kind),
                     HOST_E_IDNA);
    free(text);
}

static void test_helpers_on_canonical_hosts(void **state)
{
    (void)state;
    assert_span(host_strip_dot(SPAN_LIT("a.")), "a");
    assert_span(host_strip_dot(SPAN_LIT("a..")), "a.");
    assert_span(host_strip_dot(SPAN_LIT(".")), ".");
    assert_span(host_strip_brackets(SPAN_LIT("[::1]")), "::1");
    assert_span(host_strip_brackets(SPAN_LIT("a")), "a");
    assert_true(host_is_ip_literal(SPAN_LIT("[::1]")));
    assert_true(host_is_ip_literal(SPAN_LIT("::1")));
    assert_true(host_is_ip_literal(SPAN_LIT("1.2.3.4")));
    assert_false(host_is_ip_literal(SPAN_LIT("a.com")));
    assert_false(host_is_ip_literal(SPAN_LIT("")));
    for (int i = HOST_OK; i <= HOST_E_IPV6; i++)
        assert_true(strlen(host_outcome_text(i)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ur04_characters_no_host_can_hold_however_written),
        cmocka_unit_test(test_ur06_internationalised_names_keep_their_letters),
        cmocka_unit_test(test_symbols_are_names_too),
        cmocka_unit_test(test_ur08_punycode_that_is_not_what_it_says_is_refused),
        cmocka_unit_test(test_ur09_brackets_hold_an_ipv6_address_or_nothing),
        cmocka_unit_test(test_ck07_every_spelling_of_an_ipv4_address_is_one_host),
        cmocka_unit_test(test_ck07_names_for_cookies_have_one_spelling),
        cmocka_unit_test(test_ur14_names_longer_than_dns_carries_are_refused),
        cmocka_unit_test(test_helpers_on_canonical_hosts),
    };

    return cmocka_run_group_tests_name("http/host", tests, NULL, NULL);
}
