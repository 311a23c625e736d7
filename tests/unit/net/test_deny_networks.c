/* SPDX-License-Identifier: MIT */
/* CD06: which addresses a list of networks holds, however they are written. */
#include <errno.h>

#include "net/deny_networks.h"
#include "support/test.h"

static bool denies(const char *list, const char *text)
{
    struct deny_networks networks;
    struct address address;
    struct span bad;

    assert_int_equal(deny_networks_parse(span_of(list), &networks, &bad), 0);
    assert_int_equal(address_parse(span_of(text), 80, &address), 0);
    return deny_networks_has(&networks, &address);
}

static void test_cd06_an_address_is_judged_however_it_is_written(void **state)
{
    static const struct {
        const char *list;
        const char *address;
        bool is_denied;
    } rows[] = {
        {"169.254.169.254", "169.254.169.254", true},
        {"169.254.169.254/32", "169.254.169.253", false},
        {"169.254.169.254/32", "::ffff:169.254.169.254", true},
        {"169.254.169.254/32", "2002:a9fe:a9fe::1", true},
        {"169.254.169.254/32", "64:ff9b::a9fe:a9fe", true},
        {"169.254.169.254/32", "::a9fe:a9fe", true},
        {"127.0.0.0/8", "127.9.9.9", true},
        {"127.0.0.0/8", "128.0.0.1", false},
        {"127.0.0.0/8", "0.0.0.0", true},
        {"127.0.0.0/8", "::1", false},
        {"::1", "::", true},
        {"::1", "::1", true},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"fe80::/10", "fe80::1", true},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "192.0.2.1", true},
        {"10.0.0.0/8, 192.0.2.0/24 fe80::/10", "192.0.2.7", true},
        {"", "127.0.0.1", false},
        {" , ", "127.0.0.1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (denies(rows[i].list, rows[i].address) != rows[i].is_denied)
            fail_msg("%s in \"%s\"", rows[i].address, rows[i].list);
    }
}

static void test_what_is_no_network_is_named(void **state)
{
    static const char *const wrong[] = {"localhost", "10.0.0.0/33", "10.0.0/8", "::1/129",
                                        "1.2.3.4/",  "/8",          "1.2.3.4/x"};
    struct deny_networks networks = {.n = 7};
    struct span bad;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(deny_networks_parse(span_of(wrong[i]), &networks, &bad), -EINVAL);
        assert_true(span_eq(bad, span_of(wrong[i])));
        assert_int_equal(networks.n, 7);
    }
}

static void test_there_is_an_end_to_the_list(void **state)
{
    char text[8 * (DENY_NETWORKS_MAX + 1) + 1];
    struct deny_networks networks;
    struct span bad;

    (void)state;
    for (size_t i = 0; i <= DENY_NETWORKS_MAX; i++)
        memcpy(text + 8 * i, "1.2.3.4 ", 8);
    struct span most = {text, 8 * (size_t)DENY_NETWORKS_MAX};
    struct span more = {text, 8 * ((size_t)DENY_NETWORKS_MAX + 1)};
    assert_int_equal(deny_networks_parse(most, &networks, &bad), 0);
    assert_int_equal(deny_networks_parse(more, &networks, &bad), -E2BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cd06_an_address_is_judged_however_it_is_written),
        cmocka_unit_test(test_what_is_no_network_is_named),
        cmocka_unit_test(test_there_is_an_end_to_the_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
