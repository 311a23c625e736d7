/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "policy/auth_choice.h"
#include "support/span_test.h"

#define MD5    "Digest realm=r, nonce=m, qop=auth, algorithm=MD5"
#define SHA    "Digest realm=r, nonce=s, qop=auth, algorithm=SHA-256"
#define SHA_2  "Digest realm=r, nonce=t, qop=auth, algorithm=SHA-256-sess"
#define INT    "Digest realm=r, nonce=i, qop=auth-int, algorithm=SHA-256"
#define ODD    "Digest realm=r, nonce=o, qop=auth, algorithm=SHA-512-256"
#define BASIC  "Basic realm=r"
#define HTTPS  true
#define BODY   true
#define STREAM false

static const struct row {
    enum auth_scheme scheme;
    bool is_https, has_body_bytes;
    const char *lines[3];
    int want;
    const char *nonce;
} rows[] = {
    {AUTH_SCHEME_ANY, HTTPS, BODY, {BASIC, MD5, SHA}, AUTH_CHOICE_DIGEST, "s"},
    {AUTH_SCHEME_ANY, HTTPS, BODY, {SHA, MD5, BASIC}, AUTH_CHOICE_DIGEST, "s"},
    {AUTH_SCHEME_ANY, HTTPS, BODY, {SHA_2, SHA}, AUTH_CHOICE_DIGEST, "t"},
    {AUTH_SCHEME_ANY, HTTPS, BODY, {SHA, SHA_2}, AUTH_CHOICE_DIGEST, "s"},
    {AUTH_SCHEME_ANY, HTTPS, BODY, {ODD, BASIC}, AUTH_CHOICE_BASIC, NULL},
    {AUTH_SCHEME_ANY, !HTTPS, BODY, {ODD, BASIC}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_ANY, !HTTPS, BODY, {BASIC}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_ANY, HTTPS, BODY, {"Negotiate"}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_ANY, HTTPS, BODY, {NULL}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_DIGEST, HTTPS, BODY, {BASIC, ODD, MD5}, AUTH_CHOICE_DIGEST, "m"},
    {AUTH_SCHEME_DIGEST, HTTPS, BODY, {BASIC}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_DIGEST, HTTPS, BODY, {MD5, INT}, AUTH_CHOICE_DIGEST, "i"},
    {AUTH_SCHEME_DIGEST, HTTPS, STREAM, {MD5, INT}, AUTH_CHOICE_DIGEST, "m"},
    {AUTH_SCHEME_DIGEST, HTTPS, STREAM, {INT}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_BASIC, !HTTPS, BODY, {SHA, BASIC}, AUTH_CHOICE_BASIC, NULL},
    {AUTH_SCHEME_BASIC, HTTPS, BODY, {SHA ", " BASIC}, AUTH_CHOICE_BASIC, NULL},
    {AUTH_SCHEME_BASIC, HTTPS, BODY, {SHA}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_BEARER, HTTPS, BODY, {BASIC, SHA}, AUTH_CHOICE_NONE, NULL},
    {AUTH_SCHEME_NONE, HTTPS, BODY, {BASIC, SHA}, AUTH_CHOICE_NONE, NULL},
};

static void fill(struct headers *headers, const struct row *row)
{
    headers_init(headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (size_t i = 0; i < 3 && row->lines[i]; i++)
        assert_int_equal(
            headers_add(headers, SPAN_LIT("WWW-Authenticate"), span_of(row->lines[i])), 0);
}

static void test_au07_strongest_that_is_allowed_is_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct auth_question question = {.scheme = rows[i].scheme,
                                         .is_https = rows[i].is_https,
                                         .has_body_bytes = rows[i].has_body_bytes};
        struct digest_session *session = NULL;
        struct headers headers;

        fill(&headers, &rows[i]);
        assert_int_equal(auth_choose(&headers, &question, &session), rows[i].want);
        assert_int_equal(session != NULL, rows[i].nonce != NULL);
        if (session)
            assert_string_equal(session->nonce, rows[i].nonce);
        digest_session_free(session);
        headers_done(&headers);
    }
}

static void test_lack_of_memory_is_told(void **state)
{
    struct auth_question question = {
        .scheme = AUTH_SCHEME_ANY, .is_https = true, .has_body_bytes = true};
    struct headers headers;
    bool whole = false;

    (void)state;
    fill(&headers, &rows[0]);
    for (uint64_t n = 1; !whole; n++) {
        struct digest_session *session = NULL;

        assert_true(n < 50);
        mem_fail_at(n);
        int r = auth_choose(&headers, &question, &session);
        mem_fail_at(0);
        whole = r == AUTH_CHOICE_DIGEST;
        assert_true(whole || (r < 0 && !session));
        digest_session_free(session);
    }
    headers_done(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_au07_strongest_that_is_allowed_is_taken),
        cmocka_unit_test(test_lack_of_memory_is_told),
    };

    return cmocka_run_group_tests_name("policy/auth_choice", tests, NULL, NULL);
}
