/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/mem.h"
#include "policy/auth_offers.h"
#include "support/span_test.h"

#define MD5   "Digest realm=\"m d\", nonce=m, qop=auth"
#define SHA   "Digest realm=s, nonce=s, qop=auth, algorithm=SHA-256"
#define INT   "Digest realm=i, nonce=i, qop=auth-int, algorithm=SHA-256"
#define BASIC "Basic realm=\"a \\\"b\\\"\""

static void read_lines(const char *const lines[3],
                       bool is_proxy,
                       bool has_body_bytes,
                       struct headers *headers,
                       struct auth_offers *ret)
{
    struct auth_question question = {.is_proxy = is_proxy, .has_body_bytes = has_body_bytes};

    headers_init(headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (size_t i = 0; i < 3 && lines[i]; i++)
        assert_int_equal(headers_add(headers, auth_field(is_proxy), span_of(lines[i])), 0);
    assert_int_equal(auth_offers_read(headers, &question, ret), 0);
}

static void test_au07_offers_are_told_as_they_came_and_the_strongest_is_best(void **state)
{
    static const struct {
        const char *lines[3];
        bool has_body_bytes;
        const char *want; /* '*': best */
        bool can_be_answered;
    } rows[] = {
        {{BASIC, MD5, SHA}, true, "Basic:a \"b\" Digest:m d *Digest:s ", true},
        {{SHA, MD5, BASIC}, true, "*Digest:s Digest:m d Basic:a \"b\" ", true},
        {{BASIC, INT}, false, "*Basic:a \"b\" Digest:i ", true},
        {{"Negotiate", "Bearer realm=x", NULL}, true, "Negotiate: Bearer:x ", true},
        {{"Negotiate dG9r", "NTLM", NULL}, true, "Negotiate: NTLM: ", false},
        {{"bAsIc", NULL}, true, "*bAsIc: ", true},
        {{"Digest realm=x", NULL}, true, "Digest:x ", false},
        {{NULL}, true, "", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int is_proxy = 0; is_proxy < 2; is_proxy++) {
            CLEANUP_BUF struct buf told = BUF_INIT(0);
            struct auth_offers offers;
            struct headers headers;

            read_lines(rows[i].lines, is_proxy, rows[i].has_body_bytes, &headers, &offers);
            for (size_t k = 0; k < offers.count; k++) {
                struct span realm = auth_offers_realm(&offers, k);

                assert_int_equal(
                    buf_append_format(&told, "%s%.*s:%.*s ", k == offers.best ? "*" : "",
                                      (int)offers.at[k].name.len, offers.at[k].name.ptr,
                                      (int)realm.len, realm.ptr),
                    0);
            }
            assert_span(buf_span(&told), rows[i].want);
            assert_int_equal(auth_offers_can_be_answered(&offers), rows[i].can_be_answered);
            auth_offers_done(&offers);
            headers_done(&headers);
        }
    }
}

static void test_au03_many_offers_and_long_realms_are_cut(void **state)
{
    struct auth_offers offers;
    struct headers headers;
    struct auth_question question = {.has_body_bytes = true};
    CLEANUP_BUF struct buf line = BUF_INIT(0);

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(buf_append_str(&line, "Basic realm=\""), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf_append_char(&line, 'r'), 0);
    assert_int_equal(buf_append_char(&line, '"'), 0);
    for (int i = 0; i < 12; i++)
        assert_int_equal(headers_add(&headers, auth_field(false), buf_span(&line)), 0);
    assert_int_equal(auth_offers_read(&headers, &question, &offers), 0);
    assert_int_equal(offers.count, AUTH_OFFERS_MAX);
    assert_int_equal(auth_offers_realm(&offers, 7).len, AUTH_OFFER_REALM_MAX);
    assert_int_equal(offers.best, 0);
    auth_offers_done(&offers);
    headers_done(&headers);
}

static void test_a_realm_that_names_the_domain_wants_it(void **state)
{
    static const struct {
        const char *realm, *domain;
        bool want;
    } rows[] = {
        {"CORP", "CORP", true},       {"corp", "CORP", true},
        {"corp.test", "CORP", true},  {"CORP\\web", "corp", true},
        {"CORPORATE", "CORP", false}, {"my CORP", "CORP", false},
        {"COR", "CORP", false},       {"", "CORP", false},
        {"CORP", "", false},          {"", "", false},
        {"CORP ", "CORP", false},     {"corp.test", "corp.test", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(
            auth_realm_wants_domain(span_of(rows[i].realm), span_of(rows[i].domain)),
            rows[i].want);
}

static void test_every_failing_allocation_is_told(void **state)
{
    struct auth_question question = {.has_body_bytes = true};
    struct headers headers;
    uint64_t n;

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(headers_add(&headers, auth_field(false), SPAN_LIT(MD5 ", " SHA)), 0);
    for (n = 1; n < 100; n++) {
        struct auth_offers offers;

        mem_fail_at(n);
        int r = auth_offers_read(&headers, &question, &offers);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        auth_offers_done(&offers);
        assert_true(r == 0 || ran_out);
        if (!ran_out)
            break;
        assert_true(r < 0);
    }
    assert_true(n > 3 && n < 99);
    headers_done(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_au07_offers_are_told_as_they_came_and_the_strongest_is_best),
        cmocka_unit_test(test_au03_many_offers_and_long_realms_are_cut),
        cmocka_unit_test(test_a_realm_that_names_the_domain_wants_it),
        cmocka_unit_test(test_every_failing_allocation_is_told),
    };

    return cmocka_run_group_tests_name("policy/auth_offers", tests, NULL, NULL);
}
