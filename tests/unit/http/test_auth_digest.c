/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"
#include "http/auth_digest.h"
#include "support/span_test.h"

#define NAME  SPAN_LIT("WWW-Authenticate")
#define NONCE "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"

/* The first challenge of one field line. */
static int session_of(const char *line, struct digest_session **ret)
{
    struct challenge_reader reader;
    struct challenge challenge = {0};
    struct headers headers;

    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(headers_add(&headers, NAME, span_of(line)), 0);
    challenge_reader_init(&reader, &headers, NAME);
    assert_true(challenge_next(&reader, &challenge));
    int r = digest_session_new(ret, &challenge);
    headers_done(&headers);
    return r;
}

/* The value of a parameter of an Authorization value, without quotes. */
static struct span param_of(struct span value, const char *wanted)
{
    struct span found = {0};
    struct span name;
    struct span raw;

    assert_true(span_starts_with(value, SPAN_LIT("Digest ")));
    value = span_drop(value, 7);
    while (challenge_param_next(&value, &name, &raw)) {
        if (!span_ieq(name, span_of(wanted)))
            continue;
        assert_null(found.ptr); /* once at most */
        found = raw;
        if (raw.ptr[0] == '"')
            found = (struct span){raw.ptr + 1, raw.len - 2};
    }
    assert_int_equal(value.len, 0);
    return found;
}

static struct digest_request mufasa(void)
{
    return (struct digest_request){
        .user = SPAN_LIT("Mufasa"),
        .password = SPAN_LIT("Circle of Life"),
        .method = SPAN_LIT("GET"),
        .target = SPAN_LIT("/dir/index.html"),
        .body = SPAN_LIT("body"),
        .has_body_bytes = true,
        .cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    };
}

static void test_examples_of_the_rfcs_come_out(void **state)
{
#define RFC7616 "Digest realm=\"http-auth@example.org\", nonce=\"" NONCE "\", opaque=\"o\""
#define RFC2617                                                                                \
    "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\""
    static const struct {
        const char *challenge, *password, *cnonce, *response, *rspauth, *qop;
    } rows[] = {
        /* RFC 7616 §3.9.1 */
        {RFC7616 ", qop=\"auth, auth-int\", algorithm=MD5", NULL, NULL,
         "8ca523f5e9506fed4657c9700eebdbec", "9b712497bc9f91499fbcca1dfc5f09a5", "auth"},
        {RFC7616 ", qop=\"auth, auth-int\", algorithm=SHA-256", NULL, NULL,
         "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
         "86d3b25618d41854ca5039a5d7e53ff6355d5134a9b1fb088a78ac3c462195a0", "auth"},
        /* RFC 2617 §3.5, and RFC 2069 §2.4 with its erratum */
        {RFC2617 ",qop=\"auth,auth-int\"", "Circle Of Life", "0a4f113b",
         "6629fae49393a05397450978507c4ef1", "376602cfd2f4e8e5e78b948a85263e85", "auth"},
        {RFC2617, "CircleOfLife", NULL, "1949323746fe6a43ef61f9606e7febea", "", ""},
        /* computed with Python's hashlib */
        {RFC7616 ", qop=auth-int, algorithm=\"MD5\"", NULL, NULL,
         "9aaa3cbaec2406853a7cb784c6813d11", "", "auth-int"},
        {RFC7616 ", qop=\"auth-int\", algorithm=sha-256", NULL, NULL,
         "2fa9fd5a55eaefc542900085331c15a0d8dcebeb505811bdd82a5b1f49ae156e", "", "auth-int"},
        {RFC7616 ", qop=\"auth\", algorithm=MD5-sess", NULL, NULL,
         "e783283f46242139c486a698fec7211d", "b9bdf5673282d64412df46ad40660539", "auth"},
        {RFC7616 ", qop=\"auth\", algorithm=SHA-256-sess", NULL, NULL,
         "2fd51b3a77ad75bad6afad6003e818d767133c46d9e2749e7f5232ae1ea3efd7",
         "d4ad609d150eafce2281da5c3179878fdb37e6a16021272f4bed1a082f5c2324", "auth"},
        {RFC7616 ", qop=\"auth-int\", algorithm=SHA-256-sess", NULL, NULL,
         "351cf1de6df8006b29344896ed8e41148d9922c94d1aedab40833924f92d49c2", "", "auth-int"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(digest_session_free) struct digest_session *session = NULL;
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct digest_request request = mufasa();
        struct digest_proof proof;

        if (rows[i].password)
            request.password = span_of(rows[i].password);
        if (rows[i].cnonce)
            (void)snprintf(request.cnonce, sizeof(request.cnonce), "%s", rows[i].cnonce);
        assert_int_equal(session_of(rows[i].challenge, &session), DIGEST_OK);
        assert_int_equal(digest_format(session, &request, &out, &proof), DIGEST_OK);
        assert_span(param_of(buf_span(&out), "response"), rows[i].response);
        assert_span(param_of(buf_span(&out), "qop"), rows[i].qop);
        assert_string_equal(proof.rspauth, rows[i].rspauth);
    }
}

static void test_authorization_is_written_as_rfc_7616_has_it(void **state)
{
    CLEANUP(digest_session_free) struct digest_session *session = NULL;
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct digest_request request = mufasa();
    struct digest_proof proof;

    (void)state;
    request.target = SPAN_LIT("/a?b=\\");
    assert_int_equal(session_of("Digest realm=\"a \\\"b\\\"\", nonce=n, qop=auth, opaque=\"\", "
                                "algorithm=MD5, domain=\"/x\", unknown=1",
                                &session),
                     0);
    assert_int_equal(digest_format(session, &request, &out, &proof), DIGEST_OK);
    struct span response = param_of(buf_span(&out), "response");
    char want[512];
    (void)snprintf(want, sizeof(want),
                   "Digest username=\"Mufasa\", realm=\"a \\\"b\\\"\", nonce=\"n\", "
                   "uri=\"/a?b=\\\\\", response=\"%.*s\", algorithm=MD5, qop=auth, "
                   "nc=00000001, cnonce=\"%s\", opaque=\"\"",
                   (int)response.len, response.ptr, request.cnonce);
    assert_span(buf_span(&out), want);
}

static void test_every_use_of_a_nonce_is_counted(void **state)
{
    CLEANUP(digest_session_free) struct digest_session *session = NULL;
    struct digest_request request = mufasa();
    struct digest_proof proof;
    static const char *const want[] = {"00000001", "00000002", "00000003"};

    (void)state;
    assert_int_equal(session_of("Digest realm=r, nonce=n, qop=auth", &session), 0);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);

        assert_int_equal(digest_format(session, &request, &out, &proof), DIGEST_OK);
        assert_span(param_of(buf_span(&out), "nc"), want[i]);
    }
}

static void test_a_session_keeps_its_first_cnonce(void **state)
{
    CLEANUP(digest_session_free) struct digest_session *session = NULL;
    CLEANUP_BUF struct buf first = BUF_INIT(0);
    CLEANUP_BUF struct buf second = BUF_INIT(0);
    struct digest_request request = mufasa();
    struct digest_proof proof;
    uint8_t chance[DIGEST_CHANCE_BYTES] = {0xab, 1};

    (void)state;
    assert_int_equal(
        session_of("Digest realm=r, nonce=n, qop=auth, algorithm=MD5-sess", &session), 0);
    assert_int_equal(digest_format(session, &request, &first, &proof), DIGEST_OK);
    digest_make_cnonce(chance, request.cnonce);
    assert_string_equal(request.cnonce, "ab010000000000000000000000000000");
    assert_int_equal(digest_format(session, &request, &second, &proof), DIGEST_OK);
    assert_span(param_of(buf_span(&second), "cnonce"), mufasa().cnonce);
    assert_span(param_of(buf_span(&second), "nc"), "00000002");
}

static void test_users_are_written_plain_in_utf8_or_hashed(void **state)
{
    static const struct {
        const char *options, *user, *want;
    } rows[] = {
        {"", "a \"b\" \\c", "username=\"a \\\"b\\\" \\\\c\","},
        {"", "J\xc3\xa4s", "username=\"J\xc3\xa4s\","},
        {", charset=UTF-8", "Jas", "username=\"Jas\","},
        /* RFC 7616 §3.9.2 */
        {", charset=UTF-8", "J\xc3\xa4s\xc3\xb8n Doe",
         "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe,"},
        {", charset=UTF-8", "J\xe4s", "username=\"J\xe4s\","},
        {", charset=UTF-8, userhash=true", "J\xc3\xa4s\xc3\xb8n Doe",
         "username=\"5a1a8a47df5c298551b9b42ba9b05835174a5bd7d511ff7fe9191d8e946fc4e7\","},
        {", userhash=false", "Jas", "username=\"Jas\","},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(digest_session_free) struct digest_session *session = NULL;
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct digest_request request = mufasa();
        struct digest_proof proof;
        char line[256];

        (void)snprintf(line, sizeof(line),
                       "Digest realm=\"api@example.org\", nonce=n, qop=auth, "
                       "algorithm=SHA-256%s",
                       rows[i].options);
        request.user = span_of(rows[i].user);
        assert_int_equal(session_of(line, &session), 0);
        assert_int_equal(digest_format(session, &request, &out, &proof), DIGEST_OK);
        assert_span(span_take(span_drop(buf_span(&out), 7), strlen(rows[i].want)),
                    rows[i].want);
        bool hashed = strstr(rows[i].options, "userhash=true") != NULL;
        assert_span(param_of(buf_span(&out), "userhash"), hashed ? "true" : "");
    }
}

static void test_au03_challenge_that_cannot_be_answered_has_a_name(void **state)
{
    static const struct {
        const char *line;
        int want;
    } rows[] = {
        {"Basic realm=r", DIGEST_E_SCHEME},
        {"Digest", DIGEST_E_MISSING},
        {"Digest abc=", DIGEST_E_MISSING},
        {"Digest realm=r", DIGEST_E_MISSING},
        {"Digest nonce=n", DIGEST_E_MISSING},
        {"Digest realm=r, nonce=n, nonce=m", DIGEST_E_TWICE},
        {"Digest realm=r, nonce=n, Realm=r", DIGEST_E_TWICE},
        {"Digest realm=r, nonce=n, algorithm=SHA-512-256", DIGEST_E_ALGORITHM},
        {"Digest realm=r, nonce=n, algorithm=\"\"", DIGEST_E_ALGORITHM},
        {"Digest realm=r, nonce=n, qop=token", DIGEST_E_QOP},
        {"Digest realm=r, nonce=n, qop=\"\"", DIGEST_E_QOP},
        {"Digest realm=r, nonce=n, algorithm=MD5-sess", DIGEST_E_QOP},
        {"Digest realm=r, nonce=\"a\tb\"", DIGEST_E_CTL},
        {"Digest realm=r, nonce=n", DIGEST_OK},
        {"dIGEST realm=\"\", nonce=\"\"", DIGEST_OK},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct digest_session *session = NULL;

        assert_int_equal(session_of(rows[i].line, &session), rows[i].want);
        assert_int_equal(session != NULL, rows[i].want == DIGEST_OK);
        digest_session_free(session);
    }
    for (int i = DIGEST_OK; i <= DIGEST_E_QOP; i++)
        assert_true(strlen(digest_outcome_text(i)) > 0);
}

static void test_au03_nonce_of_64_kib_is_refused(void **state)
{
    static const size_t lengths[] = {DIGEST_PART_MAX, DIGEST_PART_MAX + 1, 60000};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        CLEANUP_BUF struct buf line = BUF_INIT(0);
        struct digest_session *session = NULL;
        char *big = repeat('n', lengths[i]);

        assert_int_equal(buf_append_str(&line, "Digest realm=r, nonce=\""), 0);
        assert_int_equal(buf_append(&line, (struct span){big, lengths[i]}), 0);
        assert_int_equal(buf_append_char(&line, '"'), 0);
        assert_int_equal(session_of(buf_c_str(&line), &session),
                         i == 0 ? DIGEST_OK : DIGEST_E_LONG);
        digest_session_free(session);
        free(big);
    }
}

static void test_auth_int_wants_the_body_at_hand(void **state)
{
    CLEANUP(digest_session_free) struct digest_session *session = NULL;
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct digest_request request = mufasa();
    struct digest_proof proof;

    (void)state;
    request.has_body_bytes = false;
    assert_int_equal(session_of("Digest realm=r, nonce=n, qop=auth-int", &session), 0);
    assert_false(digest_session_fits(session, false));
    assert_true(digest_session_fits(session, true));
    assert_int_equal(digest_format(session, &request, &out, &proof), DIGEST_E_QOP);
    assert_int_equal(out.len, 0);
    assert_int_equal(session->nc, 0);
}

static void test_authentication_info_proves_the_server_and_renews_the_nonce(void **state)
{
    static const struct {
        const char *value;
        int want;
        const char *nonce;
    } rows[] = {
        {"rspauth=\"0123\", qop=auth", DIGEST_INFO_OK, "n"},
        {"qop=auth, RSPAUTH=0123", DIGEST_INFO_OK, "n"},
        {"rspauth=\"0124\"", DIGEST_INFO_WRONG, "n"},
        {"rspauth=\"\"", DIGEST_INFO_WRONG, "n"},
        {"", DIGEST_INFO_OK, "n"},
        {"@", DIGEST_INFO_OK, "n"},
        {"nextnonce=\"m\"", DIGEST_INFO_OK, "m"},
        {"nextnonce=\"m\", rspauth=\"0\"", DIGEST_INFO_WRONG, "m"},
        {"nextnonce=\"a\tb\"", DIGEST_INFO_OK, "n"},
        {"nextnonce=\"m", DIGEST_INFO_OK, "n"},
    };
    const struct digest_proof none = {""};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(digest_session_free) struct digest_session *session = NULL;
        const struct digest_proof proof = {"0123"};

        assert_int_equal(session_of("Digest realm=r, nonce=n, qop=auth", &session), 0);
        session->nc = 7;
        assert_int_equal(digest_info(span_of(rows[i].value), session, &proof), rows[i].want);
        assert_string_equal(session->nonce, rows[i].nonce);
        assert_int_equal(session->nc, rows[i].nonce[0] == 'n' ? 7 : 0);
        assert_int_equal(digest_info(span_of(rows[i].value), NULL, &proof), rows[i].want);
        assert_int_equal(digest_info(span_of(rows[i].value), NULL, &none), DIGEST_INFO_OK);
    }
}

static void test_stale_is_told_apart_from_a_wrong_password(void **state)
{
    static const struct {
        const char *line;
        bool want;
    } rows[] = {
        {"Digest realm=r, nonce=n, stale=true", true},
        {"Digest realm=r, nonce=n, stale=\"TRUE\"", true},
        {"Digest realm=r, nonce=n, stale=false", false},
        {"Digest realm=r, nonce=n, stale=1", false},
        {"Digest realm=r, nonce=n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP(digest_session_free) struct digest_session *session = NULL;

        assert_int_equal(session_of(rows[i].line, &session), 0);
        assert_int_equal(session->is_stale, rows[i].want);
    }
}

static void test_lack_of_memory_leaves_nothing_behind(void **state)
{
    struct digest_request request = mufasa();
    bool whole = false;

    (void)state;
    for (uint64_t n = 1; !whole; n++) {
        CLEANUP(digest_session_free) struct digest_session *session = NULL;
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct challenge challenge = {
            .scheme = SPAN_LIT("Digest"),
            .params = SPAN_LIT("realm=r, nonce=n, opaque=o, qop=auth, algorithm=MD5-sess"),
        };
        struct digest_proof proof;

        mem_fail_at(n);
        int r = digest_session_new(&session, &challenge);
        if (r == 0)
            r = digest_format(session, &request, &out, &proof);
        whole = r == 0;
        mem_fail_at(0);
        assert_true(whole || (r < 0 && out.len == 0));
        assert_true(n < 100);
    }
}

static int compare_cnonces(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_CNONCE_SIZE);
}

/* From what fetch and pool take: sixteen bytes of getrandom(2). */
static void test_lb11_a_million_cnonces_do_not_repeat(void **state)
{
    enum { COUNT = 1000000 };
    char(*all)[DIGEST_CNONCE_SIZE] = calloc(COUNT, DIGEST_CNONCE_SIZE);
    uint8_t chance[DIGEST_CHANCE_BYTES];

    (void)state;
    assert_non_null(all);
    for (size_t i = 0; i < COUNT; i++) {
        rand_bytes(chance, sizeof(chance));
        digest_make_cnonce(chance, all[i]);
    }
    qsort(all, COUNT, DIGEST_CNONCE_SIZE, compare_cnonces);
    for (size_t i = 1; i < COUNT; i++)
        if (memcmp(all[i - 1], all[i], DIGEST_CNONCE_SIZE) == 0)
            fail_msg("%s came twice", all[i]);
    assert_int_equal(strlen(all[0]), 2 * DIGEST_CHANCE_BYTES); /* all of the chance is in it */
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_the_rfcs_come_out),
        cmocka_unit_test(test_authorization_is_written_as_rfc_7616_has_it),
        cmocka_unit_test(test_every_use_of_a_nonce_is_counted),
        cmocka_unit_test(test_a_session_keeps_its_first_cnonce),
        cmocka_unit_test(test_users_are_written_plain_in_utf8_or_hashed),
        cmocka_unit_test(test_au03_challenge_that_cannot_be_answered_has_a_name),
        cmocka_unit_test(test_au03_nonce_of_64_kib_is_refused),
        cmocka_unit_test(test_auth_int_wants_the_body_at_hand),
        cmocka_unit_test(test_authentication_info_proves_the_server_and_renews_the_nonce),
        cmocka_unit_test(test_stale_is_told_apart_from_a_wrong_password),
        cmocka_unit_test(test_lack_of_memory_leaves_nothing_behind),
        cmocka_unit_test(test_lb11_a_million_cnonces_do_not_repeat),
    };

    return cmocka_run_group_tests_name("http/auth_digest", tests, NULL, NULL);
}
