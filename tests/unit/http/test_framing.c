/* SPDX-License-Identifier: MIT */
#include "http/framing.h"
#include "http/headers.h"
#include "support/test.h"

struct field {
    const char *name;
    const char *value;
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): the order rows are read in */
struct row {
    struct field fields[4];
    unsigned status;
    unsigned version;
    enum response_to to;
    int outcome;
    enum body_kind kind;
    uint64_t length;
    bool must_close;
};

#define CL "Content-Length"
#define TE "Transfer-Encoding"

static void fill(struct headers *headers, const struct field *fields)
{
    headers_init(headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (size_t i = 0; i < 4 && fields[i].name; i++)
        assert_int_equal(
            headers_add(headers, span_of(fields[i].name), span_of(fields[i].value)), 0);
}

static void check(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct framing framing = {.content_length = 77};
        struct headers headers;

        fill(&headers, row->fields);
        int r = framing_of_response(&headers, row->status, row->version ? row->version : 11,
                                    row->to, &framing);
        if (r != row->outcome)
            print_message("row %zu (%s)\n", i, row->fields[0].value);
        assert_int_equal(r, row->outcome);
        if (r == FRAMING_OK) {
            assert_int_equal(framing.kind, row->kind);
            assert_int_equal(framing.content_length, row->length);
            assert_int_equal(framing.must_close, row->must_close);
        } else {
            assert_int_equal(framing.content_length, 77);
        }
        headers_done(&headers);
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_the_rules_of_rfc_9112_6_3_decide_in_their_order(void **state)
{
    static const struct row rows[] = {
        /* 1: HEAD, 1xx, 204, 304 */
        {{{CL, "5"}}, 200, 11, RESPONSE_TO_HEAD, 0, BODY_NONE, 5, false},
        {{{TE, "chunked"}}, 200, 11, RESPONSE_TO_HEAD, 0, BODY_NONE, 0, false},
        {{{CL, "5"}}, 304, 11, RESPONSE_TO_OTHER, 0, BODY_NONE, 5, false},
        {{{CL, "5"}}, 204, 11, RESPONSE_TO_OTHER, 0, BODY_NONE, 5, false},
        {{{TE, "chunked"}}, 204, 11, RESPONSE_TO_OTHER, 0, BODY_NONE, 0, true},
        {{{0}}, 204, 11, RESPONSE_TO_OTHER, 0, BODY_NONE, 0, false},
        /* 2: a tunnel's success makes the fields void */
        {{{CL, "x"}, {TE, "x"}}, 200, 11, RESPONSE_TO_CONNECT, 0, BODY_TUNNEL, 0, true},
        {{{CL, "5"}}, 299, 11, RESPONSE_TO_CONNECT, 0, BODY_TUNNEL, 0, true},
        {{{CL, "5"}}, 407, 11, RESPONSE_TO_CONNECT, 0, BODY_LENGTH, 5, false},
        {{{0}}, 101, 11, RESPONSE_TO_UPGRADE, 0, BODY_TUNNEL, 0, true},
        {{{CL, "5"}}, 200, 11, RESPONSE_TO_UPGRADE, 0, BODY_LENGTH, 5, false},
        /* 4 */
        {{{TE, "chunked"}}, 200, 11, RESPONSE_TO_OTHER, 0, BODY_CHUNKED, 0, false},
        {{{TE, "ChUnKeD"}}, 200, 11, RESPONSE_TO_OTHER, 0, BODY_CHUNKED, 0, false},
        {{{TE, "chunked"}}, 200, 10, RESPONSE_TO_OTHER, 0, BODY_CHUNKED, 0, true},
        /* 6 */
        {{{CL, "0"}}, 200, 11, RESPONSE_TO_OTHER, 0, BODY_LENGTH, 0, false},
        {{{CL, "5"}}, 200, 10, RESPONSE_TO_OTHER, 0, BODY_LENGTH, 5, false},
        {{{CL, "0005"}}, 200, 11, RESPONSE_TO_OTHER, 0, BODY_LENGTH, 5, false},
        /* 8 */
        {{{0}}, 200, 11, RESPONSE_TO_OTHER, 0, BODY_UNTIL_CLOSE, 0, true},
        {{{0}}, 500, 10, RESPONSE_TO_OTHER, 0, BODY_UNTIL_CLOSE, 0, true},
    };

    (void)state;
    CHECK(rows);
}

static void test_h102_transfer_encoding_beats_content_length_and_closes(void **state)
{
    static const struct row rows[] = {
        {{{CL, "5"}, {TE, "chunked"}}, 200, 11, 0, 0, BODY_CHUNKED, 0, true},
        {{{TE, "chunked"}, {CL, "5"}}, 200, 11, 0, 0, BODY_CHUNKED, 0, true},
        {{{TE, "chunked"}, {CL, "5"}}, 200, 11, RESPONSE_TO_HEAD, 0, BODY_NONE, 5, true},
    };

    (void)state;
    CHECK(rows);
}

static void test_h103_content_length_is_one_decimal_number_or_repeats_it(void **state)
{
    static const char *const bad[] = {"5, 6", "+5",    "-1",  "0x5",  "18446744073709551616",
                                      "",     "5,",    ",5",  "5,,5", "9223372036854775808",
                                      "5 5",  "5;a=b", "5.0", "\v5",  "5, five"};
    static const struct row rows[] = {
        {{{CL, "5, 5"}}, 200, 11, 0, 0, BODY_LENGTH, 5, false},
        {{{CL, "5,5 ,\t5"}}, 200, 11, 0, 0, BODY_LENGTH, 5, false},
        {{{CL, "5"}, {"content-length", "5"}}, 200, 11, 0, 0, BODY_LENGTH, 5, false},
        {{{CL, "9223372036854775807"}}, 200, 11, 0, 0, BODY_LENGTH, INT64_MAX, false},
        {{{CL, "5"}, {CL, "6"}}, 200, 11, 0, FRAMING_E_CONTENT_LENGTH, 0, 0, false},
        {{{CL, "5"}, {CL, ""}}, 200, 11, 0, FRAMING_E_CONTENT_LENGTH, 0, 0, false},
        /* Where it does not count it is not taken back either. */
        {{{CL, "x"}, {TE, "chunked"}}, 200, 11, 0, FRAMING_E_CONTENT_LENGTH, 0, 0, false},
        {{{CL, "x"}}, 304, 11, 0, FRAMING_E_CONTENT_LENGTH, 0, 0, false},
    };

    (void)state;
    CHECK(rows);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct row row = {{{CL, bad[i]}},           200, 11, RESPONSE_TO_OTHER,
                          FRAMING_E_CONTENT_LENGTH, 0,   0,  false};

        check(&row, 1);
    }
}

static void test_h104_transfer_encoding_is_the_one_word_chunked(void **state)
{
    static const char *const bad[] = {"xchunked",         "chunked, identity", "\vchunked",
                                      "identity",         "gzip, chunked",     "gzip",
                                      "chunked, chunked", "chunked,",          ", chunked",
                                      "chunked;q=1",      "chunked\x01",       "",
                                      "\"chunked\"",      "chunked chunked"};
    static const struct row rows[] = {
        {{{TE, "chunked"}, {TE, "chunked"}},
         200,
         11,
         0,
         FRAMING_E_TRANSFER_ENCODING,
         0,
         0,
         false},
        {{{TE, "chunked"}, {TE, ""}}, 200, 11, 0, FRAMING_E_TRANSFER_ENCODING, 0, 0, false},
    };

    (void)state;
    CHECK(rows);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct row row = {
            {{TE, bad[i]}}, 200, 11, RESPONSE_TO_OTHER, FRAMING_E_TRANSFER_ENCODING, 0, 0,
            false};

        check(&row, 1);
    }
}

static void test_persistence_follows_rfc_9112_9_3(void **state)
{
    static const struct {
        struct field fields[4];
        unsigned version;
        bool persistent;
    } rows[] = {
        {{{0}}, 11, true},
        {{{0}}, 10, false},
        {{{"Connection", "close"}}, 11, false},
        {{{"Connection", "Close"}}, 11, false},
        {{{"Connection", "keep-alive"}}, 10, true},
        {{{"Connection", "foo, Keep-Alive"}}, 10, true},
        {{{"Connection", "keep-alive, close"}}, 11, false},
        {{{"Connection", "keep-alive"}, {"Connection", "close"}}, 10, false},
        {{{"Connection", "closed"}}, 11, true},
        {{{"Proxy-Connection", "keep-alive"}}, 10, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct headers headers;

        fill(&headers, rows[i].fields);
        assert_int_equal(framing_is_persistent(&headers, rows[i].version), rows[i].persistent);
        headers_done(&headers);
    }
}

static void test_a_request_announces_its_body(void **state)
{
    /* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): the order rows are read in */
    static const struct {
        const char *method;
        bool has_body;
        bool known;
        uint64_t length;
        enum body_kind kind;
        bool has_length;
    } rows[] = {
        {"GET", false, false, 0, BODY_NONE, false},
        {"DELETE", false, true, 0, BODY_NONE, false},
        {"POST", false, false, 0, BODY_LENGTH, true},
        {"PUT", false, false, 0, BODY_LENGTH, true},
        {"PATCH", false, false, 0, BODY_LENGTH, true},
        {"post", false, false, 0, BODY_NONE, false}, /* methods are case-sensitive */
        {"GET", true, true, 0, BODY_LENGTH, true},
        {"GET", true, true, 7, BODY_LENGTH, true},
        {"POST", true, false, 7, BODY_CHUNKED, false},
        {"POST", true, true, CONTENT_LENGTH_MAX, BODY_LENGTH, true},
        {"POST", true, true, CONTENT_LENGTH_MAX + 1, BODY_CHUNKED, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct framing framing = framing_of_request(span_of(rows[i].method), rows[i].has_body,
                                                    rows[i].known, rows[i].length);

        assert_int_equal(framing.kind, rows[i].kind);
        assert_int_equal(framing.has_content_length, rows[i].has_length);
        if (rows[i].has_length)
            assert_int_equal(framing.content_length, rows[i].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rules_of_rfc_9112_6_3_decide_in_their_order),
        cmocka_unit_test(test_h102_transfer_encoding_beats_content_length_and_closes),
        cmocka_unit_test(test_h103_content_length_is_one_decimal_number_or_repeats_it),
        cmocka_unit_test(test_h104_transfer_encoding_is_the_one_word_chunked),
        cmocka_unit_test(test_persistence_follows_rfc_9112_9_3),
        cmocka_unit_test(test_a_request_announces_its_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
